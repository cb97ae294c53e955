"""What may be asked for, and by whom: every way to ask for more than was permitted comes first."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from enrolments import OTHER, PID, Maker, der, grant, key, plain_csr, record
from rawtrace.errors import EnrolmentError, Error, IdentityRecordError, MalformedError
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, enrolment, estforms, register
from rawtrace.trust.certificates import KIND_OIDS, PROTECTION_OIDS, RECORD_DIGEST_EXTENSION, SignerKind
from rawtrace.trust.keys import Algorithm, Protection

NOW = datetime.now(UTC)


def policies(*oids: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids])


def uris(*names: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name) for name in names])


def digest(data: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(RECORD_DIGEST_EXTENSION), data)


# --- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extension",
    [
        pytest.param(uris(OTHER), id="another PID"),
        pytest.param(uris(PID, OTHER), id="another PID beside its own"),
        pytest.param(uris(), id="no name at all"),
        pytest.param(uris(PID.upper()), id="the PID in other letters"),
        pytest.param(x509.SubjectAlternativeName([x509.DNSName("store.example.org")]), id="a host"),
        pytest.param(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(PID), x509.RFC822Name("a@example.org")]),
            id="a mail address beside its PID",
        ),
        pytest.param(policies(KIND_OIDS[SignerKind.WORKSTATION]), id="another kind"),
        pytest.param(
            policies(KIND_OIDS[SignerKind.INSTRUMENT], KIND_OIDS[SignerKind.REPOSITORY]),
            id="another kind beside its own",
        ),
        pytest.param(policies("2.5.29.32.0"), id="any policy"),
        pytest.param(digest(b"\x04\x20" + bytes(32)), id="another record"),
        pytest.param(digest(b"\x04\x20"), id="a record's digest cut short"),
        pytest.param(digest(b""), id="an empty digest"),
        pytest.param(x509.BasicConstraints(ca=True, path_length=0), id="to be an authority"),
        pytest.param(x509.BasicConstraints(ca=False, path_length=None), id="not to be an authority"),
        pytest.param(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), id="to stamp times"),
        pytest.param(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), id="to be a server"),
        pytest.param(x509.NameConstraints([x509.UniformResourceIdentifier("example.org")], None), id="constraints"),
    ],
)
def test_fail_request_for_more_than_was_granted(extension: x509.ExtensionType) -> None:
    csr = enrolment.read_csr(der(plain_csr(key(), extension)))
    with pytest.raises(EnrolmentError):
        enrolment.request_of(csr, grant())


@pytest.mark.parametrize(
    "private",
    [
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed448.Ed448PrivateKey.generate(),
    ],
    ids=["RSA", "P-384", "secp256k1", "Ed448"],
)
def test_fail_other_kinds_of_keys(private: Any) -> None:
    algorithm = None if isinstance(private, ed448.Ed448PrivateKey) else hashes.SHA256()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(private, algorithm)
    with pytest.raises(EnrolmentError, match="neither Ed25519 nor P-256"):
        enrolment.read_csr(der(csr))


def test_fail_request_not_signed_by_its_own_key() -> None:
    honest, thief = der(plain_csr(key())), key()
    raw = thief.public_key().public_bytes_raw()  # type: ignore[union-attr]
    theirs = x509.load_der_x509_csr(honest).public_key().public_bytes_raw()  # type: ignore[union-attr]
    with pytest.raises(EnrolmentError, match="not signed by the key"):
        enrolment.read_csr(honest.replace(theirs, raw))
    with pytest.raises(EnrolmentError, match="not signed by the key"):
        enrolment.read_csr(honest[:-1] + bytes([honest[-1] ^ 1]))


def test_fail_request_that_is_too_large() -> None:
    csr = der(plain_csr(key(), uris(*[f"{PID}/{number:0200}" for number in range(60)])))
    with pytest.raises(MalformedError, match="at most 8192"):
        enrolment.read_csr(csr)


@given(st.binary(max_size=400))
def test_fail_any_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(Error):
        enrolment.read_csr(data)


@given(st.data())
def test_fail_damaged_request_never_passes_for_another(data: st.DataObject) -> None:
    whole = _SOUND
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    try:
        csr = enrolment.read_csr(damaged)
    except (MalformedError, EnrolmentError):
        return
    # Only what the signature does not cover may differ, and that says nothing.
    assert csr.tbs_certrequest_bytes == x509.load_der_x509_csr(whole).tbs_certrequest_bytes


_SOUND = der(enrolment.make_csr(grant(), key()))


def test_request_of_our_own_and_of_others_is_taken() -> None:
    signer = key(Algorithm.ES256)
    ours = enrolment.request_of(enrolment.read_csr(der(enrolment.make_csr(grant(), signer))), grant())
    assert (ours.kind, ours.protection, ours.csr.public_key()) == (
        SignerKind.INSTRUMENT,
        Protection.SOFTWARE,
        signer.public_key(),
    )
    plain = enrolment.request_of(enrolment.read_csr(der(plain_csr(signer, name=OTHER))), grant())
    assert plain.record == record()


def test_hardware_is_certified_only_where_staff_has_seen_it_and_the_request_says_so() -> None:
    claims = enrolment.read_csr(der(plain_csr(key(), policies(PROTECTION_OIDS[Protection.HARDWARE]))))
    silent = enrolment.read_csr(der(plain_csr(key())))
    seen = enrolment.Grant(pid=PID, kind=SignerKind.INSTRUMENT, record=record(), seen_in_token=True)
    assert enrolment.request_of(claims, grant()).protection is Protection.SOFTWARE
    assert enrolment.request_of(silent, seen).protection is Protection.SOFTWARE
    assert enrolment.request_of(claims, seen).protection is Protection.HARDWARE


def test_two_requests_with_one_key_differ() -> None:
    signer = key()
    assert der(enrolment.make_csr(grant(), signer)) != der(enrolment.make_csr(grant(), signer))


def test_fail_grant_for_a_record_of_another() -> None:
    with pytest.raises(IdentityRecordError, match="not of"):
        enrolment.grant_of(OTHER, SignerKind.INSTRUMENT, record())
    with pytest.raises(EnrolmentError):
        enrolment.grant_of(PID, SignerKind.SELF, record())


# --- codes --------------------------------------------------------------------------------------------------------


def test_codes_are_read_as_people_write_them() -> None:
    code = enrolment.new_code()
    kept = [("aa" * 16, enrolment.code_digest(enrolment.new_code(), "aa" * 16)), ("bb" * 16, "")]
    kept.append(("cc" * 16, enrolment.code_digest(code, "cc" * 16)))
    assert enrolment.code_fits(code.lower().replace("-", " ") + "\n", kept) == 2
    assert enrolment.code_fits(code.replace("0", "o").replace("1", "l"), kept) == 2
    assert len({enrolment.new_code() for _ in range(100)}) == 100


@pytest.mark.parametrize("code", ["", "-", "0" * 24, "0" * 26, "U" * 25, "é" * 25, "0" * 10_000])
def test_fail_no_code_at_all(code: str) -> None:
    salt = "aa" * 16
    assert enrolment.code_fits(code, [(salt, enrolment.code_digest(code, salt)), ("00", "")]) == -1
    assert enrolment.code_fits(code, []) == -1


# --- certificates that are shown ----------------------------------------------------------------------------------


def test_device_is_known_by_its_maker_and_serial_number() -> None:
    maker, device = Maker(), key(Algorithm.ES256).public_key()
    shown = maker.device("SN-7", device)
    assert enrolment.device_of(shown, [Maker().certificate, maker.certificate], at=NOW) == (maker.sha256, "SN-7")


def test_fail_device_certificates() -> None:
    maker, device = Maker(), key(Algorithm.ES256).public_key()
    for words, shown, makers in (
        ("no maker", Maker().device("SN-7", device), [maker.certificate]),
        ("no maker", maker.device("SN-7", device), []),
        ("not valid now", maker.device("SN-7", device, days=-1), [maker.certificate]),
        ("not for showing", maker.device("SN-7", device, authority=True), [maker.certificate]),
        (
            "not for showing",
            maker.device("SN-7", device, more=[x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])]),
            [maker.certificate],
        ),
        ("one serial number", maker.device("", device), [maker.certificate]),
    ):
        with pytest.raises(EnrolmentError, match=words):
            enrolment.device_of(shown, makers, at=NOW)


def test_fail_device_signed_by_another_device() -> None:
    middle = Maker(is_authority=False)
    with pytest.raises(EnrolmentError, match="no authority's"):
        enrolment.device_of(middle.device("SN-7", key().public_key()), [middle.certificate], at=NOW)


def test_current_certificate_counts_only_as_it_was_issued(tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    authorities.create_authority(folder, name="Example Authority", now=NOW)
    wanted = authorities.make_request(SignerKind.INSTRUMENT, record(), key())
    leaf, _ = authorities.issue(folder, wanted, now=NOW)
    issued = register.issued(folder)
    assert enrolment.current_of(leaf, issued, (), at=NOW)[0].pid == PID
    with pytest.raises(EnrolmentError, match="did not issue"):
        enrolment.current_of(leaf, (), (), at=NOW)
    twin = Maker()._made("x", None, key().public_key())
    forged = x509.load_der_x509_certificate(twin.public_bytes(enrolment.serialization.Encoding.DER))
    with pytest.raises(EnrolmentError, match="did not issue"):
        enrolment.current_of(forged, issued, (), at=NOW)
    with pytest.raises(EnrolmentError, match="ran out"):
        enrolment.current_of(leaf, issued, (), at=NOW + timedelta(days=400))
    for reason in ("keyCompromise", "cessationOfOperation", "privilegeWithdrawn"):
        status = register.StatusRecord(serial=leaf.serial_number, authority_key_id=b"k", reason=reason, revoked_at=NOW)
        with pytest.raises(EnrolmentError, match="is revoked"):
            enrolment.current_of(leaf, issued, (status,), at=NOW)


# --- forms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"\n", b"====", b"MIIB-_8=", b"AAA", b"\x30\x82\x01\x00", b"A" * 20_000])
def test_fail_what_is_not_base64(body: bytes) -> None:
    with pytest.raises(MalformedError):
        estforms.from_base64(body, what="the request", limit=8192)


@given(st.binary(min_size=1, max_size=300))
def test_base64_comes_back_however_its_lines_are_broken(data: bytes) -> None:
    text = estforms.to_base64(data)
    for form in (text, text.replace(b"\n", b"\r\n"), text.replace(b"\n", b""), b" \t" + text):
        assert estforms.from_base64(form, what="it", limit=300) == data
    assert max(map(len, text.splitlines())) <= 64


@given(st.binary(max_size=200))
def test_fail_any_bytes_are_no_certificates(data: bytes) -> None:
    for body in (data, estforms.to_base64(data)):
        with pytest.raises(MalformedError):
            estforms.read_certificates(body, what="the answer")


def test_certificates_come_back() -> None:
    maker = Maker()
    chain = (maker.device("1", key().public_key()), maker.certificate)
    assert set(estforms.read_certificates(estforms.write_certificates(chain), what="it")) == set(chain)


def test_record_of_the_log_names_the_certificate(tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    authority = authorities.create_authority(folder, name="Example Authority")
    leaf, _ = authorities.issue(folder, authorities.make_request(SignerKind.INSTRUMENT, record(), key()))
    said = enrolment.certificate_record(leaf, kind=SignerKind.INSTRUMENT, authority=authority.certificate)
    assert said["certificate"] == leaf.fingerprint(hashes.SHA256()).hex()
    assert (said["pid"], said["signer"]) == (PID, "instrument")
    assert said["record"] == certificates.record_digest_of(leaf).hex()


def test_leaf_may_show_who_it_is_and_sign_documents(tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    authorities.create_authority(folder, name="Example Authority")
    leaf, _ = authorities.issue(folder, authorities.make_request(SignerKind.INSTRUMENT, record(), key()))
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [usage.dotted_string for usage in usages] == ["1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.2"]
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "Widefield 1"
    assert isinstance(leaf.public_key(), ed25519.Ed25519PublicKey)


def test_example_of_the_specification_holds() -> None:
    page = Path(__file__).parents[3] / "docs" / "spec" / "enrolment.md"
    request = page.read_text(encoding="utf-8").split("```text\n")[1].split("HTTP/1.1 200 OK")[0]
    head, _, body = request.partition("\n\n")
    pid, _, code = base64.b64decode(head.rpartition("Basic ")[2]).decode().rpartition(":")
    assert enrolment.clean_code(code) == code.replace("-", "")
    csr = enrolment.read_csr(estforms.from_base64(body.encode(), what="the request", limit=8192))
    asked = enrolment.request_of(csr, grant(pid))
    assert asked.kind is SignerKind.INSTRUMENT
