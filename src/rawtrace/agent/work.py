"""Sealing itself, away from the loop: a few threads do the reading, the loop alone writes to the outbox."""

from __future__ import annotations

import hashlib
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rawtrace.errors import Error, from_os_error
from rawtrace.sealing.finished import Fingerprint
from rawtrace.sealing.statements import Device

_MAX_SEAL_BYTES = 64 << 20
#: A larger seal is delivered from beside its data only.
_MAX_KEPT_BYTES = 16 << 20
EMPTY_DIGEST = hashlib.sha256().hexdigest()


class Made(Protocol):
    """What a sealer returns; ``rawtrace.sealing.seal.Seal`` is one."""

    @property
    def label(self) -> str:
        """Manifest label."""

    @property
    def claim_sha256(self) -> str:
        """SHA-256 of the claim, hexadecimal."""

    @property
    def content_sha256(self) -> str:
        """SHA-256 of what is sealed, hexadecimal."""


class Sealer(Protocol):
    """Makes one seal, whole or not at all."""

    def __call__(self, path: Path, *, capture: str, supersede: bool, device: Device | None) -> Made:
        """Seal ``path`` and say how it was captured, and with what; replace an older seal if told so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealRead:
    """A seal that lies on the disk, as the agent reads it: unchecked, for its name only."""

    label: str
    claim_sha256: str
    content_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the agent uses of the rooms below; tests give simpler ones.

    Attributes
    ----------
    seal : Sealer
    read_seal : callable
        Reads a ``.c2pa`` file; raises ``Error`` where it cannot.
    content : callable
        SHA-256 of a file's bytes or of a folder's index, hexadecimal.
    """

    seal: Sealer
    read_seal: Callable[[Path], SealRead]
    content: Callable[[Path], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One asset to be sealed.

    ``content_before`` is the content of the older seal, where that seal lies in its place.
    """

    name: str
    path: Path
    fingerprint: Fingerprint
    capture: str
    supersede: bool
    content_before: str = ""
    device: Device | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended: ``made`` a seal, ``same`` as before, or an ``error``."""

    job: Job
    made: Made | None = None
    same: bool = False
    error: BaseException | None = None


class Workers:
    """A few threads that seal; with none, jobs are done at once by the caller.

    Parameters
    ----------
    tools : Tools
    count : int
        Threads; one more than large files are usually written at once.
    wake : callable
        Called from a thread when a job has ended.
    """

    def __init__(self, tools: Tools, *, count: int, wake: Callable[[], None]) -> None:
        self._tools = tools
        self._wake = wake
        self._pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix="seal") if count else None
        self._room = max(count, 1)
        self._busy = 0
        self.ended: deque[Outcome] = deque()

    @property
    def full(self) -> bool:
        """Whether every thread has something to do."""
        return self._busy >= self._room

    @property
    def busy(self) -> bool:
        """Whether a job is under way or its end has not been noted."""
        return bool(self._busy or self.ended)

    def begin(self, job: Job) -> None:
        """Start a job."""
        self._busy += 1
        if self._pool is None:
            self._end(do(job, self._tools))
        else:
            self._pool.submit(lambda: self._end(do(job, self._tools)))

    def noted(self) -> None:
        """Forget the oldest outcome, once it has been written to the outbox."""
        self.ended.popleft()
        self._busy -= 1

    def close(self) -> None:
        """Wait for the jobs under way."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def _end(self, outcome: Outcome) -> None:
        self.ended.append(outcome)
        self._wake()


def do(job: Job, tools: Tools) -> Outcome:
    """Seal one asset, or find that an older seal still holds."""
    try:
        if job.content_before and tools.content(job.path) == job.content_before:
            return Outcome(job=job, same=True)
        made = tools.seal(job.path, capture=job.capture, supersede=job.supersede, device=job.device)
        return Outcome(job=job, made=made)
    except Exception as error:  # noqa: BLE001  handed to the loop, which names it; the agent must live on
        return Outcome(job=job, error=error)


def sentence(error: BaseException) -> str:
    """Return what an error says for people, with its hint."""
    if isinstance(error, OSError):
        error = from_os_error(error, f"reading or writing {Path(str(error.filename)).name if error.filename else 'it'}")
    if isinstance(error, Error):
        return f"{error.message} ({error.hint})" if error.hint else error.message
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f", {Path(one.filename).name} line {one.lineno}" for one in where)
    return f"an unexpected error, which is a bug in rawtrace: {type(error).__name__}: {error}{place}"


def unreadable_seal(error: Error) -> str:
    """Return what to say of an asset whose seal is there and cannot be read."""
    return f"a seal lies beside it that cannot be read: {sentence(error)}"


def bytes_of(path: Path) -> bytes:
    """Return a seal file's bytes, empty if there is none or none of a usual size."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_KEPT_BYTES + 1)
    except OSError:
        return b""
    return data if len(data) <= _MAX_KEPT_BYTES else b""


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a seal file, empty if there is none."""
    try:
        with path.open("rb") as stream:
            return hashlib.sha256(stream.read(_MAX_SEAL_BYTES)).hexdigest()
    except OSError:
        return ""
