"""Says what an unexplained area looks like, in words that accuse nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPEATS = "repeats another area"
MISSING = "detail is missing"
ADDED = "detail was added"
CONTRAST = "local contrast"
BLURRED = "blurred"

#: Correlation from which two areas of one picture are the same, and by how much the expected picture must be less so.
_SAME, _LESS = 0.9, 0.25
#: Share of the deviation that a simple cause must take away.
_EXPLAINS = 0.75
_FOLLOWS = 0.85
_SIMILAR = 0.7
_LONGEST_EDGE = 640


def kind_of(box: tuple[slice, slice], pixels: NDArray[Any], expected: NDArray[Any], published: NDArray[Any],
            sigma: NDArray[Any], *, search: bool = True) -> str:  # fmt: skip
    """Return what an area looks like, ``""`` where nothing fits.

    Parameters
    ----------
    box : tuple of slice
    pixels : ndarray of bool
        Within the box.
    expected, published, sigma : ndarray of float32
        (Y, X), grey levels.
    search : bool
        Whether to look for the same content elsewhere in the picture, which takes longest.
    """
    import cv2
    import numpy as np

    core = _core(pixels)
    # Blurring needs what lies around.
    rows, columns = (slice(max(0, s.start - 12), s.stop + 12) for s in box)
    inner = (slice(box[0].start - rows.start, box[0].stop - rows.start),
             slice(box[1].start - columns.start, box[1].stop - columns.start))  # fmt: skip
    wide = expected[rows, columns]
    ours, theirs = expected[box][core], published[box][core]
    noise = float(np.mean(sigma[box][core] ** 2))
    apart = max(float(np.mean((theirs - ours) ** 2)) - noise, 1e-6)
    left = {"": apart}
    furthest = max(1.5, 0.2 * float(np.sqrt(np.count_nonzero(pixels))))
    for reach in (reach for reach in (1.0, 1.5, 2.2, 3.2, 4.5, 7.0, 10.0) if reach <= furthest):
        soft = cv2.GaussianBlur(wide, (0, 0), reach)[inner][core]
        # What is merely flat is near to any mean; what is blurred follows the coarse structure.
        if _correlation(soft, theirs) > _FOLLOWS:
            left[BLURRED] = min(left.get(BLURRED, np.inf), float(np.mean((theirs - soft) ** 2)))
    slope, rest = _line(ours, theirs)
    # Any line explains a mere difference of brightness; contrast keeps what there is to see.
    if slope > 0.1 and _correlation(ours, theirs) > _SIMILAR:
        left[CONTRAST] = rest
    best = min(left, key=lambda kind: left[kind])
    if best and left[best] - noise < (1 - _EXPLAINS) * apart:
        return best
    if theirs.std() < 0.3 * ours.std():
        return MISSING
    if search and _repeats(box, core, expected, published):
        return REPEATS
    # Fine structure, of the expected and of the published picture.
    fine = [_roughness(picture[rows, columns], inner, core) for picture in (expected, published)]
    if fine[1] < 0.6 * fine[0]:
        return MISSING
    return ADDED


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    import numpy as np

    spread = float(a.std() * b.std())
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / spread if spread > 0 else 0.0


def _core(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the inner part of an area: its rim is a mixture."""
    import cv2
    import numpy as np

    depth = cv2.distanceTransform(np.pad(pixels.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    core = depth > 0.35 * depth.max()
    return core if np.count_nonzero(core) >= 12 else pixels


def _line(ours: NDArray[Any], theirs: NDArray[Any]) -> tuple[float, float]:
    """Return slope and mean squared rest of a straight line from one to the other."""
    import numpy as np

    inner = (theirs > 0) & (theirs < 255)
    x, y = (ours[inner], theirs[inner]) if np.count_nonzero(inner) > 20 else (ours, theirs)
    variance = float(x.var())
    if variance < 1:
        return 0.0, float("inf")
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / variance
    fitted = np.clip(y.mean() + slope * (ours - x.mean()), 0, 255)
    return slope, float(np.mean((theirs - fitted) ** 2))


def _roughness(part: NDArray[Any], inner: tuple[slice, slice], core: NDArray[Any]) -> float:
    import cv2

    fine = part - cv2.GaussianBlur(part, (0, 0), 3.0)
    return float(fine[inner][core].std()) + 0.5


def _repeats(box: tuple[slice, slice], core: NDArray[Any], expected: NDArray[Any], published: NDArray[Any]) -> bool:
    """Whether the area shows what another place of the picture shows, also turned or mirrored."""
    import cv2
    import numpy as np
    from scipy import ndimage

    rows, columns = ndimage.find_objects(core.astype(np.uint8))[0]
    top, left = box[0].start + rows.start, box[1].start + columns.start
    high, wide = rows.stop - rows.start, columns.stop - columns.start
    # The middle of the area holds nothing of its surroundings.
    cut_y, cut_x = (round(0.15 * n) for n in (high, wide))
    top, left, high, wide = top + cut_y, left + cut_x, high - 2 * cut_y, wide - 2 * cut_x
    factor = min(1.0, _LONGEST_EDGE / max(published.shape))
    if min(high, wide) * factor < 8:
        return False
    where = (slice(top, top + high), slice(left, left + wide))
    if published[where].std() < 4:
        return False
    small = [cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else picture
             for picture in (published, expected)]  # fmt: skip
    y, x, h, w = (round(n * factor) for n in (top, left, high, wide))
    pattern = small[0][y : y + h, x : x + w]
    for turned in _turned(pattern):
        th, tw = turned.shape
        if th >= small[0].shape[0] or tw >= small[0].shape[1]:
            continue
        score = cv2.matchTemplate(small[0], np.ascontiguousarray(turned), cv2.TM_CCOEFF_NORMED)
        # Flat places correlate with anything, and the area itself does not count.
        mean = cv2.boxFilter(small[0], cv2.CV_32F, (tw, th), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
        square = cv2.boxFilter(small[0] ** 2, cv2.CV_32F, (tw, th), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
        spread = np.sqrt(np.maximum(square - mean**2, 0))[: score.shape[0], : score.shape[1]]
        score[spread < 0.4 * float(turned.std())] = 0
        score[max(0, y - th // 2) : y + th // 2 + 1, max(0, x - tw // 2) : x + tw // 2 + 1] = 0
        _, peak, _, (px, py) = cv2.minMaxLoc(score)
        if peak > _SAME:
            there = small[1][py : py + th, px : px + tw].ravel()
            here = next(part for pattern_part, part in zip(_turned(pattern), _turned(small[1][y : y + h, x : x + w]),
                                                           strict=True) if pattern_part.shape == turned.shape
                        and np.array_equal(pattern_part, turned)).ravel()  # fmt: skip
            before = _correlation(here, there)
            if before < peak - _LESS:
                return True
    return False


def _turned(pattern: NDArray[Any]) -> list[NDArray[Any]]:
    import numpy as np

    turns = [np.rot90(pattern, quarter) for quarter in range(4)]
    return turns + [np.fliplr(turn) for turn in turns]
