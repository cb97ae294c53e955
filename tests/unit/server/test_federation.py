"""The federation's files over HTTP: what readers are asked to fetch, and nothing else of the folder."""

from __future__ import annotations

import contextlib
import runpy
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.conftest import make_record
from tests.stores import NAME, client, running

from rawtrace.config import CONFIG_VARIABLE
from rawtrace.errors import FederationError
from rawtrace.server.store import Store
from rawtrace.trust import authority as authorities
from rawtrace.trust import federated, federationstate
from rawtrace.trust.certificates import SignerKind, pid_of
from rawtrace.trust.federated import Result
from rawtrace.trust.federationfiles import Server
from rawtrace.trust.identity import create_identity

f = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "trust" / "federations.py")))
OFFERS = "\n[offers]\nfederation = true\n"


@pytest.fixture
def fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "settings"))
    return f.make(tmp_path / "publisher")


@pytest.fixture
def offering(fed: Any, new_store: Callable[..., Store]) -> Store:
    store = new_store(more=OFFERS)
    shutil.copytree(fed.folder, store.folder / "federation")
    return store


@pytest.mark.parametrize(
    "path",
    [
        "federation.json", "draft.json", "online", "metadata/../../federation.json", "metadata/..", "metadata/",
        "metadata/%2e%2e%2ffederation.json", "metadata/%2e%2e/%2e%2e/federation.json", "metadata/lock.db",
        "metadata/0.root.json", "metadata/2.timestamp.json", "metadata/1.root.json%00", "targets/lists",
        "targets/lists/..", "targets/lists/x.jws", "targets/" + "0" * 64 + ".federation.json",
        "targets/" + "0" * 64 + "...", "metadata/" + "9" * 4000 + ".root.json",
    ],
)  # fmt: skip
def test_nothing_but_published_files_is_served(offering: Store, path: str) -> None:
    answer = client(offering).get(f"/federation/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_a_store_that_does_not_offer_a_federation_serves_none(fed: Any, new_store: Callable[..., Store]) -> None:
    store = new_store()
    shutil.copytree(fed.folder, store.folder / "federation")
    assert client(store).get("/federation/metadata/timestamp.json").status_code == 404


def test_files_come_as_they_lie_there_and_say_how_long_they_keep(fed: Any, offering: Store) -> None:
    asked = client(offering)
    for name, data in fed.pages().items():
        answer = asked.get(f"/federation/{name}")
        assert (answer.status_code, answer.content) == (200, data)
        assert ("immutable" in answer.headers["cache-control"]) is (name != "metadata/timestamp.json")
        assert asked.get(f"/federation/{name}", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_a_copy_of_the_public_part_is_served_alike(fed: Any, new_store: Callable[..., Store]) -> None:
    store = new_store(more=OFFERS)
    shutil.copytree(fed.public, store.folder / "federation")
    assert client(store).get("/federation/metadata/1.root.json").content == fed.root


@contextlib.contextmanager
def published(fed: Any, store: Store) -> Iterator[str]:
    with running(store) as one:
        yield f"{one.url}/federation"


def test_a_reader_joins_and_follows_over_http(fed: Any, offering: Store) -> None:
    with published(fed, offering) as url:
        change = federated.add(fed.root, url=url, now=f.NOW)
        assert change.result is Result.ADDED
        fed.publish(f.NOW + f.DAY, files={"policy.toml": b"name = 'x'\n"})
        shutil.rmtree(offering.folder / "federation")
        shutil.copytree(fed.folder, offering.folder / "federation")
        (change,) = federated.update(now=f.NOW + f.DAY)
        assert (change.result, change.changes) == (Result.UPDATED, ("new: policy.toml",))
        (change,) = federated.update(now=f.NOW + 30 * f.DAY)
        assert change.result is Result.REFUSED
    (change,) = federated.update(now=f.NOW + 30 * f.DAY)
    assert change.result is Result.UNREACHABLE
    (one,) = federationstate.lists(now=f.NOW + f.DAY + timedelta(hours=1))
    assert one.source == "federation example, as of 2026-03-11"


def test_what_a_member_revokes_counts_before_the_federation_signs_again(
    fed: Any, offering: Store, tmp_path: Path
) -> None:
    member = offering.authority_folder
    signed = (member / authorities.TRUST_LIST_FILE).read_bytes()
    with published(fed, offering) as url:
        stores = (Server(url=url.removesuffix("/federation")),)
        fed.publish(f.NOW, files={"lists/member.jws": signed}, description={"stores": stores})
        shutil.rmtree(offering.folder / "federation")
        shutil.copytree(fed.folder, offering.folder / "federation")
        federated.add(fed.root, url=url, now=f.NOW)
        made = create_identity(tmp_path / "scope", SignerKind.INSTRUMENT, make_record(), authority=member)
        authorities.revoke(member, pid=pid_of(made.leaf), reason="keyCompromise")
        (change,) = federated.update(now=f.NOW)
    assert "newer revocations" in " ".join(change.changes)
    held = [one for one in federationstate.lists(now=f.NOW) if one.statuses and one.name == NAME]
    assert len(held) == 1


def test_another_federation_at_the_address_is_refused(fed: Any, offering: Store, tmp_path: Path) -> None:
    other = f.make(tmp_path / "other")
    with published(fed, offering) as url, pytest.raises(FederationError, match="too few good signatures"):
        federated.add(other.root, url=url, now=f.NOW)
    assert federationstate.names() == ()
