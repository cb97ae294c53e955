"""Keys are no data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rawtrace.errors import UnsealableError
from rawtrace.sealing.seal import seal
from rawtrace.trust import authority as authorities
from rawtrace.trust.identity import Identity


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("name", ["", "key.pem", "key.json", "certificate.pem", "instrument.json", "notes.txt"])
def test_an_identitys_folder_is_not_sealed(instrument: Identity, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "scope"
    shutil.copytree(instrument.folder, folder)
    (folder / "notes.txt").write_text("a note")
    before = files(tmp_path)
    with pytest.raises(UnsealableError, match="holds the key of an identity"):
        seal(folder / name, signer=instrument)
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["", "authority.json", "issuing", "issuing/key.pem", "root/key.pem", "operator"])
def test_an_authoritys_folder_is_not_sealed(instrument: Identity, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "authority"
    authorities.create_authority(folder, name="Example Authority")
    before = files(tmp_path)
    with pytest.raises(UnsealableError, match="holds the key of"):
        seal(folder / name, signer=instrument)
    assert files(tmp_path) == before


def test_data_with_such_a_name_is_sealed(instrument: Identity, tmp_path: Path) -> None:
    (tmp_path / "plate").mkdir()
    for name in ("key.json", "wells.csv"):
        (tmp_path / "plate" / name).write_text("{}")
    assert seal(tmp_path / "plate", signer=instrument).size == 4
    assert seal(tmp_path / "plate" / "key.json", signer=instrument).size == 2
