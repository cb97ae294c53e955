"""A process of its own for every run of ``rawtrace``, without the cost of a new interpreter.

``Processes`` starts this file as a program. That program imports the modules
once, in a process without threads, reads one request per line on stdin and
answers one line each, both JSON. Every request is answered by a forked child
with arguments, folder, environment and streams of its own. Before it ends, all
is collected that it left behind, so that a file that nobody closed is said.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Besides rawtrace's own modules: what they import where it is used.
PRELOADED = ("c2pa", "cbor2", "logging.handlers", "PIL.Image", "PIL.PngImagePlugin", "sqlite3", "xml.etree.ElementTree")
#: Rooms that neither sealing nor verifying enters.
ELSEWHERE = ("rawtrace.agent", "rawtrace.demo", "rawtrace.integrations", "rawtrace.match", "rawtrace.server")
POLL_S = 0.002
FORKS = hasattr(os, "fork")


class Processes:
    """Runs ``rawtrace`` in processes that share nothing but the modules' code."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-W", "error", str(Path(__file__))]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=dict(environment))

    def run(
        self, arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str], within_s: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one command to its end; one that takes longer than ``within_s`` is killed and ends with -9."""
        asked = {"arguments": list(arguments), "cwd": str(cwd), "environment": dict(environment), "within_s": within_s}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")  # names that are no Unicode stay escaped
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        streams = (bytes.fromhex(told[name]) for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(arguments, told["code"], *streams)

    def close(self) -> None:
        """Let the program end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def become(request: dict[str, Any], folder: Path) -> None:
    """Take the place of ``python -m rawtrace ARGUMENTS``, up to its first line."""
    for number, path in enumerate((os.devnull, folder / "stdout", folder / "stderr")):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["rawtrace", *request["arguments"]]


def wait(process: int, within_s: float) -> int:
    """Return the code that a child ends with."""
    ends = time.monotonic() + within_s
    while not (done := os.waitpid(process, os.WNOHANG))[0]:
        if time.monotonic() > ends:
            os.kill(process, signal.SIGKILL)
        time.sleep(POLL_S)
    return os.waitstatus_to_exitcode(done[1])


def serve() -> bool:
    """Answer requests until there are no more; returns True in a child, whose turn it then is."""
    while line := sys.stdin.readline():
        request = json.loads(line)
        folder = Path(tempfile.mkdtemp())
        process = os.fork()
        if not process:
            become(request, folder)
            return True
        code = wait(process, request["within_s"])
        said = {name: (folder / name).read_bytes().hex() for name in ("stdout", "stderr")}
        shutil.rmtree(folder)
        sys.stdout.write(json.dumps({"code": code, **said}) + "\n")
        sys.stdout.flush()
    return False


def preload() -> None:
    import rawtrace

    ours = (one.name for one in pkgutil.walk_packages(rawtrace.__path__, "rawtrace."))
    wanted = (name for name in ours if not name.startswith(ELSEWHERE) and not name.endswith("__main__"))
    for name in (*PRELOADED, *wanted):
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)


def end(code: int) -> None:
    """End as an interpreter does, but for taking apart the modules, which costs more than a run."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    preload()
    gc.collect()
    gc.freeze()
    if serve():
        end(importlib.import_module("rawtrace.cli.main").run_for_code())
