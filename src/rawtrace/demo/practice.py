"""A deposit to practise on: eight recordings, and a figure without any seal that shows part of one of them.

Two areas of the figure were changed on purpose. ``answers.json`` says which,
and which recording, channel and plane the figure shows.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rawtrace import durable, strictjson
from rawtrace.demo import specimen
from rawtrace.errors import AlreadyExistsError
from rawtrace.image import writing
from rawtrace.progress import SILENT, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECORDINGS = 8
FIGURE = "figure-2b.jpg"
#: Which recording, counted from 1, which channel and which focal plane the figure shows.
SHOWN, CHANNEL, PLANE = 5, 0, 1
#: Rows and columns of the recording that the figure shows.
_TOP, _LEFT, _HEIGHT, _WIDTH = 96, 64, 352, 416
_QUALITY = 88


def recording(number: int) -> str:
    """Return the file name of a recording, counted from 1."""
    return f"recording-{number:02d}.ome.tiff"


def make(folder: Path, *, recordings: int = RECORDINGS, progress: Progress = SILENT) -> tuple[Path, ...]:
    """Write the practice set into a new folder.

    Parameters
    ----------
    folder : Path
    recordings : int
        How many; at least ``SHOWN``.

    Returns
    -------
    tuple of Path
        The folder of recordings, the figure, the answers.

    Raises
    ------
    AlreadyExistsError
        The folder is there and not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        msg = f"{folder} is there already and not empty"
        raise AlreadyExistsError(msg, hint="name a new folder")
    deposit = folder / "deposit"
    deposit.mkdir(parents=True)
    progress.start("recording", recordings)
    for number in range(1, recordings + 1):
        recorded = specimen.stack(1_000 + number)
        writing.ome_tiff(
            deposit / recording(number),
            recorded,
            axes="CZYX",
            channels=specimen.CHANNELS,
            pixel_size_um=specimen.PIXEL_SIZE_UM,
        )
        if number == SHOWN:
            picture, changed = _figure(recorded[CHANNEL, PLANE])
            durable.write_new(folder / FIGURE, writing.jpeg(picture, quality=_QUALITY))
        progress.advance(1)
    progress.finish()
    answers = {
        "figure": FIGURE,
        "recording": recording(SHOWN),
        "channel": CHANNEL,
        "z": PLANE,
        "crop": {"left": _LEFT, "top": _TOP, "width": _WIDTH, "height": _HEIGHT},
        "rotated_deg": 90,
        "changed": changed,
    }
    durable.write_new(folder / "answers.json", strictjson.dumps(answers))
    return deposit, folder / FIGURE, folder / "answers.json"


def _figure(plane: NDArray[Any]) -> tuple[NDArray[Any], list[dict[str, Any]]]:
    """Make a figure's panel as people do: changed here in two places, cropped, turned, stretched, lettered."""
    part = plane[_TOP : _TOP + _HEIGHT, _LEFT : _LEFT + _WIDTH].astype(np.float64)
    bright, dim = _places(part)
    _clone(part, source=bright, target=dim)
    another, _ = _places(np.where(_disc(bright, part.shape) + _disc(dim, part.shape) > 0, part.min(), part))
    _erase(part, another)
    low, high = np.percentile(part, (2.0, 99.6))
    shown = np.rot90(np.clip((part - low) / (high - low), 0, 1) * 255 + 0.5, -1).astype(np.uint8)
    changed = [
        {"what": what, **_box(centre, shown.shape[1])}
        for what, centre in (("a nucleus was painted over", another), ("a nucleus was copied here", dim))
    ]
    picture = np.repeat(shown[..., None], 3, axis=2)
    height, width = shown.shape
    picture[height - 18 : height - 13, width - 66 : width - 16] = 255  # a scale bar of 10 µm
    _letter(picture)
    return picture, changed


_RADIUS = 31


def _places(part: NDArray[Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the place where one bright thing stands alone, and the emptiest one, both away from the borders."""
    y, x = np.mgrid[: part.shape[0], : part.shape[1]]
    middle = (part.shape[0] // 2, part.shape[1] // 2)
    distance = np.hypot(y - middle[0], x - middle[1])
    inside, around = distance < _RADIUS - 8, (distance >= _RADIUS - 4) & (distance < _RADIUS + 10)
    alone = _correlated(part, inside / inside.sum() - 3 * around / around.sum())
    crowd = _correlated(part, (distance < _RADIUS + 6).astype(float))
    border = np.ones(part.shape, bool)
    border[_RADIUS + 12 : -_RADIUS - 12, _RADIUS + 12 : -_RADIUS - 12] = False
    alone[border], crowd[border] = -np.inf, np.inf
    places = [np.unravel_index(int(flat), part.shape) for flat in (alone.argmax(), crowd.argmin())]
    (top, left), (low, right) = places
    return (int(top), int(left)), (int(low), int(right))


def _correlated(part: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    """Correlate with a kernel of the same shape whose middle is its origin."""
    origin = np.roll(kernel, (-(part.shape[0] // 2), -(part.shape[1] // 2)), axis=(0, 1))
    product: NDArray[Any] = np.fft.irfft2(np.fft.rfft2(part) * np.conj(np.fft.rfft2(origin)), part.shape)
    return product


def _disc(centre: tuple[int, int], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return how much of each pixel is changed, 0 to 1, with a soft edge."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance = np.hypot(y - centre[0], x - centre[1])
    inside: NDArray[Any] = np.clip((_RADIUS - distance) / 3 + 0.5, 0, 1)
    return inside


def _erase(part: NDArray[Any], centre: tuple[int, int]) -> None:
    """Paint over a place with the background around it, noise included."""
    random = np.random.default_rng(5)
    background = part[part < np.percentile(part, 30)]
    inside = _disc(centre, part.shape)
    part[:] = part * (1 - inside) + random.choice(background, part.shape) * inside


def _clone(part: NDArray[Any], *, source: tuple[int, int], target: tuple[int, int]) -> None:
    """Copy one place over another."""
    moved = np.roll(part, (target[0] - source[0], target[1] - source[1]), axis=(0, 1))
    inside = _disc(target, part.shape)
    part[:] = part * (1 - inside) + moved * inside


def _box(centre: tuple[int, int], width: int) -> dict[str, int]:
    """Return where a place of the unturned part lies in the figure, which is turned clockwise."""
    y, x = centre
    return {"left": width - 1 - y - _RADIUS, "top": x - _RADIUS, "width": 2 * _RADIUS + 1, "height": 2 * _RADIUS + 1}


_LETTER = ("111110", "100001", "100001", "111110", "100001", "100001", "111110")


def _letter(picture: NDArray[Any]) -> None:
    """Draw the letter of the panel, a white B, in the lower left corner."""
    size = math.ceil(picture.shape[0] / 110)
    for row, line in enumerate(_LETTER):
        for column, ink in enumerate(line):
            if ink == "1":
                top = picture.shape[0] - 10 + (row - len(_LETTER)) * size
                left = 10 + column * size
                picture[top : top + size, left : left + size] = 255
