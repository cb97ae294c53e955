"""Reports made by code: every verdict, long chains, wide figures and hostile text."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace

from rawtrace.report import ChainLink, Finding, Outcome, Report, SealFacts, Verdict, verdict_of

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></svg><a href=javascript:alert(1)>x</a>",
    "gnp.exe\u202egnp",
    "\x1b[2J\x1b[31mverified\x1b]8;;https://example.org\x07",
    "a\x00b\r\nc\td\x7f\x9b31m",
    "odd-\udcff-name",
    "zero\u200bwidth\u2060and\ufefftags\U000e0041",
    "e" + "\u0301" * 500,
    "x" * 10_000,
    "\u202e" * 10_000,
    "{{ 7 * 7 }}{% raw %}",
    "]]><!--",
)

INSTRUMENT = {
    "version": 1,
    "signer_kind": "instrument",
    "pid": "https://hdl.handle.net/20.500.12345/abc",
    "name": "Confocal 3",
    "manufacturer": "Example Optics",
    "model": "EO 980",
    "serial": "EO-0042",
    "owner": {"name": "Example University", "ror": "https://ror.org/00example"},
    "location": "Building 2, room 114",
    "assurance": "instrument-hardware-key",
    "capture": "engine-hook",
}
ACQUISITION = {
    "version": 1,
    "name": "plate_07_B4.ome.tif",
    "kind": "file",
    "media_type": "image/tiff",
    "size": 8_388_608,
    "software": "Example Acquire 4.2",
    "acquired": {"time": "2026-05-04T11:12:30+02:00", "source": "OME-XML Image[0]/AcquisitionDate"},
    "operator": {"id": "https://orcid.org/0000-0002-1825-0097", "standing": "asserted"},
    "metadata": {"values": [{"name": "objective.magnification", "value": 63, "source": "OME-XML"}], "notes": []},
}
SEAL = SealFacts(
    label="urn:c2pa:6f1f2c3e-0000-4000-8000-000000000001",
    claim_sha256="3b" * 32,
    signer="Confocal 3",
    signer_kind="instrument",
    authority="Example University imaging authority",
    certificate_sha256="9c" * 32,
    instrument=INSTRUMENT,
    acquisition=ACQUISITION,
    actions=({"action": "c2pa.created", "when": "2026-05-04T09:12:33+00:00", "softwareAgent": {"name": "rawtrace"}},),
    digital_source_type="digitalCapture",
    sealed_at="2026-05-04T09:12:33+00:00",
    trusted_time="2026-05-04T09:12:40+00:00",
)
WORKSTATION = replace(
    SEAL,
    label="urn:c2pa:6f1f2c3e-0000-4000-8000-000000000002",
    signer="Analysis workstation 1",
    signer_kind="workstation",
    instrument={
        "pid": "https://hdl.handle.net/20.500.12345/ws1",
        "name": "Analysis workstation 1",
        "assurance": "workstation",
        "capture": "manual",
    },
    digital_source_type="humanEdits",
    sealed_at="2026-05-06T15:40:02+00:00",
    trusted_time="",
)
TRUST = (
    {
        "name": "Example imaging societies",
        "operator": "Example Federation",
        "sequence": 14,
        "issued": "2026-04-01T00:00:00+00:00",
        "next_update": "2026-10-01T00:00:00+00:00",
        "source": "lists/example-federation.jws",
    },
)

PASSES = (
    Finding(id="seal-found", step=1, outcome=Outcome.PASSED, message="a seal lies beside the data"),
    Finding(
        id="envelope-sound",
        step=2,
        outcome=Outcome.PASSED,
        message="signature and statements fit together, in two independent readers",
    ),
    Finding(
        id="bytes-unchanged",
        step=3,
        outcome=Outcome.PASSED,
        message="the bytes are those that were sealed",
        evidence={"sha256": "a7" * 32, "size": 8_388_608},
    ),
    Finding(
        id="path-good",
        step=4,
        outcome=Outcome.PASSED,
        message="the signer's certificate comes from Example University imaging authority, which is on the trust list",
        evidence={"chain": ["Confocal 3", "Example University imaging authority", "Example Federation root"]},
    ),
    Finding(id="status-good", step=5, outcome=Outcome.PASSED, message="no status speaks against the certificate"),
    Finding(
        id="time-trusted",
        step=6,
        outcome=Outcome.PASSED,
        message="a time-stamping authority proves that the seal existed on 4 May 2026",
    ),
    Finding(id="ancestors-none", step=7, outcome=Outcome.PASSED, message="the data was not made from other data"),
    Finding(id="statement-fits", step=8, outcome=Outcome.PASSED, message="the signer may state what the seal states"),
)
NO_TIME = Finding(
    id="no-trusted-time",
    step=6,
    outcome=Outcome.NOTE,
    message="the time of sealing is by the signer's own clock; nobody else vouches for it",
    hint="ask whether a time-stamped copy of the seal exists",
)
FILE_ABSENT = Finding(
    id="ancestor-file-absent",
    step=7,
    outcome=Outcome.NOTE,
    subject="plate_07_B4.ome.tif",
    message="the file of this ancestor is not at hand; its seal is inside this one and holds",
    hint="ask for it, or say where it is: --originals DIR",
)
NOT_CHECKED = Finding(
    id="companion-missing",
    step=3,
    outcome=Outcome.NOT_CHECKED,
    message="the long metadata that was sealed is not beside the data",
    hint="ask for plate_07_B4.ome.tif.metadata.json",
)


def with_outcome(*others: Finding) -> tuple[Finding, ...]:
    """Passes of the steps that the other findings do not speak about, then all in step order."""
    steps = {finding.step for finding in others if finding.outcome is not Outcome.NOT_CHECKED or finding.step != 3}
    return tuple(sorted([*(p for p in PASSES if p.step not in steps), *others], key=lambda finding: finding.step))


def report(path: str = "raw/plate_07_B4.ome.tif", *findings: Finding, summary: str = "", **others: object) -> Report:
    found = with_outcome(*findings)
    values: dict[str, object] = {
        "path": path,
        "verdict": verdict_of(found),
        "summary": summary,
        "findings": found,
        "seal": SEAL,
        "trust": TRUST,
        "checked_at": "2026-06-02T08:30:00+00:00",
        "cost": {"seconds": 0.412, "bytes_read": 8_400_000},
    }
    return Report(**{**values, **others})  # type: ignore[arg-type]


def link(key: str, verdict: Verdict = Verdict.VERIFIED, *parents: str, **others: object) -> ChainLink:
    return ChainLink(
        key=key,
        title=others.pop("title", key),  # type: ignore[arg-type]
        verdict=verdict,
        parents=parents,
        **{"relationship": "parentOf", "seal": SEAL, **others},  # type: ignore[arg-type]
    )


def asset(key: str, verdict: Verdict = Verdict.VERIFIED, *parents: str, **others: object) -> ChainLink:
    """The first node of a chain, which has a relationship to nothing."""
    return link(key, verdict, *parents, relationship="", **others)


CHAIN = (
    asset("figure_2.png", Verdict.VERIFIED_WITH_NOTES, "maximum_projection.tif", seal=WORKSTATION),
    link("maximum_projection.tif", Verdict.VERIFIED_WITH_NOTES, "plate_07_B4.ome.tif", seal=WORKSTATION),
    link("plate_07_B4.ome.tif"),
)


def verified() -> Report:
    return report(summary="The bytes are those that Confocal 3 sealed on 4 May 2026, and its certificate was good.")


def noted() -> Report:
    return report(
        "figures/figure_2.png",
        NO_TIME,
        FILE_ABSENT,
        NOT_CHECKED,
        summary="The bytes are those that were sealed, but only the workstation's own clock says when.",
        seal=WORKSTATION,
        chain=CHAIN,
    )


def no_seal() -> Report:
    finding = Finding(
        id="seal-missing",
        step=1,
        outcome=Outcome.NO_SEAL,
        message="there is no seal beside the data or inside it",
        hint="ask for the seal: the file NAME.EXT.c2pa that belongs beside it",
    )
    return Report(
        path="figures/figure_5.jpg",
        verdict=Verdict.NO_SEAL,
        summary="There is no seal beside this file or inside it.",
        findings=(finding,),
        checked_at="2026-06-02T08:30:00+00:00",
    )


def inconclusive() -> Report:
    return report(
        "raw/gel 3 (long exposure).tif",
        Finding(
            id="signer-unknown",
            step=4,
            outcome=Outcome.INCONCLUSIVE,
            message="no authority on the trust lists stands behind the signer: anybody could have made this seal",
            hint="ask the sender which authority certified the instrument, and add its list: rawtrace trust add",
            evidence={"issuer": "Home-made authority", "lists_searched": ["Example imaging societies"]},
        ),
        Finding(
            id="status-not-checked",
            step=5,
            outcome=Outcome.NOT_CHECKED,
            message="without a known authority there is nobody to ask for a status",
        ),
        NO_TIME,
        summary="The bytes are those that were sealed, but no authority that you trust knows the signer.",
        chain=(
            asset("gel 3.tif", Verdict.INCONCLUSIVE, "scan.tif"),
            link("scan.tif", Verdict.NO_SEAL, seal=None),
        ),
    )


def altered(members: int = 1) -> Report:
    changed = tuple(
        Finding(
            id="member-changed",
            step=3,
            outcome=Outcome.ALTERED,
            subject=f"plate.zarr/0/0/{number}",
            message="this file in the folder is not as it was sealed",
            hint="ask for the file as it was sealed, and compare the two",
            evidence={"sealed_sha256": "1f" * 32, "found_sha256": "2e" * 32},
        )
        for number in range(members)
    )
    return report(
        "raw/plate.zarr", *changed, summary=f"{members} of 512 files in the folder are not as they were sealed."
    )


def rejected() -> Report:
    return report(
        "figures/figure_3.png",
        Finding(
            id="revoked-before",
            step=5,
            outcome=Outcome.REJECTED,
            message="the certificate was already revoked when this seal was made",
            evidence={"revoked_at": "2026-01-03T00:00:00+00:00", "reason": "keyCompromise"},
        ),
        NO_TIME,
        summary="The signer's certificate had been revoked four months before the seal was made.",
        trust=({**TRUST[0], "next_update": "2026-05-01T00:00:00+00:00"},),
        policy="example-journal",
    )


def every_verdict() -> tuple[Report, ...]:
    return (verified(), noted(), no_seal(), inconclusive(), altered(), rejected())


def long_chain(generations: int = 200) -> tuple[ChainLink, ...]:
    names = [f"step_{number:03}.tif" for number in range(generations)]
    chain = tuple(link(name, Verdict.VERIFIED, *names[number : number + 1]) for number, name in enumerate(names, 1))
    return (replace(chain[0], relationship=""), *chain[1:])


def wide_chain(parents: int = 30) -> tuple[ChainLink, ...]:
    names = tuple(f"panel_{number:02}.tif" for number in range(parents))
    panels = (
        link(
            name,
            Verdict.NO_SEAL if number == 17 else Verdict.VERIFIED,
            *(("raw_00.czi",) if number < 2 else ()),
            relationship="componentOf",
        )
        for number, name in enumerate(names)
    )
    return (asset("figure_1.png", Verdict.INCONCLUSIVE, *names, seal=WORKSTATION), *panels, link("raw_00.czi"))


def hostile(text: str) -> Report:
    """A report with the same foreign text in every place that can hold one."""
    nested = {text: [{text: text}, text]}
    seal = SealFacts(
        label=text,
        claim_sha256=text,
        signer=text,
        signer_kind=text,
        authority=text,
        certificate_sha256=text,
        instrument={**dict.fromkeys(INSTRUMENT, text), "owner": {text: text, "name": text}},
        acquisition={text: nested, "acquired": {"time": text, "source": text}, "operator": [text]},
        actions=(nested,),
        digital_source_type=text,
        sealed_at=text,
        trusted_time=text,
    )
    findings = tuple(
        Finding(id=text, step=step, outcome=outcome, message=text, subject=text, hint=text, evidence=nested)
        for step, outcome in enumerate(Outcome, 1)
    )
    chain = (
        ChainLink(key="b", title=text, verdict=Verdict.REJECTED, parents=(text, "b"), seal=seal),
        ChainLink(key=text, title=text, verdict=Verdict.VERIFIED, relationship=text, file=text, seal=seal),
    )
    return Report(
        path=text,
        verdict=Verdict.REJECTED,
        summary=text,
        findings=findings,
        seal=seal,
        chain=chain,
        trust=(
            {"name": text, "operator": text, "issued": text, "next_update": text, "sequence": text, "source": text},
        ),
        policy=text,
        checked_at=text,
    )


def batch(count: int = 50) -> tuple[Report, ...]:
    makers = (verified, verified, verified, noted, verified, no_seal, verified, inconclusive, noted, altered, rejected)
    made = (makers[number * 7 % len(makers)]() for number in range(count))
    return tuple(replace(one, path=f"submission/{number:04}/{one.path}") for number, one in enumerate(made))


@dataclass(frozen=True, slots=True)
class SamplePreview:
    png: bytes
    width: int
    height: int
    caption: str


def preview(width: int = 320, height: int = 240) -> SamplePreview:
    """Soft blobs on black, as a fluorescence image looks."""
    spots = [(70, 60, 28), (180, 120, 40), (260, 70, 22), (110, 180, 34), (230, 200, 26)]
    lines = bytearray()
    for y in range(height):
        lines.append(0)
        lines.extend(
            min(255, sum(int(230 / (1 + ((x - a) ** 2 + (y - b) ** 2) / (r * r)) ** 2) for a, b, r in spots))
            for x in range(width)
        )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(lines)))
        + chunk(b"IEND", b"")
    )
    return SamplePreview(png, width, height, "Plane Z 12 of 24, channel DAPI; shown from 112 to 3 940 of 4 095 counts.")
