"""Asking a time-stamping authority (RFC 3161) for a token, and believing nothing before it is checked."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from rawtrace.errors import MalformedError, TimeStampError
from rawtrace.sealing import cms, der
from rawtrace.sealing.der import BOOLEAN, INTEGER, OCTETS, SEQUENCE
from rawtrace.trust.anchors import Purpose, TrustList
from rawtrace.trust.path import validate_path
from rawtrace.web import Web

QUERY_TYPE = "application/timestamp-query"
REPLY_TYPE = "application/timestamp-reply"
#: How far the authority's clock and ours may be apart: far enough for clocks nobody looks after.
CLOCK_TOLERANCE = timedelta(minutes=10)
_MAX_REPLY_BYTES = 64 << 10
_NONCE_BYTES = 16
_NULL = b"\x05\x00"
_OIDS = {
    "sha256": bytes.fromhex("0609608648016503040201"),
    "sha384": bytes.fromhex("0609608648016503040202"),
    "sha512": bytes.fromhex("0609608648016503040203"),
}


def request(digest: bytes, *, algorithm: str = "sha256", nonce: bytes = b"") -> bytes:
    """Return a DER ``TimeStampReq`` that asks for the certificate too.

    Parameters
    ----------
    digest : bytes
        Of what is to be stamped.
    nonce : bytes
        By which the answer is known; its first bit must be 0.
    """
    imprint = _element(SEQUENCE, _element(SEQUENCE, _OIDS[algorithm] + _NULL) + _element(OCTETS, digest))
    asked = _element(INTEGER, nonce) if nonce else b""
    return _element(SEQUENCE, _element(INTEGER, b"\x01") + imprint + asked + _element(BOOLEAN, b"\xff"))


def fetch_token(
    url: str,
    digest: bytes,
    *,
    web: Web,
    lists: Sequence[TrustList],
    algorithm: str = "sha256",
    now: datetime | None = None,
) -> bytes:
    """Return a token for a digest: of this digest, of now, and by an authority that the trust lists name.

    Parameters
    ----------
    url : str
    digest : bytes
        Of ``algorithm``: ``sha256``, ``sha384`` or ``sha512``.
    lists : Sequence[TrustList]
        Only their anchors for time stamps count.

    Returns
    -------
    bytes
        DER ``TimeStampToken``.

    Raises
    ------
    TimeStampError
        The authority refused, or what it sent is not the stamp that was asked for.
    NetworkError, LimitError, UsageError
        As for ``Web.post``.
    """
    # RFC 3161 §2.4.1: large and random. A leading byte of 1 keeps it positive and in its shortest form.
    nonce = b"\x01" + secrets.token_bytes(_NONCE_BYTES)
    body = request(digest, algorithm=algorithm, nonce=nonce)
    reply = asking(url, web)(body)
    try:
        token = cms.token_of_response(reply)
        check_token(token, digest, lists=lists, algorithm=algorithm, nonce=nonce, now=now)
    except MalformedError as error:
        msg = f"what {url} sent is not a usable time stamp: {error.message}"
        raise TimeStampError(msg) from error
    return token


def asking(url: str, web: Web) -> Callable[[bytes], bytes]:
    """Return what passes requests on to a time-stamping authority; whoever uses the answers checks them."""

    def ask(query: bytes) -> bytes:
        answer = web.post(url, query, content_type=QUERY_TYPE, limit=_MAX_REPLY_BYTES, accept=REPLY_TYPE)
        if answer.status != 200:
            msg = f"{url} gave no time stamp: it answered {answer.status}"
            raise TimeStampError(msg, hint="ask whoever runs it whether it offers time stamps")
        return answer.body

    return ask


def asking_listed(
    url: str, web: Web, lists: Sequence[TrustList], *, now: Callable[[], datetime] | None = None
) -> Callable[[bytes], bytes]:
    """As ``asking``, for whoever passes the answers on: each is checked first, and refused unless it holds.

    Parameters
    ----------
    lists : Sequence[TrustList]
        Only their anchors for time stamps count.
    now : callable, optional
        The clock that the authority's is compared with.

    Raises
    ------
    TimeStampError
        By what is returned: no stamp, not the one that was asked for, or by an authority that no list names for time.
    """
    ask = asking(url, web)

    def ask_and_check(query: bytes) -> bytes:
        reply = ask(query)
        try:
            algorithm, digest, nonce = _asked(query)
            token = cms.token_of_response(reply)
            at = now() if now is not None else None
            check_token(token, digest, lists=lists, algorithm=algorithm, nonce=nonce, now=at)
        except MalformedError as error:
            msg = f"what {url} sent is not a usable time stamp: {error.message}"
            raise TimeStampError(msg) from error
        return reply

    return ask_and_check


def check_token(
    token: bytes,
    digest: bytes,
    *,
    lists: Sequence[TrustList],
    algorithm: str = "sha256",
    nonce: bytes = b"",
    now: datetime | None = None,
) -> cms.Token:
    """Read a token that was just made and check everything that a verifier will ask of it.

    Raises
    ------
    TimeStampError, MalformedError
    """
    read = cms.read_token(token)
    at = now or datetime.now(UTC)
    if (read.digest_algorithm, read.digest) != (algorithm, digest):
        msg = "the time stamp is of something else than was asked for"
        raise TimeStampError(msg)
    if read.nonce != nonce:
        msg = "the time stamp answers another question: its nonce is not ours"
        raise TimeStampError(msg)
    if abs(read.time - at) > CLOCK_TOLERANCE:
        msg = f"the time stamp says {read.time:%Y-%m-%d %H:%M:%S} UTC, and this computer {at:%Y-%m-%d %H:%M:%S} UTC"
        raise TimeStampError(msg, hint="one of the two clocks is wrong; find out which")
    path = validate_path(read.chain, lists, at=read.time, purpose=Purpose.TIMESTAMP)
    if not path.trusted:
        why = path.problems[0].message if path.problems else "no listed authority stands behind it"
        msg = f"the time stamp is not from an authority on the trust lists: {why}"
        raise TimeStampError(msg, hint="add the trust list that names it")
    return read


def _asked(query: bytes) -> tuple[str, bytes, bytes]:
    """Return algorithm, digest and nonce of a request."""
    parts = der.parse(query).expect(SEQUENCE).children()
    imprint = parts[1].expect(SEQUENCE).children() if len(parts) > 1 else []
    if len(imprint) != 2:
        msg = "the request for a time stamp does not have the form of RFC 3161"
        raise MalformedError(msg)
    named = imprint[0].expect(SEQUENCE).children()[:1]
    algorithm = next((name for name, encoded in _OIDS.items() if named and named[0].encoded == encoded), "")
    if not algorithm:
        msg = "the request for a time stamp is for a digest that is not accepted"
        raise MalformedError(msg)
    nonce = next((part.content for part in parts[2:] if part.tag == INTEGER), b"")
    return algorithm, imprint[1].expect(OCTETS).content, nonce


def _element(tag: int, content: bytes) -> bytes:
    # Nothing here is longer than 255 bytes.
    length = bytes((len(content),)) if len(content) < 0x80 else bytes((0x81, len(content)))
    return bytes((tag,)) + length + content
