"""The page of content codes states what the code does, and its vectors are what the code makes."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from rawtrace.image import isccunits, planes, views

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "spec" / "codes.md").read_text(encoding="utf-8")
VECTORS = json.loads((ROOT / "docs" / "spec" / "codes-vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("group", ["scenes", "views"])
def test_vectors_are_what_the_code_makes(group: str) -> None:
    made: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "make_code_vectors.py"))["_document"]()
    assert {name for name in made if name not in {"scenes", "views"}} == {"version", "rendering", "rule"}
    for ours, written in zip(made[group], VECTORS[group], strict=True):
        assert ours == written


def test_vectors_have_each_kind_of_code() -> None:
    assert VECTORS["rendering"] == views.RENDERING
    images = [view["image"] for one in VECTORS["views"] for view in one["views"]]
    assert "" in images
    assert len(set(images)) > 5
    assert len({one["header_sha256"] for one in VECTORS["scenes"]}) == len(VECTORS["scenes"])
    (colours, grey) = (one for one in VECTORS["scenes"] if one.get("pixels") == bytes(range(1, 13)).hex())
    assert (colours["iscc"] == grey["iscc"], colours["header"] == grey["header"]) == (True, False)


def test_page_states_the_numbers_of_the_code() -> None:
    low, high = views.STRETCH_PERCENT
    for stated in (
        f"more than {views.LONGEST_EDGE:,} px".replace(",", " "),
        f"percentiles {low} and {high}",
        f"At most {views.MAX_VIEWS} of a scene",
        f"at most {views.MAX_TIMES}",
        f"`{views.RENDERING}`",
        f"shorter than {isccunits.MIN_EDGE} px",
        f"fewer than {isccunits.MIN_ONES} ones or more than {64 - isccunits.MIN_ONES}",
        f"Up to {isccunits.IMAGE_NEAR} of 256 bits",
    ):
        assert stated in " ".join(PAGE.split()), stated


def test_page_lists_every_type() -> None:
    rule = PAGE[PAGE.index("**Header**") : PAGE.index("no other type")]
    assert set(re.findall(r"`([a-z]+[0-9]*)`", rule)) == planes.TYPES
