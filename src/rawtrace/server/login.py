"""Logging in with OpenID Connect: authorization code flow, PKCE always, every claim checked.

An attempt is bound to the browser by a cookie and to the answer by ``state``,
``nonce`` and the code verifier, all random, all good once and for ten minutes.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from rawtrace import durable, strictjson
from rawtrace.database import METADATA, Database
from rawtrace.errors import Error, NetworkError, StoreError
from rawtrace.server.access import ROLE_NAMES, Role
from rawtrace.server.problems import Problem
from rawtrace.server.settings import Login
from rawtrace.server.tokens import digest
from rawtrace.web import Web, check_address

ATTEMPTS = sa.Table(
    "access_login",
    METADATA,
    sa.Column("state", sa.String(64), primary_key=True),
    sa.Column("browser", sa.String(64), nullable=False),
    sa.Column("nonce", sa.Text, nullable=False),
    sa.Column("verifier", sa.Text, nullable=False),
    sa.Column("expires", sa.Text, nullable=False),
)
COOKIE = "rawtrace-login"
_MINUTES = 10
_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
_GROUP_CLAIMS = ("groups", "eduperson_entitlement", "entitlements")
_MAX_DOCUMENT = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who has logged in.

    Attributes
    ----------
    name : str
    roles : frozenset[Role]
        Those that the store's settings give to the subject or one of its groups.
    """

    name: str
    roles: frozenset[Role]


class OpenIdConnect:
    """Logging in at one issuer.

    Parameters
    ----------
    database : Database
    settings : Login
    folder : Path
        The store's, where the client's secret lies.
    callback : str
        Address of this store that the issuer sends browsers back to.

    Raises
    ------
    StoreError
        The store has no issuer.
    """

    def __init__(self, database: Database, settings: Login, *, folder: Path, callback: str) -> None:
        if not settings.issuer or not settings.client_id:
            msg = "this store is not set up for logging in with OpenID Connect"
            raise StoreError(msg, hint="[login] issuer and client_id in store.toml; a token works always")
        self._database, self._settings, self._folder, self._callback = database, settings, folder, callback

    def start(self) -> tuple[str, str]:
        """Return the issuer's address to send the browser to, and the cookie that binds the attempt to it."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        state, nonce, verifier, browser = (secrets.token_urlsafe(48) for _ in range(4))
        now = datetime.now(UTC)
        row = {
            "state": digest(state),
            "browser": digest(browser),
            "nonce": nonce,
            "verifier": verifier,
            "expires": (now + timedelta(minutes=_MINUTES)).isoformat(),
        }
        with self._database.write() as connection:
            connection.execute(sa.delete(ATTEMPTS).where(ATTEMPTS.c.expires <= now.isoformat()))
            connection.execute(sa.insert(ATTEMPTS), [row])
        with Web() as web:
            endpoint = _address(self._discover(web), "authorization_endpoint")
        url = prepare_grant_uri(
            endpoint,
            self._settings.client_id,
            "code",
            redirect_uri=self._callback,
            scope="openid profile",
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return url, browser

    def finish(self, query: Mapping[str, str], *, browser: str) -> Person:
        """Return who has logged in, from what the issuer sent back with the browser.

        Raises
        ------
        Problem
            403: the answer does not belong to an attempt of this browser, or proves nothing.
        NetworkError
        """
        attempt = self._take(query.get("state", ""), browser)
        if "code" not in query:
            msg = f"the login was broken off: {query.get('error', 'no reason given')[:100]}"
            raise Problem(403, msg)
        if query.get("iss") not in {None, self._settings.issuer}:
            msg = "the answer comes from another issuer"
            raise Problem(403, msg)
        with Web() as web:
            provider = self._discover(web)
            token = self._exchange(web, _address(provider, "token_endpoint"), query["code"], attempt.verifier)
            keys = _document(web, _address(provider, "jwks_uri"))
        claims = self._claims(token, keys, attempt.nonce)
        return Person(name=_name(claims), roles=self._roles(claims))

    def _take(self, state: str, browser: str) -> Any:
        with self._database.write() as connection:
            chosen = ATTEMPTS.c.state == digest(state)
            attempt = connection.execute(sa.select(ATTEMPTS).where(chosen)).first()
            connection.execute(sa.delete(ATTEMPTS).where(chosen))
        expired = attempt is not None and attempt.expires <= datetime.now(UTC).isoformat()
        if attempt is None or expired or not hmac.compare_digest(attempt.browser, digest(browser)):
            msg = "this answer belongs to no login that was begun in this browser"
            raise Problem(403, msg, hint="begin again at /login")
        return attempt

    def _discover(self, web: Web) -> Mapping[str, Any]:
        issuer = self._settings.issuer
        provider = _document(web, issuer.rstrip("/") + "/.well-known/openid-configuration")
        if provider.get("issuer") != issuer:
            msg = f"{issuer} calls itself {provider.get('issuer')!r}; expected the same name"
            raise StoreError(msg)
        methods = provider.get("code_challenge_methods_supported")
        if not isinstance(methods, list) or "S256" not in methods:
            msg = f"{issuer} does not offer PKCE with S256, without which nobody is logged in here"
            raise StoreError(msg)
        return provider

    def _exchange(self, web: Web, endpoint: str, code: str, verifier: str) -> str:
        from authlib.oauth2.rfc6749.parameters import prepare_token_request

        headers = {"Accept": "application/json"}
        secret = self._secret()
        if secret:
            # RFC 6749, section 2.3.1: each half is encoded by itself before the two are joined.
            pair = f"{quote(self._settings.client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        body = prepare_token_request(
            "authorization_code",
            redirect_uri=self._callback,
            code=code,
            code_verifier=verifier,
            client_id=None if secret else self._settings.client_id,
        )
        answer = web.post(
            endpoint,
            body.encode(),
            content_type="application/x-www-form-urlencoded",
            limit=_MAX_DOCUMENT,
            headers=headers,
        )
        document = _json(answer.body, endpoint)
        token = document.get("id_token")
        if answer.status != 200 or not isinstance(token, str):
            msg = f"the issuer does not take its own code back: {str(document.get('error', answer.status))[:100]}"
            raise Problem(403, msg)
        return token

    def _claims(self, token: str, keys: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        expected = jwt.JWTClaimsRegistry(
            leeway=60,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )
        try:
            decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=_ALGORITHMS)  # type: ignore[arg-type]
            claims: Mapping[str, Any] = decoded.claims
            expected.validate(dict(claims))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            msg = "what the issuer says of who logged in does not hold"
            raise Problem(403, msg) from error
        shown = claims.get("nonce")
        if not isinstance(shown, str) or not hmac.compare_digest(shown, nonce):
            msg = "what the issuer says was said for another login"
            raise Problem(403, msg)
        if claims.get("azp", self._settings.client_id) != self._settings.client_id:
            msg = "what the issuer says was said to another program"
            raise Problem(403, msg)
        return claims

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        subject = str(claims["sub"])
        # Some issuers let people choose what they are called; nobody is called like a group.
        known = set() if subject.startswith("group:") else {subject}
        for name in _GROUP_CLAIMS:
            groups = claims.get(name)
            known |= {f"group:{one}" for one in groups if isinstance(one, str)} if isinstance(groups, list) else set()
        given = {
            Role(role)
            for role, whose in self._settings.roles.items()
            if role in ROLE_NAMES and known.intersection(whose)
        }
        return frozenset({Role.PUBLIC, *given})

    def _secret(self) -> str:
        if not self._settings.client_secret_file:
            return ""
        path = self._folder / self._settings.client_secret_file
        return durable.read_bounded(path, limit=4096).decode("utf-8", "replace").strip()


def _document(web: Web, url: str) -> Mapping[str, Any]:
    answer = web.get(url, limit=_MAX_DOCUMENT, accept="application/json")
    if answer.status != 200:
        msg = f"{url} answers with status {answer.status}"
        raise NetworkError(msg)
    return _json(answer.body, url)


def _json(body: bytes, url: str) -> Mapping[str, Any]:
    try:
        document = strictjson.loads(body, what=url, max_bytes=_MAX_DOCUMENT)
    except Error as error:
        raise NetworkError(error.message) from error
    if not isinstance(document, dict):
        msg = f"{url} is not the JSON object that was expected"
        raise NetworkError(msg)
    return document


def _address(provider: Mapping[str, Any], name: str) -> str:
    url = str(provider.get(name, ""))
    check_address(url)
    return url


def _name(claims: Mapping[str, Any]) -> str:
    stated = claims.get("name")
    subject = str(claims["sub"])[:100]
    shown = f"{stated[:80]} ({subject})" if isinstance(stated, str) and stated.strip() else subject
    return "".join(character for character in shown if character.isprintable())
