"""Seals of files, as an index keeps them: beside the file or in it, and only where they are sound in themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import LimitError, MalformedError, SealUnreadableError
from rawtrace.image.isccunits import bits_of, decode_seq
from rawtrace.sealing import binding, embedded, folderindex, manifest
from rawtrace.sealing.assertions import SOFT_BINDING
from rawtrace.sealing.pixels import SOFT_BINDING_ALGORITHM

if TYPE_CHECKING:
    from rawtrace.match.index.seals import SealFacts
    from rawtrace.sealing.manifest import Manifest

_DATA_CODE = "ISCC:GAD"
_MAX_BLOCKS = 256


class SealsBeside:
    """Finds the seal of a file or folder where every seal lies: beside it, else inside it.

    It is what ``PictureIndex.add`` takes as ``seal_reader``.
    """

    def store_of(self, path: Path) -> bytes | None:
        """Return the manifest store; ``None`` where there is no seal.

        Raises
        ------
        LimitError
            It is larger than what an index keeps.
        UnreadableError, SealUnreadableError
        """
        from rawtrace.match.index.seals import MAX_SEAL_BYTES

        sidecar = binding.sidecar_of(folderindex.index_of(path) if path.is_dir() else path)
        try:
            size = sidecar.stat().st_size
        except OSError:
            size = -1
        if size >= 0:
            found: bytes | None = manifest.read_sidecar(sidecar) if size <= MAX_SEAL_BYTES else None
        elif path.is_dir():
            return None
        else:
            inside = embedded.embedded_store(path)
            if inside is None:
                return None
            found = inside[0]
            size = len(found)
        if found is None or len(found) > MAX_SEAL_BYTES:
            msg = f"its seal has {size} bytes; an index keeps at most {MAX_SEAL_BYTES}"
            raise LimitError(msg)
        return found

    def read(self, store: bytes) -> SealFacts:
        """Take a seal apart.

        Raises
        ------
        SealUnreadableError
            It cannot be read, or has been changed since it was signed.
        """
        from rawtrace.match.index.seals import MAX_LABEL, SealFacts

        found = manifest.read_store(store)
        active, bound = found.active_manifest, found.bound_manifest()
        if active.problems or bound is None or bound.problems:
            why = [*active.problems, *(bound.problems if bound is not None else ())]
            msg = f"its seal is not sound: {why[0].message if why else 'it binds no data'}"
            raise SealUnreadableError(msg)
        if len(active.label) > MAX_LABEL:
            msg = f"its seal has a name of more than {MAX_LABEL} characters"
            raise SealUnreadableError(msg)
        codes = tuple(dict.fromkeys(_data_codes(bound)))
        return SealFacts(label=active.label, claim_sha256=active.claim_sha256, data=codes)


def _data_codes(bound: Manifest) -> Iterator[bytes]:
    """Yield the Data-Codes that a seal's soft bindings state for its file."""
    for assertion in bound.assertions:
        said = assertion.data if assertion.name == SOFT_BINDING and assertion.created else None
        blocks = said.get("blocks") if isinstance(said, dict) and said.get("alg") == SOFT_BINDING_ALGORITHM else None
        for block in (blocks if isinstance(blocks, list) else [])[:_MAX_BLOCKS]:
            with contextlib.suppress(MalformedError):
                units = decode_seq(_bytes(block.get("value") if isinstance(block, dict) else None))
                yield from [bits_of(unit) for unit in units if unit.startswith(_DATA_CODE)]


def _bytes(value: Any) -> bytes:
    """Return what C2PA's library writes for bytes: a byte string, or an array of numbers."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, list) and all(type(one) is int and 0 <= one < 256 for one in value):
        return bytes(value)
    return b""
