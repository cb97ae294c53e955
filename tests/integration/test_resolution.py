"""Two real stores on loopback, a root and a member: from a seal nobody knows to a verdict, by commands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rawtrace.cli.main import run_for_code
from rawtrace.config import CONFIG_VARIABLE
from rawtrace.ledger.sequencer import Submission
from rawtrace.sealing.logrecord import record_of
from rawtrace.server.run import server_key
from rawtrace.server.store import Store
from rawtrace.trust.authorityfolder import open_authority
from rawtrace.trust.handles.cache import default_cache
from rawtrace.trust.handles.resolve import Resolver
from rawtrace.trust.handles.roots import read_roots
from rawtrace.trust.trustlist import read_list
from rawtrace.verification.evidence import discover
from rawtrace.web import key_sha256
from stores import Running, found, running

PREFIX = "20.500.12345"
PID = f"https://hdl.handle.net/{PREFIX}/widefield-1"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "settings"))

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_for_code([str(one) for one in arguments])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    """A root and a member, each with TLS and a self-signed certificate, at the addresses they name."""
    made = []
    for name, prefix in (("root", "20.500.111"), ("member", PREFIX)):
        found(tmp_path / name, name=name, url="https://127.0.0.1", prefix=prefix, tls=True)
        made.append(Store.open(tmp_path / name))
    with made[0] as root, made[1] as member, running(root) as first, running(member) as second:
        for one in (first, second):
            one.store.settings = dataclasses.replace(one.store.settings, url=one.url)
        yield first, second


def operator_of(one: Running) -> str:
    path = one.store.authority_folder / "trust-list.jws"
    return read_list(path.read_bytes(), source="it").operator_sha256


def test_from_a_seal_nobody_knows_to_a_verdict(
    command: Command, stores: tuple[Running, Running], tmp_path: Path
) -> None:
    root, member = stores
    keys = {one.url: server_key(one.store.folder) for one in stores}
    # The member's operator certifies an instrument, which seals a file.
    instrument = ("--name", "W", "--manufacturer", "M", "--model", "X", "--owner", "https://ror.org/0exampe44")
    place = tmp_path / "instrument"
    made = command("instrument", "new", place, *instrument, "--pid", PID, "--authority", member.store.authority_folder)
    assert made[0] == 0, made[2]
    file = tmp_path / "cells.dat"
    file.write_bytes(b"counts")
    assert command("seal", file, "--instrument", place)[0] == 0
    # Both sign their records, and the root's operator lets the root lead to the member.
    for one in stores:
        assert command("store", "handle-key", one.store.folder)[0] == 0
    wrong = command("store", "delegate", root.store.folder, PREFIX, "--from", f"{member.url}#key={keys[root.url]}")
    assert wrong[0] == 1
    assert "another key" in wrong[2]
    named = ("--from", f"{member.url}#key={keys[member.url]}", "--operator", operator_of(member))
    done = command("store", "delegate", root.store.folder, PREFIX, *named)
    assert done[0] == 0, done[2]
    # A reader who knows only the root.
    assert command("verify", file, "--online")[0] == 11
    unknown = command("trust", "sites", "add", root.url, "--vouches")
    assert unknown[0] == 2
    assert keys[root.url] in unknown[2]
    added = command("trust", "sites", "add", f"{root.url}#key={keys[root.url]}", "--vouches", "--name", "Example root")
    assert added[0] == 0, added[2]
    assert "vouch for authorities" in command("trust", "sites", "list")[1]
    with Resolver(read_roots(), cache=default_cache()) as resolver:
        record = resolver.resolve(f"{PREFIX}/widefield-1")
        assert record.signed
    report = command("verify", file, "--online", "--json")
    value: Any = json.loads(report[1])
    assert report[0] == 0, report
    (said,) = [one for one in value["findings"] if one["id"] == "resolved-online"]
    assert said["evidence"]["record_signed"]
    assert {one["cached"] for one in said["evidence"]["asked"]} == {True}
    # The same through the store's address, and then offline.
    address = f"{member.url}#sha256={operator_of(member)}&key={keys[member.url]}"
    assert command("verify", file, "--trust", address)[0] == 0
    assert command("verify", file)[0] == 11
    refused = command("trust", "add", f"{member.url}#key={keys[member.url]}")
    assert refused[0] == 2
    assert operator_of(member) in refused[2]
    assert command("trust", "add", address)[0] == 0
    assert command("trust", "update")[0] == 0
    assert command("verify", file)[0] == 0
    assert command("trust", "sites", "remove", "Example root")[0] == 0
    assert read_roots() == ()


def test_a_missing_receipt_is_fetched(command: Command, stores: tuple[Running, Running], tmp_path: Path) -> None:
    _, member = stores
    instrument = ("--name", "W", "--manufacturer", "M", "--model", "X", "--owner", "https://ror.org/0exampe44")
    place, file = tmp_path / "instrument", tmp_path / "cells.dat"
    folder = member.store.authority_folder
    assert command("instrument", "new", place, *instrument, "--pid", PID, "--authority", folder)[0] == 0
    vkey = (member.store.folder / "log" / "vkey").read_text().strip()
    policy = tmp_path / "policy"
    policy.write_text(f"log {vkey}\nquorum none\n")
    assert command("authority", "log", folder, "--policy", policy)[0] == 0
    file.write_bytes(b"counts")
    assert command("seal", file, "--instrument", place)[0] == 0
    manifest = discover(file).active
    assert manifest is not None
    record, authority = record_of(manifest), open_authority(folder)
    key = key_sha256(manifest.signature.chain[0])[:16]
    member.store.log.submit(Submission(kind="seal", issuer=authority.name, key=key, record=record)).result()
    address = f"{member.url}#sha256={operator_of(member)}&key={server_key(member.store.folder)}"
    assert command("trust", "add", address)[0] == 0
    offline = json.loads(command("verify", file, "--json")[1])
    online = json.loads(command("verify", file, "--online", "--json")[1])
    assert "receipt-missing" in {one["id"] for one in offline["findings"]}
    assert "receipt-missing" not in {one["id"] for one in online["findings"]}
    said = {one["id"]: one["message"] for one in online["findings"]}
    assert {"receipt-good", "receipt-unwitnessed"} & set(said), said
