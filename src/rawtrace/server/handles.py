"""What a store says about handles: its instruments, its own prefix, and the prefixes it is a root for.

::

    handles/key.pem          RSA key that signs records; without it they are not signed
    handles/prefixes/*.json  records of other stores' prefixes, as ``delegate`` wrote them

A record is made anew from what the store holds. Its signature begins and ends
with days, so that it stays the same, byte for byte, for a day.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rawtrace import durable
from rawtrace.errors import (
    IdentityRecordError,
    InputNotFoundError,
    KeyUnavailableError,
    MalformedError,
    StoreError,
    UsageError,
)
from rawtrace.server import registry
from rawtrace.server.instrumentaddress import address_of
from rawtrace.server.store import Store
from rawtrace.trust import certificates, instruments, register, staging
from rawtrace.trust.handles import digest, values
from rawtrace.trust.handles.names import (
    PREFIX_RECORDS,
    Handle,
    handle_of,
    prefix_record,
    read_handle,
    same_prefix,
    upper,
)
from rawtrace.trust.handles.site import Interface, Server, Site
from rawtrace.trust.handles.values import Administrator, Answer, Code, HandleValue, Reference
from rawtrace.trust.handles.wire import RsaKey, encode_key
from rawtrace.trust.pidinst.epic import epic_values

FOLDER = "handles"
KEY_FILE = "key.pem"
PREFIXES = "prefixes"
KEY_INDEX, SIGNATURE_INDEX, ADMIN_INDEX = 300, 400, 100
#: Everything but the right to change prefixes.
ADMIN_PERMISSIONS = 0b111111110011
INSTRUMENT_TTL_S = 3600
_FIRST_PROPERTY, _FIRST_OPERATOR, _FIRST_CERTIFICATE = 10, 20, 500
_MAX_CERTIFICATES = 400
_SIGNED_FOR = timedelta(days=8)
_RSA_BITS = 3072
_MAX_KEY_BYTES = 16_384
_PROXY = "https://hdl.handle.net/"
_OPERATOR = re.compile(r"[0-9a-f]{64}")


def answer_for(store: Store, handle: Handle) -> Answer:
    """Return what the store says to a question about a handle; all values, none held back yet."""
    if same_prefix(handle.prefix, PREFIX_RECORDS):
        found = _prefix_values(store, handle.suffix)
    elif store.settings.prefix and same_prefix(handle.prefix, store.settings.prefix):
        found = handle_values(store, handle)
    else:
        return _elsewhere(store, handle)
    if found is None:
        return Answer(code=Code.NOT_FOUND, handle=handle)
    return Answer(code=Code.SUCCESS, handle=handle, values=found)


def handle_values(store: Store, handle: Handle) -> tuple[HandleValue, ...] | None:
    """Return the record of one of the store's instruments; None for a handle that it does not know.

    What it is comes from the registry, and what was certified from the authority's register.
    """
    known = _known(store.authority_folder).get(handle.key, ())
    pid = str(known[-1]["pid"]) if known else f"{_PROXY}{handle.text}"
    entry = registry.find(store.database, pid)
    if entry is None and not known:
        return None
    properties = _properties(entry.record if entry is not None else known[-1].get("record"))
    owner = prefix_record(store.settings.prefix).text
    page = f"{store.settings.url}{address_of(pid)}"
    made = [
        values.text_value(1, values.URL, page, ttl=INSTRUMENT_TTL_S),
        *(
            values.text_value(index, kind, data, ttl=INSTRUMENT_TTL_S)
            for index, (kind, data) in enumerate(properties, _FIRST_PROPERTY)
        ),
        values.admin_value(ADMIN_INDEX, Administrator(handle=owner, index=KEY_INDEX, permissions=ADMIN_PERMISSIONS)),
        *(_certificate_value(index, line) for index, line in enumerate(known[-_MAX_CERTIFICATES:], _FIRST_CERTIFICATE)),
    ]
    return _signed(store, handle, made)


def _properties(record: Any) -> tuple[tuple[str, str], ...]:
    """Return what everybody may see of a record, in the form of ePIC; nothing of one that PIDINST does not cover."""
    try:
        return tuple(epic_values(instruments.public_record(record)))
    except (IdentityRecordError, AttributeError, KeyError, TypeError):
        return ()


def delegate(folder: Path, prefix: str, given: bytes, *, operators: Sequence[str] = ()) -> Path:
    """Let a root store answer for another store's prefix, with the servers that the other store names.

    Parameters
    ----------
    folder : Path
        The root store's.
    prefix : str
    given : bytes
        What the other store answers for ``0.NA/<prefix>``; only its servers and its key are taken from it.
    operators : Sequence[str]
        SHA-256 digests of the operators whose trust lists count for the prefix. Compare
        them with what the organisation told you: readers who let this root vouch go by them.

    Raises
    ------
    MalformedError, UsageError, UnwritableError
    """
    handle = read_handle(prefix_record(prefix).text)
    answer = values.read_answer(given, what=f"the record of {prefix}")
    if answer.code != Code.SUCCESS or answer.handle is None or not answer.handle.same_as(handle):
        msg = f"what was given is not the record of the prefix {prefix}"
        raise MalformedError(msg)
    for operator in operators:
        if not _OPERATOR.fullmatch(operator):
            msg = f"{operator[:80]!r} is not the digest of an operator: expected 64 hexadecimal digits"
            raise UsageError(msg)
    kept = [value for value in answer.values or () if upper(value.type) in {values.SITE, values.PUBLIC_KEY}]
    if not any(upper(value.type) == values.SITE for value in kept):
        msg = f"the record of the prefix {prefix} names no server"
        raise MalformedError(msg)
    taken = {value.index for value in kept}
    free = (index for index in range(_FIRST_OPERATOR, 10_000) if index not in taken)
    kept += [values.text_value(next(free), values.OPERATOR, f"sha256:{one}") for one in operators]
    place = folder / FOLDER / PREFIXES
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = place / f"{upper(prefix)}.json"
    durable.replace(path, values.write_answer(Answer(code=Code.SUCCESS, handle=handle, values=tuple(kept))))
    return path


def create_handle_key(folder: Path) -> RsaKey:
    """Make the key that signs the store's records; it must not be there yet.

    Raises
    ------
    AlreadyExistsError, UnwritableError
    """
    private = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / FOLDER).mkdir(mode=0o700, exist_ok=True)
    durable.write_new(folder / FOLDER / KEY_FILE, pem, mode=0o600)
    return RsaKey.of(private.public_key())


def handle_key(folder: Path) -> rsa.RSAPrivateKey | None:
    """Open the key that signs records; None where the store has none.

    Raises
    ------
    KeyUnavailableError
        It is there and cannot be used.
    """
    path = folder / FOLDER / KEY_FILE
    try:
        changed = path.stat()
    except OSError:
        return None
    return _read_key(path, changed.st_mtime_ns, changed.st_mode)


def own_site(store: Store) -> Site | None:
    """Return the store's own servers; None where its TLS is somebody else's, or has no RSA key."""
    parts = urlsplit(store.settings.url)
    if parts.scheme != "https" or not store.settings.listen.tls or not parts.hostname:
        return None
    path = store.folder / "tls" / "certificate.pem"
    (certificate, *_) = certificates.read_pem(durable.read_bounded(path, limit=1 << 18), what=f"{path}")
    public = certificate.public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        return None
    attributes = [("desc", store.settings.name)]
    try:
        address = str(ip_address(parts.hostname))
    except ValueError:
        address = "0.0.0.0"  # noqa: S104  how a site says that its attribute names the host
        attributes.append(("domain", parts.hostname))
    if parts.path.strip("/"):
        attributes.append(("path", parts.path.strip("/")))
    interface = Interface(protocol="HTTPS", port=parts.port or 443)
    server = Server(id=1, address=address, key=encode_key(RsaKey.of(public)), interfaces=(interface,))
    return Site(servers=(server,), attributes=tuple(attributes))


def _prefix_values(store: Store, prefix: str) -> tuple[HandleValue, ...] | None:
    handle = prefix_record(prefix)
    delegated = _delegated(store.folder, prefix)
    if delegated is not None:
        return _signed(store, handle, delegated)
    if not store.settings.prefix or not same_prefix(prefix, store.settings.prefix):
        return None
    site = own_site(store)
    if site is None:
        return None
    made = [values.site_value(1, site)]
    authority = store.authority()
    operator = certificates_digest(authority.operator[-1])
    made.append(values.text_value(_FIRST_OPERATOR, values.OPERATOR, f"sha256:{operator}"))
    made.append(
        values.admin_value(
            ADMIN_INDEX, Administrator(handle=handle.text, index=KEY_INDEX, permissions=ADMIN_PERMISSIONS)
        )
    )
    key = handle_key(store.folder)
    if key is not None:
        made.append(values.key_value(KEY_INDEX, RsaKey.of(key.public_key())))
    return _signed(store, handle, made)


def certificates_digest(certificate: x509.Certificate) -> str:
    """Return the SHA-256 by which readers know an operator."""
    from rawtrace.trust.jws import fingerprint

    return fingerprint(certificate)


def _elsewhere(store: Store, handle: Handle) -> Answer:
    """Refer to the servers of a prefix that the store is a root for, or say that it is not responsible."""
    delegated = _delegated(store.folder, handle.prefix)
    if delegated is None:
        message = f"this store does not answer for the prefix {handle.prefix}"
        return Answer(code=Code.NOT_RESPONSIBLE, handle=handle, message=message)
    sites = tuple(value for value in delegated if upper(value.type) == values.SITE)
    return Answer(code=Code.SERVICE_REFERRAL, handle=handle, values=sites)


def _delegated(folder: Path, prefix: str) -> list[HandleValue] | None:
    try:
        # A prefix has no slash and no dots alone, so its name stays in the folder.
        handle = read_handle(prefix_record(read_handle(f"{prefix}/x").prefix).text)
    except MalformedError:
        return None
    if handle.suffix != prefix:
        return None
    try:
        path = folder / FOLDER / PREFIXES / f"{upper(prefix)}.json"
        answer = values.read_answer(durable.read_bounded(path, limit=values.MAX_ANSWER_BYTES), what=f"{path}")
    except InputNotFoundError:
        return None
    except MalformedError as error:
        msg = f"the record of a prefix cannot be read: {error.message}"
        raise StoreError(msg) from error
    if answer.handle is None or not answer.handle.same_as(handle):
        msg = f"{path} is not the record of its prefix"
        raise StoreError(msg)
    return list(answer.values or ())


def _signed(store: Store, handle: Handle, made: Sequence[HandleValue]) -> tuple[HandleValue, ...]:
    key = handle_key(store.folder)
    ordered = sorted(made, key=lambda value: value.index)
    if key is None or not store.settings.prefix:
        return tuple(ordered)
    day = store.now().replace(hour=0, minute=0, second=0, microsecond=0)
    jws = digest.sign_values(
        handle,
        ordered,
        key=key,
        issuer=Reference(prefix_record(store.settings.prefix).text, KEY_INDEX),
        not_before=day,
        expires=day + _SIGNED_FOR,
        issued=day,
    )
    ordered.append(values.text_value(SIGNATURE_INDEX, values.SIGNATURE, jws, ttl=INSTRUMENT_TTL_S))
    return tuple(sorted(ordered, key=lambda value: value.index))


def _certificate_value(index: int, line: Mapping[str, Any]) -> HandleValue:
    certificate = x509.load_pem_x509_certificate(str(line["certificate"]).encode())
    return HandleValue(
        index=index,
        type=values.INSTRUMENT_CERTIFICATE,
        data=certificate.public_bytes(serialization.Encoding.DER),
        ttl=INSTRUMENT_TTL_S,
        timestamp=int(datetime.fromisoformat(str(line["not_before"])).timestamp()),
    )


def _known(folder: Path) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    path = folder / register.ISSUED_FILE
    try:
        changed = path.stat()
    except FileNotFoundError:
        return {}
    return _index(path, changed.st_mtime_ns, changed.st_size)


@lru_cache(maxsize=8)
def _index(path: Path, _changed: int, _size: int) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Read the register once for every state of the file; oldest certificate first for each handle."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for line in staging.read_lines(path):
        handle = handle_of(str(line.get("pid", "")))
        if handle is not None:
            found.setdefault(handle.key, []).append(line)
    return found


@lru_cache(maxsize=8)
def _read_key(path: Path, _changed: int, mode: int) -> rsa.RSAPrivateKey:
    if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        msg = f"{path} can be read by other accounts, so records are not signed with it"
        raise KeyUnavailableError(msg, hint=f"if nobody else had access: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(durable.read_bounded(path, limit=_MAX_KEY_BYTES), password=None)
    except (ValueError, TypeError) as error:
        msg = f"{path} does not hold an unencrypted private key"
        raise KeyUnavailableError(msg) from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _RSA_BITS - 1024:
        msg = f"{path} does not hold an RSA key, the one kind that the Handle System checks"
        raise KeyUnavailableError(msg)
    return key
