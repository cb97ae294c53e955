"""What is an asset and what is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rawtrace.agent.watch import MAX_DEPTH, Kind, WatchedFolder, leftover_beside, sidecar_of
from rawtrace.errors import InputNotFoundError, UnreadableError, UsageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder


def put(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(root: Path, **options: object) -> set[str]:
    return {found.name for found in WatchedFolder(root, **options).sweep().found}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        ".hidden", ".hidden-folder/a.tif", "a.tif.c2pa", "A.TIF.C2PA", "a.tif.tmp", "a.part", "a.crdownload",
        "~$report.docx", "a.lock", ".DS_Store", "Thumbs.db", "desktop.ini", "._a.tif",
        ".rawtrace-notes/n.finished.json", ".a.tif.0123abcd.rawtrace-tmp", "$RECYCLE.BIN/a.tif",
        "a.superseded-00001.c2pa", "s.zarr.sha256", "s.zarr.sha256.superseded-00001", "s.zarr.sha256.metadata.json",
        "a.tif.superseded-00002.metadata.json",
    ],
)  # fmt: skip
def test_names_that_are_no_assets(root: Path, name: str) -> None:
    put(root / name)
    assert names(root) == set()
    assert WatchedFolder(root).name_of(root / name) is None


def test_a_companion_is_left_out_only_beside_its_asset(root: Path) -> None:
    put(root / "a.tif.metadata.json")
    put(root / "b.sha256")
    assert names(root) == {"a.tif.metadata.json", "b.sha256"}
    put(root / "a.tif")
    put(root / "b" / "c.tif")
    assert names(root) == {"a.tif", "b/c.tif"}
    assert WatchedFolder(root).name_of(root / "a.tif.metadata.json") is None


@pytest.mark.parametrize("marker", ["zarr.json", ".zgroup", ".zattrs", ".zarray"])
def test_a_zarr_is_one_asset(root: Path, marker: str) -> None:
    put(root / "day" / "plain" / marker)
    put(root / "day" / "plain" / "0" / "c" / "0")
    put(root / "stack.ome.zarr" / "0" / "c" / "0")
    watched = WatchedFolder(root)
    found = {one.name: one.kind for one in watched.sweep().found}
    assert found == {"day/plain": Kind.FOLDER, "stack.ome.zarr": Kind.FOLDER}
    assert watched.name_of(root / "day" / "plain" / "0" / "c" / "0") == "day/plain"
    assert watched.name_of(root / "day" / "plain") == "day/plain"


def test_links_are_never_followed(root: Path, tmp_path: Path) -> None:
    secret = put(tmp_path / "outside" / "secret.tif")
    (root / "file.tif").symlink_to(secret)
    (root / "folder").symlink_to(secret.parent)
    (root / "loop").symlink_to(root)
    (root / "s.zarr").symlink_to(secret.parent)
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    watched = WatchedFolder(root)
    assert watched.sweep().found == []
    for path in ("file.tif", "folder/secret.tif", "s.zarr", "s.zarr/secret.tif", "dangling"):
        assert watched.name_of(root / path) is None
    # A detour that ends inside is no way out.
    assert watched.name_of(root / "loop" / "loop" / "x.tif") == "x.tif"


@pytest.mark.parametrize("path", ["../outside.tif", "a/../../outside.tif", "/etc/passwd", "."])
def test_nothing_outside_the_folder_is_an_asset(root: Path, path: str) -> None:
    assert WatchedFolder(root).name_of(root / path) is None


def test_a_sibling_with_the_same_beginning_is_outside(root: Path) -> None:
    put(root.with_name("watched-too") / "a.tif")
    assert WatchedFolder(root).name_of(root.with_name("watched-too") / "a.tif") is None


def test_depth_is_bounded(root: Path) -> None:
    deep = root.joinpath(*["d"] * MAX_DEPTH)
    put(deep.parent / "in.tif")
    put(deep / "e" / "out.tif")
    assert {Path(name).name for name in names(root)} == {"in.tif"}
    assert WatchedFolder(root).name_of(deep / "e" / "out.tif") is None


def test_what_is_excluded_is_left_out(root: Path) -> None:
    state, key = put(root / "state.sqlite"), put(root / "scope" / "key.pem")
    put(root / "a.tif")
    assert names(root, excluded=(state, key.parent)) == {"a.tif"}
    assert WatchedFolder(root, excluded=(key.parent,)).name_of(key) is None


def test_special_files_are_left_out(root: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(root / "pipe.tif")
    assert names(root) == set()


def test_own_leftovers_are_reported_and_foreign_ones_are_not(root: Path) -> None:
    ours = put(root / ".a.tif.c2pa.0a1b2c3d.rawtrace-tmp")
    put(root / "a.rawtrace-tmp")
    put(root / ".a.zz.rawtrace-tmp")
    assert WatchedFolder(root).sweep().leftovers == [ours]


def test_odd_names_survive(root: Path) -> None:
    try:
        put(Path(os.fsdecode(os.fsencode(root) + b"/\xff\n.tif")))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert len(names(root)) == 1


def test_no_folder_no_agent(root: Path) -> None:
    with pytest.raises(InputNotFoundError, match="does not exist"):
        WatchedFolder(root / "none")
    with pytest.raises(UsageError, match="is a file"):
        WatchedFolder(put(root / "a.tif"))


def test_a_folder_that_goes_away_is_named(root: Path) -> None:
    watched = WatchedFolder(root)
    root.rmdir()
    with pytest.raises(UnreadableError, match="cannot be listed"):
        watched.sweep()


@pytest.mark.parametrize("name", ["a.tif.tmp", "a.tif.part", "a.tif.lock", ".a.tif.tmp", "~$a.tif"])
def test_temporary_names_beside_an_asset(root: Path, name: str) -> None:
    asset = put(root / "a.tif")
    assert leftover_beside(asset) == ""
    put(root / name)
    assert leftover_beside(asset) == name


def test_where_seals_lie() -> None:
    assert sidecar_of(Path("a.tif"), Kind.FILE) == Path("a.tif.c2pa")
    assert sidecar_of(Path("s.zarr"), Kind.FOLDER) == Path("s.zarr.sha256.c2pa")
