"""Who is let in: roles, tokens, sessions, forms from elsewhere, limits, and what the audit log keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from rawtrace.errors import UsageError
from rawtrace.server import auditlog, sessions, tokens
from rawtrace.server.access import Role
from rawtrace.server.app import ROUTES, create_app
from rawtrace.server.limits import Limiter
from rawtrace.server.problems import Problem
from rawtrace.server.store import Store
from stores import client, token

HERE = "https://store.example.org"
GUARDED = [route for route in ROUTES if Role.PUBLIC not in route.roles]


def entered(store: Store, *roles: Role) -> TestClient:
    """A browser that has logged in with a token."""
    browser = TestClient(create_app(store), base_url=HERE, follow_redirects=False)
    answer = browser.post("/login", data={"token": token(store, *roles)})
    assert answer.status_code == 303, answer.text
    return browser


def address(path: str) -> str:
    return path.replace(":path", "").replace("{", "").replace("}", "")


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")
def test_guarded_routes_refuse_strangers_and_wrong_roles(store: Store, route: object) -> None:
    stranger = client(store).request(route.method, address(route.path))  # type: ignore[attr-defined]
    assert stranger.status_code == 401
    assert stranger.headers["content-type"] == "application/problem+json"
    wrong = next(role for role in Role if role not in route.roles and role not in {Role.PUBLIC, Role.INSTRUMENT})  # type: ignore[attr-defined]
    assert client(store, wrong).request(route.method, address(route.path)).status_code == 403  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "shown", ["Bearer ", "Bearer rawtrace_x", "Bearer " + "a" * 5000, "Bearer \xe9\xe9", "Bearer ' OR 1=1 --"]
)
def test_a_token_that_is_not_ours_is_refused_even_where_none_is_needed(store: Store, shown: str) -> None:
    answer = client(store).get("/health", headers={"Authorization": shown.encode("latin-1")})  # type: ignore[dict-item]
    assert answer.status_code == 401


def test_tokens_are_kept_as_digests_and_end(store: Store) -> None:
    secret = token(store, Role.OPERATOR)
    with store.database.read() as connection:
        kept = str(connection.execute(sa.select(tokens.TOKENS)).all())
    assert secret not in kept
    assert secret.removeprefix(tokens.PREFIX) not in kept
    over = tokens.make_token(
        store.database, name="over", roles=(Role.OPERATOR,), expires=datetime.now(UTC) - timedelta(seconds=1)
    )
    with pytest.raises(Problem, match="not good any more"):
        tokens.holder_of(store.database, over)
    assert tokens.holder_of(store.database, secret).may(Role.OPERATOR)
    assert tokens.withdraw(store.database, tokens.digest(secret)[:16])
    with pytest.raises(Problem):
        tokens.holder_of(store.database, secret)


@pytest.mark.parametrize("token_id", ["", "%", "_" * 16, "0" * 16, "../../tokens"])
def test_withdrawing_takes_one_whole_id(store: Store, token_id: str) -> None:
    secret = token(store, Role.OPERATOR)
    assert not tokens.withdraw(store.database, token_id)
    assert tokens.holder_of(store.database, secret).known


def test_nobody_gives_away_a_role_that_they_do_not_have(store: Store) -> None:
    operator = client(store, Role.OPERATOR)
    assert operator.post("/tokens", json={"name": "a", "roles": ["officer"]}).status_code == 403
    assert operator.post("/tokens", json={"name": "a", "roles": ["operator"]}).status_code == 201
    bound = {"name": "a", "roles": ["instrument"], "pid": "https://hdl.handle.net/20.500.12345/wf1"}
    assert operator.post("/tokens", json=bound).status_code == 201
    assert operator.post("/tokens", json={"name": "a", "roles": ["instrument"]}).status_code == 422


@pytest.mark.parametrize(
    "wanted",
    [
        [], {}, {"name": 1, "roles": ["operator"]}, {"name": "a", "roles": "operator"}, {"name": "a", "roles": [[]]},
        {"name": "a", "roles": ["root"]}, {"name": "a", "roles": ["operator"], "days": -1},
        {"name": "a", "roles": ["operator"], "days": True}, {"name": "a", "roles": ["operator"], "more": 1},
        {"name": "a\nb", "roles": ["operator"]}, {"name": "", "roles": ["operator"]},
    ],
)  # fmt: skip
def test_bad_wishes_for_a_token_leave_no_trace(store: Store, wanted: object) -> None:
    operator = client(store, Role.OPERATOR)
    before = tokens.all_tokens(store.database)
    assert operator.post("/tokens", json=wanted).status_code in {400, 422}
    assert tokens.all_tokens(store.database) == before


def test_a_session_ends_with_its_token_and_with_logout(store: Store) -> None:
    browser = entered(store, Role.OPERATOR)
    cookie = browser.cookies.get("__Host-rawtrace")
    assert cookie
    assert browser.get("/tokens").status_code == 200
    left = browser.post("/logout", headers={"Origin": HERE})
    assert left.status_code == 303
    browser.cookies.set("__Host-rawtrace", cookie, domain="store.example.org")
    assert browser.get("/tokens").status_code == 401

    other = entered(store, Role.OPERATOR)
    for one in tokens.all_tokens(store.database):
        tokens.withdraw(store.database, str(one["id"]))
    assert other.get("/tokens").status_code == 401


def test_the_cookie_is_hidden_from_scripts_and_plain_http(store: Store) -> None:
    browser = TestClient(create_app(store), base_url=HERE, follow_redirects=False)
    said = browser.post("/login", data={"token": token(store, Role.OPERATOR)}).headers["set-cookie"]
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {part.strip() for part in said.split(";")}


@pytest.mark.parametrize("origin", ["", "null", "https://elsewhere.example", "http://store.example.org.evil.example"])
def test_forms_from_elsewhere_change_nothing(store: Store, origin: str) -> None:
    browser = entered(store, Role.OPERATOR)
    headers = {"Origin": origin} if origin else {}
    before = tokens.all_tokens(store.database)
    assert browser.post("/tokens", json={"name": "a", "roles": ["operator"]}, headers=headers).status_code == 403
    assert tokens.all_tokens(store.database) == before


def test_an_instrument_does_not_log_in_as_a_person(store: Store) -> None:
    secret = token(store, Role.INSTRUMENT, pid="https://hdl.handle.net/20.500.12345/wf1")
    browser = TestClient(create_app(store), base_url=HERE, follow_redirects=False)
    assert browser.post("/login", data={"token": secret}).status_code == 403


def test_the_audit_log_names_who_and_keeps_no_secret(store: Store) -> None:
    operator = client(store, Role.OPERATOR)
    made = operator.post("/tokens?hidden=in-the-query", json={"name": "body-text", "roles": ["operator"]}).json()
    operator.post("/tokens", json={"name": "body-text", "roles": ["officer"]})
    operator.get("/tokens")
    kept = auditlog.events(store.database)
    assert [(one["method"], one["path"], one["status"], one["who"]) for one in kept] == [
        ("POST", "/tokens", 403, "a test"),
        ("POST", "/tokens", 201, "a test"),
    ]
    assert not any(secret in str(kept) for secret in (made["token"], "in-the-query", "body-text"))
    shown = client(store, Role.AUDITOR).get("/audit").json()
    assert shown["events"] == kept
    assert client(store, Role.AUDITOR).get("/audit?before=x").status_code == 400


def test_sessions_run_out(store: Store) -> None:
    secret = sessions.begin(store.database, name="a", roles=frozenset({Role.OPERATOR}))
    assert sessions.holder_of(store.database, {"rawtrace": secret}, secure=False).known
    with store.database.write() as connection:
        connection.execute(sa.update(sessions.SESSIONS).values(expires=datetime.now(UTC).isoformat()))
    assert not sessions.holder_of(store.database, {"rawtrace": secret}, secure=False).known


def test_a_limit_empties_fills_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    limiter = Limiter(60, clock=lambda: now[0])
    for _ in range(60):
        limiter.take("a")
    with pytest.raises(Problem) as refused:
        limiter.take("a")
    assert refused.value.status == 429
    assert refused.value.headers["Retry-After"] == "1"
    limiter.take("b")
    now[0] += 1
    limiter.take("a")
    monkeypatch.setattr("rawtrace.server.limits._MOST_KEYS", 10)
    for number in range(100):
        limiter.take(f"stranger {number}")
    assert len(limiter._buckets) <= 10


def test_guessing_tokens_is_slowed_down(new_store: object) -> None:
    store = new_store(more="[limits]\nrequests_per_minute = 20\n")  # type: ignore[operator]
    guesser = client(store)
    seen = {
        guesser.get("/health", headers={"Authorization": f"Bearer guess{number}"}).status_code for number in range(25)
    }
    assert seen == {401, 429}
    # Who is known is not held back by it.
    assert client(store, Role.OPERATOR).get("/health").status_code == 200
    assert "Retry-After" in guesser.get("/openapi.yaml").headers
    # What costs no more than a file is read by anybody, as often as they like.
    assert guesser.get("/health").status_code == 200


def test_a_proxys_word_counts_only_where_it_is_named(new_store: object) -> None:
    from rawtrace.server.access import Knock

    def seen(store: Store, forwarded: str) -> str:
        knock = Knock(method="GET", headers={"x-forwarded-for": forwarded}, cookies={}, address="10.0.0.5")
        return store.access.address_of(knock)

    plain = new_store("plain")  # type: ignore[operator]
    assert seen(plain, "192.0.2.7") == "10.0.0.5"
    behind = new_store("behind")  # type: ignore[operator]
    import dataclasses

    from rawtrace.server.access import Access

    listen = dataclasses.replace(behind.settings.listen, proxies=("10.0.0.5",))
    behind.access = Access(behind.database, dataclasses.replace(behind.settings, listen=listen))
    assert seen(behind, "198.51.100.1, 192.0.2.7") == "192.0.2.7"


def test_names_of_tokens_are_bounded(store: Store) -> None:
    with pytest.raises(UsageError):
        tokens.make_token(store.database, name="x" * 101, roles=(Role.OPERATOR,))
