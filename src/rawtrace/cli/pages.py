"""Writing a page for people, from any command that has ``--report``."""

from __future__ import annotations

from pathlib import Path

from rawtrace import durable
from rawtrace.cli import output
from rawtrace.errors import UsageError


def refuse_existing(target: Path | None) -> None:
    """Refuse, before any work is done, to write over a file.

    Raises
    ------
    UsageError
    """
    if target is not None and target.exists():
        msg = f"{target} exists already and is never overwritten"
        raise UsageError(msg, hint="name another file for --report")


def write_page(target: Path, html: str, *, quiet: bool = False) -> None:
    """Write a page, whole or not at all."""
    durable.write_new(target, html.encode("utf-8", "backslashreplace"))
    if not quiet:
        output.note(f"the page is at {target}")
