"""Sessions of people at a browser: a random cookie, kept as a digest, for some hours."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from starlette.responses import Response

from rawtrace.database import METADATA, Database
from rawtrace.server.access import ANYBODY, Principal, Role
from rawtrace.server.tokens import TOKENS, digest, roles_of

SESSIONS = sa.Table(
    "access_session",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("roles", sa.Text, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("expires", sa.Text, nullable=False),
)
HOURS = 8
_SECURE, _PLAIN = "__Host-rawtrace", "rawtrace"


def begin(database: Database, *, name: str, roles: frozenset[Role], token: str = "") -> str:
    """Begin a session; returns the cookie's value.

    Parameters
    ----------
    token : str
        Digest of the token it began with: the session ends when that is withdrawn.
    """
    secret = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    row = {
        "digest": digest(secret),
        "name": name,
        "roles": " ".join(sorted(roles - {Role.PUBLIC})),
        "token": token,
        "expires": (now + timedelta(hours=HOURS)).isoformat(),
    }
    with database.write() as connection:
        connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.expires <= now.isoformat()))
        connection.execute(sa.insert(SESSIONS), [row])
    return secret


def holder_of(database: Database, cookies: Mapping[str, str], *, secure: bool) -> Principal:
    """Return whose session a browser's cookies name; ``ANYBODY`` where none is good.

    Parameters
    ----------
    secure : bool
        The store is at an https address. Then only the cookie counts that no neighbouring site can set.
    """
    secret = cookies.get(_SECURE if secure else _PLAIN) or ""
    if not secret:
        return ANYBODY
    with database.read() as connection:
        row = connection.execute(sa.select(SESSIONS).where(SESSIONS.c.digest == digest(secret))).first()
        if row is None or row.expires <= datetime.now(UTC).isoformat():
            return ANYBODY
        if row.token:
            token = connection.execute(sa.select(TOKENS).where(TOKENS.c.digest == row.token)).first()
            ended = token is None or token.withdrawn or (token.expires and token.expires <= _now())
            if ended:
                return ANYBODY
    return Principal(name=row.name, roles=roles_of(row.roles), session=row.digest)


def end(database: Database, principal: Principal) -> None:
    """End a session."""
    with database.write() as connection:
        connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.digest == principal.session))


def set_cookie(response: Response, secret: str, *, secure: bool) -> None:
    """Give a browser its session; an empty ``secret`` takes it away."""
    response.set_cookie(
        _SECURE if secure else _PLAIN,
        secret,
        max_age=HOURS * 3600 if secret else 0,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
