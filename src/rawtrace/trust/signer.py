"""An identity that was opened for sealing: its certificate, its record and its key, which belong together.

::

    instrument.json | workstation.json | repository.json   the PIDINST record
    certificate.pem   its certificate, then the authority's    past/   earlier certificates and records
    key.json          where the key is                         key.pem the key (absent where a token has it)
    identity.json     the authority it is renewed by, where that is at an address

The folder has mode 0700 and belongs to the account that seals. ``identity``
makes such folders and renews them. Without an authority the certificate says
``self``: the identity is whatever it claims.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from rawtrace import durable
from rawtrace.errors import CertificateError, InputNotFoundError
from rawtrace.trust import certificates, instruments, keys
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import SigningKey

CERTIFICATE_FILE = "certificate.pem"
RECORD_FILES: Mapping[SignerKind, str] = {
    SignerKind.INSTRUMENT: "instrument.json",
    SignerKind.WORKSTATION: "workstation.json",
    SignerKind.REPOSITORY: "repository.json",
}
#: Which authority at which address certified it; absent where the authority is a folder.
ORIGIN_FILE = "identity.json"
#: A certificate that was asked for at an address and has not come yet.
PENDING = "pending"
#: What a renewal made ready and has not moved into its place yet.
NEXT = "next"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody who can seal.

    Attributes
    ----------
    folder : Path
    kind : SignerKind
        As the certificate says: ``self`` until an authority certifies it.
    role : SignerKind
        As the folder says: what an authority would certify it as.
    record : Mapping[str, Any]
        The PIDINST record; ``instruments.summary`` flattens it.
    chain : tuple[x509.Certificate, ...]
        Its certificate, then the authority's; no root.
    key : SigningKey
    """

    folder: Path
    kind: SignerKind
    role: SignerKind
    record: Mapping[str, Any]
    chain: tuple[x509.Certificate, ...]
    key: SigningKey

    @property
    def leaf(self) -> x509.Certificate:
        """The identity's own certificate."""
        return self.chain[0]


def load_identity(folder: str | Path) -> Identity:
    """Open an identity after checking that its parts belong together.

    A certificate that has run out is no error here: ``check_current`` tells.

    Raises
    ------
    InputNotFoundError
        No such folder, or no record in it.
    CertificateError
        Certificate, key and record do not belong together, or a renewal was interrupted.
    KeyUnavailableError, IdentityRecordError, MalformedError
    """
    folder = Path(folder)
    role = _role(folder)
    if (folder / NEXT).exists():
        msg = f"a renewal of {folder} was interrupted before its last step"
        raise CertificateError(msg, hint="run the same renewal again; it finishes the first")
    path = folder / RECORD_FILES[role]
    data = durable.read_bounded(path, limit=instruments.MAX_RECORD_BYTES)
    record = instruments.read_record(data, what=f"{path}", kind=role)
    pem = durable.read_bounded(folder / CERTIFICATE_FILE, limit=certificates.MAX_CHAIN_BYTES)
    chain = certificates.read_pem(pem, what=f"{folder / CERTIFICATE_FILE}")
    kind = certificates.signer_kind(chain[0])
    if kind not in {role, SignerKind.SELF}:
        stated = kind or "no kind of signer that rawtrace knows"
        msg = f"the certificate in {folder} is for {stated}, its record for {role}"
        raise CertificateError(msg, hint="restore the folder from its backup, or make a new identity")
    if certificates.pid_of(chain[0]) != record["identifier"]["identifier"]:
        msg = f"the certificate in {folder} is for the PID {certificates.pid_of(chain[0])!r}, not the one of its record"
        raise CertificateError(msg, hint="restore the folder from its backup, or make a new identity")
    if certificates.record_digest_of(chain[0]) != hashlib.sha256(data).digest():
        msg = f"{path} was changed after the certificate was made; expected the bytes that were certified"
        raise CertificateError(msg, hint="put the old file back; a new place is stated by: renew --location")
    if not all(certificates.is_issued_by(lower, upper) for lower, upper in itertools.pairwise(chain)):
        msg = f"the certificates in {folder / CERTIFICATE_FILE} do not follow from one another"
        raise CertificateError(msg, hint="restore the file from its backup, or renew the certificate")
    key = keys.open_in_folder(folder)
    if key.public_key() != chain[0].public_key():
        msg = f"the key in {folder} is not the one that its certificate is for"
        raise CertificateError(msg, hint="restore the folder from its backup, or make a new identity")
    return Identity(folder=folder, kind=kind or role, role=role, record=record, chain=chain, key=key)


def check_current(identity: Identity, *, now: datetime | None = None) -> None:
    """Raise ``CertificateError`` unless every certificate of the identity is valid now."""
    at = now or datetime.now(UTC)
    for certificate in identity.chain:
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            msg = (
                f"the certificate of {certificates.name_of(certificate)!r} is valid from "
                f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}, "
                f"not on {at:%Y-%m-%d}"
            )
            hint = f"renew it: rawtrace {identity.role} renew {identity.folder} (or check the computer's clock)"
            raise CertificateError(msg, hint=hint)


def _role(folder: Path) -> SignerKind:
    if not folder.is_dir():
        msg = f"there is no identity at {folder}; expected the folder of an instrument or a workstation"
        raise InputNotFoundError(msg, hint="make one: rawtrace instrument new DIR, or rawtrace workstation new DIR")
    found = [kind for kind, name in RECORD_FILES.items() if (folder / name).is_file()]
    if not found and (folder / PENDING).is_dir():
        msg = f"{folder} waits for its certificate, which was asked for and has not come yet"
        raise CertificateError(msg, hint="run the command that made it again; it asks with the same key")
    if not found:
        msg = f"{folder} is not an identity: it holds none of {', '.join(RECORD_FILES.values())}"
        raise InputNotFoundError(msg, hint="name the folder that `instrument new` or `workstation new` made")
    if len(found) > 1:
        msg = f"{folder} holds {len(found)} records; expected one, for an identity is one kind of signer"
        raise CertificateError(msg, hint="restore the folder from its backup")
    return found[0]
