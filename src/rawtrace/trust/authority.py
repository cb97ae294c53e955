"""An authority: a folder that issues certificates, revokes them, and publishes its trust list.

::

    authority.json   its record               issued.jsonl     every certificate it ever issued
    root.pem         root/ its key            statuses.jsonl   every revocation
    authority.pem    issuing/ its key         trust-list.jws   what verifiers take
    operator.pem     operator/ its key        sequence.json    the last number a list had

The order of writes of ``issue`` and ``revoke``, all under one lock:

1. append to ``issued.jsonl`` or ``statuses.jsonl``, sync: from here on nothing is lost
2. take the next number: replace ``sequence.json``, sync
3. sign the list with that number and replace ``trust-list.jws``, sync

A crash after 1 leaves an older list, which ``publish`` or the next command
renews; a crash after 2 leaves a gap in the numbers, never the same number twice.

The key in ``root/`` is needed by ``create_authority`` only. Take the folder
``root/`` away afterwards and keep it offline: everything else works without it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from rawtrace import durable, strictjson
from rawtrace.errors import CertificateError
from rawtrace.trust import certificates, identifiers, instruments, keys, profiles, register, staging
from rawtrace.trust.authorityfolder import (
    AUTHORITY_SCHEMA,
    TRUST_LIST_FILE,
    Authority,
    issuing_key,
    open_authority,
    operator_key,
    publish,
    write_list,
)
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.certrequest import MAX_REQUEST_BYTES, Request, make_request, read_request, write_request
from rawtrace.trust.keys import Algorithm
from rawtrace.trust.pkcs11 import TokenOptions
from rawtrace.trust.revocation import REASONS, revoke

__all__ = [
    "MAX_REQUEST_BYTES",
    "REASONS",
    "TRUST_LIST_FILE",
    "Authority",
    "Request",
    "check_issue",
    "create_authority",
    "issue",
    "make_request",
    "open_authority",
    "publish",
    "read_request",
    "revoke",
    "write_request",
]


def create_authority(
    folder: Path,
    *,
    name: str,
    owner: str = "",
    name_space: str = "",
    algorithm: Algorithm = Algorithm.ED25519,
    token: TokenOptions | None = None,
    now: datetime | None = None,
) -> Authority:
    """Make a new authority, with its keys and its first, empty trust list.

    Parameters
    ----------
    folder : Path
        Must not exist, or be empty.
    name : str
        1 to 48 characters.
    owner : str
        ROR of the organisation that runs it.
    name_space : str
        Host that PIDs must have (or, with a leading dot, lie below).
    token : TokenOptions, optional
        Keep the issuing key in a PKCS#11 token. Root and operator keys are files.

    Raises
    ------
    AlreadyExistsError, CertificateError, IdentityRecordError, KeyUnavailableError
    """
    at = _at(now)
    clean_name = name.strip()
    organisation = identifiers.ror(owner) if owner else ""
    with staging.new_folder(folder) as new:
        for part in ("root", "issuing", "operator"):
            (new / part).mkdir(mode=0o700)
        with staging.new_key(new / "issuing", algorithm, token) as issuer_key:
            root_key = keys.create_in_folder(new / "root", algorithm).issuing_key()
            list_key = keys.create_in_folder(new / "operator", algorithm)
            root = profiles.issue_root(name=clean_name, organisation=organisation, key=root_key, now=at)
            certificate = profiles.issue_authority(
                name=clean_name,
                organisation=organisation,
                public_key=issuer_key.public_key(),
                root=root,
                root_key=root_key,
                name_space=name_space,
                now=at,
            )
            operator = profiles.issue_operator(
                name=clean_name,
                organisation=organisation,
                public_key=list_key.public_key(),
                issuer=certificate,
                issuer_key=issuer_key.issuing_key(),
                now=at,
            )
            record = {
                "schema": AUTHORITY_SCHEMA,
                "name": clean_name,
                "owner": organisation,
                "name_space": name_space,
                "created": at.isoformat(),
            }
            durable.write_new(new / "authority.json", strictjson.dumps(record))
            durable.write_new(new / "root.pem", certificates.to_pem([root]))
            durable.write_new(new / "authority.pem", certificates.to_pem([certificate]))
            # The list is held to the root, so that the operator's key can be changed.
            durable.write_new(new / "operator.pem", certificates.to_pem([operator, certificate, root]))
            write_list(open_authority(new), list_key, at)
    return open_authority(folder)


def issue(
    folder: Path,
    request: Request,
    *,
    renews: x509.Certificate | None = None,
    days: int | None = None,
    now: datetime | None = None,
) -> tuple[x509.Certificate, ...]:
    """Certify an instrument, a workstation or a repository; also renews.

    Parameters
    ----------
    renews : x509.Certificate, optional
        The certificate that the same identity has had until now, whose key was
        at hand when it was opened. Without it a PID that is certified for one
        key is not certified for another.

    Returns
    -------
    tuple[x509.Certificate, ...]
        The new certificate and the authority's.

    Raises
    ------
    CertificateError
        The PID belongs to another signer, with a key of its own or of another
        kind, or lies outside the authority's name space; the key is another
        signer's or was compromised.
    IdentityRecordError, KeyUnavailableError, UnwritableError
    """
    at = _at(now)
    authority = open_authority(folder)
    instruments.check_record(request.record, request.kind)
    with staging.exclusive(folder):
        issuer_key, list_key = issuing_key(authority), operator_key(authority)
        _check_request(authority, request)
        _check_one_instrument(authority, request, renews, at)
        facts = instruments.summary(request.record)
        leaf = profiles.issue_leaf(
            profiles.Leaf(
                kind=request.kind,
                protection=request.protection,
                pid=facts["pid"],
                name=facts["name"],
                organisation=facts["owner"] if len(facts["owner"]) <= profiles.MAX_NAME else facts["owner_ror"],
                record_sha256=instruments.record_digest(request.record),
                serial_number=facts["serial"],
            ),
            public_key=request.csr.public_key(),  # type: ignore[arg-type]  # _check_request accepts no other type
            issuer=authority.certificate,
            issuer_key=issuer_key.issuing_key(),
            now=at,
            days=days,
            url=authority.url,
        )
        register.add_issued(folder, leaf, kind=request.kind, record=request.record)
        write_list(authority, list_key, at)
    return (leaf, authority.certificate)


def check_issue(
    folder: Path, request: Request, *, renews: x509.Certificate | None = None, now: datetime | None = None
) -> None:
    """Raise what ``issue`` would raise for this request; nothing is issued and no key is opened."""
    authority = open_authority(folder)
    instruments.check_record(request.record, request.kind)
    _check_request(authority, request)
    _check_one_instrument(authority, request, renews, _at(now))


def _at(now: datetime | None) -> datetime:
    return (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)


def _check_request(authority: Authority, request: Request) -> None:
    """Refuse whatever would let one certificate be taken for another."""
    if request.kind is SignerKind.SELF:
        msg = "an authority certifies instruments, workstations and repositories; expected one of these"
        raise CertificateError(msg)
    public = request.csr.public_key()
    keys.algorithm_of(public)
    if not request.csr.is_signature_valid:
        msg = "the request is not signed by the key that it names, so nothing shows who holds that key"
        raise CertificateError(msg)
    pid = instruments.summary(request.record)["pid"]
    if authority.name_space and not identifiers.host_is_in(identifiers.host_of(pid), authority.name_space):
        msg = f"{authority.name} certifies PIDs at {authority.name_space} only, and {pid} is not one"
        raise CertificateError(msg, hint="choose a PID there, or ask another authority")
    key_sha256 = register.key_sha256(public)
    compromised = {record.serial for record in register.statuses(authority.folder) if record.reason == "keyCompromise"}
    for item in register.issued(authority.folder):
        if item.pid == pid and item.kind is not request.kind:
            msg = f"{pid} is certified as {item.kind} already; one PID is one kind of signer, for ever"
            raise CertificateError(msg, hint="give the other one a PID of its own")
        if item.key_sha256 != key_sha256:
            continue
        if item.pid != pid:
            msg = f"the key is that of {item.name} ({item.pid}) already; expected a key of its own"
            raise CertificateError(msg, hint="make the identity anew; never copy a key")
        if item.serial in compromised:
            msg = f"the key of {pid} was revoked as compromised; expected a new key"
            raise CertificateError(msg, hint="renew with --new-key")


def _check_one_instrument(
    authority: Authority, request: Request, renews: x509.Certificate | None, at: datetime
) -> None:
    """Refuse a second key for a PID, unless the first is at hand, revoked or run out."""
    pid = instruments.summary(request.record)["pid"]
    revoked = {record.serial for record in register.statuses(authority.folder)}
    standing = [
        item
        for item in register.issued(authority.folder)
        if item.pid == pid and item.serial not in revoked and item.not_after >= at
    ]
    at_hand = [request.csr.public_key()] + ([renews.public_key()] if renews is not None else [])
    keys_at_hand = {register.key_sha256(public) for public in at_hand}
    if standing and not any(item.key_sha256 in keys_at_hand for item in standing):
        last = standing[-1]
        msg = (
            f"{pid} is certified until {last.not_after:%Y-%m-%d} for {last.name}, with another key; "
            "one PID is one instrument"
        )
        hint = (
            "give this one a PID of its own; if it is the same one and its key is lost, revoke that first: "
            f"rawtrace authority revoke {authority.folder} --pid {pid} --reason superseded"
        )
        raise CertificateError(msg, hint=hint)
