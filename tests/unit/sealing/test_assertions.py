"""Who may state what: every source type, by every kind of signer, with and without ancestors."""

from __future__ import annotations

import pytest

from rawtrace.errors import ForbiddenSealError, UsageError
from rawtrace.sealing.assertions import (
    CAPTURES,
    DERIVED,
    decide_source_type,
    forbidden_statement,
    printable,
    source_type_term,
    source_type_uri,
)
from rawtrace.trust.certificates import SignerKind

TERMS = sorted(CAPTURES | DERIVED)
I, W, R, S = SignerKind.INSTRUMENT, SignerKind.WORKSTATION, SignerKind.REPOSITORY, SignerKind.SELF  # noqa: E741


def allowed(kind: SignerKind, term: str, parents: int) -> bool:
    """The rule as the specification words it, written down a second time."""
    if kind is I:
        return (
            term in {"digitalCapture", "computationalCapture", "negativeFilm", "positiveFilm", "print"} and not parents
        )
    sensor = term in {"digitalCapture", "computationalCapture", "negativeFilm", "positiveFilm", "print"}
    return kind is S or not sensor


@pytest.mark.parametrize("parents", [0, 1, 3])
@pytest.mark.parametrize("kind", list(SignerKind))
@pytest.mark.parametrize("term", TERMS)
def test_the_rule(term: str, kind: SignerKind, parents: int) -> None:
    if allowed(kind, term, parents):
        assert forbidden_statement(kind, term, parents=parents) == ""
        assert decide_source_type(kind, term, parents=parents) == term
        return
    problem = forbidden_statement(kind, term, parents=parents)
    assert problem
    with pytest.raises(ForbiddenSealError) as caught:
        decide_source_type(kind, term, parents=parents)
    assert (caught.value.message, bool(caught.value.hint)) == (problem, True)


def test_an_instrument_that_states_nothing_is_not_let_through_fail() -> None:
    assert "not stated" in forbidden_statement(I, "", parents=0)


@pytest.mark.parametrize(
    ("kind", "parents", "term"),
    [
        (I, 0, "digitalCapture"),
        (W, 0, "digitalCreation"),
        (W, 1, "humanEdits"),
        (W, 2, "composite"),
        (R, 0, "digitalCreation"),
        (S, 1, "humanEdits"),
    ],
)
def test_what_is_stated_unless_it_is_said_otherwise(kind: SignerKind, parents: int, term: str) -> None:
    assert decide_source_type(kind, "", parents=parents) == term


@pytest.mark.parametrize("term", ["", "photo", "digitalcapture", "http://example.org/digitalCapture", "../x"])
def test_a_term_that_nobody_knows_fail(term: str) -> None:
    with pytest.raises(UsageError) as caught:
        source_type_uri(term)
    assert "digitalCapture" in caught.value.hint


@pytest.mark.parametrize("term", TERMS)
def test_terms_and_their_addresses(term: str) -> None:
    uri = source_type_uri(term)
    assert uri.startswith(("http://cv.iptc.org/newscodes/digitalsourcetype/", "http://c2pa.org/digitalsourcetype/"))
    assert source_type_term(uri) == term


def test_names_are_text_for_any_encoder() -> None:
    assert printable("µ 数据.tif") == "µ 数据.tif"
    assert printable("odd-\udcff.tif") == "odd-\\udcff.tif"
