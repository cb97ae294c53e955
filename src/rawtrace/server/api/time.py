"""``POST /time``: time stamps by RFC 3161, over HTTP as its section 3.4 says."""

from __future__ import annotations

from starlette.responses import Response

from rawtrace.server.calls import Call
from rawtrace.server.problems import Problem
from rawtrace.trust.timeauthority import QUERY_TYPE, REPLY_TYPE


def stamp(call: Call) -> Response:
    """Answer a time-stamp request; a refusal is an answer of RFC 3161, too, with status 200."""
    if not call.store.settings.offers.time:
        msg = "this store gives no time stamps"
        raise Problem(404, msg)
    if call.media_type != QUERY_TYPE:
        msg = f"the body is {call.media_type or 'of no stated type'}; expected {QUERY_TYPE}"
        raise Problem(415, msg)
    return Response(call.store.time_authority.answer(call.body).body, media_type=REPLY_TYPE)
