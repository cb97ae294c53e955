"""Who asks a trust store for a certificate: proved by code, device, certificate or token, or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography import x509

from rawtrace import durable
from rawtrace.errors import EnrolmentError
from rawtrace.server import registry
from rawtrace.server.invitations import APPROVED, CERTIFIED_STATE, ENROLMENTS, OPEN, WAITING, text_of
from rawtrace.server.store import Store
from rawtrace.trust import enrolment, instruments, register, staging
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.enrolment import Basis, Grant
from rawtrace.trust.keys import Protection
from rawtrace.trust.register import Issued

#: How long a lost answer can be asked for again with the code that is used up.
ANSWER_AGAIN = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """Somebody whose right to ask is proved.

    Attributes
    ----------
    basis : Basis
    basis_id : str
        Which code, device, certificate or token it was.
    enrolment : str
        For a code and a device: the enrolment that permits it.
    shown : x509.Certificate or None
        The current certificate, whose key TLS proved.
    only_key : str
        SHA-256 of the one key that may be certified; empty where another one may be.
    """

    basis: Basis
    basis_id: str
    grant: Grant
    enrolment: str = ""
    shown: x509.Certificate | None = None
    only_key: str = ""


def by_code(store: Store, pid: str, code: str) -> Applicant | None:
    """Return whom a code stands for; ``None`` for a wrong code, another's code, or one that is not good any more."""
    with store.database.read() as connection:
        query = sa.select(ENROLMENTS).where(ENROLMENTS.c.pid == pid, ENROLMENTS.c.basis == Basis.CODE.value)
        rows = connection.execute(query.order_by(ENROLMENTS.c.number.desc()).limit(50)).all()
    found = enrolment.code_fits(code, [(row.salt, row.digest) for row in rows])
    if found < 0 or not is_good(rows[found], store.now()):
        return None
    return _applicant(rows[found], Basis.CODE)


def by_device(store: Store, certificate: x509.Certificate) -> Applicant:
    """Return whom a device certificate stands for.

    Raises
    ------
    EnrolmentError
    """
    makers = device_authorities(store)
    maker, serial = enrolment.device_of(certificate, makers, at=store.now())
    table = ENROLMENTS.c
    with store.database.read() as connection:
        query = sa.select(ENROLMENTS).where(table.device_maker == maker, table.device_serial == serial)
        rows = connection.execute(query.order_by(table.number.desc()).limit(50)).all()
    row = next((one for one in rows if is_good(one, store.now())), None)
    if row is None:
        msg = f"no operator bound the device {serial} to a PID, or not any more"
        raise EnrolmentError(msg, hint="ask the store's operator to register it")
    return _applicant(row, Basis.DEVICE)


def by_certificate(store: Store, certificate: x509.Certificate) -> Applicant:
    """Return whom the current certificate of this store's authority stands for.

    Raises
    ------
    EnrolmentError
        It is not this authority's, not valid, or revoked. A superseded one still counts, for its own key, while the
        PID has no other key and no operator made an enrolment since.
    """
    folder = store.authority_folder
    issued = register.issued(folder)
    entry, status = enrolment.current_of(certificate, issued, register.statuses(folder), at=store.now())
    if status is not None:
        _check_superseded(store, entry, issued, status.revoked_at)
    return Applicant(
        basis=Basis.CERTIFICATE,
        basis_id=f"{entry.serial:x}",
        grant=_current_grant(store, entry),
        shown=certificate,
        only_key=entry.key_sha256 if status is not None else "",
    )


def by_token(store: Store, pid: str, key_sha256: str) -> Applicant:
    """Return whom a bearer token stands for whose request is signed by the key that is certified now.

    Raises
    ------
    EnrolmentError
    """
    folder, now = store.authority_folder, store.now()
    statuses = register.statuses(folder)
    issued = register.issued(folder)
    held = [item for item in issued if item.pid == pid and item.key_sha256 == key_sha256]
    if not held:
        msg = f"the request is not signed by the key that is certified for {pid}"
        raise EnrolmentError(msg, hint="a new key takes the certificate of the old one over TLS, or a new code")
    leaf = x509.load_pem_x509_certificate(held[-1].certificate_pem.encode())
    entry, status = enrolment.current_of(leaf, issued, statuses, at=now)
    if status is not None:
        _check_superseded(store, entry, issued, status.revoked_at)
    # No certificate is shown, so the request itself tells a repeated question from a new one.
    return Applicant(basis=Basis.TOKEN, basis_id="", grant=_current_grant(store, entry), only_key=key_sha256)


def by_pid(store: Store, pid: str) -> Applicant:
    """Return whom the instrument's token stands for, to tell it what is registered; no certificate follows from it."""
    held = [item for item in register.issued(store.authority_folder) if item.pid == pid]
    if not held:
        msg = f"{pid} was never certified here"
        raise EnrolmentError(msg)
    return Applicant(basis=Basis.TOKEN, basis_id="", grant=_current_grant(store, held[-1]))


def record_of(store: Store, pid: str, kind: SignerKind) -> Mapping[str, Any] | None:
    """Return the record that is registered for a PID, else the one that was certified last; ``None`` if there is none.

    Raises
    ------
    EnrolmentError
        The PID is registered as another kind of signer.
    """
    entry = registry.find(store.database, pid)
    if entry is not None and entry.kind is not kind:
        msg = f"{pid} is registered as {entry.kind}; one PID is one kind of signer, for ever"
        raise EnrolmentError(msg)
    if entry is not None:
        # What is certified goes into every seal, where everybody reads it.
        return instruments.public_record(entry.record)
    for line in reversed(staging.read_lines(store.authority_folder / register.ISSUED_FILE)):
        if line["pid"] == pid and line["kind"] == kind:
            record: Mapping[str, Any] = line["record"]
            return record
    return None


def device_authorities(store: Store) -> tuple[x509.Certificate, ...]:
    """Return the makers whose device certificates the store accepts."""
    found: list[x509.Certificate] = []
    for name in store.settings.enrolment.device_authorities:
        pem = durable.read_bounded(store.folder / name, limit=1 << 20)
        found += x509.load_pem_x509_certificates(pem)
    return tuple(found)


def is_good(row: Any, now: datetime) -> bool:
    """Whether an enrolment still permits something, be it only the same answer once more."""
    if row.state == OPEN:
        return bool(row.expires > text_of(now))
    if row.state == CERTIFIED_STATE:
        return row.basis == Basis.DEVICE.value or bool(row.asked > text_of(now - ANSWER_AGAIN))
    return row.state in {WAITING, APPROVED}


def _applicant(row: Any, basis: Basis) -> Applicant:
    grant = Grant(
        pid=row.pid, kind=SignerKind(row.kind), record=json.loads(row.record), seen_in_token=row.seen_in_token
    )
    return Applicant(basis=basis, basis_id=row.id, grant=grant, enrolment=row.id)


def _current_grant(store: Store, entry: Issued) -> Grant:
    """Return what may be certified again: the record as it now is, the key's protection as it was."""
    record = record_of(store, entry.pid, entry.kind)
    if record is None:
        msg = f"no record is registered for {entry.pid}"
        raise EnrolmentError(msg)
    return enrolment.grant_of(entry.pid, entry.kind, record, seen_in_token=entry.protection is Protection.HARDWARE)


def _check_superseded(store: Store, entry: Issued, issued: tuple[Issued, ...], revoked_at: datetime) -> None:
    later = issued[issued.index(entry) + 1 :]
    others = [item for item in later if item.pid == entry.pid and item.key_sha256 != entry.key_sha256]
    table = ENROLMENTS.c
    # Times are whole seconds, so one that is not used up counts whenever it was made.
    since = (table.made > text_of(revoked_at)) | table.state.in_((OPEN, WAITING, APPROVED))
    with store.database.read() as connection:
        newer = connection.execute(sa.select(table.id).where(table.pid == entry.pid, since).limit(1)).first()
    if others or newer is not None:
        msg = f"the certificate of {entry.pid} is superseded, and another key took its place"
        raise EnrolmentError(msg, hint="ask the store's operator for a new one-time code")
