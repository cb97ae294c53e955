"""The demo, played for real; its exit code is what makes it a test for whoever runs it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pymmcore_plus") is None, reason="the demo extra with its acquisition engine is absent"
)

#: Runs the demo with one attack that no longer alters anything, so that a check has to come out wrong.
_HARMLESS_ATTACK = """
import dataclasses, sys
from rawtrace.demo import attacks, recovery, story
from rawtrace.cli.main import run_for_code
harmless = lambda scene, folder: attacks._copy_with_seal(scene.stack, folder)
first = dataclasses.replace(attacks.ATTACKS[0], carry_out=harmless)
attacks.ATTACKS = (first, *attacks.ATTACKS[1:])
recovery.recover = lambda *_, **__: iter(())  # played once, by the first test
sys.exit(run_for_code(["demo", "--dir", sys.argv[1], "--no-browser", "--json"]))
"""


def play(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120, check=False)


def test_the_demo_ends_well_and_leaves_a_page(tmp_path: Path) -> None:
    done = play("-m", "rawtrace", "demo", "--dir", str(tmp_path / "demo"), "--no-browser")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 of 9 checks" in done.stdout
    assert "recording-05.ome.tiff, channel 0, focal plane 1" in done.stdout
    assert "2 areas are not explained" in done.stdout
    assert len(done.stdout.splitlines()) <= 36, "the summary has to fit a screen"
    assert all((tmp_path / "demo" / "lost-seal" / page).is_file() for page in ("trace.html", "compare.html"))
    page = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert "cells.ome.zarr" in page
    checked = subprocess.run(
        ["sha256sum", "-c", "cells.ome.zarr.sha256"], cwd=tmp_path / "demo" / "data", capture_output=True, check=False
    )
    assert checked.returncode == 0


def test_the_demo_fails_when_a_check_comes_out_otherwise_fail(tmp_path: Path) -> None:
    done = play("-c", _HARMLESS_ATTACK, str(tmp_path / "demo"))
    assert done.returncode == 1, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["unexpected"] == 1
    assert told["checks"][3] == {"what": "one pixel changed", "verdict": "verified-with-notes", "expected": False}


def test_the_demo_writes_over_nothing_fail(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = play("-m", "rawtrace", "demo", "--dir", str(tmp_path), "--no-browser")
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
