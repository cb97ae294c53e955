"""Known maps are found again, to a fraction of a pixel; what is not the same picture is not laid over it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.unit.match.comparison import pictures

from rawtrace.match.comparison.geometry import distance, placement_of
from rawtrace.match.comparison.registration import register

IDENTITY = np.eye(2, 3)


def _error(found: Any, truth: Any, shape: tuple[int, ...]) -> float:
    assert found is not None
    return distance(np.array(found.placement.matrix), np.array(truth, float), shape)


@pytest.mark.parametrize("odd", ["constant", "one pixel", "nan", "line", "empty"])
def test_nothing_to_lay_over_fail(odd: str) -> None:
    original = pictures.cells(64, 64)
    published = {
        "constant": np.full((64, 64), 9, np.uint8),
        "one pixel": np.zeros((1, 1), np.uint8),
        "nan": np.full((64, 64), np.nan),
        "line": np.zeros((3, 64), np.uint8),
        "empty": np.zeros((0, 64), np.uint8),
    }[odd]
    assert register(original, published) is None
    assert register(published, original) is None


def test_another_picture_fail() -> None:
    assert register(pictures.cells(90, 100, seed=1), pictures.cells(seed=2)[20:100, 30:120]) is None


@pytest.mark.soak
def test_hardly_any_overlap_fail() -> None:
    original, other = pictures.cells(90, 90, seed=3), pictures.cells(90, 90, seed=4)
    other[:, :8] = original[:, -8:]
    assert register(original, other) is None


@pytest.mark.parametrize(
    ("turns", "mirrored"), [(1, True), *(pytest.param(turns, False, marks=pytest.mark.soak) for turns in (0, 3))]
)
def test_copies_are_exact(turns: int, mirrored: bool) -> None:
    original = pictures.cells()
    published = np.rot90(original[30:170, 20:200], turns)
    published = np.ascontiguousarray(published[:, ::-1] if mirrored else published)
    found = register(original, published)
    assert found is not None
    assert found.exact
    assert found.placement.mirrored is mirrored
    assert found.mask.all()
    assert (found.warped == published).all()


def test_turned_reduced_and_compressed() -> None:
    original = pictures.cells(260, 300)
    matrix = pictures.turned(37, 0.7, (110, 120), (150, 130))
    published = pictures.jpeg(pictures.moved(original, matrix, (110, 120)), 75)
    found = register(original, published)
    assert _error(found, matrix, published.shape) < 0.1


@pytest.mark.parametrize("factor", [0.5, pytest.param(1.3, marks=pytest.mark.soak)])
def test_resized_frames_are_told_exactly(factor: float) -> None:
    original = pictures.cells(240, 280)
    published, matrix = pictures.resized(original, factor)
    assert _error(register(original, published), matrix, published.shape) < 0.05


@pytest.mark.soak
def test_edits_and_labels_do_not_pull() -> None:
    original = pictures.cells(240, 280)
    matrix = pictures.turned(3, 0.9, (180, 200), (140, 120))
    published = pictures.moved(original, matrix, (180, 200))
    published[20:60, 30:70] = published[100:140, 90:130]
    published[160:166, 120:180] = 255
    assert _error(register(original, published), matrix, published.shape) < 0.05


def test_inverted_gamma_and_16_bit() -> None:
    small = pictures.cells()
    original = small.astype(np.uint16) * 13 + 300
    published = 255 - pictures.gamma(small, 0.6)[10:150, 40:220]
    found = register(original, published)
    assert found is not None
    assert (found.inverted, found.exact) == (True, True)
    assert _error(found, [[1, 0, -40], [0, 1, -10]], published.shape) == 0


@pytest.mark.parametrize("dtype", [np.float64, pytest.param(np.uint16, marks=pytest.mark.soak)])
def test_any_type_and_colour(dtype: Any) -> None:
    grey = pictures.cells(120, 130)
    original = np.dstack([grey, grey // 2, 255 - grey]).astype(dtype)
    if np.dtype(dtype).kind == "f":
        original = original * 1e12
        original[3, 4] = np.nan
        original[5, 6] = np.inf
    published = np.dstack([grey, grey // 2, 255 - grey])[10:110, 12:120]
    found = register(original, published)
    assert found is not None
    assert found.warped.shape == (100, 108, 3)
    assert np.isfinite(found.warped).all()


def test_a_guess_is_tried_first() -> None:
    original = pictures.cells()
    published = original[40:140, 60:180]
    guess = placement_of(np.array([[1, 0, -58.5], [0, 1, -41.0]]), original.shape, published.shape)
    found = register(original, published, guess=guess)
    assert _error(found, [[1, 0, -60], [0, 1, -40]], published.shape) == 0
