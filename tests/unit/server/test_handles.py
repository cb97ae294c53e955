"""What a store answers about handles, as bytes over HTTP."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.conftest import make_record

from rawtrace.errors import AlreadyExistsError, MalformedError, UsageError
from rawtrace.server import handles, registry
from rawtrace.server.store import Store
from rawtrace.trust import authority as authorities
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.handles import digest, values, wire
from rawtrace.trust.handles.names import read_handle
from rawtrace.trust.handles.values import Answer, Code
from rawtrace.trust.identity import create_identity
from stores import PREFIX, client, give_handle_key

PID = f"https://hdl.handle.net/{PREFIX}/widefield-1"
NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def with_instrument(store: Store, tmp_path: Path) -> Store:
    """A store whose authority has certified one instrument, and that signs its records."""
    create_identity(
        tmp_path / "instrument",
        SignerKind.INSTRUMENT,
        make_record(pid=PID),
        authority=store.authority_folder,
    )
    give_handle_key(store.folder)
    tls = dataclasses.replace(store.settings.listen, tls=True)
    store.settings = dataclasses.replace(store.settings, listen=tls)
    return store


def ask(asked: TestClient, handle: str, **query: Any) -> Any:
    return asked.get(f"/api/handles/{handle}", params=query)


@pytest.mark.parametrize(
    ("handle", "status", "code"),
    [
        (f"{PREFIX}/nothing", 404, 100),
        (f"{PREFIX}/WIDEFIELD-1", 404, 100),
        ("20.500.99999/widefield-1", 400, 301),
        ("0.NA/20.500.99999", 404, 100),
        ("0.NA/0.NA", 404, 100),
        ("0.NA/a%20b", 404, 100),
        (f"{PREFIX}/%2e%2e/x", 400, 102),
        (f"{PREFIX}/x%00", 400, 102),
        (f"{PREFIX}/%ff%fe", 400, 102),
        (f"{PREFIX}/{'x' * 2000}", 400, 102),
        ("a%20b/x", 400, 102),
        ("20..5/x", 400, 102),
        (f"{PREFIX}/widefield-1%252F..", 404, 100),
    ],
)
def test_what_is_not_there_is_refused_in_the_handle_systems_words_fail(
    with_instrument: Store, handle: str, status: int, code: int
) -> None:
    said = ask(client(with_instrument), handle)
    assert (said.status_code, said.json()["responseCode"]) == (status, code)
    assert said.headers["content-type"] == "application/json"
    assert "set-cookie" not in said.headers


def test_a_line_break_in_an_address_leads_nowhere_fail(with_instrument: Store) -> None:
    said = ask(client(with_instrument), f"{PREFIX}/x%0d%0aSet-Cookie:%20a=b")
    assert said.status_code == 404
    assert "set-cookie" not in said.headers


@pytest.mark.parametrize("index", ["-1", "x", "1.5", "\uff19", "99999999999", ""])
def test_odd_index_fail(with_instrument: Store, index: str) -> None:
    said = ask(client(with_instrument), f"{PREFIX}/widefield-1", index=index)
    assert said.status_code == 400
    assert said.headers["content-type"] == "application/problem+json"


def test_too_many_choices_fail(with_instrument: Store) -> None:
    said = client(with_instrument).get(f"/api/handles/{PREFIX}/widefield-1", params={"index": ["1"] * 101})
    assert said.status_code == 400


def test_an_instruments_record(with_instrument: Store) -> None:
    said = ask(client(with_instrument), f"{PREFIX}/widefield-1")
    assert said.status_code == 200
    answer = values.read_answer(said.content, what="it")
    assert values.write_answer(answer) == said.content
    assert said.content.startswith(
        b'{"responseCode":1,"handle":"20.500.12345/widefield-1","values":[{"index":1,"type":"URL","data":'
        b'{"format":"string","value":"https://store.example.org/instruments/20.500.12345/widefield-1"},"ttl":3600}'
    )
    types = [value.type for value in answer.values or ()]
    assert types.count(values.INSTRUMENT_CERTIFICATE) == 1
    assert {values.URL, values.ADMIN, values.SIGNATURE, "21.T11148/8eb858ee0b12e8e463a5"} <= set(types)


def test_the_record_is_signed_by_the_key_of_the_prefix(with_instrument: Store) -> None:
    asked = client(with_instrument)
    about = values.read_answer(ask(asked, f"0.na/{PREFIX}").content, what="it")
    key = next(wire.rsa_key(value.data) for value in about.values or () if value.type == values.PUBLIC_KEY)
    assert key is not None
    record = values.read_answer(ask(asked, f"{PREFIX}/widefield-1").content, what="it").values or ()
    signature = next(value for value in record if value.type == values.SIGNATURE)
    now = with_instrument.now()
    handle = read_handle(f"{PREFIX}/widefield-1")
    made = digest.check_signature(signature.text, handle=handle, values=record, key=key, at=now)
    assert made.indexes == {value.index for value in record} - {signature.index}
    assert made.issuer.text == f"300:0.NA/{PREFIX}"


def test_values_are_chosen_by_index_and_type(with_instrument: Store) -> None:
    asked = client(with_instrument)

    def types(**query: Any) -> list[str]:
        return [one["type"] for one in ask(asked, f"{PREFIX}/widefield-1", **query).json()["values"]]

    assert types(index=1) == ["URL"]
    assert types(index=["1", "100"]) == ["URL", "HS_ADMIN"]
    assert types(type="url") == ["URL"]
    assert types(index=1, type="HS_ADMIN") == ["URL", "HS_ADMIN"]
    assert types(type="org.rawtrace.") == ["org.rawtrace.certificate"]
    assert types(index=1, auth="", publicOnly="") == ["URL"]
    nothing = ask(asked, f"{PREFIX}/widefield-1", index=77)
    assert (nothing.status_code, nothing.content) == (
        200,
        b'{"responseCode":200,"values":[],"handle":"20.500.12345/widefield-1"}',
    )


def test_the_same_answer_for_a_day_and_304_after_it(with_instrument: Store) -> None:
    with_instrument.now = lambda: NOW
    asked = client(with_instrument)
    first = ask(asked, f"{PREFIX}/widefield-1")
    with_instrument.now = lambda: NOW.replace(hour=23)
    again = asked.get(f"/api/handles/{PREFIX}/widefield-1", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    with_instrument.now = lambda: NOW.replace(day=21)
    assert ask(asked, f"{PREFIX}/widefield-1").content != first.content


def test_prefix_is_compared_without_case(new_store: Any, tmp_path: Path) -> None:
    store = new_store(prefix="21.Tab", url="https://127.0.0.1:8650")
    pid = "https://hdl.handle.net/21.tAB/abc"
    create_identity(tmp_path / "it", SignerKind.INSTRUMENT, make_record(pid=pid), authority=store.authority_folder)
    assert ask(client(store), "21.TAB/abc").status_code == 200
    assert ask(client(store), "21.TAB/ABC").status_code == 404


def test_own_prefix(with_instrument: Store) -> None:
    said = ask(client(with_instrument), f"0.NA/{PREFIX}")
    (site,) = [one for one in said.json()["values"] if one["type"] == "HS_SITE"]
    (server,) = site["data"]["value"]["servers"]
    assert server["interfaces"] == [{"query": True, "admin": False, "protocol": "HTTPS", "port": 443}]
    assert server["address"] == "0.0.0.0"  # noqa: S104
    assert {"name": "domain", "value": "store.example.org"} in site["data"]["value"]["attributes"]
    (operator,) = [one for one in said.json()["values"] if one["type"] == values.OPERATOR]
    listed = authorities.open_authority(with_instrument.authority_folder)
    assert operator["data"]["value"] == f"sha256:{handles.certificates_digest(listed.operator[-1])}"


def test_without_its_own_tls_a_store_names_no_server(store: Store) -> None:
    assert ask(client(store), f"0.NA/{PREFIX}").status_code == 404


def record_of(store: Store, prefix: str = PREFIX) -> bytes:
    return bytes(ask(client(store), f"0.NA/{prefix}").content)


def test_a_root_answers_for_what_was_delegated_and_refers(with_instrument: Store, new_store: Any) -> None:
    root = new_store("root", prefix="20.1")
    operator = "ab" * 32
    handles.delegate(root.folder, PREFIX, record_of(with_instrument), operators=[operator])
    asked = client(root)
    said = ask(asked, f"0.NA/{PREFIX}").json()
    assert [one["type"] for one in said["values"]] == ["HS_SITE", values.OPERATOR, "HS_PUBKEY"]
    # What the store says of its own operator is not taken over.
    assert said["values"][1]["data"]["value"] == f"sha256:{operator}"
    referral = ask(asked, f"{PREFIX}/widefield-1")
    assert (referral.status_code, referral.json()["responseCode"]) == (200, 302)
    assert [one["type"] for one in referral.json()["values"]] == ["HS_SITE"]


def test_delegating_what_is_none_fail(with_instrument: Store, new_store: Any) -> None:
    root = new_store("root", prefix="20.1")
    given = record_of(with_instrument)
    with pytest.raises(MalformedError, match="not the record"):
        handles.delegate(root.folder, "20.500.777", given)
    with pytest.raises(UsageError, match="64 hexadecimal"):
        handles.delegate(root.folder, PREFIX, given, operators=["sha256:00"])
    with pytest.raises(MalformedError):
        handles.delegate(root.folder, "../..", given)
    empty = Answer(code=Code.SUCCESS, handle=read_handle(f"0.NA/{PREFIX}"), values=())
    with pytest.raises(MalformedError, match="no server"):
        handles.delegate(root.folder, PREFIX, values.write_answer(empty))
    assert not (root.folder / "handles").exists()


def test_a_delegated_record_of_another_prefix_is_noticed_fail(with_instrument: Store, new_store: Any) -> None:
    root = new_store("root", prefix="20.1")
    path = handles.delegate(root.folder, PREFIX, record_of(with_instrument))
    path.rename(path.with_name("20.7.json"))
    assert ask(client(root), "0.NA/20.7").status_code == 503


def test_the_handle_key_is_made_once_and_kept_private(with_instrument: Store) -> None:
    with pytest.raises(AlreadyExistsError):
        handles.create_handle_key(with_instrument.folder)
    path = with_instrument.folder / "handles" / "key.pem"
    path.chmod(0o644)
    assert ask(client(with_instrument), f"{PREFIX}/widefield-1").status_code == 503
    path.chmod(0o600)
    path.write_text("no key")
    assert ask(client(with_instrument), f"{PREFIX}/widefield-1").status_code == 503
    path.unlink()
    said = ask(client(with_instrument), f"{PREFIX}/widefield-1").json()
    assert "HS_SIGNATURE" not in {one["type"] for one in said["values"]}


def test_every_certificate_of_an_instrument_is_told(with_instrument: Store, tmp_path: Path) -> None:
    from rawtrace.trust.identity import renew_identity

    renew_identity(tmp_path / "instrument", authority=with_instrument.authority_folder)
    said = ask(client(with_instrument), f"{PREFIX}/widefield-1", type=values.INSTRUMENT_CERTIFICATE)
    found = json.loads(said.content)["values"]
    assert [one["index"] for one in found] == [500, 501]
    assert {one["data"]["format"] for one in found} == {"base64"}


def test_a_registered_instrument_has_a_handle_before_it_has_a_certificate(store: Store) -> None:
    registry.put(store, make_record(pid=PID), who="a test")
    said = ask(client(store), f"{PREFIX}/widefield-1").json()
    assert said["responseCode"] == 1
    assert f"{store.settings.url}/instruments/{PREFIX}/widefield-1" in json.dumps(said)


def test_contacts_are_told_to_nobody_and_moves_to_everybody(with_instrument: Store) -> None:
    record = make_record(pid=PID, location="Room 77")
    record["owners"][0]["ownerContact"] = "manager@facility.example"
    registry.put(with_instrument, record, who="a test")
    said = json.dumps(ask(client(with_instrument), f"{PREFIX}/widefield-1").json())
    assert "manager@facility.example" not in said
    record["rawtrace"] = {**record.get("rawtrace", {}), "contactPublic": True}
    registry.put(with_instrument, record, who="a test")
    assert "manager@facility.example" in json.dumps(ask(client(with_instrument), f"{PREFIX}/widefield-1").json())
