"""What an OpenID issuer says counts only if every claim fits; the flow itself runs against a real one in interop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from rawtrace.errors import StoreError
from rawtrace.server.access import Role
from rawtrace.server.login import ATTEMPTS, OpenIdConnect
from rawtrace.server.problems import Problem
from rawtrace.server.settings import Login
from rawtrace.server.store import Store
from stores import client

ISSUER = "https://login.example.org"
KEY = ECKey.generate_key("P-256", {"kid": "one"})
KEYS = KeySet([KEY]).as_dict(private=False)
NOW = int(datetime.now(UTC).timestamp())
GOOD: dict[str, Any] = {
    "iss": ISSUER, "aud": "store", "sub": "person", "exp": NOW + 300, "iat": NOW, "nonce": "n" * 64,
    "groups": ["urn:example:officers"],
}  # fmt: skip


@pytest.fixture
def connect(store: Store) -> OpenIdConnect:
    login = Login(
        issuer=ISSUER, client_id="store", roles={"officer": ("group:urn:example:officers",), "operator": ("other",)}
    )
    return OpenIdConnect(
        store.database, login, folder=store.folder, callback="https://store.example.org/login/callback"
    )


def signed(claims: dict[str, Any], key: Any = KEY, alg: str = "ES256") -> str:
    return jwt.encode({"alg": alg, "kid": "one"}, claims, key, algorithms=[alg])


def test_a_subject_that_is_called_like_a_group_is_none_fail(connect: OpenIdConnect) -> None:
    claims = {**GOOD, "sub": "group:urn:example:officers", "groups": []}
    assert connect._roles(claims) == {Role.PUBLIC}


def test_good_claims_give_the_roles_of_the_settings(connect: OpenIdConnect) -> None:
    claims = connect._claims(signed(GOOD), KEYS, "n" * 64)
    assert connect._roles(claims) == {Role.PUBLIC, Role.OFFICER}


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example.org"}, {"iss": None}, {"aud": "another"}, {"aud": ["another"]},
        {"exp": NOW - 120}, {"exp": None}, {"iat": None}, {"sub": None}, {"nonce": "m" * 64},
        {"nonce": None}, {"nonce": ["n" * 64]}, {"azp": "another"}, {"nbf": NOW + 900},
    ],
)  # fmt: skip
def test_claims_that_do_not_fit_are_refused_fail(connect: OpenIdConnect, change: dict[str, Any]) -> None:
    claims = {name: value for name, value in (GOOD | change).items() if value is not None}
    with pytest.raises(Problem) as refused:
        connect._claims(signed(claims), KEYS, "n" * 64)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "forge",
    [
        lambda: signed(GOOD, ECKey.generate_key("P-256", {"kid": "one"})),
        lambda: signed(GOOD, OctKey.import_key(b"x" * 32), "HS256"),
        lambda: signed(GOOD)[:-4] + "AAAA",
        lambda: "eyJhbGciOiJub25lIn0." + signed(GOOD).split(".")[1] + ".",
        lambda: "no token",
        lambda: "..",
        lambda: "",
    ],
    ids=["another key", "a shared secret", "another signature", "no signature", "no token", "empty parts", "nothing"],
)
def test_tokens_that_the_issuer_did_not_sign_are_refused_fail(connect: OpenIdConnect, forge: Callable[[], str]) -> None:
    with pytest.raises(Problem) as refused:
        connect._claims(forge(), KEYS, "n" * 64)
    assert refused.value.status == 403


@pytest.mark.parametrize("query", ["", "?code=a", "?code=a&state=b", "?state=", "?error=access_denied&state=x"])
def test_an_answer_that_nobody_asked_for_is_refused(new_store: Callable[..., Store], query: str) -> None:
    store = new_store(more=f'[login]\nissuer = "{ISSUER}"\nclient_id = "store"\n')
    assert client(store).get(f"/login/callback{query}").status_code == 403


def test_an_attempt_runs_out(connect: OpenIdConnect, store: Store) -> None:
    from rawtrace.server.tokens import digest

    row = {"state": digest("s"), "browser": digest("b"), "nonce": "n", "verifier": "v"}
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    with store.database.write() as connection:
        connection.execute(sa.insert(ATTEMPTS), [row | {"expires": past}])
    with pytest.raises(Problem, match="no login"):
        connect.finish({"state": "s", "code": "c"}, browser="b")


def test_a_store_without_an_issuer_says_so(store: Store) -> None:
    answer = client(store).get("/login/start")
    assert answer.status_code == 503
    with pytest.raises(StoreError):
        OpenIdConnect(store.database, Login(), folder=store.folder, callback="")
