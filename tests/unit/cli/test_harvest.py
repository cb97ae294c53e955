"""``rawtrace harvest``: the metadata of a file, each value with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image


def test_nothing_there(rawtrace: Any, tmp_path: Path) -> None:
    done = rawtrace("harvest", tmp_path / "nothing")
    assert (done.code, done.out) == (3, "")


def test_a_file_of_no_known_format(rawtrace: Any, tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(b"\0\1\2")
    done = rawtrace("harvest", tmp_path / "a.dat")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("a.dat: ")


def test_a_picture_and_its_maker(rawtrace: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x013B] = "Example Optics", "Zaphod Quillfeather"
    Image.new("L", (8, 6)).save(tmp_path / "a.jpg", exif=exif)
    value = rawtrace("harvest", tmp_path / "a.jpg", "--json").json
    assert (value["schema"], value["media_type"]) == ("urn:rawtrace:schema:harvest:1", "image/jpeg")
    named = {one["name"]: one["value"] for one in value["values"]}
    assert (named["pixels.size_x"], named["instrument.manufacturer"]) == (8, "Example Optics")
    assert all(one["source"] for one in value["values"])
    assert "Quillfeather" not in json.dumps(value)
    assert "Quillfeather" in rawtrace("harvest", tmp_path / "a.jpg", "--personal").out


def test_values_command_no_terminal(rawtrace: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a\x1b[31mb"
    Image.new("L", (8, 6)).save(tmp_path / "a.jpg", exif=exif)
    done = rawtrace("harvest", tmp_path / "a.jpg")
    assert all(line.isprintable() for line in done.out.split("\n"))
