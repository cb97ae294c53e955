"""The agent keeps its certificate current through a year of outages, restarts and kills, on a clock that tests turn."""

from __future__ import annotations

import random
import runpy
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from enrolments import PID, record
from rawtrace.agent import status
from rawtrace.agent.renewal import STATE_FILE, Renewal, renewal_of
from rawtrace.errors import NetworkError
from rawtrace.server.access import Role
from rawtrace.server.store import Store
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, enrolling, identity, register, renewal
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.enrolling import Later, Origin, Proof
from rawtrace.trust.estclient import EstClient
from rawtrace.trust.signer import Identity, load_identity
from stores import Running, client, found, running, token

lab = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "lab.py")))
DAYS = 30


class Year:
    """A store and one instrument, on a clock of their own."""

    def __init__(self, run: Running, folder: Path) -> None:
        self.store, self.folder = run.store, folder / "scope"
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.store.now = lambda: self.now
        self.down = self.killed = self.superseded = False
        self.asked: list[datetime] = []
        answer = client(self.store, Role.OPERATOR).post("/enrolments", json={"record": record()})
        secret = folder / "bearer"
        secret.write_text(token(self.store, Role.INSTRUMENT, pid=PID))
        # Over plain http on loopback, where a token shows who asks: TLS would go by the real clock.
        made = enrolling.enrol_identity(
            self.folder,
            SignerKind.INSTRUMENT,
            origin=Origin(url=run.url, token_file=str(secret)),
            proof=Proof(pid=PID, code=answer.json()["code"]),
            now=self.now,
        )
        assert isinstance(made, Identity)

    def ask(self, folder: Path, **options: Any) -> Identity | Later:
        self.asked.append(self.now)
        if self.down:
            msg = "the store does not answer"
            raise NetworkError(msg)
        return enrolling.renew_online(folder, **options)

    def start(self) -> Renewal:
        return Renewal(self.folder, wall=lambda: self.now, ask=self.ask, superseded=lambda _: self.superseded)

    def issued(self) -> int:
        return len(register.issued(self.store.authority_folder))


@pytest.fixture
def year(tmp_path: Path) -> Iterator[Year]:
    folder = found(tmp_path / "store", more=f"\n[enrolment]\ncertificate_days = {DAYS}\n", url="http://127.0.0.1:8650")
    with Store.open(folder) as store, running(store) as run:
        yield Year(run, tmp_path)


def test_year_with_outages_restarts_and_kills_has_no_gap(year: Year, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, end = random.Random(7), year.now + timedelta(days=366)  # noqa: S311  the same year in every run
    keeper, kills, outages, back_at = year.start(), 0, 0, year.now
    real = identity.put_in_place
    leaves = {keeper.signer.leaf.serial_number}
    while year.now < end:
        if year.now >= back_at and chance.random() < 0.01:
            outages, back_at = outages + 1, year.now + timedelta(days=chance.uniform(0.5, 6))
        year.down = year.now < back_at
        with monkeypatch.context() as patched:
            if chance.random() < 0.5:
                patched.setattr(identity, "put_in_place", _killed)
            try:
                keeper.step()
            except _Killed:
                kills, keeper = kills + 1, year.start()
        if chance.random() < 0.02:
            keeper = year.start()
        leaf = keeper.signer.leaf
        assert leaf.not_valid_before_utc <= year.now < leaf.not_valid_after_utc
        leaves.add(leaf.serial_number)
        year.now += timedelta(hours=chance.uniform(1, 8))
    assert identity.put_in_place is real
    assert len(leaves) >= 18
    assert outages >= 5
    assert kills >= 5
    # What was issued is what was put in place: nothing was asked for twice.
    assert year.issued() == len(leaves)
    assert len(list((year.folder / "past").glob("*-certificate.pem"))) == len(leaves) - 1
    assert load_identity(year.folder).leaf.serial_number in leaves


class _Killed(BaseException):
    """The process died."""


def _killed(*_: Any, **__: Any) -> None:
    raise _Killed


def test_outage_is_met_with_ever_longer_waits_and_a_restart_keeps_them(year: Year) -> None:
    keeper = year.start()
    year.now, year.down = renewal.renew_at(keeper.signer.leaf), True
    for _ in range(2 * 24 * 60):
        keeper.step()
        year.now += timedelta(minutes=1)
        if len(year.asked) == 3:
            keeper = year.start()
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(year.asked, year.asked[1:], strict=False)]
    assert 8 <= len(year.asked) <= 25
    assert gaps[0] <= 180
    assert max(gaps) <= 6 * 3600 + 120
    assert gaps[-1] > gaps[0]
    assert "does not answer" in keeper.facts()["certificate_problem"]
    year.down = False
    year.now += timedelta(hours=6)
    keeper.step()
    assert keeper.facts()["certificate_problem"] == ""
    assert year.issued() == 2


def test_clock_that_was_set_back_puts_nothing_off(year: Year) -> None:
    keeper = year.start()
    due = renewal.renew_at(keeper.signer.leaf)
    year.now, year.down = due + timedelta(days=5), True
    keeper.step()
    year.now, year.down = due, False
    keeper.step()
    assert year.issued() == 2


def test_superseded_certificate_is_renewed_early(year: Year) -> None:
    keeper = year.start()
    keeper.step()
    assert year.asked == []
    authorities.revoke(year.store.authority_folder, pid=PID, reason="superseded", now=year.now)
    year.superseded = True
    year.now += timedelta(days=1)
    before = keeper.signer.leaf
    keeper.step()
    assert keeper.signer.leaf.serial_number != before.serial_number
    year.superseded = False
    year.now += timedelta(days=1)
    keeper.step()
    assert year.issued() == 2


def test_officer_is_waited_for(year: Year) -> None:
    keeper = Renewal(
        year.folder, wall=lambda: year.now, ask=lambda *_, **__: Later(again_s=300), superseded=lambda _: False
    )
    year.now = renewal.renew_at(keeper.signer.leaf)
    keeper.step()
    assert "officer" in keeper.facts()["certificate_problem"]


def test_what_a_person_renewed_is_taken_over(year: Year) -> None:
    keeper = year.start()
    year.now += timedelta(days=25)
    person = enrolling.renew_online(year.folder, now=year.now)
    assert isinstance(person, Identity)
    keeper.step()
    assert keeper.signer.leaf == person.leaf
    assert year.asked == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"not json", b'{"serial": 1}', b"\xff" * 20_000])
def test_fail_damaged_memory_is_forgotten(year: Year, content: bytes) -> None:
    (year.folder / STATE_FILE).write_bytes(content)
    keeper = year.start()
    year.now = renewal.renew_at(keeper.signer.leaf)
    keeper.step()
    assert year.issued() == 2


def test_seals_go_on_while_a_renewal_hangs(year: Year) -> None:
    keeper = year.start()
    year.now = renewal.renew_at(keeper.signer.leaf)
    seen: list[int] = []

    def ask(folder: Path, **options: Any) -> Identity | Later:
        # Whoever seals just now takes the certificate that is there.
        seen.append(keeper.signer.leaf.serial_number)
        seen.append(load_identity(folder).leaf.serial_number)
        return enrolling.renew_online(folder, **options)

    keeper._ask = ask
    keeper.step()
    assert seen[0] == seen[1] != keeper.signer.leaf.serial_number


def test_thread_renews_and_ends(year: Year) -> None:
    keeper = year.start()
    year.now = renewal.renew_at(keeper.signer.leaf)
    before = keeper.signer.leaf
    with keeper.running():
        for _ in range(200):
            if keeper.signer.leaf != before:
                break
            import time

            time.sleep(0.02)
    assert keeper.signer.leaf != before


def test_identity_of_a_folder_authority_is_left_alone(new_identity: Callable[..., Identity]) -> None:
    assert renewal_of(new_identity().folder) is None


# --- when ---------------------------------------------------------------------------------------------------------


def test_certificates_of_one_day_are_not_renewed_in_one_minute(authority: Path) -> None:
    from enrolments import key

    moments = set()
    for number in range(20):
        request = authorities.make_request(SignerKind.INSTRUMENT, record(f"{PID}-jitter-{number}"), key())
        leaf, _ = authorities.issue(authority, request)
        moment, life = renewal.renew_at(leaf), leaf.not_valid_after_utc - leaf.not_valid_before_utc
        assert life * 0.61 <= moment - leaf.not_valid_before_utc <= life * 2 / 3
        moments.add(moment)
    assert (max(moments) - min(moments)) > timedelta(days=5)


def test_waits_grow_and_end_at_six_hours() -> None:
    waits = [renewal.wait_after(attempt, of="a") for attempt in range(1, 2000, 7)]
    assert timedelta(seconds=30) <= waits[0] <= timedelta(minutes=1)
    assert max(waits) <= timedelta(hours=6)
    assert min(waits[3:]) >= timedelta(hours=3)
    assert renewal.wait_after(9, of="a") != renewal.wait_after(9, of="b")


# --- what people see ----------------------------------------------------------------------------------------------


def test_status_is_loud_near_the_end(tmp_path: Path) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    facts = {"certificate_from": "2026-01-01T00:00:00Z", "certificate_until": "2026-12-27T00:00:00Z"}
    assert status.certificate_lines(facts, now) == ["certificate valid until 2026-12-27 00:00 UTC"]
    (loud,) = status.certificate_lines(facts, datetime(2026, 12, 20, tzinfo=UTC))
    assert loud.startswith("CERTIFICATE RUNS OUT IN 7 DAYS")
    over = status.certificate_lines(facts | {"certificate_problem": "no route"}, datetime(2027, 1, 1, tzinfo=UTC))
    assert over[0].startswith("CERTIFICATE RAN OUT")
    assert "no route" in over[-1]
    assert status.certificate_lines({}, now) == []


def test_status_tells_of_the_certificate_while_the_agent_runs(tmp_path: Path) -> None:
    world = lab.World(tmp_path)
    service = world.service()
    service._facts = lambda: {"certificate_from": "2020-01-01T00:00:00Z", "certificate_until": "2021-01-01T00:00:00Z"}
    service.step()
    found_status = status.status(world.state)
    world.close()
    assert "CERTIFICATE RAN OUT" in status.as_text(found_status)
    assert status.as_dict(found_status)["certificate"]["near_its_end"] is True


def test_trust_list_tells_what_is_superseded(year: Year, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = load_identity(year.folder)
    origin = enrolling.read_origin(year.folder)
    assert origin is not None

    def listed(self: EstClient, url: str, **_: Any) -> Any:
        from rawtrace.web import Answer

        assert url.endswith("/trust-list")
        data = (year.store.authority_folder / "trust-list.jws").read_bytes()
        return Answer(status=200, headers={}, body=data)

    from rawtrace.web import Web

    monkeypatch.setattr(Web, "get", listed)
    with EstClient(replace(origin)) as asking:
        assert not asking.is_superseded(signer.leaf)
        authorities.revoke(year.store.authority_folder, pid=PID, reason="superseded", now=year.now)
        assert asking.is_superseded(signer.leaf)
    assert certificates.pid_of(signer.leaf) == PID
