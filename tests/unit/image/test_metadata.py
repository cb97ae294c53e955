"""Harvest: what is taken, from where, and what never is."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from rawtrace.errors import InputNotFoundError, UnreadableError
from rawtrace.image import collect, formats, vocabulary
from rawtrace.image.collect import Collector
from rawtrace.image.metadata import Harvest, harvest, media_type, readers

REAL = Path(__file__).parents[4] / "shared" / "data" / "images"
Maker = Callable[..., Path]


def values(found: Harvest) -> dict[str, object]:
    for value in found.values:
        assert vocabulary.term(value.name) is not None, value.name
        assert value.source
    assert len({value.name for value in found.values}) == len(found.values)
    json.dumps(asdict(found), allow_nan=False)
    return {value.name: value.value for value in found.values}


# Hostile and odd input first.


def test_missing_path_is_named_fail(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        harvest(tmp_path / "nowhere.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for_fail(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    with pytest.raises(UnreadableError, match="not a regular file"):
        harvest(tmp_path / "pipe.tif")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"II*\x00", "cut short"),
        (b"II*\x00\x00\x00\x00\x00", "no directory yet"),
        (b"II*\x00\xff\xff\xff\x7f", "ends before"),
        (b"II+\x00\x08\x00\x00\x00" + struct.pack("<Q", 1 << 60), "ends before"),
        (b"II+\x00\x08\x00\x00\x00" + struct.pack("<QQ", 16, 1 << 60), "tags"),
    ],
)
def test_broken_tiff_is_a_note_fail(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "broken.tif"
    path.write_bytes(data)
    found = harvest(path)
    assert found.media_type == "image/tiff"
    assert not found.values
    assert said in " ".join(found.notes)


def test_tag_of_2_to_the_60_bytes_is_a_note_fail(tmp_path: Path) -> None:
    path = tmp_path / "huge.tif"
    entry = struct.pack("<HHQQ", 270, 2, 1 << 60, 16)
    path.write_bytes(b"II+\x00\x08\x00\x00\x00" + struct.pack("<QQ", 16, 1) + entry + struct.pack("<Q", 0))
    found = harvest(path)
    assert any("at most" in note for note in found.notes)


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE OME [<!ENTITY a "aaaa">]><OME>&a;</OME>',
        '<?xml version="1.0"?><!doctype OME SYSTEM "file:///etc/hostname"><OME/>',
        "<OME><Image>",
        "<OME>" + "<a>" * 200 + "</a>" * 200 + "</OME>",
        "<OMEX/>",
    ],
)
def test_dangerous_xml_is_a_note_and_plain_tags_stay_fail(ome_tiff: Maker, xml: str) -> None:
    found = harvest(ome_tiff(xml.replace("<OMEX/>", "<x:OME xmlns:x='y'><OME/></x:OME><OME")))
    assert any("image description" in note for note in found.notes)
    assert values(found)["pixels.size_x"] == 40


def test_million_planes_are_cut_with_a_note_fail(ome_tiff: Maker, ome_xml: str) -> None:
    planes = "".join(f'<Plane TheZ="0" TheC="0" TheT="{t}" ExposureTime="1" DeltaT="{t}"/>' for t in range(25_000))
    found = harvest(ome_tiff(ome_xml.replace("</Pixels>", planes + "</Pixels>")))
    assert any("beyond the first 20000" in note for note in found.notes)
    assert any("listed one by one" in note for note in found.notes)
    assert len(found.values) < 2_000


def test_odd_numbers_in_xml_never_raise_fail(ome_tiff: Maker, ome_xml: str) -> None:
    for bad in ("NaN", "Infinity", "-1e999", "9" * 5_000, "0x10", "", "1_0", "²"):
        odd = ome_xml.replace('SizeZ="3"', f'SizeZ="{bad}"').replace('DeltaT="500"', f'DeltaT="{bad}"')
        values(harvest(ome_tiff(odd)))


def test_directory_that_points_to_itself_fail(tmp_path: Path) -> None:
    path = tmp_path / "loop.tif"
    path.write_bytes(b"II*\x00" + struct.pack("<IHHHIII", 8, 1, 256, 4, 1, 640, 8))
    assert values(harvest(path))["pixels.size_x"] == 640


def test_exif_pointer_to_itself_and_past_the_end_fail(tmp_path: Path) -> None:
    for target in (8, 4_000_000_000):
        path = tmp_path / "exif.tif"
        path.write_bytes(b"II*\x00" + struct.pack("<IHHHIII", 8, 1, 34_665, 4, 1, target, 0))
        values(harvest(path))


def test_png_text_bomb_is_a_note_fail(png: Maker) -> None:
    import zlib

    bomb = zlib.compress(b"A" * 20_000_000, 9)
    found = harvest(png((b"zTXt", b"Software\x00\x00" + bomb), (b"iTXt", b"Software\x00\x01\x00\x00\x00" + bomb)))
    assert any("unfolds to more" in note for note in found.notes)
    assert values(found)["pixels.size_x"] == 12


def test_png_with_a_size_of_2_to_the_31_is_not_decoded_fail(png: Maker) -> None:
    assert values(harvest(png(width=2**31 - 1, height=1, pixels=b"x")))["pixels.size_x"] == 2**31 - 1


@pytest.mark.parametrize("cut", [9, 20, 40])
def test_cut_png_and_jpeg_are_notes_fail(png: Maker, tmp_path: Path, cut: int) -> None:
    path = png()
    path.write_bytes(path.read_bytes()[:cut])
    assert harvest(path).notes
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg")
    photo = tmp_path / "a.jpg"
    photo.write_bytes(photo.read_bytes()[:cut])
    assert harvest(photo).notes


def test_values_are_bounded_and_clean_fail() -> None:
    found = Collector()
    found.add("channel.0.name", "x" * 10_000, "here")
    found.add("channel.1.name", "a\x00b\u202ec\ud800", "here")
    found.add("pixels.time_increment_s", float("nan"), "here")
    found.add("pixels.size_x", 2**70, "here")
    found.add("acquisition.time", "2026-13-45T99:99:99", "here")
    for index in range(6_000):
        found.add(f"plane.{index}.z", index, "here")
    closed = found.harvest("image/tiff", "TIFF")
    taken = values(closed)
    assert len(str(taken["channel.0.name"]).encode()) == 4_096
    assert taken["channel.1.name"] == "a b c?"
    assert len(taken) == collect.MAX_VALUES
    assert not {"pixels.time_increment_s", "pixels.size_x", "acquisition.time"} & set(taken)
    assert any("cut" in note for note in closed.notes)
    assert any("5000 values" in note for note in closed.notes)


def test_a_name_outside_the_vocabulary_is_refused_fail() -> None:
    with pytest.raises(KeyError):
        Collector().add("patient.name", "x", "here")


@pytest.mark.parametrize(
    "text",
    [
        "C:\\Users\\zquill\\x.tif",
        "/home/zquill/x",
        "written by zquill@lab.example",
        "\\\\labserver\\share\\x",
        "file:///x",
        "~/images",
    ],
)
def test_folders_and_addresses_in_technical_fields_are_left_out_fail(text: str) -> None:
    found = Collector()
    found.add("file.software", text, "TIFF tag 305")
    closed = found.harvest("image/tiff", "TIFF")
    assert not closed.values
    assert "zquill" not in " ".join(closed.notes)
    asked = Collector(personal=True)
    asked.add("file.software", text, "TIFF tag 305")
    assert asked.harvest("image/tiff", "TIFF").values


# Nothing personal unasked.


def test_ome_without_asking_names_nobody_fail(ome_tiff: Maker) -> None:
    text = json.dumps(asdict(harvest(ome_tiff()))).lower()
    for word in ("zaphod", "quillfeather", "zquill", "@lab", "thesis", "secret", "users"):
        assert word not in text


def test_ome_when_asked_names_the_operator(ome_tiff: Maker) -> None:
    found = values(harvest(ome_tiff(), personal=True))
    assert found["personal.operator"] == "Zaphod Quillfeather"
    assert found["personal.email"] == "zaphod@lab.example"
    assert found["personal.description"] == "for Zaphod's thesis"


def test_exif_and_tiff_tags_without_asking_name_nobody_fail(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[272], exif[305], exif[306] = "Acme", "Cam 1", "Firmware 2", "2026:01:02 03:04:05"
    exif[315], exif[316], exif[33_432], exif[270] = "Zaphod", "ZAPHODS-PC", "(c) Zaphod", "Zaphod's cells"
    inner = exif.get_ifd(0x8769)
    inner[0x9003], inner[0x9011], inner[0x829A] = "2026:01:02 03:04:00", "+02:00", 0.25
    inner[0x9286], inner[0xA430], inner[0xA431] = b"ASCII\x00\x00\x00Zaphod was here", "Zaphod", "S-1"
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (47.0, 22.0, 0.0)
    for name in ("a.jpg", "a.png", "a.tif"):
        Image.new("RGB", (20, 10)).save(tmp_path / name, exif=exif)
        unasked = harvest(tmp_path / name)
        assert not unasked.notes, name
        assert "zaphod" not in json.dumps(asdict(unasked)).lower()
        assert "47" not in json.dumps(asdict(unasked))
        found = values(unasked)
        assert found["instrument.manufacturer"] == "Acme"
        asked = values(harvest(tmp_path / name, personal=True))
        assert asked["personal.author"] == "Zaphod"
        assert not any("gps" in key for key in asked)
        if name == "a.tif":
            # Pillow writes no inner EXIF directory into a TIFF.
            continue
        assert found["instrument.serial"] == "S-1"
        assert found["acquisition.time"] == "2026-01-02T03:04:00+02:00"
        assert found["exposure.time_s"] == pytest.approx(0.25)
        assert asked["personal.comment"] == "Zaphod was here"


def test_free_descriptions_of_plain_tiffs_are_left(tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, np.zeros((4, 5), np.uint8), description="Zaphod's cells", metadata=None, datetime=True)
    found = harvest(path)
    assert "Zaphod" not in str(found)
    assert "acquisition.time" in values(found)


# What is taken.


def test_ome_tiff_values_and_units(ome_tiff: Maker) -> None:
    found = harvest(ome_tiff())
    assert (found.media_type, found.format, found.notes) == ("image/tiff", "OME-TIFF", ())
    taken = values(found)
    expected = {
        "acquisition.time": "2026-03-01T10:20:30.5+01:00",
        "instrument.manufacturer": "Acme Optics",
        "instrument.serial": "SN-4711",
        "objective.model": "60x oil",
        "objective.working_distance_um": 130.0,
        "objective.refractive_index": 1.515,
        "detector.0.model": "Cam 3",
        "light_source.0.wavelength_nm": 488.0,
        "pixels.size_c": 2,
        "pixels.physical_size_x_um": 0.108,
        "pixels.physical_size_y_um": 0.108,
        "channel.0.excitation_nm": 405.0,
        "channel.1.emission_nm": 525.0,
        "channel.0.colour": "0000FF",
        "channel.0.exposure_s": 0.02,
        "channel.1.exposure_s": 0.05,
        "plane.0.time_s": 0.5,
        "plane.0.position_x_um": 1000.0,
        "plane.1.position_x": 7.0,
    }
    assert {name: taken.get(name) for name in expected} == expected
    assert (
        next(value.source for value in found.values if value.name == "pixels.size_x")
        == "OME-XML Image[0]/Pixels/@SizeX"
    )


def test_only_the_scene_of_this_very_file_is_taken(ome_tiff: Maker) -> None:
    own, other = "urn:uuid:00000000-0000-4000-8000-00000000000a", "urn:uuid:00000000-0000-4000-8000-00000000000b"
    image = (
        '<Image ID="Image:{n}"><Pixels SizeX="4" SizeY="4" SizeZ="{n}" SizeC="1" SizeT="1" Type="uint8" '
        'DimensionOrder="XYZCT"><TiffData PlaneCount="{n}"><UUID FileName="x.tif">{u}</UUID></TiffData>'
        "</Pixels></Image>"
    )
    xml = f'<OME UUID="{own}">{image.format(n=5, u=other)}{image.format(n=2, u=own)}</OME>'
    taken = values(harvest(ome_tiff(xml)))
    assert (taken["scene.count"], taken["pixels.size_z"]) == (1, 2)


def test_many_pages_cost_one_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rawtrace.image.tiffdirectory import TiffDirectories

    path = tmp_path / "many.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(50):
            writer.write(np.zeros((2, 2), np.uint8), contiguous=False, metadata=None)
    seen: list[int] = []
    read = TiffDirectories.directory
    monkeypatch.setattr(TiffDirectories, "directory", lambda self, offset: seen.append(offset) or read(self, offset))
    harvest(path)
    assert len(seen) == 1


@pytest.mark.parametrize("personal", [False, True])
def test_a_long_description_does_not_hide_the_other_tags(tmp_path: Path, ome_xml: str, *, personal: bool) -> None:
    path = tmp_path / "long.ome.tif"
    xml = ome_xml.replace("</OME>", f"<!--{'x' * 200_000}--></OME>").encode()
    tifffile.imwrite(path, np.zeros((30, 40), np.uint16), description=xml, metadata=None, software="Writer 3")
    found = harvest(path, personal=personal)
    assert found.notes == ()
    taken = values(found)
    assert taken["file.software"] == "Writer 3"
    assert taken.get("personal.description") == ("for Zaphod's thesis" if personal else None)


def test_imagej_units_and_stack(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    stack = np.zeros((2, 3, 1, 8, 9), np.uint16)
    metadata = {"axes": "TZCYX", "spacing": 0.5, "unit": "um", "finterval": 2.0}
    tifffile.imwrite(path, stack, imagej=True, resolution=(5.0, 4.0), metadata=metadata)
    found = harvest(path)
    taken = values(found)
    assert found.format == "ImageJ TIFF"
    assert taken["pixels.physical_size_x_um"] == pytest.approx(0.2)
    assert taken["pixels.physical_size_y_um"] == pytest.approx(0.25)
    assert taken["pixels.physical_size_z_um"] == pytest.approx(0.5)
    assert (taken["pixels.size_z"], taken["pixels.size_t"]) == (3, 2)
    assert taken["pixels.time_increment_s"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.csv", b"time,volt\n1,2\n", "text/csv"),
        ("a.csv", b"\x00\x01", "application/octet-stream"),
        ("a.tif", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("a.tif", b"nothing of the kind", "application/octet-stream"),
        ("a.bin", b"MM\x00*\x00\x00\x00\x08", "image/tiff"),
        ("a.dcm", b"II*\x00".ljust(128, b"\x00") + b"DICM", "application/dicom"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "application/vnd.hdfgroup.hdf5"),
        ("a.txt", b"BMW", "text/plain"),
        ("a", b"", "application/octet-stream"),
        ("a.txt", b"x" * 4095 + "é".encode(), "text/plain"),
    ],
)
def test_media_type_by_content_then_by_name(tmp_path: Path, name: str, data: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert media_type(path) == expected
    harvest(path)


def test_folders(tmp_path: Path) -> None:
    assert media_type(tmp_path) == "application/octet-stream"
    (tmp_path / "zarr.json").write_text("{}")
    assert media_type(tmp_path) == formats.ZARR


def test_every_reader_has_its_own_media_types() -> None:
    claimed = [kind for reader in readers() for kind in reader.media_types]
    assert len(claimed) == len(set(claimed)) == 5


@pytest.mark.skipif(not REAL.is_dir(), reason="the real images are not at ../shared/data/images")
def test_real_images_are_harvested_without_a_note() -> None:
    paths = sorted(path for path in REAL.rglob("*") if path.is_file())
    assert paths
    for path in paths:
        found = harvest(path)
        taken = values(found)
        assert not found.notes, path
        with Image.open(path) as image:
            assert (taken["pixels.size_x"], taken["pixels.size_y"]) == image.size, path
