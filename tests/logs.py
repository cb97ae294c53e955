"""Logs for tests: keys, records, a naive tree to compare with, and a folder that is read as a log."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rawtrace.database import Database
from rawtrace.ledger.note import NoteSigner
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.receipt import CheckedReceipt, Receipt, check_receipt
from rawtrace.ledger.sequencer import Log, Submission

ORIGIN = "log.example.org/tests"
KEY = "00112233aabbccdd"


def make_signer(name: str = ORIGIN) -> NoteSigner:
    key = Ed25519PrivateKey.generate()
    return NoteSigner(name, key.sign, key.public_key().public_bytes_raw())


#: One key for all tests that do not ask for another.
SIGNER = make_signer()


def content(number: int, **more: Any) -> Mapping[str, Any]:
    return {"claim": hashlib.sha256(b"%d" % number).hexdigest(), "number": number, **more}


def submission(number: int, *, kind: str = "seal", **more: Any) -> Submission:
    return Submission.of(kind, content(number, **more), issuer=ORIGIN, key=KEY)


def submissions(*numbers: int) -> list[Submission]:
    return [submission(number) for number in numbers]


def open_log(database: Database, *, signer: NoteSigner = SIGNER, **options: Any) -> Log:
    """Open a log that does not wait for company."""
    return Log.open(database, origin=signer.name, signer=signer, **{"interval_s": 0.0, **options})


def fill(log: Log, start: int, end: int) -> None:
    """Log the records ``start`` to ``end``, and wait."""
    log.submit_many(submissions(*range(start, end))).result(60)


def policy_of(signer: NoteSigner = SIGNER) -> Policy:
    return Policy.parse(f"log {signer.key.text}\nquorum none\n")


def checked(receipt: bytes, signer: NoteSigner = SIGNER) -> CheckedReceipt:
    return check_receipt(Receipt.parse(receipt), policy_of(signer))


def naive_root(entries: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it stands there."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(entries[:k]) + naive_root(entries[k:])).digest()


def flip(path: Path, at: int) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)
