"""Certified on upload: what a repository seals, what it refuses, and that a report shows it as weaker."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rawtrace.report import Verdict
from rawtrace.sealing import folderindex
from rawtrace.sealing.certify import INDEX_ONLY
from rawtrace.server.access import Role
from rawtrace.server.store import Store
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.timeauthority import create_time_authority
from rawtrace.verification.verify import verify
from stores import client

RAW = {"content-type": "application/octet-stream"}


@pytest.fixture
def archive(new_store: Callable[..., Store], new_identity: Any) -> Store:
    opened = new_store("archive", more="\n[offers]\ncertify = true\n\n[limits]\nupload_bytes = 100000\n")
    new_identity(
        SignerKind.REPOSITORY,
        authority=opened.authority_folder,
        folder=opened.folder / "gateway",
        name="Example Archive",
    )
    return opened


def put(said: dict[str, Any], path: Path) -> None:
    path.with_name(f"{path.name}.c2pa").write_bytes(base64.b64decode(said["sidecar"]))


def nothing_left(store: Store) -> bool:
    uploads = store.folder / "uploads"
    return not uploads.exists() or not any(uploads.iterdir())


# --- refused


def test_not_offered_or_not_allowed_fail(store: Store, archive: Store) -> None:
    asked = client(store, Role.GATEWAY)
    assert asked.post("/certify?name=a.tif", content=b"data", headers=RAW).status_code == 404
    assert client(archive).post("/certify?name=a.tif", content=b"data", headers=RAW).status_code == 401
    assert client(archive, Role.AUDITOR).post("/certify?name=a.tif", content=b"data").status_code == 403


@pytest.mark.parametrize(
    "name",
    [
        "../a.tif",
        "a/b.tif",
        "a\\b.tif",
        "c:a.tif",
        ".hidden",
        " a",
        "a\n",
        "a\u202etif",
        "a.c2pa",
        "x" * 201,
        ".",
        "..",
    ],
)
def test_names_that_lead_elsewhere_fail(archive: Store, name: str) -> None:
    answer = client(archive, Role.GATEWAY).post("/certify", params={"name": name}, content=b"data", headers=RAW)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert nothing_left(archive)
    assert archive.log.size == 0


def test_wrong_questions_fail(archive: Store) -> None:
    asked = client(archive, Role.GATEWAY)
    for query in ("", "?name=", "?name=a&kind=x", "?name=a&kind=folder-index", "?name=a&kind=folder-index&size=-1"):
        assert asked.post(f"/certify{query}", content=b"data", headers=RAW).status_code == 400
    assert asked.post("/certify?name=a.tif", content=b"x" * 100_001, headers=RAW).status_code == 413
    assert nothing_left(archive)


def test_a_repository_states_no_capture_fail(archive: Store) -> None:
    asked = client(archive, Role.GATEWAY)
    for term in ("digitalCapture", "nonsense"):
        answer = asked.post(f"/certify?name=a.tif&source_type={term}", content=b"data", headers=RAW)
        assert answer.status_code == 422
    assert archive.log.size == 0


def test_indexes_that_are_none_fail(archive: Store) -> None:
    asked = client(archive, Role.GATEWAY)
    line = b"0" * 64 + b"  stack.zarr/0/0\n"
    for name, body in (
        ("stack.zarr", b""),
        ("stack.zarr", b"nonsense\n"),
        ("other.zarr", line),
        ("stack.zarr", line * 2),
    ):
        answer = asked.post(f"/certify?name={name}&kind=folder-index&size=9", content=body, headers=RAW)
        assert answer.status_code == 422


# --- certified


def test_a_file(archive: Store, tmp_path: Path) -> None:
    path = tmp_path / "old scan.tif"
    path.write_bytes(b"II*\0" + b"old pixels" * 99)
    asked = client(archive, Role.GATEWAY)
    answer = asked.post("/certify", params={"name": path.name}, content=path.read_bytes(), headers=RAW)
    assert answer.status_code == 201
    said = answer.json()
    put(said, path)
    report = verify(path, trust=archive.lists())
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert "certified-on-upload" in {one.id for one in report.findings if one.outcome == "note"}
    assert report.seal is not None
    assert (report.seal.instrument["assurance"], report.seal.instrument["capture"]) == ("certified-on-upload", "upload")
    assert (said["index"], archive.log.size, bool(said["receipt"])) == (0, 1, True)
    assert asked.get(f"/seals/{said['claim']}").status_code == 200
    assert nothing_left(archive)


def test_a_file_with_trusted_time(new_store: Callable[..., Store], new_identity: Any, tmp_path: Path) -> None:
    store = new_store(more="\n[offers]\ncertify = true\ntime = true\n")
    create_time_authority(store.folder / "time", authority=store.authority_folder)
    new_identity(SignerKind.REPOSITORY, authority=store.authority_folder, folder=store.folder / "gateway")
    path = tmp_path / "scan.csv"
    path.write_bytes(b"1,2,3\n")
    put(client(store, Role.OPERATOR).post("/certify?name=scan.csv", content=b"1,2,3\n").json(), path)
    report = verify(path, trust=store.lists())
    ids = {one.id for one in report.findings}
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert {"time-trusted", "counter-signed"} <= ids
    # The weaker level stays to be read, although the newest signature is a counter-signature.
    assert any("nobody vouches for it before" in one.message for one in report.findings)
    assert report.seal is not None
    assert report.seal.instrument["assurance"] == "certified-on-upload"


def test_a_folder_by_its_index(archive: Store, tmp_path: Path) -> None:
    folder = tmp_path / "stack.zarr"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}").write_bytes(b"chunk %d" % number)
    index = folderindex.build_index(folder)
    path = folderindex.index_of(folder)
    path.write_bytes(index.data)
    query = f"/certify?name=stack.zarr&kind=folder-index&size={index.size}"
    answer = client(archive, Role.GATEWAY).post(query, content=index.data, headers=RAW)
    assert answer.status_code == 201
    put(answer.json(), path)
    report = verify(folder, trust=archive.lists())
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert report.seal is not None
    assert report.seal.acquisition["metadata"]["notes"] == [INDEX_ONLY]
    (folder / "1").write_bytes(b"other")
    assert verify(folder, trust=archive.lists()).verdict is Verdict.ALTERED


def test_time_over_http(new_store: Callable[..., Store], store: Store) -> None:
    from rawtrace.sealing import cms
    from rawtrace.sealing.timeclient import request

    query = {"content-type": "application/timestamp-query"}
    assert client(store).post("/time", content=request(b"\1" * 32), headers=query).status_code == 404
    timed = new_store("timed", more="\n[offers]\ntime = true\n")
    assert client(timed).post("/time", content=request(b"\1" * 32), headers=query).status_code == 404
    create_time_authority(timed.folder / "time", authority=timed.authority_folder)
    answer = client(timed).post("/time", content=request(b"\1" * 32), headers=query)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/timestamp-reply")
    assert cms.read_token(cms.token_of_response(answer.content)).digest == b"\1" * 32
    assert client(timed).post("/time", content=b"nonsense", headers=query).status_code == 200
    assert client(timed).post("/time", content=b"nonsense", headers=RAW).status_code == 415
    assert client(timed).post("/time", content=b"x" * 5_000, headers=query).status_code == 413
