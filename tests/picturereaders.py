"""Readers of files that do what tests want; in a module, so that other processes find them."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np

from rawtrace.image.reader import PlaneIndex, Scene
from rawtrace.match.features import Features, to_bytes
from rawtrace.match.index.describe import Description, PlaneRecord, SceneRecord, ViewRecord, digest_of, stamp_of


def points(seed: int, count: int = 60) -> Features:
    """Points as alike and as different as those of real pictures are."""
    random = np.random.default_rng(seed)
    vectors = random.gamma(0.7, 1.0, (count, 128))
    vectors = np.minimum(vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * 512, 255)
    return Features(
        xy=random.uniform(0, 99, (count, 2)).astype(np.float32),
        size=random.uniform(3, 20, count).astype(np.float16).astype(np.float32),
        angle=random.uniform(0, 359, count).astype(np.float16).astype(np.float32),
        descriptors=vectors.astype(np.uint8),
        shape=(100, 100),
    )


def seed_of(path: Path) -> int:
    return int.from_bytes(hashlib.sha256(path.read_bytes()).digest()[:4], "big")


def quick(path: Path) -> Description:
    """Describe a file by its bytes, without any picture; the words in it say how it misbehaves."""
    data = path.read_bytes()
    if b"die" in data:
        os._exit(7)
    if b"hang" in data:
        time.sleep(60)
    if b"eat" in data:
        np.ones((1 << 40,), np.uint8)
    if b"odd" in data:
        raise KeyError("odd")
    seed = seed_of(path)
    instance = hashlib.sha256(data).digest()
    view = {
        "scene": 0, "channel": 0, "t": 0, "rendering": "rawtrace-view/1", "reduction": 1, "size": (100, 100),
        "points": 60, "features": to_bytes(points(seed)),
    }  # fmt: skip
    return Description(
        stamp=stamp_of(path),
        digest=digest_of(path),
        format="test",
        scenes=(
            SceneRecord(
                scene=Scene(index=0, name="a\x00b\ud800", z=2, y=100, x=100, dtype="uint8"), header="00" * 32,
                iscc="ISCC:K4A", instance=instance, data="ISCC:G",
                planes=(
                    PlaneRecord(index=PlaneIndex(0, 0, 0), instance=instance, constant=False),
                    PlaneRecord(index=PlaneIndex(1, 0, 0), instance=b"\x01" * 32, constant=True),
                ),
            ),
        ),
        views=(
            ViewRecord(z=0, projection="", code=instance, **view),
            ViewRecord(z=None, projection="max", code=b"", **view),
        ),
        notes=(),
    )  # fmt: skip
