"""Making a trust store: its folder, keys, settings and first token."""

from __future__ import annotations

import ipaddress
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rawtrace import durable
from rawtrace.errors import StoreError
from rawtrace.ledger.note import VerifierKey
from rawtrace.ledger.policy import NO_QUORUM, Policy, PolicyLog
from rawtrace.server.settings import SETTINGS_FILE
from rawtrace.server.store import log_signer
from rawtrace.trust import authority as authorities
from rawtrace.trust import authorityfolder, keys, staging
from rawtrace.web import check_address

VKEY_FILE = "vkey"
_TLS_DAYS = 3650
_RSA_BITS = 3072


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a new store is to be.

    Attributes
    ----------
    name : str
        What people call it; 1 to 48 characters.
    url : str
        Where the world will reach it.
    prefix : str
        Handle prefix of its instruments; empty for none.
    origin : str
        Of its log; empty for the URL's host, port and path followed by ``/log``.
    database : str
        ``postgresql://…``; empty for a SQLite file.
    authority : Path or None
        An authority that exists and moves into the store; None for a new one of the store's name.
    host, port : str, int
        Where the server listens.
    tls : bool
    """

    name: str
    url: str
    prefix: str = ""
    origin: str = ""
    database: str = ""
    authority: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8650
    tls: bool = True


def found_store(folder: Path, plan: Plan) -> None:
    """Make a store in a folder that does not exist yet, or is empty.

    Raises
    ------
    AlreadyExistsError, StoreError, UsageError, CertificateError
    """
    url = plan.url.rstrip("/")
    check_address(url)
    origin = plan.origin or f"{url.partition('://')[2]}/log"
    if any(character.isspace() or character == "+" for character in origin):
        msg = f"{origin!r} cannot name a log; expected a host and a path, without spaces and plus signs"
        raise StoreError(msg)
    with staging.new_folder(folder) as new:
        if plan.authority is None:
            authorities.create_authority(new / "authority", name=plan.name)
        else:
            authorities.open_authority(plan.authority)
            shutil.copytree(plan.authority, new / "authority")
        # Certificates that are issued from now on say where their status can be asked for.
        authorityfolder.set_url(new / "authority", url)
        for part in ("log", "witness"):
            (new / part).mkdir(mode=0o700)
            keys.create_in_folder(new / part, keys.Algorithm.ED25519)
        signer = log_signer(new / "log", origin)
        durable.write_new(new / "log" / VKEY_FILE, f"{signer.key.text}\n".encode())
        _name_log(new / "authority", signer.key, f"{url}/log")
        (new / "tls").mkdir(mode=0o700)
        _make_tls(new / "tls", urlsplit(url).hostname or "")
        durable.write_new(new / SETTINGS_FILE, _settings(plan, url, origin).encode(), mode=0o600)


def _name_log(authority: Path, key: VerifierKey, url: str) -> None:
    """Name the log in the authority's trust list, so that readers count its receipts from the first day.

    An authority that came with logs and witnesses of its own keeps what it asks for: whether this log fulfils that is
    for ``rawtrace store quorum`` to say.
    """
    named = authorityfolder.log_policy(authority)
    if named is None:
        named = Policy(logs=(), witnesses=(), groups=(), quorum=NO_QUORUM)
    elif named.quorum != NO_QUORUM or any(one.key.name == key.name for one in named.logs):
        return
    logs = (*named.logs, PolicyLog(key, url))
    text = Policy(logs=logs, witnesses=named.witnesses, groups=named.groups, quorum=named.quorum).text
    authorityfolder.set_log_policy(authority, text)


def _make_tls(folder: Path, host: str) -> None:
    """Make the server's own certificate: self-signed, for those who know it by its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64] or "rawtrace")])
    now = datetime.now(UTC).replace(microsecond=0)
    # Two stores of one host bear one name; with the identifiers, TLS libraries tell their certificates apart.
    known_as = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_TLS_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(known_as, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known_as), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    durable.write_new(folder / "key.pem", pem, mode=0o600)
    durable.write_new(folder / "certificate.pem", certificate.public_bytes(serialization.Encoding.PEM))


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _settings(plan: Plan, url: str, origin: str) -> str:
    return f"""\
# Settings of this trust store. Every key is explained in docs/reference/store-settings.md.
name = {_toml(plan.name)}
url = {_toml(url)}
prefix = {_toml(plan.prefix)}
database = {_toml(plan.database)}

[listen]
host = {_toml(plan.host)}
port = {plan.port}
tls = {"true" if plan.tls else "false"}

[log]
origin = {_toml(origin)}
"""


def _toml(text: str) -> str:
    if not text.isprintable():
        msg = f"{text!r} has characters that settings cannot hold"
        raise StoreError(msg)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
