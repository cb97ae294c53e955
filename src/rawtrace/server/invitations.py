"""Who may enrol at a trust store: an operator's permission, its one-time code, and what became of it.

An *enrolment* permits that one PID be certified once, for the record that goes
with it. It is ``open``, then perhaps ``waiting`` for an officer and
``approved``, then ``certified``; or ``refused``, ``cancelled``, or ``expired``,
which is an open one that nobody used in time.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rawtrace.database import METADATA
from rawtrace.errors import AlreadyExistsError, EnrolmentError, InputNotFoundError
from rawtrace.server.store import Store
from rawtrace.trust import enrolment, identifiers, register
from rawtrace.trust.enrolment import Basis, Grant

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
OPEN, WAITING, APPROVED = "open", "waiting", "approved"
CERTIFIED_STATE, REFUSED, CANCELLED, EXPIRED = "certified", "refused", "cancelled", "expired"
STATES = (OPEN, WAITING, APPROVED, CERTIFIED_STATE, REFUSED, CANCELLED, EXPIRED)
MAX_DAYS = 366.0


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
        # An operator may ask for an officer, but not do without one where the store's settings ask.
        "approval": wanted.approval or store.settings.enrolment.approval,
        "state": OPEN,
        "made": text_of(now),
        "made_by": by,
        "expires": text_of(now + timedelta(days=wanted.days)),
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
            .values(state=CANCELLED, decided=text_of(now), decided_by=by, reason="a newer one was made")
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
        query = query.where(table.state == OPEN, table.expires <= text_of(now))
    elif state == OPEN:
        query = query.where(table.state == OPEN, table.expires > text_of(now))
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
    expired = row.state == OPEN and row.expires <= text_of(now)
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


def text_of(at: datetime) -> str:
    """Return a time as the tables keep it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _move(store: Store, enrolment_id: str, of: tuple[str, ...], to: str, *, by: str, reason: str) -> dict[str, Any]:
    now = text_of(store.now())
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
