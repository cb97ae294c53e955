"""Write the vectors of docs/spec/codes.md, for others to check their own programs with.

python tools/make_code_vectors.py           write the file
python tools/make_code_vectors.py --check   exit 1 if the file is not what the code makes

A vector that has left a release is never changed: what would change it is a new version.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rawtrace.image.codes import codes_of_image
from rawtrace.image.isccunits import image_code, thumbnail
from rawtrace.image.planes import canonical_bytes, header, header_digest
from rawtrace.image.reader import Image, PlaneIndex, Scene
from rawtrace.image.views import RENDERING, views

VECTORS = Path(__file__).resolve().parents[1] / "docs" / "spec" / "codes-vectors.json"
RULE = (
    "v = (7919 t + 104729 c + 1299709 z + 101 s + 31 y y + 17 x x + 13 x y) mod 65521; for bool v mod 2, for uint8 "
    "v mod 251, for int8 v mod 251 minus 125, for int16 v minus 32768, for floats v divided by 8; counted from 0"
)
AXES = ("t", "c", "z", "y", "x", "s")


class Rule:
    """A scene whose values follow from their place, or are given."""

    notes: tuple[str, ...] = ()
    format = "vector"

    def __init__(self, sizes: tuple[int, ...], kind: str, given: bytes | None = None) -> None:
        t, c, z, y, x, s = sizes
        self.scenes = (Scene(index=0, t=t, c=c, z=z, y=y, x=x, samples=s, dtype=kind),)
        self._given = given

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[np.ndarray[Any, Any]]:
        kind = np.dtype(scene.dtype)
        if self._given is not None:
            number = (plane.z * scene.c + plane.c) * scene.t + plane.t
            size = scene.plane_bytes
            part = self._given[number * size : (number + 1) * size]
            values = np.frombuffer(part, kind.newbyteorder(">")).reshape(scene.y, scene.x, scene.samples)
        else:
            y, x, s = np.meshgrid(
                np.arange(scene.y), np.arange(scene.x), np.arange(scene.samples), indexing="ij", sparse=True
            )
            stack = 7919 * plane.t + 104729 * plane.c + 1299709 * plane.z
            values = (stack + 101 * s + 31 * y * y + 17 * x * x + 13 * x * y) % 65521
            if kind.kind == "f":
                values = values / 8
            elif kind.itemsize == 1:
                values = values % (2 if kind.kind == "b" else 251) - (125 if kind.kind == "i" else 0)
            elif kind.name == "int16":
                values = values - 32768
        yield values.astype(kind) if scene.samples > 1 else values[..., 0].astype(kind)

    def overview(self, scene: Scene, plane: PlaneIndex, longest_edge_px: int) -> None:
        return None

    def close(self) -> None:
        pass


def main() -> int:
    text = json.dumps(_document(), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        current = VECTORS.is_file() and VECTORS.read_text(encoding="utf-8") == text
        if not current:
            print(f"{VECTORS.name} is not what the code makes")
        return 0 if current else 1
    VECTORS.write_text(text, encoding="utf-8")
    return 0


def _document() -> dict[str, Any]:
    odd = "7fc00000 ffc0beef 7f800001 7f800000 ff800000 80000000 00000001 3f800000"
    scenes = [
        _scene("the worked example", (1, 1, 1, 2, 2, 1), "uint16", "0100 0200 0300 0400"),
        _scene("one byte", (1, 1, 1, 1, 1, 1), "uint8", "2a"),
        _scene("colours, side by side", (1, 1, 1, 2, 2, 3), "uint8", "010203 040506 070809 0a0b0c"),
        _scene("the same bytes, grey", (1, 1, 1, 2, 6, 1), "uint8", "010203 040506 070809 0a0b0c"),
        _scene("NaN with payloads, infinities, minus zero", (1, 1, 1, 2, 4, 1), "float32", odd),
        _scene("bool", (1, 1, 1, 1, 4, 1), "bool", "01 00 00 01"),
        _scene("constant planes", (1, 1, 2, 2, 2, 1), "uint8", "05050505 06060606"),
        _scene("the walk: z, then c, then t", (2, 3, 2, 3, 5, 1), "uint16"),
        _scene("signed", (1, 1, 2, 5, 7, 1), "int16"),
        _scene("doubles", (3, 1, 1, 5, 7, 1), "float64"),
        _scene("larger than one chunk of the Data-Code", (1, 2, 1, 300, 400, 1), "uint16"),
        _scene("larger, with colours", (1, 1, 1, 200, 300, 3), "uint8"),
    ]
    pictures = [
        _views("grey", (1, 1, 1, 96, 128, 1), "uint16"),
        _views("grey, negative", (1, 1, 1, 96, 128, 1), "int16"),
        _views("floats", (1, 1, 1, 96, 128, 1), "float32"),
        _views("colour", (1, 1, 1, 96, 128, 3), "uint8"),
        _views("stack", (1, 2, 3, 60, 80, 1), "uint16"),
        _views("reduced by 2", (1, 1, 1, 77, 2100, 1), "uint16"),
        _views("constant", (1, 1, 1, 8, 8, 1), "uint8", bytes(64)),
        _views("NaN and infinities", (1, 1, 1, 2, 4, 1), "float32", bytes.fromhex(odd)),
    ]
    return {"version": 1, "rendering": RENDERING, "rule": RULE, "scenes": scenes, "views": pictures}


def _scene(name: str, sizes: tuple[int, ...], kind: str, given: str | None = None) -> dict[str, Any]:
    backend = Rule(sizes, kind, None if given is None else bytes.fromhex(given))
    image = Image(path=Path("vector"), format="vector", _backend=backend)
    (scene,) = image.scenes
    (codes,) = codes_of_image(image, views=False)
    pixels = b"".join(canonical_bytes(band) for index in scene.walk() for band in image.bands(scene, index))
    shown = {"pixels": pixels.hex()} if given else {"pixels_sha256": hashlib.sha256(pixels).hexdigest()}
    return {
        "name": name,
        **dict(zip(AXES, sizes, strict=True)),
        "type": kind,
        **shown,
        "header": header(scene).decode("ascii"),
        "header_sha256": header_digest(scene),
        "iscc": codes.iscc,
        "data": codes.data,
        "instance": codes.instance,
        "planes": [
            {"z": one.index.z, "c": one.index.c, "t": one.index.t, "data": one.data, "instance": one.instance}
            for one in codes.planes
        ],
    }


def _views(name: str, sizes: tuple[int, ...], kind: str, given: bytes | None = None) -> dict[str, Any]:
    image = Image(path=Path("vector"), format="vector", _backend=Rule(sizes, kind, given))
    return {
        "name": name,
        **dict(zip(AXES, sizes, strict=True)),
        "type": kind,
        **({"pixels": given.hex()} if given else {}),
        "views": [
            {
                "channel": view.channel,
                "z": view.z,
                "t": view.t,
                "projection": view.projection,
                "reduction": view.reduction,
                "width": view.pixels.shape[1],
                "height": view.pixels.shape[0],
                "grey_sha256": hashlib.sha256(view.pixels.tobytes()).hexdigest(),
                "thumbnail_sha256": hashlib.sha256(thumbnail(view.pixels).tobytes()).hexdigest(),
                "image": image_code(view.pixels),
            }
            for view in views(image)
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
