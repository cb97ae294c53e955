"""OME-Zarr: values, and nothing outside the folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rawtrace.errors import MalformedError
from rawtrace.image.metadata import harvest
from rawtrace.image.zarrlayout import ZarrFolder

Maker = Callable[..., Path]


def edit(path: Path, change: Callable[[dict], object]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "C:/outside", "a\\..\\b", "0/./x", "a\x00b"])
def test_paths_never_leave_the_folder_fail(ome_zarr: Maker, path: str) -> None:
    with pytest.raises(MalformedError):
        ZarrFolder(ome_zarr()).locate(path)


def test_a_link_out_of_the_folder_is_not_followed_fail(ome_zarr: Maker, tmp_path: Path) -> None:
    root = ome_zarr()
    outside = tmp_path / "outside.json"
    (root / "0" / "zarr.json").rename(outside)
    try:
        (root / "0" / "zarr.json").symlink_to(outside)
    except OSError:
        pytest.skip("links cannot be made here")
    found = harvest(root)
    assert any("leads outside" in note for note in found.notes)
    assert "pixels.size_x" not in {value.name for value in found.values}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"attributes": 7}',
        '{"zarr_format": 3, "zarr_format": 3}',
        "[" * 100_000,
        '{"attributes": {"ome": {"multiscales": 1}}}',
    ],
)
def test_odd_json_is_a_note_fail(ome_zarr: Maker, text: str) -> None:
    root = ome_zarr()
    (root / "zarr.json").write_text(text, encoding="utf-8")
    assert harvest(root).media_type == "application/vnd.zarr"
    root2 = ome_zarr(name="second.ome.zarr")
    (root2 / "0" / "zarr.json").write_text(text, encoding="utf-8")
    assert harvest(root2).notes


@pytest.mark.parametrize("shape", [[2**60, 1, 1, 8, 10], [-1, 1, 1, 8, 10], ["a"] * 5, [], [1], None, [True] * 5])
def test_odd_shapes_never_raise_fail(ome_zarr: Maker, shape: object) -> None:
    root = ome_zarr()
    edit(root / "0" / "zarr.json", lambda array: array.update(shape=shape))
    harvest(root)


def test_values(ome_zarr: Maker) -> None:
    frames = [{"delta_t": 0.5, "exposure_time": 0.02, "position_x": -0.0, "storage_index": [0, 1, 2]}]
    found = harvest(ome_zarr(attributes={"ome_writers": {"frame_metadata": frames}}))
    taken = {value.name: value.value for value in found.values}
    assert (found.format, found.notes) == ("OME-Zarr", ())
    expected = {
        "file.standard": "OME-Zarr 0.5",
        "pixels.size_x": 10,
        "pixels.size_t": 2,
        "pixels.type": "uint16",
        "pixels.physical_size_x_um": 0.065,
        "pixels.physical_size_z_um": 0.3,
        "pixels.time_increment_s": 5.0,
        "channel.0.name": "DAPI",
        "channel.1.exposure_s": 0.02,
        "plane.0.z": 2,
        "plane.0.c": 1,
    }
    assert {name: taken.get(name) for name in expected} == expected
    assert str(taken["plane.0.position_x_um"]) == "0.0"


def test_version_0_4_by_zarr_2(tmp_path: Path) -> None:
    root = tmp_path / "old.ome.zarr"
    (root / "0").mkdir(parents=True)
    (root / ".zgroup").write_text('{"zarr_format": 2}')
    scale = {"type": "scale", "scale": [0.5, 0.5]}
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    levels = [{"path": "0", "coordinateTransformations": [scale]}]
    multiscale = {"version": "0.4", "axes": axes, "datasets": levels}
    (root / ".zattrs").write_text(json.dumps({"multiscales": [multiscale]}))
    array = {"zarr_format": 2, "shape": [8, 6], "chunks": [4, 4], "dtype": ">u2", "compressor": None, "order": "C"}
    (root / "0" / ".zarray").write_text(json.dumps({**array, "fill_value": 0, "filters": None}))
    taken = {value.name: value.value for value in harvest(root).values}
    assert (taken["file.standard"], taken["pixels.size_y"], taken["pixels.type"]) == ("OME-Zarr 0.4", 8, "uint16")
    assert ZarrFolder(root).array("0").grid == (2, 2)


def test_summary_of_the_engine_without_folders(ome_zarr: Maker) -> None:
    summary = {
        "datetime": "2026-01-02T03:04:05+00:00",
        "system_info": {
            "mmcore_version": "MMCore version 12.5.1",
            "pymmcore_plus_version": "0.18.1",
            "system_configuration_file": "/home/zquill/scope.cfg",
            "primary_log_file": "/home/zquill/log",
        },
        "devices": [
            {
                "label": "Camera",
                "properties": [{"name": "CameraName", "value": "Chip 3"}, {"name": "User", "value": "zquill"}],
            },
            {"label": "Objective", "properties": [{"name": "Label", "value": "60x oil"}]},
            "not a device",
        ],
    }  # fmt: skip
    found = harvest(ome_zarr(attributes={"pymmcore_plus": {"summary_metadata": summary}}))
    taken = {value.name: value.value for value in found.values}
    assert taken["acquisition.software"] == "Micro-Manager"
    assert taken["device.0.camera_name"] == "Chip 3"
    assert taken["objective.model"] == "60x oil"
    assert "zquill" not in str(found)


def test_odd_summaries_never_raise_fail(ome_zarr: Maker) -> None:
    for number, odd in enumerate((1, [], {"devices": {}}, {"devices": [[], {"properties": 3}]}, {"system_info": []})):
        root = ome_zarr(name=f"{number}.ome.zarr", attributes={"pymmcore_plus": {"summary_metadata": odd}})
        assert "pixels.size_x" in {value.name for value in harvest(root).values}
