"""Revoking: certificates, firmware, products and features, as one authority says it of what it certified.

What an authority once said it never takes back. It may add the start of a doubt, or an
earlier one, and it may say that a key was compromised after all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rawtrace.errors import CertificateError, IdentityRecordError
from rawtrace.trust import certificates, identifiers, lotestatus, register, scope, staging
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.authorityfolder import Authority, list_holds_statuses, open_authority, operator_key, write_list
from rawtrace.trust.scope import LogPosition, Scope

REASONS = (
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
    "unspecified",
)
#: Reasons that can cast doubt on seals made before the revocation.
_DOUBTFUL = frozenset({"keyCompromise", "privilegeWithdrawn", "unspecified"})


def revoke(
    folder: Path,
    *,
    pid: str = "",
    serial: int | None = None,
    scope: Scope | None = None,
    reason: str,
    compromised_from: datetime | None = None,
    doubt_from: LogPosition | None = None,
    note: str = "",
    now: datetime | None = None,
) -> tuple[StatusRecord, ...]:
    """Revoke all certificates of a PID, one by its serial number, or what a scope means.

    Parameters
    ----------
    pid, serial, scope
        One of the three. A scope must name a product of which an instrument was certified here.
    reason : str
        One of ``REASONS``, RFC 5280's words.
    compromised_from : datetime, optional
        Seals proven to be older stay good. For ``keyCompromise``,
        ``privilegeWithdrawn`` and ``unspecified`` only; with ``keyCompromise``,
        or about a scope, and no such time, every seal that is meant is in doubt.
    doubt_from : LogPosition, optional
        First place of a log at which seals are in doubt; for the same reasons.
    note : str
        For people, one line, published in the list.

    Raises
    ------
    CertificateError
        Nothing of that name was issued here, it is revoked already, or the
        reason and the times do not fit together.
    """
    at = _at(now)
    authority = open_authority(folder)
    _check_revocation(reason, compromised_from, doubt_from, at)
    start = _at(compromised_from) if compromised_from is not None else None
    if bool(pid) + (serial is not None) + (scope is not None) != 1:
        msg = "a revocation names either a PID, a serial number or a scope"
        raise CertificateError(msg)
    try:
        uri = identifiers.pid(pid)[0] if pid else ""
    except IdentityRecordError as error:
        raise IdentityRecordError(error.message, hint=f"see its PIDs: rawtrace authority list {folder}") from error
    with staging.exclusive(folder):
        list_key = operator_key(authority)
        known = {record.subject: record for record in register.statuses(folder)}
        named: Sequence[int | Scope] = _named(authority, uri, serial) if scope is None else _meant(authority, scope)
        new = [
            StatusRecord(
                serial=0 if isinstance(one, Scope) else one,
                scope=one if isinstance(one, Scope) else None,
                authority_key_id=certificates.subject_key_id(authority.certificate),
                reason=reason,
                revoked_at=known[one].revoked_at if one in known else at,
                compromised_from=start if start is not None else _of(known.get(one), "compromised_from"),
                doubt_from=doubt_from if doubt_from is not None else _of(known.get(one), "doubt_from"),
                note=note,
            )
            for one in named
            if _adds(known.get(one), reason, start, doubt_from)
        ]
        if not new and not list_holds_statuses(authority):
            # An earlier run was interrupted between writing the revocation down and publishing it.
            write_list(authority, list_key, at)
            return tuple(known[one] for one in named)
        if not new:
            first = known[named[0]]
            msg = f"it is revoked already, since {first.revoked_at:%Y-%m-%d %H:%M} UTC, for {first.reason}"
            raise CertificateError(msg, hint="only the start of a compromise, or an earlier one, can be added")
        for record in new:
            register.add_status(folder, record)
        write_list(authority, list_key, at)
    return tuple(new)


def note_logged(
    folder: Path, positions: Mapping[int | Scope, LogPosition], *, now: datetime | None = None
) -> tuple[StatusRecord, ...]:
    """Add to statuses where a log holds them, and publish the list anew.

    Parameters
    ----------
    positions : Mapping
        By ``StatusRecord.subject``; statuses that have a position keep it.

    Returns
    -------
    tuple[StatusRecord, ...]
        All that are named, as they now are.
    """
    authority = open_authority(folder)
    with staging.exclusive(folder):
        list_key = operator_key(authority)
        known = {record.subject: record for record in register.statuses(folder)}
        named = {subject: known[subject] for subject in positions if subject in known}
        new = {
            subject: replace(record, logged=positions[subject])
            for subject, record in named.items()
            if record.logged is None
        }
        for record in new.values():
            register.add_status(folder, record)
        if new or not list_holds_statuses(authority):
            write_list(authority, list_key, _at(now))
    return tuple({**named, **new}.values())


def status_content(record: StatusRecord) -> dict[str, Any]:
    """Return what a log records of a status, without its place in that log; ``kind`` and ``v`` are the log's to add."""
    said = lotestatus.write_status(replace(record, logged=None))
    return {"authorityKeyId": record.authority_key_id.hex(), **said}


def _at(now: datetime | None) -> datetime:
    return (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)


def _of(record: StatusRecord | None, name: str) -> Any:
    return None if record is None else getattr(record, name)


def _named(authority: Authority, uri: str, serial: int | None) -> list[int]:
    issued = register.issued(authority.folder)
    named = [item.serial for item in issued if (item.pid == uri if uri else item.serial == serial)]
    clocks = register.clocks(authority.folder)
    named += [clock.serial_number for clock in clocks if clock.serial_number == serial]
    if not named:
        msg = f"{authority.name} never issued a certificate for {uri or f'serial number {serial:x}'}"
        raise CertificateError(msg, hint=f"see what it issued: rawtrace authority list {authority.folder}")
    return named


def _meant(authority: Authority, meant: Scope) -> list[Scope]:
    problem = scope.problem_of(meant)
    if problem:
        msg = f"the status cannot be made: {problem}"
        raise CertificateError(msg)
    products = register.products(authority.folder)
    wanted = (scope.folded(meant.manufacturer), scope.folded(meant.model))
    if wanted not in {(scope.folded(maker), scope.folded(model)) for maker, model in products}:
        msg = f"{authority.name} never certified an instrument called {meant.manufacturer} {meant.model}"
        said = "; ".join(f"{maker} {model}" for maker, model in sorted(products)[:20])
        raise CertificateError(msg, hint=f"what it certified: {said or 'no instrument yet'}")
    return [meant]


def _check_revocation(
    reason: str, compromised_from: datetime | None, doubt_from: LogPosition | None, at: datetime
) -> None:
    if reason not in REASONS:
        msg = f"{reason!r} is not a reason for a revocation; expected one of {', '.join(REASONS)}"
        raise CertificateError(msg)
    if compromised_from is None and doubt_from is None:
        return
    if reason not in _DOUBTFUL:
        msg = f"a start of the doubt goes with {' or '.join(sorted(_DOUBTFUL))}, not with {reason}"
        raise CertificateError(msg, hint="leave the time out, or choose the reason that fits")
    if compromised_from is None:
        return
    if compromised_from.tzinfo is None:
        msg = "the start of the compromise has no time zone; expected one, such as 2026-01-31T08:00Z"
        raise CertificateError(msg)
    if compromised_from.replace(microsecond=0) > at:
        msg = f"the start of the compromise, {compromised_from:%Y-%m-%d %H:%M}, is in the future"
        raise CertificateError(msg)


def _adds(
    old: StatusRecord | None, reason: str, compromised_from: datetime | None, doubt_from: LogPosition | None
) -> bool:
    """Tell whether a further revocation says more than the one that is there, and takes nothing of it back."""
    if old is None:
        return True
    if reason not in _DOUBTFUL or (old.reason == "keyCompromise" and reason != "keyCompromise"):
        return False
    if doubt_from is not None and old.doubt_from is not None:
        moved = old.doubt_from.origin == doubt_from.origin and doubt_from.index <= old.doubt_from.index
        if not moved or (doubt_from == old.doubt_from and compromised_from is None):
            return False
    if compromised_from is None:
        upgraded = old.compromised_from is None and reason == "keyCompromise" != old.reason
        return upgraded or doubt_from is not None
    if old.compromised_from is None:
        return compromised_from <= old.revoked_at
    earlier = compromised_from < old.compromised_from
    return earlier or (compromised_from == old.compromised_from and doubt_from is not None)
