"""What rawtrace says of files that others signed, as the table "Their seals, rawtrace" says it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from makers import MAKERS, Makers
from specimens import flip, table
from toolbox import Toolbox, agrees, rawtrace

from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity
from rawtrace.trust.keys import Algorithm
from rawtrace.trust.trustlist import TrustList

pytestmark = pytest.mark.interop

TABLE = table("Their seals, rawtrace")


@pytest.fixture(scope="session")
def signers(new_identity) -> dict[Algorithm, Identity]:
    """A workstation of each kind of key."""
    return {kind: new_identity(SignerKind.WORKSTATION, algorithm=kind) for kind in Algorithm}


@pytest.fixture
def signed(
    request: pytest.FixtureRequest, need, toolbox: Toolbox, tmp_path: Path, signers, instrument_es256: Identity
) -> Path:
    need(request.param.split(",")[0])
    return Makers(toolbox, tmp_path, signers, instrument_es256).make(request.param)


@pytest.mark.parametrize(("signed", "row"), [(name, name) for name in TABLE], ids=list(TABLE), indirect=["signed"])
def test_rawtrace_says_what_the_page_says(
    signed: Path, row: str, toolbox: Toolbox, authority: Path, trust_lists: tuple[TrustList, ...]
) -> None:
    said = rawtrace(signed, trust_lists)
    assert agrees(said, TABLE[row]["rawtrace"]), said
    if not toolbox.missing("c2patool"):
        beside = signed.with_name(f"{signed.name}.c2pa")
        other = toolbox.c2patool(signed, beside if beside.exists() else None, authority / "root.pem")
        assert other == TABLE[row]["c2patool"]
    data = signed.read_bytes()
    flip(signed, data.index(b"IDAT") + 100 if signed.suffix == ".png" else len(data) - 300)
    said = rawtrace(signed, trust_lists)
    assert agrees(said, TABLE[row]["rawtrace, a pixel changed"]), said


def test_every_maker_is_on_the_page() -> None:
    assert sorted(TABLE) == sorted(MAKERS)


def test_nothing_altered_is_accepted() -> None:
    for name, row in TABLE.items():
        changed = row["rawtrace, a pixel changed"]
        assert changed.split(":")[0] in {"altered", "rejected", "no-seal"}, name
