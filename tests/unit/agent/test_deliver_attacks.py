"""A store that answers with values of odd types and sizes: its seals wait, and those for others go on."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.server.store import Store
from rawtrace.trust.certificates import SignerKind
from rawtrace.web import Answer
from stores import client  # noqa: F401  the bench needs it

lab = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "test_deliver.py")))
OTHER = "https://other.example.org"
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**63,
    10**400,
    1.5,
    "",
    "\ud800",
    "\0",
    "x" * 3_000,
    [],
    {},
    [[]],
    [{}],
    {"a": 1},
)


@pytest.fixture
def bench(tmp_path: Path, new_store: Callable[..., Store], new_identity: Any) -> Iterator[Any]:
    # A fast machine asks more often in a minute than an instrument may.
    store = new_store(more="[limits]\nrequests_per_minute = 1000000\nseals_per_minute = 1000000\n")
    signer = new_identity(SignerKind.INSTRUMENT, authority=store.authority_folder)
    made = lab.Bench(tmp_path / "agent", store, signer)
    made.urls = (lab.URL, OTHER)
    made.start()
    yield made
    made.outbox.close()


def odd_answers() -> Iterator[dict[str, Any]]:
    for name in ("status", "claim", "index", "receipt", "sidecar", "retry_after", "detail", "hint", "code"):
        for odd in ODD:
            yield {name: odd}
            yield {name: odd, "status": 503}
            yield {name: odd, "receipt": ""}


def test_no_answer_of_one_store_holds_up_another_fail(bench: Any) -> None:
    """Whatever the first store says, the second one gets every seal, and its receipts are written down."""
    change: dict[str, Any] = {}
    plain = bench.wire.post

    def post(url: str, body: bytes, **options: Any) -> Answer:
        answer = plain(url, body, **options)
        if url.startswith(OTHER) or answer.status != 200:
            return answer
        said = [{**json.loads(line), **change} for line in answer.body.splitlines()]
        return Answer(
            status=200, headers=answer.headers, body=b"".join(json.dumps(one).encode() + b"\n" for one in said)
        )

    bench.wire.post = post
    for number, odd in enumerate(odd_answers()):
        change.clear()
        change.update(odd)
        if number % 9 == 0:
            bench.seal(f"{number}.tif")
        for _ in range(3):
            bench.now += 1
            bench.deliveries.step()
        waiting = {one.store: one.waiting for one in lab.status(bench.state).deliveries}
        assert waiting.get(OTHER, 0) == 0, odd
        bench.now += 4_000


def test_an_index_that_no_log_can_have_is_refused_fail(bench: Any) -> None:
    bench.seal()
    bench.wire.rewrite = lambda answer: lab.lines(answer, lambda one: {**one, "index": 10**30, "receipt": ""})
    bench.pass_time(100)
    assert bench.waiting() == 2
    bench.wire.rewrite = lambda answer: answer
    bench.pass_time(8_000)
    assert bench.waiting() == 0
