"""Sealing with a key in a token; SoftHSM stands in for one, in a process of its own."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

TOKENS = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "trust" / "test_pkcs11.py")))

SCRIPT = """
import sys
from pathlib import Path
import rawtrace
from rawtrace.trust import authority as authorities
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import create_identity
from rawtrace.trust.instruments import new_record
from rawtrace.trust.keys import Algorithm
from rawtrace.trust.pkcs11 import TokenOptions

place, step, algorithm, module = Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
if step == "make":
    authorities.create_authority(place / "authority", name="Own", owner="https://ror.org/0exampe44")
    record = new_record(kind=SignerKind.INSTRUMENT, name="Scope", owner="https://ror.org/0exampe44",
                        manufacturer="Example Optics")
    token = TokenOptions(module=module, token="example", pin_file=place / "pin")
    create_identity(place / "scope", SignerKind.INSTRUMENT, record, authority=place / "authority",
                    algorithm=Algorithm(algorithm), token=token)
signer = rawtrace.load_signer(place / "scope")
(place / f"{step}.dat").write_bytes(b"data")
rawtrace.seal(place / f"{step}.dat", signer=signer)
report = rawtrace.verify(place / f"{step}.dat", trust=rawtrace.load_trust([place / "authority"]))
print(report.verdict, *sorted(one.id for one in report.findings), report.seal.instrument["assurance"])
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    (tmp_path / "pin").write_text(TOKENS.PIN + "\n")
    (tmp_path / "pin").chmod(0o600)
    return tmp_path


def run(place: Path, step: str, algorithm: str) -> subprocess.CompletedProcess[str]:
    module = next(one for one in TOKENS.MODULES if one.is_file())
    environment: dict[str, Any] = {**os.environ, "SOFTHSM2_CONF": str(place / "softhsm2.conf")}
    if step == "make":
        command = ["softhsm2-util", "--init-token", "--free", "--label", "example", "--pin", TOKENS.PIN]
        subprocess.run([*command, "--so-pin", "12345678"], check=True, capture_output=True, env=environment)
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(place), step, algorithm, str(module)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


@pytest.mark.skipif(bool(TOKENS.has_softhsm()), reason=TOKENS.has_softhsm() or "-")
@pytest.mark.parametrize("algorithm", ["es256", "ed25519"])
def test_an_instrument_with_its_key_in_a_token(place: Path, algorithm: str) -> None:
    made = run(place, "make", algorithm)
    assert made.returncode == 0, made.stderr
    assert made.stdout.split()[0] == "verified-with-notes"
    assert "software-key" not in made.stdout
    assert made.stdout.split()[-1] == "instrument-hardware-key"

    shutil.move(place / "tokens", place / "taken-out")
    (place / "tokens").mkdir()
    without = run(place, "again", algorithm)
    assert without.returncode == 1
    assert "KeyUnavailableError" in without.stderr
    assert not (place / "again.dat.c2pa").exists()
