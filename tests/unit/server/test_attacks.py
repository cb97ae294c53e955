"""Attacks on a running store: by strangers, by web pages, by operators, and by whoever cuts the network."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from enrolments import EST, PID, ask, basic, grant, key, record
from rawtrace.errors import DatabaseError
from rawtrace.server import sessions, tokens
from rawtrace.server.access import Role
from rawtrace.server.app import create_app
from rawtrace.server.limits import household
from rawtrace.server.store import Store
from stores import client, running, token

HERE = "https://store.example.org"
CSR = {"Content-Type": "application/pkcs10"}


# --- web pages


def browser_of(store: Store) -> TestClient:
    return TestClient(create_app(store), base_url=HERE, follow_redirects=False)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://store.example.org.evil.example"])
def test_a_page_from_elsewhere_logs_nobody_in_fail(store: Store, origin: str) -> None:
    # The visitor would then work, and register instruments, in the attacker's name.
    answer = browser_of(store).post(
        "/login", data={"token": token(store, Role.OPERATOR)}, headers={"Origin": origin, "Host": "store.example.org"}
    )
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_login_is_for_the_own_page_and_for_programs(store: Store) -> None:
    for headers in ({}, {"Origin": HERE}):
        answer = browser_of(store).post("/login", data={"token": token(store, Role.OPERATOR)}, headers=headers)
        assert answer.status_code == 303


def test_a_cookie_that_a_neighbouring_site_can_set_is_no_session_fail(store: Store) -> None:
    # Only a name that begins with __Host- cannot come from a sibling domain or over plain http.
    secret = sessions.begin(store.database, name="attacker", roles=frozenset({Role.OPERATOR}))
    tossed = browser_of(store).get("/tokens", headers={"Cookie": f"rawtrace={secret}"})
    assert tossed.status_code == 401
    own = browser_of(store).get("/tokens", headers={"Cookie": f"__Host-rawtrace={secret}"})
    assert own.status_code == 200


# --- operators


@pytest.mark.parametrize("form", [False, True])
def test_an_operator_cannot_do_without_the_officer_that_the_store_asks_for_fail(
    new_store: Callable[..., Store], form: bool
) -> None:
    store = new_store(more="[enrolment]\napproval = true\n")
    operator = client(store, Role.OPERATOR)
    if form:
        assert operator.post("/enrolments", json={"record": record()}).status_code == 201
        made = operator.post("/enrolments", data={"pid": PID})
        code = next(
            part
            for part in made.text.replace("<", " ").replace(">", " ").split()
            if part.count("-") == 4 and part.isupper()
        )
    else:
        made = operator.post("/enrolments", json={"record": record(), "approval": False})
        code = made.json()["code"]
    assert made.status_code == 201, made.text
    asked = client(store).post(f"{EST}/simpleenroll", content=ask(grant(), key()), headers=CSR | basic(PID, code))
    assert asked.status_code == 202, "it waits for an officer"


# --- whoever cuts the network


@pytest.fixture
def cut_off(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose witnesses do not answer, so that its log acknowledges nothing."""
    monkeypatch.setattr(store.log, "submit", lambda _: Future())
    monkeypatch.setattr(store.log, "submit_many", lambda _: Future())
    monkeypatch.setattr("rawtrace.server.store.RECORD_WAIT_S", 0.2, raising=False)
    return store


def in_time(ask_for: Callable[[], Any], *, seconds: float = 5.0) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(ask_for()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, f"no answer within {seconds} s"
    return found[0]


def test_statuses_are_told_while_the_logs_quorum_is_away_fail(cut_off: Store) -> None:
    operator, officer, stranger = client(cut_off, Role.OPERATOR), client(cut_off, Role.OFFICER), client(cut_off)
    made = in_time(lambda: operator.post("/enrolments", json={"record": record()}))
    assert made.status_code in {201, 503}, made.text
    body = {"scope": {"kind": "product", "manufacturer": "Example Optics", "model": "WF 100"}, "reason": "unspecified"}
    in_time(lambda: officer.post("/statuses", json=body))
    assert in_time(lambda: stranger.get("/crl")).status_code == 200


# --- strangers who take connections


@contextlib.contextmanager
def idle(url: str, count: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    host, port = url.removeprefix("http://").split(":")
    opened = []
    try:
        for _ in range(count):
            one = socket.create_connection((host, int(port)), timeout=5)
            one.sendall(sent)
            opened.append(one)
        yield opened
    finally:
        for one in opened:
            one.close()


def closed(one: socket.socket, *, seconds: float) -> bool:
    one.settimeout(seconds)
    try:
        while one.recv(4096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    "sent", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\nX-", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /h"]
)
def test_a_request_that_never_ends_is_hung_up_on_fail(
    store: Store, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawtrace.server.run.HEADERS_S", 0.5, raising=False)
    with running(store) as one, idle(one.url, 1, sent) as (connection,):
        assert closed(connection, seconds=5)


def test_a_body_that_never_comes_is_hung_up_on_fail(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawtrace.server.calls.PATIENCE_S", 0.5, raising=False)
    head = b"POST /witness/add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nold"
    with running(store) as one, idle(one.url, 1, head) as (connection,):
        assert closed(connection, seconds=5)


def test_one_address_does_not_take_every_connection_fail(store: Store) -> None:
    from rawtrace.server import run

    with running(store) as one, one.web() as web, idle(one.url, run.MAX_FROM_ONE - 5):
        assert web.get(f"{one.url}/health").status == 200
        with idle(one.url, 20) as opened:
            assert sum(closed(connection, seconds=0.05) for connection in opened) >= 10
        assert run.MAX_CONNECTIONS > 2 * run.MAX_FROM_ONE


def test_writers_that_wait_leave_readers_alone_fail(store: Store) -> None:
    # What waits for witnesses holds a thread; receipts and statuses are read all the same.
    release = threading.Event()
    with running(store) as one, one.web() as web:

        def slow(*_: Any) -> Any:
            release.wait(20)
            raise DatabaseError("slow")

        store.log_desk.take = slow  # type: ignore[method-assign]
        secret = token(store, Role.GATEWAY)

        def write(_number: int) -> int:
            with one.web() as own:
                headers = {"Authorization": f"Bearer {secret}"}
                return own.post(
                    f"{one.url}/log/records", b"{}", content_type="application/x-ndjson", headers=headers
                ).status

        with ThreadPoolExecutor(60) as pool:
            waiting = [pool.submit(write, number) for number in range(60)]
            time.sleep(1.0)
            try:
                assert in_time(lambda: web.get(f"{one.url}/health"), seconds=4).status == 200
            finally:
                release.set()
            assert {each.result() for each in waiting} == {503}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("testclient", "another", False),
    ],
)
def test_who_has_many_addresses_is_one_caller_fail(one: str, other: str, same: bool) -> None:
    assert (household(one) == household(other)) is same


# --- what answers and logs give away


def test_a_fault_of_the_database_shows_no_secret_in_the_log_fail(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = token(store, Role.OPERATOR)
    digest = tokens.digest(secret)
    with store.database.write() as connection:
        connection.execute(sa.text("DROP TABLE access_token"))
    answer = TestClient(create_app(store)).get("/health", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code in {500, 503}
    assert secret not in caplog.text
    assert digest not in caplog.text
    with pytest.raises(DatabaseError) as caught, store.database.read() as connection:
        connection.execute(sa.select(tokens.TOKENS).where(tokens.TOKENS.c.digest == digest))
    assert digest not in "".join(traceback.format_exception(caught.value))


def test_no_answer_tells_where_the_store_lies_fail(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise sa.exc.OperationalError("SELECT", {}, Exception(f"unable to open database file {store.folder}/x"))

    monkeypatch.setattr(sa.Connection, "execute", fail)
    answer = client_without_token(store).get("/instruments")
    assert answer.status_code == 503
    assert str(store.folder) not in answer.text
    monkeypatch.undo()
    (store.authority_folder / "trust-list.jws").unlink()
    for path in ("/trust-list", "/instruments", "/authorities", "/statuses", "/crl"):
        assert str(store.folder) not in client_without_token(store).get(path).text, path


def client_without_token(store: Store) -> TestClient:
    return TestClient(create_app(store), follow_redirects=False)


# --- what stays behind


def test_uploads_that_a_killed_server_left_are_taken_away_fail(store: Store) -> None:
    left = store.folder / "uploads" / "upload-left"
    left.mkdir(parents=True)
    (left / "body").write_bytes(b"x")
    folder = store.folder
    store.close()
    with Store.open(folder) as again, running(again):
        assert not left.exists()


@pytest.mark.parametrize("query", ["?name=a.tif", "", "?name=../a", "?name=a&kind=x"])
def test_an_upload_that_is_refused_anyway_is_not_taken_in_first_fail(
    new_store: Callable[..., Store], query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 16 GiB that nobody will look at fill the disk all the same.
    store = new_store(more=f"[offers]\ncertify = {'false' if query == '?name=a.tif' else 'true'}\n")
    monkeypatch.setattr("rawtrace.server.calls._copy", lambda *_: pytest.fail("the body was taken in"))
    answer = client(store, Role.INSTRUMENT, pid=PID).post(f"/certify{query}", content=b"x")
    assert answer.status_code in {400, 404, 422}


def test_an_upload_leaves_room_for_log_and_database_fail(
    new_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(more="[offers]\ncertify = true\n")
    free = shutil.disk_usage(store.folder).free
    monkeypatch.setattr("rawtrace.server.calls._RESERVE", free + (1 << 40))
    answer = client(store, Role.INSTRUMENT, pid=PID).post("/certify?name=a.tif", content=b"x")
    assert (answer.status_code, "room" in answer.text) == (503, True)
    assert list((store.folder / "uploads").iterdir()) == []
