"""``rawtrace trust sites``: who is asked about a PID that no list knows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from rawtrace.cli import output
from rawtrace.cli.groups import Group
from rawtrace.trust.handles import roots
from rawtrace.trust.handles.roots import RootSite

SCHEMA = "urn:rawtrace:schema:resolver:1"

_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group(cls=Group)
def sites() -> None:
    """Keep the root sites that `verify --online` asks who answers for a PID.

    \b
    Examples:
      rawtrace trust sites add https://root.example.org --prefix 20.500.12345 --vouches
      rawtrace trust sites list

    None is built in. A site is known by its key alone, so that nobody between
    can answer in its place.
    """


@sites.command()
@click.argument("url", metavar="URL")
@click.option("--name", default="", help="What reports call it.")
@click.option("--prefix", "prefixes", multiple=True, help="Ask it about this prefix only; may be given several times.")
@click.option("--vouches", is_flag=True, help="Let it say whose trust list counts for a prefix, too.")
@_json_option
def add(url: str, *, name: str, prefixes: tuple[str, ...], vouches: bool, as_json: bool) -> None:
    """Ask the server at URL which store answers for a PID.

    \b
    Examples:
      rawtrace trust sites add https://root.example.org
      rawtrace trust sites add https://store.example.org:8650 --prefix 20.500.12345 --vouches

    Give the SHA-256 of its key as URL#key=DIGEST, or compare what is shown.

    With --vouches you rely on whoever runs the site: an authority that it names
    for a prefix counts for the instruments of that prefix. Without it, the site
    only leads the way to stores whose operators you have accepted yourself.
    """
    from rawtrace.cli.addresses import confirmed_key, split

    address, key = split(url)
    root = RootSite(url=address, key_sha256=key, name=name, prefixes=prefixes, vouches=vouches)
    roots.check_root(root)
    root = RootSite(url=address, key_sha256=confirmed_key(address, key), name=name, prefixes=prefixes, vouches=vouches)
    roots.add_root(root)
    output.emit({"schema": SCHEMA, "added": asdict(root)}, as_json=as_json, text=f"added {_text(root)}")


@sites.command(name="list")
@_json_option
def list_command(*, as_json: bool) -> None:
    """Show the sites that are asked: your own, then those that federations name which you have joined.

    \b
    Examples:
      rawtrace trust sites list
    """
    held, others = roots.read_roots(), roots.all_roots()
    federated = others[len(held) :]
    value: dict[str, Any] = {
        "schema": SCHEMA,
        "roots": [asdict(one) for one in held],
        "of_federations": [asdict(one) for one in federated],
    }
    text = "\n".join(_text(one) for one in others) or "no sites yet; add one with: rawtrace trust sites add URL"
    output.emit(value, as_json=as_json, text=text)


@sites.command()
@click.argument("named", metavar="SITE")
@_json_option
def remove(named: str, *, as_json: bool) -> None:
    """Ask a SITE, named by its address or name, no more; what it said before is forgotten.

    \b
    Examples:
      rawtrace trust sites remove https://root.example.org
    """
    from rawtrace.trust.handles.cache import default_cache

    root = roots.remove_root(named)
    default_cache().clear()
    output.emit({"schema": SCHEMA, "removed": root.url}, as_json=as_json, text=f"removed {root.url}")


def _text(root: RootSite) -> str:
    lines = [root.url + (f"  {root.name}" if root.name else ""), f"  key       SHA-256 {root.key_sha256}"]
    lines.append(f"  asked     about {', '.join(root.prefixes) or 'every prefix'}")
    lines.append(f"  may       {'lead the way and vouch for authorities' if root.vouches else 'lead the way'}")
    return "\n".join(lines)
