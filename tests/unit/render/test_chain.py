"""The chain is folded, never cut in silence, and whatever needs a look stays in sight."""

from dataclasses import replace
from itertools import pairwise

import samples
from hypothesis import given
from hypothesis import strategies as st

from rawtrace.render.chain import picture, rows
from rawtrace.report import ChainLink, Verdict


def shown_count(chain: tuple[ChainLink, ...]) -> int:
    return sum(row.folded or 1 for row in rows(chain))


def test_an_asset_without_ancestors_has_no_chain() -> None:
    assert rows(()) == ()
    assert rows(samples.CHAIN[:1]) == ()


def test_a_short_chain_is_shown_whole() -> None:
    assert [(row.title, row.relationship, row.below) for row in rows(samples.CHAIN)] == [
        ("figure_2.png", "", -1),
        ("maximum_projection.tif", "made from", 0),
        ("plate_07_B4.ome.tif", "made from", 1),
    ]


def test_two_hundred_generations_fold_in_the_middle() -> None:
    found = rows(samples.long_chain(200))
    assert [row.title for row in found[4:7]] == ["step_004.tif", "… 190 more …", "step_195.tif"]
    assert found[5].detail == "all verified"
    assert len(found) == 11


def test_a_bad_ancestor_in_the_middle_is_not_folded_away() -> None:
    chain = list(samples.long_chain(200))
    chain[100] = replace(chain[100], verdict=Verdict.ALTERED)
    found = rows(tuple(chain))
    assert "step_100.tif" in [row.title for row in found]
    assert shown_count(tuple(chain)) == 200


def test_thirty_parents_fold_and_the_one_without_a_seal_stays() -> None:
    chain = samples.wide_chain(30)
    found = rows(chain)
    assert ("panel_17.tif", Verdict.NO_SEAL) in [(row.title, row.verdict) for row in found]
    assert found[-1].title == "… 22 more …"
    assert shown_count(chain) == len(chain)
    assert len(found) < 15


def test_a_fold_says_the_worst_that_is_in_it() -> None:
    parents = tuple(samples.link(f"p{number}", Verdict.ALTERED) for number in range(100))
    asset = samples.asset("asset", Verdict.VERIFIED, *(parent.key for parent in parents))
    fold = rows((asset, *parents))[-1]
    assert (fold.folded > 50, fold.verdict, fold.detail) == (True, Verdict.ALTERED, "all altered")


def test_an_ancestor_used_twice_stands_once_and_says_so() -> None:
    found = [row for row in rows(samples.wide_chain()) if row.title == "raw_00.czi"]
    assert [row.detail for row in found] == ["Verified · used 2 times · Confocal 3 · 4 May 2026"]
    assert found[0].nested


def test_an_ancestor_without_a_seal_says_so() -> None:
    chain = (samples.asset("a", Verdict.VERIFIED, "b"), samples.link("b", Verdict.INCONCLUSIVE, seal=None))
    assert rows(chain)[1].detail == "Inconclusive · no seal of its own"


def test_cards_do_not_overlap_and_stay_inside_the_picture() -> None:
    drawn = picture(rows(samples.wide_chain()))
    tops = [card.y for card in drawn.cards]
    assert min(b - a for a, b in pairwise(tops)) > 58
    assert all(card.x >= 0 and card.x + card.width <= drawn.width for card in drawn.cards)
    assert [bool(card.edge) for card in drawn.cards] == [False] + [True] * (len(tops) - 1)


KEYS = st.sampled_from("abcdefgh")
GRAPHS = st.lists(
    st.builds(
        ChainLink,
        key=KEYS,
        title=KEYS,
        verdict=st.sampled_from(Verdict),
        parents=st.lists(KEYS, max_size=4).map(tuple),
        relationship=st.sampled_from(["parentOf", "componentOf", "inputTo", "", "other"]),
    ),
    max_size=80,
).map(tuple)


@given(GRAPHS)
def test_any_graph_even_with_circles_is_counted_in_full(chain: tuple[ChainLink, ...]) -> None:
    found = rows(chain)
    assert sum(row.folded or 1 for row in found) == (len(chain) if len(chain) > 1 else 0)
    assert all(row.below < number for number, row in enumerate(found))
    if found:
        picture(found)


def test_a_very_large_chain_is_bounded() -> None:
    def parents(number: int) -> list[str]:
        return [f"n{other}" for other in range(max(1, 3 * number), min(30_000, 3 * number + 3))]

    many = tuple(samples.link(f"n{number}", Verdict.VERIFIED, *parents(number)) for number in range(1, 30_000))
    chain = (samples.asset("n0", Verdict.VERIFIED, *parents(0)), *many)
    assert len(rows(chain)) < 80
    assert shown_count(chain) == len(chain)
