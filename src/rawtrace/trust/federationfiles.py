"""What a federation publishes: the names of its files, how large they may be, and its description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import Error, FederationError
from rawtrace.trust.trustlist import MAX_SIGNED_BYTES, read_list
from rawtrace.web import check_address

DESCRIPTION_FILE = "federation.json"
LOG_POLICY_FILE = "log-policy"
POLICY_FILE = "policy.toml"
LISTS = "lists/"
DESCRIPTION_SCHEMA = "urn:rawtrace:schema:federation:1"
MAX_DESCRIPTION_BYTES = 1 << 18
MAX_POLICY_BYTES = 1 << 18
MAX_FILES = 1000
MAX_ALL_BYTES = 4 * MAX_SIGNED_BYTES

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LIST = re.compile(r"lists/[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.jws")
_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_VERSION = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server of the federation.

    Attributes
    ----------
    url : str
        Without a slash at the end.
    key_sha256 : str
        SHA-256 of its public key, hexadecimal; empty where public authorities certify it.
    """

    url: str
    key_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """``federation.json``.

    Attributes
    ----------
    name : str
        1 to 63 of ``a-z0-9-``; a federation keeps it.
    minimum_client_version : str
        Of rawtrace; empty for any.
    stores : tuple[Server, ...]
        Trust stores of the members.
    resolver_roots : tuple[Server, ...]
        Where the resolution of a PID begins.
    """

    name: str
    minimum_client_version: str = ""
    stores: tuple[Server, ...] = ()
    resolver_roots: tuple[Server, ...] = ()

    def write(self) -> bytes:
        """Return the file's bytes."""
        return strictjson.dumps(
            {
                "schema": DESCRIPTION_SCHEMA,
                "name": self.name,
                "minimum_client_version": self.minimum_client_version,
                "stores": [{"url": one.url, "key_sha256": one.key_sha256} for one in self.stores],
                "resolver_roots": [{"url": one.url, "key_sha256": one.key_sha256} for one in self.resolver_roots],
            }
        )


def read_description(data: bytes) -> Description:
    """Read ``federation.json``; members that this version does not know are left alone.

    Raises
    ------
    FederationError
    """
    try:
        document = strictjson.loads(data, what=DESCRIPTION_FILE, max_bytes=MAX_DESCRIPTION_BYTES)
    except Error as error:
        raise FederationError(error.message) from error
    if not isinstance(document, dict) or document.get("schema") != DESCRIPTION_SCHEMA:
        msg = f"{DESCRIPTION_FILE} is not of the form {DESCRIPTION_SCHEMA}"
        raise FederationError(msg, hint="this rawtrace may be too old for the federation")
    minimum = document.get("minimum_client_version", "")
    if not isinstance(minimum, str) or (minimum and not _VERSION.fullmatch(minimum)):
        msg = f"{DESCRIPTION_FILE} names no version of rawtrace: {str(minimum)[:40]!r}"
        raise FederationError(msg)
    return Description(
        name=check_name(document.get("name")),
        minimum_client_version=minimum,
        stores=_servers(document, "stores"),
        resolver_roots=_servers(document, "resolver_roots"),
    )


def check_name(name: object) -> str:
    """Return a federation's name, or refuse it: it becomes a file name.

    Raises
    ------
    FederationError
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = f"{str(name)[:80]!r} is no name of a federation; expected 1 to 63 of a-z, 0-9 and - between them"
        raise FederationError(msg)
    return name


def check_client(description: Description, *, client: str = "") -> None:
    """Raise ``FederationError`` where this rawtrace is older than the federation asks for."""
    mine = client or version("rawtrace")
    if description.minimum_client_version and _numbers(mine) < _numbers(description.minimum_client_version):
        msg = (
            f"the federation {description.name} asks for rawtrace {description.minimum_client_version} or newer; "
            f"this is {mine}"
        )
        raise FederationError(msg, hint="install a newer rawtrace, then run rawtrace trust update again")


def check_same_name(name: str, described: Description) -> None:
    """Raise ``FederationError`` where a federation has taken another name."""
    if described.name != name:
        msg = f"the federation {name} now calls itself {described.name}; a federation keeps its name"
        raise FederationError(msg)


def limit_of(name: str) -> int | None:
    """Return how large a file of the federation may be, or None for one that this version does not use.

    Raises
    ------
    FederationError
        A name that leads out of its folder, or that some system reads as another.
    """
    if not _HARMLESS.fullmatch(name) or ".." in name or len(name) > 200:
        msg = f"the federation names a file {name[:80]!r}, which no federation needs; its signers should look at it"
        raise FederationError(msg)
    if _LIST.fullmatch(name):
        return MAX_SIGNED_BYTES
    return {
        DESCRIPTION_FILE: MAX_DESCRIPTION_BYTES,
        LOG_POLICY_FILE: MAX_POLICY_BYTES,
        POLICY_FILE: MAX_POLICY_BYTES,
    }.get(name)


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 in lower-case hexadecimal."""
    return _SHA256.fullmatch(text) is not None


def list_path(name: str) -> str:
    """Return where the list called ``name`` lies.

    Raises
    ------
    FederationError
    """
    path = f"{LISTS}{name}.jws"
    if not _LIST.fullmatch(path):
        msg = f"{name[:80]!r} is no name for a list in a federation; expected letters, digits, - and _"
        raise FederationError(msg)
    return path


def check_files(files: Mapping[str, bytes]) -> Description:
    """Check a federation's files together: they are those that count, each can be read, and the lists are signed.

    Raises
    ------
    FederationError, TrustListError
    """
    if len(files) > MAX_FILES or sum(map(len, files.values())) > MAX_ALL_BYTES:
        msg = f"the federation publishes more than {MAX_FILES} files or {MAX_ALL_BYTES} bytes"
        raise FederationError(msg)
    if DESCRIPTION_FILE not in files:
        msg = f"the federation publishes no {DESCRIPTION_FILE}"
        raise FederationError(msg)
    for name, data in files.items():
        limit = limit_of(name)
        if limit is None or len(data) > limit:
            msg = f"{name} is none of a federation's files, or larger than one ever is"
            raise FederationError(msg)
        if name.startswith(LISTS):
            read_list(data, source=f"{name} of the federation")
        else:
            try:
                data.decode()
            except UnicodeDecodeError as error:
                msg = f"{name} is not UTF-8"
                raise FederationError(msg) from error
    if LOG_POLICY_FILE in files:
        check_log_policy(files[LOG_POLICY_FILE])
    return read_description(files[DESCRIPTION_FILE])


def check_log_policy(data: bytes) -> Any:
    """Read a tlog-policy text.

    Raises
    ------
    FederationError
    """
    from rawtrace.ledger.policy import Policy

    try:
        return Policy.parse(data.decode())
    except (UnicodeDecodeError, Error) as error:
        msg = f"{LOG_POLICY_FILE} is not a tlog-policy: {error}"
        raise FederationError(msg) from error


def _servers(document: dict[str, Any], member: str) -> tuple[Server, ...]:
    entries = document.get(member, [])
    if not isinstance(entries, list) or len(entries) > MAX_FILES:
        msg = f"{member} in {DESCRIPTION_FILE} is not a list of at most {MAX_FILES} servers"
        raise FederationError(msg)
    found = []
    for entry in entries:
        url, key = (entry.get("url"), entry.get("key_sha256", "")) if isinstance(entry, dict) else (None, "")
        if not isinstance(url, str) or not isinstance(key, str):
            msg = f"{member} in {DESCRIPTION_FILE} holds something that is no server"
            raise FederationError(msg)
        found.append(read_server(f"{url}={key}" if key else url))
    return tuple(found)


def read_server(text: str) -> Server:
    """Read ``URL`` or ``URL=SHA256``.

    Raises
    ------
    FederationError
    """
    url, _, key = text.rpartition("=") if _SHA256.fullmatch(text.rpartition("=")[2]) else (text, "", "")
    try:
        check_address(url)
    except Error as error:
        raise FederationError(error.message) from error
    return Server(url=url.rstrip("/"), key_sha256=key)


def _numbers(text: str) -> tuple[int, ...]:
    found = _VERSION.match(text)
    parts = tuple(int(part) for part in found.group().split(".")) if found else ()
    return (*parts, 0, 0, 0, 0)[:4]
