"""CBOR from outside, turned into plain values within bounds.

What comes back is made of ``dict`` with text keys, ``list``, ``str``, ``bytes``,
``int``, ``float``, ``bool`` and ``None`` only. Tags are dropped and the value
inside is kept, so a tagged date stays the text that was signed and no tag makes
a regular expression, a number of a million digits or a cycle.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import cbor2

from rawtrace.errors import MalformedError

MAX_DEPTH = 64
MAX_BYTES = 16 << 20
#: An empty list takes 64 times the memory of its one byte, so heads of arrays and maps are counted before decoding.
MAX_CONTAINERS = 2_000_000

_NOT_CONTAINERS = bytes(byte for byte in range(256) if not 0x80 <= byte < 0xC0)
_PLAIN = frozenset({str, bytes, int, float, bool, type(None)})
#: Tags that refer from one place of the data to another.
_SHARING_TAGS = (25, 28, 29, 256)
_KNOWN_TAGS = (0, 1, 2, 3, 4, 5, 30, 35, 36, 37, 43, 52, 54, 100, 258, 260, 261, 1004, 43000, 55799)


def _keep_inner(value: Any, _immutable: bool) -> Any:
    return value


def _refuse(_value: Any, _immutable: bool) -> Any:
    msg = "shared references are not accepted"
    raise ValueError(msg)


def _drop_tag(tag: Any, _immutable: bool) -> Any:
    return tag.value


_TAGS = dict.fromkeys(_KNOWN_TAGS, _keep_inner) | dict.fromkeys(_SHARING_TAGS, _refuse)


def containers(data: bytes) -> int:
    """Return the most arrays and maps that ``data`` can hold."""
    return len(data.translate(None, _NOT_CONTAINERS))


def decode(data: bytes, *, what: str, text_keys: bool = True) -> Any:
    """Decode exactly one CBOR item.

    Parameters
    ----------
    data : bytes
        At most 16 MiB.
    what : str
        Name for messages, as in ``"the claim"``.
    text_keys : bool
        Whether map keys must be text; COSE headers have numbers, too.

    Raises
    ------
    MalformedError
        Not CBOR, bytes behind the item, nested deeper than 64, too many parts, a
        key twice in one map, text that is not UTF-8, shared references.
    """
    if len(data) > MAX_BYTES or containers(data) > MAX_CONTAINERS:
        msg = f"{what} holds more data than is accepted"
        raise MalformedError(msg)
    stream = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(
            stream,
            max_depth=MAX_DEPTH,
            allow_duplicate_keys=False,
            strict_hashable_types=text_keys,
            semantic_decoders=_TAGS,
            tag_hook=_drop_tag,
        ).decode()
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        # The library quotes the input, of any length.
        msg = f"{what} is not the CBOR that was expected: {str(error)[:120]}"
        raise MalformedError(msg) from error
    if stream.tell() != len(data):
        msg = f"{what} ends at byte {stream.tell()} and {len(data) - stream.tell()} more follow; expected one CBOR item"
        raise MalformedError(msg)
    return _plain(value, what=what, text_keys=text_keys)


def byte_string(data: bytes) -> bytes:
    """Encode a byte string, with the shortest head as deterministic CBOR asks."""
    return _head(0x40, len(data)) + data


def sig_structure(context: str, protected: bytes, payload: bytes) -> bytes:
    """Return the COSE ``Sig_structure`` that a signature or a time stamp is made over (RFC 9052, 4.4)."""
    text = context.encode()
    return b"\x84" + _head(0x60, len(text)) + text + byte_string(protected) + b"\x40" + byte_string(payload)


def _head(major: int, length: int) -> bytes:
    if length < 24:
        return bytes((major | length,))
    for code, size in ((24, 1), (25, 2), (26, 4)):
        if length < 1 << 8 * size:
            return bytes((major | code,)) + length.to_bytes(size, "big")
    return bytes((major | 27,)) + length.to_bytes(8, "big")


def _plain(value: Any, *, what: str, text_keys: bool) -> Any:
    """Replace what is not JSON-like, without recursion; changes lists and dicts in place."""
    root: list[Any] = [value]
    pending: list[Any] = [root]
    while pending:
        container = pending.pop()
        if type(container) is dict:
            if text_keys and not all(type(key) is str for key in container):
                msg = f"{what} has a map key that is not text"
                raise MalformedError(msg)
            items: Iterable[tuple[Any, Any]] = container.items()
        else:
            items = enumerate(container)
        for key, item in items:
            kind = type(item)
            if kind in _PLAIN:
                continue
            if kind is not list and kind is not dict:
                # Values inside a tag arrive immutable; simple values without a meaning are as good as none.
                item = dict(item) if isinstance(item, Mapping) else list(item) if kind is tuple else None
                container[key] = item
            if item is not None:
                pending.append(item)
    return root[0]
