"""Making and renewing identities: instruments, workstations and repositories.

What lies in an identity's folder is told in ``signer``, which opens it. A new
one is made whole or not at all; a renewal is made ready in ``next/`` and then
moved into its place, so that one that was interrupted is finished by the next.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from rawtrace import durable, strictjson
from rawtrace.errors import AlreadyExistsError, CertificateError, from_os_error
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, instruments, profiles, staging
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import KEY_FILE, KEY_POINTER, Algorithm, SigningKey
from rawtrace.trust.pkcs11 import TokenOptions
from rawtrace.trust.signer import (
    CERTIFICATE_FILE,
    NEXT,
    ORIGIN_FILE,
    RECORD_FILES,
    Identity,
    check_current,
    load_identity,
)

__all__ = [
    "RECORD_FILES",
    "Identity",
    "check_current",
    "create_identity",
    "finish_renewal",
    "install_certificate",
    "load_identity",
    "put_in_place",
    "renew_identity",
    "token_of",
]

_PAST = "past"
_MAX_POINTER_BYTES = 16_384


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
    finish_renewal(folder)
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
            making = staging.new_key(staged, old.key.algorithm, token_of(folder)) if new_key else None
            key = stack.enter_context(making) if making is not None else old.key
            durable.write_new(staged / RECORD_FILES[old.role], instruments.record_bytes(record))
            chain = _certify(old.role, record, key, authority, now, renews=old.leaf)
            durable.write_new(staged / CERTIFICATE_FILE, certificates.to_pem(chain))
            _keep(folder, old)
            staged.rename(folder / NEXT)
    except OSError as error:
        raise from_os_error(error, f"writing {folder}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    durable.sync_folder(folder)
    finish_renewal(folder)
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
    finish_renewal(folder)
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
    put_in_place(folder, {CERTIFICATE_FILE: certificates.to_pem(chain)}, old=old)
    return load_identity(folder)


def put_in_place(folder: Path, files: Mapping[str, bytes], *, old: Identity | None) -> None:
    """Put new files of an identity in place of the old ones: all of them, however often it is interrupted.

    Parameters
    ----------
    files : Mapping[str, bytes]
        By the names that ``signer`` tells; a key is written with mode 0600.
    old : Identity or None
        What is kept in ``past/``.
    """
    staged = _staged(folder)
    try:
        staged.mkdir(mode=0o700)
        for name, data in files.items():
            durable.write_new(staged / name, data, mode=0o600 if name in {KEY_FILE, KEY_POINTER} else 0o644)
        if old is not None:
            _keep(folder, old)
        staged.rename(folder / NEXT)
    except OSError as error:
        raise from_os_error(error, f"writing {folder}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    durable.sync_folder(folder)
    finish_renewal(folder)


def _staged(folder: Path) -> Path:
    return folder / f".{NEXT}.{secrets.token_hex(4)}{durable.TEMPORARY_SUFFIX}"


def _certify(
    kind: SignerKind,
    record: Mapping[str, Any],
    key: SigningKey,
    authority: Path | None,
    now: datetime | None,
    *,
    renews: x509.Certificate | None = None,
) -> tuple[x509.Certificate, ...]:
    if authority is not None:
        return authorities.issue(authority, authorities.make_request(kind, record, key), renews=renews, now=now)
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


def token_of(folder: Path) -> TokenOptions | None:
    """Return which token the folder's key is in; ``None`` for a key in a file."""
    path = folder / KEY_POINTER
    data = durable.read_bounded(path, limit=_MAX_POINTER_BYTES)
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


def finish_renewal(folder: Path) -> None:
    """Move what a renewal made ready into its place, the certificate last; does nothing where there is none.

    Raises
    ------
    UnwritableError
    """
    staged = folder / NEXT
    if not staged.is_dir():
        return
    names = (KEY_FILE, KEY_POINTER, ORIGIN_FILE, *RECORD_FILES.values(), CERTIFICATE_FILE)
    try:
        for name in names:
            if (staged / name).exists():
                (staged / name).replace(folder / name)
        staged.rmdir()
    except OSError as error:
        raise from_os_error(error, f"writing {folder}") from error
    durable.sync_folder(folder)
