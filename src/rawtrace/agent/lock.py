"""One agent per state file: a lock that the system releases by itself when a process dies."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType

from rawtrace import filelock
from rawtrace.errors import OutboxError, from_os_error

_TRIES_S = 1.0
_STEP_S = 0.05


class StateLock:
    """The lock beside a state file, held for as long as the agent runs.

    Parameters
    ----------
    state : Path
        The state file; the lock is ``STATE.lock``.

    Raises
    ------
    OutboxError
        Another agent holds it.
    UnwritableError
    """

    def __init__(self, state: Path) -> None:
        self._path = lock_path(state)
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise from_os_error(error, f"writing {self._path}") from error
        deadline = time.monotonic() + _TRIES_S
        # `agent status` holds the lock for an instant to see whether it is free; hence more than one try.
        while not filelock.try_lock(self._descriptor):
            if time.monotonic() > deadline:
                holder = _read_pid(self._path)
                os.close(self._descriptor)
                msg = f"another agent{f' (process {holder})' if holder else ''} already uses the state file {state}"
                raise OutboxError(msg, hint="stop that agent first, or give this one a --state file of its own")
            time.sleep(_STEP_S)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0) if hasattr(os, "pwrite") else os.write(
            self._descriptor, b"%d\n" % os.getpid()
        )

    def release(self) -> None:
        """Let go of the lock; the file stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> StateLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lock_path(state: Path) -> Path:
    """Return the lock file that belongs to a state file."""
    return state.with_name(state.name + ".lock")


def holder_of(state: Path) -> int | None:
    """Return the process that holds the lock of a state file; ``None`` if nobody does (0: somebody unknown)."""
    path = lock_path(state)
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    except OSError:
        # Not ours to open: read the number and trust it only while such a process lives.
        pid = _read_pid(path)
        return pid if pid and _lives(pid) else None
    try:
        return None if filelock.try_lock(descriptor) else _read_pid(path)
    finally:
        os.close(descriptor)


def _read_pid(path: Path) -> int:
    try:
        text = path.read_bytes()[:20].strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def _lives(pid: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
