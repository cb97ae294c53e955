from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from rawtrace.errors import (
    AlreadyExistsError,
    CertificateError,
    IdentityRecordError,
    InputNotFoundError,
    KeyUnavailableError,
    MalformedError,
)
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, instruments, keys, register
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Algorithm, SigningKey
from rawtrace.trust.trustlist import read_list

OWNER = "https://ror.org/0exampe44"
NOW = datetime.now(UTC)
INSTRUMENT = SignerKind.INSTRUMENT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authorities.create_authority(tmp_path / "authority", name="Example Authority", owner=OWNER, now=NOW)
    return tmp_path / "authority"


def record(kind: SignerKind = INSTRUMENT, **fields: Any) -> dict[str, Any]:
    defaults = {"name": f"Example {kind}", "owner": OWNER, "manufacturer": "Example Optics"}
    return instruments.new_record(kind=kind, **(defaults | fields))


def request(kind: SignerKind = INSTRUMENT, key: SigningKey | None = None, /, **fields: Any) -> authorities.Request:
    return authorities.make_request(kind, record(kind, **fields), key or keys.generate(Algorithm.ED25519))


def published(folder: Path) -> TrustList:
    path = folder / authorities.TRUST_LIST_FILE
    return read_list(path.read_bytes(), source="test")


def test_a_request_that_was_not_signed_by_its_key_is_refused(folder: Path) -> None:
    good = request()
    der = bytearray(good.csr.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    forged = dataclasses.replace(good, csr=x509.load_der_x509_csr(bytes(der)))
    with pytest.raises(CertificateError, match="not signed by the key"):
        authorities.issue(folder, forged)
    assert register.issued(folder) == ()


def test_a_bad_record_is_refused(folder: Path) -> None:
    good = request()
    with pytest.raises(IdentityRecordError):
        authorities.issue(folder, dataclasses.replace(good, record=dict(good.record) | {"name": "x\x00"}))
    assert register.issued(folder) == ()


def test_nobody_is_certified_as_self(folder: Path) -> None:
    with pytest.raises(CertificateError, match="expected one of these"):
        authorities.issue(folder, dataclasses.replace(request(), kind=SignerKind.SELF))


def test_one_pid_is_one_kind_of_signer(folder: Path) -> None:
    pid = "https://hdl.handle.net/20.500.12345/abc"
    authorities.issue(folder, request(pid=pid))
    with pytest.raises(CertificateError, match="certified as instrument already"):
        authorities.issue(folder, request(SignerKind.WORKSTATION, pid=pid))


def test_one_key_is_one_signer(folder: Path) -> None:
    key = keys.generate(Algorithm.ES256)
    authorities.issue(folder, request(INSTRUMENT, key))
    with pytest.raises(CertificateError, match="expected a key of its own"):
        authorities.issue(folder, request(SignerKind.WORKSTATION, key))


def test_one_pid_is_one_key(folder: Path) -> None:
    pid = "https://hdl.handle.net/20.500.12345/abc"
    key = keys.generate(Algorithm.ED25519)
    (first, _) = authorities.issue(folder, request(INSTRUMENT, key, pid=pid))
    other = request(pid="hdl:20.500.12345/abc")
    with pytest.raises(CertificateError, match="one PID is one instrument") as refused:
        authorities.issue(folder, other)
    assert "--reason superseded" in refused.value.hint
    # A certificate of some other identity, or of nobody's making here, proves nothing.
    (stranger, _) = authorities.issue(folder, request())
    with pytest.raises(CertificateError, match="one PID is one instrument"):
        authorities.issue(folder, other, renews=stranger)
    assert len(register.issued(folder)) == 2
    # The same key, or the holder of the certificate, may have another.
    authorities.issue(folder, request(INSTRUMENT, key, pid=pid))
    authorities.issue(folder, other, renews=first)
    authorities.issue(folder, other)


@pytest.mark.parametrize("reason", ["superseded", "keyCompromise"])
def test_a_pid_whose_certificates_are_revoked_can_have_a_new_key(folder: Path, reason: str) -> None:
    pid = "https://hdl.handle.net/20.500.12345/abc"
    for _ in range(2):
        authorities.issue(folder, request(pid=pid))
        with pytest.raises(CertificateError, match="one PID is one instrument"):
            authorities.issue(folder, request(pid=pid))
        authorities.revoke(folder, pid=pid, reason=reason)


def test_a_pid_whose_certificate_has_run_out_can_have_a_new_key(folder: Path) -> None:
    pid = "https://hdl.handle.net/20.500.12345/abc"
    authorities.issue(folder, request(pid=pid), days=10, now=NOW)
    with pytest.raises(CertificateError, match="one PID is one instrument"):
        authorities.issue(folder, request(pid=pid), now=NOW + timedelta(days=9))
    assert authorities.issue(folder, request(pid=pid), now=NOW + timedelta(days=11))


def test_a_key_that_was_compromised_is_never_certified_again(folder: Path) -> None:
    key = keys.generate(Algorithm.ED25519)
    asked = request(INSTRUMENT, key)
    pid = instruments.summary(asked.record)["pid"]
    authorities.issue(folder, asked)
    authorities.revoke(folder, pid=pid, reason="keyCompromise")
    with pytest.raises(CertificateError, match="expected a new key"):
        authorities.issue(folder, asked)
    fresh = authorities.make_request(INSTRUMENT, asked.record, keys.generate(Algorithm.ED25519))
    assert authorities.issue(folder, fresh)


def test_a_name_space_keeps_other_pids_out(tmp_path: Path) -> None:
    folder = tmp_path / "narrow"
    authorities.create_authority(folder, name="Narrow", name_space="hdl.handle.net")
    leaf, _ = authorities.issue(folder, request(pid="hdl:20.500.12345/abc"))
    assert certificates.pid_of(leaf) == "https://hdl.handle.net/20.500.12345/abc"
    for pid in ("doi:10.12345/abc", "", "https://instruments.example.org/hdl.handle.net"):
        with pytest.raises(CertificateError, match=r"at hdl\.handle\.net only"):
            authorities.issue(folder, request(pid=pid))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reason": "becauseISaySo"}, "not a reason"),
        ({"reason": "removeFromCRL"}, "not a reason"),
        ({"reason": "superseded", "compromised_from": NOW - timedelta(days=1)}, "goes with"),
        ({"reason": "keyCompromise", "compromised_from": NOW + timedelta(days=1)}, "in the future"),
        ({"reason": "keyCompromise", "compromised_from": NOW.replace(tzinfo=None)}, "no time zone"),
        ({"reason": "superseded", "serial": 1}, "either a PID, a serial"),
    ],
)
def test_a_revocation_that_makes_no_sense_is_refused(folder: Path, options: dict[str, Any], said: str) -> None:
    asked = request()
    authorities.issue(folder, asked)
    with pytest.raises(CertificateError, match=said):
        authorities.revoke(folder, pid=instruments.summary(asked.record)["pid"], **options)
    assert register.statuses(folder) == ()


def test_what_was_never_issued_cannot_be_revoked(folder: Path) -> None:
    with pytest.raises(CertificateError, match="never issued"):
        authorities.revoke(folder, serial=5, reason="superseded")
    with pytest.raises(CertificateError, match="never issued"):
        authorities.revoke(folder, pid="hdl:20.500.12345/other", reason="superseded")


def test_a_revocation_can_be_made_stricter_and_never_be_taken_back(folder: Path) -> None:
    (leaf, _) = authorities.issue(folder, request())
    name = {"serial": leaf.serial_number}
    day = timedelta(days=1)
    (first,) = authorities.revoke(folder, **name, reason="superseded", now=NOW)
    assert first.revoked_at == NOW.replace(microsecond=0)
    authorities.revoke(folder, **name, reason="keyCompromise", now=NOW + day)
    authorities.revoke(folder, **name, reason="keyCompromise", compromised_from=NOW - day, now=NOW + day)
    (last,) = authorities.revoke(
        folder, **name, reason="keyCompromise", compromised_from=NOW - 2 * day, now=NOW + 2 * day
    )
    assert last.revoked_at == first.revoked_at
    for weaker in (
        {"reason": "superseded"},
        {"reason": "keyCompromise"},
        {"reason": "keyCompromise", "compromised_from": NOW - day},
        {"reason": "privilegeWithdrawn", "compromised_from": NOW - 3 * day},
    ):
        with pytest.raises(CertificateError, match="revoked already"):
            authorities.revoke(folder, **name, **weaker, now=NOW + 3 * day)
    assert register.statuses(folder) == (last,)
    assert published(folder).statuses == (last,)


def test_a_doubt_that_begins_after_the_revocation_adds_nothing(folder: Path) -> None:
    (leaf, _) = authorities.issue(folder, request())
    authorities.revoke(folder, serial=leaf.serial_number, reason="superseded", now=NOW)
    later = NOW + timedelta(days=2)
    with pytest.raises(CertificateError, match="revoked already"):
        authorities.revoke(folder, serial=leaf.serial_number, reason="keyCompromise", compromised_from=later, now=later)


def test_revoking_a_pid_revokes_all_its_certificates(folder: Path) -> None:
    asked = request()
    serials = {authorities.issue(folder, asked)[0].serial_number for _ in range(3)}
    authorities.issue(folder, request())
    records = authorities.revoke(folder, pid=instruments.summary(asked.record)["pid"], reason="cessationOfOperation")
    assert {record.serial for record in records} == serials
    assert {record.serial for record in published(folder).statuses} == serials


def test_every_change_signs_a_list_with_the_next_number(folder: Path) -> None:
    assert published(folder).sequence == 1
    (leaf, _) = authorities.issue(folder, request())
    assert published(folder).sequence == 2
    authorities.revoke(folder, serial=leaf.serial_number, reason="superseded", note="replaced by Widefield 2")
    found = published(folder)
    assert found.sequence == 3
    assert found.name == "Example Authority"
    assert found.operator == OWNER
    assert found.statuses[0].note == "replaced by Widefield 2"
    authority = authorities.open_authority(folder)
    assert found.statuses[0].authority_key_id == certificates.subject_key_id(authority.certificate)
    assert [anchor.certificate for anchor in found.anchors] == [authority.root]
    authorities.publish(folder)
    assert published(folder).sequence == 4


@pytest.mark.parametrize("where", ["before the number", "before the list"])
def test_a_crash_loses_no_certificate_and_uses_no_number_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    from rawtrace.trust import authorityfolder

    class PowerCutError(Exception):
        pass

    def cut(*_: Any, **__: Any) -> bytes:
        raise PowerCutError

    if where == "before the number":
        monkeypatch.setattr(authorityfolder, "write_list", cut)
        monkeypatch.setattr(authorities, "write_list", cut)
    else:
        monkeypatch.setattr(authorityfolder.trustlist, "sign_list", cut)
    with pytest.raises(PowerCutError):
        authorities.issue(folder, request())
    monkeypatch.undo()
    assert len(register.issued(folder)) == 1
    assert published(folder).sequence == 1
    (leaf, _) = authorities.issue(folder, request())
    assert [item.serial for item in register.issued(folder)][1] == leaf.serial_number
    assert published(folder).sequence == (2 if where == "before the number" else 3)


def test_two_processes_at_once_lose_nothing(folder: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from rawtrace.trust import authority, instruments, keys\n"
        "from rawtrace.trust.certificates import SignerKind\n"
        "for number in range(4):\n"
        "    record = instruments.new_record(kind=SignerKind.WORKSTATION, name=f'W {number}', owner='0exampe44')\n"
        "    key = keys.generate(keys.Algorithm.ED25519)\n"
        "    request = authority.make_request(SignerKind.WORKSTATION, record, key)\n"
        "    authority.issue(pathlib.Path(sys.argv[1]), request)\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, folder]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert len({item.serial for item in register.issued(folder)}) == 8
    assert published(folder).sequence == 9


def test_the_number_outlives_the_loss_of_either_place(folder: Path) -> None:
    authorities.publish(folder)
    (folder / authorities.TRUST_LIST_FILE).unlink()
    authorities.publish(folder)
    assert published(folder).sequence == 3
    (folder / "sequence.json").unlink()
    authorities.publish(folder)
    assert published(folder).sequence == 4
    (folder / authorities.TRUST_LIST_FILE).write_bytes(b"damaged")
    authorities.publish(folder)
    assert published(folder).sequence == 5


@pytest.mark.parametrize("text", ["[]", '{"last": "7"}', '{"last": 0}', "{"])
def test_a_damaged_number_is_refused_rather_than_guessed(folder: Path, text: str) -> None:
    (folder / "sequence.json").write_text(text)
    with pytest.raises(MalformedError):
        authorities.publish(folder)


@pytest.mark.parametrize("name", ["issued.jsonl", "statuses.jsonl"])
@pytest.mark.parametrize("line", ["[]", "{}", '{"serial": "zz"}', "not json"])
def test_a_damaged_journal_is_refused_in_words(folder: Path, name: str, line: str) -> None:
    (folder / name).write_text(line + "\n")
    with pytest.raises(MalformedError, match=name):
        authorities.issue(folder, request())


def test_everything_but_the_beginning_works_without_the_root_key(folder: Path) -> None:
    shutil.rmtree(folder / "root")
    (leaf, _) = authorities.issue(folder, request())
    authorities.revoke(folder, serial=leaf.serial_number, reason="superseded")
    assert published(folder).sequence == 3


def test_a_key_that_was_swapped_is_noticed(folder: Path) -> None:
    for part in ("issuing", "operator"):
        kept = (folder / part / "key.pem").read_bytes()
        (folder / part / "key.pem").write_bytes(keys.generate(Algorithm.ED25519).pkcs8_pem())
        with pytest.raises(CertificateError, match="is not the one of the certificate"):
            authorities.issue(folder, request())
        (folder / part / "key.pem").write_bytes(kept)
    assert register.issued(folder) == ()


def test_nothing_is_issued_when_the_list_could_not_be_signed(folder: Path) -> None:
    (folder / "operator" / "key.pem").unlink()
    with pytest.raises(KeyUnavailableError):
        authorities.issue(folder, request())
    assert register.issued(folder) == ()


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"schema": "urn:rawtrace:schema:authority:2", "name": "x"}', '{"name": 5}']
)
def test_another_folder_is_no_authority(tmp_path: Path, folder: Path, text: str) -> None:
    with pytest.raises(InputNotFoundError):
        authorities.open_authority(tmp_path)
    (folder / "authority.json").write_text(text)
    with pytest.raises(MalformedError):
        authorities.open_authority(folder)


def test_certificates_of_two_authorities_do_not_mix(folder: Path, tmp_path: Path) -> None:
    authorities.create_authority(tmp_path / "other", name="Other")
    shutil.copy(tmp_path / "other" / "root.pem", folder / "root.pem")
    with pytest.raises(CertificateError, match="do not belong together"):
        authorities.open_authority(folder)


def test_an_authority_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    for options in ({"name": ""}, {"name": "x" * 49}, {"name": "ok", "name_space": "https://x"}):
        with pytest.raises(CertificateError):
            authorities.create_authority(tmp_path / "new", **options)
    with pytest.raises(IdentityRecordError):
        authorities.create_authority(tmp_path / "new", name="ok", owner="0exampe45")
    assert list(tmp_path.iterdir()) == []


def test_an_authority_is_never_made_over_another(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(AlreadyExistsError):
        authorities.create_authority(folder, name="Second")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(os.name == "nt", reason="POSIX permission bits")
def test_keys_are_for_their_owner_alone(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.rglob("key.*"):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_either_algorithm_makes_a_whole_authority(tmp_path: Path, algorithm: Algorithm) -> None:
    folder = tmp_path / "made"
    authorities.create_authority(folder, name="Made", algorithm=algorithm)
    leaf, issuer = authorities.issue(folder, request(serial="SN-0001", owner_name="x" * 65))
    assert certificates.is_issued_by(leaf, issuer)
    assert certificates.is_issued_by(issuer, authorities.open_authority(folder).root)
    assert "O=https://ror.org/0exampe44" in leaf.subject.rfc4514_string()
    (item,) = register.issued(folder)
    assert certificates.read_pem(item.certificate_pem.encode(), what="it") == (leaf,)
    assert (item.pid, item.kind) == (certificates.pid_of(leaf), INSTRUMENT)
