"""Which seals a status about firmware, a product or a feature means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawtrace.trust.scope import Fit, Scope, ScopeKind, Stated, fit, problem_of, version_of

MAKER, MODEL = "Example Optics", "Widefield 1"
PRODUCT = {"manufacturer": MAKER, "model": MODEL}


def firmware(first: str = "", last: str = "", **changes: str) -> Scope:
    return Scope(kind=ScopeKind.FIRMWARE, firmware_from=first, firmware_to=last, **(PRODUCT | changes))


def feature(name: str = "multiple-exposure") -> Scope:
    return Scope(kind=ScopeKind.FEATURE, feature=name, **PRODUCT)


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (firmware(), "first or last version"),
        (firmware("beta"), "no version|not a version"),
        (firmware("1.0", "2..0"), "not a version"),
        (firmware("2.0", "1.9"), "comes after the last"),
        (firmware("1." * 8 + "1"), "not a version"),
        (firmware("1234567890"), "not a version"),
        (firmware("\u0661"), "not a version"),
        (firmware("1.0", manufacturer=""), "manufacturer"),
        (firmware("1.0", model="a\nb"), "model"),
        (firmware("1.0", model="x" * 301), "model"),
        (feature(""), "feature"),
        (feature("Multiple Exposure"), "not a feature"),
        (feature("x" * 65), "not a feature"),
        (Scope(kind=ScopeKind.PRODUCT, feature="hdr", **PRODUCT), "a feature is named"),
        (Scope(kind=ScopeKind.PRODUCT, firmware_to="1.0", **PRODUCT), "first or last version"),
        (Scope(kind=ScopeKind.FEATURE, feature="hdr", firmware_to="1.0", **PRODUCT), "first or last version"),
    ],
)
def test_a_scope_that_cannot_be_matched_is_refused_fail(scope: Scope, words: str) -> None:
    assert any(one in problem_of(scope) for one in words.split("|")), problem_of(scope)


@pytest.mark.parametrize(
    "scope", [firmware("1.0"), firmware(last="v2"), firmware("1", "1.0"), feature(), Scope(kind="product", **PRODUCT)]
)
def test_a_scope_that_can_be_matched(scope: Scope) -> None:
    assert problem_of(scope) == ""
    assert MODEL in scope.words


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", Fit.UNSTATED),
        ("1.2", Fit.INSIDE),
        ("1.2.0.0", Fit.INSIDE),
        ("V1.10", Fit.INSIDE),
        ("1.9.9", Fit.INSIDE),
        ("1.10.1", Fit.OUTSIDE),
        ("1.1.999", Fit.OUTSIDE),
        ("1.2-rc1", Fit.UNSTATED),
        ("latest", Fit.UNSTATED),
        ("1,5", Fit.UNSTATED),
        ("\uff11.5", Fit.UNSTATED),
    ],
)
def test_firmware(said: str, expected: Fit) -> None:
    how, why = fit(firmware("1.2", "1.10"), Stated(manufacturer=MAKER, model=MODEL, firmware=said))
    assert how is expected
    assert why


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (Stated(manufacturer="EXAMPLE  optics ", model="widefield 1"), Fit.INSIDE),
        (Stated(manufacturer="Another Maker", model=MODEL), Fit.OUTSIDE),
        (Stated(manufacturer=MAKER, model="Widefield 10"), Fit.OUTSIDE),
        (Stated(manufacturer=MAKER), Fit.UNSTATED),
        (Stated(model=MODEL), Fit.UNSTATED),
        (Stated(model="Widefield 2"), Fit.OUTSIDE),
        (Stated(), Fit.UNSTATED),
    ],
)
def test_product(stated: Stated, expected: Fit) -> None:
    assert fit(Scope(kind=ScopeKind.PRODUCT, **PRODUCT), stated)[0] is expected


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (None, Fit.UNSTATED),
        (frozenset(), Fit.OUTSIDE),
        (frozenset({"hdr"}), Fit.OUTSIDE),
        (frozenset({"hdr", "multiple-exposure"}), Fit.INSIDE),
    ],
)
def test_feature(features: frozenset[str] | None, expected: Fit) -> None:
    assert fit(feature(), Stated(manufacturer=MAKER, model=MODEL, features=features))[0] is expected


numbers = st.lists(st.integers(0, 10**9 - 1), min_size=1, max_size=8)


@given(numbers, numbers)
def test_versions_are_compared_number_by_number(one: list[int], other: list[int]) -> None:
    first, second = (version_of(".".join(map(str, each))) for each in (one, other))
    assert first is not None
    assert second is not None
    width = max(len(one), len(other))
    padded = [each + [0] * (width - len(each)) for each in (one, other)]
    assert (first < second, first == second) == (padded[0] < padded[1], padded[0] == padded[1])


@given(st.text(max_size=80))
def test_whatever_a_seal_says_is_matched_or_not(said: str) -> None:
    assert fit(firmware("1"), Stated(manufacturer=MAKER, model=MODEL, firmware=said))[0] in Fit
