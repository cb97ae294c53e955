"""``rawtrace serve``: a trust store's server."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from rawtrace.cli import output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import InputNotFoundError, UsageError

SCHEMA = "urn:rawtrace:schema:serving:1"
_LOCAL_NAME = "Local trust store"


@click.command()
@click.option("--store", "folder", type=PATH, default=Path("store"), show_default=True, help="The store's folder.")
@click.option("--local", is_flag=True, help="For trying it out: make the store if it is not there; this machine only.")
@click.option("--host", help="Address to listen to, in place of the one in store.toml.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port, in place of the one in store.toml; 0 for any.")
@click.option("--background", is_flag=True, help="Return when it serves; it goes on by itself, until --stop.")
@click.option("--stop", is_flag=True, help="End the server of STORE, and wait until it has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document when it serves, or has ended.")
def serve(
    folder: Path, *, local: bool, host: str | None, port: int | None, background: bool, stop: bool, as_json: bool
) -> None:
    """Serve a trust store until interrupted.

    \b
    Examples:
      rawtrace serve --local
      rawtrace serve --store ./store
      rawtrace serve --store ./store --host 0.0.0.0 --port 443
      rawtrace serve --store ./store --background
      rawtrace serve --store ./store --stop

    With --local, a store is made in the folder on the first run, with a token
    that is printed once; it speaks plain http, to this machine only.

    What a server in the background says is in STORE/server.log.
    """
    from rawtrace.server import background as processes
    from rawtrace.server.access import Role
    from rawtrace.server.founding import Plan, found_store
    from rawtrace.server.run import serve as run
    from rawtrace.server.settings import SETTINGS_FILE
    from rawtrace.server.store import Store
    from rawtrace.server.tokens import make_token

    if stop:
        ended = processes.end(folder)
        text = "ended" if ended else f"no server of {folder} runs"
        output.emit({"schema": SCHEMA, "store": str(folder), "ended": ended}, as_json=as_json, text=text)
        return
    fresh = local and not (folder / SETTINGS_FILE).exists()
    if fresh:
        chosen = port or 8650
        plan = Plan(name=_LOCAL_NAME, url=f"http://127.0.0.1:{chosen}", prefix="20.500.12345", port=chosen, tls=False)
        found_store(folder, plan)
        output.note(f"made {folder}")
    elif not (folder / SETTINGS_FILE).exists():
        msg = f"there is no trust store in {folder}; expected {SETTINGS_FILE} there"
        raise InputNotFoundError(msg, hint="make one: rawtrace store new, or try it out: rawtrace serve --local")
    if background and fresh:
        msg = "the token of a new store is shown once, on a terminal; expected --background from the second time on"
        raise UsageError(msg)
    if background:
        words = [f"--host={host}"] if host else []
        with output.waiting("waiting for the server; it checks its whole log first"):
            address = processes.begin(folder, words if port is None else [*words, f"--port={port}"])
        _tell(folder, address, as_json=as_json)
        return
    with processes.alone(folder), Store.open(folder, progress=output.progress()) as store:
        if fresh:
            roles = (Role.OPERATOR, Role.OFFICER, Role.AUDITOR)
            output.note(f"token: {make_token(store.database, name='first operator', roles=roles)}")
        listen = dataclasses.replace(
            store.settings.listen,
            host=host or store.settings.listen.host,
            port=store.settings.listen.port if port is None else port,
        )
        store.settings = dataclasses.replace(store.settings, listen=listen)

        def ready(address: str) -> None:
            _tell(folder, address, as_json=as_json)
            output.note(f"serving; log in with a token at {address}/login; stop with Ctrl+C")

        run(store, ready=ready)


def _tell(folder: Path, address: str, *, as_json: bool) -> None:
    output.emit({"schema": SCHEMA, "store": str(folder), "address": address}, as_json=as_json, text=address)
    output.flush()
