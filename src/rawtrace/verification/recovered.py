"""Seals that a service finds for a picture (C2PA Soft Binding Resolution API): asked for with codes, then judged here.

The service is believed for nothing. What it names is fetched from itself alone,
must be what it was named, and is checked as a seal; that the data belongs to it
can be told only by who has the data.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rawtrace import durable, strictjson
from rawtrace.errors import Error, MalformedError, NetworkError
from rawtrace.report import Finding, SealFacts, Verdict, verdict_of
from rawtrace.sealing import manifest
from rawtrace.sealing.pixels import SOFT_BINDING_ALGORITHM
from rawtrace.trust.anchors import TrustList
from rawtrace.verification import checks, trail
from rawtrace.verification.policy import DEFAULT, Policy
from rawtrace.verification.signer import SignerEvidence, Verifier, gather_signer
from rawtrace.verification.statement import check_statement
from rawtrace.web import Web

#: Codes that are asked with at once; a service of ours takes 16.
MAX_CODES = 16
_MAX_FETCHED = 20
_MAX_ANSWER, _MAX_SEAL, _MAX_PICTURE = 1 << 20, 8 << 20, 32 << 20
_MAX_LABEL = 512
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that is asked.

    Attributes
    ----------
    base : str
        Its address, such as ``https://store.example.org/c2pa/v1``.
    web : Web
    send_picture : bool
        Whether the picture may be sent. Without it the service learns codes, 32 bytes each.
    """

    base: str
    web: Web
    send_picture: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredSeal:
    """A seal that a service names for a picture.

    Attributes
    ----------
    label : str
    score : int or None
        What the service says of the likeness, 0 to 100.
    facts : SealFacts or None
        What the seal says; ``None`` where it could not be fetched or read.
    sound : bool
        Whether the seal itself holds and its signer is certified by a listed authority. Of the data it says nothing.
    summary : str
        Why not, else that it is so.
    """

    label: str
    score: int | None
    facts: SealFacts | None
    sound: bool
    summary: str


def recover(
    figure: Path, service: Service, *, trust: Sequence[TrustList] = (), policy: Policy = DEFAULT, limit: int = 10
) -> tuple[tuple[RecoveredSeal, ...], tuple[str, ...]]:
    """Ask a service for the seals of a picture, and return them and what was sent, in words.

    Raises
    ------
    NetworkError, LimitError, UsageError, MalformedError
        The service does not answer, or not in the form of the interface.
    InputNotFoundError, UnreadableError, PixelsError
        The picture has no codes.
    """
    verifier = Verifier(tuple(trust), None)
    units = codes_to_ask_with(figure)
    value = base64.b64encode(_sequence(units)).decode()
    asked = strictjson.dumps({"alg": SOFT_BINDING_ALGORITHM, "value": value})
    most = min(limit, _MAX_FETCHED)
    named = _ask(service, f"/matches/byBinding?maxResults={most}", asked, "application/json")
    notes = [f"{service.base} was sent {len(units)} codes of 32 bytes each"]
    if service.send_picture:
        from rawtrace.image import formats

        picture = durable.read_bounded(figure, limit=_MAX_PICTURE)
        kind = formats.detect(figure).media_type
        for label, score in _ask(service, f"/matches/byContent?maxResults={most}", picture, kind).items():
            named[label] = max((one for one in (score, named.get(label)) if one is not None), default=None)
        notes.append(f"{service.base} was sent the picture")
    else:
        notes.append("the picture was not sent; what was cropped or put together is found with --send-picture only")
    ordered = sorted(named.items(), key=lambda one: (-(one[1] or 0), one[0]))[:most]
    return tuple(_fetched(service, label, score, verifier, policy) for label, score in ordered), tuple(notes)


def codes_to_ask_with(figure: Path) -> tuple[str, ...]:
    """Return the codes of a file, its first scenes and its first view in eight orientations, 1 to ``MAX_CODES``."""
    from rawtrace.image.codes import codes_of
    from rawtrace.image.isccunits import dihedral_codes
    from rawtrace.image.reader import open_image
    from rawtrace.image.views import scene_views

    coded = codes_of(figure, views=False)
    with open_image(figure) as image:
        view = next(iter(scene_views(image, image.scenes[0], limit=1)), None)
    units = [coded.instance, coded.data]
    for scene in coded.scenes[:1]:
        units += [scene.instance, scene.data, *(plane.instance for plane in scene.planes[:1])]
    units += dihedral_codes(view.pixels) if view is not None else ()
    return tuple(dict.fromkeys(unit for unit in units if unit))[:MAX_CODES]


def _sequence(units: Sequence[str]) -> bytes:
    from rawtrace.image.isccunits import encode_seq

    return encode_seq(units)


def _ask(service: Service, path: str, body: bytes, kind: str) -> dict[str, int | None]:
    """Return score by label of what a service names; of what lies elsewhere nothing is fetched, so it is left out."""
    answer = service.web.post(service.base + path, body, content_type=kind, limit=_MAX_ANSWER)
    if answer.status != _OK:
        msg = f"{service.base} answers with status {answer.status}: {_detail(answer.body)}"
        raise NetworkError(msg)
    said = strictjson.loads(answer.body, what=f"the answer of {service.base}", max_bytes=_MAX_ANSWER)
    matches = said.get("matches") if isinstance(said, dict) else None
    if not isinstance(matches, list):
        msg = f"the answer of {service.base} names no matches"
        raise MalformedError(msg)
    found: dict[str, int | None] = {}
    for one in matches:
        label = one.get("manifestId") if isinstance(one, dict) and not one.get("endpoint") else None
        if isinstance(label, str) and 0 < len(label) <= _MAX_LABEL and label.isprintable():
            score = one.get("similarityScore")
            found[label] = score if type(score) is int and 0 <= score <= 100 else None
    return found


def _detail(body: bytes) -> str:
    try:
        said = strictjson.loads(body, what="the answer", max_bytes=_MAX_ANSWER)
    except Error:
        return "no reason"
    detail: Any = said.get("detail") if isinstance(said, dict) else None
    return detail[:300] if isinstance(detail, str) else "no reason"


def _fetched(service: Service, label: str, score: int | None, verifier: Verifier, policy: Policy) -> RecoveredSeal:
    try:
        answer = service.web.get(f"{service.base}/manifests/{quote(label, safe=':')}", limit=_MAX_SEAL)
        if answer.status != _OK:
            why = f"the service does not give it: {_detail(answer.body)}"
            return RecoveredSeal(label=label, score=score, facts=None, sound=False, summary=why)
        store = manifest.read_store(answer.body)
    except Error as error:
        return RecoveredSeal(label=label, score=score, facts=None, sound=False, summary=error.message)
    if store.active != label:
        why = "what the service gives is another seal"
        return RecoveredSeal(label=label, score=score, facts=None, sound=False, summary=why)
    active = gather_signer(store.active_manifest, store, verifier)
    findings = [policy.weigh(one) for one in _findings(active, verifier)]
    bound = store.bound_manifest()
    facts = trail.facts_of(active)
    if bound is not None and bound is not store.active_manifest:
        # An update adds a signature; who recorded the data stands in the seal that it updates, and must hold, too.
        signer = gather_signer(bound, store, verifier)
        findings += [policy.weigh(one) for one in _findings(signer, verifier)]
        facts = trail.facts_of(signer)
    verdict = Verdict.ALTERED if bound is None else verdict_of(findings)
    sound = verdict in {Verdict.VERIFIED, Verdict.VERIFIED_WITH_NOTES}
    why = next((one.message for one in findings if one.outcome.verdict is verdict), "it binds no data")
    said = "the seal holds, and its signer is certified by a listed authority" if sound else why
    return RecoveredSeal(label=label, score=score, facts=facts, sound=sound, summary=said)


def _findings(signer: SignerEvidence, verifier: Verifier) -> list[Finding]:
    """Check all of a seal that needs no data."""
    return [
        *checks.check_envelope(signer.manifest, None),
        *checks.check_certificate(signer, verifier),
        *checks.check_status(signer, verifier),
        *checks.check_time(signer, verifier),
        *check_statement(signer),
        *checks.check_receipts(signer, verifier),
    ]
