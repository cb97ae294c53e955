"""The registry of instruments over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from rawtrace import strictjson
from rawtrace.errors import Error, IdentityRecordError, LimitError, MalformedError
from rawtrace.server import instrumentviews as views
from rawtrace.server import problems, registry, sealcounts
from rawtrace.server.api.instrumentquery import FILTERS, read_number, read_query
from rawtrace.server.calls import Call, json_reply, ndjson_reply
from rawtrace.server.instrumentaddress import ROOT, address_of, read_address
from rawtrace.server.problems import Problem
from rawtrace.server.registry import Action, Entry, Status
from rawtrace.server.store import Store
from rawtrace.trust import identifiers, instruments
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.pidinst import plain

NDJSON = "application/x-ndjson"
MAX_BULK_BYTES = 8 << 20
_MAX_LINES = 1_000
_MAX_CHANGES = 100
_MAX_TEXT = 300
_TAG = re.compile(r'(?:W/)?"([0-9]{1,9})(?:-[0-9a-f]+)?"')


def listing(call: Call) -> Response:
    """Return instruments by name, a page at a time."""
    query, cursor_of = read_query(call)
    found = registry.search(call.store.database, query)
    by_pid = views.certificates(call.store)
    items = [views.listed(entry, by_pid.get(entry.pid, ())) for entry in found.items]
    following = None
    if found.next is not None:
        kept = [(name, call.query[name]) for name in (*FILTERS, "limit", "format") if call.query.get(name)]
        following = f"{ROOT}?{urlencode([*kept, ('cursor', cursor_of(found.next))])}"
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    if call.prefers("application/json", NDJSON) == NDJSON:
        response = ndjson_reply(items)
        response.headers.update(headers)
        return response
    value = {"items": items, "total": found.total, "by_status": dict(found.by_status), "next": following}
    return json_reply(value, call=call, headers=headers)


def create(call: Call) -> Response:
    """Register one instrument, or many: one line each, one answer a line."""
    if call.media_type == NDJSON:
        return _create_many(call)
    record = _minted(_read(call, pid=""), call.store)
    entry = registry.put(call.store, record, who=call.principal.name, version=0)
    return _reply(call, entry, status=201, headers={"Location": address_of(entry.pid)})


def show(call: Call) -> Response:
    """Return an instrument in the form that is asked for."""
    pid, part = read_address(call.raw_path)
    if part:
        return {"history": history, "seals": seals}.get(part, _not_offered)(call)
    return _reply(call, _found(call, pid))


def change(call: Call) -> Response:
    """Register an instrument under a PID, or change its record; the latter only with If-Match."""
    pid, part = read_address(call.raw_path)
    if part:
        _not_offered(call)
    there = registry.find(call.store.database, pid)
    record = _read(call, pid=pid)
    if record["identifier"]["identifier"] != pid:
        msg = f"the record is that of {record['identifier']['identifier']}; expected {pid}"
        raise Problem(409, msg)
    if there is not None and not _matches(call):
        if call.headers.get("if-none-match", "") == "*":
            msg = f"{pid} is registered already"
            raise Problem(412, msg)
        msg = "a change names the version that it is made to, in If-Match"
        raise Problem(428, msg, hint="read the instrument first and send its ETag")
    version = _version(call) if _matches(call) else 0
    if there is None and _matches(call):
        msg = f"{pid} is not registered here, so there is no version to match"
        raise Problem(412, msg)
    kind = there.kind if there else SignerKind.INSTRUMENT
    entry = registry.put(call.store, record, who=call.principal.name, version=version, kind=kind)
    status = 200 if there else 201
    return _reply(call, entry, status=status, headers={} if there else {"Location": address_of(pid)})


def lifecycle(call: Call) -> Response:
    """Note that an instrument was commissioned, moved or retired."""
    pid, part = read_address(call.raw_path)
    if part != "lifecycle":
        _not_offered(call)
    entry = _found(call, pid)
    event = _event(call)
    record = _after(entry, event, call.store)
    version = _version(call) if _matches(call) else entry.version
    version = entry.version if version == registry.ANY else version
    changed = registry.put(
        call.store,
        record,
        who=call.principal.name,
        version=version,
        kind=entry.kind,
        action=Action(event["event"]),
        note=event.get("note", ""),
    )
    return _reply(call, changed)


def history(call: Call) -> Response:
    """Return the changes of an instrument, newest first, a page at a time."""
    pid, part = read_address(call.raw_path)
    if part != "history":
        return show(call)
    entry = _found(call, pid)
    before = read_number(call, "before", default=None, most=1 << 30)
    limit = read_number(call, "limit", default=50, most=_MAX_CHANGES) or 1
    changes = registry.history(call.store.database, pid, before=before, limit=limit)
    lines = [views.change(one, call.principal, public=entry.contact_is_public) for one in changes]
    if call.prefers("application/json", NDJSON) == NDJSON:
        return ndjson_reply(lines)
    more = changes and changes[-1].version > 1
    following = f"{address_of(pid)}/history?before={changes[-1].version}&limit={limit}" if more else None
    return json_reply({"pid": pid, "changes": lines, "next": following}, call=call)


def seals(call: Call) -> Response:
    """Return how many seals of an instrument reached this store, by month."""
    pid, part = read_address(call.raw_path)
    if part != "seals":
        return show(call)
    _found(call, pid)
    months = sealcounts.per_month(call.store, pid)
    value = {"pid": pid, "months": [{"month": month, "seals": number} for month, number in months]}
    return json_reply({**value, "total": sum(number for _, number in months)}, call=call)


def _found(call: Call, pid: str) -> Entry:
    entry = registry.find(call.store.database, pid)
    if entry is None:
        msg = f"{pid} is not registered here"
        raise Problem(404, msg, hint=f"look for it by name: {ROOT}?q=")
    return entry


def _not_offered(_call: Call) -> Response:
    msg = "this address is not asked with that method"
    raise Problem(405, msg)


def _reply(call: Call, entry: Entry, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    form = _form(call) if status == 200 and call.method in {"GET", "HEAD"} else "json"
    try:
        body, media_type = views.written(form, call.store, entry, call.principal)
    except IdentityRecordError as error:
        raise Problem(406, error.message) from error
    tag = views.tag_of(body, entry.version)
    named = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept, Authorization, Cookie", **(headers or {})}
    if call.method in {"GET", "HEAD"}:
        known = {one.strip().removeprefix("W/") for one in call.headers.get("if-none-match", "").split(",")}
        if tag in known or "*" in known:
            return Response(status_code=304, headers=named)
    return Response(body, status, headers=named, media_type=media_type)


def _form(call: Call) -> str:
    asked = call.query.get("format", "")
    if not asked:
        liked = call.prefers(*views.MEDIA_TYPES.values())
        return next(form for form, media_type in views.MEDIA_TYPES.items() if media_type == liked)
    if asked not in views.MEDIA_TYPES:
        msg = f"{asked[:40]!r} is not a form; expected one of {', '.join(views.MEDIA_TYPES)}"
        raise Problem(400, msg)
    return asked


def _read(call: Call, *, pid: str) -> dict[str, Any]:
    reader = views.READERS.get(call.media_type)
    if reader is None:
        offered = ", ".join(sorted(filter(None, views.READERS)))
        msg = f"the body is {call.media_type}; expected one of {offered}, or {NDJSON} for many"
        raise Problem(415, msg)
    try:
        return reader(_with_pid(call, pid), what="the body", pid=pid)
    except (MalformedError, LimitError) as error:
        raise Problem(400, error.message) from error


def _with_pid(call: Call, pid: str) -> bytes:
    """Give a new record without an identifier one, before it is checked for having one."""
    if pid or call.media_type not in {"", "application/json", plain.MEDIA_TYPE}:
        return call.body
    value = strictjson.loads(call.body, what="the body", max_bytes=instruments.MAX_RECORD_BYTES)
    return json.dumps(_identified(value, call.store)).encode() if isinstance(value, dict) else call.body


def _identified(value: dict[str, Any], store: Store) -> dict[str, Any]:
    if "identifier" in value:
        return value
    return {**value, "identifier": {"identifier": new_pid(store)}}


def new_pid(store: Store) -> str:
    """Mint a PID: below the store's prefix where it has one."""
    urn = identifiers.new_pid()
    if not store.settings.prefix:
        return urn
    return f"https://hdl.handle.net/{store.settings.prefix}/{urn.rpartition(':')[2]}"


def _minted(record: dict[str, Any], store: Store) -> dict[str, Any]:
    return record if "identifier" in record else _identified(record, store)


def _create_many(call: Call) -> Response:
    lines = call.body.split(b"\n")
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if len(numbered) > _MAX_LINES:
        msg = f"{len(numbered)} lines; at most {_MAX_LINES} are accepted at once"
        raise Problem(413, msg)
    answers: dict[int, dict[str, Any]] = {}
    good: list[tuple[int, dict[str, Any]]] = []
    for number, line in numbered:
        try:
            value = strictjson.loads(line, what=f"line {number}", max_bytes=instruments.MAX_RECORD_BYTES)
            if isinstance(value, dict):
                value = _identified(value, call.store)
            good.append((number, plain.from_pidinst(value)))
        except Error as error:
            answers[number] = _refused(number, error)
    results = registry.put_all(call.store, [record for _, record in good], who=call.principal.name, version=0)
    for (number, _), result in zip(good, results, strict=True):
        if isinstance(result, Entry):
            answers[number] = {"line": number, "status": 201, "pid": result.pid, "url": address_of(result.pid)}
        elif isinstance(result, Error):
            answers[number] = _refused(number, result)
    return ndjson_reply(answers[number] for number in sorted(answers))


def _refused(number: int, error: Error) -> dict[str, Any]:
    malformed = isinstance(error, (MalformedError, LimitError))
    return {
        "line": number,
        "status": 400 if malformed else problems.status_of(error),
        "code": error.code,
        "detail": error.message,
    }


def _matches(call: Call) -> bool:
    return bool(call.headers.get("if-match", "").strip())


def _version(call: Call) -> int:
    """Return the version that If-Match names; an ETag of any form of the record will do."""
    stated = call.headers["if-match"].strip()
    if stated == "*":
        return registry.ANY
    found = _TAG.fullmatch(stated)
    if found is None:
        msg = "If-Match is not an ETag of this instrument"
        raise Problem(412, msg, hint="read the instrument again and send its ETag")
    # Version 0 would mean one that is not there yet.
    return int(found[1]) or 1 << 30


def _event(call: Call) -> dict[str, str]:
    value = call.json()
    known = {"event", "on", "place", "note"}
    if (
        not isinstance(value, dict)
        or not set(value) <= known
        or not all(isinstance(one, str) for one in value.values())
    ):
        msg = f"an event is an object of text: {', '.join(sorted(known))}"
        raise Problem(400, msg)
    if value.get("event") not in {Action.COMMISSIONED, Action.MOVED, Action.RETIRED}:
        msg = "an event is one of commissioned, moved, retired"
        raise Problem(400, msg)
    if (
        bool(value.get("place", "").strip()) != (value["event"] == Action.MOVED)
        and value["event"] != Action.COMMISSIONED
    ):
        msg = "a place goes with an instrument that was moved, and it must be named"
        raise Problem(400, msg)
    note = value.get("note", "").strip()
    if len(note) > _MAX_TEXT or not (note.isprintable()):
        msg = f"a note is one line of at most {_MAX_TEXT} characters"
        raise Problem(400, msg)
    return {**value, "note": note}


def _after(entry: Entry, event: Mapping[str, str], store: Store) -> dict[str, Any]:
    """Return the record after an event."""
    today = store.now().date()
    on = event.get("on") or today.isoformat()
    try:
        day = date.fromisoformat(on)
    except ValueError:
        day = date.max
    if len(on) != 10 or day > today:
        msg = "the day of an event is one like 2026-01-31, and not in the future"
        raise Problem(400, msg)
    if entry.status is Status.RETIRED:
        msg = f"{entry.record['name']} is retired"
        raise Problem(409, msg, hint="if that was a mistake, correct the dates in its record")
    if event["event"] == Action.MOVED:
        return instruments.with_location(entry.record, event["place"])
    if event["event"] == Action.COMMISSIONED and entry.status is Status.IN_SERVICE:
        msg = f"{entry.record['name']} is in service already"
        raise Problem(409, msg)
    kind = "Commissioned" if event["event"] == Action.COMMISSIONED else "DeCommissioned"
    dates = list(entry.record.get("dates", ()))
    first = min((one["date"] for one in dates if one["dateType"] == "Commissioned"), default="")
    if kind == "DeCommissioned" and first and on < first:
        msg = f"{entry.record['name']} was commissioned on {first}, and cannot be retired before"
        raise Problem(409, msg)
    record = {**entry.record, "dates": [*dates, {"date": on, "dateType": kind}]}
    return instruments.with_location(record, event["place"]) if event.get("place", "").strip() else record
