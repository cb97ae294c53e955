"""Many paths in one call, on all cores, answered in the order they were named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rawtrace.errors import Error, from_os_error
from rawtrace.progress import SILENT, Progress
from rawtrace.report import Finding, Report
from rawtrace.trust import sources
from rawtrace.trust.truststore import load_trust
from rawtrace.verification import receipts
from rawtrace.verification.policy import DEFAULT, Policy
from rawtrace.verification.signer import Verifier
from rawtrace.verification.verify import verify_with

if TYPE_CHECKING:
    from rawtrace.trust.sources import Fetch
    from rawtrace.verification.online import Online

#: From so many paths on, starting processes costs less than it saves.
_PROCESSES_FROM = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a batch is checked against; the trust sources are loaded once in every process.

    Attributes
    ----------
    trust : tuple[Path, ...]
        An address among them is fetched, which is the reader's word that it may be.
    online : bool
        Whether the network may be asked about signers whom no list knows.
    """

    trust: tuple[Path, ...]
    policy: Policy = DEFAULT
    originals: tuple[Path, ...] = ()
    online: bool = False

    @property
    def asks_network(self) -> bool:
        """Whether anything beyond this computer is asked."""
        return self.online or any(sources.address_of(one) for one in self.trust)

    def fetch(self) -> Fetch | None:
        """Return what fetches lists from addresses; its code is imported only where it is used."""
        if not self.asks_network:
            return None
        from rawtrace.trust.online import fetcher

        return fetcher()


@dataclass(frozen=True, slots=True)
class Failure:
    """A path that could not be checked at all, and why."""

    path: Path
    code: str
    message: str
    hint: str
    exit_code: int


def verify_many(paths: Sequence[Path], request: Request, *, progress: Progress = SILENT) -> Iterator[Report | Failure]:
    """Check many paths; yields as results come, in the order of ``paths``.

    Parameters
    ----------
    progress : Progress
        Told the bytes of a single path; of several, the paths that are done.

    Raises
    ------
    TrustListError, InputNotFoundError
        The trust sources cannot be loaded; said before anything is checked.
    """
    lists = load_trust(request.trust, fetch=request.fetch())
    online: Online | None = None
    if request.online:
        from rawtrace.verification.online import Online

        online = Online.open(lists)
        lists = online.held
    verifier = Verifier(lists)
    try:
        yield from _verify_many(paths, verifier, request, online, progress)
    finally:
        if online is not None:
            online.close()


def _verify_many(
    paths: Sequence[Path], verifier: Verifier, request: Request, online: Online | None, progress: Progress
) -> Iterator[Report | Failure]:
    if len(paths) == 1:
        yield check_one(paths[0], verifier, request, online=online, progress=progress)
        return
    # A single path is the usual case, and the pools take longer to import than it takes to check.
    from rawtrace.verification import pools

    workers = os.cpu_count() or 1
    # What the network said is asked once, so it stays in this process.
    apart = len(paths) >= _PROCESSES_FROM and workers > 1 and not request.asks_network
    results = (
        pools.in_processes(paths, request, workers=workers)
        if apart
        else pools.in_threads(paths, verifier, request, online=online, workers=workers)
    )
    progress.start("verifying", len(paths))
    for result in results:
        progress.advance(1)
        yield result
    progress.finish()


def exit_code_of(results: Iterable[Report | Failure]) -> int:
    """Return what a batch ends with: the worst verdict, or the first failure where all verdicts are good."""
    verdicts, failures = [0], [0]
    for result in results:
        (verdicts if isinstance(result, Report) else failures).append(result.exit_code)
    return max(verdicts) or next((code for code in failures if code), 0)


def check_one(
    path: Path,
    verifier: Verifier,
    request: Request,
    *,
    online: Online | None = None,
    progress: Progress = SILENT,
) -> Report | Failure:
    """Check one path of a batch; what cannot be checked is a result, too."""
    try:
        more: tuple[Finding, ...] = ()
        fetched = receipts.NONE
        if online is not None:
            verifier, more = online.prepare(path, verifier)
            fetched = online.receipts(path, verifier)
        return verify_with(
            verifier,
            path,
            policy=request.policy,
            originals=request.originals,
            more=more,
            fetched=fetched,
            progress=progress,
        )
    except OSError as error:  # the data went away or changed its permissions while it was being read
        return _failure(path, from_os_error(error, f"reading {path}"))
    except Error as error:
        return _failure(path, error)


def _failure(path: Path, error: Error) -> Failure:
    return Failure(path, error.code, error.message, error.hint, error.exit_code)
