"""Many small files: in one command, beside a loop over c2patool, and by the agent."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.data import Signer, write_small_images
from benchmarks.harness import Bench, FailedRunError, Row, Spread, Usage, in_turn, median_cpu, rawtrace, run

MIN_VERIFIED_PER_S = 500
MIN_TIMES_C2PATOOL = 20
MIN_AGENT_PER_MINUTE = 1_000
_READ_BY_LIBRARY = """
import pathlib, sys
from rawtrace.sealing.envelope import library_word
stores = [pathlib.Path(name).read_bytes() for name in sys.argv[2:]]
for store in stores[: int(sys.argv[1])]:
    assert library_word(store).readable
"""


def rows(bench: Bench, signer: Signer) -> Iterator[Row]:
    folder = bench.new_folder("batches")
    count = bench.size(1_000, 20)
    images = write_small_images(folder, count)

    yield _seal(bench, signer, folder, images)
    yield from _verify(bench, signer, folder, images)
    yield _library(bench, folder, images)
    yield _agent(bench, signer, count)


def _seal(bench: Bench, signer: Signer, folder: Path, images: Sequence[Path]) -> Row:
    command = rawtrace("seal", "--quiet", "--instrument", signer.instrument, *(image.name for image in images))
    runs = []
    for _ in range(bench.repeats):
        for image in images:
            image.with_name(image.name + ".c2pa").unlink(missing_ok=True)
        runs.append(run(command, folder=folder))
    rate = Spread.of([len(images) / one.wall_s for one in runs])
    return Row(
        what=f"seal {len(images):,} small files in one process",
        figure=f"{rate.show(0)} files/s",
        note=f"{median_cpu(runs) / len(images) * 1e3:.1f} ms of CPU a file; each seal is synced to the disk",
        cpu_s=median_cpu(runs) / len(images),
    )


def _verify(bench: Bench, signer: Signer, folder: Path, images: Sequence[Path]) -> Iterator[Row]:
    command = rawtrace("verify", "--trust", signer.authority, *(image.name for image in images))
    what = f"verify {len(images):,} small sealed files in one command"
    tool = bench.program("c2patool")
    some = images[: bench.size(200, 5)]

    def ours() -> Usage:
        return run(command, folder=folder)

    def loop() -> Usage:
        each = [
            run([str(tool), image.name, "--external-manifest", f"{image.name}.c2pa"], folder=folder) for image in some
        ]
        return Usage(sum(one.wall_s for one in each), sum(one.cpu_s for one in each), 0)

    if tool is None:
        ours()
        runs: Sequence[Usage] = [ours() for _ in range(bench.repeats)]
    else:
        pair = in_turn(ours, loop, repeats=bench.repeats)
        runs = pair.ours
    rate = Spread.of([len(images) / one.wall_s for one in runs])
    yield Row(
        what=what,
        figure=f"{rate.show(0)} files/s",
        target=f"at least {MIN_VERIFIED_PER_S} files/s on 2 cores",
        met=rate.median >= MIN_VERIFIED_PER_S,
        note=f"{median_cpu(runs) / len(images) * 1e3:.1f} ms of CPU a file, starting included",
        cpu_s=median_cpu(runs) / len(images),
    )
    target = f"at least {MIN_TIMES_C2PATOOL} times a loop over c2patool"
    if tool is None:
        yield Row(what=what, figure="not run: no c2patool", target=target)
        return
    share = len(some) / len(images)
    times = Spread.of([b.wall_s / (a.wall_s * share) for a, b in zip(pair.ours, pair.yardstick, strict=True)])
    each_ms = Spread.of([one.wall_s / len(some) * 1e3 for one in pair.yardstick])
    yield Row(
        what=what,
        figure=f"{times.show(1)} times as fast",
        target=target,
        met=times.median >= MIN_TIMES_C2PATOOL,
        note=f"the loop runs over {len(some)} of the files, {each_ms.show(1)} ms each, and without a trust list",
    )


def _library(bench: Bench, folder: Path, images: Sequence[Path]) -> Row:
    """Say how much of a check is the C2PA library reading the seal, the part that we cannot make faster."""
    seals = [f"{image.name}.c2pa" for image in images]

    def read(count: int) -> Usage:
        # One is read in either case: the library makes itself ready at the first.
        return run([sys.executable, "-c", _READ_BY_LIBRARY, str(count), *seals], folder=folder)

    pair = in_turn(lambda: read(len(seals)), lambda: read(1), repeats=bench.repeats)
    each = [(a.cpu_s - b.cpu_s) / (len(seals) - 1) for a, b in zip(pair.ours, pair.yardstick, strict=True)]
    used = Spread.of([1e3 * one for one in each])
    return Row(
        what="of that, the C2PA library's own reading",
        figure=f"{used.show()} ms of CPU a file",
        note=f"so two cores can check {2e3 / max(used.median, 1e-3):,.0f} files/s at the very most",
        cpu_s=used.median / 1e3,
    )


def _agent(bench: Bench, signer: Signer, count: int) -> Row:
    """Let the agent seal a folder that is full when it starts; its own waiting is not counted."""
    runs = []
    for number in range(1 if bench.quick else 3):
        folder = bench.new_folder(f"agent-{number}")
        write_small_images(folder, count)
        time.sleep(0.2)
        state = bench.folder / f"agent-{number}.db"
        options = ("--once", "--quiet-period", "0.1", "--state", state)
        runs.append(
            run(
                rawtrace("agent", "run", "--watch", folder, "--instrument", signer.instrument, *options),
                folder=bench.folder,
            )
        )
        sealed = len(list(folder.glob("*.c2pa")))
        if sealed != count:
            raise FailedRunError(f"the agent sealed {sealed} of {count} files")
    rate = Spread.of([60 * count / one.wall_s for one in runs])
    return Row(
        what=f"agent, {count:,} small files that wait for it",
        figure=f"{rate.show(0)} files/minute",
        target=f"at least {MIN_AGENT_PER_MINUTE:,} files/minute",
        met=rate.median >= MIN_AGENT_PER_MINUTE,
        note=f"{median_cpu(runs) / count * 1e3:.1f} ms of CPU a file",
        cpu_s=median_cpu(runs) / count,
    )
