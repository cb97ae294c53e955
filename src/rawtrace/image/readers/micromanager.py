"""What Micro-Manager's engine wrote: pymmcore-plus summaries and the planes of ome-writers.

pymmcore-plus writes one versioned *summary* per acquisition (devices with all
their properties, program versions, pixel size), into OME-XML as a map
annotation and into Zarr as an attribute; ome-writers adds one record per plane. The
summary also holds folders, a log file and the configuration's path: none of
that is on the list below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rawtrace.image.collect import Collector, to_number
from rawtrace.image.readers.planes import Plane

MAX_DEVICES = 64
NAMESPACE = "pymmcore_plus"

_PROPERTIES = {
    "Binning": "binning",
    "BitDepth": "bit_depth",
    "CameraID": "camera_id",
    "CameraName": "camera_name",
    "CCDTemperature": "temperature_c",
    "Gain": "gain",
    "Offset": "offset",
    "PixelType": "pixel_type",
    "ReadoutRate": "readout_rate",
    "ReadoutTime": "readout_time_ms",
    "ScanMode": "scan_mode",
    "TriggerMode": "trigger",
}
_INTEGERS = {"bit_depth"}


def add_summary(found: Collector, summary: object, where: str) -> None:
    """Take what is on the allow-list from a pymmcore-plus summary.

    Parameters
    ----------
    found : Collector
    summary : object
        Decoded JSON, of any shape.
    where : str
        Place of the summary, the head of every source.
    """
    if not isinstance(summary, Mapping):
        found.note(f"{where} is not a summary of pymmcore-plus")
        return
    system = _mapping(summary.get("system_info"))
    version = _text(system.get("mmcore_version"))
    if version:
        found.add("acquisition.software", "Micro-Manager", f"{where} system_info.mmcore_version")
        plus = _text(system.get("pymmcore_plus_version"))
        both = f"{version}, pymmcore-plus {plus}" if plus else version
        found.add("acquisition.software_version", both, f"{where} system_info")
    found.add("acquisition.time", _text(summary.get("datetime")), f"{where} datetime")
    for image in _sequence(summary.get("image_infos"))[:1]:
        info = _mapping(image)
        for axis in "xy":
            # 1.0 is also what the engine says when nobody calibrated it; the value stands as it is written.
            found.add(
                f"pixels.physical_size_{axis}_um", info.get("pixel_size_um"), f"{where} image_infos[0].pixel_size_um"
            )
    devices = _sequence(summary.get("devices"))
    if len(devices) > MAX_DEVICES:
        found.note(f"{where} lists {len(devices)} devices; the first {MAX_DEVICES} were taken")
    for index, device in enumerate(devices[:MAX_DEVICES]):
        _add_device(found, index, _mapping(device), f"{where} devices[{index}]")


def _add_device(found: Collector, index: int, device: Mapping[str, Any], where: str) -> None:
    head = f"device.{index}"
    for key, name in (("label", "label"), ("library", "library"), ("name", "adapter"), ("type", "type")):
        found.add(f"{head}.{name}", _text(device.get(key)), f"{where}.{key}")
    for entry in _sequence(device.get("properties"))[:1024]:
        record = _mapping(entry)
        key, value = _text(record.get("name")), record.get("value")
        source = f"{where} property {key}"
        if key in _PROPERTIES:
            name = _PROPERTIES[key]
            found.add(f"{head}.{name}", _whole(value) if name in _INTEGERS else value, source)
        elif key == "Label" and isinstance(value, str):
            found.add(f"{head}.state_label", value, source)
            if "objective" in f"{device.get('label')} {device.get('name')}".lower():
                found.add("objective.model", value, source)
        if key == "CameraName" and isinstance(value, str):
            found.add("detector.0.model", value, source)


def planes_of_writer(records: object, axes: Sequence[str], where: str) -> list[Plane]:
    """Return the planes that ome-writers recorded in a Zarr group.

    Parameters
    ----------
    records : object
        ``ome_writers.frame_metadata``: decoded JSON, of any shape.
    axes : Sequence[str]
        Lower-case names of the array's axes, slowest first.
    where : str
    """
    planes: list[Plane] = []
    for index, entry in enumerate(_sequence(records)):
        record = _mapping(entry)
        place = [value for value in _sequence(record.get("storage_index")) if isinstance(value, int)]
        at = dict(zip(axes, place, strict=False))
        planes.append(
            Plane(
                z=at.get("z", 0),
                c=at.get("c", 0),
                t=at.get("t", 0),
                time_s=to_number(record.get("delta_t")),
                exposure_s=to_number(record.get("exposure_time")),
                position=tuple(to_number(record.get(f"position_{axis}")) for axis in "xyz"),
                in_um=True,
                source=f"{where}[{index}]",
            )
        )
    return planes


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: object) -> int | float | None:
    # "16bit" is what some drivers say for 16.
    return to_number(value.lower().removesuffix("bit").strip("-_ ") if isinstance(value, str) else value)
