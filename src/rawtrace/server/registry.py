"""The registry of instruments: what is known of each, what it was before, and where the log says so.

A record is PIDINST as ``rawtrace.trust.instruments`` has it. Whether an instrument is in service
and where it stands follow from its record, so that they cannot disagree with it. Every change
becomes a line of the history in the same transaction, then a record of kind ``instrument`` in the
store's log. The log comes second, so that it holds nothing that did not happen; what was
interrupted between the two is logged by the next change (``settle``).

This module is what the rest of the server uses: ``find``, ``search``, ``put``, ``history``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from rawtrace.database import Database
from rawtrace.errors import AlreadyExistsError, IdentityRecordError, InputNotFoundError, LedgerError, NetworkError
from rawtrace.ledger import entry
from rawtrace.server.instrumentsearch import Found, Query, search
from rawtrace.server.instrumenttables import (
    CHANGES,
    INSTRUMENTS,
    RELATED,
    Action,
    Change,
    Entry,
    Status,
    entry_of,
    folded_identifier,
    row_of,
    status_of,
    text_of,
)
from rawtrace.server.problems import Problem
from rawtrace.trust import instruments
from rawtrace.trust.certificates import SignerKind

if TYPE_CHECKING:
    from rawtrace.server.store import Store

__all__ = [
    "ANY",
    "Action",
    "Change",
    "Entry",
    "Found",
    "Query",
    "Status",
    "ensure",
    "find",
    "history",
    "put",
    "put_all",
    "search",
    "settle",
]

_log = logging.getLogger(__name__)

#: As a version: whatever there is.
ANY = -1
_SETTLED_AT_ONCE = 500


def find(database: Database, pid: str) -> Entry | None:
    """Return an instrument by its PID in full; ``None`` where it is not known."""
    with database.read() as connection:
        row = connection.execute(sa.select(INSTRUMENTS).where(INSTRUMENTS.c.pid == pid)).first()
    return entry_of(row) if row is not None else None


def history(database: Database, pid: str, *, before: int | None = None, limit: int = 100) -> tuple[Change, ...]:
    """Return changes of an instrument, newest first.

    Parameters
    ----------
    before : int, optional
        Only changes that led to an earlier version. There is one change for each version, from 1 on.
    limit : int
        At most so many: each holds two records.
    """
    with database.read() as connection:
        chosen = sa.select(CHANGES).where(CHANGES.c.pid == pid).order_by(CHANGES.c.version.desc()).limit(limit)
        if before is not None:
            chosen = chosen.where(CHANGES.c.version < before)
        rows = connection.execute(chosen).all()
    return tuple(
        Change(
            version=row.version,
            at=row.at,
            who=row.who,
            action=Action(row.action),
            note=row.note,
            before=json.loads(row.before) if row.before else {},
            after=json.loads(row.after),
            log_index=row.log_index,
        )
        for row in rows
    )


def put(
    store: Store,
    record: Mapping[str, Any],
    *,
    who: str,
    version: int = ANY,
    kind: SignerKind = SignerKind.INSTRUMENT,
    action: Action = Action.CHANGED,
    note: str = "",
) -> Entry:
    """Register an instrument, or change what is known of it; returns it as it is now.

    A record that says what is known already changes nothing.

    Parameters
    ----------
    store : Store
    record : Mapping
        Checked against PIDINST here.
    who : str
        Name of who makes the change.
    version : int
        The version that is to be changed: 0 for an instrument that must not be there yet,
        ``ANY`` for whatever there is.
    action : Action
        The first change is ``REGISTERED`` whatever is said here.

    Raises
    ------
    IdentityRecordError
    AlreadyExistsError
        ``version`` is 0 and the instrument is there.
    InputNotFoundError
        It is not there, and ``version`` says that it was.
    Problem
        412: it has another version by now.
    """
    (result,) = put_all(store, [record], who=who, version=version, kind=kind, action=action, note=note)
    if isinstance(result, Exception):
        raise result
    return result


def put_all(
    store: Store,
    records: Sequence[Mapping[str, Any]],
    *,
    who: str,
    version: int = ANY,
    kind: SignerKind = SignerKind.INSTRUMENT,
    action: Action = Action.CHANGED,
    note: str = "",
) -> list[Entry | Exception]:
    """Do what ``put`` does with many records in one transaction; what is wrong with one is returned in its place."""
    results: list[Entry | Exception] = []
    at = store.now().astimezone(UTC)
    # Looked at before anybody else has to wait for it.
    checked = [_problem(record, kind) for record in records]
    with store.database.write() as connection:
        for record, problem in zip(records, checked, strict=True):
            if problem is not None:
                results.append(problem)
                continue
            try:
                results.append(_put(connection, record, who, version, kind, action, note, at))
            except (AlreadyExistsError, InputNotFoundError, Problem) as error:
                results.append(error)
    try:
        settle(store)
    except (LedgerError, NetworkError) as error:
        # The change stands. Its history says that it is not logged yet, and the next change tries again.
        _log.warning("changes of instruments wait for the log: %s", error)
    return results


def ensure(
    store: Store, record: Mapping[str, Any], *, who: str, kind: SignerKind = SignerKind.INSTRUMENT, note: str = ""
) -> Entry:
    """Register an instrument that is not there yet; one that is there stays as it is."""
    there = find(store.database, record["identifier"]["identifier"])
    if there is not None:
        return there
    try:
        return put(store, record, who=who, version=0, kind=kind, note=note)
    except AlreadyExistsError:
        there = find(store.database, record["identifier"]["identifier"])
        if there is None:
            raise
        return there


def settle(store: Store) -> None:
    """Log every change that is not logged yet; a store without a log has nothing to settle."""
    if not store.settings.log.origin:
        return
    from rawtrace.ledger.sequencer import Submission

    while True:
        with store.database.read() as connection:
            open_changes = sa.select(CHANGES).where(CHANGES.c.log_index.is_(None)).limit(_SETTLED_AT_ONCE)
            rows = connection.execute(open_changes.order_by(CHANGES.c.at, CHANGES.c.pid, CHANGES.c.version)).all()
        if not rows:
            return
        origin = store.settings.log.origin
        submissions = [Submission(kind="instrument", issuer=origin, key="", record=_log_record(row)) for row in rows]
        # Submitting the same record again gives the same place, so an interruption here does no harm.
        futures = [store.log.submit(one) for one in submissions]
        places = [
            {"of_pid": row.pid, "of_version": row.version, "place": accepted.index}
            for row, accepted in zip(rows, store.acknowledged(futures), strict=True)
        ]
        with store.database.write() as connection:
            chosen = (CHANGES.c.pid == sa.bindparam("of_pid")) & (CHANGES.c.version == sa.bindparam("of_version"))
            connection.execute(sa.update(CHANGES).where(chosen).values(log_index=sa.bindparam("place")), places)


def _put(
    connection: sa.Connection,
    record: Mapping[str, Any],
    who: str,
    version: int,
    kind: SignerKind,
    action: Action,
    note: str,
    at: datetime,
) -> Entry:
    pid = record["identifier"]["identifier"]
    row = connection.execute(sa.select(INSTRUMENTS).where(INSTRUMENTS.c.pid == pid)).first()
    there = entry_of(row) if row is not None else None
    _check_version(pid, there, version)
    text = text_of(record)
    if there is not None and row is not None and row.record == text:
        return there
    if there is not None and there.kind is not kind:
        msg = f"{pid} is registered as {there.kind}; one PID is one kind of signer, for ever"
        raise Problem(409, msg)
    moment = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    new = Entry(
        pid=pid,
        version=there.version + 1 if there else 1,
        kind=kind,
        record=record,
        status=status_of(record),
        made=there.made if there else moment,
        changed=moment,
    )
    connection.execute(sa.delete(INSTRUMENTS).where(INSTRUMENTS.c.pid == pid))
    connection.execute(sa.insert(INSTRUMENTS), [row_of(new, text)])
    connection.execute(sa.delete(RELATED).where(RELATED.c.pid == pid))
    related = [
        {"pid": pid, "identifier": folded_identifier(one["relatedIdentifier"]), "relation": one["relationType"]}
        for one in record.get("relatedIdentifiers", ())
    ]
    if related:
        connection.execute(sa.insert(RELATED), related)
    change = {
        "pid": pid,
        "version": new.version,
        "at": moment,
        "who": who,
        "action": action if there else Action.REGISTERED,
        "note": note,
        "before": row.record if row is not None else "",
        "after": text,
        "log_index": None,
    }
    connection.execute(sa.insert(CHANGES), [change])
    return new


def _problem(record: Mapping[str, Any], kind: SignerKind) -> IdentityRecordError | None:
    try:
        instruments.check_record(record, kind)
    except IdentityRecordError as error:
        return error
    return None


def _check_version(pid: str, there: Entry | None, version: int) -> None:
    if version == ANY:
        return
    if version == 0:
        if there is not None:
            msg = f"{pid} is registered already"
            raise AlreadyExistsError(msg, hint="change it with PUT, and If-Match")
        return
    if there is None:
        msg = f"{pid} is not registered here"
        raise InputNotFoundError(msg)
    if there.version != version:
        msg = f"{pid} has changed meanwhile: it has version {there.version}, and {version} was expected"
        raise Problem(412, msg, hint="read it again, and change what is there now")


def _log_record(row: Any) -> bytes:
    """Return what the log holds of a change: which, of what, by its digest; not who made it, nor the record itself."""
    digest = instruments.record_digest(json.loads(row.after)).hex()
    content = {"action": row.action, "at": row.at, "pid": row.pid, "record": digest, "version": row.version}
    return entry.canonical({**content, "kind": "instrument", "v": 1})
