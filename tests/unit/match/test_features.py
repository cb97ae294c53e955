from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cv2")

from rawtrace.errors import MalformedError
from rawtrace.match.features import (
    POINT_BYTES,
    Features,
    features,
    from_bytes,
    permutation,
    stretched,
    to_bytes,
    variant,
)


def texture(seed: int = 1, size: int = 200) -> np.ndarray:
    import cv2

    random = np.random.default_rng(seed)
    picture = sum(cv2.GaussianBlur(random.normal(size=(size, size)), (0, 0), s) * s for s in (1.5, 3, 6, 12))
    return stretched(picture)


def agreeing(points: np.ndarray, descriptors: np.ndarray, of: Features) -> tuple[float, float]:
    """Share of points whose most similar descriptor lies where it should, and how far away those are."""
    similar = descriptors.astype(np.float32) @ of.descriptors.T.astype(np.float32)
    apart = np.hypot(*(points - of.xy[similar.argmax(axis=1)]).T)
    near = apart < 1
    return float(near.mean()), float(np.median(apart[near]))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
def test_permuted_descriptors_are_those_of_the_changed_picture(mirrored: bool, inverted: bool) -> None:
    picture = texture()
    changed = picture[:, ::-1] if mirrored else picture
    changed = 255 - changed if inverted else changed
    found = features(np.ascontiguousarray(changed))
    points = found.xy.copy()
    if mirrored:
        points[:, 0] = picture.shape[1] - 1 - points[:, 0]
    share, apart = agreeing(points, variant(found, mirrored=mirrored, inverted=inverted), features(picture))
    assert share > 0.8
    assert apart < 0.02


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_picture_has_its_points_in_the_same_places(turns: int) -> None:
    picture = texture(3)
    last = picture.shape[0] - 1
    found = features(np.ascontiguousarray(np.rot90(picture, turns)))
    x, y = found.xy.T
    back = {1: (last - y, x), 2: (last - x, last - y), 3: (y, last - x)}[turns]
    share, apart = agreeing(np.stack(back, axis=1), found.descriptors, features(picture))
    assert share > 0.7
    assert apart < 0.05


@pytest.mark.parametrize("size", [90, pytest.param(1300, marks=pytest.mark.soak)])
def test_positions_are_of_the_picture_as_given_whatever_the_working_size(size: int) -> None:
    at = size // 3
    y, x = np.mgrid[:size, :size]
    picture = (200 * np.exp(-((x - at) ** 2 + (y - at) ** 2) / 50)).astype(np.uint8)
    found = features(picture)
    assert len(found)
    assert np.abs(found.xy - at).max(axis=1).min() < 0.3


def test_permutations_undo_themselves() -> None:
    for mirrored in (False, True):
        for inverted in (False, True):
            order = permutation(mirrored=mirrored, inverted=inverted)
            assert (order[order] == np.arange(128)).all()


def test_smaller_limit_gives_the_first_points() -> None:
    picture = texture(2)
    many, few = features(picture, limit=300), features(picture, limit=100)
    assert len(few) == 100
    np.testing.assert_array_equal(many.xy[:100], few.xy)
    np.testing.assert_array_equal(many.descriptors[:100], few.descriptors)


def test_first_points_are_spread_out_although_a_corner_is_brighter() -> None:
    picture = texture(4).astype(np.float32) / 10
    picture[:40, :40] *= 10
    found = features(picture, limit=100)
    assert (found.xy > 100).all(axis=1).sum() > 15


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((64, 64), np.uint8), np.full((64, 64), 255, np.uint8), np.zeros((1, 1), np.uint8),
        np.zeros((5, 900), np.uint8), np.full((64, 64), np.nan), np.full((64, 64), np.inf), np.zeros((32, 32), bool),
        np.zeros((0, 10), np.uint8),
    ],
)  # fmt: skip
def test_nothing_in_pictures_that_show_nothing(picture: np.ndarray) -> None:
    assert len(features(picture)) == 0


def test_not_a_number_and_infinity_among_good_values() -> None:
    picture = texture(5).astype(np.float64)
    picture[3, 3], picture[9, 9], picture[50, 50] = np.nan, np.inf, -np.inf
    assert len(features(picture)) > 50


def test_long_narrow_picture_is_not_enlarged_without_bound() -> None:
    assert len(features(np.tile(texture(6)[:9], (1, 40)))) >= 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_bytes_give_back_what_was_packed(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    given = Features(
        xy=(random.random((count, 2)) * [90, 70]).astype(np.float32),
        size=random.uniform(1, 60, count).astype(np.float16).astype(np.float32),
        angle=random.uniform(0, 360, count).astype(np.float16).astype(np.float32),
        descriptors=random.integers(0, 256, (count, 128), dtype=np.uint8),
        shape=(70, 90),
    )
    data = to_bytes(given)
    back = from_bytes(data)
    assert len(data) == 20 + count * POINT_BYTES
    assert back.shape == given.shape
    for name in ("xy", "size", "angle", "descriptors"):
        np.testing.assert_array_equal(getattr(back, name), getattr(given, name))


def test_features_survive_packing_exactly() -> None:
    found = features(texture(7))
    back = from_bytes(to_bytes(found))
    for name in ("xy", "size", "angle", "descriptors"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))


SOUND = to_bytes(features(texture(8, 96), limit=5))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused_in_words_or_read(data: st.DataObject) -> None:
    good = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(good[: data.draw(st.integers(0, len(good)))]) if data.draw(st.booleans()) else bytes(good)
    try:
        read = from_bytes(cut)
    except MalformedError:
        return
    assert np.isfinite(read.xy).all()
    assert np.isfinite(read.size).all()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"RTSF", b"\0" * 20, struct.pack("<4sBxHIII", b"RTSF", 2, 128, 0, 9, 9),
        struct.pack("<4sBxHIII", b"RTSF", 1, 64, 0, 9, 9), struct.pack("<4sBxHIII", b"RTSF", 1, 128, 2**32 - 1, 9, 9),
        struct.pack("<4sBxHIII", b"RTSF", 1, 128, 0, 2**31, 9),
    ],
)  # fmt: skip
def test_bytes_that_are_no_features_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        from_bytes(data)
