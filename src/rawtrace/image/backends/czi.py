"""CZI, through pylibCZIrw: tiles of a mosaic are put together as the library does it, pyramids are not scenes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from rawtrace.errors import LimitError, PixelsError
from rawtrace.image.backends.axes import leading
from rawtrace.image.backends.files import absent, check_promise
from rawtrace.image.collect import MAX_METADATA_BYTES, to_number
from rawtrace.image.reader import MAX_PLANES, MAX_SCENES, PlaneIndex, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPES = {
    "Gray8": ("uint8", 1), "Gray16": ("uint16", 1), "Gray32Float": ("float32", 1), "Bgr24": ("uint8", 3),
    "Bgr48": ("uint16", 3), "Bgr96Float": ("float32", 3),
}  # fmt: skip
#: Rows are put together from whole tiles, so that thin bands would read each tile many times.
_BAND_BYTES = 32 << 20
_MAX_CHANNELS = 4_096


class CziBackend:
    """An open CZI file.

    Parameters
    ----------
    path : Path
    """

    format = "CZI"

    def __init__(self, path: Path) -> None:
        try:
            from pylibCZIrw import czi
        except ImportError as error:
            raise absent("CZI", extra="czi") from error

        self._lock = Lock()
        self._file = czi.CziReader(str(path))
        try:
            self._open(path)
        except BaseException:
            self._file.close()
            raise

    def _open(self, path: Path) -> None:
        box = self._file.total_bounding_box
        head = [(axis, int(span[1] - span[0])) for axis, span in box.items() if axis not in {"X", "Y", "S", "M"}]
        # The usual letters first, so that another one finds its place among what they leave.
        self._head = sorted(head, key=lambda pair: "TCZ".find(pair[0]))
        self._axes = leading("".join(axis for axis, _ in self._head), [size for _, size in self._head])
        planes = math.prod(size for _, size in self._head)
        if not 0 < planes <= MAX_PLANES:
            msg = f"the CZI file promises {planes} planes"
            raise LimitError(msg, hint=f"at most {MAX_PLANES} are read")
        if self._axes.sizes["C"] > _MAX_CHANNELS:
            msg = f"the CZI file promises {self._axes.sizes['C']} channels"
            raise LimitError(msg, hint=f"at most {_MAX_CHANNELS} are read")
        kinds = self._file.pixel_types
        self._kind = str(kinds.get(0, "Invalid"))
        if self._kind not in _TYPES:
            msg = f"the CZI file has pixels of the kind {self._kind}, which are not read"
            raise PixelsError(msg)
        self._mixed = {channel for channel, kind in kinds.items() if kind != self._kind}
        dtype, samples = _TYPES[self._kind]
        areas = dict(self._file.scenes_bounding_rectangle_no_pyramid) or {
            None: self._file.total_bounding_rectangle_no_pyramid
        }
        self._areas = list(areas.items())[: MAX_SCENES + 1]
        size_um, names = _described(self._file.raw_metadata)
        count = self._axes.sizes["C"]
        self.scenes = tuple(
            Scene(
                index=index,
                name="" if number is None else f"scene {number}",
                t=self._axes.sizes["T"],
                c=count,
                z=self._axes.sizes["Z"],
                y=int(area.h),
                x=int(area.w),
                samples=samples,
                dtype=dtype,
                pixel_size_um=size_um,
                channel_names=tuple(names[at] if at < len(names) else "" for at in range(min(count, 4_096))),
                stored_axes="".join(axis for axis, size in self._head if size > 1) + ("YXS" if samples > 1 else "YX"),
            )
            for index, (number, area) in enumerate(self._areas)
            if area.w > 0 and area.h > 0
        )
        check_promise(sum(scene.plane_bytes * scene.planes for scene in self.scenes), path.stat().st_size)
        self.notes = (
            (f"channels {sorted(self._mixed)} have pixels of another type than channel 0 and are not read",)
            if self._mixed
            else ()
        )

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        """Yield a plane from top to bottom."""
        step = max(1, _BAND_BYTES // max(1, scene.plane_bytes // scene.y))
        for row in range(0, scene.y, step):
            yield self._read(scene, plane, row, min(step, scene.y - row), 1.0)

    def overview(self, scene: Scene, plane: PlaneIndex, longest_edge_px: int) -> NDArray[Any] | None:
        """Return the plane as the library reduces it, with the pyramid where there is one."""
        zoom = longest_edge_px / max(scene.x, scene.y)
        return self._read(scene, plane, 0, scene.y, zoom) if zoom < 0.5 else None

    def _read(self, scene: Scene, plane: PlaneIndex, row: int, rows: int, zoom: float) -> NDArray[Any]:
        if plane.c in self._mixed:
            msg = "its pixels have another type than those of the first channel"
            raise PixelsError(msg)
        number, at = self._axes.number(plane), {}
        for axis, size in reversed(self._head):
            number, at[axis] = divmod(number, size)
        scene_number, area = self._areas[scene.index]
        with self._lock:
            pixels: NDArray[Any] = self._file.read(
                roi=(area.x, area.y + row, area.w, rows), plane=at, scene=scene_number, zoom=zoom, pixel_type=self._kind
            )
        # The library hands out blue first.
        return pixels[..., 0] if scene.samples == 1 else pixels[..., ::-1]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _described(text: str) -> tuple[tuple[float | None, float | None, float | None], list[str]]:
    """Return pixel sizes along Z, Y and X in µm and the channels' names; nothing where the XML is odd."""
    nothing: tuple[float | None, float | None, float | None] = (None, None, None)
    if len(text) > MAX_METADATA_BYTES or re.search(r"<!\s*(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
        return nothing, []
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  no DOCTYPE, and bounded
    except ElementTree.ParseError:
        return nothing, []
    sizes: dict[str, float] = {}
    for distance in root.iterfind(".//Scaling/Items/Distance"):
        metres = to_number((distance.findtext("Value") or "").strip())
        if metres and metres > 0:
            sizes[distance.get("Id", "")] = float(f"{metres * 1e6:.9g}")
    channels = root.findall(".//Information/Image/Dimensions/Channels/Channel")[:4_096]
    return (sizes.get("Z"), sizes.get("Y"), sizes.get("X")), [each.get("Name", "")[:200] for each in channels]
