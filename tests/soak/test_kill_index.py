"""``rawtrace index add`` is killed again and again: in the end the index is that of one undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("sqlalchemy")

import sqlalchemy as sa

from rawtrace.errors import PictureIndexError
from rawtrace.match.index import PictureIndex
from rawtrace.match.index.checking import check
from rawtrace.match.index.tables import FEATURES, PLANES, SCENES, SOURCES, VIEWS

pytestmark = pytest.mark.soak


@pytest.fixture
def data(tmp_path: Path) -> Path:
    import cv2
    from PIL import Image

    folder = tmp_path / "data"
    folder.mkdir()
    for seed in range(8):
        light = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(100, 110)), (0, 0), 2)
        Image.fromarray((np.clip(light * 2 + 0.5, 0, 1) * 255).astype(np.uint8)).save(folder / f"{seed:02}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nxxxx")
    return folder


def contents(where: Path) -> list[Any]:
    """Everything but the numbers that are given in the order of the transactions, and the time."""
    with PictureIndex.open(where) as opened, opened.reading() as connection:
        numbers = {row.number: row.path for row in connection.execute(sa.select(SOURCES.c.number, SOURCES.c.path))}
        found: list[Any] = [
            (row.path, row.size, row.changed_ns, row.digest, row.state, row.problem, row.format)
            for row in connection.execute(sa.select(SOURCES))
        ]
        for table in (SCENES, PLANES):
            found += [(numbers[row[0]], *row[1:]) for row in connection.execute(sa.select(table))]
        joined = sa.select(VIEWS, FEATURES.c.features).join(FEATURES, FEATURES.c.view == VIEWS.c.number)
        found += [(numbers[row[1]], *row[2:]) for row in connection.execute(joined)]
    return sorted(found, key=repr)


def run(data: Path, where: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rawtrace", "index", "add", str(data), "--index", str(where), "--jobs", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_killed_at_any_moment(data: Path, tmp_path: Path) -> None:
    assert run(data, tmp_path / "calm").wait(120) == 0
    chance = random.Random(24138)  # noqa: S311
    kills = 0
    where = tmp_path / "index"
    for _ in range(4):
        process = run(data, where)
        began = time.monotonic()
        until = chance.uniform(0.3, 2.0)
        while process.poll() is None and time.monotonic() - began < until:
            time.sleep(0.02)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait(30)
        if (where / "index.sqlite").exists() and kills % 2:
            counts = whole_files(where)
            assert counts is None or counts["views"] == counts["scenes"]
    assert kills >= 2
    assert run(data, where).wait(120) == 0
    assert contents(where) == contents(tmp_path / "calm")
    with PictureIndex.open(where) as opened:
        found = check(opened)
    assert (found.problems, found.derived, found.views) == ((), (), 8)


def whole_files(where: Path) -> dict[str, int] | None:
    try:
        with PictureIndex.open(where) as opened:
            return opened.counts()
    except PictureIndexError:  # killed before its tables were made
        return None


def small_files() -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))


def test_no_room_on_the_disk(data: Path, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("no limit on the size of files here")
    where = tmp_path / "index"
    command = [sys.executable, "-m", "rawtrace", "index", "add", str(data), "--index", str(where), "--jobs", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120,
        preexec_fn=small_files,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error[E1" in done.stderr
    assert run(data, where).wait(120) == 0
    assert run(data, tmp_path / "calm").wait(120) == 0
    assert contents(where) == contents(tmp_path / "calm")
