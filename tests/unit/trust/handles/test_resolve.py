"""Resolution: what an attacker tries first, then the two stages as they should be."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import handleservers
from handleservers import HANDLE, PREFIX, HandleServer, handle_server, redirect_to, site_value, url_value
from rawtrace.errors import Error, NetworkError, ResolutionError
from rawtrace.trust.handles import digest, values
from rawtrace.trust.handles.cache import Cache
from rawtrace.trust.handles.names import read_handle
from rawtrace.trust.handles.resolve import MAX_STEPS, Resolver
from rawtrace.trust.handles.roots import RootSite
from rawtrace.trust.handles.values import Code, Reference

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
ABOUT = f"0.NA/{PREFIX}"

NewServer = Callable[[], HandleServer]


@pytest.fixture
def new_server() -> Iterator[NewServer]:
    with contextlib.ExitStack() as stack:
        count = iter(range(20))
        yield lambda: stack.enter_context(handle_server(next(count)))


@pytest.fixture
def root(new_server: NewServer) -> HandleServer:
    return new_server()


@pytest.fixture
def store(new_server: NewServer, root: HandleServer) -> HandleServer:
    """A store that the root names for the prefix, with one handle."""
    made = new_server()
    root.says(ABOUT, made.site())
    made.says(HANDLE, url_value())
    return made


_OPEN: list[Resolver] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def resolver(*roots: HandleServer | RootSite, **more: Any) -> Resolver:
    """Make a resolver that is closed when the test ends."""
    more = {"now": lambda: NOW, "wait_s": 3.0, "budget_s": 6.0} | more
    made = Resolver([one.root() if isinstance(one, HandleServer) else one for one in roots], **more)
    _OPEN.append(made)
    return made


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


# --- another server than the one that was named


def test_a_server_with_another_key_is_not_asked_fail(root: HandleServer, store: HandleServer) -> None:
    root.says(ABOUT, store.site(key_of=root))
    with pytest.raises(NetworkError, match="another key"):
        resolver(root).resolve(HANDLE)
    assert store.asked == []


def test_a_root_with_another_key_is_not_asked_fail(root: HandleServer, store: HandleServer) -> None:
    wrong = RootSite(url=root.url, key_sha256=store.key.sha256())
    with pytest.raises(NetworkError, match="another key"):
        resolver(wrong).resolve(HANDLE)
    assert root.asked == []


def test_plain_http_is_never_asked_fail(root: HandleServer, store: HandleServer) -> None:
    root.says(ABOUT, site_value([store], protocol="HTTP"))
    with pytest.raises(ResolutionError, match="names no server that is asked over https"):
        resolver(root).resolve(HANDLE)


def test_a_redirect_is_not_followed_fail(root: HandleServer, store: HandleServer, new_server: NewServer) -> None:
    other = new_server()
    other.says(HANDLE, url_value("https://evil.example/"))
    store.said[f"/api/handles/{HANDLE}"] = redirect_to(f"{other.url}/api/handles/{HANDLE}")
    with pytest.raises(ResolutionError):
        resolver(root).resolve(HANDLE)
    assert other.asked == []


def test_a_key_that_cannot_be_compared_is_passed_over_fail(root: HandleServer, store: HandleServer) -> None:
    site = values.value_to_json(store.site())
    del site["data"]["value"]["servers"][0]["publicKey"]
    root.says(ABOUT, values.value_from_json(site))
    with pytest.raises(ResolutionError, match="names no server"):
        resolver(root).resolve(HANDLE)


def test_a_short_key_is_refused_fail(root: HandleServer, store: HandleServer) -> None:
    site = values.value_to_json(store.site())
    site["data"]["value"]["servers"][0]["publicKey"]["value"]["n"] = "AQAB"
    root.says(ABOUT, values.value_from_json(site))
    with pytest.raises(Error):
        resolver(root).resolve(HANDLE)


@pytest.mark.parametrize(
    "host", ["127.0.0.1@evil.example", "evil.example/x", "a b", "evil.example#", "[::1", "ä.example"]
)
def test_a_domain_that_is_none_is_not_asked_fail(root: HandleServer, store: HandleServer, host: str) -> None:
    root.says(ABOUT, site_value([store], attributes=(("domain", host),)))
    with pytest.raises(ResolutionError, match="names no server"):
        resolver(root).resolve(HANDLE)


# --- answers that are none


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"no json",
        b"[]",
        b'{"responseCode":1}',
        b'{"responseCode":"1","handle":"20.500.12345/widefield-1","values":[]}',
        b'{"responseCode":1,"handle":"20.500.12345/widefield-1"}',
        b'{"responseCode":1,"handle":"20.500.12345/widefield-1","values":[]}',
        b'{"responseCode":1,"responseCode":1,"handle":"20.500.12345/widefield-1","values":[]}',
        b'{"responseCode":1,"handle":"20.500.12345/widefield-1","values":{"index":1}}',
        b'{"responseCode":1,"handle":7,"values":[]}',
        b'{"responseCode":1,"handle":"20.500.12345/widefield-1","values":[{"index":1,"type":"URL","data":"x"}]}',
        b"[" * 100_000,
        b'{"responseCode":NaN}',
        b"\xff\xfe",
    ],
)
def test_an_answer_that_is_none_fail(root: HandleServer, store: HandleServer, said: bytes) -> None:
    store.said[f"/api/handles/{HANDLE}"] = said
    with pytest.raises(ResolutionError, match="cannot be had"):
        resolver(root).resolve(HANDLE)


def one_value(**changes: Any) -> bytes:
    value = {"index": 1, "type": "URL", "data": {"format": "string", "value": "x"}, "ttl": 60} | changes
    return json.dumps({"responseCode": 1, "handle": HANDLE, "values": [value]}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"ttl": -1},
        {"ttl": 2**31},
        {"ttl": 1.5},
        {"ttl": True},
        {"ttl": None},
        {"ttl": "tomorrow"},
        {"ttl": "2026-01-01T00:00:00"},
        {"ttl": "9999-12-31T23:59:59Z"},
        {"index": 0},
        {"index": -1},
        {"index": 2**31},
        {"type": ""},
        {"type": "A\r\nB"},
        {"permissions": "111"},
        {"permissions": "2222"},
        {"timestamp": "yesterday"},
        {"timestamp": "1960-01-01T00:00:00Z"},
        {"references": [{"handle": "a/b"}]},
        {"data": {"format": "secret", "value": "x"}},
        {"data": {"format": "base64", "value": "???"}},
        {"data": {"format": "hex", "value": "0"}},
        {"data": {"format": "string", "value": "\udcff"}},
        {"data": {"format": "admin", "value": {"handle": "a/b", "index": 1, "permissions": "x"}}},
        {"data": {"format": "site", "value": {"servers": []}}},
        {"data": {"format": "key", "value": {"kty": "EC"}}},
    ],
)
def test_a_value_that_is_none_fail(root: HandleServer, store: HandleServer, changes: dict[str, Any]) -> None:
    store.said[f"/api/handles/{HANDLE}"] = one_value(**changes)
    with pytest.raises(ResolutionError, match="cannot be had"):
        resolver(root).resolve(HANDLE)


def test_an_index_twice_fail(root: HandleServer, store: HandleServer) -> None:
    store.says(HANDLE, url_value(), url_value("https://evil.example/"))
    with pytest.raises(ResolutionError, match="two values of one index"):
        resolver(root).resolve(HANDLE)


@pytest.mark.parametrize("other", ["20.500.12345/widefield-2", "20.500.12345/WIDEFIELD-1", "20.500.1234/widefield-1"])
def test_an_answer_for_another_handle_fail(root: HandleServer, store: HandleServer, other: str) -> None:
    store.said[f"/api/handles/{HANDLE}"] = store.says(other, url_value())
    with pytest.raises(ResolutionError, match="another handle"):
        resolver(root).resolve(HANDLE)


@pytest.mark.parametrize(
    ("status", "code", "empty"),
    [(404, 1, False), (500, 1, False), (200, 100, True), (404, 100, False), (201, 1, False), (200, 2, True)],
)
def test_a_code_and_a_status_that_contradict_each_other_fail(
    root: HandleServer, store: HandleServer, status: int, code: int, empty: bool
) -> None:
    body = store.says(HANDLE, *(() if empty else (url_value(),)), code=code)
    store.said[f"/api/handles/{HANDLE}"] = (status, body)
    with pytest.raises(ResolutionError):
        resolver(root).resolve(HANDLE)


@pytest.mark.parametrize("code", [2, 101, 102, 200, 301, 402, 499, 65_000])
def test_a_refusal_is_no_record_fail(root: HandleServer, store: HandleServer, code: int) -> None:
    store.says(HANDLE, code=code)
    with pytest.raises(ResolutionError, match=f"code {code}"):
        resolver(root).resolve(HANDLE)


def test_a_giant_answer_fail(root: HandleServer, store: HandleServer) -> None:
    store.said[f"/api/handles/{HANDLE}"] = b" " * (values.MAX_ANSWER_BYTES + 1)
    with pytest.raises(ResolutionError, match="more than"):
        resolver(root).resolve(HANDLE)


def test_a_slow_answer_takes_a_bounded_time_fail(root: HandleServer, store: HandleServer) -> None:
    store.said[f"/api/handles/{HANDLE}"] = handleservers.drip
    began = time.monotonic()
    with pytest.raises(NetworkError, match="too long"):
        resolver(root, wait_s=0.5).resolve(HANDLE)
    assert time.monotonic() - began < 4


def test_many_slow_sites_take_a_bounded_time_together_fail(root: HandleServer, new_server: NewServer) -> None:
    slow = [new_server() for _ in range(4)]
    for one in slow:
        one.said[f"/api/handles/{HANDLE}"] = handleservers.drip
    root.says(ABOUT, *(one.site(index=number) for number, one in enumerate(slow, 1)))
    began = time.monotonic()
    with pytest.raises((ResolutionError, NetworkError), match=r"longer than it may|takes too long"):
        resolver(root, wait_s=0.5, budget_s=1.2).resolve(HANDLE)
    assert time.monotonic() - began < 4


# --- ways that lead nowhere


def test_a_service_that_names_itself_fail(root: HandleServer) -> None:
    root.says(ABOUT, values.text_value(1, values.SERVICE, ABOUT))
    with pytest.raises(ResolutionError, match="leads back to itself"):
        resolver(root).resolve(HANDLE)


def test_two_services_that_name_each_other_fail(root: HandleServer) -> None:
    root.says(ABOUT, values.text_value(1, values.SERVICE, "0.SERV/a"))
    root.says("0.SERV/a", values.text_value(1, values.SERVICE, "0.SERV/b"))
    root.says("0.SERV/b", values.text_value(1, values.SERVICE, "0.SERV/a"))
    with pytest.raises(ResolutionError, match="leads back to itself"):
        resolver(root).resolve(HANDLE)


def test_a_chain_of_services_is_followed_so_far_fail(root: HandleServer) -> None:
    root.says(ABOUT, values.text_value(1, values.SERVICE, "0.SERV/1"))
    for number in range(1, 30):
        root.says(f"0.SERV/{number}", values.text_value(1, values.SERVICE, f"0.SERV/{number + 1}"))
    with pytest.raises(ResolutionError, match="longer than what is followed"):
        resolver(root).resolve(HANDLE)
    assert len(root.asked) <= MAX_STEPS


def test_an_alias_of_itself_fail(root: HandleServer, store: HandleServer) -> None:
    store.says(HANDLE, values.text_value(1, values.ALIAS, HANDLE))
    with pytest.raises(ResolutionError, match="leads back to itself"):
        resolver(root).resolve(HANDLE)


def test_a_referral_in_a_circle_fail(root: HandleServer, store: HandleServer) -> None:
    store.says(HANDLE, store.site(), code=Code.SERVICE_REFERRAL)
    with pytest.raises(ResolutionError):
        resolver(root).resolve(HANDLE)
    assert len(store.asked) <= MAX_STEPS


@pytest.mark.parametrize("named", ["", "x", "../..", "0.NA/..", "a b/c", "x" * 3000])
def test_an_alias_that_is_no_handle_fail(root: HandleServer, store: HandleServer, named: str) -> None:
    store.says(HANDLE, values.text_value(1, values.ALIAS, named), url_value(index=2))
    if not named:
        assert resolver(root).resolve(HANDLE).text(values.URL)
        return
    with pytest.raises(ResolutionError, match="is not a handle"):
        resolver(root).resolve(HANDLE)


def test_an_unknown_prefix_fail(root: HandleServer) -> None:
    root.says(ABOUT, code=Code.NOT_FOUND)
    for parent in ("20.500", "20"):
        root.says(f"0.NA/{parent}", code=Code.NOT_FOUND)
    with pytest.raises(ResolutionError, match="no root knows the prefix"):
        resolver(root).resolve(HANDLE)


def test_nobody_to_ask_fail() -> None:
    with pytest.raises(ResolutionError, match="no site is configured") as caught:
        resolver().resolve(HANDLE)
    assert "trust sites add" in caught.value.hint


def test_a_store_that_claims_anothers_prefix_is_not_asked_fail(
    root: HandleServer, store: HandleServer, new_server: NewServer
) -> None:
    thief = new_server()
    root.says("0.NA/20.666", thief.site())
    thief.says(HANDLE, url_value("https://evil.example/"))
    thief.says(ABOUT, thief.site())
    thief.says("20.666/x", url_value())
    asked = resolver(root)
    asked.resolve("20.666/x")
    assert asked.resolve(HANDLE).text(values.URL) == "https://store.example.org/widefield-1"
    assert f"/api/handles/{HANDLE}" not in thief.asked


def test_a_root_is_not_asked_about_prefixes_that_are_not_its_own(root: HandleServer, store: HandleServer) -> None:
    asked = resolver(root.root(prefixes=("20.666",)))
    with pytest.raises(ResolutionError, match="no site is configured"):
        asked.resolve(HANDLE)
    assert root.asked == []


# --- signatures


def signed(store: HandleServer, *given: values.HandleValue, key: int, **more: Any) -> values.HandleValue:
    times = {"not_before": NOW - timedelta(days=1), "expires": NOW + timedelta(days=1), "issued": NOW} | more
    jws = digest.sign_values(
        read_handle(HANDLE), given, key=handleservers.key(key), issuer=Reference(ABOUT, 300), **times
    )
    return values.text_value(400, values.SIGNATURE, jws)


def test_a_signature_of_the_prefixs_key_must_hold_fail(root: HandleServer, store: HandleServer) -> None:
    root.says(ABOUT, store.site(), values.key_value(300, store.key))
    signature = signed(store, url_value(), key=store.number)
    store.says(HANDLE, url_value("https://evil.example/"), signature)
    with pytest.raises(ResolutionError, match="not the one that was signed"):
        resolver(root).resolve(HANDLE)
    store.says(HANDLE, url_value(), signed(store, url_value(), key=root.number))
    with pytest.raises(ResolutionError, match="does not hold"):
        resolver(root).resolve(HANDLE)
    store.says(HANDLE, url_value(), signed(store, url_value(), key=store.number, expires=NOW - timedelta(hours=1)))
    with pytest.raises(ResolutionError, match="not in force"):
        resolver(root).resolve(HANDLE)


def test_whether_all_is_signed_is_said(root: HandleServer, store: HandleServer) -> None:
    root.says(ABOUT, store.site(), values.key_value(300, store.key))
    store.says(HANDLE, url_value(), signed(store, url_value(), key=store.number))
    assert resolver(root).resolve(HANDLE).signed
    store.says(HANDLE, url_value(), url_value(index=2), signed(store, url_value(), key=store.number))
    assert not resolver(root).resolve(HANDLE).signed


# --- what is kept


def test_an_answer_is_kept_as_long_as_it_says(root: HandleServer, store: HandleServer, tmp_path: Path) -> None:
    store.says(HANDLE, url_value(ttl=60))
    clock = [NOW]
    first = resolver(root, cache=Cache(tmp_path), now=lambda: clock[0]).resolve(HANDLE)
    assert not first.hops[-1].cached
    clock[0] = NOW + timedelta(seconds=59)
    kept = resolver(root, cache=Cache(tmp_path), now=lambda: clock[0]).resolve(HANDLE)
    assert (kept.hops[-1].cached, kept.hops[-1].fetched_at) == (True, NOW)
    assert len(store.asked) == 1
    clock[0] = NOW + timedelta(seconds=60)
    resolver(root, cache=Cache(tmp_path), now=lambda: clock[0]).resolve(HANDLE)
    assert len(store.asked) == 2


@pytest.mark.parametrize(
    ("ttl", "absolute", "kept_s"),
    [
        (0, False, 0),
        (2**31 - 1, False, 86_400),
        (int((NOW - timedelta(days=9)).timestamp()), True, 0),
        (int((NOW + timedelta(seconds=90)).timestamp()), True, 90),
        (2**32 - 1, True, 86_400),
    ],
)
def test_no_answer_is_kept_longer_than_a_day(
    root: HandleServer, store: HandleServer, ttl: int, absolute: bool, kept_s: int
) -> None:
    store.says(HANDLE, url_value(ttl=ttl, absolute=absolute))
    cache, clock = Cache(), [NOW]
    asked = resolver(root, cache=cache, now=lambda: clock[0])
    asked.resolve(HANDLE)
    for moment, times in ((kept_s - 1, 1), (kept_s, 2)):
        clock[0] = NOW + timedelta(seconds=max(0, moment))
        asked.resolve(HANDLE)
        assert len(store.asked) == (times if kept_s else len(store.asked))
    assert len(store.asked) >= 2


def test_a_clock_that_was_set_back_makes_nothing_young(root: HandleServer, store: HandleServer) -> None:
    cache, clock = Cache(), [NOW]
    asked = resolver(root, cache=cache, now=lambda: clock[0])
    asked.resolve(HANDLE)
    clock[0] = NOW - timedelta(days=400)
    asked.resolve(HANDLE)
    assert len(store.asked) == 2


def test_what_another_server_said_is_never_found(
    root: HandleServer, store: HandleServer, new_server: NewServer, tmp_path: Path
) -> None:
    thief = new_server()
    thief.says(HANDLE, url_value("https://evil.example/"))
    root.says(ABOUT, thief.site(), url_value(index=9, ttl=0))
    resolver(root, cache=Cache(tmp_path)).resolve(HANDLE)
    root.says(ABOUT, store.site())
    found = resolver(root, cache=Cache(tmp_path)).resolve(HANDLE)
    assert found.text(values.URL) == "https://store.example.org/widefield-1"


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.clear(),
        lambda one: one.update(handle="20.5/X"),
        lambda one: one.update(answer="{}"),
        lambda one: one.update(fetched_at="soon"),
        lambda one: one.update(fetched_at="2026-11-20T12:00:00"),
        lambda one: one.update(key_sha256="00" * 32),
        lambda one: one.update(answer=one["answer"].replace("widefield-1", "widefield-2")),
        lambda one: one.update(fetched_at="2999-01-01T00:00:00+00:00"),
    ],
    ids=["empty", "handle", "answer", "no-time", "no-zone", "key", "another", "future"],
)
def test_a_damaged_entry_is_as_none(
    root: HandleServer, store: HandleServer, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    resolver(root, cache=Cache(tmp_path)).resolve(HANDLE)
    for path in tmp_path.glob("*.json"):
        one = json.loads(path.read_bytes())
        change(one)
        path.write_text(json.dumps(one))
    found = resolver(root, cache=Cache(tmp_path)).resolve(HANDLE)
    assert not found.hops[-1].cached
    assert found.text(values.URL) == "https://store.example.org/widefield-1"


def test_the_cache_stays_small(store: HandleServer, root: HandleServer, tmp_path: Path) -> None:
    for number in range(30):
        store.says(f"{PREFIX}/{number}", url_value())
    asked = resolver(root, cache=Cache(tmp_path, max_entries=10))
    for number in range(30):
        asked.resolve(f"{PREFIX}/{number}")
    assert len(list(tmp_path.glob("*.json"))) <= 10


def test_what_is_missing_is_asked_for_again(root: HandleServer, store: HandleServer) -> None:
    asked = resolver(root)
    store.says(f"{PREFIX}/new", code=Code.NOT_FOUND)
    with pytest.raises(ResolutionError, match="does not know"):
        asked.resolve(f"{PREFIX}/new")
    store.says(f"{PREFIX}/new", url_value())
    assert asked.resolve(f"{PREFIX}/new").text(values.URL)


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(
    root: HandleServer, store: HandleServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert resolver(root, cache=Cache(tmp_path / "file")).resolve(HANDLE).values


# --- as it should be


def test_two_stages(root: HandleServer, store: HandleServer) -> None:
    record = resolver(root).resolve(HANDLE)
    assert record.text(values.URL) == "https://store.example.org/widefield-1"
    assert [(hop.handle, hop.url, hop.key_sha256) for hop in record.hops] == [
        (ABOUT, root.url, root.key.sha256()),
        (HANDLE, store.url, store.key.sha256()),
    ]
    assert record.root is None


def test_a_prefix_is_one_however_it_is_written(new_server: NewServer, root: HandleServer) -> None:
    store = new_server()
    root.said["/api/handles/0.NA/21.t1"] = root.says("0.na/21.T1", store.site())
    store.said["/api/handles/21.t1/abc"] = store.says("21.T1/abc", url_value())
    assert resolver(root).resolve("21.t1/abc").values


def test_a_dead_site_is_passed_over_and_then_left_alone(
    root: HandleServer, store: HandleServer, new_server: NewServer
) -> None:
    dead = HandleServer(7, closed_port())
    root.says(ABOUT, dead.site(index=1), store.site(index=2), url_value(index=3, ttl=0))
    asked = resolver(root)
    assert asked.resolve(HANDLE).hops[-1].url == store.url


def test_a_site_that_talks_nonsense_is_passed_over(
    root: HandleServer, store: HandleServer, new_server: NewServer
) -> None:
    odd = new_server()
    odd.said[f"/api/handles/{HANDLE}"] = b"no json"
    root.says(ABOUT, odd.site(index=1), store.site(index=2))
    assert resolver(root).resolve(HANDLE).hops[-1].url == store.url


def test_a_copy_that_lags_behind_is_passed_over(root: HandleServer, store: HandleServer, new_server: NewServer) -> None:
    copy = new_server()
    copy.says(HANDLE, code=Code.NOT_FOUND)
    root.says(ABOUT, copy.site(index=1, primary=False), store.site(index=2))
    assert resolver(root).resolve(HANDLE).hops[-1].url == store.url


def test_the_second_root_answers_when_the_first_is_dead(root: HandleServer, store: HandleServer) -> None:
    dead = HandleServer(7, closed_port())
    assert resolver(dead, root).resolve(HANDLE).values


def test_a_handle_is_asked_of_its_own_server(root: HandleServer, new_server: NewServer) -> None:
    three = [new_server() for _ in range(3)]
    root.says(ABOUT, site_value(three, hash_option=1))
    # The number was asked of CNRI's library: by suffix, among three.
    three[1].says(f"{PREFIX}/abc", url_value())
    assert resolver(root).resolve(f"{PREFIX}/abc").hops[-1].url == three[1].url


def test_a_service_handle_leads_on(root: HandleServer, store: HandleServer) -> None:
    root.says(ABOUT, values.text_value(1, values.SERVICE, "0.SERV/facility"))
    root.says("0.SERV/facility", store.site())
    assert resolver(root).resolve(HANDLE).values


def test_the_root_service_leads_to_the_roots(root: HandleServer) -> None:
    root.says(ABOUT, values.text_value(1, values.SERVICE, "0.NA/0.NA"))
    root.says(HANDLE, url_value())
    assert resolver(root).resolve(HANDLE).values


def test_an_alias_is_followed_across_prefixes(root: HandleServer, store: HandleServer, new_server: NewServer) -> None:
    other = new_server()
    root.says("0.NA/20.777", other.site())
    store.says(HANDLE, values.text_value(1, values.ALIAS, "20.777/now-here"))
    other.says("20.777/now-here", url_value("https://other.example/"))
    record = resolver(root).resolve(HANDLE)
    assert (record.handle.text, record.text(values.URL)) == ("20.777/now-here", "https://other.example/")


@pytest.mark.parametrize("code", [Code.SERVICE_REFERRAL, Code.PREFIX_REFERRAL])
def test_a_referral_is_followed(root: HandleServer, store: HandleServer, new_server: NewServer, code: int) -> None:
    other = new_server()
    store.says(HANDLE, other.site(), code=code)
    other.says(HANDLE, url_value("https://moved.example/"))
    assert resolver(root).resolve(HANDLE).text(values.URL) == "https://moved.example/"


def test_a_referral_by_name_is_followed(root: HandleServer, store: HandleServer, new_server: NewServer) -> None:
    other = new_server()
    root.says("0.SERV/other", other.site())
    store.says(HANDLE, code=Code.SERVICE_REFERRAL, referral="0.SERV/other")
    other.says(HANDLE, url_value("https://moved.example/"))
    assert resolver(root).resolve(HANDLE).text(values.URL) == "https://moved.example/"


def test_a_prefix_that_a_root_refers_elsewhere_is_not_the_roots_own_word(
    root: HandleServer, store: HandleServer, new_server: NewServer
) -> None:
    middle = new_server()
    root.says(ABOUT, middle.site(), code=Code.PREFIX_REFERRAL)
    middle.says(ABOUT, store.site())
    asked = resolver(root)
    assert asked.prefix(PREFIX).root is None
    assert asked.resolve(HANDLE).values


def test_derived_prefixes_come_from_their_parents_servers(root: HandleServer, new_server: NewServer) -> None:
    registry, store = new_server(), new_server()
    root.says(ABOUT, code=Code.NOT_FOUND)
    root.says("0.NA/20.500", site_value([registry], kind=values.SITE_PREFIX))
    registry.says(ABOUT, store.site())
    store.says(HANDLE, url_value())
    asked = resolver(root)
    assert asked.resolve(HANDLE).hops[-1].url == store.url
    assert asked.prefix(PREFIX).root is None


def test_a_handle_is_encoded_in_the_address_once(root: HandleServer, store: HandleServer) -> None:
    handle = f"{PREFIX}/a b%2Fc?d#é/e"
    store.says(handle, url_value())
    assert resolver(root).resolve(handle).values
    assert store.asked == ["/api/handles/20.500.12345/a%20b%252Fc%3Fd%23%C3%A9/e"]
