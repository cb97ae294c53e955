"""Find the original of a strip of a blot or gel: search, registration, and a decision that would rather be silent.

A strip is the same picture as a place when the place explains the strip's
detail, and explains it clearly better than the second-best place anywhere: what
the best leaves unexplained is to be a fraction of what the second leaves.
Lanes that carry the same load give several equally good places. Those are
named a repeating structure, and nothing is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rawtrace.match.features import computer_vision
from rawtrace.match.model import Evidence, Match, Placement, Relation, Where
from rawtrace.match.strips.features import LONGEST_EDGE, SHORTEST_EDGE, StripFeatures, bounded_grey, grey_of
from rawtrace.match.strips.refine import Agreement, refine
from rawtrace.match.strips.search import Place, Search, same_place

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Places that are registered quickly, and those of them that are registered in full.
QUICK, FULL = 48, 12
#: Originals that are looked at closely where the first look leaves doubt.
CLOSELY = 2
#: Least correlation of coarse and of fine detail for a place to be named at all.
LEAST_SHAPE, LEAST_DETAIL = 0.97, 0.55
#: The second-best place leaves at least so many times as much unexplained as the best.
CLEAR = 2.5
#: Part of the detail that is never explained, as noise and compression go.
_FLOOR = 0.003
#: Surroundings in two originals that agree by so much are the same picture twice.
_SAME_SURROUNDINGS = 0.9


class Original(Protocol):
    """One original of a gallery."""

    @property
    def where(self) -> Where:
        """Which picture it is."""

    @property
    def strip(self) -> StripFeatures:
        """What is kept of it, from ``strip_features`` or from an index; asked for once in a search."""

    def pixels(self) -> NDArray[Any] | None:
        """Return the view that the features were made of; ``None`` where it is out of reach."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """One place, and the original it is in.

    Attributes
    ----------
    original : Original
    features : StripFeatures
    agreement : Agreement
        The map goes from the original to the strip.
    """

    original: Original
    features: StripFeatures
    agreement: Agreement


def find_strip(picture: NDArray[Any], originals: Iterable[Original], *, limit: int = 8) -> tuple[Match, ...]:
    """Find where a strip of a blot or gel comes from.

    Parameters
    ----------
    picture : ndarray
        (Y, X) or (Y, X, samples), of any type: the strip as published.
    originals : iterable of Original
        Each is asked for its features once, and the likeliest few for their pixels.
    limit : int
        Most matches returned.

    Returns
    -------
    tuple[Match, ...]
        Best first, evidence ``STRIP``. ``Relation.SAME`` where one place explains the strip clearly better than any
        other; several of ``Relation.REPEATING`` where equally good places make that impossible to tell; empty where
        nothing explains it.

    Raises
    ------
    PixelsError
        Not a picture.
    MissingExtraError
    """
    return decide(weigh(look(picture, originals)), _shape_of(picture), limit=limit)


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What the search found.

    Attributes
    ----------
    query : ndarray of float32
        The strip as it was looked for: grey, lying, of bounded size.
    from_query : ndarray
        3 x 3, from it to the picture.
    search : Search
    places : tuple[Place, ...]
        Best first.
    gallery : dict
        The originals and features that the places name.
    """

    query: NDArray[Any]
    from_query: NDArray[Any]
    search: Search
    places: tuple[Place, ...]
    gallery: dict[int, tuple[Original, StripFeatures]]


def look(picture: NDArray[Any], originals: Iterable[Original], *, limit: int = QUICK) -> Looked | None:
    """Search all originals; ``None`` where the picture has nothing to look for."""
    import numpy as np

    query, to_query = _prepared(picture)
    if query is None:
        return None
    search = Search(query)
    gallery: dict[int, tuple[Original, StripFeatures]] = {}
    for number, original in enumerate(originals):
        features = original.strip
        search.add(number, features)
        gallery[number] = (original, features)
        if len(gallery) > 2 * len(search.members) + 64:
            gallery = {key: gallery[key] for key in search.members}
    return Looked(query, np.linalg.inv(to_query), search, tuple(search.places(limit=limit)), gallery)


def weigh(looked: Looked | None, *, without: frozenset[int] = frozenset()) -> tuple[Ranked, ...]:
    """Register the likeliest places and rank them, best first, without deciding anything.

    Parameters
    ----------
    looked : Looked or None
    without : frozenset[int]
        Originals to leave out, by their place in the gallery from 0.
    """
    if looked is None:
        return ()
    places = [place for place in looked.places if place.member not in without][:QUICK]
    found = _registered(looked, places)
    if found and _doubtful(found):
        likely = list(dict.fromkeys(one.place.member for one in found))[:CLOSELY]
        closer = [place for number in likely
                  for place in looked.search.closely(number, looked.gallery[number][1], limit=QUICK // 2)]  # fmt: skip
        found = _distinct(found + _registered(looked, closer), looked.query.shape)
    back = looked.from_query
    return tuple(Ranked(*looked.gallery[one.place.member], _moved(one, (back @ _square(one.place.matrix))[:2]))
                 for one in found)  # fmt: skip


def _registered(looked: Looked, places: list[Place]) -> list[Agreement]:
    """Register places, all of them quickly and the best in full; best first."""
    loaded = {number: _pixels(*looked.gallery[number]) for number in {place.member for place in places}}
    quick = [one for place in places if (one := _refined(looked.query, place, loaded, quick=True)) is not None]
    quick.sort(key=lambda one: -(one.place.score + one.shape))
    full = [one for rough in quick[:FULL] if (one := _refined(looked.query, rough.place, loaded)) is not None]
    return _distinct(full, looked.query.shape)


def _distinct(found: list[Agreement], shape: tuple[int, ...]) -> list[Agreement]:
    kept: list[Agreement] = []
    for one in sorted(found, key=lambda one: -(one.shape + 0.5 * one.detail)):
        if not any(same_place(one.place, other.place, shape) for other in kept):
            kept.append(one)
    return kept


def _doubtful(found: list[Agreement]) -> bool:
    """Tell whether a closer look could change what is best."""
    best = found[0]
    return best.shape < 0.985 or (len(found) > 1 and clearness(best, found[1]) < 1.5 * CLEAR)


def decide(ranked: tuple[Ranked, ...], shape: tuple[int, int], *, limit: int = 8) -> tuple[Match, ...]:
    """Name what the ranked places prove: one, several that cannot be told apart, or nothing."""
    if not ranked or not _plausible(ranked[0].agreement):
        return ()
    best = ranked[0]
    twins = [other for other in ranked[1:] if _plausible(other.agreement) and _same_picture(best, other, shape)]
    close = [other for other in ranked[1:] if other not in twins
             and clearness(best.agreement, other.agreement) < CLEAR]  # fmt: skip
    if not close:
        return tuple(_match(one, Relation.SAME, shape) for one in [best, *twins][:limit])
    named = [best, *(other for other in close if _plausible(other.agreement))]
    return tuple(_match(one, Relation.REPEATING, shape) for one in named[:limit]) if len(named) > 1 else ()


def clearness(best: Agreement, second: Agreement) -> float:
    """Say how many times as much the second place leaves unexplained as the best."""
    shape = (1 - second.shape + _FLOOR) / (1 - best.shape + _FLOOR)
    detail = (1 - second.detail + 3 * _FLOOR) / (1 - best.detail + 3 * _FLOOR)
    return math.sqrt(max(0.0, shape) * max(0.0, detail))


def _plausible(agreement: Agreement) -> bool:
    return agreement.shape >= LEAST_SHAPE and agreement.detail >= LEAST_DETAIL


def _shape_of(picture: NDArray[Any]) -> tuple[int, int]:
    return int(picture.shape[0]), int(picture.shape[1])


def _prepared(picture: NDArray[Any]) -> tuple[NDArray[Any] | None, NDArray[Any]]:
    """Return a strip as grey, lying, of bounded size, and the map to it; ``None`` where it says nothing."""
    import numpy as np

    cv2 = computer_vision()
    nothing = np.eye(3)
    grey, step = bounded_grey(picture)
    if min(grey.shape) < SHORTEST_EDGE or float(np.ptp(grey)) == 0:
        return None, nothing
    matrix = np.diag([1 / step, 1 / step, 1.0])
    if grey.shape[0] > 1.5 * grey.shape[1]:
        matrix = np.array([[0, 1, 0], [-1, 0, grey.shape[1] - 1], [0, 0, 1]]) @ matrix
        grey = np.ascontiguousarray(np.rot90(grey))
    factor = min(1.0, LONGEST_EDGE / max(grey.shape))
    if factor < 1:
        size = (max(SHORTEST_EDGE, round(grey.shape[1] * factor)), max(SHORTEST_EDGE, round(grey.shape[0] * factor)))
        fx, fy = size[0] / grey.shape[1], size[1] / grey.shape[0]
        matrix = np.array([[fx, 0, 0.5 * fx - 0.5], [0, fy, 0.5 * fy - 0.5], [0, 0, 1]]) @ matrix
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return grey, matrix


def _pixels(original: Original, features: StripFeatures) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the best pixels at hand, and the map from the original to them."""
    import numpy as np

    pixels = original.pixels()
    if pixels is not None and pixels.shape[:2] == features.shape and max(features.shape) <= 2 * LONGEST_EDGE:
        return grey_of(pixels), np.eye(3)
    height, width = features.shape
    fx, fy = features.reduced.shape[1] / width, features.reduced.shape[0] / height
    return features.reduced.astype(np.float32), np.array([[fx, 0, 0.5 * fx - 0.5], [0, fy, 0.5 * fy - 0.5], [0, 0, 1]])


def _refined(
    query: NDArray[Any], place: Place, loaded: dict[int, tuple[NDArray[Any], NDArray[Any]]], *, quick: bool = False
) -> Agreement | None:
    import numpy as np

    pixels, to_pixels = loaded[place.member]
    there = (_square(place.matrix) @ np.linalg.inv(to_pixels))[:2]
    found = refine(query, Place(place.member, there, place.score, place.inverted), pixels, quick=quick)
    return None if found is None else _moved(found, found.place.matrix @ to_pixels)


def _moved(found: Agreement, matrix: NDArray[Any]) -> Agreement:
    place = Place(found.place.member, matrix, found.place.score, found.place.inverted)
    return Agreement(place, found.detail, found.shape, found.covered)


def _square(matrix: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.vstack([matrix, [0, 0, 1]])


def _same_picture(best: Ranked, other: Ranked, shape: tuple[int, int]) -> bool:
    """Tell whether two originals show the same around the strip too, as an exposure and its copy do."""
    import numpy as np

    cv2 = computer_vision()
    if best.agreement.place.member == other.agreement.place.member:
        return False
    one, two = (found.features for found in (best, other))
    lift = [np.array([[f.shape[1] / f.reduced.shape[1], 0, 0], [0, f.shape[0] / f.reduced.shape[0], 0], [0, 0, 1]])
            for f in (one, two)]  # fmt: skip
    maps = [_square(found.agreement.place.matrix) @ up
            for found, up in zip((best, other), lift, strict=True)]  # fmt: skip
    across = np.linalg.inv(maps[0]) @ maps[1]
    size = one.reduced.shape[::-1]
    warped = cv2.warpAffine(two.reduced.astype(np.float32), across[:2], size)
    inside = cv2.warpAffine(np.ones(two.reduced.shape, np.uint8), across[:2], size) > 0
    strip = cv2.warpAffine(np.ones(shape, np.uint8), maps[0][:2], size, flags=cv2.WARP_INVERSE_MAP) > 0
    around = inside & ~strip
    if around.mean() < 0.15:
        return False
    here = one.reduced.astype(np.float32)
    a, b = ((x - cv2.GaussianBlur(x, (0, 0), 8))[around] for x in (here, warped))
    norm = float(a.std() * b.std())
    return norm > 0 and float(((a - a.mean()) * (b - b.mean())).mean()) / norm >= _SAME_SURROUNDINGS


def _match(found: Ranked, relation: Relation, shape: tuple[int, int]) -> Match:
    (a, b, c), (d, e, f) = found.agreement.place.matrix.tolist()
    height, width = found.features.shape
    place = found.agreement.place
    return Match(
        where=found.original.where, evidence=Evidence.STRIP, relation=relation,
        placement=Placement(matrix=((a, b, c), (d, e, f)), original_size=(width, height),
                            published_size=(shape[1], shape[0])),
        inverted=place.inverted, correlation=-place.score if place.inverted else place.score,
        score=found.agreement.shape,
    )  # fmt: skip
