"""Signed notes (c2sp.org/signed-note@v1.0.0) and the keys that sign them. Pure.

A note is a text and, after its last blank line, one line for each signature.
Signatures of unknown keys are ignored; one of a known key that does not hold
makes the whole note unacceptable.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rawtrace.errors import ReceiptError
from rawtrace.ledger.encoding import MAX_NUMBER, read_base64, read_decimal, read_hash, write_base64

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

#: Plain signature over the text.
ED25519 = 0x01
#: Cosignature: signature with a time, over a checkpoint.
ED25519_COSIGNATURE = 0x04
#: The same with ML-DSA-44, over the tree head alone.
MLDSA44_COSIGNATURE = 0x06

MAX_NOTE = 64_000
MAX_SIGNATURES = 64
#: Sizes in bytes of public keys and of signatures (without key id and time), by kind.
_PUBLIC = {ED25519: 32, ED25519_COSIGNATURE: 32, MLDSA44_COSIGNATURE: 1312}
_RAW = {ED25519: 64, ED25519_COSIGNATURE: 64, MLDSA44_COSIGNATURE: 2420}
_COSIGNATURES = frozenset({ED25519_COSIGNATURE, MLDSA44_COSIGNATURE})
_MAX_NAME = 255
_DASH = "\u2014"


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
        if self.kind not in _PUBLIC or len(self.public) != _PUBLIC[self.kind]:
            msg = f"the key of {self.name} is of a kind that is not supported (type {self.kind:#04x})"
            raise ReceiptError(msg)

    @property
    def key_id(self) -> bytes:
        """The four bytes that name the key in a signature line."""
        return _key_id(self.name, self.kind, self.public)

    @property
    def is_cosigner(self) -> bool:
        """Whether its signatures carry a time."""
        return self.kind in _COSIGNATURES

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
        from cryptography.exceptions import InvalidSignature

        time_s: int | None = None
        if self.is_cosigner:
            time_s = int.from_bytes(signature[:8], "big")
            signature = signature[8:]
        sound = len(signature) == _RAW[self.kind] and (time_s or 0) <= MAX_NUMBER
        # Only the signature of a subtree may be without a time.
        if sound and (time_s != 0 or self.kind == MLDSA44_COSIGNATURE):
            try:
                _public_key(self.kind, self.public).verify(
                    signature, signed_message(self.kind, self.name, text, time_s)
                )
            except (InvalidSignature, ValueError):
                pass
            else:
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
        raw = self.sign(signed_message(self.kind, self.name, text, time_s))
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
    if (
        not 0 < len(name.encode("utf-8", "replace")) <= _MAX_NAME
        or "+" in name
        or any(one.isspace() or one < " " for one in name)
    ):
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
    if any(one < " " and one != "\n" for one in whole):
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


def signed_message(kind: int, name: str, text: str, time_s: int | None) -> bytes:
    """Return the very bytes that a key of this kind signs for a note's text.

    Raises
    ------
    ReceiptError
        An ML-DSA-44 cosignature over a text that is no checkpoint.
    """
    if kind == ED25519:
        return text.encode()
    if kind == ED25519_COSIGNATURE:
        return f"cosignature/v1\ntime {time_s}\n{text}".encode()
    origin, size, root = tree_head(text)
    cosigner, log = name.encode(), origin.encode()
    if len(log) > _MAX_NAME:
        msg = "an origin that is too long for an ML-DSA-44 cosignature"
        raise ReceiptError(msg)
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(cosigner)]) + cosigner,
            struct.pack(">Q", time_s or 0),
            bytes([len(log)]) + log,
            struct.pack(">QQ", 0, size),
            root,
        )
    )


def tree_head(text: str) -> tuple[str, int, bytes]:
    """Read the three lines that make a text a checkpoint's: origin, size, root.

    Raises
    ------
    ReceiptError
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        msg = "a checkpoint without its lines: origin, size, root"
        raise ReceiptError(msg)
    return lines[0], read_decimal(lines[1], "the tree size"), read_hash(lines[2], "the root hash")


@functools.lru_cache(maxsize=1024)
def _key_id(name: str, kind: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


@functools.lru_cache(maxsize=1024)
def _public_key(kind: int, public: bytes) -> Ed25519PublicKey | MLDSA44PublicKey:
    if kind == MLDSA44_COSIGNATURE:
        try:
            from cryptography.hazmat.primitives.asymmetric import mldsa
        except ImportError:
            msg = "ML-DSA-44 signatures need a newer version of the package cryptography"
            raise ReceiptError(msg) from None
        return mldsa.MLDSA44PublicKey.from_public_bytes(public)
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PublicKey.from_public_bytes(public)


def find_key(keys: Sequence[VerifierKey], signature: NoteSignature) -> VerifierKey | None:
    """Return the key that a signature line names, or None."""
    return next((key for key in keys if (key.name, key.key_id) == (signature.name, signature.key_id)), None)
