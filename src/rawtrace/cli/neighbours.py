"""``rawtrace store witness``, ``mirror``, ``quorum``, ``monitor``: stores that stand behind each other's logs."""

from __future__ import annotations

from pathlib import Path

import click

from rawtrace.cli import identities, output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import UsageError

QUORUM_SCHEMA = "urn:rawtrace:schema:log-quorum:1"
NEIGHBOUR_SCHEMA = "urn:rawtrace:schema:log-neighbour:1"
MONITOR_SCHEMA = "urn:rawtrace:schema:log-monitor:1"
EXIT_FOUND = 20

_folder_argument = click.argument("folder", metavar="STORE", type=PATH)
_url_argument = click.argument("url", metavar="URL")
_key_option = click.option(
    "--server-key", "keys", metavar="SHA256", multiple=True, help="Of a server that certifies itself; one for each URL."
)


@click.command()
@_folder_argument
@_url_argument
@_key_option
@identities.json_option
def witness(folder: Path, url: str, *, keys: tuple[str, ...], as_json: bool) -> None:
    """Let STORE cosign what the log of the store at URL publishes, if it contradicts nothing it has seen.

    \b
    Examples:
      rawtrace store witness ./store https://other.example.org
      rawtrace store witness ./store "https://other.example.org#key=SHA256"

    STORE's server may be running. The log's own operator then says: rawtrace store quorum.
    """
    _stand_for(folder, "witness", url, keys, as_json=as_json)


@click.command()
@_folder_argument
@_url_argument
@_key_option
@identities.json_option
def mirror(folder: Path, url: str, *, keys: tuple[str, ...], as_json: bool) -> None:
    """Let STORE hold a copy of the log of the store at URL, and sign when it does.

    \b
    Examples:
      rawtrace store mirror ./store https://other.example.org

    The copy holds commitments, no records: nothing private leaves the other store.
    """
    _stand_for(folder, "mirror", url, keys, as_json=as_json)


@click.command()
@_folder_argument
@click.option("--witness", "witnesses", metavar="URL", multiple=True, help="A store that cosigns.")
@click.option("--mirror", "mirrors", metavar="URL", multiple=True, help="A store that holds a copy.")
@click.option(
    "--require", type=click.IntRange(1), required=True, help="How many of them all; with --copies, of the witnesses."
)
@click.option("--copies", type=click.IntRange(0), default=0, help="How many of the mirrors, beside the witnesses.")
@_key_option
@identities.json_option
def quorum(
    folder: Path,
    *,
    witnesses: tuple[str, ...],
    mirrors: tuple[str, ...],
    require: int,
    copies: int,
    keys: tuple[str, ...],
    as_json: bool,
) -> None:
    """Let a record of STORE's log count only when other stores have signed for it.

    \b
    Examples:
      rawtrace store quorum ./store --witness https://one.example.org --witness https://two.example.org --require 1
      rawtrace store quorum ./store --witness https://one.example.org --mirror https://one.example.org \\
          --witness https://two.example.org --mirror https://two.example.org --require 1 --copies 1

    The trust list of STORE's authority tells readers, so that they ask for the
    same. Start STORE's server anew afterwards.
    """
    from rawtrace.server import neighbours

    known = _know(folder, (*witnesses, *mirrors), keys)
    count = len(witnesses)
    policy = neighbours.rely_on(folder, witnesses=known[:count], mirrors=known[count:], required=require, copies=copies)
    names = [one.key.name for one in policy.witnesses]
    place, need = (
        str(folder / "log" / "policy"),
        f"{require} witnesses and {copies} mirrors" if copies else f"{require}",
    )
    value = {"schema": QUORUM_SCHEMA, "required": require, "copies": copies, "of": names, "policy": place}
    output.emit(value, as_json=as_json, text=f"{need} of these must sign: {', '.join(names)}")
    output.note(f"next: start the server of {folder} anew")


@click.command()
@_folder_argument
@identities.json_option
def monitor(folder: Path, *, as_json: bool) -> int:
    """Look at STORE's log and at those it stands behind, wherever they are shown, and name what contradicts.

    \b
    Examples:
      rawtrace store monitor ./store

    Run it every hour. Every log must show one history: at its own address, at
    its witnesses and mirrors, and since the last look. Exit code 20: one does
    not; both notes that it has signed are kept, as proof.
    """
    from rawtrace.server.neighbours import look

    found = look(folder, progress=output.progress())
    value = {
        "schema": MONITOR_SCHEMA,
        "seen": [
            {"log": one.origin, "at": one.place, "outcome": one.outcome.value, "size": one.size, "said": one.sentence}
            for one in found
        ],
    }
    lines = [
        f"{one.origin} at {one.place}: {one.outcome.value}"
        + (f", {one.size} entries" if one.outcome.value == "consistent" else f": {one.sentence}")
        for one in found
    ]
    output.emit(value, as_json=as_json, text="\n".join(lines) or "there is no log to look at")
    return EXIT_FOUND if any(one.alarming for one in found) else 0


COMMANDS = (witness, mirror, quorum, monitor)


def _stand_for(folder: Path, part: str, url: str, keys: tuple[str, ...], *, as_json: bool) -> None:
    from rawtrace.server import neighbours

    (address,) = _know(folder, (url,), keys)
    key = neighbours.stand_for(folder, part, address)
    value = {"schema": NEIGHBOUR_SCHEMA, "log": key.name, "log_key": key.text, "as": part}
    output.emit(value, as_json=as_json, text=f"{part} of {key.name}\nlog key: {key.text}")


def _know(folder: Path, urls: tuple[str, ...], keys: tuple[str, ...]) -> tuple[str, ...]:
    from rawtrace.cli import addresses
    from rawtrace.server import neighbours

    if keys and len(keys) != len(urls):
        msg = f"{len(keys)} server keys for {len(urls)} addresses; expected one for each, in the same order"
        raise UsageError(msg)
    named = [addresses.split(url, key) for url, key in zip(urls, keys or [""] * len(urls), strict=True)]
    for url, key in dict.fromkeys(named):
        if key:
            neighbours.know_server(folder, url, key)
    return tuple(url for url, _ in named)
