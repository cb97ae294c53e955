"""A process that writes into a log under load and tells each acknowledgement, until somebody kills it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rawtrace.database import open_database
from rawtrace.ledger.checkpoint import cosign
from rawtrace.ledger.note import ED25519_COSIGNATURE, NoteSigner
from rawtrace.ledger.sequencer import Log, Submission

ORIGIN = "log.example.org/killed"
WITNESS = "witness.example.org"
THREADS = 4
GROUP = 5


def signer_of(seed: bytes, name: str = ORIGIN, **kind: int) -> NoteSigner:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return NoteSigner(name, key.sign, key.public_key().public_bytes_raw(), **kind)


def submission(number: int) -> Submission:
    return Submission.of("seal", {"number": number, "text": "x" * 200}, issuer=ORIGIN, key="00" * 8)


class SlowWitness:
    """A quorum that takes its time, so that many die between commit and publication."""

    def __init__(self, seed: bytes) -> None:
        self._signer = signer_of(seed, WITNESS, kind=ED25519_COSIGNATURE)

    def collect(
        self, checkpoint: bytes, old_size: int, proof: Sequence[bytes], *, prove: Callable[[int], Sequence[bytes]]
    ) -> bytes:
        assert tuple(proof) == tuple(prove(old_size))
        time.sleep(0.02)
        return checkpoint + cosign(checkpoint, self._signer, 1_900_000_000).encode()

    def ask(self, checkpoint: bytes, *, prove: Callable[[int], Sequence[bytes]]) -> None:
        pass

    def close(self) -> None:
        pass


def write(to: Connection, address: Path | str, guard: Path, seed: bytes, start: int, *, quorum: bool) -> None:
    """Log ``start``, ``start + 1`` … from several threads; send ``(number, index)`` for what was acknowledged."""
    lock = threading.Lock()
    numbers = itertools.count(start)

    def tell(value: Any) -> None:
        with lock:
            to.send(value)

    log = Log.open(
        open_database(address),
        origin=ORIGIN,
        signer=signer_of(seed),
        guard=guard,
        quorum=SlowWitness(seed) if quorum else None,
        interval_s=0.002,
    )
    tell(("open", log.size, log.checkpoint()))

    def load() -> None:
        while True:
            with lock:
                mine = [next(numbers) for _ in range(GROUP)]
            # Some are sent again: what was acknowledged in another life keeps its index.
            again = [mine[0] // 2, mine[1] // 3]
            accepted = log.submit_many([submission(number) for number in [*mine, *again]]).result(60)
            tell(("acknowledged", [*mine, *again], [one.index for one in accepted]))

    threads = [threading.Thread(target=load, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
