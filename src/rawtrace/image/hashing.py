"""Hashing beside reading: threads that take bytes in order, and never more than a few pieces at a time.

iscc-lib and NumPy let go of Python's lock while they work, so that two cores
are busy although everything here is Python.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

#: Pieces that wait for one thread; with pieces of about 1 MB this bounds the memory.
DEPTH = 8
#: To hand over less than this costs more than to hash it at once.
_WORTH_A_THREAD = 1 << 16
BITS = 256


@dataclass(frozen=True, slots=True)
class Units:
    """What a stream of bytes hashes to.

    Attributes
    ----------
    data, instance : str
        Data-Code and Instance-Code, 256 bits each.
    iscc : str
        Both in one: the wide ISCC-SUM, 128 bits of each.
    size : int
        Bytes.
    """

    data: str
    instance: str
    iscc: str
    size: int


class Lane:
    """One thread that does what it is given, in order."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[Any]] = deque()

    def put(self, call: Callable[..., Any], *arguments: Any, size: int = 0) -> None:
        """Have a call made after all earlier ones; waits while too many are waiting already.

        Parameters
        ----------
        size : int
            Bytes it is about; little ones are done at once where nothing is before them.
        """
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft().result()
        if not self._waiting and size < _WORTH_A_THREAD:
            call(*arguments)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="rawtrace-hashing")
        self._waiting.append(self._pool.submit(call, *arguments))
        if len(self._waiting) > DEPTH:
            self._waiting.popleft().result()

    def wait(self) -> None:
        """Return when everything is done."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """End the thread; what has not begun is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._waiting.clear()


class Lanes:
    """The threads of one run: similarity of the whole, similarity of planes, exact identity; a context manager."""

    def __init__(self) -> None:
        self.whole, self.planes, self.exact = Lane(), Lane(), Lane()

    def wait(self) -> None:
        """Return when everything is done."""
        for lane in (self.whole, self.planes, self.exact):
            lane.wait()

    def __enter__(self) -> Lanes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in (self.whole, self.planes, self.exact):
            lane.close()


class Stream:
    """Data-Code and Instance-Code of a stream of bytes, each in its lane."""

    def __init__(self, data_lane: Lane, exact_lane: Lane) -> None:
        import iscc_lib

        self._data_lane, self._exact_lane = data_lane, exact_lane
        self._data, self._exact = iscc_lib.DataHasher(), iscc_lib.InstanceHasher()
        self._size = 0

    def update(self, piece: bytes) -> None:
        """Add bytes."""
        self._size += len(piece)
        self._data_lane.put(self._data.update, piece, size=len(piece))
        self._exact_lane.put(self._exact.update, piece, size=len(piece))

    def finish(self) -> Callable[[], Units]:
        """End the stream; what is returned gives the units once the lanes have been waited for."""
        done: dict[str, str] = {}
        self._data_lane.put(_finalize, self._data, done, "data")
        self._exact_lane.put(_finalize, self._exact, done, "instance")
        size = self._size
        return lambda: units_of(done["data"], done["instance"], size)


def units_of(data: str, instance: str, size: int) -> Units:
    """Join two units of 256 bits."""
    import iscc_lib

    return Units(data, instance, str(iscc_lib.gen_iscc_code_v0([data, instance], wide=True)["iscc"]), size)


def _finalize(hasher: Any, done: dict[str, str], name: str) -> None:
    done[name] = str(hasher.finalize(bits=BITS)["iscc"])
