"""Questions about instruments: from the parameters of a request, each checked, and the cursor that goes on."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
from collections.abc import Callable

from rawtrace import strictjson
from rawtrace.errors import Error, IdentityRecordError
from rawtrace.server import instrumentviews as views
from rawtrace.server.calls import Call
from rawtrace.server.problems import Problem
from rawtrace.server.registry import Query, Status
from rawtrace.trust import identifiers

#: What can be asked for beside a page.
FILTERS = ("q", "owner", "type", "status", "place", "manufacturer", "model", "like", "related", "certificate")
_STATES = ("good", "ends-soon", "ended", "revoked", "not-yet", "none")
_MAX_LIMIT = 200
_MAX_TEXT = 300
_MAX_WORDS = 8


def read_query(call: Call) -> tuple[Query, Callable[[tuple[str, str]], str]]:
    """Return what is asked, and what makes a cursor for the page after one that ends with an item.

    Raises
    ------
    Problem
        400: a parameter that is not known or makes no sense, or a cursor of another question.
    """
    for name in call.query:
        if name not in {*FILTERS, "limit", "cursor", "format"}:
            msg = f"{name[:40]!r} is not a parameter; expected some of {', '.join((*FILTERS, 'limit', 'cursor'))}"
            raise Problem(400, msg)
    asked = {name: call.query.get(name, "").strip() for name in FILTERS}
    for name, text in asked.items():
        if len(text) > _MAX_TEXT or not text.isprintable():
            msg = f"{name} is one line of at most {_MAX_TEXT} characters"
            raise Problem(400, msg)
    if len(asked["q"].split()) > _MAX_WORDS:
        msg = f"at most {_MAX_WORDS} words are looked for at once"
        raise Problem(400, msg)
    if asked["status"] and asked["status"] not in set(Status):
        msg = f"status is one of {', '.join(Status)}"
        raise Problem(400, msg)
    limit = read_number(call, "limit", default=50, most=_MAX_LIMIT) or 1
    query = Query(
        words=asked["q"],
        owner=_owner(asked["owner"]),
        type=asked["type"],
        status=asked["status"],
        place=asked["place"],
        manufacturer=asked["manufacturer"],
        model=asked["model"],
        like=_pid(asked["like"]),
        related=asked["related"],
        limit=limit,
    )
    # A cursor belongs to what was asked: with another question it would skip without a word.
    mark = hashlib.sha256(repr(sorted(asked.items())).encode()).hexdigest()[:12]
    query = _by_certificate(call, query, asked["certificate"])
    cursor = call.query.get("cursor", "")
    if cursor:
        query = dataclasses.replace(query, after=_read_cursor(cursor, mark))
    return query, lambda after: _cursor(after, mark)


def read_number(call: Call, name: str, *, default: int | None, most: int) -> int | None:
    """Return a parameter that is a whole number from 1 to ``most``; the default where it is not given."""
    text = call.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= most):
        msg = f"{name} is a number from 1 to {most}"
        raise Problem(400, msg)
    return int(text)


def _by_certificate(call: Call, query: Query, state: str) -> Query:
    if not state:
        return query
    if state not in _STATES:
        msg = f"certificate is one of {', '.join(_STATES)}"
        raise Problem(400, msg)
    states = {pid: views.state_of(found) for pid, found in views.certificates(call.store).items()}
    if state == "none":
        return dataclasses.replace(query, other_than=frozenset(states))
    return dataclasses.replace(query, pids=frozenset(pid for pid, one in states.items() if one == state))


def _owner(text: str) -> str:
    try:
        return identifiers.ror(text) if text else ""
    except IdentityRecordError:
        return text


def _pid(text: str) -> str:
    if not text:
        return ""
    try:
        return identifiers.pid(text)[0]
    except IdentityRecordError as error:
        raise Problem(400, f"like: {error.message}") from error


def _cursor(after: tuple[str, str], mark: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([mark, *after]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, mark: str) -> tuple[str, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        value = strictjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True), what="cursor", max_bytes=4096)
        found, sorted_by, pid = value
        good = found == mark and all(isinstance(one, str) and one.isprintable() for one in (sorted_by, pid))
    except (binascii.Error, ValueError, TypeError, Error):
        good = False
    if not good:
        msg = "this is no place to go on from: the cursor is not one that this question was given"
        raise Problem(400, msg, hint="ask again without cursor")
    return sorted_by, pid
