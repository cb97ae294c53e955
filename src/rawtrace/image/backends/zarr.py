"""OME-Zarr: scenes from the JSON, pixels chunk by chunk, through checked paths only.

A chunk that has no file is not damage: Zarr says that it holds the fill value.
How many there were is said in the notes.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from rawtrace.errors import Error, LimitError, MalformedError, PixelsError
from rawtrace.image import units
from rawtrace.image.backends.axes import leading
from rawtrace.image.backends.files import (
    ALWAYS_UNPACKED_BYTES,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENTS,
    MOST_PACKED,
    WORKERS,
    Workers,
    check_promise,
)
from rawtrace.image.backends.zarrchunks import CACHE_BYTES, Cache, ChunkFiles, Level
from rawtrace.image.backends.zarrcodecs import packing
from rawtrace.image.reader import BAND_BYTES, PlaneIndex, Scene
from rawtrace.image.readers.zarr import scales
from rawtrace.image.zarrlayout import ZarrArray, ZarrFolder, ZarrImage, mapping, sequence

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(slots=True)
class _Counts:
    absent: int = 0
    lock: Any = field(default_factory=Lock)


class ZarrBackend:
    """An open OME-Zarr folder.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.format = "OME-Zarr"
        self._folder = ZarrFolder(path)
        self._files = ChunkFiles(self._folder)
        self._workers = Workers()
        self._cache = Cache()
        self._counts = _Counts()
        self._notes: list[str] = []
        self._levels: list[tuple[Level, tuple[ZarrArray | str, ...]]] = []
        scenes: list[Scene] = []
        images = self._folder.images() or self._bare()
        for image in images:
            try:
                scene, level = self._scene(image, len(scenes))
            except (MalformedError, PixelsError) as error:
                if len(images) == 1:
                    raise
                self._notes.append(f"image {image.path or '.'} was left out: {error.message}")
                continue
            scenes.append(scene)
            self._levels.append((level, image.levels[1:]))
        chunks = sum(_chunks(level) * scene.planes for scene, (level, _) in zip(scenes, self._levels, strict=True))
        if chunks > MAX_SEGMENTS and chunks > (held := _stored(path, chunks)):
            msg = f"the Zarr metadata promises {chunks} chunks, and the folder holds {held} bytes"
            raise LimitError(msg)
        total = sum(scene.plane_bytes * scene.planes for scene in scenes)
        if total > ALWAYS_UNPACKED_BYTES:
            check_promise(total, _stored(path, -(-total // MOST_PACKED)))
        self.scenes = tuple(scenes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and how many chunks had no file so far."""
        absent = self._counts.absent
        said = [f"{absent} chunks have no file and were read as the fill value, as Zarr says"] if absent else []
        return (*self._notes, *said)

    def _bare(self) -> list[ZarrImage]:
        """Return an array without OME metadata as an image."""
        try:
            array = self._folder.array("")
        except MalformedError:
            return []
        self.format = "Zarr"
        self._notes.append("the Zarr array has no OME metadata: its axes were taken to be T, C, Z, Y, X from the right")
        names = "tczyx"[-len(array.shape) :] if len(array.shape) <= 5 else "q" * (len(array.shape) - 5) + "tczyx"
        ome = {"multiscales": [{"axes": list(names), "datasets": [{"path": ""}]}]}
        return [ZarrImage(path="", attributes={}, ome=ome)]

    def _scene(self, image: ZarrImage, index: int) -> tuple[Scene, Level]:
        if not image.levels:
            msg = "it names no array"
            raise PixelsError(msg)
        array = self._folder.array(image.levels[0].strip("/"))
        level = _level(array, image.axis_names)
        size = dict(zip(image.axis_names or _guess(array), scales(image), strict=False))
        unit = {str(axis.get("name", "")).lower(): axis.get("unit") for axis in image.axes}

        def in_um(axis: str) -> float | None:
            value, name = size.get(axis), unit.get(axis)
            found = units.in_um(value, name) if value and isinstance(name, str) else None
            return found if found and found > 0 and math.isfinite(found) else None

        count = level.axes.sizes["C"]
        labels = [mapping(each).get("label") for each in sequence(mapping(image.ome.get("omero")).get("channels"))]
        named = [label[:200] if isinstance(label, str) else "" for label in labels[:4_096]]
        name = image.path or image.multiscale.get("name")
        return Scene(
            index=index,
            name=name[:200] if isinstance(name, str) else "",
            t=level.axes.sizes["T"],
            c=count,
            z=level.axes.sizes["Z"],
            y=array.shape[level.y],
            x=array.shape[level.x],
            samples=array.shape[level.sample] if level.sample is not None else 1,
            dtype=array.dtype,
            pixel_size_um=(in_um("z"), in_um("y"), in_um("x")),
            channel_names=tuple((named[at] if at < len(named) else "") for at in range(count))
            if count <= 4_096
            else (),
            stored_axes="".join(each[:1] for each in image.axis_names).upper(),
        ), level

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        """Yield a plane, a row of chunks or several at a time."""
        return self._bands(self._levels[scene.index][0], plane)

    def overview(self, scene: Scene, plane: PlaneIndex, longest_edge_px: int) -> NDArray[Any] | None:
        """Return the plane from a coarser level."""
        import numpy as np

        finest, others = self._levels[scene.index]
        best = None
        for path in others:
            try:
                level = _level(self._folder.array(str(path)), self._axis_names(scene))
            except Error:
                continue
            same = level.axes.sizes == finest.axes.sizes and level.array.dtype == scene.dtype
            if same and longest_edge_px <= level.longest < (best or finest).longest:
                best = level
        return None if best is None else np.concatenate(list(self._bands(best, plane)))

    def _axis_names(self, scene: Scene) -> tuple[str, ...]:
        return tuple(scene.stored_axes.lower())

    def close(self) -> None:
        """Stop the threads; no file is held open."""
        self._workers.close()
        self._cache.clear()

    def _bands(self, level: Level, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        import numpy as np

        array, chunk = level.array, level.chunk
        dtype = np.dtype(chunk.dtype)
        at = _position(level, plane)
        height, width = array.shape[level.y], array.shape[level.x]
        rows, columns = chunk.shape[level.y], chunk.shape[level.x]
        samples = (
            range(1) if level.sample is None else range(-(-array.shape[level.sample] // chunk.shape[level.sample]))
        )
        tail = () if level.sample is None else (array.shape[level.sample],)
        down, across = -(-height // rows), -(-width // columns)
        row_bytes = rows * width * dtype.itemsize * math.prod(tail)
        several = max(1, min(down, BAND_BYTES // max(1, row_bytes)))
        ahead = max(1, min(4 * WORKERS, CACHE_BYTES // max(1, chunk.nbytes)))

        def wanted() -> Iterator[tuple[int, int, int]]:
            return itertools.product(range(down), range(across), samples)

        def read(place: tuple[int, int, int]) -> NDArray[Any] | None:
            return self._block(level, at, place)

        results = self._workers.map(read, wanted(), ahead=ahead) if down * across > 1 else map(read, wanted())
        for first in range(0, down, several):
            top = first * rows
            band = np.empty((min(several * rows, height - top), width, *tail), dtype)
            for row in range(first, min(first + several, down)):
                for column, sample in itertools.product(range(across), samples):
                    target = band[row * rows - top : (row + 1) * rows - top, column * columns : (column + 1) * columns]
                    if level.sample is not None:
                        deep = chunk.shape[level.sample]
                        target = target[..., sample * deep : (sample + 1) * deep]
                    block = next(results)
                    if block is None:
                        target[...] = np.asarray(array.fill).astype(dtype)
                    else:
                        target[...] = block[tuple(slice(size) for size in target.shape)]
            yield band

    def _block(self, level: Level, at: Sequence[int], place: tuple[int, int, int]) -> NDArray[Any] | None:
        """Return the part of a chunk that belongs to a plane, as (rows, columns[, samples]); ``None`` if absent."""
        import numpy as np

        chunk = level.chunk
        index = [0] * len(chunk.shape)
        inside: list[Any] = [0] * len(chunk.shape)
        for axis, value in zip(level.head, at, strict=True):
            index[axis], inside[axis] = divmod(value, chunk.shape[axis])
        kept = [level.y, level.x] + ([] if level.sample is None else [level.sample])
        for axis, number in zip(kept, place, strict=False):
            index[axis], inside[axis] = number, slice(None)
        several = math.prod(chunk.shape[axis] for axis in level.head) > 1
        key = (level.array.path, tuple(index))
        whole = self._cache.get(key) if several else None
        if whole is None:
            data = self._files.read(level, index)
            if data is None:
                with self._counts.lock:
                    self._counts.absent += 1
                return None
            whole = chunk.unpack(data)
            if several:
                self._cache.put(key, whole)
        block = whole[tuple(inside)]
        # What is left are the kept axes in the array's own order.
        order = [sorted(kept).index(axis) for axis in kept]
        return np.transpose(block, order)


def _guess(array: ZarrArray) -> tuple[str, ...]:
    return tuple("tczyx"[-len(array.shape) :])


def _level(array: ZarrArray, names: Sequence[str]) -> Level:
    names = tuple(each[:1] for each in names) or _guess(array)
    if len(names) != len(array.shape):
        msg = f"the Zarr array has {len(array.shape)} axes and the metadata names {len(names)}"
        raise PixelsError(msg)
    if names.count("y") != 1 or names.count("x") != 1:
        msg = "the Zarr array has no axes y and x"
        raise PixelsError(msg)
    if 0 in array.shape:
        msg = "the Zarr array has no pixels"
        raise PixelsError(msg)
    chunk, sharding = packing(array)
    if chunk.nbytes > MAX_SEGMENT_BYTES:
        msg = f"a chunk of the Zarr array unpacks to {chunk.nbytes} bytes; at most {MAX_SEGMENT_BYTES} are accepted"
        raise LimitError(msg)
    sample = names.index("s") if names.count("s") == 1 else None
    y, x = names.index("y"), names.index("x")
    head = tuple(axis for axis in range(len(names)) if axis not in {y, x, sample})
    axes = leading("".join(names[axis] for axis in head).upper(), [array.shape[axis] for axis in head])
    level = Level(array=array, chunk=chunk, sharding=sharding, axes=axes, head=head, y=y, x=x, sample=sample)
    if _chunks(level) > MAX_SEGMENTS:
        msg = f"the Zarr metadata promises {_chunks(level)} chunks a plane; at most {MAX_SEGMENTS} are accepted"
        raise LimitError(msg)
    return level


def _chunks(level: Level) -> int:
    """Return in how many chunks a plane lies."""
    kept = [level.y, level.x] + ([] if level.sample is None else [level.sample])
    return math.prod(-(-level.array.shape[axis] // level.chunk.shape[axis]) for axis in kept)


def _position(level: Level, plane: PlaneIndex) -> list[int]:
    """Return the index along each leading axis of the array."""
    number = level.axes.number(plane)
    found = []
    for axis in reversed(level.head):
        number, rest = divmod(number, level.array.shape[axis])
        found.append(rest)
    return found[::-1]


def _stored(path: Path, enough: int) -> int:
    """Return the size of the files in a folder, or a number beyond ``enough`` as soon as that is reached."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            total += (Path(folder) / name).lstat().st_size
            if total > enough:
                return total
    return total
