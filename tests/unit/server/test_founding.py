"""A new store: what it is known by from the first day."""

from __future__ import annotations

from pathlib import Path

from notes import signer, witness
from rawtrace.ledger.policy import NO_QUORUM
from rawtrace.trust import authority as authorities
from rawtrace.trust import authorityfolder
from rawtrace.trust.truststore import load_trust
from stores import found


def test_the_trust_list_names_the_log(tmp_path: Path) -> None:
    folder = found(tmp_path / "store")
    (listed,) = load_trust([folder / "authority"])
    (policy,) = listed.policies
    (log,) = policy.logs
    assert log.key.text == (folder / "log" / "vkey").read_text().strip()
    assert (log.url, policy.quorum) == ("https://store.example.org/log", NO_QUORUM)


def test_an_authority_that_names_logs_already(tmp_path: Path) -> None:
    first = found(tmp_path / "first")
    both = found(tmp_path / "second", authority=first / "authority", url="https://second.example.org")
    policy = authorityfolder.log_policy(both / "authority")
    assert policy is not None
    assert [one.key.name for one in policy.logs] == ["store.example.org/log", "second.example.org/log"]
    # Its own copy: the first store's authority is as it was.
    before = authorityfolder.log_policy(first / "authority")
    assert before is not None
    assert len(before.logs) == 1


def test_an_authority_that_asks_for_witnesses_keeps_asking(tmp_path: Path) -> None:
    authorities.create_authority(tmp_path / "authority", name="Example authority")
    assert authorityfolder.log_policy(tmp_path / "authority") is None
    text = f"log {signer().key.text}\nwitness w {witness().key.text}\nquorum w\n"
    authorityfolder.set_log_policy(tmp_path / "authority", text)
    folder = found(tmp_path / "store", authority=tmp_path / "authority")
    policy = authorityfolder.log_policy(folder / "authority")
    assert policy is not None
    assert policy.text == text
