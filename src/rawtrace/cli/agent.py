"""``rawtrace agent``: seal what an instrument writes, by itself."""

from __future__ import annotations

import logging
import logging.handlers
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click

from rawtrace.cli import devices, output
from rawtrace.cli.groups import Group
from rawtrace.cli.parameters import PATH
from rawtrace.errors import ForbiddenSealError, UsageError, from_os_error

EVENT_SCHEMA = "urn:rawtrace:schema:agent-event:1"
_LOG_BYTES = 5_000_000
_LOG_FILES = 5
_MAX_SECONDS = 30 * 86_400.0
# What cannot be read is told in our own words, and not as wrong usage.


class _Period(click.FloatRange):
    """Seconds; what is not a number is no period, although it lies in no range's way."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if seconds != seconds:
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


_SECONDS = _Period(min=0, max=_MAX_SECONDS)


@click.group(cls=Group)
def agent() -> None:
    """Watch a folder and seal every finished acquisition, with no step for the person at the microscope.

    \b
    Examples:
      rawtrace agent run --watch /data/scope-3 --instrument /etc/rawtrace/scope-3
      rawtrace agent run --watch D:\\data --instrument D:\\rawtrace\\scope-3 --once
      rawtrace agent status --watch /data/scope-3
      rawtrace agent unit --watch /data/scope-3 --instrument /etc/rawtrace/scope-3

    Run it under an account of its own, so that nobody who sits at the
    microscope can read the key or make it sign: docs/how-to/install-the-agent.md.
    """


_settings_option = click.option(
    "--settings",
    "settings_file",
    metavar="FILE",
    type=PATH,
    help="TOML file with a [[deliver]] table for each trust store that seals go to, and [device].",
)


@agent.command()
@click.option("--watch", "root", metavar="DIR", required=True, type=PATH, help="The folder the instrument fills.")
@click.option("--instrument", metavar="DIR", required=True, type=PATH, help="Who signs: made by `instrument new`.")
@click.option("--once", is_flag=True, help="Seal what is finished, then end; exit code 1 if something failed.")
@click.option("--state", metavar="FILE", type=PATH, help="Where the agent remembers; on a local disk.")
@click.option(
    "--quiet-period",
    metavar="S",
    type=_SECONDS,
    default=5.0,
    show_default=True,
    help="Seconds without a change where the format does not say that it is complete.",
)
@click.option(
    "--long-quiet",
    metavar="S",
    type=_SECONDS,
    default=6 * 3600.0,
    show_default=True,
    help="Seconds without a change after which an acquisition counts as broken off.",
)
@click.option(
    "--late-window",
    metavar="S",
    type=_SECONDS,
    default=6 * 3600.0,
    show_default=True,
    help="Seconds after a seal in which more data leads to a new seal; later, a person must look.",
)
@click.option("--poll", is_flag=True, help="Look every second instead of waiting for events: for network drives.")
@click.option(
    "--engine-notes",
    metavar="DIR",
    type=PATH,
    help="Folder that only the acquisition software can write to; its notes make a seal say engine-hook.",
)
@devices.firmware_option
@devices.feature_option
@_settings_option
@click.option("--deliver", is_flag=True, help="Deliver seals to the store that certified the instrument.")
@click.option("--log", "log_file", metavar="FILE", type=PATH, help="Also log to this file; five of 5 MB are kept.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout for everything that happens.")
@click.pass_context
def run(
    ctx: click.Context,
    root: Path,
    instrument: Path,
    once: bool,
    state: Path | None,
    quiet_period: float,
    long_quiet: float,
    late_window: float,
    poll: bool,
    engine_notes: Path | None,
    firmware: str,
    features: tuple[str, ...],
    settings_file: Path | None,
    deliver: bool,
    log_file: Path | None,
    as_json: bool,
) -> None:
    """Seal what is finished in a folder, and go on for as long as it runs.

    \b
    Examples:
      rawtrace agent run --watch /data/scope-3 --instrument /etc/rawtrace/scope-3
      rawtrace agent run --watch /mnt/drive --instrument /etc/rawtrace/scope-3 --poll
      rawtrace agent run --watch out --instrument scope --once --json
      rawtrace agent run --watch /data/scope-3 --instrument /etc/rawtrace/scope-3 --deliver
      rawtrace agent run --watch /data/scope-3 --instrument /etc/rawtrace/scope-3 --settings /etc/rawtrace/agent.toml

    The identity, --state, --settings and --log lie outside the watched folder, where only
    the agent's own account can write.

    --firmware and --feature, or [device] in the settings, are stated of everything that is sealed: you
    answer for them, so start the agent anew when they change. What the engine says in --engine-notes of one
    acquisition comes first. A status may be about one firmware or feature alone.

    An identity that came from an authority's address is renewed by the agent
    itself when two thirds of its certificate's life are over.

    Ctrl-C or a SIGTERM lets the seal under way finish. A kill at any moment
    does no harm: the next start takes up what was left.
    """
    from rawtrace.agent.finish import Patience
    from rawtrace.agent.lock import StateLock
    from rawtrace.agent.outbox import Outbox
    from rawtrace.agent.places import check_places
    from rawtrace.agent.renewal import renewal_of
    from rawtrace.agent.service import Service
    from rawtrace.agent.settings import Settings
    from rawtrace.agent.targets import Targets, read_targets
    from rawtrace.agent.tools import tools_of
    from rawtrace.agent.watch import WatchedFolder
    from rawtrace.image.completeness import completeness

    state = state or _default_state(root)
    watched = WatchedFolder(root, excluded=(engine_notes,) if engine_notes else ())
    named = {"--state": state, "--log": log_file, "--settings": settings_file}
    check_places(root, identity=instrument, own={option: path for option, path in named.items() if path is not None})
    renewal = renewal_of(instrument) if instrument.is_dir() else None
    signer = _instrument(instrument)
    patience = Patience(quiet_s=quiet_period, long_quiet_s=long_quiet)
    targets = read_targets(settings_file) if settings_file is not None else Targets()
    told = devices.device_of(firmware, features)
    device = targets.device if told is None else told.filled_from(targets.device)
    settings = Settings(patience=patience, late_s=late_window, device=device, engine_notes=_notes_folder(engine_notes))
    stop = _Stop()
    with ExitStack() as stack:
        stack.enter_context(_logging(log_file))
        state.parent.mkdir(parents=True, exist_ok=True)
        stack.enter_context(StateLock(state))
        outbox = stack.enter_context(Outbox(state, now=_now))
        stack.enter_context(stop.listening())
        if renewal is not None:
            stack.enter_context(renewal.running())
        service = Service(
            watched=watched,
            outbox=outbox,
            tools=tools_of((lambda: renewal.signer) if renewal is not None else (lambda: signer)),
            complete=completeness,
            settings=settings,
            tell=_tell_json if as_json else lambda event: None,
            facts=renewal.facts if renewal is not None else (lambda: _certificate_facts(signer)),
            deliveries=_deliveries(targets, instrument if deliver else None, outbox, watched.root, signer, stack),
        )
        outbox.note_facts(_facts(watched.root, instrument, mode="once" if once else "poll" if poll else "events"))
        good = True
        try:
            if once:
                good = service.run_once(stop)
            else:
                service.run(stop, events=not poll)
        finally:
            outbox.note_facts({"stopped": _now()})
    ctx.exit(0 if good else 1)


@agent.command()
@click.option("--watch", "root", metavar="DIR", type=PATH, help="The folder that is watched.")
@click.option("--state", metavar="FILE", type=PATH, help="The agent's state file, where --state was given to it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(root: Path | None, state: Path | None, as_json: bool) -> None:
    """Tell whether an agent runs, what it waits for and why, what failed, what it sealed.

    \b
    Examples:
      rawtrace agent status --watch /data/scope-3
      sudo -u rawtrace rawtrace agent status --state /var/lib/rawtrace/agent.sqlite
    """
    from rawtrace.agent import status as agent_status

    if (root is None) == (state is None):
        msg = "name the agent by one of --watch DIR and --state FILE"
        raise UsageError(msg)
    found = agent_status.status(state or _default_state(root or Path()))
    output.emit(agent_status.as_dict(found), as_json=as_json, text=agent_status.as_text(found))


@agent.command()
@click.option("--watch", "root", metavar="DIR", required=True, type=PATH, help="The folder the instrument fills.")
@click.option("--instrument", metavar="DIR", required=True, type=PATH, help="Who signs: made by `instrument new`.")
@_settings_option
@click.option("--user", metavar="NAME", default="rawtrace", show_default=True, help="The agent's own account.")
@click.option("--deliver", is_flag=True, help="Deliver seals to the store that certified the instrument.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def unit(root: Path, instrument: Path, settings_file: Path | None, user: str, *, deliver: bool, as_json: bool) -> None:
    """Print a systemd unit that runs the agent under an account of its own and lets it do nothing else.

    \b
    Examples:
      rawtrace agent unit --watch /data/scope-3 --instrument /etc/rawtrace/scope-3
      rawtrace agent unit --watch /data/scope-3 --instrument /etc/rawtrace/scope-3 --deliver
    """
    from rawtrace.agent.unit import unit as unit_text
    from rawtrace.trust.signer import ORIGIN_FILE

    # The program beside this interpreter: the unit must not depend on anybody's PATH.
    program = Path(sys.executable).with_name("rawtrace.exe" if sys.platform == "win32" else "rawtrace")
    online = (instrument / ORIGIN_FILE).is_file()
    if deliver and not online:
        msg = f"{instrument} was not certified by a store at an address, so there is none to deliver to"
        raise UsageError(msg, hint="name the stores in a file: --settings FILE")
    text = unit_text(
        watch=root,
        instrument=instrument,
        program=program,
        user=user,
        online=online,
        settings=settings_file,
        deliver=deliver,
    )
    value = {"schema": "urn:rawtrace:schema:agent-unit:1", "file": "rawtrace-agent.service", "unit": text}
    output.emit(value, as_json=as_json, text=text.rstrip("\n"))


class _Stop:
    """Remembers that somebody asked the agent to end."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        return self._asked

    @contextmanager
    def listening(self) -> Iterator[None]:
        names = ("SIGINT", "SIGTERM", "SIGBREAK")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {number: signal.signal(number, self._ask) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        # Nothing but a flag: a handler may run in the middle of anything.
        self._asked = True


@contextmanager
def _logging(log_file: Path | None) -> Iterator[None]:
    logger = logging.getLogger("rawtrace.agent")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_file is not None:
        try:
            rotating = logging.handlers.RotatingFileHandler(
                log_file, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES - 1, encoding="utf-8", errors="backslashreplace"
            )
        except OSError as error:
            raise from_os_error(error, f"writing {log_file}") from error
        handlers.append(rotating)
    form = _OneLine("%(asctime)s %(levelname)s %(message)s")
    for handler in handlers:
        handler.setFormatter(form)
        logger.addHandler(handler)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate


class _OneLine(logging.Formatter):
    """Keeps an entry on one line, whatever file name it quotes."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _tell_json(event: Any) -> None:
    from rawtrace.agent.status import seal_of

    seal = seal_of(event.row) if event.row is not None and event.what in {"sealed", "superseded"} else None
    value = {
        "schema": EVENT_SCHEMA, "event": event.what, "path": event.name, "text": event.text, "at": _now(), "seal": seal,
    }  # fmt: skip
    try:
        output.emit_json_line(value)
    except BrokenPipeError:
        # Nobody listens any more; sealing goes on.
        output.silence_stdout()


def _deliveries(targets: Any, home: Path | None, outbox: Any, root: Path, signer: Any, stack: ExitStack) -> Any:
    """Return what delivers to the instrument's own store and those of the settings file; ``None`` without any."""
    import time

    from rawtrace.agent.courier import Courier, FreshWeb, Post
    from rawtrace.agent.deliver import Deliveries
    from rawtrace.agent.deliverybox import DeliveryBox
    from rawtrace.agent.targets import accepted_lists, home_of
    from rawtrace.web import Web

    if home is not None:
        own = home_of(home)
        targets = replace(targets, stores=(own, *(one for one in targets.stores if one.url != own.url)))
    lists = accepted_lists(targets, signer)
    webs: list[Post] = [
        FreshWeb(one.caller) if one.caller.certificate else stack.enter_context(Web(one.caller))
        for one in targets.stores
    ]
    couriers = [Courier(one.url, web, root=root, lists=lists) for one, web in zip(targets.stores, webs, strict=True)]
    box = DeliveryBox(outbox)
    made = Deliveries(box, couriers, root=root, lists=lists, clock=time.monotonic, now=_now)
    return made if couriers else None


def _instrument(folder: Path) -> Any:
    from rawtrace.trust.certificates import SignerKind
    from rawtrace.trust.signer import load_identity

    signer = load_identity(folder)
    if signer.kind is not SignerKind.INSTRUMENT:
        msg = f"{folder} is the identity of a {signer.kind.value}; the agent seals captures, which only instruments may"
        raise ForbiddenSealError(msg, hint="make one with: rawtrace instrument new")
    return signer


def _certificate_facts(signer: Any) -> dict[str, str]:
    """Return what there is to tell of a certificate that the agent does not renew by itself."""
    leaf = signer.leaf
    return {
        "certificate_from": f"{leaf.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "certificate_until": f"{leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "certificate_renewal": "",
        "certificate_problem": "",
    }


def _notes_folder(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        raise from_os_error(error, f"reading {folder}") from error
    if not folder.is_dir() or (sys.platform != "win32" and mode & 0o002):
        msg = f"{folder} must be a folder that not everybody can write to, for its notes are believed"
        raise UsageError(msg, hint="let only the acquisition software's account write there")
    return folder


def _facts(root: Path, instrument: Path, *, mode: str) -> dict[str, str]:
    import os

    return {
        "pid": str(os.getpid()),
        "since": _now(),
        "stopped": "",
        "watch": str(root),
        "instrument": str(instrument.absolute()),
        "mode": mode,
        "problem": "",
    }


def _default_state(root: Path) -> Path:
    from rawtrace.agent.rows import state_file_of
    from rawtrace.config import config_folder

    return state_file_of(root, config_folder())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
