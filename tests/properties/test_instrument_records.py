"""Whatever a record holds, it is either taken as it is or refused in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawtrace.errors import Error, IdentityRecordError
from rawtrace.trust import identifiers, instruments
from rawtrace.trust.certificates import SignerKind

GOOD = instruments.new_record(
    kind=SignerKind.INSTRUMENT,
    name="Widefield 1",
    owner="https://ror.org/0exampe44",
    manufacturer="Example Optics",
    model="WF 100",
    serial="SN-0001",
    location="Room 1",
    measured=("fluorescence",),
)
TEXT = st.text(st.characters(codec=None), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    # No bytes this short are a record: refused in words, and by nothing but our own errors.
    with pytest.raises(Error):
        instruments.read_record(data, what="it", kind=SignerKind.INSTRUMENT)


@settings(max_examples=300)
@given(st.sampled_from(sorted(GOOD)), JSON)
def test_any_value_in_any_field_is_taken_as_it_is_or_refused(field: str, value: Any) -> None:
    changed = GOOD | {field: value}
    problems = instruments.problems_of(changed, SignerKind.INSTRUMENT)
    if problems:
        assert all(field in problem for problem in problems)
        return
    data = instruments.record_bytes(changed)
    assert instruments.read_record(data, what="it", kind=SignerKind.INSTRUMENT) == changed
    assert set(instruments.summary(changed)) == set(instruments.summary(GOOD))


@given(st.text(max_size=60))
def test_any_text_is_a_pid_or_refused(text: str) -> None:
    try:
        uri, kind = identifiers.pid(text)
    except IdentityRecordError:
        return
    assert identifiers.pid(uri) == (uri, kind)
    assert uri.isascii()


@given(st.text(ALPHABET, min_size=6, max_size=6), st.integers(0, 6), st.sampled_from(ALPHABET))
def test_check_digits_notice_every_single_wrong_character(body: str, place: int, other: str) -> None:
    number = 0
    for character in "0" + body:
        number = number * 32 + ALPHABET.index(character)
    good = f"0{body}{98 - (number * 100) % 97:02d}"
    assert identifiers.ror(good).endswith(good)
    changed = good[:place] + other + good[place + 1 :]
    if changed != good:
        try:
            identifiers.ror(changed)
        except IdentityRecordError:
            return
        raise AssertionError(changed)
