"""What a trust list holds once it is read: anchors, what each is for, and statuses by certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cryptography import x509

from rawtrace.trust.scope import LogPosition, Scope, folded

if TYPE_CHECKING:
    from rawtrace.ledger.policy import Policy


class Purpose(StrEnum):
    """What an anchor is for; an anchor for one purpose counts for no other."""

    SIGNING = "signing"
    TIMESTAMP = "timestamp"
    IDENTITY = "identity"


#: Reasons of RFC 5280, section 5.3.1, that a revocation can have.
REASONS = frozenset({
    "unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
    "certificateHold", "privilegeWithdrawn", "aACompromise",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One certificate that a list names.

    Attributes
    ----------
    certificate : x509.Certificate
        Of a root or of an issuing authority.
    purpose : Purpose
    name : str
        What the list calls the authority.
    granted : bool
        False once the list has withdrawn it, from ``since`` on.
    since : datetime or None
        When it got this standing, UTC; None where the list does not say.
    """

    certificate: x509.Certificate
    purpose: Purpose
    name: str
    granted: bool = True
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRecord:
    """That something was revoked, when, why, and from when on it cannot be relied on.

    What that is: the one certificate with the serial number or, where there is a
    scope, all seals that it means of instruments that the authority certified.

    Attributes
    ----------
    serial : int
        Of the certificate, positive, at most 20 bytes; 0 where there is a scope.
    authority_key_id : bytes
        Subject key identifier of the certificate that issued it, 1 to 64 bytes.
    reason : str
        A word of ``REASONS``.
    revoked_at : datetime
        UTC, whole seconds.
    compromised_from : datetime or None
        Start of the doubt, not after ``revoked_at``; None where it is not known.
    note : str
        For people, one line.
    scope : Scope or None
    doubt_from : LogPosition or None
        First place of a log at which seals are in doubt: what the log holds before it is not.
    logged : LogPosition or None
        Where a log holds this status itself.
    """

    authority_key_id: bytes
    reason: str
    revoked_at: datetime
    serial: int = 0
    compromised_from: datetime | None = None
    note: str = ""
    scope: Scope | None = None
    doubt_from: LogPosition | None = None
    logged: LogPosition | None = None

    @property
    def subject(self) -> int | Scope:
        """What it is about: a serial number or a scope. One authority says one thing of each."""
        return self.serial if self.scope is None else self.scope

    @property
    def words(self) -> str:
        """What it is about, in plain words."""
        return f"certificate {self.serial:x}" if self.scope is None else self.scope.words


@dataclass(slots=True)
class _Scoped:
    """What one authority said of more than one certificate."""

    all: list[StatusRecord] = field(default_factory=list)
    by_product: dict[tuple[str, str], list[StatusRecord]] = field(default_factory=dict)

    def add(self, record: StatusRecord, scope: Scope) -> None:
        self.all.append(record)
        self.by_product.setdefault((folded(scope.manufacturer), folded(scope.model)), []).append(record)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustList:
    """A trust list that was read and, where it is signed, whose signature holds.

    Attributes
    ----------
    name, operator : str
        Of the list and of who answers for it, as the list says.
    sequence : int
        Grows with every issue, from 0.
    issued : datetime
        UTC.
    next_update : datetime or None
        When a newer one should be there at the latest; see ``expired``.
    anchors : tuple[Anchor, ...]
    statuses : tuple[StatusRecord, ...]
        No certificate and no scope twice; look them up with ``status_of`` and ``scoped_statuses``.
    signer_sha256 : str
        SHA-256 of the certificate that signed the list, hexadecimal; empty for an unsigned list.
    source : str
        Where it was read from.
    operator_sha256 : str
        SHA-256 of the topmost certificate that came with the signature: what the
        trust store holds the operator to. Empty for an unsigned list.
    content_sha256 : str
        SHA-256 of the list itself, without its signature.
    ignored : int
        How many services were passed over because their type is not one rawtrace uses.
    policies : tuple[Policy, ...]
        The logs whose receipts count, each with the witnesses that must stand behind it.
    """

    name: str
    operator: str
    sequence: int
    issued: datetime
    next_update: datetime | None = None
    anchors: tuple[Anchor, ...] = ()
    statuses: tuple[StatusRecord, ...] = ()
    signer_sha256: str = ""
    source: str = ""
    operator_sha256: str = ""
    content_sha256: str = ""
    ignored: int = 0
    policies: tuple[Policy, ...] = ()
    _by_certificate: Mapping[tuple[bytes, int], StatusRecord] = field(init=False, repr=False, compare=False)
    _by_authority: Mapping[bytes, _Scoped] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the statuses: a list may carry 100 000 of them and every check asks for a few."""
        single: dict[tuple[bytes, int], StatusRecord] = {}
        scoped: dict[bytes, _Scoped] = {}
        for record in self.statuses:
            if record.scope is None:
                single[record.authority_key_id, record.serial] = record
            else:
                scoped.setdefault(record.authority_key_id, _Scoped()).add(record, record.scope)
        object.__setattr__(self, "_by_certificate", single)
        object.__setattr__(self, "_by_authority", scoped)

    @property
    def signed(self) -> bool:
        """Whether an operator answers for the list with a signature."""
        return bool(self.signer_sha256)

    def expired(self, now: datetime) -> bool:
        """Whether ``next_update`` has passed, so that newer revocations may be missing."""
        return self.next_update is not None and now > self.next_update

    def status_of(self, authority_key_id: bytes, serial: int) -> StatusRecord | None:
        """Return what the list says against a certificate, or None where it says nothing.

        Parameters
        ----------
        authority_key_id : bytes
            Subject key identifier of the certificate that issued it.
        serial : int
        """
        return self._by_certificate.get((authority_key_id, serial))

    def scoped_statuses(self, authority_key_id: bytes, *, manufacturer: str, model: str) -> tuple[StatusRecord, ...]:
        """Return the statuses with a scope that may mean a seal of some product.

        Parameters
        ----------
        authority_key_id : bytes
            Subject key identifier of the certificate that issued the signer's.
        manufacturer, model : str
            As the seal states them; with either empty, all that the authority said of any product.
        """
        held = self._by_authority.get(authority_key_id)
        if held is None:
            return ()
        if not manufacturer or not model:
            return tuple(held.all)
        return tuple(held.by_product.get((folded(manufacturer), folded(model)), ()))

    def log_keys(self, origin: str) -> frozenset[str]:
        """Return the keys, as vkeys, of the logs of one name that the list names; empty where it names none."""
        return frozenset(log.key.text for policy in self.policies for log in policy.logs if log.key.name == origin)

    def anchors_for(self, purpose: Purpose) -> tuple[Anchor, ...]:
        """Return the anchors for one purpose, withdrawn ones included."""
        return tuple(anchor for anchor in self.anchors if anchor.purpose is purpose)

    def facts(self) -> dict[str, Any]:
        """Return what a report or ``trust list`` shows of it, JSON types only."""
        return {
            "name": self.name,
            "operator": self.operator,
            "operator_sha256": self.operator_sha256,
            "signed": self.signed,
            "sequence": self.sequence,
            "issued": self.issued.isoformat(),
            "next_update": self.next_update.isoformat() if self.next_update else None,
            "anchors": {purpose.value: len(self.anchors_for(purpose)) for purpose in Purpose},
            "statuses": len(self.statuses),
            "logs": sorted({log.key.name for policy in self.policies for log in policy.logs}),
            "ignored_services": self.ignored,
            "content_sha256": self.content_sha256,
            "source": self.source,
        }
