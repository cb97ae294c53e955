"""A comparison as a page: the sentence first, then the pictures side by side, then every area, curve and number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison import compare as classes
from rawtrace.match.comparison import words as said
from rawtrace.match.comparison.compare import Comparison
from rawtrace.match.model import Curve, Difference
from rawtrace.render import page, words

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

_HEADINGS = {
    classes.NOT_DERIVED: "Not laid over each other",
    classes.LOCAL_CHANGE: "There is something to look at",
    classes.COVERED: "Something is covered",
    classes.NON_LINEAR: "Brightness changed along a curve",
    classes.CLIPPED: "Brightness changed, parts cut off",
    classes.CHANNELS_DIFFER: "Colours changed differently",
    classes.COLOUR_TABLE: "Shown with a colour table",
    classes.LINEAR: "Brightness changed linearly",
    classes.GEOMETRY_ONLY: "Moved, not changed",
    classes.UNCHANGED: "No difference above noise",
}
_NEXT = {
    classes.NOT_DERIVED: "Ask for the original that this picture was made from. It may also be too small or too plain "
    "to be laid over anything.",
    classes.LOCAL_CHANGE: "Look at each area below, and ask for an account of it. An area that is not explained is not "
    "misconduct: retouched dust, a joined panel or a later layer look the same.",
    classes.COVERED: "See what the original shows under the boxes, and whether the legend says why it is covered.",
    classes.NON_LINEAR: "Many journals ask that such a change be stated in the legend.",
    classes.CLIPPED: "See whether what was cut off to black or white matters to what the figure shows.",
}
_WHOLE = "The change was made to the picture as a whole; nothing else to do."
#: Of what is not explained at most so many areas are shown one by one.
_MAX_AREAS = 40
_PLOT = (320, 200)
_MARGIN_PX = 24
#: Deviations, in standard deviations, between which the difference map goes from white to full colour.
_FAINT, _FULL = 2.0, 12.0
#: Orange and blue are told apart by everybody, in print too.
_BRIGHTER, _DARKER = (196.0, 78.0, 0.0), (0.0, 84.0, 166.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Area:
    """One area: its place as shares of the picture, words, and the two cut-outs."""

    number: int
    box: tuple[int, int, int, int]
    kind: str
    measure: str
    expected: Markup
    published: Markup
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plot:
    """A transfer curve as the path of an SVG, with the ends of its axes."""

    name: str
    path: str
    words: str
    least: str
    greatest: str


def as_html(comparison: Comparison, *, original: str, published: str) -> str:
    """Return one self-contained page about a comparison.

    Parameters
    ----------
    comparison : Comparison
    original, published : str
        Names of the two files.

    Returns
    -------
    str
        HTML to be written as UTF-8. It loads nothing, and says the same without its script.
    """
    maps, registration = comparison.maps, comparison.registration
    looked_at = comparison.something_to_look_at
    calm = comparison.kind in {classes.UNCHANGED, classes.GEOMETRY_ONLY, classes.LINEAR, classes.COLOUR_TABLE}
    return page.render(
        "comparison.html",
        about="comparison",
        script="compare.js",
        original=original,
        published=published,
        tone="inconclusive" if looked_at else "verified" if calm else "note",
        heading=_HEADINGS[comparison.kind],
        sentence=comparison.sentence,
        next_step=_NEXT.get(comparison.kind, _WHOLE),
        views=_views(comparison) if maps is not None else None,
        areas=_areas(comparison) if maps is not None else (),
        more=max(0, len(comparison.unexplained) - _MAX_AREAS),
        annotations=[_annotation(one) for one in comparison.annotations[:_MAX_AREAS]],
        plots=[_plot(name, curve) for name, curve in comparison.curves],
        placement=_placement(comparison) if registration is not None else (),
        outline=_outline(comparison) if registration is not None else None,
        noise=words.sentence(comparison.noise_words) if comparison.noise_words else "",
        colour=comparison.colour,
    )


def _views(comparison: Comparison) -> dict[str, Any]:
    import numpy as np

    maps = comparison.maps
    assert maps is not None  # noqa: S101  the caller looked
    height, width = maps.published.shape[:2]
    expected = np.clip(np.rint(np.nan_to_num(maps.expected)), 0, 255).astype(np.uint8)
    return {
        "width": width,
        "height": height,
        "expected": page.embedded(expected),
        "published": page.embedded(maps.published),
        "difference": page.embedded(_difference_map(comparison)),
        "boxes": [(number, *one.box) for number, one in enumerate(comparison.unexplained[:_MAX_AREAS], start=1)],
        "notes": [one.box for one in comparison.annotations[:_MAX_AREAS]],
        "text": max(10, round(max(width, height) / 42)),
        "line": max(1, round(max(width, height) / 400)),
    }


def _difference_map(comparison: Comparison) -> NDArray[Any]:
    """Return the published picture, pale, with what deviates from the expectation in colour: brighter or darker."""
    import numpy as np

    maps = comparison.maps
    assert maps is not None  # noqa: S101  the caller looked
    shown = maps.published if maps.published.ndim == 2 else maps.published.mean(axis=2)
    pale = np.repeat((200 + shown.astype(np.float32) * (55 / 255))[..., None], 3, axis=2)
    z = np.where(maps.mask, np.nan_to_num(maps.z), 0)
    share = np.clip((np.abs(z) - _FAINT) / (_FULL - _FAINT), 0, 1)[..., None]
    colour = np.where((z > 0)[..., None], _BRIGHTER, _DARKER)
    mixed = pale * (1 - share) + colour * share
    mixed[~maps.mask] = (225, 225, 225)
    drawn: NDArray[Any] = np.clip(mixed, 0, 255).astype(np.uint8)
    return drawn


def _areas(comparison: Comparison) -> list[_Area]:
    return [_area(comparison, number, one) for number, one in enumerate(comparison.unexplained[:_MAX_AREAS], start=1)]


def _area(comparison: Comparison, number: int, one: Difference) -> _Area:
    import numpy as np

    maps = comparison.maps
    assert maps is not None  # noqa: S101  the caller looked
    left, top, width, height = one.box
    rows = slice(max(0, top - _MARGIN_PX), top + height + _MARGIN_PX)
    columns = slice(max(0, left - _MARGIN_PX), left + width + _MARGIN_PX)
    expected = np.clip(np.rint(np.nan_to_num(maps.expected[rows, columns])), 0, 255).astype(np.uint8)
    published = maps.published[rows, columns]
    return _Area(
        number=number,
        box=one.box,
        kind=words.sentence(one.kind or "differs"),
        measure=f"{one.area_px:,} px², up to {one.levels:.0f} grey levels and {one.strength:.0f} times the noise; "
        f"chance would make {_rare(one.false_alarms)} such areas in a picture of this size",
        expected=page.embedded(np.ascontiguousarray(expected)),
        published=page.embedded(np.ascontiguousarray(published)),
        size=(published.shape[1], published.shape[0]),
    )


def _rare(expected: float) -> str:
    return "fewer than 0.001" if expected < 0.001 else f"{expected:.3f}"


def _annotation(one: Difference) -> str:
    left, top, width, height = one.box
    over = f", over {one.covers_px:,} px² where the original has something to show" if one.covers_px else ""
    return f"{one.kind or 'annotation'} at x {left}, y {top}, {width} × {height} px{over}"


def _plot(name: str, curve: Curve) -> _Plot:
    """Draw a curve into a box of ``_PLOT``, original values to the right and published ones upwards."""
    points = [(x, y) for x, y in curve.points if math.isfinite(x) and math.isfinite(y)]
    least, greatest = (points[0][0], points[-1][0]) if points else (curve.black, curve.white)
    span = greatest - least or 1.0
    width, height = _PLOT
    placed = [(width * (x - least) / span, height * (1 - min(max(y, 0.0), 255.0) / 255)) for x, y in points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed) if placed else ""
    told = said.curve_words(curve) or "brightness is as it was"
    sure = f"; that this is the right kind of curve is {curve.confidence:.0%} sure" if curve.confidence < 0.995 else ""
    return _Plot(
        name=name,
        path=path,
        words=words.sentence(f"{told}{sure}"),
        least=said.number(least),
        greatest=said.number(greatest),
    )


def _placement(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    registration = comparison.registration
    assert registration is not None  # noqa: S101  the caller looked
    placement = registration.placement
    left, top, right, bottom = placement.crop_box
    (a, b, e), (c, d, f) = placement.matrix
    return (
        ("Part shown", f"x {left:.1f} to {right:.1f}, y {top:.1f} to {bottom:.1f} of the original, px"),
        ("Original", f"{placement.original_size[0]:,} × {placement.original_size[1]:,} px"),
        ("Published", f"{placement.published_size[0]:,} × {placement.published_size[1]:,} px"),
        ("Scale", f"{placement.scale:.4f} published pixels for one of the original"),
        ("Turned", f"{placement.rotation_deg:.2f}° clockwise{', mirrored' if placement.mirrored else ''}"),
        ("Matrix", f"{a:.6f} {b:.6f} {e:.4f} / {c:.6f} {d:.6f} {f:.4f}"),
        ("Placed to within", "exactly" if registration.exact else f"about {registration.uncertainty_px:.2f} px"),
        ("Points that agree", f"{registration.inliers:,}" if registration.inliers else "placed by all pixels together"),
        ("Compared", f"{comparison.share:.1%} of the published picture"),
    )


def _outline(comparison: Comparison) -> dict[str, Any]:
    """Return where the published picture lies in the original, for a drawing."""
    registration = comparison.registration
    assert registration is not None  # noqa: S101  the caller looked
    placement = registration.placement
    width, height = placement.published_size
    corners = [(-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5)]
    there = [placement.to_original(x, y) for x, y in corners]
    whole = placement.original_size
    return {
        "width": whole[0],
        "height": whole[1],
        "points": " ".join(f"{x + 0.5:.1f},{y + 0.5:.1f}" for x, y in there),
        "first": [round(value + 0.5, 1) for value in there[0]],
        "dot": max(2, round(max(whole) / 60)),
    }
