"""The worked example of the federation's specification is one that a reader accepts."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rawtrace.trust import federationfiles, tufclient, tufsources
from rawtrace.trust.tufclient import Material, RefreshError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "spec" / "federation.md"
BLOCK = re.compile(r"^`([^`]+)`:\n\n```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WHEN = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def pages() -> dict[str, bytes]:
    found = {}
    for name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        compact = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
        found[name] = (compact if name.startswith("metadata/") else text).encode()
    assert len(found) == 5
    return found


def test_a_reader_accepts_the_example(pages: dict[str, bytes]) -> None:
    known = Material(roots=(pages["metadata/1.root.json"],), files={})
    found = tufclient.refresh(known, tufsources.memory_source(pages), now=WHEN)
    described = federationfiles.check_files(found.material.files)
    assert (described.name, described.minimum_client_version) == ("example", "0.2")
    assert described.write() == found.material.files["federation.json"]
    assert [holder for _, holder in found.root.keys] == ["Chair", "Secretary"]
    assert found.as_of == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert tufclient.published_files(found.material) == pages


def test_a_reader_refuses_it_later(pages: dict[str, bytes]) -> None:
    known = Material(roots=(pages["metadata/1.root.json"],), files={})
    with pytest.raises(RefreshError):
        tufclient.refresh(known, tufsources.memory_source(pages), now=WHEN + timedelta(days=7))
