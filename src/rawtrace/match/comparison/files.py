"""Compares files: reads them, and finds out which plane of an original a published picture shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import InputNotFoundError, PixelsError, UsageError
from rawtrace.image.reader import Image, PlaneIndex, Scene, open_image
from rawtrace.image.views import View, scene_views, views_of_each
from rawtrace.match.comparison import starts
from rawtrace.match.comparison.compare import Comparison, compare
from rawtrace.match.comparison.geometry import compose, placement_of, scaling
from rawtrace.match.comparison.levels import eight_bit
from rawtrace.match.comparison.refine import glance
from rawtrace.match.comparison.registration import MIN_EDGE, luminance
from rawtrace.match.model import Placement, Where
from rawtrace.progress import SILENT, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Of a file with more views than this, so many are looked at.
MAX_LOOKS = 256
#: Planes of a stack that are looked at one by one once the stack is known.
MAX_DEPTH = 128
#: Views that are compared in full, the likeliest first.
_FULL = 3
#: Detail correlation of a reduced picture above which a plane may be the one.
_LIKE = 0.12


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    where: Where
    scene: Scene
    guess: Placement | None
    score: float


def compare_files(
    original: Path | str,
    published: Path | str,
    *,
    scene: int | None = None,
    channel: int | None = None,
    z: int | None = None,
    t: int | None = None,
    progress: Progress = SILENT,
) -> Comparison:
    """Compare a published picture with an original file, whichever plane of it the picture shows.

    Parameters
    ----------
    original, published : Path
        Of the published file the first plane is taken.
    scene, channel, z, t : int, optional
        From 0; what is left out is chosen by comparing.
    progress : Progress

    Raises
    ------
    InputNotFoundError, UnreadableError, PixelsError, LimitError
    UsageError
        There is no such scene, channel, plane or time point.
    MissingExtraError
        The extra ``match`` is not installed.
    """
    original, published = Path(original), Path(published)
    for path in (original, published):
        if not path.exists():
            msg = f"{path} does not exist"
            raise InputNotFoundError(msg)
    shown = read_published(published)
    with open_image(original) as image:
        scenes = [_chosen_scene(image, scene)] if scene is not None else list(image.scenes)
        for one in scenes if scene is not None or len(image.scenes) == 1 else ():
            _check("channel", channel, one.c)
            _check("z", z, one.z)
            _check("t", t, one.t)
        found: Comparison | None = None
        candidates = _candidates(image, scenes, eight_bit(shown), (channel, z, t), progress)
        for candidate in candidates:
            result = compare(_pixels(image, candidate), shown, guess=candidate.guess)
            result = replace(result, where=replace(candidate.where, source=str(original)))
            if found is None or _merit(result) > _merit(found):
                found = result
            if len(candidates) > 1 and result.derived and not result.something_to_look_at:
                break
    if found is None:
        msg = f"{original.name} has no plane with these numbers"
        raise UsageError(msg)
    return found


def read_published(path: Path) -> NDArray[Any]:
    """Read the first plane of a published picture: as stored, or of several channels RGB as uint8.

    Raises
    ------
    InputNotFoundError, UnreadableError, PixelsError, LimitError
    """
    with open_image(path) as image:
        first = image.scenes[0]
        planes = [image.plane(first, PlaneIndex(c=c)) for c in range(first.c if 1 < first.c <= 3 else 1)]
    if len(planes) == 1:
        return planes[0]
    import numpy as np

    # A composite that was saved as channels is a colour picture: red, green, blue.
    filled = [eight_bit(plane if plane.ndim == 2 else plane[..., 0]) for plane in planes]
    filled += [np.zeros_like(filled[0])] * (3 - len(filled))
    return np.dstack(filled)


def _chosen_scene(image: Image, number: int) -> Scene:
    _check("scene", number, len(image.scenes))
    return image.scenes[number]


def _check(name: str, number: int | None, count: int) -> None:
    if number is not None and not 0 <= number < count:
        msg = f"there is no {name} {number}; the original has {count}, counted from 0"
        raise UsageError(msg)


def _candidates(
    image: Image,
    scenes: list[Scene],
    shown: NDArray[Any],
    chosen: tuple[int | None, int | None, int | None],
    progress: Progress,
) -> tuple[_Candidate, ...]:
    """Return what may be shown, the likeliest first; a single plane needs no search."""
    channel, z, t = chosen
    single = [s for s in scenes if all(size == 1 or at is not None
                                       for size, at in ((s.c, channel), (s.z, z), (s.t, t)))]  # fmt: skip
    if len(scenes) == 1 and single:
        scene = single[0]
        colour = scene.samples > 1 and scene.c == 1
        where = Where(source="", scene=scene.index, channel=None if colour else channel or 0, z=z or 0, t=t or 0)
        return (_Candidate(where, scene, None, 0.0),)
    looked = [
        candidate
        for scene, view in _views(image, scenes, chosen, progress)
        if (candidate := _look(scene, view, shown)) is not None
    ]
    looked.sort(key=lambda candidate: -candidate.score)
    found: list[_Candidate] = []
    for candidate in looked[:_FULL]:
        found += _deeper(image, candidate, shown, z) if candidate.guess is not None else [candidate]
    found.sort(key=lambda candidate: -candidate.score)
    return tuple(found[:_FULL])


def _views(
    image: Image, scenes: list[Scene], chosen: tuple[int | None, int | None, int | None], progress: Progress
) -> Iterator[tuple[Scene, View]]:
    channel, _, t = chosen
    limit = min(views_of_each(len(scenes)), max(2, MAX_LOOKS // max(1, len(scenes))))
    progress.start("looking for the plane", None)
    try:
        for scene in scenes[:MAX_LOOKS]:
            for view in scene_views(image, scene, limit=limit):
                progress.advance(1)
                if channel is not None and view.channel is not None and view.channel != channel:
                    continue
                if t is not None and view.t is not None and view.t != t:
                    continue
                yield scene, view
    finally:
        progress.finish()


def _look(scene: Scene, view: View, shown: NDArray[Any]) -> _Candidate | None:
    """Say how like a view is to the published picture, and where that lies in it."""
    import numpy as np

    ours, theirs = luminance(view.pixels), luminance(shown)
    if min(*ours.shape, *theirs.shape) < MIN_EDGE or np.ptp(ours) <= 0 or np.ptp(theirs) <= 0:
        return None
    best: tuple[float, NDArray[Any]] | None = None
    features = starts.from_features(view.pixels, starts.stretched(theirs))
    for start in (*starts.from_frame(ours.shape, theirs.shape), *list(features)[:2]):
        score = glance(ours, theirs, start.matrix)
        if best is None or score > best[0]:
            best = score, start.matrix
    where = Where(source="", scene=view.scene, channel=view.channel, z=view.z, t=view.t, projection=view.projection)
    if best is None or best[0] < _LIKE:
        return _Candidate(where, scene, None, 0.0 if best is None else best[0])
    whole = compose(best[1], scaling(1 / view.reduction))
    guess = placement_of(whole, (scene.y, scene.x), shown.shape)
    return _Candidate(where, scene, guess, best[0])


def _deeper(image: Image, candidate: _Candidate, shown: NDArray[Any], z: int | None) -> list[_Candidate]:
    """Look at the planes of the stack that a view is of: one of them, or the projection, is the likest."""
    import numpy as np

    scene, where, guess = candidate.scene, candidate.where, candidate.guess
    found = [candidate] if z is None else []
    if scene.z == 1 or guess is None:
        return [candidate]
    theirs, matrix = luminance(shown), np.array(guess.matrix, float)
    depths = [z] if z is not None else sorted({int(at) for at in np.linspace(0, scene.z - 1, min(scene.z, MAX_DEPTH))})
    for depth in depths:
        one = replace(candidate, where=replace(where, z=depth, projection=""))
        ours = luminance(_pixels(image, one))
        if np.ptp(ours) > 0:
            found.append(replace(one, score=glance(ours, theirs, matrix)))
    return found


def _pixels(image: Image, candidate: _Candidate) -> NDArray[Any]:
    import numpy as np

    where, scene = candidate.where, candidate.scene
    channel, t = where.channel or 0, where.t or 0
    if where.projection != "max":
        return image.plane(scene, PlaneIndex(z=where.z or 0, c=channel, t=t))
    whole: NDArray[Any] | None = None
    for depth in range(scene.z):
        plane = image.plane(scene, PlaneIndex(z=depth, c=channel, t=t))
        whole = plane if whole is None else np.maximum(whole, plane)
    if whole is None:
        msg = f"{image.path.name}: scene {scene.index} has no planes"
        raise PixelsError(msg)
    return whole


def _merit(result: Comparison) -> tuple[bool, float]:
    return result.derived, result.registration.detail if result.registration is not None else 0.0
