"""Fuzz one target with atheris: ``python tests/fuzz/fuzz_verifier.py TARGET [libFuzzer options]``.

For instance ``-max_total_time=60 -timeout=5 -rss_limit_mb=1024``. What breaks an
invariant is kept by libFuzzer as ``crash-*`` in the working folder; once made
small, it belongs into ``regressions/TARGET-*``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rawtrace"]):
    import rawtrace.image.completeness
    import rawtrace.image.metadata
    import rawtrace.image.preview
    import rawtrace.image.reader
    import rawtrace.ledger.addentries
    import rawtrace.ledger.receipt
    import rawtrace.ledger.tiles
    import rawtrace.ledger.witness
    import rawtrace.sealing.seal
    import rawtrace.trust.enrolment
    import rawtrace.trust.handles.values
    import rawtrace.trust.ocsp
    import rawtrace.trust.timeauthority
    import rawtrace.trust.trustlist
    import rawtrace.verification.verify  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))
import targets


def main() -> None:
    name, options = sys.argv[1], sys.argv[2:]
    lab = targets.Lab()
    target = targets.targets(lab)[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        atheris.Setup([sys.argv[0], corpus, *options], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
