"""Certifying those who enrol: who may ask for what, and never two certificates for one request.

The order of writes, all while ``store.issuing`` is held up to 3:

1. every check, so that a refusal leaves nothing behind
2. the authority issues: ``issued.jsonl``, durable
3. the certificate is noted under the request that it answers
4. the log has it, durable; its index is noted
5. the answer

After a crash between 2 and 3 the same request finds its certificate in the
authority's own register; after 3 or 4, in the tables.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from cryptography import x509

from rawtrace.database import METADATA
from rawtrace.errors import EnrolmentError
from rawtrace.server import registry
from rawtrace.server.applicants import (
    Applicant,
    by_certificate,
    by_code,
    by_device,
    by_pid,
    by_token,
    device_authorities,
    is_good,
    record_of,
)
from rawtrace.server.instrumenttables import Status
from rawtrace.server.invitations import (
    APPROVED,
    CERTIFIED_STATE,
    ENROLMENTS,
    STATES,
    WAITING,
    Wanted,
    cancel,
    check,
    decide,
    find,
    invite,
    page,
    text_of,
)
from rawtrace.server.store import Store
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, enrolment, instruments, register
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.enrolment import Basis

CERTIFIED = sa.Table(
    "enrolment_certificate",
    METADATA,
    sa.Column("serial", sa.String(48), primary_key=True),
    sa.Column("request", sa.String(64), nullable=False, index=True),
    sa.Column("pid", sa.Text, nullable=False, index=True),
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("issued", sa.Text, nullable=False),
    sa.Column("certificate", sa.Text, nullable=False),
    sa.Column("log_index", sa.BigInteger, nullable=False),
)
_MOST_RENEWALS_A_DAY = 10


class Waiting(Exception):
    """The request is kept until an officer has looked at it."""


# --- certifying ---------------------------------------------------------------------------------------------------


def certify(
    store: Store, applicant: Applicant, csr: x509.CertificateSigningRequest, *, source: str = ""
) -> x509.Certificate:
    """Certify what an applicant asks for; the same question gets the same certificate again.

    Raises
    ------
    Waiting
        An officer must look at it first.
    EnrolmentError, CertificateError
        Refused; nothing was changed.
    """
    key = register.key_sha256(csr.public_key())
    if applicant.only_key and applicant.only_key != key:
        msg = f"{applicant.grant.pid} may be certified again for the key that it has, and for no other one"
        raise EnrolmentError(msg, hint="ask the store's operator for a new one-time code")
    shown = applicant.shown
    if shown is not None and register.key_sha256(shown.public_key()) != key:
        # What staff has seen of the old key says nothing of the new one.
        applicant = replace(applicant, grant=replace(applicant.grant, seen_in_token=False))
    asked = enrolment.request_of(csr, applicant.grant)
    _check_in_service(store, applicant.grant.pid)
    question = _question(applicant, csr, key)
    with store.issuing:
        leaf = _again(store, question, applicant, key)
        if leaf is None:
            row = _permitted(store, applicant, key)
            authorities.check_issue(store.authority_folder, asked, renews=applicant.shown, now=store.now())
            if row is not None and row.approval and (row.state != APPROVED or row.key_sha256 != key):
                _wait(store, row, key, source)
                raise Waiting
            _check_pace(store, applicant)
            leaf = _adopt(store, asked, question, key)
            if leaf is None:
                days = store.settings.enrolment.certificate_days or None
                leaf = authorities.issue(
                    store.authority_folder, asked, renews=applicant.shown, now=store.now(), days=days
                )[0]
            _note(store, applicant, question, leaf, key, source)
    _log(store, leaf, applicant.grant.kind)
    return leaf


def authority_chain(store: Store) -> tuple[x509.Certificate, ...]:
    """Return the authority's certificate and its root."""
    authority = store.authority()
    return authority.certificate, authority.root


def _check_in_service(store: Store, pid: str) -> None:
    entry = registry.find(store.database, pid)
    if entry is not None and entry.status is Status.RETIRED:
        msg = f"{pid} is registered as retired, so it gets no further certificate"
        raise EnrolmentError(msg, hint="have the store's operator look at its record")


def _question(applicant: Applicant, csr: x509.CertificateSigningRequest, key: str) -> str:
    basis_id = enrolment.csr_sha256(csr) if applicant.basis is Basis.TOKEN else applicant.basis_id
    parts = (applicant.basis.value, basis_id, key, applicant.grant.record_sha256.hex())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _again(store: Store, question: str, applicant: Applicant, key: str) -> x509.Certificate | None:
    """Return the certificate that this question got before, or the one shown where it is as good as new."""
    with store.database.read() as connection:
        query = sa.select(CERTIFIED.c.certificate).where(CERTIFIED.c.request == question)
        rows = connection.execute(query.order_by(CERTIFIED.c.issued.desc()).limit(1)).all()
    known = [x509.load_pem_x509_certificate(row.certificate.encode()) for row in rows]
    shown = applicant.shown
    if shown is not None and register.key_sha256(shown.public_key()) == key:
        known.append(shown)
    revoked = {record.serial for record in register.statuses(store.authority_folder)}
    for leaf in known:
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        fresh = (
            store.now() < leaf.not_valid_after_utc - life / 3
            if leaf is not shown
            else (store.now() < leaf.not_valid_before_utc + life / 3)
        )
        same = certificates.record_digest_of(leaf) == applicant.grant.record_sha256
        if fresh and same and leaf.serial_number not in revoked:
            return leaf
    return None


def _permitted(store: Store, applicant: Applicant, key: str) -> Any:
    """Return the enrolment that permits the request, unless another key used it up meanwhile."""
    if not applicant.enrolment:
        return None
    with store.database.read() as connection:
        row = connection.execute(sa.select(ENROLMENTS).where(ENROLMENTS.c.id == applicant.enrolment)).first()
    if row is None or not is_good(row, store.now()):
        msg = f"the enrolment of {applicant.grant.pid} is not open any more"
        raise EnrolmentError(msg, hint="ask the store's operator for a new one")
    if row.key_sha256 and row.key_sha256 != key and applicant.basis is Basis.CODE:
        msg = f"the code for {applicant.grant.pid} was used already, by another key"
        hint = "if that was not you, tell the store's operator at once; otherwise ask for a new code"
        raise EnrolmentError(msg, hint=hint)
    if row.state == CERTIFIED_STATE and applicant.basis is Basis.CODE:
        msg = f"the code for {applicant.grant.pid} was used already, and what it led to is not good any more"
        raise EnrolmentError(msg, hint="ask the store's operator for a new code")
    return row


def _check_pace(store: Store, applicant: Applicant) -> None:
    since = text_of(store.now() - timedelta(days=1))
    with store.database.read() as connection:
        query = sa.select(sa.func.count()).where(CERTIFIED.c.pid == applicant.grant.pid, CERTIFIED.c.issued > since)
        count = connection.execute(query).scalar_one()
    if count >= _MOST_RENEWALS_A_DAY:
        msg = f"{applicant.grant.pid} got {count} certificates within a day; expected one in months"
        raise EnrolmentError(msg, hint="look why it asks so often")


def _adopt(store: Store, asked: authorities.Request, question: str, key: str) -> x509.Certificate | None:
    """Return a certificate that the authority issued for this very thing and that was never noted: after a crash."""
    digest = instruments.record_digest(asked.record)
    pid = instruments.summary(asked.record)["pid"]
    issued = [item for item in register.issued(store.authority_folder) if item.pid == pid and item.key_sha256 == key]
    revoked = {record.serial for record in register.statuses(store.authority_folder)}
    if not issued or issued[-1].serial in revoked:
        return None
    leaf = x509.load_pem_x509_certificate(issued[-1].certificate_pem.encode())
    with store.database.read() as connection:
        noted = connection.execute(
            sa.select(CERTIFIED.c.serial).where(CERTIFIED.c.serial == f"{leaf.serial_number:x}")
        ).first()
    young = store.now() < leaf.not_valid_before_utc + (leaf.not_valid_after_utc - leaf.not_valid_before_utc) / 3
    return leaf if noted is None and young and certificates.record_digest_of(leaf) == digest else None


def _note(store: Store, applicant: Applicant, question: str, leaf: x509.Certificate, key: str, source: str) -> None:
    now, serial = text_of(store.now()), f"{leaf.serial_number:x}"
    with store.database.write() as connection:
        connection.execute(
            sa.insert(CERTIFIED),
            [
                {
                    "serial": serial,
                    "request": question,
                    "pid": applicant.grant.pid,
                    "basis": applicant.basis.value,
                    "issued": now,
                    "certificate": certificates.to_pem([leaf]).decode("ascii"),
                    "log_index": -1,
                }
            ],
        )
        if applicant.enrolment:
            values = {"state": CERTIFIED_STATE, "key_sha256": key, "serial": serial, "asked": now, "asked_from": source}
            connection.execute(sa.update(ENROLMENTS).where(ENROLMENTS.c.id == applicant.enrolment).values(**values))


def _log(store: Store, leaf: x509.Certificate, kind: SignerKind) -> None:
    """Put a certificate into the store's log, where it has one, before anybody gets it."""
    serial = f"{leaf.serial_number:x}"
    if not store.settings.log.origin:
        return
    with store.database.read() as connection:
        query = sa.select(CERTIFIED.c.log_index).where(CERTIFIED.c.serial == serial)
        row = connection.execute(query).first()
    if row is not None and row.log_index >= 0:
        return
    authority = store.authority()
    content = enrolment.certificate_record(leaf, kind=kind, authority=authority.certificate)
    key_id = register.key_sha256(authority.certificate.public_key())[:16]
    index = store.record("certificate", content, issuer=authority.name, key=key_id)
    with store.database.write() as connection:
        connection.execute(sa.update(CERTIFIED).where(CERTIFIED.c.serial == serial).values(log_index=index))


# --- what the rest uses -------------------------------------------------------------------------------------------


def _wait(store: Store, row: Any, key: str, source: str) -> None:
    if row.state == WAITING and row.key_sha256 == key:
        return
    values = {"state": WAITING, "key_sha256": key, "asked": text_of(store.now()), "asked_from": source}
    with store.database.write() as connection:
        connection.execute(sa.update(ENROLMENTS).where(ENROLMENTS.c.id == row.id).values(**values))


__all__ = [
    "ENROLMENTS",
    "STATES",
    "WAITING",
    "Applicant",
    "Waiting",
    "Wanted",
    "authority_chain",
    "by_certificate",
    "by_code",
    "by_device",
    "by_pid",
    "by_token",
    "cancel",
    "certify",
    "check",
    "decide",
    "device_authorities",
    "find",
    "invite",
    "page",
    "record_of",
]
