"""``rawtrace authority crl`` and ``rawtrace authority ocsp``."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from rawtrace.trust import authority as authorities
from rawtrace.trust.identity import Identity
from rawtrace.trust.instruments import summary


@pytest.fixture
def scope(rawtrace: Any, tmp_path: Path, new_identity: Any) -> tuple[Path, Identity]:
    folder = tmp_path / "authority"
    assert rawtrace("authority", "new", folder, "--name", "Example Authority").code == 0
    return folder, new_identity(authority=folder)


def revoke(folder: Path, identity: Identity) -> None:
    authorities.revoke(folder, pid=summary(identity.record)["pid"], reason="keyCompromise")


def test_the_current_list_in_a_file(rawtrace: Any, scope: tuple[Path, Identity], tmp_path: Path) -> None:
    folder, instrument = scope
    out = tmp_path / "crl"
    first = rawtrace("authority", "crl", folder, "--out", out, "--json").json
    assert (first["revoked"], first["changed"]) == (0, True)
    again = rawtrace("authority", "crl", folder, "--out", out, "--json").json
    assert (again["number"], again["changed"]) == (first["number"], False)
    revoke(folder, instrument)
    done = rawtrace("authority", "crl", folder, "--out", out)
    assert "1 certificate revoked" in done.out
    listed = x509.load_der_x509_crl(out.read_bytes())
    found = listed.get_revoked_certificate_by_serial_number(instrument.leaf.serial_number)
    assert found is not None
    issuer = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
    assert listed.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    # The other form takes its place.
    assert rawtrace("authority", "crl", folder, "--out", out, "--pem").code == 0
    assert x509.load_pem_x509_crl(out.read_bytes()).fingerprint(hashes.SHA256()) == listed.fingerprint(hashes.SHA256())


def test_openssl_reads_it(rawtrace: Any, scope: tuple[Path, Identity], tmp_path: Path) -> None:
    folder, instrument = scope
    revoke(folder, instrument)
    assert rawtrace("authority", "crl", folder, "--out", tmp_path / "crl.pem", "--pem").code == 0
    arguments = ["openssl", "crl", "-in", tmp_path / "crl.pem", "-CAfile", folder / "authority.pem", "-noout", "-text"]
    done = subprocess.run([f"{one}" for one in arguments], capture_output=True, text=True, check=False, timeout=30)
    assert "verify OK" in done.stderr
    assert f"{instrument.leaf.serial_number:X}" in done.stdout


def test_nothing_else_is_overwritten_fail(rawtrace: Any, scope: tuple[Path, Identity], tmp_path: Path) -> None:
    folder, _ = scope
    other = tmp_path / "other"
    assert rawtrace("authority", "new", other, "--name", "Another Authority").code == 0
    assert rawtrace("authority", "crl", other, "--out", tmp_path / "other.crl").code == 0
    (tmp_path / "notes.txt").write_text("somebody's own")
    (tmp_path / "broken.pem").write_text("-----BEGIN X509 CRL-----\n")
    for name in ("other.crl", "notes.txt", "broken.pem"):
        before = (tmp_path / name).read_bytes()
        done = rawtrace("authority", "crl", folder, "--out", tmp_path / name)
        assert (done.code, "no revocation list of this authority" in done.err) == (1, True)
        assert (tmp_path / name).read_bytes() == before
    assert rawtrace("authority", "crl", tmp_path, "--out", tmp_path / "new.crl").code == 3
    assert not (tmp_path / "new.crl").exists()


def test_an_ocsp_request_is_answered(rawtrace: Any, scope: tuple[Path, Identity], tmp_path: Path) -> None:
    folder, instrument = scope
    issuer = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
    asked = ocsp.OCSPRequestBuilder().add_certificate(instrument.leaf, issuer, hashes.SHA256()).build()
    request = tmp_path / "request.der"
    request.write_bytes(asked.public_bytes(Encoding.DER))
    assert (
        rawtrace("authority", "ocsp", folder, request, "--out", tmp_path / "good.der", "--json").json["status"]
        == "good"
    )
    revoke(folder, instrument)
    assert "revoked" in rawtrace("authority", "ocsp", folder, request, "--out", tmp_path / "answer.der").out
    assert rawtrace("authority", "ocsp", folder, request, "--out", tmp_path / "answer.der").code == 1
    request.write_bytes(b"nonsense")
    said = rawtrace("authority", "ocsp", folder, request, "--out", tmp_path / "refused.der", "--json").json
    assert said["status"] == "malformed_request"
    request.write_bytes(b"x" * 5_000)
    assert rawtrace("authority", "ocsp", folder, request, "--out", tmp_path / "large.der").code != 0
