"""Events of the file system, as hints only: what they say makes the agent look sooner, never believe more.

Where no events arrive (network drives, too many folders, a watcher that died)
the periodic sweep finds everything all the same.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

_LOG = logging.getLogger("rawtrace.agent")
_MOST = 20_000
_TELLING = frozenset({"created", "modified", "moved", "deleted", "closed"})


class Hints:
    """Collects the paths that something happened to.

    Parameters
    ----------
    wake : callable
        Called from the watcher's thread when there is something to take.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        self._overflow = False
        self._observer: Any = None

    def start(self, folders: Iterable[Path]) -> bool:
        """Begin to listen below some folders; ``False`` where the system gives no events."""
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer

        hints = self

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                if event.event_type in _TELLING:
                    hints.add(event.src_path, event.dest_path)

        observer = Observer()
        try:
            for folder in folders:
                observer.schedule(Handler(), str(folder), recursive=True)
            observer.start()
        except (OSError, RuntimeError) as error:
            _LOG.warning("the system gives no file events (%s); looking at intervals instead", error)
            return False
        self._observer = observer
        return True

    def add(self, *paths: str | bytes) -> None:
        """Note that something happened to some paths; beyond 20 000 only that much happened."""
        with self._lock:
            for path in paths:
                if path and len(self._paths) < _MOST:
                    self._paths.add(os.fsdecode(path))
                elif path:
                    self._overflow = True
        self._wake()

    def take(self) -> tuple[set[Path], bool]:
        """Return the paths since the last call, and whether there were too many to name."""
        with self._lock:
            paths, overflow = self._paths, self._overflow
            self._paths, self._overflow = set(), False
        return {Path(path) for path in paths}, overflow

    def alive(self) -> bool:
        """Tell whether events still arrive as far as can be known."""
        observer = self._observer
        return observer is not None and observer.is_alive() and all(one.is_alive() for one in observer.emitters)

    def stop(self) -> None:
        """Stop listening."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=5)
            self._observer = None
