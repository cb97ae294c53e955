"""The hard binding ``c2pa.hash.data``: the digest of a file, with or without parts left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rawtrace.errors import from_os_error
from rawtrace.sealing.ingredients import DIGESTS
from rawtrace.sealing.model import Assertion
from rawtrace.sealing.problem import Problem

LABEL = "c2pa.hash.data"
MAX_EXCLUSIONS = 64
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class DataHash:
    """What a ``c2pa.hash.data`` assertion says.

    Attributes
    ----------
    algorithm : str
        ``sha256``, ``sha384`` or ``sha512``.
    digest : bytes
    exclusions : tuple[tuple[int, int], ...]
        Start and end offset in bytes of what was left out, sorted and apart from each other.
    """

    algorithm: str
    digest: bytes
    exclusions: tuple[tuple[int, int], ...]


def read_data_hash(assertion: Assertion, *, claim_algorithm: str = "sha256") -> DataHash | Problem:
    """Read a ``c2pa.hash.data`` assertion.

    Parameters
    ----------
    assertion : Assertion
    claim_algorithm : str
        What holds where the assertion names no algorithm.

    Returns
    -------
    DataHash or Problem
        ``binding-unreadable`` or ``unsupported-algorithm``.
    """
    data = assertion.data
    if assertion.name != LABEL or not isinstance(data, dict):
        return Problem("binding-unreadable", f"{assertion.label} is not a hash of the file's bytes")
    algorithm = data.get("alg", claim_algorithm)
    if not isinstance(algorithm, str) or algorithm not in DIGESTS:
        return Problem("unsupported-algorithm", f"{assertion.label} names a digest which is not known")
    digest = data.get("hash")
    if not isinstance(digest, bytes) or len(digest) != hashlib.new(algorithm).digest_size:
        return Problem("binding-unreadable", f"{assertion.label} holds no {algorithm} digest")
    exclusions = _exclusions(data.get("exclusions"))
    if exclusions is None:
        return Problem("binding-unreadable", f"{assertion.label} leaves out ranges that overlap or are none")
    return DataHash(algorithm, digest, exclusions)


def check_sidecar_binding(assertion: Assertion, *, sha256: bytes, claim_algorithm: str = "sha256") -> Problem | None:
    """Compare the binding of a seal beside its file with the file's SHA-256.

    A seal beside its file has nothing to leave out: exclusions would let bytes be
    changed unseen.

    Returns
    -------
    Problem or None
        ``bytes-changed``, ``exclusions-in-sidecar``, or what ``read_data_hash`` found.
    """
    said = read_data_hash(assertion, claim_algorithm=claim_algorithm)
    if isinstance(said, Problem):
        return said
    if said.exclusions:
        return Problem("exclusions-in-sidecar", "the seal lies beside its file and yet leaves parts of the file out")
    if said.algorithm != "sha256":
        return Problem("unsupported-algorithm", f"the file is bound by {said.algorithm}; a sidecar needs sha256")
    if said.digest != sha256:
        return Problem("bytes-changed", "the bytes are not those that were sealed")
    return None


def check_embedded_binding(
    path: Path,
    assertion: Assertion,
    ranges: Sequence[tuple[int, int]],
    *,
    claim_algorithm: str = "sha256",
) -> Problem | None:
    """Compare the binding of a seal inside its file with the file.

    Parameters
    ----------
    path : Path
    assertion : Assertion
        The hard binding, ``c2pa.hash.data``.
    ranges : Sequence[tuple[int, int]]
        Where the manifest lies in the file, from ``embedded_store``.
    claim_algorithm : str
        What holds where the assertion names no algorithm.

    Returns
    -------
    Problem or None
        ``data-outside-seal`` where something other than exactly the manifest was
        left out of the digest, ``bytes-changed``, or what ``read_data_hash`` found.

    Raises
    ------
    Error
        The file cannot be read.
    """
    said = read_data_hash(assertion, claim_algorithm=claim_algorithm)
    if isinstance(said, Problem):
        return said
    if said.exclusions != tuple(ranges):
        return Problem("data-outside-seal", "the seal leaves out parts of the file that are not the seal itself")
    try:
        with path.open("rb") as stream:
            digest = _digest(stream, said)
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    if digest != said.digest:
        return Problem("bytes-changed", "the bytes are not those that were sealed")
    return None


def _exclusions(value: object) -> tuple[tuple[int, int], ...] | None:
    """Return the ranges, touching ones joined; ``None`` where they overlap or are malformed."""
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_EXCLUSIONS:
        return None
    ranges: list[tuple[int, int]] = []
    for item in value:
        start, length = (item.get("start"), item.get("length")) if isinstance(item, dict) else (None, None)
        if type(start) is not int or type(length) is not int or start < 0 or length < 0:
            return None
        if length:  # other programs write an empty range where they leave nothing out
            ranges.append((start, start + length))
    return joined(sorted(ranges))


def joined(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...] | None:
    """Join sorted ranges that touch; ``None`` where two overlap."""
    result: list[tuple[int, int]] = []
    for start, end in ranges:
        if result and start < result[-1][1]:
            return None
        if result and start == result[-1][1]:
            result[-1] = (result[-1][0], end)
        else:
            result.append((start, end))
    return tuple(result)


def _digest(stream: IO[bytes], said: DataHash) -> bytes:
    digest = hashlib.new(said.algorithm)
    position = 0
    for start, end in said.exclusions:
        for block in _blocks(stream, start - position):
            digest.update(block)
        stream.seek(end)
        position = end
    for block in _blocks(stream, -1):
        digest.update(block)
    return digest.digest()


def _blocks(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield what comes next: ``size`` bytes, or everything where ``size`` is negative."""
    while size:
        block = stream.read(_READ_BYTES if size < 0 else min(size, _READ_BYTES))
        if not block:
            return
        size -= len(block) if size > 0 else 0
        yield block
