"""A trace as a page: the figure, and beside it for every answer the place of the original that it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import Error
from rawtrace.match import laidover, telling
from rawtrace.match.model import Match
from rawtrace.render import page, words
from rawtrace.report import Verdict
from rawtrace.verification.trace import Origin, Trace

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

_MAX_PICTURES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """A picture and its size, px."""

    source: Markup
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """One answer, ready for the template."""

    number: int
    file: str
    where: str
    evidence: str
    transform: str
    relation: str
    verdict: Verdict | None
    verdict_words: str
    instrument: str
    shown: _Picture | None
    expected: _Picture | None
    whole: _Picture | None
    outline: str
    why_not: str


def as_html(trace: Trace) -> str:
    """Return one self-contained page about a trace; the figure and the originals are read again for it."""
    figure = _figure(Path(trace.path))
    answers = [_answer(number, origin, figure) for number, origin in enumerate(trace.origins, start=1)]
    return page.render(
        "trace.html",
        about="trace",
        name=Path(trace.path).name,
        tone="verified-with-notes" if trace.found else "no-seal",
        heading=_heading(trace),
        headline=_headline(trace),
        seal=_seal(trace),
        figure=_picture(figure) if figure is not None else None,
        panels=_panels(trace, figure),
        answers=answers,
        notes=[words.sentence(note) for note in trace.notes],
        searched=trace.searched,
    )


def _heading(trace: Trace) -> str:
    if trace.origins and trace.sealed_origins:
        return "Traced by its seal and by its content"
    if trace.origins:
        return "Traced by its content"
    return "Traced by its seal" if trace.sealed_origins else "Nothing found"


def _headline(trace: Trace) -> str:
    if trace.origins:
        best = trace.origins[0].match
        where = f"{Path(best.where.source).name}, {telling.where_words(best.where)}"
        return f"It shows {where}: {telling.transform_words(best)}."
    if trace.sealed_origins:
        names = ", ".join(link.title for link in trace.sealed_origins[:6])
        return f"Its seal says that it was made from {names}."
    if trace.searched:
        return f"Nothing like it is among the {trace.searched:,} views that were looked through."
    return "It has no seal that leads on, and its content was not looked for."


def _seal(trace: Trace) -> str:
    if trace.report.verdict is Verdict.NO_SEAL:
        return "It has no seal."
    made_from = ", ".join(f"{link.title} ({link.verdict})" for link in trace.sealed_origins)
    said = f"Its own seal: {trace.report.verdict}; {trace.report.summary}."
    return f"{said} Made from {made_from}." if made_from else said


def _figure(path: Path) -> NDArray[Any] | None:
    from rawtrace.image.reader import PlaneIndex, open_image

    try:
        with open_image(path) as image:
            return image.plane(image.scenes[0], PlaneIndex())
    except Error:
        return None


def _picture(pixels: NDArray[Any]) -> _Picture:
    from rawtrace.image.views import luminance
    from rawtrace.match.features import stretched

    colour = pixels.ndim == 3 and pixels.shape[2] >= 3 and pixels.dtype.name == "uint8"
    shown = pixels[..., :3] if colour else stretched(luminance(pixels))
    return _Picture(source=page.embedded(shown), width=pixels.shape[1], height=pixels.shape[0])


def _panels(trace: Trace, figure: NDArray[Any] | None) -> list[tuple[int, float, float, float, float]]:
    """Return number, left, top, width and height of the part of the figure that each answer covers."""
    found = []
    for number, origin in enumerate(trace.origins, start=1):
        if origin.match.panel is not None and figure is not None:
            left, top, right, bottom = origin.match.panel
            found.append((number, round(left, 1), round(top, 1), round(right - left, 1), round(bottom - top, 1)))
    return found


def _answer(number: int, origin: Origin, figure: NDArray[Any] | None) -> _Answer:
    match, report = origin.match, origin.report
    shown = expected = whole = None
    why_not = ""
    if figure is not None and number <= _MAX_PICTURES:
        try:
            laid = laidover.lay_over(figure, match)
            shown, expected, whole = _picture(laid.shown), _picture(laid.expected), _picture(laid.original)
        except Error as error:
            why_not = words.sentence(f"no picture: {error.message}")
    said = "its file is not at hand, so it was not verified"
    if report is not None:
        said = report.summary
    instrument = report.seal.instrument if report is not None and report.seal is not None else {}
    return _Answer(
        number=number,
        file=match.where.source,
        where=telling.where_words(match.where),
        evidence=words.sentence(telling.evidence_words(match)),
        transform=words.sentence(telling.transform_words(match)),
        relation=str(match.relation),
        verdict=report.verdict if report is not None else None,
        verdict_words=words.sentence(said),
        instrument=", ".join(str(instrument[key]) for key in ("name", "manufacturer", "pid") if instrument.get(key)),
        shown=shown,
        expected=expected,
        whole=whole,
        outline=_outline(match),
        why_not=why_not,
    )


def _outline(match: Match) -> str:
    """Return the corners of the part shown, in the original."""
    placement = match.placement
    if placement is None:
        return ""
    width, height = placement.published_size
    left, top, right, bottom = match.panel or (0, 0, width, height)
    corners = [
        (left - 0.5, top - 0.5),
        (right - 0.5, top - 0.5),
        (right - 0.5, bottom - 0.5),
        (left - 0.5, bottom - 0.5),
    ]
    there = [placement.to_original(x, y) for x, y in corners]
    return " ".join(f"{x + 0.5:.1f},{y + 0.5:.1f}" for x, y in there)
