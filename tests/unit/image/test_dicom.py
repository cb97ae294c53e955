"""DICOM: technical attributes only, and no patient in any result."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from rawtrace.image.completeness import completeness
from rawtrace.image.metadata import harvest
from rawtrace.image.preview import preview

PERSONAL = {
    "PatientName": "Quillfeather^Zaphod",
    "PatientID": "ZQ-0815",
    "PatientBirthDate": "19700102",
    "PatientSex": "O",
    "PatientAge": "056Y",
    "PatientAddress": "Elm Street 7",
    "PatientComments": "afraid of needles",
    "OtherPatientIDs": "OTHER-42",
    "ReferringPhysicianName": "Doc^Referring",
    "PerformingPhysicianName": "Doc^Performing",
    "OperatorsName": "Op^Erator",
    "InstitutionName": "Clinic of Nowhere",
    "InstitutionAddress": "Nowhere Road 1",
    "StationName": "WARD-PC-9",
    "StudyDescription": "knee of Zaphod",
    "SeriesDescription": "left knee of Zaphod",
    "ProtocolName": "Zaphods protocol",
    "ImageComments": "comment on Zaphod",
    "AccessionNumber": "ACC-77",
    "StudyID": "STUDY-5",
    "RequestingPhysician": "Doc^Requesting",
    "StudyInstanceUID": "1.2.3.4.5.6.7.8.9.1",
    "SeriesInstanceUID": "1.2.3.4.5.6.7.8.9.2",
}
BUNDLED = ("CT_small.dcm", "MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "rtdose.dcm")


@pytest.fixture
def dicom(tmp_path: Path) -> Path:
    data = Dataset()
    for keyword, value in PERSONAL.items():
        setattr(data, keyword, value)
    data.Manufacturer, data.ManufacturerModelName, data.DeviceSerialNumber = "Acme Imaging", "Ray 7", "SN-1"
    data.SoftwareVersions = ["1.0", "2.0"]
    data.Modality, data.SOPClassUID, data.SOPInstanceUID = "OT", "1.2.840.10008.5.1.4.1.1.7", generate_uid()
    data.Rows, data.Columns, data.SamplesPerPixel, data.BitsAllocated, data.BitsStored = 6, 8, 1, 16, 12
    data.HighBit, data.PixelRepresentation, data.PhotometricInterpretation = 11, 0, "MONOCHROME2"
    data.PixelSpacing = ["0.5", "0.25"]
    data.ExposureTime = "20"
    data.AcquisitionDateTime = "20260301102030.5+0100"
    data.PixelData = np.arange(48, dtype="<u2").tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = tmp_path / "scan.dcm"
    dcmwrite(path, data, enforce_file_format=True)
    return path


def test_no_patient_in_the_result_fail(dicom: Path) -> None:
    text = json.dumps(asdict(harvest(dicom)))
    for keyword, value in PERSONAL.items():
        if keyword != "PatientSex":
            assert value not in text, keyword
            assert keyword not in text, keyword
    for word in ("Zaphod", "Quillfeather", "Doc", "Nowhere", "WARD"):
        assert word not in text


def test_the_second_list_is_taken_only_when_asked(dicom: Path) -> None:
    found = {value.name: value.value for value in harvest(dicom, personal=True).values}
    assert found["personal.operator"] == "Op^Erator"
    assert found["personal.patient_id"] == "ZQ-0815"
    # A name, a birthday and an address are on no list at all.
    text = json.dumps(found, default=str)
    for keyword in ("PatientName", "PatientBirthDate", "PatientAddress"):
        assert PERSONAL[keyword] not in text


def test_technical_values_and_units(dicom: Path) -> None:
    found = harvest(dicom)
    taken = {value.name: value.value for value in found.values}
    assert found.notes == ()
    assert taken["instrument.serial"] == "SN-1"
    assert taken["acquisition.software_version"] == "1.0, 2.0"
    assert (taken["pixels.size_x"], taken["pixels.size_y"]) == (8, 6)
    assert (taken["pixels.physical_size_x_um"], taken["pixels.physical_size_y_um"]) == (250.0, 500.0)
    assert taken["exposure.time_s"] == pytest.approx(0.02)
    assert taken["acquisition.time"] == "2026-03-01T10:20:30.5+01:00"


def test_deflated_bomb_is_not_unfolded_fail(dicom: Path, tmp_path: Path) -> None:
    data = dcmread(dicom)
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    stream = BytesIO()
    dcmwrite(stream, data, enforce_file_format=True)
    head = stream.getvalue()
    length = struct.unpack("<I", head[140:144])[0]
    packer = zlib.compressobj(9, wbits=-15)
    path = tmp_path / "bomb.dcm"
    path.write_bytes(head[: 144 + length] + packer.compress(b"\x00" * 50_000_000) + packer.flush())
    found = harvest(path)
    assert not found.values
    assert "deflated" in found.notes[0]
    assert preview(path) is None
    assert completeness(path).finished is None


@pytest.mark.parametrize("cut", [132, 140, 200, 400])
def test_cut_headers_never_raise_fail(dicom: Path, cut: int) -> None:
    dicom.write_bytes(dicom.read_bytes()[:cut])
    text = json.dumps(asdict(harvest(dicom)))
    assert "Zaphod" not in text
    assert preview(dicom) is None
    assert completeness(dicom).finished is not True


def test_pixels_shorter_than_promised_are_unfinished_fail(dicom: Path) -> None:
    assert completeness(dicom).finished is True
    dicom.write_bytes(dicom.read_bytes()[:-10])
    assert completeness(dicom).finished is False


def test_text_burned_into_the_pixels_is_not_shown_fail(dicom: Path) -> None:
    assert preview(dicom) is not None
    data = dcmread(dicom)
    data.BurnedInAnnotation = "YES"
    data.save_as(dicom)
    assert preview(dicom) is None


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_samples(name: str) -> None:
    path = Path(str(get_testdata_file(name, download=False)))
    found = harvest(path)
    assert found.media_type == "application/dicom"
    taken = {value.name: value.value for value in found.values}
    original = dcmread(path)
    assert (taken["pixels.size_x"], taken["pixels.size_y"]) == (original.Columns, original.Rows)
    text = json.dumps(asdict(found))
    for keyword in PERSONAL:
        value = str(original.get(keyword, ""))
        # Some samples name the maker as the institution.
        assert len(value) < 5 or value in str(original.get("Manufacturer")) or value not in text, keyword
    shown = preview(path)
    assert shown is not None
    assert shown.png.startswith(b"\x89PNG")
    assert completeness(path).finished is True


def test_truncated_sample_is_unfinished_fail() -> None:
    path = Path(str(get_testdata_file("MR_truncated.dcm", download=False)))
    assert completeness(path).finished is False
