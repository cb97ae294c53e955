"""The planes that a preview shows: the middle focal plane of the first scene, as coarse as the file has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.image.preview import MAX_CHANNELS, Planes
from rawtrace.image.reader import Image, PlaneIndex, Scene, open_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLOURS = {3, 4}


def of_image(path: Path, edge: int) -> Planes | None:
    """Read the planes of any image: first scene, middle focal plane, first time point, up to three channels.

    Raises
    ------
    rawtrace.errors.Error
        The image cannot be read, or has more than 256 Mpx and no coarser level.
    """
    with open_image(path) as image:
        if image.format == "DICOM" and _has_burned_in_text(path):
            return None
        scene = image.scenes[0]
        # The frames of DICOM are time points or slices; the middle one shows more than the first.
        t = scene.t // 2 if image.format == "DICOM" else 0
        z = scene.z // 2
        channels: list[NDArray[Any]] = []
        for c in range(min(MAX_CHANNELS, scene.c)):
            channels.append(image.overview(scene, PlaneIndex(z=z, c=c, t=t), longest_edge_px=edge))
            if scene.samples > 1:
                break
        reduction = max(1, max(scene.x, scene.y) // max(channels[0].shape[:2]))
        return Planes(
            channels=_shown(image, scene, channels),
            names=scene.channel_names if scene.samples == 1 else (),
            place=_place(scene, z=z, t=t, frames=image.format == "DICOM"),
            reduction=reduction,
            inverted=scene.white_is_zero,
        )


def _shown(image: Image, scene: Scene, channels: list[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
    """Return greys as they are, colours as one array of 8 bits, and of other samples those that fit."""
    import numpy as np

    if channels[0].dtype.kind == "c":
        return tuple(np.abs(channel) for channel in channels)
    if scene.samples == 1:
        return tuple(channels)
    pixels = channels[0]
    if scene.samples in _COLOURS and scene.dtype in {"uint8", "uint16"}:
        shown = pixels if scene.dtype == "uint8" else (pixels // 257).astype(np.uint8)
        if image.format == "JPEG" and scene.samples == len("CMYK"):
            inks = 255 - shown.astype(np.uint16)
            return ((inks[..., :3] * inks[..., 3:] // 255).astype(np.uint8),)
        return (shown[..., :3],)
    # Of two samples the second is how opaque the first is.
    count = 1 if scene.samples == len("LA") else min(MAX_CHANNELS, scene.samples)
    return tuple(pixels[..., sample] for sample in range(count))


def _place(scene: Scene, *, z: int, t: int, frames: bool) -> str:
    """Say which plane, where there are several."""
    said = []
    if scene.z > 1:
        said.append(f"focal plane {z + 1} of {scene.z}")
    if scene.t > 1:
        said.append(f"{'frame' if frames else 'time point'} {t + 1} of {scene.t}")
    return ", ".join(said)


def _has_burned_in_text(path: Path) -> bool:
    from rawtrace.image.readers.dicom import read_header

    with path.open("rb") as stream:
        header = read_header(path, stream, ["BurnedInAnnotation"])
    return header is None or str(header.get("BurnedInAnnotation", "")).upper() == "YES"
