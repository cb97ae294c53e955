"""What reading receipts beside a seal never does: fail, wait, or believe where it found them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rawtrace.ledger.note import VerifierKey
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.receipt import Receipt
from rawtrace.sealing.logrecord import record_of
from rawtrace.sealing.manifest import Manifest, Store, read_store
from rawtrace.sealing.seal import seal
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.identity import Identity
from rawtrace.verification import receipts
from rawtrace.verification.online import _for_signing
from rawtrace.verification.receipts import Receipts

NOW = datetime(2026, 6, 1, tzinfo=UTC)
POLICY = Policy.parse(f"log {VerifierKey('log.example.org', 1, bytes(32)).text}\nquorum none\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, instrument: Identity) -> Manifest:
    path = tmp_path_factory.mktemp("sealed") / "cells.dat"
    path.write_bytes(b"pixels")
    sidecar = seal(path, signer=instrument).sidecar
    assert sidecar is not None
    return read_store(sidecar.read_bytes()).active_manifest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(data=st.binary(max_size=600), begins=st.booleans())
def test_whatever_lies_there_is_read_or_told_fail(tmp_path: Path, data: bytes, begins: bool) -> None:
    beside = tmp_path / "a.c2pa.tlog-proof"
    beside.write_bytes((b"c2sp.org/tlog-proof@v1\n" if begins else b"") + data)
    found = receipts.read_beside(tmp_path / "a.c2pa")
    assert found.problem or found.by_record


def test_nothing_there_is_no_problem(tmp_path: Path) -> None:
    assert receipts.read_beside(tmp_path / "a.c2pa") == receipts.NONE
    assert receipts.read_beside(tmp_path / ("x" * 300)) == receipts.NONE


def test_a_folder_in_place_of_receipts_is_told_fail(tmp_path: Path) -> None:
    (tmp_path / "a.c2pa.tlog-proof").mkdir()
    assert "not a regular file" in receipts.read_beside(tmp_path / "a.c2pa").problem


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    index=st.integers(0, 2**63 - 1), proof=st.lists(st.binary(min_size=32, max_size=32), max_size=4), note=st.binary()
)
def test_no_receipt_made_up_proves_anything_fail(made: Manifest, index: int, proof: list[bytes], note: bytes) -> None:
    receipt = Receipt(extra=b"", index=index, proof=tuple(proof), checkpoint=note)
    found = receipts.check(made, (receipt,), (POLICY,), now=NOW, tolerance=timedelta(minutes=5))
    assert found.proofs == ()
    assert len(found.findings) == 1


def test_a_manifest_without_a_claim_has_no_receipts(made: Manifest) -> None:
    receipt = Receipt(extra=b"", index=0, proof=(), checkpoint=b"")
    held = Receipts({record_of(made): (receipt,)})
    assert held.about(made) == (receipt,)
    assert held.about(Manifest("broken")) == ()
    assert held.strangers(Store({"a": made}, "a")) == 0
    assert held.strangers(Store({"a": Manifest("a")}, "a")) == 1
    assert held.with_more(held).by_record == held.by_record


def test_a_list_that_a_root_vouches_for_names_no_logs_fail() -> None:
    """Who is trusted for instruments of one prefix is not trusted to say when anything was made."""
    listed = TrustList(name="A list", operator="Operator", sequence=1, issued=NOW, policies=(POLICY,))
    assert _for_signing(listed).policies == ()
