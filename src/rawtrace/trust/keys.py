"""Private keys behind one interface: in a file that only its owner reads, or in a PKCS#11 token.

A key is named by a small JSON file beside the certificate (``key.json``): it
holds where the key is, never the key itself and never a PIN. A file key lies in
``key.pem`` (PKCS#8, mode 0600). A token key never leaves its token.
"""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from rawtrace import durable, strictjson
from rawtrace.errors import KeyUnavailableError, from_os_error

KEY_POINTER = "key.json"
KEY_FILE = "key.pem"
_MAX_KEY_BYTES = 16_384

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
IssuingKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class Algorithm(StrEnum):
    """Signature algorithms that rawtrace signs with."""

    ED25519 = "ed25519"
    ES256 = "es256"


class Protection(StrEnum):
    """What keeps the key from being copied; a seal states it and a report shows it."""

    SOFTWARE = "software"
    HARDWARE = "hardware"


class SigningKey(Protocol):
    """A private key that signs, wherever it is kept."""

    @property
    def algorithm(self) -> Algorithm:
        """Which of the two algorithms."""

    @property
    def protection(self) -> Protection:
        """``software`` for a file, ``hardware`` for a token."""

    def public_key(self) -> PublicKey:
        """Return the public half."""

    def sign(self, data: bytes) -> bytes:
        """Sign ``data``: 64 bytes, raw ``r || s`` for ES256."""

    def issuing_key(self) -> IssuingKey:
        """Return an object that certificate builders of ``cryptography`` accept."""

    def pkcs8_pem(self) -> bytes | None:
        """Return the key for a library in this process, or ``None`` where it cannot leave its token."""


class FileKey:
    """A key in a file of mode 0600."""

    protection = Protection.SOFTWARE

    def __init__(self, private: IssuingKey) -> None:
        self._private = private

    @property
    def algorithm(self) -> Algorithm:
        """Which of the two algorithms."""
        return algorithm_of(self.public_key())

    def public_key(self) -> PublicKey:
        """Return the public half."""
        return self._private.public_key()

    def sign(self, data: bytes) -> bytes:
        """Sign ``data``: 64 bytes, raw ``r || s`` for ES256."""
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(data)
        r, s = decode_dss_signature(self._private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def issuing_key(self) -> IssuingKey:
        """Return the key itself."""
        return self._private

    def pkcs8_pem(self) -> bytes:
        """Return the key as unencrypted PKCS#8 PEM, for the signing library in this process only."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def generate(algorithm: Algorithm) -> FileKey:
    """Make a new key in memory."""
    if algorithm is Algorithm.ED25519:
        return FileKey(ed25519.Ed25519PrivateKey.generate())
    return FileKey(ec.generate_private_key(ec.SECP256R1()))


def create_in_folder(folder: Path, algorithm: Algorithm) -> FileKey:
    """Make a key and keep it in ``folder`` as ``key.pem`` (0600) with its pointer ``key.json``."""
    key = generate(algorithm)
    durable.write_new(folder / KEY_FILE, key.pkcs8_pem(), mode=0o600)
    write_pointer(folder, {"kind": "file", "file": KEY_FILE})
    return key


def write_pointer(folder: Path, pointer: dict[str, Any]) -> None:
    """Write ``key.json``, which tells where the key is."""
    durable.write_new(folder / KEY_POINTER, strictjson.dumps(pointer), mode=0o600)


def open_in_folder(folder: Path) -> SigningKey:
    """Open the key that ``folder/key.json`` points to.

    Raises
    ------
    KeyUnavailableError
        No pointer, no key, a key file that others can read, a token that is absent.
    """
    pointer = strictjson.loads(_read(folder / KEY_POINTER), what=f"{folder / KEY_POINTER}", max_bytes=_MAX_KEY_BYTES)
    kind = pointer.get("kind") if isinstance(pointer, dict) else None
    if kind == "file":
        return _open_file(folder / KEY_FILE)
    if kind == "pkcs11":
        from rawtrace.trust.pkcs11 import TokenKey

        return TokenKey.open(folder, pointer)
    msg = f"{folder / KEY_POINTER} does not say where the key is; expected kind file or pkcs11"
    raise KeyUnavailableError(msg)


def algorithm_of(public: object) -> Algorithm:
    """Return the algorithm of a public key, or raise ``KeyUnavailableError`` for one we do not use."""
    if isinstance(public, ed25519.Ed25519PublicKey):
        return Algorithm.ED25519
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        return Algorithm.ES256
    msg = "the key is neither Ed25519 nor P-256, the two that rawtrace signs with"
    raise KeyUnavailableError(msg)


def _open_file(path: Path) -> FileKey:
    data = _read(path)
    # POSIX modes mean nothing on Windows; there the folder's access list guards the key.
    if os.name != "nt" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        msg = f"{path} can be read by other accounts, so it can no longer be trusted as the instrument's own"
        raise KeyUnavailableError(msg, hint=f"if nobody else had access: chmod 600 {path}")
    try:
        private = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        msg = f"{path} does not hold an unencrypted PKCS#8 private key"
        raise KeyUnavailableError(msg) from error
    if not isinstance(private, (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey)):
        msg = f"{path} holds a key that is neither Ed25519 nor P-256, the two that rawtrace signs with"
        raise KeyUnavailableError(msg)
    algorithm_of(private.public_key())
    return FileKey(private)


def _read(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # A pipe would make us wait for whoever writes into it.
            msg = f"{path} is not a regular file"
            raise KeyUnavailableError(msg)
        with path.open("rb") as stream:
            return stream.read(_MAX_KEY_BYTES + 1)
    except FileNotFoundError as error:
        msg = f"there is no key at {path}"
        hint = (
            "name the folder that a command such as `instrument new` made; a key that was there before comes back"
            " from a backup only"
        )
        raise KeyUnavailableError(msg, hint=hint) from error
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
