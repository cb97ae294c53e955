"""OpenSSL asks for statuses and judges the answers: OCSP and CRL, good and hostile."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as forms

from rawtrace.trust import authority, authorityfolder, certificates, crl, ocsp, profiles
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import create_identity
from rawtrace.trust.instruments import new_record
from rawtrace.trust.keys import Algorithm
from rawtrace.trust.scope import Scope, ScopeKind

pytestmark = pytest.mark.interop

OPENSSL = shutil.which("openssl") or ""
OWNER = "https://ror.org/0exampe44"
URL = "https://store.example.org"
if not OPENSSL:
    pytest.skip("there is no openssl", allow_module_level=True)


def openssl(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run([OPENSSL, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def _served(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/ocsp-response")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class Office:
    """An authority with three instruments: one good, one compromised, one retired."""

    def __init__(self, folder: Path, algorithm: Algorithm) -> None:
        self.folder, self.authority = folder, folder / "authority"
        authority.create_authority(self.authority, name="Example Authority", owner=OWNER, algorithm=algorithm)
        authorityfolder.set_url(self.authority, URL)
        self.leaves = {name: self._instrument(name) for name in ("good", "stolen", "retired")}
        now = datetime.now(UTC)
        serials = {name: leaf.serial_number for name, leaf in self.leaves.items()}
        authority.revoke(
            self.authority,
            serial=serials["stolen"],
            reason="keyCompromise",
            compromised_from=now - timedelta(days=3),
        )
        authority.revoke(self.authority, serial=serials["retired"], reason="cessationOfOperation")
        feature = Scope(
            kind=ScopeKind.FEATURE, manufacturer="Example Optics", model="Widefield 1", feature="multiple-exposure"
        )
        authority.revoke(self.authority, scope=feature, reason="privilegeWithdrawn")
        self.issuer = self.authority / "authority.pem"
        self.root = self.authority / "root.pem"
        both = folder / "both.pem"
        both.write_bytes(self.root.read_bytes() + self.issuer.read_bytes())
        self.both = both

    def _instrument(self, name: str) -> x509.Certificate:
        record = new_record(
            kind=SignerKind.INSTRUMENT, name=name, owner=OWNER, manufacturer="Example Optics", model="Widefield 1"
        )
        made = create_identity(self.folder / name, SignerKind.INSTRUMENT, record, authority=self.authority)
        leaf = made.chain[0]
        (self.folder / f"{name}.pem").write_bytes(certificates.to_pem([leaf]))
        return leaf

    def ask(self, name: str, *options: str, answer: Callable[[bytes], bytes] | None = None) -> tuple[int, str]:
        """OpenSSL asks over loopback; we answer; OpenSSL judges."""
        with _served(answer or self.answer) as url:
            return openssl(
                "ocsp", "-issuer", self.issuer, "-cert", self.folder / f"{name}.pem", "-url", url,
                "-CAfile", self.both, *options,
            )  # fmt: skip

    def answer(self, request: bytes) -> bytes:
        return ocsp.answer(ocsp.open_responder(self.authority), request)

    def crl(self, now: datetime | None = None) -> Path:
        path = self.folder / "crl.pem"
        found = x509.load_der_x509_crl(crl.current(self.authority, now=now))
        path.write_bytes(found.public_bytes(Encoding.PEM))
        return path

    def verify(self, name: str, revocations: Path) -> tuple[int, str]:
        return openssl(
            "verify", "-CAfile", self.root, "-untrusted", self.issuer, "-CRLfile", revocations, "-crl_check",
            "-purpose", "any", self.folder / f"{name}.pem",
        )  # fmt: skip


@pytest.fixture(scope="module", params=list(Algorithm), ids=str)
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("office"), request.param)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another authority of the same name."""
    authority.create_authority(tmp_path / "other", name="Example Authority", owner=OWNER)
    return tmp_path / "other"


def test_ocsp_good(office: Office) -> None:
    code, said = office.ask("good")
    assert code == 0, said
    assert "Response verify OK" in said
    assert "good.pem: good" in said
    assert "nonce" not in said.lower(), said


def test_ocsp_revoked_with_time_and_reason(office: Office) -> None:
    code, said = office.ask("stolen")
    assert "Response verify OK" in said, said
    assert "stolen.pem: revoked" in said
    assert "Reason: keyCompromise" in said
    assert "Revocation Time:" in said
    assert "Reason: cessationOfOperation" in office.ask("retired")[1]
    assert code == 0


@pytest.mark.parametrize("digest", ["-sha1", "-sha256", "-sha384"])
def test_ocsp_whatever_digest_names_the_issuer(office: Office, digest: str) -> None:
    request = office.folder / "request.der"
    openssl("ocsp", digest, "-issuer", office.issuer, "-cert", office.folder / "good.pem", "-reqout", request)
    response = forms.load_der_ocsp_response(office.answer(request.read_bytes()))
    assert response.certificate_status is forms.OCSPCertStatus.GOOD


def test_ocsp_without_nonce(office: Office) -> None:
    code, said = office.ask("good", "-no_nonce")
    assert (code, "good.pem: good" in said) == (0, True), said


def test_ocsp_of_a_certificate_that_was_never_issued_fail(office: Office) -> None:
    """Signed with the authority's own key, but not written down: a thief's work is never good."""
    opened = authorityfolder.open_authority(office.authority)
    leaf = profiles.issue_leaf(
        profiles.Leaf(
            kind=SignerKind.INSTRUMENT, protection=profiles.Protection.SOFTWARE, pid="urn:uuid:1", name="Thief",
            organisation="", record_sha256=b"\0" * 32,
        ),
        public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
        issuer=opened.certificate,
        issuer_key=authorityfolder.issuing_key(opened).issuing_key(),
        now=datetime.now(UTC),
    )  # fmt: skip
    (office.folder / "thief.pem").write_bytes(certificates.to_pem([leaf]))
    _, said = office.ask("thief")
    assert "thief.pem: unknown" in said, said


def test_ocsp_of_another_authority_is_refused_fail(office: Office, other: Path) -> None:
    _, said = office.ask("good", answer=lambda data: ocsp.answer(ocsp.open_responder(other), data))
    assert "unauthorized" in said.lower(), said
    assert "good.pem: good" not in said


def test_ocsp_by_the_responder_of_another_authority_fail(office: Office, other: Path) -> None:
    """The other responder answers as if it were asked about its own."""
    stranger = ocsp.open_responder(other)
    home = ocsp.open_responder(office.authority)
    forged = ocsp.Responder(home.authority, stranger.certificate, stranger.key)
    code, said = office.ask("stolen", answer=lambda data: ocsp.answer(forged, data))
    assert "Response Verify Failure" in said, said
    assert code != 0 or "Response verify OK" not in said


def test_ocsp_by_an_instrument_fail(office: Office) -> None:
    """Under the same authority, but not delegated for that."""
    from rawtrace.trust.identity import load_identity

    good = load_identity(office.folder / "good")
    forged = ocsp.Responder(ocsp.open_responder(office.authority).authority, good.chain[0], good.key)
    _, said = office.ask("stolen", answer=lambda data: ocsp.answer(forged, data))
    assert "Response Verify Failure" in said, said


def test_ocsp_by_the_root_fail(office: Office) -> None:
    """An authority's certificate in place of a responder's."""
    from rawtrace.trust import keys

    opened = authorityfolder.open_authority(office.authority)
    forged = ocsp.Responder(opened, opened.root, keys.open_in_folder(office.authority / "root"))
    _, said = office.ask("stolen", answer=lambda data: ocsp.answer(forged, data))
    assert "Response Verify Failure" in said, said


def test_ocsp_long_ago_fail(office: Office) -> None:
    past = datetime.now(UTC) - timedelta(days=9)
    responder = ocsp.open_responder(office.authority)
    _, said = office.ask("good", answer=lambda data: ocsp.answer(responder, data, now=past))
    assert "Status times invalid" in said or "status expired" in said.lower(), said


def test_ocsp_answer_to_another_question_fail(office: Office) -> None:
    """An old answer is played again: the nonce is another."""
    kept: list[bytes] = []
    office.ask("good", answer=lambda data: kept.append(office.answer(data)) or kept[0])  # type: ignore[func-returns-value]
    _, said = office.ask("good", answer=lambda _: kept[0])
    assert "Nonce Verify error" in said, said


def test_crl_is_read_by_openssl(office: Office) -> None:
    code, said = openssl("crl", "-in", office.crl(), "-CAfile", office.both, "-noout", "-text", "-verify")
    assert code == 0, said
    assert "verify OK" in said
    assert "Key Compromise" in said
    assert "Invalidity Date" in said
    assert "Cessation Of Operation" in said
    assert "X509v3 CRL Number" in said
    assert "Only User Certificates" in said
    assert said.count("Serial Number:") == 2


def test_crl_judges_certificates(office: Office) -> None:
    path = office.crl()
    assert office.verify("good", path) == (0, f"{office.folder / 'good.pem'}: OK\n")
    for name in ("stolen", "retired"):
        code, said = office.verify(name, path)
        assert code != 0
        assert "certificate revoked" in said


def test_crl_that_ran_out_fail(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "old.pem"
    copy = tmp_path / "copy"
    shutil.copytree(office.authority, copy)
    (copy / "crl.der").unlink(missing_ok=True)
    old = x509.load_der_x509_crl(crl.current(copy, now=datetime.now(UTC) - timedelta(days=30)))
    path.write_bytes(old.public_bytes(Encoding.PEM))
    code, said = office.verify("good", path)
    assert code != 0
    assert "CRL has expired" in said


def test_crl_of_another_authority_of_the_same_name_fail(office: Office, other: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.pem"
    path.write_bytes(x509.load_der_x509_crl(crl.current(other)).public_bytes(Encoding.PEM))
    code, said = office.verify("good", path)
    assert code != 0, said


def test_certificates_point_to_the_store(office: Office) -> None:
    _, said = openssl("x509", "-in", office.folder / "good.pem", "-noout", "-text")
    assert f"OCSP - URI:{URL}/ocsp" in said
    assert f"URI:{URL}/crl" in said
