"""The file that keeps a restored log from forking."""

from __future__ import annotations

from pathlib import Path

import pytest

from logs import flip
from rawtrace.errors import AlreadyExistsError, Error, LedgerError, UnwritableError
from rawtrace.ledger.guard import Guard, Signed


def root(number: int) -> bytes:
    return bytes([number]) * 32


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    made = Guard(tmp_path / "guard", "log.example.org/a")
    made.create(Signed(0, root(0)))
    return made


def test_another_root_of_the_same_size_is_refused(guard: Guard) -> None:
    guard.raise_to(Signed(5, root(5)))
    with pytest.raises(LedgerError, match="another tree of 5"):
        guard.raise_to(Signed(5, root(6)))
    assert guard.read() == Signed(5, root(5))


def test_smaller_size_changes_nothing_and_is_told(guard: Guard) -> None:
    guard.raise_to(Signed(9, root(9)))
    assert guard.raise_to(Signed(5, root(5))) == Signed(9, root(9))
    assert guard.read() == Signed(9, root(9))


@pytest.mark.parametrize("at", range(0, 512, 7))
def test_flipped_bit_costs_at_most_the_older_slot_and_never_invents(guard: Guard, at: int) -> None:
    guard.raise_to(Signed(5, root(5)))
    guard.raise_to(Signed(6, root(6)))
    flip(guard.path, at)
    assert guard.read() in {Signed(5, root(5)), Signed(6, root(6))}


def test_write_that_breaks_off_leaves_the_one_before(guard: Guard) -> None:
    guard.raise_to(Signed(5, root(5)))
    guard.raise_to(Signed(6, root(6)))
    data = guard.path.read_bytes()
    newest = data.index(b" 6 ")
    guard.path.write_bytes(data[: newest // 256 * 256] + b"torn".ljust(256) + data[(newest // 256 + 1) * 256 :])
    assert guard.read() == Signed(5, root(5))
    guard.raise_to(Signed(7, root(7)))
    assert guard.read() == Signed(7, root(7))


@pytest.mark.parametrize("data", [b"", b"\0" * 512, b"x" * 512, b"\xff" * 600])
def test_rubbish_is_an_error_and_not_an_empty_guard(guard: Guard, data: bytes) -> None:
    guard.path.write_bytes(data)
    with pytest.raises(Error):
        guard.read()


def test_guard_of_another_log_is_refused(guard: Guard) -> None:
    with pytest.raises(LedgerError):
        Guard(guard.path, "log.example.org/b").read()


def test_missing_guard_is_none_and_not_made_by_the_way(tmp_path: Path) -> None:
    guard = Guard(tmp_path / "guard", "log.example.org/a")
    assert guard.read() is None
    with pytest.raises(Error):
        guard.raise_to(Signed(1, root(1)))
    assert not guard.path.exists()


def test_never_overwrites_and_names_what_it_cannot_write(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(AlreadyExistsError):
        guard.create(Signed(0, root(0)))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnwritableError):
        Guard(tmp_path / "folder", "log.example.org/a").raise_to(Signed(1, root(1)))
