"""``GET /api/handles/…``: the Handle System's interface, byte for byte as its own servers answer."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote_to_bytes

from starlette.responses import Response

from rawtrace.errors import MalformedError
from rawtrace.server import handles
from rawtrace.server.calls import Call, tagged
from rawtrace.server.problems import Problem
from rawtrace.trust.handles import values
from rawtrace.trust.handles.names import Handle, read_handle
from rawtrace.trust.handles.values import Answer, Code, HandleValue

PATH = "/api/handles/"
_MAX_ASKED = 100
_MEDIA_TYPE = "application/json"


def resolve(call: Call) -> Response:
    """Answer for one handle; ``index`` and ``type`` choose values, each may be given several times.

    ``auth`` and ``publicOnly`` change nothing: the store answers from its own
    records, and shows public values only.
    """
    indexes, types = _asked(call)
    try:
        handle = _handle(call)
    except MalformedError as error:
        return _reply(Answer(code=Code.INVALID_HANDLE, handle=None, message=error.message), call)
    answer = handles.answer_for(call.store, handle)
    if answer.code != Code.SUCCESS:
        return _reply(answer, call)
    public = tuple(value for value in answer.values or () if value.public)
    chosen = public
    if indexes or types:
        chosen = tuple(value for value in public if value.index in indexes or _is_one_of(value, types))
    code = Code.SUCCESS if chosen else Code.VALUES_NOT_FOUND
    return _reply(replace(answer, code=code, values=chosen), call)


def _handle(call: Call) -> Handle:
    """Read the handle from the address as it was sent, decoded once and by nobody else."""
    sent = call.raw_path.partition("?")[0].removeprefix(PATH)
    try:
        return read_handle(unquote_to_bytes(sent).decode())
    except UnicodeDecodeError as error:
        msg = "the handle is not UTF-8"
        raise MalformedError(msg) from error


def _asked(call: Call) -> tuple[frozenset[int], tuple[str, ...]]:
    indexes, types = call.query.getlist("index"), call.query.getlist("type")
    if len(indexes) + len(types) > _MAX_ASKED:
        msg = f"at most {_MAX_ASKED} indexes and types can be asked for"
        raise Problem(400, msg)
    for one in indexes:
        if not (one.isascii() and one.isdigit() and len(one) <= 10):
            msg = f"the index {one[:40]!r} is not a whole number"
            raise Problem(400, msg)
    return frozenset(int(one) for one in indexes), tuple(one for one in types if one)


def _is_one_of(value: HandleValue, types: tuple[str, ...]) -> bool:
    return any(value.is_a(kind) for kind in types)


def _reply(answer: Answer, call: Call) -> Response:
    return tagged(values.write_answer(answer), _MEDIA_TYPE, status=values.http_status(answer.code), call=call)
