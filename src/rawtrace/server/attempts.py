"""Counting failures, so that nobody can go on guessing: in memory, bounded, over a sliding quarter of an hour."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW_S = 900.0
_MOST_NAMES = 10_000


class Attempts:
    """Failures by name. Safe to share between threads.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, limits: dict[str, int]) -> int:
        """Return for how many seconds none of these names may try again, by how many failures each may have; 0: now."""
        now, longest = self._clock(), 0.0
        with self._lock:
            for name, most in limits.items():
                failed = self._recent(name, now)
                if len(failed) >= most:
                    longest = max(longest, failed[-most] + WINDOW_S - now)
        return int(longest) + 1 if longest > 0 else 0

    def failed(self, names: dict[str, int]) -> None:
        """Note one failure of each name."""
        now = self._clock()
        with self._lock:
            for name, most in names.items():
                failed = self._failed.setdefault(name, deque())
                self._failed.move_to_end(name)
                failed.append(now)
                while len(failed) > most:
                    failed.popleft()
            while len(self._failed) > _MOST_NAMES:
                self._failed.popitem(last=False)

    def _recent(self, name: str, now: float) -> deque[float]:
        failed = self._failed.get(name, deque())
        while failed and failed[0] <= now - WINDOW_S:
            failed.popleft()
        return failed
