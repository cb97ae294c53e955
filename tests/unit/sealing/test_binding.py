import hashlib
import io
import os
from pathlib import Path

import pytest

from rawtrace.errors import ChangedWhileReadError, InputNotFoundError, UnreadableError
from rawtrace.sealing import binding
from rawtrace.sealing.binding import bind_file, confirm_unchanged


class Writer:
    """A progress observer that writes to the file while it is being read."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path, self._data = path, data

    def start(self, label: str, total: int | None) -> None:
        pass

    def advance(self, amount: int) -> None:
        with self._path.open("ab") as stream:
            stream.write(self._data)

    def finish(self) -> None:
        pass


@pytest.mark.parametrize("size", [0, 1, binding.READ_BYTES, binding.READ_BYTES + 1])
def test_digest_is_that_of_the_whole_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(os.urandom(size))
    bound = bind_file(path)
    assert bound.sha256 == hashlib.sha256(path.read_bytes()).digest()
    assert bound.size == size


def test_file_that_grows_while_read_is_refused_fail(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"x" * (binding.READ_BYTES + 5))
    with pytest.raises(ChangedWhileReadError, match="changed while it was being read"):
        bind_file(path, progress=Writer(path, b"more"))


def test_file_that_is_replaced_while_read_is_refused_fail(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"x" * 10)

    class Replacer(Writer):
        def advance(self, amount: int) -> None:
            other = tmp_path / "other"
            other.write_bytes(b"y" * 10)
            other.replace(path)

    with pytest.raises(ChangedWhileReadError):
        bind_file(path, progress=Replacer(path, b""))


def test_change_after_reading_is_noticed_fail(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"before")
    bound = bind_file(path)
    confirm_unchanged(path, bound)
    path.write_bytes(b"after!")
    os.utime(path, ns=(1, bound.fingerprint.mtime_ns + 1))
    with pytest.raises(ChangedWhileReadError):
        confirm_unchanged(path, bound)


def test_missing_file_and_folder_are_named_fail(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="does not exist"):
        bind_file(tmp_path / "nothing")
    with pytest.raises(UnreadableError):
        bind_file(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_does_not_hang_fail(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableError, match="not a regular file"):
        bind_file(tmp_path / "pipe")


def test_hashing_reads_every_chunk() -> None:
    digest, length = binding._hash_stream(io.BytesIO(b"ab" * 7), 14, binding.SILENT)
    assert (digest, length) == (hashlib.sha256(b"ab" * 7).digest(), 14)
