"""OME-TIFF: which page of which file is which plane, as the OME-XML says; companions only from the same folder."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from rawtrace.errors import Error, LimitError, PixelsError, from_os_error
from rawtrace.image import omexml, units
from rawtrace.image.backends.axes import leading
from rawtrace.image.backends.files import SharedFile, check_promise
from rawtrace.image.backends.tiffpages import Layout, Pages
from rawtrace.image.backends.tiffseries import Place, Series, Stack, make
from rawtrace.image.collect import MAX_METADATA_BYTES, to_number
from rawtrace.image.reader import MAX_PLANES, MAX_SCENES, PlaneIndex
from rawtrace.image.readers import ome, tiff

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORDERS = frozenset({"ZCT", "ZTC", "CZT", "CTZ", "TZC", "TCZ"})
_NOWHERE = -1
_MAX_COMPANIONS = 10_000


def series(path: Path, pages: Pages, text: bytes) -> Series:
    """Sort the planes of an OME-TIFF into scenes.

    Where the OME-XML describes several files, the scenes are those that have a
    plane in this file, with all of their planes.

    Raises
    ------
    PixelsError, LimitError, MalformedError
    """
    root, _ = omexml.parse(text)
    own = root.get("UUID", "")
    binary_only = root.find("BinaryOnly")
    if binary_only is not None:
        own = binary_only.get("UUID", own)
        root = _master(path, binary_only.get("MetadataFile", ""))
        root.set("UUID", own)
    files = _Files(path, own, root)
    notes: list[str] = []
    described = ome.scenes_of_file(root)
    if len(described) > MAX_SCENES:
        msg = f"the OME-XML describes {len(described)} scenes"
        raise LimitError(msg, hint=f"at most {MAX_SCENES} are read")
    if len(described) < len(root.findall("Image")):
        notes.append(f"{len(root.findall('Image'))} images are described; {len(described)} of them lie in this file")
    stacks: list[Stack] = []
    begin = total = 0
    for number, image in described:
        pixels = image.find("Pixels")
        if pixels is None:
            notes.append(f"Image[{number}] of the OME-XML has no pixels")
            continue
        stack, begin = _scene(pages, files, image, pixels, begin)
        total += stack.layout.plane_bytes * stack.scene.planes
        check_promise(total, pages.file.size + files.stored_elsewhere())
        stacks.append(stack)
    if not stacks:
        msg = "the OME-XML describes no image of this file"
        raise PixelsError(msg)
    if pages.broken:
        notes.append(f"the chain of directories breaks off after {len(pages.chain)} pages")
    return Series(format="OME-TIFF", stacks=tuple(stacks), notes=tuple(notes))


def _scene(pages: Pages, files: _Files, image: Element, pixels: Element, begin: int) -> tuple[Stack, int]:
    sizes = {axis: _at_least_one(pixels.get(f"Size{axis}")) for axis in "TCZ"}
    order = pixels.get("DimensionOrder", "XYZCT")[2:]
    if order not in _ORDERS:
        order = "ZCT"
    blocks = pixels.findall("TiffData")
    first_page = next((_whole(block.get("IFD")) for block in blocks if files.of(block) == 0), begin)
    if not first_page < len(pages.chain):
        msg = f"the OME-XML says that an image begins on page {first_page + 1}; the file has {len(pages.chain)}"
        raise PixelsError(msg)
    directory = pages.directory(pages.chain[first_page])
    layout = pages.layout(directory)
    channels = pixels.findall("Channel")
    if layout.samples > 1:
        # OME counts samples as channels.
        apart = sizes["C"] // layout.samples if sizes["C"] % layout.samples == 0 else sizes["C"]
        sizes["C"] = apart or 1
    planes = math.prod(sizes.values())
    if planes > MAX_PLANES:
        msg = f"the OME-XML promises {planes} planes"
        raise LimitError(msg, hint=f"at most {MAX_PLANES} are read")
    axes = leading(order[::-1], [sizes[axis] for axis in order[::-1]])
    stated = order[::-1] + ("YXS" if layout.samples > 1 and not layout.separate else "YX")
    where, next_page = _where(files, blocks, sizes, order, begin)
    names = [channel.get("Name", "")[:200] for channel in channels[:4_096]]
    stack = make(
        pages,
        directory,
        axes,
        _placer(files, where, axes.number),
        stored="".join(axis for axis in stated if axis in "YXS" or sizes[axis] > 1),
        name=image.get("Name", "")[:200],
        channels=names,
        size_um=(_length(pixels, "Z"), _length(pixels, "Y"), _length(pixels, "X")),
        coloured=False,
    )
    _check_size(pixels, layout)
    return stack, next_page


def _check_size(pixels: Element, layout: Layout) -> None:
    stated = (_at_least_one(pixels.get("SizeX")), _at_least_one(pixels.get("SizeY")))
    if pixels.get("SizeX") and pixels.get("SizeY") and stated != (layout.width, layout.length):
        msg = f"the OME-XML promises planes of {stated[0]} by {stated[1]} pixels; the pages have "
        raise PixelsError(msg + f"{layout.width} by {layout.length}")


def _where(
    files: _Files, blocks: list[Element], sizes: dict[str, int], order: str, begin: int
) -> tuple[NDArray[Any], int]:
    """Return for each plane, in the file's order, the number of its file and of its page, and the next free page."""
    import numpy as np

    planes = math.prod(sizes.values())
    where = np.full((planes, 2), _NOWHERE, np.int32)
    if not blocks:
        where[:, 0] = 0
        where[:, 1] = np.arange(begin, begin + planes)
        return where, begin + planes
    for block in blocks:
        at, step = 0, 1
        for axis in order:
            at += min(_whole(block.get(f"First{axis}")), sizes[axis]) * step
            step *= sizes[axis]
        page = _whole(block.get("IFD"))
        count = _whole(block.get("PlaneCount")) if block.get("PlaneCount") else (1 if block.get("IFD") else planes)
        count = max(0, min(count, planes - at))
        where[at : at + count, 0] = files.of(block)
        where[at : at + count, 1] = np.arange(page, page + count)
    return where, begin


def _placer(files: _Files, where: NDArray[Any], number: Callable[[PlaneIndex], int]) -> Callable[[PlaneIndex], Place]:
    def place(plane: PlaneIndex) -> Place:
        file, page = (int(each) for each in where[number(plane)])
        if file == _NOWHERE:
            msg = "the OME-XML does not say where it is"
            raise PixelsError(msg)
        return Place(number=page, path=files.path(file))

    return place


class _Files:
    """The files that an OME-XML names: 0 is the one that was opened."""

    def __init__(self, path: Path, uuid: str, root: Element) -> None:
        self._own = path
        self._uuid = uuid
        self.others: list[str] = []
        self._numbers: dict[tuple[str, str], int] = {}
        named = {self._key(block) for block in root.iterfind(".//TiffData")} - {("", "")}
        # A file that was given another name still knows that it is alone.
        self._alone = len(named) == 1

    @staticmethod
    def _key(block: Element) -> tuple[str, str]:
        uuid = block.find("UUID")
        return ("", "") if uuid is None else ((uuid.text or "").strip(), uuid.get("FileName", ""))

    def of(self, block: Element) -> int:
        """Return the number of the file that a block names."""
        key = self._key(block)
        if key not in self._numbers:
            self._numbers[key] = self._find(*key)
        return self._numbers[key]

    def _find(self, uuid: str, name: str) -> int:
        if not uuid and not name:
            return 0
        if self._uuid and uuid == self._uuid:
            return 0
        if name == self._own.name or not name or self._alone:
            return 0
        if name not in self.others:
            self.others.append(name)
        return self.others.index(name) + 1

    def stored_elsewhere(self) -> int:
        """Return the size of the companions that are there, in bytes."""
        total = 0
        for name in self.others[:_MAX_COMPANIONS]:
            try:
                total += beside(self._own, name).stat().st_size
            except (Error, OSError):
                continue
        return total

    def path(self, number: int) -> Path | None:
        """Return where a file is; ``None`` for the one that was opened.

        Raises
        ------
        PixelsError
            It is not in the folder, or lies elsewhere.
        """
        return None if number == 0 else beside(self._own, self.others[number - 1])


def beside(own: Path, name: str) -> Path:
    """Return a file that lies beside another.

    Raises
    ------
    PixelsError
        The name or a link leads elsewhere, or there is no such file.
    """
    if name in {"", ".", ".."} or any(each in name for each in "/\\:\x00\n\r") or len(name) > 255:
        msg = "the OME-XML says that it is in a file outside the folder, which is not opened"
        raise PixelsError(msg)
    path = own.parent / name
    try:
        if path.resolve().parent != own.parent.resolve():
            msg = f"the OME-XML says that it is in {name}, which is a link out of the folder and is not opened"
            raise PixelsError(msg)
        if not path.is_file():
            msg = f"the OME-XML says that it is in {name}, which is not in the folder"
            raise PixelsError(msg, hint="put the files of the set into one folder")
    except OSError as error:
        raise from_os_error(error, f"reading {name}") from error
    return path


def _master(path: Path, name: str) -> Element:
    """Read the OME-XML that a file without one of its own points to."""
    place = beside(path, name)
    file = SharedFile(place)
    try:
        head = file.read(0, 4)
        if head[:2] in {b"II", b"MM"}:
            pages = Pages(file)
            try:
                data = pages.raw(pages.directory(pages.tiff.first), tiff.DESCRIPTION, limit=MAX_METADATA_BYTES)
            finally:
                pages.close()
        else:
            data = file.read(0, MAX_METADATA_BYTES + 1)
    finally:
        file.close()
    root, _ = omexml.parse(data)
    return root


def _whole(text: str | None) -> int:
    number = to_number(text)
    return number if isinstance(number, int) and 0 <= number < 1 << 31 else 0


def _at_least_one(text: str | None) -> int:
    number = to_number(text)
    return number if isinstance(number, int) and number > 0 else 1


def _length(pixels: Element, axis: str) -> float | None:
    number = to_number(pixels.get(f"PhysicalSize{axis}"))
    return units.in_um(number, pixels.get(f"PhysicalSize{axis}Unit", "µm")) if number and number > 0 else None
