"""Which paths below a folder are data, and which only belong to data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from rawtrace import durable
from rawtrace.errors import LimitError, from_os_error
from rawtrace.sealing import binding, folderindex

MAX_DEPTH = 64
_ZARR_MARKS = frozenset({"zarr.json", ".zgroup", ".zattrs", ".zarray"})


def is_folder_asset(folder: Path) -> bool:
    """Whether a folder is one thing: a Zarr, or a folder that has an index beside it."""
    if folder.name.endswith(".zarr") or folderindex.index_of(folder).is_file():
        return True
    return any((folder / mark).is_file() for mark in _ZARR_MARKS)


def belongs_to_other(name: str) -> bool:
    """Whether a file name is a seal's, a companion's, an index's, a temporary file's or system litter."""
    return folderindex.is_litter(name) or name.endswith(
        (binding.SIDECAR_SUFFIX, binding.COMPANION_SUFFIX, folderindex.INDEX_SUFFIX, durable.TEMPORARY_SUFFIX)
    )


def assets_below(folder: Path) -> Iterator[Path]:
    """Yield every file and every folder asset below a folder, sorted; links are not followed.

    A seal whose data is gone is yielded itself, so that it is not passed over in silence.
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
            if entry.is_symlink():
                continue
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if is_folder_asset(path):
                    yield path
                else:
                    folders.append((path, depth + 1))
            elif entry.is_file(follow_symlinks=False) and (
                not belongs_to_other(entry.name) or _is_orphan(entry.name, names)
            ):
                yield path
        pending.extend(reversed(folders))


def _is_orphan(name: str, names: set[str]) -> bool:
    owner = name.removesuffix(binding.SIDECAR_SUFFIX)
    if not name.endswith(binding.SIDECAR_SUFFIX) or ".superseded-" in name:
        return False
    return owner not in names and owner.removesuffix(folderindex.INDEX_SUFFIX) not in names
