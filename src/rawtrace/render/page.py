"""Self-contained pages: no request, and nothing that hostile text or a hostile picture can bring to life.

How it is kept so, from the outside in: a content security policy that allows
only this page's own style and, where a page has one, its own script (by their
hashes) and ``data:`` pictures; every expression is escaped by jinja2 and, before
that, cleaned by ``visible``; links go to places in this page only, and no
attribute but ``alt`` and ``aria-label`` ever holds foreign text. Every page says
the same without its script.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from rawtrace.render import words
from rawtrace.render.clean import visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from numpy.typing import NDArray

#: Longest edge of a picture on a page, px.
LONGEST_EDGE = 1_400


def render(template: str, *, about: str = "verification report", script: str = "", **context: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        Name of a file in ``templates`` that extends ``base.html``.
    about : str
        What kind of report it is, for the head of the page.
    script : str
        Name of a script in ``templates``; none where empty.
    context
        What the template shows.
    """
    from markupsafe import Markup

    style, code = _text("style.css"), _text(script) if script else ""
    return (
        _environment()
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704  our own file, not foreign text
            style_hash=_hash(style),
            script=Markup(code),  # noqa: S704  our own file, not foreign text
            script_hash=_hash(code) if code else "",
            about=about,
            not_misconduct=words.NOT_MISCONDUCT,
            **context,
        )
    )


def embedded(pixels: NDArray[Any]) -> Markup:
    """Return a picture as a ``data:`` address.

    Parameters
    ----------
    pixels : ndarray of uint8
        (Y, X) or (Y, X, 3); reduced where it is longer than ``LONGEST_EDGE``.
    """
    from markupsafe import Markup

    from rawtrace.image.writing import png

    step = -(-max(pixels.shape[:2]) // LONGEST_EDGE)
    encoded = base64.b64encode(png(pixels[::step, ::step])).decode()
    return Markup("data:image/png;base64,") + Markup(encoded)  # noqa: S704  letters of base64 only


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _text(name: str) -> str:
    text = resources.files("rawtrace.render").joinpath("templates", name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def clean(value: Any) -> Any:
        return value if isinstance(value, (Markup, int)) else visible(value, limit=4000)

    environment = Environment(
        loader=PackageLoader("rawtrace.render", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sentence"] = words.sentence
    environment.filters["verdict_word"] = lambda verdict: words.of_verdict(verdict).word
    return environment
