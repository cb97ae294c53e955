"""Seals that an index keeps: they follow their files, and nothing that a seal is leaves the index damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import picturereaders as readers
from rawtrace.errors import SealUnreadableError, UnreadableError
from rawtrace.match.index import PictureIndex, adding, seals
from rawtrace.match.index.adding import Added
from rawtrace.match.index.checking import check
from rawtrace.match.index.seals import MAX_LABEL, MAX_SEAL_BYTES, KeptSeal, SealFacts

PNG = b"\x89PNG\r\n\x1a\n"


class Beside:
    """Takes ``NAME.seal`` for the seal of a file: its text is its label."""

    def __init__(self) -> None:
        self.read_ones: list[bytes] = []

    def store_of(self, path: Path) -> bytes | None:
        beside = path.with_name(path.name + ".seal")
        if not beside.exists():
            return None
        found = beside.read_bytes()
        if found == b"locked":
            msg = "it may not be read"
            raise UnreadableError(msg)
        return found

    def read(self, store: bytes) -> SealFacts:
        self.read_ones.append(store)
        if store.startswith(b"bad"):
            msg = "its seal is not sound"
            raise SealUnreadableError(msg)
        return SealFacts(label=store.decode().strip(), claim_sha256="00" * 32, data=(b"\x07" * 32,))


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PictureIndex]:
    """An index in either database."""
    postgres = request.param == "postgresql"
    place = request.getfixturevalue("postgres").new_database() if postgres else tmp_path / "either"
    with PictureIndex.open(place, create=True) as opened:
        yield opened


@pytest.fixture
def reader() -> Beside:
    return Beside()


@pytest.fixture
def add(index: PictureIndex, reader: Beside) -> Callable[..., Added]:
    return lambda *paths: adding.add(index, paths, task=readers.quick, seal_reader=reader)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "cells.png"
    path.parent.mkdir()
    path.write_bytes(PNG + b"cells")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def sealed(path: Path, label: str) -> None:
    path.with_name(path.name + ".seal").write_text(label)


def kept(index: PictureIndex, label: str) -> KeptSeal | None:
    with index.reading() as connection:
        return seals.kept_as(connection, label)


def codes(index: PictureIndex) -> list[tuple[int, bytes]]:
    with index.reading() as connection:
        return seals.data_codes(connection, after=0)


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (b"bad seal", "not sound"),
        (b"locked", "may not be read"),
        (b" " * (MAX_SEAL_BYTES + 1), f"at most {MAX_SEAL_BYTES}"),
        (b"x" * (MAX_LABEL + 1), "a name of"),
        (b"", "a name of 0"),
    ],
    ids=["unsound", "locked", "large", "long name", "no name"],
)
def test_a_seal_that_is_not_kept_is_told_and_takes_the_old_ones_place_fail(
    index: PictureIndex, add: Callable[..., Added], cells: Path, store: bytes, said: str
) -> None:
    beside = cells.with_name("cells.png.seal")
    beside.write_bytes(store)
    done = add(cells.parent)
    assert (done.added, done.sealed, done.problems) == (1, 0, [])
    assert [path for path, _ in done.seal_problems] == [str(cells)]
    assert said in done.seal_problems[0][1]
    assert codes(index) == []
    sealed(cells, "urn:good")
    assert add(cells.parent).sealed == 1
    beside.write_bytes(store)
    add(cells.parent)
    # Better none than one that may be another's.
    assert kept(index, "urn:good") is None


def test_a_seal_that_comes_later_changes_and_goes(either: PictureIndex, reader: Beside, cells: Path) -> None:
    index = either

    def add(path: Path) -> Added:
        return adding.add(index, [path], task=readers.quick, seal_reader=reader)

    assert add(cells.parent).sealed == 0
    sealed(cells, "urn:one")
    done = add(cells.parent)
    assert (done.unchanged, done.sealed) == (1, 1)
    found = kept(index, "urn:one")
    assert found is not None
    assert found.store == b"urn:one"
    assert index.seal_labels() == {str(cells): "urn:one"}
    before = codes(index)
    assert add(cells.parent).sealed == 1
    assert codes(index) == before
    assert reader.read_ones == [b"urn:one"], "what is known is not read again"
    sealed(cells, "urn:two")
    add(cells.parent)
    assert kept(index, "urn:one") is None
    assert kept(index, "urn:two") is not None
    assert len(codes(index)) == 1
    cells.with_name("cells.png.seal").unlink()
    assert add(cells.parent).sealed == 0
    assert (index.seal_labels(), codes(index)) == ({}, [])


def test_a_seal_follows_a_file_that_is_moved_copied_replaced_and_removed(
    index: PictureIndex, add: Callable[..., Added], cells: Path
) -> None:
    sealed(cells, "urn:cells")
    add(cells.parent)
    moved = cells.with_name("moved.png")
    cells.rename(moved)
    cells.with_name("cells.png.seal").rename(moved.with_name("moved.png.seal"))
    assert add(cells.parent).moved == 1
    assert index.seal_labels() == {str(moved): "urn:cells"}
    copy = cells.with_name("z-copy.png")
    copy.write_bytes(moved.read_bytes())
    # A copy without a seal beside it has none.
    assert add(cells.parent).copied == 1
    assert index.seal_labels() == {str(moved): "urn:cells"}
    moved.write_bytes(PNG + b"other cells")
    moved.with_name("moved.png.seal").unlink()
    assert add(cells.parent).replaced == 1
    assert (index.seal_labels(), codes(index)) == ({}, [])
    sealed(copy, "urn:copy")
    add(cells.parent)
    index.remove(copy)
    assert (index.seal_labels(), codes(index)) == ({}, [])


def test_nobody_who_looks_for_seals_leaves_them_as_they_are(
    index: PictureIndex, add: Callable[..., Added], cells: Path
) -> None:
    sealed(cells, "urn:cells")
    add(cells.parent)
    adding.add(index, [cells.parent], task=readers.quick)
    assert index.seal_labels() == {str(cells): "urn:cells"}


def test_a_file_that_cannot_be_read_has_no_seal(index: PictureIndex, add: Callable[..., Added], cells: Path) -> None:
    cells.write_bytes(PNG + b"odd")
    sealed(cells, "urn:odd")
    assert add(cells.parent).sealed == 0
    assert index.seal_labels() == {}


def test_broken_off_between_file_and_seal_is_mended_by_the_next_run(
    index: PictureIndex, add: Callable[..., Added], reader: Beside, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(cells, "urn:cells")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(seals, "note", killed)
        with pytest.raises(KeyboardInterrupt):
            add(cells.parent)
    assert (index.counts()["sources"], index.seal_labels()) == (1, {})
    assert add(cells.parent).sealed == 1
    assert check(index).problems == ()


def test_a_seal_without_its_source_is_named(index: PictureIndex, add: Callable[..., Added], cells: Path) -> None:
    sealed(cells, "urn:cells")
    add(cells.parent)
    with index.writing() as connection:
        seals.note(connection, 99, b"urn:lost", SealFacts(label="urn:lost", claim_sha256=""))
    assert check(index).problems == ("seals belong to source 99, which is not there",)
