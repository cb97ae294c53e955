"""Every part of a document from outside replaced by things of other types: one of our own errors, never a fault."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from enrolments import record
from rawtrace.errors import Error
from rawtrace.server.access import Role
from rawtrace.server.store import Store
from rawtrace.trust import authority
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.handles.values import read_answer
from rawtrace.trust.identity import create_identity
from rawtrace.trust.instruments import new_record
from rawtrace.trust.scope import LogPosition, Scope, ScopeKind
from rawtrace.trust.trustlist import read_list
from stores import client

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**30,
    1.5,
    "",
    "\ud800",
    "\0",
    "x" * 3_000,
    [],
    {},
    [[]],
    {"": {}},
    [{}],
    {"a": []},
)


@pytest.fixture
def each_store(database_address: Path | str, new_store: Callable[..., Store]) -> Store:
    """A store on SQLite, then one on PostgreSQL."""
    return new_store(
        database="" if isinstance(database_address, Path) else database_address,
        more="[limits]\nrequests_per_minute = 1000000\n",
    )


def odd_ones(value: Any) -> Iterator[Any]:
    """Yield a document with each of its parts, in turn, replaced by each odd thing, or taken away."""
    for path in _paths(value):
        for odd in ODD:
            made = copy.deepcopy(value)
            _at(made, path[:-1])[path[-1]] = odd
            yield made
        made = copy.deepcopy(value)
        del _at(made, path[:-1])[path[-1]]
        yield made


def _paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*above, key)
        yield from _paths(child, (*above, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def test_trust_lists(tmp_path: Path) -> None:
    home = tmp_path / "authority"
    authority.create_authority(home, name="Example Authority")
    told = {"manufacturer": "Example Optics", "model": "WF 100"}
    made = new_record(kind=SignerKind.INSTRUMENT, name="scope", owner="https://ror.org/0exampe44", **told)
    create_identity(tmp_path / "scope", SignerKind.INSTRUMENT, made, authority=home)
    scope = Scope(kind=ScopeKind.FIRMWARE, manufacturer="Example Optics", model="WF 100", firmware_to="2.1")
    authority.revoke(
        home, scope=scope, reason="unspecified", doubt_from=LogPosition(origin="log.example.org/log", index=3)
    )
    payload = (home / "trust-list.jws").read_bytes().split(b".")[1]
    document = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    # One of each is enough to see that it is read with care.
    entities = document["LoTE"]["TrustedEntitiesList"]
    document["LoTE"]["TrustedEntitiesList"] = entities[:2]
    assert read_list(json.dumps(document).encode(), source="list", require_signature=False).statuses
    for odd in odd_ones(document):
        with contextlib.suppress(Error):
            read_list(json.dumps(odd).encode(), source="list", require_signature=False)


def test_answers_about_handles(store: Store) -> None:
    asked = client(store, Role.OPERATOR)
    assert asked.post("/instruments", json=record()).status_code in {200, 201}
    document = client(store).get("/api/handles/20.500.12345/widefield").json()
    assert document["responseCode"] == 1
    document["values"] = document["values"][:3]
    for odd in odd_ones(document):
        with contextlib.suppress(Error):
            read_answer(json.dumps(odd).encode(), what="the answer")


BODIES: tuple[tuple[str, Any], ...] = (
    ("/statuses", {"scope": {"kind": "firmware", "manufacturer": "a", "model": "b", "firmwareTo": "1"}, "reason": "x",
                   "compromisedFrom": "2026-01-01T00:00:00Z", "doubtFrom": {"log": "a.example", "index": 1}, "note": "n"}),  # noqa: E501
    ("/statuses", {"serial": "ab", "reason": "x"}),
    ("/statuses", {"pid": "https://hdl.handle.net/20.500.12345/x", "reason": "x"}),
    ("/tokens", {"name": "n", "roles": ["nobody"], "pid": "p", "days": 1}),
    ("/enrolments", {"pid": "x", "kind": "instrument", "device": {"maker": "a" * 64, "serial_number": "1"}, "days": -1,
                     "approval": True, "hardware": False}),
    ("/enrolments/x/approve", {"reason": "r"}),
    ("/instruments/20.500.12345/x/lifecycle", {"event": "moved", "on": "2026-01-01", "place": "p", "note": "n"}),
)  # fmt: skip


@pytest.mark.parametrize(("path", "body"), BODIES, ids=[f"{number} {one[0]}" for number, one in enumerate(BODIES)])
def test_bodies_of_requests(each_store: Store, path: str, body: Any) -> None:
    asked = client(each_store, Role.OPERATOR, Role.OFFICER, Role.AUDITOR)
    for odd in odd_ones(body):
        _ask(asked, path, odd)


def test_records_of_instruments(each_store: Store) -> None:
    asked = client(each_store, Role.OPERATOR)
    body = {**record(), "description": "d", "rawtrace": {"location": "here"}}
    for odd in odd_ones(body):
        _ask(asked, "/instruments", odd)
        _ask(asked, "/enrolments", {"record": odd})


def _ask(asked: TestClient, path: str, body: Any) -> None:
    answer = asked.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, (path, body, answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "/enrolments?pid=%00", "/enrolments/%00", "/enrolments?pid=%ed%a0%80", "/instruments?q=%00",
        "/instruments?q=%ff", "/instruments/20.500.12345/%00", "/instruments/20.500.12345/%ff", "/seals/%00",
        "/log/tile/%00", "/log/receipts/%00", "/api/handles/20.500.12345/%00", "/api/handles/%00/x",
        "/witness/%00/checkpoint", "/federation/metadata/%00", "/federation/targets/%00",
        "/instruments?cursor=%00", "/instruments?owner=%00", "/audit?before=999999999999999",
        "/enrolments?before=2147483648", "/statuses?after=1000000",
    ],
)  # fmt: skip
def test_addresses(each_store: Store, path: str) -> None:
    answer = client(each_store, Role.OPERATOR, Role.OFFICER, Role.AUDITOR, Role.GATEWAY).get(path)
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("path", ["/enrolments/%00/approve", "/enrolments/%00/cancel", "/tokens/%00/withdraw"])
def test_addresses_that_change(each_store: Store, path: str) -> None:
    answer = client(each_store, Role.OPERATOR, Role.OFFICER).post(path)
    assert 400 <= answer.status_code < 500, answer.text
