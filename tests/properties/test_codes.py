"""Codes keep what they promise for any pixels, and iscc-lib computes what the reference implementation computes."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import replace
from importlib.resources import files
from io import BytesIO
from typing import Any

import iscc_core
import iscc_lib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from arrays import array_image
from rawtrace.errors import MalformedError
from rawtrace.image import codes, isccunits
from rawtrace.image.planes import TYPES, canonical_bytes, header_digest
from rawtrace.image.reader import Scene

VECTORS = json.loads((files(iscc_core) / "data.json").read_text(encoding="utf-8"))
OFFERED = ("meta", "text", "image", "audio", "video", "mixed", "data", "instance", "iscc")
SIZES = st.integers(1, 9)
SCENES = st.builds(
    Scene,
    index=st.just(0),
    t=SIZES,
    c=SIZES,
    z=SIZES,
    y=SIZES,
    x=SIZES,
    samples=SIZES,
    dtype=st.sampled_from(sorted(TYPES)),
)
COLOURS = arrays_of.arrays(np.uint8, st.tuples(*[st.just(1)] * 3, SIZES, SIZES, st.sampled_from([3, 4])))
UNITS = st.builds(
    lambda main, sub, words, body: f"ISCC:{iscc_lib.encode_component(main, sub, 0, 32 * words, body)}",
    st.integers(0, 4), st.integers(0, 4), st.integers(1, 8), st.binary(min_size=32, max_size=32),
)  # fmt: skip


def _cases(function: str) -> list[Any]:
    return [pytest.param(function, case, id=f"{function}-{name}") for name, case in VECTORS[function].items()]


def _value(given_value: Any) -> Any:
    """Vectors write bytes as ``stream:`` or ``bytes:`` and hexadecimal digits."""
    if isinstance(given_value, str) and given_value.startswith(("stream:", "bytes:")):
        return bytes.fromhex(given_value.partition(":")[2])
    return given_value


@pytest.mark.parametrize(("function", "case"), [one for name in OFFERED for one in _cases(f"gen_{name}_code_v0")])
def test_published_vectors(function: str, case: dict[str, Any]) -> None:
    found = getattr(iscc_lib, function)(*[_value(one) for one in case["inputs"]])
    assert {name: found[name] for name in case["outputs"]} == case["outputs"]


@pytest.mark.parametrize(("function", "case"), _cases("encode_seq"))
def test_published_sequences_are_written(function: str, case: dict[str, Any]) -> None:
    assert codes.encode_seq(*case["inputs"]) == _value(case["outputs"])


@pytest.mark.parametrize(("function", "case"), _cases("decode_seq"))
def test_published_sequences_are_read(function: str, case: dict[str, Any]) -> None:
    assert list(codes.decode_seq(_value(case["inputs"][0]))) == case["outputs"]


def test_every_published_vector_is_run() -> None:
    groups = {name: len(cases) for name, cases in VECTORS.items() if not name.startswith("_")}
    assert set(groups) == {f"gen_{name}_code_v0" for name in OFFERED} | {"encode_seq", "decode_seq"}
    assert sum(groups.values()) == 58


@given(st.lists(UNITS, min_size=1, max_size=6))
def test_sequences_are_those_of_the_reference(units: list[str]) -> None:
    data = codes.encode_seq(units)
    assert data == iscc_core.encode_seq(units)
    assert codes.decode_seq(data) == tuple(units)


@given(st.binary(max_size=80))
def test_sequences_that_the_reference_refuses_are_refused(data: bytes) -> None:
    try:
        wanted = iscc_core.decode_seq(data)
    except ValueError:
        with pytest.raises(MalformedError):
            codes.decode_seq(data)
    else:
        assert list(codes.decode_seq(data)) == wanted


@given(UNITS, st.integers(0, 79), st.integers(0, 7))
def test_a_damaged_unit_is_refused_as_the_reference_does(unit: str, place: int, bit: int) -> None:
    data = bytearray(codes.encode_seq([unit]))
    data[place % len(data)] ^= 1 << bit
    try:
        wanted = iscc_core.decode_seq(data)
    except ValueError:
        with pytest.raises(MalformedError):
            codes.decode_seq(bytes(data))
    else:
        assert list(codes.decode_seq(bytes(data))) == wanted


@settings(max_examples=30)
@given(st.binary(max_size=20_000), st.lists(st.integers(0, 20_000), max_size=5))
def test_library_and_reference_agree_on_bytes(data: bytes, cuts: list[int]) -> None:
    hasher = iscc_lib.DataHasher()
    places = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(places):
        hasher.update(data[start:end])
    assert hasher.finalize(bits=256).iscc == iscc_core.gen_data_code_v0(BytesIO(data), bits=256)["iscc"]
    wanted = iscc_core.gen_instance_code_v0(BytesIO(data), bits=256)
    assert iscc_lib.gen_instance_code_v0(data, bits=256).iscc == wanted["iscc"]


@settings(max_examples=30)
@given(arrays_of.arrays(np.uint8, (32, 32)))
def test_library_and_reference_agree_on_pictures(pixels: np.ndarray[Any, Any]) -> None:
    wanted = iscc_core.gen_image_code_v0(pixels.ravel().tolist(), bits=256)["iscc"]
    assert iscc_lib.gen_image_code_v0(pixels.tobytes(), bits=256).iscc == wanted
    bits = isccunits.bits_of(wanted)
    assert isccunits.image_code(pixels) == (
        "" if isccunits.is_featureless(bits) or len(set(pixels.flat)) == 1 else wanted
    )


@given(SCENES, SCENES)
def test_scenes_have_one_header_only_if_shape_and_type_are_equal(one: Scene, other: Scene) -> None:
    assert (header_digest(one) == header_digest(other)) == (one == other)


@given(SCENES, st.sampled_from(["t", "c", "z", "y", "x", "samples"]), st.integers(1, 9))
def test_every_change_of_shape_changes_the_header(scene: Scene, axis: str, by: int) -> None:
    changed = replace(scene, **{axis: getattr(scene, axis) + by})
    assert header_digest(changed) != header_digest(scene)


@settings(max_examples=60)
@given(COLOURS, st.data())
def test_every_change_of_a_colour_sample_changes_every_code(colours: np.ndarray[Any, Any], data: st.DataObject) -> None:
    changed = colours.copy()
    place = data.draw(st.tuples(*[st.integers(0, size - 1) for size in colours.shape]))
    changed[place] ^= data.draw(st.integers(1, 255))
    (before,), (after,) = (codes.codes_of_image(array_image(one), views=False) for one in (colours, changed))
    assert before.header == after.header
    assert before.iscc != after.iscc
    assert before.planes[0].instance != after.planes[0].instance


@settings(max_examples=60)
@given(
    st.sampled_from(["u1", "i2", "u4", "f2", "f4", "f8", "c8"]).flatmap(
        lambda kind: arrays_of.arrays(np.dtype(kind), st.tuples(*[st.integers(1, 4)] * 5))
    ),
    st.integers(1, 5),
)
def test_codes_depend_on_neither_byte_order_nor_bands(stack: np.ndarray[Any, Any], rows: int) -> None:
    swapped = stack.astype(stack.dtype.newbyteorder("<" if sys.byteorder == "big" else ">"))
    (one,) = codes.codes_of_image(array_image(stack, band_rows=9))
    (other,) = codes.codes_of_image(array_image(swapped, band_rows=rows))
    assert one == other
    walked = np.ascontiguousarray(stack.transpose(2, 1, 0, 3, 4))
    wanted = iscc_lib.SumHasher(canonical_bytes(walked.reshape(-1, stack.shape[4]))).finalize(bits=256, wide=True)
    assert one.iscc == wanted.iscc
