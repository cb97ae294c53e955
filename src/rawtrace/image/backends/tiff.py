"""TIFF and its relatives: scenes from the directories, pixels from strips and tiles.

Directories are read by our own bounded reader; tifffile unpacks what is packed,
one strip or tile at a time, on a few threads. Pixels that lie in the file as
they lie in an array are read straight into one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from rawtrace.errors import Error, MissingExtraError, PixelsError
from rawtrace.image.backends import tiffseries
from rawtrace.image.backends.files import MAX_SEGMENT_BYTES, WORKERS, SharedFile, Workers
from rawtrace.image.backends.tiffpages import SUB_IFDS, Layout, Page, Pages
from rawtrace.image.backends.tiffseries import Stack
from rawtrace.image.quiet import quietly
from rawtrace.image.reader import BAND_BYTES, PlaneIndex, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEFLATE = {8, 32_946}
_MAX_LEVELS = 32
INSTALL = 'pip install "rawtrace[formats]"'


class TiffBackend:
    """An open TIFF.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._files: dict[Path, Pages] = {}
        self._decoders: dict[tuple[Path, Layout], Any] = {}
        self._workers = Workers()
        self._lock = Lock()
        try:
            self._own = self._open(path)
            found = tiffseries.series(path, self._own)
        except BaseException:
            self.close()
            raise
        self._stacks = tuple(
            replace(stack, scene=replace(stack.scene, index=index)) for index, stack in enumerate(found.stacks)
        )
        self.format = found.format
        self.notes = found.notes
        self.scenes = tuple(stack.scene for stack in self._stacks)

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        """Yield a plane from top to bottom."""
        stack = self._stacks[scene.index]
        pages, page, skip = self._page(stack, plane)
        bands = self._direct(pages.file, page, skip) if page.run is not None else self._packed(pages, page)
        if stack.palette is None:
            return bands
        return (stack.palette[band] for band in bands)

    def overview(self, scene: Scene, plane: PlaneIndex, longest_edge_px: int) -> NDArray[Any] | None:
        """Return the plane from a coarser level of its pyramid."""
        import numpy as np

        stack = self._stacks[scene.index]
        levels = [(scene.x, scene.y, -1)]
        for number, level in enumerate(stack.levels[:_MAX_LEVELS]):
            levels.append((level.layout.width, level.layout.length, number))
        pages, page, skip = self._page(stack, plane)
        if skip:
            return None
        for offset in pages.numbers(pages.directory(page.offset), SUB_IFDS)[:_MAX_LEVELS]:
            try:
                layout = pages.layout(pages.directory(int(offset)))
            except Error:
                continue
            levels.append((layout.width, layout.length, -2 - int(offset)))
        fitting = [level for level in levels if max(level[:2]) >= longest_edge_px and level[0] <= scene.x]
        number = min(fitting, default=levels[0])[2]
        if number == -1:
            return None
        if number >= 0:
            pages, page, _ = self._page(stack.levels[number], plane)
        else:
            page = pages.page(-2 - number)
        bands = self._direct(pages.file, page, 0) if page.run is not None else self._packed(pages, page)
        whole = np.concatenate(list(bands))
        return stack.palette[whole] if stack.palette is not None else whole

    def close(self) -> None:
        """Let go of the files."""
        self._workers.close()
        for pages in self._files.values():
            pages.close()

    def _open(self, path: Path) -> Pages:
        with self._lock:
            if path not in self._files:
                file = SharedFile(path)
                try:
                    self._files[path] = Pages(file)
                except BaseException:
                    file.close()
                    raise
            return self._files[path]

    def _page(self, stack: Stack, plane: PlaneIndex) -> tuple[Pages, Page, int]:
        place = stack.place(plane)
        pages = self._own if place.path is None else self._open(place.path)
        if place.offset is None:
            chain = pages.chain
            if not 0 <= place.number < len(chain):
                name = pages.file.path.name
                msg = f"{name} has {len(chain)} pages, and the plane would be on page {place.number + 1}"
                raise PixelsError(msg)
            offset = chain[place.number]
        else:
            offset = place.offset
        page = pages.page(offset)
        if (page.layout.width, page.layout.length, page.layout.samples, page.layout.dtype) != (
            stack.layout.width, stack.layout.length, stack.layout.samples, stack.layout.dtype,
        ):  # fmt: skip
            msg = "its page has another size or type than the first one of the scene"
            raise PixelsError(msg)
        return pages, page, place.skip

    def _direct(self, file: SharedFile, page: Page, skip: int) -> Iterator[NDArray[Any]]:
        import numpy as np

        layout = page.layout
        dtype = np.dtype(layout.dtype).newbyteorder(self._order(file))
        row_bytes = layout.plane_bytes // layout.length
        step = max(1, BAND_BYTES // row_bytes)
        tail = (layout.width,) if layout.samples == 1 else (layout.width, layout.samples)
        start = page.run
        assert start is not None  # noqa: S101  the caller asked
        if skip == 0 and int(page.counts.sum()) < layout.plane_bytes:
            msg = "its strips hold fewer bytes than its rows need"
            raise PixelsError(msg)

        def read(row: int) -> NDArray[Any]:
            band = np.empty((min(step, layout.length - row), *tail), dtype)
            file.read_into(start + skip + row * row_bytes, band)
            return band

        rows = range(0, layout.length, step)
        if len(rows) == 1:
            yield read(0)
        else:
            # The next band is read while the caller is busy with this one.
            yield from self._workers.map(read, rows, ahead=2)

    def _order(self, file: SharedFile) -> Literal["<", ">"]:
        return self._files[file.path].tiff.order

    def _packed(self, pages: Pages, page: Page) -> Iterator[NDArray[Any]]:
        import numpy as np

        layout = page.layout
        decode = self._decoder(pages, page)
        down, across = layout.grid
        groups = layout.samples if layout.separate else 1
        row_bytes = layout.rows * layout.plane_bytes // layout.length
        several = max(1, min(BAND_BYTES // max(1, row_bytes), down))
        tail = () if layout.samples == 1 else (layout.samples,)

        def numbers() -> Iterator[int]:
            for first in range(0, down, several):
                for group in range(groups):
                    for row in range(first, min(first + several, down)):
                        base = (group * down + row) * across
                        yield from range(base, base + across)

        segment_bytes = layout.rows * layout.columns * max(1, layout.bits // 8) * (1 if groups > 1 else layout.samples)
        ahead = max(1, min(4 * WORKERS, (64 << 20) // max(1, segment_bytes)))
        if ahead == 1:
            results: Iterator[Any] = (decode(number) for number in numbers())
        else:
            results = self._workers.map(decode, numbers(), ahead=ahead)
        for first in range(0, down, several):
            top = first * layout.rows
            height = min(layout.length - top, several * layout.rows)
            band = np.empty((height, layout.width, *tail), layout.dtype)
            for group in range(groups):
                for row in range(first, min(first + several, down)):
                    for column in range(across):
                        self._place(band, next(results), layout, (row * layout.rows - top, column, group))
            yield band

    @staticmethod
    def _place(band: NDArray[Any], segment: NDArray[Any] | None, layout: Layout, at: tuple[int, int, int]) -> None:
        row, column, group = at
        left = column * layout.columns
        target = band[row : row + layout.rows, left : left + layout.columns]
        if layout.separate:
            target = target[..., group]
        if segment is None:
            target[...] = 0
            return
        height, width = target.shape[:2]
        if segment.shape[0] < height or segment.shape[1] < width:
            msg = "a strip or tile unpacks to fewer rows or columns than it needs"
            raise PixelsError(msg)
        part = segment[:height, :width]
        target[...] = part if target.ndim == 3 else part[..., 0]

    def _decoder(self, pages: Pages, page: Page) -> Any:
        import numpy as np

        layout = page.layout
        unpack = self._unpacker(pages, page)
        file, tables = pages.file, page.jpeg_tables
        limit = 2 * MAX_SEGMENT_BYTES

        def decode(number: int) -> NDArray[Any] | None:
            count = int(page.counts[number])
            if count == 0:
                # A tile that was never written, as whole-slide scanners leave them out.
                return None
            if count > limit:
                msg = f"a strip or tile claims {count} packed bytes"
                raise PixelsError(msg)
            data = file.read(int(page.offsets[number]), count)
            if len(data) < count:
                msg = "the file ends before a strip or tile that it promises"
                raise PixelsError(msg)
            found: NDArray[Any] = np.asarray(unpack(data, number, tables))
            if found.dtype.newbyteorder("=") != np.dtype(layout.dtype):
                msg = f"a strip or tile unpacks to {found.dtype.name} and not to {layout.dtype}"
                raise PixelsError(msg)
            return found

        return decode

    def _unpacker(self, pages: Pages, page: Page) -> Any:
        layout = page.layout
        key = (pages.file.path, layout)
        with self._lock:
            if key not in self._decoders:
                self._decoders[key] = _make_unpacker(pages, page, _has_imagecodecs())
            return self._decoders[key]


def _make_unpacker(pages: Pages, page: Page, packed_by_imagecodecs: bool) -> Any:
    import numpy as np

    layout, order = page.layout, pages.tiff.order
    samples = 1 if layout.separate else layout.samples
    if layout.direct or (layout.compression in _DEFLATE and not packed_by_imagecodecs):
        return _Simple(layout, np.dtype(layout.dtype).newbyteorder(order), samples)
    if not packed_by_imagecodecs and (layout.compression not in {1, 8, 32_946} or layout.bits % 8):
        msg = f"TIFF compression {layout.compression} with {layout.bits} bits needs a package that is not installed"
        raise MissingExtraError(msg, hint=INSTALL)
    return _ByTifffile(pages.file.path, page)


class _Simple:
    """Unpacks plain and deflated strips and tiles with what Python and NumPy bring, bounded."""

    def __init__(self, layout: Layout, dtype: Any, samples: int) -> None:
        if layout.predictor not in {1, 2} or layout.dtype == "bool" or dtype.itemsize * 8 != layout.bits:
            msg = "this kind of TIFF compression needs a package that is not installed"
            raise MissingExtraError(msg, hint=INSTALL)
        self._layout = layout
        self._dtype = dtype
        self._samples = samples

    def __call__(self, data: bytes, number: int, _tables: bytes | None) -> NDArray[Any]:
        import numpy as np

        layout = self._layout
        down, across = layout.grid
        row = number // across % down
        rows = layout.rows if layout.tiled else min(layout.rows, layout.length - row * layout.rows)
        size = rows * layout.columns * self._samples * self._dtype.itemsize
        if layout.compression in _DEFLATE:
            data = zlib.decompressobj().decompress(data, size)
        if len(data) < size:
            msg = "a strip or tile holds fewer bytes than its rows need"
            raise PixelsError(msg)
        pixels = np.frombuffer(data, self._dtype, count=size // self._dtype.itemsize)
        pixels = pixels.reshape(rows, layout.columns, self._samples)
        if layout.predictor == 2:
            return np.asarray(np.cumsum(pixels, axis=1, dtype=np.dtype(layout.dtype)))
        return pixels


class _ByTifffile:
    """Unpacks strips and tiles with tifffile, and imagecodecs below it; thread-safe once it is made."""

    def __init__(self, path: Path, page: Page) -> None:
        import tifffile

        with quietly(), tifffile.TiffFile(path, _multifile=False) as tif:
            tif.filehandle.seek(page.offset)
            self._decode = tifffile.TiffPage(tif, index=0).decode

    def __call__(self, data: bytes, number: int, tables: bytes | None) -> NDArray[Any]:
        segment, _, _ = self._decode(data, number, jpegtables=tables)
        pixels: NDArray[Any] = segment[0]
        return pixels


def _has_imagecodecs() -> bool:
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        return False
    return True
