from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from rawtrace.match.model import Relation, Where
from rawtrace.match.reuse.check import check
from rawtrace.match.reuse.copymove import Repeat, copy_moves, union_mask
from rawtrace.match.reuse.dense import dense_hypotheses
from rawtrace.match.reuse.duplicates import duplicates, look_at
from rawtrace.match.reuse.loss import compression_error, moving_error, surplus

SIZE = 192


@pytest.fixture(autouse=True)
def fewer_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures of noise have more points than these tests need."""
    from rawtrace.match.reuse import selfmatch

    monkeypatch.setattr(selfmatch, "MAX_POINTS", 900)


def texture(seed: int, size: int = SIZE) -> np.ndarray:
    """Cells and noise: something to see everywhere, nothing twice."""
    random = np.random.default_rng(seed)
    rough = sum(cv2.GaussianBlur(random.normal(size=(size, size)), (0, 0), s) * s for s in (1.5, 4.0, 9.0))
    return np.clip(120 + 60 * rough + random.normal(0, 3, (size, size)), 5, 250).astype(np.uint8)


def copied(shown: np.ndarray, linear: list[list[float]], radius: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Show a disk a second time."""
    height, width = shown.shape
    source, target = np.array([48.0, 60.0]), np.array([138.0, 128.0])
    matrix = np.c_[np.array(linear), target - np.array(linear) @ source]
    moved = cv2.warpAffine(shown.astype(np.float32), matrix, (width, height), flags=cv2.INTER_CUBIC)
    y, x = np.ogrid[:height, :width]
    first = (x - source[0]) ** 2 + (y - source[1]) ** 2 <= radius**2
    second = cv2.warpAffine(first.astype(np.uint8), matrix, (width, height)) > 0
    return np.where(second, np.clip(moved, 0, 255), shown).astype(np.uint8), first | second


@pytest.mark.parametrize(
    "what", ["constant", "one pixel", "row", "not a number", "infinite", "empty colours", "odd colours"]
)
def test_nothing_to_see_is_silent(what: str) -> None:
    picture = {
        "constant": np.full((64, 64), 7, np.uint16),
        "one pixel": np.zeros((1, 1), np.uint8),
        "row": np.arange(500, dtype=np.uint8)[None],
        "not a number": np.full((64, 64), np.nan, np.float32),
        "infinite": np.where(np.eye(64) > 0, np.inf, 0.0),
        "odd colours": np.where(np.arange(3) == 1, np.nan, np.full((64, 64, 3), np.inf)),
        "empty colours": np.zeros((40, 40, 4), np.uint8),
    }[what]
    assert copy_moves(picture) == ()
    assert duplicates([*look_at(Where(source="a"), picture), *look_at(Where(source="b"), picture)]) == ()


def test_clean_texture_is_silent() -> None:
    assert copy_moves(texture(1)) == ()


@pytest.mark.parametrize(
    ("linear", "mirrored", "turned", "scale"),
    [
        ([[1, 0], [0, 1]], False, 0, 1),
        ([[0, 1], [-1, 0]], False, -90, 1),
        ([[0.8, -0.6], [0.6, 0.8]], False, 36.87, 1),
        ([[-1, 0], [0, 1]], True, 0, 1),
        ([[1.2, 0], [0, 1.2]], False, 0, 1.2),
    ],
)
def test_an_area_shown_twice(linear: list[list[float]], mirrored: bool, turned: float, scale: float) -> None:
    picture, true = copied(texture(2), linear)
    (move,) = copy_moves(picture)
    assert move.relation is Repeat.AREA
    assert move.mirrored is mirrored
    found = union_mask([move], picture.shape)
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.85
    # Which of both was there first is not known, so that the way back is as right.
    assert min(abs(move.scale - scale), abs(move.scale - 1 / scale)) < 0.02
    if not mirrored:
        assert abs(abs(move.rotation_deg) - abs(turned)) < 1
    left, top, width, height = move.target
    assert (move.target_mask.shape, move.target_mask.sum()) == ((height, width), move.area_px)
    assert 0 <= left < left + width <= SIZE
    assert 0 <= top < top + height <= SIZE


@pytest.mark.parametrize("linear", [[[1, 0], [0, 1]], [[0, 1], [-1, 0]]])
def test_an_area_shown_twice_is_found_after_compression(linear: list[list[float]]) -> None:
    picture, true = copied(texture(2), linear)
    packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
    (move,) = copy_moves(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE))
    assert move.relation is Repeat.AREA
    found = union_mask([move], picture.shape)
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.8


@pytest.mark.parametrize("linear", [[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[0.8, -0.6], [0.6, 0.8]], [[-1, 0], [0, 1]]])
def test_circles_say_how_an_area_lies(linear: list[list[float]]) -> None:
    picture, _ = copied(texture(2), linear)
    first, *_ = dense_hypotheses(picture)
    way = first.matrix
    if first.source[:, 0].mean() > first.target[:, 0].mean():
        way = np.linalg.inv(np.vstack([way, [0, 0, 1]]))[:2]
    assert np.abs(way[:, :2] - linear).max() < 0.1
    assert np.linalg.norm(way[:, :2] @ [48, 60] + way[:, 2] - [138, 128]) < 2


def test_circles_of_nothing_say_nothing() -> None:
    assert dense_hypotheses(np.full((96, 96), 7, np.uint8)) == []
    assert dense_hypotheses(np.zeros((20, 300), np.uint8)) == []
    assert dense_hypotheses(texture(1, 96)) == []


def test_compression_is_measured() -> None:
    shown = texture(3)
    assert compression_error(shown) is None
    quality = {}
    for number in (85, 50):
        packed = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, number])[1]
        error = compression_error(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE))
        assert error is not None
        assert error.shape == shown.shape
        quality[number] = float(error.std())
    assert 0.5 < quality[85] < quality[50]


def test_two_copies_differ_by_what_is_expected_and_two_cells_by_more() -> None:
    picture = texture(2).astype(np.float32)
    turned = cv2.warpAffine(picture, cv2.getRotationMatrix2D((96, 96), 5, 1), (SIZE, SIZE), flags=cv2.INTER_CUBIC)
    back = cv2.warpAffine(turned, cv2.getRotationMatrix2D((96, 96), -5, 1), (SIZE, SIZE), flags=cv2.INTER_CUBIC)
    area = np.zeros((SIZE, SIZE), bool)
    area[60:130, 60:130] = True
    times, gain, shape = surplus(picture, back, area, moving_error(picture))
    assert times < 1.6
    assert abs(gain - 1) < 0.1
    assert shape > 0.9
    rough = np.random.default_rng(1).normal(0, 8, picture.shape).astype(np.float32)
    assert surplus(picture, back + rough, area, moving_error(picture))[0] > 1.6


def test_a_result_repeats() -> None:
    picture, _ = copied(texture(2), [[1, 0], [0, 1]])
    first, second = copy_moves(picture), copy_moves(picture)
    assert [one.placement for one in first] == [one.placement for one in second]


def test_a_ladder_is_a_repeating_structure() -> None:
    random = np.random.default_rng(4)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    light = np.zeros((SIZE, SIZE), np.float32)
    for lane in range(4):
        across = np.exp(-(((x - 30 - 44 * lane) / 12) ** 4))
        light += sum(
            across * a * np.exp(-(((y - at) / 4) ** 2)) for at, a in ((30, 1), (75, 0.7), (110, 0.8), (155, 0.5))
        )
    picture = np.clip(30 + 170 * light + random.normal(0, 3, light.shape), 0, 255).astype(np.uint8)
    assert all(move.relation is Repeat.STRUCTURE for move in copy_moves(picture))


def test_letters_repeat_by_right() -> None:
    picture = texture(5)
    for at in ((20, 60), (110, 150)):
        cv2.putText(picture, "50 um", at, cv2.FONT_HERSHEY_SIMPLEX, 0.9, 255, 3)
    assert copy_moves(picture) == ()


def test_a_panel_shown_twice_is_found_in_its_figure(tmp_path) -> None:
    from PIL import Image

    panel = texture(6, 128)
    figure = np.full((276, 276), 255, np.uint8)
    for number, (shown, (top, left)) in enumerate(
        ((panel, (6, 6)), (texture(7, 128), (6, 142)), (texture(8, 128), (142, 6)), (np.rot90(panel), (142, 142)))
    ):
        figure[top : top + 128, left : left + 128] = shown
        cv2.putText(figure, "ABCD"[number], (left + 4, top + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
    Image.fromarray(figure).save(tmp_path / "figure.png")
    found = check([tmp_path / "figure.png"])
    (pair,) = found.between
    assert pair.relation is Relation.SAME
    assert abs(abs(pair.placement.rotation_deg) - 90) < 1
    assert {pair.first_panel, pair.second_panel} == {(6, 6, 128, 128), (142, 142, 128, 128)}
    assert found.within == ()
    assert (found.pictures, found.to_look_at) == (1, 1)


def test_relatives_are_named() -> None:
    wide = texture(9, 256)
    pictures = {
        "left": wide[:, :170], "right": wide[:, 86:], "inverted": 255 - wide[::-1, :170], "other": texture(10, 170),
        "inset": cv2.resize(wide[40:120, 20:100], (200, 200), interpolation=cv2.INTER_CUBIC),
    }  # fmt: skip
    shown = [one for name, pixels in pictures.items() for one in look_at(Where(source=name), pixels)]
    found = {(one.first.source, one.second.source): one for one in duplicates(shown)}
    assert found["left", "right"].relation is Relation.OVERLAP
    assert found["left", "inverted"].relation is Relation.SAME
    assert found["left", "inverted"].inverted
    assert found["left", "inverted"].placement.mirrored
    assert "inset" in found["left", "inset"].explanation
    assert not any("other" in names for names in found)


def test_a_merge_and_its_channel() -> None:
    red, green = texture(11), texture(12)
    merge = np.dstack([red // 3, green, np.zeros_like(red)])
    (pair,) = duplicates([*look_at(Where(source="merge"), merge), *look_at(Where(source="green"), green)])
    assert pair.relation is Relation.CHANNEL


def test_large_pictures_are_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    from rawtrace.match.reuse import copymove

    monkeypatch.setattr(copymove, "LONGEST_EDGE", 224)
    picture, true = copied(texture(2), [[1, 0], [0, 1]])
    large = cv2.resize(picture, (640, 640), interpolation=cv2.INTER_CUBIC)
    (move, *_) = copy_moves(large)
    wanted = cv2.resize(true.astype(np.uint8), (640, 640)) > 0
    found = union_mask([move], large.shape)
    assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.8


def test_the_command(tmp_path, capsys) -> None:
    from PIL import Image

    from rawtrace.cli.main import run_for_code

    picture, _ = copied(texture(2), [[1, 0], [0, 1]])
    Image.fromarray(picture).save(tmp_path / "twice.png")
    Image.fromarray(texture(3)).save(tmp_path / "once.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    (tmp_path / "notes.txt").write_text("nothing")
    assert run_for_code(["reuse", str(tmp_path), "--json", "--jobs", "1"]) == 20
    value = json.loads(capsys.readouterr().out)
    assert value["schema"] == "urn:rawtrace:schema:reuse:1"
    assert [one["relation"] for one in value["within"]] == ["repeats another area"]
    assert value["within"][0]["image"]["path"].endswith("twice.png")
    assert [one["path"].endswith("broken.png") for one in value["problems"]] == [True]
    assert value["not_images"] == 1
    assert run_for_code(["reuse", str(tmp_path / "once.png")]) == 0
    assert "nothing is shown twice" in capsys.readouterr().out
    assert run_for_code(["reuse", str(tmp_path / "absent.png")]) == 3
    assert run_for_code(["reuse", str(tmp_path / "broken.png")]) == 1
