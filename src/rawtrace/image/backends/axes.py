"""From the axes that a file has to T, C and Z, and from a plane to its number in the file's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rawtrace.image.reader import PlaneIndex

_LETTERS = "ZCT"


@dataclass(frozen=True, slots=True)
class Leading:
    """The axes in front of Y and X, and how a plane's number is counted along them.

    Attributes
    ----------
    sizes : dict
        Of ``T``, ``C`` and ``Z``.
    steps : dict
        For each letter the (size, step) of the stored axes that became it, fastest first.
    """

    sizes: dict[str, int]
    steps: dict[str, tuple[tuple[int, int], ...]]

    def number(self, plane: PlaneIndex) -> int:
        """Return the plane's place in the file's own order, from 0."""
        total = 0
        for letter, index in (("T", plane.t), ("C", plane.c), ("Z", plane.z)):
            rest = index
            for size, step in self.steps[letter]:
                total += rest % size * step
                rest //= size
        return total


def leading(names: str, sizes: Sequence[int]) -> Leading:
    """Give every axis in front of Y and X one of the letters T, C and Z.

    An axis of another name becomes the first of Z, C and T that is not taken,
    the fastest axis first, so that a plain stack of pages is a stack along Z;
    what then is left over is counted along T, the slower axis outside.

    Parameters
    ----------
    names : str
        One letter an axis, slowest first.
    sizes : Sequence[int]
        As many.
    """
    taken = [name if name in _LETTERS and name not in names[:place] else "" for place, name in enumerate(names)]
    for place in range(len(names) - 1, -1, -1):
        if not taken[place]:
            taken[place] = next((letter for letter in _LETTERS if letter not in taken), "T")
    total = {"T": 1, "C": 1, "Z": 1}
    steps: dict[str, list[tuple[int, int]]] = {"T": [], "C": [], "Z": []}
    step = 1
    for letter, size in zip(reversed(taken), reversed(list(sizes)), strict=True):
        steps[letter].append((size, step))
        total[letter] *= size
        step *= size
    return Leading(total, {letter: tuple(pairs) for letter, pairs in steps.items()})
