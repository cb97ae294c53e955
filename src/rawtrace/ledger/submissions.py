"""Records on their way into a log: what is handed in, what waits, what comes back."""

from __future__ import annotations

import dataclasses
import functools
import hmac
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from rawtrace.errors import ReceiptError
from rawtrace.ledger import entry

_SEAL = "seal"
_LOOKUP = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A record to be logged.

    Attributes
    ----------
    kind : str
        As the record says itself.
    issuer, key : str
        Who answers for it, and the id of the key that signed what it is about; see ``entry.Entry``.
    record : bytes
        Canonical JSON, at most 60,000 bytes.
    claim : str
        What ``find_claim`` finds it by; taken from the record of a seal where empty.
    canonical : bool
        Whether ``of`` has made the record, so that nobody need look again.
    """

    kind: str
    issuer: str
    key: str
    record: bytes
    claim: str = ""
    canonical: bool = dataclasses.field(default=False, repr=False, compare=False)

    @classmethod
    def of(cls, kind: str, content: Mapping[str, Any], *, issuer: str, key: str) -> Submission:
        """Make a record of ``content``, with ``kind`` and ``v`` added.

        Raises
        ------
        ReceiptError
            It cannot be written as JSON, or is longer than 60,000 bytes.
        """
        record = entry.canonical({**content, "kind": kind, "v": entry.VERSION})
        if len(record) > entry.MAX_RECORD:
            msg = f"a record of {len(record)} bytes; a log takes at most {entry.MAX_RECORD}"
            raise ReceiptError(msg)
        claim = str(content.get("claim", "")) if kind == _SEAL else ""
        return cls(kind=kind, issuer=issuer, key=key, record=record, claim=claim, canonical=True)


class Accepted:
    """A record that is in the log for good.

    Attributes
    ----------
    index : int
    """

    __slots__ = ("_make", "index")

    def __init__(self, index: int, make: Callable[[], bytes]) -> None:
        self.index = index
        self._make = make

    @property
    def receipt(self) -> bytes:
        """The receipt, made when it is asked for.

        Raises
        ------
        LedgerError
            The record was erased.
        """
        return self._make()

    def __repr__(self) -> str:
        return f"Accepted(index={self.index})"


@dataclass(slots=True)
class Waiting:
    """A submitted record: prepared, then at an index, then told.

    Attributes
    ----------
    index : int
        -1 until it has a place.
    fresh : bool
        Whether it got this place now, so that its salt is the one that counts.
    """

    kind: str
    lookup: bytes
    claim_lookup: bytes | None
    entry: bytes
    salt: bytes
    record: bytes
    group: Group
    index: int = -1
    fresh: bool = False


class Group:
    """Records that were submitted together: their future has a result when all of them have one."""

    __slots__ = ("future", "items", "left")

    def __init__(self) -> None:
        self.future: Future[tuple[Accepted, ...]] = Future()
        self.items: list[Waiting] = []
        self.left = 0


class Lookups:
    """What records are looked up by: HMACs under the log's secret, so that none can be guessed.

    Parameters
    ----------
    secret : bytes
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def record(self, record: bytes) -> bytes:
        """Return the look-up of a record."""
        return hmac.digest(self._secret, record, "sha256")[:_LOOKUP]

    def claim(self, claim: str) -> bytes:
        """Return the look-up of a claim."""
        # No record begins like that, so the two kinds never meet.
        return self.record(b"claim " + claim.encode("utf-8", "surrogatepass"))


def prepare(submission: Submission, group: Group, lookups: Lookups, *, salt: bytes) -> Waiting:
    """Make the entry of a record.

    Parameters
    ----------
    submission : Submission
    group : Group
    lookups : Lookups
    salt : bytes
        32 random bytes that nothing else has.

    Raises
    ------
    ReceiptError
        Not a record, or not one of the kind that is said.
    """
    claim = submission.claim
    if not submission.canonical:
        value = entry.read_canonical(submission.record, what="the record")
        entry.check_version(value, "the record")
        if value.get("kind") != submission.kind:
            msg = f"the record does not say that it is of the kind {submission.kind}"
            raise ReceiptError(msg)
        claim = claim or (str(value.get("claim", "")) if submission.kind == _SEAL else "")
    commitment = entry.commitment(salt, submission.record)
    made = commitment.join(_entry_around(submission.kind, submission.issuer, submission.key)).encode()
    claim_lookup = lookups.claim(claim) if claim else None
    lookup = lookups.record(submission.record)
    return Waiting(submission.kind, lookup, claim_lookup, made, salt, submission.record, group)


@functools.lru_cache(maxsize=1024)
def _entry_around(kind: str, issuer: str, key: str) -> tuple[str, str]:
    """Return what stands before and after the commitment in an entry: checked and written once, for it is always so."""
    blank = "0" * 64
    before, after = (
        entry.Entry(kind=kind, issuer=issuer, key=key, commitment=blank).encode().decode().split(f'"{blank}"', 1)
    )
    return f'{before}"', f'"{after}'
