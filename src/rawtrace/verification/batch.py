"""Many paths in one call, on all cores, answered in the order they were named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rawtrace.errors import Error, from_os_error
from rawtrace.progress import SILENT, Progress
from rawtrace.report import Report
from rawtrace.trust.truststore import load_trust
from rawtrace.verification.policy import DEFAULT, Policy
from rawtrace.verification.signer import Verifier
from rawtrace.verification.verify import verify_with

#: From so many paths on, starting processes costs less than it saves.
_PROCESSES_FROM = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a batch is checked against; the trust sources are loaded once in every process."""

    trust: tuple[Path, ...]
    policy: Policy = DEFAULT
    originals: tuple[Path, ...] = ()


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
    verifier = Verifier(load_trust(request.trust))
    if len(paths) == 1:
        yield check_one(paths[0], verifier, request, progress=progress)
        return
    # A single path is the usual case, and the pools take longer to import than it takes to check.
    from rawtrace.verification import pools

    workers = os.cpu_count() or 1
    check = pools.in_processes if len(paths) >= _PROCESSES_FROM and workers > 1 else pools.in_threads
    progress.start("verifying", len(paths))
    for result in check(paths, verifier, request, workers=workers):
        progress.advance(1)
        yield result
    progress.finish()


def exit_code_of(results: Iterable[Report | Failure]) -> int:
    """Return what a batch ends with: the worst verdict, or the first failure where all verdicts are good."""
    verdicts, failures = [0], [0]
    for result in results:
        (verdicts if isinstance(result, Report) else failures).append(result.exit_code)
    return max(verdicts) or next((code for code in failures if code), 0)


def check_one(path: Path, verifier: Verifier, request: Request, *, progress: Progress = SILENT) -> Report | Failure:
    """Check one path of a batch; what cannot be checked is a result, too."""
    try:
        return verify_with(verifier, path, policy=request.policy, originals=request.originals, progress=progress)
    except OSError as error:  # the data went away or changed its permissions while it was being read
        return _failure(path, from_os_error(error, f"reading {path}"))
    except Error as error:
        return _failure(path, error)


def _failure(path: Path, error: Error) -> Failure:
    return Failure(path, error.code, error.message, error.hint, error.exit_code)
