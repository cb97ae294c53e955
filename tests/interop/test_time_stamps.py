"""Other people's programs on our time stamps: openssl ts, and rfc3161-client."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
import rfc3161_client
from cryptography import x509

from rawtrace.trust.authority import create_authority, open_authority
from rawtrace.trust.timeauthority import TimeAuthority, create_time_authority

pytestmark = pytest.mark.interop
MESSAGE = b"what was signed"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("time")
    create_authority(folder / "authority", name="Example Authority")
    create_time_authority(folder / "time", authority=folder / "authority")
    return folder


def openssl(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("NOT RUN: openssl is not installed")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("certificates", [True, False], ids=["with-certificates", "without"])
def test_openssl_verifies(root: Path, tmp_path: Path, digest: str, certificates: bool) -> None:
    data, query, reply = tmp_path / "data", tmp_path / "q.tsq", tmp_path / "r.tsr"
    data.write_bytes(MESSAGE)
    wanted = ["-cert"] if certificates else []
    done = openssl("ts", "-query", "-data", data, f"-{digest}", *wanted, "-out", query)
    assert done.returncode == 0, done.stderr
    reply.write_bytes(TimeAuthority(root / "time").answer(query.read_bytes()).body)
    anchors = ["-CAfile", root / "authority" / "root.pem", "-untrusted", root / "time" / "certificate.pem"]
    for against in (["-queryfile", query], ["-data", data]):
        done = openssl("ts", "-verify", *against, "-in", reply, *anchors)
        assert (done.returncode, "Verification: OK" in done.stdout) == (0, True), done.stderr
    data.write_bytes(b"something else")
    done = openssl("ts", "-verify", "-data", data, "-in", reply, *anchors)
    assert (done.returncode, "message imprint mismatch" in done.stderr) == (1, True)


def test_openssl_reads_a_refusal(root: Path, tmp_path: Path) -> None:
    reply = tmp_path / "r.tsr"
    reply.write_bytes(TimeAuthority(root / "time").answer(b"nonsense").body)
    done = openssl("ts", "-reply", "-in", reply, "-text")
    assert "Status: Rejected." in done.stdout, done.stderr
    assert "the data submitted has the wrong format" in done.stdout


def test_rfc3161_client_verifies(root: Path) -> None:
    asked = rfc3161_client.TimestampRequestBuilder().data(MESSAGE).build()
    answer = rfc3161_client.decode_timestamp_response(TimeAuthority(root / "time").answer(asked.as_bytes()).body)
    above = open_authority(root / "authority")
    leaf = x509.load_pem_x509_certificates((root / "time" / "certificate.pem").read_bytes())[0]
    verifier = (
        rfc3161_client.VerifierBuilder.from_request(asked)
        .add_root_certificate(above.root)
        .add_intermediate_certificate(above.certificate)
        .tsa_certificate(leaf)
        .build()
    )
    assert verifier.verify_message(answer, MESSAGE)
    assert answer.tst_info.message_imprint.message == hashlib.sha512(MESSAGE).digest()
    with pytest.raises(rfc3161_client.errors.VerificationError):
        verifier.verify_message(answer, b"something else")
