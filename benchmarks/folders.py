"""A folder of many chunks: time beside one process that hashes the same files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.data import Signer, write_zarr
from benchmarks.harness import Bench, Row, Usage, in_turn, median_cpu, rawtrace, run

MAX_RATIO = 0.7
CHUNK_BYTES = 65_536


def rows(bench: Bench, signer: Signer) -> Iterator[Row]:
    folder = bench.new_folder("folders")
    chunks = bench.size(10_000, 100)
    root = write_zarr(folder, chunks, CHUNK_BYTES)
    members = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    seal = partial(_seal_anew, root, signer)
    verify = partial(run, rawtrace("verify", root, "--trust", signer.authority), folder=folder)
    for name, ours in (("seal", seal), ("verify", verify)):
        what = f"{name} an OME-Zarr of {chunks:,} chunks of 64 kB"
        yield _beside(bench, what, ours, ["sha256sum"], root, members, MAX_RATIO)
        yield _beside(bench, what, ours, ["openssl", "dgst", "-sha256"], root, members, None)


def _beside(
    bench: Bench,
    what: str,
    ours: Callable[[], Usage],
    yardstick: list[str],
    root: Path,
    members: list[str],
    most: float | None,
) -> Row:
    """Compare with a program that hashes all members in one process; where ``most`` is None, for information."""
    name = " ".join(yardstick)
    target = f"at most {most} times {name}, one process" if most else f"(beside {name}, one process)"
    program = bench.program(yardstick[0])
    if program is None:
        return Row(what=what, figure=f"not run: no {yardstick[0]}", target=target)
    pair = in_turn(ours, partial(run, [program, *yardstick[1:], *members], folder=root), repeats=bench.repeats)
    return Row(
        what=what,
        figure=f"{pair.wall().show()} times",
        target=target,
        met=pair.wall().median <= most if most else None,
        note=f"by CPU time {pair.cpu().show()} times",
        cpu_s=median_cpu(pair.ours),
    )


def _seal_anew(root: Path, signer: Signer) -> Usage:
    for suffix in (".sha256", ".sha256.c2pa", ".sha256.metadata.json"):
        root.with_name(root.name + suffix).unlink(missing_ok=True)
    return run(rawtrace("seal", "--no-codes", root, "--instrument", signer.instrument), folder=root.parent)
