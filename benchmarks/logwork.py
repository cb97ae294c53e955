"""What the benchmarks of the log run as processes of their own; each prints what it measured as JSON.

python logwork.py sequencer FOLDER BATCHES     batches of 256 records into a new log
python logwork.py sqlite FOLDER BATCHES        the same bytes into a plain table, each batch committed to the disk
python logwork.py load URL TOKEN IDENTITY REQUESTS CONNECTIONS     requests of 100 seals of 1 kB to a server
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BATCH = 256
LINES = 100
CLAIM_BYTES = 1_000
_ORIGIN = "log.example.org/benchmark"


def _contents(count: int) -> list[dict[str, str]]:
    digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(count)]
    return [{"certificate": "0" * 64, "claim": one, "signature": one[::-1]} for one in digests]


def sequencer(folder: str, batches: str) -> dict[str, Any]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from rawtrace.database import open_database
    from rawtrace.ledger.note import NoteSigner
    from rawtrace.ledger.sequencer import Log, Submission

    key = Ed25519PrivateKey.generate()
    signer = NoteSigner(_ORIGIN, key.sign, key.public_key().public_bytes_raw())
    contents = _contents(int(batches) * BATCH)
    place = Path(folder)
    with (
        open_database(place / "log.sqlite") as database,
        Log.open(database, origin=_ORIGIN, signer=signer, guard=place / "guard", interval_s=0.0) as log,
    ):
        log.submit(Submission.of("file", {"warm": "up"}, issuer=_ORIGIN, key="")).result()
        began, cpu = time.perf_counter(), time.process_time()
        for start in range(0, len(contents), BATCH):
            some = contents[start : start + BATCH]
            log.submit_many([Submission.of("seal", one, issuer=_ORIGIN, key="0" * 16) for one in some]).result()
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        accepted = log.submit_many(
            [Submission.of("seal", one, issuer=_ORIGIN, key="0" * 16) for one in contents[:BATCH]]
        ).result()
        indices = [one.index for one in accepted]
        if indices != list(range(1, BATCH + 1)):
            sys.exit("records that were logged before have got another index")
        began = time.perf_counter()
        for index in range(2 * BATCH):
            log.receipt(index)
        receipts = 2 * BATCH / (time.perf_counter() - began)
    began = time.perf_counter()
    with open_database(place / "log.sqlite") as database:
        Log.open(database, origin=_ORIGIN, signer=signer, guard=place / "guard").close()
    opened = time.perf_counter() - began
    return {
        "wall_s": wall,
        "cpu_s": used,
        "records": len(contents),
        "receipts_per_s": receipts,
        "open_s": opened,
        "bytes": (place / "log.sqlite").stat().st_size,
    }


def sqlite(folder: str, batches: str) -> dict[str, Any]:
    """Insert what stands in entry and record, by the driver itself, as durable as the log does."""
    connection = sqlite3.connect(Path(folder) / "plain.sqlite", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(
        "CREATE TABLE record (position INTEGER PRIMARY KEY, entry BLOB, salt BLOB, record BLOB, look BLOB UNIQUE)"
    )
    contents = _contents(int(batches) * BATCH)
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(contents), BATCH):
        rows = []
        for place, one in enumerate(contents[start : start + BATCH]):
            record = json.dumps(one).encode()
            rows.append((start + place, os.urandom(190), os.urandom(32), record, os.urandom(16)))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    connection.close()
    return {"wall_s": wall, "cpu_s": used, "records": len(contents)}


def load(url: str, token: str, identity: str, requests: str, connections: str) -> dict[str, Any]:
    """Sign seals beforehand, then send them from some connections at once, each waiting for its answer."""
    bodies = _bodies(Path(identity), int(requests))
    place = urlsplit(url)
    latencies: list[float] = []
    lock = threading.Lock()
    left = iter(bodies)
    failed: list[str] = []
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}

    def send() -> None:
        # The plainest client there is: what it takes of the two cores, the server does not have.
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        while True:
            with lock:
                body = next(left, None)
            if body is None:
                break
            began = time.perf_counter()
            connection.request("POST", "/log/records", body, headers)
            response = connection.getresponse()
            answer = response.read()
            took = time.perf_counter() - began
            good = response.status == 200 and answer.count(b'"status":200') == LINES
            with lock:
                latencies.append(took)
                if not good:
                    failed.append(answer[:300].decode(errors="replace"))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(int(connections))]
    began, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    if failed:
        sys.exit(f"{len(failed)} requests failed: {failed[0]}")
    latencies.sort()
    return {
        "wall_s": wall,
        "cpu_s": used,
        "records": len(bodies) * LINES,
        "p50_s": latencies[len(latencies) // 2],
        "p99_s": latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))],
    }


def _bodies(identity: Path, requests: int) -> list[bytes]:
    from rawtrace.sealing import boundedcbor
    from rawtrace.sealing.manifest import read_store
    from rawtrace.sealing.seal import seal
    from rawtrace.trust.signer import load_identity

    signer = load_identity(identity)
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.dat"
        sample.write_bytes(os.urandom(100))
        done = seal(sample, signer=signer, source_type="digitalCapture")
        protected = read_store(done.sidecar.read_bytes()).active_manifest.signature.protected
    shown = base64.b64encode(protected).decode()

    def line() -> str:
        claim = os.urandom(CLAIM_BYTES)
        signature = signer.key.sign(boundedcbor.sig_structure("Signature1", protected, claim))
        parts = {"claim": base64.b64encode(claim).decode(), "protected": shown}
        return json.dumps({**parts, "signature": base64.b64encode(signature).decode()}) + "\n"

    return ["".join(line() for _ in range(LINES)).encode() for _ in range(requests)]


if __name__ == "__main__":
    print(json.dumps({"sequencer": sequencer, "sqlite": sqlite, "load": load}[sys.argv[1]](*sys.argv[2:])))
