"""Numbers and hashes as the C2SP formats write them: one spelling each, everything else is refused."""

from __future__ import annotations

import binascii

from rawtrace.errors import ReceiptError

#: Largest tree size, index and time: what fits a signed 64-bit number.
MAX_NUMBER = (1 << 63) - 1

_DIGITS = frozenset("0123456789")


def read_decimal(text: str, what: str) -> int:
    """Read a decimal number without sign, spaces or leading zeros.

    Parameters
    ----------
    text : str
    what : str
        Name for messages, as in ``"the tree size"``.

    Returns
    -------
    int
        From 0 to 2**63 - 1.

    Raises
    ------
    ReceiptError
    """
    if not text or len(text) > 19 or not _DIGITS.issuperset(text) or (text[0] == "0" and text != "0"):
        msg = f"{what} is {text[:24]!r}; expected a decimal number without leading zeros"
        raise ReceiptError(msg)
    number = int(text)
    if number > MAX_NUMBER:
        msg = f"{what} is larger than any log can be"
        raise ReceiptError(msg)
    return number


def write_base64(data: bytes) -> str:
    """Write standard base64 with padding (RFC 4648 §4)."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def read_base64(text: str, what: str) -> bytes:
    """Read standard base64 in its one canonical spelling: padded, no spaces, no stray last bits.

    Raises
    ------
    ReceiptError
    """
    try:
        # What the decoder skips or forgives shows when the bytes are written again.
        data = binascii.a2b_base64(text)
    except ValueError:
        data = b""
    if not text or write_base64(data) != text:
        msg = f"{what} is not in base64"
        raise ReceiptError(msg)
    return data


def read_hash(text: str, what: str) -> bytes:
    """Read a SHA-256 hash in base64.

    Raises
    ------
    ReceiptError
    """
    data = read_base64(text, what)
    if len(data) != 32:
        msg = f"{what} is {len(data)} bytes long; a hash has 32"
        raise ReceiptError(msg)
    return data
