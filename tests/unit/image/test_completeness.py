"""Completeness: what a half-written file looks like, format by format."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from rawtrace.errors import InputNotFoundError
from rawtrace.image.completeness import completeness

Maker = Callable[..., Path]


def test_missing_path_is_named_fail(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        completeness(tmp_path / "nowhere.tif")


def test_ome_tiff_with_fewer_planes_than_promised_fail(ome_tiff: Maker) -> None:
    said = completeness(ome_tiff(planes=4))
    assert (said.finished, said.expected, said.present) == (False, 6, 4)


def test_ome_tiff_cut_anywhere_is_never_finished_fail(ome_tiff: Maker) -> None:
    path = ome_tiff()
    data = path.read_bytes()
    assert completeness(path).finished is True
    for size in range(8, len(data), 211):
        path.write_bytes(data[:size])
        assert completeness(path).finished is not True, size


def test_pixels_that_no_directory_lists_yet_fail(ome_tiff: Maker) -> None:
    path = ome_tiff()
    with path.open("ab") as stream:
        stream.write(b"\x00" * 2_400)
    said = completeness(path)
    assert (said.finished, said.sparse) == (False, True)


def test_header_without_a_directory_fail(tmp_path: Path) -> None:
    path = tmp_path / "begun.tif"
    path.write_bytes(b"II*\x00\x00\x00\x00\x00")
    assert completeness(path).finished is False


def test_chain_that_bites_its_tail_ends_fail(tmp_path: Path) -> None:
    path = tmp_path / "loop.tif"
    path.write_bytes(b"II*\x00" + struct.pack("<IHHHIII", 8, 1, 256, 4, 1, 640, 8))
    said = completeness(path)
    assert said.finished is False
    assert "itself" in said.reason


def test_ome_tiff_complete(ome_tiff: Maker) -> None:
    said = completeness(ome_tiff())
    assert (said.finished, said.expected, said.present, said.sparse) == (True, 6, 6, False)


def test_colour_pages_hold_three_of_size_c(tmp_path: Path) -> None:
    path = tmp_path / "rgb.ome.tif"
    stack = np.zeros((2, 8, 9, 3), np.uint8)
    tifffile.imwrite(path, stack, photometric="rgb", metadata={"axes": "ZYXS"}, ome=True)
    said = completeness(path)
    assert (said.finished, said.expected) == (True, 2)


def test_pyramid_levels_are_not_strangers(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(np.zeros((8, 8), np.uint8), subifds=1, metadata={"axes": "YX"})
        writer.write(np.zeros((64, 64), np.uint8), subfiletype=1)
    assert completeness(path).finished is True


def test_plain_tiff_does_not_say(tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, np.zeros((9, 9), np.uint8), metadata=None)
    assert completeness(path).finished is None
    path.write_bytes(path.read_bytes()[:-5])
    assert completeness(path).finished is False


def test_imagej_stack_behind_one_directory(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((5, 8, 9), np.uint16), imagej=True)
    assert completeness(path).finished is True
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        first = tif.pages[0]
        end, pixels = first.offset + 2 + 12 * len(first.tags), first.dataoffsets[0]
    data[end : end + 4] = bytes(4)
    path.write_bytes(bytes(data[: pixels + 3 * 144]))
    said = completeness(path)
    assert (said.finished, said.expected, said.present) == (False, 5, 3)


def test_zarr_time_lapse_between_two_frames_fail(ome_zarr: Maker) -> None:
    skip = tuple((1, c, z) for c in range(2) for z in range(3))
    said = completeness(ome_zarr(skip=skip))
    assert (said.finished, said.expected, said.present, said.sparse) == (False, 12, 6, True)


def test_zarr_with_a_hole_and_its_last_chunk_does_not_say(ome_zarr: Maker) -> None:
    said = completeness(ome_zarr(skip=((0, 1, 1),)))
    assert (said.finished, said.present, said.sparse) == (None, 11, True)


def test_zarr_whole(ome_zarr: Maker) -> None:
    assert completeness(ome_zarr()).finished is True


def test_zarr_with_a_half_written_or_foreign_file_fail(ome_zarr: Maker) -> None:
    root = ome_zarr()
    last = root.joinpath("0", "c", "1", "1", "2", "0", "0")
    (last.parent / "0.__lock").write_bytes(last.read_bytes())
    (last.parent / "1").write_bytes(last.read_bytes())
    last.write_bytes(last.read_bytes()[:-2])
    said = completeness(root)
    assert (said.finished, said.present) == (False, 11)


def test_zarr_whose_writer_has_not_closed_does_not_say(ome_zarr: Maker) -> None:
    assert completeness(ome_zarr(attributes={"ome_writers": {"frame_metadata": []}})).finished is None
    closed = ome_zarr(name="closed.ome.zarr", attributes={"ome_writers": {"frame_metadata": [{"delta_t": 0}]}})
    assert completeness(closed).finished is True


def test_zarr_that_promises_the_moon_fail(ome_zarr: Maker) -> None:
    root = ome_zarr()
    array = root / "0" / "zarr.json"
    document = json.loads(array.read_text())
    document["shape"] = [2**60, 2, 3, 8, 10]
    array.write_text(json.dumps(document))
    assert completeness(root).finished is None


def test_zarr_before_its_array_fail(ome_zarr: Maker) -> None:
    root = ome_zarr()
    (root / "0" / "zarr.json").unlink()
    assert completeness(root).finished is False


def test_png_and_jpeg_cut_anywhere_fail(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "thumbnail \xff\xd9"
    picture = Image.fromarray(np.random.default_rng(7).integers(0, 255, (40, 50), np.uint8))
    for name in ("a.png", "a.jpg"):
        path = tmp_path / name
        picture.save(path, exif=exif)
        data = path.read_bytes()
        assert completeness(path).finished is True
        for size in range(8, len(data) - 1, 97):
            path.write_bytes(data[:size])
            assert completeness(path).finished is False, (name, size)


def test_other_formats_do_not_say(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,2\n")
    assert completeness(path).finished is None
    assert completeness(tmp_path).finished is None
