"""The page: self-contained, without script, verdict first, and deaf to hostile text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from rawtrace.render.chain import rows
from rawtrace.render.html import as_html
from rawtrace.render.words import NOT_MISCONDUCT, of_verdict
from rawtrace.report import Report, Verdict
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity
from rawtrace.trust.trustlist import TrustList
from rawtrace.verification.verify import verify

ALL = {report.verdict: report for report in samples.every_verdict()}
VOID = {"meta", "img", "path", "circle", "rect", "use"}
LINKS = {"src", "href", "action", "formaction", "data", "poster", "srcset", "xlink:href", "style", "background"}


class Page(HTMLParser):
    """What a browser would make of the page: tags, attributes, text, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.parts: list[str] = []
        self.open: list[str] = []
        self.comments: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.parts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


@cache
def vocabulary() -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Tags and attributes of pages about reports that hold nothing hostile."""
    plain = samples.hostile("plain words")
    pages = [
        Page(as_html([plain], previews={plain.path: samples.preview(2, 2)})),
        Page(as_html((*samples.batch(12), plain), previews={plain.path: samples.preview(2, 2)})),
    ]
    pages += [Page(as_html([report])) for report in samples.every_verdict()]
    tags = frozenset(tag for page in pages for tag in page.tags)
    return tags, frozenset((tag, name) for page in pages for tag, name, _ in page.attributes)


def assert_harmless(html: str) -> Page:
    html.encode("utf-8")
    page = Page(html)
    tags, attributes = vocabulary()
    assert set(page.tags) <= tags
    assert {(tag, name) for tag, name, _ in page.attributes} <= attributes
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        if name in LINKS:
            assert re.fullmatch(r"#[\w-]*|data:image/png;base64,[A-Za-z0-9+/=]+", value)
        if name in {"id", "class"}:
            assert re.fullmatch(r"[a-z0-9 -]+", value)
    assert page.open == []
    assert page.comments == []
    return page


@pytest.mark.parametrize("verdict", Verdict)
def test_verdict_is_said_in_words_symbol_and_colour_before_all_else(verdict: Verdict) -> None:
    html = as_html([ALL[verdict]])
    page = assert_harmless(html)
    said = of_verdict(verdict)
    main = html[html.index("<main>") :]
    heading = main.index(f"<span>{said.word.capitalize()}</span></h1>")
    assert page.tags.count("h1") == 1
    assert 0 < main.index(f'href="#i-{verdict}"') < heading < main.index("What was checked")
    assert heading < main.index("How to check again")
    assert f'class="verdict {verdict}"' in main
    assert said.headline in page.text
    assert NOT_MISCONDUCT in page.text
    assert ALL[verdict].summary in page.text


def test_sections_come_in_the_order_in_which_a_reader_asks() -> None:
    page = Page(as_html([replace(samples.noted(), findings=(*samples.noted().findings, samples.PASSES[2]))]))
    headings = [
        "What to look at",
        "What could not be checked",
        "What was checked",
        "What it was made from",
        "What the seal says",
        "Whom this page trusts",
        "Evidence",
        "How to check again",
    ]
    places = [page.text.index(heading) for heading in headings]
    assert places == sorted(places)


def test_the_policy_forbids_everything_but_this_style_and_inline_pictures() -> None:
    html = as_html([samples.verified()])
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        in Page(html).values("content")
    )
    assert html.index("Content-Security-Policy") < html.index("<style>")
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_every_verdict_and_outcome_has_its_symbol_and_colour() -> None:
    html = as_html(samples.every_verdict())
    for verdict in Verdict:
        assert f'<symbol id="i-{verdict}"' in html
        assert f"--{verdict}:" in html
    used = set(re.findall(r'href="#(i-[\w-]+)"', html))
    assert used <= set(re.findall(r'<symbol id="(i-[\w-]+)"', html))


@pytest.mark.parametrize("text", samples.HOSTILE)
def test_hostile_text_is_only_text(text: str) -> None:
    report = samples.hostile(text)
    picture = replace(samples.preview(2, 2), caption=text)
    page = assert_harmless(as_html([report], previews={report.path: picture}, title=text))
    assert not set("\u202e\x1b\x00\x07\u200b") & set("".join(page.parts))
    batch = as_html([report, report, samples.verified()], previews={report.path: picture}, title=text)
    assert_harmless(batch)
    assert len(batch) < 600_000


def test_markup_is_shown_as_it_stands() -> None:
    page = Page(as_html([replace(samples.verified(), path="<script>alert(1)</script>")]))
    assert "script" not in page.tags
    assert "<script>alert(1)</" in page.text


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=120))
def test_any_text_in_any_place_is_only_text(text: str) -> None:
    assert_harmless(as_html([samples.hostile(text)], title=text))


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="<>\"'&/= \u202eascriptonxlmg{}%#-!`", max_size=60))
def test_text_close_to_markup_is_only_text(text: str) -> None:
    report = samples.hostile(text)
    assert_harmless(as_html([report, samples.verified()], title=text))


def test_a_picture_is_inlined_with_its_caption() -> None:
    report = samples.verified()
    small = samples.preview(4, 3)
    page = assert_harmless(as_html([report], previews={report.path: small}))
    assert page.values("src") == ["data:image/png;base64," + base64.b64encode(small.png).decode()]
    assert page.values("alt") == ["Small rendering of plate_07_B4.ome.tif"]
    assert small.caption in page.text


@pytest.mark.parametrize("png", [b"<svg onload=alert(1)>", b"", b"\x89PNG\r\n\x1a\n" + b"\x00" * 4_000_001])
def test_what_is_no_small_png_is_left_out_in_words(png: bytes) -> None:
    report = samples.verified()
    page = assert_harmless(as_html([report], previews={report.path: replace(samples.preview(2, 2), png=png)}))
    assert page.values("src") == []
    assert "left out to keep this page small" in page.text


def test_steps_that_were_not_reached_are_named() -> None:
    assert "These steps were not reached: 2. Signature, 3. Content" in Page(as_html([samples.no_seal()])).text


def test_many_findings_of_one_kind_are_counted() -> None:
    html = as_html([samples.altered(5_000)])
    assert "… and 4990 more of the same kind" in Page(html).text
    assert len(html) < 100_000


def test_an_overdue_trust_list_is_pointed_out() -> None:
    words = "A newer list was due before this check."
    assert words in Page(as_html([samples.rejected()])).text
    assert words not in Page(as_html([samples.verified()])).text


def test_the_command_to_check_again_is_exact() -> None:
    page = Page(as_html([samples.inconclusive()]))
    assert 'rawtrace verify "raw/gel 3 (long exposure).tif" --trust lists/example-federation.jws' in page.text


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("-rf.tif", "rawtrace verify ./-rf.tif"),
        ("a$(id).tif", "rawtrace verify 'a$(id).tif'"),
        ("a'b`.tif", "'a'\"'\"'b`.tif'"),
    ],
)
def test_the_command_is_safe_to_paste(path: str, shown: str) -> None:
    assert shown in Page(as_html([replace(samples.verified(), path=path)])).text


def test_a_name_that_cannot_be_typed_is_pointed_out() -> None:
    assert "characters that cannot be shown" in Page(as_html([replace(samples.verified(), path="a\u202eb.tif")])).text


def test_the_chain_is_a_picture_with_a_list_as_its_alternative() -> None:
    page = Page(as_html([samples.noted()]))
    assert "img" in page.values("role")
    assert "Chain of 3 files: figure_2.png on top, what it was made from below it. The list below says the same." in (
        page.values("aria-label")
    )
    assert page.text.count("maximum_projection.tif") == 2


def test_a_batch_begins_with_counts_and_the_worst() -> None:
    reports = samples.batch(50)
    page = assert_harmless(as_html(reports, title="Manuscript EX-1"))
    assert page.tags.count("h1") == 1
    groups = [word for word in page.values("id") if word in set(Verdict)]
    assert groups == [str(verdict) for verdict in reversed(Verdict)]
    assert [f"#{word}" for word in groups] == [
        href for href in page.values("href") if href in {f"#{v}" for v in Verdict}
    ]
    anchors = page.values("id")
    assert len(anchors) == len(set(anchors))
    assert all(report.path.rpartition("/")[0] in page.text for report in reports)


def test_good_reports_of_a_batch_are_folded_and_bad_ones_open() -> None:
    html = as_html((samples.verified(), samples.rejected()))
    first, second = re.findall(r'<details class="report" id="r\d"( open)?>', html)
    assert (first, second) == (" open", "")


@pytest.mark.parametrize("reports", [(), (samples.verified(),) * 2])
def test_a_page_about_none_or_equal_reports_is_whole(reports: tuple[Report, ...]) -> None:
    page = assert_harmless(as_html(reports))
    assert page.tags.count("h1") == 1
    assert f"{len(reports)} files were checked" in page.text


def test_two_thousand_reports_stay_lean() -> None:
    html = as_html(samples.batch(2_000))
    assert len(html) < 15_000_000
    assert html.count('class="report"') == 2_000
    assert len(re.findall(r'class="report" id="r\d+" open', html)) <= 20


def test_lists_are_named_once_where_all_reports_share_them() -> None:
    shared = (samples.verified(), samples.noted())
    assert Page(as_html(shared)).text.count("Example imaging societies") == 1
    assert Page(as_html((*shared, samples.rejected()))).text.count("Example imaging societies") == 3


def test_a_sentence_that_begins_with_a_file_name_keeps_its_letters() -> None:
    finding = replace(samples.FILE_ABSENT, subject="raw.tif", message="raw.tif is not at hand")
    page = Page(as_html([samples.report("x.png", finding, summary="raw.tif is not at hand")]))
    assert page.text.count("raw.tif is not at hand") == 3
    assert "Raw.tif" not in page.text


def test_a_real_report_of_a_figure_shows_what_it_was_made_from(
    tmp_path: Path, instrument: Identity, workstation: Identity, trust_lists: tuple[TrustList, ...]
) -> None:
    raw, other, figure = (tmp_path / name for name in ("raw.csv", "unsealed.csv", "figure.csv"))
    for number, path in enumerate((raw, other, figure)):
        path.write_text(f"well,value\nA1,{number}\n", encoding="utf-8")
    seal(raw, signer=instrument)
    seal(figure, signer=workstation, parents=[raw, other])
    report = verify(figure, trust=trust_lists)
    shown = rows(report.chain)
    assert [(row.title, row.below) for row in shown] == [("figure.csv", -1), ("raw.csv", 0), ("unsealed.csv", 0)]
    page = assert_harmless(as_html([report]))
    assert "unsealed.csv has no seal" in page.text
    schema = json.loads(resources.files("rawtrace.render").joinpath("schema/report-1.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(report.to_dict())))
