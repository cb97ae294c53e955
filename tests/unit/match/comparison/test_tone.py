"""Curves are measured through noise, compression and edits, and named."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.match.comparison import pictures

from rawtrace.match.comparison.tone import fit_curve
from rawtrace.match.model import Tone

FULL = np.ones((200, 240), bool)


def test_constant_and_tiny_fail() -> None:
    flat = fit_curve(np.zeros((200, 240), np.float32), pictures.cells(), FULL)
    assert flat.curve.confidence == 0
    nothing = fit_curve(pictures.cells().astype(np.float32), pictures.cells(), np.zeros((200, 240), bool))
    assert nothing.curve.confidence == 0


def test_unchanged_and_inverted() -> None:
    picture = pictures.cells()
    same = fit_curve(picture.astype(np.float32), picture, FULL).curve
    assert (same.tone, same.inverted, same.clipped_low, same.clipped_high) == (Tone.UNCHANGED, False, 0, 0)
    inverted = fit_curve(picture.astype(np.float32), 255 - picture, FULL).curve
    assert (inverted.tone, inverted.inverted) == (Tone.UNCHANGED, True)


@pytest.mark.parametrize("quality", [None, 75])
def test_a_window_of_16_bit(quality: int | None) -> None:
    original = pictures.cells().astype(np.float32) * 16 + 100
    published = np.clip((original - 500) / (2500 - 500) * 255 + 0.5, 0, 255).astype(np.uint8)
    shown = published if quality is None else pictures.jpeg(published, quality)
    curve = fit_curve(original, shown, FULL).curve
    assert curve.tone is Tone.LINEAR
    assert curve.black == pytest.approx(500, abs=25)
    assert curve.white == pytest.approx(2500, abs=25)
    assert curve.clipped_low == pytest.approx(np.mean(original < 500), abs=0.05)
    assert curve.clipped_high == pytest.approx(np.mean(original > 2500), abs=0.03)


def test_stretching_a_picture_that_has_black_and_white_is_no_identity() -> None:
    picture = pictures.cells()
    picture[:6, :40], picture[-6:, -40:] = 0, 255
    published = np.rint(255 * np.clip((picture - 25.0) / 145, 0, 1)).astype(np.uint8)
    found = fit_curve(picture.astype(np.float32), published, FULL)
    assert found.curve.tone is Tone.LINEAR
    assert (found.curve.black, found.curve.white) == (pytest.approx(25, abs=1), pytest.approx(170, abs=1))
    assert np.abs(found.expected - published).max() < 2


@pytest.mark.parametrize(("exponent", "quality"), [(0.45, None), (0.8, 75), (1.5, None), (2.2, 75)])
def test_gamma(exponent: float, quality: int | None) -> None:
    picture = pictures.cells()
    published = pictures.gamma(picture, exponent)
    curve = fit_curve(picture.astype(np.float32), published if quality is None else pictures.jpeg(published, quality),
                      FULL).curve  # fmt: skip
    assert curve.tone is Tone.GAMMA
    assert curve.gamma == pytest.approx(exponent, abs=0.03)
    assert curve.gamma_interval is not None
    assert curve.gamma_interval[0] < curve.gamma < curve.gamma_interval[1]


def test_s_curve_and_turning_curve() -> None:
    picture = pictures.cells()
    u = np.arange(256) / 255
    s_curve = 1 / (1 + np.exp(-9 * (u - 0.35)))
    s_curve = np.rint(255 * (s_curve - s_curve[0]) / (s_curve[-1] - s_curve[0])).astype(np.uint8)
    assert fit_curve(picture.astype(np.float32), s_curve[picture], FULL).curve.tone is Tone.MONOTONE
    turning = np.abs(np.linspace(-255, 255, 256)).astype(np.uint8)
    found = fit_curve(picture.astype(np.float32), turning[picture], FULL)
    assert found.curve.tone is Tone.NOT_MONOTONE
    assert np.abs(found.expected - turning[picture]).mean() < 3


def test_edits_do_not_bend_the_curve() -> None:
    picture = pictures.cells()
    published = pictures.gamma(picture, 1.5)
    published[40:80, 50:90] = published[120:160, 100:140]
    curve = fit_curve(picture.astype(np.float32), published, FULL).curve
    assert (curve.tone, curve.gamma) == (Tone.GAMMA, pytest.approx(1.5, abs=0.02))


def test_bright_things_copied_onto_a_dark_ground_do_not_bend_a_compressed_curve() -> None:
    original, published = _camera()
    published[10:42, 10:42] = published[90:122, 90:122]
    found = fit_curve(original, pictures.jpeg(published, 85), np.ones(original.shape, bool)).curve
    assert found.tone is Tone.LINEAR
    assert (found.black, found.white) == (pytest.approx(600, abs=60), pytest.approx(9_000, rel=0.02))


def test_noise_at_the_black_point_is_not_lost() -> None:
    original, published = _camera()
    found = fit_curve(original, published, np.ones(original.shape, bool)).curve
    assert found.tone is Tone.LINEAR
    assert np.mean(published == 0) > 0.03
    assert found.clipped_low < 0.005
    darker = original.copy()
    darker[:40] -= 400
    found = fit_curve(darker, _windowed(darker), np.ones(original.shape, bool)).curve
    assert found.clipped_low == pytest.approx(0.25, abs=0.03)


def _camera() -> tuple[np.ndarray, np.ndarray]:
    """A dark ground with the noise of a camera and one bright thing, 16 bit, and its window in 8 bit."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:160, :160]
    original = (
        700 + 60 * rng.normal(size=(160, 160)) + 9_500 * np.exp(-((((y - 106) ** 2 + (x - 106) ** 2) / 400) ** 2))
    )
    return original.astype(np.float32), _windowed(original)


def _windowed(original: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip((original - 600) / 8_400, 0, 1)).astype(np.uint8)


def test_points_are_bounded_and_ascending() -> None:
    original = pictures.cells().astype(np.float32) * 257
    found = fit_curve(original, pictures.gamma(pictures.cells(), 0.6), FULL).curve
    values = [x for x, _ in found.points]
    assert len(values) <= 256
    assert values == sorted(values)
