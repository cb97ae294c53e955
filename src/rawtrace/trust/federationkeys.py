"""Keys of a federation: ours as signers of TUF metadata, and what a root says of everybody's.

A root is refused here where one key could count twice towards a threshold: TUF
counts key identifiers, and whoever writes a root may give one key two of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from rawtrace import durable
from rawtrace.errors import FederationError, KeyUnavailableError
from rawtrace.trust import keys, staging
from rawtrace.trust.keys import Algorithm, PublicKey, SigningKey
from rawtrace.trust.pkcs11 import TokenOptions

if TYPE_CHECKING:
    from rawtrace.trust.tuflib import Key, Root, Signer, SSlibKey

PUBLIC_FILE = "public.pem"
HOLDER_FIELD = "x-rawtrace-holder"
OFFLINE_ROLES = ("root", "targets")
ONLINE_ROLES = ("snapshot", "timestamp")
MAX_KEYS = 64
_MAX_PEM_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class RootFacts:
    """What a root says, for people.

    Attributes
    ----------
    version : int
    expires : datetime
        UTC.
    threshold : int
        How many of ``keys`` must sign a root or the targets.
    keys : tuple[tuple[str, str], ...]
        SHA-256 of each offline key's SubjectPublicKeyInfo, and who holds it (may be empty).
    online : tuple[str, ...]
        The same digests, of the keys that sign snapshot and time stamp.
    """

    version: int
    expires: datetime
    threshold: int
    keys: tuple[tuple[str, str], ...]
    online: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Return JSON types only."""
        return {
            "version": self.version,
            "expires": self.expires.isoformat(),
            "threshold": self.threshold,
            "keys": [{"sha256": digest, "holder": holder} for digest, holder in self.keys],
            "online_keys": list(self.online),
        }


def create_key(folder: Path, *, algorithm: Algorithm = Algorithm.ED25519, token: TokenOptions | None = None) -> str:
    """Make an offline key in a folder of its own, with ``public.pem`` to hand out; returns the key's digest.

    Raises
    ------
    AlreadyExistsError, UnwritableError, KeyUnavailableError
    """
    with staging.new_folder(folder) as made, staging.new_key(made, algorithm, token) as key:
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        durable.write_new(made / PUBLIC_FILE, pem)
        return _digest(key.public_key())


def read_public(path: Path, *, holder: str = "") -> SSlibKey:
    """Read somebody's public key: a PEM file, or the folder that ``create_key`` made.

    Raises
    ------
    InputNotFoundError, UnreadableError, KeyUnavailableError
    """
    from rawtrace.trust.tuflib import SSlibKey

    file = path / PUBLIC_FILE if path.is_dir() else path
    data = durable.read_bounded(file, limit=_MAX_PEM_BYTES)
    try:
        public = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        msg = f"{file} does not hold a public key in PEM"
        hint = f"make a key with rawtrace federation key DIR, and name its {PUBLIC_FILE}"
        raise KeyUnavailableError(msg, hint=hint) from error
    keys.algorithm_of(public)
    key = SSlibKey.from_crypto(public)
    if holder:
        key.unrecognized_fields[HOLDER_FIELD] = holder
    return key


def tuf_key(key: SigningKey) -> SSlibKey:
    """Return the public half of one of our keys as TUF writes it."""
    from rawtrace.trust.tuflib import SSlibKey

    return SSlibKey.from_crypto(key.public_key())


def signer(key: SigningKey) -> Signer:
    """Return one of our keys, in a file or a token, as what signs TUF metadata."""
    from rawtrace.trust.tuflib import SecretsHandler, Signature, Signer

    public = tuf_key(key)

    class OurSigner(Signer):
        @classmethod
        def from_priv_key_uri(
            cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
        ) -> Signer:
            raise NotImplementedError  # keys are opened by rawtrace.trust.keys alone

        @property
        def public_key(self) -> Key:
            return public

        def sign(self, payload: bytes) -> Signature:
            raw = key.sign(payload)
            if key.algorithm is Algorithm.ES256:
                raw = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            return Signature(public.keyid, raw.hex())

    return OurSigner()


def digest_of(key: Key) -> str:
    """Return the SHA-256 of a key's SubjectPublicKeyInfo, hexadecimal.

    Raises
    ------
    FederationError
        A key of a kind that rawtrace does not use, or no key at all.
    """
    text = key.keyval.get("public", "")
    try:
        if (key.keytype, key.scheme) == ("ed25519", "ed25519"):
            return _digest(Ed25519PublicKey.from_public_bytes(bytes.fromhex(text)))
        if (key.keytype, key.scheme) == ("ecdsa", "ecdsa-sha2-nistp256"):
            public = load_pem_public_key(text.encode())
            if keys.algorithm_of(public) is Algorithm.ES256:
                return _digest(public)  # type: ignore[arg-type]  # algorithm_of has looked at its class
    except (ValueError, TypeError, UnsupportedAlgorithm, KeyUnavailableError):
        pass  # the same sentence says what was expected
    msg = f"the root names a key of the kind {str(key.keytype)[:40]!r} that cannot be used; expected Ed25519 or P-256"
    raise FederationError(msg)


def root_facts(root: Root) -> RootFacts:
    """Check a root by the rules that TUF leaves open, and return what it says.

    Raises
    ------
    FederationError
        A role without enough keys, one key under two names, too many keys, one key both online and offline.
    """
    if len(root.keys) > MAX_KEYS:
        msg = f"the root names {len(root.keys)} keys; at most {MAX_KEYS} are accepted"
        raise FederationError(msg)
    by_role: dict[str, list[tuple[str, str]]] = {}
    for role, entry in root.roles.items():
        missing = [keyid for keyid in entry.keyids if keyid not in root.keys]
        if missing or len(entry.keyids) < entry.threshold:
            msg = f"the root asks for {entry.threshold} signatures by the role {role}, but names too few keys for it"
            raise FederationError(msg)
        found = [(digest_of(root.keys[keyid]), _holder(root.keys[keyid])) for keyid in entry.keyids]
        if len({digest for digest, _ in found}) != len(found):
            msg = f"the root names one key twice for the role {role}, so that one person could sign as two"
            raise FederationError(msg)
        by_role[role] = found
    online = {digest for role in ONLINE_ROLES for digest, _ in by_role[role]}
    if online & {digest for role in OFFLINE_ROLES for digest, _ in by_role[role]}:
        msg = "the root names an online key for what only offline keys may sign"
        raise FederationError(msg)
    return RootFacts(
        version=root.version,
        expires=root.expires,
        threshold=min(root.roles[role].threshold for role in OFFLINE_ROLES),
        keys=tuple(dict.fromkeys(pair for role in OFFLINE_ROLES for pair in by_role[role])),
        online=tuple(sorted(online)),
    )


def _holder(key: Key) -> str:
    text = key.unrecognized_fields.get(HOLDER_FIELD, "")
    return "".join(one if one.isprintable() else " " for one in text[:80]) if isinstance(text, str) else ""


def _digest(public: PublicKey) -> str:
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
