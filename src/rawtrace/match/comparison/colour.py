"""What happened to colour: a grey original in a colour table, channels changed alike or apart, colour made grey."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison.registration import LUMINANCE
from rawtrace.match.comparison.tone import Fitted, fit_curve
from rawtrace.match.model import Curve, Tone

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS = ("red", "green", "blue")
#: Channels that differ by less than this everywhere but at a few pixels are grey, published levels.
_GREY_LEVELS = 6.0
#: Curves of channels that differ by less than this are one.
_SAME_CURVE = 2.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Toned:
    """An original with its transfer curves applied.

    Attributes
    ----------
    fits : tuple of Fitted
        One for each of ``names``.
    names : tuple[str, ...]
        ``("brightness",)`` or the three channels.
    expected : ndarray of float32
        (Y, X) or (Y, X, 3), published grey levels.
    judged_expected, judged_published : ndarray of float32
        (Y, X): one picture each in which differences are looked for.
    words : str
        What happened to colour; empty if nothing.
    table : str
        Name of the colour table, or ``"a colour table"``; empty without one.
    """

    fits: tuple[Fitted, ...]
    names: tuple[str, ...]
    expected: NDArray[Any]
    judged_expected: NDArray[Any]
    judged_published: NDArray[Any]
    words: str = ""
    table: str = ""


def tone_colours(
    warped: NDArray[Any], published: NDArray[Any], mask: NDArray[Any], *, fine: NDArray[Any] | None = None
) -> Toned:
    """Fit the curves that take an original to a published picture, whichever of both has colours.

    Parameters
    ----------
    warped : ndarray of float32
        (Y, X) or (Y, X, 3), the original on the published grid.
    published : ndarray of uint8
        (Y, X) or (Y, X, 3).
    mask : ndarray of bool
    fine : ndarray of float32, optional
        As ``fit_curve`` takes it, with the samples of ``warped``.
    """
    import numpy as np

    weights = np.array(LUMINANCE, np.float32)
    grey = is_grey(published, mask) or (warped.ndim == 2 and _grey_but_for_ink(warped, published, mask))
    if grey:
        target = published if published.ndim == 2 else published[..., 1]
        source = warped if warped.ndim == 2 else warped @ weights
        dense = fine if fine is None or fine.ndim == 2 else fine @ weights
        fit = fit_curve(source, target, mask, fine=dense)
        words = "" if warped.ndim == 2 else "colours made grey"
        if warped.ndim == 3:
            fit, words = _one_channel(fit, warped, target, mask, words)
        return Toned(fits=(fit,), names=("brightness",), expected=fit.expected, judged_expected=fit.expected,
                     judged_published=np.asarray(target, np.float32), words=words)  # fmt: skip
    if warped.ndim == 2:
        return _colour_table(warped, published, mask, fine)
    fits = _channels(warped, published, mask, fine)
    expected = np.dstack([fit.expected for fit in fits])
    return Toned(fits=fits, names=CHANNELS, expected=expected, judged_expected=expected @ weights,
                 judged_published=published.astype(np.float32) @ weights, words=channel_words(fits))  # fmt: skip


def _channels(
    warped: NDArray[Any], published: NDArray[Any], mask: NDArray[Any], fine: NDArray[Any] | None
) -> tuple[Fitted, ...]:
    """Fit one curve to all three channels, and only where it does not hold for each of them three."""
    import numpy as np

    def stacked(picture: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.concatenate([picture[..., c] for c in range(3)]))

    dense = None if fine is None else stacked(fine)
    pooled = fit_curve(stacked(warped), stacked(published), np.concatenate([mask] * 3), fine=dense)
    expected = np.stack(np.split(pooled.expected, 3), axis=2)
    if all(_holds(expected[..., c], published[..., c], mask) for c in range(3)):
        return tuple(replace(pooled, expected=np.ascontiguousarray(expected[..., c])) for c in range(3))
    return tuple(
        fit_curve(np.ascontiguousarray(warped[..., c]), published[..., c], mask,
                  fine=None if fine is None else np.ascontiguousarray(fine[..., c]))
        for c in range(3)
    )  # fmt: skip


def _holds(expected: NDArray[Any], published: NDArray[Any], mask: NDArray[Any]) -> bool:
    """Whether a curve leaves no brightness of a channel off on the whole."""
    import numpy as np

    # Compression blurs colours: what it keeps are the means of blocks.
    size = max(2, min(16, min(mask.shape) // 12))
    across, down = mask.shape[1] // size, mask.shape[0] // size
    area = (slice(0, down * size), slice(0, across * size))

    def blocks(picture: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(picture[area].astype(np.float32).reshape(down, size, across, size).mean((1, 3)))

    full = blocks(mask) > 0.99
    if full.sum() < 16:
        return True
    x, rest = blocks(expected)[full], (blocks(published) - blocks(expected))[full]
    edges = np.unique(np.quantile(x, np.linspace(0, 1, 7)))[1:-1]
    place = np.searchsorted(edges, x)
    off = [abs(float(np.median(rest[place == number]))) for number in range(len(edges) + 1) if (place == number).any()]
    return float(np.mean(off)) < _SAME_CURVE and max(off) < 2 * _SAME_CURVE


def is_grey(published: NDArray[Any], mask: NDArray[Any]) -> bool:
    """Whether a picture has no colours but those of few pixels, such as coloured arrows."""
    import numpy as np

    if published.ndim == 2:
        return True
    some = published[mask].astype(np.int16) if mask.any() else published.reshape(-1, 3).astype(np.int16)
    some = some[:: max(1, len(some) // 100_000)]
    return bool(np.quantile(np.ptp(some, axis=1), 0.97) <= _GREY_LEVELS)


def _grey_but_for_ink(warped: NDArray[Any], published: NDArray[Any], mask: NDArray[Any]) -> bool:
    """Whether most brightnesses of a grey original are mostly grey: a table colours all of one, an arrow a few."""
    import numpy as np

    step = max(1, int(np.count_nonzero(mask)) // 100_000)
    values, shown = warped[mask][::step], published[mask][::step].astype(np.int16)
    if not values.size or float(np.ptp(values)) <= 0:
        return False
    chroma = shown.max(1) - shown.min(1)
    place = ((values - values.min()) * (23.99 / float(np.ptp(values)))).astype(int)
    coloured = [float(np.median(chroma[place == number])) > _GREY_LEVELS
                for number in range(24) if np.count_nonzero(place == number) >= 40]  # fmt: skip
    return float(np.mean(coloured)) < 0.25 if coloured else False


def channel_words(fits: tuple[Fitted, ...]) -> str:
    """Say which channels were changed, where not all were changed alike; empty if they were."""
    import numpy as np

    changed = [fit.curve.tone is not Tone.UNCHANGED for fit in fits]
    nodes = np.linspace(min(fit.x[0] for fit in fits), max(fit.x[-1] for fit in fits), 64)
    heights = np.stack([fit(nodes) for fit in fits])
    held = np.stack([(nodes >= fit.x[0]) & (nodes <= fit.x[-1]) for fit in fits]).all(0)
    if not any(changed) or (held.any() and float(np.ptp(heights[:, held], axis=0).mean()) < _SAME_CURVE):
        return ""
    names = [name for name, was in zip(CHANNELS, changed, strict=True) if was]
    if len(names) == 3:
        return "the three colours were changed differently"
    return f"only the {' and '.join(names)} channel{'s were' if len(names) > 1 else ' was'} changed"


def _one_channel(
    fit: Fitted, warped: NDArray[Any], target: NDArray[Any], mask: NDArray[Any], words: str
) -> tuple[Fitted, str]:
    """Choose what of a colour original became grey: its brightness, or one channel."""
    import numpy as np

    best = fit, words, _rest(fit, target, mask)
    for number, name in enumerate(CHANNELS):
        other = fit_curve(np.ascontiguousarray(warped[..., number]), target, mask)
        rest = _rest(other, target, mask)
        if rest < 0.7 * best[2]:
            best = other, f"only the {name} channel is shown", rest
    return best[:2]


def _rest(fit: Fitted, target: NDArray[Any], mask: NDArray[Any]) -> float:
    import numpy as np

    return float(np.mean(np.abs(fit.expected - target)[mask])) if mask.any() else 0.0


def _colour_table(
    warped: NDArray[Any], published: NDArray[Any], mask: NDArray[Any], fine: NDArray[Any] | None
) -> Toned:
    import numpy as np

    fits = tuple(fit_curve(warped, published[..., c], mask, fine=fine) for c in range(3))
    expected = np.dstack([fit.expected for fit in fits])
    # Differences are looked for along the colours that carry the picture.
    spread = np.array([float(np.var(fit.expected[mask])) if mask.any() else 1.0 for fit in fits])
    share = (spread / spread.sum() if spread.sum() > 0 else np.full(3, 1 / 3)).astype(np.float32)
    name = _table_name(fits)
    return Toned(fits=fits, names=CHANNELS, expected=expected, judged_expected=expected @ share,
                 judged_published=published.astype(np.float32) @ share, table=name or "a colour table",
                 words=f"a colour table was applied{f' ({name})' if name else ''}")  # fmt: skip


def _table_name(fits: tuple[Fitted, ...]) -> str:
    """Name a table from where it begins, ends and what it passes."""
    import numpy as np

    low, high = fits[0].x[0], fits[0].x[-1]
    nodes = np.linspace(low, high, 33)
    path = np.stack([fit(nodes) for fit in fits], axis=1)
    rises = [float(path[:, c].max() - path[:, c].min()) for c in range(3)]
    top = max(rises)
    lit = tuple(rise > 0.25 * top for rise in rises)
    dark = all(rise < 0.1 * top for rise, on in zip(rises, lit, strict=True) if not on)
    pure = {
        (True, False, False): "red", (False, True, False): "green", (False, False, True): "blue",
        (True, True, False): "yellow", (True, False, True): "magenta", (False, True, True): "cyan",
    }  # fmt: skip
    if dark and lit in pure and all(np.diff(path[:, c]).min() > -6 for c in range(3) if lit[c]):
        return pure[lit]
    best, found = 18.0, ""
    for name, stops in _TABLES.items():
        known = np.stack([np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(stops)), column)
                          for column in zip(*stops, strict=True)], axis=1)  # fmt: skip
        # How far the path is from the table, whatever part of it and whatever curve was used.
        apart = np.sqrt(((path[:, None] - known[None]) ** 2).sum(2)).min(1).mean()
        if apart < best:
            best, found = float(apart), name
    return found


#: A few stops of the tables that figures have most often.
_TABLES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "viridis": ((68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140), (40, 174, 128),
                (94, 201, 98), (173, 220, 48), (253, 231, 37)),
    "magma": ((0, 0, 4), (29, 17, 71), (81, 18, 124), (131, 38, 129), (183, 55, 121), (230, 81, 98), (252, 137, 97),
              (254, 196, 136), (252, 253, 191)),
    "inferno": ((0, 0, 4), (32, 12, 74), (87, 16, 110), (138, 34, 106), (188, 55, 84), (228, 89, 50), (249, 142, 9),
                (246, 203, 63), (252, 255, 164)),
    "hot": ((10, 0, 0), (105, 0, 0), (200, 0, 0), (255, 40, 0), (255, 136, 0), (255, 232, 0), (255, 255, 95),
            (255, 255, 239), (255, 255, 255)),
    "fire": ((0, 0, 31), (36, 0, 138), (119, 0, 227), (178, 0, 134), (219, 42, 17), (255, 105, 0), (255, 163, 0),
             (255, 222, 0), (255, 255, 255)),
    "jet": ((0, 0, 128), (0, 0, 255), (0, 128, 255), (0, 255, 255), (128, 255, 128), (255, 255, 0), (255, 128, 0),
            (255, 0, 0), (128, 0, 0)),
}  # fmt: skip


def main_curve(toned: Toned) -> Curve:
    """Return the curve that is spoken of where one is: that of the channel whose name is the gravest."""
    order = (Tone.NOT_MONOTONE, Tone.MONOTONE, Tone.GAMMA, Tone.LINEAR, Tone.UNCHANGED)
    return min((fit.curve for fit in toned.fits), key=lambda curve: order.index(curve.tone))
