"""Published pictures with known edits: how a figure is made from an original, and what may be done to it on the way.

The edit is made in the 8-bit rendering of the original, before crop, rotation,
tone and JPEG. A pixel of the published picture counts as truly changed where
edited and unedited picture differ by more than ``CHANGED_LEVELS`` after all
steps but the compression; gaps narrower than ``CLOSE_PX`` are closed, holes
filled, and nothing counts outside the edit's footprint. An edit that changes
less than ``LEAST_SHARE`` of its footprint is made elsewhere.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

CHANGED_LEVELS = 3.0
CLOSE_PX = 3
LEAST_SHARE = 0.35
EDITS = ("splice", "erase", "clone", "contrast", "blur")
Picture = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """How a figure is made: crop, turn, scale, tone, compress, in this order."""

    name: str
    crop_area: float = 1.0
    quarter_turns: int = 0
    turn_deg: float = 0.0
    scale: float = 1.0
    gamma: float = 1.0
    black: float = 0.0
    white: float = 255.0
    quality: int = 0


PIPELINES = (
    Pipeline(name="none"),
    Pipeline(name="crop 50, gamma 0.6", crop_area=0.5, gamma=0.6),
    Pipeline(name="resize 0.5, JPEG 75", scale=0.5, quality=75),
    Pipeline(name="contrast clipped, JPEG 90", black=25.0, white=170.0, quality=90),
    Pipeline(name="crop 50, 90°, gamma 1.5, JPEG 60", crop_area=0.5, quarter_turns=1, gamma=1.5, quality=60),
    Pipeline(name="37°, resize 0.7, JPEG 85", turn_deg=37.0, scale=0.7, quality=85),
)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An original with a published picture of it.

    Attributes
    ----------
    original : ndarray
        (Y, X), as it came.
    published : ndarray of uint8
        (Y, X), or (Y, X, 3) with coloured annotations.
    matrix : ndarray
        (2, 3), original to published, px.
    truth : ndarray of bool
        Pixels of the published picture that an edit changed.
    footprint : ndarray of bool
        Where the edit was made.
    ink : ndarray of bool
        Pixels that annotations changed.
    """

    original: Picture
    published: Picture
    matrix: Picture
    truth: Picture
    footprint: Picture
    ink: Picture


def grey(pixels: Picture) -> Picture:
    """Return (Y, X): luminance of a colour picture, in 8 bits."""
    if pixels.ndim == 2:
        return pixels
    return np.rint(pixels[..., :3] @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def rendering(original: Picture) -> Picture:
    """Return the whole range but the last 0.35 % as 8-bit grey."""
    low, high = np.percentile(original, (0.35, 99.65))
    stretched = (original.astype(np.float32) - low) * (255.0 / max(high - low, 1e-9))
    return np.rint(np.clip(stretched, 0, 255)).astype(np.uint8)


def jpeg(picture: Picture, quality: int) -> Picture:
    """Compress and decode."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def geometry(pipeline: Pipeline, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Picture, tuple[int, int]]:
    """Return the matrix to the published picture and its (height, width)."""
    height, width = shape
    side = math.sqrt(pipeline.crop_area)
    h, w = round(height * side), round(width * side)
    top, left = (int(rng.integers(0, n + 1)) for n in (height - h, width - w))
    matrix = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)
    for _ in range(pipeline.quarter_turns):
        matrix = np.array([[0, 1, 0], [-1, 0, w - 1], [0, 0, 1]], np.float64) @ matrix
        h, w = w, h
    if pipeline.turn_deg or pipeline.scale != 1:
        c, s = (f(math.radians(pipeline.turn_deg)) for f in (math.cos, math.sin))
        new_h, new_w = (round(pipeline.scale * n) for n in (h * abs(c) + w * abs(s), w * abs(c) + h * abs(s)))
        turn = pipeline.scale * np.array([[c, -s], [s, c]])
        if not pipeline.turn_deg:
            turn = np.diag([new_w / w, new_h / h])
        offset = np.array([(new_w - 1) / 2, (new_h - 1) / 2]) - turn @ np.array([(w - 1) / 2, (h - 1) / 2])
        matrix = np.vstack([np.column_stack([turn, offset]), [0, 0, 1]]) @ matrix
        h, w = new_h, new_w
    return matrix[:2], (h, w)


def transformed(picture: Picture, pipeline: Pipeline, matrix: Picture, shape: tuple[int, int]) -> Picture:
    """Apply geometry and tone, not the compression."""
    height, width = shape
    if pipeline.turn_deg == 0 and pipeline.scale == 1:
        placed = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_NEAREST)
    elif pipeline.turn_deg == 0:
        placed = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))
    else:
        sigma = 0.5 * math.sqrt(max(pipeline.scale**-2 - 1, 0))
        smooth = cv2.GaussianBlur(picture, (0, 0), sigma) if sigma else picture
        placed = cv2.warpAffine(smooth, matrix, (width, height), flags=cv2.INTER_CUBIC)
    levels = np.clip((placed.astype(np.float32) - pipeline.black) / (pipeline.white - pipeline.black), 0, 1)
    return np.rint(255 * levels**pipeline.gamma).astype(np.uint8)


def edited(picture: Picture, edit: str, centre: tuple[int, int], radius: float, rng: np.random.Generator,
           other: Picture) -> tuple[Picture, Picture]:  # fmt: skip
    """Return the picture with one edit, and how much of it lies at each pixel, 0 to 1."""
    height, width = picture.shape
    yy, xx = np.mgrid[:height, :width].astype(np.float32)
    aspect = rng.uniform(0.75, 1.33)
    y, x = centre
    far = np.hypot((yy - y) / aspect, (xx - x) * aspect) / radius
    alpha = cv2.GaussianBlur((far <= 1).astype(np.float32), (0, 0), max(1.0, radius / 8))
    source = picture.astype(np.float32)
    reach = math.ceil(radius * 1.6) + 2
    if edit == "clone":
        moved = _move(source, centre, reach, rng, least=2.2 * radius)
    elif edit == "splice":
        moved = _patch(other.astype(np.float32), centre, source.shape, reach, rng)
    elif edit == "erase":
        hole = (alpha > 0.05).astype(np.uint8)
        moved = cv2.inpaint(picture, hole, 3, cv2.INPAINT_TELEA).astype(np.float32)
        moved += rng.normal(0, 1.0, moved.shape)
    elif edit == "contrast":
        inside = source[alpha > 0.5]
        factor = rng.choice([0.55, 1.7])
        moved = inside.mean() + factor * (source - inside.mean())
    elif edit == "blur":
        moved = cv2.GaussianBlur(source, (0, 0), max(1.5, radius / 8))
    else:
        raise ValueError(edit)
    return np.rint(np.clip(source + alpha * (moved - source), 0, 255)).astype(np.uint8), alpha


def _move(picture: Picture, centre: tuple[int, int], reach: int, rng: np.random.Generator, least: float) -> Picture:
    height, width = picture.shape
    for _ in range(200):
        dy, dx = (int(rng.integers(-n + 1, n)) for n in (height, width))
        y, x = centre[0] + dy, centre[1] + dx
        if math.hypot(dy, dx) > least and reach <= y < height - reach and reach <= x < width - reach:
            break
    return np.roll(picture, (-dy, -dx), (0, 1))


def _patch(
    other: Picture, centre: tuple[int, int], shape: tuple[int, ...], reach: int, rng: np.random.Generator
) -> Picture:
    size = 2 * reach + 1
    if min(other.shape) < size:
        factor = (size + 1) / min(other.shape)
        other = cv2.resize(other, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    tries = [tuple(int(rng.integers(0, n - size + 1)) for n in other.shape) for _ in range(12)]
    top, left = max(tries, key=lambda t: float(other[t[0] : t[0] + size, t[1] : t[1] + size].std()))
    canvas = np.zeros((shape[0] + 2 * size, shape[1] + 2 * size), np.float32)
    y, x = centre[0] + size - reach, centre[1] + size - reach
    canvas[y : y + size, x : x + size] = other[top : top + size, left : left + size]
    return canvas[size : size + shape[0], size : size + shape[1]]


def pair(original: Picture, pipeline: Pipeline, edit: str = "", *, other: Picture | None = None, seed: int = 0,
         annotate: Callable[[Picture], Picture] | None = None) -> Pair | None:  # fmt: skip
    """Make one pair; ``None`` where the picture has no place in which the edit shows."""
    rng = np.random.default_rng(seed)
    original = grey(original)
    picture = rendering(original)
    matrix, shape = geometry(pipeline, picture.shape, rng)
    clean = transformed(picture, pipeline, matrix, shape)
    result, truth, footprint = clean, np.zeros(shape, bool), np.zeros(shape, bool)
    if edit:
        made = _place(picture, clean, pipeline, edit, matrix, rng, picture if other is None else rendering(grey(other)))
        if made is None:
            return None
        result, truth, footprint = made
    ink = np.zeros(shape, bool)
    if annotate is not None:
        marked = annotate(result)
        ink = (
            (np.abs(marked.astype(int) - (result if marked.ndim == 2 else result[..., None])) > 0)
            .reshape(*shape, -1)
            .any(-1)
        )
        result = marked
    if pipeline.quality:
        result = jpeg(result, pipeline.quality)
    return Pair(original, result, matrix, truth, footprint, ink)


def _place(picture: Picture, clean: Picture, pipeline: Pipeline, edit: str, matrix: Picture, rng: np.random.Generator,
           other: Picture) -> tuple[Picture, Picture, Picture] | None:  # fmt: skip
    shape = clean.shape
    inverse = cv2.invertAffineTransform(matrix)
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    for _ in range(25):
        # The short side of what is seen, in pixels of the original.
        radius = rng.uniform(0.05, 0.10) * min(min(shape) / scale, min(picture.shape))
        margin = 1.3 * radius * scale
        spots = [rng.uniform(margin, n - margin, 24) for n in (shape[1], shape[0])]
        places = (inverse[:, :2] @ np.array(spots) + inverse[:, 2:]).T
        inside = [(round(y), round(x)) for x, y in places if 1.3 * radius <= y < picture.shape[0] - 1.3 * radius
                  and 1.3 * radius <= x < picture.shape[1] - 1.3 * radius]  # fmt: skip
        if not inside:
            continue
        r = max(2, int(radius))
        detail = sorted(inside, key=lambda c: picture[max(c[0] - r, 0) : c[0] + r, max(c[1] - r, 0) : c[1] + r].std())
        centre = detail[int(rng.integers(len(detail) // 2, len(detail)))]
        changed, alpha = edited(picture, edit, centre, radius, rng, other)
        result = transformed(changed, pipeline, matrix, shape)
        footprint = cv2.warpAffine(alpha, matrix, shape[::-1]) > 0.1
        truth = changed_pixels(clean, result) & footprint
        if truth.sum() >= max(40, LEAST_SHARE * footprint.sum()):
            return result, truth, footprint
    return None


def changed_pixels(before: Picture, after: Picture) -> Picture:
    """Return where two pictures truly differ, by the rule of this module."""
    changed = np.abs(before.astype(np.float32) - after) > CHANGED_LEVELS
    near = np.pad(changed, CLOSE_PX + 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * CLOSE_PX + 1,) * 2)
    near = cv2.morphologyEx(near.astype(np.uint8), cv2.MORPH_CLOSE, disc) > 0
    opened = ndimage.binary_opening(near, iterations=1)
    return ndimage.binary_fill_holes(opened)[CLOSE_PX + 1 : -CLOSE_PX - 1, CLOSE_PX + 1 : -CLOSE_PX - 1]
