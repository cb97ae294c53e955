"""The story that the demo plays: a facility, a microscope, a figure, an editor, five attacks, a lost seal.

Nothing is canned: the engine acquires, the agent runs as a process of its own,
and every verdict comes from the same verification that ``rawtrace verify`` uses.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rawtrace.demo import attacks, microscope, recovery
from rawtrace.demo.attacks import Scene
from rawtrace.demo.line import Line
from rawtrace.errors import UnreadableError
from rawtrace.image.preview import Preview, preview
from rawtrace.render.html import as_html
from rawtrace.report import Outcome, Report, Verdict
from rawtrace.sealing import binding, folderindex
from rawtrace.sealing.seal import seal
from rawtrace.trust.authority import create_authority
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import create_identity
from rawtrace.trust.instruments import new_record
from rawtrace.trust.truststore import load_trust
from rawtrace.verification.signer import Verifier
from rawtrace.verification.verify import verify_with

AUTHORITY = "Example Imaging Facility"
OWNER = "https://ror.org/0exampe44"
STACK, ZARR, FIGURE = "cells.ome.tiff", "cells.ome.zarr", "figure-1.png"
_AGENT_SECONDS = 60.0

_CAPTURE_NOTES = frozenset({"software-key", "no-trusted-time", "capture-watched-folder"})
_FIGURE_NOTES = frozenset({"no-trusted-time", "ancestor-noted"})


def play(folder: Path) -> Iterator[Line]:
    """Play the whole story in an empty folder.

    Yields
    ------
    Line
        As things happen; the last one names the page with all reports.
    """
    private, data = folder / "facility", folder / "data"
    for made in (private, data, folder / "attacks"):
        made.mkdir(parents=True)
    create_authority(private / "authority", name=AUTHORITY, owner=OWNER)
    instrument = create_identity(
        private / "instrument",
        SignerKind.INSTRUMENT,
        new_record(
            kind=SignerKind.INSTRUMENT,
            name="Widefield 3",
            owner=OWNER,
            owner_name="Example University",
            manufacturer="Example Optics",
            model="EO-7",
            serial="0042",
            location="Room 1.23",
        ),
        authority=private / "authority",
    )
    workstation = create_identity(
        private / "workstation",
        SignerKind.WORKSTATION,
        new_record(kind=SignerKind.WORKSTATION, name="Analysis 1", owner=OWNER, owner_name="Example University"),
        authority=private / "authority",
    )
    yield Line(f"the facility made an authority and certified {instrument.record['name']} and a workstation")
    yield from _acquire(private / "instrument", data)
    figure = _derive_figure(data)
    seal(figure, signer=workstation, parents=[data / STACK, data / ZARR])
    yield Line(f"a figure was made from both and sealed by the workstation: {FIGURE}")

    yield Line("")
    yield Line("An editor checks everything, offline, with the facility's trust list:")
    verifier = Verifier(load_trust([private / "authority"]))
    reports: list[Report] = []
    for name, notes in ((STACK, _CAPTURE_NOTES), (ZARR, _CAPTURE_NOTES), (FIGURE, _FIGURE_NOTES)):
        report = verify_with(verifier, data / name)
        reports.append(report)
        found = {finding.id for finding in report.findings if finding.outcome is not Outcome.PASSED}
        good = report.verdict is Verdict.VERIFIED_WITH_NOTES and found == notes
        yield Line(name, report.verdict, good)
    yield Line("  (notes: key in software, no trusted time yet, sealed from a watched folder)")

    yield Line("")
    yield Line("Five attacks, each on a copy:")
    scene = Scene(data / STACK, data / ZARR, figure, workstation, instrument, AUTHORITY)
    for number, attack in enumerate(attacks.ATTACKS, start=1):
        place = folder / "attacks" / f"{number}-{attack.title.replace(' ', '-').replace(',', '')}"
        place.mkdir()
        report = verify_with(verifier, attack.carry_out(scene, place))
        reports.append(report)
        good = report.verdict is attack.verdict and attack.findings <= {finding.id for finding in report.findings}
        yield Line(attack.title, report.verdict, good)
    yield Line("")
    yield Line("A figure without any seal:")
    yield from recovery.recover(folder / "lost-seal", instrument=instrument, trust=verifier.lists)

    page = _write_page(folder / "report.html", reports)
    yield Line("")
    yield Line(f"The editor's page: {page}")


def _acquire(identity: Path, data: Path) -> Iterator[Line]:
    """Run the agent as a process of its own while the engine acquires into its folder."""
    command = [sys.executable, "-m", "rawtrace", "agent", "run", "--watch", str(data), "--instrument", str(identity)]
    log = data.parent / "agent.log"
    with log.open("wb") as stream:
        agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)  # noqa: S603
        try:
            microscope.record(data, (STACK, ZARR))
            yield Line(f"the microscope recorded a two-channel z-stack as {STACK} and {ZARR}")
            recorded = time.monotonic()
            for named in (data / STACK, folderindex.index_of(data / ZARR)):
                _wait_for(binding.sidecar_of(named), agent, log, recorded + _AGENT_SECONDS)
            yield Line("the agent noticed both and sealed them; nobody did anything")
        finally:
            agent.terminate()
            agent.wait(timeout=30)


def _wait_for(sidecar: Path, agent: subprocess.Popen[bytes], log: Path, until: float) -> None:
    while not sidecar.exists():
        if agent.poll() is not None or time.monotonic() > until:
            said = log.read_text(errors="backslashreplace").strip().splitlines()
            msg = f"the agent did not seal {sidecar.name}: {said[-1] if said else 'it said nothing'}"
            raise UnreadableError(msg, hint=f"its log is at {log}")
        time.sleep(0.05)


def _derive_figure(data: Path) -> Path:
    """Render the stack as a published figure would: one plane, two colours, stretched contrast."""
    rendering = preview(data / STACK)
    if rendering is None:
        msg = f"{STACK} could not be rendered"
        raise UnreadableError(msg)
    figure = data / FIGURE
    figure.write_bytes(rendering.png)
    return figure


def _write_page(page: Path, reports: list[Report]) -> Path:
    previews: dict[str, Preview] = {}
    for report in reports:
        made = preview(Path(report.path))
        if made is not None:
            previews[report.path] = made
    page.write_text(as_html(reports, previews=previews, title="rawtrace demo"), encoding="utf-8")
    return page
