"""Enrolments of a trust store: who was invited, what was certified, and never two certificates for one request.

An *enrolment* is an operator's permission that one PID be certified once, for
the record that goes with it. It is ``open``, then perhaps ``waiting`` for an
officer and ``approved``, then ``certified``; or ``refused``, ``cancelled``, or
run out while it was open.

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
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography import x509

from rawtrace import durable
from rawtrace.database import METADATA
from rawtrace.errors import AlreadyExistsError, EnrolmentError, InputNotFoundError
from rawtrace.server import registry
from rawtrace.server.store import Store
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, enrolment, identifiers, instruments, register, staging
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.enrolment import Basis, Grant
from rawtrace.trust.keys import Protection
from rawtrace.trust.register import Issued

ENROLMENTS = sa.Table(
    "enrolment",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("pid", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("seen_in_token", sa.Boolean, nullable=False),
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("salt", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("device_maker", sa.Text, nullable=False),
    sa.Column("device_serial", sa.Text, nullable=False),
    sa.Column("approval", sa.Boolean, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("made", sa.Text, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("expires", sa.Text, nullable=False),
    sa.Column("key_sha256", sa.Text, nullable=False),
    sa.Column("asked", sa.Text, nullable=False),
    sa.Column("asked_from", sa.Text, nullable=False),
    sa.Column("decided", sa.Text, nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("serial", sa.Text, nullable=False),
)
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
OPEN, WAITING, APPROVED = "open", "waiting", "approved"
CERTIFIED_STATE, REFUSED, CANCELLED, EXPIRED = "certified", "refused", "cancelled", "expired"
STATES = (OPEN, WAITING, APPROVED, CERTIFIED_STATE, REFUSED, CANCELLED, EXPIRED)

#: How long a lost answer can be asked for again with the code that is used up.
ANSWER_AGAIN = timedelta(days=30)
MAX_DAYS = 366.0
_MOST_RENEWALS_A_DAY = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an operator registers.

    Attributes
    ----------
    grant : Grant
    device_maker, device_serial : str
        SHA-256 of the maker's certificate and the device's serial number; both empty: a code is made.
    approval : bool
        Whether an officer must look at the request.
    days : float
        How long the code is good; over 0, at most 366.
    """

    grant: Grant
    approval: bool = False
    days: float = 14.0
    device_maker: str = ""
    device_serial: str = ""


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


class Waiting(Exception):
    """The request is kept until an officer has looked at it."""


# --- operators and officers ---------------------------------------------------------------------------------------


def invite(store: Store, wanted: Wanted, *, by: str) -> tuple[dict[str, Any], str]:
    """Permit that a PID be certified once; returns the enrolment and its code, which nobody can see again.

    An older enrolment of the same PID that is still open ends.

    Raises
    ------
    EnrolmentError
        The authority would not certify it at all, or the device is another's.
    """
    check(store, wanted)
    now = store.now()
    device = bool(wanted.device_maker)
    code, salt = "" if device else enrolment.new_code(), secrets.token_hex(16)
    row = {
        "id": secrets.token_hex(8),
        "pid": wanted.grant.pid,
        "kind": wanted.grant.kind.value,
        "record": json.dumps(dict(wanted.grant.record), ensure_ascii=False, sort_keys=True),
        "seen_in_token": wanted.grant.seen_in_token,
        "basis": (Basis.DEVICE if device else Basis.CODE).value,
        "salt": "" if device else salt,
        "digest": "" if device else enrolment.code_digest(code, salt),
        "device_maker": wanted.device_maker.lower(),
        "device_serial": wanted.device_serial,
        "approval": wanted.approval,
        "state": OPEN,
        "made": _text(now),
        "made_by": by,
        "expires": _text(now + timedelta(days=wanted.days)),
        **dict.fromkeys(("key_sha256", "asked", "asked_from", "decided", "decided_by", "reason", "serial"), ""),
    }
    table = ENROLMENTS.c
    pending = table.state.in_((OPEN, WAITING, APPROVED))
    with store.issuing, store.database.write() as connection:
        if device:
            same = (table.device_maker == row["device_maker"]) & (table.device_serial == row["device_serial"])
            held = connection.execute(
                sa.select(table.pid).where(same, table.pid != row["pid"], pending | (table.state == CERTIFIED_STATE))
            ).first()
            if held is not None:
                msg = f"the device {wanted.device_serial} is bound to {held.pid} already"
                raise AlreadyExistsError(msg, hint="cancel that enrolment first, if it is not certified")
        connection.execute(
            sa.update(ENROLMENTS)
            .where(table.pid == row["pid"], pending)
            .values(state=CANCELLED, decided=_text(now), decided_by=by, reason="a newer one was made")
        )
        connection.execute(sa.insert(ENROLMENTS), [row])
    return find(store, str(row["id"])), code


def check(store: Store, wanted: Wanted) -> None:
    """Refuse what the authority would never certify while the operator is still there to read it.

    Raises
    ------
    EnrolmentError
    """
    if not 0 < wanted.days <= MAX_DAYS:
        msg = f"a code is good for up to {MAX_DAYS:g} days, not for {wanted.days:g}"
        raise EnrolmentError(msg)
    if bool(wanted.device_maker) != bool(wanted.device_serial):
        msg = "a device is named by its maker's certificate and its serial number, both"
        raise EnrolmentError(msg)
    authority, grant = store.authority(), wanted.grant
    if authority.name_space and not identifiers.host_is_in(identifiers.host_of(grant.pid), authority.name_space):
        msg = f"{authority.name} certifies PIDs at {authority.name_space} only, and {grant.pid} is not one"
        raise EnrolmentError(msg)
    for item in register.issued(store.authority_folder):
        if item.pid == grant.pid and item.kind is not grant.kind:
            msg = f"{grant.pid} is certified as {item.kind} already; one PID is one kind of signer, for ever"
            raise EnrolmentError(msg)


def find(store: Store, enrolment_id: str) -> dict[str, Any]:
    """Return one enrolment as JSON; ``InputNotFoundError`` if there is none."""
    with store.database.read() as connection:
        row = connection.execute(sa.select(ENROLMENTS).where(ENROLMENTS.c.id == enrolment_id)).first()
    if row is None:
        msg = "there is no such enrolment"
        raise InputNotFoundError(msg)
    return describe(row, store.now())


def page(
    store: Store, *, state: str = "", pid: str = "", before: int | None = None, limit: int = 100
) -> tuple[list[dict[str, Any]], int | None]:
    """Return enrolments, newest first, and the number to go on ``before``; ``None`` at the end."""
    now, table = store.now(), ENROLMENTS.c
    query = sa.select(ENROLMENTS).order_by(table.number.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(table.number < before)
    if pid:
        query = query.where(table.pid == pid)
    if state == EXPIRED:
        query = query.where(table.state == OPEN, table.expires <= _text(now))
    elif state == OPEN:
        query = query.where(table.state == OPEN, table.expires > _text(now))
    elif state:
        query = query.where(table.state == state)
    with store.database.read() as connection:
        rows = connection.execute(query).all()
    return [describe(row, now) for row in rows[:limit]], rows[limit - 1].number if len(rows) > limit else None


def decide(store: Store, enrolment_id: str, *, approve: bool, by: str, reason: str = "") -> dict[str, Any]:
    """Approve or refuse a request that waits; an officer's decision.

    Raises
    ------
    InputNotFoundError, AlreadyExistsError
    """
    to = APPROVED if approve else REFUSED
    return _move(store, enrolment_id, (WAITING,), to, by=by, reason=reason)


def cancel(store: Store, enrolment_id: str, *, by: str) -> dict[str, Any]:
    """End an enrolment that has not led to a certificate."""
    return _move(store, enrolment_id, (OPEN, WAITING, APPROVED), CANCELLED, by=by, reason="")


def describe(row: Any, now: datetime) -> dict[str, Any]:
    """Return an enrolment as JSON: no code, no digest of one."""
    expired = row.state == OPEN and row.expires <= _text(now)
    return {
        "id": row.id,
        "pid": row.pid,
        "kind": row.kind,
        "name": json.loads(row.record)["name"],
        "basis": row.basis,
        "device": {"maker": row.device_maker, "serial_number": row.device_serial} if row.device_maker else None,
        "approval": row.approval,
        "state": EXPIRED if expired else row.state,
        "made": row.made,
        "made_by": row.made_by,
        "expires": row.expires,
        "key_sha256": row.key_sha256,
        "asked": row.asked,
        "asked_from": row.asked_from,
        "decided": row.decided,
        "decided_by": row.decided_by,
        "reason": row.reason,
        "serial": row.serial,
        "record": json.loads(row.record),
    }


# --- who asks -----------------------------------------------------------------------------------------------------


def by_code(store: Store, pid: str, code: str) -> Applicant | None:
    """Return whom a code stands for; ``None`` for a wrong code, another's code, or one that is not good any more."""
    with store.database.read() as connection:
        query = sa.select(ENROLMENTS).where(ENROLMENTS.c.pid == pid, ENROLMENTS.c.basis == Basis.CODE.value)
        rows = connection.execute(query.order_by(ENROLMENTS.c.number.desc()).limit(50)).all()
    found = enrolment.code_fits(code, [(row.salt, row.digest) for row in rows])
    if found < 0 or not _is_good(rows[found], store.now()):
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
    row = next((one for one in rows if _is_good(one, store.now())), None)
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
        return entry.record
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
    if row is None or not _is_good(row, store.now()):
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
    since = _text(store.now() - timedelta(days=1))
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
    now, serial = _text(store.now()), f"{leaf.serial_number:x}"
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
    values = {"state": WAITING, "key_sha256": key, "asked": _text(store.now()), "asked_from": source}
    with store.database.write() as connection:
        connection.execute(sa.update(ENROLMENTS).where(ENROLMENTS.c.id == row.id).values(**values))


def _move(store: Store, enrolment_id: str, of: tuple[str, ...], to: str, *, by: str, reason: str) -> dict[str, Any]:
    now = _text(store.now())
    with store.issuing, store.database.write() as connection:
        row = connection.execute(sa.select(ENROLMENTS).where(ENROLMENTS.c.id == enrolment_id)).first()
        if row is None:
            msg = "there is no such enrolment"
            raise InputNotFoundError(msg)
        if row.state not in of:
            msg = f"the enrolment of {row.pid} is {row.state}; expected {' or '.join(of)}"
            raise AlreadyExistsError(msg)
        values = {"state": to, "decided": now, "decided_by": by, "reason": reason}
        connection.execute(sa.update(ENROLMENTS).where(ENROLMENTS.c.id == enrolment_id).values(**values))
    return find(store, enrolment_id)


def _is_good(row: Any, now: datetime) -> bool:
    """Whether an enrolment still permits something, be it only the same answer once more."""
    if row.state == OPEN:
        return bool(row.expires > _text(now))
    if row.state == CERTIFIED_STATE:
        return row.basis == Basis.DEVICE.value or bool(row.asked > _text(now - ANSWER_AGAIN))
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
    since = (table.made > _text(revoked_at)) | table.state.in_((OPEN, WAITING, APPROVED))
    with store.database.read() as connection:
        newer = connection.execute(sa.select(table.id).where(table.pid == entry.pid, since).limit(1)).first()
    if others or newer is not None:
        msg = f"the certificate of {entry.pid} is superseded, and another key took its place"
        raise EnrolmentError(msg, hint="ask the store's operator for a new one-time code")


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
