"""A log as static files, byte-equal to what its server serves: any web server can show them, anybody can audit them.

The checkpoint is written last, so that a folder never promises what it does
not hold. An export that was broken off goes on where it was; a later one adds
what is new and leaves out what is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rawtrace import durable
from rawtrace.errors import AlreadyExistsError, LedgerError, from_os_error
from rawtrace.ledger.checkpoint import Checkpoint, read_checkpoint
from rawtrace.ledger.derive import Read
from rawtrace.ledger.sources import CHECKPOINT, read_folder
from rawtrace.ledger.tiles import MAX_BUNDLE, TilePath, Tiles, tiles_of
from rawtrace.progress import SILENT, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    origin : str
    size : int
        Entries.
    written, kept : int
        Files that are new, and that were there already.
    """

    origin: str
    size: int
    written: int
    kept: int


def export(read: Read, out: Path, *, progress: Progress = SILENT) -> Exported:
    """Write a log's public part into a folder.

    Parameters
    ----------
    read : callable
        From ``rawtrace.ledger.sources``.
    out : Path
        Made where it is missing; else the folder of an earlier export of the same log.
    progress : Progress
        Counts files.

    Raises
    ------
    LedgerError
        The log has no checkpoint or does not serve what it promises, or the folder holds another log.
    UnwritableError, DiskFullError, NetworkError, RefusedError
    """
    note = read(CHECKPOINT)
    if note is None:
        msg = "the log has no checkpoint yet"
        raise LedgerError(msg)
    checkpoint = read_checkpoint(note)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"writing {out}") from error
    before = _before(out, checkpoint, read)
    files = [path for tile in tiles_of(checkpoint.size, before) for path in _paths(tile)]
    progress.start(f"exporting {checkpoint.origin}", len(files))
    written = 0
    try:
        for path in files:
            written += _write(read, out, path)
            progress.advance(1)
    finally:
        progress.finish()
    durable.replace(out / CHECKPOINT, note)
    return Exported(origin=checkpoint.origin, size=checkpoint.size, written=written + 1, kept=len(files) - written)


def _before(out: Path, checkpoint: Checkpoint, read: Read) -> int:
    """Return the size that the folder has already, once it is clear that it holds the beginning of this log."""
    known = read_folder(out)(CHECKPOINT)
    if known is None:
        return 0
    before = read_checkpoint(known)
    if before.origin != checkpoint.origin or before.size > checkpoint.size:
        msg = f"{out} holds {before.size} entries of {before.origin}, which this log does not continue"
        raise LedgerError(msg, hint="export into another folder")

    def demanded(path: str) -> bytes:
        return _demand(read, path)

    if Tiles(demanded, checkpoint.size).root(before.size) != before.root:
        msg = f"{out} holds another tree of {before.size} entries than the one that {checkpoint.origin} shows now"
        raise LedgerError(msg, hint="keep both, and compare them: rawtrace log audit --older")
    return before.size


def _paths(tile: TilePath) -> tuple[str, ...]:
    if tile.level:
        return (tile.text,)
    return tile.text, TilePath(None, tile.index, tile.width).text


def _write(read: Read, out: Path, path: str) -> bool:
    target = out.joinpath(*path.split("/"))
    if target.exists():
        # Broken off in an earlier run: a file appears whole or not at all, but whose it is must be seen.
        if durable.read_bounded(target, limit=MAX_BUNDLE) == _demand(read, path):
            return False
        msg = f"{target} is there already, and is not what the log serves"
        raise AlreadyExistsError(msg)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"writing {target}") from error
    durable.write_new(target, _demand(read, path))
    return True


def _demand(read: Read, path: str) -> bytes:
    data = read(path)
    if data is None:
        msg = f"the log does not serve {path}, which its checkpoint promises"
        raise LedgerError(msg, hint="run `rawtrace log audit`")
    return data
