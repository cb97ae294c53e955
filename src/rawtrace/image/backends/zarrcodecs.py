"""Unpacks the chunks of Zarr 2 and 3: an allow-list of codecs, each bounded by the size that the chunk must have.

Plain, zlib and gzip chunks need nothing but Python; Blosc, Zstandard and LZ4
come from numcodecs, which the ``zarr`` package brings along. A codec that is
not on the list is a sentence, never an import by a name from the file.
"""

from __future__ import annotations

import bz2
import lzma
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.errors import MissingExtraError, PixelsError
from rawtrace.image.zarrlayout import ZarrArray, mapping, sequence

if TYPE_CHECKING:
    from numpy.typing import NDArray

INSTALL = 'pip install "rawtrace[formats]"'
_BYTES = {"gzip", "zlib", "zstd", "blosc", "bz2", "lzma", "lz4", "crc32c", "shuffle"}
_MAX_CODECS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """How a chunk is packed.

    Attributes
    ----------
    shape : tuple[int, ...]
    dtype : str
        With byte order.
    packers : tuple
        Codecs from bytes to bytes, in the order of writing.
    order : tuple[int, ...]
        The axes in the order in which the values run; empty for the usual one.
    """

    shape: tuple[int, ...]
    dtype: str
    packers: tuple[Mapping[str, Any], ...] = ()
    order: tuple[int, ...] = ()

    @property
    def nbytes(self) -> int:
        """Unpacked."""
        import numpy as np

        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def is_plain(self) -> bool:
        """Whether the bytes are those of the array."""
        return not self.packers and not self.order

    def unpack(self, data: bytes) -> NDArray[Any]:
        """Return the array of a packed chunk.

        Raises
        ------
        PixelsError, MissingExtraError
        """
        import numpy as np

        limit = self.nbytes
        for packer in reversed(self.packers):
            # In between there may be a checksum, or a little that does not compress.
            data = _unpack(packer, data, limit + (limit >> 6) + 4_096)
        if len(data) != limit:
            msg = f"a chunk holds {len(data)} bytes and should hold {limit}"
            raise PixelsError(msg)
        flat: NDArray[Any] = np.frombuffer(data, np.dtype(self.dtype))
        if not self.order:
            return flat.reshape(self.shape)
        turned = flat.reshape([self.shape[axis] for axis in self.order])
        return turned.transpose(np.argsort(self.order))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """How a shard holds its chunks.

    Attributes
    ----------
    grid : tuple[int, ...]
        Chunks a shard along each axis.
    inner : Chunk
    index : Chunk
    at_end : bool
        Where in the shard the index is.
    """

    grid: tuple[int, ...]
    inner: Chunk
    index_bytes: int
    at_end: bool
    checked: bool

    def places(self, index: bytes) -> NDArray[Any]:
        """Return the (offset, size) of each chunk; all ones for one that is not there."""
        import numpy as np

        if len(index) != self.index_bytes:
            msg = "a shard is too short for its index"
            raise PixelsError(msg)
        if self.checked:
            index = _unpack({"name": "crc32c"}, index, len(index))
        return np.frombuffer(index, "<u8").reshape(*self.grid, 2)


def packing(array: ZarrArray) -> tuple[Chunk, Sharding | None]:
    """Return how the chunks of an array are packed, and the shards around them if there are any.

    Raises
    ------
    PixelsError
        A type or codec that is not read.
    """
    if not array.dtype:
        msg = "the Zarr array is of a type that images do not have"
        raise PixelsError(msg)
    if len(array.pipeline) > _MAX_CODECS:
        msg = f"the Zarr array has {len(array.pipeline)} codecs, one over another"
        raise PixelsError(msg)
    if array.format == 2:
        order = tuple(reversed(range(len(array.shape)))) if array.column_order else ()
        packers = tuple({"name": str(each.get("id")), "configuration": each} for each in array.pipeline)
        return _chunk(array.chunks, array.dtype, packers, big=array.big_endian, order=order), None
    shard = next((each for each in array.pipeline if each.get("name") == "sharding_indexed"), None)
    if shard is None:
        return _of_pipeline(array.chunks, array.dtype, array.pipeline), None
    if len(array.pipeline) != 1:
        msg = "the Zarr array has shards inside other codecs, which is not read"
        raise PixelsError(msg)
    return _sharded(array, mapping(shard.get("configuration")))


def _sharded(array: ZarrArray, settings: Mapping[str, Any]) -> tuple[Chunk, Sharding]:
    shape = tuple(each for each in sequence(settings.get("chunk_shape")) if isinstance(each, int) and each > 0)
    if len(shape) != len(array.chunks) or any(a % b for a, b in zip(array.chunks, shape, strict=True)):
        msg = "the chunks of the Zarr array do not fit into its shards"
        raise PixelsError(msg)
    inner = _of_pipeline(shape, array.dtype, [mapping(each) for each in sequence(settings.get("codecs"))])
    names = [mapping(each).get("name") for each in sequence(settings.get("index_codecs"))]
    endian = mapping(mapping(next(iter(sequence(settings.get("index_codecs"))), None)).get("configuration"))
    if names not in (["bytes"], ["bytes", "crc32c"]) or endian.get("endian", "little") != "little":
        msg = "the index of the Zarr array's shards is packed in a way that is not read"
        raise PixelsError(msg)
    grid = tuple(a // b for a, b in zip(array.chunks, shape, strict=True))
    checked = len(names) == 2
    size = math.prod(grid) * 16 + (4 if checked else 0)
    return inner, Sharding(
        grid=grid, inner=inner, index_bytes=size, at_end=settings.get("index_location") != "start", checked=checked
    )


def _of_pipeline(shape: tuple[int, ...], dtype: str, pipeline: Sequence[Mapping[str, Any]]) -> Chunk:
    order: tuple[int, ...] = ()
    big = False
    packers: list[Mapping[str, Any]] = []
    for codec in pipeline:
        name, settings = codec.get("name"), mapping(codec.get("configuration"))
        if name == "transpose" and not packers:
            stated = settings.get("order")
            if not isinstance(stated, list) or sorted(map(str, stated)) != sorted(map(str, range(len(shape)))):
                msg = "the Zarr array has its axes in an order that is not one"
                raise PixelsError(msg)
            order = tuple(order[axis] for axis in stated) if order else tuple(stated)
        elif name == "bytes":
            big = settings.get("endian") == "big"
        else:
            packers.append(codec)
    return _chunk(shape, dtype, tuple(packers), big=big, order=order)


def _chunk(
    shape: tuple[int, ...], dtype: str, packers: tuple[Mapping[str, Any], ...], *, big: bool, order: tuple[int, ...]
) -> Chunk:
    import numpy as np

    unknown = [str(each.get("name"))[:40] for each in packers if each.get("name") not in _BYTES]
    if unknown:
        msg = f"the Zarr array is packed with {unknown[0]}, which is not read"
        raise PixelsError(msg)
    if order == tuple(range(len(shape))):
        order = ()
    return Chunk(shape=shape, dtype=np.dtype(dtype).newbyteorder(">" if big else "<").str, packers=packers, order=order)


def _unpack(packer: Mapping[str, Any], data: bytes, limit: int) -> bytes:
    name, settings = packer.get("name"), mapping(packer.get("configuration"))
    if name in {"gzip", "zlib"}:
        return _whole(zlib.decompressobj(47), data, limit)
    if name == "bz2":
        return bz2.BZ2Decompressor().decompress(data, limit)
    if name == "lzma":
        return lzma.LZMADecompressor(memlimit=256 << 20).decompress(data, limit)
    if name == "crc32c":
        return _checked(data)
    declared = _declared(str(name), data)
    if declared is not None and declared > limit:
        msg = f"a chunk would unpack to {declared} bytes and should hold at most {limit}"
        raise PixelsError(msg)
    codec = _numcodec(str(name), settings)
    if name == "zstd" and declared is None:
        return _zstd_stream(data, limit)
    return bytes(codec.decode(data)) if name == "shuffle" else _as_bytes(codec.decode(data))


def _as_bytes(data: Any) -> Any:
    # numcodecs hands out bytes already; another copy of each chunk would be felt.
    return data if isinstance(data, bytes) else bytes(data)


def _whole(unpacker: Any, data: bytes, limit: int) -> bytes:
    done: bytes = unpacker.decompress(data, limit)
    if not unpacker.eof and len(done) < limit:
        msg = "a packed chunk is cut short"
        raise PixelsError(msg)
    return done


def _checked(data: bytes) -> bytes:
    try:
        import google_crc32c
    except ImportError as error:
        raise _missing("crc32c") from error
    body, stated = data[:-4], data[-4:]
    if len(data) < 4 or struct.pack("<I", google_crc32c.value(body)) != stated:
        msg = "the checksum of a chunk does not fit"
        raise PixelsError(msg)
    return body


def _declared(name: str, data: bytes) -> int | None:
    """Return the unpacked size that packed bytes state in their header."""
    if name == "blosc":
        if len(data) < 16:
            msg = "a packed chunk is cut short"
            raise PixelsError(msg)
        unpacked, _, packed = struct.unpack_from("<III", data, 4)
        if packed > len(data):
            msg = "a packed chunk is cut short"
            raise PixelsError(msg)
        return int(unpacked)
    if name == "lz4":
        return int(struct.unpack("<I", data[:4].ljust(4, b"\xff"))[0])
    if name == "zstd":
        return _zstd_size(data)
    return None


def _zstd_size(data: bytes) -> int | None:
    if len(data) < 6 or data[:4] != b"\x28\xb5\x2f\xfd":
        msg = "a chunk is not packed as Zstandard"
        raise PixelsError(msg)
    flags = data[4]
    single, kind = flags >> 5 & 1, flags >> 6
    if kind == 0 and not single:
        return None
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3]
    size = (1, 2, 4, 8)[kind]
    value = int.from_bytes(data[start : start + size], "little")
    return value + 256 if kind == 1 else value


def _zstd_stream(data: bytes, limit: int) -> bytes:
    try:
        import imagecodecs
    except ImportError as error:
        raise _missing("zstd without a stated size") from error
    return bytes(imagecodecs.zstd_decode(data, out=limit))


def _numcodec(name: str, settings: Mapping[str, Any]) -> Any:
    try:
        import numcodecs
    except ImportError as error:
        raise _missing(name) from error
    if name == "shuffle":
        size = settings.get("elementsize", 4)
        return numcodecs.Shuffle(size if isinstance(size, int) and 0 < size <= 16 else 4)
    return {"zstd": numcodecs.Zstd, "blosc": numcodecs.Blosc, "lz4": numcodecs.LZ4}[name]()


def _missing(name: str) -> MissingExtraError:
    return MissingExtraError(f"chunks packed with {name} need a package that is not installed", hint=INSTALL)
