"""The store as a process: uvicorn on one port, TLS with optional client certificates."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from rawtrace import durable
from rawtrace.errors import StoreError
from rawtrace.server.address import server_key
from rawtrace.server.app import create_app
from rawtrace.server.calls import UPLOADS
from rawtrace.server.store import Store
from rawtrace.trust import certificates
from rawtrace.web import check_address

__all__ = ["serve", "server_key", "tls_context"]

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_CLIENTS_PEM = 1 << 20


#: Connections in all, and from one address that is no proxy of ours: so nobody takes them all.
MAX_CONNECTIONS, MAX_FROM_ONE = 640, 128
#: How long a connection may be open without a whole head of a request, seconds.
HEADERS_S = 20.0


class PeerProtocol(H11Protocol):
    """HTTP/1.1 that tells the application which client certificate the TLS layer has verified.

    It hangs up on who takes very many connections, or begins a request and does not go on.
    """

    proxies: frozenset[str] = frozenset()

    def connection_made(self, transport: Any) -> None:
        """Take the certificate from the connection, for every request on it."""
        self._patience: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        others = (getattr(one, "client", None) for one in self.connections)
        same = sum(1 for client in others if client and client[0] == address)
        if same > MAX_FROM_ONE and address not in self.proxies:
            transport.abort()
            return
        self._watch()
        connection = transport.get_extra_info("ssl_object")
        shown = connection.getpeercert(binary_form=True) if connection is not None else None
        if shown:
            self.app = _with_peer(self.app, shown)

    def data_received(self, data: bytes) -> None:
        """Read on; a request whose head is there is the application's business."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, for as long as connections are kept."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._unwatch()

    def _watch(self) -> None:
        if not getattr(self.cycle, "response_complete", True):
            self._unwatch()
        elif self._patience is None and not self.transport.is_closing():
            # Not begun anew with every byte: one at a time would be a way to stay for ever.
            self._patience = self.loop.call_later(HEADERS_S, self.transport.abort)

    def _unwatch(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def shutdown(self) -> None:
        """Let go at once of a connection that nothing is asked on: its caller may never answer our goodbye."""
        idle = getattr(self.cycle, "response_complete", True)
        super().shutdown()
        if idle and self.transport.get_write_buffer_size() == 0:
            self.transport.abort()


def serve(
    store: Store,
    *,
    ready: Callable[[str], None] | None = None,
    started: Callable[[uvicorn.Server], None] | None = None,
) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    store : Store
    ready : callable, optional
        Called once with the address, when the port is open.
    started : callable, optional
        Called once with the server, whose ``should_exit`` ends it.

    Raises
    ------
    StoreError
        The port cannot be had, or the server would speak in the open to other machines.
    """
    listen = store.settings.listen
    if not listen.tls and listen.host not in _LOOPBACK:
        msg = f"without TLS the server listens to this machine only, and {listen.host} is not it"
        raise StoreError(msg, hint="set listen.tls = true, or listen.host = '127.0.0.1'")
    check_address(store.settings.url)
    config = uvicorn.Config(
        create_app(store),
        host=listen.host,
        port=listen.port,
        http=type("Protocol", (PeerProtocol,), {"proxies": frozenset(listen.proxies)}),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        # Behind a proxy the caller's address is the proxy's: believing its headers would let anybody choose one.
        proxy_headers=False,
        timeout_keep_alive=20,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=10,
    )
    config.load()
    if listen.tls:
        config.ssl = tls_context(store)
    server = _Server(config, ready, uploads=store.folder / UPLOADS)
    if started is not None:
        started(server)
    try:
        with _ends_when_asked(server):
            server.run()
    except SystemExit as error:  # how uvicorn says that it cannot listen
        if server.started:
            raise
        msg = f"the port {listen.port} of {listen.host} cannot be had; expected one that nobody else uses"
        raise StoreError(msg, hint="choose another: listen.port in store.toml, or --port") from error


@contextlib.contextmanager
def _ends_when_asked(server: uvicorn.Server) -> Iterator[None]:
    """Let the signals that end a server end it, and no more: log and database are then closed in order.

    uvicorn raises a signal again when it has ended, which by default ends the process on the spot.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, server.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[str], None] | None, *, uploads: Path) -> None:
        super().__init__(config)
        self._ready = ready
        self._uploads = uploads

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            # What a killed server left; nobody can be sending yet.
            shutil.rmtree(self._uploads, ignore_errors=True)
        if self.started and self._ready is not None:
            scheme = "https" if self.config.ssl else "http"
            host = self.config.host if ":" not in self.config.host else f"[{self.config.host}]"
            port = self.servers[0].sockets[0].getsockname()[1]
            self._ready(f"{scheme}://{host}:{port}")


def tls_context(store: Store) -> ssl.SSLContext:
    """Return the server's side of TLS: its certificate, and whose client certificates it takes."""
    folder = store.folder / "tls"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Clients' keys sign seals too: TLS 1.3 puts words of its own before what it has signed, older versions do not.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        context.load_verify_locations(cadata=_client_authorities(store))
    except (OSError, ssl.SSLError) as error:
        msg = f"the server's certificate in {folder} cannot be used: {error}"
        raise StoreError(msg) from error
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _client_authorities(store: Store) -> str:
    authority = store.authority()
    pem = [certificates.to_pem([authority.root, authority.certificate])]
    pem += [
        durable.read_bounded(store.folder / name, limit=_MAX_CLIENTS_PEM)
        for name in store.settings.enrolment.device_authorities
    ]
    return b"\n".join(pem).decode("ascii", "replace")


def _with_peer(app: Any, certificate: bytes) -> Any:
    async def answer(
        scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        scope["rawtrace.peer_certificate"] = certificate
        await app(scope, receive, send)

    return answer
