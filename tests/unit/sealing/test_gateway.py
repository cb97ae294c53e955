"""Counter-signing a delivered seal: what is not built upon, stamps that lie, and that nothing older changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rawtrace.errors import (
    CertificateError,
    Error,
    ForbiddenSealError,
    NetworkError,
    SealUnreadableError,
    TimeStampError,
)
from rawtrace.report import Verdict
from rawtrace.sealing.gateway import Countersigned, countersign, is_countersigned_by, unchanged_in
from rawtrace.sealing.jumbf import parse
from rawtrace.sealing.manifest import read_store
from rawtrace.sealing.seal import seal
from rawtrace.sealing.timeclient import request
from rawtrace.trust import authority as authorities
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity
from rawtrace.trust.timeauthority import TimeAuthority, create_time_authority
from rawtrace.trust.trustlist import TrustList, read_list
from rawtrace.verification.verify import verify

Stamp = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def above(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gateway") / "authority"
    authorities.create_authority(folder, name="Example Authority")
    return folder


@pytest.fixture(scope="module")
def time_authority(above: Path) -> TimeAuthority:
    create_time_authority(above.parent / "time", authority=above)
    return TimeAuthority(above.parent / "time")


@pytest.fixture(scope="module")
def stamp(time_authority: TimeAuthority) -> Stamp:
    return lambda query: time_authority.answer(query).body


@pytest.fixture(scope="module")
def repository(above: Path, new_identity: Any) -> Identity:
    return new_identity(SignerKind.REPOSITORY, authority=above, name="Example Archive")


@pytest.fixture(scope="module")
def scope(above: Path, new_identity: Any) -> Identity:
    return new_identity(SignerKind.INSTRUMENT, authority=above)


@pytest.fixture
def lists(above: Path, time_authority: TimeAuthority) -> tuple[TrustList, ...]:
    return (read_list((above / authorities.TRUST_LIST_FILE).read_bytes(), source="test"),)


@pytest.fixture
def asset(tmp_path: Path, scope: Identity) -> Path:
    path = tmp_path / "cells.tif"
    path.write_bytes(b"II*\0" + b"some pixels" * 90)
    seal(path, signer=scope)
    return path


@pytest.fixture
def sidecar(asset: Path) -> bytes:
    return asset.with_name("cells.tif.c2pa").read_bytes()


@pytest.fixture
def made(sidecar: bytes, repository: Identity, stamp: Stamp, lists: tuple[TrustList, ...]) -> Countersigned:
    return countersign(sidecar, signer=repository, stamp=stamp, lists=lists)


def boxes(store: bytes) -> list[bytes]:
    return [store[box.start : box.end] for box in parse(store).superboxes()]


def rebuilt(*manifests: bytes, like: bytes) -> bytes:
    """A manifest store of some manifests."""
    first = parse(like).children[0]
    inner = like[8 : first.start] + b"".join(manifests)
    return (len(inner) + 8).to_bytes(4, "big") + b"jumb" + inner


# --- what is not built upon


@pytest.mark.parametrize("bad", [b"", b"nonsense", b"\0\0\0\x10jumb" + b"\0" * 8])
def test_what_is_no_seal_fail(bad: bytes, repository: Identity) -> None:
    with pytest.raises(SealUnreadableError):
        countersign(bad, signer=repository)


def test_every_seal_that_was_tampered_with_fail(sidecar: bytes, repository: Identity) -> None:
    """A bent seal is refused, or the bent bytes are none that anybody signed and it stays bent as it was."""
    refused = 0
    for place in range(60, len(sidecar), len(sidecar) // 40):
        bent = bytearray(sidecar)
        bent[place] ^= 1
        try:
            made = countersign(bytes(bent), signer=repository)
        except Error:
            refused += 1
        else:
            assert boxes(made.store)[0] == boxes(bytes(bent))[0]
    assert refused > 30


@pytest.mark.parametrize("kind", ["instrument", "workstation", "self_instrument"])
def test_other_signers_fail(kind: str, sidecar: bytes, request: pytest.FixtureRequest) -> None:
    with pytest.raises(ForbiddenSealError, match="only a certified repository"):
        countersign(sidecar, signer=request.getfixturevalue(kind))


def test_certificate_that_has_run_out_fail(sidecar: bytes, repository: Identity) -> None:
    with pytest.raises(CertificateError, match="valid from"):
        countersign(sidecar, signer=repository, now=datetime.now(UTC) + timedelta(days=9_000))


# --- stamps that lie


def test_clock_that_refuses_fail(
    sidecar: bytes, repository: Identity, time_authority: TimeAuthority, lists: tuple[TrustList, ...]
) -> None:
    with pytest.raises(TimeStampError, match="no time stamp was to be had") as caught:
        countersign(sidecar, signer=repository, stamp=_down, lists=lists)
    assert "does not answer" in caught.value.message
    with pytest.raises(Error):
        countersign(sidecar, signer=repository, stamp=lambda _: time_authority.answer(b"").body, lists=lists)


def _down(_query: bytes) -> bytes:
    msg = "https://time.example.org does not answer"
    raise NetworkError(msg)


@pytest.mark.parametrize("reply", [b"", b"nonsense", b"\x30\x80\x30", b"\x30\x03\x02\x01\x00"])
def test_answer_that_is_none_fail(
    reply: bytes, sidecar: bytes, repository: Identity, lists: tuple[TrustList, ...]
) -> None:
    with pytest.raises(Error):
        countersign(sidecar, signer=repository, stamp=lambda _: reply, lists=lists)


def test_stamp_of_something_else_fail(
    sidecar: bytes, repository: Identity, stamp: Stamp, lists: tuple[TrustList, ...]
) -> None:
    with pytest.raises(Error):
        countersign(sidecar, signer=repository, stamp=lambda _: stamp(request(b"\1" * 32)), lists=lists)


def test_clock_that_no_list_names_fail(
    sidecar: bytes, repository: Identity, stamp: Stamp, trust_lists: tuple[TrustList, ...]
) -> None:
    with pytest.raises(TimeStampError, match="do not hold"):
        countersign(sidecar, signer=repository, stamp=stamp, lists=trust_lists)
    with pytest.raises(TimeStampError, match="do not hold"):
        countersign(sidecar, signer=repository, stamp=stamp, lists=())


# --- what comes of it


def test_nothing_older_changes(sidecar: bytes, made: Countersigned) -> None:
    before, after = boxes(sidecar), boxes(made.store)
    assert after[:-1] == before
    assert len(after) == len(before) + 1
    old, new = read_store(sidecar), read_store(made.store)
    assert (new.active, new.active_manifest.is_update, new.active_manifest.bindings) == (made.label, True, ())
    assert new.bound_manifest() == old.active_manifest
    assert unchanged_in(sidecar, made.store)
    assert unchanged_in(sidecar, sidecar)


def test_verdict_gets_no_worse(
    asset: Path, made: Countersigned, lists: tuple[TrustList, ...], repository: Identity
) -> None:
    before = verify(asset, trust=lists)
    asset.with_name("cells.tif.c2pa").write_bytes(made.store)
    after = verify(asset, trust=lists)
    assert before.verdict is after.verdict is Verdict.VERIFIED_WITH_NOTES
    ids = {finding.id for finding in after.findings}
    assert {"counter-signed", "time-trusted"} <= ids
    assert not ids & {"no-trusted-time", "certified-on-upload", "statement-missing"}
    assert "no trusted time" not in next(one.message for one in after.findings if one.id == "ancestor-noted")
    assert before.seal is not None
    assert after.seal is not None
    # The report still tells who recorded the data.
    assert (after.seal.signer, after.seal.instrument) == (before.seal.signer, before.seal.instrument)
    assert after.seal.trusted_time
    asset.write_bytes(b"other data")
    assert verify(asset, trust=lists).verdict is Verdict.ALTERED


def test_stamp_outlives_the_instruments_certificate(
    asset: Path, made: Countersigned, lists: tuple[TrustList, ...]
) -> None:
    later = datetime.now(UTC) + timedelta(days=800)
    assert verify(asset, trust=lists, now=later).verdict is Verdict.INCONCLUSIVE
    asset.with_name("cells.tif.c2pa").write_bytes(made.store)
    assert verify(asset, trust=lists, now=later).verdict is Verdict.VERIFIED_WITH_NOTES


def test_without_a_clock(sidecar: bytes, repository: Identity) -> None:
    made = countersign(sidecar, signer=repository)
    assert made.time is None
    assert unchanged_in(sidecar, made.store)


def test_by_two_institutions(
    asset: Path,
    made: Countersigned,
    above: Path,
    new_identity: Any,
    repository: Identity,
    stamp: Stamp,
    lists: tuple[TrustList, ...],
) -> None:
    other = new_identity(SignerKind.REPOSITORY, authority=above, name="Example Library")
    assert is_countersigned_by(read_store(made.store), repository)
    assert not is_countersigned_by(read_store(made.store), other)
    twice = countersign(made.store, signer=other, stamp=stamp, lists=lists)
    assert unchanged_in(made.store, twice.store)
    assert all(is_countersigned_by(read_store(twice.store), one) for one in (repository, other))
    asset.with_name("cells.tif.c2pa").write_bytes(twice.store)
    assert verify(asset, trust=lists).verdict is Verdict.VERIFIED_WITH_NOTES


# --- telling a newer seal from another


def test_newer_that_is_not_ours_fail(
    sidecar: bytes, made: Countersigned, tmp_path: Path, scope: Identity, repository: Identity
) -> None:
    foreign = tmp_path / "other.tif"
    foreign.write_bytes(b"II*\0other pixels")
    seal(foreign, signer=scope)
    theirs = foreign.with_name("other.tif.c2pa").read_bytes()
    (ours,), (their_own,), update = boxes(sidecar), boxes(theirs), boxes(made.store)[1]
    assert not unchanged_in(sidecar, theirs)
    assert not unchanged_in(sidecar, countersign(theirs, signer=repository).store)
    # Ours is in there, but the newest manifest is another's.
    assert not unchanged_in(sidecar, rebuilt(ours, their_own, like=sidecar))
    assert not unchanged_in(sidecar, rebuilt(update, like=sidecar))
    assert not unchanged_in(made.store, sidecar)
    bent = bytearray(made.store)
    bent[made.store.index(ours) + len(ours) - 3] ^= 1
    assert not unchanged_in(sidecar, bytes(bent))


def test_our_manifest_twice_fail(sidecar: bytes, made: Countersigned) -> None:
    ours, update = boxes(made.store)
    bent = bytearray(ours)
    bent[-3] ^= 1
    for order in ((ours, bytes(bent), update), (bytes(bent), ours, update)):
        newer = rebuilt(*order, like=sidecar)
        assert any(manifest.problems for manifest in read_store(newer).manifests.values())
        assert not unchanged_in(sidecar, newer)
