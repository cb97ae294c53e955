"""A mirror takes only what is proved, signs only what it holds, and serves it byte for byte."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from notes import ORIGIN, Tree, numbered, request, signer, witness
from rawtrace.database import Database
from rawtrace.errors import LedgerError, ReceiptError
from rawtrace.ledger import merkle, mirror
from rawtrace.ledger.addentries import INFO_TYPE, MAX_BODY, Info, Upload, UploadReader, build, decompress
from rawtrace.ledger.checkpoint import open_checkpoint, sign_checkpoint, verify_cosignature
from rawtrace.ledger.mirror import Mirror
from rawtrace.ledger.note import VerifierKey
from rawtrace.ledger.tiles import Tiles, encode_bundle, entries_path, tiles_of, width_at
from rawtrace.ledger.witness import Reply, origin_hash

LOG, SIGNER = signer(), witness("mirror.example.org")
TREE = Tree(numbered(700))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HASH = origin_hash(ORIGIN)


def keys(origin: str) -> Sequence[VerifierKey]:
    return [LOG.key] if origin == ORIGIN else []


@pytest.fixture
def one(database: Database) -> Mirror:
    database.prepare(mirror.TABLES)
    return Mirror(database, SIGNER, keys, now=lambda: NOW)


def checkpoint(size: int, tree: Tree = TREE) -> bytes:
    return sign_checkpoint(tree.checkpoint(size), LOG)


def announce(one: Mirror, old: int, new: int, tree: Tree = TREE) -> Reply:
    return one.add_checkpoint(request(old, merkle.consistency_proof(old, new, tree.read), checkpoint(new, tree)))


def upload(start: int, end: int, tree: Tree = TREE, *, max_bytes: int = 1 << 22, ticket: bytes = b"") -> bytes:
    return build(
        Upload(ORIGIN, start, end, ticket),
        entries=lambda first, last: tree.entries[first:last],
        prove=lambda first, last, size: merkle.subtree_proof(first, last, size, tree.read),
        max_bytes=max_bytes,
    )


def info(reply: Reply, status: int) -> tuple[int, int]:
    assert reply.status == status, reply.body
    assert reply.media_type == INFO_TYPE
    said = Info.parse(reply.body)
    return said.size, said.next_entry


def served(one: Mirror, tree: Tree, size: int) -> None:
    """Everything that a log of this size serves is served, and is what the log would serve."""

    def read(path: str) -> bytes:
        found = one.tile(HASH, path)
        assert found is not None, path
        return found

    assert Tiles(read, size).root() == tree.root(0, size)
    for tile in tiles_of(size):
        assert len(read(tile.text)) == 32 * tile.width
    for number in range((size + 255) // 256):
        width = width_at(0, number, size)
        expected = encode_bundle(tree.entries[number * 256 : number * 256 + width])
        assert read(entries_path(number, width)) == expected
    assert one.tile(HASH, entries_path(size // 256, size % 256 + 1)) is None
    assert one.tile(HASH, "tile/0/../0") is None


def test_it_signs_when_it_holds_the_entries_and_not_before(one: Mirror) -> None:
    assert announce(one, 0, 300) == Reply(200, b"")
    assert one.checkpoint(HASH) is None
    assert one.tile(HASH, "tile/0/000") is None
    reply = one.add_entries(upload(0, 300))
    assert reply.status == 200, reply.body
    assert verify_cosignature(checkpoint(300) + reply.body, SIGNER.key).time_s == int(NOW.timestamp())
    assert one.checkpoint(HASH) == checkpoint(300) + reply.body
    served(one, TREE, 300)
    # The next one: what is there already need not come again, and what comes again is skipped.
    assert announce(one, 300, 700).status == 200
    assert one.add_entries(upload(200, 700)).status == 200
    served(one, TREE, 700)
    assert open_checkpoint(one.checkpoint(HASH) or b"", [LOG.key])[0].size == 700


def test_sent_in_parts_and_after_breaks(one: Mirror) -> None:
    announce(one, 0, 700)
    assert info(one.add_entries(upload(0, 700, max_bytes=0)), 202) == (700, 256)
    body = upload(256, 700)
    # Broken off within the last package: what is whole is kept.
    assert info(one.add_entries(body[:-1]), 202) == (700, 512)
    assert one.checkpoint(HASH) is None
    assert one.add_entries(upload(512, 700)[:40]).status == 400
    assert one.held(ORIGIN) == mirror.Held(origin=ORIGIN, size=0, next_entry=512, pending=700)
    assert one.add_entries(upload(512, 700)).status == 200
    served(one, TREE, 700)


def test_an_empty_upload_asks_where_it_stands(one: Mirror) -> None:
    announce(one, 0, 300)
    assert info(one.add_entries(upload(300, 300)), 409) == (300, 0)
    one.add_entries(upload(0, 300))
    first = one.add_entries(upload(300, 300))
    assert first.status == 200
    assert one.add_entries(upload(300, 300, ticket=b"whatever")) == first, "what was said is said again, not anew"


def test_under_a_new_name_it_holds_what_it_held(one: Mirror, database: Database) -> None:
    announce(one, 0, 300)
    one.add_entries(upload(0, 300))
    moved = dataclasses.replace(SIGNER, name="moved.example.org")
    renamed = Mirror(database, moved, keys)
    reply = renamed.add_entries(upload(300, 300))
    assert verify_cosignature(checkpoint(300) + reply.body, moved.key)
    announce(renamed, 300, 400)
    assert renamed.add_entries(upload(300, 400)).status == 200
    served(renamed, TREE, 400)


def test_an_empty_log_is_held_at_once(one: Mirror) -> None:
    assert announce(one, 0, 0).status == 200
    assert one.add_entries(upload(0, 0)).status == 200
    assert b"\n0\n" in (one.checkpoint(HASH) or b"")
    announce(one, 0, 5)
    assert one.add_entries(upload(0, 5)).status == 200


def test_earlier_pending_checkpoints_still_do(one: Mirror) -> None:
    announce(one, 0, 100)
    announce(one, 100, 300)
    assert one.add_entries(upload(0, 100)).status == 200
    served(one, TREE, 100)
    assert one.add_entries(upload(100, 300)).status == 200
    # But not one that is behind what was signed.
    assert info(one.add_entries(upload(0, 100)), 409) == (300, 300)
    served(one, TREE, 300)


def test_entries_beyond_the_signed_checkpoint_are_not_shown(one: Mirror) -> None:
    announce(one, 0, 100)
    announce(one, 100, 600)
    one.add_entries(upload(0, 600, max_bytes=0))
    assert one.tile(HASH, "tile/entries/000") is None
    # Entries of a later checkpoint came first; the earlier one is signed from what it has of them.
    assert one.add_entries(upload(100, 100)).status == 200
    served(one, TREE, 100)


def test_404_and_422_for_logs_of_which_nothing_came(one: Mirror) -> None:
    assert one.add_entries(upload(0, 5)).status == 422
    assert one.add_entries(Upload("other.example.org", 0, 0).encode()).status == 404
    assert one.checkpoint(origin_hash("other.example.org")) is None
    assert one.tile(origin_hash("other.example.org"), "tile/0/000") is None
    assert one.held(ORIGIN) is None


def test_409_says_where_it_stands(one: Mirror) -> None:
    announce(one, 0, 300)
    assert info(one.add_entries(upload(0, 299)), 409) == (300, 0)
    assert info(one.add_entries(upload(0, 500)), 409) == (300, 0)
    assert info(one.add_entries(upload(5, 300)), 409) == (300, 0)


@pytest.mark.parametrize(
    "tree",
    [
        Tree([b"forged", *numbered(299, start=1)]),
        Tree([*numbered(299), b"forged"]),
        Tree([*numbered(298), *numbered(2, start=298)[::-1]]),
    ],
    ids=["first", "last", "order"],
)
def test_422_for_entries_that_are_not_in_the_log(one: Mirror, tree: Tree) -> None:
    announce(one, 0, 300)
    reply = one.add_entries(upload(0, 300, tree))
    assert reply.status == 422
    assert one.checkpoint(HASH) is None
    held = one.held(ORIGIN)
    assert held is not None
    assert held.next_entry in {0, 256}
    if held.next_entry:
        assert tree.entries[:256] == TREE.entries[:256]
    # The true ones are still welcome.
    assert one.add_entries(upload(held.next_entry, 300)).status == 200
    served(one, TREE, 300)


def test_422_for_a_proof_that_is_none(one: Mirror) -> None:
    announce(one, 0, 600)
    good = upload(0, 600, max_bytes=0)
    for wrong in (good[:-1] + bytes([good[-1] ^ 1]), good[: -2 * 32 - 1] + b"\0"):
        assert one.add_entries(wrong).status == 422
    held = one.held(ORIGIN)
    assert held is not None
    assert held.next_entry == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda body: b"",
        lambda body: body[:10],
        lambda body: b"\0\0" + body[2:],
        lambda body: body.replace(b"log.example", b"log\xffexample"),
        lambda body: body + b"x",
        lambda body: body[:-1] if len(body) < 100 else body[:60],
        lambda body: Upload(ORIGIN, 6, 5).encode(),
        lambda body: Upload(ORIGIN, 0, 1 << 63).encode(),
        lambda body: body[:-1] + b"\x40" + bytes(32 * 64),
    ],
    ids=range(9),
)
def test_400_for_what_is_not_understood(one: Mirror, change: Callable[[bytes], bytes]) -> None:
    announce(one, 0, 5)
    body = upload(0, 5)
    assert change(body) != body
    assert one.add_entries(change(body)).status == 400
    held = one.held(ORIGIN)
    assert held is not None
    assert held.next_entry == 0


def test_a_checkpoint_that_does_not_follow_is_never_pending(one: Mirror) -> None:
    forged = Tree([b"forged", *numbered(399, start=1)])
    announce(one, 0, 100)
    assert announce(one, 100, 400, forged).status == 422
    assert info(one.add_entries(upload(0, 400, forged)), 409) == (100, 0)


def test_a_damaged_copy_is_not_signed_for(one: Mirror, database: Database) -> None:
    import sqlalchemy as sa

    from rawtrace.ledger.logstore import TILES

    announce(one, 0, 100)
    announce(one, 100, 300)
    one.add_entries(upload(0, 100))
    with database.write() as connection:
        data = bytearray(bytes(connection.execute(sa.select(TILES.c.data).where(TILES.c.level == 0)).scalar_one()))
        data[5] ^= 1
        connection.execute(sa.update(TILES).where(TILES.c.level == 0).values(data=bytes(data)))
    with pytest.raises(LedgerError):
        one.add_entries(upload(100, 300))
    assert b"\n100\n" in (one.checkpoint(HASH) or b"")


def test_only_so_many_pending_checkpoints_are_kept(one: Mirror) -> None:
    for size in range(80):
        announce(one, size, size + 1)
    assert info(one.add_entries(upload(0, 10)), 409) == (80, 0)
    assert one.add_entries(upload(0, 30)).status == 200


def test_bodies_of_requests() -> None:
    body = upload(0, 5, ticket=b"ticket")
    reader = UploadReader(body)
    assert reader.upload == Upload(ORIGIN, 0, 5, b"ticket")
    (package,) = reader.packages()
    assert package.entries == TREE.entries[:5]
    assert decompress(gzip.compress(body), "gzip") == decompress(body, "") == decompress(body, "identity") == body
    for wrong, encoding in (
        (body, "gzip"),
        (body, "br"),
        (gzip.compress(body) + b"x", "gzip"),
        (gzip.compress(bytes(MAX_BODY + 1)), "gzip"),
    ):
        with pytest.raises(ReceiptError):
            decompress(wrong, encoding)
    assert Info.parse(Info(5, 3, b"x").encode()) == Info(5, 3, b"x")
    for said in (b"", b"5\n3\n", b"5\n3\n\n\n", b"05\n3\n\n", b"5\n3\n!\n", b"5\n3\n\nmore"):
        with pytest.raises(ReceiptError):
            Info.parse(said)


def test_a_request_carries_no_more_than_the_specification_asks_for() -> None:
    large = Tree(numbered(33 * 256))
    assert len(list(UploadReader(upload(0, 33 * 256, large, max_bytes=1 << 30)).packages())) == 32
