"""Completeness of TIFF, OME-TIFF and ImageJ TIFF: directories and strips against the promise."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rawtrace.errors import MalformedError
from rawtrace.image import omexml
from rawtrace.image.collect import to_number
from rawtrace.image.completeness import Completeness
from rawtrace.image.readers import ome
from rawtrace.image.readers.tiff import BITS, COMPRESSION, LENGTH, SAMPLES, WIDTH, description, imagej_fields
from rawtrace.image.tiffdirectory import Directory, TiffDirectories

_STRIPS = ((273, 279), (324, 325))
_SUB_DIRECTORIES = 330
_MAX_STRIPS = 1_000_000


@dataclass(slots=True)
class _Survey:
    """What a walk over all directories found."""

    pages: int = 0
    end: int = 0
    first: Directory | None = None
    first_pixels: int = 0
    cut: list[int] = field(default_factory=list)


def check(path: Path) -> Completeness:
    """Compare what a TIFF promises with what it holds.

    Raises
    ------
    MalformedError
        The chain of directories is broken: unfinished.
    LimitError
        Too many directories to count.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        tiff = TiffDirectories(stream, size)
        if tiff.first == 0:
            return Completeness(finished=False, present=0, reason="the TIFF holds no image yet")
        survey = _survey(tiff)
        if survey.first is None:
            return Completeness(finished=False, present=0, reason="the TIFF holds no image yet")
        data = description(tiff, survey.first)
        plane = _plane_bytes(tiff, survey.first)
        samples = _number(tiff, survey.first, SAMPLES, 1)
    if survey.cut:
        reason = f"the pixels of page {survey.cut[0]} are written in part only"
        return Completeness(finished=False, present=survey.pages - len(survey.cut), reason=reason)
    if omexml.looks_like_ome(data):
        return _ome(data, survey, samples, trailing=size - survey.end, plane=plane)
    images = to_number(imagej_fields(data).get("images"))
    if isinstance(images, int) and images > 0:
        return _imagej(images, survey, size, plane)
    return Completeness(
        finished=None,
        present=survey.pages,
        reason="every page that is there is whole; a plain TIFF does not say how many there will be",
    )


def _ome(data: bytes, survey: _Survey, samples: int, *, trailing: int, plane: int) -> Completeness:
    root, _ = omexml.parse(data)
    expected, _ = ome.planes_promised(root, samples=samples)
    if expected == 0:
        reason = "the OME-XML in this file does not say which planes the file holds"
        return Completeness(finished=None, present=survey.pages, reason=reason)
    if survey.pages < expected:
        reason = f"{survey.pages} of {expected} planes are written"
        return Completeness(finished=False, expected=expected, present=survey.pages, reason=reason)
    if plane and trailing >= plane:
        reason = "the file ends with the pixels of at least one plane that it does not list yet"
        return Completeness(finished=False, expected=expected, present=survey.pages, reason=reason, sparse=True)
    reason = f"all {expected} planes are written"
    return Completeness(finished=True, expected=expected, present=survey.pages, reason=reason)


def _imagej(images: int, survey: _Survey, size: int, plane: int) -> Completeness:
    present = survey.pages
    if present == 1 and images > 1 and plane:
        # Beyond 4 GB ImageJ writes one directory and all planes behind each other.
        present = min(images, max(0, size - survey.first_pixels) // plane)
    finished = present >= images
    reason = f"{present} of {images} images are written"
    return Completeness(finished=finished, expected=images, present=present, reason=reason)


def _survey(tiff: TiffDirectories) -> _Survey:
    survey = _Survey()
    for directory in tiff.chain():
        start, end = _extent(tiff, directory)
        if survey.first is None:
            survey.first, survey.first_pixels = directory, start
        if end > tiff.size:
            survey.cut.append(survey.pages)
        survey.pages += 1
        survey.end = max(survey.end, end)
        for offset in tiff.numbers(directory.entries.get(_SUB_DIRECTORIES), limit=64):
            if isinstance(offset, int) and offset:
                survey.end = max(survey.end, _extent(tiff, tiff.directory(offset))[1])
    return survey


def _extent(tiff: TiffDirectories, directory: Directory) -> tuple[int, int]:
    """Return where a page's pixels begin and where everything of it ends."""
    end, start = directory.end, 0
    for entry in directory.entries.values():
        if entry.offset + entry.size > tiff.size:
            msg = "the file ends before a TIFF tag that it points to"
            raise MalformedError(msg)
        end = max(end, entry.offset + entry.size)
    for places, lengths in _STRIPS:
        offsets = tiff.numbers(directory.entries.get(places), limit=_MAX_STRIPS)
        counts = tiff.numbers(directory.entries.get(lengths), limit=_MAX_STRIPS)
        spans = [(int(a), int(b)) for a, b in zip(offsets, counts, strict=False) if b]
        if spans:
            start = spans[0][0]
            end = max(end, max(a + b for a, b in spans))
    return start, end


def _plane_bytes(tiff: TiffDirectories, directory: Directory) -> int:
    """Return the size of an uncompressed plane; 0 where planes are compressed."""
    if _number(tiff, directory, COMPRESSION, 1) != 1:
        return 0
    width, height = _number(tiff, directory, WIDTH, 0), _number(tiff, directory, LENGTH, 0)
    return width * height * _number(tiff, directory, SAMPLES, 1) * _number(tiff, directory, BITS, 1) // 8


def _number(tiff: TiffDirectories, directory: Directory, tag: int, default: int) -> int:
    numbers = tiff.numbers(directory.entries.get(tag), limit=64)
    return int(numbers[0]) if numbers else default
