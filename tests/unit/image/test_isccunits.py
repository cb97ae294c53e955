from __future__ import annotations

import numpy as np
import pytest

from rawtrace.errors import MalformedError
from rawtrace.image import isccunits as units

IMAGE = "ISCC:EEDZM7BVB6SZFJUVHXATYVNEDMO6LTJPZMKMYSXZFCWG42WJVUJFNHA"


@pytest.mark.parametrize(
    "code",
    ["", "ISCC:", "ISCC:1", "ISCC:EEDZ", "x" * 5000, IMAGE[:-2], IMAGE + "A", IMAGE[:-1] + "B", "ISCC:ä", "\0",
     "ISCC:KACYPXW445FTYNJ3CYSXHAFJMA2HUWULUNRFE3BLHRSCXYH2M5AEGQY"],
)  # fmt: skip
def test_what_is_no_unit_is_refused(code: str) -> None:
    with pytest.raises(MalformedError):
        units.bits_of(code)


def test_shorter_unit_has_no_256_bits() -> None:
    with pytest.raises(MalformedError, match="64 bits"):
        units.bits_of("ISCC:EEAYYNMFG5XOELK2")
    assert len(units.encode_seq(["ISCC:EEAYYNMFG5XOELK2"])) == 10


@pytest.mark.parametrize("data", [b"", b"\x20", b"\x20\x07short", b"\xff" * 40, b"\x50\x07" + bytes(32), bytes(5000)])
def test_what_is_no_sequence_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        units.decode_seq(data)


def test_sequence_of_none_is_refused() -> None:
    with pytest.raises(MalformedError):
        units.encode_seq([])


def test_bits_are_the_body() -> None:
    assert len(units.bits_of(IMAGE)) == 32
    assert units.encode_seq([IMAGE]) == bytes.fromhex("2107") + units.bits_of(IMAGE)
    assert units.bits_of(IMAGE.lower().replace("iscc:", "")) == units.bits_of(IMAGE)


def test_distance_counts_bits_and_takes_the_inverse_for_the_same() -> None:
    bits = units.bits_of(IMAGE)
    inverse = bytes(255 - byte for byte in bits)
    assert units.distance(IMAGE, bits) == 0
    assert units.distance(bits, inverse) == 256
    assert units.distance(bits, inverse, complement=True) == 0


@pytest.mark.parametrize("flat", [np.zeros((64, 64), np.uint8), np.full((3, 500), 200, np.uint8)])
def test_constant_picture_has_no_code(flat: np.ndarray) -> None:
    assert units.image_code(flat) == ""
    assert units.dihedral_codes(flat) == ()


@pytest.mark.parametrize("shape", [(7, 192), (160, 7), (2, 2)])
def test_sliver_has_no_code(shape: tuple[int, int]) -> None:
    sliver = _cells()[: shape[0], : shape[1]]
    assert units.image_code(sliver) == ""
    assert units.dihedral_codes(sliver) == ()


def test_bare_ramp_has_no_code() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    assert units.image_code(ramp) == ""


@pytest.mark.parametrize(
    ("ones", "featureless"), [((32, 32, 32, 7), True), ((57, 32, 32, 32), True), ((8, 56, 32, 32), False)]
)
def test_featureless_is_told_by_each_segment(ones: tuple[int, ...], featureless: bool) -> None:
    bits = b"".join(((1 << count) - 1).to_bytes(8, "big") for count in ones)
    assert units.is_featureless(bits) is featureless


def test_eight_orientations_find_each_other() -> None:
    pixels = _cells()
    own = units.image_code(pixels)
    codes = units.dihedral_codes(pixels)
    assert (len(codes), codes[0]) == (8, own)
    turned = [np.rot90(side, turns) for side in (pixels, pixels[:, ::-1]) for turns in range(4)]
    for one, code in zip(turned, codes, strict=True):
        assert units.distance(units.image_code(one), code) <= 4
    assert len({units.bits_of(code) for code in codes}) == 8


def test_inverted_picture_is_the_complement() -> None:
    pixels = _cells()
    one, other = units.image_code(pixels), units.image_code(255 - pixels)
    assert units.distance(one, other) > 240
    assert units.distance(one, other, complement=True) < 16


def _cells() -> np.ndarray:
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:160, :192]
    pixels = np.zeros((160, 192))
    for row, column, size in zip(
        rng.integers(0, 160, 40), rng.integers(0, 192, 40), rng.integers(3, 14, 40), strict=True
    ):
        pixels += np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2.0 * size * size))
    return (255 * pixels / pixels.max()).astype(np.uint8)
