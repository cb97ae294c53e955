"""Receipts: forged in every part, they must not pass."""

from __future__ import annotations

import base64
import dataclasses
import itertools
from collections.abc import Callable

import pytest

from notes import ORIGIN, make_receipt, signer, witness
from rawtrace.errors import ReceiptError
from rawtrace.ledger.checkpoint import Checkpoint, sign_checkpoint
from rawtrace.ledger.entry import Entry, canonical, commitment, read_canonical, record_kind
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.receipt import HEADER, Receipt, check_receipt, pack_extra, read_receipts

LOG, WITNESS = signer(), witness()
POLICY = Policy.parse(f"log {LOG.key.text}\nwitness w {WITNESS.key.text}\nquorum w\n")
RECORD = canonical({"claim": "ab" * 32, "kind": "seal", "v": 1})
RECEIPT = make_receipt(LOG, (WITNESS, 1_700_000_000))


def test_a_good_one() -> None:
    found = check_receipt(RECEIPT, POLICY)
    assert found.checked.time_s == 1_700_000_000
    assert found.index == 3
    assert found.entry.issuer == ORIGIN
    assert found.record == RECEIPT.record == RECORD
    assert Receipt.parse(RECEIPT.text) == Receipt.parse(RECEIPT.encode()) == RECEIPT


def _extra(receipt: Receipt, **changed: bytes) -> Receipt:
    parts = {"salt": receipt.salt, "entry": receipt.entry, "record": receipt.record} | changed
    return dataclasses.replace(receipt, extra=pack_extra(**parts))


def _other_entry(receipt: Receipt, **changed: str) -> bytes:
    return dataclasses.replace(Entry.decode(receipt.entry), **changed).encode()


FORGERIES: dict[str, Callable[[Receipt], Receipt]] = {
    "another record": lambda one: _extra(one, record=RECORD.replace(b"ab", b"cd")),
    "another salt": lambda one: _extra(one, salt=bytes(32)),
    "another issuer": lambda one: _extra(one, entry=_other_entry(one, issuer="somebody")),
    "another key": lambda one: _extra(one, entry=_other_entry(one, key="f" * 16)),
    "an entry that fits the record but is not in the log": lambda one: _extra(
        one,
        record=RECORD.replace(b"ab", b"cd"),
        entry=_other_entry(one, commitment=commitment(one.salt, RECORD.replace(b"ab", b"cd"))),
    ),
    "cut between salt and record elsewhere": lambda one: dataclasses.replace(one, extra=one.extra[1:]),
    "no extra": lambda one: dataclasses.replace(one, extra=b""),
    "salt alone": lambda one: dataclasses.replace(one, extra=one.salt),
    "salt and record, no entry": lambda one: dataclasses.replace(one, extra=one.salt + one.record),
    "no record": lambda one: dataclasses.replace(one, extra=one.extra[: -len(one.record)]),
    "another index": lambda one: dataclasses.replace(one, index=2),
    "index beyond the log": lambda one: dataclasses.replace(one, index=7),
    "proof too short": lambda one: dataclasses.replace(one, proof=one.proof[:-1]),
    "proof too long": lambda one: dataclasses.replace(one, proof=(*one.proof, bytes(32))),
    "no proof": lambda one: dataclasses.replace(one, proof=()),
    "checkpoint of another tree": lambda one: dataclasses.replace(
        one, checkpoint=make_receipt(LOG, (WITNESS, 5), size=6).checkpoint
    ),
    "another log": lambda one: dataclasses.replace(one, checkpoint=make_receipt(signer(), (WITNESS, 5)).checkpoint),
    "no witness": lambda _: make_receipt(LOG),
    "another witness": lambda _: make_receipt(LOG, (witness(), 5)),
    "root changed under the signatures": lambda one: dataclasses.replace(
        one, checkpoint=one.checkpoint.replace(b"\n7\n", b"\n8\n")
    ),
    "no checkpoint": lambda one: dataclasses.replace(one, checkpoint=b""),
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_one(forgery: Callable[[Receipt], Receipt]) -> None:
    with pytest.raises(ReceiptError):
        check_receipt(forgery(RECEIPT), POLICY)


@pytest.mark.parametrize(
    ("entry_kind", "record"),
    [
        ("status", RECORD),
        ("seal", b'{"kind":"seal","v":2}'),
        ("seal", b'{"kind": "seal","v":1}'),
        ("seal", b'{"v":1}'),
        ("seal", b"not json"),
        ("seal", b"\xff"),
    ],
)
def test_a_record_that_is_not_what_its_entry_says(entry_kind: str, record: bytes) -> None:
    salt = bytes(range(32))
    entry = Entry(kind=entry_kind, issuer=ORIGIN, key="", commitment=commitment(salt, record)).encode()
    from rawtrace.ledger.merkle import leaf_hash

    note = sign_checkpoint(Checkpoint(ORIGIN, 1, leaf_hash(entry)), LOG)
    policy = Policy.parse(f"log {LOG.key.text}\nquorum none\n")
    receipt = Receipt(extra=pack_extra(salt, entry, record), index=0, proof=(), checkpoint=note)
    with pytest.raises(ReceiptError):
        check_receipt(receipt, policy)


def test_several_in_one_file() -> None:
    three = [RECEIPT, make_receipt(LOG, (WITNESS, 9), index=5), dataclasses.replace(RECEIPT, extra=b"")]
    assert read_receipts(b"".join(one.encode() for one in three)) == tuple(three)
    with pytest.raises(ReceiptError, match="expected one"):
        Receipt.parse(RECEIPT.text * 2)
    with pytest.raises(ReceiptError, match="in one file"):
        read_receipts(dataclasses.replace(RECEIPT, extra=b"").encode() * 257)
    with pytest.raises(ReceiptError, match="at most"):
        read_receipts(b"x" * (4 << 20) + b"x")


def test_a_header_within_a_checkpoint_begins_no_receipt() -> None:
    checkpoint = Checkpoint(ORIGIN, 7, bytes(32), extensions=(HEADER, "index 0"))
    strange = dataclasses.replace(RECEIPT, checkpoint=sign_checkpoint(checkpoint, LOG))
    assert read_receipts(strange.encode() + RECEIPT.encode()) == (strange, RECEIPT)


TEXT = RECEIPT.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        TEXT[1:],
        TEXT.replace("@v1", "@v2"),
        "\n" + TEXT,
        TEXT.replace("index 3", "index 03"),
        TEXT.replace("index 3", "index +3"),
        TEXT.replace("index 3", "index  3"),
        TEXT.replace("index 3", "index 3 "),
        TEXT.replace("index 3\n", ""),
        TEXT.replace("index 3\n", "index 3\nindex 3\n"),
        TEXT.replace("extra ", "extra  "),
        TEXT.replace("extra ", "Extra "),
        TEXT.replace("extra ", "extra A"),
        TEXT.replace(TEXT.split("\n")[1], "extra "),
        TEXT.replace("\nindex", "\nextra AAAA\nindex"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("=\n\n", "=\n", 1),
        TEXT.replace("index 3\n", "index 3\nAAAA\n"),
        TEXT.replace("index 3\n", "index 3\n" + (base64.b64encode(bytes(32)).decode() + "\n") * 61),
        "\ufeff" + TEXT,
    ],
    # The keys are new in every run, and names of tests must not be.
    ids=itertools.count(),
)
def test_what_is_no_receipt(text: str) -> None:
    assert text != TEXT
    with pytest.raises(ReceiptError):
        read_receipts(text.encode())


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ReceiptError, match="UTF-8"):
        read_receipts(RECEIPT.encode() + b"\xff")


# ---- entries


ENTRY = Entry(kind="seal", issuer="Example Institute", key="0123456789abcdef", commitment="ab" * 32)


def test_entry_there_and_back() -> None:
    assert Entry.decode(ENTRY.encode()) == ENTRY
    assert ENTRY.encode() == (
        b'{"commitment":"'
        + b"ab" * 32
        + b'","issuer":"Example Institute","key":"0123456789abcdef","kind":"seal","v":1}'
    )
    spoken = dataclasses.replace(ENTRY, issuer="Institut für Bäume", key="")
    assert Entry.decode(spoken.encode()) == spoken


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v":true'),
        (b'"v":1', b'"v":1.0'),
        (b'"v":1', b'"v":1,"x":1'),
        (b'"v":1', b'"v":1,"v":1'),
        (b'"v":1', b'"v": 1'),
        (b',"v":1', b""),
        (b'"kind":"seal"', b'"kind":"Seal"'),
        (b'"kind":"seal"', b'"kind":5'),
        (b'"kind":"seal"', b'"kind":""'),
        (b"0123456789abcdef", b"0123456789ABCDEF"),
        (b"0123456789abcdef", b"0123"),
        (b"abab", b"ABAB"),
        (b"abab", b"ab"),
        (b"Example Institute", b""),
        (b"Example Institute", b"x" * 257),
        (b"Example Institute", b"a\\nb"),
        (b"Example Institute", b"\\u0061"),
        (b"Example Institute", b"\\ud800"),
        (b"}", b"} "),
    ],
)
def test_what_is_no_entry(old: bytes, new: bytes) -> None:
    changed = ENTRY.encode().replace(old, new)
    assert changed != ENTRY.encode()
    with pytest.raises(ReceiptError):
        Entry.decode(changed)


def test_canonical_is_one_spelling() -> None:
    assert canonical({"b": 1, "a": "é", "c": [True, None]}) == '{"a":"é","b":1,"c":[true,null]}'.encode()
    for wrong in ({"a": float("nan")}, {"a": b"x"}, {"a": "\ud800"}):
        with pytest.raises(ReceiptError):
            canonical(wrong)
    for data in (
        b"[]",
        b"5",
        b"",
        b"{}\n",
        b'{"b":1,"a":2}',
        b'{"a":1e2}',
        b"[" * 100_000,
        b'{"a":"x"}' + b" " * 60_000,
    ):
        with pytest.raises(ReceiptError):
            read_canonical(data, what="it")
    assert record_kind(b'{"kind":"file","v":1}') == "file"


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_salt_has_one_length(length: int) -> None:
    with pytest.raises(ReceiptError):
        commitment(bytes(length), RECORD)
    with pytest.raises(ReceiptError):
        pack_extra(bytes(length), ENTRY.encode(), RECORD)
