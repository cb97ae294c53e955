"""Cases about who signed, when, and on whose word: certificates, statuses, time stamps, lists, statements, policies."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from forging import handmade, pki
from forging.chains import family
from forging.files import pixel_byte_flipped
from forging.lab import Lab, case, flip, new_label, seal_of
from forging.pki import DAY, NOW, Party
from rawtrace.trust.anchors import Purpose

# Authorities.


@case
def authority_of_the_same_name(lab: Lab, out: Path) -> None:
    lab.sealed(out, signer=lab.impostor)


@case
def signer_certified_by_nobody(lab: Lab, out: Path) -> None:
    lab.sealed(out, signer=lab.uncertified)


@case
def no_trust_list_at_all(lab: Lab, out: Path) -> None:
    lab.sealed(out)


@case
def authority_for_time_stamps_only(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    lab.trust(out, lab.anchor(lab.root, Purpose.TIMESTAMP))


@case
def authority_for_identities_only(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    lab.trust(out, lab.anchor(lab.root, Purpose.IDENTITY))


@case
def authority_withdrawn(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    lab.trust(out, lab.anchor(lab.root, granted=False, since=NOW - 10 * DAY))


# Certificates.


def by(lab: Lab, out: Path, leaf: Party, *anchors: Party, kind: str = "instrument") -> Path:
    """Data sealed by a certificate made by hand; the list names ``anchors``, else the leaf's root."""
    path = lab.data(out)
    lab.handmade(path, lab.forged_signer(leaf, kind))
    lab.trust(out, *(lab.anchor(one) for one in (anchors or (Party(leaf.above[-1], None),))))
    return path


def tree(**middle: object) -> Party:
    """An authority under a root of its own, wrong in the way that is asked for."""
    root = pki.certify("Forged root", ca=True)
    return pki.certify("Forged authority", root, **({"ca": True, "path_length": 0} | middle))  # type: ignore[arg-type]


@case
def certificate_by_hand_good(lab: Lab, out: Path) -> None:
    by(lab, out, pki.instrument(tree()))


@case
def certificate_expired(lab: Lab, out: Path) -> None:
    by(lab, out, pki.instrument(lab.authority, start=NOW - 100 * DAY, end=NOW - 10 * DAY))


def expired_and_stamped(lab: Lab, out: Path, *, stamped: int, listed: bool = True) -> Path:
    authority = tree(start=NOW - 500 * DAY)
    leaf = pki.instrument(authority, start=NOW - 100 * DAY, end=NOW - 10 * DAY)
    path = lab.data(out)
    lab.handmade(path, lab.forged_signer(leaf), when=NOW - 50 * DAY)
    root = pki.certify("Old root", ca=True, start=NOW - 500 * DAY)
    old = pki.certify("Forged authority", root, ca=True, start=NOW - 500 * DAY)
    leaf = pki.instrument(old, start=NOW - 100 * DAY, end=NOW - 10 * DAY)
    lab.handmade(path, lab.forged_signer(leaf), when=NOW - 50 * DAY)
    clock = pki.StampAuthority("Example Time", start=NOW - 200 * DAY)
    lab.stamp(path, NOW - stamped * DAY, clock)
    clocks = [lab.anchor(clock.root, Purpose.TIMESTAMP)] if listed else []
    lab.trust(out, lab.anchor(root), *clocks)
    return path


@case
def certificate_expired_but_time_stamped(lab: Lab, out: Path) -> None:
    expired_and_stamped(lab, out, stamped=20)


@case
def certificate_expired_time_stamp_too_late(lab: Lab, out: Path) -> None:
    expired_and_stamped(lab, out, stamped=2)


@case
def certificate_expired_time_stamp_unlisted(lab: Lab, out: Path) -> None:
    expired_and_stamped(lab, out, stamped=20, listed=False)


@case
def certificate_not_yet_valid(lab: Lab, out: Path) -> None:
    by(lab, out, pki.instrument(lab.authority, start=NOW + DAY))


@case
def seal_older_than_its_certificate(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    leaf = pki.instrument(lab.authority, start=NOW - DAY)
    lab.handmade(path, lab.forged_signer(leaf), when=NOW - 400 * DAY)


@case
def root_expired(lab: Lab, out: Path) -> None:
    root = pki.certify("Forged root", ca=True, start=NOW - 400 * DAY, end=NOW - DAY)
    by(lab, out, pki.instrument(pki.certify("Forged authority", root, ca=True, path_length=0)))


@case
def authority_expired(lab: Lab, out: Path) -> None:
    by(lab, out, pki.instrument(tree(start=NOW - 400 * DAY, end=NOW - DAY)))


@case
def leaf_that_issues_a_leaf(lab: Lab, out: Path) -> None:
    by(lab, out, pki.instrument(pki.instrument(tree())))


@case
def authority_without_leave_to_certify(lab: Lab, out: Path) -> None:
    by(lab, out, pki.instrument(tree(ca=False, usage=pki.DOCUMENT_SIGNING)))


@case
def path_length_exceeded(lab: Lab, out: Path) -> None:
    second = pki.certify("Forged second authority", tree(), ca=True)
    by(lab, out, pki.instrument(second))


@case
def authority_for_another_use(lab: Lab, out: Path) -> None:
    by(lab, out, pki.instrument(tree(usage=pki.SERVER_AUTH)))


@case
def certificate_for_another_use(lab: Lab, out: Path) -> None:
    by(lab, out, pki.instrument(tree(), usage=pki.SERVER_AUTH))


@case
def name_constraint_violated(lab: Lab, out: Path) -> None:
    only = x509.NameConstraints([x509.UniformResourceIdentifier("instruments.example.org")], None)
    by(lab, out, pki.instrument(tree(constraints=only)))


@case
def name_constraint_kept(lab: Lab, out: Path) -> None:
    only = x509.NameConstraints([x509.UniformResourceIdentifier("hdl.handle.net")], None)
    by(lab, out, pki.instrument(tree(constraints=only)))


# Statuses.


def revoked(
    lab: Lab, out: Path, reason: str, *, days_ago: int, from_days_ago: int | None = None, stamp: int = 0
) -> None:
    """Sealed ten days ago; revoked ``days_ago``, in doubt ``from_days_ago``, stamped ``stamp`` days ago."""
    leaf = pki.instrument(lab.authority, start=NOW - 300 * DAY)
    path = lab.data(out)
    lab.handmade(path, lab.forged_signer(leaf), when=NOW - 10 * DAY)
    start = None if from_days_ago is None else NOW - from_days_ago * DAY
    record = lab.status(leaf.certificate, lab.authority.key_id, reason, NOW - days_ago * DAY, compromised_from=start)
    anchors = [lab.anchor(root_of(lab, leaf))]
    if stamp:
        lab.stamp(path, NOW - stamp * DAY)
        anchors.append(lab.anchor(lab.clock.root, Purpose.TIMESTAMP))
    lab.trust(out, *anchors, statuses=[record])


def root_of(lab: Lab, leaf: Party) -> Party:
    return Party(leaf.above[-1], None)


@case
def revoked_before(lab: Lab, out: Path) -> None:
    revoked(lab, out, "cessationOfOperation", days_ago=20)


@case
def revoked_after_for_an_ordinary_reason(lab: Lab, out: Path) -> None:
    revoked(lab, out, "superseded", days_ago=2)


@case
def compromised_after_the_time_stamp(lab: Lab, out: Path) -> None:
    revoked_with_old_authority(lab, out, from_days_ago=5, stamp=8)


@case
def compromised_before_the_time_stamp(lab: Lab, out: Path) -> None:
    revoked_with_old_authority(lab, out, from_days_ago=9, stamp=8)


@case
def compromised_after_without_time_stamp(lab: Lab, out: Path) -> None:
    revoked(lab, out, "keyCompromise", days_ago=2, from_days_ago=5)


@case
def compromised_before(lab: Lab, out: Path) -> None:
    revoked(lab, out, "keyCompromise", days_ago=2, from_days_ago=15)


@case
def compromised_nobody_knows_since_when(lab: Lab, out: Path) -> None:
    revoked_with_old_authority(lab, out, from_days_ago=None, stamp=8)


def revoked_with_old_authority(lab: Lab, out: Path, *, from_days_ago: int | None, stamp: int) -> None:
    """As ``revoked`` for keyCompromise, under an authority old enough to have been there at the stamp."""
    root = pki.certify("Old root", ca=True, start=NOW - 500 * DAY)
    authority = pki.certify("Old authority", root, ca=True, start=NOW - 500 * DAY)
    leaf = pki.instrument(authority, start=NOW - 300 * DAY)
    path = lab.data(out)
    lab.handmade(path, lab.forged_signer(leaf), when=NOW - 10 * DAY)
    clock = pki.StampAuthority("Example Time", start=NOW - 200 * DAY)
    lab.stamp(path, NOW - stamp * DAY, clock)
    start = None if from_days_ago is None else NOW - from_days_ago * DAY
    record = lab.status(leaf.certificate, authority.key_id, "keyCompromise", NOW - 2 * DAY, compromised_from=start)
    lab.trust(out, lab.anchor(root), lab.anchor(clock.root, Purpose.TIMESTAMP), statuses=[record])


@case
def authority_revoked_before(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    root_key = x509.SubjectKeyIdentifier.from_public_key(lab.root.public_key()).digest  # type: ignore[arg-type]
    record = lab.status(lab.authority.certificate, root_key, "cACompromise", NOW - DAY, compromised_from=NOW - 9 * DAY)
    lab.trust(out, statuses=[record])


# Time stamps.


@case
def time_stamp_good(lab: Lab, out: Path) -> None:
    lab.stamp(lab.sealed(out), NOW)
    lab.trust(out, lab.anchor(lab.root), lab.anchor(lab.clock.root, Purpose.TIMESTAMP))


@case
def time_stamp_of_something_else(lab: Lab, out: Path) -> None:
    lab.stamp(lab.sealed(out), NOW, over=b"another seal")
    lab.trust(out, lab.anchor(lab.root), lab.anchor(lab.clock.root, Purpose.TIMESTAMP))


@case
def time_stamp_by_an_authority_for_seals(lab: Lab, out: Path) -> None:
    lab.stamp(lab.sealed(out), NOW)
    lab.trust(out, lab.anchor(lab.root), lab.anchor(lab.clock.root))


@case
def time_stamp_of_a_stolen_key(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    lab.stamp(path, NOW - DAY)
    stolen = lab.status(
        lab.clock.leaf.certificate, lab.clock.root.key_id, "keyCompromise", NOW - DAY, compromised_from=NOW - 20 * DAY
    )
    lab.trust(out, lab.anchor(lab.root), lab.anchor(lab.clock.root, Purpose.TIMESTAMP), statuses=[stolen])


# Lists.


@case
def trust_list_stale(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    lab.trust(out, issued=NOW - 20 * DAY, next_update=NOW - DAY)


@case
def trust_list_unsigned(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    lab.trust(out, signed=False, name="trust-list.json")
    (out / "trust-list.jws").unlink(missing_ok=True)


@case
def trust_list_forged(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    header, content, signature = lab.trust(out).read_bytes().split(b".")
    (out / "trust-list.jws").write_bytes(b".".join((header, content[:200] + b"A" + content[201:], signature)))


@case
def trust_list_signed_by_another(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    header, content, signature = lab.trust(out).read_bytes().split(b".")
    (out / "trust-list.jws").write_bytes(b".".join((header, content, signature[:20] + b"AAAA" + signature[24:])))


# Statements against certificates.


@case
def workstation_claims_a_capture(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.workstation))


@case
def repository_claims_a_capture(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.repository), source_type="computationalCapture")


@case
def instrument_states_derived_data(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), source_type="humanEdits")


@case
def instrument_states_no_source(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), source_type="")


@case
def capture_by_nobody_in_particular(lab: Lab, out: Path) -> None:
    by(lab, out, pki.certify("Somebody", tree()))


@case
def capture_by_two_kinds_at_once(lab: Lab, out: Path) -> None:
    by(lab, out, pki.instrument(tree(), policies=(pki.INSTRUMENT, pki.WORKSTATION, pki.SOFTWARE)))


@case
def capture_of_the_self_certified(lab: Lab, out: Path) -> None:
    by(lab, out, pki.instrument(tree(), policies=(pki.SELF, pki.SOFTWARE)), kind="self")


@case
def hardware_key_certified(lab: Lab, out: Path) -> None:
    leaf = pki.instrument(tree(), policies=(pki.INSTRUMENT, pki.HARDWARE))
    path = lab.data(out)
    lab.handmade(path, lab.forged_signer(leaf), instrument={"assurance": "instrument-hardware-key"})
    lab.trust(out, lab.anchor(Party(leaf.above[-1], None)))


@case
def hardware_key_not_certified(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), instrument={"assurance": "instrument-hardware-key"})


@case
def pid_of_another_instrument(lab: Lab, out: Path) -> None:
    lab.handmade(
        lab.data(out), lab.hand(lab.instrument), instrument={"pid": "https://hdl.handle.net/20.500.12345/other"}
    )


@case
def record_of_another_instrument(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), instrument={"profile_sha256": "0" * 64})


@case
def kind_of_another_signer(lab: Lab, out: Path) -> None:
    lab.handmade(
        lab.data(out), lab.hand(lab.workstation), source_type="humanEdits", instrument={"signer_kind": "instrument"}
    )


@case
def no_statements(lab: Lab, out: Path) -> None:
    path, signer = lab.data(out), lab.hand(lab.instrument)
    stated = lab.statements(path, signer)
    kept = [stated["c2pa.actions.v2"], stated["c2pa.hash.data"]]
    seal_of(path).write_bytes(handmade.store(handmade.manifest(kept, signer, label=new_label())))


@case
def watched_folder(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.instrument), instrument={"capture": "watched-folder"})


@case
def metadata_of_another_instrument(lab: Lab, out: Path) -> None:
    values = [{"name": "instrument.serial", "value": "SN-9999", "source": "TIFF tag 306"}]
    lab.handmade(
        lab.data(out),
        lab.hand(lab.instrument),
        instrument={"serial": "SN-0001"},
        acquisition={"metadata": {"sha256": "", "values": values, "notes": []}},
    )


@case
def seal_superseded(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    with path.open("ab") as stream:
        stream.write(b"more data")
    lab.seal(path, supersede=True)


@case
def old_seal_on_grown_data(lab: Lab, out: Path) -> None:
    path = lab.sealed(out)
    with path.open("ab") as stream:
        stream.write(b"more data")
    lab.seal(path, supersede=True)
    (out / "cells.tif.superseded-00001.c2pa").replace(seal_of(path))


# Policies.


def policy(out: Path, *outcomes: str, text: str = "") -> None:
    lines = ['name = "Journal of Plain Examples"', "version = 1", "[outcomes]", *outcomes]
    (out / "policy.toml").write_text(text or "\n".join(lines) + "\n")


@case
def policy_stricter(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    policy(out, 'no-trusted-time = "inconclusive"', 'software-key = "rejected"')


@case
def policy_looser(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    policy(out, 'no-trusted-time = "passed"', 'software-key = "passed"', 'capture-manual = "passed"')


@case
def policy_for_ancestors(lab: Lab, out: Path) -> None:
    raw, _ = family(lab, out)
    raw.unlink()
    seal_of(raw).unlink()
    policy(out, 'ancestor-file-absent = "inconclusive"')


@case
def policy_that_weighs_changed_bytes(lab: Lab, out: Path) -> None:
    pixel_byte_flipped(lab, out)
    policy(out, 'bytes-changed = "passed"')


@case
def policy_that_lets_unchecked_pass(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    policy(out, 'status-not-checked = "passed"')


@case
def policy_of_unknown_findings(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    policy(out, 'no-such-finding = "note"')


@case
def policy_that_is_no_toml(lab: Lab, out: Path) -> None:
    lab.sealed(out)
    policy(out, text="[[[[" * 1000)


@case
def policy_on_a_changed_file(lab: Lab, out: Path) -> None:
    flip(lab.sealed(out), 7)
    policy(out, 'no-trusted-time = "passed"', 'software-key = "passed"', 'capture-manual = "passed"')
