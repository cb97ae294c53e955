"""A hook for pymmcore-plus: what an acquisition wrote is sealed at its end, on the engine's own word.

Two ways, for two ways of keeping the key:

- ``tell_agent_on_finish`` leaves a note for the agent, which holds the key under
  an account of its own. This is the way wherever people sit at the microscope.
- ``seal_on_finish`` seals in this process. It needs the key in the account that
  acquires, and so suits instruments that run unattended.

Either way a seal can state the firmware and the features in use, so that a
status about one of them finds it. An engine does not know what *the instrument's*
firmware is: whoever sets up the hook says which version that is, as text or
by where to read it (``from_property``, ``from_core``). Notes state it to the
agent only in a folder that nobody else can write to.

An acquisition is never disturbed: whatever goes wrong here is logged and kept
in ``Hook.problems``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rawtrace.errors import Error, UnreadableError
from rawtrace.sealing.assertions import Capture
from rawtrace.sealing.finished import NOTES_FOLDER, leave_note
from rawtrace.sealing.seal import Seal, seal
from rawtrace.sealing.statements import Device
from rawtrace.trust.signer import Identity

_LOG = logging.getLogger("rawtrace.integrations")
_MAX_FILES = 10_000
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)+")

#: The instrument's firmware: its version, or what reads it from the engine when an acquisition has ended.
Firmware = str | Callable[[Any], str]


class Hook:
    """Listens to an engine until it is closed; use it in a ``with`` statement or call ``close``.

    Attributes
    ----------
    finished : list of Path
        What acquisitions wrote, as far as they have ended.
    seals : list of Seal
        Made by ``seal_on_finish``.
    problems : list of str
        One sentence for each thing that could not be done.
    """

    def __init__(self, core: Any, handle: Callable[[Hook, Path, str], None], outputs: Sequence[Path]) -> None:
        self.finished: list[Path] = []
        self.seals: list[Seal] = []
        self.problems: list[str] = []
        self._core, self._handle, self._outputs = core, handle, tuple(outputs)
        core.mda.events.sequenceFinished.connect(self._on_finished)

    def close(self) -> None:
        """Stop listening."""
        self._core.mda.events.sequenceFinished.disconnect(self._on_finished)

    def __enter__(self) -> Hook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_finished(self, sequence: Any) -> None:
        try:
            reason = str(getattr(self._core.mda.status, "finish_reason", None) or "completed")
            paths = self._outputs or outputs_of(self._core)
            if not paths:
                self.complain("an acquisition ended, but where it was written to is not known; name outputs=")
            for path in paths:
                self._one(path, reason)
        except Exception as error:  # noqa: BLE001  the acquisition must go on whatever happens here
            self.complain(f"an unexpected error in the hook: {type(error).__name__}: {error}")

    def _one(self, path: Path, reason: str) -> None:
        try:
            self._handle(self, path, reason)
        except Error as error:
            self.complain(f"{error.message} ({error.hint})" if error.hint else error.message)
        else:
            self.finished.append(path)

    def complain(self, text: str) -> None:
        """Keep and log one sentence about something that could not be done."""
        self.problems.append(text)
        _LOG.error("%s", text)


def from_property(device: str, name: str) -> Callable[[Any], str]:
    """Read the firmware from a property of a device, such as ``from_property("Camera", "FirmwareVersion")``.

    It is what the device adapter passes on. Name a device only if authority and maker mean its firmware when they
    speak of the instrument's.
    """

    def read(core: Any) -> str:
        return str(core.getProperty(device, name)).strip()

    return read


def from_core(core: Any) -> str:
    """Read the version of the engine's core (MMCore): for home-built instruments whose only firmware it is."""
    found = _NUMBER.search(str(core.getVersionInfo()))
    if found is None:
        msg = "the engine's core does not say its version"
        raise UnreadableError(msg)
    return found.group()


def tell_agent_on_finish(
    core: Any,
    *,
    watched: Path | None = None,
    notes: Path | None = None,
    outputs: Sequence[Path] = (),
    firmware: Firmware = "",
    features: Sequence[str] | None = None,
) -> Hook:
    """Tell the agent at the end of every acquisition that what was written is finished.

    Parameters
    ----------
    core : CMMCorePlus
    watched : Path
        The agent's watched folder: notes go into its ``.rawtrace-notes``. The agent then seals at once, as from
        a watched folder.
    notes : Path
        Instead: the folder of the agent's ``--engine-notes``, which only this account can write to. The seal
        then says ``engine-hook``.
    outputs : sequence of Path
        What the acquisition writes; found out from the engine when left empty.
    firmware : str or callable
        Of the instrument; empty: it is not known. With ``watched`` the agent does not believe it.
    features : sequence of str, optional
        Modes that are in use; empty: none is; ``None``: it is not known.

    Raises
    ------
    ValueError
        Neither or both of ``watched`` and ``notes``.
    UsageError
        Not a version, or not features' names.
    """
    if (watched is None) == (notes is None):
        msg = "name one of watched= and notes="
        raise ValueError(msg)
    known = _device(core, firmware, features)
    folder = notes if notes is not None else Path(watched or ".") / NOTES_FOLDER

    def tell(hook: Hook, path: Path, reason: str) -> None:
        leave_note(folder, path, engine=_engine(), reason=reason, device=known(hook))

    return Hook(core, tell, outputs)


def seal_on_finish(
    core: Any,
    *,
    signer: Identity,
    outputs: Sequence[Path] = (),
    operator: str = "",
    firmware: Firmware = "",
    features: Sequence[str] | None = None,
) -> Hook:
    """Seal in this process what every acquisition wrote, at its end; ``run_mda(block=True)`` returns with the seal.

    Parameters
    ----------
    core : CMMCorePlus
    signer : Identity
        An instrument's.
    outputs : sequence of Path
        What the acquisition writes; found out from the engine when left empty.
    operator : str
        ORCID URL of who is at the instrument; stated as asserted.
    firmware : str or callable
        Of the instrument; empty: it is not known, and the seal does not say.
    features : sequence of str, optional
        Modes that are in use; empty: none is; ``None``: it is not known.

    Raises
    ------
    UsageError
        Not a version, or not features' names.
    """
    known = _device(core, firmware, features)

    def seal_one(hook: Hook, path: Path, reason: str) -> None:
        made = seal(path, signer=signer, capture=Capture.ENGINE_HOOK, operator=operator, device=known(hook))
        hook.seals.append(made)

    return Hook(core, seal_one, outputs)


def outputs_of(core: Any) -> tuple[Path, ...]:
    """Return what the engine's last acquisition wrote: one Zarr, one file, or the files of one folder.

    Empty where the engine does not tell, as with handlers of one's own.
    """
    runner = core.mda
    sink = runner.get_sink() if hasattr(runner, "get_sink") else getattr(runner, "_sink", None)
    settings = getattr(sink, "settings", None) or getattr(sink, "_settings", None)
    written = getattr(settings, "output_path", "") if settings is not None else ""
    if not written:
        return ()
    path = Path(str(written))
    if path.is_dir() and not path.name.lower().endswith(".zarr") and not (path / "zarr.json").is_file():
        # Many positions of an OME-TIFF acquisition are files in one folder.
        return tuple(sorted(one for one in path.iterdir() if one.is_file() and _is_image(one)))[:_MAX_FILES]
    return (path,)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in {".tif", ".tiff", ".btf", ".ome"} and not path.name.startswith(".")


def _device(core: Any, firmware: Firmware, features: Sequence[str] | None) -> Callable[[Hook], Device | None]:
    """Return what tells with what an acquisition was recorded; what cannot be read is left unsaid, with a problem."""
    named = None if features is None else tuple(features)
    fixed = Device(firmware=firmware if isinstance(firmware, str) else "", features=named)

    def known(hook: Hook) -> Device | None:
        found = fixed
        if not isinstance(firmware, str):
            try:
                found = Device(firmware=firmware(core), features=named)
            except Exception as error:  # noqa: BLE001  whatever the device's trouble is, the data is sealed
                hook.complain(f"the firmware is not stated, for it could not be read: {error}")
        return found if found != Device() else None

    return known


def _engine() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"pymmcore-plus {version('pymmcore-plus')}"
    except PackageNotFoundError:
        return "pymmcore-plus"
