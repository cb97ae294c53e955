"""``/log`` over HTTP: what is refused and leaves no trace, then what is served and taken in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rawtrace.ledger.audit import audit
from rawtrace.ledger.note import VerifierKey
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.receipt import Receipt, check_receipt, read_receipts
from rawtrace.sealing.logrecord import record_of
from rawtrace.sealing.manifest import read_store
from rawtrace.sealing.model import Manifest
from rawtrace.sealing.seal import seal
from rawtrace.server.access import Role
from rawtrace.server.store import Store
from rawtrace.trust import authority as authorities
from rawtrace.trust.certificates import SignerKind, pid_of
from rawtrace.trust.identity import create_identity
from rawtrace.trust.instruments import new_record
from rawtrace.trust.signer import Identity
from stores import client

OWNER = "https://ror.org/0exampe44"
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def enrolled(store: Store, tmp_path: Path) -> Identity:
    """An instrument that the store's authority has certified."""
    return _instrument(tmp_path / "instrument", store.authority_folder)


def _instrument(folder: Path, authority: Path | None) -> Identity:
    record = new_record(
        kind=SignerKind.INSTRUMENT,
        name="Microscope",
        owner=OWNER,
        owner_name="Example University",
        manufacturer="Example Optics",
        model="Widefield 1",
        serial="SN-1",
        location="Room 1",
    )
    return create_identity(folder, SignerKind.INSTRUMENT, record, authority=authority)


def sealed(folder: Path, signer: Identity, number: int = 0) -> Manifest:
    """Seal a small file; return its manifest."""
    path = folder / f"{number}.dat"
    path.write_bytes(b"pixels %d" % number)
    done = seal(path, signer=signer, source_type="digitalCapture")
    return read_store(done.sidecar.read_bytes()).active_manifest


def line(manifest: Manifest, **other: bytes) -> dict[str, str]:
    parts = {
        "claim": manifest.claim_bytes,
        "protected": manifest.signature.protected,
        "signature": manifest.signature.raw,
    } | other
    return {name: base64.b64encode(data).decode() for name, data in parts.items()}


def body(*lines: Any) -> bytes:
    return "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines).encode()


def post(asking: TestClient, *lines: Any) -> list[dict[str, Any]]:
    answer = asking.post("/log/records", content=body(*lines), headers=LINES)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(one) for one in answer.text.splitlines()]


@pytest.fixture
def gateway(store: Store) -> TestClient:
    return client(store, Role.GATEWAY)


# --- refused


def test_strangers_and_other_roles_may_not_write(store: Store, enrolled: Identity, tmp_path: Path) -> None:
    sent = body(line(sealed(tmp_path, enrolled)))
    for roles, status in (((), 401), ((Role.AUDITOR,), 403), ((Role.OPERATOR,), 403)):
        assert client(store, *roles).post("/log/records", content=sent, headers=LINES).status_code == status
    assert store.log.size == 0


def test_instrument_may_bring_its_own_seals_only(store: Store, enrolled: Identity, tmp_path: Path) -> None:
    other = _instrument(tmp_path / "other", store.authority_folder)
    mine, theirs = sealed(tmp_path, enrolled, 1), sealed(tmp_path, other, 2)
    asking = client(store, Role.INSTRUMENT, pid=pid_of(enrolled.chain[0]))
    said = post(asking, line(theirs), line(mine))
    assert [one["status"] for one in said] == [403, 200]
    assert store.log.size == 1


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_forged_lines_are_refused_one_by_one(
    store: Store, gateway: TestClient, enrolled: Identity, self_instrument: Identity, tmp_path: Path
) -> None:
    good = sealed(tmp_path, enrolled, 1)
    other = sealed(tmp_path, enrolled, 2)
    nobody = sealed(tmp_path, self_instrument, 3)
    chain_swapped = line(good, protected=nobody.signature.protected)
    lines: list[Any] = [
        line(good, claim=other.claim_bytes),
        line(good, claim=_flipped(good.claim_bytes, 40)),
        line(good, signature=_flipped(good.signature.raw, 5)),
        line(good, signature=good.signature.raw[:-1]),
        line(good, signature=good.signature.raw + b"\0"),
        line(good, protected=_flipped(good.signature.protected, 30)),
        line(good, protected=b""),
        line(good, protected=b"\xa0"),
        line(good, protected=b"\xff" * 100),
        line(good, claim=b"x" * 70_000),
        line(good, signature=b"\0" * 2_000),
        chain_swapped,
        line(nobody),
        "",
        "{}",
        "[]",
        "null",
        "not json",
        '{"claim":1,"protected":2,"signature":3}',
        '{"claim":"?","protected":"?","signature":"?"}',
        {**line(good), "kind": "status"},
        {name: value for name, value in line(good).items() if name != "signature"},
        "[" * 5_000,
        "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    ]
    said = post(gateway, *lines, line(other))
    assert len(said) == len(lines) + 1
    assert {one["status"] for one in said[:-1]} <= {400, 422}
    assert all(one["detail"] and one["code"] for one in said[:-1])
    assert said[-1]["status"] == 200
    assert store.log.size == 1


def test_unknown_authority_is_refused_and_an_accepted_one_taken(
    new_store: Callable[..., Store], authority: Path, instrument: Identity, tmp_path: Path
) -> None:
    made = sealed(tmp_path, instrument)
    closed = new_store("closed")
    assert post(client(closed, Role.GATEWAY), line(made))[0]["status"] == 422
    lists = tmp_path / "accepted.jws"
    lists.write_bytes((authority / authorities.TRUST_LIST_FILE).read_bytes())
    settings = tmp_path / "closed" / "store.toml"
    settings.write_text(f'accept = ["{lists}"]\n' + settings.read_text())
    with Store.open(tmp_path / "closed") as opened:
        assert post(client(opened, Role.GATEWAY), line(made))[0]["status"] == 200


def test_revoked_signer_is_refused_as_soon_as_the_list_says_so(
    store: Store, gateway: TestClient, enrolled: Identity, tmp_path: Path
) -> None:
    made = [sealed(tmp_path, enrolled, number) for number in range(2)]
    assert post(gateway, line(made[0]))[0]["status"] == 200
    authorities.revoke(store.authority_folder, serial=enrolled.chain[0].serial_number, reason="keyCompromise")
    said = post(gateway, line(made[1]))
    assert said[0]["status"] == 422
    assert "certificate" in said[0]["detail"]
    assert store.log.size == 1


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", LINES, 400),
        (b"{}\n" * 101, LINES, 400),
        (b"{}\n", {"Content-Type": "application/json"}, 415),
        (b"{}\n", {"Content-Type": ""}, 415),
        (b"x" * ((8 << 20) + 1), LINES, 413),
    ],
    ids=["empty", "101-lines", "json", "untyped", "too-large"],
)
def test_requests_of_another_form_are_refused(
    store: Store, gateway: TestClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = gateway.post("/log/records", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert store.log.size == 0


def test_instrument_is_slowed_down(new_store: Callable[..., Store], tmp_path: Path) -> None:
    store = new_store(more="[limits]\nseals_per_minute = 5\n")
    asking = client(store, Role.INSTRUMENT, pid="https://hdl.handle.net/20.500.12345/abc")
    assert asking.post("/log/records", content=b"{}\n" * 5, headers=LINES).status_code == 200
    answer = asking.post("/log/records", content=b"{}\n" * 5, headers=LINES)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


def test_stopped_log_says_so(store: Store, gateway: TestClient, enrolled: Identity, tmp_path: Path) -> None:
    made = sealed(tmp_path, enrolled)
    store.log.close()
    answer = gateway.post("/log/records", content=body(line(made)), headers=LINES)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/2",
        "tile/0/x000/000",
        "tile/00/000",
        "tile/64/000",
        "tile/0/..%2f..%2fstore.toml",
        "tile/0/%00",
        "tile/",
        "receipts/abc",
        f"receipts/{'A' * 64}",
        f"receipts/{'0' * 64}",
    ],
)
def test_what_is_not_there_is_a_404_in_words(store: Store, path: str) -> None:
    answer = client(store).get(f"/log/{path}")
    assert answer.status_code == 404
    assert answer.json()["detail"]


# --- served


def test_entries_are_for_those_whom_the_store_lets(
    new_store: Callable[..., Store], enrolled: Identity, store: Store, gateway: TestClient, tmp_path: Path
) -> None:
    post(gateway, line(sealed(tmp_path, enrolled)))
    path = "/log/tile/entries/000.p/1"
    assert client(store).get(path).status_code == 401
    assert gateway.get(path).status_code == 403
    for role in (Role.AUDITOR, Role.OPERATOR):
        answer = client(store, role).get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    open_store = new_store("open", more="public_entries = true\n")
    open_store.record("status", {"a": 1}, issuer="Example", key="00" * 8)
    answer = client(open_store).get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"].startswith("public")


def test_static_reads_have_types_and_cache_headers(store: Store) -> None:
    store.record("status", {"a": 1}, issuer="Example", key="00" * 8)
    asking = client(store)
    answer = asking.get("/log/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert answer.content == store.log.checkpoint()
    assert asking.get("/log/checkpoint", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    answer = asking.get("/log/tile/0/000.p/1")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert len(answer.content) == 32
    assert asking.head("/log/tile/0/000.p/1").content == b""
    said = asking.get("/log").json()
    assert (said["origin"], said["size"], said["trouble"]) == (store.settings.log.origin, 1, "")
    assert VerifierKey.parse(said["verifier_key"]) == store.log.key


# --- taken


def test_record_is_the_one_that_the_seal_gives(
    store: Store, gateway: TestClient, enrolled: Identity, tmp_path: Path
) -> None:
    made = [sealed(tmp_path, enrolled, number) for number in range(3)]
    said = post(gateway, *map(line, made))
    assert [one["index"] for one in said] == [0, 1, 2]
    policy = Policy.parse(f"log {store.log.key.text}\nquorum none\n")
    for manifest, one in zip(made, said, strict=True):
        found = check_receipt(Receipt.parse(one["receipt"]), policy)
        assert found.record == record_of(manifest)
        assert found.entry.kind == "seal"
        assert found.entry.issuer == store.lists()[0].anchors[0].name
        got = client(store).get(f"/log/receipts/{manifest.claim_sha256}")
        assert [receipt.record for receipt in read_receipts(got.content)] == [record_of(manifest)]


def test_repetition_has_the_same_index_alone_and_within_a_request(
    store: Store, gateway: TestClient, enrolled: Identity, tmp_path: Path
) -> None:
    one, two = (line(sealed(tmp_path, enrolled, number)) for number in range(2))
    assert [said["index"] for said in post(gateway, one, two, one)] == [0, 1, 0]
    assert [said["index"] for said in post(gateway, two, one)] == [1, 0]
    assert store.log.size == 2


def test_erased_record_is_gone_for_good(store: Store, gateway: TestClient, enrolled: Identity, tmp_path: Path) -> None:
    made = sealed(tmp_path, enrolled)
    post(gateway, line(made))
    store.log.erase(0)
    assert client(store).get(f"/log/receipts/{made.claim_sha256}").status_code == 404
    said = post(gateway, line(made))
    assert (said[0]["status"], said[0]["index"]) == (410, 0)
    assert "receipt" not in said[0]


def test_late_seal_of_a_certificate_that_ran_out_is_taken(store: Store, enrolled: Identity, tmp_path: Path) -> None:
    made = sealed(tmp_path, enrolled)
    late = enrolled.chain[0].not_valid_after_utc + timedelta(days=30)
    assert late > datetime.now(UTC)
    asking = client(store, Role.GATEWAY)
    store.now = lambda: late
    assert post(asking, line(made))[0]["status"] == 200


def test_whole_log_can_be_audited_over_http(
    store: Store, gateway: TestClient, enrolled: Identity, tmp_path: Path
) -> None:
    post(gateway, *(line(sealed(tmp_path, enrolled, number)) for number in range(5)))
    auditor = client(store, Role.AUDITOR)

    def read(path: str) -> bytes | None:
        answer = auditor.get(f"/log/{path}")
        return answer.content if answer.status_code == 200 else None

    assert audit(read, key=store.log.key).sound
