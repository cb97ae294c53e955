"""Many paths at once: the same reports in the same order, however the work is shared out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rawtrace.errors import InputNotFoundError
from rawtrace.report import Report, Verdict
from rawtrace.sealing import binding
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity
from rawtrace.verification import batch
from rawtrace.verification.batch import Failure, Request, exit_code_of, verify_many


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, instrument: Identity) -> list[Path]:
    """300 small files: sealed, altered, without a seal, with a broken one, and not there at all."""
    place = tmp_path_factory.mktemp("many")
    first = place / "first.dat"
    first.write_bytes(b"data")
    sidecar = seal(first, signer=instrument).sidecar
    assert sidecar is not None
    paths = []
    for number in range(300):
        path = place / f"{number:03}.dat"
        paths.append(path)
        if number % 50 == 7:
            continue
        path.write_bytes(b"data" if number % 50 != 3 else b"other")
        if number % 50 != 4:
            shutil.copy(sidecar, binding.sidecar_of(path))
        if number % 50 == 5:
            binding.sidecar_of(path).write_bytes(b"garbage")
    return paths


def told(results: Sequence[Report | Failure]) -> list[Any]:
    """Results without what differs from run to run."""
    return [replace(one, checked_at="", cost={}) if isinstance(one, Report) else one for one in results]


def test_trust_that_cannot_be_loaded_is_said_before_anything_is_checked_fail(tmp_path: Path, many: list[Path]) -> None:
    with pytest.raises(InputNotFoundError):
        next(iter(verify_many(many, Request(trust=(tmp_path / "nothing",)))))


def test_what_cannot_be_checked_is_a_result_fail(
    tmp_path: Path, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")

    def gone(*_: object, **__: object) -> Report:
        raise PermissionError(13, "Permission denied", "a.dat")

    monkeypatch.setattr(batch, "verify_with", gone)
    (result,) = verify_many([path], Request(trust=(authority,)))
    assert isinstance(result, Failure)
    assert (result.code, result.exit_code) == ("E103", 1)


def test_threads_and_processes_answer_alike_and_in_order(
    many: list[Path], authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(trust=(authority,))
    monkeypatch.setattr(batch.os, "cpu_count", lambda: 2)
    in_processes = list(verify_many(many, request))
    monkeypatch.setattr(batch, "_PROCESSES_FROM", 10_000)
    in_threads = list(verify_many(many, request))
    assert told(in_processes) == told(in_threads)
    assert [str(one.path) for one in in_threads] == [str(path) for path in many]
    verdicts = [str(one.verdict) if isinstance(one, Report) else one.code for one in in_threads]
    assert verdicts[:8] == [
        "verified-with-notes",
        "verified-with-notes",
        "verified-with-notes",
        "altered",
        "no-seal",
        "rejected",
        "verified-with-notes",
        "E102",
    ]
    assert [verdicts.count(one) for one in ("altered", "no-seal", "rejected", "E102")] == [6, 6, 6, 6]
    assert exit_code_of(in_threads) == 13


def test_one_path_and_none(many: list[Path], authority: Path) -> None:
    request = Request(trust=(authority,))
    assert list(verify_many([], request)) == []
    (one,) = verify_many(many[:1], request)
    assert isinstance(one, Report)


def result(code: str) -> Report | Failure:
    if code.startswith("E"):
        return Failure(Path("x"), code, "", "", {"E102": 3, "E103": 1}[code])
    return Report(path="x", verdict=Verdict(code), summary="", findings=())


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([], 0),
        (["verified", "verified-with-notes"], 0),
        (["verified", "no-seal"], 10),
        (["inconclusive", "no-seal"], 11),
        (["altered", "inconclusive", "verified"], 12),
        (["altered", "rejected", "no-seal"], 13),
        (["verified", "E102"], 3),
        (["E103", "E102"], 1),
        (["E102", "no-seal", "E103"], 10),
    ],
)
def test_a_batch_ends_with_the_worst(results: list[str], code: int) -> None:
    assert exit_code_of([result(one) for one in results]) == code
