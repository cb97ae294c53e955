"""Trust stores for tests: made in a folder, asked in this process or over loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rawtrace.server.access import Role
from rawtrace.server.app import create_app
from rawtrace.server.founding import Plan, found_store
from rawtrace.server.handles import FOLDER as HANDLES
from rawtrace.server.handles import create_handle_key
from rawtrace.server.run import serve, server_key
from rawtrace.server.settings import SETTINGS_FILE
from rawtrace.server.store import Store
from rawtrace.server.tokens import make_token
from rawtrace.trust.handles.wire import RsaKey
from rawtrace.web import Caller, Web

NAME = "Example facility"
PREFIX = "20.500.12345"


_patterns = tempfile.TemporaryDirectory(prefix="rawtrace-stores-")


@functools.cache
def _pattern(_called: str, plan: Plan) -> Path:
    """Make each kind of store once: its RSA key takes longer than most tests. Each name has keys of its own."""
    folder = Path(tempfile.mkdtemp(dir=_patterns.name)) / "store"
    found_store(folder, plan)
    return folder


def found(folder: Path, *, more: str = "", **plan: Any) -> Path:
    """Make a store; ``more`` is TOML put at the end of its settings, so it begins with a table."""
    wanted = {"name": NAME, "url": "https://store.example.org", "prefix": PREFIX, "tls": False} | plan
    # Each test has a database of its own, which says nothing about the rest of a store.
    database = wanted.pop("database", "")
    shutil.copytree(_pattern(folder.name, Plan(**wanted)), folder)
    path = folder / SETTINGS_FILE
    begun, blank, rest = path.read_text().partition('\ndatabase = ""\n')
    assert blank, "the settings of a new store name its database"
    path.write_text(f"{begun}\ndatabase = {json.dumps(database)}\n{rest}{more}")
    return folder


@functools.cache
def _handle_key() -> tuple[RsaKey, Path]:
    folder = Path(tempfile.mkdtemp(dir=_patterns.name))
    return create_handle_key(folder), folder / HANDLES


def give_handle_key(folder: Path) -> RsaKey:
    """Give a store the key that signs handle records: one for all tests, for it takes longer than most of them."""
    key, made = _handle_key()
    shutil.copytree(made, folder / HANDLES, dirs_exist_ok=True)
    return key


def token(store: Store, *roles: Role, pid: str = "") -> str:
    """Make a token of a store."""
    return make_token(store.database, name="a test", roles=roles, pid=pid)


def client(store: Store, *roles: Role, pid: str = "") -> TestClient:
    """Return a client that asks in this process, with a token for some roles or without one."""
    headers = {"Authorization": f"Bearer {token(store, *roles, pid=pid)}"} if roles else {}
    return TestClient(create_app(store), headers=headers, follow_redirects=False)


@dataclasses.dataclass(frozen=True)
class Running:
    """A store that answers on loopback."""

    store: Store
    url: str

    def web(self, *roles: Role, pid: str = "", **caller: Any) -> Web:
        """Return a client with a token for some roles; with TLS it knows the server by its key."""
        if self.url.startswith("https"):
            caller.setdefault("server_key_sha256", server_key(self.store.folder))
        return Web(Caller(token=token(self.store, *roles, pid=pid) if roles else "", **caller))


@contextlib.contextmanager
def running(store: Store) -> Iterator[Running]:
    """Serve a store on a free port of this machine, in a thread."""
    listen = dataclasses.replace(store.settings.listen, host="127.0.0.1", port=0)
    store.settings = dataclasses.replace(store.settings, listen=listen)
    told: list[str] = []
    opened, ended = threading.Event(), threading.Event()
    servers: list[Any] = []
    failed: list[BaseException] = []

    def ready(url: str) -> None:
        told.append(url)
        opened.set()

    def run() -> None:
        try:
            serve(store, ready=ready, started=servers.append)
        except BaseException as error:  # noqa: BLE001  handed to the test's own thread
            failed.append(error)
        finally:
            ended.set()
            opened.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    opened.wait(30)
    if failed:
        raise failed[0]
    try:
        yield Running(store, told[0])
    finally:
        for server in servers:
            server.should_exit = True
        ended.wait(30)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with a new authority and log."""
    with Store.open(found(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def running_store(store: Store) -> Iterator[Running]:
    """The same store, answering on loopback over plain http."""
    with running(store) as one:
        yield one


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Make stores: ``new_store(name, more="[offers]\\ntime = true\\n", **plan)``."""
    with contextlib.ExitStack() as stack:

        def make(folder: str = "store", **plan: Any) -> Store:
            return stack.enter_context(Store.open(found(tmp_path / folder, **plan)))

        yield make
