"""``rawtrace compare``: the sentence first, exit code 20 where there is something to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.unit.match.comparison import pictures


@pytest.fixture
def original(tmp_path: Path) -> Path:
    Image.fromarray(pictures.cells(150, 170)).save(tmp_path / "original.png")
    return tmp_path / "original.png"


def test_errors_fail(rawtrace: Any, original: Path, tmp_path: Path) -> None:
    assert rawtrace("compare", tmp_path / "nothing.png", original).code == 3
    (tmp_path / "odd.dat").write_bytes(b"\0\1")
    done = rawtrace("compare", original, tmp_path / "odd.dat")
    assert (done.code, done.out) == (1, "")
    assert "error[E177]" in done.err
    assert rawtrace("compare", original, original, "--channel", "4").code == 2


def test_not_alike(rawtrace: Any, original: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((60, 60), 80, np.uint8)).save(tmp_path / "flat.png")
    done = rawtrace("compare", original, tmp_path / "flat.png")
    assert (done.code, done.err) == (20, "")
    assert done.out == "The published picture could not be laid over this original.\n"


def test_whole_picture_changes(rawtrace: Any, original: Path, tmp_path: Path) -> None:
    published = np.ascontiguousarray(pictures.cells(150, 170)[:, ::-1])
    Image.fromarray(published).save(tmp_path / "figure.png")
    done = rawtrace("compare", original, tmp_path / "figure.png")
    assert done.code == 0
    assert done.out.startswith("Mirrored left to right; no other difference above noise.\n")
    value = rawtrace("compare", original, tmp_path / "figure.png", "--json").json
    assert (value["schema"], value["class"]) == ("urn:rawtrace:schema:comparison:1", "geometry-only")
    assert value["registration"]["mirrored"] is True
    assert value["original"]["channel"] == 0


def test_areas(rawtrace: Any, original: Path, tmp_path: Path) -> None:
    published = pictures.cells(150, 170)
    published[20:60, 20:60] = published[80:120, 100:140].copy()
    Image.fromarray(published).save(tmp_path / "figure.png")
    done = rawtrace("compare", original, tmp_path / "figure.png")
    assert done.code == 20
    assert "not explained" in done.out.splitlines()[0]
