"""Our checkpoints before another project's witness, and another project's log before our witness and mirror."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from toolbox import Toolbox

from notes import ORIGIN, Tree, numbered, request, signer, witness
from peers import Peer, serving
from rawtrace.database import open_database
from rawtrace.errors import LedgerError
from rawtrace.ledger import merkle, mirror
from rawtrace.ledger.checkpoint import open_checkpoint, sign_checkpoint
from rawtrace.ledger.cosigning import PolicyCosigner
from rawtrace.ledger.mirror import Mirror
from rawtrace.ledger.note import ED25519, ED25519_COSIGNATURE, NoteSignature, NoteSigner, VerifierKey, sign_note
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.tiles import Tiles, tiles_of
from rawtrace.ledger.witness import Witness, origin_hash
from rawtrace.web import Web

pytestmark = pytest.mark.interop

LOG, OTHER = signer(), signer("other.example.org")
TREE = Tree(numbered(600))
FORK = Tree([*numbered(4), b"another", *numbered(595, start=5)])


def _checkpoint(size: int, tree: Tree = TREE) -> bytes:
    return sign_checkpoint(tree.checkpoint(size), LOG)


def _prove(size: int, tree: Tree = TREE) -> Callable[[int], Sequence[bytes]]:
    return lambda old: merkle.consistency_proof(old, size, tree.read)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def _started(command: Sequence[str], ready: Callable[[], bool], **options: Any) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    try:
        end = time.monotonic() + 20
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                pytest.fail(f"{command[0]} does not start: {process.communicate()[0][-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture
def litewitness(toolbox: Toolbox, need: Callable[[str], None], tmp_path: Path) -> Iterator[tuple[str, VerifierKey]]:
    """Run litewitness, which knows our log; its address and key."""
    need("litewitness")
    if sys.platform == "win32" or not shutil.which("ssh-agent"):
        pytest.skip("litewitness takes its key from ssh-agent, which is not here")
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    name = "litewitness.example.org"
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    key_file = tmp_path / "key"
    key_file.touch(mode=0o600)
    key_file.write_bytes(pem)
    database = tmp_path / "litewitness.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        # What `witnessctl add-log` and `add-key` write.
        connection.executescript(
            "CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);"
            "CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));"
        )
        empty = base64.b64encode(merkle.EMPTY_ROOT).decode()
        connection.execute("INSERT INTO log VALUES (?, 0, ?)", (ORIGIN, empty))
        connection.execute("INSERT INTO key VALUES (?, ?)", (ORIGIN, LOG.key.text))
    agent, port = tmp_path / "agent", _free_port()
    command = [toolbox.path_of("litewitness"), "-ssh-agent", f"{agent}", "-name", name, "-db", f"{database}"]
    command += ["-key", hashlib.sha256(public).hexdigest(), "-listen", f"127.0.0.1:{port}"]
    with _started(["ssh-agent", "-D", "-a", f"{agent}"], agent.exists):
        environment = {**os.environ, "SSH_AUTH_SOCK": f"{agent}"}
        subprocess.run(["ssh-add", "-q", f"{key_file}"], env=environment, check=True, capture_output=True, timeout=20)
        with _started(command, lambda: _answers(port)):
            yield f"http://127.0.0.1:{port}", VerifierKey(name, ED25519_COSIGNATURE, public)


@pytest.mark.parametrize("_program", ["litewitness"])
def test_another_witness_cosigns_our_checkpoints(_program: str, litewitness: tuple[str, VerifierKey]) -> None:
    url, key = litewitness
    policy = Policy.parse(f"log {LOG.key.text}\nwitness lite {key.text} {url}\nquorum lite\n")
    cosigner = PolicyCosigner(policy, wait_s=20)
    try:
        for old, new in ((0, 1), (1, 5), (5, 5), (5, 300), (7, 600)):
            note = cosigner.collect(
                _checkpoint(new), old, merkle.consistency_proof(old, new, TREE.read), prove=_prove(new)
            )
            checked = policy.check(note)
            assert checked.checkpoint.size == new
            assert checked.time_s is not None
            assert abs(checked.time_s - time.time()) < 60
        assert [one.agrees for one in cosigner.ask(_checkpoint(600), prove=_prove(600))] == [True]
        for behind, tree in ((300, TREE), (600, FORK)):
            with pytest.raises(LedgerError):
                cosigner.ask(_checkpoint(behind, tree), prove=_prove(behind, tree))
    finally:
        cosigner.close()


@pytest.mark.parametrize("_program", ["litewitness"])
def test_both_witnesses_answer_alike(_program: str, litewitness: tuple[str, VerifierKey], tmp_path: Path) -> None:
    url, _ = litewitness
    bad = NoteSignature(LOG.name, LOG.key.key_id, bytes(64)).line.encode()
    proof = merkle.consistency_proof(5, 8, TREE.read)
    # Two things that the specification forbids and litewitness lets pass are not asked: a proof where the old size is
    # 0, and a bad signature after a good one of the same key.
    questions = [
        ("a checkpoint before any other, from a size", request(3, (), _checkpoint(5)), 409),
        ("another's key", request(0, (), sign_checkpoint(TREE.checkpoint(5), OTHER)), 403),
        ("a known key that fails", request(0, (), sign_note(TREE.checkpoint(5).text, OTHER) + bad), 403),
        ("another log", request(0, (), sign_checkpoint(TREE.checkpoint(5, origin=OTHER.name), OTHER)), 404),
        ("the first", request(0, (), _checkpoint(5)), 200),
        ("the same", request(5, (), _checkpoint(5)), 200),
        ("another tree of that size", request(5, (), _checkpoint(5, FORK)), 422),
        ("an old size that is larger", request(9, (), _checkpoint(8)), 400),
        ("an old size that is smaller", request(4, (), _checkpoint(8)), 409),
        ("no proof", request(5, (), _checkpoint(8)), 422),
        ("half a proof", request(5, proof[:-1], _checkpoint(8)), 422),
        ("a fork", request(5, merkle.consistency_proof(5, 8, FORK.read), _checkpoint(8, FORK)), 422),
        ("what follows", request(5, proof, _checkpoint(8)), 200),
        ("what came before", request(5, (), _checkpoint(5)), 409),
        ("nonsense", b"nonsense", 400),
    ]
    with open_database(tmp_path / "ours.sqlite") as database, Web() as web:
        database.prepare(mirror.TABLES)
        ours = Witness(database, witness(), lambda origin: [LOG.key] if origin == ORIGIN else [])
        answers = {}
        for what, body, status in questions:
            theirs = web.post(f"{url}/add-checkpoint", body, content_type="text/plain")
            mine = ours.add_checkpoint(body)
            answers[what] = (theirs.status, mine.status, status)
            if status == 409:
                assert theirs.body == mine.body
                assert theirs.media_type == mine.media_type
        assert {what: found for what, found in answers.items() if len(set(found)) > 1} == {}


@pytest.fixture
def tessera(toolbox: Toolbox, need: Callable[[str], None], tmp_path: Path) -> Iterator[tuple[str, VerifierKey]]:
    """Run a Tessera log on this machine's files; its address and key."""
    need("tessera-posix")
    private = Ed25519PrivateKey.generate()
    key = VerifierKey("tessera.example.org/log", ED25519, private.public_key().public_bytes_raw())
    seed = base64.b64encode(b"\x01" + private.private_bytes_raw()).decode()
    key_file = tmp_path / "tessera.key"
    key_file.touch(mode=0o600)
    key_file.write_text(f"PRIVATE+KEY+{key.name}+{key.key_id.hex()}+{seed}")
    port = _free_port()
    command = [toolbox.path_of("tessera-posix"), "--storage_dir", f"{tmp_path / 'tessera'}"]
    command += ["--listen", f"127.0.0.1:{port}", "--private_key", f"{key_file}"]
    with _started(command, lambda: _answers(port)):
        yield f"http://127.0.0.1:{port}", key


class _Remote:
    """Another log's tiles, as our mirror's client wants them."""

    def __init__(self, web: Web, url: str) -> None:
        self._web, self._url = web, url

    def read(self, path: str, *, size: int) -> bytes | None:
        answer = self._web.get(f"{self._url}/{path}", limit=1 << 22)
        return answer.body if answer.status == 200 else None


@pytest.mark.parametrize("_program", ["tessera-posix"])
def test_our_witness_and_mirror_take_another_log(
    _program: str, tessera: tuple[str, VerifierKey], tmp_path: Path
) -> None:
    url, key = tessera

    def keys(origin: str) -> list[VerifierKey]:
        return [key] if origin == key.name else []

    def cosigner_of(peer: Peer, name: str, one: NoteSigner) -> str:
        return f"witness {name} {one.key.text} {peer.url}"

    with contextlib.ExitStack() as stack:
        web = stack.enter_context(Web())
        database = stack.enter_context(open_database(tmp_path / "ours.sqlite"))
        database.prepare(mirror.TABLES)
        names = {"w": witness("w.example.org"), "m": witness("m.example.org")}
        copy = Mirror(database, names["m"], keys)
        peers = {"w": Peer(Witness(database, names["w"], keys)), "m": Peer(copy)}
        lines = [cosigner_of(stack.enter_context(serving(peers[name])), name, names[name]) for name in peers]
        policy = Policy.parse("\n".join([f"log {key.text} {url}", *lines, "group both all w m", "quorum both"]))
        cosigner = PolicyCosigner(policy, source=_Remote(web, url), wait_s=30)
        stack.callback(cosigner.close)
        old = 0
        for upto in (40, 300):
            with ThreadPoolExecutor(max_workers=64) as pool:
                adding = [
                    pool.submit(web.post, f"{url}/add", b"record %d" % number, content_type="text/plain")
                    for number in range(old, upto)
                ]
                assert {one.result().status for one in adding} == {200}
            note = _published(web, url, key, upto)
            size = open_checkpoint(note, [key])[0].size
            tiles = Tiles(_reader(web, url), size)
            signed = cosigner.collect(note, old, tiles.consistency_proof(old), prove=tiles.consistency_proof)
            checked = policy.check(signed)
            assert (checked.checkpoint.size, len(checked.cosignatures)) == (size, 2)
            old = size
        for tile in tiles_of(old):
            assert copy.tile(origin_hash(key.name), tile.text) == _reader(web, url)(tile.text)
        assert copy.tile(origin_hash(key.name), "tile/entries/000") == _reader(web, url)("tile/entries/000")


def _reader(web: Web, url: str) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        answer = web.get(f"{url}/{path}", limit=1 << 22)
        assert answer.status == 200, path
        return answer.body

    return read


def _published(web: Web, url: str, key: VerifierKey, size: int) -> bytes:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        answer = web.get(f"{url}/checkpoint")
        if answer.status == 200 and open_checkpoint(answer.body, [key])[0].size >= size:
            return answer.body
        time.sleep(0.1)
    pytest.fail("the log does not publish what it took")
