"""One server for each store: a second one is refused, and one in the background is found again and ended."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from rawtrace.cli.main import run_for_code
from rawtrace.errors import StoreError
from rawtrace.server import background
from stores import found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_two_servers_of_one_store_fail(tmp_path: Path) -> None:
    with background.alone(tmp_path):
        with pytest.raises(StoreError, match=f"runs already \\(process {os.getpid()}\\)"), background.alone(tmp_path):
            pass
        assert background.running(tmp_path)
    with background.alone(tmp_path):
        pass


def test_a_number_that_a_dead_server_left_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / background.PID_FILE).write_text(f"{os.getpid()}\n")
    assert not background.end(tmp_path)


@pytest.mark.parametrize("text", ["", "0", "1", "-1", "x"])
def test_a_file_that_holds_no_process_ends_nobody_fail(tmp_path: Path, text: str) -> None:
    with background.alone(tmp_path):
        (tmp_path / background.PID_FILE).write_text(text)
        with pytest.raises(StoreError, match="does not hold the number"):
            background.end(tmp_path)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    folder = found(tmp_path / "store")
    (folder / "store.toml").write_text("nonsense = 1\n")
    with pytest.raises(StoreError, match=r"did not start: .*nonsense") as caught:
        background.begin(folder, [])
    assert "rawtrace:" not in caught.value.message
    assert caught.value.hint


def test_a_port_that_is_taken_is_said_fail(tmp_path: Path) -> None:
    folder = found(tmp_path / "store")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        with pytest.raises(StoreError, match=r"the port .* cannot be had") as caught:
            background.begin(folder, [f"--port={one.getsockname()[1]}"])
    assert "listen.port" in caught.value.hint


def test_a_server_that_was_ended_has_closed_its_database(tmp_path: Path) -> None:
    """Else a copy of ``store.sqlite`` alone would lack what is still in the write-ahead log beside it."""
    folder = found(tmp_path / "store")
    background.begin(folder, [f"--port={free_port()}"])
    assert background.end(folder)
    assert not (folder / "store.sqlite-wal").exists()


def test_begin_and_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = found(tmp_path / "store")
    port = free_port()
    assert run_for_code(["serve", "--store", str(folder), "--port", str(port), "--background"]) == 0
    try:
        assert capsys.readouterr().out == f"http://127.0.0.1:{port}\n"
        assert run_for_code(["serve", "--store", str(folder), "--background"]) == 1
        assert "runs already" in capsys.readouterr().err
    finally:
        assert run_for_code(["serve", "--store", str(folder), "--stop"]) == 0
    assert capsys.readouterr().out == "ended\n"
    assert run_for_code(["serve", "--store", str(folder), "--stop"]) == 0
    assert "no server" in capsys.readouterr().out
