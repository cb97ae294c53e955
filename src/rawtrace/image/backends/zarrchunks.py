"""The chunks of a Zarr array, from files or shards, through checked paths; kept where several planes need one."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from rawtrace.errors import LimitError, PixelsError, from_os_error
from rawtrace.image.backends.axes import Leading
from rawtrace.image.backends.zarrcodecs import Chunk, Sharding
from rawtrace.image.plainfile import open_plain
from rawtrace.image.zarrlayout import ZarrArray, ZarrFolder

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Unpacked chunks that hold several planes are kept, up to so many bytes.
CACHE_BYTES = 64 << 20
_MAX_INDEX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One array of a pyramid, and where its axes are."""

    array: ZarrArray
    chunk: Chunk
    sharding: Sharding | None
    axes: Leading
    head: tuple[int, ...]
    y: int
    x: int
    sample: int | None = None

    @property
    def longest(self) -> int:
        """The longer edge of a plane, px."""
        return max(self.array.shape[self.y], self.array.shape[self.x])


class ChunkFiles:
    """Reads chunks from their files or shards; no link leads out."""

    def __init__(self, folder: ZarrFolder) -> None:
        self._folder = folder
        self._parents: dict[str, Path] = {}
        self._indices: OrderedDict[str, NDArray[Any]] = OrderedDict()
        self._lock = Lock()

    def read(self, level: Level, index: Sequence[int]) -> bytes | None:
        """Return a chunk's bytes; ``None`` where there is no file."""
        if level.sharding is None:
            path = self._place(level.array, index)
            limit = level.chunk.nbytes + (level.chunk.nbytes >> 3) + 65_536
            return self._bytes(path, 0, limit, whole=True)
        return self._of_shard(level, level.sharding, index)

    def _of_shard(self, level: Level, sharding: Sharding, index: Sequence[int]) -> bytes | None:
        outer = [number // size for number, size in zip(index, sharding.grid, strict=True)]
        inner = tuple(number % size for number, size in zip(index, sharding.grid, strict=True))
        path = self._place(level.array, outer)
        with self._lock:
            places = self._indices.get(str(path))
        if places is None:
            if sharding.index_bytes > _MAX_INDEX_BYTES:
                msg = f"the index of a shard is {sharding.index_bytes} bytes"
                raise LimitError(msg)
            start = -sharding.index_bytes if sharding.at_end else 0
            data = self._bytes(path, start, sharding.index_bytes)
            if data is None:
                return None
            places = sharding.places(data)
            with self._lock:
                self._indices[str(path)] = places
                while len(self._indices) > 64:
                    self._indices.popitem(last=False)
        offset, size = (int(each) for each in places[inner])
        if offset == size == (1 << 64) - 1:
            return None
        if size > 2 * level.chunk.nbytes + 65_536 or offset >= 1 << 62:
            msg = "the index of a shard points beyond its end"
            raise PixelsError(msg)
        data = self._bytes(path, offset, size)
        if data is None or len(data) < size:
            msg = "the index of a shard points beyond its end"
            raise PixelsError(msg)
        return data

    def _place(self, array: ZarrArray, index: Sequence[int]) -> Path:
        full = f"{array.path}/{array.chunk_path(index)}" if array.path else array.chunk_path(index)
        parent, _, name = full.rpartition("/")
        with self._lock:
            folder = self._parents.get(parent)
        if folder is None:
            folder = self._folder.locate(parent)
            with self._lock:
                if len(self._parents) > 10_000:
                    self._parents.clear()
                self._parents[parent] = folder
        path = folder / name
        # The folder was checked already; the file itself may still be a link.
        return self._folder.locate(full) if path.is_symlink() else path

    @staticmethod
    def _bytes(path: Path, offset: int, size: int, *, whole: bool = False) -> bytes | None:
        try:
            with open_plain(path) as stream:
                held = os.fstat(stream.fileno()).st_size
                if whole and held > size:
                    msg = f"a chunk's file holds {held} bytes, more than the chunk can need"
                    raise PixelsError(msg)
                stream.seek(max(0, held + offset) if offset < 0 else offset)
                return stream.read(min(size, held))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise from_os_error(error, "reading a chunk") from error


class Cache:
    """The chunks that hold several planes and were used last."""

    def __init__(self) -> None:
        self._held: OrderedDict[Any, NDArray[Any]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, key: Any) -> NDArray[Any] | None:
        """Return a chunk that is still held."""
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def put(self, key: Any, chunk: NDArray[Any]) -> None:
        """Keep a chunk, and let the oldest go where there is no room."""
        with self._lock:
            if chunk.nbytes > CACHE_BYTES or key in self._held:
                return
            self._held[key] = chunk
            self._size += chunk.nbytes
            while self._size > CACHE_BYTES:
                _, old = self._held.popitem(last=False)
                self._size -= old.nbytes

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            self._held.clear()
            self._size = 0
