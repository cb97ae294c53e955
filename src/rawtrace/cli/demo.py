"""``rawtrace demo``."""

from __future__ import annotations

import tempfile
import time
import webbrowser
from pathlib import Path

import click

from rawtrace.cli import output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import AlreadyExistsError

EXIT_UNEXPECTED = 1


@click.command()
@click.option("--dir", "folder", metavar="DIR", type=PATH, help="Play here and keep everything.")
@click.option("--no-browser", is_flag=True, help="Do not open the page at the end.")
@click.pass_context
def demo(ctx: click.Context, folder: Path | None, no_browser: bool) -> None:
    """Play a simulated microscope, an editor and five attacks.

    \b
    Examples:
      rawtrace demo
      rawtrace demo --dir ~/rawtrace-demo --no-browser

    Everything is real but the hardware. Exits with 1 if any check comes out
    other than it should.
    """
    from rawtrace.demo.story import play

    if folder is not None and folder.exists() and any(folder.iterdir()):
        msg = f"{folder} is not empty, and the demo writes over nothing"
        raise AlreadyExistsError(msg, hint="name a folder that does not exist yet")
    place = folder or Path(tempfile.mkdtemp(prefix="rawtrace-demo-"))
    started = time.monotonic()
    checks, wrong = 0, 0
    for line in play(place):
        if line.verdict is None:
            output.line(line.text)
            continue
        checks += 1
        wrong += not line.expected
        surprise = "" if line.expected else "   <- not what it should be"
        output.line(f"  {line.text:<40} {output.coloured(line.verdict, line.verdict)}{surprise}")
    output.line(f"{checks - wrong} of {checks} checks came out as they should, in {time.monotonic() - started:.0f} s.")
    page = place / "report.html"
    if not no_browser and output.is_terminal():
        webbrowser.open(page.resolve().as_uri())
    ctx.exit(EXIT_UNEXPECTED if wrong else 0)
