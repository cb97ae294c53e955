"""Strips of blots: found under what figures do to them, silent where nothing is to be found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("scipy")

from rawtrace.errors import PixelsError
from rawtrace.match.model import Evidence, Relation, Where
from rawtrace.match.strips import StripFeatures, find_strip, looks_like_blot, strip_features

Array = np.ndarray[Any, Any]
BOX = (40, 96, 200, 26)  # left, top, width, height


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """An original in memory; without pixels, as one that was moved away."""

    where: Where
    strip: StripFeatures
    view: Array | None

    def pixels(self) -> Array | None:
        return self.view


@cache
def blot(seed: int, *, alike: bool = False) -> Array:
    """Two rows of bands on a noisy background, 8 bit; ``alike``: every band is the same to the pixel."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:200, :280].astype(np.float32)
    picture = np.zeros((200, 280)) if alike else 0.1 + 0.05 * rng.normal() * x / 280 + rng.normal(0, 0.01, y.shape)
    for row in (60, 110):
        for lane in range(8):
            centre, weight, width, bend, rise = 32.0 + 31 * lane, 0.7, 10.0, 0.0, 0.0
            if not alike:
                centre, weight, width = centre + rng.normal(0, 2), rng.uniform(0.1, 0.9), rng.uniform(8, 12)
                bend, rise = rng.normal(0, 1.5), rng.normal(0, 2)
            u = (x - centre) / width
            picture = picture + weight * np.exp(-(u**6) - ((y - row - rise - bend * u) / 4) ** 2)
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def kept(number: int, pixels: Array, *, away: bool = False) -> Kept:
    return Kept(Where(source=f"{number}.tif"), strip_features(pixels), None if away else pixels)


@cache
def gallery() -> tuple[Kept, ...]:
    return tuple(kept(seed, blot(seed)) for seed in range(4))


def cut(pixels: Array) -> Array:
    left, top, width, height = BOX
    return pixels[top : top + height, left : left + width]


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((1, 1), np.uint8),
        np.zeros((30, 300), np.uint8),
        np.full((30, 300), 65535, np.uint16),
        np.full((30, 300), np.nan),
        np.full((30, 300), np.inf, np.float32),
        np.zeros((5, 400), np.uint8),
        np.random.default_rng(1).normal(size=(12, 60)),
    ],
    ids=["one-pixel", "black", "white", "nan", "infinite", "low", "noise"],
)
def test_nothing_is_found_for_a_picture_of_nothing(picture: Array) -> None:
    assert find_strip(picture, gallery()[:1]) == ()


def test_a_strip_without_its_original_is_met_with_silence() -> None:
    assert find_strip(cut(blot(0)), gallery()[2:]) == ()
    assert find_strip(cut(blot(0)), ()) == ()


def test_lanes_that_are_all_alike_are_named_repeating() -> None:
    alike = blot(9, alike=True)
    found = find_strip(alike[46:74, 47:171], [kept(9, alike)])
    assert len(found) > 1
    assert {match.relation for match in found} == {Relation.REPEATING}


@pytest.mark.parametrize("shape", [(0, 5), (5,), (2, 2, 2, 2), (5, 5, 9)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PixelsError):
        find_strip(np.zeros(shape), gallery()[:1])
    with pytest.raises(PixelsError):
        strip_features(np.zeros(shape))
    with pytest.raises(PixelsError):
        looks_like_blot(np.zeros(shape))


def test_odd_originals_are_passed_over() -> None:
    odd = [np.zeros((1, 1)), np.full((300, 300), 7), np.full((90, 90), np.nan), np.eye(4), np.full((40, 3), 1e38)]
    members = [kept(10 + number, pixels) for number, pixels in enumerate(odd)]
    assert find_strip(cut(blot(0)), [*members, gallery()[0]])[0].where.source == "0.tif"


def test_a_huge_picture_takes_bounded_work() -> None:
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (100_000, 100_000), (0, 0))
    assert find_strip(huge, gallery()[:1]) == ()
    assert strip_features(huge).reduced.shape == (512, 512)
    assert looks_like_blot(huge) == 0


def _saturated(strip: Array) -> Array:
    low, high = np.percentile(strip, (50, 93))
    return np.asarray(255 - np.round(np.clip((strip - low) / (high - low), 0, 1) * 255), np.uint8)


@pytest.mark.parametrize(
    ("published", "inverted", "mirrored"),
    [
        (lambda strip: np.sqrt(strip[:, ::-1] / 255.0), False, True),
        (lambda strip: _saturated(strip[::-1, ::-1]), True, False),
        (lambda strip: np.rot90(np.repeat(strip[..., None], 3, 2).astype(np.uint16) * 257), False, False),
    ],
    ids=["mirrored-gamma", "upside-down-saturated-inverted", "standing-rgb-16-bit"],
)
def test_a_strip_is_found_whatever_the_figure_did(published: Any, inverted: bool, mirrored: bool) -> None:
    members = [kept(2, blot(2), away=not inverted), *gallery()[:1]]
    found = find_strip(published(cut(blot(2))), members)
    assert [(match.where.source, match.relation) for match in found] == [("2.tif", Relation.SAME)]
    (match,) = found
    assert match.evidence is Evidence.STRIP
    assert match.inverted is inverted
    assert (match.correlation < 0) is inverted
    assert match.placement is not None
    assert match.placement.mirrored is mirrored
    left, top, width, height = BOX
    assert match.placement.crop_box == pytest.approx((left, top, left + width, top + height), abs=2.0)


def test_two_exposures_of_one_blot_are_both_the_same_picture() -> None:
    longer = np.clip(blot(1) * 1.3, 0, 255).astype(np.uint8)
    found = find_strip(cut(blot(1)), [kept(1, blot(1)), kept(2, longer)])
    assert {match.where.source for match in found} == {"1.tif", "2.tif"}
    assert {match.relation for match in found} == {Relation.SAME}


def test_stored_features_come_back_whole_and_bounded() -> None:
    noisy = np.random.default_rng(3).integers(0, 65535, (900, 2000), np.uint16)
    features = strip_features(noisy)
    data = features.to_bytes()
    again = StripFeatures.from_bytes(data)
    assert len(data) < 270_000
    assert again.shape == (900, 2000)
    assert np.array_equal(again.reduced, features.reduced)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:15],
        lambda data: data[:-9],
        lambda data: b"XXXX" + data[4:],
        lambda data: data[:4] + b"\x07" + data[5:],
        lambda data: data[:5] + bytes(8) + data[13:],
        lambda data: data[:13] + b"\xff\xff\xff\xff" + data[17:],
        lambda data: data[:17] + b"no deflate",
        lambda data: data + bytes(400_000),
    ],
    ids=["empty", "short", "cut-off", "magic", "version", "no-size", "large", "packed", "long"],
)
def test_damaged_features_are_refused(damage: Any) -> None:
    with pytest.raises(PixelsError):
        StripFeatures.from_bytes(damage(gallery()[0].strip.to_bytes()))


def test_blots_look_like_blots_and_noise_does_not() -> None:
    assert min(looks_like_blot(blot(seed)) for seed in range(4)) >= 0.5
    assert looks_like_blot(cut(blot(0))) >= 0.5
    assert looks_like_blot(np.random.default_rng(2).normal(size=(200, 200))) < 0.5
    assert looks_like_blot(np.zeros((200, 200))) == 0
    assert looks_like_blot(np.full((1, 1), np.nan)) == 0
