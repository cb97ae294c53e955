"""A list names logs and witnesses for the seals of its own authority, not for those of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from rawtrace.ledger import merkle
from rawtrace.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from rawtrace.ledger.entry import Entry, commitment
from rawtrace.ledger.note import ED25519, ED25519_COSIGNATURE, NoteSigner
from rawtrace.ledger.receipt import Receipt, pack_extra
from rawtrace.report import Report
from rawtrace.sealing import logrecord, manifest
from rawtrace.sealing.seal import seal
from rawtrace.server.logdesk import key_id
from rawtrace.trust import authority, authorityfolder
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.identity import Identity
from rawtrace.trust.truststore import load_trust
from rawtrace.verification.verify import verify

LONG_AGO = datetime.now(UTC) - timedelta(days=300)


def signer(name: str, kind: int) -> NoteSigner:
    private = ed25519.Ed25519PrivateKey.generate()
    return NoteSigner(name, private.sign, private.public_key().public_bytes_raw(), kind)


class Conspiracy:
    """Who holds the stolen key of a scope has a friend with an authority, a log and a witness of its own."""

    def __init__(self, folder: Path, new_identity: Callable[..., Identity]) -> None:
        self.home, self.other = folder / "authority", folder / "other"
        authority.create_authority(self.home, name="Example Authority", now=LONG_AGO - timedelta(days=9))
        authority.create_authority(self.other, name="Friendly Authority", now=LONG_AGO - timedelta(days=9))
        scope = new_identity(authority=self.home, folder=folder / "scope")
        self.data = folder / "forged.tif"
        self.data.write_bytes(b"pixels")
        seal(self.data, signer=scope)
        sidecar = self.data.with_name("forged.tif.c2pa").read_bytes()
        self.record = logrecord.record_of(manifest.read_store(sidecar).active_manifest)
        self.key = key_id(scope.leaf)
        authority.revoke(
            self.home,
            pid=str(scope.record["identifier"]["identifier"]),
            reason="keyCompromise",
            compromised_from=LONG_AGO + timedelta(days=100),
            now=datetime.now(UTC),
        )

    def log(self, log: NoteSigner, witness: NoteSigner, *, at: datetime) -> None:
        """Put a receipt beside the seal."""
        salt = bytes(32)
        entry = Entry(kind="seal", issuer="Example", key=self.key, commitment=commitment(salt, self.record)).encode()
        note = sign_checkpoint(Checkpoint(log.name, 1, merkle.leaf_hash(entry)), log)
        note += cosign(note, witness, int(at.timestamp())).encode()
        extra = pack_extra(salt, entry, self.record)
        made = Receipt(extra=extra, index=0, proof=(), checkpoint=note)
        self.data.with_name("forged.tif.c2pa.tlog-proof").write_bytes(made.encode())

    def lists(self) -> tuple[TrustList, ...]:
        return load_trust([self.home, self.other])

    def report(self, lists: tuple[TrustList, ...]) -> Report:
        return verify(self.data, trust=lists)


@pytest.fixture
def plot(tmp_path: Path, new_identity: Callable[..., Identity]) -> Conspiracy:
    return Conspiracy(tmp_path, new_identity)


def ids(report: Report) -> set[str]:
    return {one.id for one in report.findings}


def policy(log: NoteSigner, witness: NoteSigner) -> str:
    return f"log {log.key.text}\nwitness w {witness.key.text}\nquorum w\n"


def test_a_friends_log_does_not_date_a_stolen_keys_seal_back_fail(plot: Conspiracy) -> None:
    log, witness = signer("friend.example.org/log", ED25519), signer("friend.example.org/witness", ED25519_COSIGNATURE)
    authorityfolder.set_log_policy(plot.other, policy(log, witness))
    plot.log(log, witness, at=LONG_AGO)
    found = ids(plot.report(plot.lists()))
    assert "revoked-after" not in found
    assert not found & {"receipt-good", "time-trusted"}
    # The same list for its own authority, the same receipt: then it would count.
    own = tuple(replace(one, policies=plot.lists()[1].policies) for one in plot.lists()[:1])
    assert {"receipt-good", "revoked-after"} <= ids(plot.report(own))


def test_a_friends_list_does_not_ask_for_fewer_witnesses_fail(plot: Conspiracy) -> None:
    log, friend = signer("log.example.org/log", ED25519), signer("friend.example.org/witness", ED25519_COSIGNATURE)
    honest = signer("witness.example.org", ED25519_COSIGNATURE)
    authorityfolder.set_log_policy(plot.home, policy(log, honest))
    authorityfolder.set_log_policy(plot.other, policy(log, friend))
    plot.log(log, friend, at=LONG_AGO)
    found = ids(plot.report(plot.lists()))
    assert "receipt-quorum-not-met" in found
    assert not found & {"receipt-good", "time-trusted", "revoked-after"}


def test_to_name_anothers_root_does_not_help_while_its_own_list_is_there_fail(plot: Conspiracy) -> None:
    log, witness = signer("friend.example.org/log", ED25519), signer("friend.example.org/witness", ED25519_COSIGNATURE)
    authorityfolder.set_log_policy(plot.other, policy(log, witness))
    plot.log(log, witness, at=LONG_AGO)
    own, friends = plot.lists()
    copied = replace(friends, anchors=(*friends.anchors, *own.anchors))
    for lists in ((own, copied), (copied, own)):
        assert not ids(plot.report(lists)) & {"receipt-good", "time-trusted", "revoked-after"}
