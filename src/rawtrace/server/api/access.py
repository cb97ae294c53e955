"""Logging in and out, tokens, and the audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.responses import RedirectResponse, Response

from rawtrace.server import auditlog, login, sessions, tokens
from rawtrace.server.access import ROLE_NAMES, Role
from rawtrace.server.calls import Call, json_reply, ndjson_reply
from rawtrace.server.problems import Problem

_PAGE = 100


def enter(call: Call) -> Response:
    """Begin a session with a token, from the form of the login page."""
    if "origin" in call.headers and not call.store.access.from_here(call.headers):
        # Who is logged in by somebody else's page works in somebody else's name.
        msg = "the form was not sent from a page of this store"
        raise Problem(403, msg, hint="open /login and log in there")
    holder = tokens.holder_of(call.store.database, call.form().get("token", "").strip())
    if holder.may(Role.INSTRUMENT):
        msg = "an instrument's token is for its agent, not for a browser"
        raise Problem(403, msg)
    digest = tokens.digest(call.form()["token"].strip())
    secret = sessions.begin(call.store.database, name=holder.name, roles=holder.roles, token=digest)
    return _entered(call, secret)


def start(call: Call) -> Response:
    """Send the browser to the issuer."""
    url, browser = _issuer(call).start()
    response = RedirectResponse(url, 303)
    response.set_cookie(
        login.COOKIE, browser, max_age=600, path="/login", secure=_secure(call), httponly=True, samesite="lax"
    )
    return response


def callback(call: Call) -> Response:
    """Take the browser back from the issuer, and begin a session."""
    query = {name: call.query[name] for name in call.query}
    person = _issuer(call).finish(query, browser=call.cookies.get(login.COOKIE, ""))
    secret = sessions.begin(call.store.database, name=person.name, roles=person.roles)
    response = _entered(call, secret)
    response.delete_cookie(login.COOKIE, path="/login", secure=_secure(call), httponly=True, samesite="lax")
    return response


def leave(call: Call) -> Response:
    """End the session."""
    if call.principal.session:
        sessions.end(call.store.database, call.principal)
    response = RedirectResponse("/", 303)
    sessions.set_cookie(response, "", secure=_secure(call))
    return response


def list_tokens(call: Call) -> Response:
    """Return what is known of every token; never the token."""
    return json_reply({"tokens": tokens.all_tokens(call.store.database)}, call=call)


def new_token(call: Call) -> Response:
    """Make a token. Nobody gives a role away that they do not have, except those of programs."""
    wanted = call.json()
    if not isinstance(wanted, dict) or not set(wanted) <= {"name", "roles", "pid", "days"}:
        msg = "a token is asked for with name, roles, and where it fits pid and days"
        raise Problem(400, msg)
    name, asked, pid, days = (wanted.get(key) for key in ("name", "roles", "pid", "days"))
    if not isinstance(name, str) or not isinstance(pid or "", str):
        msg = "name and pid are text"
        raise Problem(400, msg)
    if not isinstance(asked, list) or not asked or not all(isinstance(one, str) and one in ROLE_NAMES for one in asked):
        msg = f"roles is a list of {', '.join(role for role in Role if role is not Role.PUBLIC)}"
        raise Problem(400, msg)
    if days is not None and (not isinstance(days, (int, float)) or isinstance(days, bool) or not 0 < days <= 36_500):
        msg = "days is a number above 0, at most 36500"
        raise Problem(400, msg)
    roles = tuple(Role(one) for one in asked)
    beyond = set(roles) - {Role.INSTRUMENT, Role.GATEWAY, Role.PUBLIC} - call.principal.roles
    if beyond:
        msg = f"only who has the role {' and '.join(sorted(beyond))} can give it away"
        raise Problem(403, msg)
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    token = tokens.make_token(call.store.database, name=name, roles=roles, pid=pid or "", expires=expires)
    return json_reply({"token": token}, status=201, headers={"Cache-Control": "no-store"})


def withdraw_token(call: Call) -> Response:
    """Make a token worthless."""
    if not tokens.withdraw(call.store.database, call.path["token_id"]):
        msg = "no token that is good has this id"
        raise Problem(404, msg)
    return Response(status_code=204)


def audit(call: Call) -> Response:
    """Return the audit log, newest first, a page at a time."""
    text = call.query.get("before", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) < 1 << 31):
        msg = "before is the id of a line of the log"
        raise Problem(400, msg)
    events = auditlog.events(call.store.database, before=int(text) if text else None, limit=_PAGE)
    if call.prefers("application/json", "application/x-ndjson") == "application/x-ndjson":
        return ndjson_reply(events)
    following = f"/audit?before={events[-1]['id']}" if len(events) == _PAGE else None
    return json_reply({"events": events, "next": following}, call=call)


def _issuer(call: Call) -> login.OpenIdConnect:
    settings = call.store.settings
    address = f"{settings.url}/login/callback"
    return login.OpenIdConnect(call.store.database, settings.login, folder=call.store.folder, callback=address)


def _entered(call: Call, secret: str) -> Response:
    response = RedirectResponse("/", 303)
    sessions.set_cookie(response, secret, secure=_secure(call))
    return response


def _secure(call: Call) -> bool:
    return call.store.settings.url.startswith("https:")
