"""Reuse as a page: for every find the pictures, with the two places outlined, and cut-outs of both side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import Error
from rawtrace.match import laidover
from rawtrace.match.model import Relation, Where
from rawtrace.match.reuse.check import Reuse, Within
from rawtrace.match.reuse.copymove import Repeat
from rawtrace.match.reuse.duplicates import Duplicate
from rawtrace.match.telling import changed_words
from rawtrace.render import page, words

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

#: More finds than this are listed without pictures.
_MAX_PICTURED = 60
_Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pictured:
    """A picture with outlined boxes and polygons, in its own pixels."""

    source: Markup
    width: int
    height: int
    boxes: tuple[_Box, ...]
    polygon: str
    caption: str
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Find:
    """One find, ready for the template."""

    number: int
    asks: bool
    title: str
    files: str
    facts: tuple[tuple[str, str], ...]
    pictures: tuple[_Pictured, ...]
    why_not: str


def as_html(found: Reuse) -> str:
    """Return one self-contained page about what is shown more than once; the pictures are read again for it."""
    asking = [one for one in found.within if one.move.relation is Repeat.AREA]
    same = [one for one in found.between if one.relation is Relation.SAME]
    benign = [one for one in found.within if one not in asking] + [one for one in found.between if one not in same]
    ordered: list[Within | Duplicate] = [*asking, *same, *benign]
    finds = [_find(number, one, asks=number <= found.to_look_at) for number, one in enumerate(ordered, start=1)]
    count = found.to_look_at
    return page.render(
        "reuse.html",
        about="reuse",
        tone="inconclusive" if count else "verified",
        heading=f"{count} to look at" if count else "Nothing is shown twice",
        headline=_headline(found, len(benign)),
        asking=[one for one in finds if one.asks],
        benign=[one for one in finds if not one.asks],
        problems=[(path, words.sentence(problem)) for path, problem in found.problems],
    )


def _headline(found: Reuse, benign: int) -> str:
    pictures = "One picture was" if found.pictures == 1 else f"{found.pictures:,} pictures were"
    named = f" {benign} more have an ordinary explanation, which is named." if benign else ""
    return f"{pictures} looked at, within and between each other.{named}"


def _find(number: int, one: Within | Duplicate, *, asks: bool) -> _Find:
    make = _within if isinstance(one, Within) else _between
    pictures: tuple[_Pictured, ...] = ()
    why_not = "No pictures: there are more finds than a page can hold." if number > _MAX_PICTURED else ""
    if not why_not:
        try:
            pictures = make(one)  # type: ignore[arg-type]  # the two take what was just told apart
        except Error as error:
            why_not = words.sentence(f"no pictures: {error.message}")
    if isinstance(one, Within):
        move = one.move
        title = "Repeats another area" if move.relation is Repeat.AREA else "Repeating structure"
        files, placement, inverted = _named(one.where), move.placement, False
        strength = f"{move.inliers} points agree; correlation {move.correlation:.2f}, of fine detail {move.detail:.2f}"
        facts: tuple[tuple[str, str], ...] = (("Area", f"{move.area_px:,} px²"),)
    else:
        title, placement, inverted = words.sentence(one.relation.value), one.placement, one.inverted
        files = f"{_named(one.first)} and {_named(one.second)}"
        strength = f"{one.inliers} points agree; correlation {one.correlation:.2f}"
        covered = f"{one.first_covered:.0%} of the one, {one.second_covered:.0%} of the other"
        facts = (("Explanation", words.sentence(one.explanation)), ("Shared", covered))
    return _Find(
        number=number,
        asks=asks,
        title=title,
        files=files,
        facts=(*facts, ("Changed", words.sentence(changed_words(placement, inverted=inverted))),
               ("Strength", strength)),
        pictures=pictures,
        why_not=why_not,
    )  # fmt: skip


def _within(one: Within) -> tuple[_Pictured, ...]:
    picture = laidover.picture_at(one.where)
    whole = _pictured(picture, (one.move.source, one.move.target), "The picture, both areas outlined")
    cuts = [
        _pictured(_cut(picture, box), (), caption)
        for box, caption in ((one.move.source, "One area"), (one.move.target, "The other"))
    ]
    return (whole, *cuts)


def _between(one: Duplicate) -> tuple[_Pictured, ...]:
    first, second = laidover.picture_at(one.first), laidover.picture_at(one.second)
    over = laidover.laid(first, one.placement, inverted=one.inverted)
    panel = one.second_panel
    return (
        _pictured(first, (), _named(one.first), polygon=_corners(one)),
        _pictured(second, () if panel is None else (panel,), _named(one.second)),
        _pictured(over if panel is None else _cut(over, panel), (), "The first, laid over the second"),
    )


def _corners(one: Duplicate) -> str:
    """Return the corners of the second picture, or of its panel, in the first."""
    left, top, width, height = one.second_panel or (0, 0, *one.placement.published_size)
    right, bottom = left + width, top + height
    there = [one.placement.to_original(x - 0.5, y - 0.5) for x, y in
             ((left, top), (right, top), (right, bottom), (left, bottom))]  # fmt: skip
    return " ".join(f"{x + 0.5:.1f},{y + 0.5:.1f}" for x, y in there)


def _cut(picture: NDArray[Any], box: _Box) -> NDArray[Any]:
    left, top, width, height = box
    cut: NDArray[Any] = picture[max(0, top) : top + height, max(0, left) : left + width]
    return cut


def _pictured(picture: NDArray[Any], boxes: tuple[_Box, ...], caption: str, *, polygon: str = "") -> _Pictured:
    from rawtrace.match.features import stretched

    return _Pictured(
        source=page.embedded(stretched(picture)),
        width=picture.shape[1],
        height=picture.shape[0],
        boxes=boxes,
        polygon=polygon,
        caption=caption,
        alt=caption,
    )


def _named(where: Where) -> str:
    parts = [Path(where.source).name]
    places = (("scene", where.scene), ("channel", where.channel), ("z", where.z), ("t", where.t))
    return ", ".join(parts + [f"{name} {value}" for name, value in places if value])
