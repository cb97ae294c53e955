"""Which views have an Image-Code near to one: every code is compared, so that nothing is missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: From so many codes on faiss is asked, where it is installed; below, NumPy takes a few milliseconds.
WORTH_FAISS = 50_000
BITS = 256


class ImageCodes:
    """Image-Codes in memory, 32 bytes each."""

    def __init__(self) -> None:
        import numpy as np

        self._numbers: NDArray[Any] = np.zeros(0, np.int64)
        self._codes: NDArray[Any] = np.zeros((0, BITS // 8), np.uint8)
        self._faiss: Any = None

    @property
    def last(self) -> int:
        """The greatest number that is known."""
        return int(self._numbers[-1]) if len(self._numbers) else 0

    def __len__(self) -> int:
        return len(self._numbers)

    def extend(self, found: list[tuple[int, bytes]]) -> None:
        """Add numbers, in ascending order, and codes."""
        import numpy as np

        if found:
            numbers, codes = zip(*found, strict=True)
            self._numbers = np.r_[self._numbers, np.array(numbers, np.int64)]
            fresh = np.frombuffer(b"".join(codes), np.uint8).reshape(-1, BITS // 8)
            self._codes = np.ascontiguousarray(np.concatenate([self._codes, fresh]))
            self._faiss = None

    def near(self, bits: bytes, radius: int) -> list[tuple[int, int, bool]]:
        """Return number, distance and whether the complement is nearer, of all codes within ``radius``; nearest first.

        An inverted picture has nearly the complement of the code.
        """
        import numpy as np

        asked = np.frombuffer(bits, np.uint8)
        found = [
            (int(self._numbers[place]), int(distance), inverted)
            for inverted, question in ((False, asked), (True, ~asked))
            for place, distance in zip(*self._within(question, radius), strict=True)
        ]
        return sorted(found, key=lambda one: (one[1], one[2], one[0]))

    def _within(self, question: NDArray[Any], radius: int) -> tuple[NDArray[Any], NDArray[Any]]:
        import numpy as np

        if len(self) >= WORTH_FAISS and (found := self._by_faiss(question, radius)) is not None:
            return found
        differing = np.bitwise_count(self._codes.view(np.uint64) ^ question.view(np.uint64)).sum(axis=1, dtype=np.int64)
        places = np.flatnonzero(differing <= radius)
        return places, differing[places]

    def _by_faiss(self, question: NDArray[Any], radius: int) -> tuple[NDArray[Any], NDArray[Any]] | None:
        try:
            import faiss
        except ImportError:
            return None
        if self._faiss is None:
            self._faiss = faiss.IndexBinaryFlat(BITS)
            self._faiss.add(self._codes)
        # One question by several threads takes a hundred times as long where the cores are shared.
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            _, distances, places = self._faiss.range_search(question[None], radius + 1)
        finally:
            faiss.omp_set_num_threads(threads)
        return places, distances.astype(int)
