"""Ancestors of what is being sealed: their content hashes, and their own seals where they have one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from rawtrace import durable
from rawtrace.errors import UnsealableError
from rawtrace.image.metadata import media_type
from rawtrace.progress import Progress
from rawtrace.sealing import binding, datahash, embedded, envelope, folderindex, manifest
from rawtrace.sealing.assertions import HASH_DATA, INPUTS, VERSIONS, Relationship, printable
from rawtrace.sealing.manifest import Assertion
from rawtrace.trust.signer import Identity

MAX_ANCESTORS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """One input of what is being sealed.

    Attributes
    ----------
    title : str
        File name; for a folder the name of its index.
    sha256 : bytes
        Of the whole file, or of the folder's index.
    store : bytes or None
        The ancestor's manifest store; ``None`` when it has no seal.
    label : str
        Name of this ingredient inside the definition.
    """

    title: str
    media_type: str
    sha256: bytes
    size: int
    relationship: Relationship
    label: str
    store: bytes | None


def gather(paths: Sequence[Path], *, progress: Progress) -> tuple[Ancestor, ...]:
    """Hash every ancestor and find its seal.

    One ancestor is the ``parentOf``; several are ``componentOf`` each, as C2PA
    allows only one parent.

    Raises
    ------
    InputNotFoundError
    UnsealableError
        An ancestor that is not what its own seal says, or whose seal is broken;
        a chain must not be built on it.
    """
    if len(paths) > MAX_ANCESTORS:
        msg = f"{len(paths)} ancestors were named; at most {MAX_ANCESTORS} are accepted"
        raise UnsealableError(msg)
    relationship = Relationship.PARENT_OF if len(paths) == 1 else Relationship.COMPONENT_OF
    return tuple(
        _gather_one(path, f"ancestor-{number}", relationship, progress) for number, path in enumerate(paths, start=1)
    )


def ingredients(ancestors: Sequence[Ancestor], signer: Identity) -> list[dict[str, Any]]:
    """Return the ingredient part of a definition."""
    parts: list[dict[str, Any]] = []
    for ancestor in ancestors:
        if ancestor.store is not None:
            parts.append(
                envelope.describe_ancestor(
                    ancestor.store,
                    label=ancestor.label,
                    title=ancestor.title,
                    media_type=ancestor.media_type,
                    relationship=ancestor.relationship,
                    anchors=signer.chain[1:],
                )
            )
        else:
            parts.append(
                {
                    "title": ancestor.title,
                    "format": ancestor.media_type,
                    "relationship": str(ancestor.relationship),
                    "label": ancestor.label,
                }
            )
    return parts


def inputs_statement(ancestors: Sequence[Ancestor]) -> dict[str, Any]:
    """Return ``org.rawtrace.inputs``: the content hash of every ancestor, sealed or not."""
    items = []
    for ancestor in ancestors:
        item: dict[str, Any] = {
            "title": ancestor.title,
            "media_type": ancestor.media_type,
            "relationship": str(ancestor.relationship),
            "sha256": ancestor.sha256.hex(),
            "size": ancestor.size,
        }
        if ancestor.store is not None:
            sealed = manifest.read_store(ancestor.store)
            item["seal"] = {"label": sealed.active, "claim_sha256": sealed.manifests[sealed.active].claim_sha256}
        items.append(item)
    return {"version": VERSIONS[INPUTS], "inputs": items}


def stores(ancestors: Sequence[Ancestor]) -> dict[str, bytes]:
    """Return the manifest stores that the definition refers to, by identifier."""
    return {f"{ancestor.label}.c2pa": ancestor.store for ancestor in ancestors if ancestor.store is not None}


def _gather_one(path: Path, label: str, relationship: Relationship, progress: Progress) -> Ancestor:
    found = _folder(path, progress) if path.is_dir() else _file(path, progress)
    return Ancestor(
        title=printable(found.named.name),
        media_type=media_type(path),
        sha256=found.sha256,
        size=found.size,
        relationship=relationship,
        label=label,
        store=found.store,
    )


class _Content(NamedTuple):
    named: Path
    sha256: bytes
    size: int
    store: bytes | None


def _file(path: Path, progress: Progress) -> _Content:
    bound = binding.bind_file(path, progress=progress)
    sidecar = binding.sidecar_of(path)
    if sidecar.is_file():
        store = manifest.read_sidecar(sidecar)
        _require_match(path, store, bound.sha256)
        return _Content(path, bound.sha256, bound.size, store)
    inside = embedded.embedded_store(path)
    if inside is None:
        return _Content(path, bound.sha256, bound.size, None)
    store, ranges = inside
    if datahash.check_embedded_binding(path, _data_hash(path, store), ranges) is not None:
        _refuse(path, "is not what its own seal says")
    return _Content(path, bound.sha256, bound.size, store)


def _folder(path: Path, progress: Progress) -> _Content:
    """Let a folder's index stand for it; a folder without an index is hashed as if it had one."""
    named = folderindex.index_of(path)
    sidecar = binding.sidecar_of(named)
    if not named.is_file() or not sidecar.is_file():
        index = folderindex.build_index(path, progress=progress)
        return _Content(named, binding.sha256(index.data), len(index.data), None)
    data = durable.read_bounded(named, limit=folderindex.MAX_INDEX_BYTES)
    store = manifest.read_sidecar(sidecar)
    _require_match(named, store, binding.sha256(data))
    if folderindex.compare_folder(path, folderindex.parse_index(data), progress=progress).any():
        _refuse(path, "is not what its own seal says")
    return _Content(named, binding.sha256(data), len(data), store)


def _require_match(path: Path, store: bytes, sha256: bytes) -> None:
    if datahash.check_sidecar_binding(_data_hash(path, store), sha256=sha256) is not None:
        _refuse(path, "is not what its own seal says")


def _data_hash(path: Path, store: bytes) -> Assertion:
    """Return the one data hash of a sound seal; anything else is refused."""
    sealed = manifest.read_store(store)
    if any(one.problems for one in sealed.manifests.values()):
        _refuse(path, "has a seal that does not hold")
    bound = sealed.bound_manifest()
    found = [one for one in bound.assertions if one.name == HASH_DATA] if bound else []
    if len(found) != 1:
        _refuse(path, "has a seal without exactly one data hash")
    return found[0]


def _refuse(path: Path, why: str) -> NoReturn:
    msg = f"{path} cannot be an ancestor: it {why}"
    raise UnsealableError(msg, hint=f"look at it with: rawtrace verify {path}")
