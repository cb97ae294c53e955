"""``/mirror``: holding other people's logs (c2sp.org/tlog-mirror) and serving them (c2sp.org/tlog-tiles)."""

from __future__ import annotations

from starlette.responses import Response

from rawtrace.errors import ReceiptError
from rawtrace.ledger.addentries import decompress
from rawtrace.ledger.witness import origin_hash
from rawtrace.server.api.witness import answer, shown
from rawtrace.server.calls import Call, json_reply, tagged
from rawtrace.server.cosigners import MIRROR, logs_of, mirror_of
from rawtrace.server.problems import Problem

_FOR_EVER = "public, max-age=31536000, immutable"


def about(call: Call) -> Response:
    """Tell how to know the mirror, and how much of which logs it holds."""
    mirror = mirror_of(call.store)
    logs = []
    for one in logs_of(call.store, MIRROR):
        held = mirror.held(one.key.name)
        logs.append(
            {
                "origin": one.key.name,
                "origin_sha256": origin_hash(one.key.name),
                "size": held.size if held else 0,
                "next_entry": held.next_entry if held else 0,
                "pending": held.pending if held else 0,
            }
        )
    return json_reply({"verifier_key": mirror.key.text, "logs": logs}, call=call)


def add_checkpoint(call: Call) -> Response:
    """Take a checkpoint for which entries will be sent."""
    return answer(mirror_of(call.store).add_checkpoint(call.body))


def add_entries(call: Call) -> Response:
    """Take entries, and sign for them when they are all there."""
    mirror = mirror_of(call.store)
    try:
        body = decompress(call.body, call.headers.get("content-encoding", "").strip().lower())
    except ReceiptError as error:
        raise Problem(400, error.message) from error
    return answer(mirror.add_entries(body))


def checkpoint(call: Call) -> Response:
    """Return the checkpoint up to which a log is held."""
    return shown(mirror_of(call.store).checkpoint(call.path["origin_sha256"]), call)


def tile(call: Call) -> Response:
    """Return a tile or a bundle of entries of a log that is held."""
    path = f"tile/{call.path['path']}"
    body = mirror_of(call.store).tile(call.path["origin_sha256"], path)
    if body is None:
        msg = "no such tile is held here"
        raise Problem(404, msg)
    return tagged(body, "application/octet-stream", call=call, headers={"Cache-Control": _FOR_EVER})
