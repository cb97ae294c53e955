"""An index in PostgreSQL, searched by the workers of a cluster on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import picturereaders as readers

pytest.importorskip("cv2")
pytest.importorskip("distributed")

from rawtrace.errors import NetworkError, UsageError
from rawtrace.match.index import PictureIndex, adding, pictures
from rawtrace.match.index.shards import ShardedIndex

pytestmark = [
    pytest.mark.soak,
    # What Dask and its event loop leave behind is their own business.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def location(postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RAWTRACE_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.setattr(pictures, "BLOCK", 3)
    address: str = postgres.new_database()
    (tmp_path / "data").mkdir()
    for number in range(8):
        (tmp_path / "data" / f"{number}.png").write_bytes(PNG + str(number).encode())
    with PictureIndex.open(address, create=True) as opened:
        adding.add(opened, [tmp_path / "data"], task=readers.quick)
    return address


@pytest.fixture
def cluster() -> Iterator[Any]:
    import distributed

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, host="127.0.0.1", protocol="tcp"
    ) as made:
        yield made


def test_the_cluster_finds_what_one_machine_finds(location: str, cluster: Any, tmp_path: Path) -> None:
    with PictureIndex.open(location) as alone, ShardedIndex(location, scheduler=cluster.scheduler_address) as many:
        for number in range(8):
            question = readers.points(readers.seed_of(tmp_path / "data" / f"{number}.png"))
            expected = [one for one in alone.candidates(question, limit=4) if one[3] > 20]
            found = [one for one in many.candidates(question, limit=4) if one[3] > 20]
            assert [one[:3] for one in found] == [one[:3] for one in expected]
            assert len(found) == 2
            assert many.views([found[0][0]]).keys() == many.features_of([found[0][0]]).keys()
    folders = {path.name for path in (tmp_path / "settings" / "cache").glob("*/*")}
    assert {"postings-0-of-2", "postings-1-of-2"} <= folders


def test_no_cluster(location: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lies in a folder"):
        ShardedIndex(str(tmp_path), scheduler="tcp://127.0.0.1:1")
    with pytest.raises(NetworkError, match="cannot be reached"):
        ShardedIndex(location, scheduler="tcp://127.0.0.1:1")
