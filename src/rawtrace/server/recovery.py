"""Seals of an index of pictures, given to whoever asks: the index opened, one question at a time, closed when it fails.

The index is not the store's: others add to it while the store runs, replace it
or delete it. Whatever is wrong with it, the answer is 503, and why is in the
log only, for an index knows paths.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rawtrace.errors import DatabaseError, DiskFullError, LimitError, MalformedError, PictureIndexError, PixelsError
from rawtrace.server.access import Principal
from rawtrace.server.limits import Limiter, household
from rawtrace.server.problems import Problem

if TYPE_CHECKING:
    from rawtrace.match.recover import Recovered, Recovery
    from rawtrace.server.store import Store

_log = logging.getLogger(__name__)
#: How long a question waits for those before it, seconds, and how many may: each holds a thread that others read with.
_PATIENCE_S, _WAITING = 10.0, 8
#: Pictures that are looked for at a time; each takes a process.
_PICTURES = 2
_DATABASE_FILE = "index.sqlite"
_Answer = TypeVar("_Answer")


class RecoveryDesk:
    """Answers from the index that a store offers. Safe to share between threads.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(_WAITING)
        self._opened: tuple[object, Recovery] | None = None
        self._pictures = Limiter(store.settings.limits.pictures_per_minute)
        self._processes = threading.BoundedSemaphore(_PICTURES)

    @property
    def location(self) -> str:
        """Where the index is.

        Raises
        ------
        Problem
            404: the store offers none.
        """
        offered = self._store.settings.offers.index
        if not offered:
            msg = "this store gives no seals of an index"
            raise Problem(404, msg)
        return offered if "://" in offered else str(self._store.folder / offered)

    def ask(self, question: Callable[[Recovery], _Answer]) -> _Answer:
        """Ask the index.

        Raises
        ------
        Problem
            404 without an index, 503 where it is busy or cannot be used.
        """
        location = self.location
        with self._turn(), _in_words():
            try:
                return question(self._recovery(location))
            except MalformedError:
                raise  # of what was asked: the index is as good as before
            except BaseException:
                self._close()
                raise

    def admit(self, principal: Principal, client: str) -> None:
        """Let somebody send a picture, or not, before it is taken in.

        Raises
        ------
        Problem
            401 without a token where one is needed, 429 for too many pictures.
        """
        if self._store.settings.limits.pictures_need_token and not principal.known:
            msg = "whoever sends a picture shows a token here"
            raise Problem(401, msg, headers={"WWW-Authenticate": "Bearer"})
        self._pictures.take(principal.name or household(client))

    def look_for(self, picture: Path, *, limit: int) -> tuple[Recovered, ...]:
        """Look for what a picture shows, in a process of its own.

        Raises
        ------
        Problem
            404 without an index, 413 or 415 for a picture that cannot be read, 503.
        """
        location = self.location
        with _in_words():
            from rawtrace.match import strangers

            if not strangers.media_type_of(picture):
                msg = "the body is no picture that is looked for; expected PNG, JPEG or TIFF"
                raise Problem(415, msg)
            if not self._processes.acquire(blocking=False):
                msg = f"{_PICTURES} pictures are being looked for already"
                raise Problem(503, msg)
            try:
                return strangers.look_for(picture, location, limit=limit)
            except PixelsError as error:
                raise Problem(415, error.message) from error
            except LimitError as error:
                raise Problem(413, error.message) from error
            finally:
                self._processes.release()

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            self._close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        msg = "the index is busy"
        if not self._waiting.acquire(blocking=False):
            raise Problem(503, msg)
        try:
            if not self._lock.acquire(timeout=_PATIENCE_S):
                raise Problem(503, msg)
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._waiting.release()

    def _recovery(self, location: str) -> Recovery:
        key = _identity(location)
        if self._opened is not None and self._opened[0] != key:
            self._close()
        if self._opened is None:
            from rawtrace.match.index import PictureIndex
            from rawtrace.match.recover import Recovery

            self._opened = (key, Recovery(PictureIndex.open(location)))
        return self._opened[1]

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            with suppress(Exception):
                opened[1].index.close()


def _identity(location: str) -> object:
    """Return what changes when somebody puts another index in the place of one; an open file outlives its name."""
    if "://" in location:
        return location
    try:
        found = (Path(location) / _DATABASE_FILE).stat()
    except OSError as error:
        msg = f"there is no index in {location}: {error.strerror}"
        raise PictureIndexError(msg) from error
    return found.st_dev, found.st_ino


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (PictureIndexError, DatabaseError, DiskFullError) as error:
        _log.warning("the index of pictures: %s", error)
        msg = "the index cannot be used just now"
        raise Problem(503, msg) from error
    except ImportError as error:
        _log.warning("the index of pictures needs rawtrace[match]: %s", error)
        msg = "the index cannot be used here"
        raise Problem(503, msg) from error
