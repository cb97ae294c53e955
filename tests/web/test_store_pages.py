"""Every page of a store in a browser: seen in light and dark, wide and narrow, by keyboard, without a script."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from populated import HANDLE, HOSTILE

from rawtrace.server import enrolment, registry
from rawtrace.server.access import Role

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from conftest import Site

EVERYTHING = (Role.OPERATOR, Role.OFFICER, Role.AUDITOR)
AT = "/instruments/20.500.12345"
PUBLIC = {
    "home": "/",
    "instruments": "/instruments",
    "found": "/instruments?q=confocal&status=in-service",
    "nothing-found": "/instruments?q=nosuchthing",
    "instrument": f"{AT}/confocal-1",
    "ends-soon": f"{AT}/gel-imager",
    "revoked": f"{AT}/sorter",
    "retired": f"{AT}/old-scope",
    "hostile": f"{AT}%2Fa%2Fhistory",
    "history": f"{AT}/confocal-1/history",
    "history-of-hostile": f"{AT}%2Fa%2Fhistory/history",
    "seals": f"{AT}/confocal-1/seals",
    "authorities": "/authorities",
    "log": "/log",
    "health": "/health",
    "login": "/login",
}
STAFF = {
    "home-of-staff": "/",
    "instrument-of-staff": f"{AT}/plate-reader",
    "new": "/instruments/new",
    "enrolments": "/enrolments",
    "tokens": "/tokens",
    "audit": "/audit",
}
WIDE = {"width": 1280, "height": 900}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def contexts(site: Site) -> dict[bool, Any]:
    """Browsers of staff (True) and of strangers."""
    return {staff: site.context(*(EVERYTHING if staff else ()), viewport=WIDE) for staff in (False, True)}


@pytest.mark.parametrize(("name", "staff"), [*((n, False) for n in PUBLIC), *((n, True) for n in STAFF)])
def test_page(site: Site, contexts: dict[bool, Any], axe: str, name: str, staff: bool) -> None:
    page = site.page(contexts[staff])
    site.said.clear()
    answer = page.goto(site.url + (STAFF if staff else PUBLIC)[name])
    assert answer is not None
    assert answer.status == 200
    source = answer.text()
    assert "<script" not in source
    assert not re.search(r"<[^>]*\s(?:style|on[a-z]+)\s*=", source), "nothing is styled or run in place"
    assert page.locator("h1").count() == 1
    assert page.title().strip()
    assert _axe(page, axe) == []
    # What looks can spoil is looked at again, in the dark and on a small screen.
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 320, "height": 900})
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 320, f"{name} is {width} wide"
    assert _axe(page, axe, rules=["color-contrast", "target-size", "scrollable-region-focusable"]) == []
    assert site.said == []
    page.close()


def test_refusals_are_pages_too(site: Site, contexts: dict[bool, Any], axe: str) -> None:
    page = site.page(contexts[False])
    for path, status, words in (
        ("/nothing", 404, "Not found"),
        (f"{AT}/nosuch", 404, "Not found"),
        ("/instruments?limit=0", 400, "cannot be understood"),
        ("/enrolments", 401, "not known"),
        ("/instruments/<script>alert(1)</script>", 404, "Not found"),
    ):
        answer = page.goto(site.url + path)
        assert answer is not None
        assert answer.status == status
        assert words in page.inner_text("h1")
        assert _axe(page, axe) == [], path
    page.goto(site.url + "/enrolments")
    page.click("main >> text=Log in")
    assert page.url.endswith("/login")
    page.close()


def test_hostile_text_stays_text(site: Site, contexts: dict[bool, Any]) -> None:
    site.said.clear()
    page = site.page(contexts[True])
    for path in (PUBLIC["hostile"], "/", "/instruments", PUBLIC["history-of-hostile"], "/instruments?q=<img src=x>"):
        page.goto(site.url + path)
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 0
    page.goto(site.url + PUBLIC["hostile"])
    assert HOSTILE in page.inner_text("main")
    assert "49" not in page.inner_text("main .text"), "templates take no expression from a record"
    page.goto(site.url + PUBLIC["instrument"])
    assert page.locator("a[href^='javascript']").count() == 0
    assert (
        page.get_by_role("link", name="10.1234/example.1").get_attribute("href") == "https://doi.org/10.1234/example.1"
    )
    assert site.said == []
    page.close()


def test_by_keyboard_alone(site: Site, contexts: dict[bool, Any]) -> None:
    page = site.page(contexts[True])
    page.goto(site.url + "/instruments")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0, "it is seen once it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("gel imager")
    page.keyboard.press("Enter")
    page.wait_for_url("**/instruments?q=gel**")
    assert page.locator("tbody tr").count() == 1
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        shown = page.evaluate(
            "(() => { const a = document.activeElement; if (a === document.body) return null;"
            " const s = getComputedStyle(a); return [a.tagName + '|' + (a.href || a.name || a.textContent),"
            " s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0]; })()"
        )
        if shown is None:
            break
        assert shown[1], f"{shown[0]} does not show that it has the focus"
        seen.add(shown[0])
    assert any("gel-imager" in one for one in seen)
    page.close()


def test_a_manager_s_day_without_scripts(site: Site) -> None:
    context = site.context(*EVERYTHING, java_script_enabled=False)
    page = site.page(context)
    page.goto(site.url + "/instruments/new")
    fields = {
        "name": "Light sheet", "manufacturer": "Example Optics", "model": "L1", "owner": "https://ror.org/0exampe44",
        "owner_name": "Example University", "location": "Room 9", "contact": "x@example.org",
    }  # fmt: skip
    for name, value in fields.items():
        page.fill(f"[name={name}]", value)
    page.click("button:has-text('Register')")
    assert "/instruments/20.500.12345/" in page.url
    pid = page.inner_text("dl dd >> nth=0")
    page.click("button:has-text('Put into service')")
    assert "In service" in page.inner_text(".headline")
    page.fill("#m-place", "Room 10")
    page.click("button:has-text('Note the move')")
    assert "It stands in Room 10" in page.inner_text(".why")
    entry = registry.find(site.store.database, pid)
    assert entry is not None
    assert [one.action for one in registry.history(site.store.database, pid)] == ["moved", "commissioned", "registered"]
    page.click("a:has-text('Make a one-time code')")
    assert page.input_value("[name=pid]") == pid
    page.click("button:has-text('Make a code')")
    assert len(page.inner_text(".secret")) >= 8
    page.goto(site.url + "/enrolments")
    page.click("button:has-text('Approve')")
    assert "Nothing waits." in page.inner_text("main")
    (decided,), _ = enrolment.page(site.store, state=enrolment.APPROVED)
    assert decided["name"] == "Plate reader"
    page.goto(site.url + "/tokens")
    page.fill("#f-name", "New colleague")
    page.check("#f-role-auditor")
    page.click("button:has-text('Make a token')")
    assert page.inner_text(".secret").startswith("rawtrace_")
    page.goto(site.url + "/tokens")
    page.click("tr:has-text('New colleague') button")
    assert "withdrawn" in page.inner_text("tr:has-text('New colleague')")
    page.click("button:has-text('Log out')")
    page.goto(site.url + "/tokens")
    assert "not known" in page.inner_text("h1")
    context.close()


def test_what_changed_meanwhile_is_not_overwritten(site: Site, contexts: dict[bool, Any]) -> None:
    pages = [site.page(contexts[True]) for _ in range(2)]
    for page in pages:
        page.goto(f"{site.url}{AT}/gel-imager")
    for number, page in enumerate(pages):
        page.fill("#m-place", f"Room {number}")
        page.click("button:has-text('Note the move')")
    assert "It stands in Room 0" in pages[0].inner_text(".why")
    assert "changed meanwhile" in pages[1].inner_text("h1")
    for page in pages:
        page.close()


def test_a_form_of_another_site_does_nothing(site: Site) -> None:
    context = site.context(*EVERYTHING)
    page = context.new_page()
    # Another name of this machine is another site to the browser.
    page.goto(site.url.replace("127.0.0.1", "localhost") + "/health")
    action = json.dumps(f"{site.url}{AT}/confocal-1/lifecycle")
    fields = "<input name=event value=retired><input name=on value=2026-01-01>"
    page.evaluate(
        f"document.body.innerHTML = `<form id=evil method=post>{fields}</form>`;"
        f"document.getElementById('evil').action = {action}"
    )
    page.evaluate("document.getElementById('evil').submit()")
    page.wait_for_timeout(300)
    entry = registry.find(site.store.database, HANDLE + "confocal-1")
    assert entry is not None
    assert entry.status == "in-service"
    context.close()


def test_on_paper_nothing_is_left_to_press(site: Site, contexts: dict[bool, Any]) -> None:
    page = site.page(contexts[True])
    page.emulate_media(media="print")
    page.goto(f"{site.url}{AT}/confocal-1")
    for what in ("nav", "form", "button"):
        assert all(not one.is_visible() for one in page.locator(what).all())
    assert page.locator("svg.plot").is_visible()
    page.close()


def _axe(page: Page, source: str, *, rules: list[str] | None = None) -> list[str]:
    page.evaluate(source)
    found = page.evaluate(
        "only => axe.run(document, {runOnly: only, resultTypes: ['violations']})"
        ".then(result => result.violations.map(one => one.id + ': ' + one.nodes.map(n => n.html).join(' | ')))",
        {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS},
    )
    return [str(one)[:400] for one in found]
