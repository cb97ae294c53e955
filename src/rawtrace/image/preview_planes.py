"""Finds and reads the planes that a preview shows, format by format, and nothing more of the file."""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from rawtrace.image import omexml
from rawtrace.image.collect import to_number
from rawtrace.image.preview import MAX_CHANNELS, MAX_PIXELS, Planes
from rawtrace.image.readers import ome
from rawtrace.image.readers.tiff import description, imagej_fields
from rawtrace.image.tiffdirectory import TiffDirectories
from rawtrace.image.zarrlayout import ZarrArray, ZarrFolder, mapping, sequence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_CHUNK_BYTES = 512 << 20
_MAX_PLANE_CHUNKS = 65_536
_INFLATED = {"gzip": 31, "zlib": 15}

#: Deflate packs a byte at most so many times; other methods rarely come near it.
_MOST_PACKED = 1_100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stack:
    """How planes follow each other in a file: sizes, the order of axes (fastest first), where they begin."""

    sizes: dict[str, int]
    order: str = "CZT"
    begin: int = 0
    names: tuple[str, ...] = ()
    explicit: dict[tuple[int, int, int], int] | None = None

    def index(self, *, z: int, c: int, t: int) -> int:
        """Return the directory of a plane."""
        if self.explicit is not None and (z, c, t) in self.explicit:
            return self.explicit[z, c, t]
        at, step, total = {"Z": z, "C": c, "T": t}, 1, self.begin
        for axis in self.order:
            total += at[axis] * step
            step *= self.sizes[axis]
        return total

    def place(self, *, z: int, t: int) -> str:
        """Say which plane, where there are several."""
        said = []
        if self.sizes["Z"] > 1:
            said.append(f"focal plane {z + 1} of {self.sizes['Z']}")
        if self.sizes["T"] > 1:
            said.append(f"time point {t + 1} of {self.sizes['T']}")
        return ", ".join(said)


def of_tiff(path: Path, edge: int) -> Planes | None:
    """Read the planes of a TIFF: first scene, middle focal plane, first time point."""
    with path.open("rb") as stream:
        tiff = TiffDirectories(stream, path.stat().st_size)
        directory = tiff.directory(tiff.first)
        data = description(tiff, directory)
    stack = _stack(data)
    z = stack.sizes["Z"] // 2
    wanted = [stack.index(z=z, c=c, t=0) for c in range(min(MAX_CHANNELS, stack.sizes["C"]))]
    place = stack.place(z=z, t=0) or ("first page" if directory.next and len(wanted) == 1 else "")
    try:
        return _tiff_pages(path, wanted, stack, place, edge)
    except (ValueError, RuntimeError, KeyError, ImportError, TypeError):
        # LZW and a few others need a package that is not required; Pillow has them for common pixel types.
        return of_raster(path, edge) if wanted[0] == 0 else None


def _tiff_pages(path: Path, wanted: Sequence[int], stack: _Stack, place: str, edge: int) -> Planes | None:
    import numpy as np
    import tifffile

    with tifffile.TiffFile(path, _multifile=False) as tif:
        page = tif.pages[wanted[0]] if not _is_contiguous(tif, stack) else tif.pages[0]
        if math.prod(page.shape) > MAX_PIXELS or page.imagedepth != 1:
            return None
        if _is_contiguous(tif, stack):
            channels = [_contiguous(tif, page, index) for index in wanted]
            return Planes(channels=tuple(channels), names=stack.names, place=place)
        page, reduction = _level(page, edge)
        if not _is_held(page):
            return None
        pixels = page.asarray()
        if page.axes == "SYX":
            pixels = np.moveaxis(pixels, 0, -1)
        if pixels.ndim == 3:
            return _coloured(pixels, place, reduction, is_rgb=int(page.photometric) in {2, 6})
        if pixels.ndim != 2:
            return None
        others = [_level(tif.pages[index], edge)[0] for index in wanted[1:]]
        if any(other.shape != page.shape or not _is_held(other) for other in others):
            others = []
        return Planes(
            channels=(pixels, *(other.asarray() for other in others)),
            names=stack.names,
            place=place,
            reduction=reduction,
            inverted=int(page.photometric) == 0,
        )


def _is_held(page: Any) -> bool:
    """Tell whether a page's strips or tiles are all there and can hold what it promises.

    A few bytes can promise millions of strips, and decoding none of them takes long.
    """
    size = page.parent.filehandle.size
    stored = min(sum(page.databytecounts), size)
    return bool(len(page.dataoffsets) >= math.prod(page.chunked) and page.nbytes <= _MOST_PACKED * stored)


def _is_contiguous(tif: Any, stack: _Stack) -> bool:
    """Tell whether all planes lie behind one single directory, as ImageJ writes beyond 4 GB."""
    return math.prod(stack.sizes.values()) > 1 and len(tif.pages) == 1 and bool(tif.is_imagej)


def _contiguous(tif: Any, page: Any, index: int) -> NDArray[np.generic]:
    import numpy as np

    dtype = np.dtype(page.dtype).newbyteorder(tif.byteorder)
    offset = page.dataoffsets[0] + index * page.imagewidth * page.imagelength * dtype.itemsize
    tif.filehandle.seek(offset)
    data = tif.filehandle.read(page.imagewidth * page.imagelength * dtype.itemsize)
    pixels: NDArray[np.generic] = np.frombuffer(data, dtype).reshape(page.imagelength, page.imagewidth)
    return pixels


def _level(page: Any, edge: int) -> tuple[Any, int]:
    """Return the smallest pyramid level that is still large enough."""
    best, longest = page, max(page.imagewidth, page.imagelength)
    for number in range(min(16, len(page.subifds or ()))):
        smaller = page.pages[number]
        if edge <= max(smaller.imagewidth, smaller.imagelength) < max(best.imagewidth, best.imagelength):
            best = smaller
    return best, max(1, longest // max(best.imagewidth, best.imagelength))


def _coloured(pixels: NDArray[Any], place: str, reduction: int, *, is_rgb: bool) -> Planes:
    import numpy as np

    if is_rgb and pixels.shape[2] >= 3 and pixels.dtype in (np.uint8, np.uint16):
        shown = pixels[..., :3] if pixels.dtype == np.uint8 else (pixels[..., :3] // 257).astype(np.uint8)
        return Planes(channels=(shown,), place=place, reduction=reduction)
    samples = tuple(pixels[..., sample] for sample in range(min(MAX_CHANNELS, pixels.shape[2])))
    return Planes(channels=samples, place=place, reduction=reduction)


def _stack(data: bytes) -> _Stack:
    if omexml.looks_like_ome(data):
        root, _ = omexml.parse(data)
        scenes = ome.scenes_of_file(root)
        pixels = scenes[0][1].find("Pixels") if scenes else None
        if pixels is not None:
            return _ome_stack(pixels, root.get("UUID"))
    fields = imagej_fields(data)
    keys = (("C", "channels"), ("Z", "slices"), ("T", "frames"))
    return _Stack(sizes={axis: _count(fields.get(key)) for axis, key in keys})


def _ome_stack(pixels: Element, own: str | None) -> _Stack:
    channels = pixels.findall("Channel")
    sizes = {axis: _count(pixels.get(f"Size{axis}")) for axis in "ZCT"}
    if channels:
        sizes["C"] = min(sizes["C"], len(channels))
    order = pixels.get("DimensionOrder", "XYCZT")[2:]
    begin, explicit = 0, {}
    for number, block in enumerate(pixels.findall("TiffData")):
        uuid = (block.findtext("UUID") or "").strip()
        if uuid and own and uuid != own:
            continue
        place = _at(block, "FirstZ"), _at(block, "FirstC"), _at(block, "FirstT")
        if block.get("IFD") is not None:
            explicit[place] = _at(block, "IFD")
        if number == 0:
            begin = _at(block, "IFD")
    return _Stack(
        sizes=sizes,
        order=order if sorted(order) == ["C", "T", "Z"] else "CZT",
        begin=begin,
        names=tuple(channel.get("Name", "") for channel in channels),
        explicit=explicit,
    )


def _at(block: Element, name: str) -> int:
    number = to_number(block.get(name))
    return number if isinstance(number, int) and number >= 0 else 0


def _count(text: str | None) -> int:
    number = to_number(text)
    return number if isinstance(number, int) and 0 < number < 1 << 31 else 1


def of_raster(path: Path, edge: int) -> Planes | None:
    """Read a PNG, a JPEG or a simple TIFF through Pillow."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        limit = min(MAX_PIXELS, Image.MAX_IMAGE_PIXELS or MAX_PIXELS)
        if image.width * image.height > limit:
            return None
        longest = max(image.size)
        # JPEG alone can be decoded at a fraction of its size.
        image.draft(None, (2 * edge, 2 * edge))
        if image.mode in {"L", "I;16", "I;16B", "I;16L", "I", "F"}:
            pixels = np.asarray(image)
        elif image.mode in {"1", "LA"}:
            pixels = np.asarray(image.convert("L"))
        else:
            pixels = np.asarray(image.convert("RGB"))
        return Planes(channels=(pixels,), reduction=max(1, longest // max(pixels.shape[:2])))


def of_dicom(path: Path, edge: int) -> Planes | None:
    """Read the middle frame of an uncompressed DICOM image without text burned into it."""
    from pydicom.pixels import pixel_array

    from rawtrace.image.readers.dicom import read_header

    keywords = [
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "NumberOfFrames",
        "BurnedInAnnotation",
        "PhotometricInterpretation",
    ]
    with path.open("rb") as stream:
        header = read_header(path, stream, keywords)
    if header is None or str(header.get("BurnedInAnnotation", "")).upper() == "YES":
        return None
    syntax = getattr(header.file_meta, "TransferSyntaxUID", None)
    if syntax is None or syntax.is_compressed:
        return None
    if int(header["Rows"].value) * int(header["Columns"].value) * int(header.get("SamplesPerPixel", 1)) > MAX_PIXELS:
        return None
    frames = int(header.get("NumberOfFrames") or 1)
    pixels = pixel_array(path, index=frames // 2)
    place = f"frame {frames // 2 + 1} of {frames}" if frames > 1 else ""
    kind = str(header.get("PhotometricInterpretation", ""))
    if pixels.ndim == 3:
        return _coloured(pixels, place, 1, is_rgb=True)
    return Planes(channels=(pixels,), place=place, inverted=kind == "MONOCHROME1")


def of_zarr(path: Path, edge: int) -> Planes | None:
    """Read the planes of an OME-Zarr: first image, the smallest level that is large enough."""
    folder = ZarrFolder(path)
    images = folder.images()
    if not images or not images[0].levels:
        return None
    image = images[0]
    arrays = [folder.array(level) for level in image.levels]
    array = next((each for each in reversed(arrays) if max(each.shape[-2:]) >= edge), arrays[0])
    names = image.axis_names or tuple("tczyx"[-len(array.shape) :])
    if names[-2:] != ("y", "x") or len(names) != len(array.shape) or math.prod(array.shape[-2:]) > MAX_PIXELS:
        return None
    sizes = {axis.upper(): array.shape[names.index(axis)] if axis in names else 1 for axis in "zct"}
    z = sizes["Z"] // 2
    channels = []
    for c in range(min(MAX_CHANNELS, sizes["C"])):
        at = {"z": z, "c": c}
        plane = _zarr_plane(path, folder, array, [at.get(name, 0) for name in names[:-2]])
        if plane is None:
            return None
        channels.append(plane)
    labels = [mapping(each).get("label") for each in sequence(mapping(image.ome.get("omero")).get("channels"))]
    return Planes(
        channels=tuple(channels),
        names=tuple(label if isinstance(label, str) else "" for label in labels),
        place=_Stack(sizes=sizes).place(z=z, t=0),
        reduction=max(1, max(arrays[0].shape[-2:]) // max(1, *array.shape[-2:])),
    )


def _zarr_plane(path: Path, folder: ZarrFolder, array: ZarrArray, at: Sequence[int]) -> NDArray[Any] | None:
    """Read one plane: plain, gzip and zlib chunks with what Python brings, all else with the zarr package, if there."""
    import numpy as np

    if not array.dtype or array.chunk_bytes > _MAX_CHUNK_BYTES:
        return None
    if array.codecs and not (len(array.codecs) == 1 and array.codecs[0] in _INFLATED):
        return _by_zarr(path, array, at)
    dtype = np.dtype(array.dtype).newbyteorder(">" if array.big_endian else "<")
    plane = np.full(array.shape[-2:], array.fill, dtype)
    rows, columns = array.grid[-2:]
    if rows * columns > _MAX_PLANE_CHUNKS:
        return None
    head = [index // size for index, size in zip(at, array.chunks, strict=False)]
    inside = tuple(index % size for index, size in zip(at, array.chunks, strict=False))
    for row, column in itertools.product(range(rows), range(columns)):
        data = _chunk(folder.locate(f"{array.path}/{array.chunk_path([*head, row, column])}"), array)
        if data is None:
            continue
        block = np.frombuffer(data, dtype).reshape(array.chunks)[inside]
        top, left = row * array.chunks[-2], column * array.chunks[-1]
        target = plane[top : top + array.chunks[-2], left : left + array.chunks[-1]]
        target[...] = block[: target.shape[0], : target.shape[1]]
    return plane


def _chunk(path: Path, array: ZarrArray) -> bytes | None:
    try:
        with path.open("rb") as stream:
            data = stream.read(array.chunk_bytes + (1 << 20))
    except FileNotFoundError:
        return None
    if array.codecs:
        data = zlib.decompressobj(_INFLATED[array.codecs[0]]).decompress(data, array.chunk_bytes)
    if len(data) != array.chunk_bytes:
        msg = "a Zarr chunk does not have the size that the metadata promises"
        raise struct.error(msg)
    return data


def _by_zarr(path: Path, array: ZarrArray, at: Sequence[int]) -> NDArray[Any] | None:
    try:
        import zarr
    except ImportError:
        return None
    import numpy as np

    opened = zarr.open_array(str(path / array.path), mode="r")
    return np.asarray(opened[tuple(at)])
