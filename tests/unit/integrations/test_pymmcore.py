"""The hook, with an engine made of paper: an acquisition is never disturbed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.errors import UsageError
from rawtrace.integrations.pymmcore import (
    Hook,
    from_core,
    from_property,
    outputs_of,
    seal_on_finish,
    tell_agent_on_finish,
)
from rawtrace.sealing.assertions import ACQUISITION
from rawtrace.sealing.finished import NOTES_FOLDER, FinishedNote, read_notes
from rawtrace.sealing.manifest import read_store
from rawtrace.sealing.statements import Device


class Signal:
    def __init__(self) -> None:
        self.slots: list[Callable[..., None]] = []

    def connect(self, slot: Callable[..., None]) -> None:
        self.slots.append(slot)

    def disconnect(self, slot: Callable[..., None]) -> None:
        self.slots.remove(slot)

    def emit(self) -> None:
        for slot in self.slots:
            slot(None)


def engine(output: Path | None = None, reason: str = "completed") -> Any:
    sink = SimpleNamespace(_settings=SimpleNamespace(output_path=str(output) if output else ""))
    return SimpleNamespace(
        mda=SimpleNamespace(
            events=SimpleNamespace(sequenceFinished=Signal()), status=SimpleNamespace(finish_reason=reason), _sink=sink
        )
    )


def end(core: Any) -> None:
    core.mda.events.sequenceFinished.emit()


@pytest.mark.parametrize("output", [None, Path("nowhere") / "a.tif"])
def test_whatever_goes_wrong_the_acquisition_goes_on(tmp_path: Path, output: Path | None, instrument: Any) -> None:
    core = engine(output)
    with tell_agent_on_finish(core, watched=tmp_path) as told, seal_on_finish(core, signer=instrument) as sealed:
        end(core)
    for hook in (told, sealed):
        assert len(hook.problems) == 1
        assert hook.finished == []


def test_an_unexpected_error_goes_no_further(tmp_path: Path) -> None:
    def trip(hook: Hook, path: Path, reason: str) -> None:
        raise ZeroDivisionError

    core = engine(tmp_path / "a.tif")
    with Hook(core, trip, ()) as hook:
        end(core)
    assert "ZeroDivisionError" in hook.problems[0]


@pytest.mark.parametrize("places", [{}, {"watched": Path("a"), "notes": Path("b")}])
def test_one_place_for_notes(places: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="name one of"):
        tell_agent_on_finish(engine(), **places)


def test_the_reason_travels_with_the_note(tmp_path: Path) -> None:
    asset = tmp_path / "a.tif"
    asset.write_bytes(b"data")
    core = engine(asset, reason="canceled")
    with tell_agent_on_finish(core, watched=tmp_path) as hook:
        end(core)
    assert hook.finished == [asset]
    ((_, note),) = read_notes(tmp_path / NOTES_FOLDER)
    assert isinstance(note, FinishedNote)
    assert (note.path, note.reason) == (asset, "canceled")
    end(core)
    assert len(list((tmp_path / NOTES_FOLDER).iterdir())) == 1


def test_named_outputs_come_first(tmp_path: Path) -> None:
    asset = tmp_path / "named.tif"
    asset.write_bytes(b"data")
    core = engine(tmp_path / "other.tif")
    with tell_agent_on_finish(core, watched=tmp_path, outputs=[asset]) as hook:
        end(core)
    assert hook.finished == [asset]


def test_many_positions_are_many_files_and_a_zarr_is_one(tmp_path: Path) -> None:
    for name in ("run/p0.ome.tiff", "run/p1.ome.tiff", "run/notes.txt", "run/._p0.ome.tiff", "s.ome.zarr/zarr.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in outputs_of(engine(tmp_path / "run"))] == ["p0.ome.tiff", "p1.ome.tiff"]
    assert outputs_of(engine(tmp_path / "s.ome.zarr")) == (tmp_path / "s.ome.zarr",)
    assert outputs_of(engine()) == ()


class Versioned:
    """The part of an engine that tells versions."""

    def __init__(self, core: Any, **properties: str) -> None:
        self.mda, self._properties = core.mda, properties

    def getVersionInfo(self) -> str:
        return "MMCore version 11.9.0"

    def getProperty(self, device: str, name: str) -> str:
        if device != "Camera":
            msg = f"no device with label {device!r}"
            raise RuntimeError(msg)
        return self._properties[name]


@pytest.mark.parametrize(
    ("firmware", "stated"),
    [("1.4.2", "1.4.2"), (from_core, "11.9.0"), (from_property("Camera", "FirmwareVersion"), "2.07")],
    ids=["text", "core", "property"],
)
def test_the_firmware_travels_with_the_note(tmp_path: Path, firmware: Any, stated: str) -> None:
    asset = tmp_path / "a.tif"
    asset.write_bytes(b"data")
    core = Versioned(engine(asset), FirmwareVersion=" 2.07\n")
    with tell_agent_on_finish(core, notes=tmp_path / "notes", firmware=firmware, features=["hdr"]) as hook:
        end(core)
    assert hook.problems == []
    ((_, note),) = read_notes(tmp_path / "notes")
    assert isinstance(note, FinishedNote)
    assert note.device == Device(firmware=stated, features=("hdr",))


@pytest.mark.parametrize(
    "firmware",
    [from_property("Stage", "Firmware"), from_property("Camera", "Text")],
    ids=["no such device", "no version"],
)
def test_firmware_that_cannot_be_read_is_not_stated_fail(tmp_path: Path, firmware: Any, instrument: Any) -> None:
    asset = tmp_path / "a.tif"
    asset.write_bytes(b"data")
    core = Versioned(engine(asset), Text="1.0\x00 or so")
    with seal_on_finish(core, signer=instrument, firmware=firmware) as hook:
        end(core)
    (made,) = hook.seals
    assert "the firmware is not stated" in hook.problems[0]
    assert made.sidecar is not None
    assert "firmware" not in said(made.sidecar)


def test_the_firmware_stands_in_the_seal(tmp_path: Path, instrument: Any) -> None:
    asset = tmp_path / "a.tif"
    asset.write_bytes(b"data")
    core = Versioned(engine(asset))
    with seal_on_finish(core, signer=instrument, firmware=from_core, features=[]) as hook:
        end(core)
    assert hook.problems == []
    (made,) = hook.seals
    assert made.sidecar is not None
    found = said(made.sidecar)
    assert (found["firmware"], found["features"]) == ("11.9.0", [])


def test_what_is_no_version_is_refused_at_once_fail(tmp_path: Path) -> None:
    for wrong in ({"firmware": "1\n2"}, {"features": ["Two Words"]}):
        core = engine()
        with pytest.raises(UsageError):
            tell_agent_on_finish(core, notes=tmp_path, **wrong)  # type: ignore[arg-type]
        assert core.mda.events.sequenceFinished.slots == []


def said(sidecar: Path) -> Any:
    manifest = read_store(sidecar.read_bytes()).active_manifest
    return next(one.data for one in manifest.assertions if one.label == ACQUISITION)
