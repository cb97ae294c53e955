from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from arrays import scene_of
from rawtrace.errors import PixelsError
from rawtrace.image import planes
from rawtrace.image.reader import Scene

SCENE = Scene(index=0, t=2, c=3, z=4, y=5, x=6, samples=3, dtype="uint16")


def test_type_without_canonical_form_is_refused() -> None:
    with pytest.raises(PixelsError, match="no canonical form"):
        planes.header(replace(SCENE, dtype="object"))


def test_header_is_the_same_bytes_for_ever() -> None:
    wanted = b'{"scene":1,"t":2,"c":3,"z":4,"y":5,"x":6,"s":3,"type":"uint16"}'
    assert planes.header(SCENE) == wanted
    assert planes.header_digest(SCENE) == hashlib.sha256(wanted).hexdigest()
    assert json.loads(wanted)["type"] == "uint16"


def test_name_and_pixel_size_are_not_in_the_header() -> None:
    described = replace(SCENE, index=7, name="nuclei", pixel_size_um=(1, 1, 1), stored_axes="CZYX")
    assert planes.header(described) == planes.header(SCENE)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_byte_order_and_memory_layout_do_not_show(order: str, layout: str) -> None:
    pixels = np.array([[256, 512], [768, 1024]], order + "u2", order=layout)
    assert planes.canonical_bytes(pixels) == bytes.fromhex("0100 0200 0300 0400")


def test_samples_of_a_pixel_lie_side_by_side() -> None:
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert planes.canonical_bytes(pixels) == bytes(range(1, 7))


def test_bool_is_one_byte() -> None:
    assert planes.canonical_bytes(np.array([[True, False]])) == b"\x01\x00"


@pytest.mark.parametrize(("kind", "word"), [("f2", "u2"), ("f4", "u4"), ("f8", "u8")])
def test_not_a_number_keeps_its_payload(kind: str, word: str) -> None:
    bits = {"u2": [0x7C01, 0xFE42], "u4": [0x7F800001, 0xFFC0BEEF], "u8": [0x7FF0000000000001, 0xFFF800000000BEEF]}
    stored = np.array([bits[word]], word)
    assert planes.canonical_bytes(stored.view(kind)) == stored.astype(">" + word).tobytes()


@pytest.mark.parametrize("name", sorted(planes.TYPES))
def test_pieces_are_the_whole_whatever_their_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = (np.arange(35 * 3).reshape(35, 3) % 101).astype(name)
    whole = pixels.astype(np.dtype(name).newbyteorder(">")).tobytes()
    monkeypatch.setattr(planes, "PIECE_BYTES", 1)
    cut = list(planes.pieces(pixels))
    assert (len(cut), b"".join(cut)) == (35, whole)


def test_constant_is_every_pixel_and_every_sample() -> None:
    row = np.full((4, 300, 3), (1, 2, 3), np.uint8)
    assert planes.is_constant(row.tobytes(), b"\x01\x02\x03")
    row[3, 299, 2] = 4
    assert not planes.is_constant(row.tobytes(), b"\x01\x02\x03")
    assert not planes.is_constant(b"\x01\x02", b"\x01")


def test_scene_of_helper_names_native_types() -> None:
    assert scene_of(np.zeros((1, 1, 1, 2, 2), ">u2")).dtype == "uint16"
