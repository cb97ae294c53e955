"""Tiles and entry bundles (c2sp.org/tlog-tiles@v0.1.0): paths, bytes, and a tree read through them. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rawtrace.errors import ReceiptError
from rawtrace.ledger import merkle
from rawtrace.ledger.encoding import MAX_NUMBER
from rawtrace.ledger.entry import MAX_ENTRY

#: Hashes in a full tile, entries in a full bundle.
WIDTH = 256
#: Largest bundle in bytes.
MAX_BUNDLE = WIDTH * (2 + MAX_ENTRY)

_MAX_LEVEL = 63
_CACHED_TILES = 256
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class TilePath:
    """A tile, or a bundle of entries.

    Attributes
    ----------
    level : int or None
        0 to 63; None for entries.
    index : int
        Which tile of the level.
    width : int
        Number of hashes or entries, 1 to 256.
    """

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def text(self) -> str:
        """The path below a log's prefix, such as ``tile/0/x001/x234/067.p/8``."""
        name = "entries" if self.level is None else str(self.level)
        digits = f"{self.index % 1000:03d}"
        rest = self.index // 1000
        while rest:
            digits = f"x{rest % 1000:03d}/{digits}"
            rest //= 1000
        return f"tile/{name}/{digits}" + ("" if self.width == WIDTH else f".p/{self.width}")


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Return the path of a tile below the log's prefix."""
    return TilePath(level, index, width).text


def entries_path(index: int, width: int = WIDTH) -> str:
    """Return the path of an entry bundle below the log's prefix."""
    return TilePath(None, index, width).text


def parse_path(path: str) -> TilePath:
    """Read the path of a tile or a bundle; each has one spelling only.

    Raises
    ------
    ReceiptError
    """
    found = _PATH.fullmatch(path)
    if found is not None and path.isascii():
        level = None if found["level"] == "entries" else int(found["level"])
        width = int(found["width"] or WIDTH)
        tile = TilePath(level, int(found["index"].replace("x", "").replace("/", "")), width)
        # The way back refuses .p/256, groups of zeros in front, and all else that would be a second spelling.
        if (level or 0) <= _MAX_LEVEL and width <= WIDTH and tile.index <= MAX_NUMBER and tile.text == path:
            return tile
    msg = f"{path[:80]!r} is not the path of a tile"
    raise ReceiptError(msg)


def width_at(level: int, index: int, size: int) -> int:
    """Return how many hashes (level 0: also entries) a tile has in a log of ``size``: 0 to 256."""
    return max(0, min(WIDTH, (size >> (8 * level)) - index * WIDTH))


def tiles_of(size: int, old: int = 0) -> tuple[TilePath, ...]:
    """Return the tiles that a log of ``size`` has and one of ``old`` did not have in this width, lowest level first."""
    found = []
    for level in range(_MAX_LEVEL + 1):
        if not size >> (8 * level):
            break
        first = (old >> (8 * level)) // WIDTH
        last = ((size >> (8 * level)) - 1) // WIDTH
        found += [
            TilePath(level, index, width_at(level, index, size))
            for index in range(first, last + 1)
            if width_at(level, index, size) != width_at(level, index, old)
        ]
    return tuple(found)


def full_tile_root(tile: bytes) -> bytes:
    """Return the root over the hashes of a full tile: the hash that stands for it one level up."""
    sha256, size = hashlib.sha256, 2 * merkle.HASH
    while len(tile) > merkle.HASH:
        tile = b"".join([sha256(b"\x01" + tile[at : at + size]).digest() for at in range(0, len(tile), size)])
    return tile


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Write entries as a bundle: each with its length in two bytes before it.

    Raises
    ------
    ReceiptError
        An entry of more than 65 535 bytes.
    """
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            msg = f"an entry of {len(entry)} bytes; a log takes at most {MAX_ENTRY}"
            raise ReceiptError(msg)
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes, count: int) -> tuple[bytes, ...]:
    """Read a bundle of exactly ``count`` entries.

    Raises
    ------
    ReceiptError
        More or fewer of them, or an entry that breaks off.
    """
    entries: list[bytes] = []
    offset = 0
    while offset < len(data) and len(entries) <= count:
        end = offset + 2 + int.from_bytes(data[offset : offset + 2], "big")
        if offset + 2 > len(data) or end > len(data):
            msg = "a bundle of entries breaks off in the middle of one"
            raise ReceiptError(msg)
        entries.append(data[offset + 2 : end])
        offset = end
    if len(entries) != count:
        msg = f"a bundle does not hold the {count} entries it should hold"
        raise ReceiptError(msg)
    return tuple(entries)


class Tiles:
    """A tree of a known size, read through its tiles; not safe to share between threads.

    Parameters
    ----------
    read : Callable[[str], bytes]
        Gives the bytes of a path such as ``tile/0/000.p/8``; raises what it likes if there are none.
    size : int
        Size of the tree: it decides which partial tiles there are.
    """

    def __init__(self, read: Callable[[str], bytes], size: int) -> None:
        self._read = read
        self.size = size
        self._cache: dict[tuple[int, int], bytes] = {}

    def hash(self, level: int, index: int) -> bytes:
        """Return the hash of the complete subtree over the leaves ``[index << level, (index + 1) << level)``.

        Raises
        ------
        ReceiptError
            It is not in the tree, or its tile does not have the length it must have.
        """
        if level < 0 or index < 0 or (index + 1) << level > self.size:
            msg = f"there is no subtree {index} of height {level} in a log of {self.size}"
            raise ReceiptError(msg)
        row, height = divmod(level, 8)
        first = index << height
        tile = self._tile(row, first // WIDTH)
        start = first % WIDTH * merkle.HASH
        wanted = tile[start : start + (merkle.HASH << height)]
        return merkle.root_of([wanted[at : at + merkle.HASH] for at in range(0, len(wanted), merkle.HASH)])

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the tree, or of what it was at an earlier ``size``."""
        return merkle.subtree_hash(0, self._at(size), self.hash)

    def inclusion_proof(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """As ``merkle.inclusion_proof``, in the tree or what it was at an earlier ``size``."""
        return merkle.inclusion_proof(index, self._at(size), self.hash)

    def consistency_proof(self, old: int, new: int | None = None) -> tuple[bytes, ...]:
        """As ``merkle.consistency_proof``, to the tree or what it was at an earlier size ``new``."""
        return merkle.consistency_proof(old, self._at(new), self.hash)

    def subtree_proof(self, start: int, end: int, size: int | None = None) -> tuple[bytes, ...]:
        """As ``merkle.subtree_proof``, in the tree or what it was at an earlier ``size``."""
        return merkle.subtree_proof(start, end, self._at(size), self.hash)

    def _at(self, size: int | None) -> int:
        if size is None:
            return self.size
        if not 0 <= size <= self.size:
            msg = f"a log of {self.size} entries does not know its size {size}"
            raise ReceiptError(msg)
        return size

    def _tile(self, row: int, index: int) -> bytes:
        found = self._cache.get((row, index))
        if found is None:
            width = width_at(row, index, self.size)
            path = tile_path(row, index, width)
            found = self._read(path)
            if len(found) != width * merkle.HASH:
                msg = f"{path} has {len(found)} bytes; expected {width * merkle.HASH}"
                raise ReceiptError(msg)
            if len(self._cache) >= _CACHED_TILES:
                self._cache.pop(next(iter(self._cache)))
            self._cache[row, index] = found
        return found
