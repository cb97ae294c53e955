"""Rows of the tables of evidence, their intervals, and the tables as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured number.

    Attributes
    ----------
    what : str
    n : int
        How many trials it comes from.
    value : float
    low, high : float
        95 % interval; NaN where there is none.
    target : str
        As in ``"≥ 0.99"``; empty where none was set.
    met : bool or None
    note : str
    """

    what: str
    n: int
    value: float
    low: float = math.nan
    high: float = math.nan
    target: str = ""
    met: bool | None = None
    note: str = ""


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share; (0, 1) where nothing was tried."""
    if n == 0:
        return 0.0, 1.0
    share, weight = hits / n, Z95 * Z95 / n
    middle = (share + weight / 2) / (1 + weight)
    half = Z95 * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == n else middle + half)


def bootstrap(
    values: Sequence[float], statistic: Callable[[Any], float] = np.median, *, rounds: int = 1_000, seed: int = 1
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic of ``values``; NaN where there are none."""
    if len(values) == 0:
        return math.nan, math.nan
    sample, random = np.asarray(values, float), np.random.default_rng(seed)
    drawn = [statistic(sample[random.integers(0, len(sample), len(sample))]) for _ in range(rounds)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def share(what: str, hits: int, n: int, *, at_least: float | None = None, at_most: float | None = None,
          note: str = "") -> Row:  # fmt: skip
    """Return the row of a share with its Wilson interval."""
    low, high = wilson(hits, n)
    value = hits / n if n else math.nan
    return Row(what=what, n=n, value=value, low=low, high=high, note=note, **_target(value, at_least, at_most))


def measure(what: str, values: Sequence[float], statistic: Callable[[Any], float] = np.median, *,
            at_least: float | None = None, at_most: float | None = None, note: str = "") -> Row:  # fmt: skip
    """Return the row of a statistic (the median unless told otherwise) with its bootstrap interval."""
    value = float(statistic(np.asarray(values, float))) if len(values) else math.nan
    low, high = bootstrap(values, statistic)
    return Row(what=what, n=len(values), value=value, low=low, high=high, note=note,
               **_target(value, at_least, at_most))  # fmt: skip


def markdown(rows: Iterable[Row], *, title: str = "") -> str:
    """Return a table."""
    lines = [f"### {title}", ""] if title else []
    lines += ["| what | n | value | 95 % | target | met | note |", "| --- | ---: | ---: | --- | --- | --- | --- |"]
    met = {None: "", True: "yes", False: "**no**"}
    for row in rows:
        interval = "" if math.isnan(row.low) else f"{_show(row.low)} to {_show(row.high)}"
        lines.append(f"| {row.what} | {row.n} | {_show(row.value)} | {interval} | {row.target} | {met[row.met]} "
                     f"| {row.note} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def _target(value: float, at_least: float | None, at_most: float | None) -> dict[str, Any]:
    if at_least is not None:
        return {"target": f"≥ {at_least:g}", "met": bool(value >= at_least)}
    if at_most is not None:
        return {"target": f"≤ {at_most:g}", "met": bool(value <= at_most)}
    return {}


def _show(value: float) -> str:
    if math.isnan(value):
        return "-"
    if value != 0 and abs(value) < 0.0995:
        return f"{value:.2g}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"
