"""What is said of the planes where the bytes are not those that were sealed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile

from rawtrace.report import Outcome, Report, Verdict
from rawtrace.sealing import assertions, manifest, pixels
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity
from rawtrace.verification.policy import Policy
from rawtrace.verification.verify import verify

SHAPE = (2, 3, 32, 48)


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 4_000, SHAPE, dtype=np.uint16)


def write(path: Path, pixels: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "TZYX"}, **options)
    return path


@pytest.fixture
def sealed(tmp_path: Path, stack: np.ndarray, instrument: Identity) -> Path:
    path = write(tmp_path / "a.ome.tif", stack)
    seal(path, signer=instrument)
    return path


def resaved(sealed: Path, pixels: np.ndarray, **options: object) -> Report:
    """Put other bytes in the place of the sealed ones, and verify."""
    sealed.unlink()
    return verify(write(sealed, pixels, **options), trust=[])


def ids(report: Report) -> set[str]:
    return {finding.id for finding in report.findings}


def said(report: Report, identifier: str) -> Sequence[str]:
    return [finding.message for finding in report.findings if finding.id == identifier]


def test_converted_file_has_all_its_planes(sealed: Path, stack: np.ndarray) -> None:
    report = resaved(sealed, stack, compression="zlib", tile=(16, 16))
    assert report.verdict is Verdict.ALTERED
    assert "bytes-changed" not in ids(report)
    assert "all 6 planes are those that were sealed" in said(report, "bytes-converted")[0]
    accepted = Policy("pixels", {"bytes-converted": Outcome.NOTE})
    assert verify(sealed, trust=[], policy=accepted).verdict is Verdict.INCONCLUSIVE  # by the unknown signer alone


def test_one_pixel_names_its_plane(sealed: Path, stack: np.ndarray) -> None:
    stack[1, 2, 3, 4] += 1
    report = resaved(sealed, stack)
    assert {"bytes-changed", "planes-changed"} <= ids(report)
    message = said(report, "planes-changed")[0]
    assert message == "plane z=2, c=0, t=1 differs from what was sealed; the other 5 are those that were sealed"


def test_many_planes_are_named_as_runs(sealed: Path, stack: np.ndarray) -> None:
    stack[:, :2] += 1
    assert "planes 1 to 4 of 6 differ" in said(resaved(sealed, stack), "planes-changed")[0]


def test_same_bytes_in_another_shape_are_not_the_same_image(sealed: Path, stack: np.ndarray) -> None:
    report = resaved(sealed, np.ascontiguousarray(stack.reshape(3, 2, 32, 48)))
    assert "bytes-converted" not in ids(report)
    assert "6 of the 6 sealed planes are among 6" in said(report, "planes-changed")[0]


def test_unreadable_pixels_are_not_compared_and_never_pass(sealed: Path) -> None:
    data = sealed.read_bytes()
    sealed.unlink()
    sealed.write_bytes(data[: len(data) // 2])
    report = verify(sealed, trust=[])
    assert report.verdict is Verdict.ALTERED
    assert {"bytes-changed", "planes-not-compared"} <= ids(report)


def test_without_codes_nothing_is_said_of_planes(tmp_path: Path, stack: np.ndarray, instrument: Identity) -> None:
    path = write(tmp_path / "b.ome.tif", stack)
    seal(path, signer=instrument, codes=False)
    assert "bytes-changed" in ids(report := resaved(path, stack, compression="zlib"))
    assert not {"bytes-converted", "planes-changed", "planes-not-compared"} & ids(report)


@pytest.fixture
def long(tmp_path: Path, stack: np.ndarray, instrument: Identity, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sealed file whose digests lie in a companion."""
    monkeypatch.setattr(pixels, "INLINE_PLANES", 4)
    path = write(tmp_path / "long.ome.tif", stack)
    made = seal(path, signer=instrument)
    assert made.planes is not None
    assert made.planes.name == "long.ome.tif.planes.json"
    return path


def test_companion_proves_the_planes(long: Path, stack: np.ndarray) -> None:
    assert "companion-unchanged" in ids(verify(long, trust=[]))
    assert "bytes-converted" in ids(resaved(long, stack, compression="zlib"))


@pytest.mark.parametrize("damage", ["gone", "changed", "not JSON"])
def test_companion_that_is_not_as_sealed_proves_nothing_fail(long: Path, stack: np.ndarray, damage: str) -> None:
    companion = long.with_name(f"{long.name}.planes.json")
    read = json.loads(companion.read_bytes())
    companion.unlink()
    if damage != "gone":
        read["scenes"][0]["planes"].reverse()
        companion.write_text(json.dumps(read) if damage == "changed" else "[", encoding="utf-8")
    report = resaved(long, stack, compression="zlib")
    assert "bytes-converted" not in ids(report)
    assert {"bytes-changed", "planes-not-compared"} <= ids(report)
    assert ("companion-missing" if damage == "gone" else "companion-changed") in ids(report)


def test_folder_says_which_planes_are_the_same(tmp_path: Path, stack: np.ndarray, instrument: Identity) -> None:
    zarr = pytest.importorskip("zarr", reason="the zarr extra is not installed")
    folder = tmp_path / "stack.ome.zarr"
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    group.create_array("0", data=stack, chunks=(1, 1, 32, 48), compressors=None)
    axes = [{"name": "t", "type": "time"}] + [{"name": axis, "type": "space"} for axis in "zyx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    seal(folder, signer=instrument)
    shutil.copy(folder / "0" / "0.1.0.0", folder / "0" / "1.2.0.0")
    report = verify(folder, trust=[])
    assert {"member-changed", "planes-changed"} <= ids(report)
    assert "z=2, c=0, t=1" in said(report, "planes-changed")[0]


def test_one_of_two_images_is_said_to_be_the_same(tmp_path: Path, stack: np.ndarray, instrument: Identity) -> None:
    path = tmp_path / "two.ome.tif"

    def write_both(second: np.ndarray) -> None:
        with tifffile.TiffWriter(path, ome=True) as tif:
            tif.write(stack, metadata={"axes": "TZYX"})
            tif.write(second, metadata={"axes": "TZYX"})

    write_both(stack[:1])
    seal(path, signer=instrument)
    path.unlink()
    write_both(stack[:1] + 1)
    report = verify(path, trust=[])
    assert said(report, "planes-unchanged") == ["all 6 planes are those that were sealed, of image 1"]
    assert "planes 1 to" not in said(report, "planes-changed")[0]


def test_damaged_image_is_sealed_and_says_why_it_has_no_digests(sealed: Path, instrument: Identity) -> None:
    path = sealed.with_name("cut.ome.tif")
    path.write_bytes(sealed.read_bytes()[:-4_000])
    made = seal(path, signer=instrument)
    assert made.sidecar is not None
    store = manifest.read_store(made.sidecar.read_bytes())
    stated = next(one.data for one in store.active_manifest.assertions if one.label == assertions.PIXELS)
    assert stated["scenes"] == []
    assert stated["notes"]
    path.write_bytes(sealed.read_bytes())
    assert "planes-not-compared" in ids(verify(path, trust=[]))


def test_what_is_no_image_has_no_statement_about_pixels(tmp_path: Path, instrument: Identity) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    made = seal(path, signer=instrument)
    assert made.sidecar is not None
    store = manifest.read_store(made.sidecar.read_bytes())
    assert {one.label for one in store.active_manifest.assertions}.isdisjoint(
        {assertions.PIXELS, assertions.SOFT_BINDING}
    )
