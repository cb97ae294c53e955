"""``rawtrace authority time`` and ``rawtrace authority repository``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rawtrace.cli.main import main
from rawtrace.errors import AlreadyExistsError, InputNotFoundError
from rawtrace.trust.anchors import Purpose
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import load_identity
from rawtrace.trust.timeauthority import TimeAuthority
from rawtrace.trust.trustlist import read_list


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    folder = tmp_path / "authority"
    assert CliRunner().invoke(main, ["authority", "new", f"{folder}", "--name", "Example Authority"]).exit_code == 0
    return folder


def test_time(authority: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["authority", "time", f"{authority}", f"{tmp_path / 'time'}", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    listed = read_list((authority / "trust-list.jws").read_bytes(), source="test")
    (anchor,) = listed.anchors_for(Purpose.TIMESTAMP)
    assert (f"{anchor.certificate.serial_number:x}", said["name"]) == (said["serial"], "Example Authority time")
    assert TimeAuthority(tmp_path / "time").chain[0] == anchor.certificate


def test_repository(authority: Path, tmp_path: Path) -> None:
    arguments = ["authority", "repository", f"{authority}", f"{tmp_path / 'gateway'}", "--name", "Example Archive"]
    done = CliRunner().invoke(main, [*arguments, "--owner", "0exampe44"])
    assert done.exit_code == 0, done.output
    made = load_identity(tmp_path / "gateway")
    assert (made.kind, made.record["name"]) == (SignerKind.REPOSITORY, "Example Archive")
    assert CliRunner().invoke(main, [*arguments, "--owner", "0exampe44"]).exit_code == 1


def test_folders_that_are_taken_or_absent_fail(authority: Path, tmp_path: Path) -> None:
    before = (authority / "trust-list.jws").read_bytes()
    taken = CliRunner().invoke(main, ["authority", "time", f"{authority}", f"{authority}"])
    assert isinstance(taken.exception, AlreadyExistsError)
    absent = CliRunner().invoke(main, ["authority", "time", f"{tmp_path / 'none'}", f"{tmp_path / 'time'}"])
    assert isinstance(absent.exception, InputNotFoundError)
    assert (authority / "trust-list.jws").read_bytes() == before
    assert not (tmp_path / "time").exists()
