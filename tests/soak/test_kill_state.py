"""Authorities, identities, the trust store and pages: killed at every step, the same command then succeeds."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

commands = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("commands.py"))))


@pytest.mark.parametrize("torn", [False, True], ids=["killed", "power-cut"])
@pytest.mark.parametrize("make", commands.COMMANDS, ids=lambda make: make.__name__)
def test_a_crash_at_every_step(make: Callable[..., Any], torn: bool, tmp_path: Path, faulty: Any, people: Any) -> None:
    for step in range(300):
        folder = tmp_path / str(step)
        folder.mkdir()
        command = make(folder, people, faulty)
        before = {path: path.read_bytes() for path in command.kept}
        ended = faulty.run(*command.arguments, config=command.config, under=folder, die_at=step, torn=torn)
        if not ended.killed:
            assert ended.code == 0, ended
            command.check()
            break
        again = faulty.run(*command.arguments, config=command.config)
        # What was done before the crash is said so, in words; anything else is done now.
        again.in_words()
        assert again.code == 0 or "already" in again.stderr, (ended.steps, again)
        command.check()
        assert set(before) <= set(folder.rglob("*"))
        shutil.rmtree(folder)
    else:
        pytest.fail("it never came to its end")
    assert step >= 5
    assert not list(folder.rglob("*.rawtrace-tmp"))
