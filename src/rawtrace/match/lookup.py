"""Looks a file up in an index: which files, planes and places in them it shows.

Around ``find``, which takes one picture, this takes a file: a stack is compared
plane by plane with the exact digests; of a figure the picture is searched for;
for a blot or gel on which points are silent the strips decide; and where the
original's file is at hand, the plane of its stack that explains the picture best
is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import Error
from rawtrace.image.codes import bits_of, codes_of
from rawtrace.image.reader import Image, PlaneIndex, Scene, open_image
from rawtrace.image.views import luminance
from rawtrace.match.agreement import compare_pixels
from rawtrace.match.features import stretched
from rawtrace.match.find import find, which_plane
from rawtrace.match.model import Evidence, Match, Placement, Relation, Where
from rawtrace.match.strips import find_strip, looks_like_blot
from rawtrace.progress import SILENT, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rawtrace.match.galleries import Gallery

#: Planes of a stack that are looked up one by one.
MAX_PLANES = 2_000
#: Planes of an original that are compared to say which of them is shown.
MAX_RANKED = 120
#: Blots and gels in which a strip is looked for; the time grows with them.
MAX_BLOTS = 1_000
#: What looks less like a blot or a gel than this is not looked for as a strip of one.
MAY_BE_BLOT = 0.5
#: Ranks of all pixels have to correlate by so much for a strip to be one; those of true ones do by .9 and more.
_BORNE_OUT = 0.6
#: A projection stays the answer unless a plane explains the picture better than it by this much.
_CLEARLY = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """What looking a file up came to.

    Attributes
    ----------
    matches : tuple[Match, ...]
        Best first; empty where nothing was found.
    picture : ndarray or None
        What was searched for: the first plane, as stored.
    notes : tuple[str, ...]
        What was not looked at, and why.
    """

    matches: tuple[Match, ...]
    picture: NDArray[Any] | None = None
    notes: tuple[str, ...] = ()


def look_up(path: Path, gallery: Gallery, *, limit: int = 10, progress: Progress = SILENT) -> LookedUp:
    """Look a file up.

    Parameters
    ----------
    path : Path
        A figure, a panel, or data.
    gallery : Gallery
        Such as ``rawtrace.match.index.PictureIndex``.
    limit : int
        At most so many matches.

    Raises
    ------
    InputNotFoundError, UnreadableError, PixelsError, LimitError, MissingExtraError
    """
    with open_image(path) as image:
        scene = image.scenes[0]
        picture = image.plane(scene, PlaneIndex())
        several = sum(one.planes for one in image.scenes) > 1
    notes: list[str] = []
    found: tuple[Match, ...] = ()
    if several:
        found = _by_planes(path, gallery, notes, progress)[:limit]
    if not found:
        progress.start(f"looking for {path.name}", None)
        found = find(picture, gallery, limit=limit)
        if not any(match.relation is Relation.SAME for match in found):
            # Points are silent on blots and gels, or see the same lane everywhere.
            found = (*_by_strips(picture, gallery, notes, limit=limit), *found)[:limit]
        progress.finish()
    planes = tuple(_with_plane(match, picture, notes) for match in found)
    return LookedUp(matches=_without_doubles(planes), picture=picture, notes=tuple(notes))


def _by_planes(path: Path, gallery: Gallery, notes: list[str], progress: Progress) -> tuple[Match, ...]:
    """Look up the planes of a stack by their digests: an answer for each scene of each file that has any of them."""
    coded = codes_of(path, views=False, file=False, progress=progress)
    planes = [plane for scene in coded.scenes for plane in scene.planes]
    if len(planes) > MAX_PLANES:
        notes.append(f"of {len(planes):,} planes the first {MAX_PLANES:,} were looked up")
    told = [plane for plane in planes[:MAX_PLANES] if not plane.constant]
    hits: dict[tuple[str, int], list[Where]] = {}
    for plane in told:
        for where in {(one.source, one.scene): one for one in gallery.by_digest(bits_of(plane.instance))}.values():
            hits.setdefault((where.source, where.scene), []).append(where)
    found = []
    for (source, scene), places in sorted(hits.items(), key=lambda hit: -len(hit[1])):
        where = places[0] if len(places) == 1 else Where(source=source, scene=scene)
        if len(places) < len(told):
            notes.append(f"{len(places)} of {len(told)} planes are those of {source}, scene {scene}")
        found.append(Match(where=where, evidence=Evidence.PIXELS, correlation=1.0, score=float(len(places))))
    return tuple(found)


def _by_strips(picture: NDArray[Any], gallery: Gallery, notes: list[str], *, limit: int) -> tuple[Match, ...]:
    """Look for a strip of a blot or gel in what the gallery keeps of such; nothing where it keeps none."""
    kept = getattr(gallery, "strips", None)
    if kept is None or looks_like_blot(picture) < MAY_BE_BLOT:
        return ()
    originals = list(kept(MAX_BLOTS))
    if len(originals) == MAX_BLOTS:
        notes.append(f"strips were looked for in the {MAX_BLOTS:,} blots that were added last")
    found = find_strip(picture, originals, limit=limit)
    by_place = {one.where: one for one in originals}
    return tuple(_scaled(match, originals) for match in found if _bears_out(picture, match, by_place[match.where]))


def _bears_out(picture: NDArray[Any], match: Match, original: Any) -> bool:
    """Ask all the pixels: the same letters and bars laid over two pictures look like the same lanes."""
    view = original.pixels()
    if match.placement is None or view is None:
        return True
    agreement = compare_pixels(stretched(view), stretched(luminance(picture)), match.placement.matrix)
    return abs(agreement.rank) >= _BORNE_OUT


def _scaled(match: Match, originals: Sequence[Any]) -> Match:
    """Turn a placement on a view into one on its scene."""
    entry = next(one for one in originals if one.where == match.where)
    if match.placement is None or entry.reduction == 1:
        return match
    (a, b, e), (c, d, f) = match.placement.matrix
    factor, offset = 1 / entry.reduction, (1 / entry.reduction - 1) / 2
    placement = Placement(
        matrix=((a * factor, b * factor, e + (a + b) * offset), (c * factor, d * factor, f + (c + d) * offset)),
        original_size=entry.size,
        published_size=match.placement.published_size,
    )
    return replace(match, placement=placement)


def _with_plane(match: Match, picture: NDArray[Any], notes: list[str]) -> Match:
    """Name the plane of the original's stack that explains the picture best, where its file can be read."""
    if match.placement is None or match.evidence is Evidence.PIXELS or match.relation is Relation.CHANNEL:
        return match
    try:
        with open_image(Path(match.where.source)) as image:
            if match.where.scene >= len(image.scenes):
                return match
            scene = image.scenes[match.where.scene]
            candidates = _candidates(match.where, scene)
            if len(candidates) < 2:
                return match
            ranked = which_plane(luminance(picture), match.placement, _read(image, scene, candidates))
    except Error as error:
        notes.append(f"which plane of {match.where.source} it is was not told: {error.message}")
        return match
    if not ranked:
        return match
    best, agreement = ranked[0]
    if match.where.projection:
        shown = max(abs(match.correlation), 0.0)
        if agreement < shown + _CLEARLY:
            return match
    return replace(match, where=replace(match.where, z=best.z, t=best.t, projection=""))


def _candidates(where: Where, scene: Scene) -> Sequence[PlaneIndex]:
    """Return the planes to compare: all focal planes at the view's time, and its neighbours in time."""
    channel = where.channel or 0
    if where.t is None:
        times: Sequence[int] = range(scene.t)
    else:
        step = max(1, scene.t // 15)
        times = range(max(0, where.t - step), min(scene.t, where.t + step + 1))
    every = [PlaneIndex(z, channel, t) for t in times for z in range(scene.z)]
    if len(every) > MAX_RANKED and where.t is not None:
        every = [PlaneIndex(z, channel, where.t) for z in range(scene.z)]
    return every[:: -(-len(every) // MAX_RANKED)]


def _read(image: Image, scene: Scene, planes: Sequence[PlaneIndex]) -> Iterator[tuple[PlaneIndex, NDArray[Any]]]:
    for plane in planes:
        yield plane, luminance(image.plane(scene, plane))


def _without_doubles(matches: Sequence[Match]) -> tuple[Match, ...]:
    """Keep the best of what turned out to be the same plane in the same part of the figure."""
    kept: dict[tuple[Where, object], Match] = {}
    for match in matches:
        panel = None if match.panel is None else tuple(round(edge / 8) for edge in match.panel)
        kept.setdefault((match.where, panel), match)
    return tuple(kept.values())
