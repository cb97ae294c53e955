"""Paths with one spelling, bundles that are whole, and a tree read through its tiles."""

from __future__ import annotations

import pytest

from notes import Tree, numbered
from rawtrace.errors import ReceiptError
from rawtrace.ledger import merkle
from rawtrace.ledger.tiles import (
    TilePath,
    Tiles,
    decode_bundle,
    encode_bundle,
    entries_path,
    full_tile_root,
    parse_path,
    tile_path,
    tiles_of,
)


def served(tree: Tree, size: int) -> dict[str, bytes]:
    """Every tile of a log, made as the specification defines it."""
    found = {}
    for tile in tiles_of(size):
        step = 256 ** (tile.level or 0)
        hashes = [
            tree.root((tile.index * 256 + at) * step, (tile.index * 256 + at + 1) * step) for at in range(tile.width)
        ]
        found[tile.text] = b"".join(hashes)
    return found


def test_the_paths_of_the_specification() -> None:
    assert entries_path(1234067) == "tile/entries/x001/x234/067"
    assert tile_path(0, 0) == "tile/0/000"
    assert tile_path(63, 1000, 1) == "tile/63/x001/000.p/1"
    assert parse_path("tile/entries/x001/x234/067") == TilePath(None, 1234067)
    # The example of c2sp.org/tlog-tiles: a log of 70,000 entries.
    assert [(one.level, one.width) for one in tiles_of(70_000) if one.width < 256] == [(0, 112), (1, 17), (2, 1)]
    assert sum(one.level == 0 and one.width == 256 for one in tiles_of(70_000)) == 273
    assert [one.text for one in tiles_of(256)] == ["tile/0/000", "tile/1/000.p/1"]
    assert tiles_of(0) == ()
    assert [one.text for one in tiles_of(257, 255)] == ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/300",
        "tile/0/000.p/",
        "tile/0/000.p/1/",
        "tile/0/000\n",
        "/tile/0/000",
        "tile//0/000",
        "tile/0/../0/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/entries/000.p/1.p/1",
        "tile/Entries/000",
        "tile/0/" + "x999/" * 6 + "999",
        "tile/0/" + "x001/" * 7 + "000",
    ],
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ReceiptError):
        parse_path(path)


def test_bundles_hold_what_they_should_and_nothing_more() -> None:
    entries = [b"", b"x", b"y" * 65_535]
    data = encode_bundle(entries)
    assert decode_bundle(data, 3) == tuple(entries)
    assert decode_bundle(b"", 0) == ()
    for wrong, count in (
        (data, 2),
        (data, 4),
        (data[:-1], 3),
        (data + b"\0", 3),
        (data + b"\0\0", 3),
        (b"\0", 1),
        (b"", 1),
    ):
        with pytest.raises(ReceiptError):
            decode_bundle(wrong, count)
    with pytest.raises(ReceiptError):
        encode_bundle([b"z" * 65_536])


def test_a_tree_read_through_tiles_is_the_same_tree() -> None:
    tree = Tree(numbered(600))
    for size in (1, 255, 256, 257, 512, 600):
        files = served(tree, size)
        read = Tiles(files.__getitem__, size)
        assert read.root() == tree.root(0, size)
        for old in {0, 1, size // 2, 256 if size > 256 else 1, size}:
            assert read.root(old) == tree.root(0, old)
            assert read.consistency_proof(old) == merkle.consistency_proof(old, size, tree.read)
        assert read.inclusion_proof(size - 1) == merkle.inclusion_proof(size - 1, size, tree.read)
        assert read.inclusion_proof(0, 1) == ()
        assert read.hash(0, 0) == tree.leaves[0]
        with pytest.raises(ReceiptError):
            read.root(size + 1)
        with pytest.raises(ReceiptError):
            read.hash(0, size)
    full = files["tile/0/000"]
    assert full_tile_root(full) == tree.root(0, 256) == read.hash(8, 0)


@pytest.mark.parametrize(
    "change", [lambda tile: tile[:-1], lambda tile: tile + b"\0", lambda _: b""], ids=["shorter", "longer", "empty"]
)
def test_a_tile_of_another_length_is_not_read(change: object) -> None:
    tree = Tree(numbered(5))
    with pytest.raises(ReceiptError, match="expected 160"):
        Tiles(lambda path: change(served(tree, 5)[path]), 5).root()  # type: ignore[operator]


def test_a_flipped_bit_changes_the_root() -> None:
    tree = Tree(numbered(300))
    for path, data in served(tree, 300).items():
        files = served(tree, 300)
        files[path] = bytes([data[0] ^ 1]) + data[1:]
        changed = Tiles(files.__getitem__, 300).root() != tree.root()
        # The root is computed from the highest tiles; what is under a full tile is compared with the one above it.
        assert changed or full_tile_root(files["tile/0/000"]) != files["tile/1/000.p/1"]
