"""Seals as an index takes them, and the active manifest as a seal of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

pytest.importorskip("sqlalchemy")


from rawtrace.errors import LimitError, SealUnreadableError, UnsealableError
from rawtrace.image.codes import bits_of, codes_of
from rawtrace.match.index.seals import MAX_SEAL_BYTES
from rawtrace.sealing.activealone import active_alone
from rawtrace.sealing.beside import SealsBeside
from rawtrace.sealing.manifest import read_store
from rawtrace.sealing.seal import seal
from rawtrace.trust.signer import Identity

SEALS = SealsBeside()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, np.random.default_rng(1).integers(0, 255, (40, 48), np.uint8))
    return path


def test_a_broken_seal_is_refused_fail(image: Path, instrument: Identity) -> None:
    made = seal(image, signer=instrument)
    store = bytearray(made.sidecar.read_bytes())
    place = store.index(b"cells.tif")
    store[place] ^= 1
    for bad in (b"", b"nonsense", bytes(store), bytes(store[:-1])):
        with pytest.raises(SealUnreadableError):
            SEALS.read(bad)


def test_a_huge_sidecar_is_not_read_fail(image: Path) -> None:
    with image.with_name("cells.tif.c2pa").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(LimitError, match=f"at most {MAX_SEAL_BYTES}"):
        SEALS.store_of(image)


def test_what_has_no_seal(image: Path, tmp_path: Path) -> None:
    assert SEALS.store_of(image) is None
    (tmp_path / "x.zarr").mkdir()
    assert SEALS.store_of(tmp_path / "x.zarr") is None


def test_a_seal_beside_a_file_and_its_codes(image: Path, instrument: Identity) -> None:
    made = seal(image, signer=instrument)
    store = SEALS.store_of(image)
    assert store == made.sidecar.read_bytes()
    facts = SEALS.read(store)
    assert (facts.label, facts.claim_sha256) == (made.label, made.claim_sha256)
    assert facts.data == (bits_of(codes_of(image, planes=False, views=False).data),)


def test_seals_of_folders_and_inside_files(tmp_path: Path, instrument: Identity) -> None:
    from PIL import Image

    folder = tmp_path / "plate.zarr"
    folder.mkdir()
    (folder / "0").write_bytes(b"chunk")
    made = seal(folder, signer=instrument)
    assert SEALS.store_of(folder) == made.sidecar.read_bytes()
    picture = tmp_path / "figure.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(picture)
    inside = seal(picture, signer=instrument, embed=True)
    assert SEALS.read(SEALS.store_of(inside.asset) or b"").label == inside.label


def test_the_active_manifest_alone(image: Path, instrument: Identity, workstation: Identity) -> None:
    made = seal(image, signer=instrument)
    store = made.sidecar.read_bytes()
    assert active_alone(store) == store
    figure = image.with_name("figure.tif")
    figure.write_bytes(image.read_bytes() + b"more")
    derived = seal(figure, signer=workstation, parents=[image]).sidecar.read_bytes()
    assert len(read_store(derived).manifests) == 2
    with pytest.raises(UnsealableError, match="made from others"):
        active_alone(derived)


def test_the_active_manifest_is_taken_out_of_a_store_that_others_are_in(image: Path, instrument: Identity) -> None:
    from rawtrace.sealing.jumbf import parse

    first = seal(image, signer=instrument).sidecar.read_bytes()
    other = image.with_name("other.tif")
    other.write_bytes(image.read_bytes() + b"more")
    second = seal(other, signer=instrument).sidecar.read_bytes()
    box = parse(first).children[0]
    content = first[8 : box.start] + first[box.start : box.end] + second[parse(second).children[0].start :]
    both = (8 + len(content)).to_bytes(4, "big") + b"jumb" + content
    assert len(read_store(both).manifests) == 2
    alone = active_alone(both)
    assert alone == second
    assert read_store(alone).active_manifest.problems == ()
