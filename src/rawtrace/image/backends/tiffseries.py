"""Which pages of a TIFF belong together, and as what: OME-XML, ImageJ, tifffile's own notes, makers, or plain pages."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import Error, PixelsError
from rawtrace.image import omexml, units
from rawtrace.image.backends.axes import Leading, leading
from rawtrace.image.backends.files import check_promise
from rawtrace.image.backends.tiffpages import COLOR_MAP, PALETTE, SUBFILE, WHITE_IS_ZERO, Layout, Pages
from rawtrace.image.collect import MAX_METADATA_BYTES, to_number
from rawtrace.image.quiet import quietly
from rawtrace.image.reader import PlaneIndex, Scene
from rawtrace.image.readers import tiff as tags
from rawtrace.image.tiffdirectory import Directory

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Makers whose pages only tifffile knows to sort.
_MAKERS = (
    "lsm", "stk", "fluoview", "svs", "scn", "ndpi", "bif", "qpi", "philips", "ventana", "sis", "avs", "scanimage",
    "mdgel", "nih", "eer", "indica", "mmstack", "ndtiff",
)  # fmt: skip
_REDUCED, _MASK = 1, 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where a plane is: a directory by its number in the chain or by its offset, and bytes to pass over behind it."""

    number: int = 0
    offset: int | None = None
    skip: int = 0
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """One scene and where its planes are."""

    scene: Scene
    layout: Layout
    place: Callable[[PlaneIndex], Place]
    palette: NDArray[Any] | None = None
    levels: tuple[Stack, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """All scenes of a file."""

    format: str
    stacks: tuple[Stack, ...]
    notes: tuple[str, ...] = ()


def series(path: Path, pages: Pages) -> Series:
    """Sort the pages of a file into scenes.

    Raises
    ------
    PixelsError, LimitError, MalformedError
    """
    if pages.tiff.first == 0:
        msg = "the TIFF has no directory yet: its writer has not finished"
        raise PixelsError(msg)
    first = pages.directory(pages.tiff.first)
    text = pages.raw(first, tags.DESCRIPTION, limit=MAX_METADATA_BYTES)
    if omexml.looks_like_ome(text):
        from rawtrace.image.backends import tiffome

        return tiffome.series(path, pages, text)
    fields = tags.imagej_fields(text)
    if fields:
        return _imagej(pages, first, fields)
    found = _by_maker(path, pages) or _plain(pages, text)
    total = sum(stack.layout.plane_bytes * stack.scene.planes for stack in found.stacks)
    check_promise(total, pages.file.size)
    return found


def make(
    pages: Pages,
    directory: Directory,
    axes: Leading,
    place: Callable[[PlaneIndex], Place],
    *,
    stored: str,
    name: str = "",
    channels: Sequence[str] = (),
    size_um: tuple[float | None, float | None, float | None] = (None, None, None),
    coloured: bool = True,
    levels: tuple[Stack, ...] = (),
) -> Stack:
    """Build a stack from its first directory and its axes."""
    layout = pages.layout(directory)
    palette = _palette(pages, directory, layout) if coloured else None
    count = axes.sizes["C"]
    scene = Scene(
        index=0,
        name=name,
        t=axes.sizes["T"],
        c=count,
        z=axes.sizes["Z"],
        y=layout.length,
        x=layout.width,
        samples=layout.samples if palette is None else int(palette.shape[1]),
        dtype=layout.dtype if palette is None else palette.dtype.name,
        pixel_size_um=size_um,
        channel_names=tuple((channels[at] if at < len(channels) else "") for at in range(count))
        if count <= 4_096
        else (),
        white_is_zero=layout.photometric == WHITE_IS_ZERO,
        stored_axes=stored,
    )
    return Stack(scene=scene, layout=layout, place=place, palette=palette, levels=levels)


def _imagej(pages: Pages, first: Directory, fields: dict[str, str]) -> Series:
    def count(key: str) -> int:
        number = to_number(fields.get(key))
        return number if isinstance(number, int) and 0 < number < 1 << 31 else 1

    layout = pages.layout(first)
    held = pages.chain
    sizes = [count("frames"), count("slices"), count("channels")]
    if layout.samples > 1 and sizes[2] in {1, layout.samples}:
        sizes[2] = 1
    images = max(count("images"), math.prod(sizes))
    if math.prod(sizes) == 1 and images > 1:
        sizes[1] = images
    promised = math.prod(sizes)
    notes: list[str] = []
    run = pages.page(first.offset).run
    contiguous = len(held) == 1 and promised > 1 and run is not None
    if not contiguous and promised != len(held) and len(held) % promised == 0 and promised == 1:
        sizes = [1, len(held), 1]
    axes = leading("TZC", sizes)
    check_promise(math.prod(sizes) * layout.plane_bytes, pages.file.size)
    if contiguous:
        notes.append("all planes lie behind one directory, as ImageJ writes them beyond 4 GB")

    def place(plane: PlaneIndex) -> Place:
        number = axes.number(plane)
        return Place(skip=number * layout.plane_bytes) if contiguous else Place(number=number)

    stack = make(
        pages,
        first,
        axes,
        place,
        stored=_stored("TZC", sizes, layout),
        channels=[],
        size_um=_imagej_size(pages, first, fields),
        # ImageJ's colours are for looking at: its values are measurements.
        coloured=False,
    )
    return Series(format="ImageJ TIFF", stacks=(stack,), notes=tuple(notes))


def _imagej_size(
    pages: Pages, directory: Directory, fields: dict[str, str]
) -> tuple[float | None, float | None, float | None]:
    unit = fields.get("unit", "")
    spacing = to_number(fields.get("spacing"))
    z = units.in_um(abs(spacing), unit) if spacing else None
    return z, _per_unit(pages, directory, tags.Y_RESOLUTION, unit), _per_unit(pages, directory, tags.X_RESOLUTION, unit)


def _per_unit(pages: Pages, directory: Directory, tag: int, unit: str) -> float | None:
    numbers = pages.numbers(directory, tag, limit=1)
    return units.in_um(1 / numbers[0], unit) if numbers and numbers[0] > 0 else None


def _by_maker(path: Path, pages: Pages) -> Series | None:
    """Let tifffile sort the pages of formats that only it knows."""
    import tifffile

    try:
        with quietly(), tifffile.TiffFile(path, _multifile=False) as tif:
            maker = next((name for name in _MAKERS if getattr(tif, f"is_{name}", False)), "")
            if not maker or len(pages.chain) > 100_000:
                return None
            stacks, notes = [], []
            for found in tif.series:
                if found.name.lower() in {"thumbnail", "label", "macro", "overview", "preview"}:
                    notes.append(f"the {found.name.lower()} is not a scene")
                    continue
                levels = tuple(_of_tifffile(pages, level, ()) for level in found.levels[1:32])
                stack = _of_tifffile(pages, found, tuple(each for each in levels if each is not None))
                if stack is not None:
                    stacks.append(stack)
    except Error:
        raise
    except Exception:  # noqa: BLE001  what tifffile cannot sort is a TIFF like any other
        return None
    return Series(format=f"{maker.upper()} TIFF", stacks=tuple(stacks), notes=tuple(notes)) if stacks else None


def _of_tifffile(pages: Pages, found: Any, levels: tuple[Stack, ...]) -> Stack | None:
    page = found.keyframe
    names, sizes = [], []
    for axis, size in zip(found.axes, found.shape, strict=True):
        if axis not in "YXS":
            names.append(axis)
            sizes.append(int(size))
    axes = leading("".join(names), sizes)
    count, held = math.prod(sizes), len(found.pages)
    if count == held:
        offsets = [each.offset if each is not None else 0 for each in found.pages]

        def place(plane: PlaneIndex) -> Place:
            return Place(offset=offsets[axes.number(plane)])
    elif found.dataoffset is not None and pages.page(page.offset).run == found.dataoffset:

        def place(plane: PlaneIndex) -> Place:
            size = page.nbytes
            return Place(offset=page.offset, skip=axes.number(plane) * size)
    else:
        return None
    return make(
        pages, pages.directory(page.offset), axes, place, stored=found.axes, name=str(found.name)[:200], levels=levels
    )


def _plain(pages: Pages, text: bytes) -> Series:
    """Put pages of equal size and type together, as tifffile does; reduced copies and masks are not scenes."""
    groups: dict[tuple[int, int, int, str], list[int]] = {}
    reduced: dict[float, list[int]] = {}
    notes: list[str] = []
    left = 0
    for offset in pages.chain:
        directory = pages.directory(offset)
        kind = int((pages.numbers(directory, SUBFILE, limit=8) or (0,))[0])
        if kind & (_REDUCED | _MASK) and offset != pages.tiff.first:
            left += 1
            if kind & _REDUCED and groups:
                reduced.setdefault(len(groups) - 1, []).append(offset)
            continue
        try:
            layout = pages.layout(directory)
        except PixelsError as error:
            if len(pages.chain) == 1:
                raise
            notes.append(f"a page was left out: {error.message}")
            continue
        groups.setdefault((layout.length, layout.width, layout.samples, layout.dtype), []).append(offset)
    if left:
        notes.append(f"{left} reduced copies or masks are not scenes")
    if pages.broken:
        notes.append(f"the chain of directories breaks off after {len(pages.chain)} pages")
    shape = _noted_shape(text) if len(groups) == 1 else None
    stacks = []
    for number, offsets in enumerate(groups.values()):
        levels = tuple(
            make(pages, pages.directory(each), leading("", ()), _fixed(each), stored="YX")
            for each in reduced.get(number, [])[:32]
        )
        stacks.append(_group(pages, offsets, shape, levels if len(offsets) == 1 else ()))
    return Series(format="TIFF", stacks=tuple(stacks), notes=tuple(dict.fromkeys(notes)))


def _fixed(offset: int) -> Callable[[PlaneIndex], Place]:
    return lambda _: Place(offset=offset)


def _group(
    pages: Pages, offsets: list[int], noted: tuple[tuple[int, ...], str] | None, levels: tuple[Stack, ...]
) -> Stack:
    first = pages.directory(offsets[0])
    layout = pages.layout(first)
    names, sizes = ("I", [len(offsets)]) if len(offsets) > 1 else ("", [])
    contiguous = False
    if noted is not None:
        found = _noted_axes(noted, layout, len(offsets), pages.page(offsets[0]).run is not None)
        if found is not None:
            names, sizes = found
            contiguous = len(offsets) == 1 and math.prod(sizes) > 1
    axes = leading(names, sizes)

    def place(plane: PlaneIndex) -> Place:
        number = axes.number(plane)
        return (
            Place(offset=offsets[0], skip=number * layout.plane_bytes) if contiguous else Place(offset=offsets[number])
        )

    unit = {4: "mm", 5: "µm"}.get(int((pages.numbers(first, tags.RESOLUTION_UNIT, limit=1) or (0,))[0]), "")
    size_um = (
        None,
        _per_unit(pages, first, tags.Y_RESOLUTION, unit),
        _per_unit(pages, first, tags.X_RESOLUTION, unit),
    )
    return make(
        pages, first, axes, place, stored=_stored(names, sizes, layout), size_um=size_um, levels=levels,
        coloured=noted is None,
    )  # fmt: skip


def _noted_shape(text: bytes) -> tuple[tuple[int, ...], str] | None:
    """Return the shape and the axes that tifffile notes in the description of what it writes."""
    if not text.startswith(b'{"shape"') or len(text) > 65_536:
        return None
    try:
        said = json.loads(text.rstrip(b"\x00"))
    except ValueError:
        return None
    shape, axes = said.get("shape"), said.get("axes", "")
    if not isinstance(shape, list) or len(shape) > 16:
        return None
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 < each < 1 << 40 for each in shape):
        return None
    return tuple(shape), axes if isinstance(axes, str) and len(axes) == len(shape) else ""


def _noted_axes(
    noted: tuple[tuple[int, ...], str], layout: Layout, held: int, direct: bool
) -> tuple[str, list[int]] | None:
    shape, axes = noted
    for inner in (
        (layout.length, layout.width, layout.samples), (layout.samples, layout.length, layout.width),
        (layout.length, layout.width),
    ):  # fmt: skip
        if len(inner) == 2 and layout.samples > 1:
            continue
        if shape[-len(inner) :] == inner:
            head = shape[: -len(inner)]
            if math.prod(head) == held or (held == 1 and direct):
                names = axes[: len(head)] if axes else "Q" * len(head)
                return names.upper(), list(head)
    return None


def _stored(names: str, sizes: Sequence[int], layout: Layout) -> str:
    head = "".join(name for name, size in zip(names, sizes, strict=True) if size > 1)
    return head + (("SYX" if layout.separate else "YXS") if layout.samples > 1 else "YX")


def _palette(pages: Pages, directory: Directory, layout: Layout) -> NDArray[Any] | None:
    """Return the colours of a palette picture, (entries, 3); 8 bit where they lose nothing by it."""
    import numpy as np

    if layout.photometric != PALETTE or layout.samples != 1 or layout.bits > 16 or not layout.dtype.startswith("uint"):
        return None
    numbers = pages.numbers(directory, COLOR_MAP, limit=3 << 16)
    entries = 1 << layout.bits
    if len(numbers) != 3 * entries:
        return None
    colours = np.asarray(numbers, np.uint16).reshape(3, entries).T
    if (colours % 257 == 0).all() or (colours % 256 == 0).all():
        colours = (colours >> 8).astype(np.uint8)
    # What a sample could hold beyond the table cannot come from a whole file.
    return np.ascontiguousarray(colours)
