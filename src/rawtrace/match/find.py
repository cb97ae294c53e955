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
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rawtrace.image.reader import PlaneIndex
from rawtrace.match.bycode import by_code
from rawtrace.match.features import Features, features, stretched
from rawtrace.match.galleries import VARIANTS, Entry, Gallery
from rawtrace.match.model import Box, Evidence, Match, Placement, Relation
from rawtrace.match.pairs import Pair, accepted, as_matrix, compare_pixels, moved, resizing, verify_pair
from rawtrace.match.panels import panels
from rawtrace.match.relations import SAME_PART, Found, other_channel, pixels_of, related, shared_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Candidates that are verified for one picture; as many again where none of them is right.
VERIFIED = 10
#: A picture of more pixels is reduced before anything else.
MAX_PIXELS = 64 << 20
_MAX_PANELS = 24
#: A part of a picture that is narrower, for its length, is a line of letters.
_NARROW = 0.2


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
        found = list(by_code(shades[0], gallery))
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
    found: list[Found] = []
    for first in (0, VERIFIED):
        found = _verified(shown, asked, candidates[first : first + VERIFIED], gallery)
        if found:
            break
    found.sort(key=lambda one: -one.score)
    best: dict[int, Found] = {}
    for one in found:
        best.setdefault(one.number, one)
    ordered = _planes_by_pixels(list(best.values()))
    return [_match(one, relation, shown.shape) for one, relation in related(shown, asked, ordered, gallery)]


def _planes_by_pixels(found: list[Found]) -> list[Found]:
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
) -> list[Found]:
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
) -> Found | None:
    """Ask the pixels; where the whole original does not agree, the part in which the points lie."""
    pixels = pixels_of(gallery, number)
    box = _box(points.shape, pair.matrix, shown.shape)
    if pixels is None:
        return Found(number, entry, pair, None, float(pair.guided), box) if accepted(pair, None) else None
    agreement = compare_pixels(pixels, shown, pair.matrix)
    if not accepted(pair, agreement):
        inner = _around(pair, box)
        part = compare_pixels(pixels, shown, pair.matrix, box=inner)
        narrow = min(inner[2] - inner[0], inner[3] - inner[1]) < _NARROW * max(inner[2] - inner[0], inner[3] - inner[1])
        if pair.inliers >= 10 and not narrow and part.plain < 0.5 and accepted(pair, part):
            agreement, box = part, inner
        elif not other_channel(pair, agreement):
            return None
    score = pair.guided * (abs(agreement.rank) + abs(agreement.detail)) / 2
    return Found(number, entry, pair, agreement, score, box)


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


def _match(one: Found, relation: Relation, shape: tuple[int, ...]) -> Match:
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


def _distinct(found: list[Match]) -> list[Match]:
    """Leave out what was found twice, as a whole and as a panel; the better one stays."""
    kept: list[Match] = []
    for match in sorted(found, key=lambda one: -one.score):
        twin = any(
            other.where == match.where
            and (other.panel is None or match.panel is None or shared_part(other.panel, match.panel) > SAME_PART)
            for other in kept
        )
        if not twin:
            kept.append(match)
    order = {Relation.SAME: 0}
    return sorted(kept, key=lambda one: (order.get(one.relation, 1), -one.score))


__all__ = ["Gallery", "find", "greys", "instance_code", "pixels_of", "which_plane"]
