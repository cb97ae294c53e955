"""What a run that was interrupted just before its seal leaves behind: an index or a companion without a seal.

Where the data is still the same, sealing takes them over. Where it has changed
since, they speak for data that was never sealed and would stand in the way for
ever; so they are moved aside, never deleted. Only what reads as rawtrace's own
is moved: another program's file of the same name stays, and sealing says so.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from rawtrace import durable, strictjson
from rawtrace.errors import AlreadyExistsError, Error
from rawtrace.sealing import binding, folderindex

_MAX_COMPANION_BYTES = 64 << 20
#: What a companion that rawtrace wrote holds, by the end of its name.
_COMPANION_KEYS = {binding.COMPANION_SUFFIX: {"values", "notes"}, binding.PLANES_SUFFIX: {"scenes"}}
_ASIDE = re.compile(r".+\.unsealed-[0-9]{5}(\.sha256|\.metadata\.json|\.planes\.json)", re.DOTALL)


def is_moved_aside(name: str) -> bool:
    """Whether a file name is one that this module gives."""
    return _ASIDE.fullmatch(name) is not None


def lies_there(path: Path, data: bytes) -> bool:
    """Whether a file holds exactly these bytes."""
    with contextlib.suppress(OSError):
        return path.stat().st_size == len(data) and path.read_bytes() == data
    return False


def move_index_aside(index: Path, data: bytes) -> Path | None:
    """Move aside an unsealed index that differs from ``data``, if it is one of this folder; return where to."""
    if not index.is_file() or lies_there(index, data) or index.stat().st_size > folderindex.MAX_INDEX_BYTES:
        return None
    found = index.read_bytes()
    with contextlib.suppress(Error):
        folderindex.parse_index(found)
        if _folder_of(found) == _folder_of(data):
            return _move(index, index.name.removesuffix(folderindex.INDEX_SUFFIX), folderindex.INDEX_SUFFIX)
    return None


def move_companion_aside(companion: Path, data: bytes) -> Path | None:
    """Move aside an unsealed companion that differs from ``data``, if rawtrace wrote it; return where to."""
    if not companion.is_file() or lies_there(companion, data) or companion.stat().st_size > _MAX_COMPANION_BYTES:
        return None
    suffix = next(suffix for suffix in _COMPANION_KEYS if companion.name.endswith(suffix))
    with contextlib.suppress(Error):
        found = strictjson.loads(companion.read_bytes(), what=companion.name, max_bytes=_MAX_COMPANION_BYTES)
        if isinstance(found, dict) and found.keys() == _COMPANION_KEYS[suffix]:
            return _move(companion, companion.name.removesuffix(suffix), suffix)
    return None


def _folder_of(index: bytes) -> bytes:
    return index.partition(b"  ")[2].partition(b"/")[0]


def _move(path: Path, stem: str, suffix: str) -> Path | None:
    for number in range(1, 100_000):
        with contextlib.suppress(AlreadyExistsError):
            aside = path.with_name(f"{stem}.unsealed-{number:05d}{suffix}")
            durable.move_aside(path, aside)
            return aside
    return None
