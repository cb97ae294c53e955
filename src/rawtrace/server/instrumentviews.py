"""What is told of an instrument, in every form, and to whom: contacts are for operators unless the record says else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from rawtrace.server.access import Principal, Role
from rawtrace.server.instrumentaddress import address_of
from rawtrace.server.registry import Change, Entry
from rawtrace.server.store import Store
from rawtrace.trust import instruments, register
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.certificates import SignerKind, read_pem
from rawtrace.trust.pidinst import datacite, datacitexml, epic, plain

#: A certificate that ends within this time is worth a word.
SOON = timedelta(days=30)
MEDIA_TYPES = {
    "json": "application/json",
    "pidinst": plain.MEDIA_TYPE,
    "datacite": datacite.MEDIA_TYPE,
    "datacite-xml": datacitexml.MEDIA_TYPE,
    "epic": epic.MEDIA_TYPE,
}
#: What reads each form that a record can be sent in.
READERS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "": plain.read_pidinst,
    "application/json": plain.read_pidinst,
    plain.MEDIA_TYPE: plain.read_pidinst,
    datacite.MEDIA_TYPE: datacite.read_datacite,
    datacitexml.MEDIA_TYPE: datacitexml.read_datacite_xml,
    epic.MEDIA_TYPE: epic.read_epic,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate of an instrument, and how it stands today.

    Attributes
    ----------
    serial : str
        Hexadecimal.
    sha256 : str
        Of its DER, hexadecimal.
    state : str
        ``good``, ``ends-soon``, ``ended``, ``not-yet`` or ``revoked``.
    reason, revoked_at, note : str
        For a revoked one.
    """

    serial: str
    sha256: str
    pid: str
    name: str
    kind: SignerKind
    protection: str
    not_before: datetime
    not_after: datetime
    state: str
    reason: str = ""
    revoked_at: str = ""
    note: str = ""

    @property
    def stands(self) -> bool:
        """Whether seals can be made with it today."""
        return self.state in {"good", "ends-soon"}

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        told: dict[str, Any] = {
            "serial": self.serial,
            "sha256": self.sha256,
            "kind": self.kind.value,
            "protection": self.protection,
            "not_before": _moment(self.not_before),
            "not_after": _moment(self.not_after),
            "state": self.state,
        }
        if self.state == "revoked":
            told |= {"reason": self.reason, "revoked_at": self.revoked_at, "note": self.note}
        return told


def certificates(store: Store) -> Mapping[str, tuple[Certificate, ...]]:
    """Return the certificates of the store's authority by PID, newest first."""
    now = store.now()
    return {
        pid: tuple(_certificate(one, digest, statuses, now) for one, digest in issued)
        for (pid, issued), statuses in ((item, _statuses(store)) for item in _issued(store).items())
    }


def certificates_of(store: Store, pid: str) -> tuple[Certificate, ...]:
    """Return the certificates of one instrument, newest first."""
    statuses = _statuses(store)
    return tuple(_certificate(one, digest, statuses, store.now()) for one, digest in _issued(store).get(pid, ()))


def listed(entry: Entry, found: tuple[Certificate, ...]) -> dict[str, Any]:
    """Return an instrument as lists have it."""
    facts = entry.summary
    standing = next((one for one in found if one.stands), None)
    return {
        "pid": entry.pid,
        "url": address_of(entry.pid),
        **{name: facts[name] for name in ("name", "manufacturer", "model", "serial", "owner", "owner_ror")},
        "types": [one["instrumentTypeName"] for one in entry.record.get("instrumentTypes", ())],
        "place": entry.place,
        "kind": entry.kind.value,
        "status": entry.status.value,
        "certificate": state_of(found),
        "certified_until": _moment(standing.not_after) if standing else None,
        "version": entry.version,
        "changed": entry.changed,
    }


def shown(entry: Entry, found: tuple[Certificate, ...], principal: Principal) -> dict[str, Any]:
    """Return all there is to know of an instrument, for somebody."""
    return {
        **listed(entry, found),
        "made": entry.made,
        "record": told(entry.record, principal, public=entry.contact_is_public),
        "certificates": [one.as_json() for one in found],
    }


def told(record: Mapping[str, Any], principal: Principal, *, public: bool) -> dict[str, Any]:
    """Return a record as somebody may see it; ``public``: whether the newest record lets everybody see contacts."""
    if public or principal.may(Role.OPERATOR, Role.AUDITOR):
        return dict(record)
    return instruments.without_contacts(record)


def change(one: Change, principal: Principal, *, public: bool) -> dict[str, Any]:
    """Return a line of the history as somebody may see it: who made it is for those who work here."""
    known = principal.may(Role.OPERATOR, Role.OFFICER, Role.AUDITOR)
    return {
        "version": one.version,
        "at": one.at,
        "action": one.action.value,
        **({"who": one.who, "note": one.note} if known else {}),
        "log_index": one.log_index,
        "before": told(one.before, principal, public=public) if one.before else None,
        "after": told(one.after, principal, public=public),
    }


def written(form: str, store: Store, entry: Entry, principal: Principal) -> tuple[bytes, str]:
    """Return an instrument in one of the forms of ``MEDIA_TYPES``, and its media type.

    Raises
    ------
    IdentityRecordError
        The form demands what the record does not say.
    """
    if form == "json":
        return _json(shown(entry, certificates_of(store, entry.pid), principal)), MEDIA_TYPES[form]
    record = told(entry.record, principal, public=entry.contact_is_public)
    year = int(entry.made[:4])
    if form == "pidinst":
        return _json(plain.to_pidinst(record)), MEDIA_TYPES[form]
    if form == "datacite":
        return _json(datacite.to_datacite(record, publisher=store.settings.name, year=year)), MEDIA_TYPES[form]
    if form == "datacite-xml":
        return datacitexml.to_datacite_xml(record, publisher=store.settings.name, year=year), MEDIA_TYPES[form]
    return _json(epic.to_epic(record)), MEDIA_TYPES["epic"]


def tag_of(body: bytes, version: int) -> str:
    """Return the ETag of a representation: it begins with the version, by which a change is asked for."""
    return f'"{version}-{hashlib.sha256(body).hexdigest()[:24]}"'


def state_of(found: tuple[Certificate, ...]) -> str:
    """Return how an instrument's certificates stand: by the one that reaches furthest, else by the newest."""
    if not found:
        return "none"
    standing = [one for one in found if one.stands]
    return max(standing, key=lambda one: one.not_after).state if standing else found[0].state


def _certificate(
    issued: register.Issued, digest: str, statuses: Mapping[int, StatusRecord], now: datetime
) -> Certificate:
    status = statuses.get(issued.serial)
    if status is not None:
        state = "revoked"
    elif issued.not_before > now:
        state = "not-yet"
    elif issued.not_after <= now:
        state = "ended"
    else:
        state = "ends-soon" if issued.not_after - now <= SOON else "good"
    return Certificate(
        serial=f"{issued.serial:x}",
        sha256=digest,
        pid=issued.pid,
        name=issued.name,
        kind=issued.kind,
        protection=issued.protection.value,
        not_before=issued.not_before,
        not_after=issued.not_after,
        state=state,
        reason=status.reason if status else "",
        revoked_at=_moment(status.revoked_at) if status else "",
        note=status.note if status else "",
    )


def _issued(store: Store) -> Mapping[str, tuple[tuple[register.Issued, str], ...]]:
    return _issued_at(store.authority_folder, _stamp(store.authority_folder / register.ISSUED_FILE))


def _statuses(store: Store) -> Mapping[int, StatusRecord]:
    return _statuses_at(store.authority_folder, _stamp(store.authority_folder / register.STATUSES_FILE))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


# The files only ever grow, so that size and time say whether they are the same.
@lru_cache(maxsize=4)
def _issued_at(folder: Path, _stamp: tuple[int, int]) -> Mapping[str, tuple[tuple[register.Issued, str], ...]]:
    by_pid: dict[str, list[tuple[register.Issued, str]]] = {}
    for one in reversed(register.issued(folder)):
        (leaf,) = read_pem(one.certificate_pem.encode(), what=f"{folder / register.ISSUED_FILE}")
        digest = hashlib.sha256(_der(leaf)).hexdigest()
        by_pid.setdefault(one.pid, []).append((one, digest))
    return {pid: tuple(found) for pid, found in by_pid.items()}


@lru_cache(maxsize=4)
def _statuses_at(folder: Path, _stamp: tuple[int, int]) -> Mapping[int, StatusRecord]:
    return {one.serial: one for one in register.statuses(folder) if one.serial}


def _der(leaf: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    der: bytes = leaf.public_bytes(Encoding.DER)
    return der


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
