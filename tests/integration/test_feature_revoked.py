"""A feature signs foreign pixels: its seals fall, and the rest of the instrument's history stands.

By commands alone, as an authority and a reader would do it.
"""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rawtrace.cli.main import run_for_code


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def rawtrace(folder: Path, *arguments: str) -> Run:
    """Run one command inside this process: some seventy of them are run here."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = run_for_code(list(arguments))
    return Run(code, output.getvalue(), errors.getvalue())


def done(folder: Path, *arguments: str) -> str:
    run = rawtrace(folder, *arguments)
    assert run.code == 0, run.stderr
    return run.stdout


def report(folder: Path, name: str, trust: str = "authority") -> dict[str, Any]:
    return dict(json.loads(rawtrace(folder, "verify", name, "--trust", trust, "--json").stdout))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    done(tmp_path, "authority", "new", "authority", "--name", "Example Authority")
    done(
        tmp_path, "instrument", "new", "camera", "--name", "Camera 6", "--manufacturer", "Example Optics",
        "--model", "Camera 6", "--owner", "https://ror.org/0exampe44", "--authority", "authority",
    )  # fmt: skip
    for name, said in {
        "honest.tif": ["--feature", "none"],
        "hdr.tif": ["--feature", "hdr"],
        "forged.tif": ["--feature", "multiple-exposure", "--feature", "hdr"],
        "silent.tif": [],
        "old.tif": ["--firmware", "1.00", "--feature", "none"],
        "mended.tif": ["--firmware", "1.11", "--feature", "none"],
    }.items():
        (tmp_path / name).write_bytes(name.encode() * 100)
        done(tmp_path, "seal", name, "--instrument", "camera", *said)
    return tmp_path


def test_only_what_was_made_with_the_feature_falls(place: Path) -> None:
    names = ("honest.tif", "hdr.tif", "forged.tif", "silent.tif", "old.tif", "mended.tif")
    assert {report(place, name)["verdict"] for name in names} == {"verified-with-notes"}
    said = done(
        place, "authority", "revoke", "authority", "--product", "Example Optics", "Camera 6",
        "--feature", "multiple-exposure", "--reason", "privilegeWithdrawn", "--compromised-from", "2026-01-01",
        "--note", "signs pixels that its sensor did not record",
    )  # fmt: skip
    assert "the feature multiple-exposure of Example Optics Camera 6" in said
    verdicts = {name: report(place, name)["verdict"] for name in names}
    assert verdicts == {
        "honest.tif": "verified-with-notes",
        "hdr.tif": "verified-with-notes",
        "forged.tif": "rejected",
        "silent.tif": "inconclusive",
        "old.tif": "verified-with-notes",
        "mended.tif": "verified-with-notes",
    }
    found = {one["id"]: one for one in report(place, "forged.tif")["findings"]}
    assert "it was made with that feature" in found["revoked-before"]["message"]
    assert found["revoked-before"]["evidence"]["note"] == "signs pixels that its sensor did not record"
    silent = {one["id"]: one for one in report(place, "silent.tif")["findings"]}
    assert "does not say which features were in use" in silent["scope-unstated"]["message"]
    assert "multiple-exposure" in done(place, "authority", "list", "authority")


def test_only_what_was_made_with_the_firmware_falls(place: Path) -> None:
    done(
        place, "authority", "revoke", "authority", "--product", "Example Optics", "Camera 6",
        "--firmware-to", "1.10", "--reason", "keyCompromise", "--compromised-from", "2026-01-01",
    )  # fmt: skip
    verdicts = {name: report(place, name)["verdict"] for name in ("old.tif", "mended.tif", "honest.tif")}
    assert verdicts == {
        "old.tif": "rejected",
        "mended.tif": "verified-with-notes",
        "honest.tif": "inconclusive",
    }


def test_an_authority_cannot_speak_of_what_it_never_certified_fail(place: Path) -> None:
    run = rawtrace(
        place, "authority", "revoke", "authority", "--product", "Example Optics", "Camera 7",
        "--reason", "privilegeWithdrawn",
    )  # fmt: skip
    assert run.code == 1
    assert "never certified an instrument called Example Optics Camera 7" in run.stderr
    assert "Example Optics Camera 6" in run.stderr
    for wrong in (["--feature", "hdr"], ["--product", "A", "B", "--serial", "1a"], ["--firmware-to", "1"]):
        assert rawtrace(place, "authority", "revoke", "authority", "--reason", "superseded", *wrong).code == 2


def test_what_the_agent_seals_is_found_by_a_range_of_firmware(place: Path) -> None:
    for number, firmware in enumerate(("1.3", "1.5", "")):
        watched = place / f"watched-{number}"
        watched.mkdir()
        (watched / "run.tif").write_bytes(b"pixels %d" % number)
        settings = place / f"agent-{number}.toml"
        settings.write_text(f"[device]\nfirmware = '{firmware}'\n" if number == 0 else "")
        told = ["--firmware", firmware] if number == 1 else []
        done(
            place, "agent", "run", "--watch", f"{watched}", "--instrument", "camera", "--once", "--quiet-period", "0",
            "--state", f"state-{number}.sqlite", "--settings", f"{settings}", *told,
        )  # fmt: skip
    done(
        place, "authority", "revoke", "authority", "--product", "Example Optics", "Camera 6", "--firmware-to", "1.4",
        "--reason", "privilegeWithdrawn", "--compromised-from", "2026-01-01",
    )  # fmt: skip
    verdicts = [report(place, f"watched-{number}/run.tif")["verdict"] for number in range(3)]
    assert verdicts == ["rejected", "verified-with-notes", "inconclusive"]
