"""The benchmarks run from end to end on small sizes; how long anything takes is not looked at."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="the benchmarks need os.wait4, which Windows has not")
def test_quick_run_prints_every_row_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before = sorted(path.name for path in (ROOT / "benchmarks").iterdir())
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--quick"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    table = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    measured = {cells[0].removeprefix("| ") for cells in table}
    for what in ("rawtrace --help", "verify one small file", "seal a file of 8 MB", "verify a file of 8 MB"):
        assert what in measured
    for what in (
        *("an OME-Zarr", "small files in one process", "small sealed files", "agent", "seal of a small PNG"),
        *("statuses loaded", "receipts of one checkpoint", "certificates found by PID"),
        *("records in process", "log seals over HTTP"),
        *("codes of an OME-TIFF", "codes of an OME-Zarr"),
    ):
        assert any(what in one for one in measured), what
    assert all(cells[1].strip() for cells in table)
    assert "c2patool" in done.stdout
    assert list(tmp_path.glob("rawtrace-bench-*")) == []
    assert sorted(path.name for path in (ROOT / "benchmarks").iterdir() if path.name != "__pycache__") == [
        name for name in before if name != "__pycache__"
    ]
