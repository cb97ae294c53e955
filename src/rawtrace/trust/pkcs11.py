"""Keys that never leave a PKCS#11 token: a hardware security module, a smart card, a TPM.

``key.json`` names the token's module, its label, the key's label and the file
that holds the PIN (mode 0600). The PIN itself is never an argument, never in
the environment and never in ``key.json``. The key pair is made inside the
token, sensitive and not extractable.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from rawtrace.errors import KeyUnavailableError, MissingExtraError, from_os_error
from rawtrace.trust.keys import Algorithm, IssuingKey, Protection, PublicKey
from rawtrace.trust.modules import accept_module, check_module

_MAX_PIN_BYTES = 256
_MAX_LABEL = 64
_ED25519_PARAMETERS = (b"\x06\x03\x2b\x65\x70", b"\x13\x0cedwards25519")  # RFC 8410's identifier; PKCS#11 2.40's name
_POINTER_FIELDS = ("module", "token", "key", "pin_file")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOptions:
    """Which token to use.

    Attributes
    ----------
    module : Path
        The maker's PKCS#11 library, an absolute path.
    token : str
        The token's label.
    pin_file : Path
        File of mode 0600 that holds the PIN and nothing else; absolute.
    """

    module: Path
    token: str
    pin_file: Path

    @classmethod
    def of_pointer(cls, pointer: Mapping[str, Any]) -> TokenOptions:
        """Return the token that a checked ``key.json`` names."""
        return cls(module=Path(pointer["module"]), token=pointer["token"], pin_file=Path(pointer["pin_file"]))


class TokenKey:
    """A private key in a token; made by ``create`` or ``open``.

    Sessions of PKCS#11 belong to one process and one thread at a time: signing
    is serialised here, and a process that was forked cannot use it.
    """

    def __init__(self, session: Any, private: Any, public: PublicKey, protection: Protection) -> None:
        self._session = session
        self._private = private
        self._public = public
        self._protection = protection
        self._lock = threading.Lock()

    @classmethod
    def create(cls, options: TokenOptions, algorithm: Algorithm) -> tuple[TokenKey, dict[str, Any]]:
        """Make a key pair inside a token; returns the key and the pointer for ``key.json``.

        Raises
        ------
        MissingExtraError
            python-pkcs11 is not installed.
        KeyUnavailableError
            No such module or token, wrong PIN, or the token cannot do the algorithm.
        """
        label = f"rawtrace-{secrets.token_hex(8)}"
        pointer = {
            "kind": "pkcs11",
            "module": str(options.module),
            "token": options.token,
            "key": label,
            "pin_file": str(options.pin_file),
        }
        session = _session(pointer, writable=True, named=True)
        with _in_words(f"making a key in the token {options.token!r}"):
            _generate(session, algorithm, label)
        accept_module(options.module)
        return cls._found(session, pointer), pointer

    @classmethod
    def open(cls, folder: Path, pointer: Mapping[str, Any]) -> TokenKey:
        """Open the key that ``folder/key.json`` points to.

        Raises
        ------
        MissingExtraError, KeyUnavailableError
        """
        wrong = [name for name in _POINTER_FIELDS if not isinstance(pointer.get(name), str) or not pointer[name]]
        if wrong:
            msg = f"{folder / 'key.json'} does not name its token in full; missing: {', '.join(wrong)}"
            raise KeyUnavailableError(msg)
        _check_private(folder / "key.json", "names a library to load")
        # A folder that was handed over must not bring the code with it that opens it.
        if Path(pointer["module"]).resolve().is_relative_to(folder.resolve()):
            msg = f"the PKCS#11 module of {folder} lies in that very folder; expected one that is installed"
            raise KeyUnavailableError(msg)
        return cls._found(_session(pointer, writable=False, named=False), pointer)

    @classmethod
    def _found(cls, session: Any, pointer: Mapping[str, Any]) -> TokenKey:
        from pkcs11 import Attribute, ObjectClass

        label = pointer["key"]
        with _in_words(f"opening the key {label!r}"):
            private = list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: label}))
            public = list(session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.LABEL: label}))
            if len(private) != 1 or len(public) != 1:
                msg = (
                    f"the token {pointer['token']!r} holds {len(private)} private and {len(public)} public keys called "
                    f"{label!r}; expected one of each"
                )
                raise KeyUnavailableError(msg)
            return cls(session, private[0], _public_key(public[0]), _protection(private[0]))

    @property
    def algorithm(self) -> Algorithm:
        """Which of the two algorithms."""
        return Algorithm.ED25519 if isinstance(self._public, ed25519.Ed25519PublicKey) else Algorithm.ES256

    @property
    def protection(self) -> Protection:
        """``hardware`` if the token vouches that the key was made in it and never extractable."""
        return self._protection

    def public_key(self) -> PublicKey:
        """Return the public half."""
        return self._public

    def sign(self, data: bytes) -> bytes:
        """Sign ``data``: 64 bytes, raw ``r || s`` for ES256."""
        from pkcs11 import Mechanism

        with self._lock, _in_words("signing with the token"):
            if self.algorithm is Algorithm.ED25519:
                signature = bytes(self._private.sign(data, mechanism=Mechanism.EDDSA))
            else:
                digest = hashes.Hash(hashes.SHA256())
                digest.update(data)
                signature = bytes(self._private.sign(digest.finalize(), mechanism=Mechanism.ECDSA))
        if len(signature) != 64:
            msg = f"the token returned a signature of {len(signature)} bytes; expected 64"
            raise KeyUnavailableError(msg)
        return signature

    def issuing_key(self) -> IssuingKey:
        """Return an object that certificate builders of ``cryptography`` accept; it signs in the token."""
        return _Ed25519Issuing(self) if self.algorithm is Algorithm.ED25519 else _Es256Issuing(self)

    def pkcs8_pem(self) -> None:
        """Return ``None``: the key cannot leave its token."""

    def destroy(self, pointer: Mapping[str, Any]) -> None:
        """Remove the key pair from its token: only for a creation that came to nothing."""
        from pkcs11 import Attribute

        session = _session(pointer, writable=True, named=True)
        with self._lock, _in_words("removing an unused key from the token"):
            for found in list(session.get_objects({Attribute.LABEL: pointer["key"]})):
                found.destroy()


class _Es256Issuing(ec.EllipticCurvePrivateKey):
    """A P-256 private key as ``cryptography`` sees it, whose signing is done elsewhere."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        """256 bits."""
        return 256

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        public = self._key.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)  # noqa: S101  issuing_key chose this class by it
        return public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign with SHA-256 in the token; returns DER, as X.509 has it."""
        if not isinstance(signature_algorithm.algorithm, hashes.SHA256):
            msg = "a P-256 key of rawtrace signs with SHA-256 only"
            raise KeyUnavailableError(msg)
        raw = self._key.sign(bytes(data))
        return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Refuse: the key only signs."""
        _refuse()

    def private_numbers(self) -> NoReturn:
        """Refuse: the key cannot leave its token."""
        _refuse()

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:
        """Refuse: the key cannot leave its token."""
        _refuse()

    def __copy__(self) -> _Es256Issuing:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> _Es256Issuing:
        return self


class _Ed25519Issuing(ed25519.Ed25519PrivateKey):
    """An Ed25519 private key as ``cryptography`` sees it, whose signing is done elsewhere."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key

    def public_key(self) -> ed25519.Ed25519PublicKey:
        """Return the public half."""
        public = self._key.public_key()
        assert isinstance(public, ed25519.Ed25519PublicKey)  # noqa: S101  issuing_key chose this class by it
        return public

    def sign(self, data: Any) -> bytes:
        """Sign in the token."""
        return self._key.sign(bytes(data))

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:
        """Refuse: the key cannot leave its token."""
        _refuse()

    def private_bytes_raw(self) -> NoReturn:
        """Refuse: the key cannot leave its token."""
        _refuse()

    def __copy__(self) -> _Ed25519Issuing:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> _Ed25519Issuing:
        return self


def _refuse() -> NoReturn:
    msg = "the key cannot leave its token"
    raise KeyUnavailableError(msg)


def _library() -> Any:
    try:
        import pkcs11
    except ImportError as error:
        msg = "keys in a token need python-pkcs11, which is not installed"
        raise MissingExtraError(msg, hint='pip install "rawtrace[hsm]"') from error
    return pkcs11


def _session(pointer: Mapping[str, Any], *, writable: bool, named: bool) -> Any:
    library = _library()
    module, pin_file = Path(pointer["module"]), Path(pointer["pin_file"])
    if not module.is_absolute() or not pin_file.is_absolute():
        msg = "the paths of the PKCS#11 module and of the PIN file are expected in full"
        raise KeyUnavailableError(msg)
    if not 0 < len(pointer["token"]) <= _MAX_LABEL:
        msg = f"a token's label has 1 to {_MAX_LABEL} characters"
        raise KeyUnavailableError(msg)
    check_module(module, named=named)
    pin = _read_pin(pin_file)
    with _in_words(f"opening the token {pointer['token']!r}"):
        token = library.lib(str(module)).get_token(token_label=pointer["token"])
        # A log-in holds for the whole process and ends with the session that made
        # it, so sessions are never closed and a second one needs no log-in.
        try:
            return token.open(user_pin=pin, rw=writable)
        except library.UserAlreadyLoggedIn:
            return token.open(rw=writable)


def _read_pin(path: Path) -> str:
    _check_private(path, "holds a PIN")
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_PIN_BYTES + 1)
    except OSError as error:
        raise from_os_error(error, f"reading the PIN file {path}") from error
    try:
        pin = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        pin = ""
    if not pin or len(data) > _MAX_PIN_BYTES or "\n" in pin:
        msg = f"the PIN file {path} is expected to hold one line, the PIN, of at most {_MAX_PIN_BYTES} bytes"
        raise KeyUnavailableError(msg)
    return pin


def _check_private(path: Path, why: str) -> None:
    """Refuse a file that other accounts could have read or written."""
    try:
        status = path.stat()
    except OSError as error:
        msg = f"{path} cannot be opened, although it {why}"
        raise KeyUnavailableError(msg) from error
    # POSIX modes mean nothing on Windows; there the folder's access list guards the file.
    if os.name == "nt":
        return
    if not stat.S_ISREG(status.st_mode):
        msg = f"{path} {why}, but is not an ordinary file"
        raise KeyUnavailableError(msg)
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or status.st_uid not in (0, os.geteuid()):
        msg = f"{path} {why} and is open to other accounts; expected mode 0600 and this account as its owner"
        raise KeyUnavailableError(msg, hint=f"if nobody else had access: chmod 600 {path}")


def _generate(session: Any, algorithm: Algorithm, label: str) -> None:
    from pkcs11 import Attribute, KeyType, Mechanism, PKCS11Error
    from pkcs11.util.ec import encode_named_curve_parameters

    guarded = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.SIGN: True}
    common = {"store": True, "label": label, "id": label.encode(), "private_template": guarded}
    if algorithm is Algorithm.ES256:
        values = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        session.create_domain_parameters(KeyType.EC, values, local=True).generate_keypair(**common)
        return
    for number, encoded in enumerate(_ED25519_PARAMETERS, start=1):
        domain = session.create_domain_parameters(KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: encoded}, local=True)
        try:
            domain.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, **common)
        except PKCS11Error:
            if number == len(_ED25519_PARAMETERS):
                raise
        else:
            return


def _public_key(found: Any) -> PublicKey:
    from pkcs11 import Attribute, KeyType

    point = bytes(found[Attribute.EC_POINT])
    if found[Attribute.KEY_TYPE] is KeyType.EC_EDWARDS:
        # Some tokens give the point bare, others inside an OCTET STRING.
        return ed25519.Ed25519PublicKey.from_public_bytes(point[-32:])
    bare = point[2:] if point[:2] == b"\x04\x41" else point
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bare)


def _protection(private: Any) -> Protection:
    from pkcs11 import Attribute

    vouched = (Attribute.LOCAL, Attribute.ALWAYS_SENSITIVE, Attribute.NEVER_EXTRACTABLE)
    return Protection.HARDWARE if all(private[attribute] for attribute in vouched) else Protection.SOFTWARE


@contextlib.contextmanager
def _in_words(doing: str) -> Iterator[None]:
    """Turn whatever the token says into one sentence of ours."""
    from pkcs11 import PKCS11Error

    try:
        yield
    except PKCS11Error as error:
        said = " ".join(str(error).split()) or type(error).__name__
        msg = f"{doing} failed: the token says {said[:200]}"
        raise KeyUnavailableError(
            msg, hint="check that the token is plugged in, its label, and the PIN file"
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        msg = f"{doing} failed: the token answered in a form that was not expected"
        raise KeyUnavailableError(msg) from error
