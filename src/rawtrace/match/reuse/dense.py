"""A second opinion on where a picture looks like itself: circles on a close grid instead of points that stand out.

After strong compression, and on small areas, few points survive. Circles are
described by their moments, whose magnitudes neither turning nor mirroring
changes; the phases of two alike circles then tell how the one is turned.
Circles that go where their neighbours go are gathered as points are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rawtrace.match.features import computer_vision
from rawtrace.match.reuse.selfmatch import Hypothesis, gather

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Longest edge at which circles are compared, px.
WORK_EDGE = 288
#: Radius of a circle, px of the work.
RADIUS = 5
#: Radial and angular order of the moments.
ORDERS = (
    (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3), (3, 0), (3, 1),
)  # fmt: skip
_STEP = 2
#: Grey levels that compression changes moments by: what is below says little.
_FLOOR = 0.4
_LEAST = 1.0
_NEAREST = 2.2 * RADIUS
_PER_CELL = 256
_PROBED = 2
_KEPT = 2
_ANGLES = 48
_ALIKE = 0.8
_SUPPORT = 3
_AWAY = 2.2
_LEAST_AGREEING = 7
MAX_PAIRS = 1_000


def dense_hypotheses(picture: NDArray[Any]) -> list[Hypothesis]:
    """Gather what circles on a grid say about each other.

    Parameters
    ----------
    picture : ndarray of uint8
        (Y, X).

    Returns
    -------
    list of Hypothesis
        Most agreement first.
    """
    cv2 = computer_vision()
    import numpy as np

    factor = min(1.0, WORK_EDGE / max(picture.shape))
    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    work = cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA) if factor < 1 else picture
    if min(work.shape) < 6 * RADIUS:
        return []
    moments, power = _moments(work.astype(np.float32))
    seen = power > _LEAST
    edge = RADIUS - 1
    seen[:edge] = seen[-edge:] = False
    seen[:, :edge] = seen[:, -edge:] = False
    known = np.argwhere(seen)
    asking = known[(known[:, 0] % _STEP == 0) & (known[:, 1] % _STEP == 0)]
    if len(asking) < 32:
        return []
    described = moments[:, known[:, 0], known[:, 1]].T
    asked = moments[:, asking[:, 0], asking[:, 1]].T
    first, second = _alike(asked, described, asking, known)
    if not len(first):
        return []
    score, turn, mirrored = _turned(asked[first], described[second])
    # The best of each circle that asks.
    order = np.lexsort((-score, first))
    lead = order[np.r_[True, first[order][1:] != first[order][:-1]]]
    lead = lead[score[lead] > _ALIKE]
    p, q = asking[first[lead]][:, ::-1].astype(np.float32), known[second[lead]][:, ::-1].astype(np.float32)
    turn, mirrored, score = turn[lead], mirrored[lead], score[lead]
    flip = np.where(mirrored, -1.0, 1.0)
    cos, sin = np.cos(turn), np.sin(turn)
    linear = np.stack([np.stack([flip * cos, -sin], -1), np.stack([flip * sin, cos], -1)], 1).astype(np.float32)
    support = _support(p, q, linear, mirrored, work.shape)
    found: list[Hypothesis] = []
    scale = np.array([size[0] / picture.shape[1], size[1] / picture.shape[0]])
    for side in (False, True):
        chosen = np.flatnonzero((mirrored == side) & (support >= _SUPPORT))
        if len(chosen) > MAX_PAIRS:
            chosen = chosen[np.argsort(-(support[chosen] + score[chosen]), kind="stable")[:MAX_PAIRS]]
        some = gather(p[chosen], q[chosen], linear[chosen], least=_LEAST_AGREEING)
        found += [_full(one, scale) for one in some]
    return sorted(found, key=lambda one: -one.inliers)


def _full(one: Hypothesis, scale: NDArray[Any]) -> Hypothesis:
    """Take a hypothesis from the work to the picture."""
    import numpy as np

    def up(points: NDArray[Any]) -> NDArray[Any]:
        moved: NDArray[Any] = ((points + 0.5) / scale - 0.5).astype(np.float32)
        return moved

    linear = one.matrix[:, :2] * scale[None] / scale[:, None]
    at, to = up(np.zeros((1, 2)))[0], up(one.matrix[:, 2][None])[0]
    return Hypothesis(matrix=np.c_[linear, to - linear @ at], source=up(one.source), target=up(one.target))


def _moments(work: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return (orders, Y, X) moments, made about as large as each other, and the contrast of each circle."""
    cv2 = computer_vision()
    import numpy as np

    y, x = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1].astype(np.float64)
    square, angle = (x * x + y * y) / (RADIUS + 0.5) ** 2, np.arctan2(y, x)
    inside = square <= 1
    moments = np.empty((len(ORDERS), *work.shape), np.complex64)
    total = np.zeros(work.shape, np.float32)
    for number, (radial, angular) in enumerate(ORDERS):
        kernel = np.cos(np.pi * radial * square) * np.exp(-1j * angular * angle) * inside
        kernel = (kernel - kernel[inside].mean() * inside) * (2**0.5 if radial else 1.0) / inside.sum()
        kernel *= 1.0 if angular == 0 else 2**0.5
        real = cv2.filter2D(work, cv2.CV_32F, np.ascontiguousarray(kernel.real), borderType=cv2.BORDER_REFLECT)
        moments[number].real = real
        if angular:
            moments[number].imag = cv2.filter2D(
                work, cv2.CV_32F, np.ascontiguousarray(kernel.imag), borderType=cv2.BORDER_REFLECT
            )
        else:
            moments[number].imag = 0
        part = moments[number].real ** 2 + moments[number].imag ** 2
        total += part
        moments[number] /= np.float32(np.sqrt(part.mean()) + _FLOOR)
    return moments, np.sqrt(total)


def _alike(
    asked: NDArray[Any], described: NDArray[Any], asking: NDArray[Any], known: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the numbers of circles and of those far away that have much the same magnitudes."""
    import numpy as np

    def lengths(values: NDArray[Any]) -> NDArray[Any]:
        result = np.abs(values)
        result /= np.linalg.norm(result, axis=1, keepdims=True) + 1e-9
        return result  # type: ignore[no-any-return]

    theirs, ours = lengths(described), lengths(asked)
    count = max(1, len(theirs) // _PER_CELL)
    random = np.random.default_rng(7)
    sample = theirs[np.sort(random.permutation(len(theirs))[: 24 * count])]
    centres = sample[random.permutation(len(sample))[:count]]
    for _ in range(3):
        nearest = (sample @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, sample)
        centres = np.where(np.linalg.norm(sums, axis=1, keepdims=True) > 0, sums, centres)
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    home = (theirs @ centres.T).argmax(1)
    order = np.argsort(home, kind="stable")
    ends = np.searchsorted(home[order], np.arange(count + 1))
    near = np.argsort(-(ours @ centres.T), axis=1)[:, :_PROBED]
    place, spot = known.astype(np.float32), asking.astype(np.float32)
    first, second = [], []
    for cell in range(count):
        members = order[ends[cell] : ends[cell + 1]]
        rows = np.flatnonzero((near == cell).any(1))
        if len(members) < _KEPT or not len(rows):
            continue
        for begin in range(0, len(rows), 2_048):
            some = rows[begin : begin + 2_048]
            products = ours[some] @ theirs[members].T
            products[_squares(spot[some], place[members]) < _NEAREST**2] = -1
            for kept in range(_KEPT):
                best = products.argmax(1)
                good = products[np.arange(len(some)), best] > 0
                first.append(some[good])
                second.append(members[best[good]])
                if kept + 1 < _KEPT:
                    # Neighbours of the best are the same place.
                    products[_squares(place[members[best]], place[members]) < 9] = -1
    if not first:
        return np.zeros(0, int), np.zeros(0, int)
    return np.concatenate(first), np.concatenate(second)


def _squares(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Return the squared distances of all places of the one from all of the other."""
    result: NDArray[Any] = (one @ other.T) * -2
    result += (one**2).sum(1)[:, None]
    result += (other**2).sum(1)
    return result


def _turned(asked: NDArray[Any], found: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return how alike two circles are when turned and mirrored best, by which angle (rad), and if mirrored."""
    import numpy as np

    norm = np.linalg.norm(asked, axis=1) * np.linalg.norm(found, axis=1) + 1e-9
    orders = max(angular for _, angular in ORDERS) + 1
    angles = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    waves = np.exp(-1j * np.arange(orders)[:, None] * angles).astype(np.complex64)
    best = np.full(len(asked), -1.0, np.float32)
    turn, flipped = np.zeros(len(asked), np.float32), np.zeros(len(asked), bool)
    for mirrored in (False, True):
        sums = np.zeros((len(asked), orders), np.complex64)
        for number, (_, angular) in enumerate(ORDERS):
            one = asked[:, number]
            if mirrored:
                one = one.conj() * (-1) ** angular
            sums[:, angular] += one * found[:, number].conj()
        # Real part only: two real products instead of one of complex numbers.
        score = sums.real @ waves.real - sums.imag @ waves.imag
        at = score.argmax(1)
        value = score[np.arange(len(score)), at] / norm
        better = value > best
        best = np.where(better, value, best)
        turn = np.where(better, angles[at], turn)
        flipped = np.where(better, mirrored, flipped)
    return best, turn, flipped


def _support(
    p: NDArray[Any], q: NDArray[Any], linear: NDArray[Any], mirrored: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Count the neighbours of each circle that go where it would take them."""
    import numpy as np

    rows, columns = shape[0] // _STEP + 5, shape[1] // _STEP + 5
    number = np.full((rows, columns), -1)
    y, x = (p[:, 1] / _STEP).astype(int) + 2, (p[:, 0] / _STEP).astype(int) + 2
    number[y, x] = np.arange(len(p))
    support = np.zeros(len(p), int)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            if dx == dy == 0:
                continue
            other = number[y + dy, x + dx]
            has = other >= 0
            step = np.array([dx * _STEP, dy * _STEP], np.float32)
            error = ((q + linear @ step - q[other]) ** 2).sum(1)
            support += has & (error < _AWAY**2) & (mirrored[other] == mirrored)
    return support
