"""Three stores, each the others' witness and mirror, a gateway and five instruments, all of them real processes.

Under load, stores and agents are killed at random moments. In the end everything that was acknowledged is there,
once, and verifies without any store; and whoever rewrites something is named.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from federation import (
    Federation,
    Member,
    acknowledged,
    command,
    copy_of,
    entries_of,
    federation,
    held_by,
    served_by,
    until,
)
from rawtrace.cli import logfolders
from rawtrace.database import open_database
from rawtrace.errors import LedgerError
from rawtrace.ledger.entry import Entry
from rawtrace.ledger.sequencer import Log, Submission

#: In one worker, which makes the federation once.
pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("federation")]
KILLS = 10
SEED = 20_500


@dataclass(frozen=True)
class Ran:
    """A federation after its hard time: nothing is being recorded any more, everything runs."""

    federation: Federation
    killed: tuple[str, ...]
    backup: Path
    """Of the second store, from the middle."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("federation")
    with federation(folder, instruments=5) as made:
        killed = made.run(kills=KILLS // 2, seed=SEED)
        second = made.members[1]
        second.server.stop()
        backup = copy_of(second, folder / "backup")
        # Away for longer than a moment, while the others go on.
        for one in made.instruments:
            one.record()
        second.server.start()
        killed += made.run(kills=KILLS - KILLS // 2, seed=SEED + 1)
        made.drain()
        yield Ran(made, tuple(killed), backup)


def all_caught_up(made: Federation) -> None:
    """Wait until every mirror holds what the logs serve; a log sends when it has something new."""
    for one in made.instruments[: len(made.members)]:
        one.record()
    made.drain()
    for one in made.members:
        for other in made.others(one):
            until(
                lambda one=one, other=other: held_by(other, one)[0] == served_by(one)[0] > 0,
                f"{other.folder.name} does not catch up with {one.folder.name}",
            )


def test_what_was_acknowledged_is_in_the_log_and_in_the_mirrors_once(ran: Ran) -> None:
    made = ran.federation
    assert len(ran.killed) == KILLS
    all_caught_up(made)
    for one in made.members:
        size, served = served_by(one)
        for other in made.others(one):
            held = held_by(other, one)
            assert held == (size, served), f"{other.folder.name} holds something else of {one.folder.name}"
        entries = entries_of(served)
        own = [each for each in made.instruments if each.home is one]
        receipts = 0
        for each in own:
            told = acknowledged(each)
            assert len(told) == each.count
            for image, held in told:
                for receipt in held:
                    assert entries[receipt.index] == receipt.entry.encode(), f"{image}: not the entry {receipt.index}"
                receipts += len(held)
        kinds = Counter(Entry.decode(entry).kind for entry in entries)
        assert kinds["seal"] == receipts, "a seal was logged that nobody has a receipt of"
        assert kinds["certificate"] == len(own)
        assert len(set(entries)) == len(entries)
        with sqlite3.connect(one.folder / "store.sqlite") as database:
            records = database.execute("SELECT record FROM log_record WHERE origin = ?", (one.origin,)).fetchall()
        assert len(set(records)) == len(records) == size


def test_everything_verifies_with_any_store_down_and_with_all(ran: Ran) -> None:
    made = ran.federation
    data = made.folder / "data"
    trust = [word for one in made.members for word in ("--trust", one.folder / "authority" / "trust-list.jws")]
    count = sum(one.count for one in made.instruments)

    def check() -> None:
        lines = command("verify", "-r", data, *trust, "--json").splitlines()
        reports = [json.loads(line) for line in lines if line.startswith("{")]
        assert len(reports) == count
        assert {one["verdict"] for one in reports} <= {"verified", "verified-with-notes"}
        for one in reports:
            found = {finding["id"] for finding in one["findings"]}
            assert found & {"receipt-good", "counter-signed"}, one
            assert "receipt-missing" not in found

    for one in made.members:
        one.server.kill()
        check()
    for one in made.members:
        one.server.start()
    check()


def test_a_store_away_holds_up_nobody(ran: Ran) -> None:
    made = ran.federation
    away = made.members[2]
    away.server.kill()
    others = [one for one in made.instruments if one.home is not away]
    for one in made.instruments:
        one.record()
    until(lambda: all(one.delivered() >= one.count for one in others), "one store away holds the others up")
    until(
        lambda: all(
            image.with_name(f"{image.name}.c2pa").exists() for one in made.instruments for image in one.images()
        ),
        "sealing waits for a store",
    )
    away.server.start()
    made.drain()
    all_caught_up(made)


# --- somebody rewrites something


def flipped(data: bytes) -> bytes:
    """Flip a bit in the middle."""
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def tile(database: sqlite3.Connection, origin: str) -> None:
    (data,) = database.execute("SELECT data FROM log_tile WHERE origin = ? AND level = 0", (origin,)).fetchone()
    database.execute("UPDATE log_tile SET data = ? WHERE origin = ? AND level = 0", (flipped(data), origin))


def bundle(database: sqlite3.Connection, origin: str) -> None:
    (data,) = database.execute("SELECT data FROM log_bundle WHERE origin = ? AND number = 0", (origin,)).fetchone()
    changed = data.replace(b'"kind":"seal"', b'"kind":"sea1"', 1)
    assert changed != data
    database.execute("UPDATE log_bundle SET data = ? WHERE origin = ? AND number = 0", (changed, origin))


def record(database: sqlite3.Connection, origin: str) -> None:
    database.execute("DELETE FROM log_record WHERE origin = ? AND position = 2", (origin,))


def other_record(database: sqlite3.Connection, origin: str) -> None:
    (data,) = database.execute("SELECT record FROM log_record WHERE origin = ? AND position = 2", (origin,)).fetchone()
    database.execute("UPDATE log_record SET record = ? WHERE origin = ? AND position = 2", (flipped(data), origin))


TAMPERINGS: tuple[tuple[Callable[[sqlite3.Connection, str], None], str, bool], ...] = (
    (tile, "tile/0/000", True),
    (bundle, "entry ", True),
    (record, "the record 2 is missing, and was not erased", False),
    (other_record, "the record 2 is not the one that its entry commits to", False),
)


@pytest.mark.parametrize(("tamper", "said", "stops"), TAMPERINGS, ids=lambda one: getattr(one, "__name__", None))
def test_a_rewritten_store_is_named_fail(
    ran: Ran, tmp_path: Path, tamper: Callable[[sqlite3.Connection, str], None], said: str, stops: bool
) -> None:
    first = ran.federation.members[0]
    first.server.stop()
    try:
        copied = copy_of(first, tmp_path / "store")
    finally:
        first.server.start()
    assert ": sound" in command("log", "audit", copied)
    with sqlite3.connect(copied / "store.sqlite") as database:
        tamper(database, first.origin)
    database.close()
    told = command("log", "audit", copied, code=20)
    assert "not sound" in told
    assert said in told
    if stops:
        refused = command("serve", "--store", copied, "--port", "0", code=1)
        assert f"the log {first.origin} is damaged" in refused


def forge(backup: Path, origin: str, *, size: int) -> None:
    """Go on from an old state with the log's own key, alone, as whoever owns the store could."""
    found = logfolders.find(backup)
    (backup / "log" / "guard").unlink()
    (backup / "log" / "policy").unlink()
    with (
        open_database(found.database) as database,
        Log.open(database, origin=origin, signer=found.signer(), guard=found.guard, new_guard=True) as log,
    ):
        forged = [
            Submission.of("file", {"sha256": f"{number:064x}", "size": number}, issuer=origin, key="")
            for number in range(size - log.size)
        ]
        log.submit_many(forged).result(60)


def test_a_fork_signed_with_the_logs_own_key_is_named_fail(ran: Ran, tmp_path: Path) -> None:
    made = ran.federation
    second = made.members[1]
    size = served_by(second)[0]
    assert "consistent" in command("store", "monitor", made.members[0].folder)
    evil = Path(shutil.copytree(ran.backup, tmp_path / "evil"))
    forge(evil, second.origin, size=size + 3)
    # The forged log is sound in itself: only somebody who has seen the other history can tell.
    assert ": sound" in command("log", "audit", evil)
    shutil.copyfile(second.folder / "log" / "policy", evil / "log" / "policy")
    told = command("log", "witness", evil, code=20)
    assert f"has seen another history of {second.origin}" in told
    (evil / "log" / "policy").unlink()
    second.server.stop()
    second.server.words[2] = str(evil)
    second.server.start()
    try:
        told = command("store", "monitor", made.members[0].folder, code=20)
        assert f"{second.origin} has signed a tree of" in told
        assert "do not show the same" in told
    finally:
        second.server.stop()
        second.server.words[2] = str(second.folder)
        second.server.start()


def restored(member: Member, backup: Path, *, guard: bool) -> None:
    """Put a store's database back as it was; its guard too, where somebody backed that up."""
    for name in ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm"):
        (member.folder / name).unlink(missing_ok=True)
        if (backup / name).exists():
            (member.folder / name).write_bytes((backup / name).read_bytes())
    if guard:
        (member.folder / "log" / "guard").write_bytes((backup / "log" / "guard").read_bytes())


@pytest.mark.parametrize("guard", [False, True], ids=["guard-kept", "guard-set-back"])
def test_a_store_from_an_old_backup_signs_nothing_before_it_has_caught_up(ran: Ran, guard: bool) -> None:
    made = ran.federation
    second = made.members[1]
    all_caught_up(made)
    size, served = served_by(second)
    second.server.stop()
    restored(second, ran.backup, guard=guard)
    refused = command("serve", "--store", second.folder, code=1)
    assert "nothing more is signed" in refused if guard else "it is an older copy" in refused
    assert "brought back" in command("log", "restore", second.folder)
    second.server.start()
    assert served_by(second) == (size, served)
    # It goes on, and the others with it.
    for one in made.instruments:
        one.record()
    made.drain()
    grown, now = served_by(second)
    assert grown > size
    assert entries_of(now)[:size] == entries_of(served)
    all_caught_up(made)


def test_an_empty_database_is_refused_fail(ran: Ran, tmp_path: Path) -> None:
    second = ran.federation.members[1]
    second.server.stop()
    try:
        copied = copy_of(second, tmp_path / "empty")
    finally:
        second.server.start()
    for name in ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm"):
        (copied / name).unlink(missing_ok=True)
    found = logfolders.find(copied)
    with open_database(found.database) as database, pytest.raises(LedgerError, match="it is an older copy"):
        Log.open(database, origin=found.origin, signer=found.signer(), guard=found.guard)
