"""The pages of compare, trace and reuse in a browser: with a script and without, dark, narrow, on paper, hostile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("cv2")

from rawtrace.image import writing
from rawtrace.match.comparison.compare import LOCAL_CHANGE, Comparison, Maps
from rawtrace.match.comparison.registration import Registration
from rawtrace.match.model import Cause, Curve, Difference, Evidence, Match, Placement, Relation, Tone, Where
from rawtrace.match.reuse.check import Reuse
from rawtrace.match.reuse.duplicates import Duplicate
from rawtrace.render import comparison as comparison_page
from rawtrace.render import reuse as reuse_page
from rawtrace.render import trace as trace_page
from rawtrace.verification.trace import Origin, Trace
from rawtrace.verification.verify import verify

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror=alert(1)>{{ 7 * 7 }}\u202e.png"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PLACEMENT = Placement(matrix=((0.0, -1.0, 95.0), (1.0, 0.0, -8.0)), original_size=(120, 120), published_size=(80, 96))


def picture(rows: int, columns: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(4).integers(0, 256, (rows, columns), dtype=np.uint8)


def compared() -> str:
    published = picture(96, 80)
    z = np.zeros(published.shape, np.float32)
    z[20:40, 20:40], z[60:70, 50:60] = 9, -9
    areas = tuple(
        Difference(box=box, area_px=400, cause=Cause.UNEXPLAINED, kind=kind, strength=9, levels=80)
        for box, kind in (((20, 20, 20, 20), "repeats another area"), ((50, 60, 10, 10), HOSTILE))
    )
    bar = Difference(box=(60, 85, 15, 4), area_px=60, cause=Cause.ANNOTATION, kind="scale bar", covers_px=20)
    mask = np.ones(published.shape, bool)
    points = tuple((float(x), min(255.0, x / 16)) for x in range(0, 5_000, 100))
    curve = Curve(tone=Tone.LINEAR, black=0, white=4_080, confidence=0.97, points=points)
    found = Comparison(
        kind=LOCAL_CHANGE,
        changes=(LOCAL_CHANGE,),
        sentence="Rotated 90° clockwise; two areas are not explained.",
        registration=Registration(
            placement=PLACEMENT, exact=False, inverted=False, inliers=31, correlation=0.99, detail=0.9,
            uncertainty_px=0.02, blur_px=0.0, warped=published.astype(np.float32), mask=mask,
        ),
        curves=(("brightness", curve),),
        unexplained=areas,
        annotations=(bar,),
        all_differences=(*areas, bar),
        share=1.0,
        noise_levels=0.9,
        jpeg_quality=85,
        maps=Maps(published=published, expected=published.astype(np.float32), z=z, labels=mask * 0, mask=mask),
    )  # fmt: skip
    return comparison_page.as_html(found, original=HOSTILE, published="figure.png")


def traced(folder: Path) -> str:
    original, figure = folder / "original.png", folder / "figure.png"
    original.write_bytes(writing.png(picture(120, 120)))
    figure.write_bytes(writing.png(picture(96, 80)))
    there = Match(
        where=Where(source=str(original), z=0, t=0, channel=0), evidence=Evidence.FEATURES, placement=PLACEMENT,
        inliers=20, correlation=0.9, panel=(5.0, 5.0, 60.0, 70.0),
    )  # fmt: skip
    gone = Match(where=Where(source=f"/gone/{HOSTILE}"), evidence=Evidence.CODE, relation=Relation.OVERLAP)
    report = verify(figure, trust=[])
    found = Trace(
        path=str(figure), report=report, origins=(Origin(match=there, report=report), Origin(match=gone)),
        searched=1_234, notes=(f"not read: {HOSTILE}",),
    )  # fmt: skip
    return trace_page.as_html(found)


def reused(folder: Path) -> str:
    path = folder / "panel.png"
    path.write_bytes(writing.png(picture(96, 96)))
    where = Where(source=str(path))
    pair = Duplicate(
        first=where, second=where, first_panel=None, second_panel=(8, 8, 60, 60), relation=Relation.SAME,
        explanation=HOSTILE, inverted=False, inliers=40, correlation=0.9, detail=0.8, first_covered=0.5,
        second_covered=1.0, placement=Placement(
            matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), original_size=(96, 96), published_size=(96, 96)
        ),
    )  # fmt: skip
    return reuse_page.as_html(Reuse(pictures=2, within=(), between=(pair,), problems=((HOSTILE, "it is damaged"),)))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {"compare": compared(), "trace": traced(folder), "reuse": reused(folder)}
    for name, html in made.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8", errors="backslashreplace")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    opened.on("request", lambda request: request.url.startswith(("file:", "data:")) or said.append(request.url))
    yield opened
    context.close()
    assert said == []


def faults(page: Page, axe: str) -> list[str]:
    found = page.evaluate(f"async () => {{ {axe}; return await axe.run(document, {{runOnly: {TAGS!r}}}); }}")
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]


@pytest.mark.parametrize("name", ["compare", "trace", "reuse"])
def test_page(pages: dict[str, Path], page: Page, axe: str, name: str) -> None:
    page.goto(pages[name].as_uri())
    assert page.locator("h1").count() == 1
    assert faults(page, axe) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 320, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert faults(page, axe) == []


@pytest.mark.parametrize("name", ["compare", "trace", "reuse"])
def test_hostile_text_stays_text(pages: dict[str, Path], page: Page, name: str) -> None:
    source = pages[name].read_text(encoding="utf-8")
    assert source.count("<script") == (1 if name == "compare" else 0)
    assert not re.search(r"<[^>]*\s(?:style|on[a-z]+)\s*=", source), "nothing is styled or run in place"
    page.goto(pages[name].as_uri())
    assert page.locator("img[src='x']").count() == 0
    assert "7 * 7" in page.inner_text("body")
    assert "\u202e" not in page.inner_text("body")


def test_the_slider_and_the_buttons_move_the_line(pages: dict[str, Path], page: Page) -> None:
    page.goto(pages["compare"].as_uri())
    published = page.locator(".layer.published")

    def share() -> str:
        return published.evaluate("element => getComputedStyle(element).clipPath")

    page.get_by_label("Share of the published picture").fill("20")
    assert share() == "inset(0px 0px 0px 80%)"
    page.get_by_text("Published", exact=True).first.click()
    assert share() == "inset(0px 0px 0px 0%)"
    page.get_by_text("Difference", exact=True).first.click()
    assert page.locator(".layer.difference").is_visible()
    # The buttons are one stop for the keyboard, and arrows go through them.
    page.keyboard.press("ArrowRight")
    assert page.locator("#view-expected").is_checked()


def test_the_buttons_work_without_a_script(pages: dict[str, Path], browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(pages["compare"].as_uri())
    assert not opened.locator(".slider").is_visible()
    opened.get_by_text("Difference", exact=True).first.click()
    assert opened.locator(".layer.difference").is_visible()
    opened.get_by_text("Expected", exact=True).first.click()
    assert not opened.locator(".layer.difference").is_visible()
    context.close()


def test_on_paper_all_three_pictures_are_there(pages: dict[str, Path], page: Page) -> None:
    page.goto(pages["compare"].as_uri())
    page.emulate_media(media="print")
    for layer in ("expected", "published", "difference"):
        assert page.locator(f".layer.{layer}").is_visible()
    assert not page.locator(".choices").is_visible()
