"""Asking servers: nothing in the open, nothing followed, nothing without end, and the server known first."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rawtrace.errors import LimitError, NetworkError, UsageError
from rawtrace.server.run import server_key
from rawtrace.web import Caller, Web, check_address
from stores import found

Handle = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def answering(handle: Handle, folder: Path | None = None) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server on loopback; with TLS where a store's folder is given. Yields its address and what it was asked."""
    asked: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append({name.lower(): value for name, value in self.headers.items()})
            with contextlib.suppress(OSError):
                handle(self)

        def log_message(self, *_arguments: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if folder is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls" / "certificate.pem", folder / "tls" / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if folder else 'http'}://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def send(request: http.server.BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    request.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("web") / "store", url="https://127.0.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "ftp://example.org/", "file:///etc/passwd", "http://example.org/", "http://127.0.0.1.evil.example/",
        "https://", "https://user:secret@example.org/", "https://user@example.org/", "https://example.org:99999/",
        "https://[::1/", "https://example.org/\r\nX: y", "https://example.org/\x00", "http://2130706433/",
    ],
)  # fmt: skip
def test_addresses_that_are_not_asked_fail(url: str) -> None:
    with pytest.raises(UsageError):
        check_address(url)
    with Web() as web, pytest.raises(UsageError):
        web.get(url)


@pytest.mark.parametrize(
    "url", ["https://example.org/a?b=c", "http://127.0.0.1:1/", "http://[::1]:8650/", "http://localhost/"]
)
def test_addresses_that_are_asked(url: str) -> None:
    check_address(url)


def test_a_redirect_is_an_answer_and_is_not_followed_fail() -> None:
    with (
        answering(lambda request: send(request, b"", 302, Location="http://127.0.0.1:9/")) as (url, asked),
        Web() as web,
    ):
        assert web.get(url).status == 302
        assert len(asked) == 1


@pytest.mark.parametrize("stated", [True, False])
def test_an_answer_without_end_is_broken_off_fail(stated: bool) -> None:
    def endless(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if stated:
            request.send_header("Content-Length", str(1 << 40))
        request.end_headers()
        while True:
            request.wfile.write(b"x" * 65_536)

    with answering(endless) as (url, _), Web() as web, pytest.raises(LimitError):
        web.get(url, limit=100_000)


def test_a_compressed_answer_is_measured_when_it_is_unpacked_fail() -> None:
    import gzip

    bomb = gzip.compress(b"\0" * 50_000_000)
    with (
        answering(lambda request: send(request, bomb, Content_Encoding="gzip")) as (url, _),
        Web() as web,
        pytest.raises(LimitError),
    ):
        web.get(url, limit=1_000_000)


def test_a_server_that_says_nothing_is_given_up_fail() -> None:
    with (
        answering(lambda _request: time.sleep(5)) as (url, _),
        Web(Caller(timeout_s=0.2)) as web,
        pytest.raises(NetworkError, match="too long"),
    ):
        web.get(url)


def test_nobody_there_is_a_network_error_fail() -> None:
    with answering(lambda request: send(request, b"")) as (url, _):
        pass
    with Web() as web, pytest.raises(NetworkError):
        web.get(url)


def test_a_proxy_of_the_environment_is_not_used_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with answering(lambda request: send(request, b"here")) as (url, _), Web() as web:
        assert web.get(url).body == b"here"


def test_a_server_is_known_by_its_key(folder: Path) -> None:
    with (
        answering(lambda request: send(request, b"here"), folder) as (url, asked),
        Web(Caller(server_key_sha256=server_key(folder).upper(), token="a-token")) as web,
    ):
        assert web.get(url).body == b"here"
        assert asked[0]["authorization"] == "Bearer a-token"


def test_another_key_gets_no_byte_of_the_request_fail(folder: Path) -> None:
    with (
        answering(lambda request: send(request, b"here"), folder) as (url, asked),
        Web(Caller(server_key_sha256="0" * 64, token="a-token")) as web,
    ):
        with pytest.raises(NetworkError, match="not answer: the server shows another key") as caught:
            web.get(url)
        assert "store address" in caught.value.hint
        assert asked == []


def test_a_server_that_certifies_itself_is_not_known_fail(folder: Path) -> None:
    with answering(lambda request: send(request, b"here"), folder) as (url, asked), Web() as web:
        with pytest.raises(NetworkError, match="no authority known here") as caught:
            web.get(url)
        assert "--server-key" in caught.value.hint
        assert asked == []


@pytest.mark.parametrize("way", ["authorities", "also"])
def test_a_servers_certificate_can_be_named(folder: Path, way: str) -> None:
    caller: Any = {way: folder / "tls" / "certificate.pem"}
    with answering(lambda request: send(request, b"here"), folder) as (url, _), Web(Caller(**caller)) as web:
        assert web.get(url).body == b"here"


def test_a_token_is_never_shown() -> None:
    assert "a-token" not in repr(Caller(token="a-token"))
