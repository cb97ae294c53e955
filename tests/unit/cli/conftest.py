"""The command line in this process, with what it printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rawtrace.cli.main import run_for_code
from rawtrace.config import CONFIG_VARIABLE
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def rawtrace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Done]:
    """Run ``rawtrace ARGUMENTS`` with an empty trust store."""
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path_factory.mktemp("settings")))
    capsys.readouterr()

    def call(*arguments: str | Path) -> Done:
        code = run_for_code([str(one) for one in arguments])
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def sealed(tmp_path: Path, instrument: Identity) -> Path:
    """A sealed file in a folder of its own."""
    path = tmp_path / "data" / "cells.dat"
    path.parent.mkdir()
    path.write_bytes(b"counts")
    seal(path, signer=instrument)
    return path
