"""Foreign text: nothing of it moves a cursor, turns a line around or hides."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawtrace.render.clean import cells, visible, wrap

ANY_TEXT = st.text(alphabet=st.characters(), max_size=400)
UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "⟨U+001B⟩[31mred"),
        ("gnp.exe\u202egnp", "gnp.exe⟨U+202E⟩gnp"),
        ("one\r\ntwo\tthree", "one⟨U+000D⟩⟨U+000A⟩two⟨U+0009⟩three"),
        ("odd-\udcff", "odd-⟨U+DCFF⟩"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("hangul\u3164filler", "hangul⟨U+3164⟩filler"),
        ("thin\u202fspace", "thin space"),
        ("é", "é"),
        ("細胞", "細胞"),
    ],
)
def test_characters_that_deceive_are_shown_by_number(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_piled_accents_are_spelled_out_after_the_third() -> None:
    assert visible("e" + "\u0301" * 4) == "e\u0301\u0301\u0301⟨U+0301⟩"


def test_a_long_name_loses_its_middle_and_keeps_its_end() -> None:
    shown = visible("a" * 5_000 + ".exe", limit=30)
    assert (cells(shown), shown[:3], shown[-4:], "…" in shown) == (30, "aaa", ".exe", True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (True, "yes"), (3, "3"), (0.25, "0.25"), (b"\x00\xff", "00ff"), (10**40, f"{10**40:#x}")],
)
def test_values_that_are_no_text(value: object, shown: str) -> None:
    assert visible(value) == shown


def test_an_integer_too_long_for_decimal_digits_is_shown() -> None:
    assert cells(visible(10**6_000)) == 300


@given(ANY_TEXT, st.integers(min_value=3, max_value=120))
def test_result_is_one_bounded_printable_line(text: str, limit: int) -> None:
    shown = visible(text, limit=limit)
    shown.encode("utf-8")
    assert cells(shown) <= limit
    assert not {unicodedata.category(letter) for letter in shown} & UNSAFE
    assert visible(shown, limit=limit) == shown


@given(ANY_TEXT, st.integers(min_value=2, max_value=60))
def test_wrapped_lines_fit_and_lose_no_letter(text: str, width: int) -> None:
    shown = visible(text)
    lines = wrap(shown, width=width)
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(shown.split())
