"""A federation of real processes on loopback: stores that stand behind each other, instruments that deliver to them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from rawtrace.cli.logfolders import record_bytes
from rawtrace.cli.main import run_for_code
from rawtrace.config import CONFIG_VARIABLE
from rawtrace.ledger.checkpoint import read_checkpoint
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.receipt import CheckedReceipt, check_receipt, read_receipts
from rawtrace.ledger.tiles import decode_bundle, entries_path, tiles_of, width_at
from rawtrace.ledger.witness import origin_hash
from rawtrace.server.address import server_key
from rawtrace.web import Caller, Web

OWNER = "https://ror.org/0exampe44"
WAIT_S = 90.0


def command(*words: object, code: int = 0) -> str:
    """Run a command in this process; returns what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended = run_for_code([str(one) for one in words])
    assert ended == code, f"{words}: {ended}\n{out.getvalue()}{err.getvalue()}"
    return out.getvalue() + err.getvalue()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Process:
    """A command of rawtrace that runs until it is ended or killed, and can be started again."""

    def __init__(self, words: list[object], *, says: Path, serves: bool) -> None:
        self.words = [str(one) for one in words]
        self.says = says
        self.serves = serves
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self._process is None
        with self.says.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rawtrace", *self.words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.serves else log,
                stderr=log,
            )
        if self.serves:
            assert self._process.stdout is not None
            with self._process.stdout as said:
                line = said.readline()
            assert line.startswith(b"http"), self.says.read_text()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    @property
    def runs(self) -> bool:
        return self._process is not None


class Member:
    """A store, its server and its address."""

    def __init__(self, folder: Path, number: int, port: int) -> None:
        self.folder = folder / f"store{number}"
        self.number = number
        self.prefix = f"20.500.1000{number}"
        self.url = f"https://127.0.0.1:{port}"
        new = ("--name", f"Store {number}", "--url", self.url, "--port", port, "--prefix", self.prefix)
        command("store", "new", self.folder, *new)
        self.address = command("store", "address", self.folder).strip()
        self.token = folder / f"token{number}"
        roles = ("--role", "operator", "--role", "officer", "--role", "auditor")
        self.token.write_text(command("store", "token", self.folder, *roles, "--name", "m").splitlines()[0])
        self.server = Process(["serve", "--store", self.folder], says=folder / f"store{number}.log", serves=True)

    @property
    def origin(self) -> str:
        return f"{self.url.partition('://')[2]}/log"

    def database(self) -> sqlite3.Connection:
        """Open the database past everything that guards it: as an attacker would."""
        return sqlite3.connect(self.folder / "store.sqlite")


class Instrument:
    """An instrument, enrolled by a code, with an agent that seals and delivers."""

    def __init__(self, folder: Path, name: str, home: Member) -> None:
        self.name, self.home = name, home
        self.pid = f"https://hdl.handle.net/{home.prefix}/{name}"
        self.data, self.identity = folder / "data" / name, folder / name
        self.state = folder / f"{name}.sqlite"
        self.data.mkdir(parents=True)
        code = folder / f"{name}.code"
        about = ("--name", name, "--manufacturer", "Example Optics", "--model", "WF 100", "--owner", OWNER)
        command(
            "store", "enrol", home.address, "--token-file", home.token, "--pid", self.pid, *about, "--code-out", code
        )
        command("instrument", "new", self.identity, "--authority", home.address, "--pid", self.pid, "--code-file", code)
        words: list[object] = ["agent", "run", "--watch", self.data, "--instrument", self.identity]
        words += ["--deliver", "--state", self.state, "--quiet-period", "0.2"]
        self.agent = Process(words, says=folder / f"{name}.log", serves=False)
        self.count = 0

    def record(self) -> Path:
        """Write an image, as instruments do: whole, under its name."""
        self.count += 1
        pixels = np.random.default_rng(self.count).integers(0, 4000, (32, 32)).astype("uint16")
        part = self.data.parent / f"{self.name}.part"
        tifffile.imwrite(part, pixels)
        place = self.data / f"{self.count:04}.tif"
        part.rename(place)
        return place

    def images(self) -> list[Path]:
        return sorted(self.data.glob("*.tif"))

    def delivered(self) -> int:
        """How many seals were delivered, as the agent's own status says."""
        try:
            said = json.loads(command("agent", "status", "--state", self.state, "--json"))
        except AssertionError:
            return 0
        return sum(one["delivered"] for one in said["deliveries"] if one["waiting"] == 0)


class Federation:
    """Three stores, each with the other two as witnesses and mirrors; the first is a gateway, too."""

    def __init__(self, folder: Path, *, instruments: int, stores: int = 3, gateway: bool = True) -> None:
        self.folder = folder
        self.members: list[Member] = []
        self.instruments: list[Instrument] = []
        try:
            self._begin(stores, instruments, gateway=gateway)
        except BaseException:
            self.close()
            raise

    def _begin(self, stores: int, instruments: int, *, gateway: bool) -> None:
        folder = self.folder
        for number, port in enumerate(free_ports(stores), start=1):
            self.members.append(Member(folder, number, port))
            self.members[-1].server.start()
        for one in self.members:
            for other in self.others(one):
                command("store", "witness", one.folder, other.address)
                command("store", "mirror", one.folder, other.address)
        for one in self.members:
            asked: list[object] = []
            for other in self.others(one):
                asked += ["--witness", other.address, "--mirror", other.address]
            # What one of the others alone can give, so that one at a time may be away.
            command("store", "quorum", one.folder, *asked, "--require", 1, "--copies", 1)
        if gateway:
            command("store", "offer", self.members[0].folder, "time", "gateway", "--owner", OWNER)
        for one in self.members:
            one.server.stop()
            one.server.start()
        for number in range(instruments):
            self.instruments.append(Instrument(folder, f"scope{number + 1}", self.members[number % stores]))
            self.instruments[-1].agent.start()

    def others(self, one: Member) -> list[Member]:
        return [other for other in self.members if other is not one]

    def run(self, *, kills: int, seed: int, pause_s: float = 1.5) -> list[str]:
        """Record images all the time, and kill somebody now and then; returns who was killed, in order."""
        chance = random.Random(seed)  # noqa: S311  to be repeated, not to be secret
        victims: list[str] = []
        for _ in range(kills):
            self._record_for(chance.uniform(0.2, pause_s), chance)
            if chance.random() < 0.2:
                agent = chance.choice(self.instruments)
                victims.append(agent.name)
                agent.agent.kill()
                self._record_for(chance.uniform(0, 0.5), chance)
                agent.agent.start()
                continue
            one = chance.choice(self.members)
            victims.append(one.folder.name)
            one.server.kill()
            self._record_for(chance.uniform(0, pause_s), chance)
            one.server.start()
        return victims

    def _record_for(self, seconds: float, chance: random.Random) -> None:
        end = time.monotonic() + seconds
        while True:
            chance.choice(self.instruments).record()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.15))

    def drain(self) -> None:
        """Wait until every seal was delivered and its answer lies beside it."""
        until(lambda: all(one.delivered() >= one.count for one in self.instruments), self._state)

    def _state(self) -> str:
        """Say how it stands, for whoever must find out why."""
        lines = [f"{one.name}: {one.delivered()} of {one.count} delivered" for one in self.instruments]
        for path in sorted(self.folder.glob("*.log")):
            lines += ["", path.name, *path.read_text().splitlines()[-8:]]
        lines += [command("agent", "status", "--state", one.state) for one in self.instruments]
        return "\n".join(lines)

    def close(self) -> None:
        for one in [*(each.agent for each in self.instruments), *(one.server for one in self.members)]:
            one.kill()


@contextlib.contextmanager
def federation(folder: Path, **plan: Any) -> Iterator[Federation]:
    """Make a federation in a new folder, with settings of its own, and end all of it."""
    before = os.environ.get(CONFIG_VARIABLE)
    os.environ[CONFIG_VARIABLE] = str(folder / "config")
    made = None
    try:
        made = Federation(folder, **plan)
        yield made
    finally:
        if made is not None:
            made.close()
        os.environ.pop(CONFIG_VARIABLE)
        if before is not None:
            os.environ[CONFIG_VARIABLE] = before


def until(good: Callable[[], bool], otherwise: str | Callable[[], str], *, wait_s: float = WAIT_S) -> None:
    """Wait for something; fails with words."""
    end = time.monotonic() + wait_s
    while not good():
        assert time.monotonic() < end, otherwise if isinstance(otherwise, str) else otherwise()
        time.sleep(0.2)


def copy_of(one: Member, target: Path) -> Path:
    """Copy a store's folder while its server does not run."""
    assert not one.server.runs
    return Path(shutil.copytree(one.folder, target))


def acknowledged(one: Instrument) -> list[tuple[Path, list[CheckedReceipt]]]:
    """Return each image of an instrument with its receipts, after checking that they hold and are its seal's.

    The first is that of the instrument's own seal; a gateway has its counter-signature logged, too.
    """
    policy = Policy.parse((one.home.folder / "log" / "policy").read_bytes())
    found = []
    for image in one.images():
        seal = image.with_name(f"{image.name}.c2pa")
        receipts = read_receipts(seal.with_name(f"{seal.name}.tlog-proof").read_bytes())
        records = record_bytes(seal)
        held = sorted((check_receipt(each, policy) for each in receipts), key=lambda each: records.index(each.record))
        assert [each.record for each in held] == list(records), f"{seal}: not each signature has its receipt"
        assert all(each.checked.time_s for each in held), f"{seal}: no witness says since when"
        found.append((image, held))
    return found


def whole_log(web: Web, base: str) -> tuple[int, dict[str, bytes]]:
    """Return the size of a log, and everything that is served of it at an address, but its signatures."""
    answer = web.get(f"{base}/checkpoint")
    if answer.status != 200:
        return 0, {}
    size = read_checkpoint(answer.body).size
    paths = [tile.text for tile in tiles_of(size)]
    paths += [entries_path(number, width_at(0, number, size)) for number in range((size + 255) // 256)]
    return size, {path: web.get(f"{base}/{path}").body for path in paths}


def entries_of(served: dict[str, bytes]) -> list[bytes]:
    """Return the entries among what is served of a log, in their order."""
    bundles = sorted((path, data) for path, data in served.items() if path.startswith("tile/entries/"))
    entries: list[bytes] = []
    for path, data in bundles:
        entries += decode_bundle(data, int(path.rpartition(".p/")[2]) if ".p/" in path else 256)
    return entries


def asks(one: Member) -> Web:
    """Return what asks a member's server, as its manager."""
    return Web(Caller(token=one.token.read_text().strip(), server_key_sha256=server_key(one.folder)))


def served_by(one: Member) -> tuple[int, dict[str, bytes]]:
    """Return what a member serves of its own log."""
    with asks(one) as web:
        return whole_log(web, f"{one.url}/log")


def held_by(other: Member, one: Member) -> tuple[int, dict[str, bytes]]:
    """Return what a mirror serves of a member's log."""
    with Web(Caller(server_key_sha256=server_key(other.folder))) as web:
        return whole_log(web, f"{other.url}/mirror/{origin_hash(one.origin)}")
