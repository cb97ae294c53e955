"""What an index keeps of one file: read in one go, by whatever process has the time."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import ChangedWhileReadError, LimitError, from_os_error
from rawtrace.image.codes import SceneCodes, bits_of, scene_codes, view_code
from rawtrace.image.hashing import Lanes
from rawtrace.image.reader import PlaneIndex, Scene, open_image
from rawtrace.image.treewalk import treewalk
from rawtrace.image.views import RENDERING, scene_views, view_at, views_of_each
from rawtrace.match.features import features, to_bytes
from rawtrace.match.model import Where

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Planes of one file whose digests are kept; the first ones, and a note says so.
MAX_PLANES = 200_000
_READ_BYTES = 1 << 20
#: From here on a picture may be a blot or a gel.
MAY_BE_BLOT = 0.5
#: 32 bytes.
Digest = bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What tells without reading that a file or folder is as it was.

    Attributes
    ----------
    size : int
        Bytes; of a folder, of all its files.
    changed_ns : int
        When it was last written, of a folder the latest of all its files, ns since 1970.
    """

    size: int
    changed_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneRecord:
    """One plane: where it is, its Instance-Code's 32 bytes, and whether all its pixels are equal."""

    index: PlaneIndex
    instance: Digest
    constant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRecord:
    """One scene with its planes."""

    scene: Scene
    header: str
    iscc: str
    instance: Digest
    data: str
    planes: tuple[PlaneRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRecord:
    """One view: what ``rawtrace.image.views.View`` says, and what it is found by.

    Attributes
    ----------
    code : bytes
        32 bytes of the Image-Code, or none.
    features : bytes
        Its points, packed.
    strip : bytes
        A reduced copy in which strips are found, of what may be a blot or a gel; else none.
    """

    scene: int
    channel: int | None
    z: int | None
    t: int | None
    projection: str
    rendering: str
    reduction: int
    size: tuple[int, int]
    code: bytes
    points: int
    features: bytes
    strip: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """All that is kept of one file."""

    stamp: Stamp
    digest: Digest
    format: str
    scenes: tuple[SceneRecord, ...]
    views: tuple[ViewRecord, ...]
    notes: tuple[str, ...]


def stamp_of(path: Path) -> Stamp:
    """Look at a file, or at all files of a folder, without reading them.

    Raises
    ------
    InputNotFoundError, UnreadableError, LimitError
    """
    try:
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):
            return Stamp(size=found.st_size, changed_ns=found.st_mtime_ns)
        members = [one.stat(follow_symlinks=False) for one in treewalk(path)]
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    changed = max((one.st_mtime_ns for one in members), default=found.st_mtime_ns)
    return Stamp(size=sum(one.st_size for one in members), changed_ns=changed)


def digest_of(path: Path) -> Digest:
    """Return the 32 bytes of the Instance-Code of a file, or of the files of a folder one after another.

    Raises
    ------
    InputNotFoundError, UnreadableError, LimitError
    """
    import iscc_lib

    hasher = iscc_lib.InstanceHasher()
    try:
        for one in treewalk(path) if path.is_dir() else (path,):
            with one.open("rb") as stream:
                while piece := stream.read(_READ_BYTES):
                    hasher.update(piece)
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    return bits_of(str(hasher.finalize(bits=256)["iscc"]))


def describe(path: Path, *, alive: Callable[[], None] = lambda: None) -> Description:
    """Read a file and return what an index keeps of it.

    Parameters
    ----------
    path : Path
    alive : callable
        Called after each scene and view.

    Raises
    ------
    ChangedWhileReadError
        It was written meanwhile.
    InputNotFoundError, UnreadableError, PixelsError, LimitError, MissingExtraError
    """
    before = stamp_of(path)
    digest = digest_of(path)
    alive()
    scenes: list[SceneRecord] = []
    views: list[ViewRecord] = []
    room = MAX_PLANES
    with open_image(path) as image:
        limit = views_of_each(len(image.scenes))
        notes = list(image.notes)
        with Lanes() as lanes:
            for scene in image.scenes:
                record = _scene_record(scene_codes(image, scene, planes=True, views=0, lanes=lanes), room)
                room -= len(record.planes)
                scenes.append(record)
                alive()
                for view in scene_views(image, scene, limit=limit):
                    code = view_code(view).image
                    found = features(view.pixels)
                    views.append(
                        ViewRecord(
                            scene=view.scene, channel=view.channel, z=view.z, t=view.t, projection=view.projection,
                            rendering=RENDERING, reduction=view.reduction, size=view.size,
                            code=bits_of(code) if code else b"", points=len(found), features=to_bytes(found),
                            strip=_strip(view.pixels),
                        )
                    )  # fmt: skip
                    alive()
        name = image.format
    if room == 0:
        notes.append(f"only the first {MAX_PLANES} planes are kept")
    if stamp_of(path) != before:
        msg = f"{path} changed while it was read"
        raise ChangedWhileReadError(msg, hint="wait until the program that writes it has finished, then add it again")
    return Description(
        stamp=before, digest=digest, format=name, scenes=tuple(scenes), views=tuple(views), notes=tuple(notes)
    )


def _strip(pixels: NDArray[Any]) -> bytes:
    """Return what strips are found in, of what may be a blot or a gel."""
    from rawtrace.match.strips.features import looks_like_blot, strip_features

    return strip_features(pixels).to_bytes() if looks_like_blot(pixels) >= MAY_BE_BLOT else b""


def rendered(path: Path, where: Where) -> NDArray[Any] | None:
    """Render one view of a file; ``None`` where it has none such.

    Raises
    ------
    InputNotFoundError, UnreadableError, PixelsError, LimitError, MissingExtraError
    """
    with open_image(path) as image:
        if not 0 <= where.scene < len(image.scenes):
            return None
        found = view_at(
            image, image.scenes[where.scene], channel=where.channel, z=where.z, t=where.t, projection=where.projection
        )
    return None if found is None else found.pixels


def image_files(path: Path, *, root: bool = True) -> list[Path]:
    """Return the images below a folder, or the path itself where it was named; links inside are passed over.

    Raises
    ------
    InputNotFoundError, UnreadableError
    LimitError
        Folders deeper inside one another than are accepted.
    """
    return _images(path, root=root, depth=0)


_MAX_DEPTH = 64


def _images(path: Path, *, root: bool, depth: int) -> list[Path]:
    from rawtrace.durable import TEMPORARY_SUFFIX
    from rawtrace.errors import Error
    from rawtrace.image.reader import is_known

    if root and not path.is_dir():
        return [path]
    if depth > _MAX_DEPTH:
        msg = f"{path} lies in more than {_MAX_DEPTH} folders inside one another; no more are accepted"
        raise LimitError(msg)
    if path.is_dir() and is_known(path):
        return [path]
    found: list[Path] = []
    try:
        with os.scandir(path) as entries:
            inside = sorted((one for one in entries if not one.is_symlink()), key=lambda one: os.fsencode(one.name))
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    for one in inside:
        member = path / one.name
        if one.name.startswith(".") or one.name.endswith(TEMPORARY_SUFFIX):
            continue
        if one.is_dir(follow_symlinks=False):
            found += _images(member, root=False, depth=depth + 1)
        elif one.is_file(follow_symlinks=False):
            try:
                known = is_known(member)
            except Error:  # it cannot be opened: that is told when it is read
                known = True
            if known:
                found.append(member)
    return found


def _scene_record(codes: SceneCodes, room: int) -> SceneRecord:
    return SceneRecord(
        scene=codes.scene,
        header=codes.header,
        iscc=codes.iscc,
        instance=bits_of(codes.instance),
        data=codes.data,
        planes=tuple(
            PlaneRecord(index=one.index, instance=bits_of(one.instance), constant=one.constant)
            for one in codes.planes[:room]
        ),
    )
