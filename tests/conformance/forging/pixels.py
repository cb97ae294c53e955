"""Cases about the pixels that a seal speaks of: converted, changed, or spoken of in odd ways."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from forging.handmade import Said, said
from forging.lab import Lab, case, flip

PIXELS = "org.rawtrace.pixels"
NAME = "cells.tif"


def stack() -> np.ndarray[Any, Any]:
    """Three planes that are the same in every run."""
    data = hashlib.shake_256(b"planes").digest(3 * 24 * 32 * 2)
    return np.frombuffer(data, "<u2").reshape(3, 24, 32)


def write(out: Path, pixels: np.ndarray[Any, Any], **options: Any) -> Path:
    path = out / NAME
    path.unlink(missing_ok=True)
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None, **options)
    return path


def sealed(lab: Lab, out: Path) -> None:
    lab.seal(write(out, stack()))


def stating(lab: Lab, out: Path, statement: Any, *, created: bool = True) -> None:
    """A sound seal with any statement about pixels, and then another file in the place of the data."""
    about: Said = said(PIXELS, statement, created=created)
    lab.handmade(write(out, stack()), lab.hand(lab.instrument), more=[about])
    write(out, stack(), compression="zlib")


@case
def image_converted(lab: Lab, out: Path) -> None:
    sealed(lab, out)
    write(out, stack(), compression="zlib")


@case
def image_plane_changed(lab: Lab, out: Path) -> None:
    sealed(lab, out)
    pixels = stack().copy()
    pixels[1, 5, 7] ^= 1
    write(out, pixels, compression="zlib")


@case
def image_planes_swapped(lab: Lab, out: Path) -> None:
    sealed(lab, out)
    write(out, stack()[[0, 2, 1]])


@case
def image_of_another_shape(lab: Lab, out: Path) -> None:
    sealed(lab, out)
    write(out, np.ascontiguousarray(stack().reshape(3, 32, 24)))


@case
def image_of_another_type(lab: Lab, out: Path) -> None:
    sealed(lab, out)
    write(out, stack().view("<i2"))


@case
def image_damaged(lab: Lab, out: Path) -> None:
    sealed(lab, out)
    path = write(out, stack(), compression="zlib")
    flip(path, path.stat().st_size - 40)


@case
def pixels_stated_by_nobody(lab: Lab, out: Path) -> None:
    stating(lab, out, {"version": 1, "scenes": [], "notes": []}, created=False)


@case
def pixels_not_a_map(lab: Lab, out: Path) -> None:
    stating(lab, out, ["planes"])


@case
def pixels_of_odd_types(lab: Lab, out: Path) -> None:
    stating(lab, out, {"version": 1, "scenes": [{"header": 7, "planes": {"0": "x"}}], "notes": "none"})


@case
def pixels_list_elsewhere(lab: Lab, out: Path) -> None:
    listed = {"file": "../../elsewhere.json", "bytes": 10, "sha256": "0" * 64}
    stating(lab, out, {"version": 1, "scenes": [], "notes": [], "list": listed})


@case
def pixels_list_that_is_no_list(lab: Lab, out: Path) -> None:
    data = json.dumps({"scenes": {"0": []}}).encode()
    (out / f"{NAME}.planes.json").write_bytes(data)
    listed = {"file": f"{NAME}.planes.json", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    stating(lab, out, {"version": 1, "scenes": [], "notes": [], "list": listed})
