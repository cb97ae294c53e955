"""Handle servers that say what a test tells them to, over TLS on loopback, each with a key of its own."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from rawtrace.trust.handles import values
from rawtrace.trust.handles.names import read_handle
from rawtrace.trust.handles.roots import RootSite
from rawtrace.trust.handles.site import Interface, Server, Site
from rawtrace.trust.handles.values import Answer, Code, HandleValue
from rawtrace.trust.handles.wire import RsaKey, encode_key

PREFIX = "20.500.12345"
HANDLE = f"{PREFIX}/widefield-1"

Said = bytes | tuple[int, bytes] | Callable[[BaseHTTPRequestHandler], None]


@lru_cache
def key(number: int) -> rsa.RSAPrivateKey:
    """Make the key of a number once; keys take long to find."""
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@lru_cache
def _pem(number: int) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key(number).public_key())
        .serial_number(number + 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key(number), hashes.SHA256())
    )
    private = key(number).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


class HandleServer:
    """A server and what it says; ``asked`` are the paths in the order they came."""

    def __init__(self, number: int, port: int) -> None:
        self.number, self.port = number, port
        self.said: dict[str, Said] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def key(self) -> RsaKey:
        return RsaKey.of(key(self.number).public_key())

    def root(self, **more: Any) -> RootSite:
        """The server as a configured root."""
        return RootSite(url=self.url, key_sha256=self.key.sha256(), **more)

    def site(self, *, key_of: HandleServer | None = None, index: int = 1, **more: Any) -> HandleValue:
        """The HS_SITE value that names this server, or wrongly the key of another one."""
        return site_value([self], index=index, keys=[key_of or self], **more)

    def says(self, handle: str, *given: HandleValue, code: int = Code.SUCCESS, **more: Any) -> bytes:
        """Let it answer for a handle; returns the bytes."""
        read = read_handle(handle)
        found = given if given or code == Code.SUCCESS else None
        body = values.write_answer(Answer(code=code, handle=read, values=found, **more))
        self.said[f"/api/handles/{read.path}"] = (values.http_status(code), body)
        return body


def site_value(
    servers: Sequence[HandleServer],
    *,
    index: int = 1,
    keys: Sequence[HandleServer] = (),
    kind: str = values.SITE,
    protocol: str = "HTTPS",
    **more: Any,
) -> HandleValue:
    """Return one site with some servers."""
    made = tuple(
        Server(
            id=number,
            address="127.0.0.1",
            key=encode_key(named.key),
            interfaces=(Interface(protocol=protocol, port=one.port),),
        )
        for number, (one, named) in enumerate(zip(servers, keys or servers, strict=True), 1)
    )
    return values.site_value(index, Site(servers=made, **more), kind=kind)


def url_value(text: str = "https://store.example.org/widefield-1", **more: Any) -> HandleValue:
    return values.text_value(more.pop("index", 1), values.URL, text, **more)


@contextlib.contextmanager
def handle_server(number: int = 0) -> Iterator[HandleServer]:
    """Run one server in a thread."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.asked.append(self.path)
            said = made.said.get(self.path, (404, b'{"responseCode":100}'))
            if callable(said):
                said(self)
                return
            status, body = said if isinstance(said, tuple) else (200, said)
            reply(self, status, body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Callers that hang up are what some tests are about."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "both.pem")
        path.write_bytes(_pem(number))
        context.load_cert_chain(path)
    server = Quiet(("127.0.0.1", 0), Handler)
    # The handshake belongs into the thread of the connection, or one slow caller stops all others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    made = HandleServer(number, server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def redirect_to(url: str) -> Said:
    return lambda handler: reply(handler, 302, b"", Location=url)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then, so that no single wait is long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(300):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
