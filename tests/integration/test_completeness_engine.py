"""What a real acquisition engine's half-written files say of themselves, frame by frame."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from rawtrace.image.completeness import Completeness, completeness
from rawtrace.image.metadata import harvest
from rawtrace.image.preview import preview


@pytest.fixture(scope="module")
def engine() -> Any:
    for name in ("pymmcore_plus", "mm_test_adapters", "ome_writers"):
        pytest.importorskip(name, reason="the demo extra is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mm_test_adapters import device_adapter_path
        from pymmcore_plus import CMMCorePlus

        core = CMMCorePlus()
        core.setDeviceAdapterSearchPaths([str(device_adapter_path())])
        core.loadSystemConfiguration(str(Path(device_adapter_path()) / "MMConfig_demo.cfg"))
    return core


def acquire(core: Any, target: Path, watched: list[Path], **plan: Any) -> list[tuple[Completeness | None, ...]]:
    """Run an acquisition of 2 time points, 2 channels and 2 focal planes; look at every file after every frame."""
    import useq

    channels = [{"config": "DAPI", "exposure": 10}, {"config": "FITC", "exposure": 20}]
    times = {"interval": 0.1, "loops": 2}
    sequence = useq.MDASequence(channels=channels, z_plan={"range": 2, "step": 2}, time_plan=times, **plan)
    seen: list[tuple[Completeness | None, ...]] = []

    def look(*_: object) -> None:
        seen.append(tuple(completeness(path) if path.exists() else None for path in watched))

    core.mda.events.frameReady.connect(look)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            core.run_mda(sequence, output=str(target), block=True)
    finally:
        core.mda.events.frameReady.disconnect(look)
    return seen


@pytest.mark.parametrize("name", ["run.ome.tiff", "run.ome.zarr"])
def test_never_finished_before_the_end_and_finished_then_fail(engine: Any, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    seen = acquire(engine, target, [target])
    assert len(seen) == 8
    assert any(says is not None for (says,) in seen)
    assert not [says for (says,) in seen if says is not None and says.finished]
    done = completeness(target)
    assert (done.finished, done.expected, done.present) == (True, 8, 8)


def test_between_frames_a_zarr_is_unfinished_and_not_merely_silent_fail(engine: Any, tmp_path: Path) -> None:
    target = tmp_path / "run.ome.zarr"
    seen = acquire(engine, target, [target])
    # Half of the series is still to come here: quiet time alone must not settle it.
    middle = seen[4][0]
    assert middle is not None
    assert middle.finished is False


def test_one_file_for_each_position_fail(engine: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    files = [folder / "run_p000.ome.tiff", folder / "run_p001.ome.tiff"]
    seen = acquire(engine, tmp_path / "run.ome.tiff", files, stage_positions=[(0, 0), (10, 20)])
    assert not [says for moment in seen for says in moment if says is not None and says.finished]
    for path in files:
        assert completeness(path).finished is True, path
        assert {value.name: value.value for value in harvest(path).values}["scene.count"] == 1


@pytest.mark.parametrize("name", ["run.ome.tiff", "run.ome.zarr"])
def test_harvest_and_preview_of_what_the_engine_wrote(engine: Any, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    acquire(engine, target, [])
    found = harvest(target)
    taken = {value.name: value.value for value in found.values}
    assert found.notes == ()
    assert (taken["channel.0.name"], taken["channel.1.name"]) == ("DAPI", "FITC")
    assert (taken["channel.0.exposure_s"], taken["channel.1.exposure_s"]) == (0.01, 0.02)
    assert taken["pixels.physical_size_x_um"] == 1.0
    assert taken["acquisition.software"] == "Micro-Manager"
    assert taken["detector.0.model"] == "DemoCamera-MultiMode"
    assert "plane.7.position_z_um" in taken
    assert "acquisition.time" in taken
    # The engine notes folders of whoever runs it; none of them is harvested.
    text = str(found)
    assert str(Path.home()) not in text
    assert ".cfg" not in text
    shown = preview(target)
    assert shown is not None
    assert "DAPI in green" in shown.caption
