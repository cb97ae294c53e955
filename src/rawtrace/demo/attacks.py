"""Five attacks on sealed data, each on a copy, each with the verdict that it has to end in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rawtrace import durable
from rawtrace.image.metadata import harvest
from rawtrace.report import Verdict
from rawtrace.sealing import assertions, binding, envelope, folderindex, statements
from rawtrace.sealing.assertions import Capture
from rawtrace.sealing.seal import seal
from rawtrace.sealing.statements import Subject
from rawtrace.trust.authority import create_authority
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity, create_identity


@dataclass(frozen=True, slots=True)
class Scene:
    """What the attackers start from."""

    stack: Path
    zarr: Path
    figure: Path
    workstation: Identity
    instrument: Identity
    authority_name: str


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: what is done, what to look at, and the verdict and findings that must come out."""

    title: str
    verdict: Verdict
    findings: frozenset[str]
    carry_out: Callable[[Scene, Path], Path]


def change_one_pixel(scene: Scene, folder: Path) -> Path:
    """Change the lowest bit of one pixel in the middle of the stack."""
    target = _copy_with_seal(scene.stack, folder)
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    return target


def replace_and_add_chunks(scene: Scene, folder: Path) -> Path:
    """Put one chunk of the Zarr in the place of another, and add one that was never recorded."""
    target = _copy_with_seal(scene.zarr, folder)
    chunks = sorted(path for path in (target / "0" / "c").rglob("*") if path.is_file())
    shutil.copyfile(chunks[0], chunks[1])
    shutil.copyfile(chunks[0], chunks[-1].with_name("99"))
    return target


def move_the_seal(scene: Scene, folder: Path) -> Path:
    """Put the stack's seal beside another picture."""
    target = folder / scene.figure.name
    shutil.copyfile(scene.figure, target)
    shutil.copyfile(binding.sidecar_of(scene.stack), binding.sidecar_of(target))
    return target


def pose_as_the_authority(scene: Scene, folder: Path) -> Path:
    """Make an authority and an instrument that bear the same names, and seal an invented picture."""
    create_authority(folder / "authority", name=scene.authority_name)
    twin = create_identity(
        folder / "instrument", SignerKind.INSTRUMENT, scene.instrument.record, authority=folder / "authority"
    )
    target = folder / scene.stack.name
    shutil.copyfile(scene.stack, target)
    seal(target, signer=twin, capture=Capture.ENGINE_HOOK)
    return target


def claim_a_capture(scene: Scene, folder: Path) -> Path:
    """Let the workstation's key say that a sensor recorded the figure; rawtrace itself refuses to."""
    target = folder / scene.figure.name
    shutil.copyfile(scene.figure, target)
    bound = binding.bind_file(target)
    now = datetime.now(UTC)
    statement, _ = statements.acquisition_statement(
        Subject(name=target.name, kind="file", size=bound.size),
        harvest(target),
        sealed_at=now,
        software="a changed rawtrace",
        operator="",
        supersedes=None,
    )
    hash_data = {"name": "whole file", "alg": "sha256", "hash": list(bound.sha256), "pad": []}
    definition = {
        "claim_generator_info": [{"name": "a changed rawtrace", "version": "1"}],
        "title": target.name,
        "assertions": [
            {
                "label": assertions.ACTIONS,
                "data": {"actions": statements.actions("digitalCapture", [], [], when=now, software="rawtrace")},
            },
            {
                "label": assertions.INSTRUMENT,
                "data": statements.instrument_statement(scene.workstation, Capture.ENGINE_HOOK),
            },
            {"label": assertions.ACQUISITION, "data": statement},
            {"label": assertions.HASH_DATA, "data": hash_data},
        ],
    }
    durable.write_new(binding.sidecar_of(target), envelope.sign_sidecar(definition, scene.workstation))
    return target


ATTACKS = (
    Attack("one pixel changed", Verdict.ALTERED, frozenset({"bytes-changed"}), change_one_pixel),
    Attack(
        "a Zarr chunk replaced, one added",
        Verdict.ALTERED,
        frozenset({"member-changed", "member-extra"}),
        replace_and_add_chunks,
    ),
    Attack("a seal moved to another file", Verdict.ALTERED, frozenset({"bytes-changed"}), move_the_seal),
    Attack(
        "an unknown authority of the same name",
        Verdict.INCONCLUSIVE,
        frozenset({"signer-unknown"}),
        pose_as_the_authority,
    ),
    Attack("a workstation that claims a capture", Verdict.REJECTED, frozenset({"wrong-signer-kind"}), claim_a_capture),
)


def _copy_with_seal(asset: Path, folder: Path) -> Path:
    target = folder / asset.name
    if asset.is_dir():
        shutil.copytree(asset, target)
        index = folderindex.index_of(asset)
        shutil.copyfile(index, folder / index.name)
        shutil.copyfile(binding.sidecar_of(index), binding.sidecar_of(folder / index.name))
    else:
        shutil.copyfile(asset, target)
        shutil.copyfile(binding.sidecar_of(asset), binding.sidecar_of(target))
    return target
