"""Manifest stores: sound ones of ours and of the C2PA library, and each fault by its code."""

from __future__ import annotations

import hashlib
import runpy
from pathlib import Path
from types import SimpleNamespace

import cbor2
import pytest

from rawtrace.errors import SealUnreadableError
from rawtrace.sealing.manifest import Store, read_store

HERE = Path(__file__).parent
f = SimpleNamespace(**runpy.run_path(str(HERE / "forge.py")))
library = SimpleNamespace(**runpy.run_path(str(HERE / "library.py")))

SAMPLE = f.cbor_assertion("org.example.sample", {"n": [1, 300], "s": "text"})
SECRET = f.cbor_assertion("org.example.secret", {"name": "somebody"})
PARENT = "urn:c2pa:parent"
CHILD = "urn:c2pa:child"


def codes(*manifests: bytes, label: str = "") -> list[str]:
    store = read_store(f.store(*manifests))
    return [problem.code for problem in store.manifests[label or store.active].problems]


@pytest.fixture(scope="module", params=["ed25519", "es256"])
def lab(request):
    return library.Lab(request.param)


@pytest.fixture(scope="module")
def sidecar(lab) -> bytes:
    more = (
        {"label": "org.example.sample", "data": {"a": [1, 300], "none": None}},
        {"label": "org.example.secret", "data": {"p": 1}},
    )
    return lab.seal(f.ASSET, assertions=more)


# --- sound stores


def test_sidecar_of_the_library(lab, sidecar):
    store = read_store(sidecar)
    manifest = store.active_manifest
    assert manifest.problems == ()
    assert (manifest.claim_version, manifest.is_update, manifest.signature.algorithm) == (2, False, lab.kind)
    assert [len(manifest.signature.chain), len(manifest.ingredients)] == [2, 0]
    assert manifest.assertion("org.example.sample").data == {"a": [1, 300], "none": None}
    assert manifest.assertion("c2pa.actions.v2").data["actions"][0]["when"] == "2026-01-02T03:04:05Z"
    assert manifest.assertion("org.example.sample").created
    assert not manifest.assertion("org.example.secret").created
    (binding,) = manifest.bindings
    assert binding.data["hash"] == hashlib.sha256(f.ASSET).digest()
    assert manifest.claim_sha256 == hashlib.sha256(manifest.claim_bytes).hexdigest()
    assert cbor2.loads(manifest.claim_bytes)["signature"].endswith(f"{store.active}/c2pa.signature")


def test_generations_of_the_library(lab, sidecar):
    seal, asset = sidecar, f.ASSET
    for number in range(4):
        made = b"step %d" % number
        seal, asset = lab.derive(made, seal, asset), made
    store = read_store(seal)
    walked = list(store.walk())
    assert [manifest.problems for manifest in walked] == [()] * 5
    assert walked[0].label == store.active
    assert [manifest.label for manifest in walked] == list(store.manifests)[::-1]
    for manifest in walked[:-1]:
        (ingredient,) = manifest.ingredients
        assert (ingredient.relationship, ingredient.title, ingredient.present) == ("parentOf", "raw.tif", True)
        assert ingredient.unchanged
        assert store.manifests[ingredient.target].box_sha256 == ingredient.stated_hash.hex()


def test_update_of_the_library(lab, sidecar):
    store = read_store(lab.update(sidecar, f.ASSET))
    assert [manifest.problems for manifest in store.walk()] == [(), ()]
    assert store.active_manifest.is_update
    assert store.bound_manifest().label == read_store(sidecar).active
    assert store.active_manifest.bindings == ()


def test_redaction_of_the_library(lab, sidecar):
    parent = read_store(sidecar).active
    url = f"self#jumbf=/c2pa/{parent}/c2pa.assertions/org.example.secret"
    store = read_store(lab.derive(b"figure", sidecar, f.ASSET, more={"redactions": [url]}))
    assert [manifest.problems for manifest in store.walk()] == [(), ()]
    assert store.active_manifest.redactions == (url,)
    assert store.manifests[parent].redacted == ("org.example.secret",)
    assert store.manifests[parent].assertion("org.example.secret") is None
    (ingredient,) = store.active_manifest.ingredients
    assert ingredient.unchanged
    assert ingredient.stated_hash.hex() != store.manifests[parent].box_sha256


def test_compressed_parent_is_a_problem_and_no_error():
    parent = f.manifest(label=PARENT)
    squeezed = f.superbox(b"c2cm", PARENT, f.superbox(b"brob", "b", f.box(b"brob", b"packed")))
    child = f.manifest([f.ingredient(parent, PARENT), f.data_hash()], label=CHILD)
    store = read_store(f.store(squeezed, child))
    assert [of(store, label) for label in (PARENT, CHILD)] == [["compressed"], ["ingredient-changed"]]
    assert [manifest.label for manifest in store.walk()] == [CHILD, PARENT]


@pytest.mark.parametrize("version", [1, 2])
def test_our_own_sound_store(version):
    (manifest,) = read_store(f.store(f.manifest([f.ACTIONS, SAMPLE, f.data_hash()], version=version))).walk()
    assert manifest.problems == ()
    assert manifest.claim_version == version
    assert all(assertion.created for assertion in manifest.assertions)


@pytest.mark.parametrize("alg", ["sha256", "sha384", "sha512"])
def test_digests_of_c2pa(alg):
    said = f.cbor_assertion("org.example.sample", {}, alg=alg)
    assert codes(f.manifest([f.ACTIONS, said, f.data_hash()])) == []


def test_absolute_uris_wide_boxes_json_and_other_content():
    absolute = f.cbor_assertion("org.example.a", {}, url=f"self#jumbf=/c2pa/{f.LABEL}/c2pa.assertions/org.example.a")
    text = f.json_assertion("org.example.j", b'{"a": ["\\u00e9", 1.5, null]}')
    made = f.superbox(
        bytes.fromhex("40cb0c32bb8a489da70b2ad6f47f4369"), "thumb", f.box(b"bfdb", b"\0png\0"), f.box(b"bidb", b"px")
    )
    picture = f.Said("thumb", made, list_name="gathered_assertions")
    store = read_store(f.store(f.manifest([f.ACTIONS, absolute, text, picture, f.data_hash()], wide=True)))
    manifest = store.active_manifest
    assert manifest.problems == ()
    assert manifest.assertion("org.example.j").data == {"a": ["é", 1.5, None]}
    thumb = manifest.assertion("thumb")
    assert (thumb.kind, thumb.data, thumb.created) == ("other", None, False)
    assert thumb.sha256 == hashlib.sha256(f.payload(made)).hexdigest()


def test_padding_between_manifests_and_other_boxes_in_one_are_passed_over():
    databoxes = f.superbox(b"c2db", "c2pa.databoxes", f.superbox(b"cbor", "c2pa.data", f.box(b"cbor", b"\xa0")))
    store = read_store(f.superbox(b"c2pa", "c2pa", f.manifest(extra=[databoxes]), f.box(b"free", bytes(9))))
    assert store.active_manifest.problems == ()


def test_time_and_depth_of_200_generations():
    store = read_store(f.chain_of(200))
    assert [manifest.problems for manifest in store.walk()] == [()] * 200


def test_a_circle_of_ingredients_ends():
    """Such stores cannot be sound, but walking them must end."""
    a = f.manifest([f.ACTIONS, f.ingredient(f.manifest(), "urn:b"), f.data_hash()], label="urn:a")
    b = f.manifest([f.ACTIONS, f.ingredient(a, "urn:a"), f.data_hash()], label="urn:b")
    store = read_store(f.store(a, b))
    assert [manifest.label for manifest in store.walk()] == ["urn:b", "urn:a"]
    assert "ingredient-changed" in [problem.code for problem in store.manifests["urn:a"].problems]
    circle = f.manifest([f.ingredient(f.manifest(), "urn:c")], label="urn:c", code=b"c2um")
    assert read_store(f.store(circle)).bound_manifest() is None


# --- stores that cannot be taken apart


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "cut short"),
        (b"not a seal at all", "does not begin like a seal"),
        (f.store() + b"\0", "nothing behind"),
        (f.superbox(b"c2pa", "other", f.manifest()), "not a C2PA manifest store"),
        (f.superbox(b"jpxl", "c2pa", f.manifest()), "not a C2PA manifest store"),
        (f.superbox(b"c2pa", "c2pa"), "0 manifests"),
        (f.superbox(b"c2pa", "c2pa", f.box(b"cbor", b"\xa0")), "no usable label"),
        (f.store(f.manifest(label="")), "no usable label"),
        (f.store(f.manifest(label="a/b")), "no usable label"),
        (f.store(*[f.superbox(b"c2ma", "m")] * 2001), "2001 manifests"),
        (f.store(*[f.manifest(label=f"m{n}", more={"redacted_assertions": ["x"]}) for n in range(257)]), "redact"),
        (f.store(f.manifest([f.cbor_assertion(f"a{n}", bytes(6 << 20)) for n in range(3)])), "structured data"),
        (f.store(f.manifest([f.json_assertion("j", b"[" + b"[]," * 2_000_000 + b"1]")])), "structured data"),
    ],
)
def test_not_a_store_is_one_sentence_fail(data, sentence):
    with pytest.raises(SealUnreadableError, match=sentence):
        read_store(data)


# --- faults, each by its code


def test_assertion_changed_fail():
    changed = f.cbor_assertion("org.example.sample", {"n": 2})
    claim = f.claim_of(f.LABEL, [f.ACTIONS, SAMPLE, f.data_hash()])
    assert codes(f.manifest([f.ACTIONS, changed, f.data_hash()], claim=claim)) == ["assertion-changed"]


def test_salt_and_label_are_part_of_the_assertion_fail():
    plain = f.Said("org.example.sample", f.superbox(b"cbor", "org.example.sample", f.box(b"cbor", b"\xa0")))
    salted = f.cbor_assertion("org.example.sample", {})
    claim = f.claim_of(f.LABEL, [salted, f.data_hash()])
    assert codes(f.manifest([plain, f.data_hash()], claim=claim)) == ["assertion-changed"]


def test_assertion_missing_unlisted_twice_fail():
    unlisted = f.replace(SAMPLE, listed=0)
    assert codes(f.manifest([f.without(SAMPLE), f.data_hash()])) == ["assertion-missing"]
    assert codes(f.manifest([unlisted, f.data_hash()])) == ["assertion-unlisted"]
    assert codes(f.manifest([f.replace(SAMPLE, listed=2), f.data_hash()])) == ["assertion-twice"]
    assert codes(f.manifest([f.replace(SAMPLE, stored=2), f.data_hash()])) == ["assertion-twice"]
    both = [SAMPLE, f.replace(SAMPLE, list_name="gathered_assertions", stored=0), f.data_hash()]
    assert codes(f.manifest(both)) == ["assertion-twice"]
    nameless = f.Said("", f.box(b"cbor", b"\xa0"), listed=0)
    assert codes(f.manifest([nameless, f.data_hash()])) == ["assertion-unlisted"]


def test_twin_that_is_not_the_signed_one_fail():
    """Whichever of the two a reader takes, the manifest is not sound."""
    twin = f.replace(f.cbor_assertion("org.example.sample", {"n": 9}), listed=0)
    for order in ([SAMPLE, twin], [twin, SAMPLE]):
        assert set(codes(f.manifest([*order, f.data_hash()]))) == {"assertion-twice", "assertion-changed"}


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"\xa1\1\1", b"\xa2\x61a\1\x61a\2", b"\x81" * 1000, b"\xa0\xa0", b"\xd8\x1c\x81\xd8\x1d\0"]
)
def test_assertion_that_cannot_be_decoded_fail(raw):
    said = f.cbor_assertion("org.example.sample", None, raw=raw)
    store = read_store(f.store(f.manifest([said, f.data_hash()])))
    manifest = store.active_manifest
    assert [problem.code for problem in manifest.problems] == ["assertion-unreadable"]
    assert (manifest.assertions[0].kind, manifest.assertions[0].data) == ("other", None)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"a":1,"a":2}', b"[" * 100_000, b"NaN", b'"\\ud800"', b"\xff", b"9" * 5000]
)
def test_json_that_cannot_be_decoded_fail(content):
    said = f.json_assertion("org.example.j", content)
    assert codes(f.manifest([said, f.data_hash()])) == ["assertion-unreadable"]


def test_assertion_of_two_contents_fail():
    made = f.superbox(b"cbor", "org.example.sample", f.box(b"cbor", b"\xa0"), f.box(b"cbor", b"\xa1\x61a\1"))
    assert codes(f.manifest([f.Said("org.example.sample", made), f.data_hash()])) == ["assertion-unreadable"]


def test_bindings_fail():
    other = f.cbor_assertion("c2pa.hash.boxes", {"boxes": []})
    second = f.data_hash(b"x", label="c2pa.hash.data__1")
    assert codes(f.manifest([f.ACTIONS])) == ["binding-missing"]
    assert codes(f.manifest([f.replace(f.data_hash(), list_name="gathered_assertions")])) == ["binding-missing"]
    assert codes(f.manifest([f.data_hash(), other])) == ["several-bindings"]
    assert codes(f.manifest([f.data_hash(), second])) == ["several-bindings"]


def test_two_manifests_with_one_label_fail():
    store = read_store(f.store(f.manifest([SAMPLE, f.data_hash()]), f.manifest()))
    assert list(store.manifests) == [f.LABEL]
    assert [problem.code for problem in store.active_manifest.problems] == ["label-twice"]
    child = f.manifest([f.ingredient(f.manifest(), f.LABEL), f.data_hash()], label=CHILD)
    store = read_store(f.store(f.manifest([SAMPLE, f.data_hash()]), f.manifest(), child))
    assert [problem.code for problem in store.manifests[f.LABEL].problems] == ["label-twice"]


def test_signature_of_another_claim_or_key_fail():
    assert codes(f.manifest(context="CounterSignature")) == ["signature-invalid"]
    other = f.ed25519.Ed25519PrivateKey.generate()
    assert codes(f.manifest(key=other, chain=[f.CERTIFICATE])) == ["signature-invalid"]
    assert codes(f.manifest(algorithm=-257)) == ["unsupported-algorithm"]


def test_manifest_moved_to_another_label_fail():
    moved = f.manifest(claim=f.claim_of("urn:c2pa:elsewhere", [f.ACTIONS, f.data_hash()]))
    assert codes(moved) == ["claim-unreadable"]


@pytest.mark.parametrize(
    "claim",
    [
        b"",
        b"\x80",
        b"\xa0",
        b"\xff",
        b"\xa1\1\1",
        f.cbor2.dumps(f.claim_of(f.LABEL, [f.ACTIONS, f.data_hash()])) + b"\0",
        f.claim_of(f.LABEL, [f.ACTIONS, f.data_hash()], signature=7),
        f.claim_of(f.LABEL, [f.ACTIONS, f.data_hash()], signature="https://example.org/"),
        f.claim_of(f.LABEL, [f.ACTIONS, f.data_hash()], redacted_assertions="x"),
        f.claim_of(f.LABEL, [f.ACTIONS, f.data_hash()], redacted_assertions=[7]),
        f.claim_of(f.LABEL, [f.ACTIONS, f.data_hash()], gathered_assertions=7),
        f.claim_of(f.LABEL, [f.ACTIONS, f.data_hash()], gathered_assertions=[{"url": "self#jumbf=x", "hash": b""}]),
        f.claim_of(f.LABEL, [f.ACTIONS, f.data_hash()], gathered_assertions={"url": 1}),
    ],
)
def test_claim_unreadable_fail(claim):
    assert "claim-unreadable" in codes(f.manifest(claim=claim))


@pytest.mark.parametrize("alg", ["md5", "sha1", "blake2b", "shake_128", 7, None, ["sha256"], {}])
def test_unknown_digest_fail(alg):
    assert "unsupported-algorithm" in codes(f.manifest(more={"alg": alg}))
    said = f.replace(SAMPLE, listed=0)
    claim = f.claim_of(f.LABEL, [f.data_hash()])
    claim["created_assertions"].append(SAMPLE.reference() | {"alg": alg})
    assert "unsupported-algorithm" in codes(f.manifest([said, f.data_hash()], claim=claim))


@pytest.mark.parametrize(
    "extra",
    [
        f.superbox(b"c2cl", "c2pa.claim.v2", f.box(b"cbor", b"\xa0")),
        f.superbox(b"c2cl", "c2pa.claim", f.box(b"cbor", b"\xa0")),
        f.superbox(b"cbor", "c2pa.claim", f.box(b"cbor", b"\xa0")),
        f.superbox(b"c2cs", "other", f.box(b"cbor", b"\xa0")),
        f.superbox(b"c2as", "c2pa.assertions"),
        f.superbox(b"cbor", "c2pa.assertions"),
    ],
)
def test_two_of_what_there_must_be_one_of_fail(extra):
    assert codes(f.manifest(extra=[extra])) == ["claim-unreadable"]


def test_kinds_of_manifest_fail():
    assert codes(f.manifest(code=b"c2cm")) == ["compressed"]
    assert codes(f.superbox(b"c2cm", f.LABEL, f.superbox(b"brob", "b", f.box(b"brob", b"xx")))) == ["compressed"]
    assert codes(f.manifest(code=b"c2xx")) == ["claim-unreadable"]
    assert codes(f.superbox(b"c2ma", f.LABEL)) == ["claim-unreadable"] * 3
    assert codes(f.manifest(code=b"c2um")) == ["several-bindings", "update-malformed"]


def test_update_needs_one_sealed_parent_fail():
    parent = f.manifest(label=PARENT)
    good = f.ingredient(parent, PARENT)
    unsealed = f.cbor_assertion("c2pa.ingredient.v3", {"relationship": "parentOf"})
    again = f.ingredient(parent, PARENT, name="c2pa.ingredient.v3__1")
    assert codes(parent, f.manifest([good], label=CHILD, code=b"c2um")) == []
    assert codes(parent, f.manifest([unsealed], label=CHILD, code=b"c2um")) == ["update-malformed"]
    assert codes(parent, f.manifest([good, again], label=CHILD, code=b"c2um")) == ["update-malformed"]


def test_turning_an_update_into_an_ordinary_manifest_fail():
    parent = f.manifest(label=PARENT)
    assert codes(parent, f.manifest([f.ingredient(parent, PARENT)], label=CHILD)) == ["binding-missing"]


def test_ingredients_fail():
    parent = f.manifest(label=PARENT)
    other = f.manifest([SAMPLE, f.data_hash()], label=PARENT)

    def child(said) -> bytes:
        return f.manifest([f.ACTIONS, said, f.data_hash()], label=CHILD)

    assert codes(parent, child(f.ingredient(parent, PARENT))) == []
    assert codes(other, child(f.ingredient(parent, PARENT))) == ["ingredient-changed"]
    assert codes(child(f.ingredient(parent, PARENT))) == ["ingredient-missing"]
    for reference in (
        7,
        {},
        {"url": 1, "hash": b""},
        {"url": "self#jumbf=/c2pa/a/b", "hash": b""},
        {"url": "self#jumbf=/c2pa/x"},
    ):
        said = f.cbor_assertion("c2pa.ingredient.v3", {"activeManifest": reference})
        assert codes(parent, child(said)) == ["ingredient-unreadable"]
    assert codes(parent, child(f.cbor_assertion("c2pa.ingredient", []))) == ["ingredient-unreadable"]
    weak = f.cbor_assertion(
        "c2pa.ingredient", {"c2pa_manifest": {"url": f"self#jumbf=/c2pa/{PARENT}", "hash": b"", "alg": "md5"}}
    )
    assert codes(parent, child(weak)) == ["ingredient-changed"]


@pytest.mark.parametrize("name", ["c2pa.ingredient", "c2pa.ingredient.v2", "c2pa.ingredient.v2__12"])
def test_older_ingredients(name):
    parent = f.manifest(label=PARENT)
    digest = hashlib.sha512(f.payload(parent)).digest()
    reference = {"url": f"self#jumbf=/c2pa/{PARENT}", "hash": digest, "alg": "sha512"}
    said = f.cbor_assertion(name, {"dc:title": 7, "relationship": "componentOf", "c2pa_manifest": reference})
    store = read_store(f.store(parent, f.manifest([said, f.data_hash()], label=CHILD)))
    (ingredient,) = store.active_manifest.ingredients
    assert (ingredient.target, ingredient.unchanged, ingredient.title) == (PARENT, True, "")
    assert store.active_manifest.problems == ()


def test_ingredient_without_a_seal():
    said = f.cbor_assertion("c2pa.ingredient.v3", {"dc:title": "a.tif", "relationship": "componentOf"})
    store = read_store(f.store(f.manifest([said, f.data_hash()])))
    (ingredient,) = store.active_manifest.ingredients
    assert (ingredient.title, ingredient.target, ingredient.present, ingredient.unchanged) == (
        "a.tif",
        "",
        False,
        False,
    )
    assert store.active_manifest.problems == ()


# --- redactions


def redacted(url: str, *, gone=(SECRET,), relate: bool = True, more=()) -> Store:
    """A child that redacts ``url`` of a parent, from which ``gone`` is missing."""
    said = [f.ACTIONS, SECRET, f.data_hash()]
    before = f.manifest(said, label=PARENT)
    after = f.manifest([f.without(item) if item in gone else item for item in said], label=PARENT)
    parts = [*([f.ingredient(before, PARENT)] if relate else []), f.ACTIONS, f.data_hash()]
    child = f.manifest(parts, label=CHILD, more={"redacted_assertions": [url, *more]})
    return read_store(f.store(after, child))


def of(store: Store, label: str) -> list[str]:
    return [problem.code for problem in store.manifests[label].problems]


SECRET_URL = f"self#jumbf=/c2pa/{PARENT}/c2pa.assertions/org.example.secret"


def test_redaction():
    store = redacted(SECRET_URL)
    assert (of(store, PARENT), of(store, CHILD)) == ([], [])
    assert store.manifests[PARENT].redacted == ("org.example.secret",)


def test_redaction_that_leaves_a_marker():
    marker = f.superbox(
        b"uuid", "org.example.secret", f.box(b"uuid", bytes.fromhex("caa98eee9d4df80e86ad4dffca263973") + bytes(9))
    )
    before = f.manifest([SECRET, f.data_hash()], label=PARENT)
    claim = f.claim_of(PARENT, [SECRET, f.data_hash()])
    after = f.manifest([f.replace(SECRET, made=marker), f.data_hash()], label=PARENT, claim=claim)
    child = f.manifest(
        [f.ingredient(before, PARENT), f.data_hash()], label=CHILD, more={"redacted_assertions": [SECRET_URL]}
    )
    store = read_store(f.store(after, child))
    assert (of(store, PARENT), of(store, CHILD)) == ([], [])
    still_there = f.manifest([f.replace(SECRET, made=marker[:-1] + b"x"), f.data_hash()], label=PARENT, claim=claim)
    assert "assertion-changed" in of(read_store(f.store(still_there, child)), PARENT)


@pytest.mark.parametrize("label", ["c2pa.actions.v2", "c2pa.hash.data"])
def test_actions_and_bindings_are_never_redacted_fail(label):
    gone = f.ACTIONS if label == "c2pa.actions.v2" else f.data_hash()
    said = [f.ACTIONS, f.data_hash()]
    before = f.manifest(said, label=PARENT)
    after = f.manifest([f.without(item) if item.label == gone.label else item for item in said], label=PARENT)
    url = f"self#jumbf=/c2pa/{PARENT}/c2pa.assertions/{label}"
    child = f.manifest([f.ingredient(before, PARENT), f.data_hash()], label=CHILD, more={"redacted_assertions": [url]})
    store = read_store(f.store(after, child))
    assert "assertion-missing" in of(store, PARENT)
    assert of(store, CHILD) == ["redaction-forbidden", "ingredient-changed"]


def test_redaction_of_something_else_does_not_excuse_fail():
    store = redacted(f"self#jumbf=/c2pa/{PARENT}/c2pa.assertions/org.example.other")
    assert of(store, PARENT) == ["assertion-missing"]
    assert of(store, CHILD) == ["ingredient-changed"]


def test_redaction_by_a_stranger_fail():
    """A manifest that was not made from the other may not take anything out of it."""
    store = redacted(SECRET_URL, relate=False)
    assert of(store, PARENT) == ["assertion-missing"]
    assert of(store, CHILD) == ["redaction-forbidden"]


def test_redaction_by_a_manifest_that_nobody_will_judge_fail():
    """Its signer would never be looked at, for nothing leads from the active manifest to it."""
    said = [f.ACTIONS, SECRET, f.data_hash()]
    before = f.manifest(said, label=PARENT)
    after = f.manifest([f.ACTIONS, f.without(SECRET), f.data_hash()], label=PARENT)
    stranger = f.manifest(
        [f.ingredient(before, PARENT), f.data_hash()], label="urn:x", more={"redacted_assertions": [SECRET_URL]}
    )
    active = f.manifest([f.ingredient(after, PARENT), f.data_hash()], label=CHILD)
    store = read_store(f.store(after, stranger, active))
    assert of(store, PARENT) == ["assertion-missing"]


def test_redaction_of_oneself_fail():
    url = f"self#jumbf=/c2pa/{f.LABEL}/c2pa.assertions/org.example.secret"
    assert codes(f.manifest([f.without(SECRET), f.data_hash()], more={"redacted_assertions": [url]})) == [
        "redaction-forbidden",
        "assertion-missing",
    ]


def test_redacted_and_still_there_fail():
    assert of(redacted(SECRET_URL, gone=()), CHILD) == ["not-redacted"]


def test_redaction_does_not_cover_another_signature_fail():
    """Where the box cannot have its hash any more, the signature box must."""
    forger = f.ed25519.Ed25519PrivateKey.generate()
    said = [f.ACTIONS, SECRET, f.data_hash()]
    before = f.manifest(said, label=PARENT)
    forged = f.manifest([f.ACTIONS, f.without(SECRET), f.data_hash(b"other bytes")], label=PARENT, key=forger)
    child = f.manifest(
        [f.ingredient(before, PARENT), f.data_hash()], label=CHILD, more={"redacted_assertions": [SECRET_URL]}
    )
    store = read_store(f.store(forged, child))
    assert of(store, CHILD) == ["ingredient-changed"]


def test_problems_of_one_manifest_are_bounded():
    many = [f.replace(f.cbor_assertion(f"a{number}", {}), listed=0) for number in range(300)]
    assert len(codes(f.manifest([*many, f.data_hash()]))) == 100


def test_messages_hold_nothing_that_moves_the_cursor():
    said = f.cbor_assertion("x", {}, url="self#jumbf=c2pa.assertions/\x1b[2J\nverified\u202e" + "x" * 900)
    manifest = read_store(f.store(f.manifest([said, f.data_hash()]))).active_manifest
    assert {problem.code for problem in manifest.problems} == {"assertion-missing", "assertion-unlisted"}
    assert all(problem.message.isprintable() and len(problem.message) <= 300 for problem in manifest.problems)
