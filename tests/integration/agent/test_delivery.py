"""A real agent that delivers to a real store over loopback, and is killed again and again meanwhile."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rawtrace.ledger.receipt import read_receipts
from rawtrace.report import Verdict
from rawtrace.sealing.logrecord import record_of
from rawtrace.sealing.manifest import read_sidecar, read_store
from rawtrace.server.access import Role
from rawtrace.server.run import server_key
from rawtrace.server.store import Store
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity
from rawtrace.trust.instruments import summary
from rawtrace.trust.timeauthority import create_time_authority
from rawtrace.verification.verify import verify
from stores import Running, running, token

Lab = Any
#: Of the soak test: three times through the eight moments. For a longer one: RAWTRACE_KILLS=60 make soak.
KILLS = int(os.environ.get("RAWTRACE_KILLS", "24"))
CERTIFICATE = {"certificate": "certificate.pem", "key": "key.pem"}


@pytest.fixture
def store(new_store: Callable[..., Store], new_identity: Any) -> Store:
    opened = new_store(more="\n[offers]\ngateway = true\ntime = true\n\n[limits]\nseals_per_minute = 60000\n")
    create_time_authority(opened.folder / "time", authority=opened.authority_folder)
    new_identity(SignerKind.REPOSITORY, authority=opened.authority_folder, folder=opened.folder / "gateway")
    return opened


@pytest.fixture
def instrument(store: Store, new_identity: Any) -> Identity:
    made: Identity = new_identity(SignerKind.INSTRUMENT, authority=store.authority_folder)
    return made


@pytest.fixture
def served(store: Store) -> Iterator[Running]:
    with running(store) as one:
        yield one


def settings(folder: Path, store: Store, url: str, instrument: Identity) -> Path:
    secret = folder / "store.token"
    secret.write_text(token(store, Role.INSTRUMENT, pid=summary(instrument.record)["pid"]))
    secret.chmod(0o600)
    path = folder / "agent.toml"
    path.write_text(f'[[deliver]]\nurl = "{url}"\ntoken_file = "store.token"\n')
    return path


def is_delivered(path: Path) -> bool:
    receipts = path.with_name(f"{path.name}.c2pa.tlog-proof")
    if not receipts.exists():
        return False
    sealed = read_store(read_sidecar(path.with_name(f"{path.name}.c2pa")))
    found = {receipt.record for receipt in read_receipts(receipts.read_bytes())}
    # The log holds the seal and the counter-signature on it.
    logged = found == {record_of(manifest) for manifest in sealed.manifests.values()}
    return sealed.active_manifest.is_update and logged


def test_once(lab: Lab, store: Store, served: Running, instrument: Identity, tmp_path: Path) -> None:
    path = lab.write("cells.tif")
    done = lab.once("--settings", f"{settings(tmp_path, store, served.url, instrument)}", "--quiet-period", "0")
    assert done.returncode == 0, done.stderr
    assert is_delivered(path)
    assert verify(path, trust=store.lists()).verdict is Verdict.VERIFIED_WITH_NOTES
    (found,) = lab.status()["deliveries"]
    assert (found["waiting"], found["delivered"], found["error"]) == (0, 1, "")
    # Receipts are no data: a second look seals nothing.
    assert lab.once("--quiet-period", "0").returncode == 0
    assert lab.status()["counts"]["sealed"] == 1


def test_by_the_instruments_own_certificate(
    lab: Lab, new_store: Callable[..., Store], new_identity: Any, tmp_path: Path
) -> None:
    store = new_store("tls-store", tls=True)
    scope = new_identity(SignerKind.INSTRUMENT, authority=store.authority_folder)
    lab.instrument = scope.folder
    with running(store) as served:
        path = tmp_path / "agent.toml"
        shown = "".join(f'{name} = "{scope.folder / file}"\n' for name, file in CERTIFICATE.items())
        path.write_text(f'[[deliver]]\nurl = "{served.url}"\nserver_key = "{server_key(store.folder)}"\n{shown}')
        lab.write("cells.tif")
        done = lab.once("--settings", f"{path}", "--quiet-period", "0")
        assert done.returncode == 0, done.stderr
        assert lab.status()["deliveries"][0]["delivered"] == 1, done.stderr
    assert store.log.size == 1


def test_sealing_does_not_wait_for_a_store_that_is_away(
    lab: Lab, store: Store, instrument: Identity, tmp_path: Path
) -> None:
    more = ["--settings", f"{settings(tmp_path, store, 'http://127.0.0.1:9', instrument)}", "--quiet-period", "0.1"]
    lab.start(*more)
    paths = [lab.write(f"{number}.tif") for number in range(20)]
    lab.wait_for(lambda: all(path.with_name(f"{path.name}.c2pa").exists() for path in paths))
    lab.wait_for(lambda: lab.status()["deliveries"][0]["error"])
    assert lab.status()["deliveries"][0]["waiting"] == 20
    assert store.log.size == 0


@pytest.mark.parametrize("kills", [6, pytest.param(KILLS, marks=pytest.mark.soak)])
def test_killed_again_and_again(
    lab: Lab, store: Store, served: Running, instrument: Identity, tmp_path: Path, kills: int
) -> None:
    more = ["--settings", f"{settings(tmp_path, store, served.url, instrument)}", "--quiet-period", "0.05"]
    paths = []
    for number in range(kills):
        process = lab.start(*more)
        paths += [lab.write(f"{number}-{one}.tif", b"%d %d" % (number, one)) for one in range(3)]
        # Each time a little later: in the start, while it seals, while it delivers.
        time.sleep(0.3 + 0.17 * (number % 8))
        process.kill()
        process.wait(timeout=10)
    lab.start(*more)
    lab.wait_for(lambda: all(is_delivered(path) for path in paths), within_s=120)
    lab.wait_for(lambda: lab.status()["deliveries"][0]["waiting"] == 0)
    assert store.log.size == 2 * len(paths)
    assert {verify(path, trust=store.lists()).verdict for path in paths} == {Verdict.VERIFIED_WITH_NOTES}
    assert not [path.name for path in lab.watched.iterdir() if ".superseded-" in path.name]
    assert json.dumps(lab.status())
