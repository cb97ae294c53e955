"""Seals per month as a drawing: plain shapes whose looks the style sheet gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MONTHS_SHOWN = 36
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 200, 48, 26, 12
_GAP = 3
_LABEL = 104
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One month: where its bar stands, and what is written below it (often nothing)."""

    x: float
    y: float
    width: float
    height: float
    label: str
    label_x: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing of at most three years.

    Attributes
    ----------
    description : str
        The same in words, for who cannot see it.
    lines : tuple of (y, words)
        The scale.
    """

    width: int
    height: int
    left: int
    base: int
    bars: tuple[Bar, ...]
    lines: tuple[tuple[float, str], ...]
    description: str


def plot(months: Sequence[tuple[str, int]]) -> Plot | None:
    """Draw the number of seals by month, oldest first; ``None`` where there is nothing to draw."""
    shown = list(months)[-MONTHS_SHOWN:]
    if not shown:
        return None
    top = _round_up(max(number for _, number in shown))
    base, room = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP
    # A few months stay slim bars at the right, where the newest always is.
    pitch = min(40.0, (_WIDTH - _LEFT) / len(shown))
    start = _WIDTH - pitch * len(shown)
    every = math.ceil(_LABEL / pitch)
    bars = []
    for place, (month, number) in enumerate(shown):
        height = number / top * room
        x = start + place * pitch
        said = _short(month) if (len(shown) - 1 - place) % every == 0 else ""
        bars.append(
            Bar(
                x=round(x + _GAP / 2, 1),
                y=round(base - height, 1),
                width=round(pitch - _GAP, 1),
                height=round(height, 1),
                label=said,
                label_x=round(x + pitch / 2, 1),
            )
        )
    most = max(shown, key=lambda one: one[1])
    total = sum(number for _, number in shown)
    description = (
        f"Seals per month from {_short(shown[0][0])} to {_short(shown[-1][0])}: {total} in all, "
        f"most in {_short(most[0])} with {most[1]}."
    )
    lines = tuple((round(base - share * room, 1), f"{round(top * share):,}") for share in (0.5, 1.0))
    return Plot(
        width=_WIDTH, height=_HEIGHT, left=_LEFT, base=base, bars=tuple(bars), lines=lines, description=description
    )


def _round_up(number: int) -> int:
    """Return the next of 2, 4, 10, 20, 40, 100 … so that half of it is a whole number too."""
    scale = 1
    while True:
        for step in (2, 4, 10):
            if number <= step * scale:
                return step * scale
        scale *= 10


def _short(month: str) -> str:
    year, _, rest = month.partition("-")
    return f"{_MONTHS[int(rest) - 1]} {year}"
