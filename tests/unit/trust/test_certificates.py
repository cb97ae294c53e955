"""Profiles and what is read from certificates, with the C2PA library and openssl's rules as referees."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rawtrace.errors import CertificateError
from rawtrace.trust import certificates, keys, profiles
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Algorithm, Protection, SigningKey

NOW = datetime.now(UTC)
PID = "https://hdl.handle.net/20.500.12345/abc"
DIGEST = hashlib.sha256(b"record").digest()
ED, ES = Algorithm.ED25519, Algorithm.ES256


def leaf_of(kind: SignerKind, **changes: Any) -> profiles.Leaf:
    fields: dict[str, Any] = {
        "kind": kind,
        "protection": Protection.SOFTWARE,
        "pid": PID,
        "name": "Widefield 1",
        "organisation": "https://ror.org/0exampe44",
        "record_sha256": DIGEST,
        "serial_number": "SN-0001",
    }
    return profiles.Leaf(**(fields | changes))


def tower(
    leaf: profiles.Leaf, algorithms: tuple[Algorithm, Algorithm, Algorithm] = (ED, ED, ED), **options: Any
) -> tuple[SigningKey, list[x509.Certificate]]:
    """Return the leaf's key, and leaf, authority, root."""
    leaf_key, authority_key, root_key = (keys.generate(algorithm) for algorithm in algorithms)
    root = profiles.issue_root(name="Example", organisation="", key=root_key.issuing_key(), now=NOW)
    authority = profiles.issue_authority(
        name="Example",
        organisation="",
        public_key=authority_key.public_key(),
        root=root,
        root_key=root_key.issuing_key(),
        now=NOW,
        name_space=options.pop("name_space", ""),
    )
    made = profiles.issue_leaf(
        leaf,
        public_key=leaf_key.public_key(),
        issuer=authority,
        issuer_key=authority_key.issuing_key(),
        **({"now": NOW} | options),
    )
    return leaf_key, [made, authority, root]


def odd(*extensions: tuple[x509.ExtensionType, bool]) -> x509.Certificate:
    """A certificate with just these extensions, such as somebody else may have made."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, None)


def policies(*oids: str) -> tuple[x509.ExtensionType, bool]:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]), False


def test_a_certificate_that_says_nothing_states_nothing() -> None:
    bare = odd()
    assert certificates.signer_kind(bare) is None
    assert certificates.key_protection(bare) is None
    assert certificates.pid_of(bare) == ""
    assert certificates.name_of(bare) == ""
    assert certificates.record_digest_of(bare) == b""
    assert certificates.subject_key_id(bare) == b""


def test_a_certificate_that_states_two_kinds_states_none() -> None:
    both = odd(policies(*certificates.KIND_OIDS.values(), *certificates.PROTECTION_OIDS.values()))
    assert certificates.signer_kind(both) is None
    assert certificates.key_protection(both) is None


def test_an_unknown_policy_is_no_kind() -> None:
    assert certificates.signer_kind(odd(policies(f"{certificates.ARC}.1.99"))) is None
    assert certificates.signer_kind(odd(policies(certificates.ARC))) is None


def test_two_uris_are_no_pid() -> None:
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(PID), x509.UniformResourceIdentifier(PID + "d")]
    )
    assert certificates.pid_of(odd((names, False))) == ""


@pytest.mark.parametrize("value", [b"", b"\x04\x20", b"\x04\x1f" + bytes(31), b"\x04\x20" + bytes(33), bytes(34)])
def test_a_malformed_record_digest_is_none(value: bytes) -> None:
    oid = x509.ObjectIdentifier(certificates.RECORD_DIGEST_EXTENSION)
    assert certificates.record_digest_of(odd((x509.UnrecognizedExtension(oid, value), False))) == b""


def test_extensions_that_cannot_be_parsed_state_nothing() -> None:
    garbage = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\xff\xff")
    broken = odd((garbage, False), policies(certificates.KIND_OIDS[SignerKind.INSTRUMENT]))
    assert certificates.pid_of(broken) == ""
    assert certificates.signer_kind(broken) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff" * 100, b"x" * 70_000],
)
def test_what_is_not_certificates_is_refused(data: bytes) -> None:
    with pytest.raises(CertificateError):
        certificates.read_pem(data, what="certificate.pem")


def test_a_long_row_of_certificates_is_refused() -> None:
    with pytest.raises(CertificateError, match="at most 4"):
        certificates.read_pem(certificates.to_pem([odd()] * 5), what="certificate.pem")


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * 65},
        {"pid": "https://exämple.org/i"},
        {"record_sha256": b"short"},
    ],
)
def test_what_does_not_fit_into_a_leaf_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CertificateError):
        tower(leaf_of(SignerKind.INSTRUMENT, **change))


@pytest.mark.parametrize("days", [0, -1, 3661])
def test_a_validity_out_of_range_is_refused(days: int) -> None:
    with pytest.raises(CertificateError, match="1 to 3660"):
        tower(leaf_of(SignerKind.INSTRUMENT), days=days)


def test_an_issuer_that_has_run_out_issues_nothing() -> None:
    with pytest.raises(CertificateError, match="is valid from"):
        tower(leaf_of(SignerKind.INSTRUMENT), now=NOW + timedelta(days=profiles.AUTHORITY_DAYS + 1))


@pytest.mark.parametrize("host", ["https://example.org", "Example.org", "a/b", "a b", "..a", "x" * 300, "-a.org"])
def test_a_name_space_that_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(CertificateError, match="not a host name"):
        tower(leaf_of(SignerKind.INSTRUMENT), name_space=host)


def test_a_leaf_says_all_that_its_profile_promises() -> None:
    _, (leaf, authority, root) = tower(leaf_of(SignerKind.INSTRUMENT), name_space="hdl.handle.net")
    assert certificates.signer_kind(leaf) is SignerKind.INSTRUMENT
    assert certificates.key_protection(leaf) is Protection.SOFTWARE
    assert certificates.pid_of(leaf) == PID
    assert certificates.record_digest_of(leaf) == DIGEST
    assert certificates.name_space_of(authority) == "hdl.handle.net"
    assert leaf.subject.rfc4514_string() == "2.5.4.5=SN-0001,O=https://ror.org/0exampe44,CN=Widefield 1"
    critical = {extension.oid.dotted_string for extension in leaf.extensions if extension.critical}
    assert critical == {"2.5.29.19", "2.5.29.15"}
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert [oid.dotted_string for oid in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value] == [
        certificates.EKU_DOCUMENT_SIGNING,
        ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string,
    ]
    issuer_key = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert issuer_key == certificates.subject_key_id(authority)
    lengths = [c.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length for c in (authority, root)]
    assert lengths == [0, 1]
    assert certificates.is_issued_by(leaf, authority)
    assert not certificates.is_issued_by(leaf, root)


def test_software_and_hardware_keys_live_differently_long_and_start_early_for_clock_skew() -> None:
    for protection, days in profiles.LEAF_DAYS.items():
        _, (leaf, *_) = tower(leaf_of(SignerKind.INSTRUMENT, protection=protection))
        assert leaf.not_valid_after_utc == NOW.replace(microsecond=0) + timedelta(days=days)
        assert leaf.not_valid_before_utc == NOW.replace(microsecond=0) - timedelta(minutes=5)


def test_a_leaf_never_outlives_its_issuer() -> None:
    late = NOW + timedelta(days=profiles.AUTHORITY_DAYS - 10)
    _, (leaf, authority, _) = tower(leaf_of(SignerKind.INSTRUMENT), now=late)
    assert leaf.not_valid_after_utc == authority.not_valid_after_utc


@pytest.mark.parametrize("serial", ["Nº 5", "x" * 65, "a_b", ""])
def test_a_serial_number_that_x520_has_no_form_for_stays_out_of_the_subject(serial: str) -> None:
    _, (leaf, *_) = tower(leaf_of(SignerKind.INSTRUMENT, serial_number=serial))
    assert leaf.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER) == []


def test_serial_numbers_are_random() -> None:
    numbers = {tower(leaf_of(SignerKind.INSTRUMENT))[1][0].serial_number for _ in range(8)}
    assert len(numbers) == 8
    assert min(numbers) > 1 << 100


def test_the_operator_can_sign_lists_and_nothing_else() -> None:
    key, list_key = keys.generate(ES), keys.generate(ED)
    root = profiles.issue_root(name="Example", organisation="", key=key.issuing_key(), now=NOW)
    operator = profiles.issue_operator(
        name="Example",
        organisation="",
        public_key=list_key.public_key(),
        issuer=root,
        issuer_key=key.issuing_key(),
        now=NOW,
    )
    usage = operator.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [oid.dotted_string for oid in usage] == ["0.4.0.2231.3.0"]
    assert certificates.signer_kind(operator) is None


def c2pa_state(key: SigningKey, chain: list[x509.Certificate], anchor: x509.Certificate) -> str:
    """Sign a sidecar by the C2PA library with this certificate and return the library's own judgement."""
    import c2pa

    settings = {
        "trust": {
            "anchors": [{
                "trust_anchors": certificates.to_pem([anchor]).decode(),
                "trust_uri": "urn:example",
                "trust_kind": "manifest",
            }],
            "trust_config": certificates.EKU_DOCUMENT_SIGNING,
        },
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }  # fmt: skip
    context = c2pa.Context.from_dict(settings)
    algorithm = c2pa.C2paSigningAlg.ED25519 if key.algorithm is ED else c2pa.C2paSigningAlg.ES256
    signer = c2pa.Signer.from_callback(
        lambda data: key.sign(bytes(data)), algorithm, certificates.to_pem(chain).decode()
    )
    created = {
        "action": "c2pa.created",
        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
    }
    binding = {"name": "all", "alg": "sha256", "hash": list(hashlib.sha256(b"pixels").digest()), "pad": []}
    manifest = {
        "claim_generator_info": [{"name": "test", "version": "1"}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": "c2pa.hash.data", "data": binding},
        ],
    }
    builder = c2pa.Builder(manifest, context)
    builder.set_no_embed()
    sidecar = builder.sign(signer, "application/octet-stream", io.BytesIO(b""), io.BytesIO())
    reader = c2pa.Reader("application/octet-stream", io.BytesIO(b"pixels"), manifest_data=sidecar, context=context)
    return str(reader.get_validation_state())


@pytest.mark.parametrize("kind", list(SignerKind))
@pytest.mark.parametrize("algorithms", [(ED, ED, ED), (ES, ES, ES), (ES, ED, ES), (ED, ES, ED)])
def test_the_c2pa_library_signs_with_every_profile(
    kind: SignerKind, algorithms: tuple[Algorithm, Algorithm, Algorithm]
) -> None:
    if kind is SignerKind.SELF:
        key = keys.generate(algorithms[0])
        leaf, root = profiles.issue_self(leaf_of(kind), public_key=key.public_key(), now=NOW)
        assert c2pa_state(key, [leaf], root) == "Trusted"
        return
    signing_key, (leaf, authority, root) = tower(leaf_of(kind), algorithms, name_space="hdl.handle.net")
    assert c2pa_state(signing_key, [leaf, authority], root) == "Trusted"


def test_the_c2pa_library_does_not_trust_a_self_certified_leaf_under_another_authority() -> None:
    _, (_, _, root) = tower(leaf_of(SignerKind.INSTRUMENT))
    key = keys.generate(ED)
    leaf, _ = profiles.issue_self(leaf_of(SignerKind.SELF), public_key=key.public_key(), now=NOW)
    assert c2pa_state(key, [leaf], root) == "Valid"
