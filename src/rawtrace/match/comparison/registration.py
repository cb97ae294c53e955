"""Lays an original over a published picture, to a fraction of a pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison import starts
from rawtrace.match.comparison.geometry import covered, placement_of, prepare, sample
from rawtrace.match.comparison.refine import Fit, glance, refine
from rawtrace.match.features import computer_vision
from rawtrace.match.model import Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pictures of a smaller edge, px, carry too little to be laid over each other.
MIN_EDGE = 12
#: An original that explains less of a published picture than this share is not its original.
LEAST_COVERED = 0.2
#: Longest edge that can be sampled, px.
MAX_EDGE = 32_000
#: Detail correlations of a reduced picture from which a guess is tried before others, or at all.
_LIKELY, _POSSIBLE = 0.4, 0.15
#: ... and from which no others are asked.
_CERTAIN = 0.75
LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """An original on the grid of a published picture.

    Attributes
    ----------
    placement : Placement
    exact : bool
        Whether pixels were only copied: shifted by whole pixels, turned by right angles, mirrored.
    inverted : bool
        Whether bright became dark.
    inliers : int
        Distinct points that agree; 0 where the whole picture was used instead.
    correlation, detail : float
        Of the published picture and the tone-matched original, and of the fine structure of both; 0 to 1.
    uncertainty_px : float
        Standard error of the placement in the published picture.
    blur_px : float
        Standard deviation of the low pass that resampling applied, px of the published picture.
    warped : ndarray of float32
        The original on the published grid, (Y, X) or (Y, X, S), in its own units.
    mask : ndarray of bool
        (Y, X): where the published picture shows the original.
    """

    placement: Placement
    exact: bool
    inverted: bool
    inliers: int
    correlation: float
    detail: float
    uncertainty_px: float
    blur_px: float
    warped: NDArray[Any]
    mask: NDArray[Any]


def register(original: NDArray[Any], published: NDArray[Any], *, guess: Placement | None = None) -> Registration | None:
    """Find where a published picture lies in an original.

    Parameters
    ----------
    original : ndarray
        (Y, X) or (Y, X, S), any real type.
    published : ndarray
        (Y, X) or (Y, X, S); of samples the first three are used.
    guess : Placement, optional
        Tried first, as from a search.

    Returns
    -------
    Registration or None
        ``None`` if no placement explains the published picture.

    Raises
    ------
    MissingExtraError
        The extra ``match`` is not installed.
    """
    computer_vision()
    import numpy as np

    ours, theirs = luminance(original), luminance(published)
    if min(*ours.shape, *theirs.shape) < MIN_EDGE or max(*ours.shape, *theirs.shape) > MAX_EDGE:
        return None
    if np.ptp(ours) <= 0 or np.ptp(theirs) <= 0:
        return None
    # In units of the spread, so that thresholds hold for any type: the published picture in its own grey levels.
    ours = (ours - ours.min()) * np.float32(255 / max(float(np.ptp(ours)), 1e-30))
    levels = 255.0 if np.asarray(published).dtype == np.uint8 else float(np.ptp(theirs))
    theirs = theirs * np.float32(255 / levels)
    best: tuple[Fit, starts.Start] | None = None
    for start in _starts(ours, theirs, guess):
        fit = refine(ours, theirs, start.matrix)
        if fit is None or not starts.plausible(fit.matrix):
            continue
        certain = convincing(fit, start, certain=True)
        if best is None or certain or fit.detail > best[0].detail:
            best = (fit, start)
        if certain:
            break
    if best is None or not convincing(*best):
        return None
    fit, start = best
    mask = covered(fit.matrix, ours.shape, theirs.shape)
    if mask.mean() < LEAST_COVERED:
        return None
    source = finite(original)
    prepared = prepare(source, fit.matrix, theirs.shape, blur=fit.blur)
    warped = sample(prepared, fit.matrix, theirs.shape)
    return Registration(
        placement=placement_of(fit.matrix, ours.shape, theirs.shape),
        exact=fit.exact,
        inverted=_inverted(luminance(warped), theirs, mask),
        inliers=start.inliers,
        correlation=fit.correlation,
        detail=fit.detail,
        uncertainty_px=fit.uncertainty,
        blur_px=fit.blur,
        warped=warped,
        mask=mask,
    )


def convincing(fit: Fit, start: starts.Start, *, certain: bool = False) -> bool:
    """Whether a fit says that the pictures are the same; ``certain`` ends the search for better ones."""
    if certain:
        return fit.detail > 0.7 or (fit.detail > 0.35 and start.inliers >= 20)
    # Where nearly all is black, ranks say nothing.
    if fit.correlation < 0.2 and fit.detail < 0.85:
        return False
    if start.inliers >= 12:
        return fit.detail > 0.25
    # Where everything was tried, something is always alike.
    return fit.detail > (0.38 if start.likely else 0.6) and starts.plausible(fit.matrix, stretch=1.05)


def finite(picture: NDArray[Any]) -> NDArray[Any]:
    """Return a picture as float32, (Y, X) or (Y, X, 1 to 3), what is not a number replaced by the least value."""
    import numpy as np

    values = np.asarray(picture)
    if values.ndim == 3:
        values = values[..., :3] if values.shape[-1] != 2 else values[..., :1]
        values = values[..., 0] if values.shape[-1] == 1 else values
    if values.dtype.kind in "ub" and values.dtype.itemsize <= 2:
        return np.ascontiguousarray(values, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        if values.dtype.kind == "c":
            values = values.real
        as_float = values.astype(np.float32)
    good = np.isfinite(as_float)
    if not good.all():
        least = float(as_float[good].min()) if good.any() else 0.0
        as_float = np.where(good, as_float, np.float32(least))
    return np.ascontiguousarray(np.clip(as_float, -1e30, 1e30))


def luminance(picture: NDArray[Any]) -> NDArray[Any]:
    """Return the brightness of a picture, (Y, X), float32."""
    import numpy as np

    values = finite(picture)
    return values if values.ndim == 2 else np.ascontiguousarray(values @ np.array(LUMINANCE, np.float32))


def _starts(ours: NDArray[Any], theirs: NDArray[Any], guess: Placement | None) -> Iterator[starts.Start]:
    import numpy as np

    if guess is not None:
        yield starts.Start(np.array(guess.matrix, float), likely=True)
    frames: list[tuple[float, starts.Start]] = []
    for start in starts.from_frame(ours.shape, theirs.shape):
        frames.append((glance(ours, theirs, start.matrix), start))
        if frames[-1][0] > _CERTAIN:
            break
    frames.sort(key=lambda entry: -entry[0])
    if frames and frames[0][0] > _LIKELY:
        yield frames[0][1]
    ours8, theirs8 = starts.stretched(ours), starts.stretched(theirs)
    yield from starts.from_features(ours8, theirs8)
    dense = [(glance(ours, theirs, start.matrix), start) for start in starts.from_whole(ours8, theirs8)]
    dense += [entry for entry in frames if entry[0] <= _LIKELY]
    dense.sort(key=lambda entry: -entry[0])
    yield from (start for found, start in dense[:2] if found > _POSSIBLE)


def _inverted(warped: NDArray[Any], theirs: NDArray[Any], mask: NDArray[Any]) -> bool:
    import numpy as np

    x, y = warped[mask].astype(float), theirs[mask].astype(float)
    step = max(1, x.size // 50_000)
    x, y = x[::step].argsort().argsort(), y[::step].argsort().argsort()
    return bool(np.dot(x - x.mean(), y - y.mean()) < 0)
