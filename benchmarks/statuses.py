"""What many statuses cost a verification, and how fast receipts are checked."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.data import Signer, write_small_images
from benchmarks.harness import Bench, Row, Spread, rawtrace, run
from rawtrace.ledger import merkle
from rawtrace.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from rawtrace.ledger.entry import Entry, canonical, commitment
from rawtrace.ledger.note import NoteSigner
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.receipt import Receipt, check_receipt, pack_extra
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.scope import Scope, ScopeKind
from rawtrace.trust.truststore import load_trust
from rawtrace.verification.signer import Verifier
from rawtrace.verification.verify import verify_with

MAX_MORE_MS = 5.0
MIN_RECEIPTS_PER_S = 5_000
_NOW = datetime.now(UTC).replace(microsecond=0)


def rows(bench: Bench, signer: Signer) -> Iterator[Row]:
    yield _statuses(bench, signer)
    yield _receipts(bench)


def _statuses(bench: Bench, signer: Signer) -> Row:
    folder = bench.new_folder("statuses")
    (image,) = write_small_images(folder, 1)
    run(rawtrace("seal", "--quiet", "--instrument", signer.instrument, "--feature", "hdr", image), folder=folder)
    (listed,) = load_trust([signer.authority])
    count = bench.size(100_000, 1_000)
    key_id = _issuer_of(signer)
    single = [
        StatusRecord(serial=1 + number, authority_key_id=key_id, reason="superseded", revoked_at=_NOW)
        for number in range(count // 2)
    ]
    scoped = [
        StatusRecord(authority_key_id=key_id, scope=_scope(number), reason="privilegeWithdrawn", revoked_at=_NOW)
        for number in range(count // 2)
    ]
    without, among = Verifier((listed,)), Verifier((replace(listed, statuses=(*single, *scoped)),))
    # A verifier remembers whom it met; a new one each time asks every time.
    fresh = [lambda: verify_with(Verifier(without.lists), image), lambda: verify_with(Verifier(among.lists), image)]
    rounds = bench.size(200, 10)
    more = [1e3 * (b - a) for a, b in (_cpu_in_turn(fresh, rounds) for _ in range(bench.repeats))]
    spread = Spread.of(more)
    shutil.rmtree(folder)
    return Row(
        what=f"verify with {count:,} statuses loaded, beside none",
        figure=f"{spread.show()} ms of CPU more",
        target=f"less than {MAX_MORE_MS:g} ms",
        met=spread.median < MAX_MORE_MS,
        note="half about certificates, half about features of the product; nothing remembered between two files",
    )


def _receipts(bench: Bench) -> Row:
    count = bench.size(4_096, 64)
    log, witnesses = _signer("log.example.org", 1), [_signer(f"w{number}.example.org", 4) for number in range(3)]
    lines = [f"log {log.key.text}", *(f"witness w{number} {one.key.text}" for number, one in enumerate(witnesses))]
    policy = Policy.parse("\n".join([*lines, "group any-two 2 w0 w1 w2", "quorum any-two", ""]))
    extras, leaves = [], []
    for number in range(count):
        record = canonical({"claim": hashlib.sha256(str(number).encode()).hexdigest(), "kind": "seal", "v": 1})
        salt = os.urandom(32)
        entry = Entry(kind="seal", issuer=log.name, key="0" * 16, commitment=commitment(salt, record)).encode()
        extras.append(pack_extra(salt, entry, record))
        leaves.append(merkle.leaf_hash(entry))
    levels = [leaves]
    while len(levels[-1]) > 1:
        last = levels[-1]
        levels.append([merkle.node_hash(last[n], last[n + 1]) for n in range(0, len(last), 2)])
    note = sign_checkpoint(Checkpoint(log.name, count, levels[-1][0]), log)
    note += "".join(cosign(note, one, int(_NOW.timestamp())) for one in witnesses).encode()
    texts = [
        Receipt(
            extra=extras[index],
            index=index,
            proof=merkle.inclusion_proof(index, count, lambda level, at: levels[level][at]),
            checkpoint=note,
        ).encode()
        for index in range(count)
    ]

    def check() -> None:
        for text in texts:
            check_receipt(Receipt.parse(text), policy)

    rates = []
    for _ in range(bench.repeats):
        start = time.process_time()
        check()
        rates.append(count / (time.process_time() - start))
    rate = Spread.of(rates)
    return Row(
        what=f"read and check {count:,} receipts of one checkpoint",
        figure=f"{rate.show(0)} receipts/s on one core",
        target=f"at least {MIN_RECEIPTS_PER_S:,}/s",
        met=rate.median >= MIN_RECEIPTS_PER_S,
        note="the checkpoint's four signatures are checked once",
    )


def _cpu_in_turn(calls: list[Callable[[], object]], rounds: int) -> tuple[float, float]:
    """Return the CPU seconds of one call of each, measured in turn."""
    spent = [0.0, 0.0]
    for call in calls:
        call()
    for _ in range(rounds):
        for which, call in enumerate(calls):
            start = time.process_time()
            call()
            spent[which] += time.process_time() - start
    return spent[0] / rounds, spent[1] / rounds


def _issuer_of(signer: Signer) -> bytes:
    from rawtrace.trust import certificates
    from rawtrace.trust.authorityfolder import open_authority

    return certificates.subject_key_id(open_authority(signer.authority).certificate)


def _scope(number: int) -> Scope:
    # One in a hundred is about the very product.
    model = "Widefield 1" if number % 100 == 0 else f"Model {number}"
    return Scope(kind=ScopeKind.FEATURE, manufacturer="Example Optics", model=model, feature=f"feature-{number}")


def _signer(name: str, kind: int) -> NoteSigner:
    private = ed25519.Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return NoteSigner(name=name, kind=kind, sign=private.sign, public=public)
