"""What a seal is bound to: the SHA-256 of a file, streamed, and proof that it stood still meanwhile."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from rawtrace.errors import (
    ChangedWhileReadError,
    InputNotFoundError,
    UnreadableError,
    UnsealableError,
    from_os_error,
)
from rawtrace.progress import SILENT, Progress

#: One read. Large enough that hashing, not calling, is what takes the time; small enough for the cache.
READ_BYTES = 1 << 20
SIDECAR_SUFFIX = ".c2pa"
COMPANION_SUFFIX = ".metadata.json"
PLANES_SUFFIX = ".planes.json"
RECEIPTS_SUFFIX = ".tlog-proof"
NOT_A_FILE = "{path} is not a regular file"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the file system says of a file; differs when somebody has written to it."""

    size: int
    mtime_ns: int
    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Fingerprint:
        """Take it from a ``stat`` result."""
        return cls(status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


@dataclass(frozen=True, slots=True)
class FileBinding:
    """A file's content, as it was read.

    Attributes
    ----------
    sha256 : bytes
        32 bytes.
    size : int
        Bytes.
    fingerprint : Fingerprint
        Taken before reading; equal after it, or there would be no binding.
    """

    sha256: bytes
    size: int
    fingerprint: Fingerprint


def with_name(path: Path) -> Path:
    """Return a path that ends in a name, resolving ``.`` and ``..``: a seal lies beside what it names.

    Raises
    ------
    UnsealableError
        The root of a file system, which nothing can lie beside.
    """
    named = path if path.name not in {"", ".."} else path.resolve()
    if not named.name:
        msg = f"{path} is the root of a file system, so no seal can lie beside it"
        raise UnsealableError(msg, hint="name the folders or files in it")
    return named


def sidecar_of(path: Path) -> Path:
    """Return where the seal of ``path`` lies: ``NAME.EXT.c2pa`` beside ``NAME.EXT``."""
    return path.with_name(path.name + SIDECAR_SUFFIX)


def companion_of(path: Path) -> Path:
    """Return where metadata too long for the seal lies: ``NAME.EXT.metadata.json``."""
    return path.with_name(path.name + COMPANION_SUFFIX)


def planes_of(path: Path) -> Path:
    """Return where digests of planes too many for the seal lie: ``NAME.EXT.planes.json``."""
    return path.with_name(path.name + PLANES_SUFFIX)


def receipts_of(seal: Path) -> Path:
    """Return where the receipts of a seal lie: ``NAME.EXT.c2pa.tlog-proof``, or ``NAME.EXT.tlog-proof`` if inside."""
    return seal.with_name(seal.name + RECEIPTS_SUFFIX)


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of some bytes, 32 bytes."""
    return hashlib.sha256(data).digest()


def bind_file(path: Path, *, progress: Progress = SILENT) -> FileBinding:
    """Hash a file in constant memory.

    Raises
    ------
    ChangedWhileReadError
        Size, time stamp or identity changed while it was read.
    InputNotFoundError, UnreadableError
    """
    try:
        with open(path, "rb", buffering=0, opener=_open_without_waiting) as stream:
            before = os.fstat(stream.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise UnreadableError(NOT_A_FILE.format(path=path), hint="name a file or a folder")
            progress.start(path.name, before.st_size)
            try:
                digest, length = _hash_stream(stream, before.st_size, progress)
            finally:
                progress.finish()
            after = os.fstat(stream.fileno())
        there = path.stat()
    except FileNotFoundError as error:
        msg = f"{path} does not exist"
        raise InputNotFoundError(msg) from error
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    fingerprint = Fingerprint.of(before)
    if length != before.st_size or not fingerprint == Fingerprint.of(after) == Fingerprint.of(there):
        msg = f"{path} changed while it was being read"
        raise ChangedWhileReadError(msg)
    return FileBinding(digest, length, fingerprint)


def require_regular(path: Path) -> None:
    """Raise unless ``path`` is a file that can be read like one: a pipe or a device would make us wait.

    Raises
    ------
    InputNotFoundError, UnreadableError
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        msg = f"{path} does not exist"
        raise InputNotFoundError(msg) from error
    except (OSError, ValueError) as error:
        known = from_os_error(error, f"reading {path}") if isinstance(error, OSError) else None
        raise known or InputNotFoundError(f"{path!s} is not a path: {error}") from error
    if not stat.S_ISREG(mode):
        raise UnreadableError(NOT_A_FILE.format(path=path), hint="name a file or a folder")


def confirm_unchanged(path: Path, binding: FileBinding) -> None:
    """Raise ``ChangedWhileReadError`` if the file is no longer the one that was hashed."""
    try:
        now = Fingerprint.of(path.stat())
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    if now != binding.fingerprint:
        msg = f"{path} changed while it was being sealed"
        raise ChangedWhileReadError(msg)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _hash_stream(stream: object, size: int, progress: Progress) -> tuple[bytes, int]:
    digest = hashlib.sha256()
    buffer = bytearray(READ_BYTES)
    view = memoryview(buffer)
    length = 0
    # Who writes as fast as we read must not keep us reading: one byte too many says enough.
    while length <= size and (count := stream.readinto(buffer)):  # type: ignore[attr-defined]
        digest.update(view[:count])
        length += count
        progress.advance(count)
    return digest.digest(), length
