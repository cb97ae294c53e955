"""``/log``: the store's log as static files, receipts, and many records at once."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.responses import Response

from rawtrace.errors import Error, LedgerError
from rawtrace.ledger.sequencer import Accepted, Log
from rawtrace.ledger.tiles import parse_path
from rawtrace.server.access import Role
from rawtrace.server.calls import Call, json_reply, tagged
from rawtrace.server.logdesk import MAX_RECORDS, Proof
from rawtrace.server.problems import Problem, status_of

_LINES = "application/x-ndjson"
_CLAIM = re.compile(r"[0-9a-f]{64}")
_MAX_RECEIPTS = 16
_FOR_EVER = "max-age=31536000, immutable"
_READERS = (Role.AUDITOR, Role.OPERATOR)
_decoder = msgspec.json.Decoder(Proof)
_encoder = msgspec.json.Encoder()


def about(call: Call) -> Response:
    """Tell what the log is called, how large it is, and how to know it."""
    log = _log(call)
    key = log.key
    return json_reply(
        {
            "origin": log.origin,
            "size": log.size,
            "verifier_key": key.text,
            "checkpoint": log.checkpoint().decode(),
            "public_entries": call.store.settings.log.public_entries,
            "trouble": log.trouble.message if log.trouble is not None else "",
        },
        call=call,
    )


def checkpoint(call: Call) -> Response:
    """Return the newest published checkpoint."""
    body = _log(call).checkpoint()
    return tagged(body, "text/plain; charset=utf-8", call=call, headers={"Cache-Control": "public, max-age=1"})


def tile(call: Call) -> Response:
    """Return a tile, or entries to whom they are open."""
    path = f"tile/{call.path['path']}"
    log = _log(call)
    try:
        entries = parse_path(path).level is None
    except Error as error:
        raise Problem(404, error.message) from error
    public = not entries or call.store.settings.log.public_entries
    if not public and not call.principal.may(*_READERS):
        status, headers = (403, {}) if call.principal.name else (401, {"WWW-Authenticate": "Bearer"})
        msg = f"the entries of this log are for the role {' or '.join(_READERS)}"
        raise Problem(status, msg, headers=headers)
    body = log.tile(path)
    if body is None:
        msg = f"the log serves no {path}: it is not that large, or not in that width"
        raise Problem(404, msg)
    # What is not public must not stay in caches that others share.
    cache = f"{'public' if public else 'private'}, {_FOR_EVER}"
    return tagged(body, "application/octet-stream", call=call, headers={"Cache-Control": cache})


def receipts(call: Call) -> Response:
    """Return the receipts of the seals with a claim, one after another."""
    claim = call.path["claim"]
    if not _CLAIM.fullmatch(claim):
        msg = "a seal is named by the SHA-256 of its claim, 64 hexadecimal digits in lower case"
        raise Problem(404, msg)
    log = _log(call)
    found = []
    for index in log.find_claim(claim)[:_MAX_RECEIPTS]:
        try:
            found.append(log.receipt(index))
        except LedgerError:  # not published yet, or erased between the two questions
            continue
    if not found:
        msg = "the log holds no seal with that claim"
        raise Problem(404, msg)
    return tagged(b"".join(found), "text/plain; charset=utf-8", call=call)


def records(call: Call) -> Response:
    """Log what proves some seals; answers line by line when all of it is durable."""
    if call.media_type != _LINES:
        msg = f"the body is {call.media_type or 'of no stated type'}; expected {_LINES}"
        raise Problem(415, msg)
    lines = call.body.splitlines()
    if not 0 < len(lines) <= MAX_RECORDS:
        msg = f"{len(lines)} lines; 1 to {MAX_RECORDS} are taken at once"
        raise Problem(400, msg)
    taken = call.store.log_desk.take([_proof(line) for line in lines], call.principal)
    return Response(_encoder.encode_lines([_said(one) for one in taken]), media_type=_LINES)


def _proof(line: bytes) -> Proof | Error:
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        said = str(error).partition("\n")[0][:200]
        return Problem(400, f"the line is no object with claim, protected and signature in base64: {said}")


def _said(one: Accepted | Error) -> dict[str, Any]:
    if isinstance(one, Accepted):
        try:
            return {"status": 200, "index": one.index, "receipt": one.receipt.decode()}
        except LedgerError as error:
            # It stands in the log, and its record was erased: to send it again makes no sense.
            return {"status": 410, "index": one.index, "code": error.code, "detail": error.message}
    said = {"status": status_of(one), "code": one.code, "detail": one.message}
    return {**said, "hint": one.hint} if one.hint else said


def _log(call: Call) -> Log:
    if not call.store.settings.log.origin:
        msg = "this store has no log"
        raise Problem(404, msg)
    return call.store.log
