"""Two stores and an instrument as real processes, one of them killed: the small sister of the soak test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from federation import acknowledged, command, entries_of, federation, held_by, served_by, until


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_killed_store_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    with federation(tmp_path, instruments=1, stores=2, gateway=False) as made:
        home, other = made.members
        (instrument,) = made.instruments
        instrument.record()
        made.drain()
        instrument.record()
        home.server.kill()
        instrument.record()
        # Sealed, and good, with nobody there to ask.
        images = instrument.images()
        until(lambda: all(Path(f"{image}.c2pa").exists() for image in images), "sealing waits for the store")
        trust = ("--trust", home.folder / "authority" / "trust-list.jws")
        assert "verified" in command("verify", *images, *trust)
        home.server.start()
        made.drain()
        entries = entries_of(served_by(home)[1])
        told = acknowledged(instrument)
        assert len(told) == 3
        assert all(entries[one.index] == one.entry.encode() for _, held in told for one in held)
        assert sum(b'"kind":"seal"' in entry for entry in entries) == 3
        until(lambda: held_by(other, home) == served_by(home), "the mirror has something else")
        assert ": consistent" in command("store", "monitor", other.folder)
