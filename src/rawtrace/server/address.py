"""What a store is known by: its URL, the key of its server, and the operator of its trust list."""

from __future__ import annotations

from pathlib import Path

from rawtrace import durable
from rawtrace.server.settings import read_settings
from rawtrace.trust import authorityfolder, trustlist
from rawtrace.trust.online import Address
from rawtrace.web import key_sha256

_MAX_PEM = 1 << 20


def public_address(folder: Path) -> Address:
    """Return the address to give to others.

    Raises
    ------
    StoreError, TrustListError, InputNotFoundError
    """
    settings = read_settings(folder)
    path = folder / settings.authority / authorityfolder.TRUST_LIST_FILE
    data = durable.read_bounded(path, limit=trustlist.MAX_SIGNED_BYTES)
    operator = trustlist.read_list(data, source=str(path)).operator_sha256
    key = server_key(folder) if settings.listen.tls else ""
    return Address(url=settings.url, operator_sha256=operator, key_sha256=key)


def server_key(folder: Path) -> str:
    """Return the SHA-256 of the server's public key, hexadecimal: what clients know it by."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    pem = durable.read_bounded(folder / "tls" / "certificate.pem", limit=_MAX_PEM)
    return key_sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
