"""Sealed files, and what an attacker makes of them; the names are those of the tables in the documentation."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cbor2
import numpy as np
import tifffile
from PIL import Image

from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "interoperability.md"


@dataclass(frozen=True)
class Case:
    """One sealed thing.

    Attributes
    ----------
    named : Path
        What other programs are given: the file, or a folder's index.
    sidecar : Path or None
        ``None`` where the seal is inside.
    asset : Path
        What rawtrace is given: the file or the folder.
    """

    named: Path
    sidecar: Path | None
    asset: Path


def table(heading: str) -> dict[str, dict[str, str]]:
    """Read a table of the documentation: row name to column name to cell, code marks taken off."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    header, _, *body = rows
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in body}


def columns(heading: str) -> list[str]:
    return list(next(iter(table(heading).values())))


def picture(path: Path) -> Path:
    """Write an image of noise, so that its compressed data is not trivial."""
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
    return path


class Bench:
    """Makes cases in new folders: ``bench.make("PNG, seal inside; a pixel changed")``."""

    def __init__(self, folder: Path, instrument: Identity, workstation: Identity, impostor: Identity) -> None:
        self._folder = folder
        self.instrument = instrument
        self.workstation = workstation
        self.impostor = impostor

    def make(self, name: str) -> Case:
        what, _, change = name.partition("; ")
        folder = self._folder / re.sub(r"\W+", "-", name)
        folder.mkdir()
        case = SEALED[what](self, folder)
        if change:
            CHANGES[change](self, case)
        return case

    def file(self, folder: Path, signer: Identity | None = None) -> Case:
        path = folder / "run-7.xyz"
        path.write_bytes(bytes(range(256)) * 10)
        return self._beside(path, signer or self.instrument)

    def by_an_impostor(self, folder: Path) -> Case:
        return self.file(folder, self.impostor)

    def ome_tiff(self, folder: Path) -> Case:
        path = folder / "cells.ome.tiff"
        pixels = np.random.default_rng(2).integers(0, 4000, (2, 48, 64), dtype=np.uint16)
        tifffile.imwrite(path, pixels, metadata={"axes": "CYX"})
        return self._beside(path, self.instrument)

    def folder_index(self, folder: Path) -> Case:
        path = folder / "plate.zarr"
        (path / "0").mkdir(parents=True)
        (path / "zarr.json").write_text('{"zarr_format":3}', encoding="ascii")
        (path / "0" / "0.0").write_bytes(b"chunk a")
        done = seal(path, signer=self.instrument)
        assert done.index is not None
        return Case(done.index, done.sidecar, path)

    def png(self, folder: Path) -> Case:
        return self._inside(picture(folder / "blot.png"), self.instrument)

    def jpeg(self, folder: Path) -> Case:
        return self._inside(picture(folder / "blot.jpg"), self.instrument)

    def figure(self, folder: Path) -> Case:
        parents = self._parents(folder)
        path = picture(folder / "figure.png")
        return self._beside(path, self.workstation, *parents)

    def figure_inside(self, folder: Path) -> Case:
        parents = self._parents(folder)
        return self._inside(picture(folder / "figure.png"), self.workstation, *parents)

    def figure_of_an_impostor(self, folder: Path) -> Case:
        parent = self.by_an_impostor(folder)
        return self._beside(picture(folder / "figure.png"), self.workstation, parent.asset)

    def figure_of_unsealed(self, folder: Path) -> Case:
        parent = folder / "old.xyz"
        parent.write_bytes(b"recorded before there were seals")
        return self._beside(picture(folder / "figure.png"), self.workstation, parent)

    def _parents(self, folder: Path) -> list[Path]:
        return [self.ome_tiff(folder).asset, self.folder_index(folder).asset]

    def _beside(self, path: Path, signer: Identity, *parents: Path) -> Case:
        return Case(path, seal(path, signer=signer, parents=parents).sidecar, path)

    def _inside(self, path: Path, signer: Identity, *parents: Path) -> Case:
        done = seal(path, signer=signer, parents=parents, embed=True)
        return Case(done.asset, None, done.asset)


def flip(path: Path, at: int) -> None:
    """Change one bit; a negative place counts from the end."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def store_of(case: Case) -> Path:
    return case.sidecar or case.named


def flip_in_store(case: Case, at: int) -> None:
    """Change one bit of a seal; inside a PNG, the checksum of its chunk is made to fit again."""
    path = store_of(case)
    flip(path, at)
    data = path.read_bytes()
    if case.sidecar is None and path.suffix == ".png":
        start = data.index(b"caBX")
        end = start + 4 + int.from_bytes(data[start - 4 : start])
        path.write_bytes(data[:end] + zlib.crc32(data[start:end]).to_bytes(4) + data[end + 4 :])


def byte_flipped(_: Bench, case: Case) -> None:
    flip(case.named, 100)


def cut_short(_: Bench, case: Case) -> None:
    case.named.write_bytes(case.named.read_bytes()[:-1])


def seal_of_another(bench: Bench, case: Case) -> None:
    folder = case.named.parent / "another"
    folder.mkdir()
    other = bench.ome_tiff(folder)
    assert other.sidecar is not None
    assert case.sidecar is not None
    shutil.copyfile(other.sidecar, case.sidecar)


def claim_edited(_: Bench, case: Case) -> None:
    data = store_of(case).read_bytes()
    flip_in_store(case, data.rindex(b"rawtrace", 0, data.rindex(b"created_assertions")))


def statement_edited(_: Bench, case: Case) -> None:
    flip_in_store(case, store_of(case).read_bytes().rindex(b"Example Optics"))


def signature_edited(_: Bench, case: Case) -> None:
    data = store_of(case).read_bytes()
    at = data.rindex(b"c2pa.signature\0") + len(b"c2pa.signature\0") + 8
    # Tag, protected header, unprotected header, nil, signature: the signature is 64 bytes.
    _, _, _, raw = cbor2.loads(data[at:]).value
    assert len(raw) == 64
    flip_in_store(case, data.rindex(raw) + 5)


def pixel_changed(_: Bench, case: Case) -> None:
    if case.named.suffix == ".png":
        flip(case.named, case.named.read_bytes().index(b"IDAT") + 100)
    else:
        flip(case.named, -1000)


def bytes_added(_: Bench, case: Case) -> None:
    case.named.write_bytes(case.named.read_bytes() + b"more")


def line_changed(_: Bench, case: Case) -> None:
    data = case.named.read_bytes()
    case.named.write_bytes((b"1" if data[:1] == b"0" else b"0") + data[1:])


def seal_cut_short(_: Bench, case: Case) -> None:
    data = store_of(case).read_bytes()
    store_of(case).write_bytes(data[: len(data) // 2])


def parent_edited(_: Bench, case: Case) -> None:
    flip_in_store(case, store_of(case).read_bytes().index(b"Example Optics"))


def parent_file_changed(_: Bench, case: Case) -> None:
    flip(case.named.parent / "cells.ome.tiff", -100)


SEALED: dict[str, Callable[[Bench, Path], Case]] = {
    "file of an unknown type": Bench.file,
    "OME-TIFF": Bench.ome_tiff,
    "folder index": Bench.folder_index,
    "PNG, seal inside": Bench.png,
    "JPEG, seal inside": Bench.jpeg,
    "figure with sealed parents": Bench.figure,
    "figure with sealed parents, seal inside": Bench.figure_inside,
    "file sealed under an authority of the same name": Bench.by_an_impostor,
    "figure with a parent sealed so": Bench.figure_of_an_impostor,
    "figure with an unsealed parent": Bench.figure_of_unsealed,
}
CHANGES: dict[str, Callable[[Bench, Case], None]] = {
    "a byte flipped": byte_flipped,
    "cut short": cut_short,
    "the seal of another file": seal_of_another,
    "claim edited": claim_edited,
    "statement edited": statement_edited,
    "signature edited": signature_edited,
    "seal cut short": seal_cut_short,
    "a pixel changed": pixel_changed,
    "bytes added": bytes_added,
    "a line changed": line_changed,
    "a parent's seal edited": parent_edited,
    "a parent's file changed": parent_file_changed,
}
