"""HS_SITE: the servers of a service, each with its key, and which of them holds a handle."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from rawtrace.errors import MalformedError
from rawtrace.trust.handles import wire
from rawtrace.trust.handles.names import Handle, upper
from rawtrace.trust.handles.wire import Reader, RsaKey

_PRIMARY, _MULTI_PRIMARY = 0x80, 0x40
_MAX_SERVERS = 64
_MAX_INTERFACES = 32
_MAX_ATTRIBUTES = 64
_PROTOCOLS = ("UDP", "TCP", "HTTP", "HTTPS")
_QUERY, _ADMIN = 2, 1


class Hash(IntEnum):
    """What of a handle decides which server of a site holds it."""

    BY_PREFIX = 0
    BY_SUFFIX = 1
    BY_ALL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One way to ask a server."""

    protocol: str
    port: int
    query: bool = True
    admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server of a site.

    Attributes
    ----------
    address : str
        An IP address; ``0.0.0.0`` where the site's attribute ``domain`` names the host.
    key : bytes
        The server's public key in the form of ``wire.encode_key``; empty if there is none.
    """

    id: int
    address: str
    key: bytes
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site; all sites of a service hold the same handles."""

    servers: tuple[Server, ...]
    serial: int = 1
    version: int = 1
    protocol: tuple[int, int] = (2, 11)
    primary: bool = True
    multi_primary: bool = False
    hash_option: int = Hash.BY_ALL
    hash_filter: bytes = b""
    attributes: tuple[tuple[str, str], ...] = ()

    def attribute(self, name: str, server: Server) -> str:
        """Return an attribute of one server (``name.ID``), else of the whole site."""
        named = dict(self.attributes)
        return named.get(f"{name}.{server.id}", named.get(name, ""))

    def server_for(self, handle: Handle) -> Server:
        """Return the server that holds a handle."""
        if len(self.servers) == 1:
            return self.servers[0]
        return self.servers[hash_of(handle, self.hash_option) % len(self.servers)]

    def url_of(self, server: Server) -> str:
        """Return where a server answers over https, without a slash at the end; empty if it does not."""
        port = next((one.port for one in server.interfaces if one.protocol == "HTTPS" and one.query), 0)
        host = self.attribute("domain", server) or server.address
        if not port or not host or not host.isascii() or any(letter in host for letter in "/@?#%\\ []"):
            return ""
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def hash_of(handle: Handle, option: int) -> int:
    """Return the number that chooses a server: the last four bytes of an MD5 digest, without their sign."""
    part = {Hash.BY_PREFIX: handle.prefix, Hash.BY_SUFFIX: handle.suffix}.get(Hash(option), handle.text)
    digest = hashlib.md5(upper(part).encode(), usedforsecurity=False).digest()
    return abs(int.from_bytes(digest[-4:], "big", signed=True))


def encode(site: Site) -> bytes:
    """Write a site in its binary form (RFC 3651, section 3.2.2)."""
    mask = (_PRIMARY if site.primary else 0) | (_MULTI_PRIMARY if site.multi_primary else 0)
    parts = [
        site.version.to_bytes(2, "big"),
        bytes(site.protocol),
        site.serial.to_bytes(2, "big"),
        bytes([mask, site.hash_option]),
        wire.block(site.hash_filter),
        wire.u32(len(site.attributes)),
        *(wire.block(name.encode()) + wire.block(value.encode()) for name, value in site.attributes),
        wire.u32(len(site.servers)),
    ]
    for server in site.servers:
        parts += [wire.u32(server.id), _address(server.address), wire.block(server.key)]
        parts.append(wire.u32(len(server.interfaces)))
        for one in server.interfaces:
            kind = (_QUERY if one.query else 0) | (_ADMIN if one.admin else 0)
            parts.append(bytes([kind, _PROTOCOLS.index(one.protocol)]) + wire.u32(one.port))
    return b"".join(parts)


def decode(data: bytes) -> Site:
    """Read the binary form of a site.

    Raises
    ------
    MalformedError
    """
    reader = Reader(data, "the HS_SITE value")
    version, protocol, serial = reader.number(2), (reader.number(1), reader.number(1)), reader.number(2)
    mask, option = reader.number(1), reader.number(1)
    hash_filter = reader.block()
    attributes = tuple((reader.text(), reader.text()) for _ in range(reader.count(_MAX_ATTRIBUTES)))
    servers = []
    for _ in range(reader.count(_MAX_SERVERS)):
        number, address, key = reader.number(4), _address_text(reader.take(16)), reader.block()
        interfaces = []
        for _ in range(reader.count(_MAX_INTERFACES)):
            kind, way, port = reader.number(1), reader.number(1), reader.number(4)
            if way >= len(_PROTOCOLS) or port > 65_535 or kind > (_QUERY | _ADMIN):
                msg = "the HS_SITE value names an interface that cannot be"
                raise MalformedError(msg)
            interfaces.append(
                Interface(protocol=_PROTOCOLS[way], port=port, query=bool(kind & _QUERY), admin=bool(kind & _ADMIN))
            )
        servers.append(Server(id=number, address=address, key=key, interfaces=tuple(interfaces)))
    reader.end()
    if option > max(Hash) or mask & ~(_PRIMARY | _MULTI_PRIMARY) or not servers:
        msg = "the HS_SITE value has no server, or an option that is not known"
        raise MalformedError(msg)
    return Site(
        servers=tuple(servers),
        serial=serial,
        version=version,
        protocol=protocol,
        primary=bool(mask & _PRIMARY),
        multi_primary=bool(mask & _MULTI_PRIMARY),
        hash_option=option,
        hash_filter=hash_filter,
        attributes=attributes,
    )


def to_json(site: Site) -> dict[str, Any]:
    """Write a site as JSON, in the order of CNRI's library."""
    made: dict[str, Any] = {
        "version": site.version,
        "protocolVersion": f"{site.protocol[0]}.{site.protocol[1]}",
        "serialNumber": site.serial,
        "primarySite": site.primary,
        "multiPrimary": site.multi_primary,
    }
    if site.hash_option != Hash.BY_ALL:
        made["hashOption"] = int(site.hash_option)
    if site.hash_filter:
        made["hashFilter"] = site.hash_filter.decode()
    made["attributes"] = [{"name": name, "value": value} for name, value in site.attributes]
    made["servers"] = [
        {
            "serverId": server.id,
            "address": server.address,
            **({"publicKey": {"format": "key", "value": wire.key_to_json(server.key)}} if server.key else {}),
            "interfaces": [
                {"query": one.query, "admin": one.admin, "protocol": one.protocol, "port": one.port}
                for one in server.interfaces
            ],
        }
        for server in site.servers
    ]
    return made


def from_json(value: object) -> Site:
    """Read a site from JSON; strict about types and bounds.

    Raises
    ------
    MalformedError
    """
    one = wire.mapping(value, "the site")
    major, _, minor = wire.text(one.get("protocolVersion", "2.11"), "protocolVersion").partition(".")
    if not (major.isascii() and minor.isascii() and major.isdigit() and minor.isdigit()):
        msg = "the site's protocolVersion is not of the form 2.11"
        raise MalformedError(msg)
    site = Site(
        servers=tuple(_server(each) for each in wire.sequence(one.get("servers"), "servers", _MAX_SERVERS)),
        serial=wire.integer(one.get("serialNumber", 1), "serialNumber", 0xFFFF),
        version=wire.integer(one.get("version", 1), "version", 0xFFFF),
        protocol=(wire.integer(int(major[:4]), "protocol", 255), wire.integer(int(minor[:4]), "protocol", 255)),
        primary=wire.boolean(one.get("primarySite", False), "primarySite"),
        multi_primary=wire.boolean(one.get("multiPrimary", False), "multiPrimary"),
        hash_option=wire.integer(one.get("hashOption", int(Hash.BY_ALL)), "hashOption", int(max(Hash))),
        hash_filter=wire.text(one.get("hashFilter", ""), "hashFilter").encode(),
        attributes=tuple(
            (wire.text(each.get("name"), "name"), wire.text(each.get("value"), "value"))
            for each in (
                wire.mapping(item, "an attribute")
                for item in wire.sequence(one.get("attributes", []), "attributes", _MAX_ATTRIBUTES)
            )
        ),
    )
    if not site.servers:
        msg = "the site names no server"
        raise MalformedError(msg)
    return site


def _server(value: object) -> Server:
    one = wire.mapping(value, "a server")
    key = b""
    if one.get("publicKey") is not None:
        key = wire.key_from_json(wire.mapping(one["publicKey"], "publicKey").get("value"))
    address = wire.text(one.get("address"), "address")
    return Server(
        id=wire.integer(one.get("serverId"), "serverId", 0x7FFFFFFF),
        address=_address_text(_address(address)),
        key=key,
        interfaces=tuple(
            _interface(wire.mapping(each, "an interface"))
            for each in wire.sequence(one.get("interfaces"), "interfaces", _MAX_INTERFACES)
        ),
    )


def _interface(one: Mapping[str, Any]) -> Interface:
    protocol = wire.text(one.get("protocol"), "protocol").upper()
    if protocol not in _PROTOCOLS:
        msg = f"the protocol {protocol[:20]!r} is not one of {', '.join(_PROTOCOLS)}"
        raise MalformedError(msg)
    return Interface(
        protocol=protocol,
        port=wire.integer(one.get("port"), "port", 65_535),
        query=wire.boolean(one.get("query", False), "query"),
        admin=wire.boolean(one.get("admin", False), "admin"),
    )


def _address(text: str) -> bytes:
    try:
        return ipaddress.ip_address(text).packed.rjust(16, b"\0")
    except ValueError as error:
        msg = f"{text[:60]!r} is not an IP address"
        raise MalformedError(msg) from error


def _address_text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed[12:] if not any(packed[:12]) else packed))


def key_of(server: Server) -> RsaKey | None:
    """Return a server's key, if it is RSA: no other can be compared with that of a TLS certificate."""
    return wire.rsa_key(server.key) if server.key else None
