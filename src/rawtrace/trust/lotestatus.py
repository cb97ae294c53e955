"""The statuses in a trust list: one record of ``org.rawtrace.statuses``, read and written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from rawtrace.errors import TrustListError
from rawtrace.trust import scope as scopes
from rawtrace.trust.anchors import REASONS, StatusRecord
from rawtrace.trust.scope import LogPosition, Scope, ScopeKind

MAX_TEXT = 512
MAX_ORIGIN = 255
MAX_INDEX = 2**53 - 1

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_HEX_SERIAL = re.compile(r"[1-9a-f][0-9a-f]{0,39}")
_ORIGIN = re.compile(r"[^\s+\x00-\x1f\x7f]{1,255}")
_SCOPE_KEYS = {
    "kind": "kind",
    "manufacturer": "manufacturer",
    "model": "model",
    "firmwareFrom": "firmware_from",
    "firmwareTo": "firmware_to",
    "feature": "feature",
}


def read_status(record: object, authority: bytes, place: str, time_of: str) -> StatusRecord:
    """Read one record.

    Parameters
    ----------
    authority : bytes
        Key identifier of who issued the certificates that it is about.
    place, time_of : str
        Where it stands and what its times are called, for messages.

    Raises
    ------
    TrustListError
        Anything amiss: a revocation that is not understood must not get lost.
    """
    if not isinstance(record, dict):
        msg = f"{place} has a status that is no object"
        raise TrustListError(msg)
    serial, scope = record.get("serial"), None
    if "scope" in record:
        if serial is not None:
            msg = f"{place} has a status with a serial number and a scope; expected one of them"
            raise TrustListError(msg)
        scope = read_scope(record["scope"], place)
        about = scope.words
    else:
        about = f"{read_serial(serial, place):x}"
    reason = record.get("reason")
    if not isinstance(reason, str) or reason not in REASONS:
        msg = f"{place} gives no reason that RFC 5280 knows for the status of {about}"
        raise TrustListError(msg)
    revoked_at = read_time(record.get("revokedAt"), time_of)
    doubt = record.get("compromisedFrom")
    compromised_from = None if doubt is None else read_time(doubt, time_of)
    if compromised_from is not None and compromised_from > revoked_at:
        msg = f"{place} says that {about} was compromised after it was revoked"
        raise TrustListError(msg)
    note = record.get("note", "")
    if not isinstance(note, str) or len(note) > MAX_TEXT:
        msg = f"{place} has a note on {about} that is no text of at most {MAX_TEXT} characters"
        raise TrustListError(msg)
    return StatusRecord(
        serial=0 if serial is None else int(serial, 16),
        authority_key_id=authority,
        reason=reason,
        revoked_at=revoked_at,
        compromised_from=compromised_from,
        note=printable(note),
        scope=scope,
        doubt_from=read_position(record.get("doubtFrom"), f"the start of the doubt about {about} in {place}"),
        logged=read_position(record.get("logged"), f"the place in a log of the status of {about} in {place}"),
    )


def read_serial(value: object, place: str) -> int:
    """Read a certificate's serial number.

    Raises
    ------
    TrustListError
    """
    if not isinstance(value, str) or not _HEX_SERIAL.fullmatch(value):
        msg = f"{place} has a status without a serial number in lower-case hexadecimal"
        raise TrustListError(msg)
    return int(value, 16)


def read_scope(value: object, place: str) -> Scope:
    """Read a scope.

    Raises
    ------
    TrustListError
    """
    kinds = {kind.value for kind in ScopeKind}
    known = isinstance(value, dict) and isinstance(value.get("kind"), str) and value["kind"] in kinds
    if not isinstance(value, dict) or not known or not set(value) <= set(_SCOPE_KEYS):
        msg = f"{place} has a scope that is not understood; expected one of {', '.join(sorted(kinds))}"
        raise TrustListError(msg)
    texts = {name: value.get(key, "") for key, name in _SCOPE_KEYS.items()}
    if not all(isinstance(text, str) for text in texts.values()):
        msg = f"{place} has a scope with something that is no text"
        raise TrustListError(msg)
    scope = Scope(**{**texts, "kind": ScopeKind(value["kind"])})
    problem = scopes.problem_of(scope)
    if problem:
        msg = f"{place} has a scope that is not understood: {problem}"
        raise TrustListError(msg)
    return scope


def read_position(value: object, what: str) -> LogPosition | None:
    """Read a place in a log; ``None`` where there is none.

    Raises
    ------
    TrustListError
    """
    if value is None:
        return None
    origin = value.get("log") if isinstance(value, dict) else None
    index = value.get("index") if isinstance(value, dict) else None
    if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
        msg = f"{what} names no log"
        raise TrustListError(msg)
    if type(index) is not int or not 0 <= index <= MAX_INDEX:
        msg = f"{what} has no index from 0 on"
        raise TrustListError(msg)
    return LogPosition(origin=origin, index=index)


def write_status(record: StatusRecord) -> dict[str, Any]:
    """Return a record as it stands in a list; what ``read_status`` would not take is refused when the list is read."""
    about = record.words
    written: dict[str, Any] = (
        {"serial": f"{record.serial:x}"} if record.scope is None else {"scope": write_scope(record.scope)}
    )
    written["reason"] = record.reason
    written["revokedAt"] = write_time(record.revoked_at, f"the revocation of {about}")
    if record.compromised_from is not None:
        written["compromisedFrom"] = write_time(record.compromised_from, f"the compromise of {about}")
    for key, position in (("doubtFrom", record.doubt_from), ("logged", record.logged)):
        if position is not None:
            written[key] = write_position(position)
    if record.note:
        written["note"] = checked_text(record.note, f"the note on {about}")
    return written


def write_scope(scope: Scope) -> dict[str, str]:
    """Return a scope as JSON."""
    values = {key: str(getattr(scope, name)) for key, name in _SCOPE_KEYS.items()}
    return {key: value for key, value in values.items() if value}


def write_position(position: LogPosition) -> dict[str, Any]:
    """Return a place in a log as JSON."""
    return {"log": position.origin, "index": position.index}


def member(value: object, key: str, kind: type[Any], what: str) -> Any:
    """Return a member of an object that must have it."""
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        msg = f"{what} has no {key} where one was expected"
        raise TrustListError(msg)
    return found


def printable(text: str) -> str:
    """Return a text that may go to terminals and pages: no control characters, no lone surrogates."""
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def read_time(value: object, what: str) -> datetime:
    """Read a time in UTC."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    msg = f"{what} is not a time in UTC such as 2026-01-31T12:00:00Z"
    raise TrustListError(msg)


def read_time_or_none(value: object, what: str) -> datetime | None:
    """Read a time in UTC that may be missing."""
    return None if value is None else read_time(value, what)


def write_time(time: datetime, what: str) -> str:
    """Return a time as a list holds it: UTC, whole seconds."""
    if time.tzinfo is None:
        msg = f"{what} has no time zone"
        raise TrustListError(msg)
    return time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def checked_text(text: str, what: str) -> str:
    """Return a text that a list may hold."""
    if not text.strip() or not text.isprintable() or len(text) > MAX_TEXT:
        msg = f"{what} is not one line of 1 to {MAX_TEXT} printable characters"
        raise TrustListError(msg)
    return text
