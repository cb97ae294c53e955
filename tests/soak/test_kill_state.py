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


def test_an_agent_that_crashes_at_every_step_of_its_seals(tmp_path: Path, faulty: Any, people: Any) -> None:
    """What the agent's own tests do with a simple sealer and at every statement, here with real seals."""
    for step in range(100):
        folder = tmp_path / str(step)
        watched = folder / "watched"
        (watched / "stack.zarr" / "0").mkdir(parents=True)
        (watched / "stack.zarr" / "0" / "0").write_bytes(b"chunk")
        (watched / "stack.zarr" / "zarr.json").write_text('{"node_type": "group", "zarr_format": 3}')
        (watched / "a.bin").write_bytes(b"a")
        data = {path: path.read_bytes() for path in watched.rglob("*") if path.is_file()}
        run = ("agent", "run", "--once", "--quiet-period", "0", "--watch", watched)
        run = (*run, "--instrument", people.instrument, "--state", folder / "state" / "agent.sqlite")
        ended = faulty.run(*run, under=watched, die_at=step, torn=bool(step % 2))
        if not ended.killed:
            assert ended.code == 0, ended.stderr
            break
        faulty.good(*run)
        assert {path: path.read_bytes() for path in data} == data
        found = sorted(path.name for path in watched.iterdir() if not path.name.endswith(".rawtrace-tmp"))
        assert found == ["a.bin", "a.bin.c2pa", "stack.zarr", "stack.zarr.sha256", "stack.zarr.sha256.c2pa"]
        faulty.good("verify", watched / "a.bin", watched / "stack.zarr", "--trust", people.authority)
        told = commands.told(faulty, "agent", "status", "--state", folder / "state" / "agent.sqlite", config=folder)
        assert told["counts"]["sealed"] == 2
        assert told["counts"]["superseded"] == 0
    assert step >= 15
