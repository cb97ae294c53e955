"""The microscope of the demo: a real acquisition engine with simulated hardware."""

from __future__ import annotations

import logging
from pathlib import Path

from rawtrace.errors import MissingExtraError


def record(folder: Path, names: tuple[str, ...]) -> None:
    """Record a two-channel z-stack once for each name, with the engine's own writers.

    Parameters
    ----------
    folder : Path
        Where the acquisition program puts its files.
    names : tuple of str
        Ending in ``.ome.tiff`` or ``.ome.zarr``; the ending chooses the writer.

    Raises
    ------
    MissingExtraError
        The acquisition engine is not installed.
    """
    try:
        import useq
        from mm_test_adapters import device_adapter_path
        from pymmcore_plus import CMMCorePlus
    except ImportError as error:
        msg = "the demo needs the acquisition engine, which is not installed"
        raise MissingExtraError(msg, hint="pip install 'rawtrace[demo]'") from error
    logging.getLogger("pymmcore-plus").setLevel(logging.ERROR)
    adapters = Path(device_adapter_path())
    core = CMMCorePlus()
    core.setDeviceAdapterSearchPaths([str(adapters)])
    core.loadSystemConfiguration(str(adapters / "MMConfig_demo.cfg"))
    stack = useq.MDASequence(
        channels=[{"config": "DAPI", "exposure": 10}, {"config": "FITC", "exposure": 20}],
        z_plan={"range": 4, "step": 2},
    )
    for name in names:
        core.run_mda(stack, output=str(folder / name), block=True)
    core.reset()
