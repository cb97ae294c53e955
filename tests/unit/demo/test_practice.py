"""The practice set is there, whole, and the same every time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rawtrace.demo import practice, specimen
from rawtrace.errors import AlreadyExistsError


def test_the_same_seed_gives_the_same_specimen_and_another_another() -> None:
    first, again, other = (specimen.stack(seed, size=96, planes=2) for seed in (3, 3, 4))
    assert first.shape == (2, 2, 96, 96)
    assert first.dtype == np.uint16
    assert (first == again).all()
    assert np.corrcoef(first.ravel(), other.ravel())[0, 1] < 0.9


def test_practice_set(tmp_path: Path) -> None:
    deposit, figure, answers = practice.make(tmp_path / "practice", recordings=5)
    assert len(list(deposit.glob("*.ome.tiff"))) == 5
    assert figure.read_bytes().startswith(b"\xff\xd8")
    told = json.loads(answers.read_text(encoding="utf-8"))
    assert (deposit / told["recording"]).is_file()
    assert len(told["changed"]) == 2
    with pytest.raises(AlreadyExistsError):
        practice.make(tmp_path / "practice")
