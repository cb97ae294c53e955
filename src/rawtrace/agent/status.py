"""What the agent is doing, for people and programs: read from its state file, without disturbing it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rawtrace.agent import rows
from rawtrace.agent.deliverybox import Undelivered, undelivered
from rawtrace.agent.finish import How
from rawtrace.agent.lock import holder_of
from rawtrace.agent.rows import Row, State
from rawtrace.trust.renewal import Nearness, nearness

STATUS_SCHEMA = "urn:rawtrace:schema:agent-status:1"
_MOST = 20
_HOW: dict[str, str] = {
    How.ENGINE: "the engine said it was finished",
    How.FORMAT: "the format said it was complete",
    How.QUIET: "nothing changed any more",
    How.LONG_QUIET: "broken off: unfinished, but nothing changed for long",
    How.FOUND_SEALED: "it had a seal already",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The agent's state.

    Attributes
    ----------
    pid : int or None
        Process of the running agent; ``None``: not running (0: running, process unknown).
    facts : dict
        ``since``, ``watch``, ``instrument``, ``mode``, ``stopped``, ``problem`` as the agent noted them.
    counts : dict
        Assets by state; ``gone`` are those that were taken away before they were sealed.
    waiting, failed, changed, sealed : tuple of Row
        At most 20 each: the oldest first, of the sealed ones the newest.
    deliveries : tuple of Undelivered
        One for each store that seals go to.
    """

    state: Path
    pid: int | None
    facts: dict[str, str]
    counts: dict[str, int]
    waiting: tuple[Row, ...]
    failed: tuple[Row, ...]
    changed: tuple[Row, ...]
    sealed: tuple[Row, ...]
    deliveries: tuple[Undelivered, ...] = ()


def status(state: Path) -> Status:
    """Read the state of an agent.

    Raises
    ------
    OutboxError
        There is no state file, or it cannot be read.
    """
    pid = holder_of(state)
    database = rows.open_to_read(state)
    try:
        waiting = rows.read_rows(database, state, (State.SEEN, State.WAITING, State.SEALING), present=True, limit=_MOST)
        return Status(
            state=state,
            pid=pid,
            facts=rows.facts(database, state),
            counts=rows.counts(database, state),
            waiting=tuple(waiting),
            failed=tuple(rows.read_rows(database, state, (State.FAILED,), present=True, limit=_MOST)),
            changed=tuple(rows.read_rows(database, state, (State.CHANGED,), limit=_MOST)),
            sealed=tuple(rows.last_sealed(database, state, limit=_MOST)),
            deliveries=undelivered(database, state),
        )
    finally:
        database.close()


def as_dict(found: Status) -> dict[str, Any]:
    """Return a status as a JSON object of the schema ``urn:rawtrace:schema:agent-status:1``."""
    return {
        "schema": STATUS_SCHEMA,
        "state_file": str(found.state),
        "running": found.pid is not None,
        "pid": found.pid,
        **{name: found.facts.get(name, "") for name in ("since", "stopped", "watch", "instrument", "mode", "problem")},
        "certificate": {
            "not_after": found.facts.get("certificate_until", ""),
            "renewal": found.facts.get("certificate_renewal", ""),
            "problem": found.facts.get("certificate_problem", ""),
            "near_its_end": _certificate_is_near(found.facts, datetime.now(UTC)) is not Nearness.FAR,
        },
        "counts": found.counts,
        "waiting": [_waiting(row) for row in found.waiting],
        "failed": [
            {"path": row.name, "first_seen": row.first_seen, "attempts": row.attempts, "error": row.error}
            for row in found.failed
        ],
        "changed": [{"path": row.name, "sealed_at": row.sealed_at, "reason": row.reason} for row in found.changed],
        "last_sealed": [seal_of(row) for row in found.sealed],
        "deliveries": [
            {
                "store": one.store,
                "waiting": one.waiting,
                "delivered": one.delivered,
                "since": one.since,
                "error": one.error,
            }
            for one in found.deliveries
        ],
    }


def seal_of(row: Row) -> dict[str, Any]:
    """Return what the outbox knows of one seal."""
    return {
        "path": row.name,
        "kind": row.kind.value,
        "sealed_at": row.sealed_at,
        "how": row.how,
        "capture": row.capture,
        "superseding": row.supersede,
        "label": row.label,
        "claim_sha256": row.claim_sha256,
    }


def as_text(found: Status) -> str:
    """Return a status for people, the most important first."""
    facts, counts = found.facts, found.counts
    if found.pid is not None:
        lines = [f"running{f' as process {found.pid}' if found.pid else ''} since {_when(facts.get('since', ''))}"]
    else:
        stopped = facts.get("stopped", "")
        lines = [f"not running; stopped {_when(stopped)}" if stopped else "not running; it did not stop in order"]
    lines.append(f"watches {facts.get('watch', 'nothing yet')} ({facts.get('mode', '')})")
    if facts.get("problem"):
        lines.append(f"cannot work at the moment: {facts['problem']}")
    lines += certificate_lines(facts, datetime.now(UTC))
    waiting = sum(counts[state] for state in ("seen", "waiting", "sealing"))
    parts = [f"{counts['sealed']} sealed", f"{waiting} waiting", f"{counts['failed']} failed"]
    parts += [f"{counts[name]} {text}" for name, text in _RARE.items() if counts.get(name)]
    lines.append(", ".join(parts))
    lines += _section("delivering", [_delivery(one) for one in found.deliveries])
    lines += _section("not sealed, tried again by itself", [f"{_name(row)}: {row.error}" for row in found.failed])
    lines += _section("a person must look", [f"{_name(row)}: {row.reason}" for row in found.changed])
    lines += _section(
        "waiting, oldest first", [f"{_name(row)} (since {_when(row.first_seen)}): {_why(row)}" for row in found.waiting]
    )
    lines += _section(
        "last sealed",
        [f"{_when(row.sealed_at)}  {_name(row)}  {_HOW.get(row.how, row.how)}" for row in found.sealed[:5]],
    )
    return "\n".join(lines)


def certificate_lines(facts: dict[str, str], at: datetime) -> list[str]:
    """Return what to say of the certificate; loud where its end is near."""
    until = facts.get("certificate_until", "")
    if not until:
        return []
    problem = facts.get("certificate_problem", "")
    near = _certificate_is_near(facts, at)
    if near is Nearness.OVER:
        lines = [
            f"CERTIFICATE RAN OUT on {_when(until)}: nothing can be sealed until it is renewed",
            "with a new one-time code: rawtrace instrument renew DIR --code-file FILE",
        ]
    elif near is Nearness.NEAR:
        days = (datetime.fromisoformat(until) - at).total_seconds() / 86_400
        lines = [f"CERTIFICATE RUNS OUT IN {days:.0f} DAYS, on {_when(until)}: it should have been renewed by now"]
    else:
        lines = [f"certificate valid until {_when(until)}"]
    if problem:
        lines.append(f"not renewed yet, tried again by itself: {problem}")
    return lines


def _certificate_is_near(facts: dict[str, str], at: datetime) -> Nearness:
    try:
        start, end = (datetime.fromisoformat(facts[name]) for name in ("certificate_from", "certificate_until"))
        return nearness(start, end, at)
    except (KeyError, ValueError, TypeError):
        return Nearness.FAR


_RARE = {
    "changed": "changed after sealing",
    "superseded": "seals superseded",
    "gone": "taken away before they were sealed",
}


def _delivery(one: Undelivered) -> str:
    if not one.waiting:
        return f"{one.store}: all {one.delivered} delivered"
    why = f": {one.error}" if one.error else ""
    seals = "1 seal waits" if one.waiting == 1 else f"{one.waiting} seals wait"
    return f"{one.store}: {seals}, since {_when(one.since)}{why}"


def _waiting(row: Row) -> dict[str, Any]:
    return {
        "path": row.name,
        "kind": row.kind.value,
        "state": row.state.value,
        "first_seen": row.first_seen,
        "why": _why(row),
        "quiet_s": round(row.quiet_s, 1),
    }


def _when(text: str) -> str:
    """Return a noted time as people read it, to the minute; programs find the exact one in the JSON."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text or "an unknown time"


def _why(row: Row) -> str:
    if row.state is State.SEALING:
        return "it is being sealed"
    return row.reason or "it has only just been seen"


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []


def _name(row: Row) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in row.name)
