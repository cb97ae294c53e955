"""Where logs lie in a database: tiles, bundles of entries, records and the last checkpoints, keyed by origin.

The sequencer keeps its own log here, and mirrors keep other people's. Nothing
here signs, and nothing is believed: what was written is read back and the tree
is computed from that before a new size counts.

A partial tile or bundle is stored once and grows; what was served of it at an
earlier size is its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rawtrace.database import METADATA, Database, upsert
from rawtrace.errors import LedgerError, ReceiptError
from rawtrace.ledger.merkle import EMPTY_ROOT, HASH, leaf_hash, root_of
from rawtrace.ledger.tiles import WIDTH, decode_bundle, encode_bundle, full_tile_root, parse_path


class _Bytes(sa.LargeBinary):
    """Bytes, also where somebody has put something else into the file: that reads as nothing, and is found so."""

    def bind_processor(self, dialect: sa.Dialect) -> None:
        """Hand bytes to the driver as they are: each of ours takes them."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], bytes | None]:
        return lambda value: None if value is None else bytes(value) if isinstance(value, _BINARY) else b""


_BINARY = (bytes, bytearray, memoryview)

STATES = sa.Table(
    "log_state",
    METADATA,
    sa.Column("origin", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("root", _Bytes, nullable=False),
    # The log's own signature over size and root; empty for a mirror, which signs nothing of the log's.
    sa.Column("signed", _Bytes, nullable=False),
    sa.Column("published_size", sa.BigInteger, nullable=False),
    sa.Column("checkpoint", _Bytes, nullable=False),
    # For looking records up; never leaves the database.
    sa.Column("secret", _Bytes, nullable=False),
)
TILES = sa.Table(
    "log_tile",
    METADATA,
    sa.Column("origin", sa.Text, primary_key=True),
    sa.Column("level", sa.Integer, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("data", _Bytes, nullable=False),
)
BUNDLES = sa.Table(
    "log_bundle",
    METADATA,
    sa.Column("origin", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("data", _Bytes, nullable=False),
)
RECORDS = sa.Table(
    "log_record",
    METADATA,
    sa.Column("origin", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("added", sa.Text, nullable=False),
    # HMAC under the log's secret, so unique without the origin; outlives the record, and tells nothing of it.
    sa.Column("lookup", _Bytes, nullable=False, unique=True),
    # The same of the claim that a seal's record names, so that a receipt can be asked for; goes with the record.
    sa.Column("claim_lookup", _Bytes, index=True),
    sa.Column("salt", _Bytes),
    sa.Column("record", _Bytes),
)
TABLES = (STATES, TILES, BUNDLES, RECORDS)

TileKey = tuple[int, int]

# Written once: building a statement costs as much as running it, and a batch runs a dozen.
_SELECT_STATE = sa.select(
    STATES.c.size, STATES.c.root, STATES.c.signed, STATES.c.published_size, STATES.c.checkpoint
).where(STATES.c.origin == sa.bindparam("of"))
_SELECT_TILES = sa.select(TILES.c.level, TILES.c.number, TILES.c.data).where(
    TILES.c.origin == sa.bindparam("of"),
    TILES.c.level.in_(sa.bindparam("levels", expanding=True)),
    TILES.c.number.in_(sa.bindparam("numbers", expanding=True)),
)
_SELECT_BUNDLES = sa.select(BUNDLES.c.number, BUNDLES.c.data).where(
    BUNDLES.c.origin == sa.bindparam("of"), BUNDLES.c.number.in_(sa.bindparam("numbers", expanding=True))
)
_ADVANCE = (
    sa.update(STATES)
    .where(
        STATES.c.origin == sa.bindparam("of"),
        STATES.c.size == sa.bindparam("old_size"),
        STATES.c.root == sa.bindparam("old_root"),
    )
    .values({name: sa.bindparam(f"new_{name}") for name in ("size", "root", "signed", "published_size", "checkpoint")})
)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far a log has come.

    Attributes
    ----------
    size : int
        Entries that are stored.
    root : bytes
        Root of the tree over them.
    signed : bytes
        Note of the checkpoint at ``size``, by the log alone; empty in a mirror.
    published_size : int
        Entries that ``checkpoint`` covers; what is beyond is shown to nobody.
    checkpoint : bytes
        Published note, with all its cosignatures; empty where nothing was published yet.
    """

    size: int
    root: bytes
    signed: bytes
    published_size: int
    checkpoint: bytes


class LogStore:
    """One log in a database. Methods with ``connection`` are parts of the caller's transaction.

    Parameters
    ----------
    database : Database
    origin : str
    """

    def __init__(self, database: Database, origin: str) -> None:
        self.database = database
        self.origin = origin

    def prepare(self) -> None:
        """Make the tables that are not there yet."""
        self.database.prepare(TABLES)

    def create(self, connection: sa.Connection, *, checkpoint: bytes = b"", secret: bytes = b"") -> None:
        """Begin an empty log; its ``checkpoint`` counts as signed and published.

        Raises
        ------
        sqlalchemy.exc.IntegrityError
            It is there already.
        """
        row = {
            "origin": self.origin,
            "size": 0,
            "root": EMPTY_ROOT,
            "signed": checkpoint,
            "published_size": 0,
            "checkpoint": checkpoint,
            "secret": secret,
        }
        connection.execute(sa.insert(STATES), [row])

    def state(self, connection: sa.Connection) -> State | None:
        """Return how far the log has come, or ``None`` where there is none."""
        row = connection.execute(_SELECT_STATE, {"of": self.origin}).first()
        if row is None:
            return None
        return State(
            size=row.size,
            root=bytes(row.root),
            signed=bytes(row.signed),
            published_size=row.published_size,
            checkpoint=bytes(row.checkpoint),
        )

    def secret(self, connection: sa.Connection) -> bytes:
        """Return what records are looked up by."""
        return bytes(connection.execute(sa.select(STATES.c.secret).where(STATES.c.origin == self.origin)).scalar_one())

    def tiles(self, connection: sa.Connection, keys: Iterable[TileKey]) -> dict[TileKey, bytes]:
        """Return those of some tiles, named by level and number, that are stored."""
        wanted = set(keys)
        if not wanted:
            return {}
        levels, numbers = sorted({level for level, _ in wanted}), sorted({number for _, number in wanted})
        rows = connection.execute(_SELECT_TILES, {"of": self.origin, "levels": levels, "numbers": numbers})
        return {(level, number): bytes(data) for level, number, data in rows if (level, number) in wanted}

    def bundles(self, connection: sa.Connection, numbers: Iterable[int]) -> dict[int, bytes]:
        """Return those of some bundles that are stored."""
        rows = connection.execute(_SELECT_BUNDLES, {"of": self.origin, "numbers": list(numbers)})
        return {number: bytes(data) for number, data in rows}

    def read(self, path: str, *, size: int) -> bytes | None:
        """Return a tile or a bundle as a log of ``size`` entries serves it, ``None`` where it serves none.

        Parameters
        ----------
        path : str
            As ``tile/0/x001/234`` or ``tile/entries/000.p/17``.
        size : int
            Entries that may be seen.
        """
        with self.database.read() as connection:
            return self.read_in(connection, path, size=size)

    def read_in(self, connection: sa.Connection, path: str, *, size: int) -> bytes | None:
        """As ``read``, within a transaction of the caller's."""
        try:
            place = parse_path(path)
        except ReceiptError:
            return None
        level = place.level or 0
        if (place.index * WIDTH + place.width) << (8 * level) > size:
            return None
        if place.level is not None:
            stored = self.tiles(connection, [(place.level, place.index)]).get((place.level, place.index))
            return None if stored is None or len(stored) < place.width * HASH else stored[: place.width * HASH]
        bundle = self.bundles(connection, [place.index]).get(place.index)
        return None if bundle is None else first_entries(bundle, place.width)

    def integrate(self, connection: sa.Connection, state: State, entries: Sequence[bytes]) -> State:
        """Append entries and compute the new root from what the database gives back.

        Parameters
        ----------
        connection : Connection
            A transaction that writes; the caller undoes it where this raises.
        state : State
            What the caller has read in the same transaction.
        entries : Sequence[bytes]
            At least one, each at most 65,535 bytes.

        Returns
        -------
        State
            With the new size and root, to be signed and handed to ``advance``.

        Raises
        ------
        LedgerError
            What the database gives back is not what was signed before or what was written now.
        """
        size = state.size
        before = self.tiles(connection, edge_keys(size))
        if missing := [key for key in edge_keys(size) if key not in before]:
            msg = f"tile {missing[0]} of the log {self.origin} is missing in the database"
            raise LedgerError(msg, hint=_DAMAGED)
        tiles = _grown(size, before, [leaf_hash(entry) for entry in entries])
        bundles = self._bundles_grown(connection, size, entries)
        upsert(connection, TILES, [self._tile_row(key, data) for key, data in tiles.items()], key=_TILE_KEY)
        upsert(connection, BUNDLES, [self._bundle_row(n, data) for n, data in bundles.items()], key=_BUNDLE_KEY)
        new_size = size + len(entries)
        root = self._recomputed(connection, state, entries, {*tiles, *before, *edge_keys(new_size)}, list(bundles))
        return State(
            size=new_size,
            root=root,
            signed=b"",
            published_size=state.published_size,
            checkpoint=state.checkpoint,
        )

    def advance(self, connection: sa.Connection, old: State, new: State) -> None:
        """Let ``new`` follow ``old``, unless somebody else was faster.

        Raises
        ------
        LedgerError
            The database is not at ``old`` any more.
        """
        values = {f"new_{name}": getattr(new, name) for name in State.__dataclass_fields__}
        done = connection.execute(_ADVANCE, {"of": self.origin, "old_size": old.size, "old_root": old.root, **values})
        if done.rowcount != 1:
            msg = f"somebody else appends to the log {self.origin} at the same time"
            raise LedgerError(msg, hint="let one process write a log")

    def publish(self, connection: sa.Connection, size: int, note: bytes) -> bool:
        """Make ``note`` the checkpoint that everybody sees; one that is not newer changes nothing."""
        done = connection.execute(
            sa.update(STATES)
            .where(
                STATES.c.origin == self.origin,
                STATES.c.size >= size,
                sa.or_(STATES.c.published_size < size, STATES.c.checkpoint == b""),
            )
            .values(published_size=size, checkpoint=note)
        )
        return bool(done.rowcount == 1)

    def _bundles_grown(self, connection: sa.Connection, size: int, entries: Sequence[bytes]) -> dict[int, bytes]:
        number, held = divmod(size, WIDTH)
        begun = b""
        if held:
            found = self.bundles(connection, [number]).get(number, b"")
            begun = first_entries(found, held) or b""
            if begun != found or not begun:
                msg = (
                    f"the entries from {number * WIDTH} of the log {self.origin} are damaged or missing in the database"
                )
                raise LedgerError(msg, hint=_DAMAGED)
        grown: dict[int, bytes] = {}
        taken = 0
        while taken < len(entries):
            some = entries[taken : taken + WIDTH - held]
            grown[number] = begun + encode_bundle(some)
            taken += len(some)
            number, held, begun = number + 1, 0, b""
        return grown

    def _recomputed(
        self,
        connection: sa.Connection,
        old: State,
        entries: Sequence[bytes],
        keys: set[TileKey],
        numbers: Sequence[int],
    ) -> bytes:
        """Compute the root from what the database gives back, entries included, and compare all that is known."""
        tiles, bundles = self.tiles(connection, keys), self.bundles(connection, numbers)
        new_size = old.size + len(entries)
        said: list[bytes] = []
        try:
            for number in numbers:
                held = decode_bundle(bundles[number], min(WIDTH, new_size - number * WIDTH))
                if b"".join(map(leaf_hash, held)) != tiles[0, number]:
                    self._differs(f"the entries from {number * WIDTH} and their hashes")
                said += held
            for (level, number), data in tiles.items():
                above, place = (level + 1, number // WIDTH), number % WIDTH * HASH
                whole = len(data) == WIDTH * HASH and above in keys
                if whole and tiles[above][place : place + HASH] != full_tile_root(data):
                    self._differs(f"tile {number} of level {level} and the one above it")
            if said[-len(entries) :] != list(entries):
                self._differs("the entries that were written and those that are read back")
            if edge_root(old.size, tiles) != old.root:
                self._differs(f"the tree of {old.size} entries that was signed and the one that is stored")
            return edge_root(new_size, tiles)
        except (KeyError, ReceiptError) as error:
            msg = f"the database does not give back what was written into the log {self.origin}"
            raise LedgerError(msg, hint=_DAMAGED) from error

    def _differs(self, what: str) -> None:
        msg = f"{what} are not the same in the log {self.origin}; nothing was signed"
        raise LedgerError(msg, hint=_DAMAGED)

    def _tile_row(self, key: TileKey, data: bytes) -> dict[str, object]:
        return {"origin": self.origin, "level": key[0], "number": key[1], "data": data}

    def _bundle_row(self, number: int, data: bytes) -> dict[str, object]:
        return {"origin": self.origin, "number": number, "data": data}


_TILE_KEY = ("origin", "level", "number")
_BUNDLE_KEY = ("origin", "number")
_DAMAGED = "the stored log is damaged: run `rawtrace log audit`, and bring it back from a mirror or a backup"


def first_entries(bundle: bytes, count: int) -> bytes | None:
    """Return the first ``count`` entries of a bundle as a bundle, ``None`` where there are fewer."""
    end = 0
    for _ in range(count):
        if end + 2 > len(bundle):
            return None
        end += 2 + int.from_bytes(bundle[end : end + 2], "big")
    return bundle[:end] if end <= len(bundle) else None


def edge_keys(size: int) -> list[TileKey]:
    """Return the partial tiles at the right edge of a log of ``size``, lowest level first."""
    keys, level = [], 0
    while size >> (8 * level):
        if (size >> (8 * level)) % WIDTH:
            keys.append((level, size >> (8 * (level + 1))))
        level += 1
    return keys


def edge_root(size: int, tiles: Mapping[TileKey, bytes]) -> bytes:
    """Compute the root of a log of ``size`` from the tiles at its right edge, which may have grown since.

    Raises
    ------
    KeyError
        One is missing or too short.
    """
    root: bytes | None = None
    for level, number in edge_keys(size):
        width = (size >> (8 * level)) % WIDTH
        data = tiles[level, number]
        if len(data) < width * HASH:
            raise KeyError((level, number))
        hashes = [data[place : place + HASH] for place in range(0, width * HASH, HASH)]
        # What is right of a level's last whole subtree is the smaller tree below it.
        root = root_of(hashes if root is None else [*hashes, root])
    return EMPTY_ROOT if root is None else root


def _grown(size: int, edge: Mapping[TileKey, bytes], hashes: Sequence[bytes]) -> dict[TileKey, bytes]:
    """Append leaf hashes to a tree of ``size``; return every tile that is new or has grown."""
    tiles: dict[TileKey, bytes] = {}
    level = 0
    while hashes:
        number = size >> (8 * (level + 1))
        data = edge.get((level, number), b"") + b"".join(hashes)
        full: list[bytes] = []
        for start in range(0, len(data), WIDTH * HASH):
            tile = data[start : start + WIDTH * HASH]
            tiles[level, number] = tile
            number += 1
            if len(tile) == WIDTH * HASH:
                full.append(full_tile_root(tile))
        hashes, level = full, level + 1
    return tiles
