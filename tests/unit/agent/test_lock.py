"""One agent per state file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rawtrace.agent import lock
from rawtrace.agent.lock import StateLock, holder_of, lock_path
from rawtrace.errors import OutboxError, UnwritableError


def test_a_second_agent_is_refused_and_told_who_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_TRIES_S", 0.0)
    state = tmp_path / "agent.sqlite"
    with StateLock(state), pytest.raises(OutboxError, match=rf"process {os.getpid()}\) already uses"):
        StateLock(state)
    with StateLock(state):
        assert holder_of(state) == os.getpid()


def test_nobody_holds_a_lock_that_was_let_go(tmp_path: Path) -> None:
    state = tmp_path / "agent.sqlite"
    assert holder_of(state) is None
    held = StateLock(state)
    held.release()
    held.release()
    assert lock_path(state).is_file()
    assert holder_of(state) is None


def test_a_shorter_number_leaves_no_digits_of_a_longer_one(tmp_path: Path) -> None:
    state = tmp_path / "agent.sqlite"
    lock_path(state).write_bytes(b"123456789012\n")
    with StateLock(state):
        assert lock_path(state).read_bytes() == b"%d\n" % os.getpid()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises((UnwritableError, Exception), match="writing"):
        StateLock(tmp_path / "none" / "agent.sqlite")
