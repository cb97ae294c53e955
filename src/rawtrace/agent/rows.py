"""Rows of the outbox, and reading them without the right to write: what ``agent status`` needs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rawtrace.agent.watch import Kind
from rawtrace.errors import OutboxError
from rawtrace.sealing.finished import Fingerprint

SCHEMA_VERSION = 3
COLUMNS = (
    "id, path, kind, state, first_seen, fingerprint, quiet_s, reason, attempts, error, how, capture, supersede,"
    " sidecar_before, label, claim_sha256, content_sha256, sealed_at, gone"
)


class State(StrEnum):
    """Where an asset stands."""

    SEEN = "seen"
    WAITING = "waiting"
    SEALING = "sealing"
    SEALED = "sealed"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One asset as the outbox knows it.

    Attributes
    ----------
    name : str
        Path below the watched folder, with ``/``.
    fingerprint : Fingerprint or None
        As it was when it was last sealed, or when sealing began.
    quiet_s : float
        Seconds without a change that earlier runs of the agent have seen.
    reason, error : str
        What is awaited; why the last attempt failed.
    how, capture : str
        What showed that it was finished; what the seal says of how the agent came to it.
    supersede : bool
        The seal to be made replaces an older one.
    sidecar_before : str
        SHA-256 of the older seal when sealing began, to tell it from the new one after a crash.
    """

    id: int
    name: str
    kind: Kind
    state: State
    first_seen: str
    fingerprint: Fingerprint | None
    quiet_s: float
    reason: str
    attempts: int
    error: str
    how: str
    capture: str
    supersede: bool
    sidecar_before: str
    label: str
    claim_sha256: str
    content_sha256: str
    sealed_at: str
    gone: bool


def state_file_of(root: Path, folder: Path) -> Path:
    """Return where the state of an agent lies that was not told where: one file for each watched folder."""
    name = os.fsencode(os.path.normcase(os.path.realpath(root)))
    return folder / "agent" / f"{hashlib.sha256(name).hexdigest()[:16]}.sqlite"


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a state file for looking only.

    Raises
    ------
    OutboxError
        There is none, or it cannot be read.
    """
    if not path.is_file():
        msg = f"there is no state file {path}; the agent has not run there"
        raise OutboxError(msg, hint="start it with `rawtrace agent run`, or name its --state file")
    with in_words(path):
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5, isolation_level=None)
        # One that an older agent made is migrated by the first newer one that runs; to look at, it is good as it is.
        if database.execute("PRAGMA user_version").fetchone()[0] not in range(1, SCHEMA_VERSION + 1):
            database.close()
            msg = f"{path} is not a state file that this version of the agent can read"
            raise OutboxError(msg, hint="name the agent's own --state file")
        return database


def read_rows(
    database: sqlite3.Connection, path: Path, states: Sequence[State] = (), *, present: bool = False, limit: int = -1
) -> list[Row]:
    """Return live rows, oldest first; of some states only where any are given, and only what is ``present``."""
    wanted = tuple(states) or tuple(state for state in State if state is not State.SUPERSEDED)
    marks = ", ".join("?" for _ in wanted)
    with in_words(path):
        found = database.execute(
            f"SELECT {COLUMNS} FROM asset WHERE state IN ({marks}) AND gone <= ? ORDER BY id LIMIT ?",  # noqa: S608
            (*(state.value for state in wanted), 0 if present else 1, limit),
        ).fetchall()
    return [as_row(one) for one in found]


def last_sealed(database: sqlite3.Connection, path: Path, *, limit: int) -> list[Row]:
    """Return the newest seals, newest first."""
    with in_words(path):
        found = database.execute(
            f"SELECT {COLUMNS} FROM asset WHERE state = 'sealed' ORDER BY sealed_at DESC, id DESC LIMIT ?",  # noqa: S608
            (limit,),
        ).fetchall()
    return [as_row(one) for one in found]


def counts(database: sqlite3.Connection, path: Path) -> dict[str, int]:
    """Return how many rows there are in each state; what is gone is counted as ``gone`` unless it was sealed."""
    with in_words(path):
        found = database.execute(
            "SELECT CASE WHEN gone AND state IN ('seen', 'waiting', 'failed') THEN 'gone' ELSE state END AS stands,"
            " count(*) FROM asset GROUP BY stands"
        ).fetchall()
    result = {state.value: 0 for state in State}
    result.update(dict(found))
    return result


def facts(database: sqlite3.Connection, path: Path) -> dict[str, str]:
    """Return the facts that the running agent keeps."""
    with in_words(path):
        return dict(database.execute("SELECT name, value FROM fact").fetchall())


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say of a state file into ``OutboxError``."""
    try:
        yield
    except sqlite3.Error as error:
        msg = f"the state file {path} cannot be used: {str(error).lower()}"
        hint = "check its folder's permissions and that the disk has room; it must lie on a local disk"
        raise OutboxError(msg, hint=hint) from error
    except OSError as error:
        msg = f"the state file {path} cannot be used: {(error.strerror or str(error)).lower()}"
        raise OutboxError(msg, hint="check its folder's permissions and that the disk has room") from error


def as_row(values: Any) -> Row:
    """Make a ``Row`` of what ``COLUMNS`` selects."""
    (
        number, path, kind, state, first_seen, fingerprint, quiet_s, reason, attempts, error, how, capture, supersede,
        sidecar_before, label, claim_sha256, content_sha256, sealed_at, gone,
    ) = values  # fmt: skip
    return Row(
        id=number,
        name=os.fsdecode(path),
        kind=Kind(kind),
        state=State(state),
        first_seen=first_seen,
        fingerprint=Fingerprint.parse(fingerprint),
        quiet_s=quiet_s,
        reason=reason,
        attempts=attempts,
        error=error,
        how=how,
        capture=capture,
        supersede=bool(supersede),
        sidecar_before=sidecar_before,
        label=label,
        claim_sha256=claim_sha256,
        content_sha256=content_sha256,
        sealed_at=sealed_at,
        gone=bool(gone),
    )
