"""Writing files so that they are whole or not there at all.

The order of system calls for a new file ``D/NAME``:

1. ``open(D/.NAME.XXXX.rawtrace-tmp, O_CREAT|O_EXCL)``, ``write``, ``fsync``
2. ``link(tmp, D/NAME)``: fails if NAME exists, so nothing is ever overwritten
   (where the file system has no links: ``open(D/NAME, O_EXCL)`` then ``rename``)
3. ``unlink(tmp)``, ``fsync(D)``

A crash before 2 leaves only a file whose name ends in ``.rawtrace-tmp``, which
every part of rawtrace ignores and the agent sweeps away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from rawtrace.errors import AlreadyExistsError, LimitError, UnreadableError, from_os_error

TEMPORARY_SUFFIX = ".rawtrace-tmp"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


def write_new(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file that must not exist yet; it appears whole or not at all.

    Parameters
    ----------
    path : Path
    data : bytes
    mode : int
        Permission bits, before the umask; ``0o600`` for keys.

    Raises
    ------
    AlreadyExistsError
        If ``path`` exists, even as a broken link.
    DiskFullError, UnwritableError
    """
    temporary = _write_temporary(path, data, mode)
    try:
        _publish(temporary, path)
    except FileExistsError as error:
        msg = f"{path} exists already and is never overwritten"
        raise AlreadyExistsError(msg) from error
    except OSError as error:
        raise from_os_error(error, f"writing {path}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def replace(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file of rawtrace's own state in place of an older one, atomically.

    For state files only (trust store, statuses): assets and seals go through ``write_new``.
    """
    temporary = _write_temporary(path, data, mode)
    try:
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise from_os_error(error, f"writing {path}") from error
    sync_folder(path.parent)


def move_aside(path: Path, target: Path) -> None:
    """Rename ``path`` to ``target``, which must not exist yet, and make the change durable."""
    try:
        _publish(path, target)
        path.unlink(missing_ok=True)
    except FileExistsError as error:
        msg = f"{target} exists already and is never overwritten"
        raise AlreadyExistsError(msg) from error
    except OSError as error:
        raise from_os_error(error, f"writing {target}") from error
    sync_folder(target.parent)


def read_bounded(path: Path, *, limit: int) -> bytes:
    """Read a whole file of rawtrace's own, of at most ``limit`` bytes.

    Raises
    ------
    InputNotFoundError, UnreadableError, LimitError
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # A pipe would make us wait for whoever writes into it.
            msg = f"{path} is not a regular file"
            raise UnreadableError(msg)
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    if len(data) > limit:
        msg = f"{path} is larger than {limit} bytes, which is more than such a file ever has"
        raise LimitError(msg)
    return data


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder durable, where the system can (Windows does so by itself)."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_temporary(path: Path, data: bytes, mode: int) -> Path:
    # Long names leave room for the suffix: most file systems stop at 255 bytes.
    stem = path.name.encode("utf-8", "surrogateescape")[:180].decode("utf-8", "ignore")
    temporary = path.with_name(f".{stem}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(temporary, flags, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise from_os_error(error, f"writing {path}") from error
    return temporary


def _publish(temporary: Path, path: Path) -> None:
    if os.name == "nt":
        os.rename(temporary, path)  # noqa: PTH104  Windows: fails if the target exists
        return
    try:
        os.link(temporary, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            temporary.replace(path)
        except OSError:
            path.unlink()  # the empty file that held the place
            raise
