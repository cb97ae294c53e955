"""Notes that must not be taken for signed ones."""

from __future__ import annotations

import base64
import dataclasses

import pytest

from notes import ORIGIN, Tree, numbered, signer, witness
from rawtrace.errors import ReceiptError
from rawtrace.ledger.checkpoint import (
    Checkpoint,
    cosign,
    open_checkpoint,
    read_checkpoint,
    sign_checkpoint,
    verify_cosignature,
)
from rawtrace.ledger.note import (
    ED25519,
    ED25519_COSIGNATURE,
    MLDSA44_COSIGNATURE,
    NoteSignature,
    NoteSigner,
    VerifierKey,
    open_note,
    read_note,
    read_signatures,
    sign_note,
)

# The worked example of c2sp.org/signed-note.
PUBLISHED_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
PUBLISHED = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()


def test_the_published_example() -> None:
    key = VerifierKey.parse(PUBLISHED_KEY)
    assert key.text == PUBLISHED_KEY
    assert [one.key for one in open_note(PUBLISHED, [key])] == [key]
    assert read_note(PUBLISHED).encode() == PUBLISHED
    with pytest.raises(ReceiptError):
        open_note(PUBLISHED.replace(b"example message", b"exemplary massage"), [key])


def test_a_known_key_with_a_bad_signature_spoils_the_note() -> None:
    one, two = signer("one.example.org"), signer("two.example.org")
    good = sign_note("text\n", one, two)
    bad = NoteSignature(two.name, two.key.key_id, bytes(64)).line.encode()
    spoilt = sign_note("text\n", one) + bad
    assert len(open_note(good, [one.key, two.key])) == 2
    assert len(open_note(spoilt, [one.key])) == 1, "what is not known is ignored"
    with pytest.raises(ReceiptError, match="does not hold"):
        open_note(spoilt, [one.key, two.key])
    with pytest.raises(ReceiptError, match="does not hold"):
        open_note(good + bad, [one.key, two.key])


def test_an_unknown_key_that_shares_name_or_id_is_ignored() -> None:
    one = signer("one.example.org")
    note = sign_note("text\n", one)
    namesake = NoteSignature(one.name, b"\x00\x01\x02\x03", b"x" * 64).line.encode()
    same_id = NoteSignature("other.example.org", one.key.key_id, b"x" * 64).line.encode()
    assert len(open_note(note + namesake + same_id, [one.key])) == 1
    with pytest.raises(ReceiptError, match="no key that is known"):
        open_note(sign_note("text\n", signer("one.example.org")), [one.key])


def test_a_key_with_a_forged_id_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = signer("one.example.org"), signer("one.example.org")
    name, _, material = two.key.text.split("+", 2)
    with pytest.raises(ReceiptError, match="does not have the id"):
        VerifierKey.parse(f"{name}+{one.key.key_id.hex()}+{material}")
    # Four bytes collide when somebody tries hard enough; then neither is taken for the other.
    monkeypatch.setattr("rawtrace.ledger.keykinds.key_id", lambda *_: b"same")
    note = sign_note("text\n", one)
    assert open_note(note, [one.key])
    with pytest.raises(ReceiptError, match="does not hold"):
        open_note(note, [two.key])
    with pytest.raises(ReceiptError, match="two known keys"):
        open_note(note, [one.key, two.key])


def test_the_text_ends_at_the_last_blank_line() -> None:
    one = signer()
    inner = sign_note("inner\n", one).decode()
    note = sign_note(inner, one)
    assert read_note(note).text == inner
    assert len(open_note(note, [one.key])) == 1
    with pytest.raises(ReceiptError):
        read_note(note + b"\n")
    with pytest.raises(ReceiptError):
        read_note(note + b"\ntext after it\n")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"text\n",
        b"text\n\n",
        PUBLISHED[:-1],
        PUBLISHED + b"x",
        PUBLISHED.replace(b"\n\n", b"\n"),
        PUBLISHED.replace(b"\n", b"\r\n"),
        PUBLISHED.replace(b"example message", b"example\tmessage"),
        PUBLISHED.replace(b"example message", b"example\0message"),
        PUBLISHED.replace(b"example message", b"example\xff"),
        PUBLISHED.replace(b"\xe2\x80\x94 ", b"- "),
        PUBLISHED.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94  "),
        PUBLISHED.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94"),
        PUBLISHED.replace(b"example.com/foo", b"example.com/f+o"),
        PUBLISHED.replace(b"example.com/foo", b""),
        PUBLISHED.replace(b"example.com/foo", "example.com/\u00a0foo".encode()),
        PUBLISHED.replace(b"example.com/foo", "example.com/\u2028foo".encode()),
        PUBLISHED.replace(b"example.com/foo", "example.com/\u3000".encode()),
        PUBLISHED.replace(b"example.com/foo", b"n" * 256),
        PUBLISHED.replace(b"aQM=", b"aQM"),
        PUBLISHED.replace(b"aQM=", b"aQN="),
        PUBLISHED.replace(b"aQM=", b"aQ M="),
        PUBLISHED.replace(b"aQM=", b"aQM=\n"),
        b"text\n\n\xe2\x80\x94 name AAAAAA==\n",
        b"text\n\n\xe2\x80\x94 name \n",
        b"text\n" * 20_000 + PUBLISHED,
        b"text\n\n" + NoteSignature("name", b"1234", b"x").line.encode() * 65,
    ],
)
def test_what_is_no_note(data: bytes) -> None:
    with pytest.raises(ReceiptError):
        read_note(data)


def test_many_signatures_and_large_ones() -> None:
    log = signer()
    note = sign_checkpoint(Tree(numbered(5)).checkpoint(), log)
    witnesses = [witness(f"w{number}.example.org") for number in range(40)]
    large = [witness(f"q{number}.example.org", MLDSA44_COSIGNATURE) for number in range(8)]
    note += "".join(cosign(note, one, 1_700_000_000) for one in (*witnesses, *large)).encode()
    keys = [log.key, *(one.key for one in (*witnesses, *large))]
    assert len(open_note(note, keys)) == 49


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        PUBLISHED_KEY.upper(),
        PUBLISHED_KEY.replace("530d903a", "530D903A"),
        PUBLISHED_KEY.replace("530d903a", "530d903b"),
        PUBLISHED_KEY[:-2],
        PUBLISHED_KEY + "\n",
        PUBLISHED_KEY.replace("+Aeky", "+BOky"),
        PUBLISHED_KEY.replace("example.com/foo", "example.com/f o"),
        "+" + PUBLISHED_KEY.partition("+")[2],
        "name+00000000+" + base64.b64encode(b"\x02" + bytes(32)).decode(),
        "name+00000000+" + base64.b64encode(b"\x01" + bytes(31)).decode(),
        "name+00000000+",
    ],
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ReceiptError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("text", ["", "no newline", "a\n\n\u2014 x", "tab\t\n", "\ud800\n"])
def test_a_text_that_cannot_be_signed(text: str) -> None:
    with pytest.raises((ReceiptError, UnicodeEncodeError)):
        sign_note(text, signer())


# ---- checkpoints


@pytest.mark.parametrize(
    "text",
    [
        "origin\n",
        "origin\n5\n",
        "\n5\n{root}\n",
        "origin\n05\n{root}\n",
        "origin\n+5\n{root}\n",
        "origin\n-5\n{root}\n",
        "origin\n 5\n{root}\n",
        "origin\n5 \n{root}\n",
        "origin\n\u0665\n{root}\n",
        "origin\n5_0\n{root}\n",
        "origin\n\n{root}\n",
        "origin\n9223372036854775808\n{root}\n",
        "origin\n" + "9" * 5000 + "\n{root}\n",
        "origin\n0\n{root}\n",
        "origin\n5\nAAAA\n",
        "origin\n5\n{root}AAAA\n",
        "origin\n5\n{root}\n\nextension\n",
        "origin\n5\n{root}",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    root = base64.b64encode(Tree(numbered(5)).root()).decode()
    with pytest.raises(ReceiptError):
        Checkpoint.parse(text.format(root=root))


def test_checkpoint_there_and_back() -> None:
    for checkpoint in (
        Tree(numbered(5)).checkpoint(),
        Tree([]).checkpoint(),
        dataclasses.replace(Tree(numbered(2)).checkpoint(), extensions=("one", "two words")),
    ):
        assert Checkpoint.parse(checkpoint.text) == checkpoint
        assert read_checkpoint(sign_checkpoint(checkpoint, signer())) == checkpoint
    for changed in ({"origin": ""}, {"origin": "a\nb"}, {"extensions": ("",)}, {"size": -1}, {"root": b""}):
        with pytest.raises(ReceiptError):
            dataclasses.replace(Tree(numbered(5)).checkpoint(), **changed)  # type: ignore[arg-type]


def test_a_checkpoint_of_another_log_is_not_its_own() -> None:
    mine, other = signer(), signer("other.example.org")
    checkpoint = Tree(numbered(5)).checkpoint()
    assert open_checkpoint(sign_checkpoint(checkpoint, mine), [mine.key])[0] == checkpoint
    with pytest.raises(ReceiptError, match="not signed"):
        open_checkpoint(sign_checkpoint(checkpoint, other), [mine.key, other.key])
    pretender = witness(ORIGIN)
    note = sign_checkpoint(checkpoint, other)
    note += cosign(note, pretender, 5).encode()
    with pytest.raises(ReceiptError, match="not signed"):
        open_checkpoint(note, [other.key, pretender.key])


# ---- cosignatures


@pytest.mark.parametrize("kind", [ED25519_COSIGNATURE, MLDSA44_COSIGNATURE])
def test_a_cosignature_holds_for_its_checkpoint_time_and_name(kind: int) -> None:
    log, one = signer(), witness(kind=kind)
    tree = Tree(numbered(6))
    note = sign_checkpoint(tree.checkpoint(5), log)
    line = cosign(note, one, 1_700_000_000)
    found = verify_cosignature(note + line.encode(), one.key)
    assert (found.name, found.key_id, found.time_s) == (one.name, one.key.key_id, 1_700_000_000)
    with pytest.raises(ReceiptError, match="has not cosigned"):
        verify_cosignature(note, one.key)
    with pytest.raises(ReceiptError, match="does not hold"):
        verify_cosignature(sign_checkpoint(tree.checkpoint(6), log) + line.encode(), one.key)
    (parsed,) = read_signatures(line)
    later = (1_700_000_001).to_bytes(8, "big") + parsed.signature[8:]
    for signature in (later, bytes(8) + parsed.signature[8:], b"\xff" * 8 + parsed.signature[8:], b"short"):
        forged = dataclasses.replace(parsed, signature=signature).line.encode()
        with pytest.raises(ReceiptError, match="does not hold"):
            verify_cosignature(note + forged, one.key)


def test_an_ml_dsa_cosignature_commits_to_its_name_and_not_to_extensions() -> None:
    log, one = signer(), witness(kind=MLDSA44_COSIGNATURE)
    note = sign_checkpoint(Tree(numbered(5)).checkpoint(), log)
    (line,) = read_signatures(cosign(note, one, 7))
    renamed = VerifierKey("another.example.org", one.kind, one.public)
    with pytest.raises(ReceiptError, match="does not hold"):
        verify_cosignature(note + NoteSignature(renamed.name, renamed.key_id, line.signature).line.encode(), renamed)
    longer = dataclasses.replace(Tree(numbered(5)).checkpoint(), extensions=("more",))
    assert verify_cosignature(sign_checkpoint(longer, log) + line.line.encode(), one.key).time_s == 7


def test_who_signs_what() -> None:
    log, one = signer(), witness()
    note = sign_checkpoint(Tree(numbered(5)).checkpoint(), log)
    for time_s in (0, -1, 1 << 63):
        with pytest.raises(ReceiptError):
            cosign(note, one, time_s)
    with pytest.raises(ReceiptError):
        cosign(note, log, 5)
    with pytest.raises(ReceiptError):
        sign_checkpoint(Tree(numbered(5)).checkpoint(), one)
    with pytest.raises(ReceiptError):
        cosign(sign_note("no checkpoint\n", log), one, 5)
    with pytest.raises(ReceiptError):
        NoteSigner("name", log.sign, b"short", ED25519)
    with pytest.raises(ReceiptError):
        NoteSigner("two words", log.sign, log.public)
