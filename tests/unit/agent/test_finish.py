"""When an asset counts as finished."""

from __future__ import annotations

import pytest

from rawtrace.agent.finish import How, Observation, Patience, again_after, decide, span
from rawtrace.agent.writers import Writing

PATIENCE = Patience(quiet_s=5, complete_quiet_s=1, long_quiet_s=3600)
FOR_EVER = 1e9


def test_what_is_empty_is_never_finished() -> None:
    assert decide(Observation(settled_s=FOR_EVER, empty=True, engine_says="completed"), PATIENCE).how is None


def test_what_is_open_for_writing_is_never_finished() -> None:
    seen = Observation(settled_s=FOR_EVER, writing=Writing.YES, engine_says="completed", format_says=True)
    decision = decide(seen, PATIENCE)
    assert decision.how is None
    assert "open for writing" in decision.reason
    assert not decision.settling


@pytest.mark.parametrize("settled_s", [0, 10, 1800, 3599])
def test_an_unfinished_format_is_waited_for(settled_s: float) -> None:
    decision = decide(Observation(settled_s=settled_s, format_says=False, format_reason="3 of 10 planes"), PATIENCE)
    assert decision.how is None
    assert decision.reason == "3 of 10 planes"


def test_an_unfinished_format_is_taken_as_broken_off_after_the_long_quiet() -> None:
    decision = decide(Observation(settled_s=3600, format_says=False, format_reason="3 of 10 planes"), PATIENCE)
    assert decision.how is How.LONG_QUIET
    assert "3 of 10 planes" in decision.reason
    assert "nothing has changed for 60 min" in decision.reason


@pytest.mark.parametrize("says", [True, False, None])
def test_a_temporary_name_holds_everything_up_until_the_long_quiet(says: bool | None) -> None:
    seen = Observation(settled_s=100, temporary="a.tif.tmp", format_says=says, engine_says="completed")
    assert decide(seen, PATIENCE).how is None
    assert "a.tif.tmp" in decide(seen, PATIENCE).reason
    late = Observation(settled_s=3600, temporary="a.tif.tmp", format_says=says)
    assert decide(late, PATIENCE).how is How.LONG_QUIET


@pytest.mark.parametrize("says", [True, False, None])
def test_the_engine_is_believed_at_once(says: bool | None) -> None:
    assert decide(Observation(settled_s=0, engine_says="canceled", format_says=says), PATIENCE).how is How.ENGINE


def test_a_complete_format_still_gets_a_moment() -> None:
    early = decide(Observation(settled_s=0.9, format_says=True), PATIENCE)
    assert early.how is None
    assert early.settling
    assert early.again_s <= 0.11
    assert decide(Observation(settled_s=1, format_says=True), PATIENCE).how is How.FORMAT


def test_a_silent_format_gets_the_quiet_period() -> None:
    assert decide(Observation(settled_s=4.9), PATIENCE).how is None
    assert decide(Observation(settled_s=5), PATIENCE).how is How.QUIET


def test_a_short_quiet_period_shortens_both() -> None:
    hasty = Patience(quiet_s=0.2)
    assert decide(Observation(settled_s=0.2, format_says=True), hasty).how is How.FORMAT
    assert decide(Observation(settled_s=0.2), hasty).how is How.QUIET


def test_looks_get_rarer_while_nothing_happens() -> None:
    assert [again_after(s) for s in (0, 4, 1e6)] == [0.25, 1, 30]
    assert again_after(1e6, at_most_s=3) == 3
    assert again_after(0, at_most_s=-5) > 0


def test_spans_in_words() -> None:
    assert [span(s) for s in (0.5, 5, 600, 21_600)] == ["0.5 s", "5 s", "10 min", "6 h"]
