"""An authority's folder: what lies in it, its keys, and its trust list, which is signed anew at every change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from rawtrace import durable, strictjson
from rawtrace.errors import (
    CertificateError,
    InputNotFoundError,
    LimitError,
    MalformedError,
    ReceiptError,
    TrustListError,
)
from rawtrace.trust import certificates, keys, register, staging, trustlist
from rawtrace.trust.anchors import Anchor, Purpose, TrustList
from rawtrace.trust.keys import SigningKey

if TYPE_CHECKING:
    from rawtrace.ledger.policy import Policy

AUTHORITY_SCHEMA = "urn:rawtrace:schema:authority:1"
TRUST_LIST_FILE = "trust-list.jws"
LOG_POLICY_FILE = "log-policy"
#: A verifier takes the list without a word for a year, as it does C2PA's own.
LIST_LIFETIME = timedelta(days=366)
_MAX_RECORD_BYTES = 65_536
_MAX_URL = 500
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(?:/[A-Za-z0-9._~/-]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What an authority's folder holds, but for its keys.

    Attributes
    ----------
    owner : str
        ROR of the organisation that runs it; empty if not said.
    name_space : str
        Host that its PIDs must have; empty if any PID will do.
    url : str
        Of the trust store that publishes its statuses, without a slash at the end; empty if it has none.
    """

    folder: Path
    name: str
    owner: str
    name_space: str
    root: x509.Certificate
    certificate: x509.Certificate
    operator: tuple[x509.Certificate, ...]
    url: str = ""


def open_authority(folder: Path) -> Authority:
    """Read an authority's folder; no key is opened.

    Raises
    ------
    InputNotFoundError, MalformedError, CertificateError
        Not there, not an authority's folder, or its certificates do not fit together.
    """
    path = folder / "authority.json"
    if not path.is_file():
        msg = f"{folder} is not the folder of an authority: it has no authority.json"
        inside = folder / "authority"
        there = (inside / "authority.json").is_file()
        hint = f"name {inside}" if there else "make one: rawtrace authority new DIR --name NAME"
        raise InputNotFoundError(msg, hint=hint)
    record = strictjson.loads(
        durable.read_bounded(path, limit=_MAX_RECORD_BYTES), what=f"{path}", max_bytes=_MAX_RECORD_BYTES
    )
    if not isinstance(record, dict) or not all(isinstance(value, str) for value in record.values()):
        msg = f"{path} is not an authority's record"
        raise MalformedError(msg)
    if record.get("schema") != AUTHORITY_SCHEMA or not record.get("name"):
        msg = f"{path} is not an authority's record of the version that this rawtrace knows"
        raise MalformedError(msg)
    (root,), (certificate,) = _read(folder / "root.pem", 1), _read(folder / "authority.pem", 1)
    operator = _read(folder / "operator.pem", 3)
    if not certificates.is_issued_by(certificate, root) or not certificates.is_issued_by(operator[0], certificate):
        msg = f"the certificates in {folder} do not belong together; root, authority and operator were expected"
        raise CertificateError(msg, hint="restore the folder from its backup")
    return Authority(
        folder=folder,
        name=record["name"],
        owner=record.get("owner", ""),
        # What binds is the certificate, not the record.
        name_space=certificates.name_space_of(certificate),
        root=root,
        certificate=certificate,
        operator=operator,
        url=record.get("url", ""),
    )


def publish(folder: Path, *, now: datetime | None = None) -> Path:
    """Sign the trust list again with the next number, for instance before the last one runs out; returns its path."""
    authority = open_authority(folder)
    with staging.exclusive(folder):
        write_list(
            authority, operator_key(authority), (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
        )
    return folder / TRUST_LIST_FILE


def set_log_policy(folder: Path, text: str, *, now: datetime | None = None) -> Policy:
    """Name the logs whose receipts count, and their witnesses, and sign the trust list anew.

    Parameters
    ----------
    text : str
        In the form of c2sp.org/tlog-policy.

    Raises
    ------
    ReceiptError
        Not such a policy, or one without a log.
    """
    from rawtrace.ledger.policy import Policy

    authority = open_authority(folder)
    policy = Policy.parse(text)
    if not policy.logs:
        msg = "the policy names no log"
        raise ReceiptError(msg, hint="a line of it reads: log VKEY URL")
    with staging.exclusive(folder):
        durable.replace(folder / LOG_POLICY_FILE, text.encode())
        write_list(
            authority, operator_key(authority), (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
        )
    return policy


def log_policy(folder: Path) -> Policy | None:
    """Return the logs whose receipts count, and their witnesses; ``None`` where the authority names no log.

    Raises
    ------
    MalformedError, ReceiptError
    """
    from rawtrace.ledger.policy import Policy

    texts = _log_policies(folder)
    return Policy.parse(texts[0]) if texts else None


def set_url(folder: Path, url: str) -> Authority:
    """Say at which trust store the authority's statuses are published; certificates issued from now on point there.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://`` with a host; empty: certificates point nowhere.

    Raises
    ------
    CertificateError
        Not such an address.
    """
    address = url.rstrip("/")
    if address and (len(address) > _MAX_URL or not _URL.fullmatch(address)):
        msg = f"{url[:80]!r} is not the address of a trust store, such as https://store.example.org"
        raise CertificateError(msg)
    open_authority(folder)
    with staging.exclusive(folder):
        path = folder / "authority.json"
        record = strictjson.loads(
            durable.read_bounded(path, limit=_MAX_RECORD_BYTES), what=f"{path}", max_bytes=_MAX_RECORD_BYTES
        )
        durable.replace(path, strictjson.dumps({**record, "url": address}))
    return open_authority(folder)


def _log_policies(folder: Path) -> tuple[str, ...]:
    path = folder / LOG_POLICY_FILE
    if not path.exists():
        return ()
    from rawtrace.ledger.policy import MAX_POLICY

    try:
        return (durable.read_bounded(path, limit=MAX_POLICY).decode(),)
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8"
        raise MalformedError(msg, hint="name the policy again: rawtrace authority log") from error


def _read(path: Path, count: int) -> tuple[x509.Certificate, ...]:
    chain = certificates.read_pem(durable.read_bounded(path, limit=certificates.MAX_CHAIN_BYTES), what=f"{path}")
    if len(chain) != count:
        msg = f"{path} holds {len(chain)} certificates; expected {count}"
        raise CertificateError(msg)
    return chain


def issuing_key(authority: Authority) -> SigningKey:
    """Open the key that issues certificates."""
    return _key(authority.folder / "issuing", authority.certificate)


def operator_key(authority: Authority) -> SigningKey:
    """Open the key that signs the trust list."""
    return _key(authority.folder / "operator", authority.operator[0])


def _key(folder: Path, certificate: x509.Certificate) -> SigningKey:
    key = keys.open_in_folder(folder)
    if key.public_key() != certificate.public_key():
        msg = f"the key in {folder} is not the one of the certificate {certificates.name_of(certificate)!r}"
        raise CertificateError(msg, hint="restore the folder from its backup")
    return key


def write_list(authority: Authority, key: SigningKey, at: datetime) -> None:
    """Sign the list as it now is, with the next number; call it inside ``staging.exclusive`` only."""
    published = _published(authority.folder)
    sequence = _next_sequence(authority.folder, published)
    if published is not None:
        # Who holds a list takes no later one with an earlier date, so a clock that was set back must not show.
        at = max(at, published.issued)
    payload = trustlist.build_list(
        name=authority.name,
        operator=authority.owner or authority.name,
        sequence=sequence,
        issued=at,
        next_update=at + LIST_LIFETIME,
        anchors=(
            Anchor(
                certificate=authority.root,
                purpose=Purpose.SIGNING,
                name=authority.name,
                granted=True,
                since=authority.root.not_valid_before_utc,
            ),
            # Named one by one: the issuing key alone must not be able to make a clock that readers believe.
            *(
                Anchor(
                    certificate=clock,
                    purpose=Purpose.TIMESTAMP,
                    name=authority.name,
                    granted=True,
                    since=clock.not_valid_before_utc,
                )
                for clock in register.clocks(authority.folder)
            ),
        ),
        statuses=register.statuses(authority.folder),
        policies=_log_policies(authority.folder),
    )
    signed = trustlist.sign_list(payload, key=key, chain=authority.operator)
    durable.replace(authority.folder / TRUST_LIST_FILE, signed)


def list_holds_statuses(authority: Authority) -> bool:
    """Whether the published list says all that was written down; not so after an interruption."""
    published = _published(authority.folder)
    return published is not None and set(register.statuses(authority.folder)) <= set(published.statuses)


def _published(folder: Path) -> TrustList | None:
    """Return the list that lies there; ``None`` where there is none, or a damaged one."""
    path = folder / TRUST_LIST_FILE
    try:
        data = durable.read_bounded(path, limit=trustlist.MAX_SIGNED_BYTES)
        return trustlist.read_list(data, source=f"{path}")
    except (TrustListError, LimitError, InputNotFoundError):
        return None


def _next_sequence(folder: Path, published: TrustList | None) -> int:
    """Take the next number and make that durable before anything bears it."""
    path, last = folder / "sequence.json", 0
    if path.exists():
        state = strictjson.loads(durable.read_bounded(path, limit=1024), what=f"{path}", max_bytes=1024)
        last = state.get("last", 0) if isinstance(state, dict) else 0
        if not isinstance(last, int) or last < 1:
            msg = f"{path} does not hold the last number of the trust list"
            raise MalformedError(msg, hint="restore it from its backup")
    # A damaged list is about to be replaced; sequence.json has the number.
    last = max(last, published.sequence if published is not None else 0)
    durable.replace(path, strictjson.dumps({"last": last + 1}))
    return last + 1
