"""The bodies of ``add-entries`` (c2sp.org/tlog-mirror, draft at commit 5ba5ee8): how entries travel to a mirror. Pure.

A request names a log and a stretch of it. Its entries come in packages cut at
multiples of 256, each with the proof that the subtree it completes is in the
checkpoint at the end of the stretch. A request may hold the first few packages
only; the answer says where to go on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rawtrace.errors import ReceiptError
from rawtrace.ledger.encoding import MAX_NUMBER, read_base64, read_decimal, write_base64
from rawtrace.ledger.merkle import HASH, MAX_PROOF
from rawtrace.ledger.tiles import WIDTH

CONTENT_TYPE = "application/octet-stream"
INFO_TYPE = "text/x.tlog.mirror-info"
#: The specification asks clients for no more in one request.
MAX_PACKAGES = 32
#: Largest body in bytes, before and after decompression: more than the largest package there can be.
MAX_BODY = 20 << 20

_MAX_TICKET = 65_535


@dataclass(frozen=True, slots=True)
class Package:
    """Entries that complete one subtree.

    Attributes
    ----------
    start : int
        Index of the first entry that is sent.
    entries : tuple[bytes, ...]
    proof : tuple[bytes, ...]
        That the subtree from ``start``, rounded down to a multiple of 256, to the last entry is in the log.
    """

    start: int
    entries: tuple[bytes, ...]
    proof: tuple[bytes, ...]

    @property
    def end(self) -> int:
        """Index after the last entry."""
        return self.start + len(self.entries)

    def encode(self) -> bytes:
        """Write the package."""
        sent = b"".join(len(entry).to_bytes(2, "big") + entry for entry in self.entries)
        return sent + bytes([len(self.proof)]) + b"".join(self.proof)


@dataclass(frozen=True, slots=True)
class Upload:
    """What stands before the packages.

    Attributes
    ----------
    origin : str
    start, end : int
        The stretch of the log that is to be completed; ``end`` is the size of a checkpoint that the mirror knows.
    ticket : bytes
        What the mirror said last, given back.
    """

    origin: str
    start: int
    end: int
    ticket: bytes = b""

    def encode(self) -> bytes:
        """Write it."""
        name = self.origin.encode()
        return b"".join(
            (
                len(name).to_bytes(2, "big"),
                name,
                self.start.to_bytes(8, "big"),
                self.end.to_bytes(8, "big"),
                len(self.ticket).to_bytes(2, "big"),
                self.ticket,
            )
        )

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Yield where each package of the whole sequence starts and ends."""
        start = self.start
        while start < self.end:
            end = min(self.end, (start // WIDTH + 1) * WIDTH)
            yield start, end
            start = end


@dataclass(frozen=True, slots=True)
class Info:
    """Where a mirror stands: what it says with 202 and 409.

    Attributes
    ----------
    size : int
        Of a checkpoint that it knows and that entries may be sent for.
    next_entry : int
        The first entry it does not have.
    ticket : bytes
    """

    size: int
    next_entry: int
    ticket: bytes = b""

    def encode(self) -> bytes:
        """Write it."""
        return f"{self.size}\n{self.next_entry}\n{write_base64(self.ticket)}\n".encode()

    @classmethod
    def parse(cls, body: bytes) -> Info:
        """Read it.

        Raises
        ------
        ReceiptError
        """
        lines = body.decode("utf-8", "replace").split("\n")
        if len(lines) != 4 or lines[3]:
            msg = "the mirror does not say where it stands in three lines"
            raise ReceiptError(msg)
        ticket = read_base64(lines[2], "the mirror's ticket") if lines[2] else b""
        if len(ticket) > _MAX_TICKET:
            msg = "the mirror's ticket is longer than a request can carry"
            raise ReceiptError(msg)
        return cls(read_decimal(lines[0], "the mirror's size"), read_decimal(lines[1], "the mirror's entry"), ticket)


class UploadReader:
    """Reads the body of a request piece by piece; what is cut off is as if it had not been sent.

    Parameters
    ----------
    body : bytes

    Raises
    ------
    ReceiptError
        What stands before the packages cannot be read.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        try:
            origin = self._take(self._number(2)).decode("utf-8")
            start, end = self._number(8), self._number(8)
            ticket = self._take(self._number(2))
        except (EOFError, UnicodeDecodeError):
            origin, start, end, ticket = "", 1, 0, b""
        if not start <= end <= MAX_NUMBER or not origin:
            msg = "the request does not begin with a log, a stretch of it, and a ticket"
            raise ReceiptError(msg)
        self.upload = Upload(origin, start, end, ticket)

    def packages(self) -> Iterator[Package]:
        """Yield the packages that are there as a whole.

        Raises
        ------
        ReceiptError
            A proof of more than 63 hashes, or bytes after the last package that there can be.
        """
        for start, end in self.upload.stretches():
            try:
                entries = tuple(self._take(self._number(2)) for _ in range(end - start))
                count = self._number(1)
                if count > MAX_PROOF:
                    msg = f"a proof of {count} hashes; at most {MAX_PROOF} are accepted"
                    raise ReceiptError(msg)
                proof = tuple(self._take(HASH) for _ in range(count))
            except EOFError:
                return
            yield Package(start, entries, proof)
        if self._at != len(self._body):
            msg = "the request goes on after its last entry"
            raise ReceiptError(msg)

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, size: int) -> bytes:
        taken = self._body[self._at : self._at + size]
        if len(taken) != size:
            raise EOFError
        self._at += size
        return taken


def decompress(body: bytes, encoding: str) -> bytes:
    """Undo the Content-Encoding of a request: ``gzip``, ``identity`` or none.

    Raises
    ------
    ReceiptError
        Another one, damaged, or larger than ``MAX_BODY``.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        msg = f"the body is encoded as {encoding[:40]}; expected gzip"
        raise ReceiptError(msg)
    machine = zlib.decompressobj(wbits=31)
    try:
        data = machine.decompress(body, MAX_BODY + 1)
    except zlib.error:
        msg = "the body is not the gzip that it is said to be"
        raise ReceiptError(msg) from None
    if len(data) > MAX_BODY or machine.unused_data:
        msg = f"the body is larger than {MAX_BODY} bytes when it is decompressed, or goes on after its end"
        raise ReceiptError(msg)
    # Where the stream breaks off, what came is as good as a body that breaks off.
    return data


def build(
    upload: Upload,
    *,
    entries: Callable[[int, int], Sequence[bytes]],
    prove: Callable[[int, int, int], Sequence[bytes]],
    max_bytes: int = 4 << 20,
) -> bytes:
    """Write a request with as many packages as fit, at least one.

    Parameters
    ----------
    upload : Upload
    entries : callable
        Gives the entries from one index up to another.
    prove : callable
        ``prove(start, end, size)`` gives a subtree's proof.
    max_bytes : int
        Further packages are left for the next request.
    """
    parts = [upload.encode()]
    size = 0
    for count, (start, end) in enumerate(upload.stretches()):
        if count == MAX_PACKAGES or size > max_bytes:
            break
        proof = tuple(prove(start // WIDTH * WIDTH, end, upload.end))
        parts.append(Package(start, tuple(entries(start, end)), proof).encode())
        size += len(parts[-1])
    return b"".join(parts)
