"""``rawtrace store``: addresses that carry what a server is known by, and stores that stand behind each other."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rawtrace.cli.addresses import split
from rawtrace.cli.main import run_for_code
from rawtrace.errors import UsageError
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.sequencer import Submission
from rawtrace.server.settings import SETTINGS_FILE
from rawtrace.server.store import Store
from stores import Running, found, running

Command = Callable[..., tuple[int, str, str]]
KEY = "ab" * 32


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_for_code([str(one) for one in words])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def three(tmp_path: Path) -> Iterator[tuple[Running, Running, Running]]:
    """Stores with certificates of their own, at the addresses that they name."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in ("one", "two", "three"):
            plan = {"name": name, "url": "https://127.0.0.1", "origin": f"{name}.example.org/log", "tls": True}
            store = stack.enter_context(Store.open(found(tmp_path / name, **plan)))
            one = stack.enter_context(running(store))
            store.settings = dataclasses.replace(store.settings, url=one.url)
            settings = store.folder / SETTINGS_FILE
            settings.write_text(settings.read_text().replace('url = "https://127.0.0.1"', f'url = "{one.url}"'))
            made.append(one)
        yield made[0], made[1], made[2]


def address(command: Command, one: Running) -> str:
    code, out, _ = command("store", "address", one.store.folder)
    assert code == 0
    return out.strip()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"https://a.example.org#key={KEY}", "cd" * 32),
        (f"https://a.example.org#key={KEY[:-1]}", ""),
        (f"https://a.example.org#token={KEY}", ""),
        (f"https://a.example.org#key={KEY}&key={KEY}", ""),
        (f"http://a.example.org#key={KEY}", ""),
    ],
)
def test_an_odd_address_is_refused_fail(text: str, key: str) -> None:
    with pytest.raises(UsageError):
        split(text, key)


def test_an_address_is_taken_apart() -> None:
    assert split("https://a.example.org/") == ("https://a.example.org", "")
    assert split("https://a.example.org", KEY.upper()) == ("https://a.example.org", KEY)
    assert split(f"https://a.example.org#sha256={KEY}&key={KEY}") == ("https://a.example.org", KEY)
    assert split(f"https://a.example.org#key={KEY}", KEY) == ("https://a.example.org", KEY)


def test_a_server_with_another_key_is_not_asked_fail(command: Command, three: tuple[Running, ...]) -> None:
    first, second, _ = three
    wrong = f"{address(command, first).partition('#')[0]}#key={KEY}"
    code, _, err = command("store", "witness", second.store.folder, wrong)
    assert code == 1
    assert "shows the key" in err
    assert not (second.store.folder / "witness" / "logs").exists()


def test_what_cannot_be_required_is_refused_fail(command: Command, three: tuple[Running, ...]) -> None:
    first, second, _ = three
    other = address(command, second)
    for words in (["--require", 2], ["--require", 1, "--copies", 1], ["--require", 2, "--copies", 0]):
        code, _, err = command("store", "quorum", first.store.folder, "--witness", other, *words)
        assert (code, "cannot be required" in err) == (1, True), words
    assert not (first.store.folder / "log" / "policy").exists()
    code, _, err = command("store", "witness", first.store.folder, address(command, first))
    assert code == 1
    assert "own log" in err


def test_stores_stand_behind_each_other_and_watch(command: Command, three: tuple[Running, ...]) -> None:
    first, *others = three
    asked: list[object] = []
    for one in others:
        for part in ("witness", "mirror"):
            assert command("store", part, one.store.folder, address(command, first))[0] == 0
            asked += [f"--{part}", address(command, one)]
    code, _, err = command("store", "quorum", first.store.folder, *asked, "--require", 1, "--copies", 2)
    assert code == 0, err
    policy = Policy.parse((first.store.folder / "log" / "policy").read_bytes())
    names = {
        name: [one.name for one in policy.witnesses if one.name.startswith(name)] for name in ("witness", "mirror")
    }
    assert policy.satisfied([names["witness"][0], *names["mirror"]])
    assert not policy.satisfied([*names["witness"], names["mirror"][0]])
    assert not policy.satisfied(names["mirror"])
    # The server that runs does not ask for them yet; one that is opened anew does.
    origin = first.store.settings.log.origin
    one = Submission.of("file", {"sha256": "00" * 32, "size": 1}, issuer=origin, key="")
    with Store.open(first.store.folder) as opened:
        assert opened.log.submit(one).result(30).index == 0
    code, out, err = command("log", "witness", first.store.folder)
    assert (code, out.count("agrees")) == (0, 4), out + err
    code, out, _ = command("store", "monitor", others[0].store.folder, "--json")
    assert code == 0
    value: Any = json.loads(out)
    assert [one["at"] for one in value["seen"]] == ["the log", "own-witness", "own-mirror"]
    assert [one["outcome"] for one in value["seen"]][2] == "consistent"
    # Its mirrors give back what it lost.
    assert "brought back 0 entries" in command("log", "restore", first.store.folder)[1]


def test_a_log_without_mirrors_has_nobody_to_ask_fail(command: Command, three: tuple[Running, ...]) -> None:
    first, second, _ = three
    assert command("store", "witness", second.store.folder, address(command, first))[0] == 0
    quorum = ("--witness", address(command, second), "--require", 1)
    assert command("store", "quorum", first.store.folder, *quorum)[0] == 0
    code, _, err = command("log", "restore", first.store.folder)
    assert code == 1
    assert "its policy names none" in err
