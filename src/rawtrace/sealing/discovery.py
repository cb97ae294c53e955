"""Which paths below a folder are data, and which only belong to data."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rawtrace import durable
from rawtrace.errors import LimitError, from_os_error
from rawtrace.sealing import binding, folderindex, leftovers

MAX_DEPTH = 64
_ASIDE_SUFFIXES = (
    binding.SIDECAR_SUFFIX,
    binding.COMPANION_SUFFIX,
    binding.PLANES_SUFFIX,
    binding.RECEIPTS_SUFFIX,
    folderindex.INDEX_SUFFIX,
)
_OLDER_INDEX = re.compile(r".+\.sha256\.superseded-[0-9]{5}", re.DOTALL)
_ZARR_MARKS = frozenset({"zarr.json", ".zgroup", ".zattrs", ".zarray"})


def is_folder_asset(folder: Path) -> bool:
    """Whether a folder is one thing: a Zarr, or a folder with the seal of an index beside it.

    An index without a seal does not count: anybody's list of checksums may be called NAME.sha256.
    """
    named = folder if folder.name not in {"", ".."} else folder.resolve()
    if named.name.endswith(".zarr"):
        return True
    if named.name and binding.sidecar_of(folderindex.index_of(named)).is_file():
        return True
    return any((folder / mark).is_file() for mark in _ZARR_MARKS)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Something below a folder that is not looked at, and why; told to the reader, never kept silent."""

    path: Path
    why: str


def assets_below(folder: Path) -> Iterator[Path | PassedOver]:
    """Yield every file and every folder asset below a folder, sorted; links are not followed.

    What only belongs to data (its seal, its index, its long metadata) counts with
    the data; where the data is gone it is yielded itself.
    """
    if is_folder_asset(folder):
        yield folder
        return
    pending: list[tuple[Path, int]] = [(folder, 0)]
    while pending:
        place, depth = pending.pop()
        if depth > MAX_DEPTH:
            msg = f"{folder} is nested more than {MAX_DEPTH} folders deep"
            raise LimitError(msg)
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            raise from_os_error(error, f"reading {place}") from error
        names = {entry.name for entry in entries}
        folders: list[tuple[Path, int]] = []
        for entry in entries:
            path = Path(entry.path)
            if entry.is_symlink():
                yield PassedOver(path, "a link; links are not followed")
            elif entry.is_dir(follow_symlinks=False):
                if is_folder_asset(path):
                    yield path
                else:
                    folders.append((path, depth + 1))
            elif folderindex.is_litter(entry.name):
                yield PassedOver(path, "a file of the kind that an operating system leaves behind")
            elif entry.name.endswith(durable.TEMPORARY_SUFFIX):
                yield PassedOver(path, "a temporary file of rawtrace")
            elif leftovers.is_moved_aside(entry.name):
                yield PassedOver(path, "what an interrupted run of rawtrace left behind of data that has changed since")
            elif _OLDER_INDEX.fullmatch(entry.name) and entry.name + binding.SIDECAR_SUFFIX in names:
                yield PassedOver(path, "the index of a folder's earlier seal, which a newer one replaces")
            elif not _counts_with_other(entry.name, names):
                yield path
        pending.extend(reversed(folders))


def _counts_with_other(name: str, names: set[str]) -> bool:
    """Whether what a file belongs to lies in the same folder."""
    if ".superseded-" in name and name.endswith(_ASIDE_SUFFIXES):
        return True
    sealed = name.removesuffix(binding.RECEIPTS_SUFFIX)
    if sealed != name:
        return sealed in names
    owner = name.removesuffix(binding.SIDECAR_SUFFIX)
    if owner != name:
        return owner in names or owner.removesuffix(folderindex.INDEX_SUFFIX) in names
    owner = name.removesuffix(binding.COMPANION_SUFFIX).removesuffix(binding.PLANES_SUFFIX)
    if owner != name:
        return owner in names or owner.removesuffix(folderindex.INDEX_SUFFIX) in names
    folder = name.removesuffix(folderindex.INDEX_SUFFIX)
    return folder != name and folder in names and (folder.endswith(".zarr") or name + binding.SIDECAR_SUFFIX in names)
