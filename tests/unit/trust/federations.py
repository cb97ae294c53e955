"""Made for the tests of federations: one with three signers of which two must sign, and what an attacker can do."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rawtrace.trust import federation, federationkeys, federationpublish, keys
from rawtrace.trust.tuflib import Metadata

o = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("operators.py"))))

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = "# the federation's logs\nquorum none\n"


@dataclass
class Fed:
    """A federation on disk with all its keys at hand."""

    base: Path
    folder: Path
    sticks: list[Path] = field(default_factory=list)

    @property
    def public(self) -> Path:
        return self.folder / "public"

    @property
    def root(self) -> bytes:
        return (self.public / "metadata" / "1.root.json").read_bytes()

    def stick(self) -> Path:
        place = self.base / f"stick-{len(self.sticks)}"
        federationkeys.create_key(place)
        self.sticks.append(place)
        return place

    def sign(self, *numbers: int) -> None:
        for number in numbers:
            federation.sign(self.folder, keys.open_in_folder(self.sticks[number]))

    def publish(self, now: datetime = NOW, *numbers: int, **changes: Any) -> None:
        if changes:
            federation.add(self.folder, now=now, **changes)
            self.sign(*(numbers or (0, 1)))
        federationpublish.publish(self.folder, now=now)

    def pages(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.public).as_posix(): path.read_bytes()
            for path in self.public.rglob("*")
            if path.is_file()
        }


def make(base: Path, *, name: str = "example", threshold: int = 2, publish: bool = True, **options: Any) -> Fed:
    base.mkdir(parents=True, exist_ok=True)
    fed = Fed(base, base / "federation")
    offline = [federationkeys.read_public(fed.stick(), holder=f"signer {number}") for number in range(3)]
    federation.create(fed.folder, name=name, offline=offline, threshold=threshold, now=NOW, **options)
    if publish:
        operator = o.Operator()
        fed.publish(files={"lists/university.jws": operator.sign(operator.payload())})
    return fed


def list_file(sequence: int = 3, operator: Any = None, **changes: Any) -> bytes:
    operator = operator or o.Operator()
    data: bytes = operator.sign(operator.payload(sequence=sequence, **changes))
    return data


def resign(data: bytes, change: Callable[[Any], None], *signing: Path) -> bytes:
    """Change metadata as somebody with some keys can."""
    metadata: Any = Metadata.from_bytes(data)
    change(metadata.signed)
    metadata.signatures.clear()
    for place in signing:
        metadata.sign(federationkeys.signer(keys.open_in_folder(place)), append=True)
    return metadata.to_bytes()


def online(fed: Fed) -> Path:
    (place,) = (one for one in (fed.folder / "online").iterdir() if one.is_dir())
    return place


def edited(data: bytes, change: Callable[[Any], None]) -> bytes:
    """Change JSON without any key."""
    document = json.loads(data)
    change(document)
    return json.dumps(document).encode()
