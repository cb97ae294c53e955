"""People log in at a real OpenID provider, which insists on PKCE."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient
from toolbox import PLACE, found

from rawtrace.server.app import create_app
from rawtrace.server.login import ATTEMPTS
from rawtrace.server.store import Store
from stores import PREFIX

pytestmark = pytest.mark.interop

URL = "http://127.0.0.1:8650"
PROVIDER = Path(__file__).with_name("issuer.mjs")


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    program = found().get("oidc-provider")
    if program is None or program.missing:
        pytest.skip(f"oidc-provider is not here: {program.missing if program else 'run make interop'}")
    # Node looks for packages beside the script.
    script = PLACE / PROVIDER.name
    script.write_text(PROVIDER.read_text(encoding="utf-8"), encoding="utf-8")
    with subprocess.Popen(
        [program.path, str(script), f"{URL}/login/callback"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
def store(issuer: str, new_store: Callable[..., Store], tmp_path: Path) -> Store:
    secret = tmp_path / "secret"
    secret.write_text("only-for-tests\n")
    more = f"""
[login]
issuer = "{issuer}"
client_id = "store"
client_secret_file = "{secret.as_posix()}"
[login.roles]
operator = ["operator"]
officer = ["group:urn:example:officers"]
"""
    return new_store(url=URL, prefix=PREFIX, more=more)


@pytest.fixture
def browser(store: Store) -> TestClient:
    return TestClient(create_app(store), base_url=URL, follow_redirects=False)


def at_the_issuer(begin: str, person: str) -> str:
    """Log in and agree, as somebody with a browser does; returns where the issuer sends the browser back to."""
    with httpx2.Client(trust_env=False) as client:
        url, answer = begin, client.get(begin)
        for _ in range(12):
            if answer.is_redirect:
                url = urljoin(url, answer.headers["location"])
                if url.startswith(URL):
                    return url
                answer = client.get(url)
                continue
            action = html.unescape(re.search(r'<form[^>]*action="([^"]+)"', answer.text)[1])  # type: ignore[index]
            prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)[1]  # type: ignore[index]
            url = urljoin(url, action)
            answer = client.post(url, data={"prompt": prompt, "login": person, "password": "any"})
    msg = "the issuer does not send the browser back"
    raise AssertionError(msg)


@pytest.mark.parametrize(("person", "may_list_tokens"), [("operator", 200), ("officer", 403), ("visitor", 403)])
def test_login_gives_the_roles_of_the_settings(browser: TestClient, person: str, may_list_tokens: int) -> None:
    begun = browser.get("/login/start")
    assert begun.status_code == 303
    assert "code_challenge_method=S256" in begun.headers["location"]
    entered = browser.get(at_the_issuer(begun.headers["location"], person))
    assert entered.status_code == 303, entered.text
    assert browser.get("/tokens").status_code == may_list_tokens


def test_an_answer_is_good_once_and_in_one_browser_only(browser: TestClient, store: Store) -> None:
    back = at_the_issuer(browser.get("/login/start").headers["location"], "operator")
    stranger = TestClient(create_app(store), base_url=URL, follow_redirects=False)
    assert stranger.get(back).status_code == 403
    # The attempt is used up, whoever used it.
    assert browser.get(back).status_code == 403


def test_a_code_without_its_verifier_is_worth_nothing(browser: TestClient, store: Store) -> None:
    back = at_the_issuer(browser.get("/login/start").headers["location"], "operator")
    with store.database.write() as connection:
        connection.execute(sa.update(ATTEMPTS).values(verifier="x" * 64))
    refused = browser.get(back)
    assert refused.status_code == 403
    assert "invalid_grant" in refused.json()["detail"]
    assert browser.get("/tokens").status_code == 401
