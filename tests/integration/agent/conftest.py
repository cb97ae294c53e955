"""Real agents in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rawtrace.trust.identity import Identity

PROGRAM = str(Path(sys.executable).with_name("rawtrace"))


class Lab:
    """A watched folder, an instrument, a state file, and agents that watch."""

    def __init__(self, folder: Path, instrument: Path) -> None:
        self.folder, self.instrument = folder, instrument
        self.watched, self.state = folder / "watched", folder / "state" / "agent.sqlite"
        self.watched.mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []

    def arguments(self, *more: str) -> list[str]:
        paths = ["--watch", str(self.watched), "--instrument", str(self.instrument), "--state", str(self.state)]
        return [PROGRAM, "agent", "run", *paths, *more]

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "agent.log").open("ab")
        with log:
            process = subprocess.Popen(self.arguments(*more), stdout=subprocess.DEVNULL, stderr=log)
        self.processes.append(process)
        return process

    def once(self, *more: str) -> subprocess.CompletedProcess[str]:
        arguments = self.arguments("--once", *more)
        return subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)

    def status(self) -> dict[str, Any]:
        done = subprocess.run(
            [PROGRAM, "agent", "status", "--state", str(self.state), "--json"],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def write(self, name: str, data: bytes = b"some pixels") -> Path:
        path = self.watched / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def wait_for(self, condition: Callable[[], Any], *, within_s: float = 30) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"it did not happen within {within_s} s; the agent said:\n{self.log()}")
            time.sleep(0.02)

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            process.wait(timeout=10)


@pytest.fixture
def lab(tmp_path: Path, instrument: Identity) -> Iterator[Lab]:
    made = Lab(tmp_path, instrument.folder)
    yield made
    made.stop()
