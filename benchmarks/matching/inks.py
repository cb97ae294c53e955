"""Annotations as people lay them over figures: text, scale bars, arrows, boxes and lines, with soft edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

KINDS = ("text", "scale bar", "arrow", "box", "line")
COLOURS = {
    "white": (255, 255, 255), "black": (0, 0, 0), "red": (230, 20, 20), "yellow": (255, 235, 0), "cyan": (0, 220, 255),
}  # fmt: skip
_FINE = 4


def drawn(shape: tuple[int, int], kind: str, rng: np.random.Generator) -> NDArray[Any]:
    """Return how much ink lies at each pixel, 0 to 1."""
    height, width = shape
    short = min(shape)
    canvas = Image.new("L", (width * _FINE, height * _FINE))
    pen = ImageDraw.Draw(canvas)

    def fine(*values: float) -> list[float]:
        return [_FINE * value for value in values]

    x, y = rng.uniform(0.12, 0.6) * width, rng.uniform(0.12, 0.75) * height
    stroke = max(1.0, rng.uniform(0.004, 0.010) * short)
    if kind == "text":
        size = max(11.0, rng.uniform(0.045, 0.09) * short)
        words = str(rng.choice(["A", "B", "10 µm", "control", "GFP", "p53", "b", "24 h"]))
        pen.text((_FINE * x, _FINE * y), words, fill=255, font=ImageFont.load_default(_FINE * size))
    elif kind == "scale bar":
        long, thick = rng.uniform(0.12, 0.25) * width, max(3.0, rng.uniform(0.008, 0.02) * short)
        pen.rectangle(fine(x, y, x + long, y + thick), fill=255)
    elif kind == "arrow":
        long, turn = rng.uniform(0.10, 0.16) * short + 10, rng.uniform(0, 2 * math.pi)
        c, s = math.cos(turn), math.sin(turn)
        head = max(7.0, 0.3 * long)
        shaft = max(2.0, 1.5 * stroke)
        corners = [(0, 0), (head, head / 2), (head, shaft / 2), (long, shaft / 2), (long, -shaft / 2),
                   (head, -shaft / 2), (head, -head / 2)]  # fmt: skip
        middle = (min(max(x, long + 2), width - long - 2), min(max(y, long + 2), height - long - 2))
        pen.polygon(
            [(_FINE * (middle[0] + c * u - s * v), _FINE * (middle[1] + s * u + c * v)) for u, v in corners], fill=255
        )
    elif kind == "box":
        w, h = rng.uniform(0.14, 0.3, 2) * short + 12
        pen.rectangle(fine(x, y, x + w, y + h), outline=255, width=round(_FINE * max(1.5, stroke)))
    else:
        turn, long = rng.uniform(0, math.pi), rng.uniform(0.2, 0.35) * short
        pen.line(
            fine(x, y, x + long * math.cos(turn), y + long * math.sin(turn)),
            fill=255,
            width=round(_FINE * max(1.5, stroke)),
        )
    return np.asarray(canvas.resize((width, height), Image.Resampling.BOX), np.float32) / 255


def laid_over(picture: NDArray[Any], ink: NDArray[Any], colour: str) -> NDArray[Any]:
    """Return the picture with ink on it: (Y, X) for black and white, (Y, X, 3) for colours."""
    value = np.array(COLOURS[colour], np.float32)
    if colour in {"white", "black"} and picture.ndim == 2:
        return np.rint(picture + ink * (value[0] - picture)).astype(np.uint8)
    full = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    return np.rint(full + ink[..., None] * (value - full)).astype(np.uint8)
