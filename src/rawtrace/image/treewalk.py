"""The order in which the files of a folder are hashed as one: TREEWALK, as iscc-sum and iscc-bio have it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from rawtrace.errors import LimitError, from_os_error

MAX_FILES = 4_000_000
MAX_DEPTH = 64
IGNORE_FILE = ".isccignore"
_SIDECAR = ".iscc.json"


def treewalk(folder: Path) -> Iterator[Path]:
    """Yield the regular files of a folder in an order that is the same on every system.

    In each folder first the names that begin with a dot and end in ``ignore``, then the other files, then the folders
    in it; each by the UTF-8 bytes of its name in NFC. Symbolic links are passed over, and so is what ends in
    ``.iscc.json``. Rules in ``.isccignore`` files are not applied: the code covers every byte.

    Raises
    ------
    LimitError
        More files, or folders deeper inside one another, than are accepted.
    InputNotFoundError, UnreadableError
    """
    for count, path in enumerate(_walk(folder, 0)):
        if count >= MAX_FILES:
            msg = f"{folder} holds more than {MAX_FILES} files; no more are accepted"
            raise LimitError(msg)
        if not path.name.endswith(_SIDECAR):
            yield path


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    if depth > MAX_DEPTH:
        msg = f"{folder} lies in more than {MAX_DEPTH} folders inside one another; no more are accepted"
        raise LimitError(msg)
    try:
        with os.scandir(folder) as entries:
            found = sorted((one for one in entries if not one.is_symlink()), key=_order)
    except OSError as error:
        raise from_os_error(error, f"reading {folder}") from error
    files = [one.name for one in found if one.is_file(follow_symlinks=False)]
    yield from (folder / name for name in files if _comes_first(name))
    yield from (folder / name for name in files if not _comes_first(name))
    for one in found:
        if one.is_dir(follow_symlinks=False):
            yield from _walk(folder / one.name, depth + 1)


def _order(entry: os.DirEntry[str]) -> tuple[bytes, bytes]:
    return normalize("NFC", entry.name).encode("utf-8", "surrogateescape"), os.fsencode(entry.name)


def _comes_first(name: str) -> bool:
    return name.startswith(".") and name.endswith("ignore")
