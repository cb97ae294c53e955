"""What is known of single planes, and how it becomes values without drowning everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rawtrace.image.collect import Collector

#: Planes of a scene that are listed one by one; a channel's exposure is stated over all of them.
MAX_LISTED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One plane's record: its place in the stack, time, exposure and stage position.

    Attributes
    ----------
    position : tuple
        X, Y, Z; ``None`` where the file does not say.
    in_um : bool
        Whether the positions are in µm; else in a unit that the file does not state.
    """

    z: int
    c: int
    t: int
    time_s: float | None
    exposure_s: float | None
    position: tuple[float | None, ...]
    in_um: bool
    source: str


def add_planes(found: Collector, planes: Sequence[Plane], prefix: str = "") -> None:
    """Take the exposure of each channel where it is one, and the first 200 planes.

    Parameters
    ----------
    found : Collector
    planes : Sequence[Plane]
    prefix : str
        ``"scene.N."`` for all scenes but the first.
    """
    exposures: dict[int, set[float]] = {}
    sources: dict[int, str] = {}
    for plane in planes:
        if plane.exposure_s is not None:
            exposures.setdefault(plane.c, set()).add(plane.exposure_s)
            sources.setdefault(plane.c, plane.source)
    for channel, times in exposures.items():
        if len(times) == 1 and 0 <= channel < 1000:
            found.add(f"{prefix}channel.{channel}.exposure_s", next(iter(times)), f"{sources[channel]} exposure")
    for index, plane in enumerate(planes[:MAX_LISTED]):
        head = f"{prefix}plane.{index}"
        for name in ("z", "c", "t", "time_s", "exposure_s"):
            found.add(f"{head}.{name}", getattr(plane, name), plane.source)
        for axis, position in zip("xyz", plane.position, strict=False):
            found.add(f"{head}.position_{axis}{'_um' if plane.in_um else ''}", position, plane.source)
    if len(planes) > MAX_LISTED:
        found.note(f"{len(planes)} planes are described; the first {MAX_LISTED} were listed one by one")
