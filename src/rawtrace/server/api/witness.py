"""``/witness``: cosigning other people's checkpoints (c2sp.org/tlog-witness)."""

from __future__ import annotations

from starlette.responses import Response

from rawtrace.ledger.witness import NOTE_TYPE, Reply, origin_hash
from rawtrace.server.calls import Call, json_reply, tagged
from rawtrace.server.cosigners import WITNESS, logs_of, witness_of
from rawtrace.server.problems import Problem


def about(call: Call) -> Response:
    """Tell how to know the witness, and which logs it has seen how far."""
    witness = witness_of(call.store)
    logs = [
        {"origin": one.key.name, "origin_sha256": origin_hash(one.key.name), "size": witness.size(one.key.name)}
        for one in logs_of(call.store, WITNESS)
    ]
    return json_reply({"verifier_key": witness.key.text, "logs": logs}, call=call)


def add_checkpoint(call: Call) -> Response:
    """Cosign a checkpoint that continues what was seen."""
    return answer(witness_of(call.store).add_checkpoint(call.body))


def checkpoint(call: Call) -> Response:
    """Return the last checkpoint that was cosigned of a log."""
    return shown(witness_of(call.store).checkpoint(call.path["origin_sha256"]), call)


def answer(reply: Reply) -> Response:
    """Turn what the protocol says into a response; a refusal is a problem."""
    if reply.refused:
        raise Problem(reply.status, reply.body.decode().strip())
    # Not as a media type: others compare it byte for byte, and a charset would be added.
    headers = {"Content-Type": reply.media_type, "Accept-Encoding": "gzip"}
    return Response(reply.body, reply.status, headers=headers)


def shown(note: bytes | None, call: Call) -> Response:
    """Return a checkpoint, or 404."""
    if note is None:
        msg = "no checkpoint of that log has been signed here"
        raise Problem(404, msg)
    return tagged(note, NOTE_TYPE, call=call, headers={"Cache-Control": "public, max-age=1"})
