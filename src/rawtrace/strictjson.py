"""JSON from outside: bounded in size and depth, no duplicate keys, no NaN, one error."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from rawtrace.errors import LimitError, MalformedError

MAX_DEPTH = 64


def loads(data: bytes | str, *, what: str, max_bytes: int) -> Any:
    """Parse a JSON document that somebody else wrote.

    Parameters
    ----------
    data : bytes or str
    what : str
        Name for messages, as in ``"trust list lab.jws"``.
    max_bytes : int
        Largest accepted size.

    Raises
    ------
    LimitError
        Too large, or nested deeper than 64 levels.
    MalformedError
        Not JSON, not UTF-8, a key twice in one object, NaN or infinity.
    """
    if len(data) > max_bytes:
        msg = f"{what} is {len(data)} bytes; at most {max_bytes} are accepted"
        raise LimitError(msg)
    try:
        value = json.loads(data, object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        msg = f"{what} is nested too deeply; at most {MAX_DEPTH} levels are accepted"
        raise LimitError(msg) from None
    except ValueError as error:
        msg = f"{what} is not the JSON that was expected: {error}"
        raise MalformedError(msg) from error
    _check_depth(value, what)
    return value


def dumps(value: Any) -> bytes:
    """Write JSON for people and programs alike: sorted keys, two spaces, a final newline, UTF-8."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _unique_keys(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            msg = f"the key {key!r} stands twice in one object"
            raise ValueError(msg)
        result[key] = value
    return result


def _no_constant(name: str) -> Any:
    msg = f"{name} is not a JSON number"
    raise ValueError(msg)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        msg = f"{text[:40]} is larger than any number"
        raise ValueError(msg)
    return number


def _check_depth(value: Any, what: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    msg = f"{what} is nested too deeply; at most {MAX_DEPTH} levels are accepted"
    raise LimitError(msg)
