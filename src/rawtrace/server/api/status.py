"""Statuses over HTTP: listing, revoking, OCSP, CRL and the trust list."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.responses import Response

from rawtrace import durable
from rawtrace.errors import InputNotFoundError
from rawtrace.server import statusdesk
from rawtrace.server.calls import Call, json_reply, ndjson_reply, tagged
from rawtrace.server.problems import Problem
from rawtrace.trust import crl as revocation_list
from rawtrace.trust import ocsp, register
from rawtrace.trust.authorityfolder import TRUST_LIST_FILE
from rawtrace.trust.trustlist import MAX_SIGNED_BYTES

NDJSON = "application/x-ndjson"
OCSP_REQUEST, OCSP_RESPONSE = "application/ocsp-request", "application/ocsp-response"
CRL, JOSE = "application/pkix-crl", "application/jose"
_LIMIT, _MAX_LIMIT, _MAX_AFTER = 200, 1_000, 1_000_000
_HOUR_S = 3_600


def listing(call: Call) -> Response:
    """Return what the authority revoked, oldest first, a page at a time; as NDJSON all of it."""
    after = _number(call, "after", 0, least=0, most=_MAX_AFTER)
    limit = _number(call, "limit", _LIMIT, least=1, most=_MAX_LIMIT)
    name = _authority_name(call)
    records = register.statuses(call.store.authority_folder)
    if call.prefers("application/json", NDJSON) == NDJSON:
        return ndjson_reply(statusdesk.view(record) for record in records)
    following = None
    if after + limit < len(records):
        following = f"/statuses?{urlencode({'after': after + limit, 'limit': limit})}"
    value = {
        "authority": name,
        "items": [statusdesk.view(record) for record in records[after : after + limit]],
        "total": len(records),
        "next": following,
    }
    return json_reply(value, call=call, headers={"Link": f'<{following}>; rel="next"'} if following else {})


def revoke(call: Call) -> Response:
    """Revoke certificates, firmware, a product or a feature."""
    _authority_name(call)
    made = statusdesk.revoke(call.store, call.json())
    return json_reply({"items": [statusdesk.view(record) for record in made]}, status=201)


def ocsp_posted(call: Call) -> Response:
    """Answer a request for the status of a certificate."""
    if call.media_type != OCSP_REQUEST:
        msg = f"the body is {call.media_type or 'of no stated type'}; expected {OCSP_REQUEST}"
        raise Problem(415, msg)
    return _answered(call, call.body, {})


def ocsp_asked(call: Call) -> Response:
    """Answer the same, asked by GET."""
    text = call.path["request"]
    try:
        request = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = "the address does not hold the base64 of a request"
        raise Problem(400, msg) from error
    # A day is what an answer holds for; an hour of caching leaves room for a revocation to be seen.
    return _answered(call, request, {"Cache-Control": f"public, no-transform, max-age={_HOUR_S}"})


def crl(call: Call) -> Response:
    """Return the certificate revocation list."""
    _authority_name(call)
    with call.store.issuing:
        data = revocation_list.current(call.store.authority_folder, now=call.store.now())
    return tagged(data, CRL, call=call)


def trust_list(call: Call) -> Response:
    """Return the authority's signed trust list."""
    _authority_name(call)
    data = durable.read_bounded(call.store.authority_folder / TRUST_LIST_FILE, limit=MAX_SIGNED_BYTES)
    return tagged(data, JOSE, call=call)


def _answered(call: Call, request: bytes, headers: Mapping[str, str]) -> Response:
    _authority_name(call)
    now = call.store.now()
    with call.store.issuing:
        responder = statusdesk.responder(call.store, now)
    data = ocsp.answer(responder, request, now=now)
    return Response(data, media_type=OCSP_RESPONSE, headers=dict(headers))


def _authority_name(call: Call) -> str:
    try:
        return call.store.authority().name
    except InputNotFoundError as error:
        msg = "this store has no authority"
        raise Problem(404, msg) from error


def _number(call: Call, name: str, default: int, *, least: int, most: int) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and least <= int(text) <= most):
        msg = f"{name} is not a number from {least} to {most}"
        raise Problem(400, msg)
    return int(text)
