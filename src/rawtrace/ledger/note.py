"""Signed notes (c2sp.org/signed-note@v1.0.0) and the keys that sign them. Pure.

A note is a text and, after its last blank line, one line for each signature.
Signatures of unknown keys are ignored; one of a known key that does not hold
makes the whole note unacceptable.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rawtrace.errors import ReceiptError
from rawtrace.ledger import keykinds
from rawtrace.ledger.encoding import MAX_NUMBER, read_base64, write_base64
from rawtrace.ledger.keykinds import ED25519 as ED25519
from rawtrace.ledger.keykinds import ED25519_COSIGNATURE as ED25519_COSIGNATURE
from rawtrace.ledger.keykinds import MLDSA44_COSIGNATURE as MLDSA44_COSIGNATURE

#: Largest note in bytes, and how many signatures it may have.
MAX_NOTE = 64_000
MAX_SIGNATURES = 64
_DASH = "\u2014"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NO_NAME = re.compile(r"[\s+\x00-\x1f]")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name that its signatures bear.

    Attributes
    ----------
    name : str
        Without spaces and ``+``.
    kind : int
        ``ED25519``, ``ED25519_COSIGNATURE`` or ``MLDSA44_COSIGNATURE``.
    public : bytes
        Raw public key, 32 or 1312 bytes.
    """

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != keykinds.PUBLIC_SIZE.get(self.kind, -1):
            msg = f"the key of {self.name} is of a kind that is not supported (type {self.kind:#04x})"
            raise ReceiptError(msg)

    @property
    def key_id(self) -> bytes:
        """The four bytes that name the key in a signature line."""
        return keykinds.key_id(self.name, self.kind, self.public)

    @property
    def is_cosigner(self) -> bool:
        """Whether its signatures carry a time."""
        return self.kind in keykinds.COSIGNATURES

    @property
    def text(self) -> str:
        """The key as ``name+hex+base64``."""
        return f"{self.name}+{self.key_id.hex()}+{write_base64(bytes([self.kind]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``name+hex+base64``.

        Raises
        ------
        ReceiptError
            Another form, a kind that is not supported, or an id that is not this key's.
        """
        name, plus, rest = text.partition("+")
        key_id, second, material = rest.partition("+")
        if not plus or not second:
            msg = f"{text[:80]!r} is not a verifier key; expected name+id+key"
            raise ReceiptError(msg)
        data = read_base64(material, f"the key of {name[:80]}")
        key = cls(name, data[0], data[1:])
        if key.key_id.hex() != key_id:
            msg = f"the verifier key of {name} does not have the id {key_id[:16]!r}"
            raise ReceiptError(msg)
        return key

    def verify(self, text: str, signature: bytes) -> int | None:
        """Check one signature (the bytes after the key id) over a note's text.

        Returns
        -------
        int or None
            The time of a cosignature, POSIX seconds (0: it states none); None for a plain signature.

        Raises
        ------
        ReceiptError
            It does not hold.
        """
        time_s: int | None = None
        raw = signature
        if self.is_cosigner:
            time_s, raw = int.from_bytes(signature[:8], "big"), signature[8:]
            # Only ML-DSA-44 knows cosignatures without a time.
            timely = time_s <= MAX_NUMBER and (time_s > 0 or self.kind == MLDSA44_COSIGNATURE)
        else:
            timely = True
        if timely and keykinds.holds(
            self.kind, self.public, raw, keykinds.signed_message(self.kind, self.name, text, time_s)
        ):
            return time_s
        msg = f"the signature of {self.name} does not hold"
        raise ReceiptError(msg)


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A key that signs notes: a log (``ED25519``), or a witness or mirror (the two cosignature kinds).

    Attributes
    ----------
    name : str
    sign : Callable[[bytes], bytes]
        Makes the raw signature, wherever the private key is.
    public : bytes
        Raw public key.
    kind : int
    """

    name: str
    sign: Callable[[bytes], bytes]
    public: bytes
    kind: int = ED25519

    def __post_init__(self) -> None:
        VerifierKey(self.name, self.kind, self.public)

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(self.name, self.kind, self.public)

    def signature(self, text: str, *, time_s: int | None = None) -> NoteSignature:
        """Sign a note's text; a cosigner states ``time_s`` (POSIX seconds, more than 0) with it."""
        if self.key.is_cosigner != (time_s is not None) or (time_s is not None and not 0 < time_s <= MAX_NUMBER):
            msg = f"{self.name} signs {'with' if self.key.is_cosigner else 'without'} a time"
            raise ReceiptError(msg)
        raw = self.sign(keykinds.signed_message(self.kind, self.name, text, time_s))
        stamp = b"" if time_s is None else struct.pack(">Q", time_s)
        return NoteSignature(self.name, self.key.key_id, stamp + raw)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line.

    Attributes
    ----------
    name : str
    key_id : bytes
        Four bytes.
    signature : bytes
        What follows the key id.
    """

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line with its newline."""
        return f"{_DASH} {self.name} {write_base64(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """Read a line without its newline.

        Raises
        ------
        ReceiptError
        """
        dash, _, rest = line.partition(" ")
        name, space, encoded = rest.partition(" ")
        if dash != _DASH or not space:
            msg = "a signature line does not have the form: dash, name, signature"
            raise ReceiptError(msg)
        check_name(name)
        data = read_base64(encoded, f"the signature of {name}")
        if len(data) < 5:
            msg = f"the signature of {name} is too short to be one"
            raise ReceiptError(msg)
        return cls(name, data[:4], data[4:])


@dataclass(frozen=True, slots=True)
class Note:
    """A text with signatures, of which nothing has been checked yet.

    Attributes
    ----------
    text : str
        Ends in a newline.
    signatures : tuple[NoteSignature, ...]
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """Write the note."""
        return (self.text + "\n" + "".join(one.line for one in self.signatures)).encode()

    def with_signatures(self, more: Iterable[NoteSignature]) -> Note:
        """Return the note with further signatures, none of them twice."""
        return Note(self.text, tuple(dict.fromkeys((*self.signatures, *more))))


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds.

    Attributes
    ----------
    key : VerifierKey
    time_s : int or None
        As ``VerifierKey.verify`` returns it.
    signature : NoteSignature
    """

    key: VerifierKey
    time_s: int | None
    signature: NoteSignature


def check_name(name: str) -> None:
    """Refuse a key name that is empty, too long (255 bytes), or has spaces, ``+`` or control characters.

    Raises
    ------
    ReceiptError
    """
    if not 0 < len(name.encode("utf-8", "replace")) <= keykinds.MAX_NAME or _NO_NAME.search(name):
        msg = f"{name[:80]!r} cannot be the name of a key: it must have no spaces and no plus sign"
        raise ReceiptError(msg)


def read_note(data: bytes) -> Note:
    """Take a note apart, strictly, without checking any signature.

    Raises
    ------
    ReceiptError
    """
    if len(data) > MAX_NOTE:
        msg = f"a note of {len(data)} bytes; at most {MAX_NOTE} are accepted"
        raise ReceiptError(msg)
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        msg = "a note that is not in UTF-8"
        raise ReceiptError(msg) from None
    if _CONTROL.search(whole):
        msg = "a note with control characters in it"
        raise ReceiptError(msg)
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        msg = "a note without signatures after its last blank line"
        raise ReceiptError(msg)
    return Note(text + "\n", read_signatures(lines))


def read_signatures(lines: str) -> tuple[NoteSignature, ...]:
    """Read signature lines, each ending in a newline: the end of a note, or what a witness answers.

    Raises
    ------
    ReceiptError
        Not such lines, none at all, or more than 64.
    """
    if not lines.endswith("\n") or len(lines) > MAX_NOTE:
        msg = "signature lines that do not end in a newline, or are too long"
        raise ReceiptError(msg)
    separate = lines[:-1].split("\n")
    if len(separate) > MAX_SIGNATURES:
        msg = f"{len(separate)} signatures; at most {MAX_SIGNATURES} are accepted"
        raise ReceiptError(msg)
    return tuple(NoteSignature.parse(line) for line in separate)


def verify_note(note: Note, keys: Iterable[VerifierKey]) -> tuple[Verified, ...]:
    """Check every signature of the known ``keys``; others are ignored.

    Returns
    -------
    tuple[Verified, ...]
        In the order of the lines; empty if no known key has signed.

    Raises
    ------
    ReceiptError
        A known key's signature does not hold.
    """
    known: dict[tuple[str, bytes], list[VerifierKey]] = {}
    for key in keys:
        known.setdefault((key.name, key.key_id), []).append(key)
    found = []
    for one in dict.fromkeys(note.signatures):
        candidates = known.get((one.name, one.key_id), ())
        if len(candidates) > 1:
            msg = f"two known keys share the name {one.name} and the id {one.key_id.hex()}"
            raise ReceiptError(msg)
        found += [Verified(key, key.verify(note.text, one.signature), one) for key in candidates]
    return tuple(found)


def open_note(data: bytes, keys: Iterable[VerifierKey]) -> tuple[Verified, ...]:
    """Read a note and return the signatures that hold, at least one.

    Raises
    ------
    ReceiptError
        Not a note, a known key's signature does not hold, or no known key has signed.
    """
    found = verify_note(read_note(data), keys)
    if not found:
        msg = "no key that is known has signed the note"
        raise ReceiptError(msg)
    return found


def sign_note(text: str, *signers: NoteSigner) -> bytes:
    """Make a note of ``text`` (ends in a newline, no control characters) with plain signatures.

    Raises
    ------
    ReceiptError
        The text cannot be that of a note.
    """
    data = Note(text, tuple(signer.signature(text) for signer in signers)).encode()
    if read_note(data).text != text:
        msg = "a text that cannot be that of a note"
        raise ReceiptError(msg)
    return data


def find_key(keys: Sequence[VerifierKey], signature: NoteSignature) -> VerifierKey | None:
    """Return the key that a signature line names, or None."""
    return next((key for key in keys if (key.name, key.key_id) == (signature.name, signature.key_id)), None)
