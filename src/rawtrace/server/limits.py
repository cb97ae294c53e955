"""How often somebody may ask: a bucket for each, which empties with use and fills with time."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from rawtrace.server.problems import Problem

_MOST_KEYS = 10_000


def household(address: str) -> str:
    """Return what limits go by: an IPv4 address, or the /64 of an IPv6 one, of which everybody has 2^64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


class Limiter:
    """At most ``per_minute`` requests a minute from each, all at once if need be.

    Parameters
    ----------
    per_minute : int
    clock : callable, optional
        Seconds, never going back.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = float(max(1, per_minute))
        self._clock = clock
        self._lock = threading.Lock()
        # Level and when it was so; who has asked longest ago goes first, with a bucket that is full again.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, amount: int = 1) -> None:
        """Count a request.

        Raises
        ------
        Problem
            429, with ``Retry-After``.
        """
        now = self._clock()
        with self._lock:
            level, since = self._buckets.pop(key, (self._most, now))
            level = min(self._most, level + (now - since) * self._most / 60)
            enough = level >= min(amount, self._most)
            self._buckets[key] = (level - amount if enough else level, now)
            while len(self._buckets) > _MOST_KEYS:
                self._buckets.popitem(last=False)
        if not enough:
            wait_s = max(1, math.ceil((amount - level) * 60 / self._most))
            msg = f"more than {self._most:.0f} requests a minute; expected fewer"
            raise Problem(429, msg, headers={"Retry-After": str(wait_s)})
