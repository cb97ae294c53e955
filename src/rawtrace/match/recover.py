"""From a soft binding, or from a picture, to the seals of what it belongs to: labels of manifests, with a score.

The rule of the scores, which ``docs/spec/manifest-recovery.md`` has for everybody:

- 100: the same bytes, or the same pixels (Instance-Code);
- from Data- and Image-Codes ``100 - distance * 100 / 128``, at most 99, for strangers differ by about 128 of 256 bits;
- from points that agree, 50 and one for each point, at most 99, where it is the same picture; else at most 49.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rawtrace.errors import MalformedError
from rawtrace.image.isccunits import MAX_SEQ_BYTES, bits_of, decode_seq, is_featureless
from rawtrace.match.index import PictureIndex, records, seals
from rawtrace.match.index.imagecodes import ImageCodes
from rawtrace.match.index.seals import KeptSeal
from rawtrace.match.model import Evidence, Match, Relation

ALGORITHM = "io.iscc.v0"
#: Answers that are given at most, and units that are asked with at most.
MAX_RESULTS, MAX_UNITS = 100, 16
#: Distances, of 256 bits, that are near: see docs/spec/codes.md.
DATA_NEAR, IMAGE_NEAR = 85, 64
EXACT = 100
_STRANGERS = 128
_CHUNK = 400
_MAX_HITS = 2_000
_IMAGE, _DATA, _INSTANCE = "ISCC:EED", "ISCC:GAD", "ISCC:IAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """One seal that may belong to what was asked about.

    Attributes
    ----------
    label : str
        Of its active manifest.
    score : int
        0 to 100.
    """

    label: str
    score: int


class Recovery:
    """Asks an open index for seals. One thread at a time, as the index itself.

    Parameters
    ----------
    index : PictureIndex
    """

    def __init__(self, index: PictureIndex) -> None:
        self.index = index
        self._data = ImageCodes()

    def by_binding(self, value: bytes, *, limit: int = 10) -> tuple[Recovered, ...]:
        """Return the seals that a soft binding of ``ALGORITHM`` leads to, best first.

        Parameters
        ----------
        value : bytes
            An ISCC-SEQ. Instance-, Data- and Image-Codes of 256 bits count, each for itself; others are passed over.
        limit : int
            1 to ``MAX_RESULTS``.

        Raises
        ------
        MalformedError
            No ISCC-SEQ, too many units, or none that counts.
        PictureIndexError
        """
        best: dict[str, int] = {}
        for kind, bits in units_of(value):
            for label, score in _ASKED[kind](self, bits):
                best[label] = max(score, best.get(label, 0))
        return _ordered(best, limit)

    def by_content(self, path: Path, *, limit: int = 10) -> tuple[Recovered, ...]:
        """Return the seals of what a picture shows, best first. It is decoded in this process.

        Raises
        ------
        InputNotFoundError, UnreadableError, PixelsError, LimitError, MissingExtraError, PictureIndexError
        """
        from rawtrace.match.lookup import look_up

        best: dict[str, int] = {}
        matches = look_up(path, self.index, limit=MAX_RESULTS).matches
        paths = [os.fsencode(match.where.source) for match in matches]
        with self.index.reading() as connection:
            named = seals.of_paths(connection, paths)
        for match, path_ in zip(matches, paths, strict=True):
            if path_ in named:
                best[named[path_]] = max(_score_of(match), best.get(named[path_], 0))
        return _ordered(best, limit)

    def seal(self, label: str) -> KeptSeal | None:
        """Return a seal by the label of its active manifest."""
        with self.index.reading() as connection:
            return seals.kept_as(connection, label)

    def _exactly(self, bits: bytes) -> Iterator[tuple[str, int]]:
        """Look for files, scenes and planes with an Instance-Code."""
        places = [*self.index.by_scene(bits)[:_MAX_HITS], *self.index.by_digest(bits, limit=_MAX_HITS)]
        paths = sorted({os.fsencode(where.source) for where in places})
        with self.index.reading() as connection:
            found = set(seals.with_digest(connection, bits, limit=_MAX_HITS))
            for some in _chunks(paths):
                found |= set(seals.of_paths(connection, list(some)).values())
        yield from ((label, EXACT) for label in found)

    def _by_data(self, bits: bytes) -> Iterator[tuple[str, int]]:
        """Look for files and scenes that share bytes."""
        with self.index.reading() as connection:
            self._data.extend(seals.data_codes(connection, after=self._data.last))
            near = [one for one in self._data.near(bits, DATA_NEAR) if not one[2]][:_MAX_HITS]
            yield from _scored(connection, near, seals.of_codes)

    def _by_image(self, bits: bytes) -> Iterator[tuple[str, int]]:
        """Look for views that look alike, and for those of which this is the negative."""
        if is_featureless(bits):
            return
        codes = self.index.codes
        with self.index.reading() as connection:
            codes.extend(records.codes(connection, after=codes.last))
            near = codes.near(bits, IMAGE_NEAR)[:_MAX_HITS]
            yield from _scored(connection, near, seals.of_views)


def units_of(value: bytes) -> list[tuple[str, bytes]]:
    """Return kind and 32 bytes of the units of an ISCC-SEQ that can be asked with.

    Raises
    ------
    MalformedError
    """
    units = decode_seq(value)
    if len(units) > MAX_UNITS:
        msg = f"the value has {len(units)} units; at most {MAX_UNITS} are asked with at once"
        raise MalformedError(msg)
    found = []
    for unit in dict.fromkeys(units):
        kind = next((kind for kind in _ASKED if unit.startswith(kind)), None)
        body = _body(unit) if kind else b""
        if kind and body:
            found.append((kind, body))
    if not found:
        msg = "none of the units is an Instance-, Data- or Image-Code of 256 bits"
        raise MalformedError(msg)
    return found


def code_score(distance: int) -> int:
    """Return the score of two codes of 256 bits that differ in so many."""
    return max(0, min(EXACT - 1, EXACT - math.ceil(distance * EXACT / _STRANGERS)))


def _body(unit: str) -> bytes:
    try:
        return bits_of(unit)
    except MalformedError:  # of another length
        return b""


def _score_of(match: Match) -> int:
    if match.evidence is Evidence.PIXELS:
        return EXACT
    strength = min(49, match.inliers) if match.inliers else round(49 * min(1.0, abs(match.correlation)))
    return 50 + strength if match.relation is Relation.SAME else strength


def _scored(
    connection: sa.Connection,
    near: Sequence[tuple[int, int, bool]],
    names: Callable[[sa.Connection, list[int]], dict[int, str]],
) -> Iterator[tuple[str, int]]:
    for some in _chunks(near):
        named = names(connection, [number for number, _, _ in some])
        yield from ((named[number], code_score(distance)) for number, distance, _ in some if number in named)


def _ordered(best: dict[str, int], limit: int) -> tuple[Recovered, ...]:
    ordered = sorted(best.items(), key=lambda one: (-one[1], one[0]))
    return tuple(Recovered(label=label, score=score) for label, score in ordered[: min(limit, MAX_RESULTS)])


def _chunks(values: Sequence[Any]) -> Iterable[Any]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


_ASKED: dict[str, Callable[[Recovery, bytes], Iterator[tuple[str, int]]]] = {
    _INSTANCE: Recovery._exactly,  # noqa: SLF001  its own
    _DATA: Recovery._by_data,  # noqa: SLF001
    _IMAGE: Recovery._by_image,  # noqa: SLF001
}

__all__ = ["ALGORITHM", "MAX_RESULTS", "MAX_SEQ_BYTES", "MAX_UNITS", "Recovered", "Recovery", "code_score", "units_of"]
