"""What a harvest is made of, and the collector that keeps it bounded and impersonal.

Every reader hands its values to one ``Collector``. It alone decides what gets
in: names of the vocabulary only, at most so many values, strings cut to size,
nothing personal unless it was asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from rawtrace.errors import Error
from rawtrace.image import vocabulary

MAX_VALUES = 5_000
MAX_STRING_BYTES = 4_096
MAX_NOTES = 64
MAX_METADATA_BYTES = 64 << 20

Scalar = str | int | float | bool

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
# A technical field sometimes carries a folder of somebody's home, or an address.
_PERSONAL = re.compile(
    r"(?:^|[\s\"'=:(])(?:[A-Za-z]:[\\/]|\\\\[\w.-]+\\|~/|/(?:home|Users|root|mnt|media|Volumes|data|tmp|var|opt)/)"
    r"|file:/"
    # One character before the @ is enough; more would make the search quadratic.
    r"|[\w.+-]@[\w-]+\.\w",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One thing that a file says of itself.

    Attributes
    ----------
    name : str
        Dotted name of the vocabulary; its unit is part of the name.
    value : str, int, float or bool
        A JSON scalar; floats are finite.
    source : str
        Where in the file it stands, as in ``"TIFF tag 306"``.
    """

    name: str
    value: Scalar
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """What a file says of itself, each value with its place.

    Attributes
    ----------
    media_type : str
        By content first, then by name.
    format : str
        For people, as in ``"OME-TIFF"``.
    values : tuple[Value, ...]
        No name twice; in the order in which they were found.
    notes : tuple[str, ...]
        What could not be read or was left out, in words.
    """

    media_type: str
    format: str
    values: tuple[Value, ...] = ()
    notes: tuple[str, ...] = ()


class Collector:
    """Takes values from readers and keeps to the limits.

    Parameters
    ----------
    personal : bool
        Whether values of the vocabulary's personal part are taken too.
    """

    def __init__(self, *, personal: bool = False) -> None:
        self.personal = personal
        self.format = ""
        self._values: dict[str, Value] = {}
        self._notes: dict[str, None] = {}

    def add(self, name: str, value: object, source: str) -> None:
        """Take one value; the first of a name wins, so readers begin with their richest source.

        Parameters
        ----------
        name : str
            Must be in the vocabulary; anything else is a mistake of the reader.
        value : object
            ``None`` and empty strings are passed over.
        source : str
            Where in the file it stands.

        Raises
        ------
        KeyError
            If the vocabulary does not have the name.
        """
        term = vocabulary.term(name)
        if term is None:
            raise KeyError(name)
        if (term.personal and not self.personal) or name in self._values:
            return
        clean = self._clean(value, term, source)
        if clean is None:
            return
        if len(self._values) >= MAX_VALUES:
            self.note(f"more than {MAX_VALUES} values; the rest was left out")
            return
        self._values[name] = Value(name=name, value=clean, source=source)

    def note(self, sentence: str) -> None:
        """Remember in words what could not be read; the same sentence once."""
        if len(self._notes) < MAX_NOTES:
            self._notes[sentence] = None

    def has(self, name: str) -> bool:
        """Tell whether a value of that name was taken already."""
        return name in self._values

    def harvest(self, media_type: str, format_name: str) -> Harvest:
        """Close the collection."""
        return Harvest(
            media_type=media_type,
            format=self.format or format_name,
            values=tuple(self._values.values()),
            notes=tuple(self._notes),
        )

    def _clean(self, value: object, term: vocabulary.Term, source: str) -> Scalar | None:
        if value is None:
            return None
        if term.kind is str:
            return self._clean_text(value, term, source) if isinstance(value, str) else None
        if term.kind is bool:
            return value if isinstance(value, bool) else None
        number = to_number(value)
        if number is None:
            if not (isinstance(value, str) and not value.strip()):
                self.note(f"{source} is not a number; left out")
            return None
        if term.kind is int:
            return int(number) if number == int(number) else None
        # Adding zero turns the -0.0 of a parked stage into 0.0.
        return float(number) + 0.0

    def _clean_text(self, value: str, term: vocabulary.Term, source: str) -> str | None:
        text = _CONTROL.sub(" ", value[: MAX_STRING_BYTES * 2]).encode("utf-8", "replace").decode("utf-8").strip()
        if not text:
            return None
        if not self.personal and _PERSONAL.search(text):
            self.note(f"{source} looks like a folder or an address of somebody; left out")
            return None
        data = text.encode("utf-8")
        if len(data) > MAX_STRING_BYTES or len(value) > MAX_STRING_BYTES * 2:
            self.note(f"{source} is longer than {MAX_STRING_BYTES} bytes; cut")
            text = data[:MAX_STRING_BYTES].decode("utf-8", "ignore")
        if term.is_time:
            return text if vocabulary.is_time(text) else None
        return text


def to_number(value: object) -> int | float | None:
    """Return a number from a number or a short numeral; ``None`` if it is none, infinite or beyond 2⁶³."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if not text or len(text) > 64:
            return None
        try:
            value = int(text)
        except ValueError:
            try:
                value = float(text)
            except ValueError:
                return None
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else None
    if isinstance(value, float):
        return value if math.isfinite(value) and abs(value) < 2.0**63 else None
    return None


def guarded(found: Collector, what: str, task: Callable[[], None]) -> None:
    """Run a part of a harvest; whatever goes wrong in it becomes a note.

    Other people's parsers raise nearly anything at odd content. Their messages
    may quote it, so only the kind of the fault is noted.
    """
    try:
        task()
    except Error as error:
        found.note(f"{what} could not be read in full: {error.message}")
    except Exception as error:  # noqa: BLE001  the last guard against hostile content
        found.note(f"{what} could not be read in full ({type(error).__name__})")
