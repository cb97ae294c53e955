"""Codes of large images in little memory: deep stacks, wide slides, packed and not. Sizes are in the tests' names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform == "win32", reason="peak memory of a child is asked of POSIX"),
]
#: Runs a command and prints its peak memory in kilobytes; small itself, for a child inherits its parent's peak.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
PEAK_MB = 200


def peak_mb(path: Path) -> float:
    program = str(Path(sys.executable).with_name("rawtrace"))
    command = [sys.executable, "-S", "-c", MEASURE, program, "codes", path, "--planes"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    return int(done.stdout) / (1024 if sys.platform != "darwin" else 1 << 20)


def planes(count: int, *shape: int, kind: str) -> Iterator[np.ndarray[Any, Any]]:
    noise = np.random.default_rng(1).integers(0, 250, shape, np.uint8).astype(kind)
    for number in range(count):
        yield np.roll(noise, number, axis=0)


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_a_stack_of_12_planes_of_2048_by_2048(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    shape = (2, 6, 2048, 2048)
    tifffile.imwrite(
        path, planes(12, 2048, 2048, kind=kind), shape=shape, dtype=kind, ome=True, metadata={"axes": "CZYX"}
    )
    assert peak_mb(path) <= PEAK_MB


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_colour_slide_of_12000_by_9000(compression: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    row = np.random.default_rng(2).integers(0, 250, (512, 512, 3), np.uint8)
    options: dict[str, Any] = {"tile": (512, 512), "photometric": "rgb", "compression": compression}
    tifffile.imwrite(path, (row for _ in range(18 * 24)), shape=(9000, 12000, 3), dtype="uint8", **options)
    assert peak_mb(path) <= PEAK_MB
