"""JSON from outside, and our own."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawtrace.errors import Error, LimitError, MalformedError
from rawtrace.strictjson import MAX_DEPTH, dumps, loads


def read(data: bytes | str) -> object:
    return loads(data, what="the list", max_bytes=200_000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a": 1, "a": 1}',
        b'[{"b": {"a": 1, "a": 2}}]',
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"[-1e999]",
        b"1 2",
        b"'a'",
        b"[" + b"9" * 5_000 + b"]",
        "\ufeff{}",
    ],
)
def test_what_is_not_json_fail(data: bytes | str) -> None:
    with pytest.raises(MalformedError, match="the list is not the JSON that was expected"):
        read(data)


def test_what_is_too_much_fail() -> None:
    with pytest.raises(LimitError, match="at most 200000"):
        read(b" " * 200_001)
    for depth in (MAX_DEPTH + 1, 90_000):
        with pytest.raises(LimitError, match="nested too deeply"):
            read(b"[" * depth + b"]" * depth)
    read(b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1))


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0e+-.tnul\\', max_size=40))
def test_anything_is_read_or_refused_in_words(data: bytes | str) -> None:
    try:
        json.dumps(read(data), allow_nan=False)
    except Error as error:
        said = error.message
    else:
        said = "the list was read"
    assert said.startswith("the list ")


def test_our_own_is_the_same_every_time() -> None:
    assert dumps({"b": "µ", "a": [1]}) == b'{\n  "a": [\n    1\n  ],\n  "b": "\xc2\xb5"\n}\n'
    with pytest.raises(ValueError, match="Out of range"):
        dumps(float("nan"))
