"""A store's log holds a seal, a witness stands behind it, and a reader with no network can tell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rawtrace.ledger.checkpoint import cosign
from rawtrace.ledger.note import NoteSigner
from rawtrace.sealing import logrecord, manifest
from rawtrace.sealing.seal import seal
from rawtrace.server.access import Role
from rawtrace.server.store import Store
from rawtrace.trust import authority, authorityfolder
from rawtrace.trust.identity import Identity
from rawtrace.trust.truststore import load_trust
from rawtrace.verification.verify import verify
from stores import client


@pytest.fixture
def witness() -> NoteSigner:
    private = ed25519.Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return NoteSigner(name="witness.example.org", kind=4, sign=private.sign, public=public)


def test_from_the_store_to_the_verdict(
    store: Store, tmp_path: Path, new_identity: Callable[..., Identity], witness: NoteSigner
) -> None:
    signer = new_identity(authority=store.authority_folder, folder=tmp_path / "scope")
    path = tmp_path / "cells.tif"
    path.write_bytes(b"pixels")
    made = seal(path, signer=signer)
    assert made.sidecar is not None
    pid = str(signer.record["identifier"]["identifier"])
    answer = client(store, Role.INSTRUMENT, pid=pid).post(
        "/seals", content=made.sidecar.read_bytes(), headers={"Content-Type": "application/c2pa"}
    )
    assert answer.status_code in {200, 201}, answer.text
    said: dict[str, Any] = answer.json()
    policy = f"{_log_line(store)}witness w {witness.key.text}\nquorum w\n"
    authorityfolder.set_log_policy(store.authority_folder, policy)
    receipts = path.with_name("cells.tif.c2pa.tlog-proof")
    receipts.write_text(said["receipt"])
    assert "receipt-quorum-not-met" in ids(store, path)
    now = int(datetime.now(UTC).timestamp())
    start = said["receipt"].index("\n\n") + 2
    line = cosign(said["receipt"][start:].encode(), witness, now)
    receipts.write_text(said["receipt"] + line)
    assert {"receipt-good", "time-trusted"} <= ids(store, path)
    # The key is stolen tomorrow: the seal stands, and one that only claims to be as old does not.
    later = datetime.now(UTC) + timedelta(days=2)
    start_of_doubt = datetime.now(UTC) + timedelta(days=1)
    authority.revoke(
        store.authority_folder, pid=pid, reason="keyCompromise", compromised_from=start_of_doubt, now=later
    )
    assert {"receipt-good", "revoked-after"} <= ids(store, path)
    receipts.unlink()
    assert {"receipt-missing", "compromise-unproven"} <= ids(store, path)


def test_the_store_logs_what_the_seal_says(store: Store, tmp_path: Path, new_identity: Callable[..., Identity]) -> None:
    from rawtrace.ledger.receipt import Receipt

    signer = new_identity(authority=store.authority_folder, folder=tmp_path / "scope")
    path = tmp_path / "cells.tif"
    path.write_bytes(b"pixels")
    made = seal(path, signer=signer)
    assert made.sidecar is not None
    answer = client(store, Role.INSTRUMENT, pid=str(signer.record["identifier"]["identifier"])).post(
        "/seals", content=made.sidecar.read_bytes(), headers={"Content-Type": "application/c2pa"}
    )
    read = manifest.read_store(made.sidecar.read_bytes()).active_manifest
    assert Receipt.parse(answer.json()["receipt"]).record == logrecord.record_of(read)


def ids(store: Store, path: Path) -> set[str]:
    return {one.id for one in verify(path, trust=load_trust([store.authority_folder])).findings}


def _log_line(store: Store) -> str:
    return f"log {(store.folder / 'log' / 'vkey').read_text().strip()}\n"
