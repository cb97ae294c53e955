"""Path validation against an independent validator, and against garbage.

``pyhanko-certvalidator`` is the oracle: over random mutations of a good chain
both must agree on accept or reject. Where we are stricter on purpose, the case
is in ``OURS_ALONE`` with its reason, and the oracle must still accept it there.
"""

from __future__ import annotations

import asyncio
import dataclasses
import runpy
import warnings
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rawtrace.errors import CertificateError
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.certfacts import read_certificate, serial_in
from rawtrace.trust.path import PathValidator, validate_path
from rawtrace.trust.status import Standing, standing, standing_of

asn1 = pytest.importorskip("asn1crypto.x509")
pytest.importorskip("pyhanko_certvalidator")

c = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "unit" / "trust" / "chains.py")))
PAST, FUTURE = c.NOW - timedelta(days=1), c.NOW + timedelta(days=1)
KEYS = [ed25519.Ed25519PrivateKey.generate() for _ in range(5)]
CRITICAL = (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1234"), b"\x05\x00"), True)
URI = x509.UniformResourceIdentifier
HOST = "instruments.example.org"

# Each changes the options of one certificate: (which, options).
MUTATIONS = {
    "authority without CA flag": ("authority", {"ca": False, "usage": c.usages("key_cert_sign"), "eku": None}),
    "sub-authority without CA flag": ("sub", {"ca": False, "usage": c.usages("key_cert_sign"), "eku": None}),
    "authority with path length 0": ("authority", {"pathlen": 0}),
    "authority with path length 1": ("authority", {"pathlen": 1}),
    "sub-authority with path length 0": ("sub", {"pathlen": 0}),
    "root with path length 1": ("root", {"pathlen": 1}),
    "root with path length 2": ("root", {"pathlen": 2}),
    "authority expired": ("authority", {"end": PAST}),
    "sub-authority not yet valid": ("sub", {"start": FUTURE}),
    "root expired": ("root", {"end": PAST}),
    "leaf expired": ("leaf", {"end": PAST}),
    "leaf not yet valid": ("leaf", {"start": FUTURE}),
    "authority may not sign certificates": ("authority", {"usage": c.usages("crl_sign")}),
    "sub-authority may not sign certificates": ("sub", {"usage": c.usages("digital_signature")}),
    "leaf signed by another key": ("leaf", {"sign_with": KEYS[4]}),
    "authority signed by another key": ("authority", {"sign_with": KEYS[4]}),
    "leaf for web servers": ("leaf", {"eku": [c.SERVER_AUTH]}),
    "leaf for documents and more": ("leaf", {"eku": [c.SERVER_AUTH, c.DOCUMENT_SIGNING]}),
    "leaf for ciphering": ("leaf", {"usage": c.usages("key_encipherment")}),
    "unknown critical extension in leaf": ("leaf", {"extra": [CRITICAL]}),
    "unknown critical extension in authority": ("authority", {"extra": [CRITICAL]}),
    "authority limited to the leaf's host": ("authority", {"constraints": x509.NameConstraints([URI(HOST)], None)}),
    "authority limited to another host": ("authority", {"constraints": x509.NameConstraints([URI("x.test")], None)}),
    "sub-authority barred from the host": ("sub", {"constraints": x509.NameConstraints(None, [URI(HOST)])}),
    "root limited to another host": ("root", {"constraints": x509.NameConstraints([URI("x.test")], None)}),
}

# What we refuse and the oracle accepts, with the reason.
OURS_ALONE = {
    "RFC 5280 §4.2.1.3 obliges authorities to have key usages": ("sub", {"usage": None}),
    "extended key usages of authorities limit what is below": ("authority", {"eku": [c.SERVER_AUTH]}),
    "C2PA 2.2 §14.5 refuses anyExtendedKeyUsage": ("leaf", {"eku": [c.ANY, c.DOCUMENT_SIGNING]}),
    "C2PA 2.2 §14.5 keeps time stamping apart": ("leaf", {"eku": [c.TIME_STAMPING, c.DOCUMENT_SIGNING]}),
    "C2PA 2.2 §14.5 wants the issuer's key named": ("leaf", {"aki": None}),
    "an authority's certificate signs no data": (
        "leaf",
        {"ca": True, "usage": c.usages("digital_signature"), "eku": [c.DOCUMENT_SIGNING]},
    ),
}


def build(mutations):
    """Root, authority, sub-authority and leaf, with the options of some mutations."""
    options: dict[str, dict] = {"root": {}, "authority": {}, "sub": {}, "leaf": {}}
    for which, more in mutations:
        options[which].update(more)
    for which in ("root", "authority", "sub"):
        options[which].setdefault("ca", True)
    options["leaf"].setdefault("names", [URI(f"https://{HOST}/1")])
    for which, key in zip(options, KEYS, strict=False):
        options[which].setdefault("key", key)
    root = c.make("Root", **options["root"])
    authority = c.make("Authority", root, **options["authority"])
    sub = c.make("Sub-authority", authority, **options["sub"])
    return c.make("Leaf", sub, **options["leaf"]), sub, authority, root


def ours(leaf, sub, authority, root) -> bool:
    chain = [party.certificate for party in (leaf, sub, authority)]
    return validate_path(chain, [c.listing(c.anchor(root))], at=c.NOW).trusted


def oracle(leaf, sub, authority, root) -> bool:
    from pyhanko_certvalidator import CertificateValidator, ValidationContext
    from pyhanko_certvalidator.authority import CertTrustAnchor, derive_quals_from_cert
    from pyhanko_certvalidator.errors import InvalidCertificateError, PathBuildingError, PathValidationError

    def read(party):
        return asn1.Certificate.load(party.der)

    # Its defaults tolerate a second and take no constraint from the anchor; what it derives from an anchor
    # with a path length lacks the limit for attribute authorities and makes it fail with a TypeError.
    limits = derive_quals_from_cert(read(root))
    limits = dataclasses.replace(limits, max_aa_path_length=limits.max_path_length)
    context = ValidationContext(
        trust_roots=[CertTrustAnchor(read(root), quals=limits)],
        other_certs=[read(sub), read(authority)],
        moment=c.NOW,
        allow_fetching=False,
        time_tolerance=timedelta(0),
    )
    validator = CertificateValidator(read(leaf), validation_context=context)
    usage = validator.async_validate_usage({"digital_signature"}, {c.DOCUMENT_SIGNING}, extended_optional=False)
    try:
        asyncio.run(usage)
    except (PathBuildingError, PathValidationError, InvalidCertificateError):
        return False
    return True


def test_both_accept_the_good_chain() -> None:
    good = build([])
    assert ours(*good)
    assert oracle(*good)


@pytest.mark.parametrize("name", MUTATIONS)
def test_both_agree_on_each_mutation(name) -> None:
    chain = build([MUTATIONS[name]])
    assert ours(*chain) is oracle(*chain)


def _can_be_made(names: list[str]) -> bool:
    """Leave out a certificate that ends before it begins: it cannot be built."""
    return not {"leaf expired", "leaf not yet valid"} <= set(names)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(MUTATIONS)), max_size=3, unique=True).filter(_can_be_made))
def test_both_agree_on_random_mutations(names) -> None:
    chain = build([MUTATIONS[name] for name in names])
    assert ours(*chain) is oracle(*chain)


@pytest.mark.parametrize("reason", OURS_ALONE)
def test_where_we_are_stricter(reason) -> None:
    chain = build([OURS_ALONE[reason]])
    assert not ours(*chain)
    assert oracle(*chain)


GOOD = build([])
CHAIN = [party.der for party in GOOD[:3]]
LISTS = [c.listing(c.anchor(GOOD[3]))]


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_altered_certificates_never_raise_and_never_pass(data) -> None:
    which = data.draw(st.integers(0, 2))
    der = bytearray(CHAIN[which])
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(der) - 1))
        der[position] = data.draw(st.integers(0, 255))
    chain = [*CHAIN[:which], bytes(der), *CHAIN[which + 1 :]]
    result = PathValidator(LISTS).validate(chain, at=c.NOW)
    assert result.trusted is (bytes(der) == CHAIN[which])


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_odd_extensions_never_raise(data) -> None:
    kinds = [
        x509.BasicConstraints,
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.NameConstraints,
        x509.SubjectAlternativeName,
        x509.AuthorityKeyIdentifier,
        x509.SubjectKeyIdentifier,
        x509.CertificatePolicies,
    ]
    kind = data.draw(st.sampled_from(kinds))
    value = data.draw(
        st.binary(max_size=40) | st.binary(max_size=30).map(lambda body: b"\x30" + bytes([len(body)]) + body)
    )
    odd = x509.UnrecognizedExtension(kind.oid, value)
    bare = {"basic": False, "usage": None, "eku": None, "ski": False, "aki": None}
    leaf = c.make("Leaf", GOOD[1], extra=[(odd, data.draw(st.booleans()))], **bare)
    chain = [party.certificate for party in (leaf, *GOOD[1:3])]
    assert not validate_path(chain, LISTS, at=c.NOW).trusted
    told, record = standing(chain, LISTS, claimed_at=None, trusted_at=None)
    assert told in {Standing.GOOD, Standing.UNKNOWN}
    assert record is None


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=200), max_size=10))
def test_garbage_never_raises(ders) -> None:
    result = PathValidator(LISTS).validate(ders, at=c.NOW)
    assert result.anchor is None
    assert result.problems


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 30))
def test_serial_is_read_as_the_library_reads_it(garbage, cut) -> None:
    assert serial_in(GOOD[0].der) == GOOD[0].certificate.serial_number
    serial_in(GOOD[0].der[:cut] + garbage)
    try:
        read = read_certificate(GOOD[0].der[:cut] + garbage)
    except CertificateError:
        return
    assert serial_in(GOOD[0].der[:cut] + garbage) == read.serial_number


MOMENTS = st.datetimes(min_value=c.START.replace(tzinfo=None), max_value=c.END.replace(tzinfo=None))
WORDS = st.sampled_from(["keyCompromise", "cACompromise", "superseded", "cessationOfOperation", "unspecified", "other"])
_BADNESS = tuple(Standing)


@given(WORDS, MOMENTS, st.none() | MOMENTS, st.none() | MOMENTS, MOMENTS, MOMENTS)
def test_earlier_is_never_worse_and_claims_never_beat_proof(reason, revoked, start, claimed, one, other) -> None:
    record = StatusRecord(serial=1, authority_key_id=b"k", reason=reason, revoked_at=revoked, compromised_from=start)
    early, late = sorted((one, other))

    def badness(*, trusted_at, claimed_at=claimed) -> int:
        return _BADNESS.index(standing_of(record, claimed_at=claimed_at, trusted_at=trusted_at))

    assert badness(trusted_at=early) <= badness(trusted_at=late)
    assert badness(trusted_at=None, claimed_at=early) <= badness(trusted_at=None, claimed_at=late)
    assert badness(trusted_at=early) <= badness(trusted_at=None, claimed_at=early)


def test_no_warning_on_loading_odd_certificates() -> None:
    leaf = c.make("Leaf", GOOD[1], serial=0x11223344)
    der = c.patched(leaf, bytes.fromhex("020411223344"), bytes.fromhex("0204f1223344"))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert not PathValidator(LISTS).validate([der], at=c.NOW).trusted
    assert seen == []
