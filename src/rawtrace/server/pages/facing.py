"""One address, two faces: which handlers have a page, and which take a form.

A face turns what a handler says in JSON into a page. A form is turned into the JSON that the
handler takes from programs. So a page can show nothing, and a form can do nothing, that the
interface does not; and roles, limits and refusals are the same ones.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import RedirectResponse, Response

from rawtrace.server.access import Route
from rawtrace.server.calls import Call, Handler
from rawtrace.server.pages import forms, views
from rawtrace.server.pages.render import page, problem_page
from rawtrace.server.store import Store

_log = logging.getLogger(__name__)

FORM = "application/x-www-form-urlencoded"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """The page of a route: a template, and what it is told beside ``data``, the handler's answer."""

    template: str
    context: Callable[[Call, Any], Mapping[str, Any]] = lambda _call, _data: {}


FACES: Mapping[str, Face] = {
    "/": Face(template="home.html", context=views.home),
    "/instruments": Face(template="instruments.html", context=views.instruments),
    "/instruments/{pid:path}": Face(template="instrument.html", context=views.instrument),
    "/instruments/{pid:path}/history": Face(template="history.html", context=views.instrument_part),
    "/instruments/{pid:path}/seals": Face(template="seals.html", context=views.instrument_part),
    "/enrolments": Face(template="enrolments.html", context=views.enrolments),
    "/enrolments/{id}": Face(template="enrolment.html"),
    "/authorities": Face(template="authorities.html"),
    "/statuses": Face(template="statuses.html", context=views.statuses),
    "/log": Face(template="log.html", context=views.log),
    "/health": Face(template="health.html", context=views.health),
    "/tokens": Face(template="tokens.html"),
    "/audit": Face(template="audit.html"),
}


def facing(route: Route, handler: Handler) -> Handler:
    """Give a handler its page or its form, if it has one."""
    face = FACES.get(route.path) if route.method == "GET" else None
    form = forms.FORMS.get(route.path) if route.method == "POST" else None
    if face is None and form is None:
        return handler

    def answer(call: Call) -> Response:
        if face is not None and call.wants_page and call.query.get("format", "html") == "html":
            return _page(call, handler, face)
        if form is not None and call.media_type == FORM:
            return _sent(call, handler, form)
        return handler(call)

    return answer


def refusal(store: Store, accept: str, response: Response) -> Response:
    """Return a problem as a page where the caller wants one."""
    if response.media_type != "application/problem+json" or not _wants_page(accept):
        return response
    said = json.loads(bytes(response.body))
    try:
        return problem_page(
            store,
            status=response.status_code,
            title=said["title"],
            detail=said["detail"],
            hint=said.get("hint", ""),
            headers=response.headers,
        )
    except Exception:  # noqa: BLE001  a fault in a page must not hide what was wrong in the first place
        _log.exception("a fault in the page of a refusal")
        return response


def _page(call: Call, handler: Handler, face: Face) -> Response:
    headers = {name: value for name, value in call.headers.items() if name not in {"if-none-match", "accept"}}
    asked = dataclasses.replace(call, method="GET", headers={**headers, "accept": "application/json"})
    response = handler(asked)
    if response.status_code != 200:
        return response
    data = json.loads(bytes(response.body))
    template = face.template
    # A PID may end like the address of a part; then the handler has answered for the instrument.
    if _is_part(template) and "record" in data:
        face = FACES["/instruments/{pid:path}"]
    return page(call, face.template, data=data, **face.context(call, data))


def _wants_page(accept: str) -> bool:
    """Whether HTML is named, and JSON not before it: a browser says it so, a program never does."""
    named = [one.partition(";")[0].strip().lower() for one in accept.split(",")]
    programs = [place for place, one in enumerate(named) if one.endswith("json")]
    return "text/html" in named and not (programs and programs[0] < named.index("text/html"))


def _is_part(template: str) -> bool:
    """Whether a template shows what stands below an instrument's address."""
    return template in {"history.html", "seals.html"}


def _sent(call: Call, handler: Handler, form: forms.Form) -> Response:
    value, headers = form.read(call, call.form())
    asked = dataclasses.replace(
        call,
        headers={**call.headers, "content-type": "application/json", "accept": "application/json", **headers},
        body=json.dumps(value).encode() if value is not None else b"",
    )
    response = handler(asked)
    if response.status_code >= 300:
        return response
    data = json.loads(bytes(response.body)) if response.body else {}
    shown = form.done(call, data)
    if isinstance(shown, str):
        return RedirectResponse(shown, 303)
    return shown
