"""A process that runs ``rawtrace`` in forked children, each with the fault that was asked for.

Reads one request per line on stdin and answers one line each, both JSON. The
modules are imported once, here, in a process without threads; so a child costs
milliseconds and a fault can be tried at every step.

A *step* is a call that changes the disk below the folder ``under``: opening a
file for writing, ``fsync``, link, rename, unlink, mkdir, rmdir, truncate. The
interpreter's audit events tell of all of them before they happen.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import rawtrace

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
EVENTS = ("open", "os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "fsync")
#: What a full disk still allows.
GIVES_ROOM = ("os.remove", "os.rmdir", "os.truncate", "os.rename")
KILLED = 9
#: Besides all of our own modules: what is imported where it is used.
PRELOADED = ("logging.handlers", "sqlite3", "xml.etree.ElementTree", "PIL.Image", "PIL.PngImagePlugin")


class Steps:
    """Counts steps, and does at one of them what was asked for.

    ``torn``: when it dies, what was written and not synced is cut in half, as a power cut may do.
    """

    def __init__(self, request: dict[str, Any], log: int) -> None:
        self.under = os.path.realpath(request["under"])
        self.die_at, self.fail_from = request.get("die_at", -1), request.get("fail_from", -1)
        self.error, self.only_once = request.get("errno", errno.ENOSPC), request.get("only_once", False)
        self.torn = request.get("torn", False)
        self.count, self.log = 0, log
        self.dirty: dict[str, None] = {}
        self.dying = 0
        self.lock = threading.Lock()

    def install(self) -> None:
        sync = os.fsync

        def fsync(descriptor: int) -> None:
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            self.step("fsync", path)
            sync(descriptor)
            self.dirty.pop(path, None)

        os.fsync = fsync
        sys.addaudithook(self.audit)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.dying == threading.get_ident() or event not in EVENTS or isinstance(arguments[0], int):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100
        if event == "open":
            if not (arguments[2] or 0) & WRITING:
                return
            self.dirty[path] = None
        self.step(event, path)
        if event == "os.rename" and path in self.dirty:
            del self.dirty[path]
            self.dirty[os.path.abspath(os.fsdecode(arguments[1]))] = None  # noqa: PTH100

    def step(self, event: str, path: str) -> None:
        if not path.startswith(self.under):
            return
        with self.lock:  # an agent seals in several threads; whoever dies lets none of them go on
            number, self.count = self.count, self.count + 1
            text = f"{event} {os.path.relpath(path, self.under)}\n"
            os.write(self.log, text.encode("utf-8", "backslashreplace"))
            if number == self.die_at:
                self.die()
        failing = number == self.fail_from if self.only_once else number >= self.fail_from >= 0
        if failing and event not in GIVES_ROOM:
            raise OSError(self.error, os.strerror(self.error), path)

    def die(self) -> None:
        self.dying = threading.get_ident()
        for path in list(self.dirty) if self.torn else ():
            with contextlib.suppress(OSError):
                os.truncate(path, Path(path).stat().st_size // 2)
        os._exit(KILLED)


def shift_clock(seconds: float) -> None:
    """Let this process live earlier or later."""
    real, real_ns, plain = time.time, time.time_ns, datetime.datetime

    class Kind(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, plain)

    class Shifted(plain, metaclass=Kind):
        """Only ``now`` differs; all that it makes are plain datetimes, as the libraries want them."""

        def __new__(cls, *arguments: Any, **more: Any) -> Any:
            return plain(*arguments, **more)

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return plain.fromtimestamp(time.time(), tz)

    for name in ("fromisoformat", "fromtimestamp", "strptime", "combine"):
        setattr(Shifted, name, getattr(plain, name))

    time.time = lambda: real() + seconds
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)
    for name, module in list(sys.modules.items()):
        if name.startswith("rawtrace.") and getattr(module, "datetime", None) is plain:
            module.datetime = Shifted


def child(request: dict[str, Any], folder: Path) -> int:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request.get("environment", {}))
    os.chdir(request.get("cwd", "/"))
    if "clock_s" in request:
        shift_clock(request["clock_s"])
    log = os.open(folder / "steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    run_for_code = importlib.import_module("rawtrace.cli.main").run_for_code
    for name, value in request.get("limits", {}).items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    if "user" in request:
        os.setgroups([])
        os.setgid(request["user"])
        os.setuid(request["user"])
    if "under" in request:
        Steps(request, log).install()
    code: int = run_for_code(request["arguments"])
    sys.stdout.flush()
    return code


def serve(request: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        process = os.fork()
        if not process:
            code = 99
            try:
                code = child(request, folder)
            finally:
                sys.stderr.flush()
                os._exit(code)
        if "kill_after_s" in request:
            time.sleep(request["kill_after_s"])
            os.kill(process, signal.SIGKILL)
        started = time.monotonic()
        while True:
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                break
            if time.monotonic() - started > request.get("within_s", 60):
                os.kill(process, signal.SIGKILL)
            time.sleep(0.002)
        said = {
            key: (folder / key).read_text(errors="backslashreplace") if (folder / key).exists() else ""
            for key in ("stdout", "stderr", "steps")
        }
        return {"code": os.waitstatus_to_exitcode(status), **said}


def main() -> None:
    ours = [one.name for one in pkgutil.walk_packages(rawtrace.__path__, "rawtrace.")]
    for name in (*PRELOADED, *(one for one in ours if not one.endswith("__main__"))):
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(serve(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
