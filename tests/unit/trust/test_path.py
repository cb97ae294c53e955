"""Every rule of path validation, broken one at a time on an otherwise good chain."""

from __future__ import annotations

import runpy
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from rawtrace.errors import CertificateError
from rawtrace.trust import profiles
from rawtrace.trust.anchors import Purpose
from rawtrace.trust.certfacts import read_certificate, serial_in
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Protection
from rawtrace.trust.path import PathResult, PathValidator, read_chain, validate_path

c = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "chains.py")))
make, anchor, listing, NOW = c.make, c.anchor, c.listing, c.NOW

ROOT = make("Example root", ca=True, pathlen=1)
AUTHORITY = make("Example authority", ROOT, ca=True, pathlen=0)
LEAF = make("Example microscope", AUTHORITY)
LIST = listing(anchor(ROOT))


def judge(*parties, lists=(LIST,), at=NOW, purpose=Purpose.SIGNING) -> PathResult:
    return validate_path([party.certificate for party in parties], lists, at=at, purpose=purpose)


def codes(*parties, **options) -> set[str]:
    return {problem.code for problem in judge(*parties, **options).problems}


# --- good chains


def test_chain_without_root() -> None:
    result = judge(LEAF, AUTHORITY)
    assert result.problems == ()
    assert result.trusted
    assert result.anchor is LIST.anchors[0]
    assert result.trust_list is LIST
    assert [one.subject for one in result.chain] == [LEAF.name, AUTHORITY.name, ROOT.name]


def test_root_in_chain_order_and_junk_do_not_matter() -> None:
    stranger = make("Somebody else", ca=True)
    assert judge(LEAF, stranger, ROOT, AUTHORITY).trusted
    assert len(judge(LEAF, stranger, ROOT, AUTHORITY).chain) == 3


def test_intermediate_as_anchor() -> None:
    result = judge(LEAF, lists=[listing(anchor(AUTHORITY))])
    assert result.trusted
    assert len(result.chain) == 2
    assert judge(LEAF, AUTHORITY, ROOT, lists=[listing(anchor(AUTHORITY))]).trusted


def test_leaf_itself_listed() -> None:
    assert judge(LEAF, lists=[listing(anchor(LEAF))]).trusted


def test_anchor_of_same_name_and_key_but_other_bytes() -> None:
    renewed = make("Example root", ca=True, pathlen=1, key=ROOT.key)
    assert judge(LEAF, AUTHORITY, ROOT, lists=[listing(anchor(renewed))]).trusted


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["p256", "p384", "p521", "rsa2048"],
)
def test_accepted_keys(key) -> None:
    root = make("Root", ca=True, key=key)
    assert judge(make("Leaf", root), lists=[listing(anchor(root))]).trusted
    assert judge(make("Leaf", AUTHORITY, key=key), AUTHORITY).trusted


def test_rsa_pss() -> None:
    root = make("Root", ca=True, key=rsa.generate_private_key(65537, 2048))
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    assert judge(make("Leaf", root, padding=pss), lists=[listing(anchor(root))]).trusted


@pytest.mark.parametrize("usages", [[c.CLAIM_SIGNING], [c.EMAIL], [c.DOCUMENT_SIGNING, c.SERVER_AUTH]])
def test_accepted_usages(usages) -> None:
    assert codes(make("Leaf", AUTHORITY, eku=usages), AUTHORITY) == set()


def test_which_of_several_lists_matched() -> None:
    other = listing(anchor(make("Other", ca=True)), name="other")
    second = listing(anchor(ROOT), name="second")
    assert judge(LEAF, AUTHORITY, lists=[other, second, LIST]).trust_list is second


def test_one_good_path_is_enough() -> None:
    expired = make("Example authority", ROOT, ca=True, pathlen=0, key=AUTHORITY.key, end=NOW - timedelta(days=1))
    assert judge(LEAF, expired, AUTHORITY).trusted
    assert codes(LEAF, expired) == {"issuer-expired"}


# --- steps 1 and 2: chain and links


def test_empty_chain_fail() -> None:
    result = validate_path([], [LIST], at=NOW)
    assert result.anchor is None
    assert [problem.code for problem in result.problems] == ["no-certificate"]


def test_no_lists_fail() -> None:
    result = judge(LEAF, AUTHORITY, lists=[])
    assert result.anchor is None
    assert {problem.code for problem in result.problems} == {"no-path"}


def test_unknown_authority_fail() -> None:
    root = make("Unknown root", ca=True)
    assert codes(make("Leaf", root), root) == {"no-path"}


def test_attacker_with_identical_names_fail() -> None:
    root = make("Example root", ca=True, pathlen=1)
    authority = make("Example authority", root, ca=True, pathlen=0)
    leaf = make("Example microscope", authority)
    assert judge(leaf, authority, root).anchor is None
    assert codes(leaf, authority, root) == {"no-path", "link-signature"}
    assert codes(leaf, authority) == {"no-path", "link-signature"}
    assert codes(leaf, AUTHORITY) == {"no-path", "link-signature"}


def test_altered_leaf_fail() -> None:
    der = c.patched(LEAF, b"Example microscope", b"Another microscope")
    result = validate_path([x509.load_der_x509_certificate(der), AUTHORITY.certificate], [LIST], at=NOW)
    assert {problem.code for problem in result.problems} == {"no-path", "link-signature"}


def test_swapped_order_fail() -> None:
    assert "leaf-is-authority" in codes(AUTHORITY, LEAF, ROOT)


def test_duplicate_fail() -> None:
    assert codes(LEAF, AUTHORITY, AUTHORITY) == {"duplicate-certificate"}


def test_loop_fail() -> None:
    one_key = ed25519.Ed25519PrivateKey.generate()
    two = make("Two", c.Party(c.named("One"), one_key, None), ca=True, aki=None)
    one = make("One", two, ca=True, key=one_key)
    assert codes(make("Leaf", one), one, two) == {"no-path"}


def test_many_cross_certificates_end() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = c.named("Same")
    same = [make(name, c.Party(name, key, None), ca=True, key=key, aki=None) for _ in range(7)]
    assert "no-path" in codes(make("Leaf", same[0]), *same)


def test_eight_certificates_at_most_fail() -> None:
    chain = [make("Level 0", ca=True)]
    for level in range(1, 8):
        chain.append(make(f"Level {level}", chain[-1], ca=True))
    lists = [listing(anchor(chain[0]))]
    good = [make("Leaf", chain[6]), *reversed(chain[1:7])]
    assert judge(*good, lists=lists).trusted
    bad = [make("Leaf", chain[7]), *reversed(chain[1:8])]
    assert codes(*bad, lists=lists) == {"no-path"}
    assert "chain-too-long" in codes(*bad, chain[0], lists=lists)


# --- step 3: anchors


@pytest.mark.parametrize("purpose", [Purpose.TIMESTAMP, Purpose.IDENTITY])
def test_wrong_list_purpose_fail(purpose) -> None:
    result = judge(LEAF, AUTHORITY, lists=[listing(anchor(ROOT, purpose))])
    assert [problem.code for problem in result.problems] == ["wrong-list-purpose"]
    assert not result.trusted
    assert judge(LEAF, AUTHORITY, lists=[listing(anchor(ROOT, purpose), anchor(ROOT))]).trusted


def test_withdrawn_anchor_fail() -> None:
    day = timedelta(days=1)
    lists = [listing(anchor(ROOT, granted=False, since=NOW))]
    assert codes(LEAF, AUTHORITY, lists=lists) == {"withdrawn-anchor"}
    assert codes(LEAF, AUTHORITY, lists=lists, at=NOW + day) == {"withdrawn-anchor"}
    assert codes(LEAF, AUTHORITY, lists=lists, at=NOW - day) == set()
    assert codes(LEAF, AUTHORITY, lists=[listing(anchor(ROOT, granted=False))]) == {"withdrawn-anchor"}


def test_latest_word_of_one_list_counts() -> None:
    granted, withdrawn = anchor(ROOT, since=c.START), anchor(ROOT, granted=False, since=NOW)
    assert codes(LEAF, AUTHORITY, lists=[listing(granted, withdrawn)]) == {"withdrawn-anchor"}
    again = anchor(ROOT, since=NOW + timedelta(days=9))
    assert codes(LEAF, AUTHORITY, lists=[listing(granted, withdrawn, again)], at=NOW + timedelta(days=10)) == set()


def test_another_list_may_still_grant() -> None:
    lists = [listing(anchor(ROOT, granted=False), name="strict"), LIST]
    assert judge(LEAF, AUTHORITY, lists=lists).trust_list is LIST


# --- step 4: every certificate


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (c.START - timedelta(seconds=1), {"certificate-not-yet-valid", "issuer-not-yet-valid", "anchor-not-yet-valid"}),
        (c.START, set()),
        (c.END, set()),
        (c.END + timedelta(seconds=1), {"certificate-expired", "issuer-expired", "anchor-expired"}),
    ],
)
def test_validity_fail(at, expected) -> None:
    assert codes(LEAF, AUTHORITY, at=at) == expected


def test_expired_one_at_a_time_fail() -> None:
    past = NOW - timedelta(days=1)
    root = make("Example root", ca=True, key=ROOT.key, end=past)
    assert codes(LEAF, AUTHORITY, lists=[listing(anchor(root))]) == {"anchor-expired"}
    assert codes(make("Leaf", AUTHORITY, end=past), AUTHORITY) == {"certificate-expired"}


def test_time_without_zone_is_utc() -> None:
    assert judge(LEAF, AUTHORITY, at=NOW.replace(tzinfo=None)).trusted


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),  # noqa: S505 - weak on purpose
        rsa.generate_private_key(3, 2048),
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.BrainpoolP256R1()),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ],
    ids=["rsa1024", "rsa-e3", "secp256k1", "brainpool", "ed448", "dsa"],
)
def test_weak_leaf_key_fail(key) -> None:
    assert codes(make("Leaf", AUTHORITY, key=key), AUTHORITY) == {"weak-key"}


def test_weak_anchor_key_fail() -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - weak on purpose
    root = make("Root", ca=True, key=weak)
    assert codes(make("Leaf", root), lists=[listing(anchor(root))]) == {"weak-key"}


def test_sha1_fail() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root = make("Root", ca=True, key=key)
    leaf = make("Leaf", root)
    # The library makes no SHA-1 signature any more; with its algorithm renamed the signature fits no longer either.
    der = c.patched(leaf, bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d040301"))
    weak = x509.load_der_x509_certificate(der)
    result = validate_path([weak], [listing(anchor(root))], at=NOW)
    assert {problem.code for problem in result.problems} >= {"weak-signature", "no-path"}


def test_sha224_fail() -> None:
    root = make("Root", ca=True, key=ec.generate_private_key(ec.SECP256R1()))
    assert codes(make("Leaf", root, algorithm=hashes.SHA224()), lists=[listing(anchor(root))]) == {"weak-signature"}


def test_listed_certificate_needs_no_strong_signature_of_its_own() -> None:
    root = make("Root", ca=True, key=ec.generate_private_key(ec.SECP256R1()), algorithm=hashes.SHA224())
    assert judge(make("Leaf", root), lists=[listing(anchor(root))]).trusted


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1234"), b"\x05\x00")


@pytest.mark.parametrize("extension", [UNKNOWN, x509.InhibitAnyPolicy(0), x509.PolicyConstraints(0, None)])
def test_unknown_critical_extension_fail(extension) -> None:
    where = [(extension, True)]
    expected = {"unknown-critical-extension"}
    assert codes(make("Leaf", AUTHORITY, extra=where), AUTHORITY) == expected
    authority = make("Example authority", ROOT, ca=True, extra=where)
    assert codes(make("Leaf", authority), authority) == expected
    root = make("Root", ca=True, extra=where)
    assert codes(make("Leaf", root), lists=[listing(anchor(root))]) == expected
    assert codes(make("Leaf", AUTHORITY, extra=[(extension, False)]), AUTHORITY) == set()


def test_malformed_extension_fail() -> None:
    bad = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x05garbage")
    assert codes(make("Leaf", AUTHORITY, extra=[(bad, False)]), AUTHORITY) == {"malformed-certificate"}
    authority = make("Example authority", ROOT, ca=True, extra=[(bad, False)])
    assert codes(make("Leaf", authority), authority) == {"malformed-certificate"}


def test_negative_serial_fail() -> None:
    serial = 0x11223344
    leaf = make("Leaf", AUTHORITY, serial=serial)
    der = c.patched(leaf, bytes.fromhex("020411223344"), bytes.fromhex("0204f1223344"))
    assert serial_in(der) == 0xF1223344 - (1 << 32)
    chain, problems = read_chain([der, AUTHORITY.der])
    assert chain == ()
    assert [problem.code for problem in problems] == ["unreadable-certificate"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        negative = x509.load_der_x509_certificate(der)
    result = validate_path([negative, AUTHORITY.certificate], [LIST], at=NOW)
    assert {problem.code for problem in result.problems} >= {"bad-serial", "no-path"}


def test_version_1_fail() -> None:
    der = c.patched(LEAF, bytes.fromhex("a003020102"), bytes.fromhex("a003020101"))
    with pytest.raises(CertificateError):
        read_certificate(der)
    root = _version_1_root()
    result = validate_path([make("Leaf", root).certificate], [listing(anchor(root))], at=NOW)
    assert {problem.code for problem in result.problems} == {"not-version-3", "issuer-not-authority"}


def _version_1_root():
    """A real version 1 certificate: the parts of a version 3 one, put together without version and extensions."""
    from asn1crypto import x509 as asn1

    key = ed25519.Ed25519PrivateKey.generate()
    modern = make("Old root", ca=True, key=key)
    old = asn1.Certificate.load(modern.der)
    tbs = asn1.TbsCertificate(
        {
            **{name: old["tbs_certificate"][name] for name in ("serial_number", "signature", "issuer", "validity")},
            "version": "v1",
            "subject": old["tbs_certificate"]["subject"],
            "subject_public_key_info": old["tbs_certificate"]["subject_public_key_info"],
        }
    )
    whole = asn1.Certificate(
        {
            "tbs_certificate": tbs,
            "signature_algorithm": old["signature_algorithm"],
            "signature_value": key.sign(tbs.dump()),
        }
    )
    return c.Party(modern.name, key, x509.load_der_x509_certificate(whole.dump()))


# --- steps 5 and 6: links and authorities


def test_key_id_mismatch_fail() -> None:
    assert codes(make("Leaf", AUTHORITY, aki=b"x" * 20), AUTHORITY) == {"key-id-mismatch"}
    authority = make("Example authority", ROOT, ca=True, aki=b"x" * 20)
    assert codes(make("Leaf", authority), authority) == {"key-id-mismatch"}


def test_key_ids_may_be_absent_on_authorities() -> None:
    root = make("Root", ca=True, ski=False)
    authority = make("Authority", root, ca=True, aki=None, ski=False)
    assert judge(make("Leaf", authority), authority, lists=[listing(anchor(root))]).trusted


def test_leaf_issuing_leaf_fail() -> None:
    assert codes(make("Second", LEAF), LEAF, AUTHORITY) == {
        "issuer-not-authority",
        "issuer-may-not-certify",
        "path-length-exceeded",
    }


@pytest.mark.parametrize("options", [{"ca": False}, {"basic": False}])
def test_intermediate_without_ca_flag_fail(options) -> None:
    usage = c.usages("key_cert_sign")
    authority = make("Example authority", ROOT, usage=usage, eku=None, **options)
    assert codes(make("Leaf", authority), authority) == {"issuer-not-authority"}


def test_anchor_without_ca_flag_fail() -> None:
    root = make("Root", usage=c.usages("key_cert_sign"), eku=None)
    assert codes(make("Leaf", root), lists=[listing(anchor(root))]) == {"issuer-not-authority"}


@pytest.mark.parametrize("usage", [None, c.usages("digital_signature", "crl_sign")])
def test_intermediate_without_key_cert_sign_fail(usage) -> None:
    authority = make("Example authority", ROOT, ca=True, usage=usage)
    assert codes(make("Leaf", authority), authority) == {"issuer-may-not-certify"}


def test_anchor_without_key_cert_sign_fail() -> None:
    root = make("Root", ca=True, usage=c.usages("crl_sign"))
    assert codes(make("Leaf", root), lists=[listing(anchor(root))]) == {"issuer-may-not-certify"}
    old = make("Root", ca=True, usage=None)
    assert judge(make("Leaf", old), lists=[listing(anchor(old))]).trusted


def test_path_length_fail() -> None:
    below = make("Sub-authority", AUTHORITY, ca=True)
    assert codes(make("Leaf", below), below, AUTHORITY) == {"path-length-exceeded"}
    root = make("Root", ca=True, pathlen=0)
    authority = make("Authority", root, ca=True)
    assert codes(make("Leaf", authority), authority, lists=[listing(anchor(root))]) == {"path-length-exceeded"}


def test_self_issued_does_not_count_for_path_length() -> None:
    root = make("Root", ca=True, pathlen=1)
    authority = make("Authority", root, ca=True, pathlen=0)
    renewed = make("Authority", authority, ca=True, pathlen=0)
    assert judge(make("Leaf", renewed), renewed, authority, lists=[listing(anchor(root))]).trusted


# --- step 8: the leaf


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ca": True, "eku": [c.DOCUMENT_SIGNING], "usage": c.usages("digital_signature")}, {"leaf-is-authority"}),
        ({"usage": c.usages("digital_signature", "key_cert_sign")}, {"leaf-may-certify"}),
        ({"usage": c.usages("key_encipherment")}, {"no-digital-signature"}),
        ({"usage": c.usages("content_commitment")}, {"no-digital-signature"}),
        ({"usage": None}, {"no-digital-signature"}),
        ({"aki": None}, {"no-authority-key-id"}),
        ({"eku": None}, {"no-extended-key-usage"}),
        ({"eku": [c.CODE_SIGNING]}, {"not-for-this-use"}),
        ({"eku": ["0.4.0.2231.3.0"]}, {"not-for-this-use"}),
        ({"eku": [c.ANY]}, {"not-for-this-use", "any-extended-key-usage"}),
        ({"eku": [c.ANY, c.DOCUMENT_SIGNING]}, {"any-extended-key-usage"}),
        ({"eku": [c.TIME_STAMPING, c.DOCUMENT_SIGNING]}, {"mixed-extended-key-usage"}),
        ({"eku": [c.OCSP, c.DOCUMENT_SIGNING]}, {"mixed-extended-key-usage"}),
        ({"eku": [c.TIME_STAMPING], "eku_critical": True}, {"not-for-this-use", "mixed-extended-key-usage"}),
    ],
)
def test_leaf_profile_fail(options, expected) -> None:
    assert codes(make("Leaf", AUTHORITY, **options), AUTHORITY) == expected


def test_self_signed_leaf_fail() -> None:
    assert codes(make("Alone")) == {"no-path"}


def test_timestamp_profile() -> None:
    lists = [listing(anchor(ROOT, Purpose.TIMESTAMP))]

    def stamp(**options) -> set[str]:
        given = {"eku": [c.TIME_STAMPING], "eku_critical": True, **options}
        return codes(make("TSA", AUTHORITY, **given), AUTHORITY, lists=lists, purpose=Purpose.TIMESTAMP)

    assert stamp() == set()
    assert stamp(usage=c.usages("content_commitment")) == set()
    assert stamp(eku_critical=False) == {"not-for-this-use"}
    assert stamp(eku=[c.TIME_STAMPING, c.EMAIL]) == {"not-for-this-use"}
    assert stamp(eku=[c.DOCUMENT_SIGNING]) == {"not-for-this-use"}
    assert stamp(usage=c.usages("key_agreement")) == {"no-digital-signature"}


def test_timestamp_from_signing_list_fail() -> None:
    leaf = make("TSA", AUTHORITY, eku=[c.TIME_STAMPING], eku_critical=True)
    assert codes(leaf, AUTHORITY, purpose=Purpose.TIMESTAMP) == {"wrong-list-purpose"}


def test_identity_refuses_claim_signing_fail() -> None:
    lists = [listing(anchor(ROOT, Purpose.IDENTITY))]
    assert codes(LEAF, AUTHORITY, lists=lists, purpose=Purpose.IDENTITY) == set()
    leaf = make("Leaf", AUTHORITY, eku=[c.CLAIM_SIGNING])
    assert codes(leaf, AUTHORITY, lists=lists, purpose=Purpose.IDENTITY) == {"not-for-this-use"}


# --- step 9: usages of authorities


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([c.DOCUMENT_SIGNING], set()),
        ([c.ANY], set()),
        ([c.SERVER_AUTH], {"issuer-not-for-this-use"}),
        ([c.EMAIL], {"issuer-not-for-this-use"}),
    ],
)
def test_usages_of_authorities_fail(usages, expected) -> None:
    authority = make("Example authority", ROOT, ca=True, eku=usages)
    assert codes(make("Leaf", authority), authority) == expected
    root = make("Root", ca=True, eku=usages)
    assert codes(make("Leaf", root), lists=[listing(anchor(root))]) == expected


def test_usages_must_meet_along_the_whole_path_fail() -> None:
    root = make("Root", ca=True, eku=[c.EMAIL])
    authority = make("Authority", root, ca=True, eku=[c.DOCUMENT_SIGNING])
    leaf = make("Leaf", authority, eku=[c.EMAIL, c.DOCUMENT_SIGNING])
    assert codes(leaf, authority, lists=[listing(anchor(root))]) == {"issuer-not-for-this-use"}


# --- rawtrace's own profiles


def test_own_profiles() -> None:
    keys = [ed25519.Ed25519PrivateKey.generate(), *(ec.generate_private_key(ec.SECP256R1()) for _ in range(3))]
    host, stated = "instruments.example.org", {"organisation": "Example University", "record_sha256": b"r" * 32}
    root = profiles.issue_root(name="Example", organisation="Example University", key=keys[0], now=NOW)
    authority = profiles.issue_authority(
        name="Example",
        organisation="Example University",
        public_key=keys[1].public_key(),
        root=root,
        root_key=keys[0],
        now=NOW,
        name_space=host,
    )
    lists = [listing(anchor(c.Party(None, None, root)))]
    issuing = {"issuer": authority, "issuer_key": keys[1], "now": NOW}

    def found(certificate) -> set[str]:
        result = validate_path([certificate, authority], lists, at=NOW)
        return {problem.code for problem in result.problems}

    for kind in SignerKind:
        for pid, expected in ((f"https://{host}/1", set()), ("https://other.example/1", {"name-not-permitted"})):
            leaf = profiles.Leaf(kind=kind, protection=Protection.SOFTWARE, pid=pid, name="Microscope", **stated)
            assert found(profiles.issue_leaf(leaf, public_key=keys[2].public_key(), **issuing)) == expected
    operator = profiles.issue_operator(name="Example", organisation="", public_key=keys[3].public_key(), **issuing)
    assert found(operator) == {"not-for-this-use"}
    alone = profiles.issue_self(leaf, public_key=keys[2].public_key(), now=NOW)
    assert {problem.code for problem in validate_path(alone, lists, at=NOW).problems} == {"no-path"}


# --- all at once, words, memo


def test_every_problem_is_reported() -> None:
    authority = make("Example authority", ROOT, usage=c.usages("digital_signature"), eku=[c.SERVER_AUTH], end=NOW)
    leaf = make("Leaf", authority, eku=[c.ANY], end=NOW, usage=None)
    assert codes(leaf, authority, at=NOW + timedelta(days=1)) == {
        "certificate-expired",
        "issuer-expired",
        "issuer-not-authority",
        "issuer-may-not-certify",
        "no-digital-signature",
        "any-extended-key-usage",
        "not-for-this-use",
        "issuer-not-for-this-use",
    }


def test_problems_of_leaf_are_told_without_a_path_too() -> None:
    root = make("Unknown", ca=True)
    assert codes(make("Leaf", root, eku=None), root) == {"no-path", "no-extended-key-usage"}


def test_messages_hold_no_control_characters() -> None:
    leaf = make("Leaf\x1b[31m\r\nverified", AUTHORITY, eku=None)
    for problem in judge(leaf, AUTHORITY).problems:
        assert problem.message.isprintable()
        assert problem.message[0].islower()
        assert not problem.message.endswith(".")


def test_validator_equals_function_at_every_time() -> None:
    withdrawn = listing(anchor(ROOT, granted=False, since=datetime(2030, 6, 1, tzinfo=UTC)))
    leaf = make("Leaf", AUTHORITY, end=datetime(2027, 1, 1, tzinfo=UTC))
    validator = PathValidator([withdrawn])
    second = timedelta(seconds=1)
    for moment in (c.START, datetime(2027, 1, 1, tzinfo=UTC), datetime(2030, 6, 1, tzinfo=UTC), c.END):
        for at in (moment - second, moment, moment + timedelta(microseconds=1), moment + second):
            wanted = judge(leaf, AUTHORITY, lists=[withdrawn], at=at)
            assert validator.validate([leaf.der, AUTHORITY.der], at=at) == wanted


def test_validator_redoes_nothing_and_forgets_the_oldest() -> None:
    validator = PathValidator([LIST], size=1)
    first = validator.validate([LEAF.der, AUTHORITY.der], at=NOW)
    assert validator.validate([LEAF.der, AUTHORITY.der], at=NOW + timedelta(days=1)) is first
    assert not validator.validate([AUTHORITY.der], at=NOW).trusted
    again = validator.validate([LEAF.der, AUTHORITY.der], at=NOW)
    assert again is not first
    assert again == first


def test_validator_keeps_purposes_apart_fail() -> None:
    validator = PathValidator([LIST])
    assert validator.validate([LEAF.der, AUTHORITY.der], at=NOW).trusted
    assert not validator.validate([LEAF.der, AUTHORITY.der], at=NOW, purpose=Purpose.TIMESTAMP).trusted


def test_validator_with_unreadable_certificates_fail() -> None:
    validator = PathValidator([LIST])
    assert {one.code for one in validator.validate([b"", LEAF.der, AUTHORITY.der], at=NOW).problems} == {
        "unreadable-certificate",
        "no-certificate",
    }
    result = validator.validate([LEAF.der, b"\x30\x80", AUTHORITY.der], at=NOW)
    assert [one.code for one in result.problems] == ["unreadable-certificate"]
    assert not result.trusted
    assert "unreadable-certificate" in {one.code for one in read_chain([b"\x30" * 70_000])[1]}
    assert "chain-too-long" in {one.code for one in read_chain([LEAF.der] * 9)[1]}
