"""How much of a difference between two places moving and compression explain.

Moving by parts of a pixel blurs the finest detail; moving by half a pixel and
back shows how much. JPEG takes away the fine detail that tells a copy from two things that look
alike. What it changes can be measured all the same: the picture is compressed
again as before, on blocks half a block away. Two copies, whose blocks lie
differently as well, differ by about that much; two cells differ by more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison.compression import Compression, estimate_compression, usual_steps
from rawtrace.match.features import computer_vision
from rawtrace.match.reuse.growth import pearson, tone

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Grey levels that rounding and moving alone change.
_ROUNDING = 0.5
#: Larger pictures are asked for their compression in the middle.
_ASKED = 1_024
#: Finer compression changes less than noise does.
_FINEST = 96
_SHIFT = 4
_MIN_CORE = 120


def moving_error(picture: NDArray[Any]) -> NDArray[Any]:
    """Return what moving a picture (float32) by half a pixel and back changes, in its grey levels."""
    cv2 = computer_vision()
    import numpy as np

    size, moved = picture.shape[::-1], picture
    for step in (0.5, -0.5):
        matrix = np.array([[1, 0, step], [0, 1, step]])
        moved = cv2.warpAffine(moved, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    result: NDArray[Any] = moved - picture
    return result


def compression_error(grey: NDArray[Any]) -> NDArray[Any] | None:
    """Return what the last compression of a picture would change, were it to happen again half a block away.

    Parameters
    ----------
    grey : ndarray of uint8
        (Y, X).

    Returns
    -------
    ndarray of float32 or None
        In grey levels; ``None`` where no compression shows.
    """
    cv2 = computer_vision()
    import numpy as np

    # The corner stays on the block grid of the whole.
    top, left = (max(0, (edge - _ASKED) // 16 * 8) for edge in grey.shape)
    found = estimate_compression(np.ascontiguousarray(grey[top : top + _ASKED, left : left + _ASKED]))
    quality = _quality(found) if found is not None else 100
    if found is None or quality > _FINEST:
        return None
    down, right = (found.offset[1] + top) % 8 + _SHIFT, (found.offset[0] + left) % 8 + _SHIFT
    # Blocks begin at 0 of the padded picture, which is half a block before one of the last time.
    padded = np.pad(grey, ((16 - down, 16), (16 - right, 16)), mode="edge")
    good, packed = cv2.imencode(".jpg", padded, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        return None
    again = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE)
    part = again[16 - down : 16 - down + grey.shape[0], 16 - right : 16 - right + grey.shape[1]]
    result: NDArray[Any] = part.astype(np.float32) - grey
    return result


def _quality(found: Compression) -> int:
    """Return the usual quality that is most like what was found."""
    import numpy as np

    if found.quality is not None:
        return found.quality
    usual = np.log([usual_steps(quality) for quality in range(10, 101)])
    return 10 + int(np.abs(usual - np.log(np.maximum(found.steps, 1))).sum(1).argmin())


def surplus(
    picture: NDArray[Any], warped: NDArray[Any], area: NDArray[Any], error: NDArray[Any]
) -> tuple[float, float, float]:
    """Say how far the difference of two places goes beyond what is expected.

    Returns
    -------
    times : float
        The difference, for one of what is expected there.
    gain : float
        Contrast of the area for one of the other place.
    shape : float
        Correlation of structures some pixels wide, -1 to 1.
    """
    cv2 = computer_vision()
    import numpy as np

    # The border of a copy is blended into its surroundings.
    core = cv2.erode(area.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if np.count_nonzero(core) < _MIN_CORE:
        core = area
    ys, xs = np.nonzero(core)
    box = slice(max(int(ys.min()) - 9, 0), int(ys.max()) + 10), slice(max(int(xs.min()) - 9, 0), int(xs.max()) + 10)
    here, there, inside = picture[box], warped[box], core[box]
    gain, offset = tone(here[inside], there[inside])
    difference = here[inside] - (gain * there[inside] + offset)
    expected = float(np.sqrt((error[box][inside] ** 2).mean() + _ROUNDING**2))

    def middle(values: NDArray[Any]) -> NDArray[Any]:
        result: NDArray[Any] = cv2.GaussianBlur(values, (0, 0), 0.8) - cv2.GaussianBlur(values, (0, 0), 3.0)
        return result

    return (
        float(np.sqrt((difference**2).mean())) / expected,
        gain,
        pearson(middle(here)[inside], middle(there)[inside]),
    )
