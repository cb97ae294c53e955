"""Where a picture is looked for: what ``find`` asks of an index, and a gallery in memory for a folder's worth of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rawtrace.match.features import UNIT, Features, features, stretched, variant
from rawtrace.match.model import Where

if TYPE_CHECKING:
    from numpy.typing import NDArray

Variant = tuple[bool, bool]
#: Mirrored, inverted.
VARIANTS: tuple[Variant, ...] = ((False, False), (True, False), (False, True), (True, True))

_NEAREST = 6
_PROBED = 8
_TURNS, _OCTAVES = 12, 9


class Entry(Protocol):
    """One view of a gallery."""

    @property
    def where(self) -> Where:
        """Which picture it is."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the scene, px."""

    @property
    def reduction(self) -> int:
        """How many pixels of the scene one of the view averages, along each axis."""


class Gallery(Protocol):
    """What can be searched; ``rawtrace.match.index.pictures.PictureIndex`` has these methods, too."""

    def candidates(
        self, question: Features, variants: Sequence[Variant] = VARIANTS, limit: int = 32
    ) -> Sequence[tuple[int, bool, bool, float]]:
        """Return number of the view, mirrored, inverted and votes; most votes first."""

    def features_of(self, numbers: Iterable[int]) -> Mapping[int, Features]:
        """Return the points of views, as far as they are there."""

    def views(self, numbers: Iterable[int]) -> Mapping[int, Entry]:
        """Return the views, as far as they are there."""

    def by_digest(self, instance: bytes) -> Sequence[Where]:
        """Return the planes with an Instance-Code; never constant ones."""

    def by_code(self, bits: bytes, radius: int) -> Sequence[tuple[int, int, bool]]:
        """Return number, distance and whether it is the complement, of views with a near Image-Code; nearest first."""


class Pixels(Protocol):
    """A gallery that can show its views, so that their pixels are compared."""

    def pixels_of(self, number: int) -> NDArray[Any] | None:
        """Return a view in grey, or ``None`` where it cannot be shown."""


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    where: Where
    size: tuple[int, int]
    reduction: int
    pixels: NDArray[Any]
    features: Features
    code: bytes
    digest: bytes


class MemoryGallery:
    """Views in memory. Made for up to some thousand of them.

    Attributes
    ----------
    hidden : frozenset of int
        Views that are treated as if they were not there.
    """

    def __init__(self) -> None:
        self._held: list[_Held] = []
        self._cells: _Cells | None = None
        self.hidden: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self._held)

    def add(
        self, where: Where, pixels: NDArray[Any], *, size: tuple[int, int] | None = None, reduction: int = 1,
        digest: bytes = b"",
    ) -> int:  # fmt: skip
        """Add a view and return its number.

        Parameters
        ----------
        where : Where
        pixels : ndarray
            (Y, X), grey: a view.
        size : tuple[int, int], optional
            Width and height of the scene; of the view where it is not reduced.
        reduction : int
        digest : bytes
            The 32 bytes of the plane's Instance-Code, where the view is a plane.
        """
        from rawtrace.image.isccunits import bits_of, image_code

        shown = stretched(pixels)
        code = image_code(shown)
        self._held.append(
            _Held(
                where=where, size=size or (pixels.shape[1] * reduction, pixels.shape[0] * reduction),
                reduction=reduction, pixels=shown, features=features(shown), code=bits_of(code) if code else b"",
                digest=digest if shown.any() else b"",
            )
        )  # fmt: skip
        self._cells = None
        return len(self._held) - 1

    def candidates(
        self, question: Features, variants: Sequence[Variant] = VARIANTS, limit: int = 32
    ) -> Sequence[tuple[int, bool, bool, float]]:
        """Return number of the view, mirrored, inverted and votes; most votes first."""
        import numpy as np

        if self._cells is None:
            self._cells = _Cells([held.features for held in self._held])
        if not len(question) or not self._cells.count:
            return ()
        scores = self._cells.votes(question, variants, self.hidden)
        flat = scores.reshape(-1)
        order = np.argsort(-flat, kind="stable")[:limit]
        found = []
        for place in order:
            if flat[place] <= 0:
                break
            kind, number = divmod(int(place), scores.shape[1])
            found.append((number, *variants[kind], float(flat[place])))
        return found

    def features_of(self, numbers: Iterable[int]) -> Mapping[int, Features]:
        """Return the points of views."""
        return {number: self._held[number].features for number in numbers if number not in self.hidden}

    def views(self, numbers: Iterable[int]) -> Mapping[int, Entry]:
        """Return the views."""
        return {number: self._held[number] for number in numbers if number not in self.hidden}

    def by_digest(self, instance: bytes) -> Sequence[Where]:
        """Return the views that are planes with this Instance-Code."""
        return [
            held.where
            for number, held in enumerate(self._held)
            if instance and held.digest == instance and number not in self.hidden
        ]

    def by_code(self, bits: bytes, radius: int) -> Sequence[tuple[int, int, bool]]:
        """Return number, distance and whether it is the complement, of views with a near Image-Code; nearest first."""
        asked, found = int.from_bytes(bits, "big"), []
        for number, held in enumerate(self._held):
            if held.code and number not in self.hidden:
                differing = (asked ^ int.from_bytes(held.code, "big")).bit_count()
                least = min(differing, 256 - differing)
                if least <= radius:
                    found.append((number, least, differing > 128))
        return sorted(found, key=lambda one: one[1])

    def pixels_of(self, number: int) -> NDArray[Any] | None:
        """Return a view in grey."""
        return self._held[number].pixels


class _Cells:
    """Descriptors by the nearest of some centres: only the cells near to a question are compared with it."""

    def __init__(self, held: Sequence[Features]) -> None:
        import numpy as np

        counts = [len(one) for one in held]
        self.views = len(held)
        self.count = sum(counts)
        if not self.count:
            return
        every = np.concatenate([one.descriptors for one in held])
        self.size = np.concatenate([one.size for one in held])
        self.angle = np.concatenate([one.angle for one in held])
        self.view = np.repeat(np.arange(len(held)), counts)
        cells = int(np.clip(np.sqrt(self.count), 1, 1024))
        random = np.random.default_rng(5)
        sample = _units(every[np.sort(random.permutation(self.count)[: 24 * cells])])
        centres = sample[random.permutation(len(sample))[:cells]]
        for _ in range(4):
            nearest = (sample @ centres.T).argmax(axis=1)
            order = np.argsort(nearest, kind="stable")
            sums = np.zeros_like(centres)
            np.add.at(sums, nearest[order], sample[order])
            full = np.bincount(nearest, minlength=len(centres)) > 0
            centres = np.where(full[:, None], sums, centres)
            centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-6)
        self.centres = centres
        home = np.concatenate([
            (_units(every[first : first + 20_000]) @ centres.T).argmax(axis=1)
            for first in range(0, self.count, 20_000)
        ])  # fmt: skip
        self.order = np.argsort(home, kind="stable")
        self.ends = np.searchsorted(home[self.order], np.arange(len(centres) + 1))
        self.descriptors = every[self.order]

    def votes(self, question: Features, variants: Sequence[Variant], hidden: frozenset[int]) -> NDArray[Any]:
        """Return votes, (variants, views)."""
        import numpy as np

        asked = np.concatenate([_units(variant(question, mirrored=m, inverted=i)) for m, i in variants])
        probed = min(_PROBED, len(self.centres))
        near = np.argpartition(-(asked @ self.centres.T), probed - 1, axis=1)[:, :probed]
        similar = np.full((len(asked), probed, _NEAREST), -1.0, np.float32)
        places = np.zeros((len(asked), probed, _NEAREST), np.int64)
        visible = ~np.isin(self.view, list(hidden)) if hidden else None
        cell, slot = near.ravel(), np.tile(np.arange(probed), len(asked))
        row = np.repeat(np.arange(len(asked)), probed)
        order = np.argsort(cell, kind="stable")
        ends = np.searchsorted(cell[order], np.arange(len(self.centres) + 1))
        for number in range(len(self.centres)):
            asking, members = order[ends[number] : ends[number + 1]], slice(self.ends[number], self.ends[number + 1])
            inside = self.order[members]
            if not len(asking) or not len(inside):
                continue
            products = asked[row[asking]] @ _units(self.descriptors[members]).T
            if visible is not None:
                products[:, ~visible[inside]] = -1
            kept = min(_NEAREST, len(inside))
            best = np.argpartition(-products, kept - 1, axis=1)[:, :kept]
            similar[row[asking], slot[asking], :kept] = np.take_along_axis(products, best, axis=1)
            places[row[asking], slot[asking], :kept] = inside[best]
        return self._counted(question, variants, similar.reshape(len(asked), -1), places.reshape(len(asked), -1))

    def _counted(
        self, question: Features, variants: Sequence[Variant], similar: NDArray[Any], places: NDArray[Any]
    ) -> NDArray[Any]:
        """Let the nearest of each point vote for a view, a turn and a scale."""
        import numpy as np

        kept = min(_NEAREST, similar.shape[1])
        best = np.argpartition(-similar, kept - 1, axis=1)[:, :kept]
        similar, places = np.take_along_axis(similar, best, axis=1), np.take_along_axis(places, best, axis=1)
        apart = np.sqrt(np.maximum(1 - similar, 1e-6))
        weight = np.where(similar > 0.4, 1 - apart / apart.max(axis=1, keepdims=True), 0)
        kind, point = np.divmod(np.arange(len(similar)), len(question))
        mirrored = np.array([m for m, _ in variants])[kind][:, None]
        inverted = np.array([i for _, i in variants])[kind][:, None]
        angle = self.angle[places]
        turn = (question.angle[point][:, None] + 180 * inverted + np.where(mirrored, angle, -angle)) % 360
        octave = np.log2(np.maximum(question.size[point], 1e-3)[:, None] / np.maximum(self.size[places], 1e-3))
        turns = (turn * (_TURNS / 360)).astype(np.int64) % _TURNS
        octaves = np.clip(np.rint(octave) + _OCTAVES // 2, 0, _OCTAVES - 1).astype(np.int64)
        bins = ((kind[:, None] * self.views + self.view[places]) * _TURNS + turns) * _OCTAVES + octaves
        shape = (len(variants), self.views, _TURNS, _OCTAVES)
        votes = np.bincount(bins.ravel(), weight.ravel(), minlength=int(np.prod(shape))).reshape(shape)
        votes = votes + np.roll(votes, 1, axis=2)
        votes[..., 1:] += votes[..., :-1].copy()
        summed: NDArray[Any] = votes.max(axis=(2, 3))
        return summed


def _units(descriptors: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return descriptors.astype(np.float32) * np.float32(1 / UNIT)
