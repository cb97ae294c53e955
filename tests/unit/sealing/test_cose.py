"""COSE_Sign1: every algorithm of C2PA, and every way to bend a signature."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa

from rawtrace.sealing.cose import Signature, check_signature, read_signature

f = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "forge.py")))
CLAIM = b"\xa1\x61a\1"
P256, P384, P521 = (ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()))
RSA = rsa.generate_private_key(65_537, 2048)


def codes(data: bytes, claim: bytes = CLAIM, *, version: int = 2) -> list[str]:
    signature, problems = read_signature(data, claim_version=version)
    if not problems:
        problem = check_signature(signature, claim)
        problems = (problem,) if problem else ()
    return [problem.code for problem in problems]


@pytest.mark.parametrize(
    ("key", "algorithm", "name"),
    [
        (f.KEY, -8, "ed25519"),
        (f.KEY, -19, "ed25519"),
        (P256, -7, "es256"),
        (P256, -9, "es256"),
        (P384, -35, "es384"),
        (P384, -51, "es384"),
        (P521, -36, "es512"),
        (P521, -52, "es512"),
        (RSA, -37, "ps256"),
        (RSA, -38, "ps384"),
        (RSA, -39, "ps512"),
    ],
)
def test_algorithms(key, algorithm, name):
    data = f.cose(CLAIM, key=key, algorithm=algorithm)
    signature, problems = read_signature(data)
    assert (signature.algorithm, problems, len(signature.chain)) == (name, (), 1)
    assert check_signature(signature, CLAIM) is None
    assert codes(data, CLAIM + b"x") == ["signature-invalid"]
    altered = bytearray(data)
    altered[-20] ^= 1
    assert codes(bytes(altered)) == ["signature-invalid"]


@pytest.mark.parametrize(
    ("key", "stated"),
    [(P256, -8), (f.KEY, -7), (RSA, -7), (P384, -7), (P256, -35), (P256, -37)],
)
def test_algorithm_that_is_not_the_keys_fail(key, stated):
    protected = cbor2.dumps({1: stated, 33: [f.certificate(key)]})
    signable = {ec.SECP256R1: -7, ec.SECP384R1: -35}.get(type(getattr(key, "curve", None)), -37 if key is RSA else -8)
    data = f.cose(CLAIM, key=key, algorithm=signable, protected=protected)
    assert codes(data) == ["signature-invalid"]


@pytest.mark.parametrize("stated", [0, 5, -47, -65_535, "ES256", None, [], True, -7.0])
def test_unknown_algorithm_fail(stated):
    assert codes(f.cose(CLAIM, algorithm=stated)) == ["unsupported-algorithm"]


def test_keys_that_are_too_small_or_of_another_kind_fail():
    small = rsa.generate_private_key(65_537, 1024)  # noqa: S505
    assert codes(f.cose(CLAIM, key=small, algorithm=-37)) == ["unsupported-algorithm"]
    other = f.certificate(ed448.Ed448PrivateKey.generate())
    assert codes(f.cose(CLAIM, chain=[other])) == ["signature-invalid"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xd2",
        b"\xd2\x80",
        b"\xd2\xa0",
        b"\xd2\x84\x40\xa0\xf6",
        b"\xd2\x84\xf6\xa0\xf6\x40",
        b"\xd2\x84\x40\x80\xf6\x40",
        b"\xd2\x84\x40\xa0\xf6\x60",
        b"\xd2\x84\x41\xff\xa0\xf6\x40",
        b"\xd2\x84\x41\x80\xa0\xf6\x40",
        b"\xd2" + b"\x81" * 100_000,
        b"\xd2\x84\x43\xa1\1\x26\xa1\1\x26\xf6\x40",
        b"\xd1" + f.cose(CLAIM)[1:],
        f.cose(CLAIM)[1:],
        f.cose(CLAIM) + b"\0",
        f.cose(CLAIM, body=CLAIM),
        f.cose(CLAIM, body=b""),
        f.cose(CLAIM, context="Signature"),
        f.cose(CLAIM, loose={33: [f.CERTIFICATE]}),
        f.cose(CLAIM, loose={1: -8}),
        f.cose(CLAIM, loose={2: [1]}),
        f.cose(CLAIM, chain=[f.CERTIFICATE], headers={"x5chain": [f.CERTIFICATE]}),
        f.cose(CLAIM, chain=[], loose={33: [f.CERTIFICATE]}),
        f.cose(CLAIM, chain=["not bytes"]),
        f.cose(CLAIM, chain=[b""]),
        f.cose(CLAIM, chain=[b"not a certificate"]),
        f.cose(CLAIM, chain=[f.CERTIFICATE] * 17),
        f.cose(CLAIM, chain=[bytes(70_000)]),
        f.cose(CLAIM, headers=dict.fromkeys(range(100, 200), 0)),
        f.cose(CLAIM, loose=dict.fromkeys(range(100, 200), 0)),
        f.cose(CLAIM, loose={"pad": bytes(1 << 20)}),
    ],
)
def test_bent_signatures_are_problems_fail(data):
    assert set(codes(data)) <= {"signature-invalid", "unsupported-algorithm"}
    assert "signature-invalid" in codes(data)


@pytest.mark.parametrize("critical", [[], [99], ["x"], [33, 99], 33, [[33]], [4]])
def test_demand_to_understand_what_we_do_not_fail(critical):
    assert codes(f.cose(CLAIM, headers={2: critical})) == ["unsupported-algorithm"]


def test_demand_that_can_be_met():
    assert codes(f.cose(CLAIM, headers={2: [33, 1]})) == []


@pytest.mark.parametrize("tag", [b"\xd2", b"\xd8\x12", b"\xd9\0\x12", b"\xda\0\0\0\x12", b"\xdb" + bytes(7) + b"\x12"])
def test_every_legal_length_of_the_tag(tag):
    assert codes(f.cose(CLAIM, tag=tag)) == []


def test_chain_in_the_unsigned_header_counts_for_old_claims_only():
    data = f.cose(CLAIM, chain=[], loose={"x5chain": f.CERTIFICATE})
    assert codes(data, version=1) == []
    assert codes(data, version=2) == ["signature-invalid"]


def test_one_certificate_may_stand_alone_and_padding_is_passed_over():
    data = f.cose(CLAIM, chain=f.CERTIFICATE, loose={"pad": bytes(5000), "pad2": b""})
    assert codes(data) == []


def test_signature_of_another_length_or_of_zeros_fail():
    signature, _ = read_signature(f.cose(CLAIM, key=P256, algorithm=-7))
    for raw in (b"", bytes(64), signature.raw[:-1], signature.raw + b"\0", b"\xff" * 64):
        bent = Signature("es256", signature.chain, raw, signature.protected)
        assert check_signature(bent, CLAIM).code == "signature-invalid"


@pytest.mark.parametrize(
    ("container", "tokens"),
    [
        ({"tstTokens": [{"val": b"one"}, {"val": b"two"}]}, (b"one", b"two")),
        ({"tstTokens": [{"val": "text"}, {}, 7]}, ()),
        ({"tstTokens": [{"val": b"x"}] * 9}, ()),
        ({"tstTokens": 7}, ()),
        (b"token", ()),
        (None, ()),
    ],
)
def test_time_stamps_are_found(container, tokens):
    signature, problems = read_signature(f.cose(CLAIM, loose={"sigTst2": container, "sigTst": container}))
    assert problems == ()
    assert signature.timestamps == signature.early_timestamps == tokens
