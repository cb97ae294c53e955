"""Manifest stores made by hand: what no C2PA library would sign, and cuts into what one did sign.

Written from the C2PA specification with cbor2 and cryptography alone. Everything
is good by default and bad in exactly the way that is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

TAIL = bytes.fromhex("00110010800000aa00389b71")


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def superbox(code: bytes, label: str, *children: bytes) -> bytes:
    return box(b"jumb", box(b"jumd", code + TAIL + b"\x03" + label.encode() + b"\0") + b"".join(children))


def payload(made: bytes) -> bytes:
    """What is inside a box; C2PA's hashes are over this."""
    return made[8:]


@dataclass(frozen=True)
class Said:
    """One assertion: its label and box, and how often store and claim hold it."""

    label: str
    made: bytes
    stored: int = 1
    listed: int = 1
    created: bool = True


def said(label: str, data: Any = None, *, raw: bytes | None = None, kind: str = "cbor", **options: Any) -> Said:
    content = cbor2.dumps(data) if raw is None else raw
    return Said(label, superbox(kind.encode(), label, box(kind.encode(), content)), **options)


def ingredient(
    target: bytes, label: str, title: str, *, instance: int = 0, relationship: str = "parentOf", **more: Any
) -> Said:
    """An ingredient assertion about the manifest whose box is ``target``."""
    signature = next(part for part in read(target).parts if part.label == "c2pa.signature").write()
    data = {
        "relationship": relationship,
        "dc:title": title,
        "dc:format": "application/octet-stream",
        "activeManifest": {"url": f"self#jumbf=/c2pa/{label}", "hash": _sha256(payload(target))},
        "claimSignature": {"url": f"self#jumbf=/c2pa/{label}/c2pa.signature", "hash": _sha256(payload(signature))},
        "validationResults": {"activeManifest": {"success": [], "informational": [], "failure": []}},
        **more,
    }
    return said(f"c2pa.ingredient.v3__{instance}" if instance else "c2pa.ingredient.v3", data)


def manifest(
    assertions: Sequence[Said],
    signer: Any,
    *,
    label: str,
    code: bytes = b"c2ma",
    claim: Mapping[str, Any] | None = None,
    cose: Mapping[str, Any] | None = None,
) -> bytes:
    """A signed manifest.

    Parameters
    ----------
    signer
        Anything with ``chain`` (DER, leaf first) and ``private``.
    claim, cose
        Changes to the claim's entries and to what ``sign`` is given.
    """
    said_of = {True: [one for one in assertions if one.created], False: [one for one in assertions if not one.created]}
    entries: dict[str, Any] = {
        "instanceID": f"xmp:iid:{label[-36:]}",
        "claim_generator_info": {"name": "handmade"},
        "signature": f"self#jumbf=/c2pa/{label}/c2pa.signature",
        "created_assertions": [_reference(one) for one in said_of[True] for _ in range(one.listed)],
        "dc:title": "handmade",
        "alg": "sha256",
    }
    if said_of[False]:
        entries["gathered_assertions"] = [_reference(one) for one in said_of[False] for _ in range(one.listed)]
    encoded = cbor2.dumps(entries | dict(claim or {}))
    return superbox(
        code,
        label,
        superbox(b"c2as", "c2pa.assertions", *(one.made for one in assertions for _ in range(one.stored))),
        superbox(b"c2cl", "c2pa.claim.v2", box(b"cbor", encoded)),
        superbox(b"c2cs", "c2pa.signature", box(b"cbor", sign(encoded, signer, **(cose or {})))),
    )


def sign(
    claim: bytes,
    signer: Any,
    *,
    algorithm: int | None = None,
    chain: Sequence[bytes] | None = None,
    loose: Mapping[Any, Any] | None = None,
    body: bytes | None = None,
    context: str = "Signature1",
) -> bytes:
    """COSE_Sign1 over a claim."""
    edwards = isinstance(signer.private, ed25519.Ed25519PrivateKey)
    code = (-8 if edwards else -7) if algorithm is None else algorithm
    protected = cbor2.dumps({1: code, 33: list(chain if chain is not None else signer.chain)})
    raw = raw_signature(signer.private, cbor2.dumps([context, protected, b"", claim]))
    return b"\xd2" + cbor2.dumps([protected, dict(loose or {}), body, raw])


def raw_signature(private: Any, message: bytes) -> bytes:
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(message)
    r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def store(*manifests: bytes) -> bytes:
    return superbox(b"c2pa", "c2pa", *manifests)


@dataclass
class Part:
    """A box taken apart, to be changed and written again with right lengths."""

    kind: bytes
    content: bytes = b""
    parts: list[Part] = field(default_factory=list)

    @property
    def label(self) -> str:
        described = self.parts[0].content if self.parts else b""
        return described[17:].split(b"\0")[0].decode() if described else ""

    def find(self, *labels: str) -> Part:
        """Go down by labels; the first box of each."""
        part = self
        for label in labels:
            part = next(one for one in part.parts if one.label == label)
        return part

    @property
    def value(self) -> Part:
        """The content box of a superbox with one."""
        return self.parts[1]

    def write(self) -> bytes:
        return box(self.kind, b"".join(part.write() for part in self.parts) or self.content)


def read(data: bytes) -> Part:
    kind, content = data[4:8], data[8:]
    if kind != b"jumb":
        return Part(kind, content)
    parts, at = [], 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        parts.append(read(content[at : at + size]))
        at += size
    return Part(kind, b"", parts)


def active_of(root: Part) -> Part:
    return root.parts[-1]


def with_header(data: bytes, name: str, value: Any) -> bytes:
    """Put something into the unsigned header of the active manifest's signature."""
    root = read(data)
    part = active_of(root).find("c2pa.signature").value
    protected, loose, body, raw = cbor2.loads(part.content).value
    part.content = b"\xd2" + cbor2.dumps([protected, {**loose, name: value}, body, raw])
    return root.write()


def countersigned(data: bytes) -> bytes:
    """What a ``sigTst2`` time stamp of the active manifest is over."""
    part = active_of(read(data)).find("c2pa.signature").value
    protected, _, _, raw = cbor2.loads(part.content).value
    return cbor2.dumps(["CounterSignature", protected, b"", cbor2.dumps(raw)])


def _reference(one: Said) -> dict[str, Any]:
    return {"url": f"self#jumbf=c2pa.assertions/{one.label}", "hash": _sha256(payload(one.made))}


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
