"""The same pixels have the same codes, whatever file they lie in."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from rawtrace.errors import PixelsError
from rawtrace.image.codes import SceneCodes, codes_of

Write = Callable[[Path], None]


def pixels() -> np.ndarray[Any, Any]:
    return np.random.default_rng(11).integers(0, 4000, (2, 3, 2, 48, 70), np.uint16)


def tiff(**options: Any) -> Write:
    return lambda path: tifffile.imwrite(path, pixels(), ome=True, metadata={"axes": "TCZYX"}, **options)


def other_axes(path: Path) -> None:
    tifffile.imwrite(path, pixels().transpose(2, 0, 1, 3, 4), ome=True, metadata={"axes": "ZTCYX"})


def imagej(path: Path) -> None:
    tifffile.imwrite(path, pixels().transpose(0, 2, 1, 3, 4), imagej=True, metadata={"axes": "TZCYX"})


def pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(pixels(), subifds=1, tile=(32, 32), metadata={"axes": "TCZYX"})
        writer.write(pixels()[..., ::2, ::2], subfiletype=1, tile=(32, 32))


def zarr(version: str, name: str) -> Write:
    def write(path: Path) -> None:
        import zarr

        group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
        kinds = {"t": "time", "c": "channel"}
        spec = {
            "axes": [{"name": axis, "type": kinds.get(axis, "space")} for axis in "tczyx"],
            "datasets": [{"path": name, "coordinateTransformations": [{"type": "scale", "scale": [1.0] * 5}]}],
        }
        attributes = {"multiscales": [{**spec, "version": version}]}
        group.attrs.update(attributes if version == "0.4" else {"ome": {"version": version, "multiscales": [spec]}})
        array = group.create_array(name, shape=pixels().shape, chunks=(1, 2, 1, 32, 32), dtype="uint16")
        array[...] = pixels()

    return write


def czi(path: Path) -> None:
    from pylibCZIrw import czi as library

    with library.create_czi(str(path)) as document:
        for t, c, z in np.ndindex(2, 3, 2):
            document.write(data=pixels()[t, c, z][..., None], plane={"T": t, "C": c, "Z": z})


FILES: dict[str, tuple[str, Write]] = {
    "plain": ("a.ome.tif", tiff()),
    "tiles, packed": ("a.ome.tif", tiff(tile=(32, 32), compression="zlib", predictor=True)),
    "strips, packed": ("a.ome.tif", tiff(rowsperstrip=5, compression="zlib")),
    "BigTIFF": ("a.ome.tif", tiff(bigtiff=True)),
    "big-endian": ("a.ome.tif", tiff(byteorder=">")),
    "other axes": ("a.ome.tif", other_axes),
    "ImageJ": ("a.tif", imagej),
    "pyramid": ("a.ome.tif", pyramid),
    "OME-Zarr 0.4": ("a.ome.zarr", zarr("0.4", "0")),
    "OME-Zarr 0.5": ("a.ome.zarr", zarr("0.5", "full")),
    "CZI": ("a.czi", czi),
}


def codes(path: Path) -> SceneCodes:
    (found,) = codes_of(path, file=False).scenes
    # A name and a pixel size belong to the file, not to the pixels.
    scene = replace(found.scene, name="", pixel_size_um=(None, None, None), channel_names=(), stored_axes="")
    return replace(found, scene=scene)


@pytest.mark.parametrize("name", FILES)
def test_a_stack_has_one_code_in_every_file(name: str, tmp_path: Path) -> None:
    if name == "CZI" and importlib.util.find_spec("pylibCZIrw") is None:
        pytest.skip("pylibCZIrw is not installed")
    file, write = FILES[name]
    write(tmp_path / file)
    (tmp_path / "plain").mkdir()
    FILES["plain"][1](tmp_path / "plain" / "a.ome.tif")
    found = codes(tmp_path / file)
    assert found == codes(tmp_path / "plain" / "a.ome.tif")
    assert len(found.planes) == 12


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_a_picture_has_one_code_as_png_and_tiff(mode: str, tmp_path: Path) -> None:
    shape = (40, 56, len(mode)) if len(mode) > 1 else (40, 56)
    picture = np.random.default_rng(12).integers(0, 255, shape, np.uint8)
    Image.fromarray(picture, mode="LA" if mode == "LA" else None).save(tmp_path / "a.png")
    extra = {"extrasamples": ["unassalpha"]} if "A" in mode else {}
    photometric = "rgb" if "RGB" in mode else "minisblack"
    tifffile.imwrite(
        tmp_path / "a.tif", picture, photometric=photometric, planarconfig="contig" if len(mode) > 1 else None, **extra
    )
    assert codes(tmp_path / "a.png") == codes(tmp_path / "a.tif")


def test_colours_that_are_stored_apart_are_samples_all_the_same(tmp_path: Path) -> None:
    picture = np.random.default_rng(13).integers(0, 255, (40, 56, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb")
    tifffile.imwrite(tmp_path / "b.tif", picture.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    assert codes(tmp_path / "a.tif") == codes(tmp_path / "b.tif")


def test_damaged_tile_is_named_and_there_are_no_codes_of_a_part(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tiff(tile=(32, 32), compression="zlib")(path)
    with tifffile.TiffFile(path) as opened:
        start = opened.pages[7].dataoffsets[2]
    with path.open("r+b") as stream:
        stream.seek(start)
        stream.write(b"\xff" * 64)
    with pytest.raises(PixelsError, match="plane z=1, c=0, t=1"):
        codes_of(path, views=False)


def test_black_and_white_has_one_code_in_every_format(tmp_path: Path) -> None:
    seen = pixels()[0, 0, 0] > 2000
    Image.fromarray(seen).save(tmp_path / "a.png")
    Image.fromarray(seen).save(tmp_path / "b.tif")
    tifffile.imwrite(tmp_path / "c.tif", seen)
    tifffile.imwrite(tmp_path / "d.tif", seen, photometric="miniswhite")
    found = [codes_of(path).scenes[0] for path in sorted(tmp_path.iterdir())]
    assert {(scene.header, scene.instance, scene.views[0].image) for scene in found} == {
        (found[2].header, found[2].instance, found[2].views[0].image)
    }
    assert len(found) == 4
