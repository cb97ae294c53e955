"""One manifest taken apart: claim, signature and assertions, before its neighbours are looked at."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rawtrace import strictjson
from rawtrace.errors import LimitError, MalformedError, SealUnreadableError
from rawtrace.sealing import boundedcbor
from rawtrace.sealing.cose import Signature, check_signature, read_signature
from rawtrace.sealing.ingredients import (
    ASSERTION_STORE,
    DIGESTS,
    SIGNATURE,
    BoxDigests,
    is_ingredient,
    reference_of,
    resolve,
)
from rawtrace.sealing.jumbf import Box, content_type
from rawtrace.sealing.model import Assertion, Ingredient
from rawtrace.sealing.problem import Problem

_STANDARD, _UPDATE, _COMPRESSED = content_type(b"c2ma"), content_type(b"c2um"), content_type(b"c2cm")
_ASSERTIONS_TYPE, _CLAIM_TYPE, _SIGNATURE_TYPE = content_type(b"c2as"), content_type(b"c2cl"), content_type(b"c2cs")
_CBOR_TYPE, _JSON_TYPE, _UUID_TYPE = content_type(b"cbor"), content_type(b"json"), content_type(b"uuid")
_CLAIMS = {"c2pa.claim": 1, "c2pa.claim.v2": 2}
_REDACTION = bytes.fromhex("caa98eee9d4df80e86ad4dffca263973")
_MAX_PROBLEMS = 100
#: The C2PA library takes time with the square of their number.
MAX_ASSERTIONS = 1_500
_MAX_MESSAGE = 300


class Reading:
    """One store while it is read: its bytes, its digests and what may still be decoded."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.view = memoryview(data)
        self.digests = BoxDigests(self.view)
        self._bytes_left = boundedcbor.MAX_BYTES
        self._containers_left = boundedcbor.MAX_CONTAINERS

    def content(self, box: Box) -> bytes:
        """Return the bytes of a CBOR or JSON box that will be decoded."""
        content = self.data[box.body : box.end]
        self._bytes_left -= len(content)
        if box.kind == b"json":
            self._containers_left -= content.count(b"[") + content.count(b"{")
        else:
            self._containers_left -= boundedcbor.containers(content)
        if self._bytes_left < 0 or self._containers_left < 0:
            msg = "the seal holds more structured data than is accepted"
            raise SealUnreadableError(msg)
        return content


@dataclass(slots=True)
class Draft:
    """A manifest whose neighbours have not been looked at yet."""

    label: str
    box: Box
    claim: dict[str, Any] = field(default_factory=dict)
    claim_bytes: bytes = b""
    claim_version: int = 0
    algorithm: str = "sha256"
    assertions: list[Assertion] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    ingredients: list[Ingredient] = field(default_factory=list)
    signature: Signature = field(default_factory=Signature)
    redactions: tuple[str, ...] = ()
    redacted: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_update(self) -> bool:
        """Whether it updates a parent instead of being about an asset of its own."""
        return self.box.content_type == _UPDATE

    def targets(self) -> set[str]:
        """Return the labels of the manifests that this one says it was made from."""
        meant = (reference_of(item) for item in self.assertions if is_ingredient(item))
        return {target[0] for target in meant if target is not None}

    def fault(self, code: str, message: str) -> None:
        """Note a problem."""
        # A thousand faults say no more than the first hundred, and labels from outside may hold anything.
        if len(self.problems) < _MAX_PROBLEMS:
            shown = "".join(character if character.isprintable() else "?" for character in message[:_MAX_MESSAGE])
            self.problems.append(Problem(code, shown))


class _Listed(NamedTuple):
    """What a claim says of one assertion."""

    digest: bytes
    algorithm: str
    created: bool


def read_manifest(reading: Reading, box: Box) -> Draft:
    """Take one manifest apart and check its signature and the hashes of its assertions."""
    draft = Draft(box.label, box)
    if box.content_type == _COMPRESSED:
        draft.fault("compressed", "compressed manifests are not read")
        return draft
    if box.content_type not in (_STANDARD, _UPDATE):
        draft.fault("claim-unreadable", "the manifest is of a kind that is not known")
        return draft
    claim_box = _only(draft, tuple(_CLAIMS), _CLAIM_TYPE, "claim")
    signature_box = _only(draft, (SIGNATURE,), _SIGNATURE_TYPE, "signature")
    assertion_box = _only(draft, (ASSERTION_STORE,), _ASSERTIONS_TYPE, "assertion store")
    if claim_box is None or signature_box is None or assertion_box is None:
        return draft
    _read_claim(reading, draft, claim_box)
    _read_signature(reading, draft, signature_box)
    if draft.claim:
        _read_assertions(reading, draft, assertion_box)
    return draft


def _only(draft: Draft, labels: tuple[str, ...], kind: bytes, name: str) -> Box | None:
    """Return the one box of a manifest that has the label and the type; a fault if that is not one box."""
    found = [child for child in draft.box.superboxes() if child.label in labels or child.content_type == kind]
    if len(found) == 1 and found[0].label in labels and found[0].content_type == kind:
        return found[0]
    draft.fault(
        "claim-unreadable", f"the manifest has {len(found)} boxes for its {name}; expected one, labelled as C2PA says"
    )
    return None


def _single_content(box: Box, kind: bytes) -> Box | None:
    return box.children[0] if len(box.children) == 1 and box.children[0].kind == kind else None


def _read_claim(reading: Reading, draft: Draft, box: Box) -> None:
    content = _single_content(box, b"cbor")
    if content is None:
        draft.fault("claim-unreadable", "the claim is not one CBOR box")
        return
    data = reading.content(content)
    try:
        claim = boundedcbor.decode(data, what="the claim")
    except MalformedError as error:
        draft.fault("claim-unreadable", error.message)
        return
    if not isinstance(claim, dict) or not claim:
        draft.fault("claim-unreadable", "the claim is not a map")
        return
    draft.claim, draft.claim_bytes, draft.claim_version = claim, data, _CLAIMS[box.label]
    algorithm = claim.get("alg", "sha256")
    if isinstance(algorithm, str) and algorithm in DIGESTS:
        draft.algorithm = algorithm
    else:
        draft.fault("unsupported-algorithm", f"the claim names the digest {_short(algorithm)}, which is not known")
    if resolve(claim.get("signature"), draft.label) != (draft.label, SIGNATURE):
        draft.fault("claim-unreadable", "the claim names a signature that is not the one in its manifest")
    redactions = claim.get("redacted_assertions") or []
    if isinstance(redactions, list) and all(isinstance(url, str) for url in redactions):
        draft.redactions = tuple(redactions)
    else:
        draft.fault("claim-unreadable", "the claim's list of redacted assertions is not a list of URIs")


def _read_signature(reading: Reading, draft: Draft, box: Box) -> None:
    content = _single_content(box, b"cbor")
    if content is None:
        draft.fault("signature-invalid", "the signature is not one CBOR box")
        return
    draft.signature, problems = read_signature(reading.content(content), claim_version=draft.claim_version)
    if not problems and draft.claim:
        problem = check_signature(draft.signature, draft.claim_bytes)
        problems = (problem,) if problem else ()
    for item in problems:
        draft.fault(item.code, item.message)


def _listed(draft: Draft) -> dict[str, _Listed]:
    """Return what the claim says of each assertion that it lists, by label."""
    listed: dict[str, _Listed] = {}
    keys = ("assertions",) if draft.claim_version == 1 else ("created_assertions", "gathered_assertions")
    for key in keys:
        entries = draft.claim.get(key) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            reference = entry if isinstance(entry, dict) else {}
            names = resolve(reference.get("url"), draft.label)
            digest, algorithm = reference.get("hash"), reference.get("alg", draft.algorithm)
            if len(names) != 3 or names[:2] != (draft.label, ASSERTION_STORE) or not isinstance(digest, bytes):
                draft.fault(
                    "claim-unreadable", f"an entry of {key} is not the URI and hash of an assertion of this manifest"
                )
            elif not isinstance(algorithm, str) or algorithm not in DIGESTS:
                draft.fault(
                    "unsupported-algorithm", f"{names[2]} is hashed with {_short(algorithm)}, which is not known"
                )
            elif names[2] in listed:
                draft.fault("assertion-twice", f"the claim lists {names[2]} twice")
            else:
                listed[names[2]] = _Listed(digest, algorithm, key != "gathered_assertions")
    return listed


def _read_assertions(reading: Reading, draft: Draft, store: Box) -> None:
    if len(store.children) > MAX_ASSERTIONS:
        msg = f"a manifest of the seal holds {len(store.children)} assertions; at most {MAX_ASSERTIONS} are accepted"
        raise SealUnreadableError(msg)
    listed = _listed(draft)
    present: set[str] = set()
    for box in store.children:
        label = box.label
        if not label:
            draft.fault(
                "assertion-unlisted", f"the assertion store holds something without a label at byte {box.start}"
            )
            continue
        if _is_redaction(reading, box):
            continue
        if label in present:
            draft.fault("assertion-twice", f"the store holds {label} twice")
        present.add(label)
        entry = listed.get(label)
        if entry is None:
            draft.fault("assertion-unlisted", f"{label} is in the store, but the claim does not list it")
        elif reading.digests(box, entry.algorithm) != entry.digest:
            draft.fault("assertion-changed", f"{label} is not what was signed")
        created = entry is not None and entry.created
        draft.assertions.append(_assertion(reading, draft, box, created=created))
    draft.missing = [label for label in listed if label not in present]


def _assertion(reading: Reading, draft: Draft, box: Box, *, created: bool) -> Assertion:
    kind, data = "other", None
    wanted = {_CBOR_TYPE: b"cbor", _JSON_TYPE: b"json"}.get(box.content_type)
    if wanted is not None:
        content = _single_content(box, wanted)
        try:
            if content is None:
                msg = f"{box.label} is not one {wanted.decode()} box"
                raise MalformedError(msg)
            data = _decode(reading.content(content), wanted, box.label)
            kind = wanted.decode()
        except (MalformedError, LimitError) as error:
            draft.fault("assertion-unreadable", error.message)
    return Assertion(box.label, kind, data, reading.digests(box, "sha256").hex(), created)


def _decode(content: bytes, kind: bytes, label: str) -> Any:
    if kind == b"cbor":
        return boundedcbor.decode(content, what=label)
    data = strictjson.loads(content, what=label, max_bytes=boundedcbor.MAX_BYTES)
    if b"\\u" in content:
        try:
            # Half a surrogate pair is legal in JSON and would break whoever writes the text out.
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            msg = f"{label} holds text that is not Unicode"
            raise MalformedError(msg) from error
    return data


def _is_redaction(reading: Reading, box: Box) -> bool:
    """Whether a box only marks the place of an assertion that was taken out."""
    content = _single_content(box, b"uuid") if box.content_type == _UUID_TYPE else None
    if content is None or reading.data[content.body : content.body + 16] != _REDACTION:
        return False
    return not any(reading.view[content.body + 16 : content.end])


def _short(value: Any) -> str:
    return value[:40] if isinstance(value, str) else f"of type {type(value).__name__}"
