"""Trust lists: what must never load, then what must."""

from __future__ import annotations

import json
import re
import runpy
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import rawtrace.trust
from rawtrace.errors import TrustListError
from rawtrace.trust import lote, profiles
from rawtrace.trust.certificates import EKU_DOCUMENT_SIGNING, EKU_TRUST_LIST_SIGNING
from rawtrace.trust.keys import Algorithm, generate
from rawtrace.trust.trustlist import Anchor, Purpose, TrustList, build_list, read_list, sign_list

o = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "operators.py")))
DAY, ISSUED, Operator, b64, forge, make_certificate, x5c = (
    o.DAY, o.ISSUED, o.Operator, o.b64, o.forge, o.make_certificate, o.x5c,
)  # fmt: skip


@pytest.fixture(scope="module")
def operator() -> Operator:
    return Operator()


def refused(data: bytes, expected: str, **options: Any) -> None:
    with pytest.raises(TrustListError, match=expected) as caught:
        read_list(data, source="test.jws", **options)
    assert "\n" not in caught.value.message


# --- the signature ----------------------------------------------------------------------------------------------


def test_alg_none_is_refused(operator: Operator) -> None:
    header = {"alg": "none", "x5c": x5c(operator.certificate, operator.root)}
    refused(b64(json.dumps(header).encode()) + b"." + b64(operator.payload()) + b".", "not signed with EdDSA or ES256")


@pytest.mark.parametrize("alg", ["HS256", "RS256", "ES384", "eddsa", "", None, 1, ["EdDSA"]])
def test_other_algorithms_are_refused(operator: Operator, alg: object) -> None:
    header = {"alg": alg, "x5c": x5c(operator.certificate, operator.root)}
    refused(forge(header, operator.payload(), operator.key), "not signed with EdDSA or ES256")


@pytest.mark.parametrize(("kind", "alg"), [(Algorithm.ED25519, "ES256"), (Algorithm.ES256, "EdDSA")])
def test_algorithm_must_fit_the_key(kind: Algorithm, alg: str) -> None:
    own = Operator(kind)
    header = {"alg": alg, "x5c": x5c(own.certificate, own.root)}
    refused(forge(header, own.payload(), own.key), "of another kind")


def test_rsa_signer_is_refused(operator: Operator) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "RSA")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(5)
        .not_valid_before(ISSUED - DAY).not_valid_after(ISSUED + DAY).sign(key, hashes.SHA256())
    )  # fmt: skip
    refused(forge({"alg": "ES256", "x5c": x5c(certificate)}, operator.payload(), operator.key), "of another kind")


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "b64", "zip"])
def test_header_that_brings_a_key_or_another_encoding_is_refused(operator: Operator, name: str) -> None:
    header = {"alg": "EdDSA", "x5c": x5c(operator.certificate, operator.root), name: "https://example.org/key"}
    refused(forge(header, operator.payload(), operator.key), f"holds '{name}'")


@pytest.mark.parametrize("crit", [["b64"], ["sigT"], [], "exp"])
def test_critical_header_is_refused(operator: Operator, crit: object) -> None:
    header = {"alg": "EdDSA", "x5c": x5c(operator.certificate, operator.root), "crit": crit}
    refused(forge(header, operator.payload(), operator.key), "extensions that rawtrace does not know")


def test_header_with_a_key_twice_is_refused(operator: Operator) -> None:
    chain = json.dumps(x5c(operator.certificate, operator.root))
    header = f'{{"alg":"none","alg":"EdDSA","x5c":{chain}}}'.encode()
    refused(forge(header, operator.payload(), operator.key), "header .* is not the JSON")


@pytest.mark.parametrize("header", [b"[]", b"1", b"\xff", b"{", b'{"alg":"EdDSA"}', b'{"alg":"EdDSA","x5c":[]}'])
def test_odd_headers_are_refused(operator: Operator, header: bytes) -> None:
    refused(forge(header, operator.payload(), operator.key), "header")


def test_huge_header_is_refused(operator: Operator) -> None:
    header = {"alg": "EdDSA", "x5c": x5c(operator.certificate), "pad": "x" * 70_000}
    refused(forge(header, operator.payload(), operator.key), "at most 65536")


def test_too_many_certificates_are_refused(operator: Operator) -> None:
    header = {"alg": "EdDSA", "x5c": x5c(*[operator.certificate] * 9)}
    refused(forge(header, operator.payload(), operator.key), "1 to 8 certificates")


@pytest.mark.parametrize("entry", ["", "AAAA", "not base64", 5, None, "MA==\n"])
def test_broken_certificate_in_the_header_is_refused(operator: Operator, entry: object) -> None:
    refused(forge({"alg": "EdDSA", "x5c": [entry]}, operator.payload(), operator.key), "not a certificate")


def test_forged_x5c_with_the_real_root_is_refused(operator: Operator) -> None:
    stranger = Operator(name="Example University")
    header = {"alg": "EdDSA", "x5c": x5c(stranger.certificate, operator.root)}
    refused(forge(header, operator.payload(), stranger.key), "did not issue")


def test_real_chain_with_another_key_is_refused(operator: Operator) -> None:
    header = {"alg": "EdDSA", "x5c": x5c(operator.certificate, operator.root)}
    refused(forge(header, operator.payload(), generate(Algorithm.ED25519)), "signature .* does not hold")


def test_instrument_under_the_same_root_cannot_sign_a_list(operator: Operator) -> None:
    header = {"alg": "EdDSA", "x5c": x5c(operator.instrument, operator.root)}
    refused(forge(header, operator.payload(), operator.instrument_key), "not made for signing lists")


def test_root_without_the_usage_cannot_sign_a_list(operator: Operator) -> None:
    header = {"alg": "EdDSA", "x5c": x5c(operator.root)}
    refused(forge(header, operator.payload(), operator.root_key), "not made for signing lists")


def test_leaf_cannot_issue_an_operator(operator: Operator) -> None:
    key = generate(Algorithm.ED25519)
    above = (operator.instrument, operator.instrument_key)
    certificate = make_certificate("stranger", key, issuer=above, eku=(EKU_TRUST_LIST_SIGNING,))
    header = {"alg": "EdDSA", "x5c": x5c(certificate, operator.instrument, operator.root)}
    refused(forge(header, operator.payload(), key), "may not issue it")


def test_authority_limited_to_seals_cannot_issue_an_operator(operator: Operator) -> None:
    middle_key, key = generate(Algorithm.ED25519), generate(Algorithm.ED25519)
    above = (operator.root, operator.root_key)
    middle = make_certificate("limited", middle_key, issuer=above, ca=True, eku=(EKU_DOCUMENT_SIGNING,))
    certificate = make_certificate("operator", key, issuer=(middle, middle_key), eku=(EKU_TRUST_LIST_SIGNING,))
    header = {"alg": "EdDSA", "x5c": x5c(certificate, middle, operator.root)}
    refused(forge(header, operator.payload(), key), "may not issue it")


def key_usage(*, sign: bool = False, issue: bool = False) -> tuple[x509.KeyUsage, bool]:
    others = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(digital_signature=sign, key_cert_sign=issue, crl_sign=not sign, **others), True


@pytest.mark.parametrize(
    "middle_is",
    [{"ca": False}, {"ca": True, "extra": (key_usage(sign=True),)}],
    ids=["no authority", "may not issue"],
)
def test_only_authorities_can_issue_an_operator(operator: Operator, middle_is: dict[str, Any]) -> None:
    middle_key, key = generate(Algorithm.ED25519), generate(Algorithm.ED25519)
    middle = make_certificate("middle", middle_key, issuer=(operator.root, operator.root_key), **middle_is)
    certificate = make_certificate("operator", key, issuer=(middle, middle_key), eku=(EKU_TRUST_LIST_SIGNING,))
    header = {"alg": "EdDSA", "x5c": x5c(certificate, middle, operator.root)}
    refused(forge(header, operator.payload(), key), "may not issue it")


@pytest.mark.parametrize(("allowed", "accepted"), [(0, False), (1, True)])
def test_path_length_counts(operator: Operator, allowed: int, *, accepted: bool) -> None:
    root_key, middle_key, key = (generate(Algorithm.ED25519) for _ in range(3))
    root = make_certificate("root", root_key, ca=True, path_length=allowed)
    middle = make_certificate("middle", middle_key, issuer=(root, root_key), ca=True, path_length=0)
    certificate = make_certificate("operator", key, issuer=(middle, middle_key), eku=(EKU_TRUST_LIST_SIGNING,))
    data = forge({"alg": "EdDSA", "x5c": x5c(certificate, middle, root)}, operator.payload(), key)
    if accepted:
        assert read_list(data, source="x").operator_sha256 == o.fingerprint(root)
    else:
        refused(data, "may not issue it")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (key_usage(issue=True), "key usage forbids signing"),
        (
            (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1"), b"\x05\x00"), True),
            "conditions rawtrace does not",
        ),
    ],
    ids=["key usage", "unknown condition"],
)
def test_conditions_of_the_operators_certificate_hold(operator: Operator, extra: Any, expected: str) -> None:
    key = generate(Algorithm.ED25519)
    above = (operator.root, operator.root_key)
    certificate = make_certificate("operator", key, issuer=above, eku=(EKU_TRUST_LIST_SIGNING,), extra=(extra,))
    refused(forge({"alg": "EdDSA", "x5c": x5c(certificate, operator.root)}, operator.payload(), key), expected)


@pytest.mark.parametrize("issued", [ISSUED - 11 * DAY, ISSUED + 401 * DAY])
def test_operator_must_be_valid_at_the_time_of_issue(operator: Operator, issued: datetime) -> None:
    payload = operator.payload(issued=issued, next_update=None)
    header = {"alg": "EdDSA", "x5c": x5c(operator.certificate, operator.root)}
    refused(forge(header, payload, operator.key), "was not valid")
    with pytest.raises(TrustListError, match="was not valid"):
        operator.sign(payload)


def test_a_changed_byte_never_loads_as_signed(operator: Operator) -> None:
    data = operator.sign(operator.payload())
    step = max(1, len(data) // 400)
    places = {*range(0, len(data), step), *range(len(data) - 90, len(data)), *range(40)}
    for place in sorted(places):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        with pytest.raises(TrustListError):
            read_list(bytes(changed), source="test.jws")


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b"\n"), (b" ", b""), (b"", b"="), (b"", b"."), (b"", b"A"), (b"\xef\xbb\xbf", b"")]
)
def test_one_spelling_only(operator: Operator, before: bytes, after: bytes) -> None:
    refused(before + operator.sign(operator.payload()) + after, "test.jws")


@pytest.mark.parametrize("data", [b"", b"..", b"\x00" * 50, b"a.b", b"{", b"{}"])
def test_what_is_no_list_is_refused(data: bytes) -> None:
    refused(data, "test.jws", require_signature=False)


def test_last_character_with_spare_bits_set_is_refused(operator: Operator) -> None:
    data = operator.sign(operator.payload())
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(data[-1]) | 1]
    assert other != data[-1], "64 bytes leave two spare bits, zero in the right spelling"
    refused(data[:-1] + bytes([other]), "not base64url")


def test_signing_with_a_foreign_key_is_refused(operator: Operator) -> None:
    with pytest.raises(TrustListError, match="is not the one"):
        sign_list(operator.payload(), key=generate(Algorithm.ED25519), chain=[operator.certificate, operator.root])


def test_pem_is_refused_in_words(operator: Operator) -> None:
    pem = operator.root.public_bytes(serialization.Encoding.PEM)
    for data in (pem, b"# Example root\n" + pem):
        refused(data, "does not say what", require_signature=False)


# --- the content ------------------------------------------------------------------------------------------------


def document(operator: Operator) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(operator.payload())
    return value


def scheme_of(value: dict[str, Any]) -> dict[str, Any]:
    scheme: dict[str, Any] = value["LoTE"]["ListAndSchemeInformation"]
    return scheme


def service_of(value: dict[str, Any]) -> dict[str, Any]:
    service: dict[str, Any] = value["LoTE"]["TrustedEntitiesList"][0]["TrustedEntityServices"][0]["ServiceInformation"]
    return service


def load_plain(value: Any) -> TrustList:
    return read_list(json.dumps(value).encode(), source="plain.json", require_signature=False)


@pytest.mark.parametrize("sequence", [-1, True, 1.0, "1", None, 2**53, 10**400])
def test_sequence_must_be_a_whole_number_from_0(operator: Operator, sequence: object) -> None:
    value = document(operator)
    scheme_of(value)["LoTESequenceNumber"] = sequence
    with pytest.raises(TrustListError, match="sequence number"):
        load_plain(value)


@pytest.mark.parametrize("version", [0, 2, True, 1.0, "1", None])
def test_other_versions_are_refused(operator: Operator, version: object) -> None:
    value = document(operator)
    scheme_of(value)["LoTEVersionIdentifier"] = version
    with pytest.raises(TrustListError, match="version 1"):
        load_plain(value)


@pytest.mark.parametrize(
    "time",
    ["2026-03-01", "2026-03-01T12:00:00", "2026-03-01T12:00:00+01:00", "2026-02-30T12:00:00Z", "2026-03-01 12:00:00Z",
     "\uff12026-03-01T12:00:00Z", "2026-03-01T25:00:00Z", "2026-03-01T12:00:00Z\n", 1, None, "now"],
)  # fmt: skip
def test_times_are_strict(operator: Operator, time: object) -> None:
    value = document(operator)
    scheme_of(value)["ListIssueDateTime"] = time
    with pytest.raises(TrustListError, match="time of issue"):
        load_plain(value)


def test_next_update_before_issue_is_refused(operator: Operator) -> None:
    value = document(operator)
    scheme_of(value)["NextUpdate"] = "2026-02-01T00:00:00Z"
    with pytest.raises(TrustListError, match="next update"):
        load_plain(value)


def test_bad_certificate_names_its_entity(operator: Operator) -> None:
    value = document(operator)
    service_of(value)["ServiceDigitalIdentity"]["X509Certificates"][0]["val"] = "MA=="
    with pytest.raises(TrustListError, match="“Core facility”"):
        load_plain(value)


@pytest.mark.parametrize(
    "change",
    [
        {"serial": "0"}, {"serial": "-1"}, {"serial": "1A"}, {"serial": 5}, {"serial": "f" * 41}, {"serial": "0x1"},
        {"reason": "removeFromCRL"}, {"reason": "because"}, {"reason": None}, {"reason": []}, {"revokedAt": "soon"},
        {"revokedAt": None}, {"compromisedFrom": "2026-03-02T00:00:00Z"}, {"note": 5}, {"note": "x" * 513},
    ],
)  # fmt: skip
def test_a_status_that_cannot_be_read_refuses_the_list(operator: Operator, change: dict[str, Any]) -> None:
    value = document(operator)
    service_of(value)["ServiceInformationExtensions"][0][lote.STATUSES][0]["records"][0].update(change)
    with pytest.raises(TrustListError, match="Core facility"):
        load_plain(value)


@pytest.mark.parametrize(
    "statuses", [5, {}, [5], [{}], [{"authorityKeyId": "", "records": []}], [{"authorityKeyId": "AB", "records": []}],
                 [{"authorityKeyId": "ab"}], [{"authorityKeyId": "ab", "records": [5]}]],
)  # fmt: skip
def test_odd_groups_of_statuses_refuse_the_list(operator: Operator, statuses: object) -> None:
    value = document(operator)
    service_of(value)["ServiceInformationExtensions"] = [{lote.STATUSES: statuses}]
    with pytest.raises(TrustListError, match="Core facility"):
        load_plain(value)


def test_one_certificate_cannot_have_two_statuses(operator: Operator) -> None:
    twice = [operator.status(7), operator.status(7, reason="superseded")]
    with pytest.raises(TrustListError, match="two statuses"):
        operator.payload(statuses=twice)


@pytest.mark.parametrize(
    "value", [[], 5, "x", None, {"LoTE": 5}, {"LoTE": {}}, {"LoTE": {"ListAndSchemeInformation": []}}]
)
def test_other_json_is_refused(value: object) -> None:
    with pytest.raises(TrustListError):
        load_plain(value)


@pytest.mark.parametrize("entities", [5, {}, [5], [{}], [{"TrustedEntityInformation": {"TEName": []}}], [[]]])
def test_odd_entities_are_refused(operator: Operator, entities: object) -> None:
    value = document(operator)
    value["LoTE"]["TrustedEntitiesList"] = entities
    with pytest.raises(TrustListError):
        load_plain(value)


def test_keys_twice_are_refused(operator: Operator) -> None:
    data = operator.payload().replace(b'"LoTESequenceNumber":3', b'"LoTESequenceNumber":3,"LoTESequenceNumber":4')
    refused(data, "twice", require_signature=False)
    header = {"alg": "EdDSA", "x5c": x5c(operator.certificate, operator.root)}
    refused(forge(header, data, operator.key), "twice")


@pytest.mark.parametrize("depth", [70, 200_000])
def test_deep_nesting_is_refused(operator: Operator, depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    data = operator.payload().replace(b'"LoTEVersionIdentifier":1', b'"x":' + nested + b',"LoTEVersionIdentifier":1')
    refused(data, "nested too deeply", require_signature=False)


def test_huge_lists_are_refused(operator: Operator) -> None:
    data = operator.payload() + b" " * lote.MAX_LIST_BYTES
    refused(data, "at most 16777216", require_signature=False)
    refused(b"a." + b"A" * (2 * lote.MAX_LIST_BYTES) + b".b", "more than")


def test_too_many_entities_are_refused(operator: Operator) -> None:
    value = document(operator)
    value["LoTE"]["TrustedEntitiesList"] *= lote.MAX_ENTITIES + 1
    service_of(value)  # the shape is still right
    data = json.dumps({"LoTE": {**value["LoTE"], "TrustedEntitiesList": [0] * (lote.MAX_ENTITIES + 1)}}).encode()
    refused(data, "at most 10000 trusted entities", require_signature=False)


def test_too_many_statuses_are_refused(operator: Operator) -> None:
    value = document(operator)
    group = {"authorityKeyId": "ab", "records": [0] * (lote.MAX_STATUSES + 1)}
    service_of(value)["ServiceInformationExtensions"] = [{lote.STATUSES: [group]}]
    with pytest.raises(TrustListError, match="more than 100000 statuses"):
        load_plain(value)


def test_names_cannot_steer_a_terminal(operator: Operator) -> None:
    value = document(operator)
    scheme_of(value)["SchemeName"][0]["value"] = "harmless\x1b[2J\ud800\u202e"
    loaded = load_plain(value)
    assert loaded.name == "harmless [2J  "
    assert loaded.name.encode()


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "x" * 513, "\x1b"])
def test_names_that_would_not_be_read_back_are_not_written(operator: Operator, name: str) -> None:
    with pytest.raises(TrustListError, match="printable"):
        operator.payload(name=name)


def test_time_without_zone_is_not_written(operator: Operator) -> None:
    with pytest.raises(TrustListError, match="time zone"):
        operator.payload(issued=datetime(2026, 3, 1))  # noqa: DTZ001  the case itself


def test_unsigned_list_needs_leave(operator: Operator) -> None:
    refused(operator.payload(), "not signed")
    loaded = read_list(operator.payload(), source="plain.json", require_signature=False)
    assert (loaded.signer_sha256, loaded.operator_sha256, loaded.signed) == ("", "", False)


# --- purposes ---------------------------------------------------------------------------------------------------


def c2pa_form(name: str, *certificates: x509.Certificate) -> dict[str, Any]:
    """A list as C2PA publishes its own: no service types, addresses, one purpose for the whole list."""
    said = lambda text: [{"lang": "en", "value": text}]  # noqa: E731
    uri = [{"lang": "en", "uriValue": "https://ca.example.org"}]
    address = {"lang": "en", "StreetAddress": "1 Example Street", "Locality": "Sample", "Country": "ZZ"}
    return {
        "LoTE": {
            "ListAndSchemeInformation": {
                "LoTEVersionIdentifier": 1,
                "LoTESequenceNumber": 1,
                "SchemeName": said(name),
                "SchemeOperatorName": said("Example coalition"),
                "SchemeInformationURI": uri,
                "ListIssueDateTime": "2026-03-01T00:11:39Z",
                "NextUpdate": "2027-03-01T00:11:39Z",
            },
            "TrustedEntitiesList": [
                {
                    "TrustedEntityInformation": {
                        "TEName": said("Example CA"),
                        "TEAddress": {"TEPostalAddress": [address], "TEElectronicAddress": uri},
                        "TEInformationURI": uri,
                    },
                    "TrustedEntityServices": [
                        {
                            "ServiceInformation": {
                                "ServiceName": said(f"Example CA {number}"),
                                "ServiceDigitalIdentity": {"X509Certificates": [{"val": x5c(one)[0]}]},
                                "ServiceStatus": "http://c2pa.org/conformance/trust-list/trusted",
                                "StatusStartingTime": "2025-08-27T00:00:00Z",
                            }
                        }
                        for number, one in enumerate(certificates)
                    ],
                }
            ],
        }
    }


def test_c2pa_list_is_for_signing(operator: Operator) -> None:
    loaded = load_plain(c2pa_form("C2PA Trust List", operator.root))
    assert [(one.purpose, one.name, one.granted) for one in loaded.anchors] == [(Purpose.SIGNING, "Example CA 0", True)]
    assert loaded.anchors[0].since == datetime(2025, 8, 27, tzinfo=UTC)
    assert loaded.ignored == 0


def test_tsa_list_never_yields_signing_anchors(operator: Operator) -> None:
    loaded = load_plain(c2pa_form("C2PA TSA Trust List", operator.root))
    assert [one.purpose for one in loaded.anchors] == [Purpose.TIMESTAMP]
    assert loaded.anchors_for(Purpose.SIGNING) == ()


def test_time_stamping_authority_in_a_signing_list_is_passed_over() -> None:
    key = generate(Algorithm.ES256)
    tsa = make_certificate("TSA", key, ca=True, eku=(ExtendedKeyUsageOID.TIME_STAMPING.dotted_string,))
    loaded = load_plain(c2pa_form("C2PA Trust List", tsa))
    assert (loaded.anchors, loaded.ignored) == ((), 1)


def test_untyped_services_of_an_unknown_scheme_are_ignored_and_counted(operator: Operator) -> None:
    loaded = load_plain(c2pa_form("C2PA Trust List and more", operator.root, operator.root))
    assert (loaded.anchors, loaded.ignored) == ((), 2)


@pytest.mark.parametrize("kind", ["http://uri.etsi.org/19602/SvcType/PID/Issuance", 5, [], ""])
def test_unknown_service_types_are_ignored_but_their_statuses_count(operator: Operator, kind: object) -> None:
    value = document(operator)
    service_of(value)["ServiceTypeIdentifier"] = kind
    loaded = load_plain(value)
    assert (loaded.anchors, loaded.ignored) == ((), 1)
    assert loaded.status_of(operator.root_id, 0x1A2B)


def test_unknown_type_in_a_list_of_one_purpose_stays_unknown(operator: Operator) -> None:
    value = c2pa_form("C2PA Trust List", operator.root)
    service_of(value)["ServiceTypeIdentifier"] = "urn:example:other"
    assert load_plain(value).ignored == 1


@pytest.mark.parametrize(
    ("status", "granted"),
    [
        ("http://c2pa.org/conformance/trust-list/untrusted", False),
        ("http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/withdrawn", False),
        ("http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/granted", True),
    ],
)
def test_standing(operator: Operator, status: str, *, granted: bool) -> None:
    value = document(operator)
    service_of(value)["ServiceStatus"] = status
    assert [one.granted for one in load_plain(value).anchors] == [granted]


def test_unknown_standing_is_no_grant(operator: Operator) -> None:
    value = document(operator)
    service_of(value)["ServiceStatus"] = "urn:example:maybe"
    assert load_plain(value).anchors == ()


def test_anchor_that_its_certificate_rules_out_is_not_written(operator: Operator) -> None:
    sealing_only = make_certificate("CA", generate(Algorithm.ED25519), ca=True, eku=(EKU_DOCUMENT_SIGNING,))
    with pytest.raises(TrustListError, match="is not made for timestamp"):
        operator.payload(anchors=[Anchor(certificate=sealing_only, purpose=Purpose.TIMESTAMP, name="CA")], statuses=[])


# --- what must load ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_round_trip(algorithm: Algorithm) -> None:
    own = Operator(algorithm)
    anchors = tuple(
        Anchor(certificate=own.root, purpose=purpose, name=f"for {purpose}", granted=granted, since=since)
        for purpose, granted, since in zip(Purpose, (True, False, True), (ISSUED, ISSUED, None), strict=True)
    )
    statuses = (own.status(2**159), own.status(9, authority_key_id=b"\x01", compromised_from=None, note=""))
    loaded = read_list(own.sign(own.payload(anchors=anchors, statuses=statuses)), source="lab.jws")
    assert (loaded.name, loaded.operator, loaded.sequence) == (
        "Example University instruments",
        "Example University",
        3,
    )
    assert (loaded.issued, loaded.next_update, loaded.source) == (ISSUED, ISSUED + 30 * DAY, "lab.jws")
    assert loaded.anchors == anchors
    assert set(loaded.statuses) == set(statuses)
    assert loaded.signer_sha256 == own.certificate.fingerprint(hashes.SHA256()).hex()
    assert loaded.operator_sha256 == own.root.fingerprint(hashes.SHA256()).hex()


def test_an_authoritys_own_profiles_make_an_operator() -> None:
    root_key, operator_key = generate(Algorithm.ED25519), generate(Algorithm.ES256)
    names = {"name": "Example core facility", "organisation": "https://ror.org/05gq02987", "now": ISSUED}
    root = profiles.issue_root(key=root_key.issuing_key(), **names)
    above = {"issuer": root, "issuer_key": root_key.issuing_key()}
    operator = profiles.issue_operator(public_key=operator_key.public_key(), **above, **names)
    payload = Operator().payload(anchors=[Anchor(certificate=root, purpose=Purpose.SIGNING, name="Core facility")])
    loaded = read_list(sign_list(payload, key=operator_key, chain=[operator, root]), source="x")
    assert [one.certificate for one in loaded.anchors] == [root]


def test_a_single_certificate_may_stand_for_itself() -> None:
    key = generate(Algorithm.ES256)
    alone = make_certificate("Society", key, eku=(EKU_TRUST_LIST_SIGNING,))
    payload = Operator().payload()
    loaded = read_list(sign_list(payload, key=key, chain=[alone]), source="x")
    assert loaded.operator_sha256 == loaded.signer_sha256 != ""


def test_overdue_list_still_loads_and_says_so(operator: Operator) -> None:
    loaded = read_list(operator.sign(operator.payload()), source="x")
    assert not loaded.expired(ISSUED + 30 * DAY)
    assert loaded.expired(ISSUED + 31 * DAY)
    assert not load_plain({"LoTE": {**document(operator)["LoTE"]}}).expired(ISSUED)
    never = read_list(operator.sign(operator.payload(next_update=None)), source="x")
    assert not never.expired(ISSUED + 10_000 * DAY)


def test_status_is_looked_up_by_issuer_and_serial(operator: Operator) -> None:
    loaded = read_list(operator.sign(operator.payload()), source="x")
    assert loaded.status_of(operator.root_id, 0x1A2B) == operator.status(0x1A2B)
    assert loaded.status_of(operator.root_id, 0x1A2C) is None
    assert loaded.status_of(b"another", 0x1A2B) is None


def test_a_hundred_thousand_statuses_fit(operator: Operator) -> None:
    statuses = [operator.status(2**158 + n, note="") for n in range(lote.MAX_STATUSES)]
    loaded = read_list(operator.sign(operator.payload(statuses=statuses)), source="x")
    assert len(loaded.statuses) == lote.MAX_STATUSES
    found = loaded.status_of(operator.root_id, 2**158 + 99_999)
    assert found is not None
    assert found.serial == 2**158 + 99_999


def test_statuses_without_any_authority_are_not_written(operator: Operator) -> None:
    with pytest.raises(TrustListError, match="needs an authority"):
        operator.payload(anchors=[])
    assert load_plain(json.loads(operator.payload(anchors=[], statuses=[]))).anchors == ()


def schema_validator() -> jsonschema.Draft202012Validator:
    path = Path(rawtrace.trust.__file__).parent / "schema" / "trust-list-1.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_worked_example_of_the_specification_loads() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "spec" / "trust-list.md"
    example = re.findall(r"^```json\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
    schema_validator().validate(json.loads(example))
    loaded = read_list(example.encode(), source="the page", require_signature=False)
    assert (loaded.sequence, loaded.anchors[0].name) == (7, "Example core facility")
    rebuilt = build_list(
        name=loaded.name,
        operator=loaded.operator,
        sequence=loaded.sequence,
        issued=loaded.issued,
        next_update=loaded.next_update,
        anchors=loaded.anchors,
        statuses=loaded.statuses,
    )
    assert json.loads(rebuilt) == json.loads(example)


def test_built_lists_satisfy_the_schema(operator: Operator) -> None:
    validator = schema_validator()
    for purpose in Purpose:
        anchor = Anchor(certificate=operator.root, purpose=purpose, name="Core facility")
        validator.validate(json.loads(operator.payload(anchors=[anchor])))
    validator.validate(c2pa_form("C2PA Trust List", operator.root))
    for change in ({"serial": "0"}, {"reason": "because"}, {"revokedAt": "soon"}):
        value = document(operator)
        service_of(value)["ServiceInformationExtensions"][0][lote.STATUSES][0]["records"][0].update(change)
        assert not validator.is_valid(value)
