"""A federation's publisher and a reader that are killed again and again stay usable, and never turn back."""

from __future__ import annotations

import json
import random
import runpy
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.config import CONFIG_VARIABLE
from rawtrace.trust import federated, federation, federationpublish, federationstate, tufclient, tufsources
from rawtrace.trust.federated import Result
from rawtrace.trust.tufclient import Material

f = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "unit" / "trust" / "federations.py")))

PUBLISH_FOR_EVER = """
import itertools, pathlib, sys
from rawtrace.trust import federation, federationpublish, keys
folder, *sticks = map(pathlib.Path, sys.argv[1:])
signers = [keys.open_in_folder(place) for place in sticks]
for number in itertools.count():
    if number % 2 == 0:
        federation.rotate(folder)
    federation.add(folder, files={"policy.toml": b"number = %d\\n" % number})
    for signer in signers:
        federation.sign(folder, signer)
    federationpublish.publish(folder)
    if number == 0:
        print("ready", flush=True)
"""
UPDATE_FOR_EVER = """
import itertools, pathlib, sys
from rawtrace.trust import federated
bundles = [pathlib.Path(name).read_bytes() for name in sys.argv[1:]]
print("ready", flush=True)
for bundle in itertools.cycle(bundles):
    federated.update_from(bundle)
"""
KILLS = 6


def published_now(folder: Path) -> Any:
    """A federation whose dates are those of the clock: processes cannot be told another time."""
    fed = f.make(folder, publish=False)
    federation.rotate(fed.folder)
    federation.add(fed.folder, files={"lists/member.jws": f.list_file()})
    fed.sign(0, 1)
    federationpublish.publish(fed.folder)
    return fed


def kill_soon(chance: random.Random, *command: Any) -> None:
    with subprocess.Popen([sys.executable, "-c", *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.02, 0.8))
        assert process.poll() is None
        process.kill()


def bundle(fed: Any) -> bytes:
    files = {name: data.decode() for name, data in fed.pages().items() if not name.endswith(".rawtrace-tmp")}
    return json.dumps({"federations": [{"name": "example", "url": "", "files": files}]}).encode()


def test_a_publisher_that_is_killed_never_shows_readers_half_a_state(tmp_path: Path) -> None:
    fed = published_now(tmp_path)
    known = Material(roots=(fed.root,), files={})
    chance = random.Random(20261120)  # noqa: S311  a test's dice
    for _ in range(KILLS):
        kill_soon(chance, PUBLISH_FOR_EVER, fed.folder, *fed.sticks[:2])
        for _ in range(2):
            # As it was left, and as the next publication makes it good: both follow from what the reader saw before.
            source = tufsources.memory_source(fed.pages())
            known = tufclient.refresh(known, source, now=datetime.now(UTC)).material
            fed.sign(*((0, 1) if federation.status(fed.folder).draft else ()))
            federationpublish.publish(fed.folder)
    assert len(known.roots) > 1
    assert "policy.toml" in known.files


def test_a_reader_that_is_killed_keeps_a_state_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "settings"))
    fed = published_now(tmp_path / "publisher")
    assert federated.add(fed.root, bundle=bundle(fed)).result is Result.ADDED
    places = []
    for number in range(4):
        federationpublish.publish(fed.folder)
        places.append(tmp_path / f"{number}.json")
        places[-1].write_bytes(bundle(fed))
    chance = random.Random(20261121)  # noqa: S311  a test's dice
    for _ in range(KILLS):
        kill_soon(chance, UPDATE_FOR_EVER, *places)
        (one,) = federationstate.lists()
        assert one.signed
        (change,) = federated.update_from(places[-1].read_bytes())
        assert change.result is Result.UNCHANGED
