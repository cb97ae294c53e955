"""An identity: the folder of an instrument, a workstation or a repository, with its key and certificate.

::

    instrument.json | workstation.json | repository.json   the PIDINST record
    certificate.pem   its certificate, then the authority's    past/   earlier certificates and records
    key.json          where the key is                         key.pem the key (absent where a token has it)

The folder has mode 0700 and belongs to the account that seals. Without an
authority the certificate says ``self``: the identity is whatever it claims.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from rawtrace import durable, strictjson
from rawtrace.errors import AlreadyExistsError, CertificateError, InputNotFoundError, from_os_error
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, instruments, keys, profiles, staging
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import KEY_FILE, KEY_POINTER, Algorithm, SigningKey
from rawtrace.trust.pkcs11 import TokenOptions

CERTIFICATE_FILE = "certificate.pem"
RECORD_FILES: Mapping[SignerKind, str] = {
    SignerKind.INSTRUMENT: "instrument.json",
    SignerKind.WORKSTATION: "workstation.json",
    SignerKind.REPOSITORY: "repository.json",
}
_PAST = "past"
_NEXT = "next"
_MAX_POINTER_BYTES = 16_384


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


def create_identity(
    folder: Path,
    kind: SignerKind,
    record: Mapping[str, Any],
    *,
    authority: Path | None = None,
    algorithm: Algorithm = Algorithm.ED25519,
    token: TokenOptions | None = None,
    now: datetime | None = None,
) -> Identity:
    """Make a key, have it certified and keep both in a new folder; all of it or nothing.

    Parameters
    ----------
    folder : Path
        Must not exist, or be empty.
    kind : SignerKind
        ``instrument``, ``workstation`` or ``repository``.
    record : Mapping[str, Any]
        From ``instruments.new_record``.
    authority : Path, optional
        Folder of the authority that certifies it; without one the certificate says ``self``.
    token : TokenOptions, optional
        Make the key inside a PKCS#11 token instead of a file.

    Raises
    ------
    AlreadyExistsError, CertificateError, IdentityRecordError, KeyUnavailableError
    """
    if kind not in RECORD_FILES:
        msg = f"an identity is made for an instrument, a workstation or a repository, not for {kind}"
        raise CertificateError(msg)
    instruments.check_record(record, kind)
    if authority is not None:
        authorities.open_authority(authority)
    with staging.new_folder(folder) as new, staging.new_key(new, algorithm, token) as key:
        chain = _certify(kind, record, key, authority, now)
        durable.write_new(new / RECORD_FILES[kind], instruments.record_bytes(record))
        durable.write_new(new / CERTIFICATE_FILE, certificates.to_pem(chain))
    return load_identity(folder)


def load_identity(folder: Path) -> Identity:
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
    role = _role(folder)
    if (folder / _NEXT).exists():
        msg = f"a renewal of {folder} was interrupted before its last step"
        raise CertificateError(msg, hint="run the same renewal again; it finishes the first")
    path = folder / RECORD_FILES[role]
    data = staging.read_bounded(path, limit=instruments.MAX_RECORD_BYTES)
    record = instruments.read_record(data, what=f"{path}", kind=role)
    pem = staging.read_bounded(folder / CERTIFICATE_FILE, limit=certificates.MAX_CHAIN_BYTES)
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


def renew_identity(
    folder: Path,
    *,
    authority: Path | None = None,
    new_key: bool = False,
    location: str = "",
    now: datetime | None = None,
) -> Identity:
    """Get a new certificate for an identity: longer valid, certified for the first time, or for another place.

    The PID stays. The old certificate and record are kept in ``past/``; an old
    key file is not. Seals made with the old certificate stay as good as they were.

    Parameters
    ----------
    authority : Path, optional
        Needed unless the identity is, and is to stay, certified by nobody.
    new_key : bool
        Also change the key, within the same token where it is in one.
    location : str
        New place, if it moved.

    Raises
    ------
    CertificateError, KeyUnavailableError, IdentityRecordError
    """
    _finish_renewal(folder)
    old = load_identity(folder)
    if authority is None and old.kind is not SignerKind.SELF:
        msg = f"{folder} is certified as {old.kind}; expected an authority to renew it"
        raise CertificateError(msg, hint="name the authority's folder: --authority DIR")
    record = instruments.with_location(old.record, location) if location else old.record
    instruments.check_record(record, old.role)
    staged = _staged(folder)
    try:
        staged.mkdir(mode=0o700)
        with contextlib.ExitStack() as stack:
            making = staging.new_key(staged, old.key.algorithm, _token_of(folder)) if new_key else None
            key = stack.enter_context(making) if making is not None else old.key
            durable.write_new(staged / RECORD_FILES[old.role], instruments.record_bytes(record))
            chain = _certify(old.role, record, key, authority, now)
            durable.write_new(staged / CERTIFICATE_FILE, certificates.to_pem(chain))
            _keep(folder, old)
            staged.rename(folder / _NEXT)
    except OSError as error:
        raise from_os_error(error, f"writing {folder}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    durable.sync_folder(folder)
    _finish_renewal(folder)
    return load_identity(folder)


def install_certificate(folder: Path, pem: bytes, *, what: str) -> Identity:
    """Put a certificate into an identity that an authority made from its request.

    Parameters
    ----------
    pem : bytes
        The new certificate, then the authority's.
    what : str
        Name of the file, for messages.

    Raises
    ------
    CertificateError
        It is for another key, PID, record or kind of signer.
    """
    _finish_renewal(folder)
    old = load_identity(folder)
    chain = certificates.read_pem(pem, what=what)
    fits = {
        "key": old.key.public_key() == chain[0].public_key(),
        "PID": certificates.pid_of(chain[0]) == instruments.summary(old.record)["pid"],
        "record": certificates.record_digest_of(chain[0]) == instruments.record_digest(old.record),
        "kind of signer": certificates.signer_kind(chain[0]) is old.role,
        "authority": len(chain) > 1
        and all(certificates.is_issued_by(lower, upper) for lower, upper in itertools.pairwise(chain)),
    }
    wrong = [name for name, fit in fits.items() if not fit]
    if wrong:
        msg = f"{what} is not the certificate that {folder} asked for: it differs in {', '.join(wrong)}"
        raise CertificateError(msg, hint="make a new request, and install what the authority makes of it")
    staged = _staged(folder)
    try:
        staged.mkdir(mode=0o700)
        durable.write_new(staged / CERTIFICATE_FILE, certificates.to_pem(chain))
        _keep(folder, old)
        staged.rename(folder / _NEXT)
    except OSError as error:
        raise from_os_error(error, f"writing {folder}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    _finish_renewal(folder)
    return load_identity(folder)


def _staged(folder: Path) -> Path:
    return folder / f".{_NEXT}.{secrets.token_hex(4)}{durable.TEMPORARY_SUFFIX}"


def _certify(
    kind: SignerKind, record: Mapping[str, Any], key: SigningKey, authority: Path | None, now: datetime | None
) -> tuple[x509.Certificate, ...]:
    if authority is not None:
        return authorities.issue(authority, authorities.make_request(kind, record, key), now=now)
    facts = instruments.summary(record)
    leaf = profiles.Leaf(
        kind=SignerKind.SELF,
        protection=key.protection,
        pid=facts["pid"],
        name=facts["name"],
        organisation=facts["owner"] if len(facts["owner"]) <= profiles.MAX_NAME else facts["owner_ror"],
        record_sha256=instruments.record_digest(record),
        serial_number=facts["serial"],
    )
    certificate, _ = profiles.issue_self(leaf, public_key=key.public_key(), now=now or datetime.now(UTC))
    return (certificate,)


def _role(folder: Path) -> SignerKind:
    if not folder.is_dir():
        msg = f"there is no identity at {folder}; expected the folder of an instrument or a workstation"
        raise InputNotFoundError(msg, hint="make one: rawtrace instrument new DIR, or rawtrace workstation new DIR")
    found = [kind for kind, name in RECORD_FILES.items() if (folder / name).is_file()]
    if not found:
        msg = f"{folder} is not an identity: it holds none of {', '.join(RECORD_FILES.values())}"
        raise InputNotFoundError(msg, hint="name the folder that `instrument new` or `workstation new` made")
    if len(found) > 1:
        msg = f"{folder} holds {len(found)} records; expected one, for an identity is one kind of signer"
        raise CertificateError(msg, hint="restore the folder from its backup")
    return found[0]


def _token_of(folder: Path) -> TokenOptions | None:
    """Return which token the folder's key is in; ``None`` for a key in a file."""
    path = folder / KEY_POINTER
    data = staging.read_bounded(path, limit=_MAX_POINTER_BYTES)
    pointer = strictjson.loads(data, what=f"{path}", max_bytes=_MAX_POINTER_BYTES)
    return TokenOptions.of_pointer(pointer) if pointer["kind"] == "pkcs11" else None


def _keep(folder: Path, old: Identity) -> None:
    """Copy certificate and record to ``past/``, under the certificate's serial number."""
    past = folder / _PAST
    past.mkdir(mode=0o700, exist_ok=True)
    serial = f"{old.leaf.serial_number:x}"
    for name in (CERTIFICATE_FILE, RECORD_FILES[old.role]):
        try:
            durable.write_new(past / f"{serial}-{name}", (folder / name).read_bytes())
        except AlreadyExistsError:
            continue  # an earlier renewal came this far


def _finish_renewal(folder: Path) -> None:
    """Move what a renewal made ready into its place; does nothing where there is none."""
    staged = folder / _NEXT
    if not staged.is_dir():
        return
    names = (KEY_FILE, KEY_POINTER, *RECORD_FILES.values(), CERTIFICATE_FILE)
    try:
        for name in names:
            if (staged / name).exists():
                (staged / name).replace(folder / name)
        staged.rmdir()
    except OSError as error:
        raise from_os_error(error, f"writing {folder}") from error
    durable.sync_folder(folder)
