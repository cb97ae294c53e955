"""Commands that keep something: each in a folder of its own, with what must be so afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OWNER = "https://ror.org/0exampe44"


@dataclass(frozen=True)
class Command:
    """``arguments`` run with ``config``; ``check`` fails unless the folder is as if they had run in peace, once."""

    arguments: tuple[object, ...]
    config: Path
    check: Callable[[], None]
    #: Files that must be as they were where the command did not succeed.
    kept: tuple[Path, ...] = ()


def told(faulty: Any, *arguments: object, config: Path) -> Any:
    return json.loads(faulty.good(*arguments, "--json", config=config).stdout)


def _authority(folder: Path, people: Any) -> Path:
    return Path(shutil.copytree(people.authority, folder / "authority"))


def _sequence(authority: Path) -> int:
    from rawtrace.trust.trustlist import read_list

    return read_list((authority / "trust-list.jws").read_bytes(), source="it").sequence


def authority_new(folder: Path, people: Any, faulty: Any) -> Command:
    target = folder / "new"

    def check() -> None:
        assert told(faulty, "authority", "list", target, config=folder / "config")
        assert (target / "root" / "key.pem").stat().st_mode & 0o077 == 0

    return Command(("authority", "new", target, "--name", "Example Society"), folder / "config", check)


def instrument_new(folder: Path, people: Any, faulty: Any) -> Command:
    authority, target = _authority(folder, people), folder / "scope"
    before, data = _sequence(authority), folder / "plate.bin"
    data.write_bytes(b"pixels")
    made = ("--name", "Scope", "--manufacturer", "Example Optics", "--model", "W1", "--owner", OWNER)

    def check() -> None:
        assert _sequence(authority) > before
        faulty.good("seal", data, "--instrument", target)
        faulty.good("verify", data, "--trust", authority)
        Path(f"{data}.c2pa").unlink()

    arguments = ("instrument", "new", target, *made, "--authority", authority)
    return Command(arguments, folder / "config", check)


def authority_revoke(folder: Path, people: Any, faulty: Any) -> Command:
    authority = _authority(folder, people)
    before = _sequence(authority)
    pid = json.loads((people.instrument / "instrument.json").read_text())["identifier"]["identifier"]

    def check() -> None:
        from rawtrace.trust.trustlist import read_list

        found = read_list((authority / "trust-list.jws").read_bytes(), source="it")
        assert found.sequence > before
        assert "privilegeWithdrawn" in {one.reason for one in found.statuses}

    arguments = ("authority", "revoke", authority, "--pid", pid, "--reason", "privilegeWithdrawn")
    return Command(arguments, folder / "config", check)


def trust_add(folder: Path, people: Any, faulty: Any) -> Command:
    config = folder / "config"

    def check() -> None:
        faulty.good("trust", "list", config=config)
        assert len(list((config / "trust").glob("*.json"))) == 1

    return Command(("trust", "add", people.authority), config, check)


def trust_update(folder: Path, people: Any, faulty: Any) -> Command:
    from rawtrace.trust.authority import publish

    authority, config = _authority(folder, people), folder / "config"
    faulty.good("trust", "add", authority, config=config)
    (held,) = (config / "trust").glob("*.json")
    before = held.read_bytes()
    publish(authority)

    def check() -> None:
        faulty.good("trust", "list", config=config)
        assert held.read_bytes() != before

    return Command(("trust", "update"), config, check, kept=(held,))


def verify_report(folder: Path, people: Any, faulty: Any) -> Command:
    data, page = folder / "plate.bin", folder / "page.html"
    data.write_bytes(b"pixels")
    faulty.good("seal", data, "--instrument", people.instrument)

    def check() -> None:
        assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")

    arguments = ("verify", data, "--trust", people.authority, "--report", page)
    return Command(arguments, folder / "config", check, kept=(data, Path(f"{data}.c2pa")))


COMMANDS: tuple[Callable[..., Command], ...] = (
    authority_new,
    instrument_new,
    authority_revoke,
    trust_add,
    trust_update,
    verify_report,
)
