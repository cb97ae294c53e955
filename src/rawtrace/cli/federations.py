"""What ``rawtrace trust`` says and does about the federations that were joined."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rawtrace import durable
from rawtrace.cli import output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import Error, UsageError

if TYPE_CHECKING:
    from rawtrace.trust.federated import FederationChange
    from rawtrace.trust.federationkeys import RootFacts
    from rawtrace.trust.federationstate import Federation

SCHEMA = "urn:rawtrace:schema:trust:1"
_MAX_ROOT_BYTES = 1 << 18

from_option = click.option("--from", "bundle", metavar="BUNDLE", type=PATH, help="Take federations from this bundle.")
older_option = click.option(
    "--accept-older-than", "accept_older", metavar="DAYS", type=click.IntRange(1, 3650),
    help="With --from: a time stamp may have run out up to DAYS days ago.",
)  # fmt: skip


def check_older(bundle: Path | None, older: int | None) -> None:
    """Refuse to accept old time stamps from the network: there, an old one means that something is wrong."""
    if older is not None and bundle is None:
        msg = "--accept-older-than goes with --from BUNDLE; over the network an old time stamp is never accepted"
        raise UsageError(msg)


def add(root: Path, *, url: str, server_key: str, bundle: Path | None, older: int | None, as_json: bool) -> None:
    """Pin a root, take up its federation, and show both."""
    from rawtrace.trust import federated

    check_older(bundle, older)
    data = durable.read_bounded(root, limit=_MAX_ROOT_BYTES)
    facts = federated.read_root(data, what=str(root))
    change = federated.add(
        data,
        url=url,
        server_key_sha256=server_key.lower(),
        bundle=_read_bundle(bundle) if bundle else None,
        accept_older=timedelta(days=older) if older else None,
    )
    value = {"schema": SCHEMA, "pinned": facts.facts()} | changes_json((change,))
    output.emit(value, as_json=as_json, text="\n".join([*_root_text(facts), *changes_text((change,))]))


def update() -> tuple[FederationChange, ...]:
    """Refresh every federation over the network; none is asked where none is held and none came with rawtrace."""
    from rawtrace.trust import embeddedroots, federationstate

    if not federationstate.names() and not embeddedroots.embedded():
        return ()
    from rawtrace.trust import federated

    return federated.update()


def update_from(bundle: Path, *, older: int | None, as_json: bool) -> int:
    """Refresh federations from a bundle, and show what became of them."""
    from rawtrace.trust import federated

    data = _read_bundle(bundle)
    changes = federated.update_from(data, accept_older=timedelta(days=older) if older else None)
    value = {"schema": SCHEMA, "changes": []} | changes_json(changes)
    output.emit(value, as_json=as_json, text="\n".join(changes_text(changes)))
    return int(any_failed(changes))


def remove(name: str) -> bool:
    """Forget a federation; false where none has that name."""
    from rawtrace.trust import federationstate

    if name not in federationstate.names():
        return False
    from rawtrace.trust import federated

    federated.remove(name)
    return True


def any_failed(changes: Sequence[FederationChange]) -> bool:
    """Whether any was refused or could not be reached."""
    return any(change.result.value in {"refused", "unreachable"} for change in changes)


def listed() -> tuple[list[Federation], list[tuple[str, str]]]:
    """Return the federations that are held, and the damaged ones with what is wrong with them."""
    from rawtrace.trust import federationstate

    found, damaged = [], []
    for name in federationstate.names():
        try:
            found.append(federationstate.held(name))
        except Error as error:
            damaged.append((name, error.message))
    return found, damaged


def listed_json(found: Sequence[Federation], damaged: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return what ``trust list`` says of them as JSON."""
    from rawtrace.trust import embeddedroots

    now = datetime.now(UTC)
    entries: list[dict[str, Any]] = [one.facts(now) for one in found]
    entries += [{"name": name, "problem": problem} for name, problem in damaged]
    return {"federations": entries, "roots_that_came_with_rawtrace": [name for name, _, _ in embeddedroots.embedded()]}


def listed_text(found: Sequence[Federation], damaged: Sequence[tuple[str, str]]) -> list[str]:
    """Return what ``trust list`` says of them, for people."""
    from rawtrace.trust import embeddedroots

    lines: list[str] = []
    for one in found:
        lines += _about(one)
    lines += [f"federation {name}  not readable: {problem}" for name, problem in damaged]
    names = [name for name, _, _ in embeddedroots.embedded()]
    if names:
        lines.append(f"federation roots that came with this copy of rawtrace: {', '.join(names)}")
    else:
        lines.append("no federation roots come with this copy of rawtrace")
    return lines


def changes_json(changes: Sequence[FederationChange]) -> dict[str, Any]:
    """Return what became of some federations as JSON."""
    now = datetime.now(UTC)
    return {
        "federations": [
            {
                "name": change.name,
                "outcome": change.result.value,
                "changes": list(change.changes),
                "message": change.message,
                "hint": change.hint,
                "federation": change.federation.facts(now) if change.federation else None,
            }
            for change in changes
        ]
    }


def changes_text(changes: Sequence[FederationChange]) -> list[str]:
    """Return what became of some federations, for people."""
    lines: list[str] = []
    for change in changes:
        lines.append(f"{change.result}: federation {change.name}")
        lines += [f"  {one}" for one in change.changes]
        if change.message:
            lines.append(f"  {change.message}")
        if change.hint:
            lines.append(f"  hint      {change.hint}")
        if change.federation is not None:
            lines += _age(change.federation, still=bool(change.message))
    return lines


def _about(one: Federation) -> list[str]:
    lines = [f"federation {one.name}"]
    lines += _age(one, still=False)
    threshold, keys = one.root["threshold"], one.root["keys"]
    lines.append(f"  root      {one.root['version']}, {threshold} of {len(keys)} keys sign; good to {_day(one)}")
    lines += [f"  holds     {name}" for name in sorted(one.material.files)]
    if one.url:
        lines.append(f"  from      {one.url}")
    if one.problem:
        lines.append(f"  last try  {one.problem}")
    return lines


def _age(one: Federation, *, still: bool) -> list[str]:
    now = datetime.now(UTC)
    days = max(0, (now - one.as_of).days)
    age = "today" if days == 0 else f"{days} {'day' if days == 1 else 'days'} old"
    lines = [f"  {'in use' if still else 'as of'}    {one.as_of:%Y-%m-%d %H:%M} UTC, {age}"]
    if one.expires <= now:
        lines.append(f"  overdue   since {one.expires:%Y-%m-%d}; newer lists and revocations may be missing")
    if one.late:
        lines.append("  accepted  although it was overdue, because --accept-older-than was given")
    return lines


def _root_text(facts: RootFacts) -> list[str]:
    lines = [f"pinned root {facts.version}: {facts.threshold} of these {len(facts.keys)} keys must sign"]
    lines += [f"  SHA-256 {digest}{f'  {holder}' if holder else ''}" for digest, holder in facts.keys]
    return lines


def _day(one: Federation) -> str:
    return str(one.root["expires"])[:10]


def _read_bundle(path: Path) -> bytes:
    from rawtrace.trust.federationstate import MAX_STATE_BYTES

    return durable.read_bounded(path, limit=MAX_STATE_BYTES)
