"""Watching other people's logs: whether everything they sign is one history, wherever it is shown.

Each log of a policy is asked for its checkpoint, and each witness or mirror of
the policy for the one it has seen. All must be signed by the log and continue
one another. Two that do not are kept as they are: a log that shows different
histories to different people has signed the proof of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa

from rawtrace.database import METADATA, Database, upsert
from rawtrace.errors import Error, NetworkError, ReceiptError
from rawtrace.ledger import evidence, merkle
from rawtrace.ledger.checkpoint import Checkpoint, open_checkpoint
from rawtrace.ledger.note import MAX_NOTE
from rawtrace.ledger.policy import Policy, PolicyLog
from rawtrace.ledger.tiles import WIDTH, Tiles
from rawtrace.ledger.witness import origin_hash
from rawtrace.progress import SILENT, Progress
from rawtrace.web import Web

WATCHED = sa.Table(
    "log_watched",
    METADATA,
    sa.Column("origin", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("checkpoint", sa.LargeBinary, nullable=False),
    sa.Column("looked", sa.Text, nullable=False),
)
TABLES = (WATCHED, evidence.PAIRS)

_OWN = "the log"
_BEFORE = "what was seen before"

Now = Callable[[], datetime]


class Outcome(StrEnum):
    """What became of one look at one place."""

    CONSISTENT = "consistent"
    SPLIT_VIEW = "split-view"
    UNPROVED = "unproved"
    UNREACHABLE = "unreachable"
    UNSIGNED = "unsigned"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one place shows of one log.

    Attributes
    ----------
    origin : str
    place : str
        ``the log``, or the name of a witness within the policy.
    outcome : Outcome
    size : int
        Of the checkpoint that was shown; 0 if none was.
    sentence : str
        What is wrong; empty for ``consistent``.
    evidence : tuple[bytes, bytes] or None
        The two notes of a split view.
    """

    origin: str
    place: str
    outcome: Outcome
    size: int = 0
    sentence: str = ""
    evidence: tuple[bytes, bytes] | None = None

    @property
    def alarming(self) -> bool:
        """Whether a person must look at it now."""
        return self.outcome in {Outcome.SPLIT_VIEW, Outcome.UNPROVED}


@dataclass(frozen=True, slots=True)
class _Shown:
    place: str
    address: str
    note: bytes
    checkpoint: Checkpoint


def monitor(
    database: Database, policy: Policy, *, web: Web, now: Now | None = None, progress: Progress = SILENT
) -> tuple[Sighting, ...]:
    """Look once at every log of a policy, wherever it is shown.

    Parameters
    ----------
    database : Database
        With ``TABLES`` in it: what was seen the last time, and what was found.
    policy : Policy
        Its logs with addresses are watched; its witnesses and mirrors with addresses are asked too.
    web : Web
    now : callable, optional
        The clock, UTC.
    progress : Progress

    Returns
    -------
    tuple[Sighting, ...]
        Of each log: at its own address, then at each witness's.

    Raises
    ------
    DatabaseError
    """
    when = (now or (lambda: datetime.now(UTC)))()
    found: list[Sighting] = []
    progress.start("logs", sum(bool(log.url) for log in policy.logs))
    for log in policy.logs:
        if log.url:
            found += _look(database, policy, log, web, when)
            progress.advance(1)
    progress.finish()
    return tuple(found)


def _look(database: Database, policy: Policy, log: PolicyLog, web: Web, now: datetime) -> list[Sighting]:
    origin = log.key.name
    places = {_OWN: log.url.rstrip("/")}
    places |= {one.name: f"{one.url.rstrip('/')}/{origin_hash(origin)}" for one in policy.witnesses if one.url}
    fetched = [_fetch(web, log, place, address) for place, address in places.items()]
    shown = [one for one in fetched if isinstance(one, _Shown)]
    last = _last(database, origin)
    if last is not None:
        shown.insert(0, last)
    if not shown:
        return [one for one in fetched if isinstance(one, Sighting)]
    largest = max(shown, key=lambda one: one.checkpoint.size)
    bases = tuple(dict.fromkeys((places[_OWN], largest.address or places[_OWN], *places.values())))
    compared = {one.place: _compare(web, one, largest, bases) for one in shown}
    with database.write() as connection:
        for sighting in compared.values():
            if sighting.evidence is not None:
                first, second = sighting.evidence
                evidence.keep(connection, origin=origin, said=sighting.sentence, first=first, second=second, now=now)
        # What was seen stays the measure until something larger is proved to continue it.
        if last is None or compared[_BEFORE].outcome is Outcome.CONSISTENT:
            row = {
                "origin": origin,
                "size": largest.checkpoint.size,
                "root": largest.checkpoint.root,
                "checkpoint": largest.note,
                "looked": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            }
            upsert(connection, WATCHED, [row], key=["origin"])
    before = compared.pop(_BEFORE, None)
    sightings = [compared[one.place] if isinstance(one, _Shown) else one for one in fetched]
    return [before, *sightings] if before is not None and before.alarming else sightings


def _fetch(web: Web, log: PolicyLog, place: str, address: str) -> _Shown | Sighting:
    origin = log.key.name
    try:
        answer = web.get(f"{address}/checkpoint", limit=MAX_NOTE)
        if answer.status != 200:
            outcome = Outcome.NOTHING if answer.status == 404 else Outcome.UNREACHABLE
            sentence = f"{place} shows no checkpoint of {origin} (status {answer.status})"
            return Sighting(origin=origin, place=place, outcome=outcome, sentence=sentence)
        checkpoint, _ = open_checkpoint(answer.body, [log.key])
    except ReceiptError as error:
        return Sighting(origin=origin, place=place, outcome=Outcome.UNSIGNED, sentence=f"{place}: {error.message}")
    except Error as error:
        return Sighting(origin=origin, place=place, outcome=Outcome.UNREACHABLE, sentence=error.message)
    return _Shown(place, address, answer.body, checkpoint)


def _compare(web: Web, one: _Shown, largest: _Shown, bases: tuple[str, ...]) -> Sighting:
    small, large = one.checkpoint, largest.checkpoint
    said = f"{one.place} and {largest.place}"
    if small.size == large.size:
        if small.root == large.root:
            return _sighting(one, Outcome.CONSISTENT)
        sentence = f"{small.origin} has signed two different trees of {small.size} entries: {said} do not show the same"
        return _sighting(one, Outcome.SPLIT_VIEW, sentence, (one.note, largest.note))
    outcome, why = Outcome.UNREACHABLE, ""
    for base in bases:
        tiles = Tiles(lambda path, base=base: _tile(web, base, path), large.size)  # type: ignore[misc]
        try:
            proof = tiles.consistency_proof(small.size)
            root = tiles.root(small.size)
            # Whatever the tiles say of the smaller tree, it counts when the larger one's signed root follows from it.
            merkle.verify_consistency(old=small.size, new=large.size, proof=proof, old_root=root, new_root=large.root)
        except ReceiptError as error:
            outcome, why = Outcome.UNPROVED, error.message
        except Error as error:
            why = why or error.message
        else:
            if root == small.root:
                return _sighting(one, Outcome.CONSISTENT)
            sentence = (
                f"{small.origin} has signed a tree of {small.size} entries with which its tree of {large.size} entries "
                f"does not begin: {said} do not show the same"
            )
            return _sighting(one, Outcome.SPLIT_VIEW, sentence, (one.note, largest.note))
    sentence = f"that the tree of {large.size} entries continues that of {small.size} could not be shown: {why}"
    return _sighting(one, outcome, sentence)


def _sighting(one: _Shown, outcome: Outcome, sentence: str = "", notes: tuple[bytes, bytes] | None = None) -> Sighting:
    return Sighting(
        origin=one.checkpoint.origin,
        place=one.place,
        outcome=outcome,
        size=one.checkpoint.size,
        sentence=sentence,
        evidence=notes,
    )


def _tile(web: Web, base: str, path: str) -> bytes:
    whole, _, width = path.partition(".p/")
    for name in (path, whole) if width else (path,):
        answer = web.get(f"{base}/{name}", limit=WIDTH * merkle.HASH)
        if answer.status == 200:
            # A partial tile may be gone when the full one is there.
            return answer.body if name == path else answer.body[: int(width) * merkle.HASH]
    msg = f"{base}/{path} is not there (status {answer.status})"
    raise NetworkError(msg)


def _last(database: Database, origin: str) -> _Shown | None:
    with database.read() as connection:
        row = connection.execute(sa.select(WATCHED).where(WATCHED.c.origin == origin)).first()
    if row is None:
        return None
    note = bytes(row.checkpoint)
    return _Shown(_BEFORE, "", note, Checkpoint(origin, row.size, bytes(row.root)))
