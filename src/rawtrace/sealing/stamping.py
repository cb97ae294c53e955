"""Lets the C2PA library, which asks for time stamps over HTTP only, ask a function of this process.

What the function asks in turn is known and checked by us: an authority of our
own, or a server that is reached by ``rawtrace.web``. The address is this
machine's, on a free port, with a secret path, and gone after the signature.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

from rawtrace.sealing.timeclient import REPLY_TYPE

_MAX_REQUEST_BYTES = 4_096
_TIMEOUT_S = 30.0

#: Answers a DER ``TimeStampReq`` with a DER ``TimeStampResp``.
Stamp = Callable[[bytes], bytes]


@dataclass(slots=True)
class Stamping:
    """An address at which time stamps can be had, and what went wrong there.

    Attributes
    ----------
    url : str
    errors : list[Exception]
        Raised by the function; the library is told no more than that there was no stamp.
    """

    url: str
    errors: list[Exception] = field(default_factory=list)


@contextlib.contextmanager
def stamping(stamp: Stamp) -> Iterator[Stamping]:
    """Give an address for as long as the block lasts."""
    path = f"/{secrets.token_urlsafe(32)}"
    made = Stamping("")

    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            known = hmac.compare_digest(self.path.encode(), path.encode())
            if not known or not length.isdigit() or int(length) > _MAX_REQUEST_BYTES:
                self.send_error(404)
                return
            try:
                body = stamp(self.rfile.read(int(length)))
            except Exception as error:  # noqa: BLE001  handed to whoever wanted the signature
                made.errors.append(error)
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", REPLY_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: stderr is the program's own."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}{path}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
