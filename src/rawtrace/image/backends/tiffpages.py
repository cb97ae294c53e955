"""One TIFF directory as strips or tiles of pixels, read with bounds and without the whole file's other pages."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from rawtrace.errors import LimitError, MalformedError, PixelsError
from rawtrace.image.backends.files import MAX_SEGMENT_BYTES, MAX_SEGMENTS, SharedFile
from rawtrace.image.tiffdirectory import MAX_DIRECTORIES, MAX_ENTRIES, Directory, Entry, TiffDirectories

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, PREDICTOR, COLOR_MAP = 273, 277, 278, 279, 284, 317, 320
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS, SUB_IFDS, EXTRA_SAMPLES, SAMPLE_FORMAT = (
    322, 323, 324, 325, 330, 338, 339,
)  # fmt: skip
JPEG_TABLES, IMAGE_DEPTH = 347, 32_997
WHITE_IS_ZERO, PALETTE, YCBCR = 0, 3, 6
#: Tables of strips and tiles, of all pages together that are looked at.
_TABLE_BUDGET = 4 << 30
_FORMATS = {1: "uint", 2: "int", 3: "float", 4: "uint", 6: "complex"}
_SIZES = {"uint": (8, 16, 32, 64), "int": (8, 16, 32, 64), "float": (16, 32, 64), "complex": (64, 128)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a page's pixels are laid out; equal for all pages of a stack.

    Attributes
    ----------
    dtype : str
        NumPy's name without byte order, of what is handed out.
    bits : int
        Of one sample in the file.
    separate : bool
        Whether each sample has strips or tiles of its own.
    rows, columns : int
        Of one strip or tile.
    """

    width: int
    length: int
    samples: int
    dtype: str
    bits: int
    compression: int
    predictor: int
    photometric: int
    separate: bool
    tiled: bool
    rows: int
    columns: int
    fill_order: int

    @property
    def direct(self) -> bool:
        """Whether the bytes in the file are those of the array."""
        import numpy as np

        if self.photometric == YCBCR and self.samples == 3:
            return False
        plain = self.compression == 1 and self.predictor == 1 and self.fill_order == 1
        return plain and self.dtype != "bool" and np.dtype(self.dtype).itemsize * 8 == self.bits

    @property
    def grid(self) -> tuple[int, int]:
        """How many rows and columns of strips or tiles there are."""
        return -(-self.length // self.rows), -(-self.width // self.columns)

    @property
    def segments(self) -> int:
        """How many strips or tiles a page must have."""
        down, across = self.grid
        return down * across * (self.samples if self.separate else 1)

    @property
    def plane_bytes(self) -> int:
        """Of one page, unpacked."""
        import numpy as np

        return self.width * self.length * self.samples * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """One directory with the places of its strips or tiles."""

    offset: int
    layout: Layout
    offsets: NDArray[Any]
    counts: NDArray[Any]
    jpeg_tables: bytes | None = None

    @property
    def run(self) -> int | None:
        """Where the pixels begin, if they lie in the file as they lie in an array; else ``None``."""
        layout = self.layout
        if not layout.direct or layout.tiled or (layout.separate and layout.samples > 1):
            return None
        if len(self.offsets) == 1:
            return int(self.offsets[0]) if layout.rows >= layout.length else None
        expected = layout.plane_bytes // layout.length * layout.rows
        follow = (self.offsets[1:] - self.offsets[:-1] == expected).all() and (self.counts[:-1] == expected).all()
        return int(self.offsets[0]) if follow else None


class Pages:
    """The directories of one file, in the order of the chain.

    Parameters
    ----------
    file : SharedFile

    Raises
    ------
    MalformedError
        Not a TIFF.
    """

    def __init__(self, file: SharedFile) -> None:
        self.file = file
        self._lock = Lock()
        self._stream = file.path.open("rb")
        try:
            self.tiff = TiffDirectories(self._stream, file.size, budget=_TABLE_BUDGET)
        except BaseException:
            self._stream.close()
            raise
        self._chain: list[int] | None = None
        self.broken = False

    @property
    def chain(self) -> list[int]:
        """Where the directories of the main chain are; those of a damaged end are left out."""
        if self._chain is None:
            self._chain = self._walk()
        return self._chain

    def _walk(self) -> list[int]:
        head, step, letter = (8, 20, "Q") if self.tiff.big else (2, 12, "H")
        found: dict[int, None] = {}
        offset = self.tiff.first
        while 0 < offset <= self.file.size - head and offset not in found:
            if len(found) >= MAX_DIRECTORIES:
                msg = f"there are more than {MAX_DIRECTORIES} TIFF directories"
                raise LimitError(msg)
            (count,) = struct.unpack(self.tiff.order + letter, self.file.read(offset, head))
            width = 8 if self.tiff.big else 4
            last = self.file.read(offset + head + count * step, width) if count <= MAX_ENTRIES else b""
            if len(last) < width:
                break
            found[offset] = None
            (offset,) = struct.unpack(self.tiff.order + ("Q" if self.tiff.big else "I"), last)
        # Zero ends a chain that is whole.
        self.broken = offset != 0
        return list(found)

    def directory(self, offset: int) -> Directory:
        """Read one directory."""
        with self._lock:
            return self.tiff.directory(offset)

    def layout(self, directory: Directory) -> Layout:
        """Return how a directory's pixels are laid out.

        Raises
        ------
        PixelsError
            It has no pixels, or of a kind that is not read.
        """
        with self._lock:
            return self._layout(directory)

    def _layout(self, directory: Directory) -> Layout:
        one = _Numbers(self.tiff, directory.entries).one
        width, length, samples = one(WIDTH), one(LENGTH), one(SAMPLES, 1)
        if width < 1 or length < 1 or not 1 <= samples <= 65_535:
            msg = "the page has no pixels"
            raise PixelsError(msg)
        if one(IMAGE_DEPTH, 1) != 1:
            msg = "the page is a volume with tiles in depth, which is not read"
            raise PixelsError(msg)
        tiled = TILE_WIDTH in directory.entries and TILE_OFFSETS in directory.entries
        rows = one(TILE_LENGTH) if tiled else min(length, one(ROWS_PER_STRIP, length) or length)
        columns = one(TILE_WIDTH) if tiled else width
        separate = one(PLANAR, 1) == 2 and samples > 1
        bits = self._same(directory, BITS, 1)
        layout = Layout(
            width=width, length=length, samples=samples, bits=bits,
            dtype=_dtype(self._same(directory, SAMPLE_FORMAT, 1), bits),
            compression=one(COMPRESSION, 1), predictor=one(PREDICTOR, 1), photometric=one(PHOTOMETRIC, 1),
            separate=separate, tiled=tiled, rows=rows, columns=columns, fill_order=one(FILL_ORDER, 1),
        )  # fmt: skip
        if rows < 1 or columns < 1:
            msg = "the page's tiles have no size"
            raise PixelsError(msg)
        unpacked = rows * columns * (1 if separate else samples) * max(1, bits // 8)
        if not (layout.direct and not tiled) and unpacked > MAX_SEGMENT_BYTES:
            msg = f"one strip or tile unpacks to {unpacked} bytes; at most {MAX_SEGMENT_BYTES} are accepted"
            raise LimitError(msg)
        return layout

    def page(self, offset: int) -> Page:
        """Return one directory with the places of its pixels.

        Raises
        ------
        PixelsError, LimitError, MalformedError
        """
        with self._lock:
            return self._page(offset)

    def _page(self, offset: int) -> Page:
        import numpy as np

        directory = self.tiff.directory(offset)
        layout = self._layout(directory)
        places, sizes = (TILE_OFFSETS, TILE_COUNTS) if layout.tiled else (STRIP_OFFSETS, STRIP_COUNTS)
        wanted = layout.segments
        if wanted > MAX_SEGMENTS:
            msg = f"the page is in {wanted} strips or tiles; at most {MAX_SEGMENTS} are accepted"
            raise LimitError(msg)
        offsets = self._table(directory.entries.get(places), wanted)
        counts = self._table(directory.entries.get(sizes), wanted)
        if len(counts) == 0 and len(offsets) == wanted == 1 and layout.compression == 1:
            counts = np.array([layout.plane_bytes], np.int64)
        if len(offsets) < wanted or len(counts) < wanted:
            msg = f"the page needs {wanted} strips or tiles and has {min(len(offsets), len(counts))}"
            raise PixelsError(msg)
        tables = directory.entries.get(JPEG_TABLES)
        return Page(
            offset=offset,
            layout=layout,
            offsets=offsets,
            counts=counts,
            jpeg_tables=self.tiff.raw(tables, limit=1 << 20) if tables is not None else None,
        )

    def numbers(self, directory: Directory, tag: int, *, limit: int = 65_536) -> tuple[int | float, ...]:
        """Return a tag's numbers; none where it is absent."""
        with self._lock:
            return self.tiff.numbers(directory.entries.get(tag), limit=limit)

    def raw(self, directory: Directory, tag: int, *, limit: int) -> bytes:
        """Return a tag's bytes; empty where it is absent."""
        entry = directory.entries.get(tag)
        with self._lock:
            return self.tiff.raw(entry, limit=limit) if entry is not None else b""

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()
        self.file.close()

    def _same(self, directory: Directory, tag: int, default: int) -> int:
        entry = directory.entries.get(tag)
        if entry is None:
            return default
        numbers = set(self.tiff.numbers(entry))
        if len(numbers) != 1:
            msg = "the samples of a pixel are of different sizes or types, which is not read"
            raise PixelsError(msg)
        return int(numbers.pop())

    def _table(self, entry: Entry | None, wanted: int) -> NDArray[Any]:
        import numpy as np

        letter = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}.get(entry.type) if entry else None
        if entry is None or letter is None or entry.count > self.file.size:
            return np.empty(0, np.int64)
        data = self.tiff.raw(entry, limit=self.file.size)
        table = np.frombuffer(data, np.dtype(letter).newbyteorder(self.tiff.order))[:wanted]
        if letter == "u8" and len(table) and int(table.max()) >= 1 << 62:
            msg = "a strip or tile lies beyond the end of the file"
            raise PixelsError(msg)
        return table.astype(np.int64)


class _Numbers:
    """The first number of a tag."""

    def __init__(self, tiff: TiffDirectories, entries: Mapping[int, Entry]) -> None:
        self._tiff = tiff
        self._entries = entries

    def one(self, tag: int, default: int = 0) -> int:
        entry = self._entries.get(tag)
        numbers = self._tiff.numbers(entry) if entry is not None else ()
        if not numbers:
            return default
        if not math.isfinite(numbers[0]):
            msg = "a TIFF tag is not a number"
            raise MalformedError(msg)
        return int(numbers[0])


def _dtype(form: int, bits: int) -> str:
    kind = _FORMATS.get(form, "")
    if kind == "uint" and bits == 1:
        return "bool"
    if bits in _SIZES.get(kind, ()):
        return f"{kind}{bits}"
    # What tifffile unpacks odd numbers of bits into.
    if kind == "uint" and bits < 32:
        return "uint8" if bits < 8 else "uint16" if bits < 16 else "uint32"
    if kind == "float" and bits == 24:
        return "float32"
    msg = f"samples of {bits} bits of sample format {form} are not read"
    raise PixelsError(msg)
