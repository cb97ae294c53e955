"""Content codes as JSON: version 1 of the form that ``docs/spec/codes.md`` describes.

The names ``iscc_code``, ``units``, ``parts`` and ``simprints`` are those of iscc-bio and of the entries of iscc-search.
"""

from __future__ import annotations

import base64
from typing import Any

from rawtrace.image.codes import FileCodes, PlaneCodes, SceneCodes, ViewCode
from rawtrace.image.isccunits import bits_of
from rawtrace.image.views import RENDERING

SCHEMA = "urn:rawtrace:schema:codes:1"


def to_json(codes: FileCodes) -> dict[str, Any]:
    """Return the codes of a file as one JSON object; what was not computed is left out."""
    value: dict[str, Any] = {"schema": SCHEMA, "path": str(codes.path), "format": codes.format}
    if codes.iscc:
        value |= {"size": codes.size, "iscc_code": codes.iscc, "units": [codes.data, codes.instance]}
    if any(scene.views for scene in codes.scenes):
        value["rendering"] = RENDERING
    return value | {"notes": list(codes.notes), "parts": [_scene(scene) for scene in codes.scenes]}


def _scene(codes: SceneCodes) -> dict[str, Any]:
    scene = codes.scene
    value: dict[str, Any] = {
        "scene": scene.index,
        "name": scene.name,
        "shape": {"t": scene.t, "c": scene.c, "z": scene.z, "y": scene.y, "x": scene.x, "s": scene.samples},
        "type": scene.dtype,
        "header_sha256": codes.header,
        "iscc_code": codes.iscc,
        "units": [codes.data, codes.instance],
    }
    if codes.planes:
        value["planes"] = [_plane(plane) for plane in codes.planes]
        size = scene.plane_bytes
        simprints = [_simprint(plane, offset, size) for offset, plane in enumerate(codes.planes)]
        value["simprints"] = {"DATA_NONE_V0": simprints}
    if codes.views:
        value["views"] = [_view(view) for view in codes.views]
    return value


def _plane(plane: PlaneCodes) -> dict[str, Any]:
    index = plane.index
    value: dict[str, Any] = {"z": index.z, "c": index.c, "t": index.t, "instance": plane.instance, "data": plane.data}
    return value | ({"constant": True} if plane.constant else {})


def _simprint(plane: PlaneCodes, offset: int, size: int) -> dict[str, Any]:
    return {"simprint": base64.b64encode(bits_of(plane.data)).decode("ascii"), "offset": offset, "size": size}


def _view(view: ViewCode) -> dict[str, Any]:
    return {
        "channel": view.channel,
        "z": view.z,
        "t": view.t,
        "projection": view.projection,
        "image": view.image,
    }
