"""``rawtrace index``: for people and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import picturereaders as readers

pytest.importorskip("cv2")
pytest.importorskip("sqlalchemy")

from rawtrace.match.index import PictureIndex, adding


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    for seed in (1, 2):
        Image.fromarray(texture(seed)).save(folder / f"{seed}.png")
    return folder


def texture(seed: int) -> np.ndarray:
    import cv2

    random = np.random.default_rng(seed)
    light = sum(cv2.GaussianBlur(random.normal(size=(110, 120)), (0, 0), s) * s for s in (1.5, 3, 6))
    return (np.clip((light + 6) / 12, 0, 1) * 255).astype(np.uint8)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read here, by their bytes."""
    add = adding.add

    def here(*arguments: Any, **more: Any) -> Any:
        return add(*arguments, **{**more, "workers": 0, "task": readers.quick})

    monkeypatch.setattr(adding, "add", here)


def test_without_an_index(rawtrace: Any, data: Path) -> None:
    for words in (["list"], ["status"], ["check"], ["find", data / "1.png"], ["remove", data]):
        done = rawtrace("index", words[0], *words[1:], "--index", "nowhere")
        assert (done.code, done.out) == (1, "")
        assert "error[E178]" in done.err
    assert not Path("nowhere").exists()
    assert rawtrace("index", "list", "--index", "").code == 2


def test_nothing_could_be_read(rawtrace: Any, data: Path, quick: None) -> None:
    (data / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nodd")
    done = rawtrace("index", "add", data / "1.png", "no\x1bthing", "--index", "ix", "--json")
    assert done.code == 1
    assert [Path(one["path"]).name for one in done.json["problems"]] == ["1.png", "no\x1bthing"]
    # One that can be is enough; the others are listed.
    done = rawtrace("index", "add", data, "no\x1bthing", "--index", "ix")
    assert done.code == 0
    assert "not read: 2" in done.out
    assert "\x1b" not in done.out
    assert "data/1.png: unreadable: it could not be read (KeyError)" in rawtrace(
        "index", "list", "--problems", "--index", "ix"
    ).out.replace("\\", "/").replace("  unreadable", ": unreadable")


def test_add_list_status_check_remove(rawtrace: Any, data: Path, quick: None) -> None:
    done = rawtrace("index", "add", data, "--index", "ix")
    assert (done.code, done.out) == (0, "2 added; 4 views of 2 files in the index\n")
    again = rawtrace("index", "add", data, "--index", "ix", "--json").json
    assert (again["added"], again["unchanged"], again["counts"]["views"]) == (0, 2, 4)
    assert rawtrace("index", "list", "--index", "ix").out.replace("\\", "/") == "data/1.png  test\ndata/2.png  test\n"
    found = rawtrace("index", "status", "--index", "ix", "--json").json
    assert (found["counts"]["planes"], found["segments"]) == (4, 1)
    assert "files: 2 (2 indexed)" in rawtrace("index", "status", "--index", "ix").out
    done = rawtrace("index", "check", "--index", "ix")
    assert (done.code, done.out) == (0, "4 views read: sound\n")
    for path in Path("ix/postings").glob("*.postings"):
        path.write_bytes(b"garbage")
    done = rawtrace("index", "check", "--index", "ix", "--json")
    assert (done.code, len(done.json["segments"]), done.json["problems"]) == (20, 1, [])
    assert rawtrace("index", "remove", data / "1.png", "--index", "ix").out == "1 file removed\n"
    assert rawtrace("index", "remove", data / "1.png", "--index", "ix").code == 21


def test_find_a_part_and_honest_silence(rawtrace: Any, data: Path) -> None:
    from PIL import Image

    with PictureIndex.open("ix", create=True) as opened:
        opened.add([data])
    Image.fromarray(255 - np.ascontiguousarray(texture(2)[10:100, 15:115][:, ::-1])).save("figure.png")
    Image.fromarray(texture(7)).save("other.png")
    done = rawtrace("index", "find", "figure.png", "--index", "ix")
    assert done.code == 0
    assert done.out.replace("\\", "/").splitlines()[0] == "data/2.png"
    assert "same picture, by " in done.out
    assert "mirrored left to right, inverted; x 15 to 115, y 10 to 100" in done.out
    found = rawtrace("index", "find", "figure.png", "--index", "ix", "--json").json["matches"][0]
    assert (found["source"], found["inverted"], found["placement"]["mirrored"]) == (str(data / "2.png"), True, True)
    done = rawtrace("index", "find", "other.png", "--index", "ix")
    assert (done.code, done.out) == (21, "other.png: nothing like it is in the index\n")
    assert rawtrace("index", "find", "nothing.png", "--index", "ix").code == 3


def test_a_cluster_needs_postgresql(rawtrace: Any, data: Path) -> None:
    done = rawtrace("index", "find", data / "1.png", "--index", "ix", "--scheduler", "tcp://127.0.0.1:1")
    assert (done.code, "only one in PostgreSQL" in done.err) == (2, True)
