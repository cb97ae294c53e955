"""One large file: time beside ``openssl dgst -sha256`` of the same warm file, and memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.data import Signer, write_noise, write_sparse
from benchmarks.harness import MIB, Bench, Row, Usage, in_turn, median_cpu, peak_mib, rawtrace, run

MAX_RATIO = 1.15
MAX_PEAK_MB = 100


def rows(bench: Bench, signer: Signer) -> Iterator[Row]:
    folder = bench.new_folder("files")
    large = folder / "large.bin"
    size = bench.size(2_000_000_000, 8 * MIB)
    write_noise(large, size)
    seal = partial(_seal_anew, large, signer)
    verify = partial(run, rawtrace("verify", large, "--trust", signer.authority), folder=folder)
    openssl = bench.program("openssl")
    for name, ours in (("seal", seal), ("verify", verify)):
        what = f"{name} a file of {_size(size)}"
        target = f"at most {MAX_RATIO} times openssl dgst -sha256"
        if openssl is None:
            yield Row(what=what, figure="not run: no openssl", target=target)
            continue
        yardstick = partial(run, [openssl, "dgst", "-sha256", large.name], folder=folder)
        pair = in_turn(ours, yardstick, repeats=bench.repeats)
        yield Row(
            what=what,
            figure=f"{pair.wall().show()} times",
            target=target,
            met=pair.wall().median <= MAX_RATIO,
            note=f"by CPU time {pair.cpu().show()} times",
            cpu_s=median_cpu(pair.ours),
        )
        yield _memory(f"memory of that, {name}", pair.ours)
    large.unlink()
    (folder / "large.bin.c2pa").unlink(missing_ok=True)

    sparse = folder / "sparse.bin"
    size = bench.size(6_000_000_000, 64 * MIB)
    write_sparse(sparse, size)
    yield _memory(f"memory, seal a file of {_size(size)}", [_seal_anew(sparse, signer)])
    check = rawtrace("verify", sparse, "--trust", signer.authority)
    yield _memory(f"memory, verify a file of {_size(size)}", [run(check, folder=folder)])
    sparse.unlink()


def _seal_anew(path: Path, signer: Signer) -> Usage:
    path.with_name(path.name + ".c2pa").unlink(missing_ok=True)
    return run(rawtrace("seal", "--no-codes", path, "--instrument", signer.instrument), folder=path.parent)


def _memory(what: str, runs: list[Usage] | tuple[Usage, ...]) -> Row:
    peak = peak_mib(runs) * MIB / 1e6
    return Row(what=what, figure=f"{peak:.0f} MB", target=f"at most {MAX_PEAK_MB} MB", met=peak <= MAX_PEAK_MB)


def _size(size: int) -> str:
    return f"{size / 1e9:.0f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
