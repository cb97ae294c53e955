from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("sqlalchemy")

from rawtrace.match.features import Features, features, stretched
from rawtrace.match.index import PictureIndex


def texture(seed: int, height: int = 130, width: int = 150) -> np.ndarray:
    import cv2

    random = np.random.default_rng(seed)
    picture = sum(cv2.GaussianBlur(random.normal(size=(height, width)), (0, 0), s) * s for s in (1.5, 3, 6))
    return stretched(picture)


@pytest.fixture(scope="session")
def described() -> Callable[[int], Features]:
    """Points of texture number so many; found once."""
    known: dict[int, Features] = {}

    def get(seed: int) -> Features:
        if seed not in known:
            known[seed] = features(texture(seed), limit=150)
        return known[seed]

    return get


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write texture number so many as PNG: ``write(3, "folder/name.png")``."""
    from PIL import Image

    def make(seed: int, name: str = "") -> Path:
        path = tmp_path / "images" / (name or f"{seed}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(texture(seed)).save(path)
        return path

    return make


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PictureIndex]:
    with PictureIndex.open(tmp_path / "index", create=True) as opened:
        yield opened
