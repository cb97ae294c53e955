"""Delivering seals: stores that are away, that lie or are not heard; disks that are full; data that moves."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace import durable
from rawtrace.agent import deliver as delivering
from rawtrace.agent.courier import Courier, records_in, retry_after_s
from rawtrace.agent.deliver import Deliveries
from rawtrace.agent.deliverybox import DeliveryBox
from rawtrace.agent.outbox import Outbox
from rawtrace.agent.rows import State
from rawtrace.agent.status import as_dict, as_text, status
from rawtrace.agent.targets import Targets, accepted_lists
from rawtrace.agent.watch import Kind
from rawtrace.errors import DiskFullError, NetworkError
from rawtrace.ledger.receipt import read_receipts
from rawtrace.report import Verdict
from rawtrace.sealing.finished import look
from rawtrace.sealing.gateway import countersign, unchanged_in
from rawtrace.sealing.seal import Seal, seal
from rawtrace.server.access import Role
from rawtrace.server.store import Store
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity
from rawtrace.trust.instruments import summary
from rawtrace.trust.timeauthority import create_time_authority
from rawtrace.verification.verify import verify
from rawtrace.web import Answer
from stores import client

URL = "https://store.example.org"
Reply = Callable[[Answer], Answer]


class Wire:
    """The way to a store: cut, lossy, or with somebody in it who rewrites what the store says."""

    def __init__(self, store: Store, pid: str) -> None:
        self._client = client(store, Role.INSTRUMENT, pid=pid)
        self.cut = self.deaf = False
        self.rewrite: Reply = lambda answer: answer
        self.requests = 0
        self.seals = 0

    def post(self, _url: str, body: bytes, *, content_type: str, **_: Any) -> Answer:
        self.requests += 1
        if self.cut:
            msg = f"{URL} does not answer: connection refused"
            raise NetworkError(msg)
        self.seals += body.count(b"\n")
        said = self._client.post("/seals", content=body, headers={"content-type": content_type})
        if self.deaf:
            msg = f"{URL} does not answer: it takes too long"
            raise NetworkError(msg)
        return self.rewrite(Answer(status=said.status_code, headers=dict(said.headers), body=said.content))


class Bench:
    """An agent's outbox and folder, an instrument, a store, and a clock that tests turn."""

    def __init__(self, folder: Path, store: Store, signer: Identity) -> None:
        self.store, self.signer = store, signer
        self.root = folder / "watched"
        self.root.mkdir(parents=True)
        self.state = folder / "agent.sqlite"
        self.now = 1_000.0
        self.wire = Wire(store, summary(signer.record)["pid"])
        self.busy: set[str] = set()
        self.urls: tuple[str, ...] = (URL,)
        self.outbox: Outbox | None = None
        self.start()

    def start(self) -> None:
        """As a new process would; what a killed one had in memory is gone."""
        if self.outbox is not None:
            self.outbox.close()
        self.outbox = Outbox(self.state, now=lambda: datetime.now(UTC).isoformat())
        lists = accepted_lists(Targets(), self.signer)
        couriers = [Courier(url, self.wire, root=self.root, lists=lists) for url in self.urls]  # type: ignore[arg-type]
        self.box = DeliveryBox(self.outbox)
        self.deliveries = Deliveries(
            self.box, couriers, root=self.root, lists=lists, clock=lambda: self.now, now=lambda: "now", threads=False,
            spread=lambda: 1.0,
        )  # fmt: skip
        self.deliveries.attach(sealing=self.busy.__contains__, wake=lambda: None)

    def seal(self, name: str = "cells.tif", *, supersede: bool = False) -> Seal:
        path = self.root / name
        if not supersede:
            path.write_bytes(b"II*\0" + name.encode() * 40)
        assert self.outbox is not None
        self.outbox.enlist([(name, Kind.FILE)])
        seen = look(path)
        assert seen is not None
        self.outbox.begin(name, fingerprint=seen.fingerprint, how="format", capture="watched-folder")
        made = seal(path, signer=self.signer, supersede=supersede)
        assert made.sidecar is not None
        self.outbox.sealed(
            name,
            label=made.label,
            claim_sha256=made.claim_sha256,
            content_sha256=made.content_sha256,
            sidecar=made.sidecar.read_bytes(),
        )
        self.deliveries.soon()
        return made

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + max(0.25, self.deliveries.step()))
        self.deliveries.step()

    def waiting(self) -> int:
        return sum(one.waiting for one in status(self.state).deliveries)

    def error(self) -> str:
        return status(self.state).deliveries[0].error

    def receipts(self, name: str = "cells.tif") -> tuple[Any, ...]:
        path = self.root / f"{name}.c2pa.tlog-proof"
        return read_receipts(path.read_bytes()) if path.exists() else ()


@pytest.fixture
def store(new_store: Callable[..., Store], new_identity: Any) -> Store:
    opened = new_store(more="\n[offers]\ngateway = true\ntime = true\n")
    create_time_authority(opened.folder / "time", authority=opened.authority_folder)
    new_identity(SignerKind.REPOSITORY, authority=opened.authority_folder, folder=opened.folder / "gateway")
    return opened


@pytest.fixture
def bench(tmp_path: Path, store: Store, new_identity: Any) -> Iterator[Bench]:
    made = Bench(tmp_path / "agent", store, new_identity(SignerKind.INSTRUMENT, authority=store.authority_folder))
    yield made
    assert made.outbox is not None
    made.outbox.close()


def lines(answer: Answer, change: Callable[[dict[str, Any]], Any]) -> Answer:
    said = [json.loads(line) for line in answer.body.splitlines()]
    changed = [change(one) or one for one in said]
    return Answer(
        status=answer.status, headers=answer.headers, body=b"".join(json.dumps(one).encode() + b"\n" for one in changed)
    )


# --- a store that lies


def test_nonsense_changes_nothing_fail(bench: Bench) -> None:
    made = bench.seal()
    assert made.sidecar is not None
    before = made.sidecar.read_bytes()
    for body in (
        b"",
        b"nonsense",
        b"[]\n",
        b"{}\n",
        b'{"status": 200}\n',
        b'{"status": "200"}\n{}\n',
        b"[" * 4_000 + b"\n",
    ):
        bench.wire.rewrite = lambda answer, body=body: Answer(status=200, headers={}, body=body)
        bench.pass_time(4_000)
        assert (bench.waiting(), made.sidecar.read_bytes(), bench.receipts()) == (1, before, ())
        assert bench.error()
    for status_code in (301, 400, 401, 403, 404, 418, 500, 502):
        bench.wire.rewrite = lambda answer, code=status_code: Answer(status=code, headers={}, body=b"<html>")
        bench.pass_time(2_000)
        assert (bench.waiting(), made.sidecar.read_bytes()) == (1, before)
    bench.wire.rewrite = lambda answer: answer
    bench.pass_time(8_000)
    assert (bench.waiting(), len(bench.receipts()), bench.store.log.size) == (0, 2, 2)


def test_receipt_for_another_seal_fail(bench: Bench) -> None:
    bench.seal("other.tif")
    kept: list[dict[str, Any]] = []
    bench.wire.rewrite = lambda answer: lines(answer, lambda one: kept.append(one))
    bench.pass_time(1)
    made = bench.seal()
    bench.wire.rewrite = lambda answer: lines(answer, lambda one: {**one, "receipt": kept[0]["receipt"]})
    bench.pass_time(100)
    assert (bench.waiting(), bench.receipts(), "another seal" in bench.error()) == (1, (), True)
    bench.wire.rewrite = lambda answer: lines(answer, lambda one: {**one, "claim": kept[0]["claim"]})
    bench.pass_time(4_000)
    assert (bench.waiting(), "another seal" in bench.error()) == (1, True)
    # A receipt whose proof leads nowhere.
    bench.wire.rewrite = lambda answer: lines(
        answer, lambda one: {**one, "receipt": one["receipt"].replace(f"index {one['index']}", "index 0")}
    )
    bench.pass_time(8_000)
    assert (bench.waiting(), bench.receipts()) == (1, ())
    bench.wire.rewrite = lambda answer: answer
    bench.pass_time(8_000)
    assert (bench.waiting(), len(bench.receipts()), verify(made.asset, trust=bench.store.lists()).verdict) == (
        0, 2, Verdict.VERIFIED_WITH_NOTES,
    )  # fmt: skip


def test_receipt_of_somebody_elses_counter_signature_is_left_out_fail(bench: Bench) -> None:
    bench.seal("other.tif")
    kept: list[dict[str, Any]] = []
    bench.wire.rewrite = lambda answer: lines(answer, lambda one: kept.append(one))
    bench.pass_time(1)
    bench.seal()
    bench.wire.rewrite = lambda answer: lines(
        answer, lambda one: {**one, "receipt": one["receipt"] + kept[0]["receipt"]}
    )
    bench.pass_time(1)
    assert (bench.waiting(), len(bench.receipts())) == (0, 2)
    # In front of the seal's own it is no answer to what was delivered.
    made = bench.seal("third.tif")
    bench.wire.rewrite = lambda answer: lines(
        answer, lambda one: {**one, "receipt": kept[0]["receipt"] + one["receipt"]}
    )
    bench.pass_time(1)
    assert (bench.waiting(), bench.receipts("third.tif"), "another seal" in bench.error()) == (1, (), True)
    # A counter-signature's receipt whose proof leads nowhere makes the answer no good either.
    bench.wire.rewrite = lambda answer: lines(
        answer, lambda one: {**one, "receipt": one["receipt"].replace(f"index {one['index'] + 1}", "index 0")}
    )
    bench.pass_time(4_000)
    assert (bench.waiting(), bench.receipts("third.tif")) == (1, ())
    assert made.sidecar is not None


def sidecars(bench: Bench, made: Seal, new_identity: Any, tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    """What a store could send in place of our seal with its counter-signature."""
    assert made.sidecar is not None
    ours = made.sidecar.read_bytes()
    folder = bench.store.authority_folder
    foreign = tmp_path / "foreign.tif"
    foreign.write_bytes(b"II*\0foreign")
    seal(foreign, signer=bench.signer)
    theirs = foreign.with_name("foreign.tif.c2pa").read_bytes()
    good = countersign(ours, signer=new_identity(SignerKind.REPOSITORY, authority=folder)).store
    bent = bytearray(good)
    bent[bent.index(ours[60:200]) + 90] ^= 1
    yield "empty", b"?"
    yield "shorter", ours[:-200]
    yield "foreign", theirs
    yield (
        "foreign, counter-signed",
        countersign(theirs, signer=new_identity(SignerKind.REPOSITORY, authority=folder)).store,
    )
    yield "ours with a byte changed", bytes(bent)
    yield "cut", good[:-100]
    yield "by a stranger", countersign(ours, signer=new_identity(SignerKind.REPOSITORY)).store
    last = bytearray(good)
    last[-30] ^= 1
    yield "signature bent", bytes(last)


def test_sidecars_that_are_not_ours_fail(bench: Bench, new_identity: Any, tmp_path: Path) -> None:
    for number, (what, bad) in enumerate(sidecars(bench, bench.seal("first.tif"), new_identity, tmp_path)):
        bench.wire.rewrite = lambda answer, bad=bad: lines(
            answer, lambda one: {**one, "sidecar": base64.b64encode(bad).decode()}
        )
        name = "first.tif" if number == 0 else f"{number}.tif"
        made = bench.seal(name) if number else None
        sidecar = bench.root / f"{name}.c2pa"
        before = sidecar.read_bytes()
        bench.pass_time(100)
        assert sidecar.read_bytes() == before, what
        # The seal is logged all the same, and its receipt is good.
        assert (bench.waiting(), len(bench.receipts(name))) == (0, 1), what
        assert made is None or verify(made.asset, trust=bench.store.lists()).verdict is Verdict.VERIFIED_WITH_NOTES


# --- delivered


def test_delivered_counter_signed_and_noted(bench: Bench) -> None:
    made = bench.seal()
    assert made.sidecar is not None
    before = made.sidecar.read_bytes()
    bench.pass_time(1)
    after = made.sidecar.read_bytes()
    assert unchanged_in(before, after)
    assert after != before
    assert (bench.waiting(), len(bench.receipts()), bench.wire.requests) == (0, 2, 1)
    report = verify(made.asset, trust=bench.store.lists())
    assert {"counter-signed", "time-trusted"} <= {one.id for one in report.findings}
    # The log holds the seal and the counter-signature on it, and nothing else.
    assert {one.record for one in bench.receipts()} == records_in(after)
    assert "receipt-of-another-seal" not in {one.id for one in report.findings}
    bench.pass_time(10_000)
    bench.start()
    bench.pass_time(10_000)
    assert (bench.wire.requests, bench.store.log.size) == (1, 2)
    with sqlite3.connect(bench.state) as database:
        assert database.execute("SELECT count(*) FROM delivery_seal").fetchone() == (0,)
        kept = database.execute("SELECT count(*) FROM delivery WHERE receipt IS NOT NULL OR updated IS NOT NULL")
        assert kept.fetchone() == (0,)
    database.close()


def test_outage_of_hours(bench: Bench) -> None:
    bench.wire.cut = True
    for number in range(60):  # more than one request carries
        bench.seal(f"{number}.tif")
        bench.pass_time(120)
    found = status(bench.state)
    assert (found.deliveries[0].waiting, found.counts["sealed"]) == (60, 60)
    assert "connection refused" in as_text(found)
    assert "60 seals wait, since" in as_text(found)
    assert as_dict(found)["deliveries"][0]["waiting"] == 60
    # Seldom enough, and never given up: every quarter of an hour at the latest.
    before = bench.wire.requests
    bench.pass_time(8 * 3_600)
    assert 30 <= bench.wire.requests - before <= 37
    bench.start()
    bench.wire.cut = False
    bench.pass_time(1_000)
    assert (bench.waiting(), bench.store.log.size, bench.wire.seals) == (0, 120, 60)
    assert all(len(bench.receipts(f"{number}.tif")) == 2 for number in range(60))


def test_answers_that_are_lost_after_the_store_has_committed(bench: Bench) -> None:
    bench.wire.deaf = True
    for number in range(3):
        bench.seal(f"{number}.tif")
    bench.pass_time(600)
    assert (bench.waiting(), bench.store.log.size) == (3, 6)
    bench.start()
    bench.wire.deaf = False
    bench.pass_time(1_000)
    assert (bench.waiting(), bench.store.log.size) == (0, 6)
    assert sorted(bench.receipts(f"{number}.tif")[0].index for number in range(3)) == [0, 1, 2]


def test_a_store_that_asks_for_patience(bench: Bench) -> None:
    bench.wire.rewrite = lambda answer: Answer(status=503, headers={"retry-after": "600"}, body=b"")
    bench.seal()
    bench.pass_time(500)
    assert bench.wire.requests == 1
    bench.pass_time(200)
    assert bench.wire.requests == 2


def test_one_refused_seal_holds_up_no_other(bench: Bench, new_identity: Any) -> None:
    stranger = new_identity(SignerKind.INSTRUMENT)
    own, bench.signer = bench.signer, stranger
    bench.seal("refused.tif")
    bench.signer = own
    bench.seal("good.tif")
    bench.pass_time(7_200)
    assert (bench.waiting(), len(bench.receipts("good.tif")), bench.receipts("refused.tif")) == (1, 2, ())
    assert "422" in bench.error()
    assert bench.wire.requests < 20
    bench.seal("later.tif")
    bench.pass_time(1)
    assert len(bench.receipts("later.tif")) == 2


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("5", 5),
        ("", 0),
        ("soon", 0),
        ("-5", 0),
        ("99999999999", 86_400),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("٣", 0),
    ],
)
def test_retry_after(text: str, wait_s: float) -> None:
    assert retry_after_s(text, now=datetime(2026, 1, 1, tzinfo=UTC)) == wait_s


def test_several_stores(bench: Bench, new_store: Callable[..., Store]) -> None:
    bench.urls = (URL, "https://other.example.org")
    bench.start()
    bench.seal()
    bench.pass_time(10)
    # Both say the same of the same log here, so one receipt is enough; each store was asked.
    assert (bench.waiting(), bench.wire.requests, len(bench.receipts())) == (0, 2, 2)


def test_a_store_that_is_set_later_gets_the_older_seals(bench: Bench) -> None:
    bench.urls = ()
    bench.start()
    bench.seal()
    bench.pass_time(10)
    bench.urls = (URL,)
    bench.start()
    bench.pass_time(10)
    assert (bench.waiting(), len(bench.receipts())) == (0, 2)


# --- the folder


def test_disk_that_is_full_while_the_receipt_is_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bench.seal()
    assert made.sidecar is not None
    before = made.sidecar.read_bytes()

    def full(path: Path, *_: Any, **__: Any) -> None:
        msg = f"writing {path} failed: no space left on device"
        raise DiskFullError(msg)

    with monkeypatch.context() as patched:
        # The store of this test writes with the same module, and its disk is not full.
        patched.setattr(delivering, "durable", SimpleNamespace(replace=full, read_bounded=durable.read_bounded))
        bench.pass_time(300)
        assert (made.sidecar.read_bytes(), bench.receipts(), "no space left" in bench.error()) == (before, (), True)
        assert [one.place for one in bench.box.answered(URL, limit=9)] == [0]
    requests = bench.wire.requests
    bench.start()
    bench.pass_time(1)
    assert (bench.waiting(), len(bench.receipts()), bench.wire.requests) == (0, 2, requests)
    assert unchanged_in(before, made.sidecar.read_bytes())


def test_killed_between_any_two_writes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    for step in range(6):
        name = f"{step}.tif"
        bench.seal(name)
        left = [step // 2]

        def dying(path: Path, data: bytes, *, after: bool = bool(step % 2), left: list[int] = left) -> None:
            if left[0] == 0 and not after:
                raise Killed
            durable.replace(path, data)
            if left[0] == 0:
                raise Killed
            left[0] -= 1

        disk = SimpleNamespace(replace=dying, read_bounded=durable.read_bounded)
        monkeypatch.setattr(delivering, "durable", disk)
        try:
            bench.pass_time(1)
        except Killed:
            assert step < 4
        else:
            assert step >= 4
        monkeypatch.setattr(delivering, "durable", durable)
        bench.start()
        bench.pass_time(1)
        assert (bench.waiting(), len(bench.receipts(name)), bench.store.log.size) == (0, 2, 2 * (step + 1))
        report = verify(bench.root / name, trust=bench.store.lists())
        assert "counter-signed" in {one.id for one in report.findings}


def test_superseded_meanwhile(bench: Bench) -> None:
    bench.wire.cut = True
    first = bench.seal()
    bench.pass_time(10)
    assert bench.outbox is not None
    bench.outbox.supersede("cells.tif", "data came after the seal")
    (bench.root / "cells.tif").write_bytes(b"II*\0more data")
    second = bench.seal(supersede=True)
    assert bench.outbox.row("cells.tif").state is State.SEALED  # type: ignore[union-attr]
    bench.wire.cut = False
    bench.pass_time(1_000)
    aside = "cells.tif.superseded-00001"
    assert (bench.waiting(), bench.store.log.size, first.claim_sha256 != second.claim_sha256) == (0, 4, True)
    assert (len(bench.receipts()), len(bench.receipts(aside))) == (2, 2)
    assert bench.receipts()[0].record != bench.receipts(aside)[0].record
    assert verify(bench.root / "cells.tif", trust=bench.store.lists()).verdict is Verdict.VERIFIED_WITH_NOTES


def test_nothing_is_written_while_a_new_seal_is_made(bench: Bench) -> None:
    made = bench.seal()
    assert made.sidecar is not None
    before = made.sidecar.read_bytes()
    bench.busy.add("cells.tif")
    bench.pass_time(60)
    assert (made.sidecar.read_bytes(), bench.receipts(), bench.waiting()) == (before, (), 1)
    bench.busy.clear()
    bench.pass_time(60)
    assert (len(bench.receipts()), bench.waiting()) == (2, 0)


def test_moved_away_meanwhile(bench: Bench, tmp_path: Path) -> None:
    bench.wire.cut = True
    made = bench.seal()
    assert made.sidecar is not None
    made.sidecar.rename(tmp_path / "elsewhere.c2pa")
    made.asset.rename(tmp_path / "elsewhere.tif")
    bench.wire.cut = False
    bench.pass_time(100)
    # The copy that was kept went to the store, which has it for whoever asks.
    assert (bench.waiting(), bench.store.log.size, list(bench.root.iterdir())) == (0, 2, [])
    assert bench.store.seals.per_month(summary(bench.signer.record)["pid"])[0][1] == 1


def test_what_lies_in_the_place_of_receipts(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"somebody's own")
    made = bench.seal()
    place = bench.root / "cells.tif.c2pa.tlog-proof"
    place.symlink_to(secret)
    bench.pass_time(300)
    assert (bench.waiting(), secret.read_bytes(), place.is_symlink()) == (1, b"somebody's own", True)
    assert "not a file of receipts" in bench.error()
    place.unlink()
    bench.pass_time(300)
    assert (bench.waiting(), len(bench.receipts())) == (0, 2)
    assert made.sidecar is not None


def test_a_link_in_the_place_of_the_seal(bench: Bench, tmp_path: Path) -> None:
    made = bench.seal()
    assert made.sidecar is not None
    elsewhere = tmp_path / "elsewhere.c2pa"
    made.sidecar.rename(elsewhere)
    before = elsewhere.read_bytes()
    made.sidecar.symlink_to(elsewhere)
    bench.pass_time(300)
    assert (elsewhere.read_bytes(), made.sidecar.is_symlink(), bench.store.log.size) == (before, True, 2)


# --- older outboxes


def test_an_older_outbox_opens_and_its_seals_are_delivered(bench: Bench) -> None:
    bench.urls = ()
    bench.start()
    bench.seal()
    assert bench.outbox is not None
    bench.outbox.close()
    database = sqlite3.connect(bench.state)
    for name in ("target", "delivery", "delivery_seal"):
        database.execute(f"DROP TABLE {name}")
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()
    assert status(bench.state).deliveries == ()
    bench.outbox, bench.urls = None, (URL,)
    bench.start()
    bench.pass_time(1)
    assert (bench.waiting(), len(bench.receipts())) == (0, 2)
