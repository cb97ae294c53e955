"""How long a person or a script waits for the first word: CPU seconds, so that a busy machine does not count."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.data import Signer, write_small_images
from benchmarks.harness import Bench, Row, Spread, in_turn, median_cpu, rawtrace, run

MAX_HELP_S = 0.150
MAX_VERIFY_S = 0.400


def rows(bench: Bench, signer: Signer) -> Iterator[Row]:
    folder = bench.new_folder("startup")
    image = write_small_images(folder, 1)[0]
    run(rawtrace("seal", image, "--instrument", signer.instrument), folder=folder)
    yardstick = partial(run, [sys.executable, "-c", "pass"], folder=folder)
    commands = (
        ("rawtrace --help", rawtrace("--help"), MAX_HELP_S),
        ("verify one small file", rawtrace("verify", image, "--trust", signer.authority), MAX_VERIFY_S),
    )
    for what, command, most in commands:
        pair = in_turn(partial(run, command, folder=folder), yardstick, repeats=bench.size(15, 2))
        used = Spread.of([1e3 * one.cpu_s for one in pair.ours])
        yield Row(
            what=what,
            figure=f"{used.show(0)} ms of CPU",
            target=f"at most {1e3 * most:.0f} ms of CPU",
            met=used.median <= 1e3 * most,
            note=f"{pair.cpu().show(1)} times python -c pass",
            cpu_s=median_cpu(pair.ours),
        )
