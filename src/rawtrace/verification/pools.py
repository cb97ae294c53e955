"""Where a batch is checked: in the threads of this process, or in processes of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from rawtrace.report import Report
from rawtrace.trust.truststore import load_trust
from rawtrace.verification.batch import Failure, Request, check_one
from rawtrace.verification.signer import Verifier

if TYPE_CHECKING:
    from rawtrace.verification.online import Online

_PATHS_PER_TASK = 32


def in_threads(
    paths: Sequence[Path], verifier: Verifier, request: Request, *, online: Online | None = None, workers: int
) -> Iterator[Report | Failure]:
    """Check a few paths: hashing large files releases the interpreter's lock, so they share the cores."""
    with ThreadPoolExecutor(max_workers=max(1, min(workers, len(paths)))) as threads:
        yield from threads.map(lambda path: check_one(path, verifier, request, online=online), paths)


def in_processes(paths: Sequence[Path], request: Request, *, workers: int) -> Iterator[Report | Failure]:
    """Check many paths; each process loads the trust sources itself."""
    # Spawned, not forked: the C2PA library's state does not survive a fork, and Windows has none.
    context = multiprocessing.get_context("spawn")
    tasks = [paths[start : start + _PATHS_PER_TASK] for start in range(0, len(paths), _PATHS_PER_TASK)]
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare, initargs=(request,)) as pool:
        for results in pool.map(_check_task, tasks):
            yield from results


class _Worker:
    """The state of one worker process."""

    verifier: Verifier
    request: Request


def _prepare(request: Request) -> None:
    _Worker.request = request
    _Worker.verifier = Verifier(load_trust(request.trust))


def _check_task(paths: Sequence[Path]) -> list[Report | Failure]:
    return [check_one(path, _Worker.verifier, _Worker.request) for path in paths]
