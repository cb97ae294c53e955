"""Makes manifest stores byte by byte, good by default and bad in exactly the way that is asked for.

Written from the C2PA specification and without any C2PA library, so that a test
can sign what no library would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

TAIL = bytes.fromhex("00110010800000aa00389b71")
LABEL = "urn:c2pa:00000000-0000-4000-8000-000000000001"
ASSET = b"an image"


def certificate(key: Any, name: str = "Example microscope") -> bytes:
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2024, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2034, 1, 1, tzinfo=UTC))
    )
    edwards = isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey))
    made = builder.sign(key, None if edwards else hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CERTIFICATE = certificate(KEY)


def box(kind: bytes, content: bytes, *, wide: bool = False) -> bytes:
    if wide:
        return (1).to_bytes(4, "big") + kind + (len(content) + 16).to_bytes(8, "big") + content
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def superbox(code: bytes, label: str, *children: bytes, salt: bytes = b"", wide: bool = False) -> bytes:
    content_type = code if len(code) == 16 else code + TAIL
    toggles = 0x13 if salt else 0x03
    described = content_type + bytes((toggles,)) + label.encode() + b"\0" + (box(b"c2sh", salt) if salt else b"")
    return box(b"jumb", box(b"jumd", described) + b"".join(children), wide=wide)


@dataclass(frozen=True)
class Said:
    """One assertion: its label, its box, and what the claim says of it."""

    label: str
    made: bytes
    list_name: str = "created_assertions"
    alg: str | None = None
    listed: int = 1
    stored: int = 1
    url: str = ""

    def reference(self) -> dict[str, Any]:
        digest = hashlib.new(self.alg or "sha256", payload(self.made)).digest()
        alg = {"alg": self.alg} if self.alg else {}
        return {"url": self.url or f"self#jumbf=c2pa.assertions/{self.label}", "hash": digest, **alg}


def payload(made: bytes) -> bytes:
    return made[16:] if made[:4] == b"\0\0\0\1" else made[8:]


def cbor_assertion(label: str, data: Any, *, raw: bytes | None = None, **options: Any) -> Said:
    content = cbor2.dumps(data) if raw is None else raw
    return Said(label, superbox(b"cbor", label, box(b"cbor", content), salt=b"0123456789abcdef"), **options)


def json_assertion(label: str, content: bytes, **options: Any) -> Said:
    return Said(label, superbox(b"json", label, box(b"json", content)), **options)


def data_hash(asset: bytes = ASSET, *, label: str = "c2pa.hash.data", alg: str = "sha256", **more: Any) -> Said:
    digest = hashlib.new(alg, asset).digest()
    return cbor_assertion(label, {"name": "whole file", "alg": alg, "hash": digest, "pad": b"", **more})


ACTIONS = cbor_assertion("c2pa.actions.v2", {"actions": [{"action": "c2pa.created"}]})


def ingredient(target: bytes, label: str, *, name: str = "c2pa.ingredient.v3", **more: Any) -> Said:
    """An ingredient assertion about the manifest whose box is ``target``."""
    reference = {"url": f"self#jumbf=/c2pa/{label}", "hash": hashlib.sha256(payload(target)).digest()}
    signature = {
        "url": f"self#jumbf=/c2pa/{label}/c2pa.signature",
        "hash": hashlib.sha256(signature_payload(target)).digest(),
    }
    data = {"relationship": "parentOf", "dc:title": "raw.tif", "dc:format": "image/tiff", "activeManifest": reference}
    return cbor_assertion(name, {**data, "claimSignature": signature, **more})


def children(made: bytes) -> list[bytes]:
    inside, at, found = payload(made), 0, []
    while at < len(inside):
        size = int.from_bytes(inside[at : at + 4], "big")
        found.append(inside[at : at + size])
        at += size
    return found


def signature_payload(made: bytes) -> bytes:
    return payload(children(made)[-1])


def signed(key: Any, algorithm: int, message: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    digest = {
        -7: hashes.SHA256(),
        -9: hashes.SHA256(),
        -35: hashes.SHA384(),
        -51: hashes.SHA384(),
        -36: hashes.SHA512(),
    }
    digest |= {-52: hashes.SHA512(), -37: hashes.SHA256(), -38: hashes.SHA384(), -39: hashes.SHA512()}
    if isinstance(key, rsa.RSAPrivateKey):
        kind = digest[algorithm]
        return key.sign(message, padding.PSS(padding.MGF1(kind), kind.digest_size), kind)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest[algorithm])))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def cose(
    claim: bytes,
    *,
    key: Any = KEY,
    algorithm: Any = -8,
    chain: Any = None,
    headers: dict[Any, Any] | None = None,
    loose: dict[Any, Any] | None = None,
    protected: bytes | None = None,
    body: Any = None,
    tag: bytes = b"\xd2",
    context: str = "Signature1",
) -> bytes:
    if chain is None:
        chain = [CERTIFICATE if key is KEY else certificate(key)]
    if protected is None:
        protected = cbor2.dumps({1: algorithm, **({33: chain} if chain else {}), **(headers or {})})
    message = cbor2.dumps([context, protected, b"", claim])
    raw = signed(key, algorithm if type(algorithm) is int else -8, message)
    return tag + cbor2.dumps([protected, loose or {}, body, raw])


def claim_of(label: str, assertions: Sequence[Said], *, version: int = 2, **more: Any) -> dict[str, Any]:
    claim: dict[str, Any] = {
        "instanceID": "xmp:iid:00000000-0000-4000-8000-000000000002",
        "claim_generator_info": {"name": "forge"},
        "signature": f"self#jumbf=/c2pa/{label}/c2pa.signature",
        "alg": "sha256",
    }
    for said in assertions:
        name = "assertions" if version == 1 else said.list_name
        claim.setdefault(name, []).extend(said.reference() for _ in range(said.listed))
    return claim | more


def manifest(
    assertions: Sequence[Said] = (ACTIONS, data_hash()),
    *,
    label: str = LABEL,
    version: int = 2,
    code: bytes = b"c2ma",
    claim: bytes | dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
    extra: Sequence[bytes] = (),
    wide: bool = False,
    **options: Any,
) -> bytes:
    if claim is None:
        claim = claim_of(label, assertions, version=version, **(more or {}))
    encoded = claim if isinstance(claim, bytes) else cbor2.dumps(claim)
    stored = [said.made for said in assertions for _ in range(said.stored)]
    return superbox(
        code,
        label,
        superbox(b"c2as", "c2pa.assertions", *stored),
        superbox(b"c2cl", "c2pa.claim.v2" if version == 2 else "c2pa.claim", box(b"cbor", encoded)),
        *extra,
        superbox(b"c2cs", "c2pa.signature", box(b"cbor", cose(encoded, **options))),
        wide=wide,
    )


def store(*manifests: bytes) -> bytes:
    return superbox(b"c2pa", "c2pa", *(manifests or (manifest(),)))


def chain_of(generations: int) -> bytes:
    """A store of that many manifests, each the parent of the next."""
    made, labels = [manifest(label="urn:c2pa:0")], ["urn:c2pa:0"]
    for number in range(1, generations):
        label = f"urn:c2pa:{number}"
        parent = ingredient(made[-1], labels[-1])
        made.append(manifest([ACTIONS, parent, data_hash(label.encode())], label=label))
        labels.append(label)
    return store(*made)


def without(said: Said) -> Said:
    """The same assertion, listed and taken out of the store."""
    return replace(said, stored=0)
