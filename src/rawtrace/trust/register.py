"""What an authority issued and revoked: the lines of ``issued.jsonl``, ``clocks.jsonl`` and ``statuses.jsonl``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from rawtrace.errors import CertificateError, MalformedError, TrustListError
from rawtrace.trust import certificates, instruments, lotestatus, staging
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Protection

ISSUED_FILE = "issued.jsonl"
STATUSES_FILE = "statuses.jsonl"
CLOCKS_FILE = "clocks.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """One certificate that an authority issued.

    Attributes
    ----------
    not_before, not_after : datetime
        UTC.
    key_sha256 : str
        SHA-256 of the public key's SubjectPublicKeyInfo, hexadecimal.
    certificate_pem : str
        The certificate itself, so that one that never arrived can be handed out again.
    """

    serial: int
    pid: str
    kind: SignerKind
    name: str
    not_before: datetime
    not_after: datetime
    protection: Protection
    key_sha256: str
    certificate_pem: str


def add_issued(folder: Path, leaf: x509.Certificate, *, kind: SignerKind, record: Mapping[str, Any]) -> None:
    """Write down a certificate, durably, before it is handed out."""
    line = {
        "serial": f"{leaf.serial_number:x}",
        "pid": certificates.pid_of(leaf),
        "kind": kind.value,
        "name": certificates.name_of(leaf),
        "not_before": leaf.not_valid_before_utc.isoformat(),
        "not_after": leaf.not_valid_after_utc.isoformat(),
        "protection": certificates.key_protection(leaf),
        "key_sha256": key_sha256(leaf.public_key()),
        "certificate": certificates.to_pem([leaf]).decode("ascii"),
        "record": record,
    }
    staging.append_line(folder / ISSUED_FILE, line)


def issued(folder: Path) -> tuple[Issued, ...]:
    """Return every certificate that the authority issued, oldest first.

    Raises
    ------
    MalformedError
        Naming the file, if it was damaged.
    """
    path = folder / ISSUED_FILE
    try:
        return tuple(
            Issued(
                serial=int(line["serial"], 16),
                pid=str(line["pid"]),
                kind=SignerKind(line["kind"]),
                name=str(line["name"]),
                not_before=datetime.fromisoformat(line["not_before"]),
                not_after=datetime.fromisoformat(line["not_after"]),
                protection=Protection(line["protection"]),
                key_sha256=str(line["key_sha256"]),
                certificate_pem=str(line["certificate"]),
            )
            for line in staging.read_lines(path)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error


def add_clock(folder: Path, certificate: x509.Certificate) -> None:
    """Write down the certificate of a time-stamping authority, durably, before it is listed."""
    line = {
        "serial": f"{certificate.serial_number:x}",
        "certificate": certificates.to_pem([certificate]).decode("ascii"),
    }
    staging.append_line(folder / CLOCKS_FILE, line)


def clocks(folder: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates of all time-stamping authorities that the authority made, oldest first.

    Raises
    ------
    MalformedError
        Naming the file, if it was damaged.
    """
    path = folder / CLOCKS_FILE
    try:
        return tuple(
            certificate
            for line in staging.read_lines(path)
            for certificate in certificates.read_pem(line["certificate"].encode("ascii"), what=f"{path}")
        )
    except (KeyError, AttributeError, UnicodeEncodeError, CertificateError) as error:
        raise _damaged(path) from error


def products(folder: Path) -> frozenset[tuple[str, str]]:
    """Return manufacturer and model of every instrument that the authority certified.

    Raises
    ------
    MalformedError
        Naming the file, if it was damaged.
    """
    path = folder / ISSUED_FILE
    found = set()
    try:
        for line in staging.read_lines(path):
            if line["kind"] == SignerKind.INSTRUMENT:
                facts = instruments.summary(line["record"])
                found.add((facts["manufacturer"], facts["model"]))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _damaged(path) from error
    return frozenset(found)


def add_status(folder: Path, record: StatusRecord) -> None:
    """Write down a revocation, durably, before it is published."""
    line: dict[str, Any] = {
        "authority_key_id": record.authority_key_id.hex(),
        "reason": record.reason,
        "revoked_at": record.revoked_at.isoformat(),
        "compromised_from": record.compromised_from.isoformat() if record.compromised_from else "",
        "note": record.note,
    }
    if record.scope is None:
        line["serial"] = f"{record.serial:x}"
    else:
        line["scope"] = lotestatus.write_scope(record.scope)
    for name, position in (("doubt_from", record.doubt_from), ("logged", record.logged)):
        if position is not None:
            line[name] = lotestatus.write_position(position)
    staging.append_line(folder / STATUSES_FILE, line)


def statuses(folder: Path) -> tuple[StatusRecord, ...]:
    """Return what stands against certificates and scopes: for each the newest record.

    Raises
    ------
    MalformedError
        Naming the file, if it was damaged.
    """
    path = folder / STATUSES_FILE
    try:
        records = [_status(line, str(path)) for line in staging.read_lines(path)]
    except (KeyError, TypeError, ValueError, TrustListError) as error:
        raise _damaged(path) from error
    return tuple({record.subject: record for record in records}.values())


def _status(line: dict[str, Any], what: str) -> StatusRecord:
    scope = lotestatus.read_scope(line["scope"], what) if "scope" in line else None
    return StatusRecord(
        serial=int(line["serial"], 16) if scope is None else 0,
        authority_key_id=bytes.fromhex(line["authority_key_id"]),
        reason=str(line["reason"]),
        revoked_at=datetime.fromisoformat(line["revoked_at"]),
        compromised_from=datetime.fromisoformat(line["compromised_from"]) if line["compromised_from"] else None,
        note=str(line["note"]),
        scope=scope,
        doubt_from=lotestatus.read_position(line.get("doubt_from"), what),
        logged=lotestatus.read_position(line.get("logged"), what),
    )


def key_sha256(public: Any) -> str:
    """Return the SHA-256 of a public key's SubjectPublicKeyInfo, hexadecimal."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(public.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def _damaged(path: Path) -> MalformedError:
    msg = f"{path} has a line that rawtrace did not write; expected only its own"
    return MalformedError(msg, hint="restore the file from its backup")
