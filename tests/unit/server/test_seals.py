"""Delivering seals to a store: what is refused, what is answered twice, limits, and what others may see."""

from __future__ import annotations

import base64
import dataclasses
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rawtrace.errors import LedgerError, LogBusyError
from rawtrace.ledger.receipt import read_receipts
from rawtrace.report import Verdict
from rawtrace.sealing.gateway import countersign, unchanged_in
from rawtrace.sealing.logrecord import record_of
from rawtrace.sealing.manifest import read_store
from rawtrace.sealing.seal import seal
from rawtrace.server.access import Principal, Role
from rawtrace.server.erasure import forget_seals
from rawtrace.server.run import server_key
from rawtrace.server.seals import SEALS
from rawtrace.server.store import Store
from rawtrace.trust import authority as authorities
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity
from rawtrace.trust.instruments import summary
from rawtrace.trust.timeauthority import create_time_authority
from rawtrace.verification.verify import verify
from stores import client, running

TYPE = {"content-type": "application/c2pa"}
CLOCK = "\n[offers]\ntime = true\n"
GATEWAY = "\n[offers]\ngateway = true\ntime = true\ncertify = true\n"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, new_store: Callable[..., Store]) -> Store:
    """A store on either database."""
    if request.param == "sqlite":
        return new_store()
    return new_store(database=request.getfixturevalue("postgres").new_database())


@pytest.fixture
def gateway_store(new_store: Callable[..., Store], new_identity: Any) -> Store:
    """A store that counter-signs, with a clock of its own."""
    opened = new_store("gateway-store", more=GATEWAY)
    create_time_authority(opened.folder / "time", authority=opened.authority_folder)
    new_identity(
        SignerKind.REPOSITORY,
        authority=opened.authority_folder,
        folder=opened.folder / "gateway",
        name="Example Archive",
    )
    return opened


@pytest.fixture
def scope_of(new_identity: Any) -> Callable[[Store], Identity]:
    return lambda store: new_identity(SignerKind.INSTRUMENT, authority=store.authority_folder)


def pid_of(identity: Identity) -> str:
    return summary(identity.record)["pid"]


def sealed(folder: Path, signer: Identity, name: str = "cells.tif", **options: Any) -> Path:
    path = folder / name
    path.write_bytes(b"II*\0" + name.encode() * 50)
    seal(path, signer=signer, **options)
    return path


def sidecar(path: Path) -> bytes:
    return path.with_name(f"{path.name}.c2pa").read_bytes()


def rows(store: Store) -> list[Any]:
    with store.database.read() as connection:
        return list(connection.execute(sa.select(SEALS)))


# --- refused


def test_who_may_not_deliver_fail(store: Store, scope_of: Any, tmp_path: Path) -> None:
    scope = scope_of(store)
    data = sidecar(sealed(tmp_path, scope))
    assert client(store).post("/seals", content=data, headers=TYPE).status_code == 401
    for role in (Role.OPERATOR, Role.AUDITOR, Role.OFFICER):
        assert client(store, role).post("/seals", content=data, headers=TYPE).status_code == 403
    other = client(store, Role.INSTRUMENT, pid="https://hdl.handle.net/20.500.12345/other")
    answer = other.post("/seals", content=data, headers=TYPE)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert rows(store) == []
    assert store.log.size == 0


@pytest.mark.parametrize("bad", [b"", b"nonsense", b"\0\0\0\x10jumb" + b"\0" * 8])
def test_what_is_no_seal_fail(store: Store, bad: bytes) -> None:
    answer = client(store, Role.GATEWAY).post("/seals", content=bad, headers=TYPE)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert rows(store) == []


def test_other_bodies_fail(store: Store) -> None:
    asked = client(store, Role.GATEWAY)
    assert asked.post("/seals", content=b"{}", headers={"content-type": "application/json"}).status_code == 415
    lines = {"content-type": "application/x-ndjson"}
    for body in (b"", b"{}\n", b'{"sidecar": "?"}\n', b'{"sidecar": 7}\n', b"[" * 900 + b"\n", b"{}\n" * 101):
        assert asked.post("/seals", content=body, headers=lines).status_code == 400


def test_seals_that_do_not_hold_fail(store: Store, scope_of: Any, tmp_path: Path, self_instrument: Identity) -> None:
    asked = client(store, Role.GATEWAY)
    data = bytearray(sidecar(sealed(tmp_path, scope_of(store))))
    data[-10] ^= 1
    assert "does not hold" in asked.post("/seals", content=bytes(data), headers=TYPE).json()["detail"]
    unknown = sidecar(sealed(tmp_path, self_instrument, "unknown.tif"))
    said = asked.post("/seals", content=unknown, headers=TYPE)
    assert (said.status_code, "no authority that this store accepts" in said.json()["detail"]) == (422, True)
    assert rows(store) == []
    assert store.log.size == 0


def test_revoked_instrument_fail(store: Store, scope_of: Any, tmp_path: Path) -> None:
    scope = scope_of(store)
    before = sidecar(sealed(tmp_path, scope))
    asked = client(store, Role.GATEWAY)
    assert asked.post("/seals", content=before, headers=TYPE).status_code == 200
    authorities.revoke(store.authority_folder, pid=pid_of(scope), reason="keyCompromise")
    later = sidecar(sealed(tmp_path, scope, "later.tif"))
    said = asked.post("/seals", content=later, headers=TYPE)
    assert (said.status_code, "revoked" in said.json()["detail"]) == (422, True)


# --- answered


def test_taken_once_and_answered_again(store: Store, scope_of: Any, tmp_path: Path) -> None:
    scope = scope_of(store)
    data = sidecar(sealed(tmp_path, scope))
    asked = client(store, Role.INSTRUMENT, pid=pid_of(scope))
    first = asked.post("/seals", content=data, headers=TYPE).json()
    active = read_store(data).active_manifest
    assert (first["claim"], first["index"], "sidecar" in first) == (active.claim_sha256, 0, False)
    (receipt,) = read_receipts(first["receipt"].encode())
    assert receipt.record == record_of(active)
    again = asked.post("/seals", content=data, headers=TYPE).json()
    assert (again["claim"], again["index"]) == (first["claim"], first["index"])
    assert (store.log.size, len(rows(store))) == (1, 1)
    assert store.seals.per_month(pid_of(scope)) == ((f"{datetime.now(UTC):%Y-%m}", 1),)


def test_counter_signed_and_answered_again(gateway_store: Store, scope_of: Any, tmp_path: Path) -> None:
    store = gateway_store
    scope = scope_of(store)
    path = sealed(tmp_path, scope)
    data = sidecar(path)
    asked = client(store, Role.INSTRUMENT, pid=pid_of(scope))
    first, again = (asked.post("/seals", content=data, headers=TYPE).json() for _ in range(2))
    updated = base64.b64decode(first["sidecar"])
    assert first["sidecar"] == again["sidecar"]
    assert unchanged_in(data, updated)
    # The counter-signature is logged, too.
    own, its = read_receipts(first["receipt"].encode())
    assert (own.record, own.index) == (record_of(read_store(data).active_manifest), 0)
    assert (its.record, its.index) == (record_of(read_store(updated).active_manifest), 1)
    # What was counter-signed already is not again, and is the same record.
    third = asked.post("/seals", content=updated, headers=TYPE).json()
    assert ("sidecar" in third, third["index"], store.log.size) == (False, 0, 2)
    assert [one.record for one in read_receipts(third["receipt"].encode())] == [own.record, its.record]
    kept = asked.get(f"/seals/{first['claim']}", headers={"accept": "application/json"}).json()
    assert [one.record for one in read_receipts(kept["receipt"].encode())] == [own.record, its.record]
    path.with_name("cells.tif.c2pa.tlog-proof").write_text(third["receipt"])
    path.with_name("cells.tif.c2pa").write_bytes(updated)
    report = verify(path, trust=store.lists())
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    found = {finding.id: finding.message for finding in report.findings}
    assert {"counter-signed", "time-trusted"} <= set(found)
    assert "entry 1" in found["receipt-unwitnessed"]
    assert "entry 0" in found["ancestor-noted"]


def test_counter_signature_of_a_store_that_is_not_known_here(
    gateway_store: Store, scope_of: Any, new_identity: Any, tmp_path: Path
) -> None:
    data = sidecar(sealed(tmp_path, scope_of(gateway_store)))
    stranger = new_identity(SignerKind.REPOSITORY, name="Example Stranger")
    elsewhere = countersign(data, signer=stranger).store
    answer = client(gateway_store, Role.GATEWAY).post("/seals", content=elsewhere, headers=TYPE).json()
    assert ("sidecar" in answer, answer["index"]) == (False, 0)


def test_seal_of_a_certificate_that_has_run_out_since(store: Store, new_identity: Any, tmp_path: Path) -> None:
    from rawtrace.server.seals import SealDesk

    data = sidecar(sealed(tmp_path, new_identity(SignerKind.INSTRUMENT, authority=store.authority_folder)))
    from rawtrace.verification.signer import Verifier

    verifier = Verifier(store.lists(), datetime.now(UTC) + timedelta(days=500))
    assert SealDesk(store)._judge(data, verifier).pid


def test_many_at_once(store: Store, scope_of: Any, tmp_path: Path) -> None:
    scope, other = scope_of(store), scope_of(store)
    seals = [sidecar(sealed(tmp_path, scope, f"{number}.tif")) for number in range(3)]
    seals.insert(1, b"nonsense")
    seals.append(sidecar(sealed(tmp_path, other, "other.tif")))
    body = b"".join(json.dumps({"sidecar": base64.b64encode(one).decode()}).encode() + b"\n" for one in seals)
    asked = client(store, Role.INSTRUMENT, pid=pid_of(scope))
    answer = asked.post("/seals", content=body, headers={"content-type": "application/x-ndjson"})
    said = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["status"] for one in said] == [200, 422, 200, 200, 403]
    assert [one.get("index") for one in said] == [0, None, 1, 2, None]
    assert store.log.size == 3


def test_the_same_seal_twice_in_one_request_and_in_many_threads(store: Store, scope_of: Any, tmp_path: Path) -> None:
    scope = scope_of(store)
    data = sidecar(sealed(tmp_path, scope))
    line = json.dumps({"sidecar": base64.b64encode(data).decode()}).encode() + b"\n"
    asked = client(store, Role.GATEWAY)
    answer = asked.post("/seals", content=line * 3, headers={"content-type": "application/x-ndjson"})
    assert [json.loads(one)["index"] for one in answer.text.splitlines()] == [0, 0, 0]
    other = sidecar(sealed(tmp_path, scope, "other.tif"))
    principal = Principal(name="a test", roles=frozenset({Role.GATEWAY}))
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: store.seals.take(other, principal), range(16)))
    assert {one.index for one in taken} == {1}
    assert (store.log.size, len(rows(store))) == (2, 2)


def test_many_threads_get_one_counter_signature(gateway_store: Store, scope_of: Any, tmp_path: Path) -> None:
    data = sidecar(sealed(tmp_path, scope_of(gateway_store)))
    principal = Principal(name="a test", roles=frozenset({Role.GATEWAY}))
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda _: gateway_store.seals.take(data, principal), range(12)))
    assert len({one.sidecar for one in taken}) == 1
    assert unchanged_in(data, taken[0].sidecar)


def test_what_was_erased_does_not_come_back(store: Store, scope_of: Any, tmp_path: Path) -> None:
    data = sidecar(sealed(tmp_path, scope_of(store)))
    asked = client(store, Role.GATEWAY)
    claim = asked.post("/seals", content=data, headers=TYPE).json()["claim"]
    store.log.erase(0)
    assert forget_seals(store.database, store.log) == 1
    assert asked.get(f"/seals/{claim}").status_code == 404
    again = asked.post("/seals", content=data, headers=TYPE).json()
    assert (again["index"], again["receipt"], store.log.size) == (0, "", 1)
    assert rows(store) == []
    assert forget_seals(store.database, store.log) == 0


def test_a_counter_signed_seal_is_erased_whole(gateway_store: Store, scope_of: Any, tmp_path: Path) -> None:
    store = gateway_store
    scope = scope_of(store)
    erased, other = (sidecar(sealed(tmp_path, scope, name)) for name in ("cells.tif", "other.tif"))
    asked = client(store, Role.GATEWAY)
    updated = base64.b64decode(asked.post("/seals", content=erased, headers=TYPE).json()["sidecar"])
    asked.post("/seals", content=other, headers=TYPE)
    store.log.erase(0)
    assert forget_seals(store.database, store.log) == 1
    # The record of the counter-signature says the same of the same seal, so it is gone, too.
    for index in (0, 1):
        with pytest.raises(LedgerError, match="erased"):
            store.log.receipt(index)
    assert [bytes(row.sidecar) for row in rows(store)] == [other]
    assert store.log.receipt(2)
    # Delivered again, with and without the counter-signature: an answer, and nothing kept.
    for data in (erased, updated):
        said = asked.post("/seals", content=data, headers=TYPE).json()
        assert (said["index"], said["receipt"], "sidecar" in said) == (0, "", False)
    assert (len(rows(store)), store.log.size) == (1, 4)


def test_the_command_erases_in_log_and_store(
    tmp_path: Path, scope_of: Any, new_store: Callable[..., Store], capsys: pytest.CaptureFixture[str]
) -> None:
    from rawtrace.cli.main import run_for_code

    store = new_store("erased-store")
    data = sidecar(sealed(tmp_path, scope_of(store)))
    asked = client(store, Role.GATEWAY)
    claim = asked.post("/seals", content=data, headers=TYPE).json()["claim"]
    old = sidecar(sealed(tmp_path, scope_of(store), "old.tif"))
    asked.post("/seals", content=old, headers=TYPE)
    # Beside a running server.
    assert run_for_code(["log", "erase", f"{store.folder}", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seals_deleted"] == 1
    assert asked.get(f"/seals/{claim}").status_code == 404
    assert [bytes(row.sidecar) for row in rows(store)] == [old]
    assert data[100:400] not in b"".join(path.read_bytes() for path in store.folder.glob("store.sqlite*"))
    time.sleep(1.1)  # the log keeps whole seconds
    assert run_for_code(["log", "erase", f"{store.folder}", "--kind", "seal", "--older-than", "0"]) == 0
    assert "deleted 1 delivered seal" in capsys.readouterr().out
    assert rows(store) == []


def test_who_sees_what(store: Store, scope_of: Any, tmp_path: Path) -> None:
    scope = scope_of(store)
    data = sidecar(sealed(tmp_path, scope))
    own = client(store, Role.INSTRUMENT, pid=pid_of(scope))
    claim = own.post("/seals", content=data, headers=TYPE).json()["claim"]
    for asked in (own, client(store, Role.OPERATOR), client(store, Role.AUDITOR)):
        answer = asked.get(f"/seals/{claim}", headers={"accept": "application/c2pa"})
        assert (answer.content, answer.headers["content-type"]) == (data, "application/c2pa")
    assert own.get(f"/seals/{claim}", headers={"accept": "application/json"}).json()["index"] == 0
    other = client(store, Role.INSTRUMENT, pid="https://hdl.handle.net/20.500.12345/other")
    assert other.get(f"/seals/{claim}").status_code == 404
    assert own.get(f"/seals/{'0' * 64}").status_code == own.get("/seals/x").status_code == 404
    assert client(store).get(f"/seals/{claim}").status_code == 401


# --- limits


def test_rate_and_quota(new_store: Callable[..., Store], scope_of: Any, tmp_path: Path) -> None:
    store = new_store(more="\n[limits]\nseals_per_minute = 4\nseals_per_day = 2\n")
    scope = scope_of(store)
    seals = [sidecar(sealed(tmp_path, scope, f"{number}.tif")) for number in range(3)]
    asked = client(store, Role.INSTRUMENT, pid=pid_of(scope))
    codes = [asked.post("/seals", content=one, headers=TYPE).status_code for one in seals[:2]]
    full = asked.post("/seals", content=seals[2], headers=TYPE)
    assert (codes, full.status_code) == ([200, 200], 429)
    assert 86_000 < int(full.headers["retry-after"]) <= 86_401
    # What was taken already costs nothing of the quota.
    assert asked.post("/seals", content=seals[0], headers=TYPE).status_code == 200
    fast = asked.post("/seals", content=seals[0], headers=TYPE)
    assert (fast.status_code, int(fast.headers["retry-after"]) > 0) == (429, True)
    # Another instrument is not held up by the first.
    other = scope_of(store)
    data = sidecar(sealed(tmp_path, other, "other.tif"))
    assert (
        client(store, Role.INSTRUMENT, pid=pid_of(other)).post("/seals", content=data, headers=TYPE).status_code == 200
    )


def test_log_that_takes_no_more(store: Store, scope_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = sidecar(sealed(tmp_path, scope_of(store)))
    asked = client(store, Role.GATEWAY)

    def busy(*_: Any) -> Any:
        msg = "the log has too many records waiting"
        raise LogBusyError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(store.log, "submit_many", busy)
        answer = asked.post("/seals", content=data, headers=TYPE)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    # It was kept, and the repetition is logged.
    assert asked.post("/seals", content=data, headers=TYPE).json()["index"] == 0
    assert [row.position for row in rows(store)] == [0]


def test_quorum_that_is_away(store: Store, scope_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import Future

    data = sidecar(sealed(tmp_path, scope_of(store)))
    monkeypatch.setattr("rawtrace.server.seals._WAIT_S", 0.05)
    monkeypatch.setattr(store.log, "submit_many", lambda _: Future())
    answer = client(store, Role.GATEWAY).post("/seals", content=data, headers=TYPE)
    assert (answer.status_code, "quorum" in answer.json()["detail"]) == (503, True)


def test_gateway_without_its_key_or_its_clock(gateway_store: Store, scope_of: Any, tmp_path: Path) -> None:
    store = gateway_store
    data = sidecar(sealed(tmp_path, scope_of(store)))
    asked = client(store, Role.GATEWAY)
    (store.folder / "gateway").rename(store.folder / "away")
    answer = asked.post("/seals", content=data, headers=TYPE)
    assert (answer.status_code, "logged" in answer.json()["detail"]) == (503, True)
    (store.folder / "away").rename(store.folder / "gateway")
    store.time_authority._last += timedelta(hours=1)
    assert asked.post("/seals", content=data, headers=TYPE).status_code == 503
    store.time_authority._last -= timedelta(hours=1)
    answer = asked.post("/seals", content=data, headers=TYPE)
    assert (answer.status_code, answer.json()["index"], "sidecar" in answer.json()) == (200, 0, True)


# --- another's clock


def test_another_stores_clock(
    new_store: Callable[..., Store], scope_of: Any, new_identity: Any, tmp_path: Path
) -> None:
    keeper = new_store("keeper", more=CLOCK, tls=True, name="Example clock")
    create_time_authority(keeper.folder / "time", authority=keeper.authority_folder)
    with running(keeper) as clock:
        key = server_key(keeper.folder)
        more = f'\n[offers]\ngateway = true\ncertify = true\n\n[time]\nurl = "{clock.url}/time"\nserver_key = "{key}"\n'
        store = new_store("without-clock", more=more)
        new_identity(SignerKind.REPOSITORY, authority=store.authority_folder, folder=store.folder / "gateway")
        path = sealed(tmp_path, scope_of(store))
        asked = client(store, Role.GATEWAY)
        # No list that the store goes by names this clock: no stamp of it is taken, and no update is made without one.
        answer = asked.post("/seals", content=sidecar(path), headers=TYPE)
        assert (answer.status_code, "not from an authority on the trust lists" in answer.json()["detail"]) == (
            503,
            True,
        ), answer.text
        refused = asked.post("/certify?name=old.tif", content=b"II*\0old")
        assert (refused.status_code, "not from an authority on the trust lists" in refused.json()["detail"]) == (
            503,
            True,
        ), refused.text
        assert [row.updated for row in rows(store)] == [None]
        listed = keeper.authority_folder / "trust-list.jws"
        (store.folder / "keeper.jws").write_bytes(listed.read_bytes())
        store.settings = dataclasses.replace(store.settings, accept=("keeper.jws",))
        taken = asked.post("/seals", content=sidecar(path), headers=TYPE)
        assert (taken.status_code, taken.json()["index"]) == (200, 0), taken.text
        path.with_name("cells.tif.c2pa").write_bytes(base64.b64decode(taken.json()["sidecar"]))
        report = verify(path, trust=store.lists())
        assert {"counter-signed", "time-trusted"} <= {finding.id for finding in report.findings}
        certified = asked.post("/certify?name=old.tif", content=b"II*\0old")
        assert certified.status_code == 201, certified.text


def test_a_clock_that_shows_another_key_or_is_away_fail(
    new_store: Callable[..., Store], scope_of: Any, new_identity: Any, tmp_path: Path
) -> None:
    keeper = new_store("keeper", more=CLOCK, tls=True, name="Example clock")
    create_time_authority(keeper.folder / "time", authority=keeper.authority_folder)
    with running(keeper) as clock:
        more = f'\n[offers]\ngateway = true\n\n[time]\nurl = "{clock.url}/time"\nserver_key = "{"0" * 64}"\n'
        store = new_store("without-clock", more=more, authority=keeper.authority_folder)
        new_identity(SignerKind.REPOSITORY, authority=store.authority_folder, folder=store.folder / "gateway")
        data = sidecar(sealed(tmp_path, scope_of(store)))
        asked = client(store, Role.GATEWAY)
        assert asked.post("/seals", content=data, headers=TYPE).status_code == 503
        key = dataclasses.replace(store.settings.time, server_key=server_key(keeper.folder))
        store.settings = dataclasses.replace(store.settings, time=key)
        assert "sidecar" in asked.post("/seals", content=data, headers=TYPE).json()
    other = sidecar(sealed(tmp_path, scope_of(store), "other.tif"))
    away = asked.post("/seals", content=other, headers=TYPE)
    assert (away.status_code, "does not answer" in away.json()["detail"]) == (503, True)


# --- by certificate


def test_an_instrument_is_known_by_its_certificate(
    new_store: Callable[..., Store], scope_of: Any, new_identity: Any, tmp_path: Path
) -> None:
    store = new_store("tls-store", tls=True)
    scope = scope_of(store)
    data = sidecar(sealed(tmp_path, scope))
    workstation = new_identity(SignerKind.WORKSTATION, authority=store.authority_folder)

    def post(web: Any, url: str) -> int:
        return int(web.post(f"{url}/seals", data, content_type="application/c2pa").status)

    with running(store) as served:

        def status_for(identity: Identity) -> int:
            shown = (identity.folder / "certificate.pem", identity.folder / "key.pem")
            with served.web(certificate=shown) as web:
                return post(web, served.url)

        with served.web() as web:
            assert post(web, served.url) == 401
        assert status_for(workstation) == 401
        assert status_for(scope_of(store)) == 403
        assert status_for(scope) == 200
        authorities.revoke(store.authority_folder, pid=pid_of(scope), reason="cessationOfOperation")
        assert status_for(scope) == 401
