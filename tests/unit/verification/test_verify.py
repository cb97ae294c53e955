"""Verification step by step: what each check finds on good and on bad evidence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rawtrace.errors import InputNotFoundError, UsageError
from rawtrace.report import Outcome, Report, Verdict
from rawtrace.sealing import binding, envelope, folderindex
from rawtrace.sealing.assertions import Capture
from rawtrace.sealing.envelope import LibraryWord
from rawtrace.sealing.seal import Seal, seal
from rawtrace.trust import authority as authorities
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity
from rawtrace.trust.trustlist import TrustList, read_list
from rawtrace.verification import findings
from rawtrace.verification.verify import verify

Lists = tuple[TrustList, ...]
NewIdentity = Callable[..., Identity]
OWNER = "https://ror.org/0exampe44"


def ids(report: Report) -> set[str]:
    return {one.id for one in report.findings}


@pytest.fixture
def sealed(tmp_path: Path, instrument: Identity) -> Path:
    path = tmp_path / "cells.dat"
    path.write_bytes(b"counts " * 100)
    seal(path, signer=instrument)
    return path


@pytest.fixture
def folder(tmp_path: Path, instrument: Identity) -> Path:
    path = tmp_path / "stack.zarr"
    path.mkdir()
    for name in ("zarr.json", "a", "b", "c"):
        (path / name).write_bytes(name.encode() * 9)
    seal(path, signer=instrument)
    return path


# --- step 1: what is there ----------------------------------------------------------------------------------------


def test_nothing_there_is_an_error_and_no_verdict_fail(tmp_path: Path) -> None:
    for name in ("x.dat", "x.dat.c2pa", "x.zarr.sha256"):
        with pytest.raises(InputNotFoundError):
            verify(tmp_path / name, trust=())


def test_a_seal_without_its_data_is_an_error_fail(sealed: Path, trust_lists: Lists) -> None:
    sealed.unlink()
    with pytest.raises(InputNotFoundError, match="is a seal, but the data"):
        verify(binding.sidecar_of(sealed), trust=trust_lists)


def test_data_without_a_seal(tmp_path: Path, trust_lists: Lists) -> None:
    path = tmp_path / "x.dat"
    path.write_bytes(b"x")
    report = verify(path, trust=trust_lists)
    assert (report.verdict, ids(report), report.seal, report.chain) == (Verdict.NO_SEAL, {"seal-missing"}, None, ())


@pytest.mark.parametrize("data", [b"", b"garbage", b"\0" * 100])
def test_a_seal_that_cannot_be_read(sealed: Path, trust_lists: Lists, data: bytes) -> None:
    binding.sidecar_of(sealed).write_bytes(data)
    report = verify(sealed, trust=trust_lists)
    assert (report.verdict, ids(report)) == (Verdict.REJECTED, {"seal-unreadable"})


def test_a_seal_cut_short(sealed: Path, trust_lists: Lists) -> None:
    sidecar = binding.sidecar_of(sealed)
    sidecar.write_bytes(sidecar.read_bytes()[:-1])
    assert verify(sealed, trust=trust_lists).verdict is Verdict.REJECTED


@pytest.mark.parametrize("name", ["cells.dat", "cells.dat.c2pa"])
def test_ways_to_name_a_file(sealed: Path, trust_lists: Lists, name: str) -> None:
    report = verify(sealed.with_name(name), trust=trust_lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert "asset-renamed" not in ids(report)


@pytest.mark.parametrize("name", ["stack.zarr", "stack.zarr.sha256", "stack.zarr.sha256.c2pa"])
def test_ways_to_name_a_folder(folder: Path, trust_lists: Lists, name: str) -> None:
    report = verify(folder.with_name(name), trust=trust_lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert {"bytes-unchanged", "seal-found"} <= ids(report)


def test_a_folder_named_by_a_dot(folder: Path, trust_lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert verify(Path(), trust=trust_lists).verdict is Verdict.VERIFIED_WITH_NOTES


def test_a_second_seal_inside_is_told(
    tmp_path: Path, instrument: Identity, workstation: Identity, trust_lists: Lists
) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    inside = seal(tmp_path / "a.png", signer=workstation, embed=True).asset
    seal(inside, signer=workstation)
    report = verify(inside, trust=trust_lists)
    assert "second-seal" in ids(report)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES


# --- step 2: the envelope -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [b"digitalCapture", b"SN-0001", b"Example Optics"])
def test_an_edited_statement(sealed: Path, trust_lists: Lists, word: bytes) -> None:
    sidecar = binding.sidecar_of(sealed)
    data = sidecar.read_bytes()
    assert word in data
    sidecar.write_bytes(data.replace(word, word[:-1] + b"X"))
    report = verify(sealed, trust=trust_lists)
    assert report.verdict is Verdict.REJECTED
    assert "envelope-broken" in ids(report)
    assert not {"envelope-sound", "readers-disagree"} & ids(report)


@pytest.mark.parametrize(
    "word", [LibraryWord(("claim.malformed",), False), LibraryWord(("no such thing",), False, readable=False)]
)
def test_readers_that_disagree(
    sealed: Path, trust_lists: Lists, monkeypatch: pytest.MonkeyPatch, word: LibraryWord
) -> None:
    monkeypatch.setattr(envelope, "library_word", lambda *_, **__: word)
    report = verify(sealed, trust=trust_lists)
    assert report.verdict is Verdict.REJECTED
    assert "readers-disagree" in ids(report)
    assert "envelope-sound" not in ids(report)


@pytest.mark.parametrize(("version", "told"), [(2, False), (3, True), ("3", False), (None, False), (3.0, False)])
def test_a_newer_statement_is_told(
    tmp_path: Path, forger: Any, instrument: Identity, trust_lists: Lists, version: Any, told: bool
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    said = {**forger.honest(instrument)["org.rawtrace.acquisition"], "version": version}
    report = verify(forger.forged(path, instrument, {"org.rawtrace.acquisition": said}), trust=trust_lists)
    assert ("statement-newer" in ids(report)) is told
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES


# --- step 3: the content ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [lambda d: d + b"x", lambda d: d[:-1], lambda _: b"", lambda d: b"C" + d[1:]],
    ids=["longer", "shorter", "empty", "flipped"],
)
def test_changed_bytes(sealed: Path, trust_lists: Lists, change: Any) -> None:
    before = sealed.read_bytes()
    sealed.write_bytes(change(before))
    report = verify(sealed, trust=trust_lists)
    (found,) = [one for one in report.findings if one.id == "bytes-changed"]
    assert (report.verdict, "bytes-unchanged" in ids(report)) == (Verdict.ALTERED, False)
    assert (f"it had {len(before)} bytes" in found.message) is (len(change(before)) != len(before))


def test_a_lie_about_the_size_changes_nothing(
    tmp_path: Path, forger: Any, instrument: Identity, trust_lists: Lists
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"four")
    said = {**forger.honest(instrument)["org.rawtrace.acquisition"], "size": 9_999}
    report = verify(forger.forged(path, instrument, {"org.rawtrace.acquisition": said}), trust=trust_lists)
    assert "bytes-unchanged" in ids(report)
    assert "all 4 bytes" in next(one.message for one in report.findings if one.id == "bytes-unchanged")


def break_folder(folder: Path, how: str) -> None:
    {
        "member-changed": lambda: (folder / "a").write_bytes(b"z"),
        "member-missing": (folder / "a").unlink,
        "member-extra": lambda: (folder / "d").write_bytes(b"new"),
        "member-renamed": lambda: (folder / "a").rename(folder / "d"),
        "member-odd": lambda: (folder / "link").symlink_to("a"),
        "index-missing": folderindex.index_of(folder).unlink,
        "bytes-changed": lambda: folderindex.index_of(folder).write_bytes(b"0" * 64 + b"  stack.zarr/a\n"),
        "index-unreadable": lambda: folderindex.index_of(folder).write_bytes(b"nonsense\n"),
    }[how]()


FOLDER_FAULTS = [
    "member-changed",
    "member-missing",
    "member-extra",
    "member-renamed",
    "member-odd",
    "index-missing",
    "bytes-changed",
]


@pytest.mark.parametrize("how", FOLDER_FAULTS)
def test_a_changed_folder_is_told_part_by_part(folder: Path, trust_lists: Lists, how: str) -> None:
    try:
        break_folder(folder, how)
    except OSError:
        pytest.skip("this account may not make links")
    report = verify(folder, trust=trust_lists)
    assert report.verdict is Verdict.ALTERED
    assert how in ids(report)
    assert "bytes-unchanged" not in ids(report)


def test_an_index_that_breaks_the_rules(folder: Path, trust_lists: Lists) -> None:
    break_folder(folder, "index-unreadable")
    report = verify(folder, trust=trust_lists)
    assert report.verdict is Verdict.REJECTED
    assert {"index-unreadable", "bytes-changed"} <= ids(report)


def test_a_folder_that_is_gone(folder: Path, trust_lists: Lists) -> None:
    shutil.rmtree(folder)
    report = verify(folderindex.index_of(folder), trust=trust_lists)
    assert (report.verdict, "folder-missing" in ids(report)) == (Verdict.ALTERED, True)


def test_many_changed_members_are_counted_after_the_first_fifty(
    tmp_path: Path, instrument: Identity, trust_lists: Lists
) -> None:
    path = tmp_path / "many.zarr"
    path.mkdir()
    for number in range(70):
        (path / f"{number:03}").write_bytes(b"x")
    seal(path, signer=instrument)
    for member in path.iterdir():
        member.write_bytes(b"y")
    changed = [one for one in verify(path, trust=trust_lists).findings if one.id == "member-changed"]
    assert (len(changed), changed[-1].message) == (51, "and 20 more")


def test_litter_is_no_part_of_the_data(folder: Path, trust_lists: Lists) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    report = verify(folder, trust=trust_lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert "system-litter" in ids(report)


def test_a_renamed_file(sealed: Path, trust_lists: Lists) -> None:
    binding.sidecar_of(sealed).rename(sealed.with_name("other.dat.c2pa"))
    report = verify(sealed.rename(sealed.with_name("other.dat")), trust=trust_lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert "asset-renamed" in ids(report)


def test_a_renamed_folder_with_its_index(folder: Path, trust_lists: Lists) -> None:
    for old in (folder.with_name("stack.zarr.sha256"), folder.with_name("stack.zarr.sha256.c2pa"), folder):
        old.rename(old.with_name(old.name.replace("stack", "other")))
    report = verify(folder.with_name("other.zarr"), trust=trust_lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert {"asset-renamed", "bytes-unchanged"} <= ids(report)


def test_the_seal_of_another_file(sealed: Path, tmp_path: Path, trust_lists: Lists) -> None:
    other = tmp_path / "other.dat"
    other.write_bytes(b"something else")
    shutil.copy(binding.sidecar_of(sealed), binding.sidecar_of(other))
    assert verify(other, trust=trust_lists).verdict is Verdict.ALTERED


# --- steps 4 and 5: certificate and status ------------------------------------------------------------------------


def test_good_evidence_passes_every_step(sealed: Path, trust_lists: Lists) -> None:
    report = verify(sealed, trust=trust_lists)
    passed = {one.id for one in report.findings if one.outcome is Outcome.PASSED}
    assert passed == {
        "seal-found",
        "envelope-sound",
        "bytes-unchanged",
        "path-good",
        "status-good",
        "ancestors-none",
        "statement-fits",
        "receipt-none",
    }
    assert ids(report) - passed == {"software-key", "no-trusted-time", "capture-manual"}
    assert [one.step for one in report.findings] == sorted(one.step for one in report.findings)
    assert [link.title for link in report.chain] == ["cells.dat"]
    assert report.seal is not None
    assert (report.seal.signer_kind, report.seal.digital_source_type) == ("instrument", "digitalCapture")


def test_without_trust_lists_nobody_is_relied_on(sealed: Path) -> None:
    report = verify(sealed, trust=())
    assert report.verdict is Verdict.INCONCLUSIVE
    assert {"no-trust-lists", "status-not-checked", "bytes-unchanged"} <= ids(report)


def test_an_authority_that_is_not_listed(sealed: Path, tmp_path: Path) -> None:
    authorities.create_authority(tmp_path / "other", name="Example Authority", owner=OWNER)
    lists = (read_list((tmp_path / "other" / authorities.TRUST_LIST_FILE).read_bytes(), source="other"),)
    report = verify(sealed, trust=lists)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "signer-unknown" in ids(report)
    assert "path-good" not in ids(report)


def test_who_certifies_itself_proves_no_capture(tmp_path: Path, self_instrument: Identity, trust_lists: Lists) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    seal(path, signer=self_instrument)
    report = verify(path, trust=trust_lists)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert {"signer-unknown", "self-certified", "capture-uncertified"} <= ids(report)


def test_long_after_the_certificate_has_run_out(sealed: Path, instrument: Identity, trust_lists: Lists) -> None:
    later = instrument.leaf.not_valid_after_utc + timedelta(days=1)
    report = verify(sealed, trust=trust_lists, now=later)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "certificate-expired" in ids(report)


def test_before_the_certificate_began(sealed: Path, instrument: Identity, trust_lists: Lists) -> None:
    earlier = instrument.leaf.not_valid_before_utc - timedelta(days=30)
    report = verify(sealed, trust=trust_lists, now=earlier)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert {"certificate-not-yet-valid", "clock-ahead"} <= ids(report)
    assert report.checked_at == earlier.astimezone(UTC).isoformat(timespec="seconds")


def test_a_claimed_time_before_the_certificate(
    tmp_path: Path, forger: Any, instrument: Identity, trust_lists: Lists
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    said = {**forger.honest(instrument)["org.rawtrace.acquisition"], "sealed_at": "2001-01-01T00:00:00+00:00"}
    report = verify(forger.forged(path, instrument, {"org.rawtrace.acquisition": said}), trust=trust_lists)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "certificate-not-yet-valid" in ids(report)


def test_a_stale_list_is_told(sealed: Path, trust_lists: Lists) -> None:
    stale = replace(trust_lists[0], next_update=datetime.now(UTC) - timedelta(days=1))
    assert "trust-list-stale" in ids(verify(sealed, trust=(stale,)))
    assert "trust-list-stale" not in ids(verify(sealed, trust=trust_lists))


def test_an_unsigned_list_is_told(sealed: Path, trust_lists: Lists) -> None:
    unsigned = replace(trust_lists[0], signer_sha256="", operator_sha256="")
    report = verify(sealed, trust=(unsigned,))
    assert "trust-list-unsigned" in ids(report)
    assert report.trust[0]["signed"] is False


def test_an_authority_that_was_withdrawn(sealed: Path, trust_lists: Lists) -> None:
    anchors = tuple(replace(one, granted=False) for one in trust_lists[0].anchors)
    report = verify(sealed, trust=(replace(trust_lists[0], anchors=anchors),))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "authority-withdrawn" in ids(report)


@pytest.mark.parametrize(
    ("reason", "days", "compromised", "found", "verdict"),
    [
        ("superseded", 1, None, "revoked-after", Verdict.VERIFIED_WITH_NOTES),
        ("keyCompromise", 1, None, "compromise-unproven", Verdict.INCONCLUSIVE),
        ("superseded", -1, None, "revoked-before", Verdict.REJECTED),
    ],
)
def test_a_status_speaks_against_the_signer(
    tmp_path: Path,
    new_identity: NewIdentity,
    reason: str,
    days: int,
    compromised: datetime | None,
    found: str,
    verdict: Verdict,
) -> None:
    past = datetime.now(UTC) - timedelta(days=10)
    place = tmp_path / "authority"
    authorities.create_authority(place, name="Own", owner=OWNER, now=past)
    signer = new_identity(SignerKind.INSTRUMENT, authority=place)
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    seal(path, signer=signer)
    at = datetime.now(UTC) + timedelta(days=days)
    authorities.revoke(place, serial=signer.leaf.serial_number, reason=reason, now=max(at, past))
    lists = (read_list((place / authorities.TRUST_LIST_FILE).read_bytes(), source="own"),)
    statuses = tuple(replace(one, revoked_at=at) for one in lists[0].statuses)
    report = verify(path, trust=(replace(lists[0], statuses=statuses),), now=max(at, datetime.now(UTC)))
    assert found in ids(report)
    assert report.verdict is verdict


# --- step 8: the statements ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["pid", "signer_kind", "profile_sha256"])
def test_a_seal_that_contradicts_its_certificate(
    tmp_path: Path, forger: Any, instrument: Identity, trust_lists: Lists, field: str
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    said = {**forger.honest(instrument)["org.rawtrace.instrument"], field: "something else"}
    report = verify(forger.forged(path, instrument, {"org.rawtrace.instrument": said}), trust=trust_lists)
    assert report.verdict is Verdict.REJECTED
    assert "statement-contradicts-certificate" in ids(report)
    assert "statement-fits" not in ids(report)


def test_a_hardware_key_that_the_certificate_does_not_know(
    tmp_path: Path, forger: Any, instrument: Identity, trust_lists: Lists
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    said = {**forger.honest(instrument)["org.rawtrace.instrument"], "assurance": "instrument-hardware-key"}
    report = verify(forger.forged(path, instrument, {"org.rawtrace.instrument": said}), trust=trust_lists)
    assert report.verdict is Verdict.REJECTED


@pytest.mark.parametrize(("signer", "term"), [("workstation", "digitalCapture"), ("instrument", "humanEdits")])
def test_a_statement_that_the_signer_may_not_make(
    request: pytest.FixtureRequest, tmp_path: Path, forger: Any, trust_lists: Lists, signer: str, term: str
) -> None:
    identity = request.getfixturevalue(signer)
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    uri = f"http://cv.iptc.org/newscodes/digitalsourcetype/{term}"
    steps = {"actions": [{"action": "c2pa.created", "digitalSourceType": uri}]}
    report = verify(forger.forged(path, identity, {"c2pa.actions.v2": steps}), trust=trust_lists)
    assert report.verdict is Verdict.REJECTED
    assert "wrong-signer-kind" in ids(report)


def test_an_instrument_that_hides_its_ancestors_in_its_own_statement(
    tmp_path: Path, forger: Any, instrument: Identity, trust_lists: Lists
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    said = {"version": 1, "inputs": [{"title": "b.dat", "sha256": "00" * 32, "relationship": "parentOf"}]}
    report = verify(forger.forged(path, instrument, {"org.rawtrace.inputs": said}), trust=trust_lists)
    assert report.verdict is Verdict.REJECTED
    assert {"wrong-signer-kind", "ancestor-unsealed"} <= ids(report)


def test_a_seal_without_our_statements(tmp_path: Path, forger: Any, workstation: Identity, trust_lists: Lists) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    changes = {"org.rawtrace.instrument": None, "org.rawtrace.acquisition": None}
    report = verify(forger.forged(path, workstation, changes), trust=trust_lists)
    assert "statement-missing" in ids(report)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES


def test_metadata_of_another_instrument_is_told(
    tmp_path: Path, forger: Any, instrument: Identity, trust_lists: Lists
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    values = [{"name": "instrument.serial", "value": "another", "source": "tag"}]
    said = {**forger.honest(instrument)["org.rawtrace.acquisition"], "metadata": {"values": values, "notes": []}}
    report = verify(forger.forged(path, instrument, {"org.rawtrace.acquisition": said}), trust=trust_lists)
    assert "metadata-differs" in ids(report)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES


@pytest.mark.parametrize("moment", ["", "yesterday", 5, None, ["2026"], "2026-13-45"])
def test_a_time_that_is_none(
    tmp_path: Path, forger: Any, instrument: Identity, trust_lists: Lists, moment: Any
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    honest = forger.honest(instrument)
    steps = [{k: v for k, v in step.items() if k != "when"} for step in honest["c2pa.actions.v2"]["actions"]]
    changes = {
        "org.rawtrace.acquisition": {**honest["org.rawtrace.acquisition"], "sealed_at": moment},
        "c2pa.actions.v2": {"actions": steps},
    }
    report = verify(forger.forged(path, instrument, changes), trust=trust_lists)
    assert "time-not-stated" in ids(report)


def test_every_finding_has_the_step_of_the_catalogue(sealed: Path, folder: Path, trust_lists: Lists) -> None:
    break_folder(folder, "member-extra")
    for report in (verify(sealed, trust=trust_lists), verify(folder, trust=()), verify(sealed, trust=())):
        assert [one.step for one in report.findings] == [
            int(findings.CATALOGUE[one.id].step) for one in report.findings
        ]
        assert report.summary
        assert not report.summary.endswith(".")


def test_a_name_for_a_seal_is_its_label_and_claim(tmp_path: Path, instrument: Identity, trust_lists: Lists) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    made: Seal = seal(path, signer=instrument)
    said = verify(path, trust=trust_lists).seal
    assert said is not None
    assert (said.label, said.claim_sha256) == (made.label, made.claim_sha256)


@pytest.mark.parametrize(
    ("capture", "told"),
    [
        (Capture.ENGINE_HOOK, ""),
        (Capture.WATCHED_FOLDER, "capture-watched-folder"),
        (Capture.MANUAL, "capture-manual"),
        (Capture.UPLOAD, "capture-upload"),
    ],
)
def test_weaker_ways_to_the_data_are_told(
    tmp_path: Path, instrument: Identity, trust_lists: Lists, capture: Capture, told: str
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    seal(path, signer=instrument, capture=capture)
    assert {one for one in ids(verify(path, trust=trust_lists)) if one.startswith("capture-")} == {told} - {""}


def test_a_repository_vouches_for_the_data_from_its_arrival_on(
    tmp_path: Path, new_identity: NewIdentity, trust_lists: Lists, authority: Path
) -> None:
    signer = new_identity(SignerKind.REPOSITORY)
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    seal(path, signer=signer, capture=Capture.UPLOAD)
    lists = (read_list((authority / authorities.TRUST_LIST_FILE).read_bytes(), source="now"),)
    report = verify(path, trust=lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert "certified-on-upload" in ids(report)


def test_the_seal_of_a_file_is_not_that_of_a_folder(tmp_path: Path, instrument: Identity, trust_lists: Lists) -> None:
    folder = tmp_path / "run.zarr"
    folder.mkdir()
    (folder / "a").write_bytes(b"x")
    index = folderindex.index_of(folder)
    index.write_bytes(folderindex.build_index(folder).data)
    folder.rename(tmp_path / "elsewhere")
    seal(index, signer=instrument)
    (tmp_path / "elsewhere").rename(folder)
    report = verify(folder, trust=trust_lists)
    assert "sealed-as-other-kind" in ids(report)
    assert report.verdict is Verdict.REJECTED


def test_a_seal_by_another_program(tmp_path: Path, forger: Any, trust_lists: Lists) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    made = forger.forge.manifest([forger.forge.ACTIONS, forger.forge.data_hash(b"x")])
    report = verify(forger.write(path, made), trust=trust_lists)
    assert {"signer-kind-unstated", "statement-missing", "bytes-unchanged", "signer-unknown"} <= ids(report)
    assert {one.id for one in report.findings if one.outcome is Outcome.REJECTED} <= {"readers-disagree"}


def test_a_time_without_a_zone_is_refused_fail(sealed: Path, trust_lists: Lists) -> None:
    with pytest.raises(UsageError, match="names no zone"):
        verify(sealed, trust=trust_lists, now=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_planted_companion_is_named(sealed: Path, trust_lists: Lists) -> None:
    assert "companion-unsealed" not in ids(verify(sealed, trust=trust_lists))
    binding.companion_of(sealed).write_text("{}")
    report = verify(sealed, trust=trust_lists)
    assert "companion-unsealed" in ids(report)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES


def test_the_report_says_how_much_was_read(sealed: Path, folder: Path, trust_lists: Lists) -> None:
    assert verify(sealed, trust=trust_lists).cost["bytes_read"] == sealed.stat().st_size
    members = sum(one.stat().st_size for one in folder.iterdir())
    assert verify(folder, trust=trust_lists).cost["bytes_read"] == members + folderindex.index_of(folder).stat().st_size


def test_the_library_is_not_asked_about_what_our_reader_refuses_fail(
    sealed: Path, trust_lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few malformed bytes make the library take more than a gigabyte of memory."""
    sidecar = binding.sidecar_of(sealed)
    data = sidecar.read_bytes()
    at = data.index(b"watched-folder") if b"watched-folder" in data else data.index(b"manual")
    sidecar.write_bytes(data[:at] + b"M" + data[at + 1 :])

    def never(*_: Any) -> LibraryWord:
        pytest.fail("the library was asked")

    monkeypatch.setattr(envelope, "library_word", never)
    report = verify(sealed, trust=trust_lists)
    assert report.verdict is Verdict.REJECTED
    assert "envelope-broken" in ids(report)
