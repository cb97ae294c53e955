"""Waiting for somebody else, but not for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def within(seconds: float, ask: Callable[[], _T]) -> _T | None:
    """Return what ``ask`` returns, raise what it raises, or return None after so many seconds.

    A server that sends a byte now and then keeps every single wait short and
    the whole without end. The thread that is left behind is the caller's to
    end, by closing what it waits for; it keeps no program from ending.
    """
    result: list[_T] = []
    failure: list[Exception] = []

    def run() -> None:
        try:
            result.append(ask())
        except Exception as error:  # noqa: BLE001  handed on to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    return result[0] if result else None
