"""A small world for the agent: a real folder, a clock that tests turn, and a sealer that writes simple sidecars."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rawtrace import durable
from rawtrace.agent.finish import NothingSaid, Patience
from rawtrace.agent.outbox import Outbox
from rawtrace.agent.service import Service
from rawtrace.agent.settings import Event, Settings
from rawtrace.agent.watch import Kind, WatchedFolder, sidecar_of
from rawtrace.agent.work import SealRead, Tools
from rawtrace.agent.writers import Writing
from rawtrace.errors import AlreadyExistsError, SealUnreadableError


@dataclass(frozen=True)
class Made:
    label: str
    claim_sha256: str
    content_sha256: str


def content(path: Path) -> str:
    digest = hashlib.sha256()
    for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if one.is_file():
            digest.update(str(one.relative_to(path)).encode() + one.read_bytes())
    return digest.hexdigest()


def read_seal(sidecar: Path) -> SealRead:
    try:
        value = json.loads(sidecar.read_bytes())
    except ValueError as error:
        msg = f"{sidecar.name} is not a seal"
        raise SealUnreadableError(msg) from error
    return SealRead(label=value["label"], claim_sha256=value["claim"], content_sha256=value["content"])


class NobodyWrites:
    """Stands for the process table."""

    def __init__(self) -> None:
        self.open: set[str] = set()

    def at_work_on(self, path: Path) -> Writing:
        return Writing.YES if path.name in self.open else Writing.UNKNOWN


class World:
    def __init__(self, folder: Path, connect: Any = None) -> None:
        self.root = folder / "watched"
        self.root.mkdir(exist_ok=True)
        self.state = folder / "state" / "agent.sqlite"
        self.now, self.wall_skew = 1000.0, timedelta()
        self.seals: list[tuple[str, str, str, bool]] = []
        self.devices: list[Any] = []
        self.errors: list[BaseException] = []
        self.during: Callable[[Path], None] = lambda path: None
        self.between: Callable[[Path], None] = lambda path: None
        self.after: Callable[[Path], None] = lambda path: None
        self.says: dict[str, Any] = {}
        self.writers = NobodyWrites()
        self.events: list[Event] = []
        self.connect = connect
        self.outbox: Outbox | None = None

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now) + self.wall_skew

    def write(self, name: str, data: bytes = b"some pixels") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def seal(self, path: Path, *, capture: str, supersede: bool, device: Any = None) -> Made:
        self.devices.append(device)
        if self.errors:
            raise self.errors.pop(0)
        sidecar = sidecar_of(path, Kind.FOLDER if path.is_dir() else Kind.FILE)
        if sidecar.exists() and not supersede:
            msg = f"{sidecar.name} exists already"
            raise AlreadyExistsError(msg)
        self.during(path)
        digest, number = content(path), len(self.seals)
        made = Made(f"urn:c2pa:{number}", hashlib.sha256(f"{path}{number}".encode()).hexdigest(), digest)
        if supersede and sidecar.exists():
            durable.move_aside(sidecar, path.with_name(f"{path.name}.superseded-{number + 1:05d}.c2pa"))
        self.between(path)
        text = json.dumps({"label": made.label, "claim": made.claim_sha256, "content": digest})
        durable.write_new(sidecar, text.encode())
        self.seals.append((path.relative_to(self.root).as_posix(), digest, capture, supersede))
        self.after(path)
        return made

    def complete(self, path: Path) -> Any:
        answer = self.says.get(path.name, NothingSaid())
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def service(self, **settings: Any) -> Service:
        """Start an agent as a new process would, on the same state and folder."""
        if self.outbox is not None:
            self.outbox.close()
        self.outbox = Outbox(self.state, now=lambda: self.wall().isoformat(), connect=self.connect)
        options = {"workers": 0, "patience": Patience()} | settings
        return Service(
            watched=WatchedFolder(self.root),
            outbox=self.outbox,
            tools=Tools(seal=self.seal, read_seal=read_seal, content=content),
            complete=self.complete,
            settings=Settings(**options),
            clock=lambda: self.now,
            wall=self.wall,
            writers=self.writers,  # type: ignore[arg-type]
            tell=self.events.append,
        )

    def pass_time(self, service: Service, seconds: float, step_s: float = 0.25) -> None:
        """Let seconds pass, with the agent looking as often as it likes."""
        end = self.now + seconds
        while self.now < end:
            pause_s = service.step()
            self.now = min(end, self.now + max(step_s, pause_s))
        service.step()

    def row(self, name: str) -> Any:
        assert self.outbox is not None
        return self.outbox.row(name)

    def close(self) -> None:
        if self.outbox is not None:
            self.outbox.close()


def complete_says(reason: str = "all planes are there") -> NothingSaid:
    return NothingSaid(finished=True, reason=reason)


def unfinished_says(reason: str = "3 of 10 planes are there") -> NothingSaid:
    return NothingSaid(finished=False, reason=reason)
