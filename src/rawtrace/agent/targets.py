"""The agent's settings file: to which stores it delivers, and what the instrument runs.

::

    trust = ["trust-list.jws"]                      # whose counter-signatures are taken over; optional

    [device]                                        # optional
    firmware = "1.4.2"
    features = []                                   # none is in use; left out: it is not known

    [[deliver]]
    url = "https://store.example.org"
    token_file = "store.token"                      # mode 0600
    server_key = "9f86d081..."                      # SHA-256 of the server's key; optional

    [[deliver]]
    url = "https://other.example.org"
    certificate = "scope/certificate.pem"           # instead of a token: the instrument's own certificate
    key = "scope/key.pem"

Paths are relative to the file.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rawtrace import durable
from rawtrace.errors import Error, UsageError
from rawtrace.sealing.finished import read_device
from rawtrace.sealing.statements import Device
from rawtrace.trust.anchors import Anchor, Purpose, TrustList
from rawtrace.trust.signer import Identity
from rawtrace.web import Caller, check_address

_MAX_BYTES = 65_536
_MAX_STORES = 16
_KEY = re.compile(r"[0-9a-fA-F]{64}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,512}")
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_KNOWN = frozenset({"url", "token_file", "server_key", "authorities", "certificate", "key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One store that seals go to.

    Attributes
    ----------
    url : str
        Without a slash at the end.
    caller : Caller
        With its token, and how the server is known.
    """

    url: str
    caller: Caller = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where seals go, which trust lists say whose counter-signatures are taken over, and what the instrument runs."""

    stores: tuple[Target, ...] = ()
    trust: tuple[Path, ...] = ()
    device: Device | None = None


def read_targets(path: Path) -> Targets:
    """Read the agent's settings file.

    Raises
    ------
    UsageError
        Not the TOML that was expected; a token that others can read.
    InputNotFoundError, UnreadableError
    """
    data = durable.read_bounded(path, limit=_MAX_BYTES)
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        msg = f"{path} is not TOML: {error}"
        raise UsageError(msg) from error
    stores, trust = document.get("deliver", []), document.get("trust", [])
    unknown = sorted(set(document) - {"deliver", "device", "trust"})
    if unknown or not isinstance(stores, list) or len(stores) > _MAX_STORES or not _all_text(trust):
        named = f"the unknown key {unknown[0]!r}" if unknown else f"something else than 1 to {_MAX_STORES} stores"
        msg = f"{path} holds {named}; expected [[deliver]] tables, and trust as a list of files"
        raise UsageError(msg)
    targets = tuple(_target(one, path) for one in stores)
    if len({one.url for one in targets}) != len(targets):
        msg = f"{path} names one store twice"
        raise UsageError(msg)
    device = None
    if "device" in document:
        try:
            device = read_device(document["device"])
        except Error as error:
            msg = f"{path}: [device] holds something else than firmware as text and features as a list: {error.message}"
            raise UsageError(msg) from error
    return Targets(stores=targets, trust=tuple(path.parent / name for name in trust), device=device)


def home_of(folder: Path) -> Target:
    """Return the store that certified the instrument in a folder, as seals are delivered to it.

    The instrument shows its own certificate, or the token that its folder names where TLS cannot use its key.

    Raises
    ------
    UsageError
        No store's address certified it.
    """
    from rawtrace.trust.enrolling import read_origin
    from rawtrace.trust.keys import KEY_FILE
    from rawtrace.trust.signer import CERTIFICATE_FILE

    origin = read_origin(folder)
    if origin is None:
        msg = f"{folder} was not certified by a store at an address, so there is none to deliver to"
        raise UsageError(msg, hint="name the stores in a file: --settings FILE")
    own = None if origin.token_file else (folder / CERTIFICATE_FILE, folder / KEY_FILE)
    return Target(
        url=origin.url,
        caller=Caller(
            token=_token(Path(origin.token_file)) if origin.token_file else "",
            certificate=own,
            server_key_sha256=origin.server_key_sha256,
            authorities=Path(origin.server_authorities) if origin.server_authorities else None,
            timeout_s=30.0,
        ),
    )


def accepted_lists(targets: Targets, signer: Identity) -> tuple[TrustList, ...]:
    """Return whose counter-signatures are taken over: the trust lists of the settings, else the instrument's authority.

    Raises
    ------
    TrustListError, InputNotFoundError
    """
    if targets.trust:
        from rawtrace.trust.truststore import load_trust

        return load_trust(targets.trust)
    anchors = tuple(
        Anchor(certificate=one, purpose=Purpose.SIGNING, name="the instrument's own authority")
        for one in signer.chain[1:]
    )
    return (
        TrustList(name="the instrument's own authority", operator="", sequence=0, issued=_NO_TIME, anchors=anchors),
    )


def _target(value: object, path: Path) -> Target:
    if not isinstance(value, dict) or set(value) - _KNOWN or not all(isinstance(one, str) for one in value.values()):
        msg = f"{path}: a [[deliver]] table has {', '.join(sorted(_KNOWN))}, each as text"
        raise UsageError(msg)
    url, key = value.get("url", "").rstrip("/"), value.get("server_key", "")
    try:
        check_address(url)
    except UsageError as error:
        msg = f"{path}: {error.message}"
        raise UsageError(msg, hint=error.hint) from error
    if key and not _KEY.fullmatch(key):
        msg = f"{path}: server_key is not a SHA-256 in hexadecimal digits"
        raise UsageError(msg)
    shown = [value[name] for name in ("certificate", "key") if value.get(name)]
    if len(shown) == 1 or bool(shown) == bool(value.get("token_file")):
        msg = f"{path}: {url} needs either a token_file, or a certificate and its key, to know who delivers"
        raise UsageError(msg, hint="ask the store's operator for a token for this instrument")
    authorities = value.get("authorities", "")
    return Target(
        url=url,
        caller=Caller(
            token="" if shown else _token(path.parent / value["token_file"]),
            certificate=(path.parent / shown[0], path.parent / shown[1]) if shown else None,
            server_key_sha256=key.lower(),
            authorities=path.parent / authorities if authorities else None,
            timeout_s=30.0,
        ),
    )


def _token(path: Path) -> str:
    try:
        text = durable.read_bounded(path, limit=4_096).decode("ascii").strip()
        # POSIX modes mean nothing on Windows; there the folder's access list guards the token.
        readable = os.name != "nt" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    except (Error, OSError, UnicodeDecodeError) as error:
        said = error.message if isinstance(error, Error) else f"{path} is not text"
        msg = f"the token cannot be read: {said}"
        raise UsageError(msg) from error
    if readable:
        msg = f"{path} can be read by other accounts, so anybody here could deliver in the instrument's name"
        raise UsageError(msg, hint=f"chmod 600 {path}")
    if not _TOKEN.fullmatch(text):
        msg = f"{path} does not hold one token, alone"
        raise UsageError(msg)
    return text


def _all_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
