"""A PostgreSQL server of the tests' own, and the ``database`` fixture that runs a test on SQLite and on PostgreSQL.

The server is Debian's package, started without a port in a folder under /tmp,
by an account without rights where the tests run as root. Each test gets a
database of its own.

Fixtures: ``database`` (an open ``Database``), ``database_address`` (what
``open_database`` takes, for tests that open it several times or in a child
process), ``postgres`` (the server alone, for tests of PostgreSQL only).
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rawtrace.database import Database, open_database

_START_S = 60
_FAST = {"fsync": "off", "full_page_writes": "off"}  # what survives a power cut is PostgreSQL's own business
_MODEST = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum": "off",
}


class Postgres:
    """A running server.

    Parameters
    ----------
    programs : Path
        Folder of ``initdb`` and ``postgres``.
    durable : bool
        Whether commits wait for the disk, as they do outside of tests.
    """

    def __init__(self, programs: Path, *, durable: bool = False) -> None:
        # Not pytest's folder: another account could not reach it, and a socket's path may have 107 bytes at most.
        self._folder = Path(tempfile.mkdtemp(prefix="rawtrace-pg-", dir="/tmp"))
        self._numbers = itertools.count(1)
        self._account = _unprivileged()
        if "user" in self._account:
            os.chown(self._folder, self._account["user"], self._account["group"])
        self._data = self._folder / "data"
        try:
            self._initialise(programs)
            self._process = self._start(programs, durable=durable)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def address(self, name: str = "postgres") -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://tests@/{name}?host={self._folder}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        import psycopg

        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.address(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.address(name)

    def stop(self) -> None:
        """End the server at once and remove what it wrote."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(timeout=_START_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _initialise(self, programs: Path) -> None:
        command = [programs / "initdb", "-D", self._data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C"]
        done = subprocess.run(
            [*map(str, command), "--no-sync"], capture_output=True, text=True, cwd="/", check=False, **self._account
        )
        if done.returncode:
            pytest.fail(f"initdb failed: {done.stderr}")

    def _start(self, programs: Path, *, durable: bool) -> subprocess.Popen[bytes]:
        import psycopg

        settings = {**_MODEST, "unix_socket_directories": str(self._folder), **({} if durable else _FAST)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = self._folder / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [str(programs / "postgres"), "-D", str(self._data), *options],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd="/",
                **self._account,
            )
        until = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(self.address()).close()
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > until:
                    process.kill()
                    pytest.fail(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            else:
                return process


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest version there is, or ``None``."""
    if os.name == "nt":
        return None
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).resolve().parent if elsewhere else None


def _unprivileged() -> dict[str, Any]:
    """Return what makes a child another account's where this one is root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return {}
    import pwd

    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no account without rights to run it as")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, one for the whole run."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (on Debian and Ubuntu: apt-get install postgresql)")
    server = Postgres(programs)
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_address(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where an empty database is: a file, then a URL."""
    if request.param == "sqlite":
        return tmp_path / "database.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def database(database_address: Path | str) -> Iterator[Database]:
    """An empty database, open; on SQLite, then on PostgreSQL."""
    with open_database(database_address) as opened:
        yield opened
