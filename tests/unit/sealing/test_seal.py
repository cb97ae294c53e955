"""Sealing leaves a whole seal or none, never over an existing file, and reads no more than it was asked to."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rawtrace
from rawtrace import durable
from rawtrace.errors import (
    AlreadyExistsError,
    CertificateError,
    ChangedWhileReadError,
    DiskFullError,
    EnvelopeError,
    ForbiddenSealError,
    InputNotFoundError,
    KeyUnavailableError,
    UnsealableError,
    UsageError,
)
from rawtrace.report import Verdict
from rawtrace.sealing import assertions, binding, envelope, folderindex, manifest
from rawtrace.sealing import seal as sealing
from rawtrace.sealing.seal import seal, sealed_copy_of
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity, create_identity
from rawtrace.trust.trustlist import TrustList
from rawtrace.verification.verify import verify

Lists = tuple[TrustList, ...]


@pytest.fixture
def asset(tmp_path: Path) -> Path:
    path = tmp_path / "cells.dat"
    path.write_bytes(b"counts " * 100)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "stack.zarr"
    (path / "0" / "c").mkdir(parents=True)
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    for number in range(4):
        (path / "0" / "c" / str(number)).write_bytes(bytes([number]) * 50)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def statements(sidecar: Path) -> dict[str, Any]:
    store = manifest.read_store(sidecar.read_bytes())
    return {one.label: one.data for one in store.active_manifest.assertions}


def good(path: Path, trust: Lists) -> bool:
    return verify(path, trust=trust).verdict is Verdict.VERIFIED_WITH_NOTES


# --- what is left behind when something fails ---------------------------------------------------------------------


def test_a_key_that_does_not_sign_leaves_nothing_fail(
    folder: Path, instrument: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        msg = "the token is gone"
        raise KeyUnavailableError(msg)

    monkeypatch.setattr(envelope, "sign_sidecar", refuse)
    before = contents(folder.parent)
    with pytest.raises(KeyUnavailableError):
        seal(folder, signer=instrument)
    assert contents(folder.parent) == before


@pytest.mark.parametrize("failing", [".sha256", ".c2pa"])
def test_a_full_disk_leaves_nothing_and_the_next_run_succeeds_fail(
    folder: Path, instrument: Identity, trust_lists: Lists, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    write = durable.write_new

    def full(path: Path, data: bytes, **options: Any) -> None:
        if path.name.endswith(failing):
            msg = f"the disk is full while writing {path}"
            raise DiskFullError(msg)
        write(path, data, **options)

    before = contents(folder.parent)
    with monkeypatch.context() as patch:
        patch.setattr(durable, "write_new", full)
        with pytest.raises(DiskFullError):
            seal(folder, signer=instrument)
    assert contents(folder.parent) == before
    seal(folder, signer=instrument)
    assert good(folder, trust_lists)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_data_that_changes_while_it_is_sealed_is_not_sealed_fail(
    asset: Path, folder: Path, instrument: Identity, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path, member = (asset, asset) if kind == "file" else (folder, folder / "0" / "c" / "2")
    sign = envelope.sign_sidecar

    def write_meanwhile(*arguments: Any, **options: Any) -> bytes:
        member.write_bytes(b"later, and longer than before" * 9)
        return sign(*arguments, **options)

    monkeypatch.setattr(envelope, "sign_sidecar", write_meanwhile)
    before = set(contents(path.parent))
    with pytest.raises(ChangedWhileReadError):
        seal(path, signer=instrument)
    assert set(contents(path.parent)) == before


def test_a_seal_that_does_not_read_back_is_not_kept_fail(
    asset: Path, instrument: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = envelope.sign_sidecar
    monkeypatch.setattr(
        envelope, "sign_sidecar", lambda *a, **o: sign(*a, **o).replace(b"digitalCapture", b"digitalCapturf")
    )
    with pytest.raises(EnvelopeError, match="does not hold when it is read back"):
        seal(asset, signer=instrument)
    assert not binding.sidecar_of(asset).exists()


def test_a_seal_bound_to_other_bytes_is_not_kept_fail(
    asset: Path, instrument: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = envelope.sign_sidecar

    def other(definition: dict[str, Any], *a: Any, **o: Any) -> bytes:
        definition["assertions"][-1]["data"]["hash"] = list(bytes(32))
        return sign(definition, *a, **o)

    monkeypatch.setattr(envelope, "sign_sidecar", other)
    with pytest.raises(EnvelopeError, match="does not hold"):
        seal(asset, signer=instrument)


# --- what is refused ----------------------------------------------------------------------------------------------


def test_an_expired_certificate_is_refused_before_anything_is_read_fail(
    tmp_path: Path, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rawtrace.trust.instruments import new_record

    record = new_record(
        kind=SignerKind.INSTRUMENT, name="Old", owner="https://ror.org/0exampe44", manufacturer="Example Optics"
    )
    new = create_identity(tmp_path / "id", SignerKind.INSTRUMENT, record)
    later = new.leaf.not_valid_after_utc + timedelta(seconds=1)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return later

    monkeypatch.setattr("rawtrace.trust.signer.datetime", Clock)
    with pytest.raises(CertificateError, match="is valid from") as caught:
        seal(tmp_path / "not even there", signer=new)
    assert "renew" in caught.value.hint


@pytest.mark.parametrize("name", ["x.c2pa", "x.rawtrace-tmp"])
def test_a_seal_is_not_sealed_fail(tmp_path: Path, instrument: Identity, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UnsealableError, match="not data"):
        seal(tmp_path / name, signer=instrument)


def test_nothing_there_fail(tmp_path: Path, instrument: Identity) -> None:
    with pytest.raises(InputNotFoundError):
        seal(tmp_path / "nothing", signer=instrument)
    assert contents(tmp_path) == {}


def test_an_existing_seal_is_never_overwritten_fail(asset: Path, instrument: Identity) -> None:
    seal(asset, signer=instrument)
    before = contents(asset.parent)
    with pytest.raises(AlreadyExistsError, match="never overwritten"):
        seal(asset, signer=instrument)
    assert contents(asset.parent) == before


def test_a_broken_link_in_the_seals_place_is_kept_fail(asset: Path, instrument: Identity) -> None:
    link = binding.sidecar_of(asset)
    try:
        link.symlink_to("nowhere")
    except OSError:
        pytest.skip("this account may not make links")
    with pytest.raises(AlreadyExistsError):
        seal(asset, signer=instrument)
    assert link.is_symlink()
    assert not link.exists()


def test_somebody_elses_file_in_the_place_of_the_index_is_kept_fail(folder: Path, instrument: Identity) -> None:
    index = folderindex.index_of(folder)
    index.write_text("a list of mine\n")
    with pytest.raises(AlreadyExistsError):
        seal(folder, signer=instrument)
    assert index.read_text() == "a list of mine\n"
    assert not binding.sidecar_of(index).exists()


# --- what is sealed -----------------------------------------------------------------------------------------------

ODD_NAMES = [
    "with space.tif",
    "naïve µm 数据.tif",
    "-r.tif",
    "a*b[1]?.tif" if os.name != "nt" else "a[1].tif",
    "no_suffix",
    ".hidden",
    "UPPER.TIF",
    "x" * 200 + ".tif",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(tmp_path: Path, instrument: Identity, trust_lists: Lists, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"data")
    made = seal(path, signer=instrument)
    assert made.sidecar == tmp_path / (name + ".c2pa")
    assert good(path, trust_lists)
    assert "asset-renamed" not in {one.id for one in verify(path, trust=trust_lists).findings}


@pytest.mark.skipif(sys.platform != "linux", reason="this system refuses file names that are no Unicode")
def test_a_name_that_is_no_unicode(tmp_path: Path, instrument: Identity, trust_lists: Lists) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd-\xff.dat"))
    path.write_bytes(b"data")
    seal(path, signer=instrument)
    assert good(path, trust_lists)


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_file_of_any_size_says_its_size_and_digest(
    tmp_path: Path, instrument: Identity, trust_lists: Lists, size: int
) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(os.urandom(size))
    made = seal(path, signer=instrument)
    assert (made.size, made.content_sha256) == (size, hashlib.sha256(path.read_bytes()).hexdigest())
    assert made.index is made.metadata is None
    said = statements(made.sidecar)  # type: ignore[arg-type]
    assert said["org.rawtrace.acquisition"]["size"] == size
    assert said["c2pa.hash.data"]["hash"] == hashlib.sha256(path.read_bytes()).digest()
    assert good(path, trust_lists)


def test_data_is_never_written_to(asset: Path, folder: Path, instrument: Identity) -> None:
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in [asset, *folder.rglob("[!c]*")] if path.is_file()
    }
    seal(asset, signer=instrument)
    seal(folder, signer=instrument)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


def test_a_folder_gets_an_index_with_its_own_seal(folder: Path, instrument: Identity, trust_lists: Lists) -> None:
    made = seal(folder, signer=instrument)
    assert (made.index, made.sidecar) == (
        folder.with_name("stack.zarr.sha256"),
        folder.with_name("stack.zarr.sha256.c2pa"),
    )
    said = statements(made.sidecar)["org.rawtrace.acquisition"]  # type: ignore[arg-type]
    assert (said["kind"], said["members"], said["name"]) == ("folder", 5, "stack.zarr")
    assert made.size == said["size"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert good(folder, trust_lists)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_accepts_the_index(folder: Path, instrument: Identity) -> None:
    made = seal(folder, signer=instrument)
    assert made.index is not None
    subprocess.run(["sha256sum", "--strict", "--check", "--quiet", made.index.name], cwd=folder.parent, check=True)


def test_a_trailing_slash_or_dots_name_the_same_folder(folder: Path, instrument: Identity, monkeypatch: Any) -> None:
    monkeypatch.chdir(folder)
    assert seal(Path(), signer=instrument).index == folder.resolve().with_name("stack.zarr.sha256")


def test_an_equal_index_of_an_interrupted_run_is_taken_over(
    folder: Path, instrument: Identity, trust_lists: Lists
) -> None:
    index = folderindex.index_of(folder)
    index.write_bytes(folderindex.build_index(folder).data)
    before = index.stat().st_mtime_ns
    seal(folder, signer=instrument)
    assert index.stat().st_mtime_ns == before
    assert good(folder, trust_lists)


def test_an_index_of_an_interrupted_run_is_moved_aside_when_data_came_after_it(
    folder: Path, instrument: Identity, trust_lists: Lists
) -> None:
    index = folderindex.index_of(folder)
    old = folderindex.build_index(folder).data
    index.write_bytes(old)
    (folder / "0" / "c" / "4").write_bytes(b"later")
    seal(folder, signer=instrument)
    assert good(folder, trust_lists)
    assert old in contents(folder.parent).values()


# --- long metadata ------------------------------------------------------------------------------------------------


@pytest.fixture
def long_metadata(tmp_path: Path) -> Path:
    """An OME-TIFF with many channels of long names, and many planes."""
    import tifffile

    channels = "".join(
        f'<Channel ID="Channel:0:{n}" Name="marker {n} {"x" * 1500}" SamplesPerPixel="1"/>' for n in range(64)
    )
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0" Name="i"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="8" SizeY="8" '
        f'SizeZ="1" SizeC="64" SizeT="1">{channels}<TiffData/></Pixels></Image></OME>'
    )
    path = tmp_path / "many.ome.tif"
    with tifffile.TiffWriter(path, ome=False, shaped=False) as writer:
        writer.write(np.zeros((8, 8), np.uint8), description=xml, metadata=None)
    return path


def test_long_metadata_lies_in_a_companion(long_metadata: Path, instrument: Identity, trust_lists: Lists) -> None:
    made = seal(long_metadata, signer=instrument)
    assert made.metadata == long_metadata.with_name("many.ome.tif.metadata.json")
    data = made.metadata.read_bytes()
    assert len(data) > assertions_limit()
    said = statements(made.sidecar)["org.rawtrace.acquisition"]["metadata"]  # type: ignore[arg-type]
    assert said == {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "file": "many.ome.tif.metadata.json",
    }
    assert {one["name"] for one in json.loads(data)["values"]} > {"channel.0.name"}
    assert "companion-unchanged" in {one.id for one in verify(long_metadata, trust=trust_lists).findings}


def assertions_limit() -> int:
    from rawtrace.sealing.statements import INLINE_METADATA_BYTES

    return INLINE_METADATA_BYTES


def test_an_equal_companion_is_taken_over_and_another_is_kept_fail(long_metadata: Path, instrument: Identity) -> None:
    made = seal(long_metadata, signer=instrument)
    assert made.sidecar is not None
    assert made.metadata is not None
    made.sidecar.unlink()
    again = seal(long_metadata, signer=instrument)
    assert again.sidecar is not None
    again.sidecar.unlink()
    made.metadata.write_text('{"notes of": "mine"}')
    with pytest.raises(AlreadyExistsError):
        seal(long_metadata, signer=instrument)
    assert made.metadata.read_text() == '{"notes of": "mine"}'
    assert not again.sidecar.exists()


# --- superseding --------------------------------------------------------------------------------------------------


def findings(path: Path, trust: Lists) -> set[str]:
    return {one.id for one in verify(path, trust=trust).findings}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_superseding_twice_keeps_every_old_seal_and_names_it(
    asset: Path, folder: Path, instrument: Identity, trust_lists: Lists, kind: str
) -> None:
    path, member = (asset, asset) if kind == "file" else (folder, folder / "0" / "c" / "9")
    old = [seal(path, signer=instrument)]
    for round_number in range(2):
        member.write_bytes(b"more" * (round_number + 1))
        old.append(seal(path, signer=instrument, supersede=True))
        assert old[-1].sidecar is not None
        said = statements(old[-1].sidecar)["org.rawtrace.acquisition"]["supersedes"]
        assert said == {"label": old[-2].label, "claim_sha256": old[-2].claim_sha256}
    assert good(path, trust_lists)
    assert "supersedes" in findings(path, trust_lists)
    asides = [name for name in contents(path.parent) if ".superseded-" in name and name.endswith(".c2pa")]
    assert len(asides) == 2
    labels = {manifest.read_store((path.parent / name).read_bytes()).active for name in asides}
    assert labels == {old[0].label, old[1].label}


def test_superseding_without_a_seal_is_sealing(asset: Path, instrument: Identity, trust_lists: Lists) -> None:
    seal(asset, signer=instrument, supersede=True)
    assert good(asset, trust_lists)
    assert "supersedes" not in findings(asset, trust_lists)


def test_a_failed_supersede_leaves_the_old_seal_in_its_place_fail(
    folder: Path, instrument: Identity, trust_lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(folder, signer=instrument)
    (folder / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    before = contents(folder.parent)

    def full(path: Path, data: bytes, **_: Any) -> None:
        msg = "the disk is full"
        raise DiskFullError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "write_new", full)
        with pytest.raises(DiskFullError):
            seal(folder, signer=instrument, supersede=True)
    assert contents(folder.parent) == before


@pytest.mark.parametrize("steps", [1, 2])
def test_a_supersede_killed_in_the_middle_is_finished_by_the_next(
    folder: Path, instrument: Identity, trust_lists: Lists, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    first = seal(folder, signer=instrument)
    (folder / "0" / "c" / "4").write_bytes(b"later")
    move, done = durable.move_aside, 0

    class Killed(BaseException):
        pass

    def killed(path: Path, target: Path) -> None:
        nonlocal done
        if done == steps:
            raise Killed
        done += 1
        move(path, target)

    def not_reached(path: Path, data: bytes, **_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(durable, "move_aside", killed)
        patch.setattr(durable, "write_new", not_reached)
        with pytest.raises(Killed):
            seal(folder, signer=instrument, supersede=True)
    assert not binding.sidecar_of(folderindex.index_of(folder)).exists()
    second = seal(folder, signer=instrument, supersede=True)
    assert good(folder, trust_lists)
    assert second.sidecar is not None
    said = statements(second.sidecar)["org.rawtrace.acquisition"]["supersedes"]
    assert said["label"] == first.label


# --- embedding ----------------------------------------------------------------------------------------------------


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str, **options: Any) -> Path:
        path = tmp_path / name
        gradient = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
        Image.fromarray(gradient).save(path, **options)
        return path

    return make


@pytest.mark.parametrize("name", ["figure.png", "figure.jpg", "FIGURE.JPEG"])
def test_a_picture_with_its_seal_inside(picture: Any, workstation: Identity, trust_lists: Lists, name: str) -> None:
    path = picture(name)
    before = path.read_bytes()
    made = seal(path, signer=workstation, embed=True)
    assert (made.asset, made.sidecar) == (sealed_copy_of(path), None)
    assert path.read_bytes() == before
    assert made.asset.read_bytes() != before
    assert np.array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(made.asset)))
    assert good(made.asset, trust_lists)
    assert "asset-renamed" not in findings(made.asset, trust_lists)
    with pytest.raises(AlreadyExistsError):
        seal(path, signer=workstation, embed=True)


def test_only_pictures_hold_a_seal_fail(asset: Path, workstation: Identity) -> None:
    with pytest.raises(UnsealableError, match="neither PNG nor JPEG"):
        seal(asset, signer=workstation, embed=True)
    assert set(contents(asset.parent)) == {"cells.dat"}


def test_an_embedded_seal_is_not_lost_under_a_new_one_fail(
    picture: Any, workstation: Identity, trust_lists: Lists
) -> None:
    first = seal(picture("figure.png"), signer=workstation, embed=True)
    with pytest.raises(UnsealableError, match="holds a seal already"):
        seal(first.asset, signer=workstation, embed=True)
    second = seal(first.asset, signer=workstation, embed=True, parents=[first.asset])
    report = verify(second.asset, trust=trust_lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert [link.key for link in report.chain] == [second.label, first.label]


def test_a_file_too_large_to_embed_is_refused_fail(
    picture: Any, workstation: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "MAX_EMBED_BYTES", 10)
    with pytest.raises(UnsealableError, match="at most 10"):
        seal(picture("figure.png"), signer=workstation, embed=True)


# --- what is said, and what is kept private -----------------------------------------------------------------------


def test_the_operator_is_stated_as_asserted(asset: Path, instrument: Identity) -> None:
    orcid = "https://orcid.org/0000-0002-1825-0097"
    made = seal(asset, signer=instrument, operator=orcid)
    said = statements(made.sidecar)["org.rawtrace.acquisition"]  # type: ignore[arg-type]
    assert said["operator"] == {"id": orcid, "standing": "asserted"}


def test_times_are_of_now_and_in_utc(asset: Path, instrument: Identity) -> None:
    made = seal(asset, signer=instrument)
    said = datetime.fromisoformat(statements(made.sidecar)["org.rawtrace.acquisition"]["sealed_at"])  # type: ignore[arg-type]
    assert said.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - said) < timedelta(minutes=5)


def test_what_an_instrument_may_not_say_is_refused_before_reading_fail(tmp_path: Path, instrument: Identity) -> None:
    with pytest.raises(ForbiddenSealError, match="seals captures only"):
        seal(tmp_path, signer=instrument, source_type="humanEdits")
    with pytest.raises(ForbiddenSealError, match="made from other data"):
        seal(tmp_path, signer=instrument, parents=[tmp_path / "nothing"])


@pytest.mark.parametrize("personal", [False, True])
def test_nobody_is_named_unasked(tmp_path: Path, instrument: Identity, personal: bool) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x013B] = "Zaphod Quillfeather"  # Artist
    exif[0x8298] = "(c) Quillfeather"
    exif.get_ifd(0x8825)[29] = "2026:01:02"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 29.5)
    Image.new("RGB", (16, 16)).save(path, exif=exif)
    made = seal(path, signer=instrument, personal=personal)
    assert made.sidecar is not None
    assert (b"Quillfeather" in made.sidecar.read_bytes()) is personal
    if not personal:
        assert b"29.5" not in made.sidecar.read_bytes()


def test_no_patient_is_named_in_the_seal_of_dicom(tmp_path: Path, instrument: Identity) -> None:
    from pydicom import Dataset, dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.PatientName, data.PatientID, data.PatientBirthDate = "Quillfeather^Zaphod", "ZQ-0815", "19700102"
    data.InstitutionName, data.Manufacturer, data.Modality = "Clinic of Nowhere", "Acme Imaging", "OT"
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", generate_uid()
    data.Rows, data.Columns, data.SamplesPerPixel, data.BitsAllocated, data.BitsStored = 2, 2, 1, 8, 8
    data.HighBit, data.PixelRepresentation, data.PhotometricInterpretation = 7, 0, "MONOCHROME2"
    data.PixelData = b"\0" * 4
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = tmp_path / "scan.dcm"
    dcmwrite(path, data, enforce_file_format=True)
    made = seal(path, signer=instrument)
    assert made.sidecar is not None
    sealed = made.sidecar.read_bytes()
    assert b"Acme Imaging" in sealed
    assert [word for word in (b"Quillfeather", b"ZQ-0815", b"19700102", b"Nowhere") if word in sealed] == []


def test_the_public_face_seals_and_verifies(asset: Path, instrument: Identity, authority: Path) -> None:
    rawtrace.seal(asset, signer=rawtrace.load_signer(instrument.folder))
    report = rawtrace.verify(asset, trust=rawtrace.load_trust([authority]))
    assert report.verdict == rawtrace.Verdict.VERIFIED_WITH_NOTES
    assert {report.seal.digital_source_type} <= assertions.CAPTURES  # type: ignore[union-attr]


def test_data_is_not_made_from_itself_fail(tmp_path: Path, workstation: Identity) -> None:
    path = tmp_path / "figure.dat"
    path.write_bytes(b"pixels")
    (tmp_path / "same.dat").hardlink_to(path)
    for parent in (path, tmp_path / "same.dat"):
        with pytest.raises(UsageError, match="from itself"):
            seal(path, signer=workstation, parents=[parent])
    assert not binding.sidecar_of(path).exists()
