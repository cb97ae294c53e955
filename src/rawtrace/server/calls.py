"""From a request to a handler: who asks, what they may, how much they may send; and every refusal as a problem.

A handler is a plain function of a ``Call`` that returns a response or raises an
``Error``. It runs in a thread, so it may wait for a disk or a database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from anyio import CapacityLimiter, fail_after, to_thread
from anyio.lowlevel import RunVar
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rawtrace import strictjson
from rawtrace.errors import Error
from rawtrace.server import auditlog, peers, problems
from rawtrace.server.access import ANYBODY, Knock, Principal, Role, Route
from rawtrace.server.problems import Problem
from rawtrace.server.store import Store

_log = logging.getLogger(__name__)
_READS = frozenset({"GET", "HEAD"})
_MAX_FIELDS = 50
_HANDLES = "/api/handles/"
#: How long a body may keep the server waiting, seconds: so long at first, and then as its bytes come in.
PATIENCE_S = 30.0
_SLOWEST = 4_096  # bytes a second
#: Threads for what anybody may ask and for reading; and, apart from them, for what may wait for a log's witnesses.
_READERS, _WRITERS = 32, 32
_reading: RunVar[CapacityLimiter] = RunVar("rawtrace-reading")
_writing: RunVar[CapacityLimiter] = RunVar("rawtrace-writing")
#: Bytes that stay free on the disk whatever is uploaded: log and database need them.
_RESERVE = 256 << 20
_LOOKED_AT = 64 << 20
#: Folder, in the store's, in which uploads lie while they are looked at.
UPLOADS = "uploads"

#: Sent with every answer; pages need nothing from elsewhere and may be framed by nobody.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as a handler sees it.

    Attributes
    ----------
    store : Store
    principal : Principal
        Who asks; ``PUBLIC`` alone for a stranger.
    method : str
    path : Mapping[str, str]
        The parts of the path that the route names, percent-decoded once.
    query : QueryParams
    headers : Mapping[str, str]
        Names in lower case.
    body : bytes
        At most what the route allows; empty where the body is spooled.
    spooled : Path or None
        The body in a temporary file, for routes that take large ones; gone after the call.
    client : str
        Address of who asks; behind a proxy that the settings name, as that says.
    peer_certificate : bytes or None
        DER of the client certificate that the TLS layer has verified.
    """

    store: Store
    principal: Principal
    method: str
    path: Mapping[str, str]
    query: QueryParams
    headers: Mapping[str, str]
    body: bytes = b""
    spooled: Path | None = None
    client: str = ""
    peer_certificate: bytes | None = None
    raw_path: str = ""
    cookies: Mapping[str, str] = field(default_factory=dict)

    @property
    def media_type(self) -> str:
        """The body's media type, in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def prefers(self, *offered: str) -> str:
        """Return which of some media types the caller likes best; the first where it does not say."""
        return _preferred(self.headers.get("accept", ""), offered)

    @property
    def wants_page(self) -> bool:
        """Whether the caller would rather have HTML than JSON."""
        return self.prefers("application/json", "text/html") == "text/html"

    def form(self) -> dict[str, str]:
        """Return the fields of a form, the last of each name.

        Raises
        ------
        Problem
            400: not a form; 415: not said to be one.
        """
        if self.media_type != "application/x-www-form-urlencoded":
            msg = f"the body is {self.media_type or 'of no stated type'}; expected a form"
            raise Problem(415, msg)
        try:
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
        except ValueError as error:
            msg = f"the form cannot be read; expected UTF-8 and at most {_MAX_FIELDS} fields"
            raise Problem(400, msg) from error

    def json(self, *, limit: int = 1 << 20) -> Any:
        """Return the body as JSON, strictly read.

        Raises
        ------
        Problem
            400: not JSON; 415: not said to be.
        """
        if self.media_type not in {"application/json", ""}:
            msg = f"the body is {self.media_type}; expected application/json"
            raise Problem(415, msg)
        try:
            return strictjson.loads(self.body, what="the body", max_bytes=limit)
        except Error as error:
            raise Problem(400, error.message) from error


Handler = Callable[[Call], Response]


def endpoint(
    route: Route, handler: Handler, store: Store, *, before: Callable[[Call], None] | None = None
) -> Callable[[Request], Any]:
    """Wrap a handler for Starlette: access, limits, body, errors, headers.

    Parameters
    ----------
    route : Route
    handler : callable
    store : Store
    before : callable, optional
        Refuses what can be refused without the body, before any of it is taken in.
    """
    waits = route.method not in _READS and Role.PUBLIC not in route.roles

    async def answer(request: Request) -> Response:
        knock = Knock(
            method=request.method,
            headers={name.lower(): value for name, value in request.headers.items()},
            cookies=request.cookies,
            address=request.client.host if request.client else "",
        )
        principal = ANYBODY
        try:
            principal = await run_in_threadpool(store.access.identify, route, knock)
            if not principal.known and (peer := request.scope.get("rawtrace.peer_certificate")) is not None:
                principal = await run_in_threadpool(peers.holder_of, store, peer)
            store.access.permit(route, principal)
            _check_address(route, request)
            response = await _handled(request, knock, principal)
        except Error as error:
            response = problems.problem_response(error, within=store.folder)
            if response.status_code >= 500:
                _log.warning("%s %s: %s", request.method, route.path, error)
        except ClientDisconnect:
            response = problems.response(400, code="E180", detail="the caller hung up")
        except Exception:  # noqa: BLE001  whatever a handler did wrong, the answer is a problem
            # The caller learns nothing of our insides; the operator finds it in the log.
            _log.exception("a fault while answering %s %s", request.method, route.path)
            response = problems.response(500, code="bug", detail="the server made a mistake; its operator can see it")
        if principal.known and request.method not in _READS:
            await run_in_threadpool(_note, store, request, principal, response.status_code)
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _handled(request: Request, knock: Knock, principal: Principal) -> Response:
        with contextlib.ExitStack() as cleanup:
            call = Call(
                store=store,
                principal=principal,
                method=request.method,
                path={name: str(value) for name, value in request.path_params.items()},
                query=request.query_params,
                headers=knock.headers,
                client=store.access.address_of(knock),
                peer_certificate=request.scope.get("rawtrace.peer_certificate"),
                raw_path=request.scope.get("raw_path", b"").decode("ascii", "replace"),
                cookies=knock.cookies,
            )
            if before is not None:
                await run_in_threadpool(before, call)
            if request.method not in _READS and route.spools:
                spooled = cleanup.enter_context(_spool(store))
                await _copy(request, spooled, getattr(store.settings.limits, route.spool_limit))
                call = dataclasses.replace(call, spooled=spooled)
            elif request.method not in _READS:
                call = dataclasses.replace(call, body=await _read(request, route.body_limit))
            return await to_thread.run_sync(handler, call, limiter=_threads(waits=waits))

    return answer


def json_reply(
    value: Any, *, status: int = 200, call: Call | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Return JSON with an ETag; 304 where ``call`` shows that the caller has it already."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=False).encode()
    return tagged(body, "application/json", status=status, call=call, headers=headers)


def ndjson_reply(values: Iterable[Any], *, status: int = 200) -> Response:
    """Return one JSON document a line."""
    lines = [json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values]
    return Response("".join(f"{line}\n" for line in lines), status, media_type="application/x-ndjson")


def tagged(
    body: bytes,
    media_type: str,
    *,
    status: int = 200,
    call: Call | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a body with an ETag; 304 where ``call`` shows that the caller has it already."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    named = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept, Authorization, Cookie", **(headers or {})}
    if call is not None and status == 200 and call.method in {"GET", "HEAD"}:
        known = {one.strip().removeprefix("W/") for one in call.headers.get("if-none-match", "").split(",")}
        if tag in known or "*" in known:
            return Response(status_code=304, headers=named)
    return Response(body, status, headers=named, media_type=media_type)


def _note(store: Store, request: Request, principal: Principal, status: int) -> None:
    try:
        auditlog.note(
            store.database,
            who=principal.name,
            pid=principal.pid,
            method=request.method,
            path=request.url.path,
            status=status,
            address=request.client.host if request.client else "",
        )
    except Error:
        # What was asked for has happened: the answer must still say so.
        _log.exception("the audit log could not be written")


def _threads(*, waits: bool) -> CapacityLimiter:
    kept, most = (_writing, _WRITERS) if waits else (_reading, _READERS)
    try:
        return kept.get()
    except LookupError:
        kept.set(CapacityLimiter(most))
        return kept.get()


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield a body as it comes in; who sends next to nothing for long is not waited for."""
    stream, size, started = request.stream(), 0, time.monotonic()
    while True:
        left_s = started + PATIENCE_S + size / _SLOWEST - time.monotonic()
        try:
            with fail_after(max(0.0, left_s)):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            msg = "the body comes too slowly"
            raise Problem(408, msg, headers={"Connection": "close"}) from error
        size += len(piece)
        yield piece


async def _read(request: Request, limit: int) -> bytes:
    _check_length(request, limit)
    received = bytearray()
    async for piece in _pieces(request):
        received += piece
        if len(received) > limit:
            raise _too_large(limit)
    return bytes(received)


async def _copy(request: Request, path: Path, limit: int) -> None:
    _check_room(path, _check_length(request, limit))
    size = looked_at = 0
    with path.open("wb") as stream:
        async for piece in _pieces(request):
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            if size - looked_at > _LOOKED_AT:
                _check_room(path, 0)
                looked_at = size
            await run_in_threadpool(stream.write, piece)


def _check_address(route: Route, request: Request) -> None:
    # PostgreSQL holds no such character in a text. Handles are refused in the Handle System's own words.
    if "\0" in request.url.path and not route.path.startswith(_HANDLES):
        msg = "there is nothing at this address"
        raise Problem(404, msg)
    if any("\0" in part for pair in request.query_params.multi_items() for part in pair):
        msg = "the address has a null character in it"
        raise Problem(400, msg)


def _check_length(request: Request, limit: int) -> int:
    """Return the length that a request states, 0 where it states none."""
    stated = request.headers.get("content-length", "")
    length = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 19 else 0
    if length > limit:
        raise _too_large(limit)
    return length


def _check_room(path: Path, length: int) -> None:
    if shutil.disk_usage(path.parent).free < length + _RESERVE:
        msg = "the store has no room for an upload of that size"
        raise Problem(503, msg, headers={"Retry-After": "3600", "Connection": "close"})


def _too_large(limit: int) -> Problem:
    msg = f"the body is larger than the {limit} bytes that are accepted here"
    return Problem(413, msg, headers={"Connection": "close"})


@contextlib.contextmanager
def _spool(store: Store) -> Iterator[Path]:
    folder = store.folder / UPLOADS
    folder.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="upload-") as made:
        yield Path(made) / "body"


def _preferred(accept: str, offered: tuple[str, ...]) -> str:
    """Weigh an Accept header (RFC 9110, section 12.5.1); what is said most exactly counts for a type."""
    if not accept.strip():
        return offered[0]
    best, best_weight = offered[0], 0.0
    for one in offered:
        weight, exactness = 0.0, -1
        for item in accept.split(","):
            name, *parameters = (part.strip().lower() for part in item.split(";"))
            fits = {one: 2, one.partition("/")[0] + "/*": 1, "*/*": 0}.get(name, -1)
            if fits > exactness:
                weight, exactness = _weight(parameters), fits
        if weight > best_weight:
            best, best_weight = one, weight
    return best


def _weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(1.0, max(0.0, float(parameter[2:])))
            except ValueError:
                return 0.0
    return 1.0


__all__ = ["Call", "Handler", "Principal", "Role", "Route", "endpoint", "json_reply", "ndjson_reply", "tagged"]
