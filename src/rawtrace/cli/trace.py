"""``rawtrace trace``."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rawtrace.cli import output
from rawtrace.cli.pages import refuse_existing, write_page
from rawtrace.cli.parameters import PATH
from rawtrace.errors import MissingExtraError

if TYPE_CHECKING:
    from rawtrace.match.index import PictureIndex
    from rawtrace.verification.trace import Origin, Trace

EXIT_NOTHING = 21


@click.command()
@click.argument("figure", metavar="FIGURE", type=PATH)
@click.option(
    "--in", "place", metavar="INDEX|DIR",
    help="Look for its content here: an index, a folder of data, or postgresql://…",
)  # fmt: skip
@click.option(
    "--trust", "trust", metavar="FILE|DIR", multiple=True, type=PATH,
    help="Whom to rely on; without it the lists of `rawtrace trust`.",
)  # fmt: skip
@click.option("--originals", metavar="DIR", multiple=True, type=PATH, help="Look for ancestors' files here too.")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="At most so many answers.")
@click.option("--report", "report_file", metavar="OUT.html", type=PATH, help="Write one page with pictures.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def trace(
    figure: Path,
    *,
    place: str | None,
    trust: tuple[Path, ...],
    originals: tuple[Path, ...],
    limit: int,
    report_file: Path | None,
    as_json: bool,
) -> int:
    """Say which data a figure shows: by its seal, and by its content.

    \b
    Examples:
      rawtrace trace figure.png --trust lab-authority/
      rawtrace trace figure-2b.jpg --in deposit.index
      rawtrace trace figure-2b.jpg --in deposit/ --report trace.html

    A figure without any seal is found by its content, in an index (rawtrace
    index add) or in a folder, which is read anew each time. Exit code 21:
    looked, and found nothing.
    """
    from rawtrace.trust.truststore import load_trust
    from rawtrace.verification.trace import trace as trace_one

    refuse_existing(report_file)
    progress = output.progress(quiet=as_json)
    with contextlib.ExitStack() as stack:
        gallery = stack.enter_context(gallery_at(place)) if place is not None else None
        found = trace_one(
            figure, gallery=gallery, trust=load_trust(trust), originals=originals, limit=limit, progress=progress
        )
    if report_file is not None:
        from rawtrace.render.trace import as_html

        write_page(report_file, as_html(found))
    output.emit(found.to_dict(), as_json=as_json, text="\n".join(_told(found)))
    return 0 if found.found else EXIT_NOTHING


@contextlib.contextmanager
def gallery_at(place: str) -> Iterator[PictureIndex]:
    """Open an index, or make one of a folder of data for this run."""
    try:
        from rawtrace.match.index import PictureIndex
        from rawtrace.match.index.pictures import DATABASE_FILE
    except ImportError as error:
        msg = "looking for content needs a database library, which is not installed"
        raise MissingExtraError(msg, hint="pip install 'rawtrace[match]'") from error
    folder = Path(place)
    if "://" in place or (folder / DATABASE_FILE).is_file():
        with PictureIndex.open(place) as opened:
            yield opened
        return
    with (
        tempfile.TemporaryDirectory(prefix="rawtrace-trace-") as temporary,
        PictureIndex.open(Path(temporary), create=True) as made,
    ):
        made.add([folder], progress=output.progress())
        yield made


def _told(found: Trace) -> list[str]:
    from rawtrace.render.clean import visible
    from rawtrace.report import Verdict

    lines = [f"{found.path}"]
    if found.report.verdict is Verdict.NO_SEAL:
        lines.append("  by its seal: it has none")
    else:
        lines.append(f"  by its seal: {found.report.verdict}; {found.report.summary}")
        lines += [f"    made from {link.title}: {link.verdict}" for link in found.sealed_origins]
    if not found.origins:
        looked = f"nothing like it is among {found.searched:,} views" if found.searched else "not looked for"
        lines.append(f"  by its content: {looked}")
    for number, origin in enumerate(found.origins, start=1):
        lines += _origin_lines(number, origin)
    lines += [f"  note: {note}" for note in found.notes]
    return [visible(line, limit=2_000) for line in lines]


def _origin_lines(number: int, origin: Origin) -> list[str]:
    from rawtrace.match.telling import evidence_words, transform_words, where_words
    from rawtrace.report import Verdict

    match, report = origin.match, origin.report
    lines = [
        f"  by its content, {number}: {_short(match.where.source)}",
        f"    {where_words(match.where)}",
        f"    {evidence_words(match)}",
        f"    {transform_words(match)}",
    ]
    if match.panel is not None:
        left, top, right, bottom = match.panel
        lines.insert(2, f"    shown at x {left:.0f} to {right:.0f}, y {top:.0f} to {bottom:.0f} of the figure")
    if report is None:
        lines.append("    its file is not at hand, so it was not verified")
    elif report.verdict is Verdict.NO_SEAL:
        lines.append("    it has no seal")
    else:
        who = report.seal.instrument.get("name", "") if report.seal is not None else ""
        lines.append(f"    its own seal: {report.verdict}{f', by {who}' if who else ''}")
    return lines


def _short(path: str) -> str:
    here, given = Path.cwd(), Path(path)
    return str(given.relative_to(here)) if given.is_relative_to(here) else path
