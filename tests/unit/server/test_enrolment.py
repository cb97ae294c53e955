"""Enrolment at a store: no certificate that was not permitted, none twice, and a refusal leaves nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enrolments import EST, OTHER, OWNER, PID, Maker, ask, basic, der, grant, key, leaf_of, plain_csr, record
from rawtrace.database import METADATA
from rawtrace.errors import LedgerError
from rawtrace.ledger import entry
from rawtrace.server import enrolment as enrolments
from rawtrace.server import registry
from rawtrace.server.access import Role
from rawtrace.server.app import create_app
from rawtrace.server.store import Store
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, estforms, register
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Algorithm
from stores import client
from stores import found as found_store

ENROLL, REENROLL = f"{EST}/simpleenroll", f"{EST}/simplereenroll"
CA = x509.BasicConstraints(ca=True, path_length=None)
CSR_TYPE = {"Content-Type": "application/pkcs10"}


class Desk:
    """A store, and the people and instruments that ask it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = datetime.now(UTC).replace(microsecond=0)
        store.now = lambda: self.now
        self.public, self.operator = client(store), client(store, Role.OPERATOR)
        self.officer, self.auditor = client(store, Role.OFFICER), client(store, Role.AUDITOR)

    def invite(self, pid: str = PID, **more: Any) -> dict[str, Any]:
        kind = SignerKind(more.get("kind", "instrument"))
        answer = self.operator.post("/enrolments", json={"record": record(pid, kind)} | more)
        assert answer.status_code == 201, answer.text
        value: dict[str, Any] = answer.json()
        return value

    def enroll(self, body: bytes, *, code: str = "", pid: str = PID, **headers: str) -> Any:
        named = CSR_TYPE | (basic(pid, code) if code else {}) | headers
        return self.public.post(ENROLL, content=body, headers=named)

    def shown(self, certificate: x509.Certificate, body: bytes, *, place: str = REENROLL) -> Any:
        """Ask as somebody whose certificate and key the TLS layer has verified."""
        return self.with_peer(certificate).post(place, content=body, headers=CSR_TYPE)

    def with_peer(self, certificate: x509.Certificate) -> Any:
        from starlette.testclient import TestClient

        app = create_app(self.store)

        async def with_peer(scope: Any, receive: Any, send: Any) -> None:
            scope["rawtrace.peer_certificate"] = certificate.public_bytes(Encoding.DER)
            await app(scope, receive, send)

        return TestClient(with_peer)

    def certified(self, pid: str = PID, signer: Any = None) -> tuple[x509.Certificate, Any]:
        signer = signer or key()
        answer = self.enroll(ask(grant(pid), signer), code=self.invite(pid)["code"], pid=pid)
        assert answer.status_code == 200, answer.text
        return leaf_of(answer), signer

    def trace(self) -> dict[str, Any]:
        """Everything that enrolment could leave: tables, the authority's files, the log."""
        names = ("enrolment", "enrolment_certificate", "instrument", "instrument_change")
        with self.store.database.read() as connection:
            rows = {
                name: [tuple(row) for row in connection.execute(sa.select(METADATA.tables[name]))]
                for name in names
                if name in METADATA.tables
            }
        folder = self.store.authority_folder
        files = {path.name: path.read_bytes() for path in folder.glob("*.json*")}
        return {**rows, **files, "list": (folder / "trust-list.jws").read_bytes(), "log": self.store.log.size}


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


@pytest.fixture
def either_desk(tmp_path: Path, database_address: Path | str) -> Iterator[Desk]:
    """A desk on SQLite, and one on PostgreSQL: for what depends on transactions and on SQL."""
    where = "" if isinstance(database_address, Path) else database_address
    with Store.open(found_store(tmp_path / "store", database=where)) as store:
        yield Desk(store)


@pytest.fixture
def refused(desk: Desk) -> Callable[..., None]:
    """Ask, expect a refusal, and look that nothing is left of it."""

    def check(asking: Callable[[], Any], *statuses: int) -> None:
        before = desk.trace()
        answer = asking()
        assert answer.status_code in (statuses or (401, 403, 422)), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert desk.trace() == before

    return check


Refused = Callable[..., None]


# --- who asks -----------------------------------------------------------------------------------------------------


def test_fail_without_any_proof(desk: Desk, refused: Refused) -> None:
    desk.invite()
    for headers in ({}, {"Authorization": "Basic"}, {"Authorization": "Basic %%%"}, {"Authorization": "Basic Og=="}):
        refused(lambda h=headers: desk.enroll(ask(grant(), key()), **h), 401)
    answer = desk.enroll(ask(grant(), key()))
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_fail_wrong_code_and_code_for_another_pid(desk: Desk, refused: Refused) -> None:
    mine, theirs = desk.invite()["code"], desk.invite(OTHER)["code"]
    refused(lambda: desk.enroll(ask(grant(), key()), code="0" * 25), 401)
    refused(lambda: desk.enroll(ask(grant(), key()), code=theirs), 401)
    refused(lambda: desk.enroll(ask(grant(OTHER), key()), code=mine, pid=OTHER), 401)
    refused(lambda: desk.enroll(ask(grant(OTHER), key()), code=mine), 422)


def test_fail_code_that_ran_out_was_cancelled_or_replaced(desk: Desk, refused: Refused) -> None:
    first, second = desk.invite(), desk.invite()
    refused(lambda: desk.enroll(ask(grant(), key()), code=first["code"]), 401)
    assert desk.operator.get(f"/enrolments/{first['id']}").json()["state"] == "cancelled"
    desk.now += timedelta(days=15)
    refused(lambda: desk.enroll(ask(grant(), key()), code=second["code"]), 401)
    assert desk.operator.get(f"/enrolments/{second['id']}").json()["state"] == "expired"
    third = desk.invite()
    assert desk.operator.delete(f"/enrolments/{third['id']}").status_code == 200
    refused(lambda: desk.enroll(ask(grant(), key()), code=third["code"]), 401)


def test_fail_code_used_twice_with_another_key(desk: Desk, refused: Refused) -> None:
    code = desk.invite()["code"]
    assert desk.enroll(ask(grant(), key()), code=code).status_code == 200
    refused(lambda: desk.enroll(ask(grant(), key()), code=code), 422)


def test_fail_guessing_is_stopped_and_the_instrument_elsewhere_is_not(desk: Desk, refused: Refused) -> None:
    code = desk.invite()["code"]
    for _ in range(10):
        assert desk.enroll(ask(grant(), key()), code="0" * 25).status_code == 401
    refused(lambda: desk.enroll(ask(grant(), key()), code=code), 429)
    assert int(desk.enroll(ask(grant(), key()), code=code).headers["retry-after"]) > 0
    desk.public = _from_address(desk, "192.0.2.7")
    assert desk.enroll(ask(grant(), key()), code=code).status_code == 200


def _from_address(desk: Desk, address: str) -> Any:
    from starlette.testclient import TestClient

    return TestClient(create_app(desk.store), client=(address, 40_000))


def test_race_of_two_keys_with_one_code_has_one_winner(either_desk: Desk) -> None:
    desk = either_desk
    code, answers = desk.invite()["code"], list[int]()
    bodies = [ask(grant(), key()) for _ in range(4)]
    start = threading.Barrier(len(bodies))

    def run(body: bytes) -> None:
        asking = client(desk.store)
        start.wait(20)
        answers.append(asking.post(ENROLL, content=body, headers=CSR_TYPE | basic(PID, code)).status_code)

    threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [200, 422, 422, 422]
    assert len(register.issued(desk.store.authority_folder)) == 1


# --- what is asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"", "application/pkcs10", 400),
        (b"not base64!", "application/pkcs10", 400),
        (estforms.to_base64(b"\x30\x03\x02\x01\x00"), "application/pkcs10", 400),
        (b"A" * 17_000, "application/pkcs10", 413),
        (b"QUFB" * 3_500, "application/pkcs10", 400),
        (ask(grant(), key()), "application/json", 415),
        (ask(grant(OTHER), key()), "application/pkcs10", 422),
        (ask(grant(PID, SignerKind.WORKSTATION), key()), "application/pkcs10", 422),
        (ask(grant(serial="another"), key()), "application/pkcs10", 422),
        (estforms.to_base64(der(plain_csr(key(), CA))), "application/pkcs10", 422),
    ],
)  # fmt: skip
def test_fail_requests_that_are_not_granted(
    desk: Desk, refused: Refused, body: bytes, media_type: str, status: int
) -> None:
    code = desk.invite()["code"]
    refused(lambda: desk.enroll(body, code=code, **{"Content-Type": media_type}), status)
    # The code is as good as it was.
    assert desk.enroll(ask(grant(), key()), code=code).status_code == 200


def test_fail_key_of_another_instrument(desk: Desk, refused: Refused) -> None:
    _, signer = desk.certified(OTHER)
    code = desk.invite()["code"]
    refused(lambda: desk.enroll(ask(grant(), signer), code=code), 422)


def test_fail_pid_that_has_another_key_already(desk: Desk, refused: Refused) -> None:
    desk.certified()
    code = desk.invite()["code"]
    refused(lambda: desk.enroll(ask(grant(), key()), code=code), 422)


def test_fail_key_that_was_compromised(desk: Desk, refused: Refused) -> None:
    _, signer = desk.certified()
    authorities.revoke(desk.store.authority_folder, pid=PID, reason="keyCompromise", now=desk.now)
    code = desk.invite()["code"]
    refused(lambda: desk.enroll(ask(grant(), signer), code=code), 422)
    assert desk.enroll(ask(grant(), key()), code=code).status_code == 200


# --- once and not twice -------------------------------------------------------------------------------------------


def test_lost_answer_is_given_again(either_desk: Desk) -> None:
    desk = either_desk
    code, signer = desk.invite()["code"], key(Algorithm.ES256)
    first = leaf_of(desk.enroll(ask(grant(), signer), code=code))
    desk.now += timedelta(days=20)
    assert leaf_of(desk.enroll(ask(grant(), signer), code=code)) == first
    assert len(register.issued(desk.store.authority_folder)) == 1
    assert desk.store.log.size == 2  # the instrument, its certificate


def test_certificate_is_in_the_log_before_anybody_has_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    code, signer = desk.invite()["code"], key()

    def down(*_: Any, **__: Any) -> int:
        msg = "the log is down"
        raise LedgerError(msg)

    with monkeypatch.context() as broken:
        broken.setattr(desk.store, "record", down)
        answer = desk.enroll(ask(grant(), signer), code=code)
        assert answer.status_code >= 400
        assert b"pkcs7" not in answer.content
    leaf = leaf_of(desk.enroll(ask(grant(), signer), code=code))
    assert [item.serial for item in register.issued(desk.store.authority_folder)] == [leaf.serial_number]
    content = enrolments.enrolment.certificate_record(
        leaf, kind=SignerKind.INSTRUMENT, authority=desk.store.authority().certificate
    )
    assert desk.store.log.find(entry.canonical({**content, "kind": "certificate", "v": 1})) is not None


def test_crash_between_authority_and_table_makes_no_second_certificate(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, signer = desk.invite()["code"], key()

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(enrolments, "_note", die)
        applicant = enrolments.by_code(desk.store, PID, code)
        assert applicant is not None
        csr = x509.load_der_x509_csr(estforms.from_base64(ask(grant(), signer), what="it", limit=9000))
        with pytest.raises(KeyboardInterrupt):
            enrolments.certify(desk.store, applicant, csr)
    (issued,) = register.issued(desk.store.authority_folder)
    assert leaf_of(desk.enroll(ask(grant(), signer), code=code)).serial_number == issued.serial


# --- again --------------------------------------------------------------------------------------------------------


def test_renewal_by_the_current_certificate_and_once_only(desk: Desk) -> None:
    leaf, signer = desk.certified()
    assert leaf_of(desk.shown(leaf, ask(grant(), signer))) == leaf  # as good as new
    desk.now += timedelta(days=250)
    renewed = leaf_of(desk.shown(leaf, ask(grant(), signer)))
    assert renewed.not_valid_after_utc > leaf.not_valid_after_utc
    assert leaf_of(desk.shown(leaf, ask(grant(), signer))) == renewed
    assert len(register.issued(desk.store.authority_folder)) == 2


def test_new_key_by_the_current_certificate(desk: Desk) -> None:
    leaf, _ = desk.certified()
    other = key()
    renewed = leaf_of(desk.shown(leaf, ask(grant(), other)))
    assert renewed.public_key() == other.public_key()


def test_fail_renewal_with_certificates_that_do_not_count(desk: Desk, refused: Refused, tmp_path: Path) -> None:
    leaf, signer = desk.certified()
    theirs, _ = desk.certified(OTHER)
    refused(lambda: desk.shown(theirs, ask(grant(), signer)), 422)
    refused(lambda: desk.shown(theirs, ask(grant(OTHER), signer)), 422)
    stranger = tmp_path / "stranger"
    authorities.create_authority(stranger, name="Example facility")
    forged, _ = authorities.issue(stranger, authorities.make_request(SignerKind.INSTRUMENT, record(), signer))
    refused(lambda: desk.shown(forged, ask(grant(), signer)), 401)
    refused(lambda: desk.shown(desk.store.authority().operator[0], ask(grant(), signer)), 403)
    refused(lambda: desk.shown(leaf, ask(grant(), signer), place=ENROLL), 403)
    with_code = desk.public.post(REENROLL, content=ask(grant(), signer), headers=CSR_TYPE | basic(PID, "0" * 25))
    assert with_code.status_code == 401
    desk.now += timedelta(days=367)
    refused(lambda: desk.shown(leaf, ask(grant(), signer)), 403)


@pytest.mark.parametrize("reason", ["keyCompromise", "cessationOfOperation", "unspecified"])
def test_fail_renewal_with_a_revoked_certificate(desk: Desk, refused: Refused, reason: str) -> None:
    leaf, signer = desk.certified()
    authorities.revoke(desk.store.authority_folder, pid=PID, reason=reason, now=desk.now)
    refused(lambda: desk.shown(leaf, ask(grant(), signer)), 403)
    refused(lambda: desk.shown(leaf, ask(grant(), key())), 403)
    with_token = client(desk.store, Role.INSTRUMENT, pid=PID)
    refused(lambda: with_token.post(REENROLL, content=ask(grant(), signer), headers=CSR_TYPE), 403)


def test_superseded_certificate_is_renewed_with_its_own_key_only(desk: Desk, refused: Refused) -> None:
    leaf, signer = desk.certified()
    authorities.revoke(desk.store.authority_folder, pid=PID, reason="superseded", now=desk.now)
    refused(lambda: desk.shown(leaf, ask(grant(), key())), 422)
    renewed = leaf_of(desk.shown(leaf, ask(grant(), signer)))
    assert renewed.serial_number != leaf.serial_number
    assert leaf_of(desk.shown(leaf, ask(grant(), signer))) == renewed


def test_fail_superseded_because_the_key_was_lost(desk: Desk, refused: Refused) -> None:
    leaf, signer = desk.certified()
    authorities.revoke(desk.store.authority_folder, pid=PID, reason="superseded", now=desk.now)
    code = desk.invite()["code"]
    refused(lambda: desk.shown(leaf, ask(grant(), signer)), 403)
    assert desk.enroll(ask(grant(), key()), code=code).status_code == 200
    refused(lambda: desk.shown(leaf, ask(grant(), signer)), 403)


def test_token_renews_the_key_that_it_knows_and_no_other(desk: Desk, refused: Refused) -> None:
    leaf, signer = desk.certified()
    theirs = client(desk.store, Role.INSTRUMENT, pid=OTHER)
    desk.now += timedelta(days=250)
    refused(lambda: theirs.post(REENROLL, content=ask(grant(), signer), headers=CSR_TYPE), 403)
    mine = client(desk.store, Role.INSTRUMENT, pid=PID)
    refused(lambda: mine.post(REENROLL, content=ask(grant(), key()), headers=CSR_TYPE), 403)
    refused(lambda: desk.operator.post(REENROLL, content=ask(grant(), signer), headers=CSR_TYPE), 401)
    body = ask(grant(), signer)
    renewed = leaf_of(mine.post(REENROLL, content=body, headers=CSR_TYPE))
    assert renewed != leaf
    assert leaf_of(mine.post(REENROLL, content=body, headers=CSR_TYPE)) == renewed


def test_fail_certificates_without_end(desk: Desk, refused: Refused) -> None:
    leaf, _ = desk.certified()
    for _ in range(9):
        signer = key()
        leaf = leaf_of(desk.shown(leaf, ask(grant(), signer)))
    refused(lambda: desk.shown(leaf, ask(grant(), key())), 422)


def test_fail_retired_instrument(desk: Desk, refused: Refused) -> None:
    leaf, signer = desk.certified()
    retired = record() | {"dates": [{"date": "2026-01-31", "dateType": "DeCommissioned"}]}
    registry.put(desk.store, retired, who="operator")
    desk.now += timedelta(days=250)
    refused(
        lambda: desk.shown(
            leaf, ask(enrolments.enrolment.Grant(pid=PID, kind=SignerKind.INSTRUMENT, record=retired), signer)
        ),
        422,
    )


# --- the maker's device certificate -------------------------------------------------------------------------------


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def device_desk(tmp_path: Path, maker: Maker) -> Iterator[Desk]:
    folder = found_store(tmp_path / "store", more='\n[enrolment]\ndevice_authorities = ["makers.pem"]\n')
    (folder / "makers.pem").write_bytes(certificates.to_pem([maker.certificate]))
    with Store.open(folder) as store:
        yield Desk(store)


def test_device_certificate_enrols_the_pid_that_it_is_bound_to(device_desk: Desk, maker: Maker) -> None:
    made = device_desk.invite(device={"maker": maker.sha256, "serial_number": "SN-7"})
    assert "code" not in made
    shown, signer = maker.device("SN-7", key(Algorithm.ES256).public_key()), key()
    answer = device_desk.shown(shown, ask(grant(), signer), place=ENROLL)
    assert certificates.pid_of(leaf_of(answer)) == PID
    assert leaf_of(device_desk.shown(shown, ask(grant(), signer), place=ENROLL)) == leaf_of(answer)


def test_fail_devices_that_nobody_bound(device_desk: Desk, maker: Maker) -> None:
    bound = {"maker": maker.sha256, "serial_number": "SN-7"}
    device_desk.invite(device=bound)
    public = key().public_key()
    before = device_desk.trace()
    for shown, asked in (
        (maker.device("SN-8", public), grant()),
        (Maker().device("SN-7", public), grant()),
        (maker.device("SN-7", public), grant(OTHER)),
        (maker.device("SN-7", public, days=-1), grant()),
    ):
        assert device_desk.shown(shown, ask(asked, key()), place=ENROLL).status_code in {403, 422}
    assert device_desk.shown(maker.device("SN-7", public), ask(grant(), key())).status_code == 401
    again = device_desk.operator.post("/enrolments", json={"record": record(OTHER), "device": bound})
    assert again.status_code == 409
    assert {**device_desk.trace(), "instrument": 0, "instrument_change": 0, "log": 0} == {
        **before,
        "instrument": 0,
        "instrument_change": 0,
        "log": 0,
    }


# --- officers -----------------------------------------------------------------------------------------------------


def test_officer_decides_first_where_that_is_wanted(desk: Desk, refused: Refused) -> None:
    made, signer = desk.invite(approval=True), key()
    place = f"/enrolments/{made['id']}"
    refused(lambda: desk.officer.post(f"{place}/approve"), 409)
    waiting = desk.enroll(ask(grant(), signer), code=made["code"])
    assert (waiting.status_code, waiting.headers["retry-after"]) == (202, "300")
    assert desk.enroll(ask(grant(), signer), code=made["code"]).status_code == 202
    refused(lambda: desk.enroll(ask(grant(), key()), code=made["code"]), 422)
    assert [one["id"] for one in desk.officer.get("/enrolments?state=waiting").json()["enrolments"]] == [made["id"]]
    refused(lambda: desk.operator.post(f"{place}/approve"), 403)
    decided = desk.officer.post(f"{place}/approve", json={"reason": "seen on site"}).json()
    assert (decided["state"], decided["reason"]) == ("approved", "seen on site")
    assert leaf_of(desk.enroll(ask(grant(), signer), code=made["code"])).public_key() == signer.public_key()
    refused(lambda: desk.officer.post(f"{place}/refuse"), 409)


def test_fail_request_that_an_officer_refused(desk: Desk, refused: Refused) -> None:
    made, signer = desk.invite(approval=True), key()
    assert desk.enroll(ask(grant(), signer), code=made["code"]).status_code == 202
    assert desk.officer.post(f"/enrolments/{made['id']}/refuse").json()["state"] == "refused"
    refused(lambda: desk.enroll(ask(grant(), signer), code=made["code"]), 401)


# --- operators ----------------------------------------------------------------------------------------------------


def test_code_is_shown_once_and_kept_nowhere(either_desk: Desk) -> None:
    desk = either_desk
    made = desk.invite()
    bare = made["code"].replace("-", "")
    assert "code" not in desk.operator.get(f"/enrolments/{made['id']}").json()
    with desk.store.database.read() as connection:
        kept = str([tuple(row) for row in connection.execute(sa.select(enrolments.ENROLMENTS))])
    assert made["code"] not in kept
    assert bare not in kept


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"pid": PID},
        {"record": record(), "pid": OTHER},
        {"record": {"name": "x"}},
        {"record": record(), "kind": "self"},
        {"record": record(), "kind": "anything"},
        {"record": record(), "days": 0},
        {"record": record(), "days": -1},
        {"record": record(), "days": 1e9},
        {"record": record(), "days": "14"},
        {"record": record(), "approval": 1},
        {"record": record(), "device": {"maker": "x", "serial_number": "1"}},
        {"record": record(), "device": {"maker": "0" * 64}},
        {"record": record(), "device": {"maker": "0" * 64, "serial_number": "1", "more": 1}},
        {"record": record(), "colour": "red"},
        {"pid": 1},
    ],
)
def test_fail_enrolments_that_make_no_sense(desk: Desk, refused: Refused, body: Any) -> None:
    refused(lambda: desk.operator.post("/enrolments", json=body), 400, 422)


def test_fail_enrolment_against_what_is_registered(desk: Desk, refused: Refused) -> None:
    desk.certified()
    refused(lambda: desk.operator.post("/enrolments", json={"record": record(serial="another")}), 409)
    refused(
        lambda: desk.operator.post(
            "/enrolments", json={"kind": "workstation", "record": record(PID, SignerKind.WORKSTATION)}
        ),
        409,
        422,
    )
    assert desk.operator.post("/enrolments", json={"pid": PID}).status_code == 201


def test_who_may_see_and_make_enrolments(desk: Desk, refused: Refused) -> None:
    made = desk.invite()
    instrument = client(desk.store, Role.INSTRUMENT, pid=PID)
    for asking, status in ((desk.public, 401), (instrument, 403), (desk.auditor, 403), (desk.officer, 403)):
        refused(lambda who=asking: who.post("/enrolments", json={"record": record(OTHER)}), status)
        refused(lambda who=asking: who.delete(f"/enrolments/{made['id']}"), status)
    for asking in (desk.operator, desk.officer, desk.auditor):
        assert asking.get("/enrolments").status_code == 200
    for asking in (desk.public, instrument):
        refused(lambda who=asking: who.get("/enrolments"), 401, 403)
    refused(lambda: desk.operator.get("/enrolments/nothing"), 404)
    refused(lambda: desk.operator.get("/enrolments?state=odd"), 400)
    for query in ("limit=0", "limit=x", "limit=501", "before=-1", "before=99999999999"):
        refused(lambda q=query: desk.operator.get(f"/enrolments?{q}"), 400)


def test_pages_of_enrolments_meet_without_overlap(either_desk: Desk) -> None:
    desk = either_desk
    made = [desk.invite(f"{PID}-{number}")["id"] for number in range(5)]
    seen, address = [], "/enrolments?limit=2"
    while address:
        value = desk.operator.get(address).json()
        seen += [one["id"] for one in value["enrolments"]]
        address = value.get("next", "")
    assert seen == made[::-1]


def test_record_is_shown_to_whoever_may_have_it_certified(desk: Desk, refused: Refused) -> None:
    refused(lambda: desk.public.get("/enrolments/record"), 401)
    code = desk.invite()["code"]
    answer = desk.public.get("/enrolments/record", headers=basic(PID, code)).json()
    assert (answer["pid"], answer["kind"], answer["record"]) == (PID, "instrument", record())
    leaf, _ = desk.certified(OTHER)
    assert desk.with_peer(leaf).get("/enrolments/record").json()["pid"] == OTHER
    assert client(desk.store, Role.INSTRUMENT, pid=OTHER).get("/enrolments/record").json()["pid"] == OTHER


def test_authority_and_attributes_are_public(desk: Desk) -> None:
    answer = desk.public.get(f"{EST}/cacerts")
    assert answer.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    authority = desk.store.authority()
    found = estforms.read_certificates(answer.content, what="it")
    assert set(found) == {authority.certificate, authority.root}
    attributes = desk.public.get(f"{EST}/csrattrs")
    assert attributes.headers["content-type"] == "application/csrattrs"
    assert estforms.from_base64(attributes.content, what="it", limit=1000)[0] == 0x30


def test_workstation_is_enrolled_as_such(desk: Desk) -> None:
    code = desk.invite(kind="workstation")["code"]
    leaf = leaf_of(desk.enroll(ask(grant(PID, SignerKind.WORKSTATION), key()), code=code))
    assert certificates.signer_kind(leaf) is SignerKind.WORKSTATION
    assert OWNER in leaf.subject.rfc4514_string()


def test_contacts_are_not_certified(desk: Desk) -> None:
    wanted = record(PID)
    wanted["owners"][0]["ownerContact"] = "manager@facility.example"
    registry.put(desk.store, wanted, who="a test")
    invited = desk.operator.post("/enrolments", json={"pid": PID})
    assert invited.status_code == 201, invited.text
    code = invited.json()["code"]
    shown = desk.public.get("/enrolments/record", headers=basic(PID, code))
    assert shown.status_code == 200, shown.text
    assert "manager@facility.example" not in shown.text
