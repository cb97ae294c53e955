"""What comes without the federation's signers can take trust away, and nothing else."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.notes import ORIGIN, Tree, numbered, signer

from rawtrace.config import CONFIG_VARIABLE
from rawtrace.ledger.checkpoint import sign_checkpoint
from rawtrace.trust import federated, federationbundle, federationstate
from rawtrace.trust.federationnews import News, take_over, with_news
from rawtrace.trust.trustlist import Anchor, Purpose

f = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("federations.py"))))
NAME = "lists/university.jws"


@pytest.fixture(scope="module")
def operator() -> Any:
    return f.o.Operator()


@pytest.fixture(scope="module")
def signed(operator: Any) -> bytes:
    data: bytes = operator.sign(operator.payload())
    return data


def newer(operator: Any, sequence: int = 4, **changes: Any) -> bytes:
    statuses = [operator.status(0x99), operator.status(0x1A2B)]
    data: bytes = operator.sign(operator.payload(sequence=sequence, **({"statuses": statuses} | changes)))
    return data


def test_an_issue_by_somebody_else_or_an_older_one_is_passed_over(operator: Any, signed: bytes) -> None:
    other = f.o.Operator()
    offered = [
        other.sign(other.payload(sequence=9)),
        operator.sign(operator.payload(sequence=2)),
        operator.sign(operator.payload(sequence=3, statuses=[])),
        operator.sign(operator.payload(sequence=9, name="Another list")),
        operator.sign(operator.payload(sequence=9, issued=f.o.ISSUED - f.DAY)),
        operator.payload(sequence=9),
        b"nonsense",
        b"",
    ]
    assert take_over({NAME: signed}, News(), lists=offered) == (News(), ())


def test_newer_revocations_count_and_older_ones_are_not_lost(operator: Any, signed: bytes) -> None:
    news, said = take_over({NAME: signed}, News(), lists=[newer(operator), newer(operator, 5, statuses=[])])
    assert "issue 5" in said[0]
    one = with_news(NAME, signed, news, source="it")
    assert one.status_of(operator.root_id, 0x1A2B) is not None
    news, _ = take_over({NAME: signed}, News(), lists=[newer(operator)])
    one = with_news(NAME, signed, news, source="it")
    assert one.status_of(operator.root_id, 0x99) is not None
    assert one.sequence == 3


def test_a_member_cannot_bring_in_an_authority_that_the_federation_has_not_signed(operator: Any, signed: bytes) -> None:
    other = f.o.Operator()
    anchors = [
        Anchor(certificate=one.root, purpose=Purpose.SIGNING, name="x", since=f.o.ISSUED) for one in (operator, other)
    ]
    news, _ = take_over({NAME: signed}, News(), lists=[newer(operator, anchors=anchors)])
    one = with_news(NAME, signed, news, source="it")
    assert [anchor.certificate for anchor in one.anchors] == [operator.root]


def test_a_member_can_withdraw_its_own_authority_at_once(operator: Any, signed: bytes) -> None:
    gone = Anchor(certificate=operator.root, purpose=Purpose.SIGNING, name="x", granted=False, since=f.o.ISSUED)
    news, _ = take_over({NAME: signed}, News(), lists=[newer(operator, anchors=[gone])])
    (anchor,) = with_news(NAME, signed, news, source="it").anchors
    assert not anchor.granted


def test_news_about_what_is_withdrawn_or_caught_up_with_goes(operator: Any, signed: bytes) -> None:
    held, _ = take_over({NAME: signed}, News(), lists=[newer(operator)])
    assert take_over({}, held)[0] == News()
    assert take_over({NAME: newer(operator, 5)}, held)[0] == News()


# --- heads of logs


def head(log: Any, size: int, start: int = 0) -> bytes:
    return sign_checkpoint(Tree(numbered(size, start)).checkpoint(), log)


def policy(log: Any) -> dict[str, bytes]:
    return {"log-policy": f"log {log.key.text}\nquorum none\n".encode()}


def test_heads_only_grow_and_two_histories_are_shouted_at() -> None:
    log = signer()
    files = policy(log)
    news, said = take_over(files, News(), heads=[head(log, 5), b"nonsense", head(signer(), 50)])
    assert said == (f"log {ORIGIN} holds 5 entries",)
    news, said = take_over(files, news, heads=[head(log, 4)])
    assert "fewer than the 5 seen" in said[0]
    assert news.heads[ORIGIN] == head(log, 5)
    news, said = take_over(files, news, heads=[head(log, 5, start=100)])
    assert said == (f"attention: the log {ORIGIN} signed two different histories of 5 entries",)
    assert take_over({}, news)[0] == News()


def test_news_travels_in_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operator: Any, signed: bytes
) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "one"))
    log = signer()
    fed = f.make(tmp_path / "publisher")
    fed.publish(f.NOW, files={NAME: signed, **policy(log)})
    entry = {"name": "example", "url": "", "files": {name: data.decode() for name, data in fed.pages().items()}}
    plain = json.dumps({"federations": [entry]}).encode()
    more = {"newer_lists": [newer(operator).decode(), "x"], "checkpoints": [head(log, 5).decode(), "x"]}
    full = json.dumps({"federations": [entry | more]}).encode()
    federated.add(fed.root, bundle=plain, now=f.NOW)
    (change,) = federated.update_from(full, now=f.NOW)
    assert len(change.changes) == 2
    carried = json.dumps({"federations": federationbundle.export_entries()}).encode()
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "two"))
    federated.add(fed.root, bundle=carried, now=f.NOW)
    (one,) = federationstate.lists(now=f.NOW)
    assert one.status_of(operator.root_id, 0x99) is not None
    assert list(federationstate.held("example").news.heads) == [ORIGIN]
    # What a server that answers with older things says later changes nothing.
    federated.update_from(plain, now=f.NOW)
    (one,) = federationstate.lists(now=f.NOW)
    assert one.status_of(operator.root_id, 0x99) is not None
