"""Time stamps: what the C2PA library embeds, what a small authority makes, and each way in which one does not hold."""

from __future__ import annotations

import runpy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import rfc3161_client
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from rawtrace.errors import MalformedError
from rawtrace.sealing import cms
from rawtrace.sealing.manifest import read_store
from rawtrace.sealing.timestamp import check_timestamps, read_timestamps, stamped_message
from rawtrace.trust.anchors import Anchor, Purpose, TrustList
from rawtrace.trust.path import PathResult

HERE = Path(__file__).parent
f = SimpleNamespace(**runpy.run_path(str(HERE / "forge.py")))
library = SimpleNamespace(**runpy.run_path(str(HERE / "library.py")))
tsa = SimpleNamespace(**runpy.run_path(str(HERE / "tsa.py")))

STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = library.issue("Example time root", ROOT_KEY, None)
KEYS = {
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "rsa": rsa.generate_private_key(65_537, 2048),
}


def authority(kind: str = "p256", **options):
    certificate = library.issue("Example clock", KEYS[kind], ("Example time root", ROOT_KEY), usage=STAMPING)
    return tsa.Authority(KEYS[kind], certificate, ROOT, **options)


def listing(*certificates, purpose: Purpose = Purpose.TIMESTAMP) -> TrustList:
    anchors = tuple(Anchor(certificate=item, purpose=purpose, name="Example") for item in certificates)
    issued = datetime(2026, 1, 1, tzinfo=UTC)
    return TrustList(
        name="list", operator="op", sequence=1, issued=issued, next_update=None, anchors=anchors, statuses=(),
        signer_sha256="", source="test",
    )  # fmt: skip


CLOCK = authority()
LISTS = (listing(ROOT),)
(PLAIN,) = read_store(f.store()).walk()


def stamped(token: bytes, header: str = "sigTst2"):
    """The manifest with a time stamp in its unsigned header; its signature stays what it is."""
    (manifest,) = read_store(f.store(f.manifest(loose={header: {"tstTokens": [{"val": token}]}}))).walk()
    assert manifest.signature.raw == PLAIN.signature.raw
    return manifest


def problems(manifest, lists=LISTS) -> list[str]:
    evidence = read_timestamps(manifest, lists)
    assert evidence.times == ()
    return [problem.code for problem in evidence.problems]


# --- what others make


@pytest.fixture(scope="module")
def lab():
    return library.Lab(tsa_root=ROOT)


def test_time_stamp_of_the_library(lab):
    before = datetime.now(UTC).replace(microsecond=0)
    with tsa.serving(CLOCK) as url:
        store = read_store(lab.seal(f.ASSET, ta_url=url))
    evidence = read_timestamps(store.active_manifest, LISTS, store=store)
    assert evidence.problems == ()
    (found,) = evidence.times
    assert found == evidence.signed_by
    assert (found.source, found.covers_signature, found.accuracy) == ("sigTst2", True, timedelta(seconds=1.5))
    assert before <= found.time <= datetime.now(UTC)
    assert [item.subject.rfc4514_string() for item in found.path.chain] == ["CN=Example clock", "CN=Example time root"]


def test_time_stamp_that_came_later_in_an_update_of_the_library(lab):
    sidecar = lab.seal(f.ASSET)
    with tsa.serving(CLOCK) as url:
        later = {"enabled": True, "fetch_scope": "all", "skip_existing": True}
        store = read_store(lab.update(sidecar, f.ASSET, ta_url=url, auto_timestamp_assertion=later))
    parent = store.bound_manifest()
    assert [manifest.problems for manifest in store.walk()] == [(), ()]
    assert read_timestamps(parent, LISTS).signed_by is None
    evidence = read_timestamps(parent, LISTS, store=store)
    assert evidence.problems == ()
    assert evidence.signed_by.source == store.active


# --- what holds


@pytest.mark.parametrize(
    ("kind", "pss"), [("p256", False), ("p384", False), ("ed25519", False), ("rsa", False), ("rsa", True)]
)
def test_keys_of_authorities(kind, pss):
    clock = authority(kind, pss=pss)
    evidence = read_timestamps(stamped(clock.stamp(stamped_message(PLAIN, "sigTst2"))), LISTS)
    assert evidence.problems == ()
    assert evidence.signed_by.covers_signature


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_digests(digest):
    info = CLOCK.info(stamped_message(PLAIN, "sigTst2"), digest=digest)
    assert read_timestamps(stamped(CLOCK.token(info, digest=digest)), LISTS).signed_by is not None


def test_older_form_proves_the_claim_only():
    response = CLOCK.response(CLOCK.stamp(stamped_message(PLAIN, "sigTst")))
    evidence = read_timestamps(stamped(response, "sigTst"), LISTS)
    assert [(item.source, item.covers_signature) for item in evidence.times] == [("sigTst", False)]
    assert evidence.signed_by is None


def test_certificate_named_by_sha1_as_rfc_3161_had_it():
    info = CLOCK.info(stamped_message(PLAIN, "sigTst2"))
    token = CLOCK.token(info, attributes=("content_type", "message_digest", "signing_certificate"))
    assert read_timestamps(stamped(token), LISTS).signed_by is not None


def test_earliest_comes_first_and_a_bad_one_takes_nothing_away():
    message = stamped_message(PLAIN, "sigTst2")
    now = datetime.now(UTC).replace(microsecond=0)
    tokens = [CLOCK.stamp(message, gen_time=now - timedelta(minutes=minutes)) for minutes in (1, 9, 5)]
    manifest = replace(PLAIN, signature=replace(PLAIN.signature, timestamps=(*tokens, b"junk")))
    evidence = read_timestamps(manifest, LISTS)
    assert [item.time for item in evidence.times] == [now - timedelta(minutes=minutes) for minutes in (9, 5, 1)]
    assert [problem.code for problem in evidence.problems] == ["timestamp-unreadable"]


def test_no_accuracy_and_a_fraction_of_a_second():
    when = datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=UTC)
    info = CLOCK.info(b"m", gen_time=when)
    info["accuracy"] = None
    token = cms.read_token(CLOCK.token(info))
    assert (token.time, token.accuracy) == (when, timedelta())


def test_another_program_agrees():
    """rfc3161-client accepts the same token, so both read one format."""
    response = CLOCK.response(CLOCK.stamp(b"message"))
    verifier = rfc3161_client.VerifierBuilder().add_root_certificate(ROOT).build()
    theirs = rfc3161_client.decode_timestamp_response(response)
    assert verifier.verify_message(theirs, b"message")
    ours = cms.read_token(cms.token_of_response(response))
    assert ours.time == theirs.tst_info.gen_time
    assert ours.stamps(b"message")


def test_path_may_be_validated_by_the_caller():
    asked = []

    def validate(chain, at) -> PathResult:
        asked.append((chain, at))
        return PathResult(LISTS[0].anchors[0], LISTS[0], tuple(chain), ())

    manifest = stamped(CLOCK.stamp(stamped_message(PLAIN, "sigTst2")))
    (found,) = check_timestamps(manifest, validate).times
    assert asked[0][1] == found.time
    assert asked[0][0][0] == CLOCK.certificate


# --- what does not hold


def test_of_something_else_fail():
    assert problems(stamped(CLOCK.stamp(b"something else"))) == ["timestamp-mismatch"]
    early = CLOCK.stamp(stamped_message(PLAIN, "sigTst"))
    assert problems(stamped(early)) == ["timestamp-mismatch"]
    bare = CLOCK.stamp(stamped_message(PLAIN, "assertion"))
    assert problems(stamped(bare)) == ["timestamp-mismatch"]


def test_authority_that_is_not_listed_for_this_fail():
    manifest = stamped(CLOCK.stamp(stamped_message(PLAIN, "sigTst2")))
    assert problems(manifest, ()) == ["timestamp-untrusted"]
    assert problems(manifest, (listing(ROOT, purpose=Purpose.SIGNING),)) == ["timestamp-untrusted"]


def test_certificate_that_is_not_for_time_stamps_fail():
    certificate = library.issue("Clock", KEYS["p256"], ("Example time root", ROOT_KEY), usage=library.DOCUMENT_SIGNING)
    clock = tsa.Authority(KEYS["p256"], certificate, ROOT)
    assert problems(stamped(clock.stamp(stamped_message(PLAIN, "sigTst2")))) == ["timestamp-untrusted"]


def test_stamped_when_the_certificate_was_not_valid_fail():
    token = CLOCK.stamp(stamped_message(PLAIN, "sigTst2"), gen_time=datetime(2015, 1, 1, tzinfo=UTC))
    assert problems(stamped(token)) == ["timestamp-untrusted"]


OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
MESSAGE = stamped_message(PLAIN, "sigTst2")
INFO = CLOCK.info(MESSAGE)


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        (b"", "ends within"),
        (b"\x30\x80\0\0", "not DER"),
        (b"\x30\x84\xff\xff\xff\xff", "cut short"),
        (b"\x3f\x81\x01\0", "long tag"),
        (bytes(300_000), "at most"),
        (CLOCK.stamp(MESSAGE) + b"\0", "behind the end"),
        (CLOCK.stamp(MESSAGE)[:-1], "cut short"),
        (CLOCK.response(CLOCK.stamp(MESSAGE)), "expected 0x06"),
        (b"\x30\x03\x02\x01\x00", "form of RFC 3161"),
        (CLOCK.token(INFO, content=CLOCK.info(b"x").dump()), "changed after"),
        (CLOCK.token(INFO, content_type="data"), "not a time stamp"),
        (CLOCK.token(INFO, attributes=("content_type",)), "lacks signed attributes"),
        (CLOCK.token(INFO, attributes=("message_digest", "signing_certificate_v2")), "lacks signed attributes"),
        (CLOCK.token(INFO, attributes=("content_type", "message_digest")), "does not hold the certificate"),
        (CLOCK.token(INFO, attributes=("content_type", "content_type", "message_digest")), "stands twice"),
        (CLOCK.token(INFO, named=authority().certificate), "does not hold the certificate"),
        (CLOCK.token(INFO, named=ROOT), "does not fit its signer"),
        (CLOCK.token(INFO, signers=0), "0 signers"),
        (CLOCK.token(INFO, with_certificates=False), "does not hold the certificate"),
        (CLOCK.token(INFO, digest="sha1"), "digest that is not accepted"),
        (CLOCK.token(CLOCK.info(MESSAGE, digest="sha1")), "digest that is not accepted"),
        (tsa.Authority(OTHER_KEY, CLOCK.certificate).stamp(MESSAGE), "does not fit its signer"),
        (tsa.Authority(KEYS["ed25519"], CLOCK.certificate).stamp(MESSAGE), "algorithm that is not accepted"),
    ],
)
def test_tokens_that_cannot_be_used_fail(token, sentence):
    with pytest.raises(MalformedError, match=sentence):
        cms.read_token(token)
    assert problems(stamped(token)) == ["timestamp-unreadable"]


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\x30\0",
        b"\x30\5\x30\3\2\1\0",
        b"\x30\5\x30\3\2\1\2",
        b"\x30\4\x30\0\5\0",
        CLOCK.response(CLOCK.stamp(MESSAGE), "rejection"),
    ],
)
def test_answers_that_hold_no_time_stamp_fail(response):
    with pytest.raises(MalformedError):
        cms.token_of_response(response)
    assert problems(stamped(response, "sigTst")) == ["timestamp-unreadable"]


def test_every_flipped_bit_of_a_token_is_noticed_fail():
    """Except where the bit is in what nobody signed and nobody reads, the time and the message never change."""
    token = CLOCK.stamp(MESSAGE)
    good = cms.read_token(token)
    for at in range(len(token)):
        for bit in (0, 3, 7):
            bent = bytearray(token)
            bent[at] ^= 1 << bit
            try:
                read = cms.read_token(bytes(bent))
            except MalformedError:
                continue
            assert (read.time, read.digest, read.chain[0]) == (good.time, good.digest, good.chain[0])


def test_every_truncation_of_a_token_is_one_sentence_fail():
    token = CLOCK.stamp(MESSAGE)
    for size in range(len(token)):
        with pytest.raises(MalformedError):
            cms.read_token(token[:size])
