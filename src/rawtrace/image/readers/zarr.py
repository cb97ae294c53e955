"""OME-Zarr 0.4 and 0.5: multiscales, channels, the engine's summary and its planes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rawtrace.image import formats, units
from rawtrace.image.collect import Collector, guarded, to_number
from rawtrace.image.readers import micromanager
from rawtrace.image.readers.planes import add_planes
from rawtrace.image.zarrlayout import ZarrFolder, ZarrImage, first, mapping, sequence

MAX_SCENES = 64
MAX_CHANNELS = 64


class ZarrReader:
    """Reads the JSON of an OME-Zarr folder."""

    media_types = frozenset({formats.ZARR})

    def read(self, path: Path, found: Collector) -> None:
        """Hand scenes, channels, planes and the engine's summary to the collector."""
        folder = ZarrFolder(path)
        images = folder.images()
        if not images:
            found.note("the Zarr folder holds no OME image that could be read")
            return
        found.format = "OME-Zarr"
        found.add("scene.count", len(images), "zarr multiscales")
        for number, image in enumerate(images[:MAX_SCENES]):
            prefix = f"scene.{number}." if number else ""
            guarded(found, "a Zarr image", partial(_add_image, found, folder, image, prefix))
        if len(images) > MAX_SCENES:
            found.note(f"{len(images)} scenes are described; the first {MAX_SCENES} were taken")
        root = images[0].attributes if not images[0].path else (folder.attributes("") or {})
        for attributes in (root, images[0].attributes):
            summary = mapping(attributes.get(micromanager.NAMESPACE)).get("summary_metadata")
            if summary is not None:
                where = f"zarr attributes {micromanager.NAMESPACE}.summary_metadata"
                micromanager.add_summary(found, summary, where)
                break


def _add_image(found: Collector, folder: ZarrFolder, image: ZarrImage, prefix: str) -> None:
    where = f"zarr {image.path or '.'} multiscales[0]"
    version = image.ome.get("version") or image.multiscale.get("version")
    if not prefix and isinstance(version, str):
        found.add("file.standard", f"OME-Zarr {version}", f"{where} version")
    names = image.axis_names
    found.add(f"{prefix}pixels.axes", "".join(name[:1] for name in names).upper(), f"{where} axes")
    guarded(found, "a Zarr array", partial(_add_array, found, folder, image, prefix))
    for axis, scale in zip(image.axes, scales(image), strict=False):
        name, unit = str(axis.get("name", "")).lower(), axis.get("unit")
        if scale is None or not isinstance(unit, str):
            continue
        if name in {"x", "y", "z"}:
            found.add(f"{prefix}pixels.physical_size_{name}_um", units.in_um(scale, unit), f"{where} scale")
        elif name == "t":
            found.add(f"{prefix}pixels.time_increment_s", units.in_s(scale, unit), f"{where} scale")
    for index, channel in enumerate(sequence(mapping(image.ome.get("omero")).get("channels"))[:MAX_CHANNELS]):
        source = f"zarr {image.path or '.'} omero.channels[{index}]"
        found.add(f"{prefix}channel.{index}.name", mapping(channel).get("label"), f"{source}.label")
        found.add(f"{prefix}channel.{index}.colour", mapping(channel).get("color"), f"{source}.color")
    records = mapping(image.attributes.get("ome_writers")).get("frame_metadata")
    where = f"zarr {image.path or '.'} ome_writers.frame_metadata"
    add_planes(found, micromanager.planes_of_writer(records, names, where), prefix)
    if found.personal and not prefix:
        found.add("personal.scene_name", image.multiscale.get("name"), "zarr multiscales[0] name")


def _add_array(found: Collector, folder: ZarrFolder, image: ZarrImage, prefix: str) -> None:
    if not image.levels:
        return
    array = folder.array(image.levels[0])
    source = f"zarr {array.path} shape"
    for name, size in zip(image.axis_names, array.shape, strict=False):
        if name in {"x", "y", "z", "c", "t"}:
            found.add(f"{prefix}pixels.size_{name}", size, source)
    found.add(f"{prefix}pixels.type", array.dtype, f"zarr {array.path} data type")
    found.add(f"{prefix}pixels.compression", " ".join(array.codecs) or "none", f"zarr {array.path} codecs")


def scales(image: ZarrImage) -> list[float | None]:
    """Return the size of a pixel of the finest level along each axis, in the unit of the axis; empty if unstated."""
    levels = [mapping(first(image.multiscale.get("datasets"))), image.multiscale]
    total: list[float | None] = [1.0] * len(image.axes)
    found = False
    for level in levels:
        for scale in _scale_of(level):
            found = True
            total = [_times(each, to_number(factor)) for each, factor in zip(total, scale, strict=False)]
    return total if found else []


def _scale_of(level: Mapping[str, Any]) -> list[list[object]]:
    steps = (mapping(step) for step in sequence(level.get("coordinateTransformations"))[:8])
    return [list(sequence(step.get("scale"))) for step in steps if step.get("type") == "scale"]


def _times(number: float | None, factor: float | None) -> float | None:
    return None if number is None or factor is None else number * factor
