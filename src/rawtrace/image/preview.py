"""A small picture for a report: one plane, reduced, with a caption that says what was done to it.

Reads one plane of up to three channels of the first scene, at the coarsest
level that is still large enough. For looking at, never for measuring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from rawtrace.image.quiet import quietly

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CHANNELS = 3
#: Percent of the pixels that a contrast window leaves out at each end.
CLIPPED_PERCENT = 0.3
_COLOURS = ((0, 1, 0), (1, 0, 1), (0, 1, 1))
_COLOUR_NAMES = ("green", "magenta", "cyan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A PNG and what it shows.

    Attributes
    ----------
    png : bytes
    width, height : int
        Of the PNG, in pixels.
    caption : str
        Which plane, which channels, which contrast window.
    """

    png: bytes
    width: int
    height: int
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """What a plane reader found.

    Attributes
    ----------
    channels : tuple of ndarray
        (Y, X) each, or one (Y, X, 3) of uint8 that is shown as it is.
    names : tuple[str, ...]
        Of the channels, as far as known.
    place : str
        Which plane, in words; empty if there is only one.
    reduction : int
        How many times smaller than the finest level the arrays are already.
    inverted : bool
        Whether small values are bright.
    """

    channels: tuple[NDArray[np.generic], ...]
    names: tuple[str, ...] = ()
    place: str = ""
    reduction: int = 1
    inverted: bool = False


def preview(path: Path, *, longest_edge_px: int = 480) -> Preview | None:
    """Render a small PNG of a file or folder.

    Parameters
    ----------
    path : Path
    longest_edge_px : int
        Longest edge of the result, 16 to 4096; images are never enlarged.

    Returns
    -------
    Preview or None
        ``None`` for everything that cannot be shown, for planes of more than
        256 Mpx, and for DICOM images with text burned into the pixels. Never raises.
    """
    from rawtrace.image import preview_planes

    edge = min(4096, max(16, longest_edge_px))
    try:
        with quietly():
            planes = preview_planes.of_image(path, edge)
            return None if planes is None or not planes.channels else _render(planes, edge)
    except Exception:  # noqa: BLE001  a report goes without a picture rather than not at all
        return None


def _render(planes: Planes, edge: int) -> Preview:
    import numpy as np
    from PIL import Image

    said = [planes.place] if planes.place else []
    if planes.channels[0].ndim == 3:
        pixels = _reduce(planes.channels[0], edge).clip(0, 255).astype(np.uint8)
        said.append("colours as stored")
    else:
        pixels, windows = _stretch([_reduce(channel, edge) for channel in planes.channels], inverted=planes.inverted)
        said += _window_words(windows, planes.names)
    image = Image.fromarray(pixels)
    height, width = pixels.shape[:2]
    scale = edge / max(width, height)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=None)
    if max(planes.channels[0].shape[:2]) * planes.reduction > edge:
        said.append("reduced in size")
    stream = BytesIO()
    image.save(stream, "PNG", optimize=False)
    return Preview(png=stream.getvalue(), width=image.width, height=image.height, caption="; ".join(said))


def _reduce(plane: NDArray[np.generic], edge: int) -> NDArray[np.float32]:
    """Average blocks until no more than twice the wanted size is left."""
    import numpy as np

    step = max(1, max(plane.shape[:2]) // (2 * edge))
    step = min(step, *plane.shape[:2])
    height, width = plane.shape[0] // step * step, plane.shape[1] // step * step
    if step == 1:
        return np.nan_to_num(plane.astype(np.float32), posinf=0, neginf=0)
    blocks = plane[:height, :width].reshape(height // step, step, width // step, step, *plane.shape[2:])
    means: NDArray[np.float32] = np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32), np.float32)
    return np.nan_to_num(means, posinf=0, neginf=0)


def _stretch(
    channels: Sequence[NDArray[np.float32]], *, inverted: bool
) -> tuple[NDArray[np.uint8], list[tuple[float, float]]]:
    """Map each channel's window onto 0 to 255: grey for one channel, additive colours for more."""
    import numpy as np

    windows: list[tuple[float, float]] = []
    levels: list[NDArray[np.float32]] = []
    for channel in channels:
        low, high = (float(x) for x in np.percentile(channel, (CLIPPED_PERCENT, 100 - CLIPPED_PERCENT)))
        if high <= low:
            low, high = float(channel.min()), float(channel.max())
        windows.append((low, high))
        level = np.clip((channel - low) / max(high - low, 1e-30), 0, 1).astype(np.float32)
        levels.append(1 - level if inverted else level)
    if len(levels) == 1:
        return (levels[0] * 255).round().astype(np.uint8), windows
    total = np.zeros((*levels[0].shape, 3), np.float32)
    for level, colour in zip(levels, _COLOURS, strict=False):
        total += level[..., None] * np.asarray(colour, np.float32)
    return (np.clip(total, 0, 1) * 255).round().astype(np.uint8), windows


def _window_words(windows: Sequence[tuple[float, float]], names: Sequence[str]) -> list[str]:
    words = []
    for index, (low, high) in enumerate(windows):
        name = names[index][:40] if index < len(names) and names[index] else f"channel {index}"
        colour = "grey" if len(windows) == 1 else _COLOUR_NAMES[index]
        head = "" if len(windows) == 1 and not any(names) else f"{name} "
        words.append(f"{head}in {colour}, contrast window {low:.6g} to {high:.6g}")
    return words
