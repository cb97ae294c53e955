"""``verify --online``: whose word counts, and what becomes of lies; servers on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.conftest import OWNER, make_record

import handleservers
from handleservers import HandleServer, handle_server, url_value
from rawtrace.config import CONFIG_VARIABLE
from rawtrace.report import Report, Verdict
from rawtrace.sealing.seal import seal
from rawtrace.trust import authority as authorities
from rawtrace.trust import trustlist, truststore
from rawtrace.trust.anchors import Anchor, Purpose
from rawtrace.trust.authorityfolder import open_authority, operator_key
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.handles import roots, values
from rawtrace.trust.handles.values import HandleValue
from rawtrace.trust.identity import Identity, create_identity
from rawtrace.trust.online import fetcher
from rawtrace.trust.trustlist import read_list
from rawtrace.verification.batch import Request, verify_many

PREFIX = "20.500.12345"
PID = f"https://hdl.handle.net/{PREFIX}/widefield-1"
HANDLE = f"{PREFIX}/widefield-1"


@dataclass(frozen=True)
class World:
    """A root, a store, its authority, and a file that one of its instruments sealed."""

    root: HandleServer
    store: HandleServer
    authority: Path
    identity: Identity
    file: Path

    @property
    def operator(self) -> str:
        path = self.authority / authorities.TRUST_LIST_FILE
        return read_list(path.read_bytes(), source="it").operator_sha256

    def publish(self) -> None:
        self.store.said["/trust-list"] = (self.authority / authorities.TRUST_LIST_FILE).read_bytes()

    def certificate(self) -> HandleValue:
        der = self.identity.chain[0].public_bytes(Encoding.DER)
        return HandleValue(index=500, type=values.INSTRUMENT_CERTIFICATE, data=der)

    def vouch(self, *operators: str) -> None:
        named = (values.text_value(20 + n, values.OPERATOR, f"sha256:{one}") for n, one in enumerate(operators))
        self.root.says(f"0.NA/{PREFIX}", self.store.site(), *named)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "settings"))
    return tmp_path / "settings"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with handle_server(0) as root, handle_server(1) as store:
        authority = tmp_path / "authority"
        authorities.create_authority(authority, name="Example Authority", owner=OWNER)
        identity = create_identity(
            tmp_path / "instrument", SignerKind.INSTRUMENT, make_record(pid=PID), authority=authority
        )
        file = tmp_path / "cells.dat"
        file.write_bytes(b"counts")
        seal(file, signer=identity)
        made = World(root, store, authority, identity, file)
        made.publish()
        made.vouch(made.operator)
        store.says(HANDLE, url_value(), made.certificate())
        yield made


def verify(file: Path, *trust: Path | str, online: bool = True) -> Report:
    (result,) = verify_many([file], Request(trust=tuple(Path(one) for one in trust), online=online))
    assert isinstance(result, Report), result
    return result


def findings(report: Report) -> dict[str, str]:
    return {one.id: one.message for one in report.findings}


# --- whose word does not count


def test_without_the_flag_nobody_is_asked_fail(world: World) -> None:
    roots.add_root(world.root.root(vouches=True))
    report = verify(world.file, online=False)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert world.root.asked == world.store.asked == []


def test_without_a_root_nobody_is_asked_fail(world: World) -> None:
    report = verify(world.file)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "no site is configured" in findings(report)["pid-not-resolved"]
    assert world.root.asked == world.store.asked == []


def test_a_root_that_only_leads_the_way_vouches_for_nobody_fail(world: World) -> None:
    roots.add_root(world.root.root())
    report = verify(world.file)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "pid-not-resolved" in findings(report)


def test_what_a_store_says_of_itself_is_not_enough_fail(world: World) -> None:
    roots.add_root(world.root.root(vouches=True))
    world.vouch()
    named = values.text_value(21, values.OPERATOR, f"sha256:{world.operator}")
    world.store.says(HANDLE, url_value(), world.certificate(), named)
    world.store.says(f"0.NA/{PREFIX}", world.store.site(), named)
    assert verify(world.file).verdict is Verdict.INCONCLUSIVE


def test_a_list_by_another_operator_does_not_count_fail(world: World) -> None:
    roots.add_root(world.root.root(vouches=True))
    world.vouch("ab" * 32)
    report = verify(world.file)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "signed by the operator" in findings(report)["pid-not-resolved"]


@pytest.mark.parametrize(
    "text", ["", "sha256:", "md5:" + "0" * 64, "{operator}", "sha256:{operator}0", "sha256:{operator}\n\nx"]
)
def test_an_odd_word_of_the_root_counts_for_nothing_fail(world: World, text: str) -> None:
    roots.add_root(world.root.root(vouches=True))
    odd = values.text_value(20, values.OPERATOR, text.replace("{operator}", world.operator))
    world.root.says(f"0.NA/{PREFIX}", world.store.site(), odd)
    assert verify(world.file).verdict is Verdict.INCONCLUSIVE


def test_a_referred_prefix_record_vouches_for_nobody_fail(world: World) -> None:
    roots.add_root(world.root.root(vouches=True))
    named = values.text_value(21, values.OPERATOR, f"sha256:{world.operator}")
    world.root.says(f"0.NA/{PREFIX}", world.store.site(), code=values.Code.PREFIX_REFERRAL)
    world.store.says(f"0.NA/{PREFIX}", world.store.site(), named)
    assert verify(world.file).verdict is Verdict.INCONCLUSIVE


def test_a_certificate_that_the_store_does_not_hold_fail(world: World) -> None:
    roots.add_root(world.root.root(vouches=True))
    world.store.says(HANDLE, url_value())
    report = verify(world.file)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "does not hold this certificate" in findings(report)["pid-not-resolved"]


def test_a_revoked_certificate_is_rejected_online_too_fail(world: World) -> None:
    roots.add_root(world.root.root(vouches=True))
    earlier = datetime.now(UTC) - timedelta(days=1)
    serial = world.identity.chain[0].serial_number
    authorities.revoke(world.authority, serial=serial, reason="keyCompromise", compromised_from=earlier)
    world.publish()
    assert verify(world.file).verdict in {Verdict.REJECTED, Verdict.INCONCLUSIVE}
    assert "status-good" not in findings(verify(world.file))


def test_an_altered_file_stays_altered_fail(world: World) -> None:
    roots.add_root(world.root.root(vouches=True))
    world.file.write_bytes(b"other")
    assert verify(world.file).verdict is Verdict.ALTERED


@pytest.mark.parametrize(
    "pid", ["https://instruments.example.org/wf1", "urn:uuid:6f1c9c52-6b0a-4c2e-9d3b-1e5a1c0f2a11"]
)
def test_a_pid_that_is_no_handle_fail(world: World, tmp_path: Path, pid: str) -> None:
    roots.add_root(world.root.root(vouches=True))
    other = create_identity(tmp_path / "x", SignerKind.INSTRUMENT, make_record(pid=pid), authority=world.authority)
    file = tmp_path / "other.dat"
    file.write_bytes(b"counts")
    seal(file, signer=other)
    report = verify(file)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "is not a handle" in findings(report)["pid-not-resolved"]
    assert world.root.asked == []


def test_an_authority_counts_for_its_own_prefix_only_fail(world: World, tmp_path: Path) -> None:
    """The facility of one prefix certifies an instrument of another one, and a figure shows both."""
    roots.add_root(world.root.root(vouches=True))
    foreign = "https://hdl.handle.net/20.500.777/theirs"
    other = create_identity(tmp_path / "x", SignerKind.INSTRUMENT, make_record(pid=foreign), authority=world.authority)
    own = make_record(SignerKind.WORKSTATION, pid=f"https://hdl.handle.net/{PREFIX}/workstation")
    workstation = create_identity(tmp_path / "w", SignerKind.WORKSTATION, own, authority=world.authority)
    parent, figure = tmp_path / "parent.dat", tmp_path / "figure.dat"
    parent.write_bytes(b"counts")
    seal(parent, signer=other)
    figure.write_bytes(b"figure")
    seal(figure, signer=workstation, parents=[parent])
    for code in ("0.NA/20.500.777", "0.NA/20.500", "0.NA/20"):
        world.root.says(code, code=values.Code.NOT_FOUND)
    der = workstation.chain[0].public_bytes(Encoding.DER)
    listed = HandleValue(index=500, type=values.INSTRUMENT_CERTIFICATE, data=der)
    world.store.says(f"{PREFIX}/workstation", listed)
    report = verify(figure)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert any("its own prefix only" in one.message for one in report.findings)
    assert "resolved-online" not in findings(report)


@pytest.mark.parametrize(
    "said", [b"", b"no list", b"a.b.c", (404, b""), handleservers.redirect_to("https://127.0.0.1:1/")]
)
def test_a_store_without_a_list_fail(world: World, said: Any) -> None:
    roots.add_root(world.root.root(vouches=True))
    world.store.said["/trust-list"] = said
    report = verify(world.file)
    assert (report.verdict, report.exit_code) == (Verdict.INCONCLUSIVE, 11)
    assert "pid-not-resolved" in findings(report)


def test_what_was_found_does_not_heal_whom_the_readers_own_list_withdrew_fail(world: World, tmp_path: Path) -> None:
    """A list of the reader no longer grants the ancestor's authority; the found list would."""
    roots.add_root(world.root.root(vouches=True))
    other = tmp_path / "other"
    authorities.create_authority(other, name="Withdrawn Authority", owner=OWNER)
    theirs = make_record(pid="https://hdl.handle.net/20.500.777/theirs")
    ancestor = create_identity(tmp_path / "x", SignerKind.INSTRUMENT, theirs, authority=other)
    own = make_record(SignerKind.WORKSTATION, pid=f"https://hdl.handle.net/{PREFIX}/workstation")
    workstation = create_identity(tmp_path / "w", SignerKind.WORKSTATION, own, authority=world.authority)
    parent, figure = tmp_path / "parent.dat", tmp_path / "figure.dat"
    parent.write_bytes(b"counts")
    seal(parent, signer=ancestor)
    figure.write_bytes(b"figure")
    seal(figure, signer=workstation, parents=[parent])
    der = workstation.chain[0].public_bytes(Encoding.DER)
    world.store.says(f"{PREFIX}/workstation", HandleValue(index=500, type=values.INSTRUMENT_CERTIFICATE, data=der))
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    withdrawn = Anchor(
        certificate=open_authority(other).root, purpose=Purpose.SIGNING, name="them", granted=False, since=since
    )
    held = tmp_path / "held.jws"
    held.write_bytes(_list_of(other, withdrawn))
    both = tuple(
        Anchor(certificate=open_authority(one).root, purpose=Purpose.SIGNING, name=one.name)
        for one in (world.authority, other)
    )
    world.store.said["/trust-list"] = _list_of(world.authority, *both, sequence=9)
    report = verify(figure, held)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "resolved-online" not in findings(report)


# --- as it should be


def test_a_root_that_vouches_leads_to_verified_with_notes(world: World) -> None:
    roots.add_root(world.root.root(vouches=True, name="Example root"))
    report = verify(world.file)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    (said,) = [one for one in report.findings if one.id == "resolved-online"]
    assert "the root Example root vouches for its operator" in said.message
    assert [(one["handle"], one["url"]) for one in said.evidence["asked"]] == [
        (f"0.NA/{PREFIX}", world.root.url),
        (HANDLE, world.store.url),
    ]
    assert all(one["age_s"] < 60 for one in said.evidence["asked"])
    assert [one["name"] for one in report.trust] == ["Example Authority"]


def test_an_operator_that_was_accepted_before_needs_no_voucher(world: World, tmp_path: Path) -> None:
    """The reader holds an old list of the operator, from before the authority was on it."""
    roots.add_root(world.root.root())
    held = tmp_path / "held.jws"
    held.write_bytes(_without_authorities(world.authority))
    assert verify(world.file, held, online=False).verdict is Verdict.INCONCLUSIVE
    report = verify(world.file, held)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert "you accepted before" in findings(report)["resolved-online"]


def test_a_list_from_an_address_is_fetched_again(world: World) -> None:
    address = f"{world.store.url}#sha256={world.operator}&key={world.store.key.sha256()}"
    truststore.add(address, fetch=fetcher())
    serial = world.identity.chain[0].serial_number
    assert verify(world.file).verdict is Verdict.VERIFIED_WITH_NOTES
    authorities.revoke(world.authority, serial=serial, reason="cessationOfOperation")
    world.publish()
    assert "status-good" in findings(verify(world.file, online=False))
    report = verify(world.file)
    assert "issue 3" in findings(report)["list-refreshed"]
    assert "status-good" not in findings(report)


def test_a_list_that_cannot_be_fetched_again_is_said(world: World) -> None:
    address = f"{world.store.url}#sha256={world.operator}&key={world.store.key.sha256()}"
    truststore.add(address, fetch=fetcher())
    world.store.said["/trust-list"] = (503, b"")
    report = verify(world.file)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert "503" in findings(report)["list-not-refreshed"]


def test_one_question_for_a_whole_batch(world: World, tmp_path: Path) -> None:
    roots.add_root(world.root.root(vouches=True))
    files = [tmp_path / f"{number}.dat" for number in range(5)]
    for file in files:
        file.write_bytes(b"counts")
        seal(file, signer=world.identity)
    results = list(verify_many(files, Request(trust=(), online=True)))
    assert {one.verdict for one in results if isinstance(one, Report)} == {Verdict.VERIFIED_WITH_NOTES}
    assert len(world.root.asked) == 1


def test_network_code_is_not_imported_offline(world: World) -> None:
    code = (
        "import sys; from rawtrace.cli.main import run_for_code\n"
        f"run_for_code(['verify', {str(world.file)!r}, '--trust', {str(world.authority)!r}, '--quiet'])\n"
        "names = ('httpx', 'rawtrace.trust.online', 'rawtrace.trust.handles.resolve', 'rawtrace.verification.online')\n"
        "print([one for one in names "
        "if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- --trust URL


def test_an_address_without_a_digest_is_refused_before_it_is_asked_fail(world: World) -> None:
    with pytest.raises(Exception, match="no operator of a list there is known yet"):
        verify(world.file, world.store.url, online=False)
    assert world.store.asked == []


def test_an_address_with_another_digest_fail(world: World) -> None:
    with pytest.raises(Exception, match="signed by the operator"):
        verify(world.file, f"{world.store.url}#sha256={'0' * 64}&key={world.store.key.sha256()}", online=False)


def test_an_address_with_another_key_fail(world: World) -> None:
    with pytest.raises(Exception, match="another key"):
        verify(world.file, f"{world.store.url}#sha256={world.operator}&key={'0' * 64}", online=False)
    assert world.store.asked == []


@pytest.mark.parametrize(
    "fragment", ["sha256", "sha256=xyz", "sha256=", "key=00", "other=" + "0" * 64, "&", "sha256=" + "0" * 63]
)
def test_an_odd_fragment_fail(world: World, fragment: str) -> None:
    with pytest.raises(Exception, match="64 hexadecimal digits"):
        verify(world.file, f"{world.store.url}#{fragment}", online=False)


def test_an_old_copy_at_an_address_hides_nothing(world: World) -> None:
    old = (world.authority / authorities.TRUST_LIST_FILE).read_bytes()
    authorities.revoke(world.authority, serial=world.identity.chain[0].serial_number, reason="cessationOfOperation")
    truststore.add(world.authority)
    world.store.said["/trust-list"] = old
    report = verify(world.file, f"{world.store.url}#key={world.store.key.sha256()}", online=False)
    assert "status-good" not in findings(report)


def test_an_address_with_its_digest(world: World) -> None:
    address = f"{world.store.url}#sha256={world.operator}&key={world.store.key.sha256()}"
    assert verify(world.file, address, online=False).verdict is Verdict.VERIFIED_WITH_NOTES
    assert world.store.asked == ["/trust-list"]


def _without_authorities(folder: Path) -> bytes:
    root = open_authority(folder).root
    return _list_of(folder, Anchor(certificate=root, purpose=Purpose.TIMESTAMP, name="time only"), sequence=0)


def _list_of(folder: Path, *anchors: Anchor, sequence: int = 1) -> bytes:
    authority = open_authority(folder)
    now = datetime.now(UTC).replace(microsecond=0)
    payload = trustlist.build_list(
        name=authority.name,
        operator=authority.name,
        sequence=sequence,
        issued=now,
        next_update=None,
        anchors=anchors,
    )
    return trustlist.sign_list(payload, key=operator_key(authority), chain=authority.operator)
