"""Ingredients and redactions: what manifests of one store say of each other."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from typing import Any

from rawtrace.sealing.jumbf import Box
from rawtrace.sealing.model import HARD_BINDINGS, INGREDIENTS, Assertion, Ingredient, base_label
from rawtrace.sealing.problem import Problem

ASSERTION_STORE = "c2pa.assertions"
SIGNATURE = "c2pa.signature"
DIGESTS = frozenset({"sha256", "sha384", "sha512"})
_PREFIX = "self#jumbf="
_ROOT = "/c2pa/"
_UNREDACTABLE = ("c2pa.actions",)
_MAX_TEXT = 1024


def resolve(url: object, manifest: str) -> tuple[str, ...]:
    """Return manifest label and the labels below it that a JUMBF URI names; empty if it names none.

    Parameters
    ----------
    url : object
        ``self#jumbf=/c2pa/MANIFEST/...`` or, relative to ``manifest``, ``self#jumbf=...``.
    manifest : str
        Label of the manifest that the URI was found in.
    """
    if not isinstance(url, str) or not url.startswith(_PREFIX):
        return ()
    path = url[len(_PREFIX) :]
    if path.startswith(_ROOT):
        return tuple(path[len(_ROOT) :].split("/"))
    return () if path.startswith("/") else (manifest, *path.split("/"))


def may_be_redacted(label: str) -> bool:
    """Whether C2PA lets an assertion be taken out later: never actions and hard bindings."""
    name = base_label(label)
    return name not in HARD_BINDINGS and not name.startswith(_UNREDACTABLE)


class BoxDigests:
    """Digests of boxes of one store, each made once however often it is asked for."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._known: dict[tuple[int, str], bytes] = {}

    def __call__(self, box: Box, algorithm: str) -> bytes:
        """Return the digest of what is inside a box, behind its header."""
        key = (box.start, algorithm)
        digest = self._known.get(key)
        if digest is None:
            digest = hashlib.new(algorithm, self._data[box.body : box.end]).digest()
            self._known[key] = digest
        return digest


def reference_of(assertion: Assertion) -> tuple[str, dict[str, Any]] | None:
    """Return which manifest an ingredient assertion means and the hashed URI that says so.

    Returns
    -------
    tuple[str, dict] or None
        Label and hashed URI; an empty label where the URI does not name a
        manifest, ``None`` where the ingredient had no seal.
    """
    data = assertion.data if isinstance(assertion.data, dict) else {}
    reference = data.get("activeManifest", data.get("c2pa_manifest"))
    if reference is None:
        return None
    if not isinstance(reference, dict) or not isinstance(reference.get("hash"), bytes):
        return "", {}
    names = resolve(reference.get("url"), "")
    return (names[0] if len(names) == 1 else ""), reference


def read_ingredient(
    assertion: Assertion,
    *,
    claim_algorithm: str,
    boxes: Mapping[str, Box],
    redacted: Container[str],
    digests: BoxDigests,
) -> tuple[Ingredient, Problem | None]:
    """Read one ingredient assertion and compare its target with what the store holds.

    Parameters
    ----------
    assertion : Assertion
    claim_algorithm : str
        Digest that holds where the reference names none.
    boxes : Mapping[str, Box]
        The manifests' boxes by label.
    redacted : Container[str]
        Labels of manifests that lost assertions to a redaction, so that their box cannot
        have the stated hash any more and their signature decides.
    digests : BoxDigests

    Returns
    -------
    Ingredient, Problem or None
        ``ingredient-unreadable``, ``ingredient-missing`` or ``ingredient-changed``.
    """
    data = assertion.data
    if not isinstance(data, dict):
        return Ingredient(assertion.label), Problem("ingredient-unreadable", f"{assertion.label} is not a map")
    found = Ingredient(
        assertion.label,
        title=_text(data.get("dc:title")),
        format=_text(data.get("dc:format")),
        relationship=_text(data.get("relationship")),
    )
    meant = reference_of(assertion)
    if meant is None:
        return found, None
    target, reference = meant
    if not target:
        message = f"{assertion.label} does not say by label and hash which seal it means"
        return found, Problem("ingredient-unreadable", message)
    found = replace(found, target=target, stated_hash=reference["hash"])
    box = boxes.get(target)
    if box is None:
        message = f"{assertion.label} names the seal {target[:200]}, which is not in the store"
        return found, Problem("ingredient-missing", message)
    unchanged = _same(reference, claim_algorithm, box, digests)
    if not unchanged and target in redacted:
        signatures = [child for child in box.superboxes() if child.label == SIGNATURE]
        unchanged = len(signatures) == 1 and _same(data.get("claimSignature"), claim_algorithm, signatures[0], digests)
    found = replace(found, present=True, unchanged=unchanged)
    if unchanged:
        return found, None
    message = f"the seal {target} is not the one that {assertion.label} was made from"
    return found, Problem("ingredient-changed", message)


def reachable(start: str, edges: Mapping[str, Collection[str]]) -> set[str]:
    """Return the labels that ``start`` leads to along its ingredients, itself included."""
    seen = {start}
    pending = [start]
    while pending:
        for label in edges.get(pending.pop(), ()):
            if label not in seen:
                seen.add(label)
                pending.append(label)
    return seen


def is_ingredient(assertion: Assertion) -> bool:
    """Whether an assertion speaks of an ingredient."""
    return assertion.name in INGREDIENTS


def _same(reference: Any, claim_algorithm: str, box: Box, digests: BoxDigests) -> bool:
    if not isinstance(reference, dict):
        return False
    algorithm = reference.get("alg", claim_algorithm)
    if not isinstance(algorithm, str) or algorithm not in DIGESTS:
        return False
    return bool(reference.get("hash") == digests(box, algorithm))


def _text(value: Any) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""
