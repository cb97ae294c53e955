"""From two pictures to a class, a sentence and JSON; from two files to the plane that is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.unit.match.comparison import pictures

import rawtrace
from rawtrace.errors import InputNotFoundError, UsageError
from rawtrace.match.comparison.compare import CLASSES, COVERED, GEOMETRY_ONLY, LOCAL_CHANGE, compare
from rawtrace.match.comparison.levels import eight_bit
from rawtrace.match.model import Tone

SMALL = (90, 110)


def _told(original: Any, published: Any, kind: str) -> str:
    found = compare(original, published)
    assert found.kind == kind, found.sentence
    assert found.kind == found.changes[0]
    assert set(found.changes) <= set(CLASSES)
    summary = json.loads(json.dumps(found.summary()))
    assert (summary["class"], summary["sentence"]) == (kind, found.sentence)
    assert found.something_to_look_at == (kind in {"not-derived", "local-change"})
    return found.sentence


@pytest.mark.parametrize(
    "odd",
    [
        np.zeros((1, 1), np.uint8), np.full((90, 90), 7.0), np.full((90, 90), np.nan), np.zeros((0, 5)),
        np.zeros((2, 3, 4, 5)), np.zeros(9), np.full((90, 90), np.inf),
    ],
)  # fmt: skip
def test_not_derived_fail(odd: Any) -> None:
    said = "The published picture could not be laid over this original."
    assert _told(pictures.cells(90, 90), odd, "not-derived") == said
    assert _told(odd, pictures.cells(90, 90), "not-derived") == said


def test_nothing_changed() -> None:
    picture = pictures.cells(*SMALL)
    said = _told(picture, picture, "unchanged")
    assert said == "The whole original as it is; no other difference above noise."


def test_cropped_turned_and_stretched() -> None:
    original = pictures.cells(160, 200).astype(np.uint16) * 16
    window = np.clip((original - 200.0) / (4095 - 200) * 255, 0, 255)
    published = np.ascontiguousarray(np.rot90(np.rint(window).astype(np.uint8)[80:, :100], -1))
    said = _told(original, published, "linear-whole-image")
    assert said.startswith("Cropped to the lower left quarter, rotated 90° clockwise, contrast stretched linearly ")
    black, white = (int(value.replace(" ", "")) for value in said.split("linearly ")[1].split(" →")[0].split("…"))
    assert (black, white) == (pytest.approx(200, abs=8), pytest.approx(4095, abs=8))
    assert said.endswith(" → 0…255; no other difference above noise.")


def test_gamma_is_to_be_declared() -> None:
    picture = pictures.cells(*SMALL)
    said = _told(picture, pictures.gamma(picture, 0.6), "non-linear")
    assert said == "Gamma 0.60 (±0.01), a gamma change should be declared; no other difference above noise."


def test_an_area_is_not_explained() -> None:
    picture = pictures.cells(*SMALL, grain=3)
    published = picture.copy()
    published[20:45, 30:55] = picture[60:85, 80:105]
    found = compare(picture, published)
    assert found.kind == "local-change"
    assert "area is not explained" in found.sentence
    assert found.maps is not None
    assert found.maps.labels[35, 45] > 0
    assert found.curves[0][1].tone is Tone.UNCHANGED


def test_a_colour_table() -> None:
    picture = pictures.cells(*SMALL)
    stops = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], float)
    table = np.stack([np.interp(np.arange(256) / 255, np.linspace(0, 1, 5), column) for column in stops.T], axis=1)
    assert "(viridis)" in _told(picture, np.rint(table[picture]).astype(np.uint8), "colour-table")


@pytest.mark.soak
def test_a_table_of_one_colour() -> None:
    picture = pictures.cells(*SMALL)
    zero = np.zeros_like(picture)
    assert "(green)" in _told(picture, np.dstack([zero, picture, zero]), "colour-table")


def test_coloured_ink_is_no_colour_table() -> None:
    picture = pictures.cells(*SMALL)
    published = np.repeat(picture[..., None], 3, axis=2)
    published[20:24, 20:80] = published[70:74, 20:80] = published[20:74, 20:24] = (255, 0, 0)
    found = compare(picture, published)
    assert found.kind == "unchanged"
    assert found.annotations
    assert found.curves[0][0] == "brightness"


def test_one_colour_was_changed() -> None:
    picture = np.dstack([pictures.cells(*SMALL, seed=seed) for seed in (5, 6, 7)])
    published = picture.copy()
    published[..., 0] = np.clip(published[..., 0] * 1.25, 0, 255).astype(np.uint8)
    found = compare(picture, published)
    assert "only the red channel was changed" in found.sentence.lower()
    assert "channels-differ" in found.changes


def test_levels_of_published_pictures() -> None:
    assert eight_bit(np.array([[0, 65535]], np.uint16)).tolist() == [[0, 255]]
    assert eight_bit(np.array([[0, 4095]], np.uint16)).tolist() == [[0, 255]]
    assert eight_bit(np.array([[0.0, 1.0]])).tolist() == [[0, 255]]
    assert eight_bit(np.array([[True, False]])).tolist() == [[255, 0]]
    assert eight_bit(np.zeros((4, 5, 4), np.uint8)).shape == (4, 5, 3)


def _stack(folder: Path) -> Any:
    stack = np.stack([np.stack([pictures.cells(72, 80, seed=10 * c + z) for z in range(2)]) for c in range(2)])
    tifffile.imwrite(folder / "a.ome.tif", stack.astype(np.uint16) * 9, metadata={"axes": "CZYX"}, ome=True)
    Image.fromarray(stack[1, 1, 5:67, 8:75]).save(folder / "panel.png")
    return stack


def test_the_plane_is_found(tmp_path: Path) -> None:
    _stack(tmp_path)
    found = rawtrace.compare(tmp_path / "a.ome.tif", tmp_path / "panel.png")
    assert found.where is not None
    assert (found.where.channel, found.where.z, found.where.projection) == (1, 1, "")
    assert found.kind == "linear-whole-image"


def test_a_channel_that_is_not_there_fail(tmp_path: Path) -> None:
    _stack(tmp_path)
    with pytest.raises(UsageError, match="there is no channel 7"):
        rawtrace.compare(tmp_path / "a.ome.tif", tmp_path / "panel.png", channel=7)


@pytest.mark.soak
def test_a_projection_is_found(tmp_path: Path) -> None:
    Image.fromarray(_stack(tmp_path)[0].max(0)).save(tmp_path / "most.png")
    found = rawtrace.compare(tmp_path / "a.ome.tif", tmp_path / "most.png")
    assert found.where is not None
    assert (found.where.channel, found.where.projection) == (0, "max")


def test_missing_files_fail(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        rawtrace.compare(tmp_path / "a.tif", tmp_path / "b.png")


def test_a_box_over_content_asks_for_a_look() -> None:
    original = pictures.cells(160, 180)
    published = original.copy()
    published[40:90, 50:110] = 255
    found = compare(original, published)
    assert found.something_to_look_at
    assert found.kind in {COVERED, LOCAL_CHANGE}


def test_sixteen_bits_that_stay_sixteen_bits_are_unchanged() -> None:
    original = pictures.cells(160, 180).astype(np.uint16) * 200
    found = compare(original, original[20:140, 10:150].copy())
    assert found.kind == GEOMETRY_ONLY
