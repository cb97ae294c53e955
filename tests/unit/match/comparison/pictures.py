"""Small pictures made of numbers: blobs, threads and grain, and what is done to pictures on the way to print."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawtrace.match.comparison.geometry import compose, prepare, sample, scaling

Picture = NDArray[Any]


def cells(height: int = 200, width: int = 240, *, seed: int = 1, grain: float = 2.0) -> Picture:
    """Bright blobs of several sizes on a dark ground, uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    field = np.full((height, width), 20.0)
    for _ in range(60):
        cy, cx, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(2, 9)
        long, angle = rng.uniform(1, 2), rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        field += rng.uniform(30, 150) * np.exp(-(u**2 / long + v**2 * long) / (2 * size**2))
    field += rng.normal(0, grain, field.shape)
    return np.clip(field * 0.9, 1, 254).astype(np.uint8)


def moved(picture: Picture, matrix: Any, shape: tuple[int, int]) -> Picture:
    """The picture on another grid, uint8."""
    matrix = np.array(matrix, float)
    values = sample(prepare(picture.astype(np.float32), matrix, shape), matrix, shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def turned(angle_deg: float, scale: float, shape: tuple[int, int], centre: tuple[float, float]) -> Picture:
    """A map that turns about a point of the original and puts it in the middle of a picture of this shape."""
    angle = np.radians(angle_deg)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    return np.hstack([linear, (middle - linear @ np.array(centre))[:, None]])


def resized(picture: Picture, factor: float) -> tuple[Picture, Picture]:
    """A reduced picture and the map to it."""
    shape = (round(picture.shape[0] * factor), round(picture.shape[1] * factor))
    matrix = scaling(shape[1] / picture.shape[1], shape[0] / picture.shape[0])
    return moved(picture, matrix, shape), matrix


def jpeg(picture: Picture, quality: int) -> Picture:
    """Compressed and read again."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as image:
        return np.asarray(image).copy()


def gamma(picture: Picture, exponent: float) -> Picture:
    return np.rint(255 * (picture / 255.0) ** exponent).astype(np.uint8)


def after(second: Picture, first: Picture) -> Picture:
    return compose(np.array(second, float), np.array(first, float))
