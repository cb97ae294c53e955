"""What a manifest store says, as plain values: store, manifest, assertion, ingredient."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rawtrace.sealing.cose import Signature
from rawtrace.sealing.problem import Problem

_INSTANCE = re.compile(r"__[0-9]{1,6}\Z")

#: Assertions that bind a manifest to the bytes of its asset.
HARD_BINDINGS = frozenset(
    {
        "c2pa.hash.data",
        "c2pa.hash.boxes",
        "c2pa.hash.bmff",
        "c2pa.hash.bmff.v2",
        "c2pa.hash.bmff.v3",
        "c2pa.hash.collection.data",
    }
)
INGREDIENTS = frozenset({"c2pa.ingredient", "c2pa.ingredient.v2", "c2pa.ingredient.v3"})


@dataclass(frozen=True, slots=True)
class Assertion:
    """One assertion.

    Attributes
    ----------
    label : str
        As in the store, such as ``c2pa.ingredient.v3__1``.
    kind : str
        ``cbor``, ``json`` or ``other``.
    data : Any
        Decoded; ``None`` for ``other``. CBOR may hold ``bytes``, and its dates are text.
    sha256 : str
        Of the content of the assertion's box, hexadecimal.
    created : bool
        Whether the signer attests it (``created_assertions``, or ``assertions``
        of a version 1 claim), and has not merely gathered it.
    """

    label: str
    kind: str
    data: Any
    sha256: str
    created: bool

    @property
    def name(self) -> str:
        """The label without its instance number."""
        return base_label(self.label)


@dataclass(frozen=True, slots=True)
class Ingredient:
    """What a manifest says of one thing that its asset was made from.

    Attributes
    ----------
    label : str
        Label of the ingredient assertion.
    title, format, relationship : str
        As stated; ``relationship`` is ``parentOf``, ``componentOf`` or ``inputTo``.
    target : str
        Label of the ingredient's manifest; empty where it had no seal.
    stated_hash : bytes
        What the box of that manifest should hash to.
    present : bool
        Whether the store holds the manifest.
    unchanged : bool
        Whether the manifest is the one that was meant: its box has the stated
        hash or, where assertions of it were redacted since, its signature box has.
    """

    label: str
    title: str = ""
    format: str = ""
    relationship: str = ""
    target: str = ""
    stated_hash: bytes = b""
    present: bool = False
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """One manifest, as it was found.

    Attributes
    ----------
    label : str
    claim : Mapping[str, Any]
        Decoded; empty where it could not be read.
    claim_bytes : bytes
        What was signed.
    claim_sha256, box_sha256 : str
        SHA-256 of the claim and of the content of the manifest's box, hexadecimal.
    claim_version : int
        1 or 2; 0 where there is no claim to be read.
    assertions : tuple[Assertion, ...]
        In the order of the store, listed or not.
    ingredients : tuple[Ingredient, ...]
    signature : Signature
    is_update : bool
    redactions : tuple[str, ...]
        URIs of assertions of other manifests that this one takes out.
    redacted : tuple[str, ...]
        Labels of its own assertions that a later manifest took out.
    problems : tuple[Problem, ...]
        Faults of integrity that were found; empty when it is sound in itself.
    """

    label: str
    claim: Mapping[str, Any] = field(default_factory=dict)
    claim_bytes: bytes = b""
    claim_sha256: str = ""
    box_sha256: str = ""
    claim_version: int = 0
    assertions: tuple[Assertion, ...] = ()
    ingredients: tuple[Ingredient, ...] = ()
    signature: Signature = field(default_factory=Signature)
    is_update: bool = False
    redactions: tuple[str, ...] = ()
    redacted: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def assertion(self, name: str) -> Assertion | None:
        """Return the first assertion of that name, whatever its instance number."""
        return next((item for item in self.assertions if item.name == name), None)

    @property
    def bindings(self) -> tuple[Assertion, ...]:
        """The hard bindings; a sound manifest has one, a sound update manifest none."""
        return tuple(item for item in self.assertions if item.name in HARD_BINDINGS)


@dataclass(frozen=True, slots=True)
class Store:
    """All manifests of a seal.

    Attributes
    ----------
    manifests : Mapping[str, Manifest]
        By label, in the order of the store.
    active : str
        Label of the last one, which speaks about the asset.
    """

    manifests: Mapping[str, Manifest]
    active: str

    @property
    def active_manifest(self) -> Manifest:
        """The manifest that speaks about the asset."""
        return self.manifests[self.active]

    def walk(self, start: str = "") -> Iterator[Manifest]:
        """Yield ``start`` (the active manifest) and all that it was made from, nearest first, each once."""
        first = start or self.active
        seen = {first}
        pending = deque((first,))
        while pending:
            manifest = self.manifests[pending.popleft()]
            yield manifest
            for ingredient in manifest.ingredients:
                if ingredient.present and ingredient.target not in seen:
                    seen.add(ingredient.target)
                    pending.append(ingredient.target)

    def bound_manifest(self) -> Manifest | None:
        """Return the manifest whose hard binding holds for the asset.

        That is the active one or, behind update manifests, the parent that they
        update; ``None`` where that chain is broken.
        """
        manifest = self.active_manifest
        seen = {manifest.label}
        while manifest.is_update:
            parents = [item for item in manifest.ingredients if item.relationship == "parentOf"]
            if len(parents) != 1 or not parents[0].present or parents[0].target in seen:
                return None
            manifest = self.manifests[parents[0].target]
            seen.add(manifest.label)
        return manifest


def base_label(label: str) -> str:
    """Return an assertion's label without its instance number."""
    return _INSTANCE.sub("", label) if "__" in label else label
