"""``rawtrace trust``: the lists of authorities that ``verify`` goes by."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rawtrace.cli import output
from rawtrace.cli.groups import Group
from rawtrace.cli.parameters import PATH
from rawtrace.trust import truststore
from rawtrace.trust.anchors import Purpose, TrustList
from rawtrace.trust.truststore import Change, Entry, Outcome

SCHEMA = "urn:rawtrace:schema:trust:1"

_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group(cls=Group)
def trust() -> None:
    """Keep the trust lists that `verify` goes by when no --trust is given.

    \b
    Examples:
      rawtrace trust add ./university-authority
      rawtrace trust list
      rawtrace trust update
      rawtrace trust export lists.json

    A trust list names authorities and the certificates they have revoked. Its
    operator signs it; the first time you add one, compare the operator's
    fingerprint with what the operator publishes.
    """


@trust.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--unsigned", is_flag=True, help="Also take lists that nobody signed.")
@click.option("--same-name", is_flag=True, help="Also take a list named like one of another operator.")
@_json_option
def add(sources: tuple[str, ...], *, unsigned: bool, same_name: bool, as_json: bool) -> None:
    """Accept the trust lists of a SOURCE, and remember where they came from.

    \b
    Examples:
      rawtrace trust add ./university-authority
      rawtrace trust add society-list.jws
      rawtrace trust add lists.json
      rawtrace trust add --unsigned C2PA-TRUST-LIST.json

    SOURCE is an authority's own folder, a list, a folder of lists, or a bundle
    made by `trust export`. All are added, or none.

    With --unsigned you vouch for the list yourself: nothing shows who wrote it
    or that nobody changed it, and `trust update` will believe whatever lies in
    the same place later. Reports say that the list was unsigned.

    Anybody can give a list any name. One named like a list of another operator
    is taken with --same-name only, after you have compared the fingerprints.
    """
    changes = truststore.add(*sources, unsigned=unsigned, same_name=same_name)
    output.emit(_changes_json(changes), as_json=as_json, text=_changes_text(changes))


@trust.command(name="list")
@_json_option
def list_command(*, as_json: bool) -> int:
    """Show the trust lists that were accepted.

    \b
    Examples:
      rawtrace trust list
      rawtrace trust list --json
    """
    entries = truststore.listed()
    output.emit(_entries_json(entries), as_json=as_json, text=_entries_text(entries))
    return int(any(entry.problem for entry in entries))


@trust.command()
@_json_option
def update(*, as_json: bool) -> int:
    """Read every list again from where it came; refuse older ones and other operators.

    \b
    Examples:
      rawtrace trust update

    A list that is refused, or whose place cannot be reached, stays as it was;
    the exit code is then 1.
    """
    changes = truststore.update()
    output.emit(_changes_json(changes), as_json=as_json, text=_changes_text(changes))
    return int(any(change.outcome in {Outcome.REFUSED, Outcome.UNREACHABLE} for change in changes))


@trust.command()
@click.argument("out", type=PATH)
@_json_option
def export(out: Path, *, as_json: bool) -> None:
    """Write all lists to one file OUT, for a computer without a network.

    \b
    Examples:
      rawtrace trust export lists.json
      rawtrace verify plate.ome.tiff --trust lists.json

    The lists go in byte for byte, with their operators' signatures.
    """
    lists = truststore.export(out)
    value = {"schema": SCHEMA, "file": str(out), "lists": [one.facts() for one in lists]}
    text = f"wrote {out}: {_count(len(lists), 'trust list')}"
    output.emit(value, as_json=as_json, text=text)


@trust.command()
@click.argument("name", metavar="LIST")
@_json_option
def remove(name: str, *, as_json: bool) -> None:
    """Stop trusting a LIST, named by its id or its name.

    \b
    Examples:
      rawtrace trust remove "Example University instruments"
      rawtrace trust remove 0123456789abcdef
    """
    entry = truststore.remove(name)
    output.emit({"schema": SCHEMA, "removed": entry.id}, as_json=as_json, text=f"removed {entry.id}")


def _changes_json(changes: tuple[Change, ...]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "changes": [
            {
                "id": change.id,
                "name": change.name,
                "outcome": change.outcome.value,
                "message": change.message,
                "list": change.trust_list.facts() if change.trust_list else None,
            }
            for change in changes
        ],
    }


def _changes_text(changes: tuple[Change, ...]) -> str:
    if not changes:
        return "the trust store is empty; add a list with: rawtrace trust add SOURCE"
    lines: list[str] = []
    for change in changes:
        lines.append(f"{change.outcome}: {change.name or change.id}")
        if change.message:
            lines.append(f"  {_plain(change.message)}")
        if change.trust_list:
            # Whose list it is, is said every time; what it holds, where that is new.
            about = _about(change.trust_list)
            lines.extend(about[:2] if change.outcome is Outcome.UNCHANGED else about)
    return "\n".join(lines)


def _entries_json(entries: tuple[Entry, ...]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "lists": [
            {
                "id": entry.id,
                "problem": entry.problem,
                "origin": entry.carried.origin if entry.carried else "",
                "added": entry.carried.added if entry.carried else "",
                "expired": entry.carried.trust_list.expired(datetime.now(UTC)) if entry.carried else None,
                "list": entry.carried.trust_list.facts() if entry.carried else None,
            }
            for entry in entries
        ],
    }


def _entries_text(entries: tuple[Entry, ...]) -> str:
    if not entries:
        return "no trust lists yet; add one with: rawtrace trust add SOURCE"
    lines: list[str] = []
    for entry in entries:
        if entry.carried is None:
            lines += [f"{_plain(entry.id)}  not readable", f"  {_plain(entry.problem)}"]
            continue
        lines += [f"{entry.id}  {entry.carried.trust_list.name}", *_about(entry.carried.trust_list)]
        lines.append(f"  from      {_plain(entry.carried.origin)}")
    return "\n".join(lines)


def _about(one: TrustList) -> list[str]:
    purposes = {Purpose.SIGNING: "for signing", Purpose.TIMESTAMP: "for time", Purpose.IDENTITY: "for identities"}
    counts = [f"{len(one.anchors_for(purpose))} {said}" for purpose, said in purposes.items()]
    held = ", ".join(said for said in counts if not said.startswith("0 ")) or "no authorities"
    lines = [
        f"  operator  {one.operator}",
        f"            {f'SHA-256 {one.operator_sha256}' if one.signed else 'unsigned: nothing shows who wrote it'}",
        f"  issue     {one.sequence}, of {one.issued:%Y-%m-%d}",
        f"  holds     {held}; {_count(len(one.statuses), 'revocation')}",
    ]
    if one.ignored:
        lines.append(f"  ignored   {_count(one.ignored, 'service')} of a kind that rawtrace does not use")
    if one.expired(datetime.now(UTC)):
        lines.append(f"  overdue   a newer issue was due on {one.next_update:%Y-%m-%d}; revocations may be missing")
    return lines


def _plain(text: str) -> str:
    """Keep file names from steering the terminal."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
