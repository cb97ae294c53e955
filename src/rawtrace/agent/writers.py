"""Does another program still have it open for writing? Asked of the system, which does not always say.

Linux tells through ``/proc`` for the processes one may look into; Windows by
refusing to open a file without write sharing. Where neither answers, the agent
says so and relies on the quiet period.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

_FRESH_S = 0.5
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR


class Writing(StrEnum):
    """The answer."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Writers:
    """Remembers for half a second who writes below a folder, so that a burst of files costs one question.

    Parameters
    ----------
    root : Path
        Resolved path of the watched folder.
    clock : callable
        Monotonic seconds.
    proc : Path
        Where the process table is; tests give another.
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.monotonic, proc: Path = Path("/proc")) -> None:
        self._root = os.fsencode(str(root))
        self._clock = clock
        self._proc = proc
        self._asked_at: float | None = None
        self._written: frozenset[bytes] = frozenset()
        self._complete = False

    def at_work_on(self, path: Path) -> Writing:
        """Tell whether a program other than this one has ``path``, or anything inside it, open for writing."""
        if sys.platform == "win32":
            return _windows_says(path)
        if self._asked_at is None or not 0 <= self._clock() - self._asked_at < _FRESH_S:
            self._written, self._complete = _processes_say(self._proc, self._root)
            self._asked_at = self._clock()
        name = os.fsencode(str(path))
        if name in self._written or any(one.startswith(name + b"/") for one in self._written):
            return Writing.YES
        return Writing.NO if self._complete else Writing.UNKNOWN


def _processes_say(proc: Path, root: bytes) -> tuple[frozenset[bytes], bool]:
    written: set[bytes] = set()
    # An account without rights over all processes may not even be shown them, so only root can be sure of a "no".
    complete = sys.platform == "linux" and hasattr(os, "geteuid") and os.geteuid() == 0
    try:
        processes = [name for name in os.listdir(proc) if name.isdecimal() and int(name) != os.getpid()]  # noqa: PTH208
    except OSError:
        return frozenset(), False
    for process in processes:
        base = proc / process
        try:
            _open_files(base, root, written)
            _mapped_files(base, root, written)
        except PermissionError:
            complete = False
        except OSError:
            # The process ended meanwhile.
            continue
    return frozenset(written), complete and bool(processes)


def _open_files(base: Path, root: bytes, written: set[bytes]) -> None:
    for number in os.listdir(base / "fd"):  # noqa: PTH208
        with contextlib.suppress(FileNotFoundError):
            target = os.fsencode(os.readlink(base / "fd" / number))  # noqa: PTH115
            if target.startswith(root + b"/") and _is_for_writing(base / "fdinfo" / number):
                written.add(target)


def _is_for_writing(info: Path) -> bool:
    for line in info.read_bytes().splitlines():
        if line.startswith(b"flags:"):
            return bool(int(line.split()[1], 8) & _WRITE_FLAGS)
    return False


def _mapped_files(base: Path, root: bytes, written: set[bytes]) -> None:
    # A memory map outlives its file descriptor; numpy's memmap closes it at once.
    data = (base / "maps").read_bytes()
    if root + b"/" not in data:
        return
    for line in data.splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[1][1:2] == b"w" and fields[1][3:4] == b"s" and fields[5].startswith(root + b"/"):
            written.add(fields[5])


def _windows_says(path: Path) -> Writing:
    if sys.platform == "win32" and path.is_file():
        import ctypes

        generic_read, share_read_delete, open_existing, sharing_violation = 0x80000000, 0x1 | 0x4, 3, 32
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateFileW.restype = ctypes.c_void_p
        kernel.CloseHandle.argtypes = [ctypes.c_void_p]
        # Without write sharing the system refuses while anybody has the file open for writing.
        handle = kernel.CreateFileW(str(path), generic_read, share_read_delete, None, open_existing, 0x80, None)
        if handle is None or handle == ctypes.c_void_p(-1).value:
            return Writing.YES if ctypes.get_last_error() == sharing_violation else Writing.UNKNOWN
        kernel.CloseHandle(handle)
        return Writing.NO
    return Writing.UNKNOWN
