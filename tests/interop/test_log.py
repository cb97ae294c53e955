"""Our exported log before another project's checker: it finds whole what is whole, and damaged what is not."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from toolbox import Toolbox

from logs import ORIGIN, SIGNER, fill, flip, make_signer, open_log
from rawtrace.database import open_database
from rawtrace.ledger.audit import audit
from rawtrace.ledger.export import export
from rawtrace.ledger.sources import read_database, read_folder

pytestmark = pytest.mark.interop
_SECONDS = 20


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An export; filled by ``exported``."""
    return tmp_path / "tree"


@pytest.fixture
def fsck(toolbox: Toolbox, need: Callable[[str], None], tree: Path, tmp_path: Path) -> Iterator[Callable[[], bool]]:
    """Ask Tessera's fsck over loopback whether the exported log is whole."""
    need("tessera-fsck")
    tree.mkdir()
    key = tmp_path / "vkey"
    key.write_text(f"{SIGNER.key.text}\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tree)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def check() -> bool:
        command = [toolbox.path_of("tessera-fsck"), f"--storage_url=http://127.0.0.1:{server.server_port}/"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                [*command, f"--public_key={key}", "--ui=false", "--N=2"],
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
            # Its exit code is 0 in any case; a log that is damaged may also leave it waiting for ever.
            return done.returncode == 0 and "Successfully fsck'd" in done.stderr
        return False

    yield check
    server.shutdown()
    server.server_close()
    thread.join()


def exported(tree: Path, size: int) -> None:
    with open_database(tree.parent / f"{size}.sqlite") as database:
        with open_log(database, max_queue=100_000) as log:
            fill(log, 0, size)
        with read_database(database, ORIGIN) as read:
            export(read, tree)


@pytest.mark.parametrize("_program", ["tessera-fsck"])
@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700, 65_537 + 300])
def test_exported_log_is_whole(_program: str, fsck: Callable[[], bool], tree: Path, size: int) -> None:
    exported(tree, size)
    assert fsck()
    assert audit(read_folder(tree), key=SIGNER.key).sound


@pytest.mark.parametrize("_program", ["tessera-fsck"])
@pytest.mark.parametrize(
    "damaged",
    ["tile/entries/001", "tile/entries/002.p/188", "tile/0/000", "tile/1/000.p/2", "checkpoint"],
)
def test_damage_is_found_by_both(_program: str, fsck: Callable[[], bool], tree: Path, damaged: str) -> None:
    exported(tree, 700)
    flip(tree / damaged, 50)
    assert not fsck()
    assert not audit(read_folder(tree), key=SIGNER.key).sound


@pytest.mark.parametrize("_program", ["tessera-fsck"])
def test_another_key_is_refused_by_both(_program: str, fsck: Callable[[], bool], tree: Path, tmp_path: Path) -> None:
    exported(tree, 10)
    other = make_signer().key
    (tmp_path / "vkey").write_text(f"{other.text}\n")
    assert not fsck()
    assert not audit(read_folder(tree), key=other).sound
