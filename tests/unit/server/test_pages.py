"""Pages without a browser: attacks on forms, who sees what, and that one address has two faces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from rawtrace.server import registry
from rawtrace.server.access import Role
from rawtrace.server.app import ROUTES, create_app
from rawtrace.server.pages.facing import FACES
from rawtrace.server.pages.forms import FORMS
from rawtrace.server.pages.plot import plot
from rawtrace.server.store import Store
from rawtrace.trust.pidinst.plain import from_pidinst
from stores import client, token

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
PID = "https://hdl.handle.net/20.500.12345/confocal-1"
AT = "/instruments/20.500.12345/confocal-1"
URL = "https://store.example.org"
BAD = "<b onclick=x>\"'&{{1}}</b>"


def put(store: Store, **more: Any) -> None:
    record = {
        "identifier": {"identifier": PID},
        "name": "Confocal 1",
        "owners": [{"ownerName": BAD, "ownerContact": "facility@example.org"}],
        "manufacturers": [{"manufacturerName": BAD}],
        "model": {"modelName": BAD},
        "description": BAD,
        "instrumentTypes": [{"instrumentTypeName": BAD}],
        "measuredVariables": [BAD],
        "alternateIdentifiers": [
            {"alternateIdentifier": BAD, "alternateIdentifierType": "SerialNumber"},
            {"alternateIdentifier": BAD, "alternateIdentifierType": "Other", "alternateIdentifierName": BAD},
        ],
        "relatedIdentifiers": [
            {"relatedIdentifier": f"https://example.org/{BAD}", "relatedIdentifierType": "URL",
             "relationType": "WasUsedIn", "relatedIdentifierName": BAD},
            {"relatedIdentifier": "javascript:alert(1)", "relatedIdentifierType": "DOI", "relationType": "References"},
        ],
        "rawtrace": {"location": BAD},
    }  # fmt: skip
    registry.put(store, from_pidinst(record | more), who=BAD, note=BAD)


@pytest.fixture
def people(store: Store) -> Iterator[TestClient]:
    """A browser without a session."""
    with TestClient(create_app(store), base_url=URL, headers={"Accept": BROWSER}, follow_redirects=False) as one:
        yield one


@pytest.fixture
def staff(store: Store) -> Iterator[TestClient]:
    """A browser with a session of somebody who may do everything."""
    with TestClient(create_app(store), base_url=URL, headers={"Accept": BROWSER}, follow_redirects=False) as one:
        secret = token(store, Role.OPERATOR, Role.OFFICER, Role.AUDITOR)
        assert one.post("/login", data={"token": secret}, headers={"Origin": URL}).status_code == 303
        yield one


# --- attacks ------------------------------------------------------------------------------------------------------


def test_a_form_counts_only_from_a_page_of_this_store(store: Store, staff: TestClient) -> None:
    put(store)
    elsewhere = ("null", "https://evil.example.org", "https://store.example.org.evil.example", "store.example.org")
    for origin in ({}, *({"Origin": one} for one in elsewhere)):
        answer = staff.post(f"{AT}/lifecycle", data={"event": "retired"}, headers=origin)
        assert answer.status_code == 403, origin
        assert answer.headers["content-type"].startswith("text/html")
    assert staff.post(f"{AT}/lifecycle", data={"event": "retired"}, headers={"Origin": URL}).status_code == 303


def test_a_form_needs_the_roles_that_the_interface_needs(store: Store, people: TestClient) -> None:
    put(store)
    for path in (
        "/instruments",
        f"{AT}/lifecycle",
        "/enrolments",
        "/enrolments/x/approve",
        "/tokens",
        "/tokens/x/withdraw",
    ):
        assert people.post(path, data={"name": "x", "event": "retired"}, headers={"Origin": URL}).status_code == 401
    assert len(registry.history(store.database, PID)) == 1


def test_two_forms_for_the_same_version(store: Store, staff: TestClient) -> None:
    put(store)
    move = {"event": "moved", "place": "Room 2", "version": "1"}
    assert staff.post(f"{AT}/lifecycle", data=move, headers={"Origin": URL}).headers["location"] == AT
    late = staff.post(f"{AT}/lifecycle", data=move | {"place": "Room 3"}, headers={"Origin": URL})
    assert late.status_code == 412
    assert "changed meanwhile" in late.text


def test_no_field_of_a_record_becomes_markup(store: Store, staff: TestClient, people: TestClient) -> None:
    put(store)
    for browser in (staff, people):
        for path in (AT, f"{AT}/history", f"{AT}/seals", "/instruments", f"/instruments?q={BAD}", "/", "/audit"):
            text = browser.get(path).text
            assert "<b onclick" not in text, path
            assert 'href="javascript' not in text
    assert "&lt;b onclick=x&gt;&#34;&#39;&amp;{{1}}&lt;/b&gt;" in people.get(AT).text


def test_no_header_is_made_from_a_request(store: Store, people: TestClient) -> None:
    for path in (
        "/instruments?q=a%0d%0aX-Evil:%201",
        "/instruments/20.500.12345/a%0d%0aX-Evil:1",
        "/nothing%0d%0aX-Evil:1",
    ):
        answer = people.get(path)
        assert answer.status_code in {400, 404}
        assert "x-evil" not in answer.headers


def test_contacts_are_not_on_the_pages_of_strangers(store: Store, people: TestClient, staff: TestClient) -> None:
    put(store)
    for path in (AT, f"{AT}/history", "/instruments"):
        assert "facility@example.org" not in people.get(path).text
    assert "facility@example.org" in staff.get(AT).text
    assert "by <bdi>" not in people.get(f"{AT}/history").text


def test_pages_ask_for_the_roles_of_the_interface(people: TestClient) -> None:
    for path in ("/enrolments", "/enrolments/x", "/tokens", "/audit", "/instruments/new"):
        answer = people.get(path)
        assert answer.status_code == 401
        assert answer.headers["content-type"].startswith("text/html")
        assert '<a href="/login">' in answer.text


def test_a_fault_of_a_template_is_a_refusal_and_tells_nothing(
    store: Store, people: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rawtrace.server.pages import facing

    def fail(*_: object) -> None:
        msg = "inside"
        raise RuntimeError(msg)

    monkeypatch.setattr(facing, "page", fail)
    answer = people.get("/instruments")
    assert answer.status_code == 500
    assert "inside" not in answer.text


# --- two faces ----------------------------------------------------------------------------------------------------


def test_every_face_and_form_belongs_to_a_route() -> None:
    routes = {(route.method, route.path) for route in ROUTES}
    assert [path for path in FACES if ("GET", path) not in routes] == []
    assert [path for path in FORMS if ("POST", path) not in routes] == []


def test_programs_get_json_and_people_get_pages(store: Store, staff: TestClient) -> None:
    put(store)
    paths = [AT if "pid" in path else path for path in FACES if "{id}" not in path and "/history" not in path]
    for path in paths:
        page = staff.get(path)
        assert page.status_code == 200, path
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["referrer-policy"] == "same-origin", "or the browser hides where a form came from"
        assert "'unsafe" not in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store", "it is for whoever has logged in"
        for accept in ("*/*", "application/json", "application/json, text/html;q=0.9"):
            answer = staff.get(path, headers={"Accept": accept})
            assert answer.headers["content-type"].startswith("application/json"), (path, accept)
            assert "Accept" in answer.headers["vary"]
    assert staff.get(f"{AT}?format=pidinst").headers["content-type"] == "application/vnd.pidinst+json"


def test_a_problem_is_a_page_for_people_only(people: TestClient) -> None:
    assert people.get("/nothing").headers["content-type"].startswith("text/html")
    answer = people.get("/nothing", headers={"Accept": "application/json"})
    assert answer.headers["content-type"] == "application/problem+json"
    answer = people.get("/nothing", headers={"Accept": "application/problem+json, text/html;q=0.5"})
    assert answer.headers["content-type"] == "application/problem+json"


def test_pages_of_strangers_may_be_kept_and_asked_for_again(store: Store, people: TestClient) -> None:
    first = people.get("/instruments")
    again = people.get("/instruments", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    put(store)
    assert people.get("/instruments", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_a_form_says_in_words_what_does_not_fit(staff: TestClient) -> None:
    answer = staff.post("/instruments", data={"name": "X", "owner": "nonsense"}, headers={"Origin": URL})
    assert answer.status_code == 422
    assert "ROR" in answer.text
    answer = staff.post("/tokens", data={"name": "X", "role-auditor": "1", "days": "many"}, headers={"Origin": URL})
    assert answer.status_code == 400


def test_the_overview_counts_what_there_is(store: Store) -> None:
    put(store)
    answer = client(store).get("/").json()
    assert answer["instruments"] == {"total": 1, "by_status": {"registered": 1}, "by_certificate": {"none": 1}}
    assert [one["pid"] for one in answer["attention"]] == [PID]


def test_instruments_by_certificate(store: Store) -> None:
    put(store)
    asked = client(store)
    assert asked.get("/instruments?certificate=none").json()["total"] == 1
    assert asked.get("/instruments?certificate=good").json()["total"] == 0
    assert asked.get("/instruments?certificate=perfect").status_code == 400


def test_drawings() -> None:
    assert plot([]) is None
    for months in ([("2026-01", 0)], [("2026-01", 7)], [(f"{2000 + n // 12}-{n % 12 + 1:02}", n) for n in range(100)]):
        drawn = plot(months)
        assert drawn is not None
        assert all(bar.x >= drawn.left - 1 and bar.x + bar.width <= drawn.width for bar in drawn.bars)
        assert all(bar.y >= 0 and abs(bar.y + bar.height - drawn.base) < 0.2 for bar in drawn.bars)
        assert str(sum(number for _, number in months[-36:])) in drawn.description


def test_the_page_of_the_log_says_which_witnesses_stand_behind_it(
    store: Store, people: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from rawtrace.ledger.checkpoint import cosign
    from rawtrace.ledger.note import NoteSigner
    from rawtrace.ledger.policy import Policy

    put(store)

    def witness(name: str) -> NoteSigner:
        key = ed25519.Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return NoteSigner(name=name, kind=0x04, sign=key.sign, public=public)

    awake, asleep = witness("awake.example.org"), witness("asleep.example.org")
    names = (("awake", awake), ("asleep", asleep))
    lines = [f"log {store.log.key.text}", *(f"witness {name} {one.key.text}" for name, one in names)]
    policy = Policy.parse("\n".join([*lines, "group both all awake asleep", "quorum both", ""]))
    note = store.log.checkpoint()
    seen = note + cosign(note, awake, 1_700_000_000).encode()
    monkeypatch.setattr(store, "log_policy", lambda: policy)
    monkeypatch.setattr(store.log, "checkpoint", lambda: seen)
    text = people.get("/log").text
    assert "Not enough of them" in text
    assert "14 November 2023, 22:13 UTC" in text
    assert text.count("Cosigned") == 1
    assert text.count("Not yet") == 1


def test_trouble_of_the_log_is_on_the_overview(
    store: Store, staff: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rawtrace.errors import LedgerError

    put(store)
    monkeypatch.setattr(store.log, "trouble", LedgerError("no witness answers"))
    assert "No witness answers" in staff.get("/").text
