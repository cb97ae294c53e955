"""What a seal takes on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import Signer, write_noise, write_small_images, write_zarr
from benchmarks.harness import Bench, Row, rawtrace, run


def rows(bench: Bench, signer: Signer) -> Iterator[Row]:
    folder = bench.new_folder("footprint")
    noise = folder / "noise.bin"
    write_noise(noise, 4096)
    image = write_small_images(folder, 1)[0]
    members = bench.size(1_000, 10)
    root = write_zarr(folder, members, 64)
    for path in (noise, image, root):
        run(rawtrace("seal", path, "--instrument", signer.instrument), folder=folder)
    yield _row("seal of a file that carries no metadata", [folder / "noise.bin.c2pa"])
    yield _row("seal of a small PNG", [folder / f"{image.name}.c2pa"])
    count = sum(path.is_file() for path in root.rglob("*"))
    index = folder / "stack.ome.zarr.sha256"
    yield _row(f"seal of a folder of {count:,} files", [index.with_name(index.name + ".c2pa")])
    yield _row(f"index of that folder, {index.stat().st_size / count:.0f} bytes a file", [index])


def _row(what: str, files: list[Path]) -> Row:
    return Row(what=what, figure=f"{sum(path.stat().st_size for path in files):,} bytes")
