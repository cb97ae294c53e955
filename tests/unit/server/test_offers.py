"""What a store offers is changed by a command: keys are made, and the settings keep what people wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from rawtrace.errors import StoreError
from rawtrace.server.offers import offer
from rawtrace.server.settings import read_settings
from rawtrace.trust.signer import load_identity
from stores import found

OWNER = "https://ror.org/0exampe44"


def test_keys_are_made_once_and_comments_stay(tmp_path: Path) -> None:
    folder = found(tmp_path / "store")
    done = offer(folder, ("time", "gateway"), owner=OWNER)
    assert done.offers == ("time", "gateway")
    assert {one.name for one in done.made} == {"time", "gateway"}
    assert load_identity(folder / "gateway").kind.value == "repository"
    text = (folder / "store.toml").read_text()
    assert text.startswith("# Settings of this trust store.")
    (folder / "store.toml").write_text(text.replace("gateway = true", "gateway = false # for now") + "\n[limits]\n")
    again = offer(folder, ("gateway", "witness"), owner="")
    assert again.made == ()
    assert again.offers == ("time", "gateway", "witness")
    assert read_settings(folder).log.origin


@pytest.mark.parametrize("text", ["offers = {time = true}\n", "offers.time = true\n", "[ offers ]\ntime = true\n"])
def test_settings_that_only_a_person_understands_stay_as_they_are_fail(tmp_path: Path, text: str) -> None:
    folder = found(tmp_path / "store")
    path = folder / "store.toml"
    path.write_text(text + path.read_text() if "[" not in text else path.read_text() + text)
    before = path.read_text()
    with pytest.raises(StoreError, match="not changed by a program"):
        offer(folder, ("witness",), owner="")
    assert path.read_text() == before


def test_a_gateway_signs_in_somebodys_name_fail(tmp_path: Path) -> None:
    folder = found(tmp_path / "store")
    with pytest.raises(StoreError, match="expected its owner"):
        offer(folder, ("gateway",), owner="")
    assert not read_settings(folder).offers.gateway
    with pytest.raises(StoreError, match="cannot be offered"):
        offer(folder, ("coffee",), owner="")
