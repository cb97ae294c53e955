"""The agent's loop, over a clock that tests turn."""

from __future__ import annotations

import json
import logging
import os
import runpy
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.agent.finish import NothingSaid, Patience
from rawtrace.agent.rows import State
from rawtrace.errors import (
    ChangedWhileReadError,
    DiskFullError,
    InputNotFoundError,
    OutboxError,
    UnreadableError,
    UnwritableError,
)
from rawtrace.sealing.finished import NOTES_FOLDER, leave_note
from rawtrace.sealing.statements import Device

lab = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "lab.py")))
HOUR_S = 3600.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    made = lab.World(tmp_path)
    yield made
    made.close()


def sealed(world: Any) -> list[str]:
    return [name for name, *_ in world.seals]


# --- what must not be sealed


def test_a_time_lapse_with_half_an_hour_between_frames_waits(world: Any) -> None:
    world.says["lapse.ome.tif"] = lab.unfinished_says()
    path = world.write("lapse.ome.tif")
    service = world.service()
    for frame in range(10):
        path.write_bytes(b"frame" * (frame + 1))
        world.pass_time(service, HOUR_S / 2, step_s=120)
        assert sealed(world) == []
        assert world.row("lapse.ome.tif").reason == "3 of 10 planes are there"
    world.says["lapse.ome.tif"] = lab.complete_says()
    path.write_bytes(b"frame" * 10 + b"end")
    world.pass_time(service, 32)
    assert sealed(world) == ["lapse.ome.tif"]


def test_what_another_program_has_open_waits(world: Any) -> None:
    world.write("a.tif")
    world.says["a.tif"] = lab.complete_says()
    world.writers.open.add("a.tif")
    service = world.service()
    world.pass_time(service, 60)
    assert sealed(world) == []
    assert "open for writing" in world.row("a.tif").reason
    world.writers.open.clear()
    world.pass_time(service, 31)
    assert sealed(world) == ["a.tif"]


def test_an_empty_file_waits(world: Any) -> None:
    path = world.write("a.tif", b"")
    service = world.service()
    world.pass_time(service, 7 * HOUR_S, step_s=300)
    assert sealed(world) == []
    path.write_bytes(b"data")
    world.pass_time(service, 37)
    assert sealed(world) == ["a.tif"]


def test_a_temporary_name_holds_it_up(world: Any) -> None:
    world.write("a.tif")
    lock = world.write("a.tif.lock")
    service = world.service()
    world.pass_time(service, 60)
    assert sealed(world) == []
    lock.unlink()
    world.pass_time(service, 31)
    assert sealed(world) == ["a.tif"]


def test_what_keeps_growing_waits(world: Any) -> None:
    path = world.write("a.csv")
    service = world.service()
    for number in range(20):
        path.write_bytes(b"row\n" * (number + 1))
        world.pass_time(service, 3)
    assert sealed(world) == []
    world.pass_time(service, 6)
    assert sealed(world) == ["a.csv"]


# --- what must be sealed, and how soon


def test_a_complete_file_is_sealed_within_two_seconds(world: Any) -> None:
    service = world.service()
    world.pass_time(service, 5)
    world.write("a.ome.tif")
    world.says["a.ome.tif"] = lab.complete_says()
    world.pass_time(service, 2)
    assert world.seals == [("a.ome.tif", lab.content(world.root / "a.ome.tif"), "watched-folder", False)]
    row = world.row("a.ome.tif")
    assert (row.state, row.how, row.capture, row.label) == (State.SEALED, "format", "watched-folder", "urn:c2pa:0")
    assert [event.what for event in world.events] == ["sealed"]


def test_a_broken_off_acquisition_is_sealed_after_the_long_quiet_and_says_so(world: Any) -> None:
    world.write("a.ome.tif")
    world.says["a.ome.tif"] = lab.unfinished_says()
    service = world.service()
    world.pass_time(service, 5.9 * HOUR_S, step_s=300)
    assert sealed(world) == []
    world.pass_time(service, 0.2 * HOUR_S, step_s=30)
    assert world.row("a.ome.tif").how == "long-quiet"


def test_the_quiet_time_of_earlier_runs_counts(world: Any) -> None:
    world.write("a.ome.tif")
    world.says["a.ome.tif"] = lab.unfinished_says()
    for _ in range(4):
        service = world.service()
        world.pass_time(service, 2 * HOUR_S, step_s=300)
        service.close()
        if world.seals:
            break
    assert sealed(world) == ["a.ome.tif"]
    assert world.now - 1000 < 6.5 * HOUR_S


def test_a_zarr_is_sealed_once_as_a_whole(world: Any) -> None:
    for number in range(5):
        world.write(f"s.ome.zarr/0/c/{number}", b"chunk")
    service = world.service()
    world.pass_time(service, 8)
    assert sealed(world) == ["s.ome.zarr"]
    assert (world.root / "s.ome.zarr.sha256.c2pa").is_file()


def test_a_reader_that_trips_does_not_stop_the_agent(world: Any) -> None:
    world.write("a.tif")
    world.write("b.tif")
    world.says["a.tif"] = ZeroDivisionError("odd header")
    world.says["b.tif"] = UnreadableError("odd header")
    world.pass_time(world.service(), 8)
    assert sorted(sealed(world)) == ["a.tif", "b.tif"]


# --- the engine's word


def test_the_engine_is_believed_at_once_but_not_its_capture(world: Any) -> None:
    path = world.write("a.ome.tif")
    world.says["a.ome.tif"] = lab.unfinished_says()
    leave_note(world.root / NOTES_FOLDER, path, engine="engine", reason="canceled")
    service = world.service()
    service.step()
    assert [(name, capture) for name, _, capture, _ in world.seals] == [("a.ome.tif", "watched-folder")]
    assert world.row("a.ome.tif").how == "engine"
    assert list((world.root / NOTES_FOLDER).iterdir()) == []


def test_a_note_that_only_the_engine_can_write_makes_it_an_engine_hook(world: Any, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    leave_note(notes, world.write("a.ome.tif"), engine="engine")
    world.service(engine_notes=notes).step()
    assert [capture for _, _, capture, _ in world.seals] == ["engine-hook"]


USUAL = Device(firmware="1.4.2", features=())
SAID = Device(firmware="", features=("hdr",))


@pytest.mark.parametrize(
    ("usual", "said", "stated"),
    [
        (None, None, None),
        (USUAL, None, USUAL),
        (None, SAID, SAID),
        (USUAL, SAID, Device(firmware="1.4.2", features=("hdr",))),
        (USUAL, Device(firmware="1.5"), Device(firmware="1.5", features=())),
    ],
)
def test_with_what_it_was_recorded(world: Any, tmp_path: Path, usual: Any, said: Any, stated: Any) -> None:
    notes = tmp_path / "notes"
    leave_note(notes, world.write("a.ome.tif"), engine="engine", device=said)
    world.service(engine_notes=notes, device=usual).step()
    assert world.devices == [stated]


def test_what_anybody_could_have_written_states_no_firmware_fail(world: Any) -> None:
    leave_note(world.root / NOTES_FOLDER, world.write("a.ome.tif"), engine="engine", device=SAID)
    world.service(device=USUAL).step()
    assert world.devices == [USUAL]


@pytest.mark.parametrize(
    "device",
    ['"1.4"', "[]", "null", '{"firmware": 7}', '{"features": "hdr"}', '{"features": ["HDR"]}', '{"serial": "7"}',
     '{"firmware": "1\\n2"}', '{"features": [7]}'],
)  # fmt: skip
def test_a_note_that_names_no_device_is_passed_over_fail(world: Any, tmp_path: Path, device: str) -> None:
    notes = tmp_path / "notes"
    note = leave_note(notes, world.write("a.ome.tif"), engine="engine", device=SAID)
    note.write_text(json.dumps(json.loads(note.read_text()) | {"device": json.loads(device)}))
    service = world.service(engine_notes=notes)
    world.pass_time(service, 8)
    assert [capture for _, _, capture, _ in world.seals] == ["watched-folder"]
    assert world.devices == [None]


def test_a_note_does_not_vouch_for_other_bytes(world: Any, tmp_path: Path) -> None:
    notes, path = tmp_path / "notes", world.write("a.ome.tif")
    leave_note(notes, path, engine="engine")
    path.write_bytes(b"swapped afterwards")
    service = world.service(engine_notes=notes)
    world.pass_time(service, 8)
    assert [capture for _, _, capture, _ in world.seals] == ["watched-folder"]


@pytest.mark.parametrize("name", ["outside.tif", "link.tif"])
def test_a_note_cannot_point_out_of_the_folder(world: Any, tmp_path: Path, name: str, caplog: Any) -> None:
    outside = tmp_path / "outside.tif"
    outside.write_bytes(b"secret")
    (world.root / "link.tif").symlink_to(outside)
    target = outside if name == "outside.tif" else world.root / name
    notes = world.root / NOTES_FOLDER
    if name == "link.tif":
        leave_note(notes, outside, engine="e")
        (note,) = notes.iterdir()
        note.write_text(note.read_text().replace(str(outside), str(target)))
    else:
        leave_note(notes, target, engine="e")
    with caplog.at_level(logging.WARNING):
        world.pass_time(world.service(), 10)
    assert world.seals == []
    assert "no asset in the watched folder" in caplog.text
    assert not outside.with_name("outside.tif.c2pa").exists()


def test_a_note_that_cannot_be_taken_away_is_read_once(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_note(world.root / NOTES_FOLDER, world.write("a.tif"), engine="e")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        service = world.service()
        world.now += 1
        service._notes.take()
        service._notes.take()
    world.pass_time(service, 5)
    assert sealed(world) == ["a.tif"]


# --- what comes after the seal


def test_late_data_is_sealed_anew_and_the_old_seal_is_kept(world: Any) -> None:
    path = world.write("a.csv")
    service = world.service()
    world.pass_time(service, 7)
    path.write_bytes(b"more rows")
    world.pass_time(service, 10)
    assert [(name, again) for name, _, _, again in world.seals] == [("a.csv", False), ("a.csv", True)]
    assert [row.state for row in world.outbox.history("a.csv")] == [State.SUPERSEDED, State.SEALED]
    assert [event.what for event in world.events] == ["sealed", "superseded"]
    assert (world.root / "a.csv.superseded-00002.c2pa").is_file()


def test_late_chunks_are_found_in_a_sealed_folder(world: Any) -> None:
    world.write("s.zarr/0/0", b"chunk")
    service = world.service()
    world.pass_time(service, 7)
    world.write("s.zarr/0/1", b"late")
    world.pass_time(service, 40)
    assert [again for *_, again in world.seals] == [False, True]


def test_a_mere_touch_makes_no_new_seal(world: Any) -> None:
    path = world.write("a.tif")
    service = world.service()
    world.pass_time(service, 7)
    os.utime(path, ns=(0, 12345))
    world.pass_time(service, 12)
    assert len(world.seals) == 1
    assert [row.state for row in world.outbox.history("a.tif")] == [State.SEALED]


def test_what_changes_long_after_its_seal_needs_a_person(world: Any) -> None:
    path = world.write("a.tif", b"original")
    service = world.service()
    world.pass_time(service, 7)
    original = path.stat().st_mtime_ns
    world.now += 7 * HOUR_S
    path.write_bytes(b"doctored")
    world.pass_time(service, 60)
    assert len(world.seals) == 1
    row = world.row("a.tif")
    assert row.state is State.CHANGED
    assert "a person must look" in row.reason
    assert [event.what for event in world.events] == ["sealed", "changed"]
    path.write_bytes(b"original")
    os.utime(path, ns=(original, original))
    world.pass_time(service, 3)
    assert world.row("a.tif").state is State.SEALED


def test_a_seal_of_somebody_else_is_respected_and_never_replaced(world: Any) -> None:
    path = world.write("a.tif")
    other = lab.World(world.root.parent)
    other.seal(path, capture="manual", supersede=False)
    service = world.service()
    world.pass_time(service, 7)
    assert world.seals == []
    assert world.row("a.tif").how == "found-sealed"
    path.write_bytes(b"doctored")
    world.pass_time(service, 20)
    assert world.seals == []
    assert world.row("a.tif").state is State.CHANGED


def test_a_name_that_is_used_anew_is_a_new_asset(world: Any) -> None:
    path = world.write("image001.tif")
    service = world.service()
    world.pass_time(service, 7)
    world.now += 10 * HOUR_S
    path.unlink()
    path.with_name("image001.tif.c2pa").unlink()
    world.pass_time(service, 3)
    world.write("image001.tif", b"tomorrow")
    world.pass_time(service, 10)
    assert [again for *_, again in world.seals] == [False, False]


# --- failures


@pytest.mark.parametrize("error", [DiskFullError("no room"), UnwritableError("denied"), ZeroDivisionError("bug")])
def test_a_failure_is_named_and_tried_again_for_ever(world: Any, error: BaseException) -> None:
    world.write("a.tif")
    world.errors = [error] * 12
    service = world.service()
    world.pass_time(service, 6)
    row = world.row("a.tif")
    assert row.state is State.FAILED
    assert str(error) in row.error
    world.pass_time(service, HOUR_S, step_s=5)
    assert sealed(world) == ["a.tif"]
    assert world.row("a.tif").attempts == 13


def test_a_file_that_changes_while_it_is_sealed_waits_again(world: Any) -> None:
    world.write("a.tif")
    world.errors = [ChangedWhileReadError("changed")]
    service = world.service()
    world.pass_time(service, 6)
    assert world.row("a.tif").state is State.WAITING

    def replace(path: Path) -> None:
        path.write_bytes(b"written anew")
        world.during = lambda path: None
        msg = "gone for a moment"
        raise InputNotFoundError(msg)

    world.during = replace
    world.pass_time(service, 12)
    assert sealed(world) == ["a.tif"]
    assert [event.what for event in world.events] == ["sealed"]


def test_a_seal_that_cannot_be_read_is_a_named_failure(world: Any) -> None:
    world.write("a.tif")
    sidecar = world.write("a.tif.c2pa", b"garbage")
    service = world.service()
    world.pass_time(service, 8)
    row = world.row("a.tif")
    assert row.state is State.FAILED
    assert "cannot be read" in row.error
    assert sidecar.read_bytes() == b"garbage"
    sidecar.unlink()
    world.pass_time(service, 60)
    assert sealed(world) == ["a.tif"]


@pytest.mark.skipif(os.name == "nt", reason="names are limited otherwise there")
def test_a_name_too_long_for_its_seal_holds_up_nobody_else(world: Any) -> None:
    long = "y" * 252
    world.write(long)
    world.write("z.tif")
    service = world.service()
    world.pass_time(service, 8)
    assert sealed(world) == ["z.tif"]
    assert world.row(long).state is State.FAILED
    assert "no seal can lie beside it" in world.row(long).error


def test_a_manual_seal_in_between_is_found(world: Any) -> None:
    world.write("a.tif")
    service = world.service()
    other = lab.World(world.root.parent)
    world.during = lambda path: other.seal(path, capture="manual", supersede=False)
    world.pass_time(service, 7)
    assert world.row("a.tif").how == "found-sealed"
    assert world.seals == []


def test_an_outbox_that_cannot_be_written_loses_nothing(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("a.tif")
    service = world.service()
    world.pass_time(service, 4)
    full = OutboxError("the disk is full")

    def refuse(*args: object, **options: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(world.outbox, "sealed", refuse)
        for _ in range(5):
            world.now += 1
            service._step_or_explain()
    assert len(world.seals) == 1
    assert world.row("a.tif").state is State.SEALING
    assert "full" in world.outbox._database.execute("SELECT value FROM fact WHERE name = 'problem'").fetchone()[0]
    service._step_or_explain()
    assert world.row("a.tif").state is State.SEALED
    assert len(world.seals) == 1


def test_a_drive_that_goes_away_and_comes_back(world: Any) -> None:
    world.write("a.tif")
    service = world.service()
    service.step()
    hidden = world.root.with_name("unplugged")
    world.root.rename(hidden)
    for _ in range(10):
        world.now += 1
        service._step_or_explain()
    hidden.rename(world.root)
    world.pass_time(service, 10)
    assert sealed(world) == ["a.tif"]


def test_what_is_taken_away_unsealed_is_counted_and_taken_up_again(world: Any) -> None:
    path = world.write("a.tif")
    service = world.service()
    service.step()
    path.rename(world.root / "final.tif")
    world.pass_time(service, 8)
    assert sealed(world) == ["final.tif"]
    assert world.row("a.tif").gone
    world.write("a.tif", b"again")
    world.pass_time(service, 8)
    assert sealed(world) == ["final.tif", "a.tif"]
    assert not world.row("a.tif").gone


# --- clocks, leftovers, other people's bytes


@pytest.mark.parametrize("skew", [timedelta(days=-4000), timedelta(days=4000)])
def test_a_wall_clock_that_jumps_changes_nothing(world: Any, skew: timedelta) -> None:
    world.write("a.tif")
    service = world.service()
    world.pass_time(service, 3)
    world.wall_skew = skew
    assert sealed(world) == []
    world.pass_time(service, 3)
    assert sealed(world) == ["a.tif"]


@pytest.mark.parametrize("mtime_s", [0, 4_000_000_000])
def test_a_time_stamp_in_the_future_or_past_does_not_block(world: Any, mtime_s: int) -> None:
    os.utime(world.write("a.tif"), (mtime_s, mtime_s))
    world.pass_time(world.service(), 7)
    assert sealed(world) == ["a.tif"]


def test_own_leftovers_are_swept_away_after_a_while(world: Any) -> None:
    leftover = world.write(".a.tif.c2pa.0a1b2c3d.rawtrace-tmp")
    foreign = world.write("a.rawtrace-tmp")
    service = world.service(leftover_s=60)
    world.pass_time(service, 50)
    assert leftover.exists()
    world.pass_time(service, 20)
    assert not leftover.exists()
    assert foreign.exists()


def test_the_acquisitions_own_bytes_are_never_touched(world: Any) -> None:
    paths = [world.write("a.tif"), world.write("s.zarr/0/0"), world.write("s.zarr/zarr.json", b"{}")]
    before = [(p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino, p.stat().st_mode) for p in paths]
    world.pass_time(world.service(), 10)
    assert len(world.seals) == 2
    assert [(p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino, p.stat().st_mode) for p in paths] == before


# --- one pass, and restarts


def test_one_pass_seals_what_is_finished_and_leaves_the_rest(world: Any) -> None:
    world.write("a.tif")
    world.write("b.tif")
    world.says |= {"a.tif": lab.complete_says(), "b.tif": NothingSaid(finished=False, reason="incomplete")}
    service = world.service(patience=Patience(quiet_s=0))
    assert service.run_once()
    assert sealed(world) == ["a.tif"]
    assert world.row("b.tif").reason == "incomplete"


def test_one_pass_tells_of_a_failure(world: Any) -> None:
    world.write("a.tif")
    world.errors = [DiskFullError("no room")]
    assert not world.service(patience=Patience(quiet_s=0)).run_once()


@pytest.mark.parametrize("sealed_already", [False, True])
def test_a_restart_looks_at_the_disk(world: Any, sealed_already: bool) -> None:
    path = world.write("a.tif")
    service = world.service()
    service.step()
    fingerprint = service._register.tracks["a.tif"].fingerprint
    world.outbox.begin("a.tif", fingerprint=fingerprint, how="quiet", capture="watched-folder")
    if sealed_already:
        world.seal(path, capture="watched-folder", supersede=False)
    service = world.service()
    assert world.row("a.tif").state is (State.SEALED if sealed_already else State.WAITING)
    world.pass_time(service, 10)
    assert len(world.seals) == 1
    assert world.row("a.tif").label == "urn:c2pa:0"
    assert world.row("a.tif").how == "quiet"


def test_a_restart_tells_an_old_seal_from_the_new_one(world: Any) -> None:
    path = world.write("a.tif")
    service = world.service()
    world.pass_time(service, 7)
    path.write_bytes(b"late data")
    world.during = lambda path: (_ for _ in ()).throw(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.pass_time(service, 12)
    world.during = lambda path: None
    service = world.service()
    world.pass_time(service, 12)
    assert [again for *_, again in world.seals] == [False, True]


def test_half_a_publication_is_taken_up_again(world: Any) -> None:
    world.write("a.tif")
    service = world.service()
    service.step()
    fingerprint = service._register.tracks["a.tif"].fingerprint
    world.outbox.begin("a.tif", fingerprint=fingerprint, how="quiet", capture="watched-folder")
    world.write("a.tif.c2pa", b"")
    world.pass_time(world.service(), 7)
    assert sealed(world) == ["a.tif"]


# --- who comes first


@pytest.fixture
def busy(world: Any) -> Any:
    """Two hundred small files are ready at once, and each seal takes 100 ms: twenty seconds' work."""

    def take_time(path: Path) -> None:
        world.now += 0.1

    world.during = take_time
    for number in range(200):
        world.write(f"burst/{number:03}.csv")
    return world


def sealed_at(world: Any, service: Any, name: str, within_s: float) -> float:
    start = world.now
    while name not in sealed(world):
        world.pass_time(service, 0.05, step_s=0.05)
        assert world.now - start < within_s, len(world.seals)
    return float(world.now - start)


def test_a_burst_of_small_files_does_not_hold_up_an_acquisition(busy: Any) -> None:
    service = busy.service()
    while len(busy.seals) < 20:
        busy.pass_time(service, 0.1)
    busy.says["new.ome.tif"] = lab.complete_says()
    busy.write("new.ome.tif")
    service._hints.add(str(busy.root / "new.ome.tif"))
    # One second of quiet, in which the format is not asked, and at most two more.
    assert sealed_at(busy, service, "new.ome.tif", within_s=3) < 3
    assert len(busy.seals) < 60
    busy.pass_time(service, 30)
    assert len(busy.seals) == 201


def test_what_the_engine_announces_overtakes_a_burst(busy: Any) -> None:
    service = busy.service()
    while len(busy.seals) < 20:
        busy.pass_time(service, 0.1)
    leave_note(busy.root / NOTES_FOLDER, busy.write("z.raw"), engine="engine")
    assert sealed_at(busy, service, "z.raw", within_s=2) < 2


def test_a_note_about_one_of_the_burst_brings_it_forward(busy: Any) -> None:
    service = busy.service()
    while len(busy.seals) < 20:
        busy.pass_time(service, 0.1)
    leave_note(busy.root / NOTES_FOLDER, busy.root / "burst" / "199.csv", engine="engine")
    assert sealed_at(busy, service, "burst/199.csv", within_s=2) < 2


def test_of_four_turns_the_rest_gets_one(world: Any) -> None:
    for number in range(40):
        world.write(f"{number:02}.csv")
        world.write(f"{number:02}.ome.tif")
    register = world.service()._register
    register.enlist((found.name, found.kind) for found in register._watched.sweep().found)
    for name, track in sorted(register.tracks.items()):
        track.says = NothingSaid() if name.endswith(".csv") else lab.complete_says()
        register.schedule(track, 0)
    order = [register.pop_due(world.now).name for _ in range(80)]
    assert register.pop_due(world.now) is None
    for suffix in (".csv", ".ome.tif"):
        mine = [name for name in order if name.endswith(suffix)]
        assert mine == sorted(mine)
    assert [name.endswith(".csv") for name in order[:12]] == [False, False, False, True] * 3
    assert len({*order}) == 80
