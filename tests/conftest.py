"""Identities and trust lists that many tests share; made once per run, never changed by a test."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rawtrace.trust import authority as authorities
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity, create_identity
from rawtrace.trust.instruments import new_record
from rawtrace.trust.keys import Algorithm
from rawtrace.trust.trustlist import TrustList, read_list

sys.path.insert(0, str(Path(__file__).parent))  # modules beside this one, under importlib mode

pytest_plugins = ["postgres", "stores"]

#: A made-up organisation with valid check digits.
OWNER = "https://ror.org/0exampe44"

NewIdentity = Callable[..., Identity]


def make_record(kind: SignerKind = SignerKind.INSTRUMENT, **fields: Any) -> dict[str, Any]:
    """A record with everything filled in that a test does not give."""
    defaults: dict[str, Any] = {"name": f"Example {kind}", "owner": OWNER, "owner_name": "Example University"}
    if kind is SignerKind.INSTRUMENT:
        defaults |= {
            "manufacturer": "Example Optics",
            "model": "Widefield 1",
            "serial": "SN-0001",
            "location": "Room 1",
        }
    return new_record(kind=kind, **(defaults | fields))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an authority; tests that revoke make their own."""
    folder = tmp_path_factory.mktemp("trust") / "authority"
    authorities.create_authority(folder, name="Example Authority", owner=OWNER)
    return folder


@pytest.fixture(scope="session")
def new_identity(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> NewIdentity:
    """Make identities: ``new_identity(kind, authority=..., algorithm=..., folder=..., **record_fields)``."""
    numbers = itertools.count(1)
    parent = tmp_path_factory.mktemp("identities")

    def make(
        kind: SignerKind = SignerKind.INSTRUMENT,
        *,
        authority: Path | None = authority,
        algorithm: Algorithm = Algorithm.ED25519,
        folder: Path | None = None,
        **fields: Any,
    ) -> Identity:
        target = folder or parent / f"{kind}-{next(numbers)}"
        return create_identity(target, kind, make_record(kind, **fields), authority=authority, algorithm=algorithm)

    return make


@pytest.fixture(scope="session")
def instrument(new_identity: NewIdentity) -> Identity:
    """A certified instrument with an Ed25519 key."""
    return new_identity(SignerKind.INSTRUMENT)


@pytest.fixture(scope="session")
def instrument_es256(new_identity: NewIdentity) -> Identity:
    """A certified instrument with an ES256 key."""
    return new_identity(SignerKind.INSTRUMENT, algorithm=Algorithm.ES256)


@pytest.fixture(scope="session")
def workstation(new_identity: NewIdentity) -> Identity:
    """A certified workstation."""
    return new_identity(SignerKind.WORKSTATION)


@pytest.fixture(scope="session")
def self_instrument(new_identity: NewIdentity) -> Identity:
    """An instrument that no authority certified."""
    return new_identity(SignerKind.INSTRUMENT, authority=None)


@pytest.fixture(scope="session")
def trust_lists(authority: Path) -> tuple[TrustList, ...]:
    """The authority's trust list, alone."""
    path = authority / authorities.TRUST_LIST_FILE
    return (read_list(path.read_bytes(), source=f"{path}"),)
