"""The systemd unit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rawtrace.agent.unit import unit
from rawtrace.errors import UsageError

NEEDED = (
    "User=rawtrace", "NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateNetwork=yes", "MemoryMax=1G",
    "CapabilityBoundingSet=\n", "ProtectHome=yes", "ReadWritePaths=/data/scope", "ReadOnlyPaths=/etc/rawtrace/scope",
)  # fmt: skip


def make(watch: str = "/data/scope", program: str = "/usr/bin/rawtrace", user: str = "rawtrace") -> str:
    return unit(watch=Path(watch), instrument=Path("/etc/rawtrace/scope"), program=Path(program), user=user)


@pytest.mark.parametrize("line", NEEDED)
def test_the_unit_gives_the_agent_nothing_it_does_not_need(line: str) -> None:
    assert line in make()


def test_an_identity_that_is_renewed_online_can_be_written_and_the_store_be_asked() -> None:
    text = unit(
        watch=Path("/data/scope"),
        instrument=Path("/etc/rawtrace/scope"),
        program=Path("/usr/bin/rawtrace"),
        online=True,
    )
    assert "ReadWritePaths=/etc/rawtrace/scope" in text
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6" in text
    assert "PrivateNetwork" not in text


@pytest.mark.parametrize("path", ["/data/a\nExecStart=/bin/sh", "/data/\x1b[2J", "/data/a\u2028b"])
def test_a_path_cannot_add_a_line(path: str) -> None:
    with pytest.raises(UsageError, match="cannot hold"):
        make(watch=path)


@pytest.mark.parametrize("user", ["", "a b", "root\nUser=x", "../x", "ü"])
def test_an_odd_account_is_refused(user: str) -> None:
    with pytest.raises(UsageError, match="account"):
        make(user=user)


def test_what_systemd_would_read_differently_is_quoted() -> None:
    text = make(watch='/data/100% "raw" $HOME')
    assert r'--watch "/data/100%% \"raw\" $$HOME"' in text


def test_a_program_at_home_can_still_be_reached() -> None:
    assert "ProtectHome=read-only" in make(program="/home/someone/venv/bin/rawtrace")


def test_systemd_accepts_it(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    file = tmp_path / "rawtrace-agent.service"
    file.write_text(make(watch=str(tmp_path), program=shutil.which("true") or "/bin/true", user="root"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True)
    assert "rawtrace-agent.service" not in done.stderr, done.stderr
