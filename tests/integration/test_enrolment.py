"""Enrolment and renewal by a real client from a real server over TLS: keys in files and in a token."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from enrolments import OTHER, PID, Maker, key, record
from rawtrace import durable
from rawtrace.errors import EnrolmentError, Error, NetworkError, RefusedError
from rawtrace.server import enrolment as enrolments
from rawtrace.server.access import Role
from rawtrace.server.run import server_key
from rawtrace.server.store import Store
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, enrolling, estclient, identity, register
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.estclient import EstClient, Later, Origin, Proof
from rawtrace.trust.keys import Algorithm, Protection
from rawtrace.trust.pkcs11 import TokenOptions
from stores import Running, client, found, running, token

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


class Site:
    """A store that answers over TLS, and the folders of those who enrol."""

    def __init__(self, run: Running, folder: Path) -> None:
        self.store, self.url, self.folder = run.store, run.url, folder
        self.origin = Origin(url=run.url, server_key_sha256=server_key(run.store.folder))

    def code(self, pid: str = PID, **more: Any) -> str:
        answer = client(self.store, Role.OPERATOR).post("/enrolments", json={"record": record(pid)} | more)
        assert answer.status_code == 201, answer.text
        return str(answer.json().get("code", ""))

    def enrol(self, name: str = "scope", pid: str = PID, **options: Any) -> Any:
        if "proof" not in options:
            options["proof"] = Proof(pid=pid, code=options.pop("code", "") or self.code(pid))
        options.setdefault("origin", self.origin)
        return enrolling.enrol_identity(self.folder / name, SignerKind.INSTRUMENT, **options)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = found(tmp_path / "store", url="https://127.0.0.1:8650", tls=True)
    with Store.open(folder) as store, running(store) as run:
        yield Site(run, tmp_path)


def test_identity_is_enrolled_and_renewed_over_tls(site: Site) -> None:
    made = site.enrol()
    assert (made.kind, certificates.pid_of(made.leaf), made.record) == (SignerKind.INSTRUMENT, PID, record())
    origin = enrolling.read_origin(made.folder)
    assert origin is not None
    assert len(origin.root_sha256) == 64
    assert sorted(path.name for path in made.folder.iterdir()) == [
        "certificate.pem", "identity.json", "instrument.json", "key.json", "key.pem",
    ]  # fmt: skip
    assert (made.folder / "key.pem").stat().st_mode & 0o777 == 0o600
    same = enrolling.renew_online(made.folder)
    assert isinstance(same, identity.Identity)
    assert same.leaf == made.leaf  # as good as new
    changed = enrolling.renew_online(made.folder, new_key=True)
    assert isinstance(changed, identity.Identity)
    assert changed.leaf.public_key() != made.leaf.public_key()
    again = enrolling.renew_online(made.folder)
    assert isinstance(again, identity.Identity)
    assert again.leaf == changed.leaf
    assert sorted(path.name.partition("-")[2] for path in (made.folder / "past").iterdir()) == [
        "certificate.pem", "instrument.json",
    ]  # fmt: skip


def test_renewal_takes_over_what_is_registered_now(site: Site) -> None:
    made = site.enrol()
    moved = record() | {"rawtrace": {"location": "Building 5"}}
    address = f"/instruments/{PID}"
    operator = client(site.store, Role.OPERATOR)
    tag = operator.get(address, headers={"Accept": "application/json"}).headers["etag"]
    assert operator.put(address, json=moved, headers={"If-Match": tag}).status_code == 200
    renewed = enrolling.renew_online(made.folder)
    assert isinstance(renewed, identity.Identity)
    assert renewed.record == moved


def test_fail_given_options_that_differ_from_the_register(site: Site) -> None:
    code = site.code()
    with pytest.raises(EnrolmentError, match="manufacturer: registered is 'Example Optics', given is 'Other'"):
        site.enrol(code=code, given={"name": "Widefield 1", "manufacturer": "Other"})
    with pytest.raises(EnrolmentError, match="registered as instrument"):
        enrolling.enrol_identity(
            site.folder / "scope", SignerKind.WORKSTATION, origin=site.origin, proof=Proof(pid=PID, code=code)
        )
    assert not (site.folder / "scope").exists()
    assert site.enrol(code=code, given={"name": "Widefield 1", "manufacturer": "Example Optics"})


def test_fail_wrong_code_leaves_no_folder_and_no_key(site: Site) -> None:
    site.code()
    with pytest.raises(RefusedError, match="401"):
        site.enrol(code="0" * 25)
    assert not (site.folder / "scope").exists()
    assert "0" * 25 not in repr(Proof(pid=PID, code="0" * 25))


def test_fail_server_with_another_key(site: Site) -> None:
    code = site.code()
    with pytest.raises(NetworkError, match="another key"):
        site.enrol(code=code, origin=Origin(url=site.url, server_key_sha256="0" * 64))
    assert not (site.folder / "scope").exists()


def test_fail_another_authority_in_its_place(site: Site) -> None:
    made = site.enrol()
    path = made.folder / "identity.json"
    path.write_text(path.read_text().replace(enrolling.read_origin(made.folder).root_sha256, "0" * 64))  # type: ignore[union-attr]
    with pytest.raises(EnrolmentError, match="another authority"):
        enrolling.renew_online(made.folder, new_key=True)
    assert identity.load_identity(made.folder).leaf == made.leaf


@pytest.mark.parametrize("wrong", ["key", "PID", "record", "authority", "time"])
def test_fail_answer_that_was_not_asked_for(site: Site, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    made = site.enrol()
    folder = site.store.authority_folder
    if wrong == "authority":
        folder = site.folder / "stranger"
        authorities.create_authority(folder, name="Example facility")
    asked = record(OTHER) if wrong == "PID" else record(serial="x") if wrong == "record" else record()
    held = key() if wrong in {"key", "PID"} else made.key
    old = {"now": datetime.now(UTC) - timedelta(days=400)} if wrong == "time" else {}
    request = authorities.make_request(SignerKind.INSTRUMENT, asked, held)
    leaf = authorities.issue(folder, request, renews=made.leaf, days=30, **old)[0] if not old else None
    if leaf is None:
        grant = estclient.enrolment.Grant(pid=PID, kind=SignerKind.INSTRUMENT, record=record())
        with pytest.raises(EnrolmentError, match="time"):
            estclient.check_answer(
                made.leaf,
                key=made.key,
                grant=grant,
                authority=made.chain[1],
                at=datetime.now(UTC) + timedelta(days=400),
            )
        return
    monkeypatch.setattr(EstClient, "ask", lambda *_, **__: leaf)
    before = {path: path.read_bytes() for path in made.folder.glob("*.*")}
    with pytest.raises(EnrolmentError, match=f"differs in.*{wrong}"):
        enrolling.renew_online(made.folder)
    assert {path: path.read_bytes() for path in made.folder.glob("*.*")} == before
    assert identity.load_identity(made.folder).leaf == made.leaf


def test_lost_answer_and_kill_before_writing_lead_to_one_certificate(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, real = site.code(), EstClient.ask

    def lost(self: EstClient, csr: bytes, *, again: bool) -> Any:
        real(self, csr, again=again)
        msg = "the line went dead"
        raise NetworkError(msg)

    monkeypatch.setattr(EstClient, "ask", lost)
    for _ in range(2):
        with pytest.raises(NetworkError):
            site.enrol(code=code)
    with pytest.raises(Error, match="waits for its certificate"):
        identity.load_identity(site.folder / "scope")
    monkeypatch.setattr(EstClient, "ask", real)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(identity, "put_in_place", killed)
        with pytest.raises(KeyboardInterrupt):
            site.enrol(code=code)
    with monkeypatch.context() as patched:
        patched.setattr(identity, "finish_renewal", _nothing)
        with contextlib.suppress(Error):
            site.enrol(code=code)
    made = site.enrol(code=code)
    assert [item.serial for item in register.issued(site.store.authority_folder)] == [made.leaf.serial_number]


def _nothing(*_: Any) -> None:
    """Stand for a process that died before its last step."""


def test_renewal_that_was_cut_short_gets_the_same_certificate(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    made = site.enrol()
    for step in ("put_in_place", "finish_renewal"):
        with monkeypatch.context() as patched:
            patched.setattr(identity, step, _die if step == "put_in_place" else _nothing)
            with contextlib.suppress(KeyboardInterrupt, Error):
                enrolling.renew_online(made.folder, new_key=True)
    renewed = enrolling.renew_online(made.folder, new_key=True)
    assert isinstance(renewed, identity.Identity)
    issued = register.issued(site.store.authority_folder)
    assert len(issued) <= 3
    assert issued[-1].serial == renewed.leaf.serial_number


def _die(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_officer_decides_while_the_instrument_waits(site: Site) -> None:
    code = site.code(approval=True)
    later = site.enrol(code=code)
    assert later == Later(again_s=300)
    assert site.enrol(code=code) == later
    (waiting, *_), _ = enrolments.page(site.store, state="waiting")
    enrolments.decide(site.store, waiting["id"], approve=True, by="officer")
    assert site.enrol(code=code).kind is SignerKind.INSTRUMENT


def test_new_code_helps_when_the_certificate_is_not_good_any_more(site: Site) -> None:
    made = site.enrol()
    authorities.revoke(site.store.authority_folder, pid=PID, reason="affiliationChanged")
    with pytest.raises(RefusedError, match="is revoked"):
        enrolling.renew_online(made.folder)
    proof = Proof(pid=PID, code=site.code())
    renewed = enrolling.renew_online(made.folder, proof=proof)
    assert isinstance(renewed, identity.Identity)
    assert renewed.leaf != made.leaf


def test_device_certificate_enrols_over_tls(tmp_path: Path) -> None:
    maker, device = Maker(), key(Algorithm.ES256)
    more = '\n[enrolment]\ndevice_authorities = ["makers.pem"]\n'
    folder = found(tmp_path / "store", more=more, url="https://127.0.0.1:8650", tls=True)
    (folder / "makers.pem").write_bytes(certificates.to_pem([maker.certificate]))
    (tmp_path / "device.pem").write_bytes(certificates.to_pem([maker.device("SN-7", device.public_key())]))
    pem = device.pkcs8_pem()
    assert pem is not None
    durable.write_new(tmp_path / "device.key", pem, mode=0o600)
    with Store.open(folder) as store, running(store) as run:
        site = Site(run, tmp_path)
        site.code(device={"maker": maker.sha256, "serial_number": "SN-7"})
        made = site.enrol(proof=Proof(pid=PID, device=(tmp_path / "device.pem", tmp_path / "device.key")))
        assert made.leaf.public_key() != device.public_key()
        assert isinstance(enrolling.renew_online(made.folder), identity.Identity)


# --- tokens -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenOptions]:
    """A token of SoftHSM, behaving like hardware."""
    if shutil.which("softhsm2-util") is None or not SOFTHSM.exists():
        pytest.skip("softhsm2 is not installed")
    pytest.importorskip("pkcs11")
    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    before = os.environ.get("SOFTHSM2_CONF")
    # SoftHSM reads it once for a process, so whatever was first stays.
    os.environ["SOFTHSM2_CONF"] = before or str(folder / "softhsm2.conf")
    pin = folder / "pin"
    pin.touch(mode=0o600)
    pin.write_text("4711")
    label = "enrolment"
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", "4711", "--so-pin", "47110815"],
        check=True, capture_output=True,
    )  # fmt: skip
    yield TokenOptions(module=SOFTHSM, token=label, pin_file=pin)
    if before is None:
        os.environ.pop("SOFTHSM2_CONF", None)


def test_key_in_a_token_is_enrolled_and_renewed_and_never_leaves(site: Site, hsm: TokenOptions) -> None:
    made = site.enrol(code=site.code(hardware=True), algorithm=Algorithm.ES256, token=hsm)
    assert not (made.folder / "key.pem").exists()
    assert certificates.key_protection(made.leaf) is Protection.HARDWARE
    with pytest.raises(EnrolmentError, match="has no token"):
        enrolling.renew_online(made.folder)
    secret = site.folder / "bearer"
    secret.write_text(token(site.store, Role.INSTRUMENT, pid=PID))
    path = made.folder / "identity.json"
    path.write_text(path.read_text().replace('"token_file": ""', f'"token_file": "{secret}"'))
    site.store.now = lambda: datetime.now(UTC) + timedelta(days=800)
    renewed = enrolling.renew_online(made.folder, now=site.store.now())
    assert isinstance(renewed, identity.Identity)
    assert renewed.leaf.public_key() == made.leaf.public_key()
    assert renewed.leaf.serial_number != made.leaf.serial_number


def test_fail_refused_enrolment_leaves_no_key_in_the_token(site: Site, hsm: TokenOptions) -> None:
    site.code()
    other = site.enrol("other", OTHER)
    authorities.revoke(site.store.authority_folder, pid=OTHER, reason="keyCompromise")
    assert other is not None
    code = site.code(OTHER)
    monkey = site.store.authority_folder / "issuing" / "key.json"
    kept = monkey.read_bytes()
    monkey.unlink()
    with pytest.raises(NetworkError):  # the authority's key is away: later
        site.enrol("third", OTHER, code=code, algorithm=Algorithm.ES256, token=hsm)
    durable.write_new(monkey, kept, mode=0o600)
    assert site.enrol("third", OTHER, code=code, algorithm=Algorithm.ES256, token=hsm)


def test_authority_with_its_key_in_a_token_enrols(tmp_path: Path, hsm: TokenOptions) -> None:
    authorities.create_authority(tmp_path / "authority", name="Example HSM", algorithm=Algorithm.ES256, token=hsm)
    folder = found(tmp_path / "store", url="https://127.0.0.1:8650", tls=True)
    shutil.rmtree(folder / "authority")
    (tmp_path / "authority").rename(folder / "authority")
    with Store.open(folder) as store, running(store) as run:
        made = Site(run, tmp_path).enrol()
        assert certificates.name_of(made.chain[1]) == "Example HSM"
        assert isinstance(made.leaf, x509.Certificate)
