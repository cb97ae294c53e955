"""``rawtrace store handle-key`` and ``delegate``: what a store answers about prefixes, its own and those of others."""

from __future__ import annotations

from pathlib import Path

import click

from rawtrace.cli import output
from rawtrace.cli.parameters import PATH

SCHEMA = "urn:rawtrace:schema:prefix:1"

_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_folder_argument = click.argument("folder", metavar="STORE", type=PATH)


@click.command(name="handle-key")
@_folder_argument
@_json_option
def handle_key(folder: Path, *, as_json: bool) -> None:
    """Make the RSA key that signs the store's handle records.

    \b
    Examples:
      rawtrace store handle-key ./store

    The Handle System checks no other kind. The key lies in STORE/handles and
    signs nothing else.
    """
    from rawtrace.server.handles import create_handle_key
    from rawtrace.server.settings import read_settings

    read_settings(folder)
    made = create_handle_key(folder)
    value = {"schema": SCHEMA, "store": str(folder), "key_sha256": made.sha256()}
    output.emit(value, as_json=as_json, text=f"made {folder / 'handles' / 'key.pem'}")


@click.command()
@_folder_argument
@click.argument("named", metavar="PREFIX")
@click.option(
    "--from", "source", required=True, metavar="URL", help="The store that answers: what `store address` prints there."
)
@click.option("--operator", "operators", multiple=True, metavar="SHA256", help="Whose trust list counts for it.")
@_json_option
def delegate(folder: Path, named: str, *, source: str, operators: tuple[str, ...], as_json: bool) -> None:
    """Let STORE, as a root, say which store answers for a PREFIX.

    \b
    Examples:
      rawtrace store delegate ./root 20.500.12345 --from "https://store.example.org#sha256=…&key=…"

    The servers are those that the other store names, and are compared with the
    key you give. The operator is never taken from what the store says, but from
    #sha256= in the address that the organisation gave you (there: rawtrace store
    address), or from --operator. Readers who let this root
    vouch will rely on it for every instrument of the prefix.
    """
    from rawtrace.cli import addresses
    from rawtrace.server import handles
    from rawtrace.server.settings import read_settings
    from rawtrace.trust.handles.resolve import fetch_record
    from rawtrace.trust.online import read_address

    read_settings(folder)
    url, digest = addresses.split(source)
    if not operators and (named_operator := read_address(source).operator_sha256):
        operators = (named_operator,)
    given = fetch_record(url, addresses.confirmed_key(url, digest), named)
    path = handles.delegate(folder, named, given, operators=[one.lower() for one in operators])
    value = {"schema": SCHEMA, "prefix": named, "file": str(path), "operators": list(operators)}
    output.emit(value, as_json=as_json, text=f"{named}: wrote {path}")
    if not operators:
        output.note("no operator was named, so this root leads to the store and vouches for nobody")


COMMANDS = (handle_key, delegate)
