"""Cases about receipts: what a log and its witnesses prove of a seal, and what they do not.

Most seals here are made with a key that was compromised five days ago. The seal says it is
ten days old; only a receipt can prove that, and what is no good receipt leaves it open.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from forging import logs, pki
from forging.chains import family
from forging.files import embedded
from forging.folders import sealed_zarr
from forging.lab import Lab, case, seal_of
from forging.logs import ORIGIN, ExampleLog, Signer
from forging.pki import DAY, NOW
from forging.trust import policy as reader_policy
from rawtrace.sealing.embedded import embedded_store
from rawtrace.trust.anchors import Anchor, StatusRecord
from rawtrace.trust.scope import LogPosition

CLAIMED, WITNESSED = NOW - 10 * DAY, NOW - 8 * DAY


@dataclass
class Scene:
    """A sealed file, a log that holds it, three witnesses, and what the trust list will say."""

    path: Path
    log: ExampleLog
    witnesses: tuple[Signer, ...]
    index: int
    anchors: tuple[Anchor, ...] = ()
    statuses: tuple[StatusRecord, ...] = ()
    needed: int = 2

    @property
    def policy(self) -> str:
        return logs.policy(self.log.key, self.witnesses, self.needed)

    def seen(self, time: datetime = WITNESSED) -> list[tuple[Signer, datetime]]:
        """All witnesses, a minute apart."""
        return [(one, time - number * DAY / 1440) for number, one in enumerate(self.witnesses)]

    def write(self, *receipts: bytes) -> Path:
        return write(seal_of(self.path), *receipts)


def write(seal: Path, *receipts: bytes) -> Path:
    beside = seal.with_name(seal.name + ".tlog-proof")
    beside.write_bytes(b"".join(receipts))
    return beside


def scene(path: Path, seal: Path | None = None, **changes: Any) -> Scene:
    """Put a seal into a new log, between other people's."""
    log = ExampleLog()
    log.pad(3)
    record, key = logs.record_of(seal or seal_of(path))
    index = log.add(record, key=key)
    log.pad(3)
    witnesses = tuple(Signer(f"witness-{number}.example.org", logs.COSIGNATURE) for number in range(3))
    return Scene(path, log, witnesses, index, **changes)


def compromised(
    lab: Lab,
    out: Path,
    *,
    reason: str = "keyCompromise",
    from_days_ago: int | None = 5,
    claimed: datetime = CLAIMED,
    end: datetime = NOW + 300 * DAY,
    **changes: Any,
) -> Scene:
    """A seal whose signer's certificate was revoked two days ago."""
    authority_root = pki.certify("Old root", ca=True, start=NOW - 500 * DAY)
    authority = pki.certify("Old authority", authority_root, ca=True, start=NOW - 500 * DAY)
    leaf = pki.instrument(authority, start=NOW - 300 * DAY, end=end)
    path = lab.data(out)
    lab.handmade(path, lab.forged_signer(leaf), when=claimed)
    start = None if from_days_ago is None else NOW - from_days_ago * DAY
    record = lab.status(leaf.certificate, authority.key_id, reason, NOW - 2 * DAY, compromised_from=start, **changes)
    statuses = () if end < NOW else (record,)
    return scene(path, anchors=(lab.anchor(authority_root),), statuses=statuses)


def finish(lab: Lab, out: Path, made: Scene, *receipts: bytes, policies: Sequence[str] | None = None) -> Path:
    """Write the receipts and the trust list."""
    if receipts:
        made.write(*receipts)
    chosen = [made.policy] if policies is None else policies
    return lab.trust(out, *made.anchors, statuses=made.statuses, policies=chosen)


def forged(lab: Lab, out: Path, make: Callable[[Scene], bytes]) -> None:
    """A compromised key, and one receipt that is not what it should be."""
    made = compromised(lab, out)
    finish(lab, out, made, make(made))


# What a good receipt proves.


@case
def receipt_good(lab: Lab, out: Path) -> None:
    made = scene(lab.sealed(out))
    finish(lab, out, made, made.log.receipt(made.index, made.seen(NOW)))


@case
def receipt_of_a_folder(lab: Lab, out: Path) -> None:
    folder = sealed_zarr(lab, out)
    made = scene(folder, folder.with_name(folder.name + ".sha256.c2pa"))
    write(folder.with_name(folder.name + ".sha256.c2pa"), made.log.receipt(made.index, made.seen(NOW)))
    finish(lab, out, made)


@case
def receipt_of_an_embedded_seal(lab: Lab, out: Path) -> None:
    path = embedded(lab, out, "gel.png")
    found = embedded_store(path)
    assert found is not None
    aside = out.parent / f"{out.name}.store"
    aside.write_bytes(found[0])
    made = scene(path, aside)
    aside.unlink()
    write(path, made.log.receipt(made.index, made.seen(NOW)))
    finish(lab, out, made)


@case
def receipt_of_an_ancestor(lab: Lab, out: Path) -> None:
    raw, figure = family(lab, out)
    made = scene(raw)
    made.write(made.log.receipt(made.index, made.seen(NOW)))
    record, key = logs.record_of(seal_of(figure))
    write(seal_of(figure), made.log.receipt(made.log.add(record, key=key), made.seen(NOW)))
    finish(lab, out, made)


@case
def receipts_of_two_logs_one_unknown(lab: Lab, out: Path) -> None:
    made = scene(lab.sealed(out))
    other = scene(made.path)
    other.log.key = Signer("elsewhere.example.org")
    receipts = [one.log.receipt(one.index, one.seen(NOW)) for one in (other, made)]
    finish(lab, out, made, *receipts)


@case
def receipt_missing(lab: Lab, out: Path) -> None:
    finish(lab, out, scene(lab.sealed(out)))


@case
def receipt_missing_against_the_policy(lab: Lab, out: Path) -> None:
    finish(lab, out, scene(lab.sealed(out)))
    reader_policy(out, 'receipt-missing = "rejected"')


@case
def receipt_of_a_log_without_witnesses(lab: Lab, out: Path) -> None:
    made = scene(lab.sealed(out), needed=0)
    finish(lab, out, made, made.log.receipt(made.index))


@case
def certificate_expired_but_logged(lab: Lab, out: Path) -> None:
    made = compromised(lab, out, end=NOW - DAY)
    finish(lab, out, made, made.log.receipt(made.index, made.seen()))


@case
def compromised_after_the_receipt(lab: Lab, out: Path) -> None:
    made = compromised(lab, out)
    finish(lab, out, made, made.log.receipt(made.index, made.seen()))


@case
def compromised_before_the_receipt(lab: Lab, out: Path) -> None:
    made = compromised(lab, out)
    finish(lab, out, made, made.log.receipt(made.index, made.seen(NOW - 3 * DAY)))


# What a receipt is not.


@case
def receipt_of_another_seal(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        lab.handmade(lab.data(out, "other.tif", seed=3), lab.hand(lab.instrument))
        record, key = logs.record_of(out / "other.tif.c2pa")
        index = made.log.add(record, key=key)
        return made.log.receipt(index, made.seen())

    forged(lab, out, make)


@case
def receipt_of_another_signature(lab: Lab, out: Path) -> None:
    """The same claim, signed again: a thief's copy must not live on the first one's receipt."""

    def make(made: Scene) -> bytes:
        record, key = logs.record_of(seal_of(made.path))
        return made.log.receipt(made.log.add(record | {"signature": "0" * 64}, key=key), made.seen())

    forged(lab, out, make)


@case
def receipt_of_another_key(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        record, key = logs.record_of(seal_of(made.path))
        return made.log.receipt(made.log.add(record | {"certificate": "0" * 64}, key=key), made.seen())

    forged(lab, out, make)


@case
def receipt_whose_entry_names_another_key(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        record, _ = logs.record_of(seal_of(made.path))
        return made.log.receipt(made.log.add(record, key="0" * 16), made.seen())

    forged(lab, out, make)


@case
def receipt_whose_entry_is_of_another_kind(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        record, key = logs.record_of(seal_of(made.path))
        return made.log.receipt(made.log.add(record, key=key, kind="status"), made.seen())

    forged(lab, out, make)


@case
def receipt_with_this_record_in_anothers_entry(lab: Lab, out: Path) -> None:
    """The record is put in place of another seal's, beside the salt and the proof of that one."""

    def make(made: Scene) -> bytes:
        theirs, ours = made.log.extras[0], made.log.extras[made.index]
        length = 34 + int.from_bytes(theirs[32:34], "big")
        record = ours[34 + int.from_bytes(ours[32:34], "big") :]
        return made.log.receipt(0, made.seen(), extra=theirs[:length] + record)

    forged(lab, out, make)


@case
def receipt_with_a_proof_hash_flipped(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        first, *rest = logs.path(made.log.leaves, made.index)
        return made.log.receipt(made.index, made.seen(), proof=[bytes([first[0] ^ 1]) + first[1:], *rest])

    forged(lab, out, make)


@case
def receipt_with_a_proof_too_short(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        return made.log.receipt(made.index, made.seen(), proof=logs.path(made.log.leaves, made.index)[:-1])

    forged(lab, out, make)


@case
def receipt_with_a_proof_too_long(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        return made.log.receipt(made.index, made.seen(), proof=[*logs.path(made.log.leaves, made.index), b"\0" * 32])

    forged(lab, out, make)


@case
def receipt_with_another_index(lab: Lab, out: Path) -> None:
    forged(lab, out, lambda made: made.log.receipt(made.index, made.seen(), number=0))


@case
def receipt_beyond_the_end_of_the_log(lab: Lab, out: Path) -> None:
    forged(lab, out, lambda made: made.log.receipt(made.index, made.seen(), number=1000))


@case
def receipt_of_a_log_that_no_list_names(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        made.log.key = Signer("elsewhere.example.org")
        return made.log.receipt(made.index, made.seen())

    made = compromised(lab, out)
    named = made.policy
    finish(lab, out, made, make(made), policies=[named])


@case
def receipt_of_a_log_of_the_same_name(lab: Lab, out: Path) -> None:
    made = compromised(lab, out)
    named = made.policy
    made.log.key = Signer(ORIGIN)
    finish(lab, out, made, made.log.receipt(made.index, made.seen()), policies=[named])


@case
def receipt_with_the_root_edited(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        right = made.log.checkpoint()
        another = logs.b64(os.urandom(32))
        return made.log.receipt(
            made.index, made.seen(), checkpoint=right.replace(logs.b64(logs.root(made.log.leaves)), another)
        )

    forged(lab, out, make)


@case
def receipt_with_a_size_that_begins_with_zero(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        text = f"{ORIGIN}\n0{len(made.log.entries)}\n{logs.b64(logs.root(made.log.leaves))}\n"
        return made.log.receipt(made.index, made.seen(), checkpoint=made.log.checkpoint(text))

    forged(lab, out, make)


@case
def receipt_with_a_witness_that_signed_something_else(lab: Lab, out: Path) -> None:
    """Two witnesses would be enough; the third, who is known, has a signature that does not hold."""

    def make(made: Scene) -> bytes:
        first, second, third = made.seen()
        good = made.log.receipt(made.index, [first, second])
        return good + third[0].line("something else\n", third[1]).encode()

    forged(lab, out, make)


@case
def receipt_with_too_few_witnesses(lab: Lab, out: Path) -> None:
    forged(lab, out, lambda made: made.log.receipt(made.index, made.seen()[:1]))


@case
def receipt_with_one_witness_twice(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        (one, time), *_ = made.seen()
        return made.log.receipt(made.index, [(one, time), (one, time - DAY)])

    forged(lab, out, make)


@case
def receipt_with_witnesses_that_nobody_knows(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        strangers = [Signer(f"stranger-{number}.example.org", logs.COSIGNATURE) for number in range(3)]
        return made.log.receipt(made.index, [(one, WITNESSED) for one in strangers])

    forged(lab, out, make)


@case
def receipt_with_witnesses_of_the_known_names(lab: Lab, out: Path) -> None:
    def make(made: Scene) -> bytes:
        doubles = [Signer(one.name, logs.COSIGNATURE) for one in made.witnesses]
        return made.log.receipt(made.index, [(one, WITNESSED) for one in doubles])

    forged(lab, out, make)


@case
def receipt_of_the_future(lab: Lab, out: Path) -> None:
    forged(lab, out, lambda made: made.log.receipt(made.index, made.seen(NOW + 9 * DAY)))


@case
def receipt_of_a_time_beyond_all_calendars(lab: Lab, out: Path) -> None:
    class Endless:
        @staticmethod
        def timestamp() -> int:
            return 2**62

    def make(made: Scene) -> bytes:
        return made.log.receipt(made.index, [(one, Endless()) for one in made.witnesses])  # type: ignore[misc]

    forged(lab, out, make)


@case
def receipt_of_a_log_without_witnesses_for_an_old_seal(lab: Lab, out: Path) -> None:
    """The log alone says that the seal came before the doubt; its operator could have put it there later."""
    made = compromised(lab, out, from_days_ago=None, doubt_from=LogPosition(origin=ORIGIN, index=5))
    made.needed = 0
    finish(lab, out, made, made.log.receipt(made.index))


@case
def receipts_truncated(lab: Lab, out: Path) -> None:
    forged(lab, out, lambda made: made.log.receipt(made.index, made.seen())[:-200])


@case
def receipts_of_garbage(lab: Lab, out: Path) -> None:
    forged(lab, out, lambda _: b"c2sp.org/tlog-proof@v1\n" * 1000 + b"\xff\n")


@case
def receipts_of_five_megabytes(lab: Lab, out: Path) -> None:
    forged(lab, out, lambda made: made.log.receipt(made.index, made.seen()) * 4000)


@case
def receipts_without_number(lab: Lab, out: Path) -> None:
    """The good one is the last of very many for this seal; so many are not looked at."""

    def make(made: Scene) -> bytes:
        bad = [made.log.receipt(made.index, [], number=1000 + number) for number in range(200)]
        return b"".join((*bad, made.log.receipt(made.index, made.seen())))

    forged(lab, out, make)


@case
def receipts_in_a_pipe(lab: Lab, out: Path) -> None:
    made = compromised(lab, out)
    os.mkfifo(out / "cells.tif.c2pa.tlog-proof")
    finish(lab, out, made)


@case
def receipt_made_for_another_purpose(lab: Lab, out: Path) -> None:
    forged(lab, out, lambda made: made.log.receipt(made.index, made.seen(), extra=base64.b64decode("AAAA")))


# The order in the log.


@case
def compromised_after_by_index(lab: Lab, out: Path) -> None:
    """Nobody knows the hour of the theft, but the log was at entry 5 then."""
    made = compromised(lab, out, from_days_ago=None, doubt_from=LogPosition(origin=ORIGIN, index=5))
    finish(lab, out, made, made.log.receipt(made.index, made.seen(NOW - DAY)))


@case
def compromised_before_by_index(lab: Lab, out: Path) -> None:
    made = compromised(lab, out, from_days_ago=None, doubt_from=LogPosition(origin=ORIGIN, index=3))
    finish(lab, out, made, made.log.receipt(made.index, made.seen()))


@case
def backdated_against_the_index(lab: Lab, out: Path) -> None:
    """The thief sets the clock back by a month, but can have no older entry in the log."""
    made = compromised(
        lab,
        out,
        reason="privilegeWithdrawn",
        from_days_ago=None,
        claimed=NOW - 30 * DAY,
        logged=LogPosition(origin=ORIGIN, index=2),
    )
    finish(lab, out, made, made.log.receipt(made.index, made.seen()))


@case
def compromised_nobody_knows_since_when_and_logged(lab: Lab, out: Path) -> None:
    made = compromised(lab, out, from_days_ago=None, logged=LogPosition(origin=ORIGIN, index=6))
    finish(lab, out, made, made.log.receipt(made.index, made.seen()))


@case
def index_of_another_log(lab: Lab, out: Path) -> None:
    """The doubt begins at entry 5 of one log; the seal is entry 3 of another."""
    made = compromised(lab, out, from_days_ago=None, doubt_from=LogPosition(origin="elsewhere.example.org", index=5))
    elsewhere = logs.policy(Signer("elsewhere.example.org"), made.witnesses, 2)
    finish(lab, out, made, made.log.receipt(made.index, made.seen()), policies=[made.policy, elsewhere])


@case
def index_of_another_log_of_the_same_name(lab: Lab, out: Path) -> None:
    """Another list, accepted too, names a log that bears the name of the authority's own."""
    made = compromised(lab, out, from_days_ago=None, doubt_from=LogPosition(origin=ORIGIN, index=5))
    double = ExampleLog()
    record, key = logs.record_of(seal_of(made.path))
    double.pad()
    made.write(double.receipt(double.add(record, key=key), made.seen(NOW - DAY)))
    lab.trust(out, *made.anchors, statuses=made.statuses, policies=[made.policy])
    other = lab.anchor(pki.certify("Other root", ca=True))
    lab.trust(out, other, policies=[logs.policy(double.key, made.witnesses, 2)], name="other.jws", title="Other list")
