"""Our own reader of C2PA manifest stores; it asks no C2PA library.

``read_store`` takes a seal apart, checks every hash and signature in it, and
hands back plain values. A seal that cannot be taken apart is an error; a fault
in one that can is a ``Problem`` of the manifest that has it. Neither trust in the
signer nor the asset itself is looked at here. The rules are written down for
other people's programs in ``docs/spec/reading-a-seal.md``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from rawtrace.errors import SealUnreadableError
from rawtrace.sealing.binding import require_regular
from rawtrace.sealing.cose import Signature
from rawtrace.sealing.draft import Draft, Reading, read_manifest
from rawtrace.sealing.ingredients import (
    ASSERTION_STORE,
    is_ingredient,
    may_be_redacted,
    reachable,
    read_ingredient,
    resolve,
)
from rawtrace.sealing.jumbf import MAX_BYTES, content_type, parse
from rawtrace.sealing.model import HARD_BINDINGS, Assertion, Ingredient, Manifest, Store
from rawtrace.sealing.problem import Problem

__all__ = ["Assertion", "Ingredient", "Manifest", "Problem", "Signature", "Store", "read_sidecar", "read_store"]

_STORE_LABEL = "c2pa"
_STORE_TYPE = content_type(b"c2pa")
_MAX_MANIFESTS = 2_000
_MAX_REDACTORS = 256
_PADDING = b"free"


def read_sidecar(path: Path) -> bytes:
    """Read the bytes of a ``.c2pa`` file, as many as ``read_store`` takes at most.

    Raises
    ------
    InputNotFoundError, UnreadableError, SealUnreadableError
    """
    require_regular(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise SealUnreadableError(msg) from error
    if len(data) > MAX_BYTES:
        msg = f"{path} is larger than {MAX_BYTES} bytes, the most that is read"
        raise SealUnreadableError(msg)
    return data


def read_store(data: bytes) -> Store:
    """Read a manifest store and check everything in it that needs neither the asset nor trust.

    Parameters
    ----------
    data : bytes
        The content of a ``.c2pa`` file, or what ``embedded_store`` found; at most 64 MiB.

    Returns
    -------
    Store
        Time and memory grow with ``len(data)`` only, however many generations there are.

    Raises
    ------
    SealUnreadableError
        Not a manifest store, or beyond a bound; the only error.
    """
    root = parse(data)
    if root.label != _STORE_LABEL or root.content_type != _STORE_TYPE:
        msg = "the seal is a JUMBF box, but not a C2PA manifest store"
        raise SealUnreadableError(msg)
    boxes = [child for child in root.children if child.kind != _PADDING]
    if not boxes or len(boxes) > _MAX_MANIFESTS:
        msg = f"the seal holds {len(boxes)} manifests; expected 1 to {_MAX_MANIFESTS}"
        raise SealUnreadableError(msg)
    reading = Reading(data)
    drafts: dict[str, Draft] = {}
    for box in boxes:
        if not box.label or "/" in box.label:
            msg = f"the manifest at byte {box.start} of the seal has no usable label"
            raise SealUnreadableError(msg)
        draft = read_manifest(reading, box)
        if box.label in drafts:
            draft.fault("label-twice", f"two manifests in the store have the label {box.label}")
            # The last one stands where it was found, for the last one in the store is the active one.
            del drafts[box.label]
        drafts[box.label] = draft
    _settle_redactions(drafts, boxes[-1].label)
    _read_ingredients(reading, drafts)
    return Store({label: _finish(reading, draft) for label, draft in drafts.items()}, boxes[-1].label)


def _settle_redactions(drafts: dict[str, Draft], active: str) -> None:
    """Decide for every missing assertion whether a later manifest was entitled to take it out.

    Entitled is who was made from that manifest and led to the active one: only such a
    manifest's signer is judged by whoever walks the store.
    """
    allowed: set[tuple[str, str]] = set()
    redactors = [draft for draft in drafts.values() if draft.redactions]
    if len(redactors) > _MAX_REDACTORS:
        msg = f"{len(redactors)} manifests of the seal redact others; at most {_MAX_REDACTORS} are accepted"
        raise SealUnreadableError(msg)
    if redactors:
        edges = {label: draft.targets() for label, draft in drafts.items()}
        present = {(label, item.label) for label, draft in drafts.items() for item in draft.assertions}
        leading = reachable(active, edges)
        for draft in redactors:
            ancestors = reachable(draft.label, edges) if draft.label in leading else set()
            allowed |= _redactions(draft, ancestors - {draft.label}, present)
    for draft in drafts.values():
        for label in draft.missing:
            if (draft.label, label) in allowed:
                draft.redacted.append(label)
            else:
                draft.fault("assertion-missing", f"the claim lists {label}, which is not in the store")


def _redactions(draft: Draft, ancestors: set[str], present: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return manifest and label of the assertions that one manifest was entitled to take out."""
    allowed: set[tuple[str, str]] = set()
    for url in draft.redactions:
        names = resolve(url, draft.label)
        if len(names) != 3 or names[1] != ASSERTION_STORE or not may_be_redacted(names[2]) or names[0] not in ancestors:
            draft.fault("redaction-forbidden", f"the manifest redacts {url[:200]}, which it may not")
        elif (names[0], names[2]) in present:
            draft.fault("not-redacted", f"{names[2]} should have been taken out, but is still there")
        else:
            allowed.add((names[0], names[2]))
    return allowed


def _read_ingredients(reading: Reading, drafts: dict[str, Draft]) -> None:
    boxes = {label: draft.box for label, draft in drafts.items()}
    redacted = {label for label, draft in drafts.items() if draft.redacted}
    for draft in drafts.values():
        for assertion in draft.assertions:
            if is_ingredient(assertion):
                ingredient, problem = read_ingredient(
                    assertion,
                    claim_algorithm=draft.algorithm,
                    boxes=boxes,
                    redacted=redacted,
                    digests=reading.digests,
                )
                draft.ingredients.append(ingredient)
                if problem is not None:
                    draft.fault(problem.code, problem.message)


def _check_binding(draft: Draft) -> None:
    """One hard binding that the signer attests; none in an update, which has one parent instead."""
    bindings = [item for item in draft.assertions if item.name in HARD_BINDINGS]
    if draft.is_update:
        parents = [item for item in draft.ingredients if item.relationship == "parentOf"]
        if bindings:
            draft.fault("several-bindings", "an update manifest has a hard binding; its parent's is the one that holds")
        if len(parents) != 1 or not parents[0].target:
            draft.fault("update-malformed", "an update manifest must have exactly one parent with a seal")
    elif len(bindings) > 1:
        draft.fault("several-bindings", f"the manifest has {len(bindings)} hard bindings; expected one")
    elif not bindings or not bindings[0].created:
        draft.fault(
            "binding-missing", "the manifest has no hard binding to the bytes of its asset that its signer attests"
        )


def _finish(reading: Reading, draft: Draft) -> Manifest:
    if draft.claim:
        _check_binding(draft)
    box_digest = reading.digests(draft.box, "sha256").hex()
    return Manifest(
        label=draft.label,
        claim=draft.claim,
        claim_bytes=draft.claim_bytes,
        claim_sha256=hashlib.sha256(draft.claim_bytes).hexdigest() if draft.claim else "",
        box_sha256=box_digest,
        claim_version=draft.claim_version,
        assertions=tuple(draft.assertions),
        ingredients=tuple(draft.ingredients),
        signature=draft.signature,
        is_update=draft.is_update,
        redactions=draft.redactions,
        redacted=tuple(draft.redacted),
        problems=tuple(draft.problems),
    )
