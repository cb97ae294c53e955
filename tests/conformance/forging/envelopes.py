"""Cases about the seal itself: damaged, edited, made wrongly though properly signed, or made to exhaust a reader."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import cbor2

from forging import handmade, pki
from forging.handmade import Part, active_of, read, said
from forging.lab import Hand, Lab, case, copy_seal, edit, file_sha256, new_label, seal_of
from forging.pki import NOW

# Damage.


@case
def seal_of_garbage(lab: Lab, out: Path) -> None:
    seal_of(lab.data(out)).write_bytes(hashlib.shake_256(b"junk").digest(5000))


@case
def seal_empty(lab: Lab, out: Path) -> None:
    seal_of(lab.data(out)).write_bytes(b"")


@case
def seal_truncated(lab: Lab, out: Path) -> None:
    path = seal_of(lab.sealed(out))
    os.truncate(path, path.stat().st_size - 1)


@case
def seal_with_garbage_appended(lab: Lab, out: Path) -> None:
    with seal_of(lab.sealed(out)).open("ab") as stream:
        stream.write(b"garbage behind the seal")


@case
def seal_of_one_gigabyte(lab: Lab, out: Path) -> None:
    path = seal_of(lab.data(out))
    path.write_bytes((1 << 30).to_bytes(4, "big") + b"jumb")
    os.truncate(path, 1 << 30)


# Edits.


def edit_cbor(part: Part, change: Any) -> None:
    value = cbor2.loads(part.content)
    change(value)
    part.content = cbor2.dumps(value)


@case
def assertion_edited(lab: Lab, out: Path) -> None:
    def change(root: Part) -> None:
        found = active_of(root).find("c2pa.assertions", "org.rawtrace.acquisition").value
        edit_cbor(found, lambda value: value.update(sealed_at="2020-01-01T00:00:00+00:00"))

    edit(seal_of(lab.sealed(out)), change)


@case
def hash_edited_to_fit(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    lab.data(out, seed=2)

    def change(root: Part) -> None:
        found = active_of(root).find("c2pa.assertions", "c2pa.hash.data").value
        edit_cbor(found, lambda value: value.update(hash=file_sha256(path)))

    edit(seal_of(path), change)


@case
def claim_edited(lab: Lab, out: Path) -> None:
    def change(root: Part) -> None:
        edit_cbor(active_of(root).find("c2pa.claim.v2").value, lambda value: value.update({"dc:title": "other.tif"}))

    edit(seal_of(lab.sealed(out)), change)


def edit_cose(path: Path, change: Any) -> None:
    def inside(root: Part) -> None:
        part = active_of(root).find("c2pa.signature").value
        parts = cbor2.loads(part.content).value
        part.content = b"\xd2" + cbor2.dumps(change(list(parts)))

    edit(path, inside)


@case
def signature_edited(lab: Lab, out: Path) -> None:
    def change(parts: list[Any]) -> list[Any]:
        return [*parts[:3], bytes([parts[3][0] ^ 1]) + parts[3][1:]]

    edit_cose(seal_of(lab.sealed(out)), change)


def with_chain(parts: list[Any], change: Any) -> list[Any]:
    headers = cbor2.loads(parts[0])
    headers[33] = change(headers[33])
    return [cbor2.dumps(headers), *parts[1:]]


@case
def certificate_edited(lab: Lab, out: Path) -> None:
    def change(chain: list[bytes]) -> list[bytes]:
        return [chain[0].replace(b"Example instrument", b"Exampel instrument"), *chain[1:]]

    edit_cose(seal_of(lab.sealed(out)), lambda parts: with_chain(parts, change))


@case
def certificate_swapped(lab: Lab, out: Path) -> None:
    genuine = [pki.der(one) for one in lab.workstation.chain]
    edit_cose(seal_of(lab.sealed(out)), lambda parts: with_chain(parts, lambda chain: genuine))


@case
def certificate_is_garbage(lab: Lab, out: Path) -> None:
    signer = lab.hand(lab.instrument)
    lab.handmade(lab.data(out), signer, manifest={"cose": {"chain": [b"\x30\x03junk", *signer.chain[1:]]}})


@case
def signature_over_another_context(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), manifest={"cose": {"context": "CounterSignature"}})


@case
def signature_algorithm_none(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), manifest={"cose": {"algorithm": 0}})


@case
def signature_brings_its_own_payload(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), manifest={"cose": {"body": b"another claim"}})


# Properly signed, but wrong.


@case
def exclusions_in_a_sidecar(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    rest = path.read_bytes()[1000:]
    left_out = {"exclusions": [{"start": 0, "length": 1000}], "hash": hashlib.sha256(rest).digest()}
    lab.handmade(path, lab.hand(lab.instrument), hash_data=left_out)


@case
def two_data_hashes(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    other = said("c2pa.hash.data__1", {"name": "", "alg": "sha256", "hash": hashlib.sha256(b"other").digest()})
    lab.handmade(path, lab.hand(lab.instrument), more=[other])


def without_hash(lab: Lab, out: Path, *more: handmade.Said) -> None:
    path, signer = lab.data(out), lab.hand(lab.instrument)
    stated = [one for label, one in lab.statements(path, signer).items() if label != "c2pa.hash.data"]
    made = handmade.manifest([*stated, *more], signer, label=new_label())
    seal_of(path).write_bytes(handmade.store(made))


@case
def data_hash_missing(lab: Lab, out: Path) -> None:
    without_hash(lab, out)


@case
def data_hash_not_attested(lab: Lab, out: Path) -> None:
    digest = file_sha256(lab.data(out))
    without_hash(lab, out, said("c2pa.hash.data", {"name": "", "alg": "sha256", "hash": digest}, created=False))


@case
def data_hash_of_another_kind(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    digest = hashlib.sha512(path.read_bytes()).digest()
    lab.handmade(path, lab.hand(lab.instrument), hash_data={"alg": "sha512", "hash": digest})


@case
def data_hash_is_text(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    lab.handmade(path, lab.hand(lab.instrument), hash_data={"hash": file_sha256(path).hex()})


@case
def assertion_not_listed(lab: Lab, out: Path) -> None:
    extra = said("org.example.note", {"text": "nobody signed this"}, listed=0)
    lab.handmade(lab.data(out), lab.hand(lab.instrument), more=[extra])


@case
def assertion_taken_out(lab: Lab, out: Path) -> None:
    extra = said("org.example.note", {"text": "it was here"}, stored=0)
    lab.handmade(lab.data(out), lab.hand(lab.instrument), more=[extra])


@case
def assertion_twice(lab: Lab, out: Path) -> None:
    extra = said("org.example.note", {"text": "twice"}, stored=2)
    lab.handmade(lab.data(out), lab.hand(lab.instrument), more=[extra])


@case
def two_seals_of_one_label(lab: Lab, out: Path) -> None:
    path, signer, label = lab.data(out), lab.hand(lab.instrument), new_label()
    first = lab.handmade(path, signer, label=label)
    lab.handmade(path, signer, label=label, before=[first])


@case
def statement_newer(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), acquisition={"version": 99, "surprise": [1, 2.5]})


@case
def statements_not_attested(lab: Lab, out: Path) -> None:
    path, signer = lab.data(out), lab.hand(lab.instrument)
    stated = lab.statements(path, signer)
    loose = [
        handmade.Said(one.label, one.made, created=not one.label.startswith("org.rawtrace")) for one in stated.values()
    ]
    seal_of(path).write_bytes(handmade.store(handmade.manifest(loose, signer, label=new_label())))


# Made to exhaust or confuse a reader.


@case
def json_nested_deeply(lab: Lab, out: Path) -> None:
    deep = said("org.rawtrace.instrument", raw=b'{"a":' * 50_000 + b"1" + b"}" * 50_000, kind="json")
    replace_statement(lab, out, deep)


@case
def cbor_nested_deeply(lab: Lab, out: Path) -> None:
    replace_statement(lab, out, said("org.rawtrace.instrument", raw=b"\x81" * 100_000 + b"\x00"))


@case
def cbor_of_three_million_lists(lab: Lab, out: Path) -> None:
    replace_statement(lab, out, said("org.rawtrace.instrument", raw=b"\x9a\x00\x2d\xc6\xc0" + b"\x80" * 3_000_000))


@case
def cbor_that_claims_to_be_huge(lab: Lab, out: Path) -> None:
    replace_statement(lab, out, said("org.rawtrace.instrument", raw=b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"))


@case
def cbor_that_refers_to_itself(lab: Lab, out: Path) -> None:
    replace_statement(lab, out, said("org.rawtrace.instrument", raw=b"\xd8\x1c\x81\xd8\x1d\x00"))


def replace_statement(lab: Lab, out: Path, statement: handmade.Said) -> None:
    path, signer = lab.data(out), lab.hand(lab.instrument)
    stated = lab.statements(path, signer) | {statement.label: statement}
    seal_of(path).write_bytes(handmade.store(handmade.manifest([*stated.values()], signer, label=new_label())))


@case
def boxes_nested_deeply(lab: Lab, out: Path) -> None:
    made = b""
    for _ in range(2_000):
        made = handmade.superbox(b"c2as", "x", *([made] if made else []))
    seal_of(lab.data(out)).write_bytes(handmade.store(made))


@case
def boxes_without_number(lab: Lab, out: Path) -> None:
    seal_of(lab.data(out)).write_bytes(handmade.store(handmade.superbox(b"c2ma", "x", *[b"\0\0\0\x08free"] * 50_000)))


@case
def statement_values_of_odd_types(lab: Lab, out: Path) -> None:
    signer = lab.hand(lab.instrument)
    odd = {"values": [{"name": ["not", "text"], "value": {"a": 1}}, 7], "notes": 3}
    lab.handmade(
        lab.data(out),
        signer,
        instrument={"capture": ["not", "text"], "more": b"\x00\xff", "extra": float("nan")},
        acquisition={"metadata": odd, "size": float("inf"), "operator": [b"x"], "supersedes": {"label": b"\x01"}},
        more=[said("org.rawtrace.inputs", {"version": 1, "inputs": 5})],
    )


@case
def statement_times_at_the_edge(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), acquisition={"sealed_at": "0001-01-01T00:00:00+14:00"})


@case
def statement_times_at_the_end(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), acquisition={"sealed_at": "9999-12-31T23:59:59-14:00"})


@case
def statement_names_that_flood(lab: Lab, out: Path) -> None:
    flood = "\x1b[2J" + "verified " * 20_000
    lab.handmade(lab.data(out), lab.hand(lab.instrument), acquisition={"name": flood}, instrument={"pid": flood})


# Update manifests.


def update(lab: Lab, path: Path, parent: bytes, *more: handmade.Said, signer: Any = None) -> None:
    label = read(parent).label
    made = handmade.manifest(
        [handmade.ingredient(parent, label, path.name), *more],
        signer if isinstance(signer, Hand) else lab.hand(signer or lab.repository),
        label=new_label(),
        code=b"c2um",
    )
    seal_of(path).write_bytes(handmade.store(parent, made))


@case
def update_of_a_good_seal(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    update(lab, path, lab.handmade(path, lab.hand(lab.instrument)))


@case
def update_of_a_seal_of_other_data(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    parent = lab.handmade(path, lab.hand(lab.instrument))
    lab.data(out, seed=2)
    update(lab, path, parent)


@case
def update_that_claims_a_capture(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    parent = lab.handmade(path, lab.hand(lab.workstation), source_type="humanEdits")
    capture = lab.statements(path, lab.hand(lab.workstation))["c2pa.actions.v2"]
    update(lab, path, parent, capture, signer=lab.workstation)


@case
def update_by_an_unknown_signer(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    stranger = pki.certify("Example Authority", pki.certify("Example Authority root", ca=True), ca=True)
    leaf = pki.instrument(stranger, policies=(pki.REPOSITORY, pki.SOFTWARE))
    signer = lab.forged_signer(leaf, kind="repository")
    update(lab, path, lab.handmade(path, lab.hand(lab.instrument)), signer=signer)


@case
def update_with_a_hash_of_its_own(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    parent = lab.handmade(path, lab.hand(lab.instrument))
    lab.data(out, seed=2)
    own = lab.statements(path, lab.hand(lab.repository))["c2pa.hash.data"]
    update(lab, path, parent, own)


@case
def compressed_manifest(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), manifest={"code": b"c2cm"})


@case
def seal_made_a_year_ahead(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), when=NOW + 365 * pki.DAY)


@case
def seal_copied_beside_a_copy(lab: Lab, out: Path) -> None:
    one = lab.sealed(out, "one.tif")
    two = out / "two.tif"
    two.write_bytes(one.read_bytes())
    copy_seal(one, two)
    one.unlink()
    seal_of(one).unlink()
