"""Bearer tokens: 256 random bits, shown once, kept as a digest."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime

import sqlalchemy as sa

from rawtrace.database import METADATA, Database
from rawtrace.errors import UsageError
from rawtrace.server.access import ROLE_NAMES, Principal, Role
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
    sa.Column("withdrawn", sa.Text, nullable=False),
)
PREFIX = "rawtrace_"  # lets those who scan for leaked secrets know one
MAX_NAME = 100


def make_token(
    database: Database, *, name: str, roles: tuple[Role, ...], pid: str = "", expires: datetime | None = None
) -> str:
    """Make a token; it is shown this once, and only its digest is kept.

    Parameters
    ----------
    name : str
        Whose it is, for people; 1 to 100 characters.
    roles : tuple[Role, ...]
    pid : str
        For ``Role.INSTRUMENT``: the only instrument that it may speak for.
    expires : datetime, optional

    Raises
    ------
    UsageError
    """
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        msg = f"a token needs the name of whose it is, of at most {MAX_NAME} characters"
        raise UsageError(msg)
    if (Role.INSTRUMENT in roles) != bool(pid):
        msg = "a token for an instrument names its PID, and no other does"
        raise UsageError(msg)
    token = PREFIX + secrets.token_urlsafe(32)
    row = {
        "digest": digest(token),
        "name": name.strip(),
        "roles": " ".join(sorted(set(roles) - {Role.PUBLIC})),
        "pid": pid,
        "made": _text(datetime.now(UTC)),
        "expires": _text(expires) if expires else "",
        "withdrawn": "",
    }
    with database.write() as connection:
        connection.execute(sa.insert(TOKENS), [row])
    return token


def holder_of(database: Database, token: str) -> Principal:
    """Return who holds a token.

    Raises
    ------
    Problem
        401: not a token of this store, or not any more.
    """
    with database.read() as connection:
        row = connection.execute(sa.select(TOKENS).where(TOKENS.c.digest == digest(token))).first()
    if row is None or row.withdrawn or (row.expires and row.expires <= _text(datetime.now(UTC))):
        msg = "the token is not one of this store's, or is not good any more"
        raise Problem(401, msg, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    return Principal(name=row.name, roles=roles_of(row.roles), pid=row.pid)


def all_tokens(database: Database) -> list[dict[str, object]]:
    """Return what is known of every token, newest first; ``id`` is the beginning of its digest."""
    with database.read() as connection:
        rows = connection.execute(sa.select(TOKENS).order_by(TOKENS.c.made.desc(), TOKENS.c.digest)).all()
    return [
        {
            "id": row.digest[:16],
            "name": row.name,
            "roles": row.roles.split(),
            "pid": row.pid,
            "made": row.made,
            "expires": row.expires,
            "withdrawn": row.withdrawn,
        }
        for row in rows
    ]


def withdraw(database: Database, token_id: str) -> bool:
    """Make a token worthless from now on; False where no good token has that id."""
    if len(token_id) != 16 or not token_id.isalnum():
        return False
    with database.write() as connection:
        done = connection.execute(
            sa.update(TOKENS)
            .where(TOKENS.c.digest.startswith(token_id, autoescape=True), TOKENS.c.withdrawn == "")
            .values(withdrawn=_text(datetime.now(UTC)))
        )
    return done.rowcount > 0


def roles_of(text: str) -> frozenset[Role]:
    """Read roles as the database holds them; one that is not known any more gives nothing."""
    return frozenset({Role.PUBLIC, *(Role(one) for one in text.split() if one in ROLE_NAMES)})


def digest(secret: str) -> str:
    """Return what is kept of a secret of 256 random bits: nothing can be guessed from a plain hash of it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
