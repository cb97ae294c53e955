from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

import picturereaders as readers
from rawtrace.database import METADATA, open_database
from rawtrace.errors import DiskFullError, PictureIndexError
from rawtrace.match.features import Features, features
from rawtrace.match.index import PictureIndex, adding, imagecodes, pictures
from rawtrace.match.index.checking import check
from rawtrace.match.index.imagecodes import ImageCodes
from rawtrace.match.index.search import VARIANTS
from rawtrace.match.index.tables import FEATURES, SOURCES, VIEWS

PNG = b"\x89PNG\r\n\x1a\n"


@contextlib.contextmanager
def _filled(where: Path | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureIndex]:
    monkeypatch.setenv("RAWTRACE_CONFIG_DIR", str(tmp_path / "settings"))
    (tmp_path / "data").mkdir()
    for number in range(5):
        (tmp_path / "data" / f"{number}.png").write_bytes(PNG + str(number).encode())
    with PictureIndex.open(where, create=True) as opened:
        adding.add(opened, [tmp_path / "data"], task=readers.quick)
        yield opened


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def filled(where: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureIndex]:
    with _filled(where, tmp_path, monkeypatch) as opened:
        yield opened


@pytest.fixture
def anywhere(
    database_address: Path | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[PictureIndex, Path | str]]:
    """The same, on SQLite and on PostgreSQL, and where it is."""
    where = database_address.parent / "index" if isinstance(database_address, Path) else database_address
    with _filled(where, tmp_path, monkeypatch) as opened:
        yield opened, where


def points_of(path: Path) -> Features:
    return readers.points(readers.seed_of(path))


def names(index: PictureIndex, question: Features) -> list[str]:
    return [Path(index.view(one[0]).where.source).name for one in index.candidates(question) if one[3] > 20]


def test_there_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(PictureIndexError, match="there is no index in"):
        PictureIndex.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"garbage" * 1000, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_a_database_that_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "index.sqlite").write_bytes(data)
    with pytest.raises(PictureIndexError) as caught:
        PictureIndex.open(tmp_path)
    assert caught.value.hint


def test_pages_of_the_database_overwritten(filled: PictureIndex, where: Path) -> None:
    filled.close()
    with sqlite3.connect(where / "index.sqlite") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path = where / "index.sqlite"
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 200] = b"\xa5" * 200
    path.write_bytes(data)
    with pytest.raises(PictureIndexError, match=r"cannot be used|holds what cannot be|damaged"):
        read_everything(where)


def read_everything(where: Path) -> None:
    with PictureIndex.open(where) as opened:
        opened.sources()
        opened.candidates(readers.points(1))


@pytest.mark.parametrize(
    ("name", "said"), [("schema", "schema 99"), ("rendering", "rendering 99"), ("features", "features 99")]
)
def test_an_index_of_another_release(filled: PictureIndex, where: Path, name: str, said: str) -> None:
    with filled.writing() as connection:
        connection.execute(sa.text(f"UPDATE index_about SET value='99' WHERE name='{name}'"))  # noqa: S608
    with pytest.raises(PictureIndexError, match=said):
        PictureIndex.open(where)


def test_its_tables_are_not_the_servers(anywhere: tuple[PictureIndex, Path | str]) -> None:
    _, where = anywhere
    assert not {table.name for table in METADATA.tables.values()} & {"index_view", "index_source"}
    address = where / "index.sqlite" if isinstance(where, Path) else where
    with open_database(address) as database, database.read() as connection:
        made = set(sa.inspect(connection).get_table_names())
    assert made >= {"index_about", "index_source", "index_scene", "index_plane", "index_view", "index_features"}
    assert all(name.startswith("index_") for name in made)


def test_candidates_codes_and_digests(anywhere: tuple[PictureIndex, Path | str], tmp_path: Path) -> None:
    filled, _ = anywhere
    path = tmp_path / "data" / "3.png"
    question = points_of(path)
    found = filled.candidates(question, limit=4)
    assert len(found) <= 4
    assert {Path(filled.view(one[0]).where.source).name for one in found[:2]} == {"3.png"}
    assert found[0][1:3] == (False, False)
    digest = hashlib.sha256(path.read_bytes()).digest()
    assert [(one.z, one.channel, one.t) for one in filled.by_digest(digest)] == [(0, 0, 0)]
    assert filled.by_digest(b"\x01" * 32) == []  # constant
    assert [Path(one.source).name for one in filled.by_scene(digest, header="00" * 32)] == ["3.png"]
    assert filled.by_scene(digest, header="11" * 32) == []
    near = bytes([digest[0] ^ 3]) + digest[1:]
    assert [one[1:] for one in filled.by_code(near, 8)] == [(2, False)]
    assert [one[1:] for one in filled.by_code(bytes(255 - byte for byte in near), 8)] == [(2, True)]
    assert filled.by_code(near, 1) == []
    number = filled.by_code(digest, 0)[0][0]
    assert len(filled.features_of([number, 10**9])[number]) == 60
    assert list(filled.views([number, 10**9])) == [number]
    with pytest.raises(PictureIndexError, match="view 1000000000 is not in the index"):
        filled.view(10**9)


def test_what_was_removed_is_not_found(anywhere: tuple[PictureIndex, Path | str], tmp_path: Path) -> None:
    filled, _ = anywhere
    path = tmp_path / "data" / "2.png"
    digest = hashlib.sha256(path.read_bytes()).digest()
    assert names(filled, points_of(path)) == ["2.png", "2.png"]
    filled.by_code(digest, 0)
    assert filled.remove(path) == 1
    assert names(filled, points_of(path)) == []
    assert (filled.by_code(digest, 0), filled.by_digest(digest)) == ([], [])
    assert filled.remove(tmp_path / "da") == 0  # a folder's name, not its beginning
    assert filled.remove(tmp_path / "data") == 4
    assert set(filled.counts().values()) == {0}
    with filled.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(FEATURES)).scalar() == 0


@pytest.mark.parametrize("harm", ["deleted", "garbage", "truncated"])
def test_segments_are_made_again(filled: PictureIndex, where: Path, tmp_path: Path, harm: str) -> None:
    question = points_of(tmp_path / "data" / "1.png")
    folder = filled.shelf.folder
    filled.close()
    for path in folder.glob("*.postings"):
        if harm == "deleted":
            path.unlink()
        else:
            path.write_bytes(b"garbage" if harm == "garbage" else path.read_bytes()[:-5])
    with PictureIndex.open(where) as opened:
        found = check(opened)
        assert (found.problems, len(found.derived)) == ((), 0 if harm == "deleted" else 1)
        assert names(opened, question) == ["1.png", "1.png"]
        assert check(opened).derived == ()
    assert len(list(folder.glob("*.postings"))) == 1


def test_without_a_folder_to_write_segments_are_made_for_one_question(
    filled: PictureIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.shelf.clear()
    monkeypatch.setattr(PictureIndex, "refresh", lambda *_, **__: False)
    assert names(filled, points_of(tmp_path / "data" / "1.png")) == ["1.png", "1.png"]
    assert filled.shelf.segments == ()


def test_new_views_are_found_before_they_have_a_segment(filled: PictureIndex, where: Path, tmp_path: Path) -> None:
    path = tmp_path / "data" / "late.png"
    path.write_bytes(PNG + b"late")
    assert names(filled, points_of(path)) == []
    with pytest.MonkeyPatch.context() as patch, PictureIndex.open(where) as other:
        patch.setattr(PictureIndex, "refresh", lambda *_, **__: False)
        adding.add(other, [path], task=readers.quick)
    assert names(filled, points_of(path)) == ["late.png", "late.png"]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (sa.update(FEATURES).where(FEATURES.c.view == 3).values(features=b"RTSF"), "view 3 of .*1.png cannot be read"),
        (sa.delete(FEATURES).where(FEATURES.c.view == 3), "view 3 of .*1.png has lost its points"),
        (sa.update(VIEWS).where(VIEWS.c.number == 3).values(code=b"abc"), "view 3 of .*1.png has a code of 3 bytes"),
        (sa.update(VIEWS).where(VIEWS.c.number == 3).values(points=9), "view 3 of .*1.png has 60 points, expected 9"),
        (sa.delete(SOURCES).where(SOURCES.c.number == 2), "belong to source 2, which is not there"),
    ],
)
def test_check_names_what_is_damaged(filled: PictureIndex, harm: Any, said: str, tmp_path: Path) -> None:
    assert check(filled).problems == ()
    with filled.writing() as connection:
        connection.execute(harm)
    found = check(filled)
    assert any(re.search(said, one) for one in found.problems)
    assert "4.png" in names(filled, points_of(tmp_path / "data" / "4.png"))  # the rest goes on


def test_check_notices_segments_that_say_something_else(filled: PictureIndex) -> None:
    with filled.writing() as connection:
        other = sa.select(FEATURES.c.features).where(FEATURES.c.view == 5).scalar_subquery()
        connection.execute(sa.update(FEATURES).where(FEATURES.c.view == 3).values(features=other))
    found = check(filled)
    assert (found.problems, len(found.derived)) == ((), 1)
    assert "does not agree with the database about view 3" in found.derived[0]


def test_text_where_bytes_belong(filled: PictureIndex) -> None:
    with filled.writing() as connection:
        connection.execute(sa.text("UPDATE index_features SET features='text' WHERE view=3"))
        connection.execute(sa.text("UPDATE index_view SET width='wide' WHERE number=5"))
    found = check(filled)
    assert len(found.problems) >= 1
    with pytest.raises(PictureIndexError, match="damaged"):
        filled.view(5)


def test_a_full_disk_is_said_and_loses_nothing(
    filled: PictureIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data" / "late.png"
    path.write_bytes(PNG + b"late")

    def full(*_: Any, **__: Any) -> int:
        msg = "the disk of the database is full"
        raise DiskFullError(msg)

    before = filled.counts()
    with monkeypatch.context() as patch:
        patch.setattr(adding.records, "write", full)
        with pytest.raises(DiskFullError):
            adding.add(filled, [path], task=readers.quick)
    assert filled.counts() == before
    assert adding.add(filled, [path], task=readers.quick).added == 1


def test_real_pictures_cropped_turned_mirrored_inverted(index: PictureIndex, write: Callable[..., Path]) -> None:
    from PIL import Image

    paths = [write(number) for number in (1, 2)]
    assert index.add([paths[0].parent]).added == 2
    shown = np.asarray(Image.open(paths[1]))[10:110, 20:140]
    for number, changed in ((1, shown[:, ::-1]), (3, np.rot90(255 - shown[:, ::-1]))):
        found = index.candidates(features(np.ascontiguousarray(changed)))
        assert index.view(found[0][0]).where.source == str(paths[1])
        assert found[0][1:3] == VARIANTS[number]
        assert found[0][3] > 4 * max(
            [one[3] for one in found[1:] if index.view(one[0]).where.source != str(paths[1])] + [0.1]
        )
    again = index.pixels_of(found[0][0])
    assert again is not None
    assert again.shape == (130, 150)
    paths[1].write_bytes(paths[0].read_bytes())
    assert index.pixels_of(found[0][0]) is None
    assert index.pixels_of(99) is None


def test_parts_of_an_index_together_find_what_the_whole_finds(
    anywhere: tuple[PictureIndex, Path | str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled, where = anywhere
    monkeypatch.setattr(pictures, "BLOCK", 3)
    question = points_of(tmp_path / "data" / "3.png")
    together = []
    for number in range(2):
        with PictureIndex.open(where, part=(number, 2)) as part:
            assert part.refresh()
            covered = {view for one in part.shelf.segments for view in range(one.first, one.last + 1)}
            # Segments that are joined span the blocks of the other part between them, and hold nothing of these.
            mine = {view for view in range(1, 11) if (view - 1) // 3 % 2 == number}
            assert mine <= covered
            assert {one[0] for one in part.candidates(question)} <= mine
            together += [one for one in part.candidates(question) if one[3] > 20]
    assert {one[0] for one in together} == {one[0] for one in filled.candidates(question) if one[3] > 20}


@pytest.mark.parametrize("worth", [0, 1 << 60])
def test_every_code_within_the_radius_is_found(monkeypatch: pytest.MonkeyPatch, worth: int) -> None:
    if worth == 0:
        pytest.importorskip("faiss")
    monkeypatch.setattr(imagecodes, "WORTH_FAISS", worth)
    random = np.random.default_rng(1)
    codes = random.integers(0, 256, (500, 32), np.uint8)
    codes[7] = codes[3] ^ np.r_[np.full(31, 0), 7].astype(np.uint8)
    known = ImageCodes()
    known.extend([(n + 1, codes[n].tobytes()) for n in range(400)])
    known.extend([(n + 1, codes[n].tobytes()) for n in range(400, 500)])
    asked = codes[3]
    far = np.unpackbits(codes ^ asked, axis=1).sum(axis=1)
    expected = sorted(
        [(int(d), False, n + 1) for n, d in enumerate(far) if d <= 110]
        + [(256 - int(d), True, n + 1) for n, d in enumerate(far) if 256 - d <= 110]
    )
    assert [(d, i, n) for n, d, i in known.near(asked.tobytes(), 110)] == expected
    assert known.near(asked.tobytes(), 0) == [(4, 0, False)]
    assert known.last == 500
    assert ImageCodes().near(asked.tobytes(), 40) == []
