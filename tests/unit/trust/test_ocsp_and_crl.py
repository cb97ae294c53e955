"""Responder and CRL over time: renewal, numbers, what was written down and what was not. OpenSSL judges in interop."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as forms

from rawtrace.errors import CertificateError, MalformedError
from rawtrace.trust import authority, certificates, crl, ocsp, register
from rawtrace.trust.identity import Identity

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def folder(tmp_path: Path, new_identity: Callable[..., Identity]) -> Path:
    made = tmp_path / "authority"
    authority.create_authority(made, name="Example Authority", now=NOW)
    new_identity(authority=made, folder=tmp_path / "scope")
    return made


def request(folder: Path, serial: int, *, nonce: bytes | None = None) -> bytes:
    names, keys = ocsp._named(authority.open_authority(folder).certificate, "sha256")
    builder = forms.OCSPRequestBuilder().add_certificate_by_hash(names, keys, serial, hashes.SHA256())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def serial(folder: Path) -> int:
    return register.issued(folder)[0].serial


def test_answers_follow_the_register(folder: Path) -> None:
    responder = ocsp.open_responder(folder)

    def status(number: int) -> forms.OCSPCertStatus:
        return forms.load_der_ocsp_response(ocsp.answer(responder, request(folder, number))).certificate_status

    assert status(serial(folder)) is forms.OCSPCertStatus.GOOD
    assert status(serial(folder) + 1) is forms.OCSPCertStatus.UNKNOWN
    authority.revoke(folder, serial=serial(folder), reason="unspecified")
    assert status(serial(folder)) is forms.OCSPCertStatus.REVOKED


@pytest.mark.parametrize("nonce", [b"", b"x" * 129])
def test_a_nonce_that_no_client_sends_is_refused_fail(folder: Path, nonce: bytes) -> None:
    answer = ocsp.answer(ocsp.open_responder(folder), request(folder, 7, nonce=nonce))
    assert forms.load_der_ocsp_response(answer).response_status is forms.OCSPResponseStatus.MALFORMED_REQUEST


def test_a_negative_serial_number_is_refused_fail(folder: Path) -> None:
    asked = request(folder, 0x4D << 152)
    changed = asked.replace(b"\x02\x14\x4d", b"\x02\x14\xcd")
    assert changed != asked
    answer = ocsp.answer(ocsp.open_responder(folder), changed)
    assert forms.load_der_ocsp_response(answer).response_status is forms.OCSPResponseStatus.MALFORMED_REQUEST


def test_the_responder_is_renewed_in_time_and_keeps_its_key(folder: Path) -> None:
    first = ocsp.open_responder(folder, now=NOW)
    assert ocsp.open_responder(folder, now=NOW + 19 * DAY).certificate == first.certificate
    second = ocsp.open_responder(folder, now=NOW + 21 * DAY)
    assert second.certificate != first.certificate
    assert second.certificate.public_key() == first.certificate.public_key()
    usage = second.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [one.dotted_string for one in usage] == ["1.3.6.1.5.5.7.3.9"]
    assert second.certificate.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert certificates.signer_kind(second.certificate) is None


def test_a_responder_with_another_key_is_refused_fail(folder: Path) -> None:
    ocsp.open_responder(folder)
    shutil.copy(folder / "operator" / "key.pem", folder / "responder" / "key.pem")
    with pytest.raises(CertificateError, match="not that of the key"):
        ocsp.open_responder(folder)


def test_the_crl_is_signed_anew_only_where_need_be(folder: Path) -> None:
    first = crl.current(folder, now=NOW)
    assert crl.current(folder, now=NOW + 3 * DAY) == first
    renewed = crl.current(folder, now=NOW + 4 * DAY)
    assert renewed != first
    authority.revoke(folder, serial=serial(folder), reason="keyCompromise", now=NOW + 4 * DAY)
    revoked = crl.current(folder, now=NOW + 4 * DAY)
    numbers = [number_of(data) for data in (first, renewed, revoked)]
    assert numbers == sorted(set(numbers))
    (entry,) = x509.load_der_x509_crl(revoked)
    assert entry.serial_number == serial(folder)


def number_of(data: bytes) -> int:
    return x509.load_der_x509_crl(data).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_numbers_never_fall(folder: Path) -> None:
    """Also where the file that holds the last one is lost."""
    first = crl.current(folder, now=NOW)
    (folder / "crl.json").unlink()
    assert number_of(crl.current(folder, now=NOW + DAY)) > number_of(first)


def test_a_crl_that_was_put_there_is_not_passed_on_fail(folder: Path, tmp_path: Path) -> None:
    authority.create_authority(tmp_path / "other", name="Example Authority", now=NOW)
    crl.current(folder, now=NOW)
    (folder / "crl.der").write_bytes(crl.current(tmp_path / "other", now=NOW))
    assert x509.load_der_x509_crl(crl.current(folder, now=NOW)).is_signature_valid(
        authority.open_authority(folder).certificate.public_key()
    )
    (folder / "crl.der").write_bytes(b"nonsense")
    assert crl.current(folder, now=NOW)


def test_a_damaged_number_is_told_fail(folder: Path) -> None:
    crl.current(folder, now=NOW)
    (folder / "crl.json").write_text('{"number": -1}')
    with pytest.raises(MalformedError, match="last number"):
        crl.current(folder, now=NOW)
