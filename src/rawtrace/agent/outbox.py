"""What the agent knows and must not forget: one row per asset, in SQLite, one writer, every change one transaction.

States of a row::

    seen ──▶ waiting ──▶ sealing ──▶ sealed ──▶ superseded   (data came after the seal: the next row of that path)
                ▲           │           └─────▶ changed      (altered long after the seal: a person must look)
                └─ failed ◀─┘

``sealing`` is committed before the seal is begun and ``sealed`` after it lies on
the disk. A process killed in between leaves ``sealing``; the next start looks at
the disk and so neither loses the asset nor seals it twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rawtrace.agent import deliverybox
from rawtrace.agent.rows import COLUMNS, SCHEMA_VERSION, Row, State, as_row, in_words, read_rows
from rawtrace.agent.watch import Kind
from rawtrace.errors import OutboxError
from rawtrace.sealing.finished import Fingerprint, device_json, read_device
from rawtrace.sealing.statements import Device

_SCHEMA = """
CREATE TABLE IF NOT EXISTS asset (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('file', 'folder')),
    state TEXT NOT NULL
        CHECK (state IN ('seen', 'waiting', 'sealing', 'sealed', 'failed', 'superseded', 'changed')),
    first_seen TEXT NOT NULL,
    fingerprint TEXT NOT NULL DEFAULT '',
    quiet_s REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    how TEXT NOT NULL DEFAULT '',
    capture TEXT NOT NULL DEFAULT '',
    supersede INTEGER NOT NULL DEFAULT 0,
    sidecar_before TEXT NOT NULL DEFAULT '',
    label TEXT NOT NULL DEFAULT '',
    claim_sha256 TEXT NOT NULL DEFAULT '',
    content_sha256 TEXT NOT NULL DEFAULT '',
    sealed_at TEXT NOT NULL DEFAULT '',
    gone INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS asset_live ON asset (path) WHERE state <> 'superseded';
CREATE INDEX IF NOT EXISTS asset_state ON asset (state, sealed_at);
CREATE TABLE IF NOT EXISTS finished (
    path BLOB PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    engine TEXT NOT NULL,
    reason TEXT NOT NULL,
    vouched INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS finished_device (path BLOB PRIMARY KEY, device TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why an asset waits (one sentence), and since how many seconds it has looked like this."""

    reason: str
    quiet_s: float
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an engine said of an asset; ``vouched`` if only the engine could have said it."""

    fingerprint: Fingerprint
    engine: str
    reason: str
    vouched: bool
    device: Device | None = None


class Outbox:
    """The agent's durable memory.

    Parameters
    ----------
    path : Path
        The state file, on a local disk.
    now : callable
        Returns the wall clock as text, for display only.
    connect : callable, optional
        Opens the database; tests give one that fails where they want.

    Raises
    ------
    OutboxError
        Not a state file of the agent, made by a newer one, damaged, or not writable.
    """

    def __init__(
        self, path: Path, *, now: Callable[[], str], connect: Callable[[Path], sqlite3.Connection] | None = None
    ) -> None:
        self.path = path
        self._now = now
        with in_words(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = (connect or _connect)(path)
            self._database.execute("PRAGMA journal_mode=WAL").fetchone()
            self._database.execute("PRAGMA synchronous=FULL")
            self._prepare()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Outbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def rows(self, *states: State) -> list[Row]:
        """Return the live rows, oldest first; of some states only where any are given."""
        return read_rows(self._database, self.path, states)

    def row(self, name: str) -> Row | None:
        """Return the live row of one asset."""
        with in_words(self.path):
            found = self._database.execute(
                f"SELECT {COLUMNS} FROM asset WHERE path = ? AND state <> 'superseded'",  # noqa: S608  fixed text
                (os.fsencode(name),),
            ).fetchone()
        return as_row(found) if found else None

    def history(self, name: str) -> list[Row]:
        """Return every row of one asset, the first seal first."""
        with in_words(self.path):
            found = self._database.execute(
                f"SELECT {COLUMNS} FROM asset WHERE path = ? ORDER BY id",  # noqa: S608  fixed text
                (os.fsencode(name),),
            ).fetchall()
        return [as_row(one) for one in found]

    def enlist(self, assets: Iterable[tuple[str, Kind]]) -> None:
        """Add assets as ``seen``; those known already are left as they are."""
        now = self._now()
        rows = [(os.fsencode(name), kind.value, now) for name, kind in assets]
        with self.transaction() as database:
            database.executemany(
                "INSERT INTO asset (path, kind, state, first_seen) VALUES (?, ?, 'seen', ?)"
                " ON CONFLICT (path) WHERE state <> 'superseded' DO NOTHING",
                rows,
            )

    def wait(self, waits: Mapping[str, Wait]) -> None:
        """Note why assets wait, and for how long they have been quiet."""
        with self.transaction() as database:
            database.executemany(
                "UPDATE asset SET state = CASE state WHEN 'failed' THEN state ELSE 'waiting' END, reason = ?,"
                " quiet_s = ?, fingerprint = ?, gone = 0 WHERE path = ? AND state IN ('seen', 'waiting', 'failed')",
                [
                    (wait.reason, wait.quiet_s, wait.fingerprint.text(), os.fsencode(name))
                    for name, wait in waits.items()
                ],
            )

    def begin(self, name: str, *, fingerprint: Fingerprint, how: str, capture: str, sidecar_before: str = "") -> bool:
        """Mark an asset ``sealing``; ``False`` if it is sealed, being sealed or unknown, and must not be sealed."""
        with self.transaction() as database:
            changed = database.execute(
                "UPDATE asset SET state = 'sealing', fingerprint = ?, how = ?, capture = ?, sidecar_before = ?,"
                " attempts = attempts + 1, reason = '' WHERE path = ? AND state IN ('seen', 'waiting', 'failed')",
                (fingerprint.text(), how, capture, sidecar_before, os.fsencode(name)),
            )
            return changed.rowcount == 1

    def sealed(
        self, name: str, *, label: str, claim_sha256: str, content_sha256: str, how: str = "", sidecar: bytes = b""
    ) -> None:
        """Mark an asset ``sealed``, once its seal lies on the disk; ``sidecar`` is kept until it is delivered."""
        with self.transaction() as database:
            database.execute(
                "UPDATE asset SET state = 'sealed', label = ?, claim_sha256 = ?, content_sha256 = ?, sealed_at = ?,"
                " how = CASE WHEN ? = '' THEN how ELSE ? END, error = '', reason = '', gone = 0, quiet_s = 0"
                " WHERE path = ? AND state <> 'superseded'",
                (label, claim_sha256, content_sha256, self._now(), how, how, os.fsencode(name)),
            )
            database.execute("DELETE FROM finished WHERE path = ?", (os.fsencode(name),))
            database.execute("DELETE FROM finished_device WHERE path = ?", (os.fsencode(name),))
            deliverybox.queue(database, os.fsencode(name), sidecar)

    def found_sealed(self, name: str, *, fingerprint: Fingerprint, label: str, claim_sha256: str) -> None:
        """Mark an asset ``sealed`` by somebody else, before this agent came to it."""
        with self.transaction() as database:
            database.execute(
                "UPDATE asset SET state = 'sealed', how = 'found-sealed', fingerprint = ?, label = ?,"
                " claim_sha256 = ?, sealed_at = ?, error = '', reason = '', gone = 0, quiet_s = 0"
                " WHERE path = ? AND state IN ('seen', 'waiting', 'failed', 'sealing')",
                (fingerprint.text(), label, claim_sha256, self._now(), os.fsencode(name)),
            )

    def failed(self, name: str, error: str) -> None:
        """Mark an attempt as failed, with one sentence that says why; it will be tried again."""
        with self.transaction() as database:
            database.execute(
                "UPDATE asset SET state = 'failed', error = ? WHERE path = ? AND state NOT IN ('sealed', 'superseded')",
                (error, os.fsencode(name)),
            )

    def back_to_waiting(self, name: str, reason: str) -> None:
        """Undo ``begin``: the asset turned out not to be finished."""
        with self.transaction() as database:
            database.execute(
                "UPDATE asset SET state = 'waiting', reason = ?, attempts = max(0, attempts - 1)"
                " WHERE path = ? AND state = 'sealing'",
                (reason, os.fsencode(name)),
            )

    def supersede(self, name: str, reason: str, *, replaces: bool = True) -> None:
        """Open a new row for an asset to which data came after its seal; the old row becomes ``superseded``.

        Without ``replaces`` the old seal has been taken away with its data, and the name is used anew.
        """
        key = os.fsencode(name)
        with self.transaction() as database:
            old = database.execute(
                "SELECT id, kind, content_sha256 FROM asset WHERE path = ? AND state = 'sealed'", (key,)
            ).fetchone()
            if old is None:
                return
            database.execute("UPDATE asset SET state = 'superseded' WHERE id = ?", (old[0],))
            database.execute(
                "INSERT INTO asset (path, kind, state, first_seen, supersede, reason, content_sha256)"
                " VALUES (?, ?, 'waiting', ?, ?, ?, ?)",
                (key, old[1], self._now(), int(replaces), reason, old[2] if replaces else ""),
            )

    def unsupersede(self, name: str, fingerprint: Fingerprint) -> None:
        """Undo ``supersede``: only the time stamp had changed, so the seal in place still holds."""
        key = os.fsencode(name)
        with self.transaction() as database:
            database.execute("DELETE FROM asset WHERE path = ? AND state = 'sealing' AND supersede = 1", (key,))
            database.execute(
                "UPDATE asset SET state = 'sealed', fingerprint = ?, gone = 0"
                " WHERE id = (SELECT max(id) FROM asset WHERE path = ? AND state = 'superseded')",
                (fingerprint.text(), key),
            )

    def changed(self, name: str, reason: str) -> None:
        """Mark a sealed asset as altered long after its seal; the seal stays and speaks for the old bytes."""
        self._flip(name, State.SEALED, State.CHANGED, reason)

    def unchanged(self, name: str) -> None:
        """Undo ``changed``: the asset looks again as it did when it was sealed."""
        self._flip(name, State.CHANGED, State.SEALED, "")

    def gone(self, names: Sequence[str], *, gone: bool = True) -> None:
        """Note that assets are no longer there, or are there again; nothing is ever deleted from the outbox."""
        with self.transaction() as database:
            database.executemany(
                "UPDATE asset SET gone = ? WHERE path = ? AND state <> 'superseded'",
                [(int(gone), os.fsencode(name)) for name in names],
            )

    def tell(self, name: str, told: Told) -> None:
        """Keep the engine's word until the asset is sealed."""
        with self.transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO finished (path, fingerprint, engine, reason, vouched) VALUES (?, ?, ?, ?, ?)",
                (os.fsencode(name), told.fingerprint.text(), told.engine, told.reason, int(told.vouched)),
            )
            database.execute("DELETE FROM finished_device WHERE path = ?", (os.fsencode(name),))
            if told.device is not None:
                database.execute(
                    "INSERT INTO finished_device (path, device) VALUES (?, ?)",
                    (os.fsencode(name), json.dumps(device_json(told.device))),
                )

    def told(self) -> dict[str, Told]:
        """Return what engines said of assets that are not sealed yet."""
        with in_words(self.path):
            found = self._database.execute(
                "SELECT path, fingerprint, engine, reason, vouched, device"
                " FROM finished LEFT JOIN finished_device USING (path)"
            ).fetchall()
        result: dict[str, Told] = {}
        for path, text, engine, reason, vouched, said in found:
            if fingerprint := Fingerprint.parse(text):
                device = read_device(json.loads(said)) if said else None
                told = Told(fingerprint=fingerprint, engine=engine, reason=reason, vouched=bool(vouched), device=device)
                result[os.fsdecode(path)] = told
        return result

    def note_facts(self, facts: Mapping[str, str]) -> None:
        """Keep facts about the running agent, for ``agent status``."""
        with self.transaction() as database:
            database.executemany("INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)", list(facts.items()))

    def _flip(self, name: str, old: State, new: State, reason: str) -> None:
        with self.transaction() as database:
            database.execute(
                "UPDATE asset SET state = ?, reason = ? WHERE path = ? AND state = ?",
                (new.value, reason, os.fsencode(name), old.value),
            )

    def _prepare(self) -> None:
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version > SCHEMA_VERSION or (version == 0 and tables):
            self._database.close()
            msg = f"{self.path} is not a state file that this version of the agent can read"
            raise OutboxError(msg, hint="give another --state file, or use the version of rawtrace that made this one")
        if version < SCHEMA_VERSION:
            self._database.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} {deliverybox.SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that writes: committed and durable when the block ends, undone if it raises."""
        with in_words(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise


def _connect(path: Path) -> sqlite3.Connection:
    # No implicit transactions: every BEGIN and COMMIT is written out above.
    return sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=True)
