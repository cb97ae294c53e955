"""Addresses that have a page only: forms to fill in, and the style sheet."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import Response

from rawtrace.server.calls import Call
from rawtrace.server.pages import render


def new_instrument(call: Call) -> Response:
    """Return the form that registers an instrument."""
    return render.page(call, "new_instrument.html")


def login(call: Call) -> Response:
    """Return the form to log in with a token, and the way to the issuer where there is one."""
    return render.page(call, "login.html", issuer=urlsplit(call.store.settings.login.issuer).hostname or "")


def style(call: Call) -> Response:
    """Return the style sheet."""
    return render.style(call)
