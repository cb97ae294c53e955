"""Finds the originals of a picture: exact pixels first, then points that agree on a placement, then codes.

1. *Pixels.* The digest of the picture as it is, where it is an unprocessed plane.
2. *Features.* Points vote for views, mirrored and inverted ones too; the views with most votes are verified one by
   one (``rawtrace.match.pairs``). A figure is searched as a whole, and then each of its panels.
3. *Code.* Where points say nothing, as in blurred pictures: views with a near Image-Code in one of eight
   orientations, taken only if the pixels agree after turning.

What is found by none of them is not found: the answer is empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rawtrace.image.reader import PlaneIndex
from rawtrace.match.features import Features, computer_vision, features, stretched
from rawtrace.match.galleries import VARIANTS, Entry, Gallery
from rawtrace.match.model import Box, Evidence, Match, Placement, Relation, Where
from rawtrace.match.pairs import (
    Agreement,
    Pair,
    accepted,
    as_matrix,
    compare_pixels,
    moved,
    resizing,
    verify_pair,
)
from rawtrace.match.panels import panels

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Candidates that are verified for one picture; as many again where none of them is right.
VERIFIED = 10
#: Distance of Image-Codes, of 256 bits, that is worth a look.
CODE_RADIUS = 64
#: A picture of more pixels is reduced before anything else.
MAX_PIXELS = 64 << 20
_MAX_PANELS = 24
#: Two placements that share more of the picture than this explain the same part of it.
_SAME_PART = 0.5
#: The lesser placement has to be nearly as good for a structure to be called repeating.
_AS_GOOD = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A view that was verified."""

    number: int
    entry: Entry
    pair: Pair
    agreement: Agreement | None
    score: float
    box: Box

    @property
    def likeness(self) -> float:
        """How well the pixels agree, 0 to 1."""
        return 0.0 if self.agreement is None else (abs(self.agreement.rank) + abs(self.agreement.detail)) / 2


def find(picture: NDArray[Any], gallery: Gallery, *, limit: int = 10) -> tuple[Match, ...]:
    """Find the originals of a picture or of a whole figure.

    Parameters
    ----------
    picture : ndarray
        (Y, X) or (Y, X, S), of any real type.
    gallery : Gallery
        An index, or a ``MemoryGallery``. Where it has a method ``pixels_of``, pixels are compared, too; without,
        many points have to agree.
    limit : int
        At most so many matches.

    Returns
    -------
    tuple[Match, ...]
        Best first; empty where nothing is certain enough.
    """
    exact = _by_pixels(picture, gallery)
    if exact:
        return exact[:limit]
    shades = greys(picture)
    if not shades:
        return ()
    whole = _search(shades, gallery)
    found = list(whole)
    if not any(match.panel is None for match in whole):
        parts = panels(shades[0])
        if len(parts) > 1:
            for part in parts[:_MAX_PANELS]:
                inner = [shade[part[1] : part[3], part[0] : part[2]] for shade in shades]
                size = (shades[0].shape[1], shades[0].shape[0])
                found += [_in_figure(match, part, size) for match in _search([stretched(s) for s in inner], gallery)]
    if not found:
        found = list(_by_code(shades[0], gallery))
    return tuple(_distinct(found)[:limit])


def greys(picture: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the grey pictures to search with, the likeliest first: luminance, and the colours that differ from it.

    Returns
    -------
    list of ndarray of uint8
        (Y, X); empty where there is nothing to see.
    """
    import numpy as np

    from rawtrace.image.views import luminance

    values = np.asarray(picture)
    if values.ndim not in {2, 3} or not values.size or values.dtype.kind not in "buif":
        return []
    step = math.ceil(math.sqrt(max(1.0, values.shape[0] * values.shape[1] / MAX_PIXELS)))
    if step > 1:
        values = values[::step, ::step]
    shown = stretched(luminance(values))
    found = [shown] if shown.any() else []
    if values.ndim == 3 and values.shape[2] in {3, 4}:
        sample = values[:: max(1, values.shape[0] // 128), :: max(1, values.shape[1] // 128), :3].astype(np.float64)
        grey = luminance(sample)
        for colour in range(3):
            one = sample[..., colour]
            if one.std() > 2 and (grey.std() <= 2 or abs(np.corrcoef(one.ravel(), grey.ravel())[0, 1]) < 0.9):
                found.append(stretched(values[..., colour]))
    return found


def which_plane(
    picture: NDArray[Any], placement: Placement, planes: Iterable[tuple[PlaneIndex, NDArray[Any]]]
) -> tuple[tuple[PlaneIndex, float], ...]:
    """Rank the planes of a stack by how well they explain a picture, best first.

    Parameters
    ----------
    picture : ndarray
        (Y, X), grey.
    placement : Placement
        Where the planes lie in it.
    planes : iterable of (index, pixels)
        Each (Y, X), of the size that the placement says.

    Returns
    -------
    tuple of (index, agreement)
        The agreement is 0 to 1; neighbours differ by little, and less than 0.01 says nothing.
    """
    shown = stretched(picture)
    ranked = []
    for index, pixels in planes:
        agreement = compare_pixels(stretched(pixels), shown, placement.matrix)
        ranked.append((index, (abs(agreement.rank) + abs(agreement.detail)) / 2))
    return tuple(sorted(ranked, key=lambda one: -one[1]))


def _by_pixels(picture: NDArray[Any], gallery: Gallery) -> tuple[Match, ...]:
    import numpy as np

    from rawtrace.image.planes import TYPES, canonical_bytes

    values = np.asarray(picture)
    if values.ndim not in {2, 3} or not values.size or values.dtype.name not in TYPES or values.nbytes > 8 * MAX_PIXELS:
        return ()
    if (values == values[:1, :1]).all():
        return ()
    from rawtrace.image.isccunits import bits_of

    digest = bits_of(instance_code(canonical_bytes(values)))
    return tuple(
        Match(where=where, evidence=Evidence.PIXELS, correlation=1.0, score=math.inf)
        for where in gallery.by_digest(digest)
    )


def instance_code(data: bytes) -> str:
    """Return the Instance-Code of 256 bits of some bytes."""
    import io

    import iscc_lib

    return str(iscc_lib.gen_instance_code_v0(io.BytesIO(data), bits=256)["iscc"])


def _search(shades: Sequence[NDArray[Any]], gallery: Gallery) -> list[Match]:
    """Search with the first grey picture, and with the others only where it finds nothing."""
    for shown in shades:
        found = _by_features(shown, gallery)
        if found:
            return found
    return []


def _by_features(shown: NDArray[Any], gallery: Gallery) -> list[Match]:
    asked = features(shown)
    if len(asked) < 4:
        return []
    candidates = gallery.candidates(asked, VARIANTS, 2 * VERIFIED)
    found: list[_Found] = []
    for first in (0, VERIFIED):
        found = _verified(shown, asked, candidates[first : first + VERIFIED], gallery)
        if found:
            break
    found.sort(key=lambda one: -one.score)
    best: dict[int, _Found] = {}
    for one in found:
        best.setdefault(one.number, one)
    return _related(shown, asked, _planes_by_pixels(list(best.values())), gallery)


def _planes_by_pixels(found: list[_Found]) -> list[_Found]:
    """Order the planes of one stack among themselves by their pixels, for their points are nearly the same."""
    stacks: dict[tuple[str, int, int | None], list[int]] = {}
    for place, one in enumerate(found):
        where = one.entry.where
        stacks.setdefault((where.source, where.scene, where.channel), []).append(place)
    ordered = list(found)
    for places in stacks.values():
        by_pixels = sorted((found[place] for place in places), key=lambda one: -one.likeness)
        for place, one in zip(places, by_pixels, strict=True):
            ordered[place] = replace(one, score=found[place].score)
    return ordered


def _verified(
    shown: NDArray[Any], asked: Features, candidates: Sequence[tuple[int, bool, bool, float]], gallery: Gallery
) -> list[_Found]:
    numbers = {number for number, *_ in candidates}
    points, entries = gallery.features_of(numbers), gallery.views(numbers)
    found = []
    for number, mirrored, inverted, _ in candidates:
        if number not in points or number not in entries:
            continue
        pair = verify_pair(asked, points[number], mirrored=mirrored, inverted=inverted)
        if pair is None or pair.inliers < 5:
            continue
        judged = _judged(shown, number, entries[number], points[number], pair, gallery)
        if judged is not None:
            found.append(judged)
    return found


def _judged(
    shown: NDArray[Any], number: int, entry: Entry, points: Features, pair: Pair, gallery: Gallery
) -> _Found | None:
    """Ask the pixels; where the whole original does not agree, the part in which the points lie."""
    pixels = pixels_of(gallery, number)
    box = _box(points.shape, pair.matrix, shown.shape)
    if pixels is None:
        return _Found(number, entry, pair, None, float(pair.guided), box) if accepted(pair, None) else None
    agreement = compare_pixels(pixels, shown, pair.matrix)
    if not accepted(pair, agreement):
        inner = _around(pair, box)
        part = compare_pixels(pixels, shown, pair.matrix, box=inner)
        if pair.inliers >= 10 and part.plain < 0.5 and accepted(pair, part):
            agreement, box = part, inner
        elif not _other_channel(pair, agreement):
            return None
    score = pair.guided * (abs(agreement.rank) + abs(agreement.detail)) / 2
    return _Found(number, entry, pair, agreement, score, box)


def _other_channel(pair: Pair, agreement: Agreement) -> bool:
    """Whether the places agree beyond doubt and the brightness does not: another stain of the same field."""
    return pair.inliers >= 25 and pair.guided >= 40 and agreement.plain < 0.5 and abs(agreement.detail) > 0.15


def pixels_of(gallery: Gallery, number: int) -> NDArray[Any] | None:
    """Return a view, where the gallery can show it."""
    show = getattr(gallery, "pixels_of", None)
    if show is None:
        return None
    pixels = show(number)
    return None if pixels is None else stretched(pixels)


def _box(original: tuple[int, int], matrix: Any, shape: tuple[int, ...]) -> Box:
    """Return the upright box of the picture that an original covers."""
    import numpy as np

    height, width = original
    corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]])
    there = moved(corners, matrix) + 0.5
    low, high = (np.clip(edge, 0, (shape[1], shape[0])) for edge in (there.min(axis=0), there.max(axis=0)))
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _around(pair: Pair, within: Box) -> Box:
    """Return the box of the points, a little larger."""
    low, high = pair.query_xy.min(axis=0), pair.query_xy.max(axis=0)
    margin = 0.05 * (high - low)
    (left, top), (right, bottom) = low - margin, high + margin
    return (max(float(left), within[0]), max(float(top), within[1]),
            min(float(right), within[2]), min(float(bottom), within[3]))  # fmt: skip


def _related(shown: NDArray[Any], asked: Features, found: list[_Found], gallery: Gallery) -> list[Match]:
    """Say of each what it is: the best of every part of the picture, and its relatives."""
    matches: list[Match] = []
    leaders: list[_Found] = []
    for one in found:
        leader = next((other for other in leaders if _shared(one.box, other.box) > _SAME_PART), None)
        if leader is None:
            leaders.append(one)
            relation = _alone(shown, asked, one, gallery)
        else:
            relation = _beside(one, leader)
        matches.append(_match(one, relation, shown.shape))
    return matches


def _alone(shown: NDArray[Any], asked: Features, one: _Found, gallery: Gallery) -> Relation:
    if one.agreement is not None and not accepted(one.pair, one.agreement):
        return Relation.CHANNEL
    if _repeats(asked, one, gallery):
        return Relation.REPEATING
    if _goes_on(shown, one):
        return Relation.OVERLAP
    return Relation.SAME


def _beside(one: _Found, leader: _Found) -> Relation:
    mine, its = one.entry.where, leader.entry.where
    if one.agreement is not None and not accepted(one.pair, one.agreement):
        return Relation.CHANNEL
    if (mine.source, mine.scene) == (its.source, its.scene):
        if mine.channel != its.channel:
            return Relation.CHANNEL
        return Relation.NEIGHBOUR if mine != its else Relation.SAME
    if one.agreement is not None and leader.agreement is not None:
        if abs(one.agreement.detail) < _AS_GOOD * abs(leader.agreement.detail):
            return Relation.CHANNEL
        if one.agreement.covered < 0.9 * leader.agreement.covered:
            return Relation.OVERLAP
    return Relation.SAME


def _repeats(asked: Features, one: _Found, gallery: Gallery) -> bool:
    """Whether the same original fits about as well in another place of the same picture."""
    import numpy as np

    points = gallery.features_of([one.number]).get(one.number)
    if points is None or one.pair.guided > 200:
        return False
    rest = np.ones(len(asked), bool)
    rest[one.pair.query_at] = False
    other = verify_pair(asked.take(rest), points, mirrored=one.pair.mirrored, inverted=one.pair.inverted)
    if (
        other is None
        or other.inliers < max(6, _AS_GOOD * one.pair.inliers)
        or other.guided < _AS_GOOD * one.pair.guided
    ):
        return False
    centre = np.array([[points.shape[1] / 2, points.shape[0] / 2]])
    apart = float(np.hypot(*(moved(centre, other.matrix) - moved(centre, one.pair.matrix))[0]))
    if apart < 0.03 * max(asked.shape):
        return False
    pixels = pixels_of(gallery, one.number)
    return pixels is None or one.agreement is not None


def _goes_on(shown: NDArray[Any], one: _Found) -> bool:
    """Whether the picture goes on beyond the border of the original, without a seam."""
    cv2 = computer_vision()
    import numpy as np

    if one.agreement is None or one.agreement.covered > 0.97:
        return False
    height, width = one.entry.size[1] / one.entry.reduction, one.entry.size[0] / one.entry.reduction
    rows = np.asarray(one.pair.matrix, float)
    beyond = 0
    for (x, y), (dx, dy), length in (
        ((0, height / 2), (-1, 0), height), ((width - 1, height / 2), (1, 0), height),
        ((width / 2, 0), (0, -1), width), ((width / 2, height - 1), (0, 1), width),
    ):  # fmt: skip
        scale = math.sqrt(abs(np.linalg.det(rows[:, :2])))
        deep = max(4.0, 0.04 * length)
        # A strip along this border, from inside to outside, at the resolution of the picture.
        across, along = max(6, int(2 * deep * scale)), max(16, int(length * scale * 0.8))
        s, u = np.meshgrid(np.linspace(-deep, deep, across), np.linspace(-0.4, 0.4, along) * length)
        places = moved(np.stack([x + s * dx + u * abs(dy), y + s * dy + u * abs(dx)], axis=-1).reshape(-1, 2), rows)
        inside = (
            (places >= 0).all(axis=1) & (places[:, 0] < shown.shape[1] - 1) & (places[:, 1] < shown.shape[0] - 1)
        ).reshape(s.shape)
        kept = inside.all(axis=1)
        if kept.sum() < 16:
            continue
        at = places.reshape(*s.shape, 2)[kept].astype(np.float32)
        strip = cv2.remap(shown.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR)
        middle = strip.shape[1] // 2
        inner, outer = strip[:, :middle], strip[:, middle:]
        steps = np.abs(np.diff(strip, axis=1)).mean(axis=0)
        seam = steps[max(0, middle - 2) : middle + 1].max()
        if outer.std() > 0.4 * inner.std() + 1 and seam < 2 * np.median(steps) + 1:
            beyond += 1
    return beyond > 0


def _match(one: _Found, relation: Relation, shape: tuple[int, ...]) -> Match:
    import numpy as np

    scene = np.vstack([np.asarray(one.pair.matrix), [0, 0, 1]]) @ resizing(
        1 / one.entry.reduction, 1 / one.entry.reduction
    )
    size = (shape[1], shape[0])
    left, top, right, bottom = one.box
    whole = (right - left) * (bottom - top) > 0.8 * size[0] * size[1]
    return Match(
        where=one.entry.where, evidence=Evidence.FEATURES, relation=relation,
        placement=Placement(matrix=as_matrix(scene[:2]), original_size=one.entry.size, published_size=size),
        inverted=one.pair.inverted, inliers=one.pair.inliers,
        correlation=one.agreement.rank if one.agreement is not None else 0.0, score=one.score,
        panel=None if whole else one.box,
    )  # fmt: skip


def _in_figure(match: Match, part: tuple[int, int, int, int], size: tuple[int, int]) -> Match:
    """Move a match of a panel to where the panel is in its figure."""
    left, top, right, bottom = part
    box = match.panel if match.panel is not None else (0.0, 0.0, float(right - left), float(bottom - top))
    placement = match.placement
    if placement is not None:
        (a, b, e), (c, d, f) = placement.matrix
        moved_there = ((a, b, e + left), (c, d, f + top))
        placement = replace(placement, matrix=moved_there, published_size=size)
    shifted = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
    return replace(match, placement=placement, panel=shifted)


def _shared(one: Box, other: Box) -> float:
    """Return the share of the smaller of two boxes that lies in both."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    least = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(0.0, width) * max(0.0, height) / least if least > 0 else 0.0


def _distinct(found: list[Match]) -> list[Match]:
    """Leave out what was found twice, as a whole and as a panel; the better one stays."""
    kept: list[Match] = []
    for match in sorted(found, key=lambda one: -one.score):
        twin = any(
            other.where == match.where
            and (other.panel is None or match.panel is None or _shared(other.panel, match.panel) > _SAME_PART)
            for other in kept
        )
        if not twin:
            kept.append(match)
    order = {Relation.SAME: 0}
    return sorted(kept, key=lambda one: (order.get(one.relation, 1), -one.score))


def _by_code(shown: NDArray[Any], gallery: Gallery) -> Iterable[Match]:
    """Try views whose Image-Code is near in one of eight orientations, and ask their pixels."""
    import numpy as np

    from rawtrace.image.isccunits import bits_of, dihedral_codes

    height, width = shown.shape
    best: dict[int, tuple[float, Match]] = {}
    for orientation, code in enumerate(dihedral_codes(shown)):
        for number, _, inverted in gallery.by_code(bits_of(code), CODE_RADIUS)[:VERIFIED]:
            entry, pixels = gallery.views([number]).get(number), pixels_of(gallery, number)
            if entry is None or pixels is None:
                continue
            onto, size = _orientation(orientation, width, height)
            matrix = (np.linalg.inv(onto) @ resizing(size[0] / pixels.shape[1], size[1] / pixels.shape[0]))[:2]
            agreement = compare_pixels(pixels, shown, matrix)
            sign = -1 if inverted else 1
            uneven = abs(math.log(size[0] * pixels.shape[0] / (size[1] * pixels.shape[1])))
            if uneven > 0.15 or agreement.plain > 0.6 or sign * agreement.rank < 0.8 or sign * agreement.detail < 0.7:
                continue
            score = (abs(agreement.rank) + abs(agreement.detail)) / 2
            scene = np.vstack([matrix, [0, 0, 1]]) @ resizing(1 / entry.reduction, 1 / entry.reduction)
            match = Match(
                where=entry.where, evidence=Evidence.CODE, inverted=inverted, correlation=agreement.rank, score=score,
                placement=Placement(
                    matrix=as_matrix(scene[:2]), original_size=entry.size, published_size=(width, height)
                ),
            )  # fmt: skip
            if number not in best or best[number][0] < score:
                best[number] = (score, match)
    return [match for _, match in sorted(best.values(), key=lambda one: -one[0])]


def _orientation(number: int, width: int, height: int) -> tuple[NDArray[Any], tuple[int, int]]:
    """Return the map to an orientation of ``dihedral_codes``, and width and height then."""
    import numpy as np

    matrix = np.eye(3)
    if number >= 4:
        matrix = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1.0]])
    for _ in range(number % 4):
        matrix = np.array([[0, 1, 0], [-1, 0, width - 1], [0, 0, 1.0]]) @ matrix
        width, height = height, width
    return matrix, (width, height)


__all__ = ["Gallery", "Where", "find", "greys", "instance_code", "pixels_of", "which_plane"]
