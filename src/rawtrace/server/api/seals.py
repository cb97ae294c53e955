"""``POST /seals`` and ``GET /seals/{claim}``: delivering seals, and getting them back."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from rawtrace import strictjson
from rawtrace.errors import Error
from rawtrace.server.calls import Call, json_reply, ndjson_reply, tagged
from rawtrace.server.problems import Problem, status_of
from rawtrace.server.seals import MAX_AT_ONCE, MAX_SEAL_BYTES, SEAL_TYPE, Taken

_LINES = "application/x-ndjson"
_CLAIM = re.compile(r"[0-9a-f]{64}")
_MAX_LINE_BYTES = MAX_SEAL_BYTES * 4 // 3 + 1_024


def deliver(call: Call) -> Response:
    """Take in one seal, or as many as there are lines."""
    if call.media_type == SEAL_TYPE:
        return json_reply(as_dict(call.store.seals.take(call.body, call.principal)))
    if call.media_type == _LINES:
        return _deliver_many(call)
    msg = f"the body is {call.media_type or 'of no stated type'}; expected {SEAL_TYPE} or {_LINES}"
    raise Problem(415, msg)


def kept(call: Call) -> Response:
    """Return a seal that was delivered, as it is now, for whom it concerns."""
    claim = call.path["claim"]
    if not _CLAIM.fullmatch(claim):
        msg = "a seal is named by the SHA-256 of its claim, 64 hexadecimal digits in lower case"
        raise Problem(404, msg)
    found = call.store.seals.find(claim, call.principal)
    if call.prefers(SEAL_TYPE, "application/json") == "application/json":
        return json_reply(as_dict(found), call=call)
    return tagged(found.sidecar, SEAL_TYPE, call=call)


def as_dict(taken: Taken) -> dict[str, Any]:
    """Return an answer as JSON; without an update there is no ``sidecar``."""
    said: dict[str, Any] = {"claim": taken.claim, "index": taken.index, "receipt": taken.receipt}
    if taken.sidecar:
        said["sidecar"] = base64.b64encode(taken.sidecar).decode()
    return said


def _deliver_many(call: Call) -> Response:
    lines = call.body.splitlines()
    if not 0 < len(lines) <= MAX_AT_ONCE:
        msg = f"{len(lines)} lines; 1 to {MAX_AT_ONCE} are taken at once"
        raise Problem(400, msg)
    seals = [_seal_in(line, number) for number, line in enumerate(lines, start=1)]
    return ndjson_reply(_line(taken) for taken in call.store.seals.take_many(seals, call.principal))


def _seal_in(line: bytes, number: int) -> bytes:
    try:
        value = strictjson.loads(line, what=f"line {number}", max_bytes=_MAX_LINE_BYTES)
        text = value.get("sidecar") if isinstance(value, Mapping) else None
        return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except (Error, ValueError) as error:
        msg = f"line {number} is not a JSON object with the member sidecar in base64"
        raise Problem(400, msg) from error


def _line(taken: Taken | Error) -> dict[str, Any]:
    if isinstance(taken, Taken):
        return {"status": 200, **as_dict(taken)}
    said = {"status": status_of(taken), "code": taken.code, "detail": taken.message, "hint": taken.hint}
    if isinstance(taken, Problem) and "Retry-After" in taken.headers:
        said["retry_after"] = int(taken.headers["Retry-After"])
    return said
