"""What geometry and curve do not explain: odd input, silence where nothing was done, each kind of edit, ink."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from rawtrace.match.model import Cause

cv2 = pytest.importorskip("cv2")
pytest.importorskip("scipy")

from rawtrace.match.comparison import compression  # noqa: E402
from rawtrace.match.comparison.residual import Residual, find_differences  # noqa: E402

SIZE = 176


@cache
def field(background: float = 40.0) -> np.ndarray[Any, Any]:
    """Cells with texture on an uneven ground, with the noise of a camera."""
    rng = np.random.default_rng(5)
    yy, xx = np.mgrid[:SIZE, :SIZE].astype(float)
    picture = background + 10 * np.sin(xx / 40)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (SIZE, SIZE)), (0, 0), 1.2)
    for _ in range(22):
        y, x = rng.uniform(0, SIZE, 2)
        r = rng.uniform(7, 14)
        inside = 1 / (1 + np.exp((np.hypot(yy - y, xx - x) - r) / 0.8))
        picture += inside * (rng.uniform(50, 110) + 60 * grain)
    picture += rng.normal(0, 2.5, picture.shape)
    result = np.clip(picture, 6, 235).round().astype(np.uint8)
    result.setflags(write=False)
    return result


def jpeg(picture: np.ndarray[Any, Any], quality: int) -> np.ndarray[Any, Any]:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def look(expected: np.ndarray[Any, Any], published: np.ndarray[Any, Any], **options: Any) -> Residual:
    return find_differences(expected.astype(np.float32), published, np.ones(expected.shape, bool), **options)


def unexplained(residual: Residual) -> list[Any]:
    return [d for d in residual.differences if d.cause is Cause.UNEXPLAINED]


def marks(residual: Residual) -> list[Any]:
    return [d for d in residual.differences if d.cause is Cause.ANNOTATION]


def disc(y: int, x: int, r: float) -> np.ndarray[Any, Any]:
    yy, xx = np.mgrid[:SIZE, :SIZE]
    return cv2.GaussianBlur((np.hypot(yy - y, xx - x) <= r).astype(np.float32), (0, 0), 1.0)


def blended(
    picture: np.ndarray[Any, Any], other: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    return np.clip(picture + alpha * (other - picture.astype(float)), 0, 255).round().astype(np.uint8)


def liveliest() -> tuple[int, int]:
    """Where the picture shows most, away from its rim."""
    mean, square = (cv2.blur(part, (21, 21)) for part in (field().astype(float), field().astype(float) ** 2))
    spread = (square - mean**2)[30:-30, 30:-30]
    y, x = np.unravel_index(spread.argmax(), spread.shape)
    return int(y) + 30, int(x) + 30


@cache
def edits() -> dict[str, np.ndarray[Any, Any]]:
    picture = field()
    alpha = disc(*liveliest(), 13)
    soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 2.5)
    moved = [np.roll(picture, (dy, dx), (0, 1)) for dy in (-60, 0, 60) for dx in (-60, 0, 60) if dy or dx]
    foreign = 120 + 50 * np.sin(np.mgrid[:SIZE, :SIZE][0] / 2.0) * np.cos(np.mgrid[:SIZE, :SIZE][1] / 3.0)
    inside = picture[alpha > 0.5].mean()
    return {
        "blurred": blended(picture, soft, alpha),
        "local contrast": blended(picture, inside + 1.7 * (picture - inside), alpha),
        "detail was added": blended(picture, foreign, alpha),
        "detail is missing": blended(picture, np.full(picture.shape, 45.0), alpha),
        "repeats another area": blended(picture, max(moved, key=lambda m: m[alpha > 0.5].std()).astype(float), alpha),
    }


@pytest.mark.parametrize("published", [
    np.zeros((1, 1), np.uint8), np.zeros((5, 300), np.uint8), np.full((64, 64), 7, np.uint8),
    np.zeros((64, 64), np.uint8),
    np.full((40, 50, 3), 255, np.uint8),
], ids=["1x1", "thin", "constant", "black", "white RGB"])  # fmt: skip
def test_featureless_pictures_are_silent(published: np.ndarray[Any, Any]) -> None:
    residual = look(published.reshape(*published.shape[:2], -1)[..., 0], published)

    assert residual.differences == ()
    assert residual.labels.shape == residual.z.shape == published.shape[:2]


def test_nothing_is_said_of_what_is_masked() -> None:
    picture = field()

    nothing = find_differences(picture.astype(np.float32), 255 - picture, np.zeros(picture.shape, bool))
    left = np.zeros(picture.shape, bool)
    left[:, : SIZE // 2] = True
    half = np.where(left, picture, 255 - picture)

    assert nothing.differences == ()
    assert find_differences(picture.astype(np.float32), half, left).differences == ()


def test_unknown_values_count_as_masked() -> None:
    expected = field().astype(np.float32)
    expected[20:60, 30:70] = np.nan
    expected[100, 100] = np.inf

    residual = look(expected, field())

    assert residual.differences == ()
    assert np.isfinite(residual.expected).all()
    assert np.isfinite(residual.z).all()


@pytest.mark.parametrize(
    "quality", [75, pytest.param(30, marks=pytest.mark.soak), pytest.param(97, marks=pytest.mark.soak)]
)
def test_compression_alone_is_no_difference(quality: int) -> None:
    residual = look(field(), jpeg(field(), quality))

    assert residual.differences == ()
    if quality < 95:
        assert residual.compression is not None
        assert residual.compression.quality == quality


def test_compression_is_seen_when_its_grid_is_cropped() -> None:
    published = np.ascontiguousarray(jpeg(field(), 60)[3:, 5:])

    residual = look(field()[3:, 5:], published)

    assert residual.differences == ()
    assert residual.compression is not None
    assert residual.compression.offset == (3, 5)


def test_tables_of_the_file_are_taken() -> None:
    steps = compression.usual_steps(70)

    assert look(field(), jpeg(field(), 70), steps=steps).compression == compression.Compression(steps=steps)


def test_a_weak_edit_of_a_calm_picture_is_found() -> None:
    """What an edit leaves of itself around is no measure of chance."""
    rng = np.random.default_rng(3)
    calm = np.full((SIZE, SIZE), 90.0)
    calm[60:110, 60:110] += cv2.GaussianBlur(rng.normal(0, 90, (50, 50)), (0, 0), 1.5)
    published = calm.copy()
    published[70:96, 70:96] = 90 + 1.6 * (calm[70:96, 70:96] - 90)

    residual = look(np.rint(calm), jpeg(np.rint(published).astype(np.uint8), 70))

    assert unexplained(residual)


def test_no_compression_is_seen_in_plain_pixels() -> None:
    assert compression.estimate_compression(field()) is None


@pytest.mark.parametrize(("sigma", "quality"), [(1.0, 80), pytest.param(0.6, 0, marks=pytest.mark.soak)])
def test_another_resampling_is_no_difference(sigma: float, quality: int) -> None:
    published = np.rint(cv2.GaussianBlur(field().astype(np.float32), (0, 0), sigma)).astype(np.uint8)

    assert look(field(), jpeg(published, quality) if quality else published).differences == ()


@pytest.mark.parametrize(("kind", "quality"), [
    ("repeats another area", 0), ("blurred", 75),
    *(pytest.param(kind, 0, marks=pytest.mark.soak) for kind in edits() if kind != "repeats another area"),
])  # fmt: skip
def test_an_edit_is_found_and_outlined(kind: str, quality: int) -> None:
    published = edits()[kind]
    changed = np.abs(published.astype(int) - field()) > 3
    published = jpeg(published, quality) if quality else published

    residual = look(field(), published)

    found = unexplained(residual)
    assert found
    assert marks(residual) == []
    both = np.count_nonzero((residual.labels > 0) & (cv2.dilate(changed.astype(np.uint8), np.ones((5, 5))) > 0))
    assert both > 0.8 * np.count_nonzero(residual.labels)
    assert both > 0.7 * np.count_nonzero(changed)
    if not quality:
        assert found[0].kind == kind
        assert found[0].false_alarms < 0.01


def with_ink(picture: np.ndarray[Any, Any], kind: str, colour: Any) -> np.ndarray[Any, Any]:
    canvas = Image.new("L", (4 * SIZE, 4 * SIZE))
    pen = ImageDraw.Draw(canvas)
    if kind == "text":
        pen.text((400, 60), "B 10 µm", fill=255, font=ImageFont.load_default(64))
    elif kind == "scale bar":
        pen.rectangle((440, 620, 620, 640), fill=255)
    elif kind == "arrow":
        pen.polygon([(300, 300), (340, 280), (340, 295), (420, 295), (420, 305), (340, 305), (340, 320)], fill=255)
    elif kind == "box":
        pen.rectangle((120, 380, 340, 560), outline=255, width=8)
    else:
        pen.line((100, 100, 420, 230), fill=255, width=8)
    ink = np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.BOX), float) / 255
    if np.ndim(colour) == 0:
        return np.rint(picture + ink * (colour - picture)).astype(np.uint8)
    return np.rint(picture[..., None] + ink[..., None] * (np.array(colour) - picture[..., None])).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "quality"),
    [
        ("text", 75),
        ("scale bar", 0),
        pytest.param("arrow", 75, marks=pytest.mark.soak),
        pytest.param("box", 75, marks=pytest.mark.soak),
        pytest.param("line", 0, marks=pytest.mark.soak),
    ],
)
def test_ink_is_told_by_its_kind(kind: str, quality: int) -> None:
    published = with_ink(field(), kind, 255)

    residual = look(field(), jpeg(published, quality) if quality else published)

    assert unexplained(residual) == []
    assert [mark.kind for mark in marks(residual)] == [kind]
    assert marks(residual)[0].covers_px == 0


def test_coloured_ink_is_told_too() -> None:
    residual = look(field(), with_ink(field(), "arrow", (255, 220, 0)))

    assert unexplained(residual) == []
    assert [mark.kind for mark in marks(residual)] == ["arrow"]


def test_an_edit_beside_ink_is_still_found() -> None:
    published = with_ink(edits()["blurred"], "scale bar", 255)

    residual = look(field(), published)

    assert [d.kind for d in unexplained(residual)] == ["blurred"]
    assert [d.kind for d in marks(residual)] == ["scale bar"]


@pytest.mark.soak
def test_an_edit_under_letters_is_not_excused() -> None:
    published = with_ink(blended(field(), np.roll(field(), 60, 0).astype(float), disc(24, 130, 20)), "text", 255)

    residual = look(field(), published)

    assert sum(d.area_px for d in unexplained(residual)) > 300


def test_a_black_box_says_how_much_it_covers() -> None:
    published = field(120.0).copy()
    published[60:110, 70:120] = 0

    (mark,) = look(field(120.0), published).differences

    assert (mark.cause, mark.kind) == (Cause.ANNOTATION, "box")
    assert 800 < mark.covers_px <= 2_500


@pytest.mark.parametrize("fill", [255, 250])
def test_a_band_painted_over_with_the_ground_is_not_explained(fill: int) -> None:
    """White over a dark band of a blot on a light ground takes a band away; it marks nothing."""
    blot = 225 + np.random.default_rng(1).normal(0, 1.5, (SIZE, SIZE))
    yy, xx = np.mgrid[:SIZE, :SIZE].astype(float)
    for lane in range(5):
        for row in (50, 110):
            blot -= 170 * np.exp(-(((xx - 20 - 34 * lane) / 11) ** 4) - ((yy - row) / 4.5) ** 2)
    blot = np.clip(blot, 0, 255).round().astype(np.uint8)
    published = blot.copy()
    published[40:61, 74:104] = fill

    residual = look(blot, published)

    assert marks(residual) == []
    assert sum(d.area_px for d in unexplained(residual)) > 300


def test_a_cell_painted_over_with_black_is_not_explained() -> None:
    yy, xx = np.mgrid[:SIZE, :SIZE].astype(float)
    picture = np.zeros((SIZE, SIZE))
    for y, x in ((40, 40), (90, 120), (130, 50), (140, 140)):
        picture += 180 * np.exp(-((np.hypot(yy - y, xx - x) / 10) ** 2))
    picture = picture.round().astype(np.uint8)
    published = picture.copy()
    published[65:115, 95:145] = 0

    residual = look(picture, published)

    assert marks(residual) == []
    assert unexplained(residual)


@pytest.mark.soak
def test_a_result_repeats() -> None:
    published = jpeg(edits()["blurred"], 75)

    first, second = look(field(), published), look(field(), published)

    assert first.differences == second.differences
    assert (first.labels == second.labels).all()
