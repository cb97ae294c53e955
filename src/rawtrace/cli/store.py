"""``rawtrace store``: make a trust store, and let people and programs in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from rawtrace.cli import enrolments, handles, identities, neighbours, output
from rawtrace.cli.groups import Group, Word
from rawtrace.cli.parameters import PATH

SCHEMA = "urn:rawtrace:schema:store:1"
ADDRESS_SCHEMA = "urn:rawtrace:schema:store-address:1"
OFFER_SCHEMA = "urn:rawtrace:schema:store-offers:1"
TOKEN_SCHEMA = "urn:rawtrace:schema:token:1"  # noqa: S105  a name, no token
OFFERS = ("time", "gateway", "certify", "witness", "mirror", "federation")
_ROLES = ("operator", "officer", "auditor", "instrument", "gateway")

_folder_argument = click.argument("folder", metavar="STORE", type=PATH)


@click.group(cls=Group)
def store() -> None:
    """Make a trust store, and let people and programs in.

    \b
    Examples:
      rawtrace store new ./store --name "Example facility" --url https://store.example.org --prefix 20.500.12345
      rawtrace store token ./store --role operator --name "facility manager"
      rawtrace serve --store ./store
    """


@store.command()
@_folder_argument
@click.option("--name", required=True, help="What people will call it; at most 48 characters.")
@click.option("--url", required=True, help="Where the world will reach it.")
@click.option("--prefix", default="", help="Handle prefix of its instruments.")
@click.option("--origin", default="", help="Name of its log for ever; by default host and path of the URL, and /log.")
@click.option("--database", default="", metavar="URL", help="postgresql://…; without it a SQLite file in STORE.")
@click.option("--authority", type=PATH, help="An authority that exists; it is copied. Without it a new one is made.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the server listens to.")
@click.option("--port", default=8650, show_default=True, type=click.IntRange(0, 65535), help="… and its port.")
@click.option("--no-tls", is_flag=True, help="Plain http, for this machine only.")
@identities.json_option
def new(
    folder: Path,
    *,
    name: str,
    url: str,
    prefix: str,
    origin: str,
    database: str,
    authority: Path | None,
    host: str,
    port: int,
    no_tls: bool,
    as_json: bool,
) -> None:
    """Make a trust store in STORE, which must not exist yet.

    \b
    Examples:
      rawtrace store new ./store --name "Example facility" --url https://store.example.org --prefix 20.500.12345
      rawtrace store new ./store --name "Example facility" --url http://127.0.0.1:8650 --no-tls

    STORE holds private keys. Keep it on a disk that only the server's account reads.
    """
    from rawtrace.server.address import public_address, server_key
    from rawtrace.server.founding import Plan, found_store
    from rawtrace.server.settings import read_settings

    plan = Plan(
        name=name, url=url, prefix=prefix, origin=origin, database=database, authority=authority,
        host=host, port=port, tls=not no_tls,
    )  # fmt: skip
    found_store(folder, plan)
    settings = read_settings(folder)
    vkey = (folder / "log" / "vkey").read_text().strip()
    value = {
        "schema": SCHEMA,
        "store": str(folder),
        "url": settings.url,
        "origin": settings.log.origin,
        "log_key": vkey,
        "server_key_sha256": server_key(folder),
        "address": public_address(folder).text,
    }
    text = [
        f"made {folder}",
        f"log key:    {vkey}",
        f"server key: {value['server_key_sha256']}",
        f"address:    {value['address']}",
    ]
    output.emit(value, as_json=as_json, text="\n".join(text))
    root = folder / settings.authority / "root"
    if root.exists():
        output.note(f"note: move {root} to a medium that you lock away; nothing else here needs it")
    output.note(
        f"next: rawtrace store token {folder} --role operator --name NAME, then rawtrace serve --store {folder}"
    )


@store.command()
@_folder_argument
@click.option("--role", "roles", type=Word(_ROLES), multiple=True, required=True, help="May be given several times.")
@click.option("--name", required=True, help="Whose it is; stands in the audit log.")
@click.option("--pid", default="", help="For an instrument: the only one it may speak for.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="How long it is good; without it for ever.")
@identities.json_option
def token(folder: Path, *, roles: tuple[str, ...], name: str, pid: str, days: float | None, as_json: bool) -> None:
    """Make a token for somebody; it is shown once, and the store keeps only its digest.

    \b
    Examples:
      rawtrace store token ./store --role operator --name "facility manager"
      rawtrace store token ./store --role instrument --name widefield --pid https://hdl.handle.net/20.500.12345/wf1
    """
    from rawtrace.server.access import Role
    from rawtrace.server.store import Store
    from rawtrace.server.tokens import make_token

    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    with Store.open(folder, writes_log=False) as opened:
        made = make_token(opened.database, name=name, roles=tuple(Role(one) for one in roles), pid=pid, expires=expires)
    output.emit({"schema": TOKEN_SCHEMA, "name": name, "roles": list(roles), "token": made}, as_json=as_json, text=made)
    output.note("note: this is shown once; keep it where only its owner reads")


@store.command()
@click.argument("url", metavar="URL")
@click.option("--token-file", metavar="FILE", type=PATH, required=True, help="Your own token, as an operator.")
@enrolments.kind_option
@click.option("--pid", default="", help="Whom it is for; needed unless it is new and gets a urn:uuid:.")
@click.option("--name", default="", help="What people call it; for one that is not registered yet.")
@click.option("--owner", default="", metavar="ROR", help="The organisation that owns it.")
@click.option("--owner-name", default="", help="The owner in words.")
@click.option("--manufacturer", default="", help="Who made it.")
@click.option("--model", default="", help="The maker's name for its kind.")
@click.option("--serial", default="", help="The maker's serial number.")
@click.option("--location", default="", help="Where it stands.")
@click.option("--hardware", is_flag=True, help="You have seen that its key is in a token.")
@click.option("--approval", is_flag=True, help="An officer looks at the request before it is granted.")
@click.option("--days", type=click.FloatRange(min=0, max=366, min_open=True), help="How long the code is good.")
@click.option("--device-maker", default="", metavar="FILE", help="The maker's certificate, for a device that has one.")
@click.option("--device-serial", default="", help="The serial number in the device's certificate.")
@click.option("--code-out", metavar="FILE", type=PATH, help="Write the code to this new file instead of showing it.")
@enrolments.server_options
@identities.json_option
def enrol(url: str, **options: Any) -> None:
    """Permit that an instrument gets its certificate from the store at URL, and make its one-time code.

    \b
    Examples:
      rawtrace store enrol https://store.example.org --token-file operator.token \\
          --pid https://hdl.handle.net/20.500.12345/wf1 --name "Widefield 1" \\
          --manufacturer "Example Optics" --model "WF 100" --owner https://ror.org/0exampe44
      rawtrace store enrol https://store.example.org --token-file operator.token \\
          --pid https://hdl.handle.net/20.500.12345/wf1 --code-out code.txt

    The code is good once, for this PID only. Take it to the instrument by a way
    that others cannot read, and not with the address in one message.
    """
    enrolments.invite_and_show(url, options)


@store.command()
@_folder_argument
@identities.json_option
def address(folder: Path, *, as_json: bool) -> None:
    """Print the address of STORE, with what its server and its trust list are known by.

    \b
    Examples:
      rawtrace store address ./store
      rawtrace store witness ./other "$(rawtrace store address ./store)"
      rawtrace trust add "$(rawtrace store address ./store)"

    Give it to others by a way that they trust: whoever has it needs no
    --server-key, and is asked nothing.
    """
    from rawtrace.server.address import public_address

    found = public_address(folder)
    value = {
        "schema": ADDRESS_SCHEMA,
        "url": found.url,
        "operator_sha256": found.operator_sha256,
        "server_key_sha256": found.key_sha256,
        "address": found.text,
    }
    output.emit(value, as_json=as_json, text=found.text)


@store.command()
@_folder_argument
@click.argument("what", metavar="WHAT...", nargs=-1, required=True, type=Word(OFFERS))
@click.option("--owner", default="", metavar="ROR", help="In whose name the gateway signs.")
@click.option("--owner-name", default="", help="The owner in words.")
@click.option("--pid", default="", help="Of the repository that the gateway is; without it a urn:uuid:.")
@identities.json_option
def offer(folder: Path, *, what: tuple[str, ...], owner: str, owner_name: str, pid: str, as_json: bool) -> None:
    """Let STORE offer more: time, gateway, certify, witness, mirror, federation.

    \b
    Examples:
      rawtrace store offer ./store time gateway --owner https://ror.org/0exampe44
      rawtrace store offer ./store federation

    The keys that it takes are made, certified by STORE's authority, and
    store.toml is changed. Start STORE's server anew afterwards. For a key in a
    token, make it first: rawtrace authority time, rawtrace authority repository.
    """
    from rawtrace.server.offers import offer as run

    done = run(folder, what, owner=owner, owner_name=owner_name, pid=pid)
    value = {"schema": OFFER_SCHEMA, "offers": list(done.offers), "made": [str(one) for one in done.made]}
    text = [f"made {one}" for one in done.made] + [f"{folder} offers {', '.join(done.offers)}"]
    output.emit(value, as_json=as_json, text="\n".join(text))
    output.note(f"next: start the server of {folder} anew")


for _command in (*neighbours.COMMANDS, *handles.COMMANDS):
    store.add_command(_command)
