from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("cv2")

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st

from rawtrace.match.features import features, stretched
from rawtrace.match.pairs import Agreement, accepted, compare_pixels, rank_correlation, sane, verify_pair

RANDOM = np.random.default_rng(11)
TEXTURE = stretched(sum(cv2.GaussianBlur(RANDOM.normal(size=(240, 240)), (0, 0), s) * s for s in (1.5, 3.0, 6.0, 12.0)))
OTHER = stretched(sum(cv2.GaussianBlur(RANDOM.normal(size=(240, 240)), (0, 0), s) * s for s in (1.5, 3.0, 6.0, 12.0)))
POINTS = features(TEXTURE)


@settings(max_examples=5, deadline=None)
@given(st.floats(-180, 180), st.floats(0.45, 1.8), st.booleans(), st.booleans())
def test_any_similarity_is_found_again(turn: float, scale: float, mirrored: bool, inverted: bool) -> None:
    cos, sin = math.cos(math.radians(turn)) * scale, math.sin(math.radians(turn)) * scale
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    size = int(200 * scale) + 20
    shift = np.array([size / 2, size / 2]) - matrix @ [119.5, 119.5]
    rows = np.c_[matrix, shift]
    source = cv2.GaussianBlur(TEXTURE, (0, 0), 0.45 / scale) if scale < 0.8 else TEXTURE
    picture = cv2.warpAffine(source, rows, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    picture = 255 - picture if inverted else picture
    pair = verify_pair(features(picture), POINTS, mirrored=mirrored, inverted=inverted)
    assert pair is not None
    agreement = compare_pixels(TEXTURE, picture, pair.matrix)
    assert accepted(pair, agreement)
    assert np.abs(np.array(pair.matrix) @ [119.5, 119.5, 1] - size / 2).max() < 0.6
    assert (agreement.rank < -0.9) if inverted else (agreement.rank > 0.9)


def test_other_picture_is_not_accepted() -> None:
    for mirrored in (False, True):
        for inverted in (False, True):
            pair = verify_pair(features(OTHER), POINTS, mirrored=mirrored, inverted=inverted)
            assert pair is None or not accepted(pair, compare_pixels(TEXTURE, OTHER, pair.matrix))


def test_a_pair_repeats_exactly() -> None:
    asked = features(np.ascontiguousarray(np.rot90(TEXTURE)))
    one, other = (verify_pair(asked, POINTS) for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.matrix == other.matrix
    assert one.inliers == other.inliers


def test_pictures_without_points_are_no_pair() -> None:
    nothing = features(np.zeros((50, 50), np.uint8))
    assert verify_pair(nothing, POINTS) is None
    assert verify_pair(POINTS, nothing) is None


def test_correlation_says_how_much_is_covered() -> None:
    correlation, covered = rank_correlation(TEXTURE[:, :120], TEXTURE, ((1, 0, 0), (0, 1, 0)))
    assert correlation == pytest.approx(1, abs=0.01)
    assert covered == pytest.approx(0.5, abs=0.02)
    assert rank_correlation(TEXTURE, TEXTURE, ((1, 0, 900), (0, 1, 0))) == (0.0, 0.0)


def test_constant_pictures_correlate_with_nothing() -> None:
    assert rank_correlation(np.zeros((60, 60), np.uint8), TEXTURE, ((1, 0, 0), (0, 1, 0)))[0] == 0


@pytest.mark.parametrize(
    "matrix",
    [[[0.01, 0, 0], [0, 0.01, 0]], [[9, 0, 0], [0, 9, 0]], [[2, 0, 0], [0, 1, 0]], [[math.nan, 0, 0], [0, 1, 0]],
     [[0, 0, 0], [0, 0, 0]], [[-1, 0, 0], [0, 1, 0]]],
)  # fmt: skip
def test_maps_that_publishing_does_not_make(matrix: list[list[float]]) -> None:
    assert not sane(np.array(matrix), mirrored=False)


def test_pictures_mostly_black_or_white_have_to_agree_nearly_everywhere() -> None:
    pair = verify_pair(features(TEXTURE), POINTS)
    assert pair is not None
    assert accepted(pair, Agreement(0.99, 0.99, 1.0, 0.2, 0.5, 0.99))
    assert accepted(pair, Agreement(0.6, 0.6, 1.0, 0.2, 0.5, 0.6))
    assert accepted(pair, Agreement(0.99, 0.99, 1.0, 0.99, 0.1, 0.9))
    assert not accepted(pair, Agreement(0.9, 0.8, 1.0, 0.99, 0.1, 0.9))
    assert not accepted(pair, Agreement(-0.99, -0.99, 1.0, 0.2, 0.5, -0.99))


def test_points_and_strong_edges_are_not_enough_where_most_of_the_pixels_disagree() -> None:
    pair = verify_pair(features(TEXTURE), POINTS)
    assert pair is not None
    assert not accepted(pair, Agreement(0.48, 0.93, 1.0, 0.4, 0.5, 0.46))
    assert not accepted(pair, Agreement(0.99, 0.99, 1.0, 0.99, 0.01, 0.99))
