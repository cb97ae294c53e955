"""The agent is killed at any statement and at any step of sealing: nothing is lost, nothing is sealed twice."""

from __future__ import annotations

import itertools
import os
import runpy
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from rawtrace.agent.rows import State
from rawtrace.sealing.finished import NOTES_FOLDER, leave_note

lab = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "unit" / "agent" / "lab.py")))
NAMES = ("a.tif", "b.csv", "s.zarr/0/0", "s.zarr/0/1", "day/c.tif")


class Killed(BaseException):
    """Stands for ``kill -9``: nobody can catch it and go on."""


class Fragile(sqlite3.Connection):
    """Dies before a chosen statement; what was not committed is lost with it."""

    left: int | None = None

    def _count(self) -> None:
        if Fragile.left is not None:
            if Fragile.left <= 0:
                raise Killed
            Fragile.left -= 1

    def execute(self, *arguments: Any) -> Any:
        self._count()
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        self._count()
        return super().executemany(*arguments)


def connect(path: Path) -> sqlite3.Connection:
    # Durability against power loss is SQLite's business; without its waiting, many more crashes can be tried.
    return sqlite3.connect(path, factory=Fragile, isolation_level=None)


class Agent(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        Fragile.left = None
        self.world = lab.World(Path(self.folder.name), connect)
        self.world.says |= {"a.tif": lab.complete_says()}
        self.agent: Any = self.world.service()
        self.written = 0
        self.crashes = 0

    @rule(name=st.sampled_from(NAMES))
    def data_comes(self, name: str) -> None:
        self.written += 1
        with self.world.write(name, b"").open("ab") as stream:
            stream.write(b"%d" % self.written)

    @rule(name=st.sampled_from(NAMES))
    def a_file_is_touched(self, name: str) -> None:
        path = self.world.root / name
        if path.exists():
            self.written += 1
            os.utime(path, ns=(0, self.written))

    @rule(name=st.sampled_from(("a.tif", "s.zarr")), vouched=st.booleans())
    def the_engine_says_finished(self, name: str, vouched: bool) -> None:
        if (self.world.root / name).exists():
            leave_note(self.world.root / NOTES_FOLDER, self.world.root / name, engine="engine")

    @precondition(lambda self: self.agent is not None)
    @rule(seconds=st.sampled_from((0.25, 1, 3, 10, 40)))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(self.agent, seconds)

    @precondition(lambda self: self.agent is not None)
    @rule(statements=st.integers(0, 60))
    def it_is_killed_at_a_statement(self, statements: int) -> None:
        Fragile.left = statements
        self._until_killed()

    @precondition(lambda self: self.agent is not None)
    @rule(step=st.sampled_from(("during", "between", "after")))
    def it_is_killed_while_sealing(self, step: str) -> None:
        def kill(path: Path) -> None:
            raise Killed

        setattr(self.world, step, kill)
        self._until_killed()

    @precondition(lambda self: self.agent is None)
    @rule(statements=st.none() | st.integers(0, 30))
    def it_starts_again(self, statements: int | None) -> None:
        Fragile.left = statements
        try:
            self.agent = self.world.service()
        except Killed:
            self._bury()
        else:
            Fragile.left = None

    def _until_killed(self) -> None:
        try:
            self.world.pass_time(self.agent, 12)
        except Killed:
            self._bury()
        else:
            self._no_more_faults()

    def _bury(self) -> None:
        self._no_more_faults()
        self.agent = None
        self.crashes += 1
        if self.world.outbox is not None:
            sqlite3.Connection.close(self.world.outbox._database)
            self.world.outbox = None

    def _no_more_faults(self) -> None:
        Fragile.left = None
        self.world.during = self.world.between = self.world.after = lambda path: None

    def teardown(self) -> None:
        try:
            self._no_more_faults()
            if self.agent is None:
                self.agent = self.world.service()
            self.world.pass_time(self.agent, 80)
            self._nothing_is_lost_and_nothing_sealed_twice()
        finally:
            self.world.close()
            self.folder.cleanup()

    def _nothing_is_lost_and_nothing_sealed_twice(self) -> None:
        world = self.world
        assets = {name.split("/")[0] if name.startswith("s.zarr") else name for name in NAMES}
        for name in sorted(asset for asset in assets if (world.root / asset).exists()):
            made = [content for asset, content, *_ in world.seals if asset == name]
            now = lab.content(world.root / name)
            assert made, f"{name} was never sealed"
            assert made[-1] == now, f"{name} has a seal of older data"
            assert all(before != after for before, after in itertools.pairwise(made)), f"{name} sealed twice"
            kind = lab.Kind.FOLDER if name == "s.zarr" else lab.Kind.FILE
            assert lab.read_seal(lab.sidecar_of(world.root / name, kind)).content_sha256 == now
            history = world.outbox.history(name)
            assert Counter(row.state for row in history) == {State.SEALED: 1} | (
                {State.SUPERSEDED: len(made) - 1} if len(made) > 1 else {}
            )
            labels = [f"urn:c2pa:{number}" for number, (asset, *_) in enumerate(world.seals) if asset == name]
            assert [row.label for row in history] == labels


_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
TestAgent = Agent.TestCase
TestAgent.settings = settings(max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=_CHECKS)


@pytest.mark.soak
def test_many_crashes() -> None:
    run_state_machine_as_test(
        Agent, settings=settings(max_examples=200, stateful_step_count=50, deadline=None, suppress_health_check=_CHECKS)
    )
