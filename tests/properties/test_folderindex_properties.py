"""The index of a folder: whatever is written is read back, and no other text is taken for an index of it."""

from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawtrace.errors import LimitError, MalformedError
from rawtrace.sealing import folderindex
from rawtrace.sealing.folderindex import parse_index

# Any bytes that a file name can hold, the escaped ones often.
_part = st.one_of(
    st.binary(min_size=1, max_size=12), st.text("ab\\\n\r.é ", min_size=1, max_size=6).map(str.encode)
).filter(
    lambda part: (
        part not in {b".", b".."}
        and b"/" not in part
        and b"\0" not in part
        and not folderindex.is_litter(os.fsdecode(part))
    )
)
_paths = st.lists(st.lists(_part, min_size=1, max_size=3).map(b"/".join), min_size=1, max_size=8, unique=True)


def _write(paths: list[bytes]) -> bytes:
    return b"".join(folderindex._line(hashlib.sha256(path).digest(), b"NAME.zarr/" + path) for path in sorted(paths))


@given(_paths)
def test_what_is_written_is_read_back(paths: list[bytes]) -> None:
    try:
        read = parse_index(_write(paths))
    except MalformedError as error:
        assert "same name to Unicode" in error.message  # noqa: PT017  the one reason to refuse such paths
        return
    assert read == {path: hashlib.sha256(path).digest() for path in paths}


@given(st.binary(max_size=400))
def test_garbage_is_refused_in_words(data: bytes) -> None:
    with pytest.raises((MalformedError, LimitError)) as caught:
        parse_index(data)
    assert caught.value.message


@given(_paths, st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_a_changed_byte_never_reads_as_the_same_index(paths: list[bytes], place: int, value: int) -> None:
    data = bytearray(_write(paths))
    place %= len(data)
    if data[place] == value:
        return
    data[place] = value
    try:
        read = parse_index(bytes(data))
    except MalformedError:
        return
    original = {path: hashlib.sha256(path).digest() for path in paths}
    # A changed first part renames the folder as a whole, which the seal over the index notices.
    assert read != original or b"NAME.zarr/" not in bytes(data) or len(paths) == 1
