"""Witnesses and mirrors that answer on loopback, without a trust store around them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rawtrace.ledger.addentries import decompress
from rawtrace.ledger.mirror import Mirror
from rawtrace.ledger.witness import Reply, Witness


@dataclass
class Peer:
    """What runs, where, and what may go wrong with it.

    ``before`` is asked first with the path, and may answer in place of the witness.
    """

    one: Witness | Mirror | None = None
    url: str = ""
    before: Callable[[str, bytes], Reply | None] = lambda _path, _body: None
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, body: bytes, encoding: str) -> Reply:
        self.asked.append(path)
        if (said := self.before(path, body)) is not None:
            return said
        assert self.one is not None
        if path == "add-checkpoint":
            return self.one.add_checkpoint(body)
        if path == "add-entries" and isinstance(self.one, Mirror):
            return self.one.add_entries(decompress(body, encoding))
        log, _, rest = path.partition("/")
        found = self.one.checkpoint(log) if rest == "checkpoint" else None
        if isinstance(self.one, Mirror) and rest.startswith("tile/"):
            found = self.one.tile(log, rest)
        return Reply(404) if found is None else Reply(200, found)


@contextlib.contextmanager
def serving(peer: Peer) -> Iterator[Peer]:
    """Answer on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self, body: bytes) -> None:
            reply = peer.answer(self.path[1:], body, self.headers.get("Content-Encoding", ""))
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.media_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def do_GET(self) -> None:
            self._reply(b"")

        def do_POST(self) -> None:
            self._reply(self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that hung up

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        peer.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield peer
        finally:
            server.shutdown()
            thread.join()
