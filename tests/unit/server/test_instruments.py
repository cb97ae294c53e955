"""The registry over HTTP: attacks first, then what it is for. On SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from rawtrace.server import registry
from rawtrace.server.access import Role
from rawtrace.server.instrumentaddress import address_of, read_address
from rawtrace.server.problems import Problem
from rawtrace.server.store import Store
from stores import client

OWNER = "https://ror.org/0exampe44"
PID = "https://hdl.handle.net/20.500.12345/confocal-1"
AT = "/instruments/20.500.12345/confocal-1"
BAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def record(pid: str = PID, **more: Any) -> dict[str, Any]:
    return {
        "identifier": {"identifier": pid},
        "name": "Confocal 1",
        "owners": [
            {
                "ownerName": "Example University",
                "ownerContact": "facility@example.org",
                "ownerIdentifier": {"ownerIdentifier": OWNER, "ownerIdentifierType": "ROR"},
            }
        ],
        "manufacturers": [{"manufacturerName": "Example Optics"}],
        "model": {"modelName": "C-100"},
        "instrumentTypes": [{"instrumentTypeName": "Confocal microscope"}],
        "rawtrace": {"location": "Room 1"},
    } | more


@pytest.fixture
def each_store(database_address: Path | str, new_store: Callable[..., Store]) -> Store:
    """A store on SQLite, then one on PostgreSQL."""
    return new_store(database="" if isinstance(database_address, Path) else database_address)


@pytest.fixture
def operator(each_store: Store) -> Iterator[TestClient]:
    with client(each_store, Role.OPERATOR) as one:
        yield one


@pytest.fixture
def stranger(each_store: Store) -> Iterator[TestClient]:
    with client(each_store) as one:
        yield one


# --- attacks ------------------------------------------------------------------------------------------------------


def test_strangers_and_other_roles_change_nothing(
    each_store: Store, stranger: TestClient, operator: TestClient
) -> None:
    officer = client(each_store, Role.OFFICER)
    assert operator.post("/instruments", json=record()).status_code == 201
    for who, status in ((stranger, 401), (officer, 403)):
        assert who.post("/instruments", json=record(PID + "x")).status_code == status
        assert who.put(AT, json=record(), headers={"If-Match": "*"}).status_code == status
        assert who.post(f"{AT}/lifecycle", json={"event": "retired"}).status_code == status
    assert len(stranger.get("/instruments").json()["items"]) == 1
    assert stranger.get(AT).json()["version"] == 1


def test_contact_is_for_operators_unless_the_record_says_else(operator: TestClient, stranger: TestClient) -> None:
    operator.post("/instruments", json=record())
    assert "facility@example.org" in operator.get(AT).text
    forms = ["json", "pidinst", "datacite", "datacite-xml", "epic"]
    seen = [stranger.get(AT, params={"format": form}) for form in forms]
    assert [one.status_code for one in seen] == [200] * 5
    seen += [
        stranger.get(f"{AT}/history"),
        stranger.get("/instruments"),
        stranger.get("/instruments?q=facility@example"),
    ]
    assert [one for one in seen if "facility@example.org" in one.text] == []
    assert stranger.get("/instruments?q=facility@example.org").json()["items"] == [], "and it cannot be searched out"
    public = record(rawtrace={"location": "Room 1", "contactPublic": True})
    assert operator.put(AT, json=public, headers={"If-Match": "*"}).status_code == 200
    assert "facility@example.org" in stranger.get(AT).text
    hidden = record(rawtrace={"location": "Room 1", "contactPublic": False})
    assert operator.put(AT, json=hidden, headers={"If-Match": "*"}).status_code == 200
    assert "facility@example.org" not in stranger.get(f"{AT}/history").text, "not even where it once was public"


def test_who_made_a_change_is_not_told_to_strangers(operator: TestClient, stranger: TestClient) -> None:
    operator.post("/instruments", json=record())
    assert operator.get(f"{AT}/history").json()["changes"][0]["who"] == "a test"
    assert "who" not in stranger.get(f"{AT}/history").json()["changes"][0]


SUFFIXES = (
    "a/history", "history", "a/seals", "a//b", "a/../b", "..", "a/./b", "a%2Fb", "a%252Fb", "a;b=c", "a'b()*,:@!$&+=",
)  # fmt: skip
BASES = ("https://hdl.handle.net/20.500.12345/", "https://doi.org/10.12345/", "https://pid.example.org/")


def test_any_pid_has_one_address_and_comes_back_from_it(operator: TestClient, stranger: TestClient) -> None:
    for pid in (base + suffix for base in BASES for suffix in SUFFIXES):
        made = operator.post("/instruments", json=record(pid))
        assert made.status_code == 201
        address = made.headers["Location"]
        assert address == address_of(pid)
        assert read_address(address) == (pid, "")
        assert stranger.get(address).json()["pid"] == pid
        assert stranger.get(f"{address}/history").json()["pid"] == pid
        assert stranger.get(f"{address}/seals").json()["pid"] == pid
        moved = operator.post(f"{address}/lifecycle", json={"event": "moved", "place": "Room 2"})
        assert moved.json()["pid"] == pid


NOWHERE = (
    "/instruments/x",
    "/instruments/%00",
    "/instruments/20.500.12345/%ff",
    "/instruments/20.500.12345/a%0d%0aSet-Cookie:x",
    "/instruments/https:%2F%2Fhdl.handle.net%2F",
    "/instruments/../../etc/passwd",
    "/instruments/" + "a" * 5000,
    "/instruments/20.500.12345/" + "a" * 5000,
    "/instruments/urn:uuid:nothing",
    "/instruments/20.500.12345/ü",
    "/instruments/20.500.12345/<script>",
    "/instruments/javascript:alert(1)",
)


def test_addresses_that_name_no_pid_are_not_found(stranger: TestClient, operator: TestClient) -> None:
    for address in NOWHERE:
        for answer in (stranger.get(address), operator.put(address, json=record()), operator.get(f"{address}/history")):
            assert answer.status_code == 404, address
            assert answer.headers["content-type"] == "application/problem+json"
            assert "set-cookie" not in answer.headers


def test_no_pid_is_changed_through_another_address(operator: TestClient) -> None:
    operator.post("/instruments", json=record())
    answer = operator.put("/instruments/20.500.12345/other", json=record())
    assert answer.status_code == 409


def test_a_change_needs_the_version_that_it_changes(operator: TestClient) -> None:
    first = operator.post("/instruments", json=record())
    tag = first.headers["ETag"]
    assert operator.put(AT, json=record(name="B")).status_code == 428
    assert operator.put(AT, json=record(name="B"), headers={"If-None-Match": "*"}).status_code == 412
    assert operator.put(AT, json=record(name="B"), headers={"If-Match": '"nonsense"'}).status_code == 412
    assert operator.put(AT, json=record(name="B"), headers={"If-Match": '"0"'}).status_code == 412
    assert operator.put(AT, json=record(name="B"), headers={"If-Match": tag}).status_code == 200
    assert operator.put(AT, json=record(name="C"), headers={"If-Match": tag}).status_code == 412
    assert operator.get(AT).json()["name"] == "B"
    absent = operator.put("/instruments/20.500.12345/no", json=record(PID[:-10] + "no"), headers={"If-Match": '"1"'})
    assert absent.status_code == 412


def test_any_form_of_the_record_gives_a_tag_to_change_by(operator: TestClient, stranger: TestClient) -> None:
    operator.post("/instruments", json=record())
    tags = {stranger.get(AT, params={"format": form}).headers["ETag"] for form in ("json", "pidinst", "epic")}
    assert len(tags) == 3
    for tag in tags:
        assert stranger.get(AT, headers={"If-None-Match": tag}).status_code in {200, 304}
    changed = operator.put(AT, json=record(name="B"), headers={"If-Match": tags.pop()})
    assert changed.status_code == 200


def test_of_many_who_change_the_same_version_one_wins(each_store: Store, operator: TestClient) -> None:
    tag = operator.post("/instruments", json=record()).headers["ETag"]
    answers: list[int] = []
    barrier = threading.Barrier(6)

    def change(number: int) -> None:
        one = client(each_store, Role.OPERATOR)
        barrier.wait(20)
        answers.append(one.put(AT, json=record(name=f"Name {number}"), headers={"If-Match": tag}).status_code)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [200, 412, 412, 412, 412, 412]
    assert [one["version"] for one in operator.get(f"{AT}/history").json()["changes"]] == [2, 1]


def test_of_many_who_register_the_same_pid_one_wins(each_store: Store) -> None:
    answers: list[int] = []
    barrier = threading.Barrier(4)

    def make(number: int) -> None:
        one = client(each_store, Role.OPERATOR)
        barrier.wait(20)
        answers.append(one.post("/instruments", json=record(name=f"Name {number}")).status_code)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [201, 409, 409, 409]


def test_cursors_that_were_not_given_out_are_refused(operator: TestClient, stranger: TestClient) -> None:
    lines = [record(f"{PID}-{number}", name=f"Confocal {number}") for number in range(3)]
    operator.post("/instruments", content=_ndjson(lines), headers={"Content-Type": "application/x-ndjson"})
    following = stranger.get("/instruments?limit=2").json()["next"]
    cursor = following.partition("cursor=")[2]
    assert len(stranger.get(following).json()["items"]) == 1
    for bad in ("x", cursor[:-4], cursor + "AAAA", "W10", "eyJhIjoxfQ", "A" * 9000, quote("\x00\n")):
        answer = stranger.get(f"/instruments?limit=2&cursor={bad}")
        assert answer.status_code == 400, bad
        assert answer.headers["content-type"] == "application/problem+json"
    assert stranger.get(f"/instruments?limit=2&q=confocal&cursor={cursor}").status_code == 400, "of another question"


SENSELESS = (
    "limit=0", "limit=201", "limit=-1", "limit=99999999999", "limit=1e3", "limit=٣", "status=x", "nothing=1", "like=x",
    "q=" + "a" * 301, "q=%00", "q=a%0Ab", "q=" + "+".join("abcdefghi"), "owner=%00", "related=a%0db",
)  # fmt: skip


def test_questions_that_make_no_sense_are_refused_in_words(stranger: TestClient) -> None:
    for query in SENSELESS:
        answer = stranger.get(f"/instruments?{query}")
        assert answer.status_code == 400, query
        assert answer.headers["content-type"] == "application/problem+json"


def test_signs_of_the_database_mean_nothing_in_a_question(operator: TestClient, stranger: TestClient) -> None:
    operator.post("/instruments", json=record(name="50% of_it \\ 'or'"))
    for text, found in (("%", 1), ("_", 1), ("0%25 of_", 1), ("5_%25", 0), ("\\", 1), ("'or'", 1), ("%25%25", 0)):
        assert len(stranger.get(f"/instruments?q={text}").json()["items"]) == found, text


BODIES = (
    b"", b"[]", b"null", b"{", b'{"name":"\\ud800"}', b"\xff", b"[" * 9000, b'{"a":1,"a":2}', b'{"name":NaN}', b'"x"',
)  # fmt: skip
FORMS = (
    "application/json",
    "application/vnd.pidinst+json",
    "application/vnd.datacite.datacite+json",
    "application/vnd.datacite.datacite+xml",
    "application/vnd.epic.handle+json",
)


def test_bodies_that_are_no_record_are_refused_in_words(operator: TestClient) -> None:
    for body in BODIES:
        for media_type in FORMS:
            answer = operator.post("/instruments", content=body, headers={"Content-Type": media_type})
            assert answer.status_code in {400, 422}, (media_type, body[:20])
            assert answer.headers["content-type"] == "application/problem+json"
        assert operator.post("/instruments", content=body, headers={"Content-Type": "text/csv"}).status_code == 415


def test_what_a_record_must_not_hold_is_refused(operator: TestClient) -> None:
    for more in (
        {"name": "a\nb"},
        {"name": "x" * 65},
        {"name": "\u202eevil"},
        {"landingPage": "javascript:alert(1)"},
        {"rawtrace": {"location": "x", "other": 1}},
        {"rawtrace": {"contactPublic": "yes"}},
        {"description": "x" * 10_001},
        {"owners": []},
        {"identifier": {"identifier": "http://evil.example.org:80/x"}},
    ):
        assert operator.post("/instruments", json=record(**more)).status_code == 422, more


def test_markup_is_text_in_every_form(operator: TestClient, stranger: TestClient) -> None:
    bad = BAD[:60]
    operator.post("/instruments", json=record(name=bad, description=BAD, rawtrace={"location": BAD}))
    assert stranger.get(AT).json()["name"] == bad
    xml = stranger.get(AT, params={"format": "datacite-xml"})
    assert "<script>" not in xml.text
    assert bad.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in xml.text


def test_entities_are_never_expanded(operator: TestClient) -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><resource>&b;</resource>'
    answer = operator.post(
        "/instruments", content=bomb, headers={"Content-Type": "application/vnd.datacite.datacite+xml"}
    )
    assert answer.status_code == 400
    assert "DOCTYPE" in answer.json()["detail"]


def test_too_much_at_once_is_refused(operator: TestClient) -> None:
    kind = {"Content-Type": "application/x-ndjson"}
    assert operator.post("/instruments", content=b"{}\n" * 1001, headers=kind).status_code == 413
    assert operator.post("/instruments", content=b"x" * (8 << 20) + b"x", headers=kind).status_code == 413
    assert operator.put(AT, content=b"x" * 300_000).status_code == 413


EVENTS: tuple[tuple[dict[str, Any], int], ...] = (
    ({}, 400),
    ({"event": "burnt"}, 400),
    ({"event": "moved"}, 400),
    ({"event": "retired", "place": "x"}, 400),
    ({"event": "retired", "on": "2999-01-01"}, 400),
    ({"event": "retired", "on": "20260101"}, 400),
    ({"event": "retired", "on": "yesterday"}, 400),
    ({"event": "retired", "note": "a\nb"}, 400),
    ({"event": "retired", "who": "somebody else"}, 400),
    ({"event": ["retired"]}, 400),
    ({"event": "moved", "place": "x" * 301}, 422),
)


def test_events_that_make_no_sense_are_refused(operator: TestClient) -> None:
    operator.post("/instruments", json=record())
    for event, status in EVENTS:
        assert operator.post(f"{AT}/lifecycle", json=event).status_code == status, event
    assert operator.get(AT).json()["version"] == 1


# --- what it is for -----------------------------------------------------------------------------------------------


def test_a_life(each_store: Store, operator: TestClient) -> None:
    assert operator.post("/instruments", json=record()).json()["status"] == "registered"
    events = [
        {"event": "commissioned", "on": "2020-01-31"},
        {"event": "moved", "place": "Room 2", "note": "lab closed"},
        {"event": "retired", "on": "2024-06-30"},
    ]
    for event in events:
        assert operator.post(f"{AT}/lifecycle", json=event).status_code == 200
    now = operator.get(AT).json()
    assert (now["status"], now["place"], now["version"]) == ("retired", "Room 2", 4)
    assert now["record"]["dates"] == [
        {"date": "2020-01-31", "dateType": "Commissioned"},
        {"date": "2024-06-30", "dateType": "DeCommissioned"},
    ]
    changes = operator.get(f"{AT}/history").json()["changes"]
    assert [one["action"] for one in changes] == ["retired", "moved", "commissioned", "registered"]
    assert changes[1]["note"] == "lab closed"
    assert changes[1]["before"]["rawtrace"]["location"] == "Room 1"
    assert [one["log_index"] for one in changes] == [3, 2, 1, 0]
    assert operator.post(f"{AT}/lifecycle", json={"event": "moved", "place": "x"}).status_code == 409
    assert operator.post(f"{AT}/lifecycle", json={"event": "retired"}).status_code == 409


def test_what_the_log_holds_fits_the_history(each_store: Store, operator: TestClient) -> None:
    from rawtrace.trust.instruments import record_digest

    operator.post("/instruments", json=record())
    (change,) = registry.history(each_store.database, PID)
    assert change.log_index == 0
    wanted = {
        "action": "registered",
        "at": change.at,
        "kind": "instrument",
        "pid": PID,
        "record": record_digest(change.after).hex(),
        "v": 1,
        "version": 1,
    }
    from rawtrace.ledger import entry

    assert each_store.log.find(entry.canonical(wanted)) == 0


def test_the_same_record_again_is_no_change(operator: TestClient) -> None:
    tag = operator.post("/instruments", json=record()).headers["ETag"]
    again = operator.put(AT, json=record(), headers={"If-Match": tag})
    assert again.status_code == 200
    assert again.json()["version"] == 1


def test_pids_are_minted_below_the_prefix(operator: TestClient) -> None:
    fields = {name: value for name, value in record().items() if name != "identifier"}
    made = operator.post("/instruments", json=fields)
    assert made.status_code == 201
    assert made.json()["pid"].startswith("https://hdl.handle.net/20.500.12345/")
    assert operator.get(made.headers["Location"]).status_code == 200


def test_many_at_once_get_an_answer_each(operator: TestClient) -> None:
    good, twin, poor = record(), record(), record(PID + "-2", name="")
    lines = [json.dumps(good), json.dumps(twin), "", "{", json.dumps(poor), json.dumps(record(PID + "-3"))]
    answer = operator.post("/instruments", content="\n".join(lines), headers={"Content-Type": "application/x-ndjson"})
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [(one["line"], one["status"]) for one in told] == [(1, 201), (2, 409), (4, 400), (5, 422), (6, 201)]
    assert told[0]["url"] == AT
    assert operator.get("/instruments").json()["total"] == 2


def test_paging_shows_each_instrument_once(operator: TestClient, stranger: TestClient) -> None:
    lines = [record(f"{PID}-{number}", name=f"Scope {number % 3}") for number in range(25)]
    operator.post("/instruments", content=_ndjson(lines), headers={"Content-Type": "application/x-ndjson"})
    seen, address = [], "/instruments?limit=7&q=scope"
    while address:
        page = stranger.get(address).json()
        assert page["total"] == 25
        seen += [one["pid"] for one in page["items"]]
        address = page["next"]
    assert len(seen) == len(set(seen)) == 25
    lines_of = stranger.get("/instruments?limit=7", headers={"Accept": "application/x-ndjson"})
    assert len(lines_of.text.splitlines()) == 7
    assert 'rel="next"' in lines_of.headers["Link"]


def test_questions_about_instruments(operator: TestClient, stranger: TestClient) -> None:
    used = {"relatedIdentifiers": [
        {"relatedIdentifier": "10.1234/PAPER", "relatedIdentifierType": "DOI", "relationType": "WasUsedIn"}
    ]}  # fmt: skip
    lines = [
        record(PID),
        record(PID + "-b", name="Confocal 2", rawtrace={"location": "Basement Ünit"}, **used),
        record(
            "https://hdl.handle.net/20.500.12345/gel",
            name="Gel imager",
            model={"modelName": "G1"},
            instrumentTypes=[{"instrumentTypeName": "Imager"}],
        ),
    ]
    operator.post("/instruments", content=_ndjson(lines), headers={"Content-Type": "application/x-ndjson"})
    operator.post(f"{AT}/lifecycle", json={"event": "commissioned"})

    def names(query: str) -> list[str]:
        return [one["name"] for one in stranger.get(f"/instruments?{query}").json()["items"]]

    assert names("q=confocal+university") == ["Confocal 1", "Confocal 2"]
    assert names("q=CONFOCAL+basement") == ["Confocal 2"]
    assert names("type=imager") == ["Gel imager"]
    assert names("owner=0exampe44") == ["Confocal 1", "Confocal 2", "Gel imager"]
    assert names("owner=example+university&status=in-service") == ["Confocal 1"]
    assert names("place=basement+ünit") == ["Confocal 2"]
    assert names("manufacturer=example+optics&model=g1") == ["Gel imager"]
    assert names(f"like={quote(PID, safe='')}") == ["Confocal 2"]
    for doi in ("10.1234/paper", "https://doi.org/10.1234/Paper", "doi:10.1234/PAPER"):
        assert names(f"related={quote(doi, safe='')}") == ["Confocal 2"]
    assert names("related=10.1234") == []


def test_what_is_written_in_a_form_can_be_read_from_it(operator: TestClient) -> None:
    operator.post("/instruments", json=record())
    for form in ("pidinst", "datacite", "datacite-xml", "epic"):
        _read_back(operator, form)


def _read_back(operator: TestClient, form: str) -> None:
    from rawtrace.server.instrumentviews import MEDIA_TYPES

    by_query = operator.get(AT, params={"format": form})
    by_accept = operator.get(AT, headers={"Accept": MEDIA_TYPES[form]})
    assert by_query.content == by_accept.content
    assert by_query.headers["content-type"].partition(";")[0] == MEDIA_TYPES[form]
    again = operator.put(
        AT, content=by_query.content, headers={"Content-Type": MEDIA_TYPES[form], "If-Match": by_query.headers["ETag"]}
    )
    assert again.status_code == 200
    assert again.json()["name"] == "Confocal 1"


def test_certificates_are_told_with_their_state(each_store: Store, operator: TestClient) -> None:
    from rawtrace.trust import authority
    from rawtrace.trust.certificates import SignerKind
    from rawtrace.trust.identity import create_identity

    own = _checked(PID)
    create_identity(each_store.folder / "scope", SignerKind.INSTRUMENT, own, authority=each_store.authority_folder)
    registry.put(each_store, own, who="a test")
    told = operator.get(AT).json()
    assert told["certificate"] in {"good", "ends-soon"}
    assert told["certified_until"] == told["certificates"][0]["not_after"]
    authority.revoke(each_store.authority_folder, pid=PID, reason="cessationOfOperation")
    told = operator.get(AT).json()
    assert (told["certificate"], told["certified_until"]) == ("revoked", None)
    assert told["certificates"][0]["reason"] == "cessationOfOperation"


def test_a_change_that_the_log_missed_is_logged_by_the_next(each_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from rawtrace.errors import LedgerError

    def refuse(*_: object) -> None:
        msg = "no quorum"
        raise LedgerError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(registry, "settle", refuse)
        registry.put(each_store, _checked(PID), who="a test")
    (before,) = registry.history(each_store.database, PID)
    assert before.log_index is None
    registry.put(each_store, _checked(PID + "-2"), who="a test")
    (after,) = registry.history(each_store.database, PID)
    assert after.log_index == 0


def test_a_store_without_a_log_keeps_a_registry_all_the_same(new_store: Callable[..., Store]) -> None:
    store = new_store()
    import dataclasses

    store.settings = dataclasses.replace(store.settings, log=dataclasses.replace(store.settings.log, origin=""))
    registry.put(store, _checked(PID), who="a test")
    assert registry.history(store.database, PID)[0].log_index is None


def test_ensure_leaves_what_is_there(each_store: Store) -> None:
    first = registry.ensure(each_store, _checked(PID), who="a test")
    again = registry.ensure(each_store, _checked(PID, name="Other"), who="a test")
    assert (first.version, again.version, again.record["name"]) == (1, 1, "Confocal 1")


def test_a_kind_of_signer_is_for_ever(each_store: Store) -> None:
    from rawtrace.trust.certificates import SignerKind

    registry.put(each_store, _checked(PID), who="a test")
    with pytest.raises(Problem):
        registry.put(each_store, _checked(PID, name="B"), who="a test", kind=SignerKind.WORKSTATION)


def _checked(pid: str, **more: Any) -> dict[str, Any]:
    from rawtrace.trust.pidinst.plain import from_pidinst

    return from_pidinst(record(pid, **more))


def _ndjson(lines: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(line) for line in lines)


def test_seals_are_counted_by_month_without_gaps(each_store: Store, operator: TestClient) -> None:
    import sqlalchemy as sa

    from rawtrace.server.seals import SEALS

    operator.post("/instruments", json=record())
    assert operator.get(f"{AT}/seals").json() == {"pid": PID, "months": [], "total": 0}
    days = ["2025-11-30T00:00:00Z", "2025-11-02T00:00:00Z", "2026-02-01T00:00:00Z"]
    rows = [
        {"record": f"{number:064x}", "claim": "c", "label": "l", "pid": PID, "received": day, "sidecar": b""}
        for number, day in enumerate(days)
    ]  # fmt: skip
    with each_store.database.write() as connection:
        connection.execute(sa.insert(SEALS), [*rows, rows[0] | {"record": "f" * 64, "pid": PID + "-other"}])
    told = operator.get(f"{AT}/seals").json()
    assert told["total"] == 3
    assert [(one["month"], one["seals"]) for one in told["months"]] == [
        ("2025-11", 2), ("2025-12", 0), ("2026-01", 0), ("2026-02", 1)
    ]  # fmt: skip


def test_a_long_history_comes_in_pages(operator: TestClient) -> None:
    operator.post("/instruments", json=record())
    for number in range(6):
        operator.post(f"{AT}/lifecycle", json={"event": "moved", "place": f"Room {number + 2}"})
    seen, address = [], f"{AT}/history?limit=3"
    while address:
        told = operator.get(address).json()
        assert len(told["changes"]) <= 3
        seen += [one["version"] for one in told["changes"]]
        address = told["next"]
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    for bad in ("limit=0", "limit=101", "before=0", "before=x", "before=99999999999"):
        assert operator.get(f"{AT}/history?{bad}").status_code == 400
