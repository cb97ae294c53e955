"""Every address of a trust store, in one table, and the application made from it."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from rawtrace.ledger.addentries import MAX_BODY
from rawtrace.ledger.witness import MAX_REQUEST
from rawtrace.server import problems
from rawtrace.server.access import Role, Route
from rawtrace.server.calls import SECURITY_HEADERS, Call, Handler, endpoint
from rawtrace.server.pages.facing import facing, refusal
from rawtrace.server.store import Store

_EVERYBODY = (Role.PUBLIC,)

#: The whole interface. A more exact path stands before one that would swallow it.
ROUTES: tuple[Route, ...] = (
    # --- the server itself
    Route(method="GET", path="/health", handler="api.health:health", roles=_EVERYBODY, counts=False),
    Route(method="GET", path="/openapi.yaml", handler="app:openapi", roles=_EVERYBODY),
    # --- who may do what
    Route(method="POST", path="/login", handler="api.access:enter", roles=_EVERYBODY),
    Route(method="GET", path="/login/start", handler="api.access:start", roles=_EVERYBODY),
    Route(method="GET", path="/login/callback", handler="api.access:callback", roles=_EVERYBODY),
    Route(method="POST", path="/logout", handler="api.access:leave", roles=_EVERYBODY),
    Route(method="GET", path="/tokens", handler="api.access:list_tokens", roles=(Role.OPERATOR, Role.AUDITOR)),
    Route(method="POST", path="/tokens", handler="api.access:new_token", roles=(Role.OPERATOR,)),
    Route(method="DELETE", path="/tokens/{token_id}", handler="api.access:withdraw_token", roles=(Role.OPERATOR,)),
    Route(method="GET", path="/audit", handler="api.access:audit", roles=(Role.AUDITOR,)),
    # --- pages
    Route(method="GET", path="/", handler="api.home:home", roles=_EVERYBODY),
    Route(method="GET", path="/static/style.css", handler="api.pages:style", roles=_EVERYBODY, counts=False),
    Route(method="GET", path="/login", handler="api.pages:login", roles=_EVERYBODY),
    Route(method="GET", path="/instruments/new", handler="api.pages:new_instrument", roles=(Role.OPERATOR,)),
    # Forms know GET and POST only.
    Route(
        method="POST",
        path="/tokens/{token_id}/withdraw",
        handler="api.access:withdraw_token",
        roles=(Role.OPERATOR,),
    ),
    Route(method="POST", path="/enrolments/{id}/cancel", handler="api.enrolment:cancel", roles=(Role.OPERATOR,)),
    # --- instruments
    Route(method="GET", path="/authorities", handler="api.authorities:listing", roles=_EVERYBODY),
    Route(method="GET", path="/instruments", handler="api.instruments:listing", roles=_EVERYBODY),
    Route(
        method="POST",
        path="/instruments",
        handler="api.instruments:create",
        roles=(Role.OPERATOR,),
        body_limit=8 << 20,
    ),
    # PIDs hold slashes; a PID that ends like one of these is told apart in the handler.
    Route(method="GET", path="/instruments/{pid:path}/history", handler="api.instruments:history", roles=_EVERYBODY),
    Route(method="GET", path="/instruments/{pid:path}/seals", handler="api.instruments:seals", roles=_EVERYBODY),
    Route(
        method="POST",
        path="/instruments/{pid:path}/lifecycle",
        handler="api.instruments:lifecycle",
        roles=(Role.OPERATOR,),
    ),
    Route(method="GET", path="/instruments/{pid:path}", handler="api.instruments:show", roles=_EVERYBODY),
    Route(
        method="PUT",
        path="/instruments/{pid:path}",
        handler="api.instruments:change",
        roles=(Role.OPERATOR,),
        body_limit=1 << 18,
    ),
    # --- log
    Route(method="GET", path="/log", handler="api.log:about", roles=_EVERYBODY),
    Route(method="GET", path="/log/checkpoint", handler="api.log:checkpoint", roles=_EVERYBODY, counts=False),
    # Entries are for some roles only where the store says so; the handler asks.
    Route(method="GET", path="/log/tile/{path:path}", handler="api.log:tile", roles=_EVERYBODY, counts=False),
    Route(method="GET", path="/log/receipts/{claim}", handler="api.log:receipts", roles=_EVERYBODY),
    Route(
        method="POST",
        path="/log/records",
        handler="api.log:records",
        roles=(Role.INSTRUMENT, Role.GATEWAY),
        body_limit=8 << 20,
    ),
    # --- witness and mirror of other stores' logs
    Route(method="GET", path="/witness", handler="api.witness:about", roles=_EVERYBODY, counts=False),
    Route(
        method="POST",
        path="/witness/add-checkpoint",
        handler="api.witness:add_checkpoint",
        roles=_EVERYBODY,
        body_limit=MAX_REQUEST,
        counts=False,
    ),
    Route(
        method="GET",
        path="/witness/{origin_sha256}/checkpoint",
        handler="api.witness:checkpoint",
        roles=_EVERYBODY,
        counts=False,
    ),
    Route(method="GET", path="/mirror", handler="api.mirror:about", roles=_EVERYBODY, counts=False),
    Route(
        method="POST",
        path="/mirror/add-checkpoint",
        handler="api.mirror:add_checkpoint",
        roles=_EVERYBODY,
        body_limit=MAX_REQUEST,
        counts=False,
    ),
    Route(
        method="POST",
        path="/mirror/add-entries",
        handler="api.mirror:add_entries",
        roles=_EVERYBODY,
        body_limit=MAX_BODY,
        counts=False,
    ),
    Route(
        method="GET",
        path="/mirror/{origin_sha256}/checkpoint",
        handler="api.mirror:checkpoint",
        roles=_EVERYBODY,
        counts=False,
    ),
    Route(
        method="GET",
        path="/mirror/{origin_sha256}/tile/{path:path}",
        handler="api.mirror:tile",
        roles=_EVERYBODY,
        counts=False,
    ),
    # --- time, seals, certification on upload
    Route(method="POST", path="/time", handler="api.time:stamp", roles=_EVERYBODY, body_limit=4_096),
    Route(
        method="POST",
        path="/seals",
        handler="api.seals:deliver",
        roles=(Role.INSTRUMENT, Role.GATEWAY),
        body_limit=32 << 20,
    ),
    Route(
        method="GET",
        path="/seals/{claim}",
        handler="api.seals:kept",
        roles=(Role.INSTRUMENT, Role.GATEWAY, Role.OPERATOR, Role.AUDITOR),
    ),
    Route(
        method="POST",
        path="/certify",
        handler="api.certify:certify",
        before="api.certify:before",
        roles=(Role.INSTRUMENT, Role.GATEWAY, Role.OPERATOR),
        spools=True,
    ),
    # --- statuses
    Route(method="GET", path="/statuses", handler="api.status:listing", roles=_EVERYBODY),
    Route(method="POST", path="/statuses", handler="api.status:revoke", roles=(Role.OFFICER,), body_limit=16_384),
    Route(method="POST", path="/ocsp", handler="api.status:ocsp_posted", roles=_EVERYBODY, body_limit=4_096),
    Route(method="GET", path="/ocsp/{request:path}", handler="api.status:ocsp_asked", roles=_EVERYBODY),
    Route(method="GET", path="/crl", handler="api.status:crl", roles=_EVERYBODY, counts=False),
    Route(method="GET", path="/trust-list", handler="api.status:trust_list", roles=_EVERYBODY, counts=False),
    # --- seals found again
    Route(method="GET", path="/c2pa/v1/matches/byBinding", handler="api.recovery:by_binding", roles=_EVERYBODY),
    Route(method="POST", path="/c2pa/v1/matches/byBinding", handler="api.recovery:by_large_binding", roles=_EVERYBODY),
    Route(
        method="POST",
        path="/c2pa/v1/matches/byContent",
        handler="api.recovery:by_content",
        before="api.recovery:before_content",
        roles=_EVERYBODY,
        spools=True,
        spool_limit="picture_bytes",
    ),
    Route(method="GET", path="/c2pa/v1/manifests/{manifestId}", handler="api.recovery:manifest", roles=_EVERYBODY),
    Route(
        method="GET", path="/c2pa/v1/services/supportedAlgorithms", handler="api.recovery:algorithms", roles=_EVERYBODY
    ),
    # --- handles
    Route(method="GET", path="/api/handles/{prefix}/{suffix:path}", handler="api.handles:resolve", roles=_EVERYBODY),
    # --- enrolment
    Route(method="GET", path="/.well-known/est/cacerts", handler="api.enrolment:cacerts", roles=_EVERYBODY),
    Route(method="GET", path="/.well-known/est/csrattrs", handler="api.enrolment:csrattrs", roles=_EVERYBODY),
    Route(
        method="POST",
        path="/.well-known/est/simpleenroll",
        handler="api.enrolment:simpleenroll",
        roles=_EVERYBODY,
        body_limit=16_384,
    ),
    Route(
        method="POST",
        path="/.well-known/est/simplereenroll",
        handler="api.enrolment:simplereenroll",
        roles=_EVERYBODY,
        body_limit=16_384,
    ),
    Route(method="GET", path="/enrolments/record", handler="api.enrolment:own_record", roles=_EVERYBODY),
    Route(
        method="GET",
        path="/enrolments",
        handler="api.enrolment:listing",
        roles=(Role.OPERATOR, Role.OFFICER, Role.AUDITOR),
    ),
    Route(
        method="POST", path="/enrolments", handler="api.enrolment:create", roles=(Role.OPERATOR,), body_limit=1 << 18
    ),
    Route(
        method="GET",
        path="/enrolments/{id}",
        handler="api.enrolment:show",
        roles=(Role.OPERATOR, Role.OFFICER, Role.AUDITOR),
    ),
    Route(method="DELETE", path="/enrolments/{id}", handler="api.enrolment:cancel", roles=(Role.OPERATOR,)),
    Route(method="POST", path="/enrolments/{id}/approve", handler="api.enrolment:approve", roles=(Role.OFFICER,)),
    Route(method="POST", path="/enrolments/{id}/refuse", handler="api.enrolment:refuse", roles=(Role.OFFICER,)),
    # --- federation
    Route(
        method="GET",
        path="/federation/metadata/{name}",
        handler="api.federation:metadata",
        roles=_EVERYBODY,
        counts=False,
    ),
    Route(
        method="GET", path="/federation/targets/{name}", handler="api.federation:target", roles=_EVERYBODY, counts=False
    ),
    Route(
        method="GET",
        path="/federation/targets/lists/{name}",
        handler="api.federation:listed",
        roles=_EVERYBODY,
        counts=False,
    ),
)


def create_app(store: Store) -> Starlette:
    """Return the application for an open store; closing the store is the caller's business."""
    by_path: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = endpoint(
            route, facing(route, handler_of(route)), store, before=_named(route.before) if route.before else None
        )
    routes = [
        StarletteRoute(path, _by_method(methods, store), methods=list(methods)) for path, methods in by_path.items()
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield

    return Starlette(routes=routes, exception_handlers={HTTPException: _refused_by(store)}, lifespan=lifespan)


def handler_of(route: Route) -> Handler:
    """Import the handler of a route."""
    handler: Handler = _named(route.handler)
    return handler


def _named(text: str) -> Any:
    module, _, name = text.partition(":")
    return getattr(importlib.import_module(f"rawtrace.server.{module}"), name)


def load_handlers() -> None:
    """Import every handler, and so every table that one of them declares."""
    for route in ROUTES:
        handler_of(route)


def openapi(_call: Call) -> Response:
    """Return the description of this interface."""
    return Response(Path(__file__).with_name("openapi.yaml").read_bytes(), media_type="application/yaml")


def _by_method(methods: dict[str, Any], store: Store) -> Any:
    async def answer(request: Request) -> Response:
        response: Response = await methods["GET" if request.method == "HEAD" else request.method](request)
        return refusal(store, request.headers.get("accept", ""), response)

    return answer


def _refused_by(store: Store) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        said = {404: "there is nothing at this address", 405: "this address is not asked with that method"}
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        response = problems.response(
            status, code="E180", detail=said.get(status, "refused"), headers={**SECURITY_HEADERS, **headers}
        )
        return refusal(store, request.headers.get("accept", ""), response)

    return refused
