"""Who may do what: the question that every route asks first.

Programs show a bearer token (``tokens``), people a session (``sessions``) that
began with a token or with OpenID Connect (``login``). A cookie is sent by
browsers whoever wrote the page, so what changes anything must then come from a
page of this store: the ``Origin`` header says so, and forms need no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from rawtrace.database import Database
from rawtrace.server.limits import Limiter, household
from rawtrace.server.problems import Problem
from rawtrace.server.settings import Settings

_SAFE = frozenset({"GET", "HEAD"})


class Role(StrEnum):
    """What somebody may be to a store. No role includes another."""

    PUBLIC = "public"
    INSTRUMENT = "instrument"
    GATEWAY = "gateway"
    OPERATOR = "operator"
    OFFICER = "officer"
    AUDITOR = "auditor"


ROLE_NAMES = frozenset(role.value for role in Role)


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
    session : str
        Digest of the session; empty for programs.
    """

    name: str
    roles: frozenset[Role]
    pid: str = ""
    session: str = ""

    def may(self, *roles: Role) -> bool:
        """Whether any of the roles is theirs."""
        return bool(self.roles & set(roles))

    @property
    def known(self) -> bool:
        """Whether the store knows who it is."""
        return bool(self.name)


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
    spool_limit : str
        Which of the settings' limits says how large a spooled body may be.
    before : str
        As ``handler``: refuses, before any of the body is taken in, what can be refused without it.
    counts : bool
        Whether a call by somebody unknown counts against the limit of requests: not for what costs no more
        than a file, nor for what witnesses and mirrors do for each checkpoint of a busy log.
    """

    method: str
    path: str
    handler: str
    roles: tuple[Role, ...]
    body_limit: int = 1 << 16
    spools: bool = False
    spool_limit: str = "upload_bytes"
    before: str = ""
    counts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """What is known of a request before it is let in.

    Attributes
    ----------
    method : str
    headers, cookies : Mapping[str, str]
        Header names in lower case.
    address : str
        Of who is connected.
    """

    method: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    address: str


class Access:
    """The door of a store.

    Parameters
    ----------
    database : Database
    settings : Settings
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._strangers = Limiter(settings.limits.requests_per_minute)

    def address_of(self, knock: Knock) -> str:
        """Return the address that limits go by: a proxy's word counts only where the settings name the proxy."""
        if knock.address in self._settings.listen.proxies:
            return knock.headers.get("x-forwarded-for", "").rpartition(",")[2].strip() or knock.address
        return knock.address

    def identify(self, route: Route, knock: Knock) -> Principal:
        """Tell who asks; ``ANYBODY`` for who shows nothing.

        Raises
        ------
        Problem
            401 for a token or session that is not good, 403 for a form that comes from elsewhere,
            429 for too many requests of somebody unknown.
        """
        address = household(self.address_of(knock))
        try:
            principal = self._shown(knock)
        except Problem:
            self._strangers.take(address)
            raise
        if route.counts and not principal.known:
            self._strangers.take(address)
        return principal

    @staticmethod
    def permit(route: Route, principal: Principal) -> None:
        """Let somebody through, or not.

        Raises
        ------
        Problem
            401 for somebody unknown, 403 for somebody whose roles do not suffice.
        """
        if Role.PUBLIC in route.roles or principal.may(*route.roles):
            return
        if not principal.known:
            msg = "this asks for a token, or for a login"
            raise Problem(401, msg, headers={"WWW-Authenticate": "Bearer"})
        msg = f"this is for the role {' or '.join(route.roles)}"
        raise Problem(403, msg)

    def _shown(self, knock: Knock) -> Principal:
        from rawtrace.server import sessions, tokens

        scheme, _, credential = knock.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return tokens.holder_of(self._database, credential.strip())
        secure = self._settings.url.startswith("https:")
        principal = sessions.holder_of(self._database, knock.cookies, secure=secure) if knock.cookies else ANYBODY
        if principal.session and knock.method not in _SAFE and not self.from_here(knock.headers):
            msg = "the form was not sent from a page of this store"
            raise Problem(403, msg, hint="open the page again and send the form from there")
        return principal

    def from_here(self, headers: Mapping[str, str]) -> bool:
        """Whether the ``Origin`` of a request says that a page of this store has sent it."""
        try:
            asked = urlsplit(headers.get("origin", ""))
        except ValueError:
            return False
        own = urlsplit(self._settings.url)
        return (asked.scheme, asked.netloc) == (own.scheme, own.netloc) or (
            # By whatever name the browser reached this server, the page came from the same one.
            asked.scheme in {"https", own.scheme} and asked.netloc != "" and asked.netloc == headers.get("host", "")
        )
