"""Where resolution begins: the sites that answer for prefixes, each with the key it is known by.

They lie in ``resolver.json`` in rawtrace's own settings; federations that the
reader has joined name more, each with its key. Nothing is built in: who asks
the network, and whom, is the reader's choice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rawtrace import config, durable, strictjson
from rawtrace.errors import AlreadyExistsError, Error, InputNotFoundError, MalformedError, UsageError, from_os_error
from rawtrace.trust.handles import wire
from rawtrace.trust.handles.names import parents, same_prefix
from rawtrace.web import check_address

SCHEMA = "urn:rawtrace:schema:resolver:1"
MAX_ROOTS = 100
_MAX_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9A-Za-z_\-]+(?:\.[0-9A-Za-z_\-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RootSite:
    """A site that says who answers for a prefix.

    Attributes
    ----------
    url : str
        https, without a slash at the end.
    key_sha256 : str
        SHA-256 of the public key (SubjectPublicKeyInfo) of its TLS certificate.
    prefixes : tuple[str, ...]
        The prefixes, with those derived from them, that it is asked about; empty for all.
    vouches : bool
        Whether it may also say whose trust list counts for a prefix. Without this it only leads the way.
    """

    url: str
    key_sha256: str
    name: str = ""
    prefixes: tuple[str, ...] = field(default=())
    vouches: bool = False

    def answers_for(self, prefix: str) -> bool:
        """Whether it is asked about a prefix."""
        line = (prefix, *parents(prefix))
        return not self.prefixes or any(same_prefix(own, one) for own in self.prefixes for one in line)


def settings_path() -> Path:
    """Return where the roots are written down."""
    return config.config_folder() / "resolver.json"


def read_roots() -> tuple[RootSite, ...]:
    """Return the sites that were configured; none where nothing was.

    Raises
    ------
    MalformedError, UnreadableError
    """
    path = settings_path()
    try:
        data = durable.read_bounded(path, limit=_MAX_BYTES)
    except InputNotFoundError:
        return ()
    document = wire.mapping(strictjson.loads(data, what=f"{path}", max_bytes=_MAX_BYTES), f"{path}")
    if document.get("schema") != SCHEMA:
        msg = f"{path} is not of the form {SCHEMA}"
        raise MalformedError(msg)
    try:
        return tuple(_root(one) for one in wire.sequence(document.get("roots"), "roots", MAX_ROOTS))
    except Error as error:
        msg = f"{path}: {error.message}"
        raise MalformedError(
            msg, hint="remove the site with rawtrace trust sites remove, or correct the file"
        ) from error


def federated_roots() -> tuple[RootSite, ...]:
    """Return the sites that joined federations name, with their keys, as they were last accepted.

    They lead the way and vouch for nobody: whose trust lists count, a federation says by carrying them. A server
    without a pinned key is none, for a site is known by nothing else.

    Raises
    ------
    FederationError
        What is kept of one is damaged.
    """
    from rawtrace.trust import federationstate

    found: dict[str, RootSite] = {}
    for one in federationstate.all_held():
        for server in one.description.resolver_roots:
            root = RootSite(url=server.url, key_sha256=server.key_sha256, name=f"federation {one.name}")
            try:
                check_root(root)
            except UsageError:
                continue
            if root.key_sha256:
                found.setdefault(root.url, root)
    return tuple(found.values())[:MAX_ROOTS]


def all_roots() -> tuple[RootSite, ...]:
    """Return the sites that were configured, then those of federations; what the reader says of a site counts.

    Raises
    ------
    MalformedError, UnreadableError, FederationError
    """
    own = read_roots()
    known = {one.url for one in own}
    return (*own, *(one for one in federated_roots() if one.url not in known))


def add_root(root: RootSite) -> None:
    """Write a site down, after those that are there.

    Raises
    ------
    UsageError
        An address that cannot be asked over https, a digest or a prefix that is none.
    AlreadyExistsError
    """
    check_root(root)
    if not root.key_sha256:
        msg = f"the key of {root.url} is not named, and a site is known by nothing else"
        raise UsageError(msg)
    held = read_roots()
    if any(one.url == root.url for one in held):
        msg = f"{root.url} is among the sites already"
        raise AlreadyExistsError(msg, hint="remove it first, to change what it is known by")
    _write((*held, root))


def remove_root(named: str) -> RootSite:
    """Forget a site, by its address or name.

    Raises
    ------
    InputNotFoundError
    """
    held = read_roots()
    found = [one for one in held if named.rstrip("/") == one.url or named == one.name]
    if len(found) != 1:
        msg = f"{len(found)} sites are called {named}; expected one"
        raise InputNotFoundError(msg, hint="see rawtrace trust sites list")
    _write(tuple(one for one in held if one is not found[0]))
    return found[0]


def read_site(text: str) -> tuple[str, str]:
    """Read ``URL`` or ``URL#key=DIGEST``; returns the address and the digest, empty where there is none.

    Raises
    ------
    UsageError
    """
    url, mark, fragment = text.partition("#")
    name, _, digest = fragment.partition("=")
    if mark and (name != "key" or not _DIGEST.fullmatch(digest.lower())):
        msg = f"{fragment[:80]!r} after the address is not key= with 64 hexadecimal digits"
        raise UsageError(msg)
    check_address(url)
    return url.rstrip("/"), digest.lower()


def check_root(root: RootSite) -> None:
    """Refuse a site that could not be asked, or not be known.

    Raises
    ------
    UsageError
    """
    check_address(root.url)
    if not root.url.startswith("https://") or any(letter in root.url for letter in "?#"):
        msg = f"{root.url} cannot be a site; expected https://host:port, known by its key"
        raise UsageError(msg)
    if root.key_sha256 and not _DIGEST.fullmatch(root.key_sha256):
        msg = "the digest of a site's key is 64 hexadecimal digits"
        raise UsageError(msg)
    for prefix in root.prefixes:
        if not _PREFIX.fullmatch(prefix):
            msg = f"{prefix[:80]!r} is not a prefix; expected the form 20.500.12345"
            raise UsageError(msg)


def _root(value: object) -> RootSite:
    one: Any = wire.mapping(value, "a site")
    root = RootSite(
        url=wire.text(one.get("url"), "url").rstrip("/"),
        key_sha256=wire.text(one.get("key_sha256"), "key_sha256").lower(),
        name=wire.text(one.get("name", ""), "name"),
        prefixes=tuple(
            wire.text(each, "a prefix") for each in wire.sequence(one.get("prefixes", []), "prefixes", 1000)
        ),
        vouches=wire.boolean(one.get("vouches", False), "vouches"),
    )
    check_root(root)
    if not root.key_sha256:
        msg = f"{root.url} has no key_sha256"
        raise MalformedError(msg)
    return root


def _write(roots: tuple[RootSite, ...]) -> None:
    path = settings_path()
    entries = [
        {
            "url": one.url,
            "key_sha256": one.key_sha256,
            "name": one.name,
            "prefixes": list(one.prefixes),
            "vouches": one.vouches,
        }
        for one in roots
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"writing {path.parent}") from error
    durable.replace(path, strictjson.dumps({"schema": SCHEMA, "roots": entries}))
