"""Codes of grey images are those of iscc-bio: of the file, of every scene, of every plane.

iscc-bio ships no images, and those that its paper names cannot be fetched here; so the samples are made by code, and
real grey images are added where they are at hand.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from toolbox import HERE, ROOT, SECONDS, Toolbox

from rawtrace.image.codes import codes_of
from rawtrace.image.codesjson import to_json

pytestmark = pytest.mark.interop

REAL = ROOT.parent / "shared" / "data" / "images"
MAX_REAL = 12
Write = Callable[[Path], None]


def noise(*shape: int, kind: str = "uint16") -> np.ndarray[Any, Any]:
    values = np.random.default_rng(sum(shape)).integers(0, 4000, shape)
    return (values % 251 if np.dtype(kind).itemsize == 1 else values).astype(kind)


def ome(axes: str, *shape: int, kind: str = "uint16", **options: Any) -> Write:
    return lambda path: tifffile.imwrite(
        path, noise(*shape, kind=kind), ome=True, metadata={"axes": axes}, photometric="minisblack", **options
    )


def scenes(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=True) as writer:
        for size in (30, 40, 50):
            writer.write(noise(2, 3, size, 60), metadata={"axes": "CZYX", "Name": f"scene of {size}"})


def pyramid(path: Path) -> None:
    pixels = noise(2, 128, 160)
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(pixels, subifds=1, tile=(32, 32), metadata={"axes": "CYX"})
        writer.write(pixels[:, ::2, ::2], subfiletype=1, tile=(32, 32))


def zarr(version: str, axes: str, *shape: int, levels: int = 1, name: str = "s{}") -> Write:
    def write(path: Path) -> None:
        import zarr

        old = version == "0.4"
        group = zarr.open_group(path, mode="w", zarr_format=2 if old else 3)
        kinds = {"t": "time", "c": "channel"}
        datasets = []
        for level in range(levels):
            pixels = noise(*shape)[..., :: 2**level, :: 2**level]
            keys = {"name": "v2" if old else "default", "separator": "/"}
            chunks = (*[1] * (pixels.ndim - 2), 32, 48)
            where = name.format(level)
            array = group.create_array(
                where, shape=pixels.shape, chunks=chunks, dtype=pixels.dtype, chunk_key_encoding=keys
            )
            array[...] = pixels
            scale = [2.0**level if axis in "yx" else 1.0 for axis in axes]
            datasets.append({"path": where, "coordinateTransformations": [{"type": "scale", "scale": scale}]})
        spec = {
            "axes": [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes],
            "datasets": datasets,
            "name": "sample",
        }
        if old:
            group.attrs["multiscales"] = [{**spec, "version": "0.4"}]
        else:
            group.attrs["ome"] = {"version": "0.5", "multiscales": [spec]}

    return write


def colour(green: int) -> Write:
    pixels = np.zeros((40, 56, 3), np.uint8)
    pixels[..., 0] = noise(40, 56, kind="uint8")
    pixels[..., 1] = green
    return lambda path: tifffile.imwrite(path, pixels, ome=True, photometric="rgb", metadata={"axes": "YXS"})


SAMPLES: dict[str, tuple[str, Write]] = {
    "five axes": (".ome.tif", ome("TCZYX", 2, 3, 4, 40, 56)),
    "time last": (".ome.tif", ome("ZCTYX", 4, 3, 2, 40, 56)),
    "channels first": (".ome.tif", ome("CTZYX", 3, 2, 4, 40, 56)),
    "one plane": (".ome.tif", ome("YX", 300, 400)),
    "packed tiles": (".ome.tif", ome("CZYX", 2, 3, 100, 90, tile=(32, 48), compression="zlib", predictor=True)),
    "big-endian": (".ome.tif", ome("ZYX", 3, 40, 56, byteorder=">")),
    "BigTIFF": (".ome.tif", ome("ZYX", 3, 40, 56, bigtiff=True)),
    "bytes": (".ome.tif", ome("ZYX", 3, 40, 56, kind="uint8")),
    "signed": (".ome.tif", ome("ZYX", 3, 40, 56, kind="int16")),
    "32 bits": (".ome.tif", ome("ZYX", 3, 40, 56, kind="uint32")),
    "floats": (".ome.tif", ome("CYX", 3, 40, 56, kind="float32")),
    "doubles": (".ome.tif", ome("TYX", 3, 40, 56, kind="float64")),
    "several scenes": (".ome.tif", scenes),
    "pyramid": (".ome.tif", pyramid),
    "plain TIFF": (".tif", lambda path: tifffile.imwrite(path, noise(200, 300))),
    "plain TIFF, LZW strips": (
        ".tif",
        lambda path: tifffile.imwrite(path, noise(200, 300, kind="uint8"), compression="lzw", rowsperstrip=7),
    ),
    "OME-Zarr 0.4": (".zarr", zarr("0.4", "tczyx", 2, 3, 4, 40, 56)),
    "OME-Zarr 0.4, two axes": (".zarr", zarr("0.4", "yx", 100, 130, levels=2)),
    "OME-Zarr 0.5": (".zarr", zarr("0.5", "tczyx", 2, 3, 4, 40, 56)),
    "OME-Zarr 0.5, pyramid": (".zarr", zarr("0.5", "czyx", 3, 4, 64, 96, levels=3)),
}
#: What iscc-bio 0.2.0 does otherwise, so that we notice when a newer one does not.
DIFFERENT: dict[str, tuple[str, Write]] = {
    "arrays named s0": (".zarr", zarr("0.4", "czyx", 3, 4, 64, 96, levels=2)),
    "arrays named 0": (".zarr", zarr("0.4", "czyx", 3, 4, 64, 96, levels=2, name="{}")),
    "red": (".ome.tif", colour(0)),
    "red and green": (".ome.tif", colour(200)),
}


def real_images() -> list[Path]:
    """Grey TIFF files of one plane: on more, plain TIFF names no axes, and readers differ in what they guess."""
    found = []
    for path in sorted(REAL.glob("*/*.tif")):
        with tifffile.TiffFile(path) as tiff:
            first = tiff.pages[0]
            # Of a picture with a palette, iscc-bio takes the indices and rawtrace the colours.
            grey = first.photometric.name in {"MINISBLACK", "MINISWHITE"} and first.samplesperpixel == 1
            if len(tiff.pages) == 1 and grey and not tiff.is_imagej:
                found.append(path)
    return found[:: max(1, len(found) // MAX_REAL)][:MAX_REAL]


@pytest.fixture(scope="module")
def theirs(toolbox: Toolbox, need: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """What iscc-bio says of every sample, in one run of it."""
    need("iscc-bio")
    folder = tmp_path_factory.mktemp("samples")
    paths: dict[str, Path] = {}
    for name, (suffix, write) in (SAMPLES | DIFFERENT).items():
        paths[name] = folder / f"sample-{len(paths)}{suffix}"
        write(paths[name])
    paths |= {path.name: path for path in real_images()}
    command = [toolbox.path_of("iscc-bio"), HERE / "biocodes.py", *paths.values()]
    done = subprocess.run(command, capture_output=True, timeout=2 * SECONDS, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(paths), done.stderr.decode()[-2000:]
    return dict(zip(paths, zip(paths.values(), lines, strict=True), strict=True))


@pytest.mark.parametrize("name", SAMPLES, ids=[f"iscc-bio,{name}" for name in SAMPLES])
def test_grey_codes_are_theirs(theirs: dict[str, tuple[Path, Any]], name: str) -> None:
    path, said = theirs[name]
    _assert_equal(path, said)


def test_codes_of_real_grey_images_are_theirs(theirs: dict[str, tuple[Path, Any]]) -> None:
    real = [one for name, one in theirs.items() if name not in SAMPLES | DIFFERENT]
    if not real:
        pytest.skip("NOT RUN: no real images are at hand")
    for path, said in real:
        _assert_equal(path, said)


@pytest.mark.parametrize("program", ["iscc-bio"])
def test_arrays_named_by_digits_are_read(theirs: dict[str, tuple[Path, Any]], program: str) -> None:
    (path, said), (_, found) = theirs["arrays named 0"], theirs["arrays named s0"]
    assert said["parts"] == [], f"{program} reads them now: make this a sample"
    assert [scene.iscc for scene in codes_of(path, views=False).scenes] == [
        part["iscc_code"] for part in found["parts"]
    ]


@pytest.mark.parametrize("program", ["iscc-bio"])
def test_colours_other_than_red_count(theirs: dict[str, tuple[Path, Any]], program: str) -> None:
    (red, said), (other, found) = theirs["red"], theirs["red and green"]
    assert said["parts"][0]["units"] == found["parts"][0]["units"], f"{program} hashes all colours now: compare them"
    one, two = (codes_of(path, views=False).scenes[0] for path in (red, other))
    assert (one.header, one.iscc != two.iscc, one.instance != two.instance) == (two.header, True, True)


def _assert_equal(path: Path, said: Any) -> None:
    assert said.get("parts"), f"iscc-bio read no scene of {path.name}: {said}"
    ours = to_json(codes_of(path, views=False))
    assert (ours["iscc_code"], ours["units"], ours["size"]) == (said["iscc_code"], said["units"], said["filesize"])
    wanted = [(part["iscc_code"], part["units"], part["simprints"]) for part in said["parts"]]
    assert [(part["iscc_code"], part["units"], part["simprints"]) for part in ours["parts"]] == wanted
