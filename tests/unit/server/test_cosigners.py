"""A store as witness and mirror of other stores' logs, asked over HTTP as they ask it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from notes import ORIGIN, Memory, Tree, numbered, request, signer
from rawtrace.ledger import merkle
from rawtrace.ledger.checkpoint import open_checkpoint, sign_checkpoint, verify_cosignature
from rawtrace.ledger.cosigning import PolicyCosigner
from rawtrace.ledger.note import VerifierKey
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.witness import origin_hash
from rawtrace.server.store import Store
from stores import client, running

LOG = signer()
TREE = Tree(numbered(700))
HASH = origin_hash(ORIGIN)
OFFERS = "[offers]\nwitness = true\nmirror = true\n"


def known(store: Store, *parts: str) -> None:
    """Let the store know the log."""
    for part in parts or ("witness", "mirror"):
        folder = store.folder / part
        folder.mkdir(exist_ok=True)
        (folder / "logs").write_text(
            f"# of the facility\nlog {LOG.key.text} https://log.example.org/facility\nquorum none\n"
        )


@pytest.fixture
def offering(new_store: Callable[..., Store]) -> Store:
    store = new_store(more=OFFERS)
    known(store)
    return store


def checkpoint(size: int) -> bytes:
    return sign_checkpoint(TREE.checkpoint(size), LOG)


def test_a_store_that_offers_neither(store: Store) -> None:
    with client(store) as asked:
        for path in ("/witness", "/mirror", f"/witness/{HASH}/checkpoint", f"/mirror/{HASH}/tile/0/000"):
            assert asked.get(path).status_code == 404
        for path in ("/witness/add-checkpoint", "/mirror/add-checkpoint", "/mirror/add-entries"):
            assert asked.post(path, content=request(0, (), checkpoint(5))).status_code == 404


def test_statuses_and_types_of_the_witness(offering: Store) -> None:
    with client(offering) as asked:
        about = asked.get("/witness").json()
        key = VerifierKey.parse(about["verifier_key"])
        assert key.name == "store.example.org/witness"
        assert about["logs"] == [{"origin": ORIGIN, "origin_sha256": HASH, "size": 0}]
        assert asked.get(f"/witness/{HASH}/checkpoint").status_code == 404
        signed = asked.post("/witness/add-checkpoint", content=request(0, (), checkpoint(5)))
        assert signed.status_code == 200
        assert verify_cosignature(checkpoint(5) + signed.content, key)
        shown = asked.get(f"/witness/{HASH}/checkpoint")
        assert shown.content == checkpoint(5) + signed.content
        assert shown.headers["content-type"] == "text/plain; charset=utf-8"
        assert asked.get("/witness").json()["logs"][0]["size"] == 5
        behind = asked.post("/witness/add-checkpoint", content=request(0, (), checkpoint(8)))
        assert (behind.status_code, behind.content) == (409, b"5\n")
        assert behind.headers["content-type"] == "text/x.tlog.size"
        for body, status in (
            (b"", 400),
            (request(9, (), checkpoint(8)), 400),
            (request(0, (), sign_checkpoint(TREE.checkpoint(5), signer())), 403),
            (request(0, (), sign_checkpoint(TREE.checkpoint(5, origin="other"), signer("other"))), 404),
            (request(5, (), checkpoint(8)), 422),
            (b"x" * 70_000, 413),
        ):
            refused = asked.post("/witness/add-checkpoint", content=body)
            assert refused.status_code == status
            assert refused.headers["content-type"] == "application/problem+json"
        for strange in ("x", "A" * 64, "%00", HASH.upper()):
            assert asked.get(f"/witness/{strange}/checkpoint").status_code == 404
            assert asked.get(f"/mirror/{strange}/tile/0/000").status_code == 404


def test_a_log_gets_its_quorum_from_running_stores(offering: Store) -> None:
    with running(offering) as other, other.web() as web:
        witness = VerifierKey.parse(_about(web.get(f"{other.url}/witness").body))
        mirror = VerifierKey.parse(_about(web.get(f"{other.url}/mirror").body))
        assert witness.public != mirror.public
        policy = Policy.parse(
            f"log {LOG.key.text}\nwitness w {witness.text} {other.url}/witness\n"
            f"witness m {mirror.text} {other.url}/mirror\ngroup both all w m\nquorum both\n"
        )
        cosigner = PolicyCosigner(policy, source=Memory(TREE), wait_s=20)

        def prove(size: int) -> Callable[[int], tuple[bytes, ...]]:
            return lambda old: merkle.consistency_proof(old, size, TREE.read)

        try:
            for old, new in ((0, 300), (300, 700)):
                note = cosigner.collect(checkpoint(new), old, prove(new)(old), prove=prove(new))
                assert len(policy.check(note).cosignatures) == 2
            assert all(one.agrees for one in cosigner.ask(checkpoint(700), prove=prove(700)))
        finally:
            cosigner.close()
        base = f"{other.url}/mirror/{HASH}"
        assert open_checkpoint(web.get(f"{base}/checkpoint").body, [LOG.key])[0].size == 700
        for path in ("tile/0/000", "tile/1/000.p/2", "tile/entries/002.p/188"):
            answer = web.get(f"{base}/{path}")
            assert answer.body == Memory(TREE).read(path, size=700)
            assert "immutable" in answer.headers["cache-control"]
        assert web.get(f"{base}/tile/entries/002.p/189").status == 404
        told = web.get(f"{other.url}/mirror").body
        assert b'"size":700,"next_entry":700,"pending":700' in told


def _about(body: bytes) -> str:
    import json

    return str(json.loads(body)["verifier_key"])


def test_a_list_of_logs_that_cannot_be_read_is_the_operators_fault(offering: Store) -> None:
    (offering.folder / "witness" / "logs").write_text("log nonsense\n")
    with client(offering) as asked:
        said = asked.post("/witness/add-checkpoint", content=request(0, (), checkpoint(5)))
        assert said.status_code == 503
        (offering.folder / "witness" / "logs").unlink()
        assert asked.post("/witness/add-checkpoint", content=request(0, (), checkpoint(5))).status_code == 404


def test_a_store_does_not_mirror_itself(new_store: Callable[..., Store], tmp_path: Path) -> None:
    store = new_store(more=OFFERS)
    own = (store.folder / "log" / "vkey").read_text().strip()
    for part in ("witness", "mirror"):
        (store.folder / part).mkdir(exist_ok=True)
        (store.folder / part / "logs").write_text(f"log {own}\nquorum none\n")
    with client(store) as asked:
        note = store.log.checkpoint()
        for path in ("/witness/add-checkpoint", "/mirror/add-checkpoint"):
            assert asked.post(path, content=request(0, (), note)).status_code == 404


def test_damaged_compression_is_refused(offering: Store) -> None:
    with client(offering) as asked:
        for encoding in ("gzip", "br"):
            said = asked.post("/mirror/add-entries", content=b"not gzip", headers={"Content-Encoding": encoding})
            assert said.status_code == 400
