"""Below a folder, data is found, what belongs to data is not, and no seal is passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from rawtrace.errors import Error, LimitError
from rawtrace.sealing import discovery
from rawtrace.sealing.discovery import PassedOver, assets_below, is_folder_asset


def names(folder: Path) -> list[str]:
    return [found.relative_to(folder).as_posix() for found in assets_below(folder) if not isinstance(found, PassedOver)]


def passed_over(folder: Path) -> list[str]:
    return [found.path.name for found in assets_below(folder) if isinstance(found, PassedOver)]


def put(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")
    return folder


def test_a_seal_whose_data_is_gone_is_not_passed_over_fail(tmp_path: Path) -> None:
    put(tmp_path, "gone.tif.c2pa", "gone.zarr.sha256.c2pa", "here.tif", "here.tif.c2pa")
    assert names(tmp_path) == ["gone.tif.c2pa", "gone.zarr.sha256.c2pa", "here.tif"]


def test_links_are_not_followed_fail(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.tif")
    try:
        (tmp_path / "in" / "up").symlink_to(tmp_path)
        (tmp_path / "in" / "b.tif").symlink_to("a.tif")
    except OSError:
        pytest.skip("this account may not make links")
    assert names(tmp_path) == ["in/a.tif"]
    assert passed_over(tmp_path) == ["b.tif", "up"]


def test_folders_without_end_are_refused_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MAX_DEPTH", 3)
    put(tmp_path, "a/b/c/d/e.tif")
    with pytest.raises(LimitError, match="more than 3 folders deep"):
        names(tmp_path)


def test_a_folder_that_is_not_there_fail(tmp_path: Path) -> None:
    with pytest.raises(Error):
        names(tmp_path / "nothing")


def test_what_belongs_to_data_is_left_out(tmp_path: Path) -> None:
    put(
        tmp_path,
        "a.tif",
        "a.tif.c2pa",
        "a.tif.metadata.json",
        "a.tif.superseded-00001.c2pa",
        "b.zarr/zarr.json",
        "b.zarr/c/0",
        "b.zarr.sha256",
        "b.zarr.sha256.c2pa",
        ".DS_Store",
        "._a.tif",
        ".a.1234.rawtrace-tmp",
    )
    assert names(tmp_path) == ["a.tif", "b.zarr"]
    assert passed_over(tmp_path) == [".DS_Store", "._a.tif", ".a.1234.rawtrace-tmp"]


def test_the_current_folder_and_the_root_have_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "data.zarr/x")
    monkeypatch.chdir(tmp_path / "data.zarr")
    assert is_folder_asset(Path())
    assert not is_folder_asset(Path(tmp_path.anchor))


def test_names_alone_hide_nothing_fail(tmp_path: Path) -> None:
    """A picture called like an index or a companion is looked at unless what it would belong to is there."""
    put(tmp_path, "picture.metadata.json", "list.sha256", "x/checksums.sha256", "x/checksums/1")
    assert names(tmp_path) == ["list.sha256", "picture.metadata.json", "x/checksums.sha256", "x/checksums/1"]


def test_files_come_before_what_lies_deeper_and_all_in_order(tmp_path: Path) -> None:
    put(tmp_path, "z.tif", "a/2.tif", "a/1.tif", "b/c/3.tif")
    assert names(tmp_path) == ["z.tif", "a/1.tif", "a/2.tif", "b/c/3.tif"]


@pytest.mark.parametrize("mark", ["zarr.json", ".zgroup", ".zattrs", ".zarray"])
def test_a_folder_is_one_thing_by_its_marks(tmp_path: Path, mark: str) -> None:
    put(tmp_path, f"data/{mark}", "data/0/0", "plain/0")
    assert is_folder_asset(tmp_path / "data")
    assert not is_folder_asset(tmp_path / "plain")
    assert names(tmp_path) == ["data", "plain/0"]


def test_a_folder_is_one_thing_by_its_name_or_index(tmp_path: Path) -> None:
    put(tmp_path, "a.zarr/x", "run/x", "run.sha256", "run.sha256.c2pa", "other/x")
    assert names(tmp_path) == ["a.zarr", "run", "other/x"]
    assert [path.name for path in assets_below(tmp_path / "run")] == ["run"]
