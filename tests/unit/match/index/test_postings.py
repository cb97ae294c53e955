from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rawtrace.errors import PictureIndexError
from rawtrace.match.features import Features
from rawtrace.match.index import postings
from rawtrace.match.index.codebook import CELLS
from rawtrace.match.index.postings import HEAD_BYTES, Postings, Segment, build, merge, places_of
from rawtrace.match.index.search import candidates
from rawtrace.match.index.shelf import Shelf, postings_of

IDENTITY = b"0123456789abcdef"


@pytest.fixture
def segment(tmp_path: Path, described: Callable[[int], Features]) -> Path:
    points = postings_of([(n, described(n)) for n in (1, 2, 3)], first=1)
    return build(tmp_path / "postings", points, identity=IDENTITY, first=1, last=3)


@pytest.mark.parametrize(
    ("at", "put", "said"),
    [
        (0, b"PNG.", "does not begin as one"),
        (4, b"\xff", "its head is not what was written"),
        (40, b"\xff" * 8, "its head is not what was written"),
        (HEAD_BYTES, b"\xff" * 4, "its directory is not one"),
        (HEAD_BYTES + 4, b"\x00" * 8, "its directory is not one"),
        (HEAD_BYTES + 4 * (CELLS + 1), b"\xff" * 8, "its directory is not one"),
        (HEAD_BYTES + 4 * (CELLS + 1) + 800, b"\xff" * 7, "its directory is not in order"),
        (-1, None, "bytes, expected"),
        (10, None, "does not begin as one"),
        (0, None, "does not begin as one"),
    ],
)
def test_damage_is_noticed(segment: Path, at: int, put: bytes | None, said: str) -> None:
    data = bytearray(segment.read_bytes())
    if put is None:
        data = data[:at]
    else:
        data[at : at + len(put)] = put
    segment.write_bytes(data)
    with pytest.raises(PictureIndexError, match=said):
        Segment(segment, identity=IDENTITY)


def test_a_segment_of_another_index_is_not_taken(segment: Path) -> None:
    with pytest.raises(PictureIndexError, match="belongs to another index"):
        Segment(segment, identity=b"another identity")


def test_damage_in_the_columns_is_found_by_check_and_harms_nobody(
    segment: Path, described: Callable[[int], Features]
) -> None:
    data = bytearray(segment.read_bytes())
    data[-700:] = b"\xff" * 700  # places
    length = Segment(segment, identity=IDENTITY).points
    views = len(data) - 8 * length
    data[views : views + 40] = b"\xff" * 40
    segment.write_bytes(data)
    opened = Segment(segment, identity=IDENTITY)
    with pytest.raises(PictureIndexError, match="not those that were written"):
        opened.check()
    found = candidates([opened], described(2))
    assert found[0].view == 2
    assert {one.view for one in found} <= {1, 2, 3}


def test_points_are_where_the_directory_says(segment: Path, described: Callable[[int], Features]) -> None:
    opened = Segment(segment, identity=IDENTITY)
    opened.check()
    points = postings_of([(n, described(n)) for n in (1, 2, 3)], first=1)
    expected = sorted(zip(points.cells, points.signatures, points.views, points.places.tolist(), strict=True))
    found = zip(opened.cells_of(0, CELLS), opened.signatures, opened.views, opened.places.tolist(), strict=True)
    assert sorted(found) == expected


def test_crowded_cells_are_divided_by_the_first_bits(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    count = 3_000
    points = Postings(
        np.where(np.arange(count) < 2_000, 7, random.integers(0, CELLS, count)).astype(np.uint32),
        random.integers(0, 1 << 63, count, np.uint64) * np.uint64(2),
        np.zeros(count, np.uint32),
        random.integers(0, 256, (count, 4)).astype(np.uint8),
    )
    opened = Segment(build(tmp_path, points, identity=IDENTITY, first=1, last=1), identity=IDENTITY)
    assert opened.bits[7] == 6
    for part in range(64):
        division = int(opened.base[7]) + part
        inside = opened.signatures[int(opened.starts[division]) : int(opened.starts[division + 1])]
        assert (inside >> np.uint64(58) == part).all()


@pytest.mark.parametrize("block", [100])
def test_joined_segments_are_those_of_one_go(
    tmp_path: Path, described: Callable[[int], Features], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(postings, "_BLOCK", block)
    parts = [
        Segment(
            build(tmp_path / "parts", postings_of([(n, described(n))], first=n), identity=IDENTITY, first=n, last=n),
            identity=IDENTITY,
        )
        for n in (4, 5, 6)
    ]
    joined = Segment(merge(tmp_path / "joined", parts, identity=IDENTITY), identity=IDENTITY)
    whole = postings_of([(n, described(n)) for n in (4, 5, 6)], first=4)
    one_go = Segment(build(tmp_path / "whole", whole, identity=IDENTITY, first=4, last=6), identity=IDENTITY)
    joined.check()
    assert (joined.first, joined.last, joined.points) == (4, 6, one_go.points)
    assert (joined.starts == one_go.starts).all()
    assert (joined.base == one_go.base).all()
    assert sorted(zip(joined.signatures, joined.views, strict=True)) == sorted(
        zip(one_go.signatures, one_go.views, strict=True)
    )
    alive = np.array([True, False, True])
    fewer = Segment(merge(tmp_path / "fewer", parts, identity=IDENTITY, alive=alive), identity=IDENTITY)
    assert set(fewer.views.tolist()) == {0, 2}
    assert fewer.points == parts[0].points + parts[2].points


def test_places_are_in_a_byte_each(described: Callable[[int], Features]) -> None:
    of = described(1)
    places = places_of(of).astype(float)
    assert np.abs((places[:, 0] * 360 / 256 - of.angle + 180) % 360 - 180).max() <= 0.8
    assert np.abs(places[:, 2:] * 150 / 255 - of.xy).max() < 0.5
    assert np.abs(150 / 2 ** (places[:, 1] / 16) / of.size - 1).max() < 0.03


def test_a_shelf_takes_the_longer_one_puts_the_damaged_one_away_and_names_gaps(
    tmp_path: Path, described: Callable[[int], Features]
) -> None:
    shelf = Shelf(tmp_path / "shelf", identity=IDENTITY)
    for first, last in ((1, 2), (3, 3), (1, 3), (8, 9)):
        points = postings_of([(n, described(n % 4 + 1)) for n in range(first, last + 1)], first=first)
        shelf.put(points, first=first, last=last)
    assert [(one.first, one.last) for one in shelf.segments] == [(1, 3), (8, 9)]
    assert list(shelf.gaps(12)) == [(4, 7), (10, 12)]
    (tmp_path / "shelf" / "000000000004-000000000007-zzzzzz.postings").write_bytes(b"garbage")
    (tmp_path / "shelf" / ".x.postings.rawtrace-tmp").write_bytes(b"left over")
    shelf.load()
    assert len(shelf.problems) == 1
    assert "does not begin as one" in shelf.problems[0]
    shelf.tidy()
    assert len(list((tmp_path / "shelf").iterdir())) == 2


def test_a_shelf_joins_what_is_many(tmp_path: Path, described: Callable[[int], Features]) -> None:
    shelf = Shelf(tmp_path / "shelf", identity=IDENTITY)
    for number in range(1, 10):
        shelf.put(postings_of([(number, described(number % 4 + 1))], first=number), first=number, last=number)
        shelf.tidy()
    assert len(shelf.segments) < 4
    assert list(shelf.gaps(9)) == []
    found = {one.view for one in candidates(shelf.segments, described(3), limit=8) if one.votes > 5}
    assert found == {2, 6}
    assert shelf.check() == ()
