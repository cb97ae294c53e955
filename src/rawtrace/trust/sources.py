"""Where trust lists come from: an authority's folder, a file, a folder of lists, a bundle.

A bundle is one JSON file with lists inside, byte for byte as their operators
signed them, each with where it came from. The trust store keeps every list as a
bundle of one, so that there is one form to read.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import InputNotFoundError, LimitError, MalformedError, TrustListError, UsageError, from_os_error
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.trustlist import MAX_SIGNED_BYTES, read_list

BUNDLE_SCHEMA = "urn:rawtrace:schema:trust-bundle:1"
#: With federations beside the lists: a reader that passed these over would come to another verdict.
FEDERATED_BUNDLE_SCHEMA = "urn:rawtrace:schema:trust-bundle:2"
AUTHORITY_LIST = "trust-list.jws"
_IN_A_STORE = Path("authority") / AUTHORITY_LIST
MAX_BUNDLE_BYTES = 4 * MAX_SIGNED_BYTES
MAX_LISTS = 1000

_SUFFIXES = {".jws", ".json"}
#: Two letters at least before the colon: one alone is a Windows drive.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A list with its bytes.

    Attributes
    ----------
    trust_list : TrustList
    raw : bytes
        As its operator published it.
    origin : str
        The path to read it from again.
    added : str
        When the store took it up, ISO 8601; empty elsewhere.
    federated : bool
        A bundle's federation vouches for it, so it is nothing to take up by itself.
    """

    trust_list: TrustList
    raw: bytes
    origin: str
    added: str = ""
    federated: bool = False


#: Fetches the signed lists at an address (``trust.online``); without one nothing is asked of the network.
Fetch = Callable[[str], "tuple[Carried, ...]"]


def gather(source: Path | str, *, require_signature: bool = False, fetch: Fetch | None = None) -> tuple[Carried, ...]:
    """Read every list that a source holds.

    Parameters
    ----------
    source : Path or str
    require_signature : bool
        Refuse lists that nobody signed. An authority's own folder must always hold a signed one.
    fetch : Fetch, optional
        What fetches the lists at an address on the web.

    Raises
    ------
    UsageError
        An address on the web.
    InputNotFoundError, UnreadableError
    TrustListError
        One of the lists cannot be accepted, or there is none.
    """
    address = address_of(source)
    if address and fetch is not None:
        return fetch(address)
    path = local_path(source)
    if not path.is_dir():
        return _read_file(path, require_signature=require_signature)
    if (path / _IN_A_STORE).is_file():
        path = path / "authority"
    authority = path / AUTHORITY_LIST
    if authority.exists():
        return _read_file(authority, require_signature=True)
    if (path / "authority.json").exists():
        msg = f"the authority in {path} has not published a list yet; expected {AUTHORITY_LIST} there"
        raise TrustListError(msg)
    if (path / "certificate.pem").exists() and (path / "key.json").exists():
        msg = f"{path} is the folder of an identity; trust lists come from the authority that certified it"
        raise TrustListError(msg, hint=f"name the authority's folder, or the {AUTHORITY_LIST} that it publishes")
    try:
        files = sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES and not one.name.startswith("."))
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    if not files or len(files) > MAX_LISTS:
        msg = f"{path} holds {len(files)} trust lists; expected 1 to {MAX_LISTS} files ending in .jws or .json"
        raise TrustListError(msg)
    return tuple(one for file in files for one in _read_file(file, require_signature=require_signature))


def local_path(source: Path | str) -> Path:
    """Return a source as a path, and refuse addresses on the web in words."""
    whole = address_of(source)
    if whole:
        msg = f"{whole} is an address; expected a file or a folder here"
        raise UsageError(msg, hint="download the list and name the file")
    return Path(source)


def address_of(source: Path | str) -> str:
    """Return a source that is an address on the web; empty for a path."""
    text = source if isinstance(source, str) else source.as_posix()
    # A path has folded the slashes of an address.
    return _ADDRESS.sub(r"\1://", text, count=1) if _ADDRESS.match(text) else ""


def newest(lists: Iterable[TrustList]) -> tuple[TrustList, ...]:
    """Keep one issue of each list: the newest, so that an old copy cannot bring back what was revoked.

    Raises
    ------
    TrustListError
        One operator issued two lists of one name and number.
    """
    kept: dict[tuple[str, ...], TrustList] = {}
    for one in lists:
        key = (one.operator_sha256, one.name) if one.signed else (one.content_sha256,)
        other = kept.get(key)
        if other is None or one.sequence > other.sequence:
            kept[key] = one
        elif one.sequence == other.sequence and one.content_sha256 != other.content_sha256:
            msg = (
                f"{one.source} and {other.source} are both issue {one.sequence} of “{one.name}” by one operator, "
                "but they differ"
            )
            raise TrustListError(msg, hint="ask the operator which of them stands")
    return tuple(kept.values())


def write_bundle(carried: Sequence[Carried], *, federations: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """Write lists as a bundle, each byte for byte as it was read; ``federationbundle`` makes ``federations``."""
    entries = [
        {
            "name": one.trust_list.name,
            "operator_sha256": one.trust_list.operator_sha256,
            "content_sha256": one.trust_list.content_sha256,
            "source": one.origin,
            "added": one.added,
            "list": one.raw.decode(),
        }
        for one in carried
    ]
    if federations:
        document = {"schema": FEDERATED_BUNDLE_SCHEMA, "lists": entries, "federations": list(federations)}
        return strictjson.dumps(document)
    return strictjson.dumps({"schema": BUNDLE_SCHEMA, "lists": entries})


def read_bundle(document: dict[str, Any], *, what: str, require_signature: bool) -> tuple[Carried, ...]:
    """Read the lists of a bundle and hold each to the digests noted beside it.

    Raises
    ------
    TrustListError
    """
    entries, schema = document.get("lists"), document.get("schema")
    least = 0 if schema == FEDERATED_BUNDLE_SCHEMA else 1
    known = schema in {BUNDLE_SCHEMA, FEDERATED_BUNDLE_SCHEMA}
    if not known or not isinstance(entries, list) or not least <= len(entries) <= MAX_LISTS:
        msg = f"{what} is no bundle of {least} to {MAX_LISTS} trust lists of the form {BUNDLE_SCHEMA}"
        raise TrustListError(msg)
    return tuple(
        _read_entry(entry, what=f"{what}, list {number}", require_signature=require_signature)
        for number, entry in enumerate(entries, 1)
    )


def read_stored(path: Path) -> Carried:
    """Read one file of the trust store: a bundle of one list, with where it came from.

    Raises
    ------
    TrustListError
    """
    document = _bundle_document(read_bounded(path), str(path))
    if document is None or document.get("schema") != BUNDLE_SCHEMA:
        inside: tuple[Carried, ...] = ()
    else:
        inside = read_bundle(document, what=str(path), require_signature=False)
    if len(inside) != 1:
        msg = f"{path} is not a bundle of one list"
        raise TrustListError(msg)
    return inside[0]


def _read_entry(entry: object, *, what: str, require_signature: bool) -> Carried:
    text = entry.get("list") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(text, str):
        msg = f"{what}, holds no list"
        raise TrustListError(msg)
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        msg = f"{what}, is not UTF-8"
        raise TrustListError(msg) from error
    one = read_list(raw, source=what, require_signature=require_signature)
    noted = (entry.get("operator_sha256"), entry.get("content_sha256"))
    if noted != (one.operator_sha256, one.content_sha256):
        msg = f"{what}, is not the list that its own digests speak of: the file is damaged or was changed"
        raise TrustListError(msg)
    source, added = entry.get("source"), entry.get("added")
    return Carried(
        trust_list=one,
        raw=raw,
        origin=source if isinstance(source, str) else "",
        added=added if isinstance(added, str) else "",
    )


def _read_file(path: Path, *, require_signature: bool) -> tuple[Carried, ...]:
    data = read_bounded(path)
    origin = str(path.absolute())
    found = read_bytes(data, what=str(path), origin=origin, require_signature=require_signature)
    if FEDERATED_BUNDLE_SCHEMA.encode() not in data:
        return found
    # Only for a file that was named: whoever carried it here vouches for its first root.
    from rawtrace.trust import federationbundle

    document = _bundle_document(data, str(path))
    entries = federationbundle.entries_of(document, what=str(path)) if document is not None else ()
    return found + tuple(
        Carried(trust_list=one, raw=b"", origin=origin, federated=True)
        for one in federationbundle.lists_in(entries, place=str(path))
    )


def read_bytes(data: bytes, *, what: str, origin: str, require_signature: bool) -> tuple[Carried, ...]:
    """Read a list or a bundle that is at hand.

    Parameters
    ----------
    what : str
        Its name for messages.
    origin : str
        Where to read it from again.

    Raises
    ------
    TrustListError
    """
    document = _bundle_document(data, what)
    if document is not None:
        inside = read_bundle(document, what=what, require_signature=require_signature)
        return tuple(Carried(trust_list=one.trust_list, raw=one.raw, origin=origin) for one in inside)
    one = read_list(data, source=what, require_signature=require_signature)
    return (Carried(trust_list=one, raw=data, origin=origin),)


def read_bounded(path: Path) -> bytes:
    """Read a file of at most ``MAX_BUNDLE_BYTES`` bytes; anything but a regular file is refused."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            msg = f"{path} is not a regular file"
            raise TrustListError(msg)
        with path.open("rb") as stream:
            data = stream.read(MAX_BUNDLE_BYTES + 1)
    except FileNotFoundError as error:
        msg = f"there is no trust list at {path}"
        raise InputNotFoundError(msg) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise from_os_error(error, f"reading {path}") from error
        msg = f"{path!s} is no path"
        raise InputNotFoundError(msg) from error
    if len(data) > MAX_BUNDLE_BYTES:
        msg = f"{path} is larger than the {MAX_BUNDLE_BYTES} bytes that are accepted"
        raise TrustListError(msg)
    return data


def _bundle_document(data: bytes, what: str) -> dict[str, Any] | None:
    # A list begins with its LoTE; only a bundle names its schema, so most files are parsed once.
    if data.lstrip()[:1] != b"{" or not any(
        schema.encode() in data for schema in (BUNDLE_SCHEMA, FEDERATED_BUNDLE_SCHEMA)
    ):
        return None
    try:
        document = strictjson.loads(data.decode(), what=what, max_bytes=MAX_BUNDLE_BYTES)
    except (UnicodeDecodeError, LimitError, MalformedError) as error:
        msg = f"{what} is not the JSON of a bundle of trust lists: it is damaged"
        raise TrustListError(msg) from error
    return document if isinstance(document, dict) and "LoTE" not in document else None
