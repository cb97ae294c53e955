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
from rawtrace.cli.parameters import PATH, seen_from_here
from rawtrace.errors import UsageError

if TYPE_CHECKING:
    from rawtrace.match.index import PictureIndex
    from rawtrace.verification.recovered import RecoveredSeal, Service
    from rawtrace.verification.trace import Origin, Trace

EXIT_NOTHING = 21
#: A service that looks for a picture takes a while.
_PATIENCE_S = 120.0


@click.command()
@click.argument("figure", metavar="FIGURE", type=PATH)
@click.option(
    "--in", "place", metavar="INDEX|DIR|URL",
    help="Look for its content here: an index, a folder of data, postgresql://…, or a service, https://….",
)  # fmt: skip
@click.option("--send-picture", is_flag=True, help="Send the service the figure itself, and not only codes of it.")
@click.option("--server-key", metavar="SHA256", default="", help="Key that the service's server is known by.")
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
    send_picture: bool,
    server_key: str,
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
      rawtrace trace figure-2b.jpg --in https://store.example.org/c2pa/v1

    A figure without any seal is found by its content, in an index (rawtrace
    index add) or in a folder, which is read anew each time. A service (C2PA's
    Soft Binding Resolution API) is sent codes, 32 bytes each, and the seals that
    it names are checked here. Exit code 21: looked, and found nothing.
    """
    from rawtrace.trust.truststore import load_trust
    from rawtrace.verification.trace import trace as trace_one

    refuse_existing(report_file)
    asked = place is not None and place.lower().startswith(("https://", "http://"))
    if (send_picture or server_key) and not asked:
        msg = "--send-picture and --server-key are for a service; expected --in https://…"
        raise UsageError(msg)
    if asked and report_file is not None:
        msg = "--report shows originals, which a service does not give"
        raise UsageError(msg)
    progress = output.progress(quiet=as_json)
    with contextlib.ExitStack() as stack:
        gallery = stack.enter_context(gallery_at(place)) if place is not None and not asked else None
        service = _service(stack, place, server_key, send_picture=send_picture) if place and asked else None
        found = trace_one(
            figure, gallery=gallery, service=service, trust=load_trust(trust), originals=originals, limit=limit,
            progress=progress,
        )  # fmt: skip
    if report_file is not None:
        from rawtrace.render.trace import as_html

        write_page(report_file, as_html(found))
    output.emit(found.to_dict(), as_json=as_json, text="\n".join(_told(found)))
    return 0 if found.found else EXIT_NOTHING


def _service(stack: contextlib.ExitStack, place: str, server_key: str, *, send_picture: bool) -> Service:
    from rawtrace.cli.addresses import split
    from rawtrace.verification.recovered import Service
    from rawtrace.web import Caller, Web, check_address

    base, key = split(place, server_key)
    check_address(base)
    web = stack.enter_context(Web(Caller(server_key_sha256=key, timeout_s=_PATIENCE_S)))
    return Service(base=base, web=web, send_picture=send_picture)


@contextlib.contextmanager
def gallery_at(place: str) -> Iterator[PictureIndex]:
    """Open an index, or make one of a folder of data for this run."""
    from rawtrace.cli.index import is_index, open_index

    if is_index(place):
        with open_index(place) as opened:
            yield opened
        return
    with (
        tempfile.TemporaryDirectory(prefix="rawtrace-trace-") as temporary,
        open_index(temporary, create=True) as made,
    ):
        made.add([Path(place)], progress=output.progress())
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
    for number, one in enumerate(found.seals, start=1):
        lines += _seal_lines(number, one)
    if not found.origins and not found.seals:
        looked = f"nothing like it is among {found.searched:,} views" if found.searched else "not looked for"
        lines.append(f"  by its content: {looked}")
    for number, origin in enumerate(found.origins, start=1):
        lines += _origin_lines(number, origin)
    lines += [f"  note: {note}" for note in found.notes]
    return [visible(line, limit=2_000) for line in lines]


def _seal_lines(number: int, seal: RecoveredSeal) -> list[str]:
    score = "" if seal.score is None else f", likeness {seal.score} of 100"
    lines = [f"  named by the service, {number}: {seal.label}{score}"]
    if seal.facts is not None:
        who = seal.facts.instrument.get("name") or seal.facts.signer or "somebody unknown"
        lines.append(f"    by {who}{f', sealed {seal.facts.sealed_at}' if seal.facts.sealed_at else ''}")
    lines.append(f"    {seal.summary}; whether the data belongs to it, only the data can tell")
    return lines


def _origin_lines(number: int, origin: Origin) -> list[str]:
    from rawtrace.match.telling import evidence_words, transform_words, where_words
    from rawtrace.report import Verdict

    match, report = origin.match, origin.report
    lines = [
        f"  by its content, {number}: {seen_from_here(match.where.source)}",
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
