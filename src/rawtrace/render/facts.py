"""What seals, trust lists and evidence say, as short rows of clean text for the page and the terminal.

Everything that comes out of here went through ``visible`` and is bounded in
number and length, whatever was in the seal.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rawtrace.render.clean import visible
from rawtrace.render.words import ASSURANCES, CAPTURES, SIGNER_KINDS, SOURCE_TYPES
from rawtrace.report import Report, SealFacts

_VALUE_CELLS = 240
_MAX_NESTING = 12
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

#: How the source of a list that a federation vouches for begins, and where the file is named that it came in.
_THROUGH = "federation "
_FROM = "; from "


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One row: what it is about, the value, and how far the value can be relied on."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFacts:
    """One trust list in words; ``overdue`` if its successor should have been out when the check was made."""

    name: str
    operator: str
    dates: str
    overdue: bool


def seal_facts(seal: SealFacts) -> tuple[Fact, ...]:
    """Return what a seal says, in the order in which a reader asks: who, with what, when, what, how."""
    instrument, acquisition = seal.instrument, seal.acquisition
    acquired = _raw(acquisition, "acquired")
    acquired = acquired if isinstance(acquired, Mapping) else {"time": acquired}
    rows = [
        ("Signed by", visible(seal.signer), _term(SIGNER_KINDS, seal.signer_kind)),
        ("Certified by", visible(seal.authority), ""),
        ("Instrument", _joined(instrument, "name", "manufacturer", "model"), ""),
        ("Serial number", _said(instrument, "serial"), ""),
        ("Identifier (PID)", _said(instrument, "pid"), ""),
        ("Owner", _said(instrument, "owner"), ""),
        ("Location", _said(instrument, "location"), ""),
        ("Sealed", *_sealed(seal)),
        ("Acquired", when(_raw(acquired, "time")), _from(acquired)),
        ("Operator", _said(acquisition, "operator"), ""),
        ("Name when sealed", _said(acquisition, "name"), ""),
        ("Kind of data", _term(SOURCE_TYPES, seal.digital_source_type), ""),
        ("Assurance", _term(ASSURANCES, _raw(instrument, "assurance")), ""),
        ("How it was captured", _term(CAPTURES, _raw(instrument, "capture")), ""),
        ("Seal", visible(seal.label), ""),
        ("Claim SHA-256", visible(seal.claim_sha256), ""),
    ]
    return tuple(Fact(name=name, value=value, note=note) for name, value, note in rows if value)


def seal_line(seal: SealFacts) -> str:
    """Return who sealed and when, in one line, as said and not as proven."""
    kind = visible(seal.signer_kind)
    time, note = _sealed(seal)
    signer = visible(seal.signer, limit=80) or "a signer without a name"
    return f"{signer} ({kind})" + (f", {time} ({note})" if time else "")


def trust_facts(lists: Iterable[Mapping[str, Any]], *, checked_at: str, limit: int = 50) -> tuple[TrustFacts, ...]:
    """Return the trust lists that a report used, in words; at most ``limit`` of them."""
    found = []
    for entry in list(lists)[:limit]:
        until = _raw(entry, "next_update", "next update", "nextUpdate")
        dates = [f"issued {_day(issued)}" if (issued := _raw(entry, "issued")) else "date of issue not stated"]
        if sequence := _said(entry, "sequence"):
            dates.insert(0, f"number {sequence}")
        if until:
            dates.append(f"next due {_day(until)}")
        if entry.get("signed") is False:
            dates.append("bears no signature")
        if (source := _said(entry, "source")).startswith(_THROUGH):
            dates.append(f"through the {source}")
        found.append(
            TrustFacts(
                name=_said(entry, "name") or "list without a name",
                operator=_said(entry, "operator"),
                dates=", ".join(dates),
                overdue=_before(until, checked_at),
            )
        )
    return tuple(found)


def _place(source: str) -> str:
    """Return what ``--trust`` names a source by; empty for what came through a federation that was joined."""
    return source.partition(_FROM)[2] if source.startswith(_THROUGH) else source


def check_again(report: Report) -> tuple[str, str]:
    """Return the command that repeats the check, and a remark where it cannot be typed as shown."""
    sources = [place for entry in report.trust if (place := _place(str(entry.get("source") or "")))]
    words = ["rawtrace", "verify", _argument(report.path)]
    words += [word for source in dict.fromkeys(sources) for word in ("--trust", _argument(source))]
    command = " ".join(words)
    remarks = []
    if visible(command, limit=2000) != command:
        remarks.append("The name holds characters that cannot be shown, or is very long: take it from the folder.")
    if report.policy != "default":
        remarks.append(f"Add --policy with the file of the policy “{visible(report.policy, limit=80)}”.")
    return visible(command, limit=2000), " ".join(remarks)


def flatten(value: object, *, limit: int) -> tuple[Fact, ...]:
    """Return JSON-like values as rows with dotted names; at most ``limit`` rows, then one that counts the rest."""
    rows: list[Fact] = []
    left_out = 0
    pending: list[tuple[str, object, int]] = [("", value, 0)]
    while pending:
        name, item, depth = pending.pop()
        if isinstance(item, (Mapping, Sequence)) and not isinstance(item, (str, bytes, bytearray)) and item:
            if depth >= _MAX_NESTING or len(rows) >= limit:
                left_out += len(item)
                continue
            pairs = item.items() if isinstance(item, Mapping) else enumerate(item)
            children = [(_dotted(name, key), child, depth + 1) for key, child in _first(pairs, limit)]
            left_out += len(item) - len(children)
            pending.extend(reversed(children))
        elif len(rows) < limit:
            rows.append(Fact(name=visible(name, limit=120), value=visible(_leaf(item), limit=_VALUE_CELLS)))
        else:
            left_out += 1
    if left_out:
        rows.append(Fact(name="…", value=f"{left_out} more values, left out here"))
    return tuple(rows)


def when(text: object) -> str:
    """Return an ISO 8601 time as people write it, in UTC; anything else as it stands, made visible."""
    if not isinstance(text, str) or not text:
        return visible(text, limit=60)
    try:
        moment = datetime.fromisoformat(text)
        day_only = len(text) <= len("2026-05-04")
        zone = "" if day_only else " (time zone not stated)"
        if moment.tzinfo is not None:
            moment, zone = moment.astimezone(UTC), " UTC"
    except (ValueError, OverflowError):
        return visible(text, limit=60)
    day = f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"
    return day if day_only else f"{day}, {moment:%H:%M:%S}{zone}"


def cost(report: Report) -> str:
    """Return what the check cost in words, or nothing where it was not measured."""
    said = []
    for key, form in (("seconds", _seconds), ("bytes_read", _bytes)):
        amount = report.cost.get(key)
        if isinstance(amount, (int, float)) and math.isfinite(amount) and amount >= 0:
            said.append(form(amount))
    return "The check took " + " and ".join(said) + "." if said else ""


def _day(text: object) -> str:
    return when(text).partition(",")[0]


def _sealed(seal: SealFacts) -> tuple[str, str]:
    if seal.trusted_time:
        return when(seal.trusted_time), "proven by a time stamp"
    if seal.sealed_at:
        return when(seal.sealed_at), "by the signer's own clock, not proven"
    return "", ""


def _from(acquired: Mapping[str, Any]) -> str:
    source = _said(acquired, "source")
    return f"as the file says: {source}" if source else "as the file says"


def _term(words: Mapping[str, str], term: object) -> str:
    if not term:
        return ""
    known = words.get(term) if isinstance(term, str) else None
    return known or f"{visible(term, limit=80)} (a term that this page does not know)"


def _raw(mapping: Mapping[str, Any], *keys: str) -> Any:
    return next((mapping[key] for key in keys if mapping.get(key) not in (None, "", {}, [])), "")


def _said(mapping: Mapping[str, Any], *keys: str) -> str:
    return ", ".join(_parts(_raw(mapping, *keys)))


def _joined(mapping: Mapping[str, Any], *keys: str) -> str:
    return ", ".join(part for key in keys if (part := _said(mapping, key)))


def _parts(value: object) -> list[str]:
    """Text of a value that may be a word, a record with a name and an identifier, or a few of these."""
    items = list(value)[:4] if isinstance(value, (list, tuple)) else [value]
    parts: list[str] = []
    for item in items:
        if isinstance(item, Mapping):
            parts += [visible(_leaf(child), limit=120) for _, child in _first(item.items(), 4) if _is_word(child)]
        elif item != "":
            parts.append(visible(_leaf(item), limit=_VALUE_CELLS))
    return parts


def _is_word(value: object) -> bool:
    return isinstance(value, (str, int, float, bool)) and value != ""


def _leaf(value: object) -> object:
    if isinstance(value, (Mapping, list, tuple)):
        return "(nothing)" if not value else f"({len(value)} values)"
    return "(nothing)" if value is None or value == "" else value


def _dotted(name: str, key: object) -> str:
    return f"{name}.{visible(key, limit=60)}" if name else visible(key, limit=60)


def _first(pairs: Iterable[tuple[Any, Any]], limit: int) -> list[tuple[Any, Any]]:
    return [pair for pair, _ in zip(pairs, range(limit), strict=False)]


def _argument(word: str) -> str:
    # A leading dash would be taken for an option; double quotes also work in the Windows shells.
    word = f"./{word}" if word.startswith("-") else word
    if shlex.quote(word) == word:
        return word
    return shlex.quote(word) if set(word) & set('"$`\\!%') else f'"{word}"'


def _before(until: object, checked_at: str) -> bool:
    try:
        due, now = datetime.fromisoformat(str(until)), datetime.fromisoformat(checked_at)
        due, now = (moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (due, now))
    except ValueError:
        return False
    return due < now


def _seconds(amount: float) -> str:
    return f"{amount:.1f} s" if amount >= 0.1 else f"{amount * 1000:.0f} ms"


def _bytes(amount: float) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if amount >= size:
            return f"read {amount / size:.1f} {unit}"
    return f"read {amount:.0f} bytes"
