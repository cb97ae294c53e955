"""A report as plain text: verdict first, then why, what to look at, and the chain.

The lines carry no colour codes. ``text_lines`` gives each line with the
verdict whose colour it wears, so that the command line can add colour by its own means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rawtrace.render import facts, words
from rawtrace.render.chain import rows
from rawtrace.render.clean import cells, visible, wrap
from rawtrace.report import Finding, Outcome, Report, Verdict

_MIN_WIDTH = 40
_BYTES = "bytes-unchanged"
#: A path is never cut to the width: people copy it.
MAX_PATH = 4096
_SAME_KIND = 5
_MAX_FINDINGS = 200
_WORD_CELLS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of text; ``tone`` is the verdict whose colour it wears, ``None`` for ordinary text."""

    text: str
    tone: Verdict | None = None


def as_text(report: Report, *, verbose: bool = False, width: int = 80) -> str:
    """Return a report as text that ends in a newline.

    Parameters
    ----------
    report : Report
    verbose : bool
        Also list the checks that passed, what the seal says and whom the check trusted.
    width : int
        Greatest width of a line in terminal cells; at least 40 are used.

    Returns
    -------
    str
        Safe to print: whatever was in the file or its seal, no control characters but the line ends.
    """
    return "".join(f"{line.text}\n" for line in text_lines(report, verbose=verbose, width=width))


def verdict_line(report: Report) -> str:
    """Return the verdict, by its fixed name, and the asset in one line: ``✓ verified  plate.tif``."""
    start = f"{words.of_verdict(report.verdict).symbol} {report.verdict}  "
    return start + visible(report.path, limit=MAX_PATH)


def text_lines(report: Report, *, verbose: bool = False, width: int = 80) -> Iterator[Line]:
    """Yield the lines of ``as_text`` one by one, each with its colour."""
    width = max(width, _MIN_WIDTH)
    said = words.of_verdict(report.verdict)
    yield Line(text=verdict_line(report), tone=report.verdict)
    yield from _paragraph(words.full_sentence(visible(report.summary, limit=600)) or said.headline, width=width)
    if report.seal is not None and not verbose:
        yield from _paragraph(f"The seal says: {facts.seal_line(report.seal)}.", width=width)

    # Where the signer is in doubt, that the bytes are unchanged is what a reader most wants to know.
    always = _BYTES if report.verdict is Verdict.INCONCLUSIVE else ""
    shown = [one for one in report.findings if verbose or one.outcome is not Outcome.PASSED or one.id == always]
    if shown:
        yield Line(text="")
        yield from _findings(shown, width=width)
    if verbose and (missing := words.not_reached(report.findings)):
        yield from _paragraph(missing, width=width)
    if report.exit_code:
        yield Line(text="")
        yield from _paragraph(f"Next: {said.next_step}", width=width)
    yield from _chain(report, width=width)
    if verbose:
        yield from _background(report, width=width)


def _findings(findings: Sequence[Finding], *, width: int) -> Iterator[Line]:
    same: dict[tuple[str, Outcome], int] = {}
    for finding in findings:
        same[finding.id, finding.outcome] = same.get((finding.id, finding.outcome), 0) + 1
    printed: dict[tuple[str, Outcome], int] = {}
    total = 0
    for finding in findings:
        kind = (finding.id, finding.outcome)
        number = printed[kind] = printed.get(kind, 0) + 1
        if number > _SAME_KIND + 1:
            continue
        if total == _MAX_FINDINGS:
            yield Line(text="  … more findings; --json lists them all")
            return
        total += 1
        rest = same[kind] - _SAME_KIND
        if number > _SAME_KIND and rest > 1:
            yield Line(text=f"{'':{_WORD_CELLS + 4}}… and {rest} more of the same kind")
        else:
            yield from _finding(finding, width=width, with_hint=number == 1)


def _finding(finding: Finding, *, width: int, with_hint: bool) -> Iterator[Line]:
    said = words.of_outcome(finding.outcome)
    label = f"  {said.symbol} {said.word:<{_WORD_CELLS}}"
    message = visible(finding.message, limit=600)
    if finding.subject and (subject := visible(finding.subject, limit=120)) not in message:
        message = f"{subject}: {message}"
    indent = " " * cells(label)
    for number, part in enumerate(wrap(message, width=width - cells(label)) or [""]):
        yield Line(text=((indent if number else label) + part).rstrip(), tone=said.tone)
    if finding.hint and with_hint:
        for number, part in enumerate(wrap(visible(finding.hint, limit=600), width=width - cells(label) - 2)):
            yield Line(text=f"{indent}{'  ' if number else '→ '}{part}")


def _chain(report: Report, *, width: int) -> Iterator[Line]:
    shown = rows(report.chain)
    if not shown:
        return
    yield Line(text="")
    yield Line(text="The chain, newest first:")
    for row in shown:
        said = words.of_verdict(row.verdict)
        start = "  " * (row.indent + 1) + ("  ↳ " if row.nested else "")
        if row.folded:
            yield Line(text=visible(f"{start}{row.title} ({row.detail})", limit=width))
            continue
        relationship = f"{row.relationship}: " if row.relationship else ""
        line = f"{start}{said.symbol} {row.verdict}  {relationship}"
        line += visible(row.title, limit=max(width - cells(line), 8))
        yield Line(text=visible(line, limit=width), tone=row.verdict)


def _background(report: Report, *, width: int) -> Iterator[Line]:
    if report.seal is not None:
        yield Line(text="")
        yield from _paragraph(
            "What the seal says (said, not proven: the checks above tell which is which):", width=width, indent=""
        )
        for fact in facts.seal_facts(report.seal):
            value = f"{fact.value} ({fact.note})" if fact.note else fact.value
            yield from _paragraph(f"{fact.name}: {value}", width=width)
    yield Line(text="")
    yield Line(text="Whom this check trusted:")
    lists = facts.trust_facts(report.trust, checked_at=report.checked_at)
    for entry in lists:
        overdue = "; its successor is overdue" if entry.overdue else ""
        operator = f" of {entry.operator}" if entry.operator else ""
        yield from _paragraph(f"{entry.name}{operator}: {entry.dates}{overdue}", width=width)
    if not lists:
        yield from _paragraph("no trust list was given, so no signer could be known", width=width)
    checked = f"Checked {facts.when(report.checked_at)}" if report.checked_at else "Checked at a time not stated"
    yield Line(text="")
    yield from _paragraph(
        f"{checked}, policy {visible(report.policy, limit=80)}. {facts.cost(report)}", width=width, indent=""
    )


def _paragraph(text: str, *, width: int, indent: str = "  ") -> Iterator[Line]:
    for part in wrap(text, width=width - len(indent)):
        yield Line(text=indent + part)
