"""From a template to a page: everything foreign is cleaned and escaped, nothing is styled in place, nothing is run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from rawtrace.render import words
from rawtrace.render.clean import visible
from rawtrace.server import instrumentaddress
from rawtrace.server.access import ANYBODY, Principal, Role
from rawtrace.server.calls import Call, tagged
from rawtrace.server.store import Store

if TYPE_CHECKING:
    from jinja2 import Environment

#: How a certificate stands: the tone of the report page that shows it, and the words.
STATES: Mapping[str, tuple[str, str]] = {
    "good": ("verified", "Certified"),
    "ends-soon": ("inconclusive", "Ends soon"),
    "ended": ("altered", "Certificate ended"),
    "revoked": ("rejected", "Revoked"),
    "not-yet": ("no-seal", "Not valid yet"),
    "none": ("no-seal", "No certificate"),
}
LIFE = {"registered": "Registered, not in service yet", "in-service": "In service", "retired": "Retired"}
ROLE_WORDS: Mapping[Role, str] = {
    Role.OPERATOR: "registers instruments, makes codes and tokens",
    Role.OFFICER: "approves enrolments and revokes",
    Role.AUDITOR: "reads everything, changes nothing",
    Role.GATEWAY: "a program that delivers seals for others",
    Role.INSTRUMENT: "an instrument's agent",
}
BASES = {
    "code": "a one-time code",
    "device": "the certificate of its maker",
    "certificate": "its present certificate",
    "token": "its token",
}
STYLE_PATH = "/static/style.css"
#: Without the page's address an honest form would look like one from elsewhere; other sites learn nothing still.
_HEADERS = {"Referrer-Policy": "same-origin"}
_NAVIGATION: tuple[tuple[str, str, tuple[Role, ...]], ...] = (
    ("/instruments", "Instruments", (Role.PUBLIC,)),
    ("/enrolments", "Enrolment", (Role.OPERATOR, Role.OFFICER, Role.AUDITOR)),
    ("/authorities", "Authority", (Role.PUBLIC,)),
    ("/statuses", "Statuses", (Role.PUBLIC,)),
    ("/log", "Log", (Role.PUBLIC,)),
    ("/health", "Health", (Role.PUBLIC,)),
    ("/tokens", "Tokens", (Role.OPERATOR, Role.AUDITOR)),
    ("/audit", "Audit", (Role.AUDITOR,)),
)


def page(call: Call, template: str, *, status: int = 200, **context: Any) -> Response:
    """Return a page for somebody."""
    body = html(call.store, call.principal, template, here=call.raw_path, **context)
    headers = dict(_HEADERS)
    if call.principal.known or status != 200:
        headers["Cache-Control"] = "no-store"
    return tagged(body, "text/html; charset=utf-8", status=status, call=call, headers=headers)


def html(store: Store, principal: Principal, template: str, *, here: str = "", **context: Any) -> bytes:
    """Return the bytes of a page."""
    navigation = [(path, said) for path, said, roles in _NAVIGATION if principal.may(*roles)]
    text = (
        _environment()
        .get_template(template)
        .render(
            store=store.settings,
            principal=principal,
            may={role.value: principal.may(role) for role in Role},
            navigation=navigation,
            here=here,
            **context,
        )
    )
    return text.encode("utf-8", "replace")


def problem_page(
    store: Store, *, status: int, title: str, detail: str, hint: str, headers: Mapping[str, str]
) -> Response:
    """Return a refusal as a page; it says nothing of who asked."""
    body = html(store, ANYBODY, "problem.html", status=status, title=title, detail=detail, hint=hint)
    kept = {name: value for name, value in headers.items() if name.lower() not in {"content-length", "content-type"}}
    response = Response(body, status, headers={**kept, **_HEADERS}, media_type="text/html; charset=utf-8")
    response.headers["Vary"] = "Accept, Authorization, Cookie"
    return response


def style(call: Call) -> Response:
    """Return the one style sheet: that of the report, then what only this server's pages need."""
    return tagged(_style(), "text/css; charset=utf-8", call=call)


@cache
def _style() -> bytes:
    report = resources.files("rawtrace.render").joinpath("templates", "style.css").read_bytes()
    return report + b"\n" + resources.files("rawtrace.server").joinpath("static", "store.css").read_bytes()


@cache
def _environment() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
    from markupsafe import Markup

    def clean(value: Any) -> Any:
        return value if isinstance(value, (Markup, int)) else visible(value, limit=4000)

    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("rawtrace.server", "templates"),
                PrefixLoader({"report": PackageLoader("rawtrace.render", "templates")}),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # What the report's own macros ask for.
    environment.filters.update(sentence=words.sentence, verdict_word=lambda verdict: words.of_verdict(verdict).word)
    environment.filters.update(
        address=instrumentaddress.address_of, day=day, moment=moment, number=number, outside=outside, work=work
    )
    environment.globals.update(STATES=STATES, LIFE=LIFE, BASES=BASES, ROLE_WORDS=ROLE_WORDS, STYLE_PATH=STYLE_PATH)
    return environment


def day(text: str | None) -> str:
    """Return a date or moment as people write a day: 31 January 2026."""
    at = _read(text)
    return f"{at.day} {at:%B %Y}" if at else (text or "")


def moment(text: str | None) -> str:
    """Return a moment as people write it: 31 January 2026, 14:05 UTC."""
    at = _read(text)
    return f"{at.day} {at:%B %Y, %H:%M} UTC" if at else (text or "")


def number(value: int) -> str:
    """Return a number with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def outside(address: str) -> str:
    """Return an address that may be linked; empty for any but plain ``https:`` and ``http:``."""
    return address if address.startswith(("https://", "http://")) and address.isascii() else ""


def work(related: Mapping[str, str]) -> str:
    """Return the address of a related work; empty where its identifier leads nowhere."""
    text, kind = related["relatedIdentifier"], related["relatedIdentifierType"]
    if kind == "DOI" and text.startswith("10."):
        return outside(f"https://doi.org/{text}")
    if kind == "Handle" and text[:1].isdigit():
        return outside(f"https://hdl.handle.net/{text}")
    return outside(text)


def _read(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else at
