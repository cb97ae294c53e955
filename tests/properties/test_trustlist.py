"""Whatever a trust list holds comes back as it was; whatever is changed in a signed one never loads."""

from __future__ import annotations

import json
import runpy
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawtrace.errors import TrustListError
from rawtrace.trust.anchors import REASONS, Anchor, Purpose, StatusRecord
from rawtrace.trust.trustlist import build_list, read_list

o = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "unit" / "trust" / "operators.py")))
OPERATOR = o.Operator()
SIGNED = OPERATOR.sign(OPERATOR.payload())
PAYLOAD = OPERATOR.payload()

names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=60)
times = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1)).map(  # noqa: DTZ001  zone below
    lambda time: time.replace(microsecond=0, fold=0, tzinfo=UTC)
)
anchors = st.lists(
    st.builds(
        Anchor,
        certificate=st.sampled_from([OPERATOR.root, OPERATOR.instrument]),
        purpose=st.sampled_from([Purpose.SIGNING, Purpose.IDENTITY]),
        name=names,
        granted=st.booleans(),
        since=st.none() | times,
    ),
    min_size=1,
    max_size=5,
)


@st.composite
def records(draw: Any) -> StatusRecord:
    first, second = sorted([draw(times), draw(times)])
    return StatusRecord(
        serial=draw(st.integers(1, 2**160 - 1)),
        authority_key_id=draw(st.just(OPERATOR.root_id) | st.binary(min_size=1, max_size=64)),
        reason=draw(st.sampled_from(sorted(REASONS))),
        revoked_at=second,
        compromised_from=draw(st.none() | st.just(first)),
        note=draw(st.just("") | names),
    )


@given(
    name=names,
    operator=names,
    sequence=st.integers(0, 2**53 - 1),
    dates=st.tuples(times, times),
    listed=anchors,
    statuses=st.lists(records(), max_size=5, unique_by=lambda one: (one.authority_key_id, one.serial)),
)
def test_round_trip(
    name: str, operator: str, sequence: int, dates: Any, listed: list[Anchor], statuses: list[StatusRecord]
) -> None:
    issued, next_update = sorted(dates)
    data = build_list(
        name=name,
        operator=operator,
        sequence=sequence,
        issued=issued,
        next_update=next_update,
        anchors=listed,
        statuses=statuses,
    )
    loaded = read_list(data, source="x", require_signature=False)
    assert (loaded.name, loaded.operator, loaded.sequence) == (name, operator, sequence)
    assert (loaded.issued, loaded.next_update) == (issued, next_update)
    assert sorted(map(repr, loaded.anchors)) == sorted(map(repr, listed))
    assert sorted(map(repr, loaded.statuses)) == sorted(map(repr, statuses))
    assert all(loaded.status_of(one.authority_key_id, one.serial) == one for one in statuses)


@given(place=st.integers(0, len(SIGNED) - 1), value=st.integers(0, 255))
@settings(max_examples=300)
def test_changed_byte_never_loads(place: int, value: int) -> None:
    if SIGNED[place] == value:
        assert read_list(SIGNED, source="x").signed
        return
    changed = SIGNED[:place] + bytes([value]) + SIGNED[place + 1 :]
    with pytest.raises(TrustListError):
        read_list(changed, source="x")


@given(start=st.integers(0, len(SIGNED)), length=st.integers(0, 40), put=st.binary(max_size=40))
@settings(max_examples=300)
def test_cut_and_spliced_never_loads(start: int, length: int, put: bytes) -> None:
    changed = SIGNED[:start] + put + SIGNED[start + length :]
    if changed == SIGNED:
        return
    with pytest.raises(TrustListError):
        read_list(changed, source="x")


@given(start=st.integers(0, len(PAYLOAD)), length=st.integers(0, 20), put=st.binary(max_size=20))
@settings(max_examples=300)
def test_unsigned_noise_loads_or_is_refused_in_words(start: int, length: int, put: bytes) -> None:
    try:
        loaded = read_list(PAYLOAD[:start] + put + PAYLOAD[start + length :], source="x", require_signature=False)
    except TrustListError:
        return
    assert not loaded.signed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in inner for found in _paths(child, (*path, key)))]


@given(path=st.sampled_from(_paths(json.loads(PAYLOAD))[1:]), value=json_values)
@settings(max_examples=400)
def test_any_member_may_be_anything(path: tuple[Any, ...], value: Any) -> None:
    document = json.loads(PAYLOAD)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    try:
        loaded = read_list(json.dumps(document).encode(), source="x", require_signature=False)
    except TrustListError:
        return
    assert loaded.name.isprintable()
    assert loaded.operator.isprintable()
