"""Sentences for an editor about placement, brightness and what is left; they state, and accuse nobody."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rawtrace.match.model import Curve, Difference, Placement, Tone

#: A share of clipped pixels from which it is told, 0 to 1.
TELL_CLIPPED = 0.005
#: Content under solid annotations from which it is told, px².
TELL_COVERED_PX = 100
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
#: Placements closer than this to a right angle, a whole size or a whole frame are called so.
_ANGLE_DEG, _SIZE, _FRAME = 0.1, 0.004, 0.02


def placement_words(placement: Placement) -> str:
    """Say where a published picture lies in an original, as in "cropped to the lower left quarter, mirrored".

    Returns
    -------
    str
        Without a full stop; empty for the whole original as it is.
    """
    return ", ".join(words for words in (_crop(placement), _mirror_and_turn(placement), _resize(placement)) if words)


def curve_words(curve: Curve) -> str:
    """Say what happened to brightness, as in "contrast stretched linearly 312…4 095 → 0…255"; empty if nothing."""
    match curve.tone:
        case Tone.LINEAR:
            words = _linear(curve)
        case Tone.GAMMA:
            words = _gamma(curve)
        case Tone.MONOTONE:
            words = "brightness changed along a curve that is neither linear nor a gamma, which should be declared"
        case Tone.NOT_MONOTONE:
            words = "brightness changed along a curve that rises and falls, which should be declared"
        case _:
            words = ""
    parts = ["inverted" if curve.inverted else "", words]
    for share, colour in ((curve.clipped_low, "black"), (curve.clipped_high, "white")):
        if share >= TELL_CLIPPED:
            parts.append(f"{percent(share)} of the picture was cut off to {colour}")
    return ", ".join(part for part in parts if part)


def differences_words(unexplained: Sequence[Difference], annotations: Sequence[Difference]) -> str:
    """Say what geometry and curve leave, annotations apart."""
    kinds = _counted(annotations)
    beside = f" besides annotations ({kinds})" if annotations else ""
    hidden = covered_px(annotations)
    if hidden >= TELL_COVERED_PX:
        beside += f", which cover {number(hidden)} px² where the original has something to show"
    if not unexplained:
        return f"no other difference above noise{beside}"
    count = len(unexplained)
    words = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    areas = "area is" if count == 1 else "areas are"
    places = ", ".join(_area(difference) for difference in unexplained[:6])
    more = f" and {count - 6} more" if count > 6 else ""
    return f"{words} {areas} not explained{beside}: {places}{more}"


def covered_px(annotations: Sequence[Difference]) -> int:
    """Return how much content lies under solid annotations, px²."""
    return sum(one.covers_px for one in annotations)


def percent(share: float) -> str:
    """Return a share as "3 %" or "0.7 %"."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 1.95 else f"{value:.1f} %"


def number(value: float) -> str:
    """Return a value of the original as people write it: "4 095", "0.0312"."""
    if not math.isfinite(value):
        return "?"
    if abs(value) >= 1e7:
        return f"{value:.4g}"
    if abs(value) >= 20 or abs(value - round(value)) < 1e-6 * max(1.0, abs(value)):
        return f"{round(value):,}".replace(",", " ")
    return f"{value:.3g}"


def _crop(placement: Placement) -> str:
    width, height = placement.original_size
    inside = _share_inside(placement)
    if inside < 1 - _FRAME:
        return f"{percent(1 - inside)} of it lies beyond the original"
    left, top, right, bottom = placement.crop_box
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
    across, down = (right - left) / width, (bottom - top) / height
    published = placement.published_size
    area = published[0] * published[1] / max(placement.scale, 1e-9) ** 2 / (width * height)
    if across > 1 - _FRAME and down > 1 - _FRAME and area > 1 - 2 * _FRAME:
        return ""
    named = _named_part(left / width, right / width, top / height, bottom / height)
    if named and abs(area - across * down) < 2 * _FRAME * area:
        return f"cropped to the {named}"
    place = _place(((left + right) / 2 / width, across), ((top + bottom) / 2 / height, down))
    return f"cropped to {percent(min(area, 1.0))} of its area{place}"


def _share_inside(placement: Placement) -> float:
    """Estimate how much of the published picture lies within the original."""
    (width, height), (across, down) = placement.original_size, placement.published_size
    points = [
        placement.to_original((i + 0.5) / 24 * across - 0.5, (j + 0.5) / 24 * down - 0.5)
        for i in range(24)
        for j in range(24)
    ]
    return sum(-1 <= x <= width and -1 <= y <= height for x, y in points) / len(points)


def _named_part(left: float, right: float, top: float, bottom: float) -> str:
    """Name halves and quarters."""

    def side(low: float, high: float, first: str, last: str) -> str | None:
        if low < _FRAME and high > 1 - _FRAME:
            return ""
        if low < _FRAME and abs(high - 0.5) < _FRAME:
            return first
        return last if abs(low - 0.5) < _FRAME and high > 1 - _FRAME else None

    across, down = side(left, right, "left", "right"), side(top, bottom, "upper", "lower")
    if across is None or down is None or not (across or down):
        return ""
    return f"{down} {across} quarter" if across and down else f"{across or down} half"


def _place(across: tuple[float, float], down: tuple[float, float]) -> str:
    def third(centre: float, share: float, names: tuple[str, str, str]) -> str:
        if share > 0.9:
            return ""
        return names[0] if centre < 0.4 else names[2] if centre > 0.6 else names[1]

    x, y = third(*across, ("left", "", "right")), third(*down, ("top", "", "bottom"))
    if not x and not y:
        return ", in the middle"
    return f", at the {y} {x}".replace("  ", " ").rstrip()


def _mirror_and_turn(placement: Placement) -> str:
    angle = placement.rotation_deg
    quarter = round(angle / 90)
    right = abs(angle - 90 * quarter) < _ANGLE_DEG
    if placement.mirrored and right and quarter % 4 == 2:
        return "mirrored top to bottom"
    parts = ["mirrored left to right"] if placement.mirrored else []
    if right:
        turn = {0: "", 1: "rotated 90° clockwise", 2: "rotated 180°", 3: "rotated 90° counter-clockwise"}[quarter % 4]
    else:
        turn = f"rotated {abs(angle):.1f}° {'clockwise' if angle > 0 else 'counter-clockwise'}"
    return " and ".join([*parts, turn] if turn else parts)


def _resize(placement: Placement) -> str:
    (a, b, _), (c, d, _) = placement.matrix
    across, down = math.hypot(a, c), math.hypot(b, d)
    # What is less than a pixel over the whole picture comes from rounding sizes to whole pixels.
    slack = max(0.01, 1.5 / max(min(placement.published_size), 1))
    if abs(across / max(down, 1e-12) - 1) > slack:
        return f"resized to {100 * across:.0f} % of the width and {100 * down:.0f} % of the height"
    scale = placement.scale
    if abs(scale - 1) <= _SIZE:
        return ""
    size = f"{100 * scale:.0f}" if abs(100 * scale - round(100 * scale)) < 0.25 else f"{100 * scale:.1f}"
    return f"{'reduced' if scale < 1 else 'enlarged'} to {size} %"


def _linear(curve: Curve) -> str:
    if not curve.points or _is_window(curve):
        return f"contrast stretched linearly {number(curve.black)}…{number(curve.white)} → 0…255"
    (first, first_y), (last, last_y) = curve.points[0], curve.points[-1]
    return f"brightness changed linearly {number(first)}…{number(last)} → {abs(first_y):.0f}…{abs(last_y):.0f}"


def _is_window(curve: Curve) -> bool:
    """Whether black and white are values that the original's type can have."""
    least, greatest = curve.points[0][0], curve.points[-1][0]
    low, high = sorted((curve.black, curve.white))
    full = next((2**bits - 1 for bits in (8, 10, 12, 14, 16) if greatest <= 2**bits - 1), greatest)
    floor = min(0.0, least)
    levels = [y for _, y in curve.points]
    return (low >= floor - 0.01 * (full - floor) and high <= 1.01 * full) or (min(levels) <= 2 and max(levels) >= 253)


def _gamma(curve: Curve) -> str:
    gamma = curve.gamma or 1.0
    low, high = curve.gamma_interval or (gamma, gamma)
    reach = max(0.01, (high - low) / 2)
    return f"gamma {gamma:.2f} (±{reach:.2f}), a gamma change should be declared"


def _counted(annotations: Sequence[Difference]) -> str:
    names = [annotation.kind or "mark" for annotation in annotations]
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return ", ".join(
        name if count == 1 else f"{name} \N{MULTIPLICATION SIGN} {count}" for name, count in counts.items()
    )


def _area(difference: Difference) -> str:
    left, top, width, height = difference.box
    kind = f" ({difference.kind})" if difference.kind else ""
    return f"{width} \N{MULTIPLICATION SIGN} {height} px at x {left}, y {top}{kind}"
