"""Answers that are compressed: small on the wire, and nobody knows how large after it."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest

from rawtrace.errors import LimitError, NetworkError
from rawtrace.web import Caller, Web

Serve = Callable[[bytes, str], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a body under a content encoding; returns the address."""
    servers: list[http.server.HTTPServer] = []
    asked: list[str] = []

    def begin(body: bytes, encoding: str) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.headers.get("Accept-Encoding", ""))
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Encoding", encoding)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()
    assert set(asked) <= {"identity"}, "nobody is asked to compress"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "nonsense"])
def test_a_bomb_takes_no_more_memory_than_an_answer_may_have_fail(serve: Serve, encoding: str) -> None:
    bomb = zlib.compress(bytes(40 << 20), 9) if encoding == "deflate" else gzip.compress(bytes(40 << 20), 9)
    url = serve(bomb, encoding)
    tracemalloc.start()
    try:
        with Web() as web, pytest.raises((LimitError, NetworkError)):
            web.get(url, limit=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_an_answer_that_trickles_is_not_waited_for_fail() -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(60):
                    self.wfile.write(b"x")
                    time.sleep(0.05)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        started = time.monotonic()
        with Web(Caller(answer_s=0.3)) as web, pytest.raises(NetworkError, match="too long"):
            web.get(f"http://127.0.0.1:{server.server_port}/")
        assert time.monotonic() - started < 2
        server.shutdown()


@pytest.mark.parametrize(
    "body", [b"\x1f\x8b nonsense", gzip.compress(b"x" * 5_000)[:-9]], ids=["nonsense", "cut short"]
)
def test_compression_that_is_damaged_fail(serve: Serve, body: bytes) -> None:
    with Web() as web, pytest.raises(NetworkError):
        web.get(serve(body, "gzip"))


def test_files_that_lie_compressed_on_a_server_are_read(serve: Serve) -> None:
    # Logs are served as static files, and some servers send them as they lie there.
    with Web() as web:
        assert web.get(serve(gzip.compress(b"entries" * 1_000), "gzip")).body == b"entries" * 1_000
        assert web.get(serve(b"plain", "identity")).body == b"plain"
