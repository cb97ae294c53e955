"""Whatever goes wrong about one asset is that asset's failure: the agent goes on with the rest."""

from __future__ import annotations

import errno
import logging
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.agent import work
from rawtrace.agent.finish import Patience
from rawtrace.agent.rows import State
from rawtrace.errors import UnreadableError, from_os_error

lab = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "lab.py")))
_ERRORS = [ZeroDivisionError("odd"), PermissionError(errno.EACCES, "Permission denied"), UnreadableError("no answer")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    made = lab.World(tmp_path)
    yield made
    made.close()


def sealed(world: Any) -> list[str]:
    return [name for name, *_ in world.seals]


def refuse(error: BaseException) -> Any:
    def call(*arguments: object, **options: object) -> Any:
        raise error

    return call


@pytest.mark.parametrize("error", _ERRORS)
def test_a_look_that_fails(world: Any, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    world.write("a.tif")
    world.write("z.tif")
    ask = world.writers.at_work_on
    world.writers.at_work_on = lambda path: refuse(error)() if path.name == "a.tif" else ask(path)
    service = world.service()
    with caplog.at_level(logging.WARNING):
        world.pass_time(service, 8)
    assert sealed(world) == ["z.tif"]
    row = world.row("a.tif")
    assert row.state is State.FAILED
    assert str(getattr(error, "strerror", "") or error).lower() in row.error.lower()
    assert ("a bug in rawtrace" in caplog.text) is isinstance(error, ZeroDivisionError)
    world.writers.at_work_on = ask
    world.pass_time(service, 300)
    assert sealed(world) == ["z.tif", "a.tif"]


def test_a_look_that_fails_is_not_tried_without_pause(world: Any) -> None:
    world.write("a.tif")
    asked: list[float] = []
    world.writers.at_work_on = lambda path: asked.append(world.now) or refuse(ZeroDivisionError("odd"))()
    world.pass_time(world.service(), 1000)
    assert 5 < len(asked) < 20


@pytest.mark.parametrize("error", _ERRORS)
def test_an_old_seal_whose_reader_trips(world: Any, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("a.tif")
    world.write("a.tif.c2pa", b"odd")
    world.write("z.tif")
    service = world.service()
    monkeypatch.setattr(service._register, "_tools", work.Tools(seal=world.seal, read_seal=refuse(error), content=str))
    world.pass_time(service, 8)
    assert sealed(world) == ["z.tif"]
    assert world.row("a.tif").state is State.FAILED


@pytest.mark.parametrize("error", _ERRORS)
def test_a_start_that_trips_over_one_row(world: Any, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.tif", "z.tif"):
        world.write(name)
    service = world.service()
    service.step()
    fingerprint = service._register.tracks["a.tif"].fingerprint
    world.outbox.begin("a.tif", fingerprint=fingerprint, how="quiet", capture="watched-folder")
    with monkeypatch.context() as patch:
        patch.setattr("rawtrace.agent.work.digest_of", refuse(error))
        service = world.service()
    assert world.row("a.tif").state is State.FAILED
    world.pass_time(service, 12)
    assert sorted(sealed(world)) == ["a.tif", "z.tif"]


def test_no_room_for_the_name_of_a_companion_is_a_failure_and_no_loop(world: Any) -> None:
    world.write("a.tif")
    too_long = OSError(errno.ENAMETOOLONG, "File name too long")
    world.errors = [from_os_error(too_long, "writing a.tif.metadata.json")] * 50
    assert not world.service(patience=Patience(quiet_s=0)).run_once()
    row = world.row("a.tif")
    assert row.state is State.FAILED
    assert "file name too long" in row.error
    assert row.attempts == 1


def test_an_outcome_that_cannot_be_told(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.tif", "z.tif"):
        world.write(name)
    world.events = SimpleNamespace(append=refuse(OSError(errno.ENOSPC, "No space left on device")))
    service = world.service()
    world.pass_time(service, 8)
    assert sorted(sealed(world)) == ["a.tif", "z.tif"]
    assert world.row("a.tif").state is world.row("z.tif").state is State.SEALED


def test_a_sealed_asset_that_cannot_be_compared(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world.write("a.tif")
    service = world.service()
    world.pass_time(service, 7)
    path.write_bytes(b"late data")
    world.write("z.tif")
    monkeypatch.setattr(service._register, "_why_not_again", refuse(ZeroDivisionError("odd")))
    world.pass_time(service, 8)
    assert sealed(world) == ["a.tif", "z.tif"]


def test_a_folder_that_may_not_be_entered(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("private/x.tif")
    world.write("z.tif")
    is_file = Path.is_file

    def guarded(path: Path, **options: Any) -> bool:
        if path.parent.name == "private":
            raise PermissionError(errno.EACCES, "Permission denied")
        return is_file(path, **options)

    monkeypatch.setattr(Path, "is_file", guarded)
    world.pass_time(world.service(), 8)
    assert "z.tif" in sealed(world)


def test_the_service_outlives_its_own_mistakes(
    world: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.write("a.tif")
    service = world.service()
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(service._watched, "sweep", refuse(ZeroDivisionError("odd")))
        for _ in range(3):
            service._step_or_explain()
    assert caplog.text.count("a bug in rawtrace") == 1
    world.pass_time(service, 8)
    assert sealed(world) == ["a.tif"]
