"""Whatever is changed in a small image of any format, there are whole planes or one of our own errors."""

from __future__ import annotations

import copy
import io
import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rawtrace.errors import Error
from rawtrace.image.reader import open_image

fuzz = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent.parent / "fuzz" / "targets.py")))
PIXELS = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)
MOST_PLANES = 12


def tiff(pixels: Any = PIXELS, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **{"photometric": "minisblack", **options})
    return out.getvalue()


def picture(kind: str) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray((PIXELS[0] % 256).astype(np.uint8)).convert("P" if kind == "GIF" else "RGB").save(out, kind)
    return out.getvalue()


COLOURS = np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3)
SEEDS = {
    "plain": tiff(metadata=None),
    "noted": tiff(),
    "ome": tiff(ome=True, metadata={"axes": "ZYX"}),
    "imagej": tiff(imagej=True),
    "big-endian": tiff(byteorder=">", bigtiff=True),
    "deflated": tiff(compression="zlib", predictor=True, rowsperstrip=3),
    "lzw": tiff(compression="lzw"),
    "tiles": tiff(COLOURS, photometric="rgb", tile=(16, 16), compression="zstd"),
    "jpeg-tiles": tiff(COLOURS, photometric="rgb", tile=(16, 16), compression="jpeg"),
    "apart": tiff(COLOURS.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
    "png": fuzz.png(),
    "jpeg": fuzz.jpeg(),
    "gif": picture("GIF"),
    "bmp": picture("BMP"),
    "dicom": fuzz.dicom(),
}


def read(path: Path) -> None:
    """Read a few planes; each is whole, or a sentence says why not."""
    said = ""
    try:
        with open_image(path) as image:
            assert image.scenes
            for scene in image.scenes[:3]:
                for number, plane in enumerate(scene.walk()):
                    if number == MOST_PLANES or scene.plane_bytes > 64 << 20:
                        break
                    assert sum(band.shape[0] for band in image.bands(scene, plane)) == scene.y
                    image.overview(scene, plane, longest_edge_px=4)
            assert all(image.notes)
    except Error as error:
        said = error.message
    assert "\n" not in said


@st.composite
def changed(draw: st.DrawFn, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        what = draw(st.integers(0, 3))
        if what == 0:
            data[at] = draw(st.integers(0, 255))
        elif what == 1:
            data[at : at + 4] = draw(st.sampled_from((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\x80")))
        elif what == 2:
            del data[at : at + draw(st.integers(1, 9))]
        else:
            del data[max(1, at) :]
        if not data:
            break
    return bytes(data)


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"seed.{name}"
    path.write_bytes(SEEDS[name])
    with open_image(path) as image:
        for plane in image.scenes[0].walk():
            image.plane(image.scenes[0], plane)


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_changed_files(name: str, data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / f"changed.{name}"
    path.write_bytes(data.draw(changed(SEEDS[name])))
    read(path)


ODD = st.sampled_from(
    (
        None, True, -1, 0, 1, 3, 1 << 31, 1 << 62, 1.5, "", "0", "../x", "uint16", "bytes", "zstd", "NaN", [], {}, [0],
        [1 << 40],
    )
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_changed_zarr_metadata(data: st.DataObject, tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    (root / "0" / "c" / "0").mkdir(parents=True, exist_ok=True)
    documents = [json.loads(each) for each in fuzz.ZARR]
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, 1))
        place: Any = documents[number]
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and data.draw(st.booleans()):
                place = place[key]
                continue
            place[key] = copy.deepcopy(data.draw(ODD))  # a later change may reach into it
            break
    (root / "zarr.json").write_text(json.dumps(documents[0]))
    (root / "0" / "zarr.json").write_text(json.dumps(documents[1]))
    (root / "0" / "c" / "0" / "0").write_bytes(data.draw(st.binary(max_size=6)))
    read(root)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_changed_czi(data: st.DataObject, tmp_path: Path) -> None:
    czi = pytest.importorskip("pylibCZIrw.czi")
    path = tmp_path / "seed.czi"
    if not path.exists():
        with czi.create_czi(str(path)) as writer:
            for z in range(3):
                writer.write(PIXELS[z][..., None], plane={"T": 0, "C": 0, "Z": z})
    changed_path = tmp_path / "changed.czi"
    changed_path.write_bytes(data.draw(changed(path.read_bytes())))
    read(changed_path)
