"""What a seal says of the pixels: ``org.rawtrace.pixels`` and the soft binding, from an image's codes.

The byte hash proves the file; the digests of its planes prove the pixels, so that
a converted file is still known as the same data. ``docs/spec/seal.md`` is
normative, ``docs/spec/codes.md`` for the codes themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace import strictjson
from rawtrace.errors import Error
from rawtrace.image.reader import is_known
from rawtrace.image.views import RENDERING
from rawtrace.ledger.merkle import leaf_hash, root_of
from rawtrace.progress import SILENT, Progress
from rawtrace.sealing.assertions import PIXELS, SOFT_BINDING, VERSIONS, printable

if TYPE_CHECKING:
    from rawtrace.image.codes import FileCodes, SceneCodes

SOFT_BINDING_ALGORITHM = "io.iscc.v0"
#: Digests of up to so many planes stand in the seal; a C2PA definition holds 1 MiB at most.
INLINE_PLANES = 1_024
#: Scenes of a plate beyond this number are in the companion alone.
INLINE_SCENES = 200
#: Views beyond the first few find nothing that these do not find.
_BOUND_VIEWS = 16
_INFORMATION = "https://ieps.iscc.codes/iep-0020/"


@dataclass(frozen=True, slots=True)
class Pixels:
    """What goes into a seal.

    Attributes
    ----------
    assertions : tuple of dict
        In the form of the C2PA library's definition.
    companion : bytes or None
        Content of ``NAME.EXT.planes.json``; ``None`` where all digests are in the statement.
    """

    assertions: tuple[dict[str, Any], ...]
    companion: bytes | None


def pixels_of(path: Path, *, name: str, progress: Progress = SILENT) -> Pixels | None:
    """Code an image's planes and views; ``None`` for what is no image.

    An image whose pixels cannot be read is sealed all the same, and the statement says why it has no digests.
    """
    from rawtrace.image.codes import codes_of

    try:
        found = codes_of(path, progress=progress)
    except Error as error:
        return _unread(error.message)
    if not found.scenes:
        return _unread(found.notes[-1]) if found.notes and is_known(path) else None
    statement, companion = pixels_statement(found, name=name)
    return Pixels(({"label": PIXELS, "data": statement}, _soft_binding(found)), companion)


def _unread(why: str) -> Pixels:
    return Pixels(
        ({"label": PIXELS, "data": {"version": VERSIONS[PIXELS], "scenes": [], "notes": [printable(why)]}},), None
    )


def pixels_statement(found: FileCodes, *, name: str) -> tuple[dict[str, Any], bytes | None]:
    """Return ``org.rawtrace.pixels``, and the companion's bytes where the digests are many."""
    lists = [_digests(scene) for scene in found.scenes]
    inline = sum(map(len, lists)) <= INLINE_PLANES and len(lists) <= INLINE_SCENES
    statement: dict[str, Any] = {
        "version": VERSIONS[PIXELS],
        "rendering": RENDERING,
        "planes": sum(map(len, lists)),
        "root": root_of([leaf_hash(bytes.fromhex(each)) for digests in lists for each in digests]).hex(),
        "scenes": [
            _scene(scene, digests if inline else None)
            for scene, digests in zip(found.scenes[:INLINE_SCENES], lists, strict=False)
        ],
        "notes": [printable(note) for note in found.notes[:100]],
    }
    if inline:
        return statement, None
    scenes = [{"header": scene.header, "planes": digests} for scene, digests in zip(found.scenes, lists, strict=True)]
    companion = strictjson.dumps({"scenes": scenes})
    statement["list"] = {
        "file": f"{printable(name)}.planes.json",
        "bytes": len(companion),
        "sha256": hashlib.sha256(companion).hexdigest(),
    }
    return statement, companion


def _digests(scene: SceneCodes) -> list[str]:
    """Return the planes' digests as hexadecimal: the bodies of their Instance-Codes."""
    from rawtrace.image.codes import bits_of

    return [bits_of(plane.instance).hex() for plane in scene.planes]


def _scene(coded: SceneCodes, digests: Sequence[str] | None) -> dict[str, Any]:
    scene = coded.scene
    said: dict[str, Any] = {
        "name": printable(scene.name),
        "axes": {"T": scene.t, "C": scene.c, "Z": scene.z, "Y": scene.y, "X": scene.x, "S": scene.samples},
        "type": scene.dtype,
        "header": coded.header,
        "iscc": coded.iscc,
        "views": [
            {
                **{key: getattr(view, key) for key in ("channel", "z", "t") if getattr(view, key) is not None},
                **({"projection": view.projection} if view.projection else {}),
                "image": view.image,
            }
            for view in coded.views[:_BOUND_VIEWS]
            if view.image
        ],
    }
    if digests is not None:
        said["planes"] = list(digests)
    return said


def _soft_binding(found: FileCodes) -> dict[str, Any]:
    """Return ``c2pa.soft-binding``: for the file its Data- and Instance-Code, and the Image-Code of each view."""
    from rawtrace.image.codes import encode_seq

    images = [view.image for scene in found.scenes for view in scene.views if view.image][:_BOUND_VIEWS]
    sequences = [[*images[:1], found.data, found.instance], *([image] for image in images[1:])]
    # The library wants bytes as a list of integers; a string would be stored as its characters.
    blocks = [{"scope": {}, "value": list(encode_seq(units))} for units in sequences]
    data = {"alg": SOFT_BINDING_ALGORITHM, "blocks": blocks, "bindingMetadata": {"informationalUrl": _INFORMATION}}
    return {"label": SOFT_BINDING, "data": data}
