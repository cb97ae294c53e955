from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import picturereaders as readers
from rawtrace.errors import ChangedWhileReadError
from rawtrace.match.index import PictureIndex, adding, describe, records
from rawtrace.match.index.adding import Added
from rawtrace.match.index.workers import Bounds, read_all
from rawtrace.progress import SILENT, Counting

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that a quick reader takes for images."""
    made = tmp_path / "data"
    (made / "deep").mkdir(parents=True)
    for name in ("a.png", "b.png", "deep/c.png"):
        (made / name).write_bytes(PNG + name.encode())
        settle(made / name)
    (made / "notes.txt").write_text("no image")
    return made


def settle(path: Path) -> None:
    """Let a file have been written long ago, as most have."""
    os.utime(path, (1_700_000_000, 1_700_000_000))


def add(index: PictureIndex, *paths: Path, **more: Any) -> Added:
    return adding.add(index, paths, task=more.pop("task", readers.quick), **more)


def names(index: PictureIndex) -> list[str]:
    return [Path(one.path).name for one in index.sources()]


def test_a_path_that_is_not_there_is_named(index: PictureIndex, tmp_path: Path, folder: Path) -> None:
    done = add(index, tmp_path / "nothing", folder)
    assert done.added == 3
    assert [path for path, _ in done.problems] == [str(tmp_path / "nothing")]


def test_what_is_no_image_is_told_where_it_was_named_and_passed_over_in_folders(
    index: PictureIndex, folder: Path
) -> None:
    done = add(index, folder / "notes.txt", task=describe.describe)
    assert (done.known, len(done.problems)) == (0, 1)
    assert "not an image" in done.problems[0][1]
    assert names(index) == ["notes.txt"]
    index.remove(folder)
    add(index, folder)
    assert names(index) == ["a.png", "b.png", "c.png"]


def test_readers_that_raise_anything_are_survived(index: PictureIndex, folder: Path) -> None:
    (folder / "x.png").write_bytes(PNG + b"odd")
    done = add(index, folder)
    assert (done.added, done.problems) == (3, [(str(folder / "x.png"), "it could not be read (KeyError)")])
    assert {one.state for one in index.sources()} == {records.WHOLE, records.UNREADABLE}
    (folder / "x.png").write_bytes(PNG + b"even")
    assert (add(index, folder).added, index.counts()["sources"]) == (1, 4)


def test_a_file_that_changes_while_it_is_read_is_not_added(
    index: PictureIndex, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(1)
    read = describe.digest_of

    def and_write(one: Path) -> bytes:
        found = read(one)
        with one.open("ab") as stream:
            stream.write(b"more")
        return found

    monkeypatch.setattr(describe, "digest_of", and_write)
    with pytest.raises(ChangedWhileReadError, match="changed while it was read"):
        describe.describe(path)
    done = add(index, path, task=describe.describe)
    assert "changed while it was read" in done.problems[0][1]
    assert index.counts()["views"] == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows makes links for administrators only")
def test_links_in_folders_are_not_followed_and_named_ones_are(
    index: PictureIndex, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(PNG + b"secret")
    (folder / "link.png").symlink_to(outside / "secret.png")
    (folder / "links").symlink_to(outside)
    (folder / "round").symlink_to(folder)
    assert add(index, folder).added == 3
    assert "secret.png" not in names(index)
    assert add(index, folder / "link.png").added == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    "name", [b"new\nline.png", b"\xff\xfe.png", "\u202etxt.png".encode(), b" .png", b"'; DROP.png"]
)
def test_odd_names(index: PictureIndex, folder: Path, name: bytes) -> None:
    path = folder / os.fsdecode(name)
    try:
        path.write_bytes(PNG + name)
    except OSError:
        pytest.skip("this file system does not take the name")
    settle(path)
    assert add(index, folder).added == 4
    assert add(index, folder).unchanged == 4
    assert os.fsencode(name) in {os.fsencode(Path(one).name) for one in (source.path for source in index.sources())}
    assert index.remove(path) == 1
    assert index.counts()["sources"] == 3


def test_twice_is_as_once(index: PictureIndex, folder: Path) -> None:
    first = add(index, folder)
    before = index.counts()
    called: list[Path] = []

    def noticed(path: Path) -> Any:
        called.append(path)
        return readers.quick(path)

    again = add(index, folder, folder / "a.png", task=noticed)
    assert (first.added, again.unchanged, called, index.counts()) == (3, 3, [], before)


def test_bytes_are_compared_where_times_say_little(index: PictureIndex, folder: Path) -> None:
    path = folder / "a.png"
    add(index, folder)
    # The same size and time, other bytes: only a thorough look can tell.
    path.write_bytes(PNG + b"A.png")
    settle(path)
    assert add(index, folder).unchanged == 3
    done = add(index, folder, thorough=True)
    assert (done.replaced, done.unchanged) == (1, 2)
    # Written when it was added: the bytes are compared without being told to.
    path.write_bytes(PNG + b"1.png")
    add(index, folder)
    stamp = path.stat()
    path.write_bytes(PNG + b"2.png")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert add(index, folder).replaced == 1
    os.utime(path)
    assert add(index, folder).unchanged == 3


def test_a_changed_file_takes_the_place_of_what_it_was(index: PictureIndex, folder: Path) -> None:
    add(index, folder)
    old = readers.points(readers.seed_of(folder / "a.png"))
    (folder / "a.png").write_bytes(PNG + b"quite another")
    done = add(index, folder)
    assert (done.replaced, done.unchanged, index.counts()["views"]) == (1, 2, 6)
    found = index.candidates(readers.points(readers.seed_of(folder / "a.png")))
    assert Path(index.view(found[0][0]).where.source).name == "a.png"
    assert all(votes < 10 for _, _, _, votes in index.candidates(old))


def test_a_moved_file_is_recognised_and_a_copied_one_taken_over(index: PictureIndex, folder: Path) -> None:
    add(index, folder)
    known = {one.number for one in index.views_of(folder / "b.png")}
    (folder / "b.png").rename(folder / "deep" / "b2.png")
    shutil.copyfile(folder / "a.png", folder / "again.png")
    called: list[Path] = []
    done = add(index, folder, task=lambda path: called.append(path) or readers.quick(path))  # type: ignore[func-returns-value]
    assert (done.moved, done.copied, done.unchanged, called) == (1, 1, 2, [])
    assert {one.number for one in index.views_of(folder / "deep" / "b2.png")} == known
    assert names(index) == ["a.png", "again.png", "b2.png", "c.png"]
    found = {
        Path(index.view(one[0]).where.source).name
        for one in index.candidates(readers.points(readers.seed_of(folder / "a.png")))
        if one[3] > 20
    }
    assert found == {"a.png", "again.png"}
    assert len(index.by_digest(_instance(folder / "a.png"))) == 2


def test_progress_counts_every_file(index: PictureIndex, folder: Path) -> None:
    add(index, folder / "a.png")
    seen = Counting(SILENT)
    add(index, folder, progress=seen)
    assert seen.done >= 3


@pytest.mark.soak
def test_a_process_that_dies_hangs_or_eats_is_replaced(index: PictureIndex, folder: Path) -> None:
    for word in ("die", "hang", "eat"):
        (folder / f"{word}.png").write_bytes(PNG + word.encode())
    bounds = Bounds(seconds=0.5, memory_bytes=6 << 30)
    done = add(index, folder, workers=2, bounds=bounds)
    said = {Path(path).stem: problem for path, problem in done.problems}
    assert done.added == 3
    assert said["die"] == "the process that read it ended (exit code 7)"
    assert said["hang"] == "it takes more time than a file may"
    assert "memory" in said["eat"]
    # They are not tried again and again.
    assert {Path(path).stem for path, _ in add(index, folder).problems} >= {"die", "hang"}
    assert {one.state for one in index.sources()} == {records.WHOLE, records.GIVEN_UP}


@pytest.mark.soak
def test_processes_end_when_nobody_asks_any_more(folder: Path) -> None:
    import multiprocessing

    found: Iterator[Any] = read_all(
        [(folder / "a.png", 1), (folder / "b.png", 1)], workers=1, bounds=Bounds(), task=readers.quick
    )
    assert next(found).description is not None
    found.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


def test_two_runs_at_once_on_one_index(database_address: Path | str, tmp_path: Path, folder: Path) -> None:
    for number in range(6):
        (folder / f"{number}.png").write_bytes(PNG + str(number).encode())
        settle(folder / f"{number}.png")
    where = database_address.parent / "index" if isinstance(database_address, Path) else database_address
    PictureIndex.open(where, create=True).close()
    done: list[Added] = []

    def run() -> None:
        with PictureIndex.open(where) as opened:
            done.append(add(opened, folder))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    with PictureIndex.open(where) as reader:
        while any(thread.is_alive() for thread in threads):
            counts = reader.counts()
            assert counts["views"] == 2 * counts["scenes"]  # each file is there in full or not at all
        for thread in threads:
            thread.join()
        assert sum(one.added for one in done) == 9
        assert sum(one.known for one in done) == 18
        assert len(reader.candidates(readers.points(readers.seed_of(folder / "5.png")))) > 0
        assert reader.counts()["views"] == 18


def _instance(path: Path) -> bytes:
    import hashlib

    return hashlib.sha256(path.read_bytes()).digest()
