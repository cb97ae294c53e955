"""The forger of seals, for tests that are not written around it."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture(scope="session")
def forge() -> Any:
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "forge.py")))
