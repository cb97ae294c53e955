"""Text reports: verdict first, nothing wider than asked, nothing that a terminal would obey."""

import re
from dataclasses import replace

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st

from rawtrace.render.clean import cells
from rawtrace.render.text import as_text, text_lines, verdict_line
from rawtrace.render.words import NOT_MISCONDUCT, count_line, of_outcome, of_verdict
from rawtrace.report import Outcome, Report, Verdict

ALL = {report.verdict: report for report in samples.every_verdict()}


@pytest.mark.parametrize("verdict", Verdict)
def test_the_first_line_says_verdict_and_asset(verdict: Verdict) -> None:
    report = ALL[verdict]
    said = of_verdict(verdict)
    lines = as_text(report).splitlines()
    assert lines[0] == f"{said.symbol} {verdict}  {report.path}" == verdict_line(report)
    assert "".join(report.summary.split()) in "".join(as_text(report).split())


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("verbose", [False, True])
def test_lines_fit(verdict: Verdict, width: int, verbose: bool) -> None:
    chain = samples.wide_chain()
    text = as_text(replace(ALL[verdict], chain=chain), verbose=verbose, width=width)
    assert max(cells(line) for line in text.splitlines()[1:]) <= width


def test_a_long_path_is_never_cut() -> None:
    path = "folder/" * 40 + "cells.tif"
    assert verdict_line(replace(ALL[Verdict.VERIFIED], path=path)).endswith(path)


@pytest.mark.parametrize("text", samples.HOSTILE)
@pytest.mark.parametrize("verbose", [False, True])
def test_no_hostile_string_reaches_the_terminal(text: str, verbose: bool) -> None:
    shown = as_text(samples.hostile(text), verbose=verbose)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert max(cells(line) for line in shown.splitlines()[1:]) <= 80
    assert shown.startswith("✗ rejected  ")
    assert len(shown) < 60_000


@given(st.text(alphabet=st.characters(), max_size=200), st.integers(min_value=0, max_value=100))
def test_any_text_in_any_place_is_printable_and_fits(text: str, width: int) -> None:
    for number, line in enumerate(text_lines(samples.hostile(text), verbose=True, width=width)):
        assert line.text.isprintable()
        assert number == 0 or cells(line.text) <= max(width, 40)


def test_passes_are_shown_only_on_request() -> None:
    message = "no status speaks against the certificate"
    assert message not in as_text(samples.verified())
    assert message in as_text(samples.verified(), verbose=True)


def test_what_was_not_checked_is_always_shown() -> None:
    assert "- not checked" in as_text(samples.noted())


def test_steps_without_a_finding_are_named() -> None:
    assert "not reached: 2. Signature" in as_text(samples.no_seal(), verbose=True)


def test_many_findings_of_one_kind_are_counted() -> None:
    text = as_text(samples.altered(40))
    assert "… and 35 more of the same kind" in text
    assert text.count("→") == 1


def test_lines_carry_the_verdict_whose_colour_they_wear() -> None:
    first, *others = text_lines(samples.rejected())
    assert first.tone is Verdict.REJECTED
    assert {line.tone for line in others} == {None, Verdict.REJECTED, Verdict.VERIFIED_WITH_NOTES}


def test_time_is_called_proven_only_when_it_is() -> None:
    assert "by the signer's own clock, not proven" in " ".join(as_text(samples.noted()).split())
    assert "proven by a time stamp" in " ".join(as_text(samples.verified()).split())


def test_symbols_and_words_tell_verdicts_apart_without_colour() -> None:
    assert len({of_verdict(verdict).symbol for verdict in Verdict}) == len(Verdict)
    assert len({of_verdict(verdict).word for verdict in Verdict}) == len(Verdict)
    assert len({of_outcome(outcome).symbol for outcome in Outcome}) == len(Outcome)


def test_words_accuse_nobody() -> None:
    said = [NOT_MISCONDUCT.removeprefix("A mismatch is not misconduct.")]
    said += [text for verdict in Verdict for text in (of_verdict(verdict).headline, of_verdict(verdict).next_step)]
    blame = re.compile(r"!|fraud|fake|forge|manipulat|tamper|guilt|misconduct|suspicio", re.IGNORECASE)
    assert [text for text in said if blame.search(text)] == []


def test_counts_of_a_batch_begin_with_the_worst() -> None:
    reports: tuple[Report, ...] = (samples.verified(), samples.altered(), samples.verified())
    assert count_line(reports) == "1 altered, 2 verified"


def test_step_headings_cover_the_steps_of_the_verification() -> None:
    from rawtrace.render.words import STEPS
    from rawtrace.verification.findings import Step

    assert list(STEPS) == [int(step) for step in Step]
