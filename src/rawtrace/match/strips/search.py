"""Where a strip may lie, from coarse to fine, on reduced pictures.

First the lanes alone: a strip summed over its height is a line that tells its
lanes, whatever its slope and whether top and bottom are exchanged. Such lines
are cut out of an original at every height and compared with zero-mean
correlation over all scales, upright and mirrored. Then the likeliest places
are compared in both dimensions with a few slopes. Inversion is the sign of the
correlation, so it costs nothing. Flat places are left out by their spread, for
the correlation of a flat place means nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.features import computer_vision
from rawtrace.match.strips.features import StripFeatures, toned

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Samples of a strip's line of lanes.
LINE = 56
#: Longest line of an original; a strip that would be a smaller part is not looked for.
LONGEST_LINE = 576
#: Published pixels for one of the original.
SCALES = (0.28, 1.7)
#: Windows flatter than this share of the picture's spread are left out.
FLAT = 0.08
#: Places of all originals together that are compared in both dimensions, and of those with stretches.
IN_ALL, STRETCHED = 480, 120
#: Lines of lanes that agree nearly as well as the best one of an original are all kept: a ladder has many.
NEARLY = 0.10


@dataclass(frozen=True, slots=True)
class Grain:
    """How closely one original is looked through.

    Attributes
    ----------
    step : float
        From one scale to the next.
    peaks, apart : int
        Places of one scale, and samples of the line between them.
    places : int
        Of all scales together.
    pixels : float
        Of a template in both dimensions.
    slopes_deg, stretches : tuple[float, ...]
    """

    step: float
    peaks: int
    apart: int
    places: int
    pixels: float
    slopes_deg: tuple[float, ...]
    stretches: tuple[float, ...]


COARSE = Grain(1.08, 14, 7, 48, 520.0, (-2.2, 0.0, 2.2), (0.965, 1.035))
CLOSE = Grain(1.04, 40, 3, 200, 1_000.0, (-2.6, -1.3, 0.0, 1.3, 2.6), (0.98, 1.02))


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One place where the strip may lie.

    Attributes
    ----------
    member : int
        Which original.
    matrix : ndarray
        2 x 3, from (x, y) of the original to (x, y) of the strip, px.
    score : float
        Correlation, 0 to 1.
    inverted : bool
        Whether dark and bright are exchanged, between the two as they are compared.
    """

    member: int
    matrix: NDArray[Any]
    score: float
    inverted: bool


class Search:
    """One strip, looked for in any number of originals; holds those of the likeliest places only.

    Parameters
    ----------
    query : ndarray of float32
        (Y, X), grey.
    """

    def __init__(self, query: NDArray[Any]) -> None:
        self._bright = toned(query)
        self._line = _line(self._bright)
        self._spectra: dict[int, NDArray[Any]] = {}
        self._rough: list[Place] = []
        self._members: dict[int, StripFeatures] = {}

    def add(self, number: int, member: StripFeatures) -> None:
        """Look through one original; ``number`` is what its places will name it by."""
        found = _by_lanes(number, member, _picture(member), self._bright.shape, self._line, self._spectra, COARSE)
        if found:
            self._members[number] = member
            self._rough += found
        if len(self._rough) > 4 * IN_ALL:
            self._prune()

    @property
    def members(self) -> frozenset[int]:
        """The originals that may still be named."""
        return frozenset(self._members)

    def places(self, *, limit: int) -> list[Place]:
        """Return the likeliest places in all originals together, best first."""
        self._prune()
        templates = _Templates(self._bright, COARSE)
        pictures = {number: _picture(member) for number, member in self._members.items()}

        def best(place: Place, stretches: tuple[float, ...]) -> Place:
            return templates.best(place, self._members[place.member], pictures[place.member], stretches)

        fine = sorted((best(place, (1.0,)) for place in self._rough), key=lambda place: -place.score)
        better = [max(place, best(place, COARSE.stretches), key=lambda one: one.score) for place in fine[:STRETCHED]]
        return apart(sorted(better, key=lambda place: -place.score), self._bright.shape)[:limit]

    def closely(self, number: int, member: StripFeatures, *, limit: int) -> list[Place]:
        """Look once more, and closely, at one original: lanes of a ladder are alike but for little."""
        picture, shape = _picture(member), self._bright.shape
        rough = _by_lanes(number, member, picture, shape, self._line, self._spectra, CLOSE)
        templates = _Templates(self._bright, CLOSE)
        fine = sorted((templates.best(place, member, picture, (1.0,)) for place in rough), key=lambda one: -one.score)
        better = [max(place, templates.best(place, member, picture, CLOSE.stretches), key=lambda one: one.score)
                  for place in fine[:limit]]  # fmt: skip
        return apart(sorted(better, key=lambda place: -place.score), shape)

    def _prune(self) -> None:
        self._rough = sorted(self._rough, key=lambda place: -place.score)[:IN_ALL]
        needed = {place.member for place in self._rough}
        self._members = {number: member for number, member in self._members.items() if number in needed}


def _picture(member: StripFeatures) -> NDArray[Any]:
    import numpy as np

    return member.reduced.astype(np.float32) * np.float32(1 / 255)


def _line(bright: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    cv2 = computer_vision()
    line = cv2.resize(bright.mean(0, keepdims=True), (LINE, 1), interpolation=cv2.INTER_AREA)[0]
    line = line - line.mean()
    return np.asarray(line / max(float(np.sqrt((line**2).sum())), 1e-6), np.float32)


def _by_lanes(
    number: int, member: StripFeatures, picture: NDArray[Any], shape: tuple[int, ...], line: NDArray[Any],
    spectra: dict[int, NDArray[Any]], grain: Grain,
) -> list[Place]:  # fmt: skip
    import numpy as np

    cv2 = computer_vision()
    from scipy import fft

    spread = float(picture.std())
    if spread == 0:
        return []
    height, width = shape
    rows, columns = picture.shape
    sums = np.zeros((rows + 1, columns), np.float32)
    np.cumsum(picture, axis=0, out=sums[1:])
    kx, ky = columns / member.shape[1], rows / member.shape[0]
    found: list[tuple[float, float, int, float, float]] = []
    scale, top = SCALES[0] / grain.step, 0.0
    while (scale := scale * grain.step) <= SCALES[1]:
        across, tall = width / scale * kx, max(2, round(height / scale * ky))
        length = round(columns * LINE / across)
        if length < LINE or length > LONGEST_LINE or tall > rows:
            continue
        tops = np.arange(0, rows - tall + 1, max(1, tall // 3))
        lines = (sums[tops + tall] - sums[tops]) * np.float32(1 / tall)
        lines = cv2.resize(
            lines, (length, len(tops)), interpolation=cv2.INTER_AREA if length < columns else cv2.INTER_LINEAR
        )
        padded = fft.next_fast_len(length, real=True)
        if padded not in spectra:
            spectra[padded] = np.conj(fft.rfft(np.stack([line, line[::-1]]), padded))
        valid = length - LINE + 1
        raw = fft.irfft(fft.rfft(lines, padded)[None] * spectra[padded][:, None], padded)[..., :valid]
        window: dict[str, Any] = {
            "ksize": (LINE, 1),
            "anchor": (0, 0),
            "normalize": False,
            "borderType": cv2.BORDER_CONSTANT,
        }
        total = cv2.boxFilter(lines, -1, **window)[:, :valid]
        square = cv2.sqrBoxFilter(lines, cv2.CV_32F, **window)[:, :valid]
        norm = np.sqrt(np.maximum(square - total**2 / LINE, 0))
        norm[norm < FLAT * spread * math.sqrt(LINE)] = np.inf
        value = np.abs(raw).max(0) / norm
        for peak in range(grain.peaks):
            at = int(value.argmax())
            row, x = divmod(at, valid)
            score = float(value[row, x])
            top = max(top, score)
            if score <= 0.3 or (peak > 1 and score < top - NEARLY):
                break
            signed = raw[:, row, x]
            side = int(np.abs(signed).argmax())
            middle_x = (x + LINE / 2) / length * member.shape[1]
            middle_y = (tops[row] + tall / 2) / ky
            found.append((score if signed[side] > 0 else -score, scale, side, middle_x, middle_y))
            value[max(0, row - 2) : row + 3, max(0, x - grain.apart) : x + grain.apart + 1] = 0
    found.sort(key=lambda one: -abs(one[0]))
    kept: list[tuple[float, float, int, float, float]] = []
    for one in found:
        if not any(one[2] == other[2] and abs(math.log(one[1] / other[1])) < 0.1
                   and abs(one[3] - other[3]) < 0.06 * width / one[1]
                   and abs(one[4] - other[4]) < 0.4 * height / one[1] for other in kept):  # fmt: skip
            kept.append(one)
            if len(kept) == grain.places:
                break
    return [Place(number, _matrix(s, side, x, y, shape), abs(score), score < 0) for score, s, side, x, y in kept]


def _matrix(scale: float, mirrored: int, x: float, y: float, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the map that brings a place (px edges count from 0) of the original to the middle of the strip."""
    import numpy as np

    height, width = shape
    sx = -scale if mirrored else scale
    return np.array([[sx, 0, (width - 1) / 2 - sx * (x - 0.5)], [0, scale, (height - 1) / 2 - scale * (y - 0.5)]])


class _Templates:
    """A strip reduced, with every slope, upright and top to bottom."""

    def __init__(self, bright: NDArray[Any], grain: Grain) -> None:
        import numpy as np

        cv2 = computer_vision()
        self._shape = height, width = bright.shape
        reduction = min(1.0, math.sqrt(grain.pixels / bright.size))
        self.size = (max(8, round(width * reduction)), max(4, round(height * reduction)))
        fx, fy = self.size[0] / width, self.size[1] / height
        self.shrink = np.array([[fx, 0, 0.5 * fx - 0.5], [0, fy, 0.5 * fy - 0.5], [0, 0, 1]])
        blurred = cv2.GaussianBlur(bright, (0, 0), sigmaX=max(0.3, 0.45 / fx), sigmaY=max(0.3, 0.45 / fy))
        self._all: list[tuple[NDArray[Any], NDArray[Any]]] = []
        for slope in grain.slopes_deg:
            shear = math.tan(math.radians(slope))
            tilt = np.array([[1, 0, 0], [shear, 1, -shear * (width - 1) / 2], [0, 0, 1]])
            whole = self.shrink @ tilt
            small = cv2.warpAffine(blurred, whole[:2], self.size, flags=cv2.INTER_LINEAR,
                                   borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
            flip = np.array([[1, 0, 0], [0, -1, self.size[1] - 1], [0, 0, 1]])
            self._all.append((small, whole))
            self._all.append((np.ascontiguousarray(small[::-1]), flip @ whole))

    def best(self, place: Place, member: StripFeatures, picture: NDArray[Any], stretches: tuple[float, ...]
             ) -> Place:  # fmt: skip
        """Compare a place in both dimensions; the best slope, side, shift and stretch along the strip."""
        import numpy as np

        cv2 = computer_vision()
        margin = (max(3, self.size[0] // 10), max(3, self.size[1] // 2))
        window = (self.size[0] + 2 * margin[0], self.size[1] + 2 * margin[1])
        enlarge = np.array([[member.shape[1] / picture.shape[1], 0, 0.0], [0, member.shape[0] / picture.shape[0], 0],
                            [0, 0, 1]])  # fmt: skip
        enlarge[0, 2], enlarge[1, 2] = 0.5 * enlarge[0, 0] - 0.5, 0.5 * enlarge[1, 1] - 0.5
        placed = np.vstack([place.matrix, [0, 0, 1]])
        best = (-1.0, placed, False)
        for stretch in stretches:
            middle = (self._shape[1] - 1) / 2
            wider = np.array([[stretch, 0, middle * (1 - stretch)], [0, 1, 0], [0, 0, 1]])
            shift = np.array([[1, 0, margin[0]], [0, 1, margin[1]], [0, 0, 1]])
            to_window = shift @ self.shrink @ wider @ placed
            cut = cv2.warpAffine(picture, (to_window @ enlarge)[:2], window, flags=cv2.INTER_LINEAR,
                                 borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
            if float(cut.std()) < 0.01:
                continue
            for small, whole in self._all:
                values = cv2.matchTemplate(cut, small, cv2.TM_CCOEFF_NORMED)
                least, most, least_at, most_at = cv2.minMaxLoc(values)
                inverted = place.inverted
                score, at = (-least, least_at) if inverted else (most, most_at)
                if score > best[0] and math.isfinite(score):
                    back = np.array([[1, 0, -at[0]], [0, 1, -at[1]], [0, 0, 1.0]])
                    best = (float(score), np.linalg.inv(whole) @ back @ to_window, inverted)
        return Place(place.member, best[1][:2], max(0.0, min(best[0], 1.0)), best[2])


def apart(found: list[Place], shape: tuple[int, ...]) -> list[Place]:
    """Leave out places that are another one of the same original over again."""
    kept: list[Place] = []
    for place in found:
        if not any(same_place(place, other, shape) for other in kept):
            kept.append(place)
    return kept


def same_place(one: Place, other: Place, shape: tuple[int, ...]) -> bool:
    """Tell whether two places differ by less than a twentieth of the strip's width and a quarter of its height."""
    import numpy as np

    if one.member != other.member:
        return False
    height, width = shape
    corners = np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1], [1, 1, 1, 1]], float)
    there = np.vstack([other.matrix, [0, 0, 1]]) @ np.linalg.inv(np.vstack([one.matrix, [0, 0, 1]])) @ corners
    off = np.abs(there[:2] - corners[:2]).max(1)
    return bool(off[0] < 0.05 * width and off[1] < max(0.25 * height, 0.04 * width))
