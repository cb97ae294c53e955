"""The last tree that a log has signed, in a small file apart from its database.

A database that comes back from a backup knows nothing of what was signed since,
and a log that signs another tree of the same size is finished for ever. So size
and root are written here, durably, after the database has committed and before
a checkpoint leaves; a log whose database is behind its guard refuses to sign.

The file has two slots of 256 bytes. The older one is overwritten, so a write
that breaks off leaves the other. Keep the file on another disk than the
database, and out of its backups.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rawtrace import durable
from rawtrace.errors import InputNotFoundError, LedgerError, ReceiptError, from_os_error
from rawtrace.ledger.encoding import read_decimal, read_hash, write_base64

_SLOT = 256
_HEADER = "rawtrace-log-guard@1"
_sync = getattr(os, "fdatasync", os.fsync)


@dataclass(frozen=True, slots=True)
class Signed:
    """A tree that has been signed: number of entries, and their root."""

    size: int
    root: bytes


class Guard:
    """The guard of one log.

    Parameters
    ----------
    path : Path
    origin : str
    """

    def __init__(self, path: Path, origin: str) -> None:
        self._path = path
        self._origin = hashlib.sha256(origin.encode()).hexdigest()

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    def read(self) -> Signed | None:
        """Return the largest tree that was signed, or ``None`` where there is no such file.

        Raises
        ------
        LedgerError
            The file holds nothing that could be a guard's, or is another log's.
        """
        try:
            data = durable.read_bounded(self._path, limit=2 * _SLOT)
        except InputNotFoundError:
            return None
        found = [one for one in (self._parse(data[:_SLOT]), self._parse(data[_SLOT:])) if one]
        if not found:
            msg = f"{self._path} is damaged, or guards another log"
            raise LedgerError(
                msg, hint="ask the log's witnesses and mirrors for its newest checkpoint before you go on"
            )
        return max(found, key=lambda one: one.size)

    def create(self, signed: Signed) -> None:
        """Write the file, which must not exist yet."""
        durable.write_new(self._path, self._slot(signed) * 2, mode=0o600)

    def raise_to(self, signed: Signed) -> Signed:
        """Note that ``signed`` is about to leave; on the disk when this returns. A smaller tree changes nothing.

        Returns
        -------
        Signed
            The largest tree that was signed, ``signed`` or a later one.

        Raises
        ------
        LedgerError
            Another tree of that size has been signed.
        UnwritableError
        """
        try:
            with self._path.open("r+b", buffering=0) as stream, _alone(stream):
                slots = [self._parse(stream.read(_SLOT) or b""), self._parse(stream.read(_SLOT) or b"")]
                for known in slots:
                    if known is not None and known.size == signed.size and known.root != signed.root:
                        msg = (
                            f"another tree of {signed.size} entries was signed before; a log that signs both is forked"
                        )
                        raise LedgerError(msg, hint=f"two databases use the guard {self._path}; stop one of them")
                sizes = [-1 if one is None else one.size for one in slots]
                largest = slots[sizes.index(max(sizes))]
                if largest is not None and largest.size >= signed.size:
                    return largest
                stream.seek(_SLOT * sizes.index(min(sizes)))
                stream.write(self._slot(signed))
                # In place: the file's length stays, so its bytes are all that must reach the disk.
                _sync(stream.fileno())
                return signed
        except OSError as error:
            raise from_os_error(error, f"writing {self._path}") from error

    def _slot(self, signed: Signed) -> bytes:
        body = f"{_HEADER} {self._origin} {signed.size} {write_base64(signed.root)} "
        line = body + hashlib.sha256(body.encode()).hexdigest()
        return line.ljust(_SLOT - 1).encode() + b"\n"

    def _parse(self, slot: bytes) -> Signed | None:
        body, _, checksum = slot.decode("ascii", "replace").strip().rpartition(" ")
        words = f"{body} ".split(" ")
        if hashlib.sha256(f"{body} ".encode()).hexdigest() != checksum or words[:2] != [_HEADER, self._origin]:
            return None
        try:
            return Signed(read_decimal(words[2], "the size"), read_hash(words[3], "the root"))
        except (ReceiptError, IndexError):
            return None


@contextlib.contextmanager
def _alone(stream: IO[bytes]) -> Iterator[None]:
    """Keep other processes from writing between our reading and our writing; closing the file ends it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined,unused-ignore]
        try:
            yield
        finally:
            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        return
    import fcntl

    fcntl.flock(stream, fcntl.LOCK_EX)
    yield
