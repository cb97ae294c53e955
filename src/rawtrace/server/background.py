"""One server for each store: held by a lock, begun in the background, ended by whoever may.

The lock file is ``server.pid`` in the store's folder. The system lets go of the
lock when the process dies, however it dies, so the number in it is believed
only while the lock is held.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rawtrace import durable, filelock
from rawtrace.errors import StoreError, from_os_error

PID_FILE = "server.pid"
LOG_FILE = "server.log"
_STEP_S = 0.05
_STOP_S = 60.0
_MAX_TAIL = 2_000


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the one server of a store for as long as this lasts.

    Raises
    ------
    StoreError
        Another server has it open.
    UnwritableError
    """
    path = folder / PID_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise from_os_error(error, f"writing {path}") from error
    try:
        if not filelock.try_lock(descriptor):
            msg = f"a server of {folder} runs already (process {_number(path)})"
            raise StoreError(msg, hint=f"end it first: rawtrace serve --store {folder} --stop")
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        yield
    finally:
        os.close(descriptor)


def begin(folder: Path, arguments: Sequence[str]) -> str:
    """Start a server of a store that outlives this process; returns its address when it answers.

    Parameters
    ----------
    folder : Path
    arguments : Sequence[str]
        Of ``rawtrace serve``, without ``--background``.

    Raises
    ------
    StoreError
        It ended before it could serve; says why in its own words.
    """
    path = folder / LOG_FILE
    command = [sys.executable, "-m", "rawtrace", "serve", "--store", str(folder), *arguments]
    try:
        with path.open("ab") as log:
            before = log.tell()
            process = subprocess.Popen(  # noqa: S603  our own program, with the words it was called with
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                creationflags=getattr(subprocess, "DETACHED_PROCESS", 0),
            )
    except OSError as error:
        raise from_os_error(error, f"writing {path}") from error
    assert process.stdout is not None  # noqa: S101  it was asked for
    with process.stdout as said:
        address = said.readline().decode().strip()
    if address:
        process.returncode = 0  # it outlives us on purpose, of which Popen would warn
        return address
    process.wait()
    with path.open("rb") as log:
        log.seek(before)
        tail = log.read(_MAX_TAIL).decode("utf-8", "replace").strip()
    said_last, hint = _last_words(tail)
    msg = f"the server of {folder} did not start: {said_last or 'it says nothing'}"
    raise StoreError(msg, hint=hint or f"look into {path}")


def _last_words(tail: str) -> tuple[str, str]:
    """Return sentence and hint of the error that a server ended with."""
    errors = re.findall(r"^rawtrace: error(?:\[\w+\])?: (.*)$", tail, re.MULTILINE)
    hints = re.findall(r"^rawtrace: hint: (.*)$", tail, re.MULTILINE)
    return (errors[-1] if errors else " ".join(tail.split())), (hints[-1] if errors and hints else "")


def end(folder: Path) -> bool:
    """Let the server of a store finish what it does, and wait for that; returns whether one ran.

    Raises
    ------
    StoreError
        It may not be ended by this account, or did not end.
    """
    path = folder / PID_FILE
    if not running(folder):
        return False
    try:
        os.kill(_number(path), signal.SIGTERM)
    except OSError as error:
        msg = f"the server of {folder} (process {_number(path)}) cannot be ended: {error.strerror}"
        raise StoreError(msg) from error
    deadline = time.monotonic() + _STOP_S
    while running(folder):
        if time.monotonic() > deadline:
            msg = f"the server of {folder} (process {_number(path)}) has not ended after {_STOP_S:.0f} s"
            raise StoreError(msg)
        time.sleep(_STEP_S)
    return True


def running(folder: Path) -> bool:
    """Whether a server has a store open."""
    try:
        descriptor = os.open(folder / PID_FILE, os.O_RDWR)
    except OSError:
        return False
    try:
        return not filelock.try_lock(descriptor)
    finally:
        os.close(descriptor)


def _number(path: Path) -> int:
    text = durable.read_bounded(path, limit=64).strip()
    if not text.isdigit() or int(text) < 2:
        msg = f"{path} does not hold the number of a process"
        raise StoreError(msg)
    return int(text)
