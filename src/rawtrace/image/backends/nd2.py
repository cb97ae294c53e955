"""ND2, through the ``nd2`` package: positions are scenes, other loops become T and Z."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from rawtrace.errors import PixelsError
from rawtrace.image.backends.axes import leading
from rawtrace.image.backends.files import absent, check_promise
from rawtrace.image.quiet import quietly
from rawtrace.image.reader import PlaneIndex, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Nd2Backend:
    """An open ND2 file.

    Parameters
    ----------
    path : Path
    """

    format = "ND2"

    def __init__(self, path: Path) -> None:
        try:
            import nd2
        except ImportError as error:
            raise absent("ND2", extra="formats") from error

        self._lock = Lock()
        with quietly():
            self._file = nd2.ND2File(path)
        try:
            with quietly():
                self._open(path)
        except BaseException:
            self._file.close()
            raise

    def _open(self, path: Path) -> None:
        file = self._file
        sizes = {str(axis): int(size) for axis, size in file.sizes.items()}
        attributes = file.attributes
        self._rgb = file.components_per_channel == 3
        self._channels = int((attributes.channelCount or 1) if self._rgb else attributes.componentCount)
        loops = [(axis, size) for axis, size in sizes.items() if axis not in {"C", "Y", "X", "S"}]
        positions = dict(loops).get("P", 1)
        self._steps: dict[str, int] = {}
        step = 1
        for axis, size in reversed(loops):
            self._steps[axis] = step
            step *= size
        inner = [(axis, size) for axis, size in loops if axis != "P"]
        self._inner = inner
        self._axes = leading("".join(axis for axis, _ in inner), [size for _, size in inner])
        if self._axes.sizes["C"] > 1:
            msg = "the ND2 file has a loop over channels, which is not read"
            raise PixelsError(msg)
        height, width = int(attributes.heightPx), int(attributes.widthPx or 0)
        if height < 1 or width < 1 or self._channels < 1:
            msg = "the ND2 file has no pixels"
            raise PixelsError(msg)
        dtype = file.dtype.newbyteorder("=").name
        check_promise(step * height * width * self._channels * file.dtype.itemsize, path.stat().st_size)
        voxel = file.voxel_size()
        names = self._names()
        self.scenes = tuple(
            Scene(
                index=index,
                name=f"position {index + 1}" if positions > 1 else "",
                t=self._axes.sizes["T"],
                c=self._channels,
                z=self._axes.sizes["Z"],
                y=height,
                x=width,
                samples=3 if self._rgb else 1,
                dtype=dtype,
                pixel_size_um=(_size(voxel.z), _size(voxel.y), _size(voxel.x)),
                channel_names=tuple(names[at] if at < len(names) else "" for at in range(self._channels)),
                stored_axes="".join(axis for axis in sizes if axis != "P"),
            )
            for index in range(positions)
        )
        self.notes: tuple[str, ...] = ()

    def _names(self) -> list[str]:
        try:
            return [str(each.channel.name)[:200] for each in self._file.metadata.channels or ()]
        except Exception:  # noqa: BLE001  names are for people; an image without them is read all the same
            return []

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        """Yield a plane in one piece."""
        number = self._axes.number(plane)
        frame = scene.index * self._steps.get("P", 0)
        for axis, size in reversed(self._inner):
            number, rest = divmod(number, size)
            frame += rest * self._steps[axis]
        with self._lock, quietly():
            pixels = self._file.read_frame(frame)
        components = 3 if self._rgb else 1
        # Read frames are squeezed: channel in front, component behind.
        pixels = pixels.reshape(-1, scene.y, scene.x, components) if self._rgb else self._grey(pixels, scene)
        found = pixels[plane.c]
        yield found if self._rgb else found[..., 0]

    def _grey(self, pixels: NDArray[Any], scene: Scene) -> NDArray[Any]:
        import numpy as np

        if pixels.ndim == 3 and pixels.shape[:2] == (scene.y, scene.x) and pixels.shape[2] == self._channels:
            # Two, four or more components of one channel are channels of their own.
            pixels = np.moveaxis(pixels, -1, 0)
        return pixels.reshape(self._channels, scene.y, scene.x, 1)

    def overview(self, scene: Scene, plane: PlaneIndex, longest_edge_px: int) -> NDArray[Any] | None:
        """Return nothing: ND2 files have no coarser levels."""
        return None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _size(value: float) -> float | None:
    return float(value) if 0 < value < 1e9 else None
