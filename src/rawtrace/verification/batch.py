"""Many paths in one call, on all cores, answered in the order they were named."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rawtrace.errors import Error, from_os_error
from rawtrace.report import Report
from rawtrace.trust.truststore import load_trust
from rawtrace.verification.checks import Verifier
from rawtrace.verification.policy import DEFAULT, Policy
from rawtrace.verification.verify import verify_with

#: From so many paths on, starting processes costs less than it saves.
_PROCESSES_FROM = 256
_PATHS_PER_TASK = 32


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


def verify_many(paths: Sequence[Path], request: Request) -> Iterator[Report | Failure]:
    """Check many paths; yields as results come, in the order of ``paths``.

    Raises
    ------
    TrustListError, InputNotFoundError
        The trust sources cannot be loaded; said before anything is checked.
    """
    verifier = Verifier(load_trust(request.trust))
    workers = os.cpu_count() or 1
    if len(paths) < _PROCESSES_FROM or workers == 1:
        with ThreadPoolExecutor(max_workers=min(workers, max(1, len(paths)))) as threads:
            yield from threads.map(lambda path: _check(path, verifier, request), paths)
        return
    # Spawned, not forked: the C2PA library's state does not survive a fork, and Windows has none.
    context = multiprocessing.get_context("spawn")
    tasks = [paths[start : start + _PATHS_PER_TASK] for start in range(0, len(paths), _PATHS_PER_TASK)]
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare, initargs=(request,)) as pool:
        for results in pool.map(_check_task, tasks):
            yield from results


def exit_code_of(results: Iterable[Report | Failure]) -> int:
    """Return what a batch ends with: the worst verdict, or the first failure where all verdicts are good."""
    verdicts, failures = [0], [0]
    for result in results:
        (verdicts if isinstance(result, Report) else failures).append(result.exit_code)
    return max(verdicts) or next((code for code in failures if code), 0)


class _Worker:
    """The state of one worker process."""

    verifier: Verifier
    request: Request


def _prepare(request: Request) -> None:
    _Worker.request = request
    _Worker.verifier = Verifier(load_trust(request.trust))


def _check_task(paths: Sequence[Path]) -> list[Report | Failure]:
    return [_check(path, _Worker.verifier, _Worker.request) for path in paths]


def _check(path: Path, verifier: Verifier, request: Request) -> Report | Failure:
    try:
        return verify_with(verifier, path, policy=request.policy, originals=request.originals)
    except OSError as error:  # the data went away or changed its permissions while it was being read
        return _failure(path, from_os_error(error, f"reading {path}"))
    except Error as error:
        return _failure(path, error)


def _failure(path: Path, error: Error) -> Failure:
    return Failure(path, error.code, error.message, error.hint, error.exit_code)
