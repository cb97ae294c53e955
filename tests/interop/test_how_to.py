"""The commands that editors are told to copy run with c2patool, wherever it was installed."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest
from toolbox import Toolbox

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "check-with-other-programs.md"
EXAMPLES = runpy.run_path(str(ROOT / "tests" / "docs" / "test_examples.py"))


@pytest.mark.parametrize("program", ["c2patool"])
def test_the_page_for_editors_runs(
    program: str, need, toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(program)
    folder = Path(toolbox.path_of(program)).parent
    monkeypatch.setenv("PATH", os.pathsep.join([f"{folder}", os.environ["PATH"]]))
    EXAMPLES["test_every_example_runs_and_prints_what_is_shown"](PAGE, tmp_path)
