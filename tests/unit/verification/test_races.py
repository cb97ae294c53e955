"""What is swapped between two looks at it proves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rawtrace.errors import ChangedWhileReadError
from rawtrace.sealing import binding, folderindex
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity
from rawtrace.trust.trustlist import read_list
from rawtrace.verification.verify import verify


def test_an_index_swapped_after_it_was_hashed_fail(
    tmp_path: Path, instrument: Identity, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "stack.zarr"
    folder.mkdir()
    (folder / "zarr.json").write_bytes(b"{}")
    seal(folder, signer=instrument)
    bind_file = binding.bind_file

    def swap_afterwards(path: Path, **options: Any) -> binding.FileBinding:
        found = bind_file(path, **options)
        (folder / "zarr.json").write_bytes(b"[]")
        path.write_bytes(folderindex.build_index(folder).data)
        return found

    monkeypatch.setattr(binding, "bind_file", swap_afterwards)
    lists = [read_list((authority / "trust-list.jws").read_bytes(), source="test")]
    with pytest.raises(ChangedWhileReadError):
        verify(folder, trust=lists)
