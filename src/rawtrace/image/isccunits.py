"""ISCC units (ISO 24138:2024): their bits, their distance, sequences of them, and the Image-Code of a picture."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rawtrace.errors import MalformedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREFIX = "ISCC:"
BITS = 256
#: What an Image-Code is made of: 32 by 32 grey values.
EDGE = 32
#: Pictures narrower or lower than this, px, have no Image-Code: what little they show, many others show, too.
MIN_EDGE = 8
#: A segment of 64 bits with fewer ones than this, or fewer zeros, says that there is too little to see.
MIN_ONES = 8
#: Image-Codes that differ in at most so many of 256 bits are worth a look; see docs/spec/codes.md.
IMAGE_NEAR = 48
MAX_SEQ_BYTES = 4_096
_MAX_UNIT_CHARACTERS = 80
#: Main types that are units: Meta, Semantic, Content, Data, Instance.
_UNIT_TYPES = range(5)
_MAX_LENGTH_FIELD = 7


def bits_of(code: str) -> bytes:
    """Return the 32 bytes of a 256-bit unit.

    Parameters
    ----------
    code : str
        As in ``"ISCC:EED..."``.

    Raises
    ------
    MalformedError
        Not an ISCC unit of 256 bits.
    """
    raw = _unit_bytes(code)
    body = raw[_header_length(raw) :]
    if len(body) * 8 != BITS:
        msg = f"{code[:_MAX_UNIT_CHARACTERS]!r} is an ISCC unit of {len(body) * 8} bits; {BITS} were expected"
        raise MalformedError(msg)
    return body


def distance(one: str | bytes, other: str | bytes, *, complement: bool = False) -> int:
    """Count the bits in which two 256-bit units differ, 0 to 256.

    Parameters
    ----------
    one, other : str or bytes
        Units, or their 32 bytes.
    complement : bool, optional
        Take an inverted picture for the same one: the lesser of d and 256 - d.
    """
    first, second = (bits_of(code) if isinstance(code, str) else code for code in (one, other))
    differing = (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).bit_count()
    return min(differing, BITS - differing) if complement else differing


def encode_seq(units: Sequence[str]) -> bytes:
    """Write units as an ISCC-SEQ: header and body bytes of each, one after another, in this order.

    A C2PA soft binding of the algorithm ``io.iscc.v0`` wants 256-bit units; this function takes 32 to 256 bits.

    Raises
    ------
    MalformedError
        No unit, or one that is none.
    """
    if not units:
        msg = "an ISCC-SEQ has at least one unit; none was given"
        raise MalformedError(msg)
    return b"".join(_unit_bytes(unit) for unit in units)


def decode_seq(data: bytes) -> tuple[str, ...]:
    """Read an ISCC-SEQ; what it returns is written to the same bytes again.

    Raises
    ------
    MalformedError
        Empty, cut off, of other than units, or longer than ``MAX_SEQ_BYTES``.
    """
    if not 0 < len(data) <= MAX_SEQ_BYTES:
        msg = f"an ISCC-SEQ has 1 to {MAX_SEQ_BYTES} bytes; these are {len(data)}"
        raise MalformedError(msg)
    units: list[str] = []
    start = 0
    while start < len(data):
        end = start + _unit_length(data[start:])
        units.append(PREFIX + base64.b32encode(data[start:end]).decode("ascii").rstrip("="))
        start = end
    return tuple(units)


def image_code(pixels: NDArray[Any]) -> str:
    """Return the 256-bit Image-Code of a picture, or ``""`` where there is too little to see.

    Parameters
    ----------
    pixels : ndarray of uint8
        (Y, X): a rendering by ``rawtrace.image.views``, or a figure's panel in grey.
    """
    return "" if min(pixels.shape) < MIN_EDGE else _code_of_thumbnail(thumbnail(pixels))


def dihedral_codes(pixels: NDArray[Any]) -> tuple[str, ...]:
    """Return the Image-Codes of a picture in its eight orientations: to ask with, never to store.

    Returns
    -------
    tuple[str, ...]
        As it is, turned by 90°, 180° and 270° anticlockwise, then mirrored left to right and turned the same; empty
        where there is too little to see.
    """
    import numpy as np

    if min(pixels.shape) < MIN_EDGE:
        return ()
    small = thumbnail(pixels)
    codes = [_code_of_thumbnail(np.rot90(side, turns)) for side in (small, small[:, ::-1]) for turns in range(4)]
    return tuple(codes) if codes[0] else ()


def is_featureless(bits: bytes) -> bool:
    """Tell whether any 64 bits of an Image-Code have fewer than 8 ones or more than 56."""
    ones = [int.from_bytes(bits[start : start + 8], "big").bit_count() for start in range(0, len(bits), 8)]
    return any(not MIN_ONES <= one <= 64 - MIN_ONES for one in ones)


def thumbnail(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the 32 by 32 grey values that the Image-Code is made of: Pillow's bicubic filter, nothing cut off."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    return np.asarray(picture.resize((EDGE, EDGE), Image.Resampling.BICUBIC))


def _code_of_thumbnail(small: NDArray[Any]) -> str:
    if small.min() == small.max():
        return ""
    import iscc_lib

    code = str(iscc_lib.gen_image_code_v0(small.tobytes(), bits=BITS)["iscc"])
    return "" if is_featureless(bits_of(code)) else code


def _unit_bytes(code: str) -> bytes:
    text = code.strip().upper().removeprefix(PREFIX).replace("-", "")
    shown = code[:_MAX_UNIT_CHARACTERS]
    try:
        if not 0 < len(text) <= _MAX_UNIT_CHARACTERS:
            raise ValueError
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except (ValueError, binascii.Error):
        msg = f"{shown!r} is not an ISCC unit"
        raise MalformedError(msg) from None
    canonical = base64.b32encode(raw).decode("ascii").rstrip("=")
    if canonical != text or _unit_length(raw) != len(raw):
        msg = f"{shown!r} is not an ISCC unit: it is longer than its header says, or ends in stray bits"
        raise MalformedError(msg)
    return raw


def _unit_length(raw: bytes) -> int:
    """Return how many bytes the unit at the beginning of ``raw`` takes."""
    main, length, start = _header(raw)
    end = start + (length + 1) * 4
    if main not in _UNIT_TYPES or length > _MAX_LENGTH_FIELD or end > len(raw):
        msg = f"an ISCC unit was expected, of 32 to {BITS} bits; what is here is another code or is cut off"
        raise MalformedError(msg)
    return end


def _header_length(raw: bytes) -> int:
    return _header(raw)[2]


def _header(raw: bytes) -> tuple[int, int, int]:
    """Read main type and length field, and return where the body begins; the fields are of 4, 8, ... bits."""
    nibbles = [half for byte in raw[:8] for half in (byte >> 4, byte & 15)]
    fields: list[int] = []
    place = 0
    for _ in range(4):
        value, place = _field(nibbles, place)
        fields.append(value)
    if place % 2:  # headers are filled up to whole bytes
        if place >= len(nibbles) or nibbles[place]:
            msg = "the header of an ISCC unit ends in stray bits"
            raise MalformedError(msg)
        place += 1
    return fields[0], fields[3], place // 2


def _field(nibbles: Sequence[int], place: int) -> tuple[int, int]:
    """Read one number of variable length: 0xxx, 10xx xxxx, 110x ... as ISCC headers have them."""
    for length, (mark, mask, offset) in enumerate(((0, 8, 0), (8, 12, 8), (12, 14, 72), (14, 15, 584)), start=1):
        if place + length > len(nibbles):
            break
        if nibbles[place] & mask == mark:
            value = nibbles[place] & ~mask & 15
            for nibble in nibbles[place + 1 : place + length]:
                value = value << 4 | nibble
            return value + offset, place + length
    msg = "the header of an ISCC unit is cut off"
    raise MalformedError(msg)
