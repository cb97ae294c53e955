"""EXIF tags on the allow-list, from TIFF files and from the EXIF blocks of JPEG and PNG."""

from __future__ import annotations

from collections.abc import Mapping

from rawtrace.image import units
from rawtrace.image.collect import Collector
from rawtrace.image.tiffdirectory import Directory, Entry, TiffDirectories

EXIF_POINTER = 34_665
DESCRIPTION = 270

_MAIN_TEXT = {271: "instrument.manufacturer", 272: "instrument.model", 305: "file.software"}
_MAIN_PERSONAL = {
    DESCRIPTION: "personal.description",
    315: "personal.author",
    316: "personal.computer",
    33_432: "personal.copyright",
}
_EXIF_TEXT = {
    0xA431: "instrument.serial",
    0xA433: "lens.manufacturer",
    0xA434: "lens.model",
    0xA435: "lens.serial",
}
_EXIF_NUMBERS = {
    0x829A: "exposure.time_s",
    0x829D: "exposure.f_number",
    0x8827: "exposure.iso",
    0x920A: "exposure.focal_length_mm",
}
_ORIGINAL, _DIGITIZED, _OFFSET_ORIGINAL, _FRACTION_ORIGINAL = 0x9003, 0x9004, 0x9011, 0x9291
_USER_COMMENT, _OWNER = 0x9286, 0xA430


def add_main_tags(found: Collector, tiff: TiffDirectories, directory: Directory, where: str) -> None:
    """Take maker, model, software and date of a main directory, and the EXIF directory it points to.

    Parameters
    ----------
    found : Collector
    tiff : TiffDirectories
    directory : Directory
    where : str
        For the sources, as in ``"TIFF"`` or ``"EXIF"``.
    """
    entries = directory.entries
    pointer = tiff.numbers(entries.get(EXIF_POINTER), limit=1)
    if pointer and isinstance(pointer[0], int):
        exif = tiff.directory(pointer[0])
        _add_exif(found, tiff, exif.entries)
    _add_texts(found, tiff, entries, _MAIN_TEXT, where)
    if found.personal:
        # OME-XML and ImageJ's fields are no free text; their own readers have read them.
        known = {tag: name for tag, name in _MAIN_PERSONAL.items() if tag != DESCRIPTION or not found.format}
        _add_texts(found, tiff, entries, known, where)
    if 306 in entries:
        # In a photograph this is when the file was last changed; a TIFF has no other date.
        name = "acquisition.time" if where == "TIFF" else "file.time"
        found.add(name, units.exif_time(tiff.text(entries[306])), f"{where} tag 306")


def _add_exif(found: Collector, tiff: TiffDirectories, entries: Mapping[int, Entry]) -> None:
    _add_texts(found, tiff, entries, _EXIF_TEXT, "EXIF")
    for tag, name in _EXIF_NUMBERS.items():
        numbers = tiff.numbers(entries.get(tag), limit=16)
        if numbers:
            found.add(name, numbers[0], f"EXIF tag {tag}")
    for tag in (_ORIGINAL, _DIGITIZED):
        moment = units.exif_time(
            tiff.text(entries.get(tag)),
            fraction=tiff.text(entries.get(_FRACTION_ORIGINAL)) if tag == _ORIGINAL else "",
            offset=tiff.text(entries.get(_OFFSET_ORIGINAL)) if tag == _ORIGINAL else "",
        )
        found.add("acquisition.time", moment, f"EXIF tag {tag}")
    if found.personal:
        found.add("personal.camera_owner", tiff.text(entries.get(_OWNER)), f"EXIF tag {_OWNER}")
        comment = tiff.raw(entries[_USER_COMMENT], limit=65_536)[8:] if _USER_COMMENT in entries else b""
        found.add("personal.comment", comment.decode("utf-8", "replace"), f"EXIF tag {_USER_COMMENT}")


def _add_texts(
    found: Collector, tiff: TiffDirectories, entries: Mapping[int, Entry], names: Mapping[int, str], where: str
) -> None:
    for tag, name in names.items():
        if tag in entries:
            found.add(name, tiff.text(entries[tag]), f"{where} tag {tag}")
