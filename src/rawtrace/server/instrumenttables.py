"""The tables of the registry of instruments, and what a row of them means."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from rawtrace.database import METADATA
from rawtrace.trust import instruments
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.scope import folded

INSTRUMENTS = sa.Table(
    "instrument",
    METADATA,
    sa.Column("pid", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    # From here on folded, for comparing and sorting.
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("sorted_by", sa.Text, nullable=False),
    sa.Column("owners", sa.Text, nullable=False),
    sa.Column("types", sa.Text, nullable=False),
    sa.Column("product", sa.Text, nullable=False),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("made", sa.Text, nullable=False),
    sa.Column("changed", sa.Text, nullable=False),
    sa.Index("instrument_sorted", "sorted_by", "pid"),
    sa.Index("instrument_product", "product"),
)
RELATED = sa.Table(
    "instrument_related",
    METADATA,
    sa.Column("pid", sa.Text, nullable=False),
    sa.Column("identifier", sa.Text, nullable=False),
    sa.Column("relation", sa.Text, nullable=False),
    sa.Index("instrument_related_identifier", "identifier"),
    sa.Index("instrument_related_pid", "pid"),
)
CHANGES = sa.Table(
    "instrument_change",
    METADATA,
    sa.Column("pid", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("log_index", sa.Integer, nullable=True),
    sa.Index("instrument_change_unlogged", "log_index"),
)


class Status(StrEnum):
    """Where an instrument is in its life."""

    REGISTERED = "registered"
    IN_SERVICE = "in-service"
    RETIRED = "retired"


class Action(StrEnum):
    """What a change was."""

    REGISTERED = "registered"
    CHANGED = "changed"
    COMMISSIONED = "commissioned"
    MOVED = "moved"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An instrument as the registry has it.

    Attributes
    ----------
    pid : str
        In full, as a URI.
    version : int
        From 1; one more with each change.
    kind : SignerKind
    record : Mapping
        PIDINST, as ``rawtrace.trust.instruments`` has it.
    status : Status
    place : str
    made, changed : str
        UTC, ISO 8601.
    """

    pid: str
    version: int
    kind: SignerKind
    record: Mapping[str, Any]
    status: Status
    made: str
    changed: str

    @property
    def place(self) -> str:
        """Where it stands; empty where the record does not say."""
        return str(self.record.get("rawtrace", {}).get("location", ""))

    @property
    def summary(self) -> dict[str, str]:
        """The fields that lists show; see ``instruments.summary``."""
        return instruments.summary(self.record)

    @property
    def contact_is_public(self) -> bool:
        """Whether the record says that everybody may see the owner's contact."""
        return self.record.get("rawtrace", {}).get("contactPublic") is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of an instrument's history; ``before`` is empty for the first."""

    version: int
    at: str
    who: str
    action: Action
    note: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    log_index: int | None


def status_of(record: Mapping[str, Any]) -> Status:
    """Return where in its life an instrument is, from the dates in its record."""
    dates = {one["dateType"] for one in record.get("dates", ())}
    if "DeCommissioned" in dates:
        return Status.RETIRED
    return Status.IN_SERVICE if "Commissioned" in dates else Status.REGISTERED


def entry_of(row: Any) -> Entry:
    """Read a row."""
    return Entry(
        pid=row.pid,
        version=row.version,
        kind=SignerKind(row.kind),
        record=json.loads(row.record),
        status=Status(row.status),
        made=row.made,
        changed=row.changed,
    )


def text_of(record: Mapping[str, Any]) -> str:
    """Return a record as the database keeps it."""
    return json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def row_of(new: Entry, text: str) -> dict[str, Any]:
    """Return the row of an instrument, with what it is searched by."""
    record = new.record
    owners = [part for one in record["owners"] for part in (one["ownerName"], _identifier(one, "owner"))]
    types = [
        part
        for one in record.get("instrumentTypes", ())
        for part in (one["instrumentTypeName"], _identifier(one, "instrumentType"))
    ]
    return {
        "pid": new.pid,
        "version": new.version,
        "kind": new.kind.value,
        "record": text,
        "status": new.status.value,
        "place": folded(new.place),
        "sorted_by": folded(record["name"]),
        "owners": _lines(owners),
        "types": _lines(types),
        "product": _product(record),
        "words": folded(" ".join(_texts({**record, "owners": owners}))),
        "made": new.made,
        "changed": new.changed,
    }


def _product(record: Mapping[str, Any]) -> str:
    makers = sorted(folded(one["manufacturerName"]) for one in record.get("manufacturers", ()))
    model = record.get("model", {}).get("modelName", "")
    return "\n".join([*makers, folded(model)]) if model else ""


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if not name.endswith("Type") and name not in {"ownerContact", "schemaVersion"}:
                yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _identifier(one: Mapping[str, Any], role: str) -> str:
    return str(one.get(f"{role}Identifier", {}).get(f"{role}Identifier", ""))


def _lines(texts: Iterable[str]) -> str:
    return "\n" + "\n".join(folded(text) for text in texts if text) + "\n"


def folded_identifier(text: str) -> str:
    """Return a DOI, handle or other identifier as it is compared: without a resolver, in lower case."""
    low = folded(text)
    for resolver in ("https://", "http://", "dx.doi.org/", "doi.org/", "hdl.handle.net/", "doi:", "hdl:"):
        low = low.removeprefix(resolver)
    return low
