"""The whole tree of a log computed anew from its entries, in one pass and little memory.

Where entries and tiles disagree, what lies above decides which of them is
damaged; at the right edge, where nothing lies above, the signed root does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rawtrace.errors import ReceiptError
from rawtrace.ledger.logstore import edge_root
from rawtrace.ledger.merkle import HASH, leaf_hash
from rawtrace.ledger.tiles import WIDTH, decode_bundle, entries_path, full_tile_root, tile_path, width_at
from rawtrace.progress import SILENT, Progress

#: Faults that are named; a log with more is not worth a longer list.
MAX_FAULTS = 100

#: Gives the bytes of a path such as ``tile/0/000.p/8``, or ``None`` where there are none.
Read = Callable[[str], bytes | None]
#: Is shown each bundle: the index of its first entry, and the entries.
Inspect = Callable[[int, Sequence[bytes]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is not as it must be.

    Attributes
    ----------
    kind : str
        ``entry``, ``tile``, ``checkpoint`` or ``record``.
    index : int
        The first entry that it concerns.
    where : str
        The path below the log's prefix; ``checkpoint``; or ``record``.
    message : str
        One sentence.
    """

    kind: str
    index: int
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class _Difference:
    """A tile that is not what is below it, at one position; ``stored``: what lies above agrees with the tile."""

    level: int
    number: int
    place: int
    stored: bool


def derive(
    read: Read, *, size: int, root: bytes, inspect: Inspect | None = None, progress: Progress = SILENT
) -> tuple[Fault, ...]:
    """Compute the tree over the first ``size`` entries, and compare every tile and the root.

    Parameters
    ----------
    read : callable
    size : int
        Number of entries.
    root : bytes
        The root that was signed.
    inspect : callable, optional
        Shown each bundle that can be read.
    progress : Progress
        Counts entries.

    Returns
    -------
    tuple[Fault, ...]
        In the order of the entries that they concern; at most 100.
    """
    walk = _Walk(read, size, inspect)
    progress.start("checking the log", size)
    try:
        for number in range((size + WIDTH - 1) // WIDTH):
            walk.bundle(number)
            progress.advance(width_at(0, number, size))
            if len(walk.faults) + len(walk.differences) >= MAX_FAULTS:
                # The rest would not change that this log is damaged, and the root cannot be had any more.
                return walk.all_faults()
        walk.finish(root)
    finally:
        progress.finish()
    return walk.all_faults()


class _Walk:
    """One pass over a log, from the first entry to the root."""

    def __init__(self, read: Read, size: int, inspect: Inspect | None) -> None:
        self._read = read
        self._size = size
        self._inspect = inspect
        self._above: list[bytearray] = []
        self._edge: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        self.faults: list[Fault] = []
        self.differences: list[_Difference] = []

    def bundle(self, number: int) -> None:
        width = width_at(0, number, self._size)
        path = entries_path(number, width)
        data = self._read(path)
        derived: bytes | None = None
        if data is None:
            self._fault("entry", number * WIDTH, path, f"the entries from {number * WIDTH} on are missing")
        else:
            try:
                entries = decode_bundle(data, width)
            except ReceiptError as error:
                self._fault("entry", number * WIDTH, path, f"the entries from {number * WIDTH} on: {error.message}")
            else:
                derived = b"".join(map(leaf_hash, entries))
                if self._inspect is not None:
                    self._inspect(number * WIDTH, entries)
        self._tile(0, number, derived)

    def finish(self, root: bytes) -> None:
        """Close the partial tiles above the entries, and compare the root."""
        for level in range(1, len(self._above) + 1):
            if self._above[level - 1]:
                self._tile(level, self._size >> (8 * (level + 1)), bytes(self._above[level - 1]))
        doubtful = [key for key, (derived, stored) in self._edge.items() if derived != stored]
        for choice in itertools.product((False, True), repeat=min(len(doubtful), MAX_DOUBTFUL)):
            chosen = dict(zip(doubtful, choice, strict=False))
            tiles = {key: pair[chosen.get(key, False)] for key, pair in self._edge.items()}
            if edge_root(self._size, tiles) == root:
                self._settle(chosen)
                return
        self._settle(dict.fromkeys(doubtful, False))
        self._fault(
            "checkpoint", self._size, "checkpoint", "the signed root is not that of the entries that are stored"
        )

    def all_faults(self) -> tuple[Fault, ...]:
        found = [*self.faults, *map(self._named, self.differences)]
        return tuple(sorted(found, key=lambda one: one.index)[:MAX_FAULTS])

    def _tile(self, level: int, number: int, derived: bytes | None) -> None:
        width = width_at(level, number, self._size)
        path = tile_path(level, number, width)
        stored = self._read(path)
        first = (number * WIDTH) << (8 * level)
        if stored is None or len(stored) != width * HASH:
            what = "is missing" if stored is None else f"has {len(stored)} bytes; expected {width * HASH}"
            self._fault("tile", first, path, f"the tile {path} {what}")
            stored = derived
        if stored is None or derived is None:
            # Without the entries, or the tile, the other one stands in; without both, nothing can be said above.
            derived = stored = stored or derived or bytes(width * HASH)
        if width < WIDTH:
            self._edge[level, number] = derived, stored
            return
        if derived != stored:
            agreed = self._parent_says(level, number) == full_tile_root(stored)
            self._differ(level, number, derived, stored, keep_stored=agreed)
            derived = stored if agreed else derived
        while len(self._above) <= level:
            self._above.append(bytearray())
        above = self._above[level]
        above += full_tile_root(derived)
        if len(above) == WIDTH * HASH:
            whole = bytes(above)
            above.clear()
            self._tile(level + 1, number // WIDTH, whole)

    def _parent_says(self, level: int, number: int) -> bytes | None:
        parent = number // WIDTH
        data = self._read(tile_path(level + 1, parent, width_at(level + 1, parent, self._size)))
        place = number % WIDTH * HASH
        return None if data is None else data[place : place + HASH]

    def _settle(self, chosen: dict[tuple[int, int], bool]) -> None:
        for (level, number), keep_stored in chosen.items():
            derived, stored = self._edge[level, number]
            self._differ(level, number, derived, stored, keep_stored=keep_stored)

    def _differ(self, level: int, number: int, derived: bytes, stored: bytes, *, keep_stored: bool) -> None:
        self.differences += [
            _Difference(level, number, place, keep_stored)
            for place in range(len(derived) // HASH)
            if derived[place * HASH : (place + 1) * HASH] != stored[place * HASH : (place + 1) * HASH]
        ]

    def _named(self, one: _Difference) -> Fault:
        position = one.number * WIDTH + one.place
        first = position << (8 * one.level)
        if one.stored and one.level == 0:
            path = entries_path(one.number, width_at(0, one.number, self._size))
            return Fault(
                kind="entry", index=first, where=path, message=f"entry {first} was changed: its hash is another"
            )
        if one.stored:
            last = min(self._size, (position + 1) << (8 * one.level)) - 1
            path = tile_path(one.level - 1, position)
            said = f"of the entries {first} to {last} at least one was changed, and the tile {path} with it"
            return Fault(kind="entry", index=first, where=path, message=said)
        path = tile_path(one.level, one.number, width_at(one.level, one.number, self._size))
        said = f"the tile {path} was changed: its hash {one.place} is not that of what is below it"
        return Fault(kind="tile", index=first, where=path, message=said)

    def _fault(self, kind: str, index: int, where: str, message: str) -> None:
        self.faults.append(Fault(kind=kind, index=index, where=where, message=message))


#: Partial tiles that may disagree and still be told apart: as many levels as a log of 2**64 entries has.
MAX_DOUBTFUL = 8
