"""The log: in process beside plain inserts of the same bytes, and over HTTP with the load generator beside it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.data import Signer
from benchmarks.harness import MIB, Bench, FailedRunError, Row, Spread, rawtrace, run

MIN_RECORDS_PER_S = 15_000
MIN_HTTP_RECORDS_PER_S = 2_000
MAX_P99_MS = 250.0
_CONNECTIONS = 4
_WORK = Path(__file__).with_name("logwork.py")


def rows(bench: Bench, signer: Signer) -> Iterator[Row]:
    yield from _in_process(bench)
    yield _over_http(bench, signer)


def _in_process(bench: Bench) -> Iterator[Row]:
    batches = bench.size(200, 4)
    pairs = []
    for number in range(bench.size(bench.repeats + 1, 1)):
        folder = bench.new_folder(f"log-{number}")
        pairs.append((_work(folder, "sequencer", folder, batches), _work(folder, "sqlite", folder, batches)))
    counted = pairs[1:] or pairs
    rate = Spread.of([ours["records"] / ours["wall_s"] for ours, _ in counted])
    ratio = Spread.of([ours["wall_s"] / plain["wall_s"] for ours, plain in counted])
    last = counted[-1][0]
    cpu = Spread.of([ours["cpu_s"] / ours["records"] for ours, _ in counted]).median
    yield Row(
        what=f"log {last['records']:,} records in process, batches of 256",
        figure=f"{rate.show(0)} records/s",
        target=f">= {MIN_RECORDS_PER_S:,}",
        met=rate.median >= MIN_RECORDS_PER_S,
        note=f"{ratio.show(1)} x the time of inserting the same bytes into a plain table; "
        f"{last['bytes'] / last['records'] / 1e3:.1f} kB each",
        cpu_s=cpu,
    )
    yield Row(
        what="receipts from the log's database; opening the log, all of it checked",
        figure=f"{last['receipts_per_s']:,.0f} receipts/s; {last['open_s'] / last['records'] * 1e6:.1f} s per million",
    )


def _over_http(bench: Bench, signer: Signer) -> Row:
    folder = bench.new_folder("log-http")
    store = folder / "store"
    plan = ("--name", "Example facility", "--url", "http://127.0.0.1:8650", "--no-tls", "--authority", signer.authority)
    run(rawtrace("store", "new", store, *plan), folder=folder)
    told = run(
        rawtrace("store", "token", store, "--role", "gateway", "--name", "load", "--json"),
        folder=folder,
        keep_output=True,
    )
    token = json.loads(told.output)["token"]
    requests = bench.size(200, 4)
    with _serving(store) as url:
        _work(folder, "load", url, token, signer.instrument, max(4, requests // 10), _CONNECTIONS)
        done = [
            _work(folder, "load", url, token, signer.instrument, requests, _CONNECTIONS) for _ in range(bench.repeats)
        ]
    rate = Spread.of([one["records"] / one["wall_s"] for one in done])
    slow = Spread.of([one["p99_s"] * 1e3 for one in done])
    loading = Spread.of([one["cpu_s"] / one["wall_s"] for one in done]).median
    return Row(
        what="log seals over HTTP, 100 a request, each signature checked and durable before the answer",
        figure=f"{rate.show(0)} records/s; p99 {slow.show(0)} ms",
        target=f">= {MIN_HTTP_RECORDS_PER_S:,}; p99 < {MAX_P99_MS:.0f} ms",
        met=rate.median >= MIN_HTTP_RECORDS_PER_S and slow.median < MAX_P99_MS,
        note=f"{_CONNECTIONS} connections, claims of 1 kB; the load generator, on the same cores, takes "
        f"{loading:.1%} of one; database {_size_mib(store):.0f} MiB",
    )


def _size_mib(store: Path) -> float:
    return sum(path.stat().st_size for path in store.glob("store.sqlite*")) / MIB


@contextlib.contextmanager
def _serving(store: Path) -> Iterator[str]:
    server = subprocess.Popen(
        rawtrace("serve", "--store", store, "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = server.stdout.readline().strip() if server.stdout is not None else ""
        if not url:
            raise FailedRunError("the server does not start")
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        until = time.monotonic() + 20
        while server.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        server.kill()
        server.wait()


def _work(folder: Path, *arguments: object) -> dict[str, Any]:
    done = run([sys.executable, _WORK, *map(str, arguments)], folder=folder, keep_output=True)
    value: dict[str, Any] = json.loads(done.output)
    return value
