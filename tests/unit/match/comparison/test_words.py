"""Words for an editor: where a picture lies, what happened to brightness, what is left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawtrace.match.comparison import words
from rawtrace.match.comparison.geometry import apply, compose, corners, invert, placement_of, right_angles, scaling
from rawtrace.match.model import Cause, Curve, Difference, Tone

IDENTITY = np.eye(2, 3)
SHAPE = (400, 600)


def _words(matrix: object, shape: tuple[int, int]) -> str:
    return words.placement_words(placement_of(np.array(matrix, float), SHAPE, shape))


@pytest.mark.parametrize(
    ("matrix", "shape", "said"),
    [
        ([[1, 0, 0], [0, 1, 0]], (400, 600), ""),
        ([[1, 0, 0], [0, 1, -200]], (200, 300), "cropped to the lower left quarter"),
        ([[1, 0, -300], [0, 1, 0]], (400, 300), "cropped to the right half"),
        ([[1, 0, -20], [0, 1, -10]], (100, 200), "cropped to 8 % of its area, at the top left"),
        ([[1, 0, -250], [0, 1, -150]], (100, 100), "cropped to 4 % of its area, in the middle"),
        ([[-1, 0, 599], [0, 1, 0]], (400, 600), "mirrored left to right"),
        ([[1, 0, 0], [0, -1, 399]], (400, 600), "mirrored top to bottom"),
        ([[0, -1, 399], [1, 0, 0]], (600, 400), "rotated 90° clockwise"),
        ([[0, 1, 0], [-1, 0, 599]], (600, 400), "rotated 90° counter-clockwise"),
        ([[-1, 0, 599], [0, -1, 399]], (400, 600), "rotated 180°"),
        ([[0.5, 0, -0.25], [0, 0.5, -0.25]], (200, 300), "reduced to 50 %"),
        ([[2, 0, 0.5], [0, 2, 0.5]], (800, 1200), "enlarged to 200 %"),
        ([[0.5, 0, -0.25], [0, 1, 0]], (400, 300), "resized to 50 % of the width and 100 % of the height"),
        ([[1, 0, 150], [0, 1, 0]], (400, 600), "25 % of it lies beyond the original"),
    ],
)
def test_placement(matrix: object, shape: tuple[int, int], said: str) -> None:
    assert _words(matrix, shape) == said


@settings(max_examples=40)
@given(
    turn=st.integers(0, 7),
    scale=st.sampled_from([0.3, 0.5, 1.0, 2.0]),
    left=st.integers(0, 300),
    top=st.integers(0, 200),
)
def test_placement_says_what_it_is_and_no_more(turn: int, scale: float, left: int, top: int) -> None:
    crop = np.array([[1, 0, -left], [0, 1, -top]], float)
    shape = (200, 300)
    matrix = compose(scaling(scale), compose(right_angles(shape)[turn], crop))
    size = np.ptp(apply(scaling(scale), apply(right_angles(shape)[turn], corners(shape))), axis=0) + scale
    placement = placement_of(matrix, SHAPE, (round(size[1]), round(size[0])))
    said = words.placement_words(placement)
    assert ("cropped" in said, "mirrored" in said) == (True, turn >= 4)
    assert ("reduced" in said, "enlarged" in said) == (scale < 1, scale > 1)
    assert "beyond" not in said
    back = apply(invert(np.array(placement.matrix)), apply(matrix, np.array([[3.0, 4.0]])))
    assert np.allclose(back, [[3, 4]])


def _curve(**values: object) -> Curve:
    base: dict[str, object] = {"tone": Tone.LINEAR, "black": 312.0, "white": 4095.0, "points": ((0, 0), (4095, 255))}
    return Curve(**{**base, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        (_curve(), "contrast stretched linearly 312…4 095 → 0…255"),
        (_curve(clipped_low=0.03), "contrast stretched linearly 312…4 095 → 0…255, "
                                   "3 % of the picture was cut off to black"),
        (_curve(tone=Tone.GAMMA, gamma=0.6, gamma_interval=(0.58, 0.62)),
         "gamma 0.60 (±0.02), a gamma change should be declared"),
        (_curve(black=-300.0, white=300.0, points=((0, 40), (255, 218))),
         "brightness changed linearly 0…255 → 40…218"),
        (_curve(tone=Tone.UNCHANGED), ""),
        (_curve(tone=Tone.UNCHANGED, inverted=True), "inverted"),
    ],
)  # fmt: skip
def test_curves(curve: Curve, said: str) -> None:
    assert words.curve_words(curve) == said


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_numbers_are_always_words(value: float) -> None:
    assert words.number(value)


def test_differences() -> None:
    area = Difference(box=(4, 5, 20, 30), area_px=400, cause=Cause.UNEXPLAINED, kind="blurred")
    label = Difference(box=(4, 5, 20, 30), area_px=40, cause=Cause.ANNOTATION, kind="text")
    assert words.differences_words((), ()) == "no other difference above noise"
    assert words.differences_words((area,), ()).startswith("one area is not explained: 20 × 30 px at x 4, y 5")
    many = words.differences_words((area,) * 12, (label, label))
    assert many.startswith("12 areas are not explained besides annotations (text × 2): ")
    assert many.endswith("and 6 more")
