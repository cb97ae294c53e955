"""The time-stamping authority: what it refuses, a clock that is set back, serial numbers over restarts, two threads."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import core, tsp
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from rawtrace.errors import AlreadyExistsError, CertificateError, MalformedError
from rawtrace.sealing import cms, der
from rawtrace.trust import authority as authorities
from rawtrace.trust import timeauthority
from rawtrace.trust.anchors import Purpose
from rawtrace.trust.certificates import TIME_STAMP_POLICY
from rawtrace.trust.path import validate_path
from rawtrace.trust.status import Standing, standing
from rawtrace.trust.timeauthority import Refusal, TimeAuthority, create_time_authority
from rawtrace.trust.trustlist import read_list

NOW = datetime.now(UTC).replace(microsecond=0)
DIGEST = hashlib.sha256(b"what was signed").digest()


class Clock:
    def __init__(self) -> None:
        self.wall, self.steady = NOW, 1_000.0

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds


@pytest.fixture(scope="module")
def above(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("time") / "authority"
    authorities.create_authority(folder, name="Example Authority", now=NOW - timedelta(days=1))
    return folder


@pytest.fixture(scope="module")
def folder(above: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("clock") / "time"
    create_time_authority(made, authority=above, now=NOW - timedelta(days=1))
    return made


@pytest.fixture(scope="module")
def one(above: Path, tmp_path_factory: pytest.TempPathFactory) -> TimeAuthority:
    made = tmp_path_factory.mktemp("one") / "time"
    create_time_authority(made, authority=above)
    return TimeAuthority(made)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(folder: Path, tmp_path: Path, clock: Clock) -> Callable[[], TimeAuthority]:
    """Open the same authority, as a new process would."""
    own = tmp_path / "time"
    own.mkdir()
    for path in folder.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
        (own / path.name).chmod(0o600)
    return lambda: TimeAuthority(own, wall=lambda: clock.wall, steady=lambda: clock.steady)


def request(digest: bytes = DIGEST, algorithm: str = "sha256", **fields: Any) -> bytes:
    imprint = {"hash_algorithm": {"algorithm": algorithm}, "hashed_message": digest}
    made = {"version": "v1", "message_imprint": imprint, "cert_req": True, "nonce": 12_345, **fields}
    return bytes(tsp.TimeStampReq(made).dump())


def token_of(answer: timeauthority.Answer) -> cms.Token:
    assert answer.refusal is None
    return cms.read_token(cms.token_of_response(answer.body))


def status_of(answer: timeauthority.Answer) -> Any:
    return tsp.PKIStatusInfo.load(der.parse(answer.body).expect(der.SEQUENCE).children()[0].encoded)


def info_of(answer: timeauthority.Answer) -> Any:
    response = tsp.TimeStampResp.load(answer.body)
    return response["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed


# --- refused


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (b"", Refusal.BAD_FORMAT),
        (b"\x30\x00", Refusal.BAD_FORMAT),
        (b"\x30\x80" + b"\x30\x80" * 1_000, Refusal.BAD_FORMAT),
        (b"\x30" * 5_000, Refusal.BAD_REQUEST),
        (request() + b"more", Refusal.BAD_FORMAT),
        (request(hashlib.sha1(b"").digest(), "sha1"), Refusal.BAD_ALGORITHM),  # noqa: S324
        (request(b"\0" * 16, "md5"), Refusal.BAD_ALGORITHM),
        (request(b"\0" * 28, "sha224"), Refusal.BAD_ALGORITHM),
        (request(DIGEST[:31]), Refusal.BAD_FORMAT),
        (request(DIGEST, "sha512"), Refusal.BAD_FORMAT),
        (request(req_policy="1.2.3.4"), Refusal.OTHER_POLICY),
        (request(nonce=1 << 600), Refusal.BAD_REQUEST),
        (request().replace(b"\x02\x01\x01", b"\x02\x01\x02", 1), Refusal.BAD_REQUEST),
        (
            request(
                extensions=[{"extn_id": "1.2.3.4", "critical": True, "extn_value": core.OctetString(b"\5\0").dump()}]
            ),
            Refusal.EXTENSIONS,
        ),
    ],
    ids=range(14),
)
def test_refused_fail(opened: Callable[[], TimeAuthority], asked: bytes, why: Refusal) -> None:
    answer = opened().answer(asked)
    assert answer.refusal is why
    said = status_of(answer)
    assert said["status"].native == "rejection"
    assert said["fail_info"].native == {str(why)}
    with pytest.raises(MalformedError):
        cms.token_of_response(answer.body)


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 200), byte=st.integers(0, 255), cut=st.integers(0, 80))
def test_any_bytes_get_an_answer(one: TimeAuthority, place: int, byte: int, cut: int) -> None:
    bent = bytearray(request(req_policy=TIME_STAMP_POLICY))
    bent[place % len(bent)] = byte
    answer = one.answer(bytes(bent[: len(bent) - cut]))
    assert status_of(answer)["status"].native in {"granted", "rejection"}


# --- the clock


def test_clock_behind_what_was_stamped_fail(opened: Callable[[], TimeAuthority], clock: Clock) -> None:
    first = opened()
    assert first.answer(request()).refusal is None
    clock.wall -= timedelta(seconds=2)
    assert first.answer(request()).refusal is Refusal.NO_TIME
    # A restart forgets the steady clock, not what was stamped.
    clock.steady = 0.0
    assert opened().answer(request()).refusal is Refusal.NO_TIME
    clock.pass_time(2)
    assert opened().answer(request()).refusal is None


def test_clock_set_back_to_a_time_after_the_last_stamp_fail(opened: Callable[[], TimeAuthority], clock: Clock) -> None:
    authority = opened()
    assert authority.answer(request()).refusal is None
    clock.pass_time(7_200)
    clock.wall -= timedelta(seconds=3_600)
    for _ in range(3):
        assert authority.answer(request()).refusal is Refusal.NO_TIME
        clock.pass_time(600)
    clock.wall += timedelta(seconds=3_600)
    assert authority.answer(request()).refusal is None


def test_clock_that_is_kept_right_may_be_slowed(opened: Callable[[], TimeAuthority], clock: Clock) -> None:
    authority = opened()
    assert authority.answer(request()).refusal is None
    clock.pass_time(86_400)
    clock.wall -= timedelta(seconds=43)
    assert authority.answer(request()).refusal is None


def test_state_that_cannot_be_written_fail(
    opened: Callable[[], TimeAuthority], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = opened()

    def full(*_: Any, **__: Any) -> None:
        raise timeauthority.Error("no space left on device")

    monkeypatch.setattr(timeauthority.durable, "replace", full)
    assert authority.answer(request()).refusal is Refusal.FAILED


def test_state_that_is_none_fail(opened: Callable[[], TimeAuthority]) -> None:
    folder = opened().folder
    for bad in (b"{}", b'{"last": "2026-01-01T00:00:00+00:00", "next_serial": 0}', b'{"last": 7, "next_serial": 9}'):
        (folder / "clock.json").write_bytes(bad)
        with pytest.raises(MalformedError, match=r"clock\.json"):
            opened()


# --- what is stamped


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_stamp_holds(opened: Callable[[], TimeAuthority], above: Path, clock: Clock, algorithm: str) -> None:
    authority = opened()
    answer = authority.answer(request(hashlib.new(algorithm, b"what was signed").digest(), algorithm))
    token = token_of(answer)
    assert token.stamps(b"what was signed")
    assert not token.stamps(b"something else")
    assert (token.time, token.accuracy) == (clock.wall, timedelta(seconds=1))
    assert int.from_bytes(token.nonce, "big") == 12_345
    assert info_of(answer)["policy"].native == TIME_STAMP_POLICY
    listed = read_list((above / "trust-list.jws").read_bytes(), source="test")
    path = validate_path(token.chain, (listed,), at=token.time, purpose=Purpose.TIMESTAMP)
    assert path.trusted
    # An authority's clock must not be able to seal.
    assert not validate_path(token.chain, (listed,), at=token.time, purpose=Purpose.SIGNING).trusted


def test_no_certificate_unasked(opened: Callable[[], TimeAuthority]) -> None:
    response = tsp.TimeStampResp.load(opened().answer(request(cert_req=False)).body)
    assert response["time_stamp_token"]["content"]["certificates"].native is None


def test_serial_numbers_grow_over_restarts_and_threads(opened: Callable[[], TimeAuthority], clock: Clock) -> None:
    numbers: list[int] = []

    def stamp(authority: TimeAuthority, count: int) -> None:
        numbers.extend(info_of(authority.answer(request()))["serial_number"].native for _ in range(count))

    for _ in range(3):
        before = max(numbers, default=0)
        authority = opened()
        stamp(authority, 3)
        assert numbers[-3:] == sorted(numbers[-3:])
        assert numbers[-3] > before
        clock.pass_time(1)
    one, other = opened(), opened()
    threads = [threading.Thread(target=stamp, args=(each, 20)) for each in (one, one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == len(set(numbers)) == 69


def test_stamp_for_a_gateway(opened: Callable[[], TimeAuthority]) -> None:
    assert cms.read_token(opened().stamp(DIGEST)).digest == DIGEST


# --- its certificate


def test_certificate(folder: Path, above: Path) -> None:
    leaf, issuer = x509.load_pem_x509_certificates((folder / "certificate.pem").read_bytes())
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert usage.critical
    assert list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
    leaf.verify_directly_issued_by(issuer)
    anchors = read_list((above / "trust-list.jws").read_bytes(), source="test").anchors_for(Purpose.TIMESTAMP)
    assert leaf in {anchor.certificate for anchor in anchors}


def test_another_time_stamping_certificate_of_the_same_authority_is_not_listed_fail(above: Path) -> None:
    from rawtrace.trust import authorityfolder, keys, profiles

    found = authorityfolder.open_authority(above)
    key = keys.generate(keys.Algorithm.ES256)
    stolen = profiles.issue_time_authority(
        name="Example clock", organisation="", public_key=key.public_key(), issuer=found.certificate,
        issuer_key=authorityfolder.issuing_key(found).issuing_key(), now=NOW,
    )  # fmt: skip
    listed = read_list((above / "trust-list.jws").read_bytes(), source="test")
    path = validate_path((stolen, found.certificate), (listed,), at=NOW, purpose=Purpose.TIMESTAMP)
    assert [problem.code for problem in path.problems] == ["wrong-list-purpose"]


def test_revoked_by_its_serial_number(tmp_path: Path) -> None:
    above = tmp_path / "authority"
    authorities.create_authority(above, name="Example Authority")
    leaf = create_time_authority(tmp_path / "time", authority=above)
    authorities.revoke(above, serial=leaf.serial_number, reason="keyCompromise")
    listed = read_list((above / "trust-list.jws").read_bytes(), source="test")
    assert standing((leaf,), (listed,), claimed_at=NOW, trusted_at=None)[0] is Standing.COMPROMISE_UNPROVEN


def test_folder_that_is_taken_fail(above: Path, folder: Path) -> None:
    issued = (above / "clocks.jsonl").read_bytes()
    for taken in (folder, above):
        with pytest.raises(AlreadyExistsError):
            create_time_authority(taken, authority=above)
    assert (above / "clocks.jsonl").read_bytes() == issued


def test_key_of_another_fail(opened: Callable[[], TimeAuthority]) -> None:
    from rawtrace.trust import keys

    folder = opened().folder
    (folder / "key.pem").write_bytes(keys.generate(keys.Algorithm.ES256).pkcs8_pem())
    with pytest.raises(CertificateError, match="is not the one of the time-stamping certificate"):
        opened()
