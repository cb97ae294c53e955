"""Answers kept on disk until their time to live is over: bounded, and each bound to the key that gave it.

One file for each answer. An answer is looked for by the key of the server that
may give it together with the handle, so that a record from another server, or
from a server that is no longer the right one, is never found. Everything read
back is parsed as strictly as if it had just arrived.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from rawtrace import config, durable, strictjson
from rawtrace.errors import Error
from rawtrace.trust.handles import values, wire
from rawtrace.trust.handles.names import Handle
from rawtrace.trust.handles.values import Answer

MAX_ENTRIES = 4096
MAX_MEMORY = 1024
#: However long a server says: what it revokes must become known.
MAX_TTL = timedelta(days=1)
_SUFFIX = ".json"
_MAX_BYTES = 2 * values.MAX_ANSWER_BYTES + 4096
_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer, where it came from, and until when it may be used."""

    answer: Answer
    url: str
    fetched_at: datetime
    expires_at: datetime


class Cache:
    """The answers of one user. Safe to share between threads and processes.

    Parameters
    ----------
    folder : Path or None
        None keeps answers in memory only.
    """

    def __init__(self, folder: Path | None = None, *, max_entries: int = MAX_ENTRIES) -> None:
        self._folder = folder
        self._max_entries = max_entries
        self._memory: OrderedDict[str, Kept] = OrderedDict()
        self._lock = Lock()

    def get(self, key_sha256: str, handle: Handle, *, now: datetime) -> Kept | None:
        """Return the answer that a server with this key gave, unless it is too old."""
        name = _name(key_sha256, handle)
        with self._lock:
            kept = self._memory.get(name)
            if kept is not None:
                self._memory.move_to_end(name)
        if kept is None:
            kept = self._read(name, key_sha256, handle)
            if kept is not None:
                self._remember(name, kept)
        # A clock that was set back must not make old answers young.
        if kept is None or not kept.fetched_at - _TOLERANCE <= now < kept.expires_at:
            return None
        return kept

    def put(self, key_sha256: str, handle: Handle, raw: bytes, answer: Answer, *, url: str, now: datetime) -> Kept:
        """Keep an answer as long as its values allow; returns it as it is kept."""
        kept = Kept(answer=answer, url=url, fetched_at=now, expires_at=expiry(answer, now))
        if kept.expires_at > now:
            name = _name(key_sha256, handle)
            self._remember(name, kept)
            self._write(name, kept, raw, key_sha256, handle)
        return kept

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._memory.clear()
        for path in self._files():
            with contextlib.suppress(OSError):
                path.unlink()

    def _remember(self, name: str, kept: Kept) -> None:
        with self._lock:
            self._memory[name] = kept
            self._memory.move_to_end(name)
            while len(self._memory) > MAX_MEMORY:
                self._memory.popitem(last=False)

    def _read(self, name: str, key_sha256: str, handle: Handle) -> Kept | None:
        if self._folder is None:
            return None
        path = self._folder / f"{name}{_SUFFIX}"
        try:
            data = durable.read_bounded(path, limit=_MAX_BYTES)
            one = wire.mapping(strictjson.loads(data, what=f"{path}", max_bytes=_MAX_BYTES), f"{path}")
            if one.get("key_sha256") != key_sha256 or one.get("handle") != handle.key:
                return None
            answer = values.read_answer(wire.text(one.get("answer"), "answer").encode(), what=f"{path}")
            fetched = datetime.fromisoformat(wire.text(one.get("fetched_at"), "fetched_at"))
            if fetched.tzinfo is None or answer.handle is None or not answer.handle.same_as(handle):
                return None
            # The time to live is taken from the answer again: a longer one beside it counts for nothing.
            return Kept(
                answer=answer,
                url=wire.text(one.get("url"), "url"),
                fetched_at=fetched,
                expires_at=expiry(answer, fetched),
            )
        except (Error, ValueError, OverflowError):
            return None

    def _write(self, name: str, kept: Kept, raw: bytes, key_sha256: str, handle: Handle) -> None:
        if self._folder is None:
            return
        entry = {
            "key_sha256": key_sha256,
            "handle": handle.key,
            "url": kept.url,
            "fetched_at": kept.fetched_at.isoformat(),
            "answer": raw.decode("utf-8", "replace"),
        }
        # A cache that cannot be written is no reason to fail.
        with contextlib.suppress(Error, OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(name)
            durable.replace(self._folder / f"{name}{_SUFFIX}", strictjson.dumps(entry), mode=0o600)

    def _make_room(self, name: str) -> None:
        files = [path for path in self._files() if path.stem != name]
        if len(files) < self._max_entries:
            return
        # A tenth at a time, oldest first, so that this is rare.
        files.sort(key=lambda path: path.stat().st_mtime)
        for path in files[: len(files) - self._max_entries + max(1, self._max_entries // 10)]:
            with contextlib.suppress(OSError):
                path.unlink()

    def _files(self) -> list[Path]:
        if self._folder is None:
            return []
        try:
            with os.scandir(self._folder) as found:
                return [Path(one.path) for one in found if one.name.endswith(_SUFFIX) and not one.name.startswith(".")]
        except OSError:
            return []


def default_cache() -> Cache:
    """Return the cache in rawtrace's own settings."""
    return Cache(config.config_folder() / "resolver-cache")


def expiry(answer: Answer, fetched: datetime) -> datetime:
    """Return until when an answer may be used: its shortest time to live, one day at most."""
    best = fetched + MAX_TTL
    for value in answer.values or ():
        if value.absolute:
            best = min(best, datetime.fromtimestamp(value.ttl, UTC))
        else:
            best = min(best, fetched + timedelta(seconds=min(value.ttl, int(MAX_TTL.total_seconds()))))
    return max(best, fetched)


def _name(key_sha256: str, handle: Handle) -> str:
    return hashlib.sha256(f"{key_sha256}\n{handle.key}".encode()).hexdigest()[:40]
