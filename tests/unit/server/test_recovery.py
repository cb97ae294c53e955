"""Seals found again by soft binding and by picture: attacks first, then what a client of the interface does."""

from __future__ import annotations

import base64
import io
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from starlette.testclient import TestClient

pytest.importorskip("cv2")


from rawtrace.errors import Error
from rawtrace.image.codes import codes_of, encode_seq
from rawtrace.match import recover, strangers
from rawtrace.match.index import PictureIndex, seals
from rawtrace.match.recover import Recovered, code_score
from rawtrace.sealing.beside import SealsBeside
from rawtrace.sealing.seal import seal
from rawtrace.server.access import Role
from rawtrace.server.store import Store
from rawtrace.trust.signer import Identity
from stores import client, found

BASE = "/c2pa/v1"
BINDING, CONTENT = f"{BASE}/matches/byBinding", f"{BASE}/matches/byContent"
ALG = "io.iscc.v0"
SETTINGS = '[offers]\nindex = "pictures"\n'
ROUTES = (
    ("GET", f"{BINDING}?alg={ALG}&value=AAAA"),
    ("POST", BINDING),
    ("POST", CONTENT),
    ("GET", f"{BASE}/manifests/urn:c2pa:x"),
    ("GET", f"{BASE}/services/supportedAlgorithms"),
)


def texture(seed: int, height: int = 120, width: int = 140) -> np.ndarray:
    import cv2

    random = np.random.default_rng(seed)
    light = sum(cv2.GaussianBlur(random.normal(size=(height, width)), (0, 0), s) * s for s in (1.5, 3, 6))
    return (np.clip((light + 6) / 12, 0, 1) * 65_535).astype(np.uint16)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, instrument: Identity) -> Any:
    """A deposit of two images, one of them sealed, and its index."""
    folder = tmp_path_factory.mktemp("deposit")
    for name, seed in (("sealed.tif", 1), ("plain.tif", 2)):
        tifffile.imwrite(folder / name, texture(seed))
    one = seal(folder / "sealed.tif", signer=instrument)
    with PictureIndex.open(folder / "pictures", create=True) as index:
        assert index.add([folder], seal_reader=SealsBeside()).sealed == 1
    return SimpleNamespace(
        folder=folder, label=one.label, store=one.sidecar.read_bytes(),
        codes=codes_of(folder / "sealed.tif"), plain=codes_of(folder / "plain.tif"),
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, made: Any) -> Iterator[Store]:
    folder = found(tmp_path / "store", more=SETTINGS)
    shutil.copytree(made.folder / "pictures", folder / "pictures")
    with Store.open(folder) as opened:
        yield opened


@pytest.fixture
def ask(store: Store) -> TestClient:
    return client(store)


@pytest.fixture(scope="module")
def quiet(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Asks a store that no test changes."""
    with configured(tmp_path_factory.mktemp("quiet"), made, "pictures_per_minute = 1000") as opened:
        yield client(opened)


def encoded(*units: str) -> str:
    return base64.b64encode(encode_seq(units)).decode()


def by_binding(ask: TestClient, value: str, **more: Any) -> Any:
    return ask.get(BINDING, params={"alg": ALG, "value": value, **more})


def names(answer: Any) -> list[tuple[str, int]]:
    assert answer.status_code == 200, answer.text
    return [(one["manifestId"], one["similarityScore"]) for one in answer.json()["matches"]]


def near(code: str, bits: int) -> str:
    """Return a unit of the same kind in which so many of the last bits differ."""
    raw = base64.b32decode(code.removeprefix("ISCC:") + "=" * (-len(code.removeprefix("ISCC:")) % 8))
    changed = int.from_bytes(raw, "big") ^ ((1 << bits) - 1)
    return "ISCC:" + base64.b32encode(changed.to_bytes(len(raw), "big")).decode().rstrip("=")


def is_problem(answer: Any, status: int) -> str:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    return str(answer.json()["detail"])


# --- refused


def test_a_store_without_an_index_has_none_of_it_fail(tmp_path: Path) -> None:
    with Store.open(found(tmp_path / "store")) as opened:
        ask = client(opened)
        for method, path in ROUTES:
            assert "gives no seals" in is_problem(ask.request(method, path), 404)


def deleted(folder: Path) -> None:
    shutil.rmtree(folder)


def emptied(folder: Path) -> None:
    (folder / "index.sqlite").unlink()
    (folder / "index.sqlite").touch()


def overwritten(folder: Path) -> None:
    for one in folder.glob("index.sqlite*"):
        one.unlink()
    (folder / "index.sqlite").write_bytes(b"no database at all" * 1_000)


def old(folder: Path) -> None:
    with PictureIndex.open(folder) as index, index.writing() as connection:
        connection.exec_driver_sql("DROP TABLE index_seal")


@pytest.mark.parametrize("broken", [deleted, emptied, overwritten, old])
def test_a_broken_index_is_503_and_names_no_path_fail(
    store: Store, ask: TestClient, made: Any, broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = encoded(made.codes.instance)
    assert names(by_binding(ask, question)) == [(made.label, 100)]
    broken(store.folder / "pictures")
    for answer in (by_binding(ask, question), ask.get(f"{BASE}/manifests/{made.label}")):
        assert is_problem(answer, 503) == "the index cannot be used just now"
        assert str(store.folder) not in answer.text
    shutil.rmtree(store.folder / "pictures", ignore_errors=True)
    shutil.copytree(made.folder / "pictures", store.folder / "pictures")
    assert names(by_binding(ask, question)) == [(made.label, 100)], "back without a restart"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("", 400),
        ("no base64", 400),
        ("AAA", 400),
        ("AB==", 400),
        ("\u00e9\u00e9\u00e9\u00e9", 400),
        ("=" * 40, 400),
        (base64.b64encode(b"\x40\x07" + b"x" * 31).decode(), 400),
        (base64.b64encode(b"\x50\x07" + b"x" * 32).decode(), 400),
        (base64.b64encode(b"\x20\x07" + b"x" * 32).decode(), 400),
        (base64.b64encode(b"\x40\x01" + b"x" * 8).decode(), 400),
        (base64.b64encode((b"\x40\x07" + b"x" * 32) * 17).decode(), 400),
        ("A" * 2_049, 414),
    ],
    ids=["empty", "text", "cut", "two spellings", "letters", "padding", "short", "not a unit", "text code", "64 bits",
         "17 units", "too long"],
)  # fmt: skip
def test_odd_values_fail(quiet: TestClient, value: str, status: int) -> None:
    is_problem(by_binding(quiet, value), status)
    if status == 400:
        is_problem(quiet.post(BINDING, json={"alg": ALG, "value": value}), 400)


def test_a_million_units_and_other_bodies_fail(quiet: TestClient) -> None:
    million = base64.b64encode((b"\x40\x07" + b"x" * 32) * 1_000_000).decode()
    is_problem(quiet.post(BINDING, json={"alg": ALG, "value": million}), 413)
    is_problem(quiet.post(BINDING, json={"alg": ALG, "value": million[:60_000]}), 400)
    for body in (b"", b"[]", b"null", b'{"alg": 1, "value": 2}', b'{"alg": "io.iscc.v0"}', b"{" * 10_000):
        is_problem(quiet.post(BINDING, content=body, headers={"Content-Type": "application/json"}), 400)
    is_problem(quiet.post(BINDING, content=b"{}", headers={"Content-Type": "text/plain"}), 415)


@pytest.mark.parametrize("alg", ["", "io.iscc.v1", "com.example.watermark", "IO.ISCC.V0", "x" * 3_000])
def test_other_algorithms_fail(quiet: TestClient, made: Any, alg: str) -> None:
    answer = quiet.get(BINDING, params={"alg": alg, "value": encoded(made.codes.instance)})
    assert f"expected {ALG}" in is_problem(answer, 400)
    assert len(answer.text) < 500
    is_problem(quiet.post(CONTENT, params={"alg": alg}, headers={"Content-Type": "image/png"}), 400)


@pytest.mark.parametrize("most", ["0", "-1", "1e9", "٣", "1" * 11, "", " 1"])
def test_odd_numbers_of_answers_fail(quiet: TestClient, made: Any, most: str) -> None:
    is_problem(by_binding(quiet, encoded(made.codes.instance), maxResults=most), 400)


def test_more_answers_than_anybody_needs_are_not_given(ask: TestClient, store: Store, made: Any) -> None:
    with PictureIndex.open(store.folder / "pictures") as index, index.writing() as connection:
        for number in range(1_000, 1_300):
            facts = seals.SealFacts(label=f"urn:{number}", claim_sha256="", data=(b"\x55" * 32,))
            seals.note(connection, number, b"x", facts)
    asked = base64.b64encode(b"\x30\x07" + b"\x55" * 32).decode()
    assert len(names(by_binding(ask, asked, maxResults="9999999999"))) == 100
    assert len(names(by_binding(ask, asked))) == 10
    assert len(names(by_binding(ask, asked, maxResults=1))) == 1


@pytest.mark.parametrize(
    "name",
    ["..", "../../store.toml", "..%2f..%2fstore.toml", "%2e%2e%2f%2e%2e%2fauthority", "%2fetc%2fpasswd", "a%5cb", "%00",
     "urn:x%0d%0aSet-Cookie:%20a=b", "x" * 513, "' OR 1=1 --", "%ff%fe", "*", "%25"],
)  # fmt: skip
def test_odd_names_of_manifests_lead_nowhere_fail(quiet: TestClient, name: str) -> None:
    answer = quiet.get(f"{BASE}/manifests/{name}")
    assert answer.status_code in {400, 404}
    assert answer.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in answer.headers


def test_a_seal_that_is_gone_or_damaged_is_not_given_fail(store: Store, ask: TestClient, made: Any) -> None:
    address = f"{BASE}/manifests/{made.label}"
    assert ask.get(address).status_code == 200
    is_problem(ask.get(address, params={"returnActiveManifest": "perhaps"}), 400)
    with PictureIndex.open(store.folder / "pictures") as index:
        with index.writing() as connection:
            connection.exec_driver_sql("UPDATE index_seal SET store = x'00'")
        assert "damaged" in is_problem(ask.get(address), 503)
        assert index.remove(made.folder / "sealed.tif") == 1
    assert "no seal of that name" in is_problem(ask.get(address), 404)
    assert names(by_binding(ask, encoded(made.codes.instance))) == []


def png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_picture_that_unpacks_to_gigabytes_and_one_that_is_none_fail(ask: TestClient, store: Store) -> None:
    bomb = png(200_000, 200_000, zlib.compress(bytes(1 << 20)))
    answer = ask.post(CONTENT, content=bomb, headers={"Content-Type": "image/png"})
    assert answer.status_code in {413, 415}, answer.text
    assert str(store.folder) not in answer.text
    for body in (b"", b"no picture", b"PK\x03\x04zip", b"<svg/>"):
        is_problem(ask.post(CONTENT, content=body, headers={"Content-Type": "image/png"}), 415)
    for kind in ("video/mp4", "text/plain", "application/pdf", "x" * 3_000):
        is_problem(ask.post(CONTENT, content=b"x", headers={"Content-Type": kind}), 415)
    is_problem(ask.post(CONTENT, content=bomb, headers={"Content-Type": "image/png"}, params={"maxResults": 0}), 400)
    assert list((store.folder / "uploads").iterdir()) == [], "nothing of it is kept"


@pytest.fixture
def quick_search(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Pictures are not looked for; who would have looked is told."""
    looked: list[Path] = []

    def look(path: Path, location: str, *, limit: int) -> tuple[Recovered, ...]:
        assert path.read_bytes().startswith(b"\x89PNG")
        looked.append(path)
        return (Recovered(label="urn:picture", score=70),)[:limit]

    monkeypatch.setattr(strangers, "look_for", look)
    return looked


def configured(tmp_path: Path, made: Any, limits: str) -> Store:
    folder = found(tmp_path / "store", more=f"{SETTINGS}[limits]\n{limits}\n")
    shutil.copytree(made.folder / "pictures", folder / "pictures")
    return Store.open(folder)


PICTURE: dict[str, Any] = {"content": png(4, 4), "headers": {"Content-Type": "image/png"}}


def test_few_pictures_a_minute_and_none_that_is_large_fail(tmp_path: Path, made: Any, quick_search: list[Path]) -> None:
    with configured(tmp_path, made, "pictures_per_minute = 2\npicture_bytes = 1000") as opened:
        ask = client(opened)
        large = {**PICTURE, "content": bytes(1_001)}
        is_problem(ask.post(CONTENT, **large), 413)
        assert names(ask.post(CONTENT, **PICTURE)) == [("urn:picture", 70)]
        answer = ask.post(CONTENT, **PICTURE)
        is_problem(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
        assert len(quick_search) == 1


def test_a_token_where_the_store_wants_one_fail(tmp_path: Path, made: Any, quick_search: list[Path]) -> None:
    with configured(tmp_path, made, "pictures_need_token = true") as opened:
        is_problem(client(opened).post(CONTENT, **PICTURE), 401)
        assert names(by_binding(client(opened), encoded(made.codes.instance))) == [(made.label, 100)]
        assert quick_search == []
        assert names(client(opened, Role.AUDITOR).post(CONTENT, **PICTURE)) == [("urn:picture", 70)]


def test_more_pictures_at_a_time_than_there_are_processes_fail(
    store: Store, ask: TestClient, quick_search: list[Path]
) -> None:
    for _ in range(2):
        store.recovery._processes.acquire()
    is_problem(ask.post(CONTENT, **PICTURE), 503)
    assert quick_search == []
    store.recovery._processes.release()
    assert names(ask.post(CONTENT, **PICTURE)) == [("urn:picture", 70)]


def test_more_questions_at_a_time_than_may_wait_fail(store: Store, ask: TestClient, made: Any) -> None:
    for _ in range(8):
        store.recovery._waiting.acquire()
    assert is_problem(by_binding(ask, encoded(made.codes.instance)), 503) == "the index is busy"


def test_a_bad_question_does_not_have_the_index_read_again(store: Store, ask: TestClient, made: Any) -> None:
    assert names(by_binding(ask, encoded(made.codes.instance))) == [(made.label, 100)]
    before = store.recovery._opened
    is_problem(by_binding(ask, "AAAA"), 400)
    assert store.recovery._opened is before


# --- granted


def test_a_file_by_its_own_bytes_and_by_its_pixels_in_another_file(quiet: TestClient, made: Any) -> None:
    assert names(by_binding(quiet, encoded(made.codes.instance))) == [(made.label, 100)]
    scene = made.codes.scenes[0]
    assert names(by_binding(quiet, encoded(scene.instance))) == [(made.label, 100)]
    assert names(by_binding(quiet, encoded(scene.planes[0].instance))) == [(made.label, 100)]
    posted = quiet.post(BINDING, json={"alg": ALG, "value": encoded(made.codes.instance)}, params={"maxResults": 3})
    assert names(posted) == [(made.label, 100)]
    # As some write base64 in addresses.
    plain = encoded(made.codes.instance).rstrip("=").replace("+", "-").replace("/", "_")
    assert names(by_binding(quiet, plain)) == [(made.label, 100)]


def test_near_codes_by_their_distance_and_what_is_not_near(quiet: TestClient, made: Any) -> None:
    image = made.codes.scenes[0].views[0].image
    assert names(by_binding(quiet, encoded(image))) == [(made.label, 99)]
    assert names(by_binding(quiet, encoded(near(image, 64)))) == [(made.label, 50)]
    assert names(by_binding(quiet, encoded(near(image, 65)))) == []
    assert names(by_binding(quiet, encoded(near(image, 256)))) == [(made.label, 99)], "the negative"
    for data in (made.codes.data, made.codes.scenes[0].data):
        assert names(by_binding(quiet, encoded(data))) == [(made.label, 99)]
        assert names(by_binding(quiet, encoded(near(data, 85)))) == [(made.label, 33)]
        assert names(by_binding(quiet, encoded(near(data, 86)))) == []
        assert names(by_binding(quiet, encoded(near(data, 256)))) == []
    # The best of several counts, and units that are not known are passed over.
    assert names(by_binding(quiet, encoded("ISCC:AAAYPXW445FTYNJ3", near(image, 64), made.codes.data))) == [
        (made.label, 99)
    ]
    assert [code_score(bits) for bits in (0, 1, 64, 128, 256)] == [99, 99, 50, 0, 0]


def test_codes_of_too_little_to_see_match_nothing(quiet: TestClient) -> None:
    assert names(by_binding(quiet, base64.b64encode(b"\x21\x07" + bytes(32)).decode())) == []


def test_what_has_no_seal_is_not_told(quiet: TestClient, made: Any) -> None:
    scene = made.plain.scenes[0]
    for unit in (made.plain.instance, scene.instance, scene.data, scene.views[0].image):
        assert names(by_binding(quiet, encoded(unit))) == []


def test_a_seal_comes_back_byte_for_byte(quiet: TestClient, made: Any) -> None:
    answer = quiet.get(f"{BASE}/manifests/{made.label}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/c2pa")
    assert answer.content == made.store
    again = quiet.get(f"{BASE}/manifests/{made.label}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    alone = quiet.get(f"{BASE}/manifests/{made.label}", params={"returnActiveManifest": "true"})
    assert alone.content == made.store, "it holds one manifest"
    is_problem(quiet.get(f"{BASE}/manifests/{made.label}x"), 404)


def test_which_algorithms(quiet: TestClient) -> None:
    answer = quiet.get(f"{BASE}/services/supportedAlgorithms")
    assert answer.json() == {"watermarks": [], "fingerprints": [{"alg": ALG}]}


def test_hints(quiet: TestClient, made: Any, quick_search: list[Path]) -> None:
    exact = {"hintAlg": ALG, "hintValue": encoded(made.codes.instance)}
    assert names(quiet.post(CONTENT, **PICTURE, params=exact)) == [(made.label, 100)]
    assert quick_search == [], "a hint that is exact is the answer"
    alike = {"hintAlg": ALG, "hintValue": encoded(made.codes.scenes[0].views[0].image)}
    assert names(quiet.post(CONTENT, **PICTURE, params=alike)) == [(made.label, 99), ("urn:picture", 70)]
    other = {"hintAlg": "com.example.watermark", "hintValue": "?"}
    assert names(quiet.post(CONTENT, **PICTURE, params=other)) == [("urn:picture", 70)]
    is_problem(quiet.post(CONTENT, **PICTURE, params={"hintAlg": ALG, "hintValue": "?"}), 400)


def test_a_picture_cropped_and_packed_as_jpeg_is_found(
    store: Store, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    shown = io.BytesIO()
    Image.fromarray((texture(1)[10:110, 5:130] >> 8).astype(np.uint8)).save(shown, "JPEG", quality=90)
    picture = store.folder / "asked.jpg"
    picture.write_bytes(shown.getvalue())
    with PictureIndex.open(store.folder / "pictures") as index:
        ((label, score),) = [(one.label, one.score) for one in recover.Recovery(index).by_content(picture)]
    assert label == made.label
    assert 50 < score < 100


@pytest.mark.soak
def test_a_picture_is_looked_for_in_a_process_of_its_own(ask: TestClient, store: Store, made: Any) -> None:
    body = (made.folder / "sealed.tif").read_bytes()
    answer = ask.post(CONTENT, content=body, headers={"Content-Type": "image/tiff"})
    assert names(answer) == [(made.label, 100)]
    deleted(store.folder / "pictures")
    answer = ask.post(CONTENT, content=body, headers={"Content-Type": "image/tiff"})
    assert is_problem(answer, 503) == "the index cannot be used just now"


def test_the_desk_knows_no_other_error(store: Store) -> None:
    def wrong(_: object) -> None:
        msg = "of another kind"
        raise Error(msg)

    with pytest.raises(Error, match="of another kind"):
        store.recovery.ask(wrong)
