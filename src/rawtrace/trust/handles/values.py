"""Handle values: what a handle's record holds, byte for byte as CNRI's library writes it in JSON.

A value's data is bytes; the JSON format that shows it follows from its type. So
a value that was read and is written again is the same, and its digest can be
made. The normative page is ``docs/spec/resolution.md``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import MalformedError
from rawtrace.trust.handles import site as sites
from rawtrace.trust.handles import wire
from rawtrace.trust.handles.names import Handle, read_handle, upper

MAX_ANSWER_BYTES = 1 << 20
MAX_VALUES = 1000
MAX_DATA_BYTES = 1 << 18
MAX_TTL_S = 0x7FFFFFFF
DEFAULT_TTL_S = 86_400
DEFAULT_PERMISSIONS = 0b1110
PUBLIC_READ = 0b0010

URL = "URL"
ADMIN = "HS_ADMIN"
SITE, SITE_PREFIX = "HS_SITE", "HS_SITE.PREFIX"
SERVICE, SERVICE_PREFIX = "HS_SERV", "HS_SERV.PREFIX"
ALIAS = "HS_ALIAS"
PUBLIC_KEY = "HS_PUBKEY"
SIGNATURE = "HS_SIGNATURE"
CERTIFICATE = "HS_CERT"
VALUE_LIST = "HS_VLIST"
#: In a prefix's record: the operator of the trust list that counts for the prefix, ``sha256:<hex>``.
OPERATOR = "org.rawtrace.operator"
#: In an instrument's record: one of its certificates, DER.
INSTRUMENT_CERTIFICATE = "org.rawtrace.certificate"

_MAX_INDEX = 0x7FFFFFFF
_MAX_REFERENCES = 64
#: Bytes with which CNRI's library takes a value for binary; found by asking it, byte by byte.
_BINARY = frozenset({*range(9), *range(0x14, 0x20), 0x7F})


class Code(IntEnum):
    """Response codes of the Handle System."""

    SUCCESS = 1
    ERROR = 2
    NOT_FOUND = 100
    EXISTS = 101
    INVALID_HANDLE = 102
    VALUES_NOT_FOUND = 200
    VALUE_EXISTS = 201
    INVALID_VALUE = 202
    NOT_RESPONSIBLE = 301
    SERVICE_REFERRAL = 302
    PREFIX_REFERRAL = 303
    AUTHENTICATION_NEEDED = 402
    AUTHENTICATION_FAILED = 403


#: HTTP status of each code, on resolution; others from 400 on are 403, the rest 500.
_HTTP = {
    Code.SUCCESS: 200,
    Code.ERROR: 500,
    Code.NOT_FOUND: 404,
    Code.EXISTS: 409,
    Code.INVALID_HANDLE: 400,
    Code.VALUES_NOT_FOUND: 200,
    Code.VALUE_EXISTS: 409,
    Code.INVALID_VALUE: 400,
    Code.NOT_RESPONSIBLE: 400,
    Code.SERVICE_REFERRAL: 200,
    Code.PREFIX_REFERRAL: 200,
    Code.AUTHENTICATION_NEEDED: 401,
}


def http_status(code: int) -> int:
    """Return the HTTP status that a response code goes with on resolution."""
    return _HTTP.get(code, 403 if 400 <= code < 500 else 500)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True, slots=True)
class Reference:
    """A value of a handle, named: ``index:handle``."""

    handle: str
    index: int

    @property
    def text(self) -> str:
        """As a signature names its issuer."""
        return f"{self.index}:{self.handle}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Administrator:
    """Data of HS_ADMIN: whose key may change the record.

    Attributes
    ----------
    permissions : int
        12 bits.
    """

    handle: str
    index: int
    permissions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleValue:
    """One value of a record.

    Attributes
    ----------
    index : int
        From 1; each once in a record.
    type : str
    data : bytes
        In the binary form of its type; UTF-8 for text.
    ttl : int
        Seconds; seconds since 1970 where ``absolute``.
    timestamp : int
        When it was last changed, seconds since 1970; 0 where not said.
    permissions : int
        Four bits: administrators read and write, the public reads and writes.
    """

    index: int
    type: str
    data: bytes
    ttl: int = DEFAULT_TTL_S
    absolute: bool = False
    timestamp: int = 0
    permissions: int = DEFAULT_PERMISSIONS
    references: tuple[Reference, ...] = ()

    @property
    def public(self) -> bool:
        """Whether anybody may read it."""
        return bool(self.permissions & PUBLIC_READ)

    @property
    def text(self) -> str:
        """The data as text; empty if it is none."""
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            return ""

    def is_a(self, kind: str) -> bool:
        """Whether it is of a type, or of a subtype where the type ends in a dot."""
        own, asked = upper(self.type), upper(kind)
        return own == asked or (asked.endswith(".") and (own.startswith(asked) or own == asked[:-1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server says about a handle.

    Attributes
    ----------
    code : int
    handle : Handle or None
    values : tuple[HandleValue, ...] or None
        None where the answer has no such member.
    referral : str
        Handle that a referral names; empty where it gives values, or is none.
    """

    code: int
    handle: Handle | None
    values: tuple[HandleValue, ...] | None = None
    message: str = ""
    referral: str = ""


def text_value(index: int, kind: str, text: str, **more: Any) -> HandleValue:
    """Make a value that holds text."""
    return HandleValue(index=index, type=kind, data=text.encode(), **more)


def site_value(index: int, site: sites.Site, *, kind: str = SITE, **more: Any) -> HandleValue:
    """Make an HS_SITE value."""
    return HandleValue(index=index, type=kind, data=sites.encode(site), **more)


def key_value(index: int, key: wire.RsaKey, **more: Any) -> HandleValue:
    """Make an HS_PUBKEY value."""
    return HandleValue(index=index, type=PUBLIC_KEY, data=wire.encode_key(key), **more)


def admin_value(index: int, admin: Administrator, **more: Any) -> HandleValue:
    """Make an HS_ADMIN value."""
    return HandleValue(index=index, type=ADMIN, data=encode_admin(admin), **more)


def encode_admin(admin: Administrator) -> bytes:
    """Write the data of HS_ADMIN."""
    return admin.permissions.to_bytes(2, "big") + wire.block(admin.handle.encode()) + wire.u32(admin.index)


def decode_admin(data: bytes) -> Administrator:
    """Read the data of HS_ADMIN.

    Raises
    ------
    MalformedError
    """
    reader = wire.Reader(data, "the HS_ADMIN value")
    made = Administrator(permissions=reader.number(2), handle=reader.text(), index=reader.number(4))
    reader.end()
    if made.permissions >= 1 << 12:
        msg = "the HS_ADMIN value has permissions that are not known"
        raise MalformedError(msg)
    return made


def encode_references(references: Sequence[Reference]) -> bytes:
    """Write the data of HS_VLIST."""
    return wire.u32(len(references)) + b"".join(wire.block(r.handle.encode()) + wire.u32(r.index) for r in references)


def decode_references(data: bytes) -> tuple[Reference, ...]:
    """Read the data of HS_VLIST.

    Raises
    ------
    MalformedError
    """
    reader = wire.Reader(data, "the HS_VLIST value")
    made = tuple(Reference(reader.text(), reader.number(4)) for _ in range(reader.count(MAX_VALUES)))
    reader.end()
    return made


def write_answer(answer: Answer) -> bytes:
    """Write an answer: compact, UTF-8, members in the order of CNRI's library."""
    made: dict[str, Any] = {"responseCode": int(answer.code)}
    if answer.message:
        made["message"] = answer.message
    if answer.referral:
        made["referralHandle"] = answer.referral
    values = None if answer.values is None else [value_to_json(value) for value in answer.values]
    # Only a success has its values after the handle.
    if values is not None and answer.code != Code.SUCCESS:
        made["values"] = values
    if answer.handle is not None:
        made["handle"] = answer.handle.text
    if values is not None and answer.code == Code.SUCCESS:
        made["values"] = values
    return dumps(made)


def read_answer(data: bytes, *, what: str) -> Answer:
    """Read an answer; members that are not known are passed over.

    Raises
    ------
    MalformedError, LimitError
        Not JSON, a member of another type than expected, an index twice, out of bounds.
    """
    one = wire.mapping(strictjson.loads(data, what=what, max_bytes=MAX_ANSWER_BYTES), what)
    handle, values = one.get("handle"), one.get("values")
    read: tuple[HandleValue, ...] | None = None
    if values is not None:
        read = tuple(value_from_json(value) for value in wire.sequence(values, "values", MAX_VALUES))
        if len({value.index for value in read}) != len(read):
            msg = f"{what} has two values of one index"
            raise MalformedError(msg)
    return Answer(
        code=wire.integer(one.get("responseCode"), "responseCode", 0xFFFF),
        handle=None if handle is None else read_handle(wire.text(handle, "handle")),
        values=read,
        message=wire.text(one.get("message", ""), "message")[:500],
        referral=wire.text(one.get("referralHandle", ""), "referralHandle"),
    )


def value_to_json(value: HandleValue) -> dict[str, Any]:
    """Write one value."""
    made: dict[str, Any] = {"index": value.index, "type": value.type, "data": _data_to_json(value)}
    if value.permissions != DEFAULT_PERMISSIONS:
        made["permissions"] = f"{value.permissions:04b}"
    made["ttl"] = _moment(value.ttl) if value.absolute else value.ttl
    if value.timestamp:
        made["timestamp"] = _moment(value.timestamp)
    if value.references:
        made["references"] = [{"handle": one.handle, "index": one.index} for one in value.references]
    return made


def value_from_json(given: object) -> HandleValue:
    """Read one value.

    Raises
    ------
    MalformedError
    """
    one = wire.mapping(given, "a handle value")
    permissions = wire.text(one.get("permissions", "1110"), "permissions")
    if len(permissions) != 4 or set(permissions) - {"0", "1"}:
        msg = "the permissions of a handle value are not four bits"
        raise MalformedError(msg)
    index = wire.integer(one.get("index"), "index", _MAX_INDEX)
    kind = wire.text(one.get("type"), "type")
    if index < 1 or not 1 <= len(kind.encode()) <= 255 or not kind.isprintable():
        msg = "a handle value has no index from 1 on, or no type"
        raise MalformedError(msg)
    ttl = one.get("ttl", DEFAULT_TTL_S)
    absolute = isinstance(ttl, str)
    timestamp = one.get("timestamp")
    return HandleValue(
        index=index,
        type=kind,
        data=_data_from_json(one.get("data")),
        ttl=_seconds(ttl) if absolute else wire.integer(ttl, "ttl", MAX_TTL_S),
        absolute=absolute,
        timestamp=0 if timestamp is None else _seconds(timestamp),
        permissions=int(permissions, 2),
        references=_references(one.get("references", [])),
    )


def dumps(value: Any) -> bytes:
    """Write JSON without spaces, with the escapes of CNRI's library."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


def _data_to_json(value: HandleValue) -> dict[str, Any]:
    for types, name, write in _FORMATS:
        if any(value.is_a(kind) for kind in types):
            try:
                return {"format": name, "value": write(value.data)}
            except (MalformedError, UnicodeDecodeError):
                break
    if not _BINARY.intersection(value.data):
        try:
            return {"format": "string", "value": value.data.decode()}
        except UnicodeDecodeError:
            pass
    return {"format": "base64", "value": base64.b64encode(value.data).decode()}


def _data_from_json(given: object) -> bytes:
    one = wire.mapping(given, "the data of a handle value")
    name, value = one.get("format"), one.get("value")
    if name == "admin":
        data = _admin_from_json(value)
    elif name == "vlist":
        data = encode_references(_references(value, most=MAX_VALUES))
    elif name == "site":
        data = sites.encode(sites.from_json(value))
    elif name == "key":
        data = wire.key_from_json(value)
    elif isinstance(name, str) and name in {"string", "base64", "hex"}:
        data = _plain_from_json(name, wire.text(value, "the data of a handle value"))
    else:
        msg = f"the data format {str(name)[:20]!r} is not known"
        raise MalformedError(msg)
    if len(data) > MAX_DATA_BYTES:
        msg = f"the data of a handle value is larger than {MAX_DATA_BYTES} bytes"
        raise MalformedError(msg)
    return data


def _plain_from_json(name: str, value: str) -> bytes:
    try:
        if name == "base64":
            return base64.b64decode(value, validate=True)
        if name == "hex":
            return binascii.unhexlify(value)
    except (binascii.Error, ValueError) as error:
        msg = f"the data of a handle value is not {name}"
        raise MalformedError(msg) from error
    return value.encode()


def _admin_to_json(data: bytes) -> dict[str, Any]:
    one = decode_admin(data)
    return {"handle": one.handle, "index": one.index, "permissions": f"{one.permissions:012b}"}


def _admin_from_json(value: object) -> bytes:
    one = wire.mapping(value, "the HS_ADMIN value")
    permissions = wire.text(one.get("permissions"), "permissions")
    if len(permissions) > 12 or set(permissions) - {"0", "1"} or not permissions:
        msg = "the permissions of HS_ADMIN are not 12 bits"
        raise MalformedError(msg)
    if one.get("legacyByteLength"):
        msg = "the HS_ADMIN value has the length of an old version, which is not read"
        raise MalformedError(msg)
    return encode_admin(
        Administrator(
            handle=wire.text(one.get("handle"), "handle"),
            index=wire.integer(one.get("index"), "index", _MAX_INDEX),
            permissions=int(permissions, 2),
        )
    )


def _references(value: object, *, most: int = _MAX_REFERENCES) -> tuple[Reference, ...]:
    listed = (wire.mapping(item, "a reference") for item in wire.sequence(value, "references", most))
    return tuple(
        Reference(wire.text(one.get("handle"), "handle"), wire.integer(one.get("index"), "index", _MAX_INDEX))
        for one in listed
    )


_FORMATS: tuple[tuple[tuple[str, ...], str, Callable[[bytes], Any]], ...] = (
    ((ADMIN, f"{ADMIN}."), "admin", _admin_to_json),
    ((SITE, f"{SITE}."), "site", lambda data: sites.to_json(_exact(sites.decode(data), data))),
    ((PUBLIC_KEY, f"{PUBLIC_KEY}."), "key", wire.key_to_json),
    (
        (VALUE_LIST, f"{VALUE_LIST}."),
        "vlist",
        lambda data: [{"handle": one.handle, "index": one.index} for one in decode_references(data)],
    ),
)


def _exact(site: sites.Site, data: bytes) -> sites.Site:
    if sites.encode(site) != data:
        msg = "the HS_SITE value is not written in its one form"
        raise MalformedError(msg)
    return site


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(value: object) -> int:
    try:
        moment = datetime.fromisoformat(wire.text(value, "a time"))
        seconds = int(moment.timestamp()) if moment.tzinfo else -1
    except (ValueError, OverflowError):
        seconds = -1
    if not 0 <= seconds <= 0xFFFFFFFF:
        msg = f"{str(value)[:40]!r} is not a time with its zone, from 1970 to 2106"
        raise MalformedError(msg)
    return seconds
