"""What the C2PA library does by itself and must not do to us; one test a trap, so that an upgrade shows which is back.

Where it can be shown, the test first proves that the trap is there: that the
library, left alone, falls into it.
"""

from __future__ import annotations

import http.server
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import c2pa
import pytest
from PIL import Image

from rawtrace.errors import EnvelopeError, KeyUnavailableError, LimitError
from rawtrace.report import Verdict
from rawtrace.sealing import envelope, manifest
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity
from rawtrace.trust.trustlist import TrustList
from rawtrace.verification.verify import verify

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def definition(*statements: dict[str, Any], digest: Any = None) -> dict[str, Any]:
    digest = list(bytes.fromhex(EMPTY)) if digest is None else digest
    uri = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    return {
        "claim_generator_info": [{"name": "test", "version": "1"}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": uri}]}},
            *statements,
            {"label": "c2pa.hash.data", "data": {"name": "file", "alg": "sha256", "hash": digest, "pad": []}},
        ],
    }


def sign(signer: Identity, *statements: dict[str, Any], **options: Any) -> bytes:
    return envelope.sign_sidecar(definition(*statements, **options), signer)


def said(store: bytes) -> dict[str, Any]:
    return {one.label: one for one in manifest.read_store(store).active_manifest.assertions}


def statement(**data: Any) -> dict[str, Any]:
    return {"label": "org.rawtrace.acquisition", "data": data}


# --- the network --------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Any]:
    """A web server on loopback that counts what it is asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield SimpleNamespace(asked=asked, url=f"http://127.0.0.1:{running.server_port}/seal.c2pa")
        running.shutdown()
        thread.join()


def test_no_seal_is_fetched_from_an_address_that_a_file_names(
    server: Any, instrument: Identity, tmp_path: Path
) -> None:
    source, out = io.BytesIO(), io.BytesIO()
    Image.new("L", (8, 8)).save(source, "PNG")
    builder = c2pa.Builder(json.dumps(definition()), envelope._reading_context())
    builder.set_no_embed()
    builder.set_remote_url(server.url)
    source.seek(0)
    with envelope._library_signer(instrument, []) as native:
        builder.sign(native, "image/png", source, out)
    assert server.url.encode() in out.getvalue()

    with pytest.raises(c2pa.C2paError):
        c2pa.Reader("image/png", io.BytesIO(out.getvalue()), context=c2pa.Context())
    assert server.asked, "left alone, the library fetches; without this the rest of the test proves nothing"
    server.asked.clear()

    word = envelope.library_word(None, asset=io.BytesIO(out.getvalue()), media_type="image/png")
    path = tmp_path / "figure.png"
    path.write_bytes(out.getvalue())
    assert not word.readable
    assert verify(path, trust=()).verdict is Verdict.NO_SEAL
    assert server.asked == []


# --- what is stored -----------------------------------------------------------------------------------------------


def test_lists_of_numbers_survive_in_our_reader(instrument: Identity) -> None:
    numbers = {"short": [1, 300], "real": [1.5, 2.5], "bytes": [0, 255], "mixed": [1, 2.5, "x", None, True]}
    store = sign(instrument, statement(**numbers))
    assert said(store)["org.rawtrace.acquisition"].data == numbers


@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
def test_numbers_beyond_64_bits_are_refused_in_words_fail(instrument: Identity, number: int) -> None:
    with pytest.raises(EnvelopeError, match="did not sign"):
        sign(instrument, statement(n=number))


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
def test_the_largest_numbers_are_kept(instrument: Identity, number: int) -> None:
    assert said(sign(instrument, statement(n=number)))["org.rawtrace.acquisition"].data["n"] == number


def test_the_digest_is_stored_as_bytes_and_a_text_would_not_be(instrument: Identity) -> None:
    assert said(sign(instrument))["c2pa.hash.data"].data["hash"] == bytes.fromhex(EMPTY)
    as_text = said(sign(instrument, digest=EMPTY))["c2pa.hash.data"].data["hash"]
    assert as_text != bytes.fromhex(EMPTY), "the library has begun to read text; our lists of integers can go"


def test_two_data_hashes_are_signed_by_the_library_and_not_kept_by_us_fail(
    instrument: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    once = envelope.sign_sidecar

    def twice(made: dict[str, Any], *a: Any, **o: Any) -> bytes:
        made["assertions"].append(made["assertions"][-1])
        return once(made, *a, **o)

    monkeypatch.setattr(envelope, "sign_sidecar", twice)
    with pytest.raises(EnvelopeError):
        seal(path, signer=instrument)
    assert not path.with_name("a.dat.c2pa").exists()


def test_our_statements_are_attested_and_others_would_not_be(instrument: Identity) -> None:
    store = sign(instrument, statement(version=1), {"label": "org.example.other", "data": {"x": 1}})
    created = {label: one.created for label, one in said(store).items()}
    assert created == {
        "c2pa.actions.v2": True,
        "org.rawtrace.acquisition": True,
        "org.example.other": False,
        "c2pa.hash.data": True,
    }


@pytest.mark.parametrize("name", ["a.tif", "a.btf", "a.pdf", "a.zip", "a.jpg", "a.svg", "a.mp4", "a.czi"])
def test_no_format_handler_touches_the_file(
    tmp_path: Path, instrument: Identity, trust_lists: tuple[TrustList, ...], name: str
) -> None:
    path = tmp_path / name
    heads = {".tif": b"II*\0", ".btf": b"II+\0\x08\0\0\0", ".pdf": b"%PDF-1.7", ".zip": b"PK\3\4", ".jpg": b"\xff\xd8"}
    data = heads.get(path.suffix, b"") + b"\xff\xfebroken on purpose"
    path.write_bytes(data)
    seal(path, signer=instrument)
    assert path.read_bytes() == data
    assert verify(path, trust=trust_lists).verdict is Verdict.VERIFIED_WITH_NOTES


# --- limits -------------------------------------------------------------------------------------------------------


def test_a_definition_of_more_than_a_mebibyte_is_refused_in_words_fail(instrument: Identity) -> None:
    with pytest.raises(LimitError, match="at most 1048576 fit"):
        sign(instrument, statement(text="x" * (1 << 20)))
    fits = (1 << 20) - len(json.dumps(definition(statement(text="")))) - 1
    assert len(said(sign(instrument, statement(text="x" * fits)))["org.rawtrace.acquisition"].data["text"]) == fits


def test_the_201st_generation_is_refused_in_words_fail(forge: Any, workstation: Identity) -> None:
    def derive(generations: int) -> bytes:
        store = forge.chain_of(generations)
        part = envelope.describe_ancestor(
            store, label="p", title="p.tif", media_type="image/tiff", relationship="parentOf", anchors=()
        )
        made = definition()
        made["assertions"][0]["data"]["actions"] = [{"action": "c2pa.opened", "parameters": {"ingredientIds": ["p"]}}]
        return envelope.sign_sidecar({**made, "ingredients": [part]}, workstation, ancestors={"p.c2pa": store})

    assert len(manifest.read_store(derive(199)).manifests) == 200
    for generations in (200, 201):  # signed by the library and not read by it; not even read
        with pytest.raises(LimitError, match="200 seals deep"):
            derive(generations)


# --- keys ---------------------------------------------------------------------------------------------------------


class TokenLike:
    """A key that cannot leave its place, as in a token."""

    def __init__(self, key: Any, error: Exception | None = None) -> None:
        self._key, self._error = key, error
        self.algorithm, self.protection = key.algorithm, key.protection

    def public_key(self) -> Any:
        return self._key.public_key()

    def sign(self, data: bytes) -> bytes:
        if self._error is not None:
            raise self._error
        return bytes(self._key.sign(data))

    def pkcs8_pem(self) -> None:
        return None


@pytest.mark.parametrize("kind", ["instrument", "instrument_es256"])
def test_a_key_that_cannot_leave_its_token_signs_by_callback(request: pytest.FixtureRequest, kind: str) -> None:
    signer = request.getfixturevalue(kind)
    store = sign(replace(signer, key=TokenLike(signer.key)))
    assert manifest.read_store(store).active_manifest.problems == ()


@pytest.mark.parametrize(
    "error", [KeyUnavailableError("the token was pulled out"), RuntimeError("the token was pulled out")]
)
def test_what_a_callback_raises_is_not_swallowed_fail(instrument: Identity, error: Exception) -> None:
    with pytest.raises(KeyUnavailableError, match="the token was pulled out") as caught:
        sign(replace(instrument, key=TokenLike(instrument.key, error)))
    assert caught.value.__cause__ is error


def test_the_key_of_another_certificate_makes_no_seal_fail(
    tmp_path: Path, instrument: Identity, workstation: Identity
) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    with pytest.raises(EnvelopeError):
        seal(path, signer=replace(instrument, key=TokenLike(workstation.key)))
    assert not path.with_name("a.dat.c2pa").exists()


# --- processes and threads ----------------------------------------------------------------------------------------


def test_a_context_is_made_once_per_process() -> None:
    envelope._context_in_process.cache_clear()
    assert envelope._reading_context() is envelope._reading_context()
    assert envelope._context_in_process(os.getpid() + 1, "") is not envelope._reading_context()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_seals_and_verifies(tmp_path: Path, instrument: Identity, authority: Path) -> None:
    script = """
import os, sys
from pathlib import Path
import rawtrace
place, identity, authority = map(Path, sys.argv[1:])
signer, trust = rawtrace.load_signer(identity), rawtrace.load_trust([authority])
def once(name):
    (place / name).write_bytes(b"data")
    rawtrace.seal(place / name, signer=signer)
    return rawtrace.verify(place / name, trust=trust).verdict == "verified-with-notes"
assert once("parent.dat")
child = os.fork()
if child == 0:
    try:
        os._exit(0 if once("child.dat") else 4)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    command = [sys.executable, "-W", "error", "-c", script, tmp_path, instrument.folder, authority]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_sixteen_threads_seal_and_verify(
    tmp_path: Path, instrument: Identity, trust_lists: tuple[TrustList, ...]
) -> None:
    def work(number: int) -> list[str]:
        path = tmp_path / f"{number}.dat"
        path.write_bytes(b"%d" % number)
        seal(path, signer=instrument)
        return [str(verify(path, trust=trust_lists).verdict) for _ in range(3)]

    with ThreadPoolExecutor(16) as threads:
        assert set(map(tuple, threads.map(work, range(64)))) == {("verified-with-notes",) * 3}


# --- whose word counts --------------------------------------------------------------------------------------------


def test_the_library_is_not_asked_about_trust(instrument: Identity, self_instrument: Identity) -> None:
    for signer in (instrument, self_instrument):
        word = envelope.library_word(sign(signer))
        assert (word.failures, word.readable) == ((), True)


def test_an_edited_seal_is_called_out_by_the_library_too(instrument: Identity) -> None:
    store = sign(instrument)
    assert envelope.library_word(store.replace(b"digitalCapture", b"digitalCapturf")).failures
    assert envelope.library_word(store[:-400]).failures
    garbage = envelope.library_word(b"garbage")
    assert (garbage.readable, bool(garbage.failures)) == (False, True)
