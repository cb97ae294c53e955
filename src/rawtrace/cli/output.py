"""The only module that prints. Results go to stdout; progress, errors and hints to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import IO, Any

from rawtrace.progress import SILENT, Progress

_COLOURS = {
    "verified": "32",
    "verified-with-notes": "36",
    "no-seal": "90",
    "inconclusive": "33",
    "altered": "31",
    "rejected": "31;1",
}


def prepare_streams() -> None:
    """Make both streams take any text: odd file names come out escaped, never as a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def silence_stdout() -> None:
    """After a closed pipe: let the interpreter flush into nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def flush() -> None:
    """Hand on everything that was printed, so that a failure to do so is noticed."""
    sys.stdout.flush()


def line(text: str = "") -> None:
    """Print one result, or several lines of it."""
    sys.stdout.write(text + "\n")


def emit(value: dict[str, Any], *, as_json: bool, text: str) -> None:
    """Print a result: one JSON document, or its text for people."""
    line(json.dumps(value, indent=2, ensure_ascii=_only_ascii()) if as_json else text)


def emit_json_line(value: dict[str, Any]) -> None:
    """Print one line of NDJSON and flush, so that a reader can follow a batch."""
    line(json.dumps(value, ensure_ascii=_only_ascii(), separators=(",", ":")))
    sys.stdout.flush()


def note(text: str) -> None:
    """Tell something beside the result, on stderr."""
    sys.stderr.write(f"rawtrace: {text}\n")
    sys.stderr.flush()


def error(message: str, *, code: str = "", hint: str = "") -> None:
    """Print an error in its fixed form: the sentence, then the hint."""
    note(f"error{f'[{code}]' if code else ''}: {_one_line(message)}")
    if hint:
        note(f"hint: {_one_line(hint)}")


def bug(unexpected: BaseException) -> None:
    """Print what an unexpected exception means: a bug in rawtrace, not in what was given to it."""
    what = _one_line(f"{type(unexpected).__name__}: {unexpected}")
    note(f"error[E999]: this is a bug in rawtrace, not in your file ({what})")
    note("hint: run it again with RAWTRACE_DEBUG=1 and report what it prints; see SECURITY.md if it looks dangerous")
    if os.environ.get("RAWTRACE_DEBUG"):
        sys.stderr.write("".join(traceback.format_exception(unexpected)))


def coloured(text: str, verdict: str) -> str:
    """Colour a text by its verdict where stdout is a terminal that wants colour."""
    if not is_terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_COLOURS.get(verdict, '0')}m{text}\x1b[0m"


def is_terminal() -> bool:
    """Whether a person reads stdout as it comes."""
    return sys.stdout.isatty()


def progress(*, quiet: bool = False) -> Progress:
    """Return an observer that draws on stderr once a task has lasted a second; silent off a terminal."""
    return SILENT if quiet or not sys.stderr.isatty() else _Bar(sys.stderr)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on a terminal what is waited for, once it has lasted a second and nobody can count it."""
    timer = threading.Timer(1.0, note, [f"{_one_line(what)} …"])
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Bar:
    """A bar by rich, imported and drawn only after the first second."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._bar: Any = None
        self._task: Any = None
        self._label, self._done, self._since = "", 0, 0.0
        self._total: int | None = None

    def start(self, label: str, total: int | None) -> None:
        """Begin a task."""
        self._label, self._total, self._done, self._since = label, total, 0, time.monotonic()

    def advance(self, amount: int) -> None:
        """Count, and draw when it has lasted long enough to be worth a bar."""
        self._done += amount
        if self._bar is None:
            if time.monotonic() - self._since < 1:
                return
            from rich.console import Console
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(console=Console(file=self._stream), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(_one_line(self._label), total=self._total)
        self._bar.update(self._task, completed=self._done)

    def finish(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _only_ascii() -> bool:
    """Whether stdout takes less than UTF-8, as pipes on Windows do: JSON then escapes what it cannot encode."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8"


def _one_line(text: str) -> str:
    """Keep a message on one line and free of terminal control, whatever file name it quotes."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
