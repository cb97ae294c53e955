"""Reports of verification as one self-contained page; ``page`` says how a hostile seal is kept from coming alive."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rawtrace.render import facts, page, words
from rawtrace.render.chain import Picture, Row, picture, rows
from rawtrace.render.clean import visible
from rawtrace.report import Finding, Outcome, Report, Verdict

if TYPE_CHECKING:
    from markupsafe import Markup

_LEAN_FROM = 50
_OPEN_AT_MOST = 20
_SAME_KIND = 10
_MAX_FINDINGS = 400
_MAX_IMAGE_BYTES = 4_000_000
_MAX_ALL_IMAGES_BYTES = 24_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_SEVERITY = tuple(Outcome)


class Preview(Protocol):
    """A small rendering of an asset, as ``rawtrace.image.preview`` makes it."""

    @property
    def png(self) -> bytes:
        """The picture itself."""

    @property
    def width(self) -> int:
        """Width in pixels."""

    @property
    def height(self) -> int:
        """Height in pixels."""

    @property
    def caption(self) -> str:
        """Which plane it is, and how it was made visible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    source: Markup | None
    width: int
    height: int
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """A finding as the page shows it.

    ``more`` counts others of the same kind that are left out after it;
    ``first_of`` counts all of its kind where it is the first, else it is 0.
    """

    step: int
    heading: str
    id: str
    outcome: Outcome
    word: str
    message: str
    subject: str
    hint: str
    evidence: tuple[facts.Fact, ...]
    more: int
    first_of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One report, ready for the template: all text clean, all lists bounded."""

    anchor: str
    folder: str
    name: str
    verdict: Verdict
    said: words.VerdictWords
    summary: str
    image: _Image | None
    look: tuple[_Item, ...]
    checked: tuple[_Item, ...]
    proven: tuple[_Item, ...]
    not_checked: tuple[_Item, ...]
    not_reached: str
    seal: tuple[facts.Fact, ...]
    seal_rest: tuple[facts.Fact, ...]
    rows: tuple[Row, ...]
    picture: Picture | None
    trust: tuple[facts.TrustFacts, ...]
    command: str
    remark: str
    policy: str
    checked_at: str
    cost: str
    opened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    verdict: Verdict
    said: words.VerdictWords
    views: tuple[_View, ...]


def as_html(
    reports: Sequence[Report],
    *,
    previews: Mapping[str, Preview] | None = None,
    title: str = "",
    unchecked: Sequence[tuple[str, str]] = (),
) -> str:
    """Return one self-contained page about one report or a batch of them.

    Parameters
    ----------
    reports : Sequence[Report]
        One makes a page about that asset; several (or none) make a summary
        with the worst verdict first and a section for each asset.
    previews : Mapping[str, Preview], optional
        Small renderings by ``Report.path``; left out, in words, beyond 24 MB in all.
    title : str
        Heading of a batch, such as the manuscript's number.
    unchecked : Sequence of (path, reason)
        What was named or lay there and could not be checked; it gets a section of its own.

    Returns
    -------
    str
        HTML to be written as UTF-8. It holds no script and loads nothing.
    """
    single = len(reports) == 1 and not unchecked
    ordered = sorted(reports, key=lambda report: tuple(Verdict).index(report.verdict), reverse=True)
    images = _images(ordered, previews or {})
    lean = len(reports) > _LEAN_FROM
    same_trust = len({repr(report.trust) for report in reports}) <= 1
    views = [
        _view(report, number=number, image=images.get(report.path), lean=lean, opened=number <= _OPEN_AT_MOST)
        for number, report in enumerate(ordered, 1)
    ]
    return page.render(
        "single.html" if single else "batch.html",
        title=visible(title, limit=160),
        views=views,
        groups=_groups(views),
        count=len(reports),
        same_trust=same_trust,
        unchecked=unchecked,
    )


def _groups(views: Sequence[_View]) -> list[_Group]:
    groups = []
    for verdict in reversed(Verdict):
        members = tuple(view for view in views if view.verdict is verdict)
        if members:
            groups.append(_Group(verdict=verdict, said=words.of_verdict(verdict), views=members))
    return groups


def _view(report: Report, *, number: int, image: _Image | None, lean: bool, opened: bool) -> _View:
    chain = rows(report.chain)
    troubled = report.exit_code != 0
    folder, name = _split(report.path)
    command, remark = facts.check_again(report)
    items = _items(report.findings, evidence=not lean or troubled)
    look = [item for item in items if item.outcome not in {Outcome.PASSED, Outcome.NOT_CHECKED}]
    return _View(
        anchor=f"r{number}",
        folder=visible(folder, limit=160),
        name=visible(name, limit=120),
        verdict=report.verdict,
        said=words.of_verdict(report.verdict),
        summary=words.full_sentence(visible(report.summary, limit=600)),
        image=image,
        look=tuple(sorted(look, key=lambda item: _SEVERITY.index(item.outcome), reverse=True)),
        checked=tuple(item for item in items if item.outcome is not Outcome.NOT_CHECKED and item.first_of),
        proven=tuple(item for item in items if item.evidence),
        not_checked=tuple(item for item in items if item.outcome is Outcome.NOT_CHECKED),
        not_reached=words.not_reached(report.findings),
        seal=facts.seal_facts(report.seal) if report.seal else (),
        seal_rest=_rest(report) if report.seal and not lean else (),
        rows=chain,
        picture=picture(chain) if chain and (troubled or not lean) else None,
        trust=facts.trust_facts(report.trust, checked_at=report.checked_at),
        command=command,
        remark=remark,
        policy=visible(report.policy, limit=80),
        checked_at=facts.when(report.checked_at),
        cost=facts.cost(report),
        opened=opened and troubled,
    )


def _items(findings: Sequence[Finding], *, evidence: bool) -> list[_Item]:
    """Return the findings in their order; of many of one kind the first ten, the last of these counting the rest."""
    same = Counter((finding.id, finding.step, finding.outcome) for finding in findings)
    taken: Counter[tuple[str, int, Outcome]] = Counter()
    items: list[_Item] = []
    for finding in findings:
        kind = (finding.id, finding.step, finding.outcome)
        taken[kind] += 1
        # One left over is shown rather than counted.
        shown = same[kind] if same[kind] <= _SAME_KIND + 1 else _SAME_KIND
        if taken[kind] > shown or len(items) >= _MAX_FINDINGS:
            continue
        subject = visible(finding.subject, limit=160)
        message = visible(finding.message, limit=600)
        items.append(
            _Item(
                step=finding.step,
                heading=words.STEPS.get(finding.step, "Other"),
                id=visible(finding.id, limit=80),
                outcome=finding.outcome,
                word=words.of_outcome(finding.outcome).word,
                message=message if finding.subject and message.startswith(subject) else words.sentence(message),
                subject="" if subject in message else subject,
                hint=words.sentence(visible(finding.hint, limit=600)) if taken[kind] == 1 else "",
                evidence=facts.flatten(finding.evidence, limit=40) if evidence and finding.evidence else (),
                more=same[kind] - shown if taken[kind] == shown else 0,
                first_of=same[kind] if taken[kind] == 1 else 0,
            )
        )
    return items


def _rest(report: Report) -> tuple[facts.Fact, ...]:
    seal = report.seal
    if seal is None:
        return ()
    everything = {
        "certificate_sha256": seal.certificate_sha256,
        "instrument": seal.instrument,
        "acquisition": seal.acquisition,
        "actions": seal.actions,
    }
    return facts.flatten({key: value for key, value in everything.items() if value}, limit=200)


def _images(reports: Sequence[Report], previews: Mapping[str, Preview]) -> dict[str, _Image]:
    """Return the renderings as ``data:`` addresses, the worst verdicts first, while there is room."""
    from markupsafe import Markup

    images: dict[str, _Image] = {}
    room = _MAX_ALL_IMAGES_BYTES
    for report in reports:
        found = previews.get(report.path)
        if found is None or report.path in images:
            continue
        source, caption = None, "A small rendering was left out to keep this page small."
        if found.png.startswith(_PNG) and len(found.png) <= min(_MAX_IMAGE_BYTES, room):
            room -= len(found.png)
            encoded = base64.b64encode(found.png).decode()
            source = Markup("data:image/png;base64,") + Markup(encoded)  # noqa: S704  letters of base64 only
            caption = words.sentence(visible(found.caption, limit=300))
        images[report.path] = _Image(
            source=source, width=max(int(found.width), 1), height=max(int(found.height), 1), caption=caption
        )
    return images


def _split(path: str) -> tuple[str, str]:
    cut = max(path.rstrip("/\\").rfind("/"), path.rstrip("/\\").rfind("\\")) + 1
    return path[:cut], path[cut:]
