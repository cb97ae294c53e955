"""Previews: sizes, planes, captions, and no picture rather than an exception."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from rawtrace.image.preview import Preview, preview

REAL = Path(__file__).parents[4] / "shared" / "data" / "images"
Maker = Callable[..., Path]


def picture(shown: Preview | None) -> np.ndarray:
    assert shown is not None
    with Image.open(BytesIO(shown.png)) as image:
        assert image.format == "PNG"
        assert image.size == (shown.width, shown.height)
        return np.asarray(image)


def test_nothing_to_show_is_none_fail(tmp_path: Path, ome_tiff: Maker, png: Maker) -> None:
    assert preview(tmp_path / "nowhere.tif") is None
    (tmp_path / "a.csv").write_text("1,2\n")
    assert preview(tmp_path / "a.csv") is None
    assert preview(tmp_path) is None
    path = ome_tiff()
    path.write_bytes(path.read_bytes()[:300])
    assert preview(path) is None
    assert preview(png(width=2**31 - 1, height=1, pixels=b"x")) is None


def test_planes_beyond_256_megapixels_are_refused_fail(tmp_path: Path) -> None:
    path = tmp_path / "vast.tif"
    fields = [(256, 4, 30_000), (257, 4, 30_000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    fields += [(278, 4, 30_000), (279, 4, 900_000_000)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
    path.write_bytes(b"II*\x00" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4))
    assert preview(path) is None


def test_middle_plane_and_both_channels_of_ome_tiff(ome_tiff: Maker) -> None:
    shown = preview(ome_tiff())
    pixels = picture(shown)
    assert shown is not None
    assert pixels.shape == (30, 40, 3)
    # The left half of every plane is dark; green and magenta add up to white.
    assert tuple(pixels[5, 5]) == (0, 0, 0)
    assert tuple(pixels[5, 35]) == (255, 255, 255)
    assert shown.caption.startswith("focal plane 2 of 3; DAPI in green, contrast window 0 to 200")
    assert "GFP in magenta, contrast window 0 to 500" in shown.caption


def test_large_pictures_are_reduced_and_small_ones_not_enlarged(tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, np.arange(700 * 1400, dtype=np.uint32).reshape(700, 1400), metadata=None)
    shown = preview(path, longest_edge_px=200)
    assert picture(shown).shape == (100, 200)
    assert shown is not None
    assert "reduced in size" in shown.caption


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_data_types_flat_planes_and_nan(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "flat.tif"
    tifffile.imwrite(path, np.full((9, 11), 7, dtype), metadata=None)
    assert picture(preview(path)).shape == (9, 11)
    if dtype.startswith("float"):
        tifffile.imwrite(path, np.full((9, 11), np.nan, dtype), metadata=None)
        assert picture(preview(path)).shape == (9, 11)


def test_colours_stay_as_stored(tmp_path: Path) -> None:
    pixels = np.zeros((6, 7, 3), np.uint8)
    pixels[..., 0], pixels[2, 3] = 90, (10, 20, 30)
    tifffile.imwrite(tmp_path / "rgb.tif", pixels, photometric="rgb", metadata=None)
    Image.fromarray(pixels).save(tmp_path / "rgb.png")
    for name in ("rgb.tif", "rgb.png"):
        assert np.array_equal(picture(preview(tmp_path / name)), pixels)


def test_zarr_by_hand_and_with_missing_chunks(ome_zarr: Maker) -> None:
    shown = preview(ome_zarr(skip=((0, 1, 1),)))
    pixels = picture(shown)
    assert shown is not None
    assert pixels.shape == (8, 10, 3)
    assert "focal plane 2 of 3, time point 1 of 2" in shown.caption
    assert "GFP in magenta, contrast window 0 to 0" in shown.caption


@pytest.mark.parametrize("codec", ["gzip", "none"])
def test_zarr_chunk_that_unfolds_too_far_is_none_fail(ome_zarr: Maker, codec: str) -> None:
    root = ome_zarr((1, 1, 1, 8, 10))
    array = root / "0" / "zarr.json"
    document = json.loads(array.read_text())
    chunk = root.joinpath("0", "c", "0", "0", "0", "0", "0")
    good = chunk.read_bytes()
    if codec == "gzip":
        document["codecs"].append({"name": "gzip", "configuration": {"level": 1}})
        array.write_text(json.dumps(document))
        chunk.write_bytes(gzip.compress(good))
        assert picture(preview(root)).shape == (8, 10)
        chunk.write_bytes(gzip.compress(good[:-2]))
    else:
        chunk.write_bytes(good + b"x")
    assert preview(root) is None


@pytest.mark.skipif(not REAL.is_dir(), reason="the real images are not at ../shared/data/images")
def test_real_images_are_shown() -> None:
    for path in sorted(path for path in REAL.rglob("*") if path.is_file()):
        pixels = picture(preview(path))
        with Image.open(path) as image:
            scale = min(1.0, 480 / max(image.size))
            expected = [round(edge * scale) for edge in reversed(image.size)]
        assert pixels.shape[:2] == tuple(expected), path
        assert pixels.min() < pixels.max(), path


def test_a_preview_reads_no_more_than_its_planes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rawtrace.image.backends.files import SharedFile

    path = tmp_path / "many.ome.tif"
    tifffile.imwrite(path, np.zeros((2, 60, 64, 64), np.uint16), metadata={"axes": "CZYX"})
    read: list[int] = []
    fill = SharedFile._fill
    monkeypatch.setattr(SharedFile, "_fill", lambda *given: read.append(len(given[2])) or fill(*given))
    assert preview(path) is not None
    assert sum(read) < 2 * 64 * 64 * 2 + 8_000
    assert path.stat().st_size > 900_000
