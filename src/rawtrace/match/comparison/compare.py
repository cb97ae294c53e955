"""Compares a published picture with its original: geometry, brightness, and what neither explains.

1. The original is laid over the published picture (``registration``).
2. The transfer curves are measured and named (``tone``, ``colour``).
3. What is left is divided into noise, annotations and areas that are not explained (``residual``).
4. Steps 2 and 3 are done again without those areas, where there are any.
5. All of it is put into a class that does not change between versions, and into a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison import words
from rawtrace.match.comparison.colour import Toned, main_curve, tone_colours
from rawtrace.match.comparison.geometry import compose, prepare, sample, scaling
from rawtrace.match.comparison.levels import eight_bit
from rawtrace.match.comparison.registration import Registration, finite, register
from rawtrace.match.comparison.residual import Residual, find_differences
from rawtrace.match.model import Cause, Curve, Difference, Placement, Tone, Where

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = "urn:rawtrace:schema:comparison:1"
#: What a comparison can end in, gravest first; a journal's policy can name them.
NOT_DERIVED, LOCAL_CHANGE, COVERED = "not-derived", "local-change", "covered"
NON_LINEAR, CLIPPED, CHANNELS_DIFFER, COLOUR_TABLE = "non-linear", "clipped", "channels-differ", "colour-table"
LINEAR, GEOMETRY_ONLY, UNCHANGED = "linear-whole-image", "geometry-only", "unchanged"
CLASSES = (
    NOT_DERIVED, LOCAL_CHANGE, COVERED, NON_LINEAR, CLIPPED, CHANNELS_DIFFER, COLOUR_TABLE, LINEAR, GEOMETRY_ONLY,
    UNCHANGED,
)  # fmt: skip
NOT_DERIVED_WORDS = "the published picture could not be laid over this original"
#: More of the published picture than this has to be covered for its rest to go unmentioned.
_ALL = 0.98
#: Curves that differ by less than this on average, and hardly anywhere by more than that, are one; grey levels.
_MOVED_MEAN, _MOVED = 0.15, 0.8
_MAX_FINE_PIXELS = 16_000_000
#: Grey levels between which a picture is one even grey.
_EVEN = 4.0
#: The ends of a curve that only changes units are those of the type but for this share.
_UNITS = 0.002


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Maps:
    """Pictures of a comparison, all on the published grid.

    Attributes
    ----------
    published : ndarray of uint8
        (Y, X) or (Y, X, 3).
    expected : ndarray of float32
        What the original looks like after geometry and curves, published grey levels; as ``published``.
    z : ndarray of float32
        (Y, X): deviation, in standard deviations of the noise.
    labels : ndarray of int
        (Y, X): 0, or 1 + the index of the difference.
    mask : ndarray of bool
        (Y, X): what was compared.
    """

    published: NDArray[Any]
    expected: NDArray[Any]
    z: NDArray[Any]
    labels: NDArray[Any]
    mask: NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """What was done between an original and a published picture.

    Attributes
    ----------
    kind : str
        The gravest of ``changes``: one of ``CLASSES``.
    changes : tuple[str, ...]
        All classes that apply, gravest first.
    sentence : str
        For an editor; begins with a capital letter and ends with a full stop.
    registration : Registration or None
        ``None`` if the pictures could not be laid over each other.
    curves : tuple of (name, Curve)
        One called ``"brightness"``, or one for each colour.
    colour : str
        What happened to colour, in words; empty if nothing.
    unexplained, annotations : tuple of Difference
    all_differences : tuple of Difference
        Both, in the order of ``maps.labels``.
    share : float
        Share of the published picture that could be compared, 0 to 1.
    noise_levels : float
        What was taken for noise, published grey levels.
    jpeg_quality : int or None
        Of the compression seen in the published pixels.
    maps : Maps or None
    where : Where or None
        Which picture of a file was the original, if it was chosen from a file.
    """

    kind: str
    changes: tuple[str, ...]
    sentence: str
    registration: Registration | None = None
    curves: tuple[tuple[str, Curve], ...] = ()
    colour: str = ""
    unexplained: tuple[Difference, ...] = ()
    annotations: tuple[Difference, ...] = ()
    all_differences: tuple[Difference, ...] = ()
    share: float = 0.0
    noise_levels: float = 0.0
    jpeg_quality: int | None = None
    maps: Maps | None = field(default=None, repr=False)
    where: Where | None = None

    @property
    def derived(self) -> bool:
        """Whether the published picture could be laid over the original."""
        return self.registration is not None

    @property
    def something_to_look_at(self) -> bool:
        """Whether areas are not explained or covered, or the pictures could not be laid over each other."""
        return self.kind in {NOT_DERIVED, LOCAL_CHANGE, COVERED}

    @property
    def noise_words(self) -> str:
        """What was taken for noise, in words."""
        if not self.derived:
            return ""
        quality = f"; JPEG compression of quality {self.jpeg_quality} was allowed for" if self.jpeg_quality else ""
        return f"noise of about {max(self.noise_levels, 0.1):.1f} grey levels was allowed for{quality}"

    def summary(self) -> dict[str, Any]:
        """Return all but the pictures, for JSON."""
        found: dict[str, Any] = {
            "schema": SCHEMA,
            "class": self.kind,
            "changes": list(self.changes),
            "sentence": self.sentence,
            "derived": self.derived,
        }
        if self.where is not None:
            where = self.where
            found["original"] = {
                "source": where.source, "scene": where.scene, "channel": where.channel, "z": where.z, "t": where.t,
                "projection": where.projection,
            }  # fmt: skip
        if self.registration is None:
            return found
        registration, placement = self.registration, self.registration.placement
        found["registration"] = {
            **placement.to_dict(),
            "exact": registration.exact,
            "inliers": registration.inliers,
            "correlation": round(registration.correlation, 4),
            "detail_correlation": round(registration.detail, 4),
            "uncertainty_px": round(registration.uncertainty_px, 5),
            "blur_px": registration.blur_px,
        }
        found["curves"] = {name: _curve_summary(curve) for name, curve in self.curves}
        found["colour"] = self.colour
        found["share_compared"] = round(self.share, 4)
        found["noise"] = {
            "levels": round(self.noise_levels, 3), "jpeg_quality": self.jpeg_quality, "words": self.noise_words,
        }  # fmt: skip
        found["unexplained"] = [_difference_summary(difference) for difference in self.unexplained]
        found["annotations"] = [_difference_summary(difference) for difference in self.annotations]
        return found


def compare(original: NDArray[Any], published: NDArray[Any], *, guess: Placement | None = None) -> Comparison:
    """Compare a published picture with its original.

    Parameters
    ----------
    original : ndarray
        (Y, X) or (Y, X, S), any real type.
    published : ndarray
        (Y, X) or (Y, X, S); whole numbers of more than 8 bit are brought to 0…255.
    guess : Placement, optional
        Where it lies, as a search found it.

    Raises
    ------
    MissingExtraError
        The extra ``match`` is not installed.
    """
    import numpy as np

    shown = eight_bit(published)
    if shown.ndim not in {2, 3} or np.asarray(original).ndim not in {2, 3}:
        return _not_derived()
    registration = register(original, shown, guess=guess)
    if registration is None:
        return _not_derived()
    fine = _fine(original, registration, shown.shape)
    toned = tone_colours(registration.warped, shown, registration.mask, fine=fine)
    residual = _rest(toned, registration, shown)
    suspect = residual.labels > 0
    if suspect.any() and (rest := registration.mask & ~_widened(suspect)).sum() > 0.3 * registration.mask.sum():
        again = tone_colours(registration.warped, shown, rest, fine=fine)
        if _moved(toned, again, registration.mask):
            toned, residual = again, _rest(again, registration, shown)
    if _says_nothing(toned, shown, registration.mask):
        return _not_derived()
    return _told(registration, _in_same_units(toned, original, published), residual, shown)


def _says_nothing(toned: Toned, shown: NDArray[Any], mask: NDArray[Any]) -> bool:
    """Whether the curve makes one even grey of an original whose publication is no even grey."""
    import numpy as np

    def spread(values: NDArray[Any]) -> float:
        low, high = np.percentile(values[mask], (0.5, 99.5))
        return float(high - low)

    return spread(toned.expected) < _EVEN and spread(shown) > 5 * _EVEN


def _in_same_units(toned: Toned, original: NDArray[Any], published: NDArray[Any]) -> Toned:
    """Call a curve unchanged that only brings 16 bits to the 8 in which pictures are compared."""
    import numpy as np

    kind = np.asarray(published).dtype
    if kind != np.asarray(original).dtype or kind.kind != "u" or kind.itemsize != 2 or len(toned.fits) != 1:
        return toned
    (fit,), full = toned.fits, float(np.asarray(published).max())
    full = next(float(2**bits - 1) for bits in (8, 10, 12, 14, 16) if full <= 2**bits - 1)
    curve = fit.curve
    if curve.tone is not Tone.LINEAR or max(abs(curve.black), abs(curve.white - full)) > _UNITS * full:
        return toned
    return replace(toned, fits=(replace(fit, curve=replace(curve, tone=Tone.UNCHANGED)),))


def _rest(toned: Toned, registration: Registration, shown: NDArray[Any]) -> Residual:
    import numpy as np

    judged = shown
    if toned.table or shown.ndim == 2:
        judged = np.clip(np.rint(toned.judged_published), 0, 255).astype(np.uint8)
    return find_differences(
        toned.judged_expected.astype(np.float32), judged, registration.mask, registration.warped,
        registration.placement, floor=_coarseness(toned, registration.warped),
    )  # fmt: skip


def _coarseness(toned: Toned, warped: NDArray[Any]) -> NDArray[Any] | None:
    """Return how far off whole numbers on the way can be: an original that became 8 bit before it was brightened."""
    import numpy as np

    if len(toned.fits) != 1 or warped.ndim != 2:
        return None
    (fit,) = toned.fits
    half = abs(fit.curve.white - fit.curve.black) / 510
    return np.asarray(np.abs(fit(warped + half) - fit(warped - half)) / 2, np.float32)


def _moved(before: Toned, after: Toned, mask: NDArray[Any]) -> bool:
    """Whether curves differ enough for differences to be looked for again, or have other names."""
    import numpy as np

    if [fit.curve.tone for fit in before.fits] != [fit.curve.tone for fit in after.fits] or before.table != after.table:
        return True
    apart = np.abs(before.judged_expected - after.judged_expected)[mask]
    return float(apart.mean()) > _MOVED_MEAN or float(np.quantile(apart[::7], 0.99)) > _MOVED


def _fine(original: NDArray[Any], registration: Registration, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return the original sampled twice as densely, if it was resampled and that is not too much."""
    import numpy as np

    if registration.exact or 4 * shape[0] * shape[1] > _MAX_FINE_PIXELS:
        return None
    matrix = compose(scaling(2), np.array(registration.placement.matrix, float))
    dense = (2 * shape[0], 2 * shape[1])
    return sample(prepare(finite(original), matrix, dense, blur=0.0), matrix, dense)


def _widened(areas: NDArray[Any]) -> NDArray[Any]:
    import cv2
    import numpy as np

    return np.asarray(cv2.dilate(areas.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool))


def _told(registration: Registration, toned: Toned, residual: Residual, shown: NDArray[Any]) -> Comparison:
    unexplained = tuple(one for one in residual.differences if one.cause is Cause.UNEXPLAINED)
    annotations = tuple(one for one in residual.differences if one.cause is Cause.ANNOTATION)
    share = float(registration.mask.mean())
    changes = _changes(registration, toned, unexplained, annotations)
    compression = residual.compression
    return Comparison(
        kind=changes[0],
        changes=changes,
        sentence=_sentence(registration, toned, unexplained, annotations, share),
        registration=registration,
        curves=tuple((name, fit.curve) for name, fit in zip(toned.names, toned.fits, strict=True)),
        colour=toned.words,
        unexplained=unexplained,
        annotations=annotations,
        all_differences=residual.differences,
        share=share,
        noise_levels=float(residual.noise_levels),
        jpeg_quality=compression.quality if compression is not None else None,
        maps=Maps(published=shown, expected=toned.expected, z=residual.z, labels=residual.labels,
                  mask=registration.mask),
    )  # fmt: skip


def _changes(
    registration: Registration, toned: Toned, unexplained: tuple[Difference, ...], annotations: tuple[Difference, ...]
) -> tuple[str, ...]:
    curves = [fit.curve for fit in toned.fits]
    tones = {curve.tone for curve in curves} if not toned.table else set()
    found = {
        LOCAL_CHANGE: bool(unexplained),
        COVERED: words.covered_px(annotations) >= words.TELL_COVERED_PX,
        NON_LINEAR: bool(tones & {Tone.GAMMA, Tone.MONOTONE, Tone.NOT_MONOTONE}),
        CLIPPED: not toned.table
        and any(max(curve.clipped_low, curve.clipped_high) >= words.TELL_CLIPPED for curve in curves),
        CHANNELS_DIFFER: bool(toned.words) and not toned.table,
        COLOUR_TABLE: bool(toned.table),
        LINEAR: Tone.LINEAR in tones,
        GEOMETRY_ONLY: bool(words.placement_words(registration.placement)),
    }
    return tuple(name for name, is_so in found.items() if is_so) or (UNCHANGED,)


def _sentence(
    registration: Registration,
    toned: Toned,
    unexplained: tuple[Difference, ...],
    annotations: tuple[Difference, ...],
    share: float,
) -> str:
    told = [words.placement_words(registration.placement)]
    if toned.table:
        told.append(toned.words)
    elif len(toned.fits) == 1 or not toned.words:
        told += [toned.words, words.curve_words(main_curve(toned))]
    else:
        told.append(toned.words)
        told += [f"{name}: {said}" for name, fit in zip(toned.names, toned.fits, strict=True)
                 if (said := words.curve_words(fit.curve))]  # fmt: skip
    if share < _ALL:
        told.append(f"{words.percent(share)} of the published picture could be compared")
    done = ", ".join(part for part in told if part) or "the whole original as it is"
    rest = words.differences_words(unexplained, annotations)
    text = f"{done}; {rest}"
    return f"{text[0].upper()}{text[1:]}."


def _not_derived() -> Comparison:
    return Comparison(
        kind=NOT_DERIVED,
        changes=(NOT_DERIVED,),
        sentence=f"{NOT_DERIVED_WORDS[0].upper()}{NOT_DERIVED_WORDS[1:]}.",
    )


def _curve_summary(curve: Curve) -> dict[str, Any]:
    return {
        "tone": curve.tone.value, "inverted": curve.inverted, "black": curve.black, "white": curve.white,
        "gamma": curve.gamma, "gamma_interval": list(curve.gamma_interval) if curve.gamma_interval else None,
        "clipped_low": curve.clipped_low, "clipped_high": curve.clipped_high,
        "confidence": round(curve.confidence, 3), "rms": round(curve.rms, 3), "points": [list(p) for p in curve.points],
    }  # fmt: skip


def _difference_summary(difference: Difference) -> dict[str, Any]:
    return {
        "box": list(difference.box), "area_px": difference.area_px, "cause": difference.cause.value,
        "kind": difference.kind, "strength": round(difference.strength, 2), "levels": round(difference.levels, 2),
        "false_alarms": difference.false_alarms,
    }  # fmt: skip
