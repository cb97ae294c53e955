"""Enrolment over HTTP: EST (RFC 7030, RFC 8951) for instruments, ``/enrolments`` for the people who permit it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from cryptography import x509
from starlette.responses import Response

from rawtrace.errors import EnrolmentError, IdentityRecordError, MalformedError
from rawtrace.server import enrolment, registry
from rawtrace.server.access import Role
from rawtrace.server.calls import Call, json_reply
from rawtrace.server.enrolment import Applicant
from rawtrace.server.limits import household
from rawtrace.server.problems import Problem
from rawtrace.trust import enrolment as rules
from rawtrace.trust import estforms, identifiers, instruments, register
from rawtrace.trust.certificates import SignerKind, is_issued_by

REALM = 'Basic realm="enrolment: the PID and its one-time code", charset="UTF-8"'
_LOOK_AGAIN_S = 300
_MAX_LIST = 500
_MAX_REASON = 300
#: Failures within a quarter of an hour: one PID from one address, one address, one PID.
_PAIR, _SOURCE, _PID = 10, 30, 300


# --- EST ----------------------------------------------------------------------------------------------------------


def cacerts(call: Call) -> Response:
    """Return the authority's certificate and its root (RFC 7030, 4.1)."""
    return _pkcs7(enrolment.authority_chain(call.store))


def csrattrs(_call: Call) -> Response:
    """Return what a request should hold (RFC 7030, 4.5)."""
    return _est(estforms.csr_attributes(), estforms.ATTRIBUTES_TYPE)


def simpleenroll(call: Call) -> Response:
    """Certify for the first time: by one-time code, or by the device certificate (RFC 7030, 4.2.1)."""
    return _answer(call, _newcomer(call), _csr(call))


def simplereenroll(call: Call) -> Response:
    """Certify again: by the current certificate, or by token and the certified key (RFC 7030, 4.2.2)."""
    shown = _shown(call)
    if shown is not None and _is_ours(call, shown):
        return _answer(call, _allowed(lambda: enrolment.by_certificate(call.store, shown)), _csr(call))
    if not call.principal.may(Role.INSTRUMENT):
        msg = "this takes the current certificate over TLS, or the instrument's token"
        raise Problem(401, msg, headers={"WWW-Authenticate": "Bearer"})
    csr = _csr(call)
    key = register.key_sha256(csr.public_key())
    return _answer(call, _allowed(lambda: enrolment.by_token(call.store, call.principal.pid, key)), csr)


def own_record(call: Call) -> Response:
    """Return the record that would be certified for whoever asks, shown as in the two routes above."""
    shown = _shown(call)
    if shown is not None and _is_ours(call, shown):
        applicant = _allowed(lambda: enrolment.by_certificate(call.store, shown))
    elif call.principal.may(Role.INSTRUMENT):
        applicant = _allowed(lambda: enrolment.by_pid(call.store, call.principal.pid))
    else:
        applicant = _newcomer(call)
    grant = applicant.grant
    value = {"pid": grant.pid, "kind": grant.kind.value, "record": dict(grant.record)}
    return json_reply(value | {"sha256": grant.record_sha256.hex()}, call=call)


# --- for people ---------------------------------------------------------------------------------------------------


def create(call: Call) -> Response:
    """Permit that a PID be certified; the answer holds its one-time code, which is never shown again."""
    value = _fields(
        call,
        {"pid": str, "kind": str, "record": dict, "hardware": bool, "device": dict, "approval": bool, "days": float},
    )
    wanted = enrolment.Wanted(
        grant=_grant(call, value),
        approval=value.get("approval", call.store.settings.enrolment.approval),
        days=value.get("days", call.store.settings.enrolment.code_days),
        **_device(value.get("device")),
    )
    enrolment.check(call.store, wanted)
    sent = value.get("record") or wanted.grant.record
    there = registry.ensure(call.store, sent, who=call.principal.name, kind=wanted.grant.kind, note="for its enrolment")
    if instruments.public_record(there.record) != dict(wanted.grant.record):
        msg = f"{wanted.grant.pid} is registered with another record than the one that was sent"
        raise Problem(409, msg, hint="change it at /instruments first, or leave the record out")
    made, code = enrolment.invite(call.store, wanted, by=call.principal.name)
    return json_reply(made | ({"code": code} if code else {}), status=201, headers={
        "Location": f"/enrolments/{made['id']}", "Cache-Control": "no-store",
    })  # fmt: skip


def listing(call: Call) -> Response:
    """Return enrolments, newest first."""
    state = call.query.get("state", "")
    if state and state not in enrolment.STATES:
        msg = f"{state[:40]!r} is not a state; expected one of {', '.join(enrolment.STATES)}"
        raise Problem(400, msg)
    limit = _number(call.query.get("limit", "100"), "limit", most=_MAX_LIST)
    cursor = call.query.get("before", "")
    before = _number(cursor, "before", most=(1 << 31) - 1) if cursor else None
    rows, following = enrolment.page(call.store, state=state, pid=call.query.get("pid", ""), before=before, limit=limit)
    value: dict[str, Any] = {"enrolments": rows}
    if following is not None:
        value["next"] = f"/enrolments?before={following}&limit={limit}" + (f"&state={state}" if state else "")
    return json_reply(value, call=call)


def show(call: Call) -> Response:
    """Return one enrolment."""
    return json_reply(enrolment.find(call.store, call.path["id"]), call=call)


def approve(call: Call) -> Response:
    """Approve the request that waits; the instrument gets its certificate when it asks the next time."""
    value = _fields(call, {"reason": str}) if call.body else {}
    return _decide(call, value, approve=True)


def refuse(call: Call) -> Response:
    """Refuse the request that waits."""
    return _decide(call, _fields(call, {"reason": str}) if call.body else {}, approve=False)


def cancel(call: Call) -> Response:
    """End an enrolment that has not led to a certificate."""
    return json_reply(enrolment.cancel(call.store, call.path["id"], by=call.principal.name))


# --- who asks -----------------------------------------------------------------------------------------------------


def _newcomer(call: Call) -> Applicant:
    scheme, _, credentials = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        return _by_code(call, credentials)
    shown = _shown(call)
    if shown is not None:
        if _is_ours(call, shown):
            msg = "the certificate that is shown is this authority's own; to have it renewed, ask simplereenroll"
            raise Problem(403, msg)
        return _allowed(lambda: enrolment.by_device(call.store, shown))
    msg = "this takes the PID and its one-time code, or the maker's device certificate over TLS"
    raise Problem(401, msg, headers={"WWW-Authenticate": REALM})


def _by_code(call: Call, credentials: str) -> Applicant:
    try:
        # A PID holds colons and a code none, so the last one parts them.
        name, _, code = base64.b64decode(credentials.strip(), validate=True).decode().rpartition(":")
    except (binascii.Error, ValueError):
        name, code = "", ""
    try:
        pid = identifiers.pid(name)[0]
    except IdentityRecordError:
        pid = ""
    named = hashlib.sha256(pid.encode()).hexdigest()
    source = household(call.client)
    limits = {f"pair {named} {source}": _PAIR, f"source {source}": _SOURCE, f"pid {named}": _PID}
    wait_s = call.store.attempts.wait_s(limits)
    if wait_s:
        msg = "too many wrong codes; try again later"
        raise Problem(429, msg, headers={"Retry-After": f"{wait_s}"})
    applicant = enrolment.by_code(call.store, pid, code) if pid else None
    if applicant is None:
        call.store.attempts.failed(limits)
        msg = "that is not a PID and its one-time code, or the code is not good any more"
        hint = "look at both again; if they are right, ask the store's operator for a new code"
        raise Problem(401, msg, hint=hint, headers={"WWW-Authenticate": REALM})
    return applicant


def _shown(call: Call) -> x509.Certificate | None:
    if call.peer_certificate is None:
        return None
    try:
        return x509.load_der_x509_certificate(call.peer_certificate)
    except ValueError as error:
        msg = "the certificate that is shown cannot be read"
        raise Problem(403, msg) from error


def _is_ours(call: Call, certificate: x509.Certificate) -> bool:
    return is_issued_by(certificate, call.store.authority().certificate)


def _allowed(find: Any) -> Applicant:
    try:
        applicant: Applicant = find()
    except EnrolmentError as error:
        raise Problem(403, error.message, hint=error.hint) from error
    return applicant


# --- what is asked for, and answers -------------------------------------------------------------------------------


def _csr(call: Call) -> x509.CertificateSigningRequest:
    if call.media_type != estforms.REQUEST_TYPE:
        msg = f"the body is {call.media_type or 'of no named type'}; expected {estforms.REQUEST_TYPE}"
        raise Problem(415, msg)
    try:
        return rules.read_csr(estforms.from_base64(call.body, what="the request", limit=rules.MAX_CSR_BYTES))
    except MalformedError as error:
        raise Problem(400, error.message) from error


def _answer(call: Call, applicant: Applicant, csr: x509.CertificateSigningRequest) -> Response:
    try:
        leaf = enrolment.certify(call.store, applicant, csr, source=call.client)
    except enrolment.Waiting:
        text = "an officer of the authority must approve the request; ask again with the same request\n"
        return Response(text, 202, headers={"Retry-After": f"{_LOOK_AGAIN_S}"}, media_type="text/plain")
    return _pkcs7((leaf,))


def _pkcs7(chain: tuple[x509.Certificate, ...]) -> Response:
    return _est(estforms.write_certificates(chain), f"{estforms.CERTIFICATES_TYPE}; smime-type=certs-only")


def _est(body: bytes, media_type: str) -> Response:
    # RFC 8951 makes the base64 a part of the format; clients of RFC 7030 look for the header still.
    return Response(body, headers={"Content-Transfer-Encoding": "base64", "Content-Type": media_type})


def _decide(call: Call, value: dict[str, Any], *, approve: bool) -> Response:
    reason = value.get("reason", "")
    if len(reason) > _MAX_REASON or not (reason.isprintable() or not reason):
        msg = f"the reason is one line of at most {_MAX_REASON} characters"
        raise Problem(400, msg)
    return json_reply(
        enrolment.decide(call.store, call.path["id"], approve=approve, by=call.principal.name, reason=reason)
    )


def _fields(call: Call, known: dict[str, type]) -> dict[str, Any]:
    value = call.json()
    if not isinstance(value, dict):
        msg = "the body is not a JSON object"
        raise Problem(400, msg)
    for name, content in value.items():
        if name not in known:
            msg = f"the body has {name[:40]!r}, which is not known here; expected {', '.join(known)}"
            raise Problem(400, msg)
        fits = type(content) is known[name] or (known[name] is float and type(content) is int)
        if not fits:
            msg = f"{name} has the wrong type; expected {known[name].__name__}"
            raise Problem(400, msg)
    return value


def _grant(call: Call, value: dict[str, Any]) -> rules.Grant:
    try:
        kind = SignerKind(value.get("kind", "instrument"))
    except ValueError as error:
        msg = f"{value['kind'][:40]!r} is no kind of signer; expected instrument, workstation or repository"
        raise Problem(400, msg) from error
    pid = value.get("pid", "")
    record = value.get("record") or enrolment.record_of(call.store, identifiers.pid(pid)[0] if pid else "", kind)
    if record is None:
        msg = "no record is registered for that PID; register the instrument first, or send its record along"
        raise Problem(422, msg)
    instruments.check_record(record, kind)
    # What is certified goes into every seal, where everybody reads it.
    shown = instruments.public_record(record)
    return rules.grant_of(
        pid or instruments.summary(record)["pid"], kind, shown, seen_in_token=value.get("hardware", False)
    )


def _device(value: dict[str, Any] | None) -> dict[str, str]:
    if value is None:
        return {}
    maker, serial = value.get("maker", ""), value.get("serial_number", "")
    fits = set(value) <= {"maker", "serial_number"} and isinstance(maker, str) and isinstance(serial, str)
    if not fits or len(maker) != 64 or set(maker.lower()) - set("0123456789abcdef") or not 0 < len(serial) <= 64:
        msg = "a device is named by maker, the SHA-256 of its maker's certificate, and serial_number"
        raise Problem(400, msg)
    return {"device_maker": maker.lower(), "device_serial": serial}


def _number(text: str, what: str, *, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) <= most):
        msg = f"{what} is {text[:20]!r}; expected a number from 1 to {most}"
        raise Problem(400, msg)
    return int(text)


__all__ = [
    "approve", "cacerts", "cancel", "create", "csrattrs", "listing", "own_record", "refuse", "show", "simpleenroll",
    "simplereenroll",
]  # fmt: skip
