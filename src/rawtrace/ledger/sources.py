"""Where the public part of a log is read from: an exported folder, a database, an address."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rawtrace import durable
from rawtrace.database import Database
from rawtrace.errors import InputNotFoundError, LedgerError, RefusedError
from rawtrace.ledger.derive import Read
from rawtrace.ledger.logstore import LogStore
from rawtrace.ledger.note import MAX_NOTE
from rawtrace.ledger.tiles import MAX_BUNDLE
from rawtrace.web import Web

CHECKPOINT = "checkpoint"


def read_folder(folder: Path) -> Read:
    """Return what reads a log from the folder that ``export`` has written.

    Raises
    ------
    InputNotFoundError
        There is no such folder.
    """
    if not folder.is_dir():
        msg = f"there is no folder {folder}"
        raise InputNotFoundError(msg)

    def read(path: str) -> bytes | None:
        # Paths are made by us, from numbers; none comes from the log.
        try:
            return durable.read_bounded(folder.joinpath(*path.split("/")), limit=_limit(path))
        except InputNotFoundError:
            return None

    return read


def read_address(url: str, web: Web) -> Read:
    """Return what reads a log from the address that its files lie under.

    The function raises ``RefusedError`` where the server wants a token, ``NetworkError`` where there is no answer.
    """
    base = url.rstrip("/")

    def read(path: str) -> bytes | None:
        answer = web.get(f"{base}/{path}", limit=_limit(path))
        if answer.status == 200:
            return answer.body
        if answer.status == 404:
            return None
        msg = f"{base}/{path} was refused with status {answer.status}"
        hint = "entries may need a token of the role auditor" if answer.status in {401, 403} else ""
        raise RefusedError(msg, hint=hint)

    return read


@contextlib.contextmanager
def read_database(database: Database, origin: str) -> Iterator[Read]:
    """Read a log from its database, as it is at this moment, as far as it is published.

    Raises
    ------
    LedgerError
        There is no such log.
    """
    store = LogStore(database, origin)
    store.prepare()
    with database.read() as connection:
        state = store.state(connection)
        if state is None:
            msg = f"there is no log {origin} in {database.location}"
            raise LedgerError(msg)

        def read(path: str) -> bytes | None:
            if path == CHECKPOINT:
                return state.checkpoint or None
            return store.read_in(connection, path, size=state.published_size)

        yield read


def _limit(path: str) -> int:
    return MAX_NOTE if path == CHECKPOINT else MAX_BUNDLE
