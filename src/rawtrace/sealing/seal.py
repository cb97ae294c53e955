"""Sealing: from a path and an identity to a seal beside the data, whole or not at all.

In this order, so that a crash at any point leaves either no seal or a whole one:

1. what the signer may state is decided before anything is read;
2. the content is hashed (a folder: indexed), metadata is harvested, ancestors are gathered;
3. the statement is signed, and the seal is read back and checked;
4. the data is looked at once more: whatever changed meanwhile is not sealed;
5. companion, index and, last of all, the seal itself are published, none over an existing file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rawtrace import durable
from rawtrace.errors import AlreadyExistsError, EnvelopeError, Error, UnsealableError, UsageError
from rawtrace.image.metadata import harvest, media_type
from rawtrace.progress import SILENT, Progress
from rawtrace.sealing import ancestors as ancestry
from rawtrace.sealing import (
    assertions,
    binding,
    embedded,
    envelope,
    folderindex,
    leftovers,
    manifest,
    pixels,
    statements,
)
from rawtrace.sealing.assertions import Capture
from rawtrace.sealing.keyfolders import refuse_key_folder
from rawtrace.sealing.statements import Device, Subject, Superseded
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.signer import Identity, check_current

_EMBEDDABLE = frozenset({"image/png", "image/jpeg"})
#: The C2PA library holds the whole file in memory while it embeds.
MAX_EMBED_BYTES = 1 << 30
_OWN_SUFFIXES = (binding.SIDECAR_SUFFIX, binding.RECEIPTS_SUFFIX, durable.TEMPORARY_SUFFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What sealing left on the disk.

    Attributes
    ----------
    asset : Path
        What was sealed; with ``embed`` the new file that holds the seal.
    sidecar : Path or None
        The seal beside it; ``None`` when it is embedded.
    index : Path or None
        Index of a folder.
    metadata, planes : Path or None
        Companion files, where the metadata or the digests of planes were too long for the seal.
    label, claim_sha256 : str
        The seal's name.
    content_sha256 : str
        Of the file, or of the folder's index.
    size : int
        Bytes of data that the seal covers.
    """

    asset: Path
    sidecar: Path | None
    index: Path | None
    metadata: Path | None
    planes: Path | None
    label: str
    claim_sha256: str
    content_sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class _Request:
    """What the caller asked to be stated."""

    signer: Identity
    source_type: str
    capture: Capture
    operator: str
    personal: bool
    codes: bool
    superseded: Superseded | None = None
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class _Content:
    """What is bound: the file itself, or a folder's index."""

    subject: Subject
    sha256: bytes
    named: Path
    index: folderindex.FolderIndex | None
    file: binding.FileBinding | None


def seal(
    path: str | Path,
    *,
    signer: Identity,
    source_type: str = "",
    parents: Sequence[str | Path] = (),
    embed: bool = False,
    capture: Capture = Capture.MANUAL,
    operator: str = "",
    personal: bool = False,
    supersede: bool = False,
    codes: bool = True,
    device: Device | None = None,
    progress: Progress = SILENT,
) -> Seal:
    """Seal a file or a folder.

    Parameters
    ----------
    path : str or Path
        The data; never written to.
    signer : Identity
        An instrument seals captures, a workstation seals what is made from them.
    source_type : str
        Last part of an IPTC digital source type; decided by the signer's kind when empty.
    parents : Sequence of str or Path
        Ancestors, sealed or not.
    embed : bool
        PNG and JPEG only: write a new file ``NAME.sealed.EXT`` that holds the seal inside.
    capture : Capture
        How the sealing program came to the data.
    operator : str
        ORCID URL of who was at the instrument; stated as *asserted*.
    personal : bool
        Harvest personal metadata too; never done unasked.
    supersede : bool
        Replace an earlier seal of the same data, which is moved aside and named in the new one.
    codes : bool
        State the codes of an image's planes and views too; they take about as long again as hashing the file.
    device : Device, optional
        Firmware and features in use, for instruments: a status may be about these alone.

    Returns
    -------
    Seal

    Raises
    ------
    CertificateError
        The signer's certificate has run out, or its time has not come.
    ForbiddenSealError, AlreadyExistsError, ChangedWhileReadError, UnsealableError,
    InputNotFoundError, UnreadableError, UnwritableError, EnvelopeError, KeyUnavailableError
    """
    check_current(signer)
    if device is not None and signer.kind is not SignerKind.INSTRUMENT:
        msg = "firmware and features are an instrument's to state"
        raise UsageError(msg, hint="leave them out for derived data")
    path, made_from = _asset_path(Path(path)), tuple(map(Path, parents))
    term = assertions.decide_source_type(signer.role, source_type, parents=len(made_from))
    if embed:
        return _seal_embedded(
            path, _Request(signer, term, capture, operator, personal, codes, device=device), made_from, progress
        )
    if any(_same_file(path, parent) for parent in made_from):
        msg = f"{path} cannot have been made from itself"
        raise UsageError(msg, hint="name the data it was made from, or leave --parent out")
    named = folderindex.index_of(path) if path.is_dir() else path
    sidecar = binding.sidecar_of(named)
    superseded = _superseded(sidecar) if supersede else None
    if sidecar.exists() and superseded is None:
        msg = f"{sidecar} exists already: {path.name} has a seal, and seals are never overwritten"
        raise AlreadyExistsError(msg, hint=f"check it with: rawtrace verify {_as_argument(path)}")

    content = _bind(path, progress)
    found = ancestry.gather(made_from, progress=progress)
    request = _Request(signer, term, capture, operator, personal, codes, superseded, device)
    definition, companions = _definition(path, content.subject, content.named, request, found, progress)
    definition["assertions"].append(_hash_assertion(content))
    store = envelope.sign_sidecar(definition, signer, ancestors=ancestry.stores(found))
    label, claim = _read_back(store, content.sha256)
    _confirm(path, content)
    _publish(content, companions, store, sidecar, supersede=supersede)
    return Seal(
        asset=path,
        sidecar=sidecar,
        index=named if content.index else None,
        metadata=_if_among(companions, binding.companion_of(named)),
        planes=_if_among(companions, binding.planes_of(named)),
        label=label,
        claim_sha256=claim,
        content_sha256=content.sha256.hex(),
        size=content.subject.size,
    )


def sealed_copy_of(path: Path) -> Path:
    """Return where ``embed`` writes: ``NAME.sealed.EXT`` beside ``NAME.EXT``."""
    return path.with_name(f"{path.stem}.sealed{path.suffix}")


def _as_argument(path: Path) -> str:
    # "-" alone would be read as standard input, and with more behind it as an option.
    return f"./{path}" if str(path).startswith("-") else str(path)


def _asset_path(path: Path) -> Path:
    path = binding.with_name(path)
    if not path.is_dir():
        binding.require_regular(path)
    if path.name.endswith(_OWN_SUFFIXES):
        msg = f"{path} is a seal, a receipt or a temporary file of rawtrace, not data"
        raise UnsealableError(msg, hint="name the data itself")
    refuse_key_folder(path)
    return path


def _bind(path: Path, progress: Progress) -> _Content:
    if path.is_dir():
        index = folderindex.build_index(path, progress=progress)
        subject = Subject(name=path.name, kind="folder", size=index.size, members=index.members)
        return _Content(subject, binding.sha256(index.data), folderindex.index_of(path), index, None)
    bound = binding.bind_file(path, progress=progress)
    return _Content(Subject(name=path.name, kind="file", size=bound.size), bound.sha256, path, None, bound)


def _if_among(companions: Mapping[Path, bytes], path: Path) -> Path | None:
    return path if path in companions else None


def _definition(
    path: Path,
    subject: Subject,
    named: Path,
    request: _Request,
    found: Sequence[ancestry.Ancestor],
    progress: Progress,
) -> tuple[dict[str, Any], dict[Path, bytes]]:
    """Return what the C2PA library signs, and the companions that go beside the seal."""
    now = datetime.now(UTC)
    software = f"rawtrace {version('rawtrace')}"
    acquisition, companion = statements.acquisition_statement(
        subject,
        harvest(path, personal=request.personal),
        sealed_at=now,
        software=software,
        operator=request.operator,
        supersedes=request.superseded,
        device=request.device,
    )
    relationships, labels = [a.relationship for a in found], [a.label for a in found]
    steps = statements.actions(request.source_type, relationships, labels, when=now, software=software)
    instrument = statements.instrument_statement(request.signer, request.capture)
    definition: dict[str, Any] = {
        "claim_generator_info": [{"name": "rawtrace", "version": version("rawtrace")}],
        "title": assertions.printable(named.name),
        "assertions": [
            {"label": assertions.ACTIONS, "data": {"actions": steps}},
            {"label": assertions.INSTRUMENT, "data": instrument},
            {"label": assertions.ACQUISITION, "data": acquisition},
        ],
    }
    if found:
        definition["ingredients"] = ancestry.ingredients(found, request.signer)
        definition["assertions"].append({"label": assertions.INPUTS, "data": ancestry.inputs_statement(found)})
    companions = {} if companion is None else {binding.companion_of(named): companion}
    coded = pixels.pixels_of(path, name=named.name, progress=progress) if request.codes else None
    if coded is not None:
        definition["assertions"] += coded.assertions
        if coded.companion is not None:
            companions[binding.planes_of(named)] = coded.companion
    return definition, companions


def _hash_assertion(content: _Content) -> dict[str, Any]:
    # The library wants the digest as a list of integers; a string would be stored as its characters.
    what = "folder index" if content.index else "whole file"
    data = {"name": what, "alg": "sha256", "hash": list(content.sha256), "pad": []}
    return {"label": assertions.HASH_DATA, "data": data}


def _read_back(store: bytes, sha256: bytes | None) -> tuple[str, str]:
    """Read the new seal with our own reader, so that no seal is published that would not verify."""
    read = manifest.read_store(store)
    active = read.manifests[read.active]
    bound = [assertion for assertion in active.assertions if assertion.label == assertions.HASH_DATA]
    if active.problems or len(bound) != 1 or (sha256 is not None and bound[0].data.get("hash") != sha256):
        msg = "the seal that was made does not hold when it is read back, so it was not kept"
        raise EnvelopeError(msg, hint="this is a bug in rawtrace or in the C2PA library; please report it")
    return active.label, active.claim_sha256


def _confirm(path: Path, content: _Content) -> None:
    if content.index is not None:
        folderindex.confirm_unchanged(path, content.index)
    elif content.file is not None:
        binding.confirm_unchanged(path, content.file)


def _publish(
    content: _Content, companions: Mapping[Path, bytes], store: bytes, sidecar: Path, *, supersede: bool
) -> None:
    """Write companions, index and seal; the seal last, since it is what makes the others mean something."""
    written: list[Path] = []
    moved: list[tuple[Path, Path]] = []
    try:
        if supersede:
            receipts = binding.receipts_of(sidecar)
            olds = [sidecar, receipts, binding.companion_of(content.named), binding.planes_of(content.named)]
            for old in olds + ([content.named] if content.index else []):
                if old.exists():
                    aside = _free_aside(old, content.named)
                    durable.move_aside(old, aside)
                    moved.append((old, aside))
        for path, data in companions.items():
            _move_leftover(path, leftovers.move_companion_aside(path, data), moved)
            _write_or_reuse(path, data, written)
        if content.index is not None:
            _move_leftover(content.named, leftovers.move_index_aside(content.named, content.index.data), moved)
            _write_or_reuse(content.named, content.index.data, written)
        durable.write_new(sidecar, store)
    except BaseException as error:
        # A seal that came in between belongs to what lay there before; one of our own needs what we wrote.
        if not sidecar.exists() or (isinstance(error, AlreadyExistsError) and not supersede):
            for path in written:
                with contextlib.suppress(OSError):
                    path.unlink()
            # The seal comes back last: without it the others mean nothing.
            for old, aside in reversed(moved):
                with contextlib.suppress(Error):
                    durable.move_aside(aside, old)
        raise


def _move_leftover(path: Path, aside: Path | None, moved: list[tuple[Path, Path]]) -> None:
    if aside is not None:
        moved.append((path, aside))


def _write_or_reuse(path: Path, data: bytes, written: list[Path]) -> None:
    """Write a file, or accept the equal one that an interrupted run left behind."""
    if leftovers.lies_there(path, data):
        return
    durable.write_new(path, data)
    written.append(path)


def _superseded(sidecar: Path) -> Superseded | None:
    """Name the seal that a new one replaces: the one in place, or one just moved aside by an interrupted run."""
    named = sidecar.with_name(sidecar.name.removesuffix(binding.SIDECAR_SUFFIX))
    asides = sorted(sidecar.parent.glob(f"{_glob_safe(named.name)}.superseded-*{binding.SIDECAR_SUFFIX}"))
    old = sidecar if sidecar.exists() else (asides[-1] if asides else None)
    if old is None:
        return None
    read = manifest.read_store(manifest.read_sidecar(old))
    return Superseded(label=read.active, claim_sha256=read.manifests[read.active].claim_sha256)


def _free_aside(old: Path, named: Path) -> Path:
    suffix = old.name.removeprefix(named.name)
    for number in range(1, 100_000):
        aside = named.with_name(f"{named.name}.superseded-{number:05d}{suffix}")
        if not aside.exists():
            return aside
    msg = f"{named} has been superseded too often"
    raise AlreadyExistsError(msg)


def _glob_safe(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _same_file(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return one.samefile(other)
    return False


def _seal_embedded(path: Path, request: _Request, parents: Sequence[Path], progress: Progress) -> Seal:
    target = sealed_copy_of(path)
    if target.exists():
        msg = f"{target} exists already and is never overwritten"
        raise AlreadyExistsError(msg)
    kind = media_type(path)
    if kind not in _EMBEDDABLE:
        msg = f"{path} is neither PNG nor JPEG, the two formats that a seal is embedded into"
        raise UnsealableError(msg, hint="leave --embed out: the seal then lies beside the file")
    bound = binding.bind_file(path, progress=progress)
    if embedded.embedded_store(path) is not None and not any(_same_file(path, parent) for parent in parents):
        msg = f"{path} holds a seal already, which the new one would take the place of"
        raise UnsealableError(msg, hint=f"name it as what this is made from: --parent {path}")
    if bound.size > MAX_EMBED_BYTES:
        msg = f"{path} is {bound.size} bytes; a seal is embedded into files of at most {MAX_EMBED_BYTES}"
        raise UnsealableError(msg, hint="leave --embed out: the seal then lies beside the file")
    found = ancestry.gather(parents, progress=progress)
    subject = Subject(name=target.name, kind="file", size=bound.size)
    definition, companions = _definition(path, subject, target, request, found, progress)
    if companions:
        msg = f"the metadata of {path} is too long to be embedded"
        raise UnsealableError(msg, hint="leave --embed out: long metadata then lies in a companion file")
    store, data = envelope.sign_embedded(definition, request.signer, path, kind, ancestors=ancestry.stores(found))
    label, claim = _read_back(store, None)
    binding.confirm_unchanged(path, bound)
    durable.write_new(target, data)
    return Seal(
        asset=target,
        sidecar=None,
        index=None,
        metadata=None,
        planes=None,
        label=label,
        claim_sha256=claim,
        content_sha256=binding.sha256(data).hex(),
        size=len(data),
    )
