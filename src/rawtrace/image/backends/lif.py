"""LIF, through the ``liffile`` package; every image of the project is a scene, lifetime data is not read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from rawtrace.image.backends.axes import Leading, leading
from rawtrace.image.backends.files import absent, check_promise
from rawtrace.image.quiet import quietly
from rawtrace.image.reader import MAX_SCENES, PlaneIndex, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LifBackend:
    """An open LIF file.

    Parameters
    ----------
    path : Path
    """

    format = "LIF"

    def __init__(self, path: Path) -> None:
        try:
            import liffile
        except ImportError as error:
            raise absent("LIF", extra="formats") from error

        self._lock = Lock()
        with quietly():
            self._file = liffile.LifFile(path)
        try:
            with quietly():
                self._open(path)
        except BaseException:
            self._file.close()
            raise

    def _open(self, path: Path) -> None:
        scenes: list[Scene] = []
        notes: list[str] = []
        self._images: list[tuple[Any, Leading, tuple[tuple[str, int], ...]]] = []
        for image in list(self._file.images)[: MAX_SCENES + 1]:
            sizes = {str(axis): int(size) for axis, size in image.sizes.items()}
            if image.is_flim or "Y" not in sizes or "X" not in sizes or min(sizes.values()) < 1:
                notes.append(f"image {str(image.name)[:80]!r} is not a stack of planes and was left out")
                continue
            head = tuple((axis, size) for axis, size in sizes.items() if axis not in {"Y", "X", "S"})
            # Axes have long names too, such as the wavelength's; one letter tells enough.
            axes = leading("".join(axis[:1] for axis, _ in head), [size for _, size in head])
            count = axes.sizes["C"]
            names = [str(each) for each in image.coords.get("C", ())] if count <= 4_096 else []
            scenes.append(
                Scene(
                    index=len(scenes),
                    name=str(image.name)[:200],
                    t=axes.sizes["T"],
                    c=count,
                    z=axes.sizes["Z"],
                    y=sizes["Y"],
                    x=sizes["X"],
                    samples=sizes.get("S", 1),
                    dtype=image.dtype.newbyteorder("=").name,
                    pixel_size_um=(_step(image, "Z"), _step(image, "Y"), _step(image, "X")),
                    channel_names=tuple(names[at][:200] if at < len(names) else "" for at in range(count)),
                    stored_axes="".join(axis[:1] for axis in sizes),
                )
            )
            self._images.append((image, axes, head))
        total = sum(scene.plane_bytes * scene.planes for scene in scenes)
        check_promise(total, path.stat().st_size)
        self.scenes = tuple(scenes)
        self.notes = tuple(notes)

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        """Yield a plane in one piece."""
        image, axes, head = self._images[scene.index]
        number, at = axes.number(plane), {}
        for axis, size in reversed(head):
            number, at[axis] = divmod(number, size)
        with self._lock, quietly():
            pixels = image.frame(**at)
        yield pixels.reshape((scene.y, scene.x) if scene.samples == 1 else (scene.y, scene.x, scene.samples))

    def overview(self, scene: Scene, plane: PlaneIndex, longest_edge_px: int) -> NDArray[Any] | None:
        """Return nothing: LIF files have no coarser levels."""
        return None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _step(image: Any, axis: str) -> float | None:
    """Return the distance of neighbouring pixels, µm; LIF counts in metres."""
    found = image.coords.get(axis)
    if found is None or len(found) < 2:
        return None
    step = abs(float(found[1]) - float(found[0])) * 1e6
    return float(f"{step:.9g}") if 1e-6 < step < 1e6 else None
