"""Logs and witnesses made by hand, from the C2SP specifications alone: good by default, bad as asked for."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from rawtrace.sealing.manifest import read_store

ORIGIN = "log.example.org"
PLAIN, COSIGNATURE = 1, 4


@dataclass(frozen=True)
class Signer:
    """A key that signs notes."""

    name: str
    kind: int = PLAIN
    private: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    def line(self, text: str, time: datetime | None = None) -> str:
        """A signature line: plain, or with a time a cosignature."""
        if time is None:
            signature = self.private.sign(text.encode())
        else:
            seconds = int(time.timestamp())
            message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
            signature = struct.pack(">Q", seconds) + self.private.sign(message)
        return f"\u2014 {self.name} {b64(self.key_id + signature)}\n"


class ExampleLog:
    """A log in memory: RFC 6962 over salted commitments."""

    def __init__(self, origin: str = ORIGIN) -> None:
        self.key = Signer(origin)
        self.entries: list[bytes] = []
        self.extras: dict[int, bytes] = {}

    def pad(self, count: int = 1) -> None:
        """Hold something of other people."""
        for _ in range(count):
            self.add({"claim": os.urandom(32).hex(), "kind": "seal", "v": 1}, key="0" * 16)

    def add(self, record: Mapping[str, Any], *, key: str, **changes: Any) -> int:
        """Take up a record; returns its index."""
        salt, said = os.urandom(32), canonical(record)
        commitment = hashlib.sha256(salt + said).hexdigest()
        entry = canonical(
            {"commitment": commitment, "issuer": self.key.name, "key": key, "kind": "seal", "v": 1} | changes
        )
        self.extras[len(self.entries)] = salt + len(entry).to_bytes(2, "big") + entry + said
        self.entries.append(entry)
        return len(self.entries) - 1

    def checkpoint(self, text: str = "") -> str:
        """The text of the checkpoint that covers all, with the log's signature."""
        said = text or f"{self.key.name}\n{len(self.entries)}\n{b64(root(self.leaves))}\n"
        return f"{said}\n{self.key.line(said)}"

    @property
    def leaves(self) -> list[bytes]:
        return [hashlib.sha256(b"\0" + entry).digest() for entry in self.entries]

    def receipt(
        self,
        index: int,
        witnesses: Sequence[tuple[Signer, datetime]] = (),
        *,
        extra: bytes | None = None,
        number: int | None = None,
        proof: Sequence[bytes] | None = None,
        checkpoint: str = "",
    ) -> bytes:
        """A tlog-proof, cosigned by some witnesses; keyword arguments replace what is right."""
        note = checkpoint or self.checkpoint()
        text = note[: note.rindex("\n\n") + 1]
        note += "".join(witness.line(text, time) for witness, time in witnesses)
        hashes = path(self.leaves, index) if proof is None else proof
        lines = ["c2sp.org/tlog-proof@v1", f"extra {b64(self.extras[index] if extra is None else extra)}"]
        lines += [f"index {index if number is None else number}", *map(b64, hashes), "", ""]
        return ("\n".join(lines) + note).encode()


def policy(log: Signer | Sequence[Signer], witnesses: Sequence[Signer] = (), needed: int = 0) -> str:
    """A tlog-policy text: so many of the witnesses, or none."""
    logs = [log] if isinstance(log, Signer) else log
    lines = [f"log {one.vkey}" for one in logs]
    lines += [f"witness w{number} {one.vkey}" for number, one in enumerate(witnesses)]
    if needed:
        names = " ".join(f"w{number}" for number in range(len(witnesses)))
        lines += [f"group all-of-them {needed} {names}", "quorum all-of-them"]
    else:
        lines.append("quorum none")
    return "\n".join(lines) + "\n"


def record_of(seal: Path, label: str = "") -> tuple[dict[str, Any], str]:
    """What a log records of a seal, and the id of the key that made it."""
    store = read_store(seal.read_bytes())
    made = store.manifests[label or store.active]
    leaf = made.signature.chain[0]
    record = {
        "certificate": hashlib.sha256(leaf).hexdigest(),
        "claim": hashlib.sha256(made.claim_bytes).hexdigest(),
        "kind": "seal",
        "signature": hashlib.sha256(made.signature.raw).hexdigest(),
        "v": 1,
    }
    public = load_der_x509_certificate(leaf).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return record, hashlib.sha256(spki).hexdigest()[:16]


def root(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = split(len(leaves))
    return node(root(leaves[:half]), root(leaves[half:]))


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    if len(leaves) == 1:
        return []
    half = split(len(leaves))
    if index < half:
        return [*path(leaves[:half], index), root(leaves[half:])]
    return [*path(leaves[half:], index - half), root(leaves[:half])]


def split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
