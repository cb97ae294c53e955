"""One index searched by several machines: each worker of a Dask cluster keeps the segments of a part of the views.

The database (PostgreSQL) stays the one truth, which every worker reads. A
question goes to all workers, and the best of their answers are the answer.
Where a worker is lost, Dask's error is told; nothing is left out in silence.
"""

from __future__ import annotations

import heapq
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rawtrace.errors import Error, MissingExtraError, NetworkError, UsageError
from rawtrace.match.features import Features, from_bytes, to_bytes
from rawtrace.match.index.pictures import PictureIndex
from rawtrace.match.index.records import IndexedView
from rawtrace.match.index.search import VARIANTS, Variant
from rawtrace.match.model import Where

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PATIENCE_S = 600


class Part:
    """A part of an index, living in a worker.

    Parameters
    ----------
    location : str
        ``postgresql://user@host/name``, as the worker reaches it.
    number, parts : int
        Which of how many.
    """

    def __init__(self, location: str, number: int, parts: int) -> None:
        self._index = PictureIndex.open(location, part=(number, parts))
        self._lock = threading.Lock()

    def prepare(self) -> int:
        """Make the segments that are missing; return how many points there are."""
        with self._lock:
            self._index.refresh()
            return sum(segment.points for segment in self._index.shelf.segments)

    def candidates(
        self, question: bytes, variants: Sequence[Variant], limit: int
    ) -> list[tuple[int, bool, bool, float]]:
        """Return this part's candidates for packed points."""
        with self._lock:
            return self._index.candidates(from_bytes(question), variants, limit)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._index.close()


def _on_worker(session: str, location: str, number: int, parts: int, method: str, *arguments: Any) -> Any:
    """Run a method of a part; it is opened when it is first needed and stays in its worker until it is closed."""
    from distributed import get_worker

    held: dict[str, Part] = get_worker().__dict__.setdefault("_rawtrace_parts", {})
    if method == "close":
        part = held.pop(session, None)
        return part.close() if part is not None else None
    if session not in held:
        held[session] = Part(location, number, parts)
    return getattr(held[session], method)(*arguments)


class ShardedIndex:
    """An index whose candidates come from the workers of a cluster; has what ``rawtrace.match.galleries.Gallery`` asks.

    Parameters
    ----------
    location : str
        ``postgresql://user@host/name``.
    scheduler : str
        Address of Dask's scheduler, as in ``tcp://127.0.0.1:8786``.

    Raises
    ------
    UsageError
        The index lies in a folder, which other machines cannot read.
    MissingExtraError
    NetworkError
        The scheduler does not answer, or has no workers.
    PictureIndexError
    """

    def __init__(self, location: str, *, scheduler: str) -> None:
        if "://" not in location:
            msg = f"the index {location} lies in a folder, and only one in PostgreSQL is searched by a cluster"
            raise UsageError(msg, hint="add to it with --index postgresql://…")
        try:
            from distributed import Client
        except ImportError as error:
            msg = "searching with a cluster needs Dask, which is not installed"
            raise MissingExtraError(msg, hint="pip install 'rawtrace[dask,postgres]'") from error
        self._index = PictureIndex.open(location)
        self._location = location
        self._session = uuid.uuid4().hex
        self._workers: list[str] = []
        try:
            self._client = Client(scheduler, timeout="10s", set_as_default=False)
        except (OSError, ValueError, ImportError) as error:
            self._index.close()
            msg = f"the scheduler {scheduler} cannot be reached"
            raise NetworkError(msg) from error
        try:
            workers = sorted(self._client.scheduler_info(n_workers=-1)["workers"])
            if not workers:
                msg = f"the scheduler {scheduler} has no workers"
                raise NetworkError(msg, hint="start some: dask worker ADDRESS")
            self._workers = workers
            self._all("prepare")
        except BaseException:
            self.close()
            raise

    def candidates(
        self, question: Features, variants: Sequence[Variant] = VARIANTS, limit: int = 32
    ) -> list[tuple[int, bool, bool, float]]:
        """Ask all parts and return the best of their candidates; see ``PictureIndex.candidates``."""
        packed = to_bytes(question)
        answers = self._all("candidates", packed, tuple(variants), limit)
        found: list[tuple[int, bool, bool, float]] = [one for answer in answers for one in answer]
        return heapq.nsmallest(limit, found, key=lambda one: (-one[3], one[0], one[1], one[2]))

    def features_of(self, numbers: Iterable[int]) -> Mapping[int, Features]:
        """See ``PictureIndex.features_of``."""
        return self._index.features_of(numbers)

    def views(self, numbers: Iterable[int]) -> Mapping[int, IndexedView]:
        """See ``PictureIndex.views``."""
        return self._index.views(numbers)

    def by_digest(self, instance: bytes) -> Sequence[Where]:
        """See ``PictureIndex.by_digest``."""
        return self._index.by_digest(instance)

    def by_code(self, bits: bytes, radius: int) -> Sequence[tuple[int, int, bool]]:
        """See ``PictureIndex.by_code``; one machine compares all codes of ten millions in a moment."""
        return self._index.by_code(bits, radius)

    def pixels_of(self, number: int) -> NDArray[Any] | None:
        """See ``PictureIndex.pixels_of``."""
        return self._index.pixels_of(number)

    def close(self) -> None:
        """Let go of workers and database."""
        try:
            if self._workers:
                self._all("close")
        finally:
            self._workers = []
            self._client.close()
            self._index.close()

    def __enter__(self) -> ShardedIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _all(self, method: str, *arguments: Any) -> list[Any]:
        """Have every worker run a method of its part, and wait for all answers."""
        count = len(self._workers)
        asked = [
            self._client.submit(
                _on_worker, f"{self._session}-{number}", self._location, number, count, method, *arguments,
                workers=[worker], allow_other_workers=False, pure=False,
            )
            for number, worker in enumerate(self._workers)
        ]  # fmt: skip
        try:
            return [one.result(timeout=_PATIENCE_S) for one in asked]
        except Error:
            raise
        except Exception as error:  # Dask hands on whatever went wrong over there
            msg = f"a worker of the cluster failed ({type(error).__name__})"
            raise NetworkError(msg, hint="see that the workers have rawtrace and reach the database") from error
