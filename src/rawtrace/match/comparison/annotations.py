"""Tells what was laid over a picture (text, scale bars, arrows, boxes, lines) from what was done to it.

An annotation is flat ink: pixels of one value, a rim of one or two pixels that
mixes it with the expected picture, a shape that people draw, and an unchanged
picture around it. It must be meant to be seen: ink that is nearer to its
surroundings than to what it covers takes something away, and is no annotation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison.compression import Compression
from rawtrace.match.comparison.shapes import BOX, STROKE_PX, STROKE_SHARE, TEXT, shape_of
from rawtrace.match.model import Cause, Difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Ink differs from what it covers by this many grey levels at least.
LEAST_CONTRAST = 30.0
#: Chroma (greatest less least sample) from which ink is coloured, in a grey picture.
LEAST_CHROMA = 40
#: Contrast of ink with its surroundings, as a share of that with what it covers.
SEEN_SHARE = 0.45
#: Ink beyond these grey levels is black or white.
BLACK, WHITE = 24, 231
RIM_PX = 2
MOST_PARTS = 3_000
#: How far and how much compression makes the brightness around coloured ink uncertain.
COLOUR_BLUR_PX, COLOUR_BLUR_LEVELS = 10, 9.0
_LEAST_PIXELS = 4
_LEAST_TEXT = 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mark:
    """One annotation.

    Attributes
    ----------
    kind : str
    box : tuple of slice
        Rows and columns.
    pixels : ndarray of bool
        Within the box: ink and its rim.
    core : ndarray of bool
        Within the box: pixels of full ink.
    ink : float
        Grey level.
    covers_px : int
        Pixels under a solid part that show content in the expected picture; 0 for strokes.
    coloured : bool
    parts : int
        How many unconnected parts it has.
    levels : float
        Greatest change, grey levels.
    strength : float
        Greatest change, standard deviations of the noise.
    """

    kind: str
    box: tuple[slice, slice]
    pixels: NDArray[Any]
    core: NDArray[Any]
    ink: float
    covers_px: int
    coloured: bool
    parts: int
    levels: float
    strength: float

    def difference(self) -> Difference:
        """Return the mark as a difference."""
        import numpy as np

        rows, columns = self.box
        y, x = np.nonzero(self.pixels)
        left, top = columns.start + int(x.min()), rows.start + int(y.min())
        return Difference(
            box=(left, top, int(np.ptp(x)) + 1, int(np.ptp(y)) + 1), area_px=len(y), cause=Cause.ANNOTATION,
            kind=self.kind, strength=self.strength, levels=self.levels, covers_px=self.covers_px,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Picture:
    """What all parts are judged by."""

    expected: NDArray[Any]
    published: NDArray[Any]
    sigma: NDArray[Any]
    chroma: NDArray[Any] | None
    tolerance: float

    @property
    def short(self) -> int:
        return int(min(self.expected.shape))


def find_marks(expected: NDArray[Any], published: NDArray[Any], mask: NDArray[Any], sigma: NDArray[Any],
               compression: Compression | None, *, colour: NDArray[Any] | None = None) -> tuple[Mark, ...]:  # fmt: skip
    """Find what looks like annotations; ``apart`` decides after they are painted into the expected picture.

    Parameters
    ----------
    expected, published, sigma : ndarray of float32
        (Y, X), grey levels.
    mask : ndarray of bool
    compression : Compression or None
        What makes ink uneven.
    colour : ndarray of uint8, optional
        (Y, X, 3), the published picture.
    """
    import cv2
    import numpy as np
    from scipy import ndimage

    chroma = _chroma(colour, mask)
    away = np.abs(published - expected)
    strong = away > np.maximum(LEAST_CONTRAST, 5 * np.minimum(sigma, 12))
    if chroma is not None:
        strong |= chroma > LEAST_CHROMA
    strong &= mask
    if not strong.any():
        return ()
    fine = 0.0 if compression is None else float(np.mean([compression.steps[i] for i in (0, 1, 2, 8, 9, 10, 16, 17)]))
    picture = _Picture(expected=expected, published=published, sigma=sigma, chroma=chroma,
                       tolerance=6 + 1.6 * fine)  # fmt: skip
    _, labels, stats, _ = cv2.connectedComponentsWithStats(strong.astype(np.uint8), connectivity=8)
    order = np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:MOST_PARTS] + 1
    boxes = ndimage.find_objects(labels)
    parts = []
    for index in order:
        if stats[index, cv2.CC_STAT_AREA] < _LEAST_PIXELS:
            break
        part = _part(labels, int(index), boxes[index - 1], picture)
        if part is not None:
            parts.append(part)
    return _texts(parts, picture)


def _chroma(colour: NDArray[Any] | None, mask: NDArray[Any]) -> NDArray[Any] | None:
    """Return how coloured each pixel is, if the picture as a whole is grey."""
    import numpy as np

    if colour is None:
        return None
    chroma = colour.max(-1).astype(np.int16) - colour.min(-1)
    inside = chroma[mask]
    return chroma if inside.size and float(np.percentile(inside, 80)) < 12 else None


def _part(labels: NDArray[Any], index: int, box: tuple[slice, slice], picture: _Picture) -> Mark | None:
    """Return one connected part as a mark if it is flat ink of a drawn shape that is meant to be seen."""
    import cv2
    import numpy as np

    reach = 8
    wide = _widened(box, reach, labels.shape)
    own = labels[wide] == index
    published, expected = picture.published[wide], picture.expected[wide]
    away = np.abs(published - expected)
    depth = cv2.distanceTransform(np.pad(own.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    deep = own & (depth >= 0.6 * depth.max())
    brighter = float(np.median(published[own] - expected[own])) > 0
    # The ink is the deepest pixels' value; of strokes finer than a pixel, which are mixed all over, the extreme one.
    inks = [_weighted_median(published[deep], away[deep] ** 2 + 1)]
    if depth.max() < 3:
        extreme = float(np.percentile(published[own], 96 if brighter else 4))
        inks.insert(0 if extreme <= BLACK or extreme >= WHITE else 1, extreme)
    for ink in inks:
        share = np.clip((published - expected) / np.where(np.abs(ink - expected) < 12, np.inf, ink - expected), 0, 1)
        core = own & ((np.abs(published - ink) <= picture.tolerance) | ((share > 0.72) & (depth < 3)))
        rim = cv2.dilate(core.astype(np.uint8), np.ones((2 * RIM_PX + 1,) * 2, np.uint8)) > 0
        low, high = np.minimum(expected, ink) - picture.tolerance, np.maximum(expected, ink) + picture.tolerance
        mixed = rim & (published >= low) & (published <= high)
        count = np.count_nonzero(own)
        if np.count_nonzero(core) >= 0.25 * count and np.count_nonzero(own & (core | mixed)) >= 0.88 * count:
            break
    else:
        return None
    if not _coloured(wide, core, picture) and not _seen(own, core, ink, expected, labels[wide]):
        return None
    limit = max(STROKE_PX, STROKE_SHARE * picture.short)
    kind = shape_of(own, depth, limit, picture.expected.shape)
    if not kind:
        return None
    # Grey ink may be coloured ink of a picture made grey: then it is even, and more than a speck.
    if not _extreme(ink, wide, core, picture):
        even = own & (np.abs(published - ink) <= 0.8 * picture.tolerance)
        if np.count_nonzero(even) < max(0.35 * np.count_nonzero(own), 12.0):
            return None
    pixels = own | (mixed & (away > 3 * picture.sigma[wide]))
    solid = core & (depth > RIM_PX)
    covered = (
        np.count_nonzero(solid & (np.abs(expected - _surround(own, expected)) > 5))
        if kind == BOX and depth.max() > 3
        else 0
    )
    return Mark(
        kind=kind, box=wide, pixels=pixels, core=own & (np.abs(published - ink) <= picture.tolerance), ink=ink,
        covers_px=int(covered), coloured=_coloured(wide, core, picture), parts=1,
        levels=float(away[own].max()), strength=float((away[own] / picture.sigma[wide][own]).max()),
    )  # fmt: skip


def _widened(box: tuple[slice, slice], reach: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = box
    return (
        slice(max(0, rows.start - reach), min(shape[0], rows.stop + reach)),
        slice(max(0, columns.start - reach), min(shape[1], columns.stop + reach)),
    )


def _weighted_median(values: NDArray[Any], weights: NDArray[Any]) -> float:
    import numpy as np

    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _extreme(ink: float, box: tuple[slice, slice], core: NDArray[Any], picture: _Picture) -> bool:
    """Whether ink is about black or white, or coloured."""
    return ink <= BLACK or ink >= WHITE or _coloured(box, core, picture)


def _coloured(box: tuple[slice, slice], core: NDArray[Any], picture: _Picture) -> bool:
    import numpy as np

    return picture.chroma is not None and float(np.median(picture.chroma[box][core])) > LEAST_CHROMA


def _ring(own: NDArray[Any], inner: int, outer: int) -> NDArray[Any]:
    import cv2
    import numpy as np

    near, far = (cv2.dilate(own.astype(np.uint8), np.ones((2 * n + 1,) * 2, np.uint8)) > 0 for n in (inner, outer))
    result: NDArray[Any] = far & ~near
    return result


def _surround(own: NDArray[Any], expected: NDArray[Any]) -> float:
    import numpy as np

    ring = _ring(own, 2, 7)
    return float(np.median(expected[ring])) if ring.any() else float(np.median(expected))


def _seen(own: NDArray[Any], core: NDArray[Any], ink: float, expected: NDArray[Any], labels: NDArray[Any]) -> bool:
    """Whether ink stands out from its surroundings, and not only from what it covers."""
    import numpy as np

    ring = _ring(own, 2, 7) & (labels == 0)
    if np.count_nonzero(ring) < 8:
        return False
    around = np.abs(expected[ring] - ink)
    under = float(np.percentile(np.abs(expected[core] - ink), 80))
    return float(np.median(around)) >= max(25.0, SEEN_SHARE * under) and float(np.mean(around > 20)) > 0.55


def _texts(parts: list[Mark], picture: _Picture) -> tuple[Mark, ...]:
    """Join letters that stand near each other into texts."""
    import numpy as np

    letters = [part for part in parts if part.kind == TEXT]
    others = [part for part in parts if part.kind != TEXT]
    groups: list[list[Mark]] = []
    boxes: list[list[int]] = []
    for letter in sorted(letters, key=lambda part: (part.box[1].start, part.box[0].start)):
        y0, y1, x0, x1 = (letter.box[0].start, letter.box[0].stop, letter.box[1].start, letter.box[1].stop)
        for group, box in zip(groups, boxes, strict=True):
            gap = max(6.0, 0.6 * min(y1 - y0, box[1] - box[0]))
            apart = max(x0 - box[3], box[2] - x1), max(y0 - box[1], box[0] - y1)
            if apart[0] < gap and apart[1] < 0.3 * gap and abs(letter.ink - group[0].ink) < 40:
                group.append(letter)
                box[:] = [min(y0, box[0]), max(y1, box[1]), min(x0, box[2]), max(x1, box[3])]
                break
        else:
            groups.append([letter])
            boxes.append([y0, y1, x0, x1])
    joined = []
    for group, (y0, y1, x0, x1) in zip(groups, boxes, strict=True):
        if sum(np.count_nonzero(letter.pixels) for letter in group) < _LEAST_TEXT:
            continue
        pixels, core = np.zeros((y1 - y0, x1 - x0), bool), np.zeros((y1 - y0, x1 - x0), bool)
        for letter in group:
            part = (slice(letter.box[0].start - y0, letter.box[0].stop - y0),
                    slice(letter.box[1].start - x0, letter.box[1].stop - x0))  # fmt: skip
            pixels[part] |= letter.pixels
            core[part] |= letter.core
        joined.append(replace(
            group[0], box=(slice(y0, y1), slice(x0, x1)), pixels=pixels, core=core,
            ink=float(np.median([letter.ink for letter in group])), levels=max(letter.levels for letter in group),
            strength=max(letter.strength for letter in group), parts=len(group),
            covers_px=sum(letter.covers_px for letter in group),
        ))  # fmt: skip
    return (*others, *joined)


def painted(expected: NDArray[Any], published: NDArray[Any], marks: tuple[Mark, ...]) -> NDArray[Any]:
    """Return the expected picture with the marks laid over it, mixed at their rims as published."""
    import cv2
    import numpy as np

    result = expected.copy()
    for mark in marks:
        part, seen = result[mark.box], published[mark.box]
        rim = cv2.dilate(mark.pixels.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        mixed = np.clip(seen, np.minimum(part, mark.ink), np.maximum(part, mark.ink))
        part[rim] = mixed[rim]
        part[mark.core] = mark.ink
    return result


def unevenness(marks: tuple[Mark, ...], shape: tuple[int, int]) -> NDArray[Any]:
    """Return the deviation that compression causes around coloured ink, whose colours it blurs, (Y, X), grey levels."""
    import cv2
    import numpy as np

    result = np.zeros(shape, np.uint8)
    for mark in marks:
        if mark.coloured:
            result[mark.box] |= mark.pixels
    if result.any():
        result = cv2.dilate(result, np.ones((2 * COLOUR_BLUR_PX + 1,) * 2, np.uint8))
    return result * np.float32(COLOUR_BLUR_LEVELS)


def apart(marks: tuple[Mark, ...], narrow: NDArray[Any], edge: float) -> tuple[tuple[Mark, ...], bool]:
    """Return the marks around which the picture is as expected, and whether some were left out.

    What is left after painting is an edit if it is a good part of the mark: then the ink belongs to it.

    Parameters
    ----------
    marks : tuple of Mark
    narrow : ndarray of float32
        Mean deviation around each pixel, after the marks were painted.
    edge : float
        Deviation from which a pixel belongs to an edit.
    """
    import cv2
    import numpy as np

    inked = np.zeros(narrow.shape, np.uint8)
    for mark in marks:
        inked[mark.box] |= mark.pixels
    inked = cv2.dilate(inked, np.ones((2 * RIM_PX + 1,) * 2, np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats((narrow > edge).astype(np.uint8), connectivity=8)
    areas = [s for s in stats[1:] if s[cv2.CC_STAT_AREA] >= 12]
    kept = []
    for mark in marks:
        reach = 6
        wide = _widened(mark.box, reach, narrow.shape)
        rows, columns = mark.box
        own = np.zeros(narrow[wide].shape, bool)
        top, left = rows.start - wide[0].start, columns.start - wide[1].start
        own[top : top + mark.pixels.shape[0], left : left + mark.pixels.shape[1]] = mark.pixels
        ring = _ring(own, 2, 6) & (inked[wide] == 0)
        area = np.count_nonzero(mark.pixels)
        beside = any(
            s[cv2.CC_STAT_AREA] >= 0.6 * area
            and s[cv2.CC_STAT_LEFT] < wide[1].stop and wide[1].start < s[cv2.CC_STAT_LEFT] + s[cv2.CC_STAT_WIDTH]
            and s[cv2.CC_STAT_TOP] < wide[0].stop and wide[0].start < s[cv2.CC_STAT_TOP] + s[cv2.CC_STAT_HEIGHT]
            for s in areas if mark.parts == 1 and (mark.kind == TEXT or area < 120)
        )  # fmt: skip
        if not beside and (not ring.any() or float(np.mean(narrow[wide][ring] > edge)) < 0.25):
            kept.append(mark)
    return tuple(kept), len(kept) < len(marks)
