"""Runs of ``rawtrace`` that go wrong on purpose; see ``faulty.py``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rawtrace.trust.identity import Identity

KILLED = (9, -9)


@dataclass(frozen=True)
class Ended:
    """How a run ended, and the steps on the disk that it came to."""

    code: int
    stdout: str
    stderr: str
    steps: tuple[str, ...]

    @property
    def killed(self) -> bool:
        return self.code in KILLED

    def in_words(self) -> str:
        """The error, if it is one sentence with a code and neither a traceback nor a bug."""
        assert "Traceback" not in self.stderr, self.stderr
        assert "E999" not in self.stderr, self.stderr
        assert self.code == 0 or "rawtrace: error" in self.stderr, (self.code, self.stderr)
        return self.stderr


class Faulty:
    """Runs commands in children with faults."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("faulty.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "RAWTRACE_CONFIG_DIR": str(config)},
        )

    def run(self, *arguments: object, config: Path | None = None, **faults: Any) -> Ended:
        """Run one command; ``faults`` are those of ``faulty.py``: ``under``, ``die_at``, ``fail_from``, ``limits`` …"""
        request = {"arguments": [str(one) for one in arguments], **faults}
        if config is not None:
            request["environment"] = {"RAWTRACE_CONFIG_DIR": str(config)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Ended(answer["code"], answer["stdout"], answer["stderr"], tuple(answer["steps"].splitlines()))

    def good(self, *arguments: object, **faults: Any) -> Ended:
        """Run one command that must succeed."""
        ended = self.run(*arguments, **faults)
        assert ended.code == 0, (arguments, ended)
        return ended

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    if sys.platform == "win32":
        pytest.skip("faults are put into forked processes, and this system does not fork")
    made = Faulty(tmp_path_factory.mktemp("config"))
    yield made
    made.close()


@dataclass(frozen=True)
class People:
    """Who signs, and whom to trust."""

    instrument: Path
    workstation: Path
    authority: Path


@pytest.fixture(scope="session")
def people(instrument: Identity, workstation: Identity, authority: Path) -> People:
    return People(instrument.folder, workstation.folder, authority)
