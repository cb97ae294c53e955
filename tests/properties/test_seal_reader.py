"""Whatever bytes come, the seal reader answers in its own words, and no change of what was signed goes unseen."""

from __future__ import annotations

import contextlib
import io
import random
import runpy
from pathlib import Path
from types import SimpleNamespace

import c2pa
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawtrace.errors import MalformedError, SealUnreadableError
from rawtrace.sealing import boundedcbor, cms
from rawtrace.sealing.cose import read_signature
from rawtrace.sealing.datahash import read_data_hash
from rawtrace.sealing.embedded import embedded_store
from rawtrace.sealing.manifest import Store, read_store
from rawtrace.sealing.timestamp import read_timestamps

UNIT = Path(__file__).parents[1] / "unit" / "sealing"
f = SimpleNamespace(**runpy.run_path(str(UNIT / "forge.py")))
library = SimpleNamespace(**runpy.run_path(str(UNIT / "library.py")))

SMALL = f.store()
SOUND = read_store(SMALL)
PARENT = f.manifest(label="urn:c2pa:parent")
FAMILY = f.store(PARENT, f.manifest([f.ACTIONS, f.ingredient(PARENT, "urn:c2pa:parent"), f.data_hash()]))


def read(data: bytes) -> Store | None:
    """Read as a verifier does; ``None`` where it is unreadable."""
    said = ""
    try:
        store = read_store(data)
    except SealUnreadableError as error:
        said = error.message
    if said:
        assert "\n" not in said
        assert len(said) < 300
        return None
    for manifest in store.walk():
        read_timestamps(manifest, (), store=store)
        for binding in manifest.bindings:
            read_data_hash(binding)
    store.bound_manifest()
    return store


def content(store: Store) -> list[tuple[object, ...]]:
    """Everything that a signer attests."""
    return [
        (
            item.label,
            item.is_update,
            item.claim_bytes,
            item.assertions,
            item.ingredients,
            item.signature.chain[0],
            item.redacted,
        )
        for item in store.walk()
    ]


def sound(store: Store | None) -> bool:
    return store is not None and not any(manifest.problems for manifest in store.walk())


def test_every_flipped_bit_is_seen_or_changes_nothing():
    expected, unseen = content(SOUND), 0
    for at in range(len(SMALL)):
        for bit in range(8):
            bent = bytearray(SMALL)
            bent[at] ^= 1 << bit
            store = read(bytes(bent))
            if sound(store):
                unseen += 1
                assert content(store) == expected
    # Only a bit here and there of the boxes around what is signed says nothing at all.
    assert unseen < 30


def test_flipped_bits_of_a_family_are_seen_or_change_nothing():
    expected = content(read_store(FAMILY))
    for at in range(len(FAMILY)):
        bent = bytearray(FAMILY)
        bent[at] ^= 1 << at % 8
        store = read(bytes(bent))
        if sound(store):
            assert content(store) == expected


@pytest.mark.parametrize("data", [SMALL, FAMILY], ids=["one", "family"])
def test_every_truncation_is_unreadable(data):
    for size in range(len(data)):
        assert read(data[:size]) is None


def test_what_the_library_refuses_we_refuse():
    """We may be stricter than the C2PA library, never laxer about signature and assertions."""
    lab = library.Lab()
    seal = lab.seal(f.ASSET)
    context = lab.context()
    numbers = random.Random(20_260_102)  # noqa: S311
    refused = 0
    for _ in range(400):
        bent = bytearray(seal)
        bent[numbers.randrange(len(bent))] ^= 1 << numbers.randrange(8)
        try:
            reader = c2pa.Reader(library.OPAQUE, io.BytesIO(f.ASSET), manifest_data=bytes(bent), context=context)
            failures = (reader.get_validation_results() or {}).get("activeManifest", {}).get("failure", [])
            bad = any(item["code"].startswith(("claimSignature", "assertion.", "claim.")) for item in failures)
        except c2pa.C2paError:
            bad = True
        store = read(bytes(bent))
        if bad:
            refused += 1
            assert not sound(store) or content(store) == content(read_store(seal))
    assert refused > 100


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_garbage(data):
    assert read(data) is None


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(FAMILY)), st.integers(0, 60), st.binary(max_size=40))
def test_spliced_stores(at, cut, inserted):
    read(FAMILY[:at] + inserted + FAMILY[at + cut :])


BOXES = st.recursive(
    st.builds(f.box, st.sampled_from([b"cbor", b"json", b"uuid", b"bfdb", b"jumd", b"free"]), st.binary(max_size=40)),
    lambda inner: st.builds(
        lambda code, label, children: f.superbox(code, label, *children),
        st.sampled_from([b"c2pa", b"c2ma", b"c2um", b"c2cm", b"c2as", b"c2cl", b"c2cs", b"cbor", b"json", b"uuid"]),
        st.sampled_from(
            ["c2pa", "m", "c2pa.assertions", "c2pa.claim", "c2pa.claim.v2", "c2pa.signature", "c2pa.ingredient"]
        ),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(BOXES, max_size=4))
def test_boxes_of_all_kinds_in_all_places(boxes):
    read(f.superbox(b"c2pa", "c2pa", *boxes))


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        ["created_assertions", "gathered_assertions", "redacted_assertions", "signature", "alg", "url", "hash"]
    ),
    PLAIN,
)


@settings(max_examples=300, deadline=None)
@given(FIELDS, PLAIN)
def test_signed_claims_and_ingredients_that_say_anything(fields, data):
    """The signer of a hostile seal signs what he likes."""
    said = [
        f.cbor_assertion("c2pa.ingredient.v3", data),
        f.cbor_assertion("c2pa.ingredient.v3__1", {"activeManifest": data, "claimSignature": data}),
        f.cbor_assertion("c2pa.time-stamp", data),
        f.cbor_assertion("c2pa.hash.data", {"hash": data, "exclusions": data, "alg": data}),
        f.ACTIONS,
    ]
    store = read(f.store(f.manifest(said, more=fields, loose={"sigTst2": data, "sigTst": data})))
    assert store is not None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | PLAIN.map(cbor2.dumps))
def test_cbor_and_signatures(data):
    with contextlib.suppress(MalformedError):
        boundedcbor.decode(data, what="it")
    for tag in (b"", b"\xd2", b"\xd2\x84\x40\xa0\xf6"):
        signature, problems = read_signature(tag + data)
        assert problems or signature.chain


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_time_stamp_garbage(data):
    for read_one in (cms.read_token, cms.token_of_response):
        with pytest.raises(MalformedError):
            read_one(data)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8\xff\xeb\0\x20JP\0\1\0\0\0\1"]),
    st.binary(max_size=120),
)
def test_image_garbage(tmp_path_factory, start, rest):
    path = tmp_path_factory.getbasetemp() / "garbage.bin"
    path.write_bytes(start + rest)
    with contextlib.suppress(SealUnreadableError):
        found = embedded_store(path)
        assert found is None or start.startswith(b"\xff\xd8\xff\xeb") or b"caBX" in rest
