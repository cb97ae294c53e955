"""The end of the demo: a figure that has lost its seal is traced by its content, and its changed areas are shown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from rawtrace import durable
from rawtrace.demo import practice
from rawtrace.demo.line import Line
from rawtrace.errors import MissingExtraError
from rawtrace.report import Verdict
from rawtrace.sealing.assertions import Capture
from rawtrace.sealing.seal import seal
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.identity import Identity
from rawtrace.verification.trace import Trace, trace

_RECORDINGS = 5
_CHANGED = 2


def recover(folder: Path, *, instrument: Identity, trust: Sequence[TrustList]) -> Iterator[Line]:
    """Seal a few recordings, publish a figure without any seal, and find its way back.

    Yields
    ------
    Line
        As things happen.

    Raises
    ------
    MissingExtraError
        Comparing pictures needs the extra ``match``.
    """
    from rawtrace.match.comparison.files import compare_files

    deposit, figure, _ = practice.make(folder, recordings=_RECORDINGS)
    for recording in sorted(deposit.glob("*.ome.tiff")):
        seal(recording, signer=instrument, capture=Capture.ENGINE_HOOK)
    yield Line(f"  a deposit of {_RECORDINGS} sealed recordings, and {figure.name}: a JPEG without any seal")
    found = _search(figure, deposit, trust)
    if not found.origins:
        yield Line("it was not found", Verdict.NO_SEAL, expected=False)
        return
    origin = found.origins[0]
    where, report = origin.match.where, origin.report
    shown = Path(where.source).name
    right = (shown, where.channel, where.z) == (practice.recording(practice.SHOWN), practice.CHANNEL, practice.PLANE)
    yield Line(f"  its content leads to {shown}, channel {where.channel}, focal plane {where.z}")
    yield Line(
        f"{shown}, by its own seal",
        report.verdict if report is not None else Verdict.NO_SEAL,
        expected=right and report is not None and report.verdict is Verdict.VERIFIED_WITH_NOTES,
    )
    compared = compare_files(Path(where.source), figure, channel=where.channel, z=where.z)
    for line in textwrap.wrap(
        f"compared with it: {compared.sentence}", 96, initial_indent="  ", subsequent_indent="    "
    ):
        yield Line(line)
    changed = len(compared.unexplained)
    yield Line(f"  {changed} areas are not explained; two were changed")
    yield from _pages(folder, found, compared_page=_comparison_page(compared, shown, figure.name))
    if changed != _CHANGED:
        yield Line("areas that are not explained", Verdict.INCONCLUSIVE, expected=False)


def _search(figure: Path, deposit: Path, trust: Sequence[TrustList]) -> Trace:
    import tempfile

    try:
        from rawtrace.match.index import PictureIndex
    except ImportError as error:
        msg = "the end of the demo compares pictures, which needs an extra that is not installed"
        raise MissingExtraError(msg, hint="pip install 'rawtrace[demo,match]'") from error
    with (
        tempfile.TemporaryDirectory(prefix="rawtrace-demo-index-") as place,
        PictureIndex.open(Path(place), create=True) as index,
    ):
        index.add([deposit], workers=1)
        return trace(figure, gallery=index, trust=trust)


def _comparison_page(compared: object, original: str, published: str) -> str:
    from rawtrace.match.comparison.compare import Comparison
    from rawtrace.render.comparison import as_html

    assert isinstance(compared, Comparison)  # noqa: S101  imported late, for start-up
    return as_html(compared, original=original, published=published)


def _pages(folder: Path, found: Trace, *, compared_page: str) -> Iterator[Line]:
    from rawtrace.render.trace import as_html

    for name, page in (("trace.html", as_html(found)), ("compare.html", compared_page)):
        durable.write_new(folder / name, page.encode("utf-8", "backslashreplace"))
    yield Line(f"  pages: {folder / 'trace.html'} and {folder / 'compare.html'}")
