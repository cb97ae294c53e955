"""Seals whose statements a test chooses, properly signed by certified identities."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from rawtrace.sealing import binding, manifest
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity
from rawtrace.trust.keys import Algorithm


class Forger:
    """Writes sidecars by hand: ``forger.write(path, signer, changes)``."""

    def __init__(self, place: Path, forge: Any) -> None:
        self._place, self.forge, self._honest = place, forge, dict[Path, dict[str, Any]]()
        self._count = 0

    def honest(self, signer: Identity) -> dict[str, Any]:
        """The statements of a real seal by this signer, without its content hash."""
        if signer.folder not in self._honest:
            path = self._place / f"{len(self._honest)}.dat"
            path.write_bytes(b"x")
            made = seal(path, signer=signer)
            assert made.sidecar is not None
            read = manifest.read_store(made.sidecar.read_bytes()).active_manifest
            said = {one.label: one.data for one in read.assertions if one.label != "c2pa.hash.data"}
            said["org.rawtrace.acquisition"].pop("name")
            self._honest[signer.folder] = said
        return self._honest[signer.folder]

    def manifest(self, data: bytes, signer: Identity, changes: Mapping[str, Any] = {}, *, extra: Any = ()) -> bytes:
        """One manifest about ``data``; a change to ``None`` leaves a statement out."""
        self._count += 1
        said = {**self.honest(signer), **changes}
        parts = [self.forge.cbor_assertion(label, value) for label, value in said.items() if value is not None]
        parts += [*extra, self.forge.data_hash(data)]
        return bytes(
            self.forge.manifest(
                parts,
                label=f"urn:c2pa:00000000-0000-4000-8000-{self._count:012}",
                key=signer.key.issuing_key(),
                algorithm=-8 if signer.key.algorithm is Algorithm.ED25519 else -7,
                chain=[one.public_bytes(Encoding.DER) for one in signer.chain],
            )
        )

    def label(self, made: bytes) -> str:
        """Label of a manifest."""
        return str(manifest.read_store(self.forge.store(made)).active)

    def ingredient(self, target: bytes, **options: Any) -> Any:
        """An ingredient assertion about another manifest."""
        return self.forge.ingredient(target, self.label(target), **options)

    def write(self, path: Path, *manifests: bytes) -> Path:
        """Write a sidecar of these manifests, the last one active."""
        binding.sidecar_of(path).write_bytes(self.forge.store(*manifests))
        return path

    def forged(self, path: Path, signer: Identity, changes: Mapping[str, Any], **options: Any) -> Path:
        """Write a sidecar of one manifest about a file that is there."""
        return self.write(path, self.manifest(path.read_bytes(), signer, changes, **options))


@pytest.fixture(scope="session")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Forger:
    forge = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "sealing" / "forge.py")))
    return Forger(tmp_path_factory.mktemp("honest"), forge)
