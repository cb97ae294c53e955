"""Step 3, pixels: where the bytes are not those that were sealed, whether the planes are.

A file that was converted, or saved again without loss, has other bytes and the
same pixels. The digests of its planes, which the seal holds, tell that from a
change, and name the planes that did change.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rawtrace import durable, strictjson
from rawtrace.errors import Error, MalformedError
from rawtrace.progress import Progress
from rawtrace.report import Finding
from rawtrace.sealing import binding
from rawtrace.sealing.assertions import PIXELS
from rawtrace.sealing.manifest import Manifest
from rawtrace.verification.evidence import Evidence, statement
from rawtrace.verification.findings import finding

_MAX_LIST_BYTES = 512 << 20
_MAX_SCENES = 10_000
#: How many runs of planes a sentence names; more planes than _NAMED_PLANES are named in runs.
_NAMED_RUNS = 8
#: Up to so many planes are named by z, c and t.
_NAMED_PLANES = 3


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing the planes came to.

    Attributes
    ----------
    same : bool
        Every sealed plane is there, in its place, and there are no others.
    planes : int
        How many were sealed.
    findings : tuple[Finding, ...]
        For the report, unless all is the same.
    """

    same: bool = False
    planes: int = 0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Stack:
    """The planes of one scene: the digest of its shape and type, and one of each plane in the order of the walk."""

    header: str
    planes: tuple[str, ...]
    sizes: tuple[int, int, int] = (1, 1, 1)


def compare_planes(evidence: Evidence, bound: Manifest, *, progress: Progress) -> Compared:
    """Compare the planes of the data with those that were sealed; nothing to say where the seal holds no digests."""
    stated = statement(bound, PIXELS)
    if not stated:
        return Compared()
    from rawtrace.image.codes import bits_of, codes_of

    try:
        sealed = _sealed(evidence, stated)
    except Error as error:
        return _not_compared(error.message)
    if not sealed:
        return _not_compared("the seal says that they could not be read when it was made")
    try:
        coded = codes_of(evidence.path, views=False, file=False, progress=progress)
    except Error as error:
        return _not_compared(error.message)
    if not coded.scenes:
        return _not_compared("; ".join(coded.notes) or "it is no image")
    found = [
        _Stack(
            each.header,
            tuple(bits_of(plane.instance).hex() for plane in each.planes),
            (each.scene.z, each.scene.c, each.scene.t),
        )
        for each in coded.scenes
    ]
    count = sum(len(stack.planes) for stack in sealed)
    same = [(stack.header, stack.planes) for stack in sealed] == [(stack.header, stack.planes) for stack in found]
    return Compared(same, count, () if same else tuple(_differences(sealed, found)))


def words(count: int) -> str:
    """Say that all planes are the same."""
    return (
        "the one plane is the one that was sealed" if count == 1 else f"all {count:,} planes are those that were sealed"
    )


def _not_compared(why: str) -> Compared:
    return Compared(findings=(finding("planes-not-compared", f"the planes were not compared: {why}"),))


def _sealed(evidence: Evidence, stated: Mapping[str, Any]) -> list[_Stack]:
    scenes = stated.get("scenes")
    listed = stated.get("list")
    if isinstance(listed, dict):
        scenes = _companion(evidence, listed)
    if not isinstance(scenes, list) or len(scenes) > _MAX_SCENES:
        msg = "the seal's statement about the pixels is not in the form that is known"
        raise MalformedError(msg)
    return [_stack(each) for each in scenes]


def _companion(evidence: Evidence, listed: Mapping[str, Any]) -> Any:
    path = binding.planes_of(evidence.named)
    if not path.is_file():
        msg = f"their list, {path.name}, is not beside the data"
        raise MalformedError(msg)
    data = durable.read_bounded(path, limit=_MAX_LIST_BYTES)
    if hashlib.sha256(data).hexdigest() != listed.get("sha256"):
        msg = f"their list, {path.name}, is not as it was sealed"
        raise MalformedError(msg)
    read = strictjson.loads(data, what=path.name, max_bytes=_MAX_LIST_BYTES)
    return read.get("scenes") if isinstance(read, dict) else None


def _stack(scene: object) -> _Stack:
    header = scene.get("header") if isinstance(scene, dict) else None
    planes = scene.get("planes") if isinstance(scene, dict) else None
    if not isinstance(header, str) or not isinstance(planes, list) or not all(isinstance(one, str) for one in planes):
        msg = "the seal's statement about the pixels is not in the form that is known"
        raise MalformedError(msg)
    return _Stack(header, tuple(planes))


def _differences(sealed: Sequence[_Stack], found: Sequence[_Stack]) -> Iterator[Finding]:
    if len(sealed) == len(found) and all(one.header == other.header for one, other in zip(sealed, found, strict=True)):
        for number, (one, other) in enumerate(zip(sealed, found, strict=True)):
            yield from _of_scene(one, other, number if len(sealed) > 1 else None)
        return
    # Another number of scenes, or other shapes: what can still be said is how many planes are the same.
    had = Counter(plane for stack in sealed for plane in stack.planes)
    has = Counter(plane for stack in found for plane in stack.planes)
    kept, before, now = (had & has).total(), had.total(), has.total()
    message = f"shape, type or number of images differ: {kept:,} of the {before:,} sealed planes are among {now:,}"
    yield finding("planes-changed", message, evidence={"sealed": before, "found": now, "same": kept})


def _of_scene(sealed: _Stack, found: _Stack, number: int | None) -> Iterator[Finding]:
    where = "" if number is None else f" of image {number + 1}"
    differing = [i for i, pair in enumerate(zip(sealed.planes, found.planes, strict=True)) if pair[0] != pair[1]]
    rest = len(sealed.planes) - len(differing)
    proof = {"scene": number or 0, "planes": differing[:1_000], "same": rest}
    if not differing:
        yield finding("planes-unchanged", f"{words(rest)}{where and ',' + where}", evidence=proof)
    elif len(sealed.planes) == 1:
        yield finding("planes-changed", f"the pixels{where} are not those that were sealed", evidence=proof)
    else:
        named = _named(differing, len(sealed.planes), found.sizes)
        message = f"{named}{where} {'differs' if len(differing) == 1 else 'differ'} from what was sealed"
        others = f"; the other {rest:,} are those that were sealed" if rest else ""
        yield finding("planes-changed", message + others, evidence=proof)


def _named(planes: Sequence[int], of: int, sizes: tuple[int, int, int]) -> str:
    """Name planes: a few by z, c and t, many as runs of their places in the walk."""
    if len(planes) <= _NAMED_PLANES:
        _, c, t = sizes
        places = [(plane // (c * t), plane // t % c, plane % t) for plane in planes]
        return ("plane " if len(planes) == 1 else "planes ") + "; ".join(
            "z={}, c={}, t={}".format(*at) for at in places
        )
    runs: list[list[int]] = []
    for plane in planes:
        if runs and plane == runs[-1][1] + 1:
            runs[-1][1] = plane
        else:
            runs.append([plane, plane])
    # People count from one.
    named = [f"{first + 1}" if first == last else f"{first + 1} to {last + 1}" for first, last in runs[:_NAMED_RUNS]]
    more = f" and {len(runs) - _NAMED_RUNS} more runs" if len(runs) > _NAMED_RUNS else ""
    return f"planes {', '.join(named)}{more} of {of:,}"
