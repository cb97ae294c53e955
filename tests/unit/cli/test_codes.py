"""``rawtrace codes``: the content codes of images, for people and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import iscc_lib
import numpy as np
import pytest
import tifffile

from rawtrace.image.codes import codes_of


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "stack.ome.tif"
    path.parent.mkdir()
    pixels = np.random.default_rng(2).integers(0, 900, (2, 3, 40, 50), np.uint16)
    pixels[1, 2] = 5
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "CZYX"})
    return path


def test_nothing_there(rawtrace: Any, tmp_path: Path) -> None:
    done = rawtrace("codes", tmp_path / "nothing.tif")
    assert (done.code, done.out) == (3, "")


def test_what_is_no_image_has_the_codes_of_its_bytes(rawtrace: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"three cells")
    done = rawtrace("codes", path, "--json")
    wanted = iscc_lib.gen_sum_code_v0(path, bits=256, wide=True, add_units=True)
    assert done.code == 0
    assert (done.json["iscc_code"], done.json["units"], done.json["parts"]) == (wanted.iscc, wanted.units, [])
    assert "no scene was read" in done.json["notes"][0]
    assert "note: no scene was read" in rawtrace("codes", path).out


def test_text_names_scene_header_and_views(rawtrace: Any, stack: Path) -> None:
    found = codes_of(stack)
    out = rawtrace("codes", stack).out
    scene = found.scenes[0]
    for shown in (
        found.iscc,
        scene.iscc,
        scene.header,
        "c=2 z=3 y=40 x=50 uint16",
        *(one.image for one in scene.views),
    ):
        assert shown in out
    assert "plane" not in out
    assert out.count("greatest along z") == 2


def test_planes_are_listed_when_asked_for(rawtrace: Any, stack: Path) -> None:
    out = rawtrace("codes", stack, "--planes", "--no-views").out
    for plane in codes_of(stack, views=False).scenes[0].planes:
        assert f"{plane.instance}  {plane.index.words()}" in out
    assert out.count("evidence of nothing") == 1
    assert "view" not in out


def test_json_has_everything(rawtrace: Any, stack: Path) -> None:
    value = rawtrace("codes", stack, "--json").json
    assert (value["schema"], value["rendering"]) == ("urn:rawtrace:schema:codes:1", "rawtrace-view/1")
    (scene,) = value["parts"]
    assert scene["shape"] == {"t": 1, "c": 2, "z": 3, "y": 40, "x": 50, "s": 1}
    assert (len(scene["planes"]), len(scene["views"]), len(scene["simprints"]["DATA_NONE_V0"])) == (6, 4, 6)
    assert [plane for plane in scene["planes"] if plane.get("constant")] == [scene["planes"][5]]
    assert scene["simprints"]["DATA_NONE_V0"][5]["offset"] == 5
    assert scene["simprints"]["DATA_NONE_V0"][5]["size"] == 4000


def test_parts_can_be_left_out(rawtrace: Any, stack: Path) -> None:
    value = rawtrace("codes", stack, "--json", "--no-planes", "--no-views", "--no-file").json
    assert not {"iscc_code", "units", "size", "rendering"} & set(value)
    assert not {"planes", "views", "simprints"} & set(value["parts"][0])


def test_folder_and_several_paths_are_one_line_each(rawtrace: Any, stack: Path, tmp_path: Path) -> None:
    tifffile.imwrite(stack.parent / "other.tif", np.zeros((4, 4), np.uint8))
    (stack.parent / "stack.ome.tif.c2pa").write_bytes(b"a seal")
    lines = rawtrace("codes", stack.parent, "--json").lines
    assert [Path(line["path"]).name for line in lines] == ["other.tif", "stack.ome.tif"]
    assert len(rawtrace("codes", stack, stack.parent / "other.tif", "--json").lines) == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    assert rawtrace("codes", empty).code == 3


def test_one_damaged_image_of_several_is_said_and_the_others_are_done(rawtrace: Any, stack: Path) -> None:
    whole = stack.read_bytes()
    damaged = stack.parent / "a.ome.tif"
    tifffile.imwrite(damaged, np.arange(4000, dtype=np.uint16).reshape(40, 100), compression="zlib")
    with tifffile.TiffFile(damaged) as opened:
        start = opened.pages[0].dataoffsets[0]
    damaged.write_bytes(damaged.read_bytes()[:start] + b"\xff" * 50 + damaged.read_bytes()[start + 50 :])
    alone = rawtrace("codes", damaged)
    assert (alone.code, alone.out) == (1, "")
    assert "plane z=0, c=0, t=0" in alone.err
    done = rawtrace("codes", stack.parent, "--json")
    assert done.code == 1
    assert [line["schema"] for line in done.lines] == ["urn:rawtrace:schema:error:1", "urn:rawtrace:schema:codes:1"]
    assert stack.read_bytes() == whole


def test_image_that_cannot_be_opened_has_the_codes_of_its_bytes(rawtrace: Any, stack: Path) -> None:
    short = stack.parent / "short.ome.tif"
    short.write_bytes(stack.read_bytes()[:9000])
    done = rawtrace("codes", short, "--json")
    assert (done.code, done.json["parts"], done.json["size"]) == (1, [], 9000)
    assert "short.ome.tif cannot be read" in done.json["notes"][0]


def test_names_command_no_terminal(rawtrace: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8), ome=True, metadata={"axes": "YX", "Name": "a\u202eb"})
    done = rawtrace("codes", path)
    assert all(line.isprintable() for line in done.out.split("\n"))
