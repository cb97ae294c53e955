"""Content codes of large images: bytes of pixels a second, memory, and the time beside iscc-bio's in the same run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data import Signer
from benchmarks.harness import MIB, Bench, Pair, Row, Usage, median_cpu, peak_mib, rawtrace, run

MIN_SCENE_MB_S = 800
MIN_PLANE_MB_S = 550
MIN_TIFF_RATIO = 8.0
MIN_ZARR_RATIO = 1.7
MAX_PEAK_MB = 200
#: One comparison takes iscc-bio half a minute, so there are few.
_COMPARISONS = 1
_INTEROP = Path(__file__).resolve().parents[1] / ".venv" / "interop" / "iscc-bio" / "bin" / "python"
_BIOCODE = "import sys; from iscc_bio.api import biocode; assert biocode(sys.argv[1])['parts'], 'no scene was read'"


def rows(bench: Bench, signer: Signer) -> Iterator[Row]:
    folder = bench.new_folder("codes")
    edge = bench.size(2048, 128)
    tiff = folder / "stack.ome.tif"
    # Of deeper stacks iscc-bio reads more for each plane, so this is not its worst.
    size = write_tiff(tiff, (6, bench.size(20, 4), edge, edge))
    yield from _speeds(bench, tiff, size)
    yield _ratio(bench, tiff, size, MIN_TIFF_RATIO)
    tiff.unlink()

    # Of arrays named by digits, as many programs name them, iscc-bio 0.2.0 reads none.
    zarr = folder / "stack.zarr"
    size = write_zarr_stack(zarr, (3, bench.size(20, 4), edge, edge))
    yield _speed(bench, zarr, size, "with plane codes, views and the code of the folder", (), None)
    yield _ratio(bench, zarr, size, MIN_ZARR_RATIO)


def _speeds(bench: Bench, path: Path, size: int) -> Iterator[Row]:
    scene = ("--no-file", "--no-views")
    yield _speed(bench, path, size, "scene", scene, MIN_SCENE_MB_S)
    yield _speed(bench, path, size, "scene and planes", (*scene, "--planes"), MIN_PLANE_MB_S)
    yield _speed(bench, path, size, "scene, planes, views and file", ("--planes",), None)
    peak = peak_mib([_ours(path, "--planes")]) * MIB / 1e6
    yield Row(
        what=f"memory of that, codes of {_named(path, size)}",
        figure=f"{peak:.0f} MB",
        target=f"at most {MAX_PEAK_MB} MB",
        met=peak <= MAX_PEAK_MB,
    )


def _speed(bench: Bench, path: Path, size: int, which: str, options: Sequence[str], least: int | None) -> Row:
    if not bench.quick:
        _ours(path, *options)
    runs = [_ours(path, *options) for _ in range(min(3, bench.repeats))]
    speeds = [size / 1e6 / one.wall_s for one in runs]
    speed = statistics.median(speeds)
    return Row(
        what=f"codes of {_named(path, size)}: {which}",
        figure=f"{speed:,.0f} MB/s ({min(speeds):,.0f} to {max(speeds):,.0f})",
        target="" if least is None else f"at least {least} MB/s",
        met=None if least is None else speed >= least,
        note="of pixels; with the start of the program",
        cpu_s=median_cpu(runs),
    )


def _ratio(bench: Bench, path: Path, size: int, least: float) -> Row:
    what = f"codes of {_named(path, size)} beside iscc-bio 0.2.0"
    target = f"at least {least:g} times as fast"
    missing = "it takes half a minute" if bench.quick else "no iscc-bio, which `make interop` fetches"
    if bench.quick or not _INTEROP.exists():
        return Row(what=what, figure=f"not measured: {missing}", target=target)
    theirs = partial(run, [_INTEROP, "-c", _BIOCODE, path], folder=path.parent)
    ours = partial(_ours, path, "--no-views")
    pairs = [(ours(), theirs()) for _ in range(min(_COMPARISONS, bench.repeats))]
    pair = Pair(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))
    times = 1 / pair.wall().median
    return Row(
        what=what,
        figure=f"{times:.1f} times",
        target=target,
        met=times >= least,
        note=f"both with the code of the stored bytes; by CPU time {1 / pair.cpu().median:.1f} times; "
        f"iscc-bio {size / 1e6 / pair.yardstick[0].wall_s:.0f} MB/s in {peak_mib(pair.yardstick) * MIB / 1e6:.0f} MB",
        cpu_s=median_cpu(pair.ours),
    )


def _ours(path: Path, *options: str) -> Usage:
    return run(rawtrace("codes", path, *options), folder=path.parent)


def write_tiff(path: Path, shape: tuple[int, int, int, int]) -> int:
    """Write an uncompressed OME-TIFF of (C, Z, Y, X) and return the bytes of its pixels."""
    import tifffile

    tifffile.imwrite(path, _planes(shape), shape=shape, dtype="uint16", ome=True, metadata={"axes": "CZYX"})
    return _bytes(shape)


def write_zarr_stack(path: Path, shape: tuple[int, int, int, int]) -> int:
    """Write an OME-Zarr 0.5 of (C, Z, Y, X), packed as the library does, and return the bytes of its pixels."""
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    names = (("c", "channel"), ("z", "space"), ("y", "space"), ("x", "space"))
    scale = {"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": [1.0] * 4}]}
    axes = [{"name": name, "type": kind} for name, kind in names]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [scale]}]}
    edge = min(1024, shape[3])
    array = group.create_array("s0", shape=shape, chunks=(1, 1, edge, edge), dtype="uint16")
    for number, plane in enumerate(_planes(shape)):
        array[number // shape[1], number % shape[1]] = plane
    return _bytes(shape)


def _planes(shape: tuple[int, int, int, int]) -> Iterator[Any]:
    """Yield noise of 12 bits, each plane another."""
    # A child's peak counts what its parent held when it was started, so this program stays small until it has to grow.
    import numpy as np

    rng = np.random.default_rng(1)
    noise = rng.integers(0, 4096, (shape[2], shape[3]), np.uint16)
    for number in range(shape[0] * shape[1]):
        yield np.roll(noise, 97 * number) ^ np.uint16(number)


def _bytes(shape: Sequence[int]) -> int:
    return math.prod(shape) * 2


def _named(path: Path, size: int) -> str:
    kind = "an OME-Zarr" if path.suffix == ".zarr" else "an OME-TIFF"
    return f"{kind} of {f'{size / 1e9:.1f} GB' if size >= 1e9 else f'{size / 1e6:.0f} MB'}"
