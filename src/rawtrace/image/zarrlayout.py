"""OME-Zarr on disk: groups, arrays and chunk files, read without the zarr package.

Versions 0.4 (Zarr 2) and 0.5 (Zarr 3). Only JSON is read here; nothing outside
the folder is, not even through a link.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import LimitError, MalformedError, from_os_error
from rawtrace.image.collect import MAX_METADATA_BYTES
from rawtrace.image.plainfile import open_plain

MAX_IMAGES = 10_000
MAX_DIMENSIONS = 16

# Sizes in bytes of the data types that images have, by Zarr 3 name.
ITEM_BYTES: Mapping[str, int] = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "int32": 4, "uint32": 4,
    "float32": 4, "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip
_KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrArray:
    """One array's metadata.

    Attributes
    ----------
    path : str
        Inside the folder, ``/`` between names.
    format : int
        2 or 3.
    shape, chunks : tuple[int, ...]
        Slowest axis first; for sharded arrays ``chunks`` is the shape of a shard, which is a file.
    dtype : str
        Zarr 3 name, as in ``"uint16"``; empty for types that images do not have.
    big_endian : bool
    codecs : tuple[str, ...]
        Names beyond plain bytes, in order; empty for uncompressed chunks.
    prefix, separator : str
        How a chunk's indices become its file name.
    fill : int or float
    pipeline : tuple
        The codecs with their settings, as the metadata has them: Zarr 3 in the order of writing; Zarr 2
        its filters, then its compressor.
    column_order : bool
        Whether the values of a chunk of Zarr 2 run along the first axis first.
    """

    path: str
    format: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    big_endian: bool
    codecs: tuple[str, ...]
    prefix: str
    separator: str
    fill: float
    pipeline: tuple[Mapping[str, Any], ...] = ()
    column_order: bool = False

    @property
    def grid(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    @property
    def chunk_bytes(self) -> int:
        """Size of an unpacked chunk; 0 for an unknown type."""
        return math.prod(self.chunks) * ITEM_BYTES.get(self.dtype, 0)

    def chunk_path(self, index: Sequence[int]) -> str:
        """Return where a chunk's file lies, relative to the array."""
        parts = ([self.prefix] if self.prefix else []) + [str(number) for number in index]
        return self.separator.join(parts) or "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrImage:
    """One multiscale image: its group, all of the group's attributes and its OME part."""

    path: str
    attributes: Mapping[str, Any]
    ome: Mapping[str, Any]

    @property
    def multiscale(self) -> Mapping[str, Any]:
        """The first multiscales entry."""
        return mapping(first(self.ome.get("multiscales")))

    @property
    def levels(self) -> tuple[str, ...]:
        """Paths of the resolution levels, finest first, relative to the folder."""
        paths = (mapping(each).get("path") for each in sequence(self.multiscale.get("datasets"))[:64])
        return tuple(_join(self.path, path) for path in paths if isinstance(path, str))

    @property
    def axes(self) -> tuple[Mapping[str, Any], ...]:
        """The axes, slowest first; names only in versions before 0.4."""
        stated = sequence(self.multiscale.get("axes"))[:MAX_DIMENSIONS]
        return tuple({"name": axis} if isinstance(axis, str) else mapping(axis) for axis in stated)

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Lower-case names of the axes."""
        return tuple(str(axis.get("name", "")).lower() for axis in self.axes)


class ZarrFolder:
    """Reads the JSON of one Zarr hierarchy, at most 64 MiB of it.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._budget = MAX_METADATA_BYTES

    @cached_property
    def _real_root(self) -> Path:
        return self._root.resolve()

    def locate(self, path: str) -> Path:
        """Return the place of a path inside the folder.

        Raises
        ------
        MalformedError
            It would lie outside.
        """
        parts = [part for part in path.split("/") if part]
        if any(part in {".", ".."} or "\\" in part or ":" in part or "\x00" in part for part in parts):
            msg = "a path in the Zarr metadata leads outside the folder"
            raise MalformedError(msg)
        place = self._root.joinpath(*parts)
        if not place.resolve().is_relative_to(self._real_root):
            msg = "a link in the Zarr folder leads outside it"
            raise MalformedError(msg)
        return place

    def json(self, path: str) -> Mapping[str, Any] | None:
        """Return a JSON object; ``None`` where there is no such file.

        Raises
        ------
        LimitError, MalformedError, UnreadableError
        """
        place = self.locate(path)
        try:
            with open_plain(place) as stream:
                # Asking for more than there is would have room made for all of it.
                data = stream.read(min(os.fstat(stream.fileno()).st_size, self._budget) + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise from_os_error(error, f"reading {place.name}") from error
        self._budget -= len(data)
        if self._budget < 0:
            msg = f"more than {MAX_METADATA_BYTES} bytes of Zarr metadata"
            raise LimitError(msg)
        try:
            value = strictjson.loads(data, what="Zarr metadata", max_bytes=MAX_METADATA_BYTES)
        except MalformedError:
            # The parser's own message may quote a key.
            msg = f"{place.name} is not readable JSON"
            raise MalformedError(msg) from None
        if not isinstance(value, dict):
            msg = f"{place.name} is not a JSON object"
            raise MalformedError(msg)
        return value

    def attributes(self, path: str) -> Mapping[str, Any] | None:
        """Return a group's attributes, in Zarr 3 or 2; ``None`` where there is no group."""
        node = self.json(_join(path, "zarr.json"))
        if node is not None:
            return mapping(node.get("attributes"))
        attributes = self.json(_join(path, ".zattrs"))
        if attributes is not None:
            return attributes
        return {} if self.json(_join(path, ".zgroup")) is not None else None

    def images(self) -> list[ZarrImage]:
        """Return the images: the root itself, a bioformats2raw series, or the fields of a plate.

        Raises
        ------
        LimitError
            More than 10 000 images.
        MalformedError, UnreadableError
        """
        attributes = self.attributes("")
        if attributes is None:
            return []
        ome = _ome(attributes)
        if "multiscales" in ome:
            return [ZarrImage(path="", attributes=attributes, ome=ome)]
        found: list[ZarrImage] = []
        for path in self._plate_fields(ome) if "plate" in ome else self._series():
            child = self.attributes(path)
            if child is not None and "multiscales" in _ome(child):
                if len(found) >= MAX_IMAGES:
                    msg = f"the Zarr folder has more than {MAX_IMAGES} images"
                    raise LimitError(msg)
                found.append(ZarrImage(path=path, attributes=child, ome=_ome(child)))
        return found

    def _series(self) -> Iterator[str]:
        stated = sequence(_ome(self.attributes("OME") or {}).get("series"))
        if stated:
            yield from (name for name in stated if isinstance(name, str))
            return
        for number in itertools.count():
            if self.attributes(str(number)) is None:
                return
            yield str(number)

    def _plate_fields(self, ome: Mapping[str, Any]) -> Iterator[str]:
        for well in sequence(mapping(ome.get("plate")).get("wells")):
            path = mapping(well).get("path")
            if not isinstance(path, str):
                continue
            fields = mapping(_ome(self.attributes(path) or {}).get("well")).get("images")
            names = (mapping(field).get("path") for field in sequence(fields))
            yield from (_join(path, name) for name in names if isinstance(name, str))

    def array(self, path: str) -> ZarrArray:
        """Return an array's metadata.

        Raises
        ------
        MalformedError
            There is none, or it is not what Zarr 2 or 3 says.
        LimitError, UnreadableError
        """
        node = self.json(_join(path, "zarr.json"))
        if node is not None and node.get("node_type") == "array":
            return _array_v3(path, node)
        node = self.json(_join(path, ".zarray"))
        if node is None:
            msg = "the array that the Zarr metadata names is not there"
            raise MalformedError(msg)
        return _array_v2(path, node)


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> Sequence[Any]:
    """Return a JSON array, or an empty one for anything else."""
    return value if isinstance(value, list) else []


def first(value: object) -> object:
    """Return the first item of a JSON array, or ``None``."""
    return next(iter(sequence(value)), None)


def _ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(attributes["ome"]) if "ome" in attributes else attributes


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _array_v3(path: str, node: Mapping[str, Any]) -> ZarrArray:
    grid = mapping(node.get("chunk_grid"))
    if grid.get("name") != "regular":
        msg = "the Zarr array has a chunk grid that is not regular"
        raise MalformedError(msg)
    encoding = node.get("chunk_key_encoding")
    name = encoding if isinstance(encoding, str) else mapping(encoding).get("name")
    separator = mapping(mapping(encoding).get("configuration")).get("separator", "/" if name == "default" else ".")
    codecs = [mapping(codec) for codec in sequence(node.get("codecs"))]
    order = next((mapping(codec.get("configuration")) for codec in codecs if codec.get("name") == "bytes"), {})
    shape, chunks = _shapes(node.get("shape"), mapping(grid.get("configuration")).get("chunk_shape"))
    dtype = node.get("data_type")
    return ZarrArray(
        path=path,
        format=3,
        shape=shape,
        chunks=chunks,
        dtype=dtype if isinstance(dtype, str) and dtype in ITEM_BYTES else "",
        big_endian=order.get("endian") == "big",
        codecs=tuple(str(codec.get("name")) for codec in codecs if codec.get("name") != "bytes"),
        prefix="c" if name == "default" else "",
        separator="." if separator == "." else "/",
        fill=_fill(node.get("fill_value")),
        pipeline=tuple(codecs),
    )


def _array_v2(path: str, node: Mapping[str, Any]) -> ZarrArray:
    shape, chunks = _shapes(node.get("shape"), node.get("chunks"))
    text = node.get("dtype")
    dtype, big = "", False
    if isinstance(text, str) and len(text) >= 3 and text[2:].isascii() and text[2:].isdigit() and len(text) < 8:
        kind, size = _KINDS.get(text[1], ""), int(text[2:])
        named = "bool" if kind == "bool" else f"{kind}{size * 8}"
        dtype, big = (named if named in ITEM_BYTES else ""), text[0] == ">"
    compressor = node.get("compressor")
    codecs = [str(mapping(each).get("id")) for each in sequence(node.get("filters"))]
    if compressor is not None:
        codecs.append(str(mapping(compressor).get("id")))
    if node.get("order", "C") != "C":
        codecs.append("transpose")
    return ZarrArray(
        path=path,
        format=2,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        big_endian=big,
        codecs=tuple(codecs),
        prefix="",
        separator="/" if node.get("dimension_separator") == "/" else ".",
        fill=_fill(node.get("fill_value")),
        pipeline=tuple(mapping(each) for each in (*sequence(node.get("filters")), compressor) if each is not None),
        column_order=node.get("order", "C") != "C",
    )


def _shapes(shape: object, chunks: object) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sizes, parts = sequence(shape), sequence(chunks)
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in (*sizes, *parts))
    if (
        not whole
        or len(sizes) != len(parts)
        or not 0 < len(sizes) <= MAX_DIMENSIONS
        or min(parts) < 1
        or min(sizes) < 0
    ):
        msg = "the Zarr array's shape and chunks are not what Zarr says they should be"
        raise MalformedError(msg)
    return tuple(sizes), tuple(parts)


def _fill(value: object) -> float:
    if isinstance(value, str):
        # JSON has no other words for these.
        return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value, 0)
    return value if isinstance(value, (int, float)) else 0
