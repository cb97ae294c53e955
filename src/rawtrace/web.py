"""Asking a server: bounded, with time limits, nothing followed, and nothing said before the server is known.

https only; plain http to this machine alone. Redirects are not followed: an
answer comes from the address that was named, or not at all. A server whose
certificate no public authority signed is known by its key, which is compared
before the first byte of a request leaves.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from rawtrace.errors import LimitError, NetworkError, UsageError

DEFAULT_LIMIT = 1 << 20
_ANOTHER_KEY = "the server shows another key than the one it is known by"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said.

    Attributes
    ----------
    status : int
        HTTP status.
    headers : Mapping[str, str]
        Names in lower case.
    body : bytes
        At most as many as the caller allowed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and how servers are known.

    Attributes
    ----------
    token : str
        Bearer token; never shown.
    server_key_sha256 : str
        SHA-256 of the server's public key (SubjectPublicKeyInfo), hexadecimal. With it the key alone decides.
    authorities : Path or None
        PEM file of the authorities that may certify servers, in place of the public ones.
    also : Path or None
        PEM file of certificates that count beside the public authorities: servers that certify themselves.
    certificate : tuple[Path, Path] or None
        PEM files of a client certificate (leaf first) and its key.
    timeout_s : float
        For connecting, and for each wait for bytes.
    answer_s : float
        For all of an answer, once it has begun: who sends a byte now and then is not waited for.
    """

    token: str = field(default="", repr=False)
    server_key_sha256: str = ""
    authorities: Path | None = None
    also: Path | None = None
    certificate: tuple[Path, Path] | None = None
    timeout_s: float = 10.0
    answer_s: float = 300.0


class Web:
    """A client that keeps its connections. Safe to share between threads.

    Parameters
    ----------
    caller : Caller, optional
    """

    def __init__(self, caller: Caller | None = None) -> None:
        import httpx2

        caller = caller or Caller()
        # Compressed answers are small on the wire and may be of any size after it; some servers send them unasked.
        self._answer_s = caller.answer_s
        headers = {"User-Agent": "rawtrace", "Accept-Encoding": "identity"}
        if caller.token:
            headers["Authorization"] = f"Bearer {caller.token}"
        self._client = httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(caller.timeout_s),
            verify=_context(caller),
            follow_redirects=False,
            # A proxy from the environment would see a confidential submission.
            trust_env=False,
        )

    def get(
        self, url: str, *, limit: int = DEFAULT_LIMIT, accept: str = "*/*", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Fetch ``url``; the answer's status is the caller's to judge.

        Raises
        ------
        UsageError
            Not an address that may be asked.
        NetworkError
            No answer.
        LimitError
            More than ``limit`` bytes.
        """
        return self.ask("GET", url, limit=limit, headers={"Accept": accept, **(headers or {})})

    def post(
        self,
        url: str,
        body: bytes,
        *,
        content_type: str,
        limit: int = DEFAULT_LIMIT,
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send ``body`` to ``url``; as ``get`` otherwise."""
        named = {"Accept": accept, "Content-Type": content_type, **(headers or {})}
        return self.ask("POST", url, body=body, limit=limit, headers=named)

    def ask(
        self, method: str, url: str, *, body: bytes = b"", limit: int = DEFAULT_LIMIT, headers: Mapping[str, str]
    ) -> Answer:
        """Ask with any method; as ``get`` otherwise."""
        import httpx2

        check_address(url)
        try:
            with self._client.stream(method, url, content=body or None, headers=dict(headers)) as response:
                named = {name.lower(): value for name, value in response.headers.items()}
                received, end = bytearray(), time.monotonic() + self._answer_s
                for piece in response.iter_raw():
                    received += piece
                    if time.monotonic() > end:
                        msg = f"{url} does not answer: it takes too long"
                        raise NetworkError(msg)
                    if len(received) > limit:
                        raise _too_long(url, limit)
                content = _decoded(bytes(received), named.get("content-encoding", ""), url=url, limit=limit)
                return Answer(status=response.status_code, headers=named, body=content)
        except httpx2.InvalidURL as error:
            msg = f"{url} is not an address"
            raise UsageError(msg) from error
        except (httpx2.HTTPError, ssl.SSLError, OSError) as error:
            if _uncertified(error):
                msg = f"the server at {url} has a certificate that no authority known here has signed"
                hint = (
                    "a store that certifies itself is known by the digest of its key:"
                    " take it from its operator (rawtrace store address) and name it with the address or --server-key"
                )
                raise NetworkError(msg, hint=hint) from error
            msg = f"{url} does not answer: {_reason(error)}"
            hint = "ask its operator for its address as it is now (rawtrace store address)"
            raise NetworkError(msg, hint=hint if _ANOTHER_KEY in msg else "") from error

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def __enter__(self) -> Web:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_address(url: str) -> None:
    """Refuse an address that is neither https nor plain http on this machine, or that carries a password.

    Raises
    ------
    UsageError
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or parts.scheme not in {"http", "https"} or parts.username is not None or not url.isprintable():
        msg = f"{url!r} is not an address that can be asked; expected https://…"
        raise UsageError(msg)
    if parts.scheme == "http" and host not in _LOOPBACK:
        msg = f"{url} would be asked in the open; expected https"
        raise UsageError(msg)


def key_sha256(certificate_der: bytes) -> str:
    """Return the SHA-256 of a certificate's SubjectPublicKeyInfo, hexadecimal."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    public = x509.load_der_x509_certificate(certificate_der).public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


class _KeyContext(ssl.SSLContext):
    """A TLS context that knows a server by its key, before anything is sent to it."""

    wanted = ""

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        connection = super().wrap_socket(*arguments, **options)
        shown = connection.getpeercert(binary_form=True)
        try:
            found = key_sha256(shown) if shown else ""
        except ValueError:
            found = ""
        if not hmac.compare_digest(found, self.wanted):
            connection.close()
            raise ssl.SSLError(ssl.SSLErrorNumber.SSL_ERROR_SSL, _ANOTHER_KEY)
        return connection


def _context(caller: Caller) -> ssl.SSLContext:
    if caller.server_key_sha256:
        context: ssl.SSLContext = _KeyContext(ssl.PROTOCOL_TLS_CLIENT)
        context.wanted = caller.server_key_sha256.lower()  # type: ignore[attr-defined]
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = ssl.create_default_context(cafile=None if caller.authorities is None else str(caller.authorities))
        if caller.also is not None:
            context.load_verify_locations(cafile=str(caller.also))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if caller.certificate is not None:
        # RFC 8446 puts words of its own before what a client signs, so such a signature is never a seal.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(*(str(path) for path in caller.certificate))
    return context


def _uncertified(error: Exception) -> bool:
    """Whether a server was refused because nobody known vouches for its certificate."""
    reasons = ("self-signed certificate", "self signed certificate", "unable to get local issuer", "unable to verify")
    return "CERTIFICATE_VERIFY_FAILED" in str(error) and any(reason in str(error) for reason in reasons)


def _decoded(body: bytes, encoding: str, *, url: str, limit: int) -> bytes:
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body
    if name not in {"gzip", "x-gzip"}:
        msg = f"{url} answers in the encoding {encoding[:40]!r}, which was not asked for"
        raise NetworkError(msg)
    machine = zlib.decompressobj(wbits=31)
    try:
        content = machine.decompress(body, limit + 1)
    except zlib.error as error:
        msg = f"{url} sends something else than the gzip that it is said to be"
        raise NetworkError(msg) from error
    if len(content) > limit:
        raise _too_long(url, limit)
    if not machine.eof:
        msg = f"{url} breaks off in the middle of its answer"
        raise NetworkError(msg)
    return content


def _too_long(url: str, limit: int) -> LimitError:
    return LimitError(f"{url} sends more than {limit} bytes, which is more than such an answer ever has")


def _reason(error: Exception) -> str:
    import httpx2

    if isinstance(error, httpx2.TimeoutException):
        return "it takes too long"
    text = str(error).strip()
    return text or type(error).__name__
