"""CBOR from outside: nothing in it may hurt, and only plain values come out."""

from __future__ import annotations

import math

import cbor2
import pytest

from rawtrace.errors import MalformedError
from rawtrace.sealing import boundedcbor
from rawtrace.sealing.boundedcbor import byte_string, decode, sig_structure


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81" * 100_000 + b"\0",
        b"\xc6" * 100_000 + b"\0",
        b"\xd9\x03\xe7" * 100_000 + b"\0",
        b"\x9f" * 100_000,
        b"\xa1\x61a" * 100_000 + b"\0",
        b"\x9b\x7f" + b"\xff" * 7,
        b"\xbb\x7f" + b"\xff" * 7,
        b"\x5b\x7f" + b"\xff" * 7,
        b"\x7a\x7f\xff\xff\xff",
        b"\xa2\x61a\1\x61a\2",
        b"\xa2\x61a\1\x78\1a\2",
        b"\xd8\x1c\x81\xd8\x1d\0",
        b"\x82\xd8\x1c\x81\1\xd8\x1d\0",
        b"\xd9\1\0\x82\x63abc\xd8\x19\0",
        b"\xa1\1\1",
        b"\xa1\x41a\1",
        b"\xa1\x81\1\1",
        b"\xa1\xf6\1",
        b"\1\2",
        b"\x61\xff",
        b"\xff",
        b"\x1c",
        b"\xf8\x01",
        b"\x5f\x61a\xff",
    ],
)
def test_hostile_or_broken_is_one_sentence_fail(data):
    with pytest.raises(MalformedError) as caught:
        decode(data, what="the claim")
    assert caught.value.message.startswith("the claim")
    assert len(caught.value.message) < 250


def test_more_parts_than_are_accepted_fail():
    with pytest.raises(MalformedError, match="more data"):
        decode(b"\x9a\x00\x20\x00\x00" + b"\x80" * (boundedcbor.MAX_CONTAINERS + 1), what="it")


def test_more_bytes_than_are_accepted_fail():
    with pytest.raises(MalformedError, match="more data"):
        decode(byte_string(bytes(boundedcbor.MAX_BYTES)), what="it")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\xc0\x74" + b"2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        (b"\xc0\x61x", "x"),
        (b"\xc1\x1b\x7f" + b"\xff" * 7, 0x7FFF_FFFF_FFFF_FFFF),
        (b"\xc2\x5a\0\x10\0\0" + b"\xff" * (1 << 20), b"\xff" * (1 << 20)),
        (b"\xc4\x82\x1a\x7f\xff\xff\xff\1", [0x7FFF_FFFF, 1]),
        (b"\xc5\x82\x1a\x7f\xff\xff\xff\1", [0x7FFF_FFFF, 1]),
        (b"\xd8\x1e\x82\1\0", [1, 0]),
        (b"\xd8\x23\x68(a+)+$aa", "(a+)+$aa"),
        (b"\xd8\x24\x6bA: b\n\nhello", "A: b\n\nhello"),
        (b"\xd8\x25\x41a", b"a"),
        (b"\xd9\1\2\x82\1\1", [1, 1]),
        (b"\xd9\xd9\xf7\xa1\x61a\1", {"a": 1}),
        (b"\xda\0\0\0\x23\x61a", "a"),
        (b"\xd9\x03\xe7\xa1\x61a\x82\xa1\x61b\x81\1\xf6", {"a": [{"b": [1]}, None]}),
        (b"\x9f\x7f\x61a\x61b\xff\xff", ["ab"]),
        (b"\xbf\x61a\x5f\x41b\xff\xff", {"a": b"b"}),
        (b"\xa1\x78\x01a\x1b" + bytes(7) + b"\1", {"a": 1}),
        (b"\x82\xf7\xf8\x20", [None, None]),
        (b"\xf9\x3c\0", 1.0),
        (b"\xf9\x7c\0", math.inf),
    ],
)
def test_tags_are_dropped_and_odd_but_legal_encodings_read(data, value):
    assert decode(data, what="it") == value


def test_every_tag_that_the_library_knows_is_disarmed():
    """A new tag of the library must not slip in with an update of it."""
    for number in range(65_536):
        head = cbor2.dumps(cbor2.CBORTag(number, 0))
        if number in (25, 28, 29, 256):
            with pytest.raises(MalformedError):
                decode(head, what="it")
        else:
            assert decode(head, what="it") == 0


def test_depth_that_is_accepted():
    value = decode(b"\x81" * 60 + b"\0", what="it")
    assert isinstance(value, list)


def test_numbers_as_keys_where_they_are_asked_for():
    assert decode(b"\xa1\1\x26", what="it", text_keys=False) == {1: -7}


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 65_535, 65_536])
def test_what_we_write_is_what_the_library_writes(size):
    data = bytes(size)
    assert byte_string(data) == cbor2.dumps(data)
    assert sig_structure("Signature1", data, b"claim") == cbor2.dumps(["Signature1", data, b"", b"claim"])
