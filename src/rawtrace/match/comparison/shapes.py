"""Names the shapes that people draw over pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXT, SCALE_BAR, ARROW, BOX, LINE = "text", "scale bar", "arrow", "box", "line"
#: Half width of a stroke: share of the picture's short side, and px.
STROKE_SHARE, STROKE_PX = 0.015, 3.5


def shape_of(own: NDArray[Any], depth: NDArray[Any], limit: float, size: tuple[int, int]) -> str:
    """Return what a part looks like by its outline; ``""`` where nobody draws such a thing."""
    import cv2
    import numpy as np
    from scipy import ndimage

    y, x = np.nonzero(own)
    points = np.stack([x, y], 1).astype(np.float32)
    (_, (a, b), angle) = cv2.minAreaRect(points)
    length, width = max(a, b) + 1, min(a, b) + 1
    area = len(points)
    full = area / (length * width)
    upright = min(angle % 90, 90 - angle % 90) < 3
    horizontal = np.ptp(x) > np.ptp(y)
    glyph = max(24.0, 0.08 * min(size))
    thin = float(depth.max()) <= limit
    if full > 0.8 and length >= 3 * width:
        if length < 0.6 * glyph:
            return TEXT
        if not thin and not (upright and width <= 0.06 * min(size)):
            return BOX if full > 0.9 else ""
        return SCALE_BAR if upright and horizontal and length <= 0.6 * size[1] else LINE
    if full > 0.9 and width >= 6 and (length > glyph or not thin):
        return BOX
    arrow = is_arrow(points, length, width, area, limit)
    if arrow and length > 0.5 * glyph:
        return ARROW
    if not thin:
        return ""
    filled = int(np.count_nonzero(ndimage.binary_fill_holes(own)))
    if filled > 2.2 * area and length > glyph:
        return BOX if filled > 0.85 * length * width else LINE
    if length > 2 * glyph and (length > 6 * width or area < 0.15 * length * width):
        return LINE
    return TEXT if length <= 4 * glyph else LINE


def is_arrow(points: NDArray[Any], length: float, width: float, area: int, limit: float) -> bool:
    """Whether a part is a shaft with a head at one end, or a head alone."""
    import numpy as np

    if length < 1.25 * width or width < 4:
        return False
    centred = points - points.mean(0)
    _, _, axes = np.linalg.svd(centred.T @ centred)
    along, across = centred @ axes[0], centred @ axes[1]
    count = int(np.clip(length / 2, 6, 24))
    bins = np.clip(((along - along.min()) / max(float(np.ptp(along)), 1e-6) * count).astype(int), 0, count - 1)
    widths, middles = np.zeros(count), np.zeros(count)
    for index in range(count):
        members = across[bins == index]
        if len(members) == 0:
            return False
        widths[index], middles[index] = np.ptp(members) + 1, 0.5 * (members.max() + members.min())
    # Drawn things are symmetrical about their axis.
    if np.abs(middles - np.median(middles)).max() > 0.18 * width + 1.2:
        return False
    if widths[: count // 2].max() > widths[count // 2 :].max():
        widths = widths[::-1]
    shaft = widths[: max(2, count // 2)]
    head = widths[count // 2 :]
    if (
        float(shaft.max()) <= 2.2 * limit
        and head.max() >= 1.8 * float(np.median(shaft))
        and float(np.ptp(shaft)) <= 0.35 * head.max() + 1
    ):
        return True
    # A triangle: width grows steadily from tip to base.
    steady = np.corrcoef(np.arange(count), widths)[0, 1] if widths.std() > 0 else 0.0
    return bool(steady > 0.95 and widths[0] < 0.35 * widths.max() and 0.4 < area / (length * width) < 0.65)
