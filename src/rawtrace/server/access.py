"""Who may do what: roles, bearer tokens hashed at rest, and the question every route asks first."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa

from rawtrace.database import METADATA, Database
from rawtrace.errors import UsageError
from rawtrace.server.problems import Problem

TOKENS = sa.Table(
    "access_token",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("roles", sa.Text, nullable=False),
    sa.Column("pid", sa.Text, nullable=False),
    sa.Column("made", sa.Text, nullable=False),
    sa.Column("expires", sa.Text, nullable=False),
    sa.Column("withdrawn", sa.Text, nullable=False, default=""),
)
TOKEN_PREFIX = "rawtrace_"  # noqa: S105  lets scanners of leaked secrets know one


class Role(StrEnum):
    """What somebody may be to a store. No role includes another."""

    PUBLIC = "public"
    INSTRUMENT = "instrument"
    GATEWAY = "gateway"
    OPERATOR = "operator"
    OFFICER = "officer"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks.

    Attributes
    ----------
    name : str
        For the audit log; never a secret.
    roles : frozenset[Role]
    pid : str
        Of the instrument that asks; empty for others.
    """

    name: str
    roles: frozenset[Role]
    pid: str = ""

    def may(self, *roles: Role) -> bool:
        """Whether any of the roles is theirs."""
        return bool(self.roles & set(roles))


ANYBODY = Principal(name="", roles=frozenset({Role.PUBLIC}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of the table of routes.

    Attributes
    ----------
    method : str
    path : str
        As Starlette writes it: ``/instruments/{pid:path}``.
    handler : str
        ``module:function`` below ``rawtrace.server``.
    roles : tuple[Role, ...]
        Who may call it; ``(Role.PUBLIC,)`` for everybody.
    body_limit : int
        Bytes.
    spools : bool
        The body may be large and goes to a temporary file.
    """

    method: str
    path: str
    handler: str
    roles: tuple[Role, ...]
    body_limit: int = 1 << 16
    spools: bool = False


class Access:
    """The door of a store.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def admit(
        self,
        route: Route,
        *,
        headers: Mapping[str, str],
        cookies: Mapping[str, str],
        client: str,
        peer_certificate: bytes | None,
    ) -> Principal:
        """Tell who asks, or refuse.

        Raises
        ------
        Problem
            401 for somebody unknown, 403 for somebody whose roles do not suffice, 429 for too many requests.
        """
        principal = self._identify(headers)
        if Role.PUBLIC in route.roles or principal.may(*route.roles):
            return principal
        if principal is ANYBODY:
            msg = "this asks for a token"
            raise Problem(401, msg, headers={"WWW-Authenticate": "Bearer"})
        msg = f"this is for the role {' or '.join(route.roles)}"
        raise Problem(403, msg)

    def _identify(self, headers: Mapping[str, str]) -> Principal:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return ANYBODY
        now = datetime.now(UTC).isoformat()
        with self._database.read() as connection:
            row = connection.execute(sa.select(TOKENS).where(TOKENS.c.digest == _digest(token.strip()))).first()
        if row is None or row.withdrawn or (row.expires and row.expires < now):
            msg = "the token is not one of this store's, or is not good any more"
            raise Problem(401, msg, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        roles = frozenset({Role.PUBLIC, *(Role(one) for one in row.roles.split())})
        return Principal(name=row.name, roles=roles, pid=row.pid)


def make_token(
    database: Database, *, name: str, roles: tuple[Role, ...], pid: str = "", expires: datetime | None = None
) -> str:
    """Make a bearer token; it is shown this once, and only its digest is kept.

    Parameters
    ----------
    name : str
        Whose it is, for people.
    roles : tuple[Role, ...]
    pid : str
        For ``Role.INSTRUMENT``: the only instrument that it may speak for.
    expires : datetime, optional
    """
    if Role.INSTRUMENT in roles and not pid:
        msg = "a token for an instrument names its PID"
        raise UsageError(msg)
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = {
        "digest": _digest(token),
        "name": name,
        "roles": " ".join(sorted(set(roles) - {Role.PUBLIC})),
        "pid": pid,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "expires": expires.astimezone(UTC).isoformat() if expires else "",
        "withdrawn": "",
    }
    with database.write() as connection:
        connection.execute(sa.insert(TOKENS), [row])
    return token


def _digest(token: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(token.encode()).hexdigest()
