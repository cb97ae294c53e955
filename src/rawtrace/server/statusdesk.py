"""What a store says of certificates, firmware, products and features: revoking, and writing that into the log.

The order: under the lock of the authority's folder the status is written down and the
trust list signed with it; then the log takes it up, for which nobody else has to wait;
then, under the lock, the list is signed once more, with its place in the log. Whatever
breaks off in between, the status holds, and the next call of ``log_statuses`` makes up
for the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from rawtrace.errors import Error, TrustListError
from rawtrace.server.problems import Problem
from rawtrace.server.store import Store
from rawtrace.trust import authority, lotestatus, ocsp, register, revocation
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.scope import LogPosition

_log = logging.getLogger(__name__)
_KEYS = frozenset({"pid", "serial", "scope", "reason", "compromisedFrom", "doubtFrom", "note"})
_MAX_TEXT = 2_000
#: By open store, guarded by its lock; goes with the store.
_responders: WeakKeyDictionary[Store, tuple[int, ocsp.Responder]] = WeakKeyDictionary()


def view(record: StatusRecord) -> dict[str, Any]:
    """Return a status as JSON: as the trust list has it, with the key of the authority that says it."""
    return {"authorityKeyId": record.authority_key_id.hex(), **lotestatus.write_status(record)}


def revoke(store: Store, asked: object) -> tuple[StatusRecord, ...]:
    """Revoke what an officer names, and log it.

    Parameters
    ----------
    asked : object
        The JSON of the request: one of ``pid``, ``serial`` and ``scope``, ``reason``, and where wanted
        ``compromisedFrom``, ``doubtFrom`` and ``note``.

    Raises
    ------
    Problem
        400: not of that form; 404: nothing of that name was issued here.
    CertificateError
        It cannot be revoked like that.
    """
    wanted = _read(asked)
    now = store.now()
    with store.issuing:
        authority.revoke(store.authority_folder, now=now, **wanted)
    log_statuses(store)
    with store.issuing:
        named = _subject_of(wanted, store)
        return tuple(record for record in register.statuses(store.authority_folder) if record.subject in named)


def log_statuses(store: Store) -> int:
    """Put every status that has no place in the store's log yet into it; call it without ``store.issuing``.

    A log that cannot take them now is told to the operator and is no error: the statuses hold.

    Returns
    -------
    int
        How many were logged.
    """
    if not store.settings.log.origin:
        return 0
    folder = store.authority_folder
    opened = store.authority()
    key = register.key_sha256(opened.operator[0].public_key())[:16]
    places: dict[Any, LogPosition] = {}
    try:
        for record in register.statuses(folder):
            if record.logged is None:
                index = store.record("status", revocation.status_content(record), issuer=opened.name, key=key)
                places[record.subject] = LogPosition(origin=store.settings.log.origin, index=index)
    except Error as error:
        _log.warning("a status could not be logged and will be with the next one: %s", error)
    if places:
        with store.issuing:
            revocation.note_logged(folder, places, now=store.now())
    return len(places)


def responder(store: Store, now: datetime) -> ocsp.Responder:
    """Return who answers by OCSP, opened once an hour, so that its certificate is renewed in time.

    Call it under ``store.issuing`` only.
    """
    hour = int(now.timestamp()) // 3_600
    known = _responders.get(store)
    if known is None or known[0] != hour:
        known = (hour, ocsp.open_responder(store.authority_folder, now=now))
        _responders[store] = known
    return known[1]


def _subject_of(wanted: Mapping[str, Any], store: Store) -> set[Any]:
    if wanted.get("scope") is not None:
        return {wanted["scope"]}
    if wanted.get("serial") is not None:
        return {wanted["serial"]}
    return {item.serial for item in register.issued(store.authority_folder) if item.pid == wanted["pid"]}


def _read(asked: object) -> dict[str, Any]:
    if not isinstance(asked, dict) or not set(asked) <= _KEYS:
        raise _malformed(f"expected an object with some of {', '.join(sorted(_KEYS))}")
    texts = {name: asked.get(name, "") for name in ("pid", "serial", "reason", "note")}
    if not all(isinstance(text, str) and len(text) <= _MAX_TEXT for text in texts.values()):
        raise _malformed("pid, serial, reason and note are texts")
    if sum(name in asked for name in ("pid", "serial", "scope")) != 1 or asked.get("pid") == "":
        raise _malformed("expected one of pid, serial and scope")
    try:
        return {
            "pid": texts["pid"],
            "serial": lotestatus.read_serial(texts["serial"], "the request") if "serial" in asked else None,
            "scope": lotestatus.read_scope(asked["scope"], "the request") if "scope" in asked else None,
            "reason": texts["reason"],
            "note": lotestatus.checked_text(texts["note"], "the note") if texts["note"] else "",
            "compromised_from": _time(asked),
            "doubt_from": lotestatus.read_position(asked.get("doubtFrom"), "the start of the doubt"),
        }
    except TrustListError as error:
        raise _malformed(error.message) from error


def _time(asked: Mapping[str, Any]) -> datetime | None:
    return lotestatus.read_time_or_none(asked.get("compromisedFrom"), "the start of the compromise")


def _malformed(message: str) -> Problem:
    return Problem(400, message)
