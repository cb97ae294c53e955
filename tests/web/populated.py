"""A store with something in it: what the browser tests look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rawtrace.server import enrolment, registry
from rawtrace.server.enrolment import Wanted
from rawtrace.server.seals import SEALS
from rawtrace.server.store import Store
from rawtrace.trust import authority, keys
from rawtrace.trust import enrolment as rules
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.certrequest import make_request
from rawtrace.trust.instruments import new_record

HANDLE = "https://hdl.handle.net/20.500.12345/"
#: Text that would do harm if it were anything but text.
HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(1)</script>{{7*7}}"
WHO = "Facility manager"


def populate(store: Store) -> None:
    """Put instruments in every state, seals, works, requests and statuses into a store."""
    _instrument(store, "confocal-1", name="Confocal 1", certified=True, **_rich())
    _instrument(store, "gel-imager", name="Gel imager", certified=True, model="G1", location="Cold room", days=20)
    _instrument(store, "sorter", name="Cell sorter", certified=True, model="S9")
    authority.revoke(store.authority_folder, pid=HANDLE + "sorter", reason="keyCompromise", note="stolen computer")
    _instrument(store, "plate-reader", name="Plate reader", model="P2", location="Room 4")
    _instrument(store, "old-scope", name="Old widefield", model="W1", life=("2009-02-01", "2024-06-30"))
    hostile = {"name": HOSTILE[:40], "model": HOSTILE, "location": HOSTILE, "owner_name": HOSTILE}
    _instrument(store, "a/history", description=HOSTILE, **hostile)
    _seals(store)
    record = registry.find(store.database, HANDLE + "plate-reader")
    assert record is not None
    grant = rules.grant_of(record.pid, SignerKind.INSTRUMENT, record.record)
    made, _ = enrolment.invite(store, Wanted(grant=grant, approval=True, days=14.0), by=WHO)
    with store.database.write() as connection:
        # As though the instrument had asked: what it takes is tested where enrolment is.
        asked = {"state": enrolment.WAITING, "key_sha256": "ab" * 32, "asked_from": "192.0.2.7"}
        asked["asked"] = "2026-01-31T08:00:00Z"
        table = enrolment.ENROLMENTS
        connection.execute(sa.update(table).where(table.c.id == made["id"]).values(**asked))


def _rich() -> dict[str, Any]:
    return {
        "life": ("2019-03-01", ""),
        "description": "Point scanning, with two detectors.\nObjectives from 10x to 63x.",
        "instrument_type": "Confocal microscope",
        "measured": ("fluorescence intensity",),
        "works": ("10.1234/example.1", "10.1234/example.2"),
        "contact": "facility@example.org",
    }


def _instrument(
    store: Store,
    suffix: str,
    *,
    certified: bool = False,
    days: int | None = None,
    life: tuple[str, str] = ("", ""),
    works: tuple[str, ...] = (),
    contact: str = "",
    **fields: Any,
) -> None:
    filled = {
        "name": suffix, "manufacturer": "Example Optics", "model": "Widefield 1", "serial": "SN-0001",
        "location": "Room 1", "owner": "https://ror.org/0exampe44", "owner_name": "Example University",
    }  # fmt: skip
    record = new_record(kind=SignerKind.INSTRUMENT, pid=HANDLE + suffix, **(filled | fields))
    if certified:
        folder = store.folder.parent / f"key-{suffix}"
        folder.mkdir()
        request = make_request(SignerKind.INSTRUMENT, record, keys.create_in_folder(folder, keys.Algorithm.ED25519))
        authority.issue(store.authority_folder, request, days=days)
    if life[0]:
        record["dates"] = [{"date": life[0], "dateType": "Commissioned"}]
    if contact:
        record["owners"][0]["ownerContact"] = contact
    registry.put(store, record, who=WHO)
    if life[1]:
        record = record | {"dates": [*record["dates"], {"date": life[1], "dateType": "DeCommissioned"}]}
        registry.put(store, record, who=WHO, action=registry.Action.RETIRED, note="scrapped")
    if works:
        related = [
            {"relatedIdentifier": doi, "relatedIdentifierType": "DOI", "relationType": "WasUsedIn"} for doi in works
        ]
        bad = {"relatedIdentifier": "javascript:alert(1)", "relatedIdentifierType": "URL", "relationType": "References"}
        registry.put(store, record | {"relatedIdentifiers": [*related, bad]}, who=WHO, note="papers of this year")


def _seals(store: Store) -> None:
    now = datetime.now(UTC)
    rows = [
        {
            "record": f"{month:032x}{number:032x}",
            "claim": f"{month:032x}{number:032x}",
            "label": "urn:c2pa:example",
            "pid": HANDLE + "confocal-1",
            "received": (now - timedelta(days=30 * month)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sidecar": b"",
        }
        for month in range(20)
        for number in range((month * 37) % 90 + 5)
    ]
    with store.database.write() as connection:
        connection.execute(sa.insert(SEALS), rows)
