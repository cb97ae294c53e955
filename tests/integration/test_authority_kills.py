"""An authority that is killed again and again loses no certificate, and its numbers only grow."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from rawtrace.trust import authority as authorities
from rawtrace.trust import register
from rawtrace.trust.trustlist import read_list

ISSUE_FOR_EVER = """
import sys, pathlib
from rawtrace.trust import authority, instruments, keys
from rawtrace.trust.certificates import SignerKind
folder = pathlib.Path(sys.argv[1])
print("ready", flush=True)
while True:
    record = instruments.new_record(kind=SignerKind.WORKSTATION, name="Analysis 1", owner="0exampe44")
    request = authority.make_request(SignerKind.WORKSTATION, record, keys.generate(keys.Algorithm.ED25519))
    leaf, _ = authority.issue(folder, request)
    print(f"{leaf.serial_number:x}", flush=True)
"""
KILLS = 6


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    authorities.create_authority(folder, name="Example Authority")
    chance = random.Random(20261120)  # noqa: S311  a test's dice
    acknowledged: set[str] = set()
    numbers = [0]
    for _ in range(KILLS):
        command = [sys.executable, "-c", ISSUE_FOR_EVER, folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.02, 0.3))
            process.kill()
            lines = process.stdout.read().split("\n")
        acknowledged |= {line for line in lines[:-1] if line}
        published = read_list((folder / authorities.TRUST_LIST_FILE).read_bytes(), source="test")
        numbers.append(published.sequence)
    issued = {f"{item.serial:x}" for item in register.issued(folder)}
    assert acknowledged
    assert acknowledged <= issued
    assert numbers == sorted(numbers)
    last = numbers[-1]
    authorities.publish(folder)
    assert read_list((folder / authorities.TRUST_LIST_FILE).read_bytes(), source="test").sequence > last
    assert not list(folder.glob("*.jsonl.*"))
