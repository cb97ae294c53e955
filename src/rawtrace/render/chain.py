"""The chain from an asset back to its raw data, folded to a size that a person can take in.

Both the picture and the list are made from the same rows. The asset stands on
top, ancestors below it. A file made from one other goes straight down, however
many generations; where several were put together, they are set in one step.
What is folded away is counted with the worst verdict in it, and no ancestor
that needs a look is folded while there is room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rawtrace.render.clean import visible
from rawtrace.render.facts import when
from rawtrace.render.words import RELATIONSHIPS, of_verdict, sentence
from rawtrace.report import ChainLink, Verdict, worst

MAX_NODES = 20_000
_MAX_ROWS = 60
_MAX_INDENT = 6
_ENDS = 5
_SIBLINGS = 8
_NEEDS_A_LOOK = frozenset({Verdict.NO_SEAL, Verdict.INCONCLUSIVE, Verdict.ALTERED, Verdict.REJECTED})

_WIDTH = 520
_CARD = 58
_GAP = 34
_STEP = 30
# Wide system fonts at the picture's sizes; what is wider still is clipped by the card.
_TITLE_CELL = 9.4
_DETAIL_CELL = 7.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the chain: an ancestor, or a fold that stands for several.

    Attributes
    ----------
    indent : int
        How many times the chain has branched above it.
    below : int
        Index of the row that was made from this one; -1 for the asset.
    relationship : str
        In words: ``made from``, ``contains``, ``computed with``; empty for the asset.
    title : str
        Clean text; for a fold ``… 190 more …``.
    verdict : Verdict
        Of the node alone; for a fold the worst inside.
    detail : str
        Who sealed it and when, or what a fold holds.
    folded : int
        Number of nodes that a fold stands for, else 0.
    nested : bool
        Whether it continues a branch, so that a list has to set it in further than its siblings.
    """

    indent: int
    below: int
    relationship: str
    title: str
    verdict: Verdict
    detail: str
    folded: int = 0
    nested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A row with its place in the picture, in the picture's own units."""

    row: Row
    x: int
    y: int
    width: int
    title: str
    detail: str
    edge: str
    label_x: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything that the template needs to draw a chain."""

    width: int
    height: int
    cards: tuple[Card, ...]
    description: str


@dataclass(slots=True)
class _Tree:
    links: dict[str, ChainLink]
    parents: dict[str, list[str]]
    used: Counter[str]
    sizes: dict[str, int]
    verdicts: dict[str, Verdict]
    left_out: list[Verdict]


def rows(chain: Sequence[ChainLink]) -> tuple[Row, ...]:
    """Return the chain as some 60 rows at most, the asset first; empty when there are no ancestors."""
    if len(chain) < 2:
        return ()
    tree = _grow(chain)
    found: list[Row] = []
    hidden: list[str] = []
    # What to show next: where a stretch begins, or ancestors to fold; with its indent and the row it stands under.
    pending: list[tuple[str | list[str], int, int]] = [(chain[0].key, 0, -1)]
    while pending:
        item, indent, below = pending.pop()
        if len(found) >= _MAX_ROWS:
            hidden.extend([item] if isinstance(item, str) else item)
        elif isinstance(item, list):
            found.append(_fold(_subtrees(tree, item), indent, below))
        else:
            stretch = _stretch(tree, item)
            for piece in _shortened(tree, stretch):
                row = _node(tree, piece, indent, below) if isinstance(piece, str) else _fold(piece, indent, below)
                found.append(replace(row, nested=indent > 0 and piece != stretch[0]))
                below = len(found) - 1
            pending.extend(reversed(_branches(tree, stretch[-1], indent, below)))
    if hidden or tree.left_out:
        found.append(_fold([*_subtrees(tree, hidden), *tree.left_out], 0, -1))
    return tuple(found)


def picture(shown: Sequence[Row]) -> Picture:
    """Lay rows out as cards under each other, with the relationship on the line between."""
    cards: list[Card] = []
    for number, row in enumerate(shown):
        x = row.indent * _STEP
        width = _WIDTH - x
        room = width - 62
        cards.append(
            Card(
                row=row,
                x=x,
                y=number * (_CARD + _GAP),
                width=width,
                title=visible(row.title, limit=int(room / _TITLE_CELL)),
                detail=visible(row.detail, limit=int(room / _DETAIL_CELL)),
                edge=_edge(shown, cards, row),
                label_x=x + (38 if row.below >= 0 and shown[row.below].indent == row.indent else 8),
            )
        )
    count = sum(row.folded or 1 for row in shown)
    return Picture(
        width=_WIDTH,
        height=len(shown) * (_CARD + _GAP) - _GAP,
        cards=tuple(cards),
        description=f"Chain of {count} files: {shown[0].title} on top, what it was made from below it.",
    )


def _grow(chain: Sequence[ChainLink]) -> _Tree:
    """Turn the links into a tree: each ancestor hangs under the first node it was made into, and once only."""
    links: dict[str, ChainLink] = {}
    for link in chain[:MAX_NODES]:
        links.setdefault(link.key, link)
    sources: dict[str, list[str]] = {}
    for link in links.values():
        sources[link.key] = [key for key in dict.fromkeys(link.parents) if key in links]
    used = Counter(ancestor for ancestors in sources.values() for ancestor in ancestors)
    root = chain[0].key
    parents: dict[str, list[str]] = {}
    seen = {root}
    order = [root]
    for key in order:
        parents[key] = [other for other in dict.fromkeys(sources.get(key, ())) if other not in seen]
        seen.update(parents[key])
        order.extend(parents[key])
    sizes: dict[str, int] = {}
    verdicts: dict[str, Verdict] = {}
    for key in reversed(order):
        sizes[key] = 1 + sum(sizes[other] for other in parents[key])
        verdicts[key] = worst([links[key].verdict, *(verdicts[other] for other in parents[key])])
    # Whatever hangs on nothing, or is there twice, is counted in the last fold rather than dropped.
    first = {id(links[key]) for key in order}
    left_out = [link.verdict for link in chain if id(link) not in first]
    return _Tree(links=links, parents=parents, used=used, sizes=sizes, verdicts=verdicts, left_out=left_out)


def _stretch(tree: _Tree, key: str) -> list[str]:
    """Follow one-to-one steps from ``key`` to the first branch or the end."""
    stretch = [key]
    while len(tree.parents[stretch[-1]]) == 1:
        stretch.extend(tree.parents[stretch[-1]])
    return stretch


def _shortened(tree: _Tree, stretch: list[str]) -> Iterator[str | list[Verdict]]:
    """Yield the keys of a stretch, with the quiet part of a long middle as lists of its verdicts."""
    if len(stretch) <= 2 * _ENDS + 1:
        yield from stretch
        return
    middle = stretch[_ENDS:-_ENDS]
    kept = set([key for key in middle if tree.links[key].verdict in _NEEDS_A_LOOK][:_SIBLINGS])
    yield from stretch[:_ENDS]
    for is_kept, group in groupby(middle, key=kept.__contains__):
        if is_kept:
            yield from group
        else:
            yield [tree.links[key].verdict for key in group]
    yield from stretch[-_ENDS:]


def _branches(tree: _Tree, key: str, indent: int, below: int) -> list[tuple[str | list[str], int, int]]:
    others = tree.parents[key]
    if not others:
        return []
    if indent >= _MAX_INDENT:
        return [(others, indent, below)]
    look = [other for other in others if tree.verdicts[other] in _NEEDS_A_LOOK][: 2 * _SIBLINGS]
    kept = set(look) | set(others[: max(_SIBLINGS - len(look), 2)])
    folded = [other for other in others if other not in kept]
    if len(folded) == 1:
        kept.update(folded)
        folded = []
    shown: list[tuple[str | list[str], int, int]] = [(other, indent + 1, below) for other in others if other in kept]
    return [*shown, (folded, indent + 1, below)] if folded else shown


def _subtrees(tree: _Tree, keys: Sequence[str]) -> list[Verdict]:
    """Return one verdict for each node under some ancestors, the worst of them for all of one ancestor's."""
    return [verdict for key in keys for verdict in [tree.verdicts[key]] * tree.sizes[key]]


def _node(tree: _Tree, key: str, indent: int, below: int) -> Row:
    link = tree.links[key]
    return Row(
        indent=indent,
        below=below,
        relationship="" if below < 0 else _relationship(link.relationship),
        title=visible(link.title or link.key, limit=100),
        verdict=link.verdict,
        detail=_detail(link, tree.used[key]),
    )


def _fold(verdicts: Sequence[Verdict], indent: int, below: int) -> Row:
    verdict = worst(verdicts)
    word = of_verdict(verdict).word
    return Row(
        indent=indent,
        below=below,
        relationship="",
        title=f"… {len(verdicts):,} more …".replace(",", " "),
        verdict=verdict,
        detail=f"all {word}" if set(verdicts) == {verdict} else f"at worst {word}",
        folded=len(verdicts),
    )


def _relationship(term: str) -> str:
    return RELATIONSHIPS.get(term) or (visible(term, limit=24) or "made from")


def _detail(link: ChainLink, used: int) -> str:
    said = [sentence(of_verdict(link.verdict).word)]
    if link.seal is None and link.verdict is not Verdict.NO_SEAL:
        said.append("no seal of its own")
    if link.seal is not None:
        said.append(visible(link.seal.signer, limit=40))
        said.append(when(link.seal.trusted_time or link.seal.sealed_at).partition(",")[0])
    if used > 1:
        said.insert(1, f"used {used} times")
    return " · ".join(part for part in said if part)


def _edge(shown: Sequence[Row], cards: Sequence[Card], row: Row) -> str:
    """Return the path from the card above to this one: straight down, or down and in."""
    if row.below < 0:
        return ""
    y = len(cards) * (_CARD + _GAP)
    above = cards[row.below]
    if shown[row.below].indent == row.indent:
        x = above.x + 26
        return f"M{x} {above.y + _CARD}V{y}"
    x = above.x + 14
    return f"M{x} {above.y + _CARD}V{y + _CARD // 2 - 8}q0 8 8 8H{row.indent * _STEP}"
