"""Opening a file of somebody else's folder, where a pipe or a device may lie under any name."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from rawtrace.errors import UnreadableError


def open_plain(path: Path) -> io.FileIO:
    """Open a regular file for reading, unbuffered; never wait for whoever writes into a pipe.

    Raises
    ------
    UnreadableError
        It is something else: a pipe, a socket, a device.
    OSError
    """
    # Opening a device may do something already, and some systems cannot open a pipe without waiting.
    if not stat.S_ISREG(path.stat().st_mode):
        raise _no_file(path)
    opened = io.FileIO(path, "rb", opener=_at_once)
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise _no_file(path)
    return opened


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _no_file(path: Path) -> UnreadableError:
    return UnreadableError(f"{path.name} is not a regular file", hint="ask for a copy that holds files only")
