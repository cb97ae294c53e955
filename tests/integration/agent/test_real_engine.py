"""A real acquisition engine writes OME-TIFF and OME-Zarr while the agent runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from rawtrace.agent.rows import State
from rawtrace.integrations.pymmcore import Hook, seal_on_finish, tell_agent_on_finish
from rawtrace.report import Verdict
from rawtrace.trust.identity import Identity
from rawtrace.trust.trustlist import TrustList
from rawtrace.verification.verify import verify

pytest.importorskip("mm_test_adapters", reason="needs the demo extra: pip install 'rawtrace[demo]'")
pytest.importorskip("pymmcore_plus", reason="needs the demo extra: pip install 'rawtrace[demo]'")
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="starts the agent with POSIX signals"),
    # The engine's own libraries warn of things that are not ours.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def core() -> Any:
    from mm_test_adapters import device_adapter_path
    from pymmcore_plus import CMMCorePlus

    made = CMMCorePlus()
    folder = Path(device_adapter_path())
    made.setDeviceAdapterSearchPaths([str(folder)])
    made.loadSystemConfiguration(str(folder / "MMConfig_demo.cfg"))
    return made


def sequence(interval_s: float = 0, loops: int = 1, positions: int = 1) -> Any:
    import useq

    return useq.MDASequence(
        channels=[{"config": "DAPI", "exposure": 2}, {"config": "FITC", "exposure": 2}],
        z_plan={"range": 2, "step": 2},
        time_plan={"interval": interval_s, "loops": loops},
        stage_positions=[(float(number), 0.0, 0.0) for number in range(positions)],
    )


@pytest.mark.parametrize("name", ["scan.ome.tiff", "scan.ome.zarr"])
def test_a_time_lapse_is_sealed_when_it_is_complete_and_not_before(
    core: Any, lab: Any, name: str, trust_lists: tuple[TrustList, ...]
) -> None:
    lab.start("--quiet-period", "0.15")
    lab.wait_for(lambda: "watching" in lab.log())
    sidecar = lab.watched / (f"{name}.c2pa" if name.endswith("tiff") else f"{name}.sha256.c2pa")
    premature: list[int] = []
    core.mda.events.frameReady.connect(lambda *_: premature.append(1) if sidecar.exists() else None)
    # Frames are further apart than the quiet period: only what the format says keeps the agent from sealing.
    core.run_mda(sequence(interval_s=0.6, loops=3), output=str(lab.watched / name), block=True)
    lab.wait_for(sidecar.exists)
    assert not premature
    report = verify(lab.watched / name, trust=trust_lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    (seal,) = lab.status()["last_sealed"]
    assert (seal["path"], seal["capture"]) == (name, "watched-folder")


def test_the_hook_tells_the_agent(core: Any, lab: Any, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir(mode=0o700)
    lab.start("--quiet-period", "600", "--engine-notes", str(notes))
    lab.wait_for(lambda: "watching" in lab.log())
    with tell_agent_on_finish(core, notes=notes) as hook:
        core.run_mda(sequence(), output=str(lab.watched / "a.ome.tiff"), block=True)
    assert (hook.finished, hook.problems) == ([lab.watched / "a.ome.tiff"], [])
    lab.wait_for((lab.watched / "a.ome.tiff.c2pa").exists)
    lab.wait_for(lambda: lab.status()["counts"][State.SEALED] == 1)
    (seal,) = lab.status()["last_sealed"]
    assert (seal["how"], seal["capture"]) == ("engine", "engine-hook")
    assert list(notes.iterdir()) == []


@pytest.mark.parametrize("positions", [1, 2])
def test_the_hook_seals_by_itself(
    core: Any, tmp_path: Path, instrument: Identity, trust_lists: tuple[TrustList, ...], positions: int
) -> None:
    with seal_on_finish(core, signer=instrument) as hook:
        core.run_mda(sequence(positions=positions), output=str(tmp_path / "a.ome.tiff"), block=True)
        core.run_mda(sequence(positions=positions), output=str(tmp_path / "a.ome.zarr"), block=True)
    assert hook.problems == []
    assert len(hook.seals) == positions + 1
    for seal in hook.seals:
        assert verify(seal.asset, trust=trust_lists).verdict is Verdict.VERIFIED_WITH_NOTES
    assert after_close(core, hook, tmp_path) == len(hook.seals)


def after_close(core: Any, hook: Hook, folder: Path) -> int:
    """A closed hook hears nothing."""
    core.run_mda(sequence(), output=str(folder / "unheard.ome.tiff"), block=True)
    assert not (folder / "unheard.ome.tiff.c2pa").exists()
    return len(hook.seals)
