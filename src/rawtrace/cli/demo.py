"""``rawtrace demo``."""

from __future__ import annotations

import tempfile
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rawtrace.cli import output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import AlreadyExistsError

if TYPE_CHECKING:
    from rawtrace.demo.line import Line

EXIT_UNEXPECTED = 1


@click.command()
@click.option("--dir", "folder", metavar="DIR", type=PATH, help="Play here and keep everything.")
@click.option(
    "--practice", metavar="DIR", type=PATH,
    help="Make a deposit and a figure to practise on instead: try trace, compare and reuse on them.",
)  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Do not open the page at the end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document at the end.")
@click.pass_context
def demo(ctx: click.Context, folder: Path | None, practice: Path | None, no_browser: bool, as_json: bool) -> None:
    """Play a simulated microscope, an editor, five attacks and a lost seal.

    \b
    Examples:
      rawtrace demo
      rawtrace demo --dir ~/rawtrace-demo --no-browser
      rawtrace demo --practice figure-check/

    Everything is real but the hardware. Exits with 1 if any check comes out
    other than it should.
    """
    if practice is not None:
        _make_practice(practice, as_json=as_json)
        return
    from rawtrace.demo.story import play

    if folder is not None and folder.exists() and any(folder.iterdir()):
        msg = f"{folder} is not empty, and the demo writes over nothing"
        raise AlreadyExistsError(msg, hint="name a folder that does not exist yet")
    place = folder or Path(tempfile.mkdtemp(prefix="rawtrace-demo-"))
    started = time.monotonic()
    checks: list[dict[str, Any]] = []
    for line in play(place):
        if line.verdict is not None:
            checks.append({"what": line.text, "verdict": line.verdict, "expected": line.expected})
        if not as_json:
            _print(line)
    wrong = sum(not check["expected"] for check in checks)
    seconds = round(time.monotonic() - started, 1)
    page = place / "report.html"
    value = {
        "schema": "urn:rawtrace:schema:demo:1",
        "folder": str(place),
        "report": str(page),
        "checks": checks,
        "unexpected": wrong,
        "seconds": seconds,
    }
    said = f"{len(checks) - wrong} of {len(checks)} checks came out as they should, in {seconds:.0f} s."
    output.emit(value, as_json=as_json, text=said)
    if not no_browser and not as_json and output.is_terminal():
        webbrowser.open(page.resolve().as_uri())
    ctx.exit(EXIT_UNEXPECTED if wrong else 0)


def _make_practice(folder: Path, *, as_json: bool) -> None:
    from rawtrace.demo.practice import make

    deposit, figure, answers = make(folder, progress=output.progress(quiet=as_json))
    value = {
        "schema": "urn:rawtrace:schema:practice:1",
        "deposit": str(deposit),
        "figure": str(figure),
        "answers": str(answers),
    }
    text = f"recordings:  {deposit}\nfigure:      {figure}\nanswers:     {answers} (look at the end)"
    output.emit(value, as_json=as_json, text=text)


def _print(line: Line) -> None:
    if line.verdict is None:
        output.line(line.text)
        return
    surprise = "" if line.expected else "   <- not what it should be"
    output.line(f"  {line.text:<40} {output.coloured(line.verdict, line.verdict)}{surprise}")
