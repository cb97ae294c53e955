"""A match in words."""

from __future__ import annotations

from typing import Any

import pytest

from rawtrace.match.model import Evidence, Match, Placement, Relation, Where
from rawtrace.match.telling import evidence_words, match_value, transform_words, where_words

WHERE = Where(source="a.tif", scene=1, channel=2, z=3, t=0)


@pytest.mark.parametrize(
    ("matrix", "inverted", "words"),
    [
        (((1, 0, 0), (0, 1, 0)), False, "the whole picture, in its place"),
        (((1, 0, 0), (0, 1, 0)), True, "inverted"),
        (
            ((0.5, 0, -50), (0, 0.5, -50)),
            False,
            "cropped to the lower right quarter, reduced to 50 %; x 100 to 200, y 100 to 200 of the original",
        ),
        (((0, 1, 0), (-1, 0, 199)), False, "rotated 90° counter-clockwise"),
        (((-1, 0, 199), (0, 1, 0)), False, "mirrored left to right"),
    ],
)
def test_transforms_in_words(matrix: Any, inverted: bool, words: str) -> None:
    edge = 50 if matrix[0][2] == -50 else 200
    placement = Placement(matrix=matrix, original_size=(200, 200), published_size=(edge, edge))
    match = Match(where=WHERE, evidence=Evidence.FEATURES, placement=placement, inverted=inverted)
    assert transform_words(match) == words
    assert match_value(match)["words"] == words


def test_places_and_evidence_in_words() -> None:
    assert where_words(WHERE) == "scene 1, z=3, c=2, t=0"
    assert where_words(Where(source="a", projection="max")) == "scene 0, max projection along z"
    same = Match(where=WHERE, evidence=Evidence.FEATURES, inliers=31)
    assert evidence_words(same) == "same picture, by 31 points that agree on one place"
    again = Match(where=WHERE, evidence=Evidence.STRIP, relation=Relation.REPEATING)
    assert evidence_words(again).startswith("repeating structure: several places")
    exact = Match(where=WHERE, evidence=Evidence.PIXELS)
    assert transform_words(exact) == "the whole picture, pixel by pixel"
