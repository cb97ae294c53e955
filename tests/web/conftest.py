"""A real browser before a real store; skipped in words where either checker is absent."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # modules beside this one, under importlib mode

import populated

import stores
from rawtrace.server.access import Access, Role
from rawtrace.server.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / ".venv" / "web" / "node_modules" / "axe-core" / "axe.min.js"
#: Chromium speaks to nobody but us; without a sandbox of its own, for tests may run as root.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_TIMEOUT_MS = 15_000


@dataclasses.dataclass
class Site:
    """A store that answers, a browser before it, and everything that the browser complained about."""

    store: Store
    url: str
    browser: Browser
    said: list[str]

    def context(self, *roles: Role, **options: Any) -> BrowserContext:
        """Open a browser of its own, logged in by the form where roles are given."""
        context = self.browser.new_context(**options)
        context.set_default_timeout(_TIMEOUT_MS)
        if roles:
            page = context.new_page()
            page.goto(f"{self.url}/login")
            page.fill("#token", stores.token(self.store, *roles))
            page.click("main button")
            page.close()
        return context

    def page(self, context: BrowserContext) -> Page:
        """Open a page whose complaints are kept, and that may ask this store only."""
        page = context.new_page()
        page.on("console", lambda message: message.type in {"error", "warning"} and self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((self.url, "data:")) or self.said.append(f"asked elsewhere: {request.url}")
            ),
        )
        return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; for one module at a time, since it keeps an event loop running in this thread."""
    program = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
    )
    if not program:
        pytest.skip("NOT RUN: no Chromium is installed (on Debian and Ubuntu: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A store with something in it, on loopback."""
    folder = tmp_path_factory.mktemp("web")
    with Store.open(stores.found(folder / "store")) as store:
        populated.populate(store)
        with stores.running(store) as running:
            # Forms count when they come from the address that the store is known by.
            store.settings = dataclasses.replace(store.settings, url=running.url)
            store.access = Access(store.database, store.settings)
            yield Site(store, running.url, browser, [])


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    if not AXE.is_file():
        pytest.skip("NOT RUN: axe-core is not there; tools/web_setup fetches it")
    return AXE.read_text(encoding="utf-8")
