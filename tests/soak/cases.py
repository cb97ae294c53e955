"""What ``rawtrace seal`` is tried on while it is disturbed: files, folders, figures, seals inside, seals replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image


def fingerprints(paths: list[Path]) -> dict[Path, tuple[bytes, int, int, int]]:
    return {p: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino, p.stat().st_mode) for p in paths}


@dataclass(frozen=True)
class Case:
    """A folder with data, the command that seals it, and where the result lies."""

    folder: Path
    arguments: tuple[object, ...]
    target: Path
    data: tuple[Path, ...]

    def leftovers(self, before: set[Path]) -> set[Path]:
        found = {path for path in self.folder.rglob("*") if path.is_file() and path not in before}
        return {path for path in found if not path.name.endswith(".rawtrace-tmp")}

    def sweep(self) -> None:
        for path in self.folder.rglob("*.rawtrace-tmp"):
            path.unlink()


def a_file(folder: Path, people: Any, faulty: Any) -> Case:
    path = folder / "plate.bin"
    path.write_bytes(bytes(range(256)) * 400)
    return Case(folder, (path, "--instrument", people.instrument), path, (path,))


def a_file_with_long_metadata(folder: Path, people: Any, faulty: Any) -> Case:
    path = folder / "plate.ome.tif"
    channels = "".join(f'<Channel ID="Channel:{n}" Name="stain number {n} {"x" * 2000}"/>' for n in range(60))
    xml = f'<OME><Image><Pixels SizeX="4" SizeY="4" Type="uint8">{channels}</Pixels></Image></OME>'
    body = xml.encode() + b"\0"
    entry = (270).to_bytes(2, "little") + (2).to_bytes(2, "little") + len(body).to_bytes(4, "little")
    path.write_bytes(b"II*\0\x08\0\0\0\x01\0" + entry + (26).to_bytes(4, "little") + bytes(4) + body)
    return Case(folder, (path, "--instrument", people.instrument), path, (path,))


def a_folder(folder: Path, people: Any, faulty: Any) -> Case:
    path = folder / "stack.zarr"
    (path / "0").mkdir(parents=True)
    (path / "zarr.json").write_text(json.dumps({"node_type": "group", "zarr_format": 3}))
    for number in range(5):
        (path / "0" / str(number)).write_bytes(bytes([number]) * 1000)
    members = tuple(sorted(one for one in path.rglob("*") if one.is_file()))
    return Case(folder, (path, "--instrument", people.instrument), path, members)


def a_figure_with_parents(folder: Path, people: Any, faulty: Any) -> Case:
    raw, other, figure = folder / "raw.bin", folder / "other.bin", folder / "figure.bin"
    raw.write_bytes(b"raw" * 1000)
    other.write_bytes(b"other" * 1000)
    figure.write_bytes(b"figure" * 1000)
    faulty.good("seal", raw, other, "--instrument", people.instrument)
    parents = ("--parent", raw, "--parent", other)
    return Case(folder, (figure, "--workstation", people.workstation, *parents), figure, (raw, other, figure))


def an_embedded_seal(folder: Path, people: Any, faulty: Any) -> Case:
    path = folder / "figure.png"
    Image.effect_noise((64, 64), 50).save(path)
    arguments = (path, "--workstation", people.workstation, "--embed")
    return Case(folder, arguments, folder / "figure.sealed.png", (path,))


def a_superseded_file(folder: Path, people: Any, faulty: Any) -> Case:
    case = a_file_with_long_metadata(folder, people, faulty)
    faulty.good("seal", *case.arguments)
    case.target.write_bytes(case.target.read_bytes().replace(b"stain", b"label"))
    return Case(folder, (*case.arguments, "--supersede"), case.target, case.data)


def a_superseded_folder(folder: Path, people: Any, faulty: Any) -> Case:
    case = a_folder(folder, people, faulty)
    faulty.good("seal", *case.arguments)
    late = case.target / "0" / "late"
    late.write_bytes(b"late")
    return Case(folder, (*case.arguments, "--supersede"), case.target, (*case.data, late))


CASES: tuple[Callable[..., Case], ...] = (
    a_file,
    a_file_with_long_metadata,
    a_folder,
    a_figure_with_parents,
    an_embedded_seal,
    a_superseded_file,
    a_superseded_folder,
)
