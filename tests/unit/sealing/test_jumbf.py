"""The box walk: everything that is not a sound box is one sentence that says where."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from rawtrace.errors import SealUnreadableError
from rawtrace.sealing.jumbf import MAX_BOXES, MAX_DEPTH, content_type, parse

f = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "forge.py")))
INNER = f.superbox(b"cbor", "inner", f.box(b"cbor", b"\xa0"))


def nested(depth: int) -> bytes:
    made = f.superbox(b"cbor", "leaf")
    for _ in range(depth - 1):
        made = f.superbox(b"cbor", "outer", made)
    return made


def deeply_nested(depth: int) -> bytes:
    """Boxes in boxes, made without copying the inner ones over and over."""
    head = len(f.superbox(b"cbor", "x"))
    sizes = (head * (depth - number) for number in range(depth))
    description = f.superbox(b"cbor", "x")[8:]
    return b"".join(size.to_bytes(4, "big") + b"jumb" + description for size in sizes)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "cut short"),
        (b"\0\0\0\x08", "cut short"),
        (b"\0\0\0\x01jumb\0\0\0\0", "64-bit length"),
        (f.box(b"ftyp", b"mif1"), "expected a JUMBF superbox"),
        (b"\0\0\0\0jumb" + INNER[8:], "states a length of 0"),
        (b"\0\0\0\x07jumb" + INNER[8:], "states a length of 7"),
        (b"\0\0\0\x01jumb" + (15).to_bytes(8, "big"), "states a length of 15"),
        (b"\0\0\0\x01jumb" + b"\xff" * 8, "has room for|breaks off"),
        (b"\xff\xff\xff\xffjumb" + INNER[8:], "has room for|breaks off"),
        (INNER + b"\0", "expected nothing behind it"),
        (INNER[:-1], "has room for|breaks off"),
        (f.box(b"jumb", b""), "expected a description"),
        (f.box(b"jumb", f.box(b"jumd", b"\0" * 16)), "does not begin with a description"),
        (f.box(b"jumb", f.box(b"cbor", b"\0" * 30)), "does not begin with a description"),
        (f.box(b"jumb", f.box(b"jumd", b"\0" * 16 + b"\x03label")), "has no end"),
        (f.box(b"jumb", f.box(b"jumd", b"\0" * 16 + b"\x03" + b"a" * 2000 + b"\0")), "has no end"),
        (f.box(b"jumb", f.box(b"jumd", b"\0" * 16 + b"\x03\xff\0")), "not UTF-8"),
        (f.superbox(b"c2pa", "two\nlines"), "cannot be shown"),
        (f.superbox(b"c2pa", "\x1b[2J"), "cannot be shown"),
        (f.superbox(b"c2pa", "turned\u202eround"), "cannot be shown"),
        (f.box(b"jumb", f.box(b"jumd", b"\0" * 16 + b"\x03a\0more")), "does not fit"),
        (f.box(b"jumb", f.box(b"jumd", b"\0" * 16 + b"\x07a\0\0")), "does not fit"),
        (f.box(b"jumb", f.box(b"jumd", b"\0" * 16 + b"\x20")), "does not fit"),
        (f.box(b"jumb", f.box(b"jumd", b"\0" * 16 + b"\x13a\0\0\0\0\x40c2sh")), "has room for|breaks off"),
        (f.superbox(b"c2pa", "c2pa", b"\0\0\0\x40cbor"), "has room for|breaks off"),
        (f.superbox(b"c2pa", "c2pa", b"\0\0\0"), "cut short"),
        (nested(MAX_DEPTH + 1), "nested deeper"),
        (deeply_nested(100_000), "nested deeper"),
        (f.superbox(b"c2pa", "c2pa", f.box(b"free", b"") * MAX_BOXES), "more than"),
    ],
)
def test_unsound_boxes_are_one_sentence_fail(data, sentence):
    with pytest.raises(SealUnreadableError, match=sentence) as caught:
        parse(data)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 250


def test_too_many_bytes_fail():
    with pytest.raises(SealUnreadableError, match="at most"):
        parse(bytes((64 << 20) + 1))


def test_box_that_reaches_out_of_the_box_around_it_fail():
    """The inner box would swallow its neighbour and reach the end of the data."""
    first = bytearray(INNER)
    first[3] += 4
    with pytest.raises(SealUnreadableError, match=r"has room|does not fit|length|cut short"):
        parse(f.superbox(b"c2pa", "c2pa", f.superbox(b"c2ma", "m", bytes(first)), INNER))


def test_offsets_labels_and_types():
    data = f.superbox(b"c2pa", "c2pa", INNER, f.box(b"free", b"xyz"))
    root = parse(data)
    inner, free = root.children
    assert (root.label, root.content_type) == ("c2pa", content_type(b"c2pa"))
    assert (inner.label, inner.kind, inner.children[0].kind) == ("inner", b"jumb", b"cbor")
    assert data[inner.start : inner.end] == INNER
    assert data[free.body : free.end] == b"xyz"
    assert [child.label for child in root.superboxes()] == ["inner"]


def test_all_fields_of_a_description_and_64_bit_lengths():
    described = content_type(b"cbor") + b"\x1fall\0" + b"\0\0\0\x07" + bytes(32) + f.box(b"c2sh", b"salt")
    root = parse(f.box(b"jumb", f.box(b"jumd", described) + f.box(b"cbor", b"\xa0", wide=True), wide=True))
    assert root.label == "all"
    assert root.children[0].end - root.children[0].body == 1


def test_deepest_that_is_accepted():
    assert parse(nested(MAX_DEPTH)).label == "outer"
