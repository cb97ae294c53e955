"""Another's list can neither speak about an authority's products nor keep that authority's own list from speaking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rawtrace.report import Report
from rawtrace.sealing.seal import seal
from rawtrace.trust import authority
from rawtrace.trust.anchors import Anchor, Purpose, TrustList
from rawtrace.trust.certificates import subject_key_id
from rawtrace.trust.identity import Identity
from rawtrace.trust.scope import Scope, ScopeKind
from rawtrace.trust.truststore import load_trust
from rawtrace.verification.verify import verify


class Rivals:
    """An authority, a sealed file of its scope, and another authority that the reader accepts, too."""

    def __init__(self, folder: Path, new_identity: Callable[..., Identity]) -> None:
        self.home, self.other = folder / "authority", folder / "other"
        authority.create_authority(self.home, name="Example Authority")
        authority.create_authority(self.other, name="Rival Authority")
        scope = new_identity(authority=self.home, folder=folder / "scope")
        self.issuing = scope.chain[1]
        self.data = folder / "cells.tif"
        self.data.write_bytes(b"pixels")
        seal(self.data, signer=scope)
        record = scope.record
        self.product = Scope(
            kind=ScopeKind.PRODUCT,
            manufacturer=record["manufacturers"][0]["manufacturerName"],
            model=record["model"]["modelName"],
        )

    def revoke(self) -> None:
        authority.revoke(self.home, scope=self.product, reason="unspecified")

    def lists(self) -> tuple[TrustList, TrustList]:
        own, rivals = load_trust([self.home, self.other])
        return own, rivals

    def report(self, *lists: TrustList) -> Report:
        return verify(self.data, trust=lists)


@pytest.fixture
def rivals(tmp_path: Path, new_identity: Callable[..., Identity]) -> Rivals:
    return Rivals(tmp_path, new_identity)


def both_ways(one: TrustList, other: TrustList) -> tuple[tuple[TrustList, ...], ...]:
    return (one, other), (other, one)


def test_who_names_the_issuing_authority_does_not_silence_its_list_fail(rivals: Rivals) -> None:
    rivals.revoke()
    own, others = rivals.lists()
    shorter = Anchor(certificate=rivals.issuing, purpose=Purpose.SIGNING, name="the same, by its middle")
    helping = replace(others, anchors=(*others.anchors, shorter))
    told = rivals.report(own).verdict
    assert told.value != "verified-with-notes"
    for lists in both_ways(own, helping):
        assert rivals.report(*lists).verdict is told


def test_who_names_anothers_root_does_not_speak_about_its_products_fail(rivals: Rivals) -> None:
    own, others = rivals.lists()
    good = rivals.report(own).verdict
    authority.revoke(rivals.home, scope=rivals.product, reason="unspecified")
    said = rivals.lists()[0].statuses[0]
    assert said.authority_key_id == subject_key_id(rivals.issuing)
    copied = replace(others, anchors=(*others.anchors, *own.anchors), statuses=(said,))
    for lists in both_ways(own, copied):
        assert rivals.report(*lists).verdict is good
    # A list that names many roots, whose own lists the reader does not have, may speak.
    assert rivals.report(copied).verdict is not good
