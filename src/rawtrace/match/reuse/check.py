"""Looks for reuse in files: within each picture, and between all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import Error, LimitError
from rawtrace.image.views import luminance
from rawtrace.match.model import Relation, Where
from rawtrace.match.reuse.copymove import CopyMove, PixelBox, Repeat, copy_moves
from rawtrace.match.reuse.duplicates import Duplicate, Shown, duplicates, figure_panels, look_at
from rawtrace.progress import SILENT, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rawtrace.image.reader import Image

MAX_FILES = 20_000
#: Pictures of one file that are looked at.
MAX_PICTURES = 8
#: Larger planes are looked at in their reduced rendering.
MAX_PIXELS = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Within:
    """An area that one picture shows twice."""

    where: Where
    move: CopyMove


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reuse:
    """What was found.

    Attributes
    ----------
    pictures : int
        How many pictures were looked at; panels of one figure count as one.
    within : tuple of Within
    between : tuple of Duplicate
    problems : tuple of (path, sentence)
        What could not be looked at.
    """

    pictures: int
    within: tuple[Within, ...]
    between: tuple[Duplicate, ...]
    problems: tuple[tuple[str, str], ...]

    @property
    def to_look_at(self) -> int:
        """How many finds a person should look at: repeated areas, and the same picture more than once."""
        areas = sum(one.move.relation is Repeat.AREA for one in self.within)
        return areas + sum(one.relation is Relation.SAME for one in self.between)


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    pictures: int
    within: tuple[Within, ...]
    shown: tuple[Shown, ...]
    problem: tuple[str, str] | None


def check(
    paths: Sequence[Path], *, within: bool = True, between: bool = True, workers: int = 1, progress: Progress = SILENT
) -> Reuse:
    """Look for reuse in image files.

    Parameters
    ----------
    paths : sequence of Path
    within : bool
        Look for areas that a picture shows twice.
    between : bool
        Compare the pictures, and the panels of figures, with each other.
    workers : int
        Processes.
    progress : Progress

    Raises
    ------
    LimitError, MissingExtraError
    """
    if len(paths) > MAX_FILES:
        msg = f"{len(paths):,} files were named, expected at most {MAX_FILES:,}"
        raise LimitError(msg, hint="compare fewer files at a time")
    from rawtrace.match.features import computer_vision

    computer_vision()
    looked: list[_Looked] = []
    progress.start("looking at pictures", len(paths))
    for one in _looked([(path, within, between) for path in paths], workers):
        looked.append(one)
        progress.advance(1)
    progress.finish()
    shown = [one for each in looked for one in each.shown]
    found = duplicates(shown, workers=workers, progress=progress) if between else ()
    # Planes and channels of one image are alike by right.
    by_right = {Relation.CHANNEL, Relation.NEIGHBOUR}
    apart = tuple(one for one in found if one.first.source != one.second.source or one.relation not in by_right)
    return Reuse(
        pictures=sum(one.pictures for one in looked),
        within=tuple(find for one in looked for find in one.within if not _told(find, apart)),
        between=apart,
        problems=tuple(one.problem for one in looked if one.problem is not None),
    )


def _looked(jobs: Sequence[tuple[Path, bool, bool]], workers: int) -> Iterator[_Looked]:
    if workers < 2 or len(jobs) < 4:
        yield from map(_look, jobs)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_look, jobs, chunksize=2)


def _look(job: tuple[Path, bool, bool]) -> _Looked:
    from rawtrace.image.reader import open_image

    path, within, between = job
    count = 0
    finds: list[Within] = []
    shown: list[Shown] = []
    try:
        with open_image(path) as image:
            for where, picture in _pictures(image, path):
                count += 1
                if within:
                    finds += [Within(where=where, move=move) for move in within_picture(picture)]
                if between:
                    shown += look_at(where, picture)
    except Error as error:
        return _Looked(count, tuple(finds), tuple(shown), (str(path), error.message))
    return _Looked(count, tuple(finds), tuple(shown), None)


def within_picture(picture: NDArray[Any]) -> tuple[CopyMove, ...]:
    """Find areas shown twice in a picture; of a figure, in each panel and from one panel to another."""
    from rawtrace.match.features import stretched

    parts = figure_panels(stretched(luminance(picture))) if picture.ndim in {2, 3} else ()
    if len(parts) < 2:
        return copy_moves(picture)
    size = picture.shape[1], picture.shape[0]
    found: list[CopyMove] = []
    for left, top, right, bottom in parts:
        found += [_in_figure(move, left, top, size) for move in copy_moves(picture[top:bottom, left:right])]
    for move in copy_moves(picture):
        # Frames, letters and gutters repeat by right, from panel to panel.
        across = _panel_of(move.source, parts) != _panel_of(move.target, parts)
        if across and move.relation is Repeat.AREA:
            found.append(move)
    return tuple(found)


def _panel_of(box: PixelBox, parts: Sequence[tuple[int, int, int, int]]) -> int:
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    inside = (
        number for number, (left, top, right, bottom) in enumerate(parts) if left <= x < right and top <= y < bottom
    )
    return next(inside, -1)


def _pictures(image: Image, path: Path) -> Iterator[tuple[Where, NDArray[Any]]]:
    """Yield the pictures of a file: its planes where they are few, else those that are rendered of a stack."""
    from rawtrace.image.reader import PlaneIndex
    from rawtrace.image.views import scene_views

    left = MAX_PICTURES
    for scene in image.scenes:
        if left <= 0:
            return
        if scene.planes <= min(left, 4) and scene.y * scene.x <= MAX_PIXELS:
            for plane in scene.walk():
                channel = None if scene.samples > 1 and scene.c == 1 else plane.c
                where = Where(source=str(path), scene=scene.index, channel=channel, z=plane.z, t=plane.t)
                yield where, image.plane(scene, plane)
                left -= 1
            continue
        for view in scene_views(image, scene, limit=left):
            if view.projection or left <= 0:
                continue
            left -= 1
            where = Where(source=str(path), scene=view.scene, channel=view.channel, z=view.z, t=view.t)
            if scene.y * scene.x <= MAX_PIXELS:
                index = PlaneIndex(view.z or 0, view.channel or 0, view.t or 0)
                yield where, image.plane(scene, index)
            else:
                yield where, view.pixels


def _in_figure(move: CopyMove, left: int, top: int, size: tuple[int, int]) -> CopyMove:
    """Move a find of a panel to where the panel is in its figure."""
    (a, b, e), (c, d, f) = move.placement.matrix
    there = e + left - a * left - b * top, f + top - c * left - d * top
    placement = replace(
        move.placement, matrix=((a, b, there[0]), (c, d, there[1])), original_size=size, published_size=size
    )
    source, target = ((box[0] + left, box[1] + top, box[2], box[3]) for box in (move.source, move.target))
    return replace(move, source=source, target=target, placement=placement)


def _same_box(one: PixelBox, other: PixelBox) -> bool:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return width > 0 and height > 0 and width * height > 0.5 * min(one[2] * one[3], other[2] * other[3])


def _told(find: Within, pairs: Sequence[Duplicate]) -> bool:
    """Whether an area is a panel that was found as a whole already."""
    for pair in pairs:
        if pair.first_panel is None or pair.second_panel is None:
            continue
        if find.where.source != pair.first.source or find.where.source != pair.second.source:
            continue
        boxes = (find.move.source, find.move.target)
        for one, other in ((pair.first_panel, pair.second_panel), (pair.second_panel, pair.first_panel)):
            if _same_box(boxes[0], one) and _same_box(boxes[1], other):
                return True
    return False
