"""``/c2pa/v1``: finding seals again by soft binding or by picture (C2PA Soft Binding Resolution API, 1.0)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rawtrace.errors import MalformedError, SealUnreadableError, UnsealableError
from rawtrace.server.calls import Call, json_reply, tagged
from rawtrace.server.problems import Problem

if TYPE_CHECKING:
    from rawtrace.match.recover import Recovered

ALGORITHM = "io.iscc.v0"
SEAL_TYPE = "application/c2pa"
MAX_RESULTS = 100
_DEFAULT_RESULTS = 10
#: Characters of a value: in an address, and of the longest sequence of codes at all.
_MAX_IN_ADDRESS, _MAX_VALUE = 2_048, 5_464
_MAX_LABEL = 512
_EXACT = 100


def by_binding(call: Call) -> Response:
    """Return the seals that a soft binding in the address leads to."""
    alg, value = call.query.get("alg"), call.query.get("value")
    _ = call.store.recovery.location
    limit = _limit(call)
    if value is not None and len(value) > _MAX_IN_ADDRESS:
        msg = f"the value has {len(value)} characters; in an address {_MAX_IN_ADDRESS} are accepted"
        raise Problem(414, msg, hint="send it with POST")
    return _matches(_found(call, alg, value, limit))


def by_large_binding(call: Call) -> Response:
    """Return the seals that a soft binding in the body leads to."""
    _ = call.store.recovery.location
    limit = _limit(call)
    asked = call.json()
    if not isinstance(asked, dict):
        msg = "the body is no JSON object with alg and value"
        raise Problem(400, msg)
    return _matches(_found(call, asked.get("alg"), asked.get("value"), limit))


def before_content(call: Call) -> None:
    """Refuse what can be refused before a picture is taken in, and count the request."""
    _ = call.store.recovery.location
    _limit(call)
    _check_algorithm(call.query.get("alg", ALGORITHM))
    kind = call.media_type
    if not kind.startswith("image/") and kind not in {"", "application/octet-stream"}:
        msg = f"the body is {kind[:80]}; expected a picture"
        raise Problem(415, msg)
    call.store.recovery.admit(call.principal, call.client)


def by_content(call: Call) -> Response:
    """Return the seals of what a picture shows; what the hint leads to exactly is answered without looking at it."""
    limit = _limit(call)
    hinted: tuple[Recovered, ...] = ()
    # A hint of an algorithm that is not known here is for others.
    if call.query.get("hintAlg") == ALGORITHM:
        hinted = _found(call, ALGORITHM, call.query.get("hintValue"), limit)
    if any(one.score == _EXACT for one in hinted):
        return _matches(hinted)
    assert call.spooled is not None  # noqa: S101  the route spools
    best = {one.label: one for one in hinted}
    for one in call.store.recovery.look_for(call.spooled, limit=limit):
        if one.label not in best or best[one.label].score < one.score:
            best[one.label] = one
    return _matches(tuple(sorted(best.values(), key=lambda one: (-one.score, one.label))[:limit]))


def manifest(call: Call) -> Response:
    """Return a seal as it is kept, or its active manifest alone."""
    label = call.path["manifestId"]
    _ = call.store.recovery.location
    alone = call.query.get("returnActiveManifest", "false")
    if alone not in {"true", "false"}:
        msg = "returnActiveManifest is true or false"
        raise Problem(400, msg)
    if len(label) > _MAX_LABEL or not label.isprintable() or set(label) & set(' /\\"<>'):
        msg = f"a manifest is named by its label, such as urn:c2pa:…, of at most {_MAX_LABEL} characters"
        raise Problem(400, msg)
    kept = call.store.recovery.ask(lambda recovery: recovery.seal(label))
    if kept is None:
        msg = "no seal of that name is in the index"
        raise Problem(404, msg)
    return tagged(_sound(kept.store, label, alone=alone == "true"), SEAL_TYPE, call=call)


def algorithms(call: Call) -> Response:
    """Return which soft bindings can be asked with."""
    _ = call.store.recovery.location
    return json_reply({"watermarks": [], "fingerprints": [{"alg": ALGORITHM}]}, call=call)


def _sound(store: bytes, label: str, *, alone: bool) -> bytes:
    from rawtrace.sealing.activealone import active_alone
    from rawtrace.sealing.manifest import read_store

    try:
        if read_store(store).active != label:
            msg = "it has another name"
            raise SealUnreadableError(msg)
        return active_alone(store) if alone else store
    except UnsealableError as error:
        raise Problem(400, error.message, hint="ask without returnActiveManifest") from error
    except SealUnreadableError as error:
        msg = "the seal is damaged in the index"
        raise Problem(503, msg) from error


def _found(call: Call, alg: object, value: object, limit: int) -> tuple[Recovered, ...]:
    _check_algorithm(alg)
    if not isinstance(value, str) or not value:
        msg = "the value of the soft binding is missing; expected base64"
        raise Problem(400, msg)
    sequence = _decoded(value)
    try:
        return call.store.recovery.ask(lambda recovery: recovery.by_binding(sequence, limit=limit))
    except MalformedError as error:
        raise Problem(400, error.message) from error


def _check_algorithm(alg: object) -> None:
    if alg != ALGORITHM:
        named = f"{alg[:80]!r} is no algorithm that is known here" if isinstance(alg, str) else "alg is missing"
        msg = f"{named}; expected {ALGORITHM}"
        raise Problem(400, msg)


def _decoded(value: str) -> bytes:
    """Read base64 of either alphabet, with or without its padding, and of one spelling only."""
    if len(value) > _MAX_VALUE:
        msg = f"the value has {len(value)} characters; at most {_MAX_VALUE} are accepted"
        raise Problem(400, msg)
    plain = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        found = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        good = base64.b64encode(found).decode("ascii").rstrip("=") == plain
    except (binascii.Error, ValueError):
        good = False
    if not good:
        msg = "the value is not base64"
        raise Problem(400, msg, hint="in an address + is written %2B, / is %2F")
    return found


def _limit(call: Call) -> int:
    """Return how many answers are wanted; more than ``MAX_RESULTS`` are never given."""
    text = call.query.get("maxResults", str(_DEFAULT_RESULTS))
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) >= 1):
        msg = "maxResults is a whole number from 1"
        raise Problem(400, msg)
    return min(int(text), MAX_RESULTS)


def _matches(found: tuple[Recovered, ...]) -> Response:
    matches: list[dict[str, Any]] = [{"manifestId": one.label, "similarityScore": one.score} for one in found]
    return json_reply({"matches": matches})
