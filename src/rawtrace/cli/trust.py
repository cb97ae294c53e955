"""``rawtrace trust``: the lists of authorities that ``verify`` goes by."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rawtrace.cli import federations, output
from rawtrace.cli.groups import Group
from rawtrace.cli.parameters import PATH
from rawtrace.cli.trustsites import sites
from rawtrace.errors import UsageError
from rawtrace.trust import sources as places
from rawtrace.trust import truststore
from rawtrace.trust.anchors import Purpose, TrustList
from rawtrace.trust.sources import Carried, Fetch
from rawtrace.trust.truststore import Change, Entry, Outcome

SCHEMA = "urn:rawtrace:schema:trust:1"

_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group(cls=Group)
def trust() -> None:
    """Keep the trust lists that `verify` goes by when no --trust is given.

    \b
    Examples:
      rawtrace trust add ./university-authority
      rawtrace trust add example.root.json --url https://federation.example.org
      rawtrace trust list
      rawtrace trust update
      rawtrace trust export lists.json

    A trust list names authorities and the certificates they have revoked. Its
    operator signs it; the first time you add one, compare the operator's
    fingerprint with what the operator publishes.

    A federation publishes the lists of many operators, signed by several
    people. It is known by its root, which is pinned once.
    """


@trust.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--unsigned", is_flag=True, help="Also take lists that nobody signed.")
@click.option("--same-name", is_flag=True, help="Also take a list named like one of another operator.")
@click.option("--url", metavar="URL", help="SOURCE is a federation's root; the federation is published at URL.")
@click.option("--server-key", metavar="SHA256", default="", help="Of URL's key, if no public authority certifies it.")
@federations.from_option
@federations.older_option
@_json_option
def add(
    sources: tuple[str, ...],
    *,
    unsigned: bool,
    same_name: bool,
    url: str | None,
    server_key: str,
    bundle: Path | None,
    accept_older: int | None,
    as_json: bool,
) -> None:
    """Accept the trust lists of a SOURCE, and remember where they came from.

    \b
    Examples:
      rawtrace trust add ./university-authority
      rawtrace trust add society-list.jws
      rawtrace trust add lists.json
      rawtrace trust add --unsigned C2PA-TRUST-LIST.json
      rawtrace trust add https://trust.example.org#sha256=DIGEST
      rawtrace trust add example.root.json --url https://federation.example.org
      rawtrace trust add example.root.json --from bundle.json

    SOURCE is an authority's own folder, a list, a folder of lists, a bundle
    made by `trust export`, or a store's address. All are added, or none.

    From an address, the operator's digest is shown and you are asked; without a
    terminal, name it: URL#sha256=DIGEST. A server whose certificate no public
    authority signed is named with its key: URL#sha256=DIGEST&key=DIGEST.

    With --url or --from, SOURCE is a federation's root. Compare the digests of
    its keys with what the federation publishes elsewhere: from now on, whoever
    has enough of these keys decides whom you rely on.

    With --unsigned you vouch for the list yourself: nothing shows who wrote it
    or that nobody changed it, and `trust update` will believe whatever lies in
    the same place later. Reports say that the list was unsigned.

    Anybody can give a list any name. One named like a list of another operator
    is taken with --same-name only, after you have compared the fingerprints.
    """
    if url is not None or bundle is not None:
        if len(sources) != 1 or unsigned or same_name:
            msg = "with --url or --from, one SOURCE is named: the federation's root"
            raise UsageError(msg)
        federations.add(
            Path(sources[0]), url=url or "", server_key=server_key, bundle=bundle, older=accept_older, as_json=as_json
        )
        return
    federations.check_older(bundle, accept_older)
    online = any(places.address_of(source) for source in sources)
    if online:
        from rawtrace.cli.addresses import confirmed

        sources = confirmed(sources)
    changes = truststore.add(*sources, unsigned=unsigned, same_name=same_name, fetch=_fetcher() if online else None)
    output.emit(_changes_json(changes), as_json=as_json, text=_changes_text(changes))


trust.add_command(sites)


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
    joined, damaged = federations.listed()
    value = _entries_json(entries) | federations.listed_json(joined, damaged)
    lists = [_entries_text(entries)] if entries or not (joined or damaged) else []
    text = "\n".join([*lists, *federations.listed_text(joined, damaged)])
    output.emit(value, as_json=as_json, text=text)
    return int(any(entry.problem for entry in entries) or bool(damaged))


@trust.command()
@federations.from_option
@federations.older_option
@_json_option
def update(*, bundle: Path | None, accept_older: int | None, as_json: bool) -> int:
    """Read every list and every federation again from where it came; refuse what is older or by others.

    \b
    Examples:
      rawtrace trust update
      rawtrace trust update --from /media/stick/bundle.json
      rawtrace trust update --from bundle.json --accept-older-than 30

    What is refused, or cannot be reached, stays as it was and in use; the exit
    code is then 1.

    --from takes federations from a bundle that `trust export` made on another
    computer, by the same rules. A federation's time stamp is good for some days
    only: --accept-older-than takes one that ran out up to DAYS days ago, and
    every report says how old it is. Nothing else may be out of date.
    """
    federations.check_older(bundle, accept_older)
    if bundle is not None:
        return federations.update_from(bundle, older=accept_older, as_json=as_json)
    online = any(entry.carried and places.address_of(entry.carried.origin) for entry in truststore.listed())
    changes = truststore.update(fetch=_fetcher() if online else None)
    with output.waiting("waiting for the federations' servers"):
        joined = federations.update()
    value = _changes_json(changes) | federations.changes_json(joined)
    lines = [_changes_text(changes)] if changes or not joined else []
    output.emit(value, as_json=as_json, text="\n".join([*lines, *federations.changes_text(joined)]))
    refused = any(change.outcome in {Outcome.REFUSED, Outcome.UNREACHABLE} for change in changes)
    return int(refused or federations.any_failed(joined))


@trust.command()
@click.argument("out", type=PATH)
@_json_option
def export(out: Path, *, as_json: bool) -> None:
    """Write all lists and federations to one file OUT, for a computer without a network.

    \b
    Examples:
      rawtrace trust export lists.json
      rawtrace verify plate.ome.tiff --trust lists.json
      rawtrace trust update --from lists.json

    All goes in byte for byte, with its signatures.
    """
    lists = truststore.export(out)
    joined, _ = federations.listed()
    names = [one.name for one in joined]
    value = {"schema": SCHEMA, "file": str(out), "lists": [one.facts() for one in lists], "federations": names}
    text = f"wrote {out}: {_count(len(lists), 'trust list')}, {_count(len(names), 'federation')}"
    output.emit(value, as_json=as_json, text=text)


@trust.command()
@click.argument("name", metavar="LIST")
@_json_option
def remove(name: str, *, as_json: bool) -> None:
    """Stop trusting a LIST, named by its id or its name, or a federation, named by its name.

    \b
    Examples:
      rawtrace trust remove "Example University instruments"
      rawtrace trust remove 0123456789abcdef
    """
    if federations.remove(name):
        output.emit({"schema": SCHEMA, "removed": name}, as_json=as_json, text=f"removed the federation {name}")
        return
    entry = truststore.remove(name)
    output.emit({"schema": SCHEMA, "removed": entry.id}, as_json=as_json, text=f"removed {entry.id}")


def _fetcher() -> Fetch:
    from rawtrace.trust import online

    ask = online.fetcher()

    def fetch(address: str) -> tuple[Carried, ...]:
        with output.waiting(f"waiting for {address.partition('#')[0]}"):
            return ask(address)

    return fetch


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
        return "no trust lists were added yet; add one with: rawtrace trust add SOURCE"
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
