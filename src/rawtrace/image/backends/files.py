"""What all backends share: files read at any place by several threads, and a few threads to unpack with."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from rawtrace.errors import LimitError, MissingExtraError, PixelsError, from_os_error
from rawtrace.image.plainfile import open_plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pixels may be at most so many times larger than what is stored of them …
MOST_PACKED = 20_000
#: … where they are more than this: a small file may unfold that far, whatever its ratio.
ALWAYS_UNPACKED_BYTES = 4 << 30
#: One strip, tile or chunk, unpacked.
MAX_SEGMENT_BYTES = 512 << 20
#: Strips, tiles or chunks of a plane; of all planes together, where they are more than the bytes that are stored.
MAX_SEGMENTS = 1_000_000
WORKERS = max(1, min(4, os.cpu_count() or 1))

In = TypeVar("In")
Out = TypeVar("Out")


def absent(format: str, *, extra: str) -> MissingExtraError:
    """Return the error that says which extra a format needs."""
    return MissingExtraError(
        f"{format} files need a package that is not installed", hint=f'pip install "rawtrace[{extra}]"'
    )


class SharedFile:
    """A file that several threads read at places of their own.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputNotFoundError, UnreadableError
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        try:
            self.stream = open_plain(path)
            self.size = os.fstat(self.stream.fileno()).st_size
        except OSError as error:
            raise from_os_error(error, f"reading {path}") from error

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes; fewer than asked for only at the end of the file."""
        wanted = max(0, min(size, self.size - offset)) if offset >= 0 else 0
        if hasattr(os, "pread"):
            try:
                data = os.pread(self.stream.fileno(), wanted, offset) if wanted else b""
            except OSError as error:
                raise from_os_error(error, f"reading {self.path.name}") from error
            if len(data) == wanted:
                return data
        buffer = bytearray(wanted)
        return bytes(memoryview(buffer)[: self._fill(offset, memoryview(buffer))])

    def read_into(self, offset: int, target: NDArray[Any]) -> None:
        """Fill a contiguous array.

        Raises
        ------
        PixelsError
            The file ends before it is full.
        """
        import numpy as np

        view = target.reshape(-1).view(np.uint8).data
        if offset < 0 or offset + len(view) > self.size or self._fill(offset, view) < len(view):
            msg = "the file ends before the pixels that it promises"
            raise PixelsError(msg)

    def _fill(self, offset: int, view: memoryview) -> int:
        done = 0
        try:
            while done < len(view):
                if hasattr(os, "preadv"):
                    count = os.preadv(self.stream.fileno(), [view[done:]], offset + done)
                else:
                    with self._lock:
                        self.stream.seek(offset + done)
                        count = self.stream.readinto(view[done:]) or 0
                if not count:
                    break
                done += count
        except OSError as error:
            raise from_os_error(error, f"reading {self.path.name}") from error
        return done

    def close(self) -> None:
        """Let go of the file."""
        self.stream.close()


class Workers:
    """A few threads, started when they are first needed."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._lock = Lock()

    def map(self, work: Callable[[In], Out], items: Iterable[In], *, ahead: int) -> Iterator[Out]:
        """Yield the results in order; at most ``ahead`` items are under way or waiting to be taken."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="rawtrace-unpack")
        pending: deque[Future[Out]] = deque()
        try:
            for item in items:
                pending.append(self._pool.submit(work, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """Stop the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def check_promise(unpacked: int, stored: int) -> None:
    """Refuse a file that promises absurdly more pixels than it can hold.

    Raises
    ------
    LimitError
    """
    if unpacked > ALWAYS_UNPACKED_BYTES and unpacked > MOST_PACKED * stored:
        msg = f"the file promises {unpacked} bytes of pixels and holds {stored}: more than {MOST_PACKED} times its size"
        raise LimitError(msg)
