"""Foreign text made harmless to look at: one function for the page and the terminal.

File names, seals and trust lists are written by anybody. Their text may hold
escape sequences, letters that turn the line around, invisible letters that make
two names look alike, or ten thousand characters that push the verdict off the
screen. ``visible`` shows such characters by their number and cuts what is long.
HTML escaping is not its business: the templates do that for everything.
"""

from __future__ import annotations

import unicodedata

LIMIT = 300
"""Terminal cells of a foreign string that are shown unless a caller says otherwise."""

_MARKS_IN_A_ROW = 3
# Letters and marks that Unicode calls printable and that nobody sees, or that
# only change the look of their neighbour.
_UNSEEN = frozenset(
    chr(point)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for point in range(first, last + 1)
)


def visible(value: object, *, limit: int = LIMIT) -> str:
    """Return foreign text as one line that is safe to show and hides nothing.

    Control, direction, format, private-use and unassigned characters, lone
    surrogates and invisible letters appear as ``⟨U+202E⟩``; unusual spaces
    become a space; the fourth and later of a pile of accents are spelled out.

    Parameters
    ----------
    value : object
        A string, or a number or truth value out of a seal.
    limit : int
        Greatest width of the result in terminal cells, at least 3; what is
        longer loses its middle to an ellipsis, so that the end of a file name stays.

    Returns
    -------
    str
        Printable, without line ends, encodable as UTF-8.
    """
    text = value if isinstance(value, str) else _plain(value)
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    # Each character takes a cell or is a spelled-out number, save for accents, of which a
    # letter has few: four times the limit from both ends is more than can be shown.
    reach = 4 * limit
    shown = text if len(text) <= 2 * reach else text[:reach] + text[-reach:]
    return _cut(_pieces(shown), limit)


def cells(text: str) -> int:
    """Return how many columns of a terminal a clean text takes: two for wide letters, none for accents."""
    if text.isascii():
        return len(text)
    return sum(_cells(letter) for letter in text)


def wrap(text: str, *, width: int) -> list[str]:
    """Break a clean text into lines of at most ``width`` cells, inside a word only where it is longer than a line."""
    lines: list[str] = []
    line, used = "", 0
    for word in text.split():
        need = cells(word)
        if line and used + 1 + need <= width:
            line, used = f"{line} {word}", used + 1 + need
            continue
        if line:
            lines.append(line)
        *full, line = _chop(word, width)
        lines.extend(full)
        used = cells(line)
    return [*lines, line] if line else lines


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    # str() refuses integers of more than 4 300 digits; hexadecimal has no such limit.
    if isinstance(value, int) and value.bit_length() > 128:
        return f"{value:#x}"
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[:LIMIT]).hex()
    return "" if value is None else str(value)


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    marks = 0
    for letter in text:
        kind = unicodedata.category(letter)
        marks = marks + 1 if kind in {"Mn", "Me"} else 0
        if kind == "Zs":
            pieces.append(" ")
        elif not letter.isprintable() or letter in _UNSEEN or marks > _MARKS_IN_A_ROW:
            pieces.append(f"⟨U+{ord(letter):04X}⟩")
        else:
            pieces.append(letter)
    return pieces


def _cut(pieces: list[str], limit: int) -> str:
    widths = [cells(piece) for piece in pieces]
    if sum(widths) <= limit:
        return "".join(pieces)
    room = max(limit, 3) - 1
    head, used = 0, 0
    while used + widths[head] <= room * 2 // 3:
        used += widths[head]
        head += 1
    tail = len(pieces)
    while used + widths[tail - 1] <= room:
        tail -= 1
        used += widths[tail]
    return "".join([*pieces[:head], "…", *pieces[tail:]])


def _chop(word: str, width: int) -> list[str]:
    parts, line, used = [], "", 0
    for letter in word:
        need = _cells(letter)
        if line and used + need > width:
            parts.append(line)
            line, used = "", 0
        line, used = line + letter, used + need
    return [*parts, line]


def _cells(letter: str) -> int:
    if unicodedata.category(letter) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
