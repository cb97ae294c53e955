"""The data that is measured on, made by code: noise, so that nothing can be compressed or guessed."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import MIB, Bench, rawtrace, run

OWNER = "https://ror.org/0exampe44"


@dataclass(frozen=True, slots=True)
class Signer:
    """An authority and an instrument that it certified."""

    authority: Path
    instrument: Path


def make_signer(bench: Bench) -> Signer:
    signer = Signer(bench.folder / "authority", bench.folder / "instrument")
    run(
        rawtrace("authority", "new", signer.authority, "--name", "Example Authority", "--owner", OWNER),
        folder=bench.folder,
    )
    maker = ("--manufacturer", "Example Optics", "--model", "Widefield 1", "--serial", "SN-0001")
    place = ("--location", "Room 1", "--owner", OWNER, "--authority", signer.authority)
    run(
        rawtrace("instrument", "new", signer.instrument, "--name", "Example scope", *maker, *place),
        folder=bench.folder,
    )
    return signer


def write_noise(path: Path, size: int) -> None:
    """Write ``size`` bytes of noise; afterwards they lie in the page cache, as fresh data does."""
    block = os.urandom(16 * MIB)
    with path.open("wb") as stream:
        for start in range(0, size, len(block)):
            # Each block begins otherwise, so that no file system can store two as one.
            stream.write(struct.pack("<Q", start) + block[8 : min(len(block), size - start)])
        stream.flush()
        os.fsync(stream.fileno())


def write_sparse(path: Path, size: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(size)


def write_small_images(folder: Path, count: int) -> list[Path]:
    """Write PNG files of 64 x 64 noise, about 4 kB each."""
    paths = []
    for number in range(count):
        path = folder / f"image-{number:05d}.png"
        path.write_bytes(_png(64, 64))
        paths.append(path)
    return paths


def write_zarr(folder: Path, chunks: int, chunk_bytes: int) -> Path:
    """Write an OME-Zarr of one array, its chunks in folders of a hundred."""
    root = folder / "stack.ome.zarr"
    array = root / "0"
    array.mkdir(parents=True)
    (root / ".zgroup").write_text('{"zarr_format": 2}')
    (root / ".zattrs").write_text('{"multiscales": [{"version": "0.4", "datasets": [{"path": "0"}]}]}')
    rows = max(1, (chunks + 99) // 100)
    shape, tile = [rows, 100, chunk_bytes], [1, 1, chunk_bytes]
    (array / ".zarray").write_text(
        f'{{"zarr_format": 2, "shape": {shape}, "chunks": {tile}, "dtype": "|u1", "compressor": null, '
        '"fill_value": 0, "order": "C", "filters": null, "dimension_separator": "/"}'
    )
    for number in range(chunks):
        place = array / str(number // 100) / str(number % 100)
        place.mkdir(parents=True)
        (place / "0").write_bytes(os.urandom(chunk_bytes))
    return root


def _png(width: int, height: int) -> bytes:
    rows = b"".join(b"\0" + os.urandom(width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
