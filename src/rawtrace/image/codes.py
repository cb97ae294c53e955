"""Content codes (ISCC, ISO 24138:2024) of a file, its scenes, its planes and its views.

Normative text with a worked example: ``docs/spec/codes.md``. Scene codes of grey
images are those of iscc-bio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from rawtrace.errors import LimitError, MissingExtraError, PixelsError, from_os_error
from rawtrace.image.formats import detect
from rawtrace.image.hashing import Lanes, Stream, Units
from rawtrace.image.isccunits import bits_of, decode_seq, dihedral_codes, distance, encode_seq, image_code
from rawtrace.image.planes import header_digest, is_constant, pieces
from rawtrace.image.reader import Image, PlaneIndex, Scene, open_image
from rawtrace.image.treewalk import IGNORE_FILE, treewalk
from rawtrace.image.views import Stack, View, factor_of, scene_views, stacks_of, views_of_each
from rawtrace.progress import SILENT, Progress

__all__ = (
    "FileCodes",
    "PlaneCodes",
    "SceneCodes",
    "ViewCode",
    "bits_of",
    "codes_of",
    "codes_of_image",
    "decode_seq",
    "dihedral_codes",
    "distance",
    "encode_seq",
    "image_code",
    "scene_codes",
    "view_code",
)

_READ_BYTES = 1 << 20
#: Stacks that grow while planes are hashed take at most so much memory; larger ones are read once more afterwards.
_STACK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneCodes:
    """What one plane hashes to.

    Attributes
    ----------
    index : PlaneIndex
    instance, data : str
        Instance-Code and Data-Code of its canonical bytes, 256 bits each.
    constant : bool
        Whether all its pixels are equal: such a plane is evidence of nothing.
    """

    index: PlaneIndex
    instance: str
    data: str
    constant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewCode:
    """What one view looks like; scene, channel, z, t and projection as in ``rawtrace.image.views.View``.

    Attributes
    ----------
    image : str
        Image-Code of 256 bits; ``""`` where there is too little to see.
    """

    scene: int
    channel: int | None
    z: int | None
    t: int | None
    projection: str
    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneCodes:
    """What one scene hashes to.

    Attributes
    ----------
    scene : Scene
    header : str
        SHA-256 of the canonical header, hexadecimal: binds shape, axes, samples and type, which the codes do not.
    iscc : str
        The wide ISCC-SUM of its planes' canonical bytes, Z outermost, then C, then T.
    instance, data : str
        Of the same bytes, 256 bits each.
    planes : tuple[PlaneCodes, ...]
        In the order of the walk; empty where they were not asked for.
    views : tuple[ViewCode, ...]
        Empty where they were not asked for.
    """

    scene: Scene
    header: str
    iscc: str
    instance: str
    data: str
    planes: tuple[PlaneCodes, ...] = ()
    views: tuple[ViewCode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCodes:
    """What a file or folder hashes to.

    Attributes
    ----------
    path : Path
    format : str
        For people, as in ``"OME-TIFF"``.
    size : int
        Bytes; of a folder, of all its files.
    iscc, instance, data : str
        Of the bytes as they are stored; ``""`` where they were not asked for.
    scenes : tuple[SceneCodes, ...]
        Empty where the file is no image that can be read; a note says why.
    notes : tuple[str, ...]
        What was left out and why, a sentence each.
    """

    path: Path
    format: str
    size: int = 0
    iscc: str = ""
    instance: str = ""
    data: str = ""
    scenes: tuple[SceneCodes, ...] = ()
    notes: tuple[str, ...] = ()


def codes_of(
    path: Path,
    *,
    planes: bool = True,
    views: bool = True,
    file: bool = True,
    progress: Progress = SILENT,
    on_view: Callable[[View], None] | None = None,
) -> FileCodes:
    """Compute the codes of a file or folder.

    Parameters
    ----------
    path : Path
        An image of any format that is known; anything else gets the codes of its bytes alone.
    planes, views, file : bool, optional
        Whether to compute the codes of planes, of views, and of the stored bytes.
    progress : Progress, optional
        Told the bytes that are done.
    on_view : callable, optional
        Given every view, as by ``codes_of_image``.

    Returns
    -------
    FileCodes

    Raises
    ------
    InputNotFoundError, UnreadableError
    PixelsError
        An image has a damaged or missing plane; the message names it. There are no codes of a part.
    LimitError
        A folder of too many files.
    """
    kind = detect(path)
    notes: list[str] = []
    image = _open(path, notes)
    if image is None:
        units = _file_units(path, notes, progress) if file else None
        return _file_codes(path, kind.name, units, (), notes)
    stop = Event()
    with image, ThreadPoolExecutor(1, thread_name_prefix="rawtrace-file") as pool:
        # Both read the same file: what one has read, the other finds in memory.
        beside = pool.submit(_file_units, path, notes, SILENT, stop) if file else None
        try:
            scenes = codes_of_image(image, planes=planes, views=views, progress=progress, on_view=on_view)
            units = beside.result() if beside else None
        finally:
            stop.set()
        return _file_codes(path, image.format, units, scenes, [*image.notes, *notes])


def codes_of_image(
    image: Image,
    *,
    planes: bool = True,
    views: bool = True,
    progress: Progress = SILENT,
    on_view: Callable[[View], None] | None = None,
) -> tuple[SceneCodes, ...]:
    """Compute the codes of every scene of an open image.

    Parameters
    ----------
    on_view : callable, optional
        Given every view whose code is computed, so that whoever wants the pictures too need not read everything again.

    Raises
    ------
    PixelsError
    """
    limit = views_of_each(len(image.scenes)) if views else 0
    with Lanes() as lanes:
        return tuple(
            scene_codes(image, scene, planes=planes, views=limit, lanes=lanes, progress=progress, on_view=on_view)
            for scene in image.scenes
        )


def scene_codes(
    image: Image,
    scene: Scene,
    *,
    planes: bool,
    views: int,
    lanes: Lanes,
    progress: Progress = SILENT,
    on_view: Callable[[View], None] | None = None,
) -> SceneCodes:
    """Compute the codes of one scene.

    Parameters
    ----------
    views : int
        How many views at most; 0 for none.
    lanes : Lanes
        The threads that hash.

    Raises
    ------
    PixelsError
    """
    digest = header_digest(scene)
    progress.start(f"{image.path.name}, scene {scene.index}", scene.planes * scene.plane_bytes)
    whole = Stream(lanes.whole, lanes.exact)
    # One plane alone hashes to what the scene hashes to.
    several = planes and scene.planes > 1
    found: list[tuple[PlaneIndex, Callable[[], Units], bool]] = []
    constant = False
    stacks = _stacks(scene, views)
    rendered: list[ViewCode] = []
    for index in scene.walk():
        own = Stream(lanes.planes, lanes.exact) if several else None
        stack = stacks.get((index.c, index.t))
        constant = _feed(image, scene, index, [whole, own] if own else [whole], stack, progress, watch=planes)
        if own:
            found.append((index, own.finish(), constant))
        if stack and index.z == scene.z - 1:
            rendered += _view_codes(stacks.pop((index.c, index.t)).views(), on_view)
    units = whole.finish()
    lanes.wait()
    done = units()
    progress.finish()
    if planes and not several:
        found.append((PlaneIndex(), units, constant))
    if views and not rendered:
        rendered = _view_codes(scene_views(image, scene, limit=views), on_view)
    return SceneCodes(
        scene=scene,
        header=digest,
        iscc=done.iscc,
        instance=done.instance,
        data=done.data,
        planes=tuple(_plane_codes(index, get(), same) for index, get, same in found),
        views=tuple(rendered),
    )


def view_code(view: View) -> ViewCode:
    """Compute the Image-Code of one view."""
    return ViewCode(
        scene=view.scene,
        channel=view.channel,
        z=view.z,
        t=view.t,
        projection=view.projection,
        image=image_code(view.pixels),
    )


def _stacks(scene: Scene, limit: int) -> dict[tuple[int, int], Stack]:
    """Return the stacks that can be rendered while the planes are hashed: all of them, or none."""
    chosen = stacks_of(scene, limit=limit) if limit else ()
    factor = factor_of(scene)
    # Floats where pixels are averaged; the sharpest plane and the greatest values of each stack at a time.
    value_bytes = max(4, scene.plane_bytes // max(1, scene.y * scene.x * scene.samples))
    needed = (scene.y // factor + 1) * (scene.x // factor + 1) * value_bytes * 2
    if needed * len(chosen) > _STACK_BYTES and scene.z > 1:
        return {}
    return {(channel, time): Stack(scene, channel, time) for channel, time in chosen}


def _view_codes(views: Iterable[View], on_view: Callable[[View], None] | None) -> list[ViewCode]:
    codes: list[ViewCode] = []
    for view in views:
        codes.append(view_code(view))
        if on_view is not None:
            on_view(view)
    return codes


def _feed(
    image: Image,
    scene: Scene,
    index: PlaneIndex,
    streams: list[Stream],
    stack: Stack | None,
    progress: Progress,
    *,
    watch: bool,
) -> bool:
    """Hash and render one plane, and tell whether all its pixels are equal."""
    constant, pixel = watch, b""
    pixel_bytes = scene.plane_bytes // max(1, scene.y * scene.x)
    for band in image.bands(scene, index):
        for piece in pieces(band):
            pixel = pixel or piece[:pixel_bytes]
            constant = constant and is_constant(piece, pixel)
            for stream in streams:
                stream.update(piece)
            progress.advance(len(piece))
        if stack is not None:
            stack.add(band)
    if stack is not None:
        stack.end_plane()
    return constant


def _plane_codes(index: PlaneIndex, units: Units, constant: bool) -> PlaneCodes:
    return PlaneCodes(index=index, instance=units.instance, data=units.data, constant=constant)


def _open(path: Path, notes: list[str]) -> Image | None:
    try:
        return open_image(path)
    except (LimitError, MissingExtraError, PixelsError) as error:
        notes.append(f"no scene was read: {error}" + (f" ({error.hint})" if error.hint else ""))
        return None


def _file_codes(
    path: Path, name: str, units: Units | None, scenes: tuple[SceneCodes, ...], notes: list[str]
) -> FileCodes:
    if units is None:
        return FileCodes(path=path, format=name, scenes=scenes, notes=tuple(notes))
    return FileCodes(
        path=path,
        format=name,
        size=units.size,
        iscc=units.iscc,
        instance=units.instance,
        data=units.data,
        scenes=scenes,
        notes=tuple(notes),
    )


def _file_units(path: Path, notes: list[str], progress: Progress, stop: Event | None = None) -> Units:
    folder = path.is_dir()
    if folder and (path / IGNORE_FILE).is_file():
        notes.append(f"the rules in {IGNORE_FILE} were not applied: the code of the folder covers all its files")
    try:
        progress.start(path.name, None if folder else path.stat().st_size)
        with Lanes() as lanes:
            stream = Stream(lanes.whole, lanes.exact)
            for one in treewalk(path) if folder else (path,):
                _feed_file(one, stream, progress, stop)
            units = stream.finish()
            lanes.wait()
        progress.finish()
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    return units()


def _feed_file(path: Path, stream: Stream, progress: Progress, stop: Event | None) -> None:
    with path.open("rb") as opened:
        while not (stop and stop.is_set()) and (piece := opened.read(_READ_BYTES)):
            stream.update(piece)
            progress.advance(len(piece))
