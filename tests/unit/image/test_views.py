from __future__ import annotations

import itertools

import numpy as np
import pytest

from arrays import array_image
from rawtrace.image import views
from rawtrace.image.reduction import reduced


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((1, 1), np.nan, np.float32),
        np.full((5, 5), np.inf),
        np.array([[np.nan, -np.inf, np.inf, 3.0]]),
        np.array([[1e308, -1e308], [0.0, np.nan]]),
        np.array([[2**64 - 1, 0]], np.uint64),
        np.array([[True, False]]),
        np.array([[1 + 2j, np.nan]], np.complex64),
        np.array([[-32768, 32767]], np.int16),
        np.zeros((1, 1), np.uint8),
    ],
)
@pytest.mark.parametrize("edge", [2048, 1])
def test_odd_values_render_without_a_warning(pixels: np.ndarray, edge: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "LONGEST_EDGE", edge)
    stack = np.stack([pixels, pixels])[None, None]
    found = list(views.views(array_image(stack)))
    assert [view.projection for view in found] == ["", "max"]
    assert all(view.pixels.dtype == np.uint8 for view in found)


def test_nothing_but_not_a_number_is_black() -> None:
    assert views.render(np.array([[np.nan, np.inf]])).tolist() == [[0, 0]]
    assert views.render(np.array([[np.nan, 1.0, 5.0]])).tolist() == [[0, 0, 255]]


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16", "uint32", "int64", "float32", "float64"])
def test_all_types_are_stretched_alike(kind: str, rng: np.random.Generator) -> None:
    values = rng.integers(0, 120, (61, 67))
    assert np.array_equal(views.render(values.astype(kind)), views.render(values.astype(np.uint16)))


def test_stretch_is_linear_between_two_ranks() -> None:
    values = np.arange(10_000, dtype=np.uint16).reshape(100, 100) + 7
    grey = views.render(values)
    low, high = 35 * 9_999 // 10_000, 9_999 - 35 * 9_999 // 10_000
    wanted = np.floor((np.clip(values - 7.0, low, high) - low) / (high - low) * 255 + 0.5)
    assert np.array_equal(grey, wanted.astype(np.uint8))


def test_a_few_bright_spots_on_flat_ground_stay_visible() -> None:
    values = np.zeros((100, 100), np.uint16)
    values[50, 50], values[10, 10] = 1000, 500
    grey = views.render(values)
    assert (grey[50, 50], grey[10, 10], grey[0, 0]) == (255, 128, 0)


def test_stretch_ignores_linear_changes(rng: np.random.Generator) -> None:
    values = rng.integers(0, 5_000, (64, 64)).astype(np.uint16)
    assert np.abs(views.render(values).astype(int) - views.render(values * 10 + 99)).max() <= 1


@pytest.mark.parametrize("factor", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("band_rows", [1, 4, 100])
@pytest.mark.parametrize("kind", ["uint16", ">u2", "int32", "float64", "uint64"])
def test_reduction_is_the_mean_of_blocks(factor: int, band_rows: int, kind: str, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 60_000, (23, 31)).astype(kind)
    bands = (pixels[row : row + band_rows] for row in range(0, 23, band_rows))
    small = reduced(bands, (23, 31), factor)
    assert small.shape == (-(-23 // factor), -(-31 // factor))
    for row, column in itertools.product(range(small.shape[0]), range(small.shape[1])):
        block = pixels[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        assert small[row, column] == np.float32(block.astype(np.float64).mean())


def test_reduction_leaves_out_what_is_no_number() -> None:
    pixels = np.array([[1.0, np.nan, np.nan, np.inf], [3.0, 2.0, -np.inf, np.nan]])
    small = reduced([pixels], (2, 4), 2)
    assert small[0, 0] == 2
    assert np.isnan(small[0, 1])


def test_long_and_thin_picture_is_reduced_in_both_directions() -> None:
    (view,) = views.views(array_image(np.zeros((1, 1, 1, 1, 5_000), np.uint8)))
    assert (view.reduction, view.size, view.pixels.shape) == (3, (5_000, 1), (1, 1_667))


def test_luminance_is_rec_601() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert views.luminance(colours).tolist() == [[76, 150, 29, 255]]
    assert views.luminance(colours.astype(np.float64)).round().tolist() == [[76, 150, 29, 255]]
    assert views.luminance(colours.astype(">u2") * 257).tolist() == [[19595, 38469, 7471, 65535]]


def test_alpha_is_left_out_and_many_samples_are_averaged() -> None:
    pixels = np.array([[[10, 20, 30, 99]]], np.uint8)
    assert views.luminance(pixels).tolist() == views.luminance(pixels[..., :3]).tolist()
    assert views.luminance(pixels[..., :2]).tolist() == [[10]]
    assert views.luminance(pixels[..., :1]).tolist() == [[10]]
    assert views.luminance(np.array([[[1, 2, 3, 4, 90]]], np.uint8)).tolist() == [[20]]
    assert views.luminance(np.array([[[1, 2, 3, 4, 90]]], np.float32)).tolist() == [[20]]
    assert views.luminance(np.array([[[True, True, False]]])).tolist() == [[1]]


def test_colour_has_one_view_without_a_channel(rng: np.random.Generator) -> None:
    (view,) = views.views(array_image(rng.integers(0, 255, (1, 1, 1, 20, 30, 3), np.uint8)))
    assert (view.channel, view.z, view.t, view.projection, view.pixels.shape) == (None, 0, 0, "", (20, 30))


def test_colours_in_several_channels_name_them(rng: np.random.Generator) -> None:
    found = views.views(array_image(rng.integers(0, 255, (1, 2, 1, 20, 30, 3), np.uint8)))
    assert [view.channel for view in found] == [0, 1]


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_sharpest_plane_and_projection_of_a_stack(kind: str, rng: np.random.Generator) -> None:
    sharp = rng.integers(0, 200, (64, 64)).astype(np.float64)
    blurred = (sharp + np.roll(sharp, 1, 1) + np.roll(sharp, 2, 1) + np.roll(sharp, 3, 1)) / 4
    stack = np.stack([blurred, sharp, blurred]).astype(kind)[None, None]
    plane, projection = views.views(array_image(stack))
    assert (plane.z, plane.projection) == (1, "")
    assert (projection.z, projection.projection) == (None, "max")
    assert np.array_equal(projection.pixels, views.render(stack[0, 0].max(axis=0)))


def test_of_equally_sharp_planes_the_first_is_taken() -> None:
    plane, _ = views.views(array_image(np.ones((1, 1, 3, 9, 2), np.uint8)))
    assert plane.z == 0


def test_sharpness_is_the_same_in_any_memory_layout(rng: np.random.Generator) -> None:
    values = rng.random((131, 97)).astype(np.float32)
    assert views.sharpness(values) == views.sharpness(np.asfortranarray(values))


def test_times_are_spread_and_views_are_limited() -> None:
    long = list(views.views(array_image(np.zeros((100, 1, 1, 2, 2), np.uint8))))
    assert [view.t for view in long] == [step * 99 // 15 for step in range(16)]
    many = array_image(np.zeros((40, 9, 3, 2, 2), np.uint8))
    found = list(views.views(many))
    assert len(found) <= views.MAX_VIEWS
    assert {view.channel for view in found} == set(range(9))
    channels = list(views.views(array_image(np.zeros((1, 500, 1, 2, 2), np.uint8))))
    assert (len(channels), channels[-1].channel) == (64, 499)


def test_plates_have_few_views_of_each_well() -> None:
    assert views.views_of_each(1) == views.MAX_VIEWS
    assert views.views_of_each(1536) == 13
    assert views.views_of_each(10_000) == 4


@pytest.mark.parametrize(("count", "most"), [(1, 1), (5, 1), (5, 5), (7, 3), (100, 16)])
def test_spread_takes_both_ends(count: int, most: int) -> None:
    found = views.spread(count, most)
    assert len(set(found)) == len(found) == min(count, most)
    assert found[0] == 0
    assert most == 1 or found[-1] == count - 1
