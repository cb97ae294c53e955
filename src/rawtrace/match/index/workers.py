"""Processes that read files, one at a time each: what a file does to its reader, it does to nobody else.

A reader that dies, or takes more time or memory than a file may, is replaced,
and the file is given back with a sentence.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from rawtrace.errors import Error
from rawtrace.match.index.describe import Description, describe

Task = Callable[[Path], Description]
#: How long a process may take to start, s.
_START_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What reading one file may take.

    Attributes
    ----------
    seconds : float
        At least so long.
    seconds_per_megabyte : float
        And so much longer for each.
    memory_bytes : int
        Address space of the reading process; kept to where the system can (not on Windows and macOS).
    """

    seconds: float = 300.0
    seconds_per_megabyte: float = 0.5
    memory_bytes: int = 8 << 30

    def seconds_for(self, size: int) -> float:
        """Return how long a file of ``size`` bytes may take."""
        return self.seconds + self.seconds_per_megabyte * size / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a file: a description, or a problem in words.

    Attributes
    ----------
    path : Path
    description : Description or None
    problem : str
    given_up : bool
        Whether the file ended its reader or took more than it may.
    """

    path: Path
    description: Description | None = None
    problem: str = ""
    given_up: bool = False


def read_here(path: Path, task: Task = describe) -> Outcome:
    """Read a file in this process."""
    try:
        return Outcome(path=path, description=task(path))
    except Error as error:
        return Outcome(path=path, problem=f"{error.message} ({error.hint})" if error.hint else error.message)
    except MemoryError:
        return Outcome(path=path, problem="it takes more memory than a file may", given_up=True)
    except Exception as error:  # noqa: BLE001  other people's readers raise nearly anything at odd content
        return Outcome(path=path, problem=f"it could not be read ({type(error).__name__})")


def read_all(
    files: Iterable[tuple[Path, int]], *, workers: int, bounds: Bounds, task: Task = describe
) -> Iterator[Outcome]:
    """Read files in so many processes and yield what became of each, in the order in which they end.

    Parameters
    ----------
    files : Iterable of (path, size)
    workers : int
        0 reads in this process, without bounds.
    bounds : Bounds
    task : callable
        What reads a file; tests give their own.
    """
    if workers <= 0:
        for path, _ in files:
            yield read_here(path, task)
        return
    waiting = iter(files)
    readers: list[_Reader] = []
    try:
        while True:
            idle = [reader for reader in readers if reader.path is None]
            while len(readers) - len(idle) < workers and (following := next(waiting, None)) is not None:
                reader = idle.pop() if idle else _Reader(bounds, task)
                if reader not in readers:
                    readers.append(reader)
                reader.give(*following)
            busy = [reader for reader in readers if reader.path is not None]
            if not busy:
                return
            for reader, outcome in _ended(busy):
                if outcome is not None:
                    yield outcome
                if not reader.alive:
                    readers.remove(reader)
    finally:
        for reader in readers:
            reader.end()


class _Reader:
    """One process."""

    def __init__(self, bounds: Bounds, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, bounds.memory_bytes, task), daemon=True)
        with _one_thread():
            self._process.start()
        theirs.close()
        self._bounds = bounds
        self.path: Path | None = None
        self.size = 0
        # Starting is not the file's fault.
        self.until = time.monotonic() + _START_S
        self.ready = False
        self.alive = True

    def give(self, path: Path, size: int) -> None:
        """Have it read a file."""
        self.path, self.size = path, size
        if self.ready:
            self.until = time.monotonic() + self._bounds.seconds_for(size)
        with contextlib.suppress(OSError):  # it is dead: that is noticed when it is asked
            self.pipe.send(os.fspath(path))

    def take(self) -> Outcome | None:
        """Return what it sent, or why it did not; ``None`` where it says that it has started."""
        try:
            outcome = self.pipe.recv()
            if outcome is None:
                self.ready, self.until = True, time.monotonic() + self._bounds.seconds_for(self.size)
                return None
            path, self.path = self.path or Path(), None
        except (EOFError, OSError):
            path, self.path = self.path or Path(), None
            self.end()
            code = self._process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            return Outcome(path=path, problem=f"the process that read it ended ({how})", given_up=True)
        return outcome if isinstance(outcome, Outcome) else Outcome(path=path, problem="its reader said nothing")

    def give_up(self) -> Outcome:
        """End it because it took too long."""
        self.end()
        return Outcome(path=self.path or Path(), problem="it takes more time than a file may", given_up=True)

    def end(self) -> None:
        """End the process."""
        self.alive = False
        self.pipe.close()
        self._process.join(0.05)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(10)


def _ended(readers: list[_Reader]) -> list[tuple[_Reader, Outcome | None]]:
    now = time.monotonic()
    late = [one for one in readers if one.until <= now]
    if late:
        return [(one, one.give_up()) for one in late]
    by_pipe: dict[Any, _Reader] = {one.pipe: one for one in readers}
    soonest = min(one.until for one in readers)
    return [(by_pipe[pipe], by_pipe[pipe].take()) for pipe in wait(list(by_pipe), max(0.0, soonest - now))]


def _serve(pipe: Connection, memory_bytes: int, task: Task) -> None:
    """Read what is asked for until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks decides
    _bound_memory(memory_bytes)
    with contextlib.suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)  # each core has a reader of its own
    # What readers print about odd files is nobody's business.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    with contextlib.suppress(OSError):
        pipe.send(None)
    while True:
        try:
            path = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(read_here(Path(path), task))
        except OSError:
            return


def _bound_memory(memory_bytes: int) -> None:
    if sys.platform == "linux":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        wanted = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, most))


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let a process that is started here inherit that libraries use one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
