"""Cases about gateways: counter-signatures on a seal, seals made on upload, and the receipts beside both.

A counter-signature is an update manifest of C2PA by a repository: it says that it held this seal, and
a time-stamping authority when. It says nothing about the data, and nothing that was there before may
change by it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2

from forging import handmade, logs, pki, receipts
from forging.handmade import Said, said
from forging.lab import Hand, Lab, case, edit, new_label, seal_of
from forging.pki import DAY, NOW
from rawtrace.sealing.certify import certify_file
from rawtrace.sealing.gateway import countersign
from rawtrace.trust.anchors import Purpose

STAMPS = "c2pa.time-stamp"


def signed(lab: Lab, out: Path, signer: Hand | None = None, **changes: Any) -> tuple[Path, bytes]:
    """Data with a seal made by hand; returns its path and the box of the seal's manifest."""
    path = lab.data(out)
    return path, lab.handmade(path, signer or lab.hand(lab.instrument), **changes)


def counter_signed(
    lab: Lab,
    path: Path,
    *below: bytes,
    signer: Hand | None = None,
    more: tuple[Said, ...] = (),
    opened: bool = True,
    **changes: Any,
) -> bytes:
    """Put an update over the last of some manifests beside ``path``; returns the update's box."""
    about = handmade.ingredient(below[-1], handmade.read(below[-1]).label, path.name)
    where = {"url": f"self#jumbf=c2pa.assertions/{about.label}", "hash": digest(handmade.payload(about.made))}
    step = {"action": "c2pa.opened", "when": NOW.isoformat(), "parameters": {"ingredients": [where]}}
    actions = (said("c2pa.actions.v2", {"actions": [step]}),) if opened else ()
    options: dict[str, Any] = {"label": new_label(), "code": b"c2um"} | changes
    made = handmade.manifest([about, *actions, *more], signer or lab.hand(lab.repository), **options)
    seal_of(path).write_bytes(handmade.store(*below, made))
    return made


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def signature_of(manifest: bytes) -> bytes:
    raw: bytes = cbor2.loads(handmade.read(manifest).find("c2pa.signature").value.content).value[3]
    return raw


def repository(issuer: pki.Party, **changes: Any) -> Hand:
    leaf = pki.instrument(issuer, **({"policies": (pki.REPOSITORY, pki.SOFTWARE)} | changes))
    return Hand(leaf.chain, leaf.private, kind="repository")


def old_repository() -> tuple[Hand, Any]:
    """A repository that has been certified for long, and the root above it."""
    root = pki.certify("Archive root", ca=True, start=NOW - 500 * DAY)
    authority = pki.certify("Archive authority", root, ca=True, start=NOW - 500 * DAY)
    return repository(authority, start=NOW - 300 * DAY), root


def new_clock() -> pki.StampAuthority:
    return pki.StampAuthority("Example Time", start=NOW - 200 * DAY)


def list_clock(lab: Lab, out: Path, clock: pki.StampAuthority, *roots: Any) -> None:
    """Write a trust list that names a clock beside the roots."""
    lab.trust(out, *map(lab.anchor, (lab.root, *roots)), lab.anchor(clock.root, Purpose.TIMESTAMP))


def expired(lab: Lab, out: Path) -> tuple[Path, bytes, Any]:
    """A seal from when its signer's certificate was still good; it ran out two days ago."""
    root = pki.certify("Old root", ca=True, start=NOW - 500 * DAY)
    authority = pki.certify("Old authority", root, ca=True, start=NOW - 500 * DAY)
    leaf = pki.instrument(authority, start=NOW - 300 * DAY, end=NOW - 2 * DAY)
    path, seal = signed(lab, out, lab.forged_signer(leaf), when=NOW - 10 * DAY)
    return path, seal, root


def stamp_of(clock: pki.StampAuthority, seal: bytes, time: datetime, *, over: bytes = b"", label: str = "") -> Said:
    """What a gateway adds: a time stamp of the signature below it."""
    token = clock.token(over or signature_of(seal), time)
    return said(STAMPS, {label or handmade.read(seal).label: token})


# Counter-signatures that are good.


@case
def gateway_counter_signed(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    seal = seal_of(path)
    seal.write_bytes(countersign(seal.read_bytes(), signer=lab.repository).store)


@case
def gateway_counter_signed_by_two(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    seal = seal_of(path)
    other = repository(lab.authority, pid="https://hdl.handle.net/20.500.12345/other-archive")
    once = countersign(seal.read_bytes(), signer=lab.repository).store
    root = handmade.read(once)
    counter_signed(lab, path, *(part.write() for part in root.parts[1:]), signer=other)


@case
def gateway_time_stamp(lab: Lab, out: Path) -> None:
    (path, seal), clock = signed(lab, out), new_clock()
    counter_signed(lab, path, seal, more=(stamp_of(clock, seal, NOW),))
    lab.stamp(path, NOW, clock)
    list_clock(lab, out, clock)


@case
def gateway_time_stamp_of_a_certificate_that_has_run_out_since(lab: Lab, out: Path) -> None:
    out_of_date(lab, out)


# By whom.


@case
def gateway_of_an_unknown_authority(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    root = pki.certify("Nobody's root", ca=True)
    counter_signed(lab, path, seal, signer=repository(pki.certify("Nobody", root, ca=True)))


@case
def gateway_by_an_instrument(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    counter_signed(lab, path, seal, signer=lab.hand(lab.instrument))


@case
def gateway_by_a_workstation(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    counter_signed(lab, path, seal, signer=lab.hand(lab.workstation))


@case
def gateway_by_the_self_certified(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    counter_signed(lab, path, seal, signer=lab.hand(lab.uncertified))


@case
def gateway_whose_certificate_was_revoked_before(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    leaf = pki.instrument(lab.authority, policies=(pki.REPOSITORY, pki.SOFTWARE))
    counter_signed(lab, path, seal, signer=Hand(leaf.chain, leaf.private, kind="repository"))
    record = lab.status(
        leaf.certificate, lab.authority.key_id, "keyCompromise", NOW - DAY, compromised_from=NOW - 20 * DAY
    )
    lab.trust(out, statuses=[record])


@case
def gateway_good_over_an_unknown_signer(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out, lab.hand(lab.impostor))
    counter_signed(lab, path, seal)


@case
def gateway_with_an_unknown_one_between(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    root = pki.certify("Nobody's root", ca=True)
    middle = counter_signed(lab, path, seal, signer=repository(pki.certify("Nobody", root, ca=True)))
    counter_signed(lab, path, seal, middle)


@case
def gateway_by_an_instrument_that_states_a_capture(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out, lab.hand(lab.workstation), source_type="humanEdits")
    capture = lab.statements(path, lab.hand(lab.instrument))["c2pa.actions.v2"]
    counter_signed(lab, path, seal, signer=lab.hand(lab.instrument), opened=False, more=(capture,))


# Over what.


@case
def gateway_over_another_manifest(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    other = lab.handmade(lab.data(out, seed=2), lab.hand(lab.instrument))
    lab.data(out)
    counter_signed(lab, path, seal, other)


@case
def gateway_over_a_manifest_that_is_not_there(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    made = counter_signed(lab, path, seal)
    seal_of(path).write_bytes(handmade.store(made))


@case
def gateway_that_names_one_manifest_and_means_another(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    other = lab.handmade(path, lab.hand(lab.instrument), when=NOW - DAY)
    wrong = handmade.ingredient(other, handmade.read(seal).label, path.name)
    made = handmade.manifest([wrong], lab.hand(lab.repository), label=new_label(), code=b"c2um")
    seal_of(path).write_bytes(handmade.store(seal, made))


@case
def gateway_whose_seal_was_altered_by_one_byte(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    counter_signed(lab, path, seal)

    def change(root: handmade.Part) -> None:
        part = root.parts[1].find("c2pa.claim.v2").value
        part.content = part.content.replace(b"handmade", b"handmadf", 1)

    edit(seal_of(path), change)


@case
def gateway_whose_seal_was_altered_and_signed_over(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    root = handmade.read(seal)
    part = root.find("c2pa.claim.v2").value
    part.content = part.content.replace(b"handmade", b"handmadf", 1)
    counter_signed(lab, path, root.write())


@case
def gateway_whose_data_was_changed_before(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    lab.data(out, seed=2)
    counter_signed(lab, path, seal)


@case
def gateway_that_takes_a_statement_out(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    label = handmade.read(seal).label
    redacted = f"self#jumbf=/c2pa/{label}/c2pa.assertions/org.rawtrace.instrument"
    root = handmade.read(seal)
    assertions = root.find("c2pa.assertions")
    assertions.parts = [one for one in assertions.parts if one.label != "org.rawtrace.instrument"]
    made = handmade.manifest(
        [handmade.ingredient(seal, label, path.name)],
        lab.hand(lab.repository),
        label=new_label(),
        code=b"c2um",
        claim={"redacted_assertions": [redacted]},
    )
    seal_of(path).write_bytes(handmade.store(root.write(), made))


@case
def gateway_that_states_a_capture(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out, lab.hand(lab.workstation), source_type="humanEdits")
    step = {
        "action": "c2pa.created",
        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
    }
    counter_signed(lab, path, seal, opened=False, more=(said("c2pa.actions.v2", {"actions": [step]}),))


@case
def gateway_that_binds_the_data_anew(lab: Lab, out: Path) -> None:
    path, seal = signed(lab, out)
    lab.data(out, seed=2)
    own = said("c2pa.hash.data", {"name": "x", "alg": "sha256", "hash": digest(path.read_bytes()), "pad": b""})
    counter_signed(lab, path, seal, more=(own,))


@case
def gateway_in_place_of_the_seal(lab: Lab, out: Path) -> None:
    path, _ = signed(lab, out)
    made = handmade.manifest(
        [said("c2pa.actions.v2", {"actions": [{"action": "c2pa.opened"}]})],
        lab.hand(lab.repository),
        label=new_label(),
        code=b"c2um",
    )
    seal_of(path).write_bytes(handmade.store(made))


# Time stamps.


def out_of_date(lab: Lab, out: Path, *, listed: bool = True, **stamp: Any) -> None:
    """A certificate that has run out since, and a time stamp that would have to prove the seal is older."""
    (path, seal, root), clock = expired(lab, out), new_clock()
    time = stamp.pop("time", NOW - 9 * DAY)
    counter_signed(lab, path, seal, more=(stamp_of(clock, seal, time, **stamp),))
    list_clock(lab, out, clock if listed else new_clock(), root)


@case
def gateway_time_stamp_by_a_clock_that_no_list_names(lab: Lab, out: Path) -> None:
    out_of_date(lab, out, listed=False)


@case
def gateway_time_stamp_of_something_else(lab: Lab, out: Path) -> None:
    out_of_date(lab, out, over=b"another signature")


@case
def gateway_time_stamp_for_another_manifest(lab: Lab, out: Path) -> None:
    out_of_date(lab, out, label=new_label())


@case
def gateway_time_stamp_that_comes_too_late(lab: Lab, out: Path) -> None:
    out_of_date(lab, out, time=NOW - timedelta(hours=1))


@case
def gateway_time_stamp_of_the_counter_signature_alone(lab: Lab, out: Path) -> None:
    (path, seal, root), clock = expired(lab, out), new_clock()
    archive, above = old_repository()
    counter_signed(lab, path, seal, signer=archive)
    lab.stamp(path, NOW - 9 * DAY, clock)
    list_clock(lab, out, clock, root, above)


# Certified on upload.


@case
def certified_on_upload(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    made = certify_file(path, name=path.name, signer=lab.repository)
    seal_of(path).write_bytes(made.store)


@case
def certified_on_upload_and_counter_signed(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    made = certify_file(path, name=path.name, signer=lab.repository)
    other = repository(lab.authority, pid="https://hdl.handle.net/20.500.12345/other-archive")
    below = [part.write() for part in handmade.read(made.store).parts[1:]]
    counter_signed(lab, path, *below, signer=other)


@case
def certified_on_upload_claims_a_capture(lab: Lab, out: Path) -> None:
    signed(lab, out, lab.hand(lab.repository), source_type="digitalCapture", instrument={"capture": "upload"})


@case
def certified_on_upload_claims_to_be_the_instrument(lab: Lab, out: Path) -> None:
    said_of = {"capture": "engine-hook", "assurance": "instrument-hardware-key", "signer_kind": "instrument"}
    signed(lab, out, lab.hand(lab.repository), source_type="humanEdits", instrument=said_of)


@case
def certified_on_upload_of_other_data(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    made = certify_file(path, name=path.name, signer=lab.repository)
    seal_of(path).write_bytes(made.store)
    lab.data(out, seed=2)


# Receipts beside counter-signed seals.


def both_logged(lab: Lab, path: Path, seal: bytes) -> tuple[receipts.Scene, int]:
    """A log that holds the seal, and then the counter-signature on it; returns the place of the latter."""
    made = receipts.scene(path, lone(path, seal))
    record, key = logs.record_of(seal_of(path))
    return made, made.log.add(record, key=key)


def lone(path: Path, seal: bytes) -> Path:
    """The seal as it was before it was counter-signed, for as long as it is asked for."""
    aside = path.parent.parent / f"{path.parent.name}.alone"
    aside.write_bytes(handmade.store(seal))
    return aside


def receipts_of(lab: Lab, out: Path, *, seal: bool, update: bool) -> None:
    path, below = signed(lab, out)
    counter_signed(lab, path, below)
    made, index = both_logged(lab, path, below)
    wanted = [made.index] * seal + [index] * update
    receipts.finish(lab, out, made, *(made.log.receipt(one, made.seen(NOW)) for one in wanted))
    lone(path, below).unlink()


@case
def gateway_receipts_of_both(lab: Lab, out: Path) -> None:
    receipts_of(lab, out, seal=True, update=True)


@case
def gateway_receipt_of_the_seal_alone(lab: Lab, out: Path) -> None:
    receipts_of(lab, out, seal=True, update=False)


@case
def gateway_receipt_of_the_counter_signature_alone(lab: Lab, out: Path) -> None:
    receipts_of(lab, out, seal=False, update=True)


def late(lab: Lab, out: Path, *, of_the_seal: bool, swapped: bool = False) -> None:
    """A stolen key seals, a good gateway counter-signs; receipts must show that the seal was there before."""
    made = receipts.compromised(lab, out)
    path = made.path
    below = handmade.read(seal_of(path).read_bytes()).parts[1].write()
    archive, above = old_repository()
    counter_signed(lab, path, below, signer=archive)
    record, key = logs.record_of(seal_of(path))
    index = made.log.add(record, key=key)
    times = made.seen(receipts.WITNESSED)
    seals = made.log.receipt(made.index, times)
    its = made.log.receipt(index, times)
    if swapped:
        # The early entry of the counter-signature, with the record of the seal.
        its = made.log.receipt(index, times, extra=made.log.extras[made.index])
    made.anchors = (lab.anchor(above), *made.anchors)
    receipts.finish(lab, out, made, seals if of_the_seal else its)


@case
def gateway_receipt_proves_the_seal_older_than_the_theft(lab: Lab, out: Path) -> None:
    late(lab, out, of_the_seal=True)


@case
def gateway_receipt_of_the_counter_signature_for_a_stolen_key(lab: Lab, out: Path) -> None:
    late(lab, out, of_the_seal=False)


@case
def gateway_receipt_of_the_counter_signature_with_the_seals_record(lab: Lab, out: Path) -> None:
    late(lab, out, of_the_seal=False, swapped=True)


@case
def gateway_receipt_of_another_counter_signature(lab: Lab, out: Path) -> None:
    path, below = signed(lab, out)
    counter_signed(lab, path, below)
    made = receipts.scene(path)
    counter_signed(lab, path, below, signer=repository(lab.authority))
    receipts.finish(lab, out, made, made.log.receipt(made.index, made.seen(NOW)))
