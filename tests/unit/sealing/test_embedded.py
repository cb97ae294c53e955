"""Seals inside PNG and JPEG files: found where they are, and nothing else left out of the hash."""

from __future__ import annotations

import hashlib
import runpy
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from rawtrace.errors import InputNotFoundError, SealUnreadableError
from rawtrace.sealing.datahash import DataHash, check_embedded_binding, check_sidecar_binding, read_data_hash
from rawtrace.sealing.embedded import embedded_store
from rawtrace.sealing.manifest import read_store
from rawtrace.sealing.problem import Problem

HERE = Path(__file__).parent
f = SimpleNamespace(**runpy.run_path(str(HERE / "forge.py")))
library = SimpleNamespace(**runpy.run_path(str(HERE / "library.py")))
LAB = library.Lab()
TYPES = {"png": "image/png", "jpg": "image/jpeg"}


@pytest.fixture(scope="module", params=sorted(TYPES))
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def plain(kind, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("images") / f"figure.{kind}"
    Image.new("RGB", (40, 30), (9, 99, 200)).save(path)
    return path


@pytest.fixture(scope="module")
def sealed(kind, plain) -> tuple[bytes, bytes]:
    return library.embed(LAB, plain, TYPES[kind])


def check(path: Path) -> Problem | None:
    data, ranges = embedded_store(path)
    (binding,) = read_store(data).active_manifest.bindings
    return check_embedded_binding(path, binding, ranges)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), name) + data + zlib.crc32(name + data).to_bytes(4, "big")


def app11(part: bytes, *, instance: int = 1, sequence: int = 1) -> bytes:
    content = struct.pack(">2sHI", b"JP", instance, sequence) + part
    return b"\xff\xeb" + (len(content) + 2).to_bytes(2, "big") + content


def split(store: bytes, size: int, **options) -> bytes:
    """The APP11 segments of a store, its box header repeated in each."""
    parts = [store[8:][at : at + size] for at in range(0, len(store) - 8, size)]
    return b"".join(app11(store[:8] + part, sequence=number, **options) for number, part in enumerate(parts, 1))


def test_found_as_the_library_put_it(tmp_path, kind, sealed):
    store, file = sealed
    path = tmp_path / f"a.{kind}"
    path.write_bytes(file)
    data, ranges = embedded_store(path)
    assert data == store
    assert read_store(data).active_manifest.problems == ()
    (((start, end)),) = ranges
    assert end - start > len(store)
    assert check(path) is None


def test_large_store_in_many_jpeg_segments(tmp_path):
    image = tmp_path / "a.jpg"
    Image.new("RGB", (40, 30)).save(image)
    made = library.definition(b"", ({"label": "org.example.sample", "data": {"t": "x" * 300_000}},))
    del made["assertions"][-1]
    store, file = LAB.sign(made, source=image.read_bytes(), media_type="image/jpeg")
    image.write_bytes(file)
    data, ranges = embedded_store(image)
    assert data == store
    assert len(ranges) == 1
    assert check(image) is None


def test_no_seal(tmp_path, plain):
    assert embedded_store(plain) is None
    other = tmp_path / "a.tif"
    other.write_bytes(b"II*\0" + bytes(100))
    assert embedded_store(other) is None
    other.write_bytes(b"")
    assert embedded_store(other) is None


def test_missing_file_fail(tmp_path):
    with pytest.raises(InputNotFoundError):
        embedded_store(tmp_path / "absent.png")


def test_changed_and_appended_bytes_fail(tmp_path, kind, sealed):
    path = tmp_path / f"a.{kind}"
    bent = bytearray(sealed[1])
    bent[-20] ^= 1
    path.write_bytes(bytes(bent))
    assert check(path).code == "bytes-changed"
    path.write_bytes(sealed[1] + b"junk behind the end")
    assert check(path).code == "bytes-changed"


def test_every_truncation_is_no_seal_or_one_sentence_or_a_change_fail(tmp_path, kind, sealed):
    path = tmp_path / f"a.{kind}"
    for size in range(0, len(sealed[1]), 7):
        path.write_bytes(sealed[1][:size])
        try:
            if embedded_store(path) is not None:
                assert check(path).code == "bytes-changed"
        except SealUnreadableError:
            pass


def test_data_hidden_beside_the_seal_fail(tmp_path, kind, sealed, plain):
    """The binding leaves out more than the manifest; whatever is put there would go unseen."""
    path = tmp_path / f"a.{kind}"
    path.write_bytes(sealed[1])
    data, ranges = embedded_store(path)
    (binding,) = read_store(data).active_manifest.bindings
    for wider in (
        ((ranges[0][0], ranges[0][1] - 1),),
        ((ranges[0][0] - 1, ranges[0][1]),),
        (*ranges, (ranges[0][1] + 5, ranges[0][1] + 9)),
        (),
    ):
        assert check_embedded_binding(path, binding, wider).code == "data-outside-seal"


def test_two_seals_in_one_file_fail(tmp_path):
    png = tmp_path / "a.png"
    Image.new("RGB", (4, 3)).save(png)
    data = png.read_bytes()
    two = data[:33] + chunk(b"caBX", f.store()) + chunk(b"caBX", f.store()) + data[33:]
    png.write_bytes(two)
    with pytest.raises(SealUnreadableError, match="two seals"):
        embedded_store(png)
    jpeg = tmp_path / "a.jpg"
    jpeg.write_bytes(b"\xff\xd8" + split(f.store(), 900) + split(f.store(), 900, instance=2) + b"\xff\xd9")
    with pytest.raises(SealUnreadableError, match="2 seals"):
        embedded_store(jpeg)


def test_png_seal_with_a_wrong_checksum_or_length_fail(tmp_path):
    path = tmp_path / "a.png"
    good = chunk(b"caBX", f.store())
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + good[:-1] + bytes((good[-1] ^ 1,)))
    with pytest.raises(SealUnreadableError, match="checksum"):
        embedded_store(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffcaBX")
    with pytest.raises(SealUnreadableError, match="at most"):
        embedded_store(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + good[:200])
    with pytest.raises(SealUnreadableError, match="ends within"):
        embedded_store(path)


def test_png_seal_behind_the_end_is_none(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b"") + chunk(b"caBX", f.store()))
    assert embedded_store(path) is None


def test_jpeg_parts_apart_from_each_other(tmp_path):
    store = f.store()
    one, two = store[8:700], store[700:]
    comment = b"\xff\xfe\x00\x06text"
    path = tmp_path / "a.jpg"
    made = b"\xff\xd8" + app11(store[:8] + one) + comment + b"\xff" + app11(store[:8] + two, sequence=2) + b"\xff\xd9"
    path.write_bytes(made)
    data, ranges = embedded_store(path)
    assert data == store
    assert len(ranges) == 2
    assert made[ranges[0][1] : ranges[1][0]] == comment + b"\xff"


@pytest.mark.parametrize("order", [(1, 3), (2, 1), (1, 1), (0, 1), (1, 0xFFFFFFFF)])
def test_jpeg_parts_that_do_not_fit_together_fail(tmp_path, order):
    store = f.store()
    parts = (store[8:700], store[700:])
    path = tmp_path / "a.jpg"
    segments = b"".join(app11(store[:8] + part, sequence=number) for part, number in zip(parts, order, strict=True))
    path.write_bytes(b"\xff\xd8" + segments + b"\xff\xd9")
    with pytest.raises(SealUnreadableError, match="part"):
        embedded_store(path)


def test_jpeg_boxes_of_others_are_passed_over(tmp_path):
    """Other standards keep JUMBF boxes in APP11, too, and whether those are sound is not for us to say."""
    other = f.superbox(b"jp36", "other", f.box(b"json", b"{}" * 900))
    path = tmp_path / "a.jpg"
    broken = app11(other[:8] + other[8:500], instance=2, sequence=5)
    short = b"\xff\xeb\x00\x04JP"
    path.write_bytes(b"\xff\xd8" + broken + short + split(f.store(), 800) + b"\xff\xd9")
    assert embedded_store(path)[0] == f.store()
    path.write_bytes(b"\xff\xd8" + broken + short + b"\xff\xd9")
    assert embedded_store(path) is None


def test_jpeg_with_more_segments_than_are_accepted_fail(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8" + b"\xff\xeb\x00\x02" * 5000 + b"\xff\xd9")
    with pytest.raises(SealUnreadableError, match="4096"):
        embedded_store(path)


# --- the binding itself


def assertion(**said):
    made = f.data_hash(**said)
    return read_store(f.store(f.manifest([made]))).active_manifest.bindings[0]


def test_sidecar_binding():
    digest = hashlib.sha256(f.ASSET).digest()
    assert check_sidecar_binding(assertion(), sha256=digest) is None
    assert check_sidecar_binding(assertion(), sha256=bytes(32)).code == "bytes-changed"
    hidden = assertion(exclusions=[{"start": 0, "length": 4}])
    assert check_sidecar_binding(hidden, sha256=digest).code == "exclusions-in-sidecar"
    empty = assertion(exclusions=[{"start": 0, "length": 0}])
    assert check_sidecar_binding(empty, sha256=digest) is None, "other programs write this where nothing is left out"
    assert check_sidecar_binding(assertion(alg="sha512"), sha256=digest).code == "unsupported-algorithm"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"hash": b"short"}, "binding-unreadable"),
        ({"hash": "text"}, "binding-unreadable"),
        ({"exclusions": 7}, "binding-unreadable"),
        ({"exclusions": [7]}, "binding-unreadable"),
        ({"exclusions": [{"start": -1, "length": 1}]}, "binding-unreadable"),
        ({"exclusions": [{"start": 0, "length": -1}]}, "binding-unreadable"),
        ({"exclusions": [{"start": True, "length": 1}]}, "binding-unreadable"),
        ({"exclusions": [{"start": 0, "length": 5}, {"start": 4, "length": 5}]}, "binding-unreadable"),
        ({"exclusions": [{"start": 9 * n, "length": 1} for n in range(65)]}, "binding-unreadable"),
    ],
)
def test_binding_that_says_nothing_useful_fail(said, code):
    found = read_data_hash(assertion(**said))
    assert isinstance(found, Problem)
    assert found.code == code
    assert check_sidecar_binding(assertion(**said), sha256=bytes(32)).code == code


def test_algorithm_of_the_claim_holds_where_the_binding_names_none():
    made = f.cbor_assertion("c2pa.hash.data", {"hash": hashlib.sha384(f.ASSET).digest()})
    binding = read_store(f.store(f.manifest([made]))).active_manifest.bindings[0]
    assert isinstance(read_data_hash(binding), Problem)
    assert read_data_hash(binding, claim_algorithm="sha384").algorithm == "sha384"
    weak = f.cbor_assertion("c2pa.hash.data", {"hash": b"x", "alg": "md5"})
    assert (
        read_data_hash(read_store(f.store(f.manifest([weak]))).active_manifest.bindings[0]).code
        == "unsupported-algorithm"
    )


def test_exclusions_that_touch_are_one_range(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"head....SEALtail")
    said = assertion(asset=b"head....tail", exclusions=[{"start": 10, "length": 2}, {"start": 8, "length": 2}])
    assert read_data_hash(said) == DataHash("sha256", hashlib.sha256(b"head....tail").digest(), ((8, 12),))
    assert check_embedded_binding(path, said, ((8, 12),)) is None
    path.write_bytes(b"head....seal" + b"TAIL")
    assert check_embedded_binding(path, said, ((8, 12),)).code == "bytes-changed"
    with pytest.raises(InputNotFoundError):
        check_embedded_binding(tmp_path / "absent", said, ((8, 12),))
