"""``rawtrace verify``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rawtrace.cli import output
from rawtrace.cli.pages import refuse_existing, write_page
from rawtrace.cli.parameters import PATH
from rawtrace.errors import Error, InputNotFoundError, LimitError
from rawtrace.report import Report

if TYPE_CHECKING:
    from rawtrace.sealing.discovery import PassedOver
    from rawtrace.verification.batch import Failure

MAX_PATHS = 1_000_000
_PREVIEWS = 100


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option(
    "--trust", "trust", metavar="FILE|DIR|URL", multiple=True, type=PATH,
    help="Whom to rely on: an authority's folder, a trust list, a bundle, a store's address with #sha256= and its "
    "operator's digest. Without it: the lists of `rawtrace trust`.",
)  # fmt: skip
@click.option(
    "--online",
    is_flag=True,
    help="Ask the network: newer trust lists, and the authority of a signer whom no list knows.",
)
@click.option(
    "--policy", "policy_named", metavar="FILE|federation:NAME",
    help="Weigh findings by this policy, or by the one that a federation you have joined publishes.",
)  # fmt: skip
@click.option(
    "--originals",
    metavar="DIR",
    multiple=True,
    type=PATH,
    help="Look for ancestors' files here too.",
)
@click.option("--recursive", "-r", is_flag=True, help="Check every file below the named folders.")
@click.option("--report", "report_file", metavar="OUT.html", type=PATH, help="Write one page for people.")
@click.option("--verbose", "-v", is_flag=True, help="Show what passed, too.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors; the exit code tells.")
@click.option("--json", "as_json", is_flag=True, help="Reports as JSON; one per line where there are several.")
@click.pass_context
def verify(
    ctx: click.Context,
    paths: tuple[Path, ...],
    trust: tuple[Path, ...],
    online: bool,
    policy_named: str | None,
    originals: tuple[Path, ...],
    recursive: bool,
    report_file: Path | None,
    verbose: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Check files and folders against their seals, offline unless you say --online.

    \b
    Examples:
      rawtrace verify figure.png --trust lab-authority/
      rawtrace verify plate.ome.tiff stack.ome.zarr
      rawtrace verify -r submission/ --report submission.html
      rawtrace verify plate.ome.tiff --online
      find . -name '*.tif' | rawtrace verify - --json

    Without --online, and without an address after --trust, nothing leaves this
    computer. With it, servers learn which instruments' seals you check, and
    nothing of the data.

    Exit codes: 0 verified (with or without notes), 10 no seal, 11 inconclusive,
    12 altered, 13 rejected; of several the worst.
    """
    from rawtrace.verification.batch import Failure, Request, exit_code_of, verify_many
    from rawtrace.verification.policy import DEFAULT, policy_of

    refuse_existing(report_file)
    policy = policy_of(policy_named) if policy_named else DEFAULT
    assets, passed_over = _assets(paths, recursive=recursive)
    several = len(assets) != 1 or recursive or Path("-") in paths
    # Lines on a terminal are progress enough; a bar would be torn by them.
    progress = output.progress(quiet=quiet or (several and output.is_terminal()))
    results: list[Report | Failure] = []
    request = Request(trust=trust, policy=policy, originals=originals, online=online)
    for result in verify_many(assets, request, progress=progress):
        results.append(result if report_file or not several else _lean(result))
        if not quiet or isinstance(result, Failure):
            _show(result, as_json=as_json, several=several, verbose=verbose)
    for left in passed_over:
        output.note(f"not looked at: {left.path}: {left.why}")
    if report_file is not None:
        failures = [(str(one.path), one.message) for one in results if isinstance(one, Failure)]
        unchecked = failures + [(str(left.path), f"not looked at: {left.why}") for left in passed_over]
        _write_page(report_file, [one for one in results if isinstance(one, Report)], unchecked, quiet=quiet)
    if several and not as_json and not quiet:
        output.line(_tally(results))
    ctx.exit(exit_code_of(results))


def _assets(paths: Sequence[Path], *, recursive: bool) -> tuple[list[Path], list[PassedOver]]:
    """Resolve ``-`` and folders to assets, and name what is passed over on the way."""
    from rawtrace.sealing.discovery import PassedOver, assets_below

    assets: list[Path] = []
    passed_over: list[PassedOver] = []
    for path in _named(paths):
        before = len(assets) + len(passed_over)
        for found in assets_below(path) if recursive and path.is_dir() else (path,):
            if isinstance(found, PassedOver):
                passed_over.append(found)
            else:
                assets.append(found)
        if len(assets) + len(passed_over) == before:
            msg = f"{path} holds no files to check"
            raise InputNotFoundError(msg)
        if len(assets) > MAX_PATHS:
            msg = f"more than {MAX_PATHS:,} paths were named"
            raise LimitError(msg)
    if not assets and not passed_over:
        msg = "no paths were named on standard input"
        raise InputNotFoundError(msg)
    return assets, passed_over


def _named(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if str(path) == "-":
            yield from (Path(os.fsdecode(line)) for line in sys.stdin.buffer.read().splitlines() if line)
        else:
            yield path


def _show(result: Any, *, as_json: bool, several: bool, verbose: bool) -> None:
    if not isinstance(result, Report):
        output.error(result.message, code=result.code, hint=result.hint)
        if as_json:
            problem = {"code": result.code, "message": result.message, "hint": result.hint}
            output.emit_json_line({"schema": "urn:rawtrace:schema:error:1", "path": str(result.path), "error": problem})
        return
    if as_json and several:
        output.emit_json_line(result.to_dict())
        return
    if as_json:
        output.emit(result.to_dict(), as_json=True, text="")
        return
    from rawtrace.render.text import as_text, verdict_line

    if several and not verbose:
        output.line(output.coloured(verdict_line(result), result.verdict))
        return
    head, _, rest = as_text(result, verbose=verbose).partition("\n")
    output.line(output.coloured(head, result.verdict))
    output.line(rest)


def _lean(result: Any) -> Any:
    """Keep only what the tally needs, so that a batch of a million stays small."""
    if not isinstance(result, Report):
        return result
    return Report(path=result.path, verdict=result.verdict, summary="", findings=())


def _tally(results: Sequence[Any]) -> str:
    from rawtrace.render.words import count_line

    reports = [result for result in results if isinstance(result, Report)]
    unchecked = len(results) - len(reports)
    counts = [count_line(reports), f"{unchecked:,} could not be checked" if unchecked else ""]
    noun = "file" if len(results) == 1 else "files"
    return f"{len(results):,} {noun}: {', '.join(filter(None, counts))}"


def _write_page(target: Path, reports: Sequence[Report], unchecked: Sequence[tuple[str, str]], *, quiet: bool) -> None:
    from rawtrace.image.preview import Preview, preview
    from rawtrace.render.html import as_html

    previews: dict[str, Preview] = {}
    for report in sorted(reports, key=lambda one: -one.exit_code)[:_PREVIEWS]:
        try:
            made = preview(Path(report.path))
        except Error:
            made = None
        if made is not None:
            previews[report.path] = made
    write_page(target, as_html(reports, previews=previews, unchecked=unchecked), quiet=quiet)
