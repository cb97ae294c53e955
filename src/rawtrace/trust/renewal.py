"""When a certificate is to be renewed, and how long to wait after a failure: decisions only.

A certificate is renewed when two thirds of its life are over, or up to a
twentieth of its life before that: each certificate has its own moment, which
does not change when the program starts again, so that a thousand instruments
that were enrolled on one day do not ask in one minute.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509

_FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
#: How often the authority's trust list is looked at.
LOOK_EVERY = timedelta(days=1)


class Nearness(StrEnum):
    """How near a certificate is to its end."""

    FAR = "far"
    NEAR = "near"
    OVER = "over"


def renew_at(leaf: x509.Certificate) -> datetime:
    """Return when a certificate is to be renewed, UTC."""
    start, life = leaf.not_valid_before_utc, leaf.not_valid_after_utc - leaf.not_valid_before_utc
    return start + life * 2 / 3 - life / 20 * _share(f"renew {leaf.serial_number:x}")


def wait_after(attempts: int, *, of: str) -> timedelta:
    """Return how long to wait after so many failures: doubling from a minute to six hours, less up to a half.

    Parameters
    ----------
    attempts : int
        1 or more.
    of : str
        Whose failures, so that not everybody waits equally long.
    """
    whole = min(LONGEST_WAIT, _FIRST_WAIT * (1 << min(attempts - 1, 20)))
    return whole - whole / 2 * _share(f"{of} {attempts}")


def nearness(not_before: datetime, not_after: datetime, at: datetime) -> Nearness:
    """Tell how near the end is; ``near`` is the last sixth, when renewal should long be done."""
    if at >= not_after:
        return Nearness.OVER
    return Nearness.NEAR if at >= not_after - (not_after - not_before) / 6 else Nearness.FAR


def _share(text: str) -> float:
    """Return a number from 0 to 1 that looks random and is always the same."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / (1 << 32)
