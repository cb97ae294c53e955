from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rawtrace.errors import (
    AlreadyExistsError,
    CertificateError,
    DiskFullError,
    IdentityRecordError,
    InputNotFoundError,
    KeyUnavailableError,
    LimitError,
    MalformedError,
)
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, identity, instruments, keys, register, staging
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity
from rawtrace.trust.keys import Algorithm

OWNER = "https://ror.org/0exampe44"
INSTRUMENT, WORKSTATION = SignerKind.INSTRUMENT, SignerKind.WORKSTATION


def record(kind: SignerKind = INSTRUMENT, **fields: Any) -> dict[str, Any]:
    defaults = {"name": f"Example {kind}", "owner": OWNER, "manufacturer": "Example Optics", "location": "Room 1"}
    return instruments.new_record(kind=kind, **(defaults | fields))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def other_authority(tmp_path: Path) -> Path:
    authorities.create_authority(tmp_path / "authority", name="Example Authority")
    return tmp_path / "authority"


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Identity], Path]:
    def copy(original: Identity) -> Path:
        return Path(shutil.copytree(original.folder, tmp_path / "copy"))

    return copy


def swap_key(folder: Path) -> None:
    (folder / "key.pem").write_bytes(keys.generate(Algorithm.ED25519).pkcs8_pem())


def edit_record(folder: Path) -> None:
    path = folder / "instrument.json"
    path.write_bytes(path.read_bytes().replace(b"Example instrument", b"Another instrument"))


def add_a_space(folder: Path) -> None:
    with (folder / "instrument.json").open("ab") as stream:
        stream.write(b" ")


def self_certify(folder: Path) -> None:
    """Put a certificate for the same key and PID there that another record's digest is bound into."""
    made = identity.create_identity(folder.parent / "made", INSTRUMENT, record())
    shutil.copy(made.folder / "certificate.pem", folder / "certificate.pem")


def cut_chain(folder: Path) -> None:
    found = certificates.read_pem((folder / "certificate.pem").read_bytes(), what="it")
    (folder / "certificate.pem").write_bytes(certificates.to_pem([found[0], found[0]]))


def rename_role(folder: Path) -> None:
    (folder / "instrument.json").rename(folder / "workstation.json")


def add_role(folder: Path) -> None:
    shutil.copy(folder / "instrument.json", folder / "workstation.json")


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (swap_key, CertificateError, "is not the one that its certificate is for"),
        (edit_record, CertificateError, "changed after the certificate was made"),
        (add_a_space, CertificateError, "changed after the certificate was made"),
        (self_certify, CertificateError, "is for the PID"),
        (cut_chain, CertificateError, "do not follow"),
        (rename_role, CertificateError, "its record for workstation"),
        (add_role, CertificateError, "holds 2 records"),
        (lambda folder: (folder / "key.pem").unlink(), KeyUnavailableError, r"no key at .*key\.pem"),
        (lambda folder: (folder / "key.json").unlink(), KeyUnavailableError, r"no key at .*key\.json"),
        (lambda folder: (folder / "key.json").write_text('{"kind": "pkcs11"}'), KeyUnavailableError, "in full"),
        (lambda folder: (folder / "certificate.pem").unlink(), InputNotFoundError, "no such file"),
        (lambda folder: (folder / "certificate.pem").write_bytes(b"x"), CertificateError, "PEM"),
        (lambda folder: (folder / "certificate.pem").write_bytes(b"x" * 10**6), LimitError, "larger than"),
        (lambda folder: (folder / "instrument.json").write_bytes(b"{}"), IdentityRecordError, "missing"),
        (lambda folder: (folder / "instrument.json").write_bytes(b"{"), MalformedError, "not the JSON"),
        (lambda folder: (folder / "instrument.json").unlink(), InputNotFoundError, "is not an identity"),
        (lambda folder: shutil.rmtree(folder), InputNotFoundError, "no identity at"),
        (lambda folder: (folder / "next").mkdir(), CertificateError, "interrupted"),
    ],
)
def test_an_identity_whose_parts_do_not_fit_is_refused_in_words(
    instrument: Identity,
    copy_of: Callable[[Identity], Path],
    spoil: Callable[[Path], object],
    error: type[Exception],
    said: str,
) -> None:
    folder = copy_of(instrument)
    spoil(folder)
    with pytest.raises(error, match=said):
        identity.load_identity(folder)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permission bits")
def test_a_key_that_others_could_read_is_refused(instrument: Identity, copy_of: Callable[[Identity], Path]) -> None:
    folder = copy_of(instrument)
    (folder / "key.pem").chmod(0o640)
    with pytest.raises(KeyUnavailableError, match="read by other accounts"):
        identity.load_identity(folder)


def test_creation_refuses_a_folder_with_anything_in_it(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "plate.tif").write_bytes(b"data")
    with pytest.raises(AlreadyExistsError):
        identity.create_identity(tmp_path / "new", INSTRUMENT, record())
    assert files(tmp_path) == {"new/plate.tif": b"data"}


def test_creation_is_all_or_nothing(tmp_path: Path, other_authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        msg = "no room"
        raise DiskFullError(msg)

    monkeypatch.setattr(identity.authorities, "issue", full)
    with pytest.raises(DiskFullError):
        identity.create_identity(tmp_path / "new", INSTRUMENT, record(), authority=other_authority)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authority"]


@pytest.mark.parametrize("kind", [SignerKind.SELF])
def test_nobody_is_made_as_self(tmp_path: Path, kind: SignerKind) -> None:
    with pytest.raises(CertificateError):
        identity.create_identity(tmp_path / "new", kind, record())
    with pytest.raises(InputNotFoundError):
        identity.create_identity(tmp_path / "new", INSTRUMENT, record(), authority=tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("kind", [INSTRUMENT, WORKSTATION, SignerKind.REPOSITORY])
def test_an_identity_is_made_and_opened(
    tmp_path: Path, authority: Path, kind: SignerKind, algorithm: Algorithm
) -> None:
    folder = tmp_path / "deep" / "new"
    made = identity.create_identity(folder, kind, record(kind), authority=authority, algorithm=algorithm)
    assert (made.kind, made.role, made.key.algorithm) == (kind, kind, algorithm)
    assert sorted(files(folder)) == sorted([f"{kind}.json", "certificate.pem", "key.json", "key.pem"])
    assert len(made.chain) == 2
    assert certificates.pid_of(made.leaf) == instruments.summary(made.record)["pid"]
    assert len(made.key.sign(b"data")) == 64
    if os.name != "nt":
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    identity.check_current(made)


def test_without_an_authority_it_says_self(self_instrument: Identity) -> None:
    assert (self_instrument.kind, self_instrument.role) == (SignerKind.SELF, INSTRUMENT)
    assert certificates.signer_kind(self_instrument.leaf) is SignerKind.SELF
    assert len(self_instrument.chain) == 1


def test_a_certificate_that_has_run_out_is_named_with_what_to_do(instrument: Identity) -> None:
    for when in (datetime.now(UTC) + timedelta(days=400), datetime.now(UTC) - timedelta(days=1)):
        with pytest.raises(CertificateError, match="is valid from") as caught:
            identity.check_current(instrument, now=when)
        assert "rawtrace instrument renew" in caught.value.hint


def test_renewal_keeps_pid_and_key_and_the_old_certificate(tmp_path: Path, other_authority: Path) -> None:
    old = identity.create_identity(tmp_path / "scope", INSTRUMENT, record(), authority=other_authority)
    new = identity.renew_identity(old.folder, authority=other_authority)
    assert new.record == old.record
    assert new.leaf.serial_number != old.leaf.serial_number
    assert new.key.public_key() == old.key.public_key()
    kept = old.folder / "past" / f"{old.leaf.serial_number:x}-certificate.pem"
    assert certificates.read_pem(kept.read_bytes(), what="kept") == old.chain


def test_renewal_can_change_key_and_place(tmp_path: Path, other_authority: Path) -> None:
    old = identity.create_identity(tmp_path / "scope", INSTRUMENT, record(), authority=other_authority)
    secret = (old.folder / "key.pem").read_bytes()
    new = identity.renew_identity(old.folder, authority=other_authority, new_key=True, location="Room 2")
    assert instruments.summary(new.record) == instruments.summary(old.record) | {"location": "Room 2"}
    assert new.key.public_key() != old.key.public_key()
    assert secret not in files(old.folder).values()
    before = instruments.record_bytes(old.record)
    assert files(old.folder)[f"past/{old.leaf.serial_number:x}-instrument.json"] == before
    if os.name != "nt":
        assert (old.folder / "key.pem").stat().st_mode & 0o777 == 0o600


def test_renewal_can_change_the_key_again_and_again(tmp_path: Path, other_authority: Path) -> None:
    made = identity.create_identity(tmp_path / "scope", INSTRUMENT, record(), authority=other_authority)
    for new_key in (True, True, False):
        identity.renew_identity(made.folder, authority=other_authority, new_key=new_key)
    assert len({item.key_sha256 for item in register.issued(other_authority)}) == 3
    pid = instruments.summary(made.record)["pid"]
    with pytest.raises(CertificateError, match="one PID is one instrument"):
        identity.create_identity(tmp_path / "twin", INSTRUMENT, record(pid=pid), authority=other_authority)
    assert not (tmp_path / "twin").exists()


def test_renewal_certifies_what_was_self_certified(tmp_path: Path, other_authority: Path) -> None:
    old = identity.create_identity(tmp_path / "w", WORKSTATION, record(WORKSTATION))
    assert identity.renew_identity(old.folder).kind is SignerKind.SELF
    assert identity.renew_identity(old.folder, authority=other_authority).kind is WORKSTATION
    with pytest.raises(CertificateError, match="expected an authority"):
        identity.renew_identity(old.folder)


def test_a_renewal_that_is_refused_changes_nothing(tmp_path: Path, other_authority: Path) -> None:
    made = identity.create_identity(tmp_path / "scope", INSTRUMENT, record(), authority=other_authority)
    authorities.revoke(other_authority, serial=made.leaf.serial_number, reason="keyCompromise")
    before = files(made.folder)
    with pytest.raises(CertificateError, match="expected a new key"):
        identity.renew_identity(made.folder, authority=other_authority)
    with pytest.raises(IdentityRecordError):
        identity.renew_identity(made.folder, authority=other_authority, location="x" * 500)
    assert files(made.folder) == before
    renewed = identity.renew_identity(made.folder, authority=other_authority, new_key=True)
    assert renewed.leaf.serial_number == register.issued(other_authority)[-1].serial


@pytest.mark.parametrize("steps", range(5))
def test_a_renewal_that_was_cut_short_is_finished_by_the_next(
    tmp_path: Path, other_authority: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    class PowerCutError(Exception):
        pass

    made = identity.create_identity(tmp_path / "scope", INSTRUMENT, record(), authority=other_authority)
    left = [steps]
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.parent == made.folder:
            if not left[0]:
                raise PowerCutError
            left[0] -= 1
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    if steps < 4:
        with pytest.raises(PowerCutError):
            identity.renew_identity(made.folder, authority=other_authority, new_key=True, location="Room 2")
        monkeypatch.undo()
        with pytest.raises(CertificateError, match="interrupted"):
            identity.load_identity(made.folder)
    new = identity.renew_identity(made.folder, authority=other_authority, location="Room 2")
    assert instruments.summary(new.record)["location"] == "Room 2"
    assert not (made.folder / "next").exists()
    assert not list(made.folder.glob(f"*{staging.durable.TEMPORARY_SUFFIX}"))
