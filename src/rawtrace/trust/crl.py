"""The certificate revocation list of an authority (RFC 5280, section 5), signed by its issuing key.

It lists every certificate that was ever revoked, run out or not (``ExpiredCertsOnCRL``): an
archive asks years later. ``InvalidityDate`` says from when on a key is in doubt. It is for all
certificates of the authority, whether they name an address for it or not, so its *issuing
distribution point* names no address, only that it is about no other authorities.

A CRL knows certificates only: what was said of firmware, products or features stands in the
trust list.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from rawtrace import durable, strictjson
from rawtrace.errors import InputNotFoundError, LimitError, MalformedError
from rawtrace.trust import certificates, lotestatus, register, staging
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.authorityfolder import Authority, issuing_key, open_authority
from rawtrace.trust.ocsp import reason_flag

CRL_FILE = "crl.der"
STATE_FILE = "crl.json"
LIFETIME = timedelta(days=7)
MAX_CRL_BYTES = 32 << 20
EXPIRED_ON_CRL = x509.ObjectIdentifier("2.5.29.60")


def current(folder: Path, *, now: datetime | None = None) -> bytes:
    """Return the CRL as it should be now, in DER; signed anew if anything was revoked since, or at half its life.

    Parameters
    ----------
    folder : Path
        The authority's; the CRL and its number are kept there.

    Raises
    ------
    MalformedError, KeyUnavailableError
    """
    at = (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    authority = open_authority(folder)
    kept = _kept(authority, at)
    if kept is not None:
        return kept
    with staging.exclusive(folder):
        kept = _kept(authority, at)
        if kept is not None:
            return kept
        records = _records(folder)
        number = _next_number(folder, _digest(records), at)
        data = _sign(authority, records, number, at)
        durable.replace(folder / CRL_FILE, data)
    return data


def _records(folder: Path) -> tuple[StatusRecord, ...]:
    return tuple(record for record in register.statuses(folder) if record.scope is None)


def _sign(authority: Authority, records: tuple[StatusRecord, ...], number: int, at: datetime) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(at)
        .next_update(at + LIFETIME)
        .add_extension(
            x509.AuthorityKeyIdentifier(certificates.subject_key_id(authority.certificate), None, None),
            critical=False,
        )
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_about_users(), critical=True)
        .add_extension(_with_expired(authority.certificate.not_valid_before_utc), critical=False)
    )
    for record in records:
        builder = builder.add_revoked_certificate(_entry(record))
    key = issuing_key(authority).issuing_key()
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)


def _entry(record: StatusRecord) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(record.serial).revocation_date(record.revoked_at)
    reason = reason_flag(record)
    if reason is not None:
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    if record.compromised_from is not None:
        since = record.compromised_from.astimezone(UTC).replace(tzinfo=None)
        builder = builder.add_extension(x509.InvalidityDate(since), critical=False)
    return builder.build()


def _about_users() -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=True,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def _with_expired(since: datetime) -> x509.UnrecognizedExtension:
    # X.509, section 9.5.2.8: a GeneralizedTime; what ran out since then is still on the list.
    return x509.UnrecognizedExtension(EXPIRED_ON_CRL, b"\x18\x0f" + f"{since:%Y%m%d%H%M%S}Z".encode())


def _kept(authority: Authority, at: datetime) -> bytes | None:
    """Return the CRL that lies there, if it says all there is to say and has half its life left."""
    folder = authority.folder
    try:
        data = durable.read_bounded(folder / CRL_FILE, limit=MAX_CRL_BYTES)
        found = x509.load_der_x509_crl(data)
        state = _state(folder)
    except (InputNotFoundError, LimitError, ValueError):
        return None
    begun, ends = found.last_update_utc, found.next_update_utc
    fresh = ends is not None and begun <= at < begun + (ends - begun) / 2
    public = authority.certificate.public_key()
    if not fresh or not found.is_signature_valid(public):  # type: ignore[arg-type]  # an issuing key is of the two we use
        return None
    numbered = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    same = state == (numbered, _digest(_records(folder)))
    return data if same else None


def _digest(records: tuple[StatusRecord, ...]) -> str:
    said = [lotestatus.write_status(record) for record in records]
    return hashlib.sha256(strictjson.dumps(said)).hexdigest()


def _state(folder: Path) -> tuple[int, str]:
    path = folder / STATE_FILE
    value = strictjson.loads(durable.read_bounded(path, limit=1024), what=f"{path}", max_bytes=1024)
    number, said = (value.get("number"), value.get("statuses")) if isinstance(value, dict) else (None, None)
    if type(number) is not int or number < 1 or not isinstance(said, str):
        msg = f"{path} does not hold the last number of the revocation list"
        raise MalformedError(msg, hint="restore it from its backup")
    return number, said


def _next_number(folder: Path, said: str, at: datetime) -> int:
    """Take the next number and make that durable before anything bears it."""
    path = folder / STATE_FILE
    # Without its file, numbers go on from the clock: none may be lower than one that was published.
    last = _state(folder)[0] if path.exists() else int(at.timestamp())
    durable.replace(path, strictjson.dumps({"number": last + 1, "statuses": said}))
    return last + 1
