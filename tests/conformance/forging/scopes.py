"""Cases about statuses of a firmware, a product or a feature: which seals fall, and which stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.x509 import SubjectKeyIdentifier

from forging import pki
from forging.chains import derive
from forging.lab import Lab, case
from forging.pki import DAY, NOW, Party
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.scope import Scope, ScopeKind

MAKER, MODEL = "Example Optics", "Widefield 1"
FEATURE = Scope(kind=ScopeKind.FEATURE, manufacturer=MAKER, model=MODEL, feature="multiple-exposure")
FIRMWARE = Scope(kind=ScopeKind.FIRMWARE, manufacturer=MAKER, model=MODEL, firmware_from="1.2", firmware_to="1.10")
PRODUCT = Scope(kind=ScopeKind.PRODUCT, manufacturer=MAKER.upper(), model="widefield  1")


def about(lab: Lab, scope: Scope, issuer: Party | None = None, **changes: Any) -> StatusRecord:
    """A status that has been at fault for twenty days and is two days old."""
    said = {"reason": "privilegeWithdrawn", "revoked_at": NOW - 2 * DAY, "compromised_from": NOW - 20 * DAY}
    key_id = SubjectKeyIdentifier.from_public_key((issuer or lab.authority).certificate.public_key()).digest
    return StatusRecord(authority_key_id=key_id, scope=scope, **(said | changes))


def stated(lab: Lab, out: Path, **acquisition: Any) -> Path:
    """A seal of ten days ago that states something of firmware and features."""
    path = lab.data(out)
    leaf = pki.instrument(lab.authority, start=NOW - 300 * DAY)
    lab.handmade(path, lab.forged_signer(leaf), when=NOW - 10 * DAY, acquisition={"version": 2, **acquisition})
    return path


@case
def feature_that_was_used(lab: Lab, out: Path) -> None:
    stated(lab, out, features=["hdr", "multiple-exposure"])
    lab.trust(out, statuses=[about(lab, FEATURE)])


@case
def feature_in_capital_letters(lab: Lab, out: Path) -> None:
    stated(lab, out, features=[" Multiple-Exposure "])
    lab.trust(out, statuses=[about(lab, FEATURE)])


@case
def feature_that_was_not_used(lab: Lab, out: Path) -> None:
    stated(lab, out, features=["hdr"])
    lab.trust(out, statuses=[about(lab, FEATURE)])


@case
def feature_used_by_an_instrument_that_uses_none(lab: Lab, out: Path) -> None:
    stated(lab, out, features=[])
    lab.trust(out, statuses=[about(lab, FEATURE)])


@case
def features_unstated(lab: Lab, out: Path) -> None:
    stated(lab, out)
    lab.trust(out, statuses=[about(lab, FEATURE)])


@case
def features_of_odd_types(lab: Lab, out: Path) -> None:
    stated(lab, out, features=["hdr", {"multiple-exposure": False}, 7])
    lab.trust(out, statuses=[about(lab, FEATURE)])


@case
def features_without_number(lab: Lab, out: Path) -> None:
    stated(lab, out, features=[f"feature-{number}" for number in range(20_000)])
    lab.trust(out, statuses=[about(lab, FEATURE)])


@case
def feature_at_fault_after_the_seal(lab: Lab, out: Path) -> None:
    """The seal says that it is older than the fault, and nothing proves that."""
    stated(lab, out, features=["multiple-exposure"])
    lab.trust(out, statuses=[about(lab, FEATURE, compromised_from=NOW - 5 * DAY)])


@case
def feature_at_fault_nobody_knows_since_when(lab: Lab, out: Path) -> None:
    stated(lab, out, features=["multiple-exposure"])
    lab.trust(out, statuses=[about(lab, FEATURE, compromised_from=None)])


@case
def feature_of_an_ancestor(lab: Lab, out: Path) -> None:
    raw = lab.data(out, "raw.tif")
    features = {"version": 2, "features": ["multiple-exposure"]}
    parent = lab.handmade(raw, lab.hand(lab.instrument), acquisition=features)
    derive(lab, lab.data(out, "figure.png", seed=2), parent, "raw.tif")
    lab.trust(out, statuses=[about(lab, FEATURE)])


@case
def firmware_in_the_range(lab: Lab, out: Path) -> None:
    stated(lab, out, firmware="1.9.3")
    lab.trust(out, statuses=[about(lab, FIRMWARE)])


@case
def firmware_at_the_end_of_the_range(lab: Lab, out: Path) -> None:
    stated(lab, out, firmware="v1.10.0")
    lab.trust(out, statuses=[about(lab, FIRMWARE)])


@case
def firmware_after_the_range(lab: Lab, out: Path) -> None:
    stated(lab, out, firmware="1.10.1")
    lab.trust(out, statuses=[about(lab, FIRMWARE)])


@case
def firmware_before_the_range(lab: Lab, out: Path) -> None:
    stated(lab, out, firmware="1.1.99")
    lab.trust(out, statuses=[about(lab, FIRMWARE)])


@case
def firmware_unstated(lab: Lab, out: Path) -> None:
    stated(lab, out)
    lab.trust(out, statuses=[about(lab, FIRMWARE)])


@case
def firmware_that_cannot_be_compared(lab: Lab, out: Path) -> None:
    stated(lab, out, firmware="2.0-beta (patched)")
    lab.trust(out, statuses=[about(lab, FIRMWARE)])


@case
def product_revoked(lab: Lab, out: Path) -> None:
    stated(lab, out)
    lab.trust(out, statuses=[about(lab, PRODUCT)])


@case
def product_unstated(lab: Lab, out: Path) -> None:
    path = lab.data(out)
    lab.handmade(path, lab.hand(lab.instrument), instrument={"manufacturer": "", "model": 5})
    lab.trust(out, statuses=[about(lab, PRODUCT)])


@case
def product_of_another_model(lab: Lab, out: Path) -> None:
    stated(lab, out)
    other = Scope(kind=ScopeKind.PRODUCT, manufacturer=MAKER, model="Widefield 10")
    lab.trust(out, statuses=[about(lab, other)])


@case
def product_revoked_but_made_by_a_workstation(lab: Lab, out: Path) -> None:
    lab.handmade(lab.data(out), lab.hand(lab.workstation), source_type="humanEdits")
    lab.trust(out, statuses=[about(lab, PRODUCT)])


@case
def status_by_another_authority(lab: Lab, out: Path) -> None:
    """On the same list, but about what another authority certified."""
    lab.sealed(out)
    other = pki.certify("Other root", ca=True)
    lab.trust(out, lab.anchor(lab.root), lab.anchor(other), statuses=[about(lab, PRODUCT, other)])


@case
def status_by_a_stranger(lab: Lab, out: Path) -> None:
    """Another accepted list names the authority's key in a status, but not the authority."""
    lab.sealed(out)
    lab.trust(out)
    other = lab.anchor(pki.certify("Other root", ca=True))
    lab.trust(out, other, statuses=[about(lab, PRODUCT)], name="other.jws", title="Other list")


@case
def status_by_another_list_that_names_the_authority(lab: Lab, out: Path) -> None:
    stated(lab, out)
    lab.trust(out)
    lab.trust(out, statuses=[about(lab, PRODUCT)], name="other.jws", title="National list")


@case
def status_of_a_scope_that_nobody_knows(lab: Lab, out: Path) -> None:
    """Signed by the operator, but not in a form that this version knows: a revocation must not get lost."""
    lab.sealed(out)
    lab.relist(out, lambda text: text.replace('"kind":"product"', '"kind":"colour"'), statuses=[about(lab, PRODUCT)])


@case
def status_twice(lab: Lab, out: Path) -> None:
    lab.sealed(out)

    def twice(text: str) -> str:
        start = text.index('{"scope"')
        end = text.index("]", start)
        return text[:end] + "," + text[start:end] + text[end:]

    lab.relist(out, twice, statuses=[about(lab, PRODUCT)])


@case
def log_policy_that_cannot_be_read(lab: Lab, out: Path) -> None:
    from forging.logs import Signer, policy

    lab.sealed(out)
    lab.relist(out, lambda text: text.replace("quorum none", "quorum of-friends"), policies=[policy(Signer("log"))])
