"""The worked example of ``docs/spec/reading-a-seal.md`` is what the reader does."""

from __future__ import annotations

import hashlib
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

from rawtrace.sealing import manifest as reader
from rawtrace.sealing.boundedcbor import sig_structure
from rawtrace.sealing.jumbf import parse

HERE = Path(__file__).parent
f = SimpleNamespace(**runpy.run_path(str(HERE / "forge.py")))
PAGE = (HERE.parents[2] / "docs" / "spec" / "reading-a-seal.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


def octets(block: str) -> bytes:
    return bytes.fromhex("".join(re.match(r"(?:[0-9a-f]{2} ?)+", line)[0] for line in block.splitlines()))


def test_assertion_and_its_hash():
    made = octets(BLOCKS[0])
    box = parse(made)
    assert (box.label, made[box.children[0].body : box.end]) == ("org.example.note", b"\xa1an\x01")
    digest = BLOCKS[1].strip()
    assert hashlib.sha256(made[8:]).hexdigest() == digest
    store = reader.read_store(f.store(f.manifest([f.Said("org.example.note", made), f.data_hash()])))
    (note, _) = store.active_manifest.assertions
    assert (note.data, note.sha256, store.active_manifest.problems) == ({"n": 1}, digest, ())


def test_what_is_signed():
    protected, claim = f.cbor2.dumps({1: -8}), f.cbor2.dumps({"alg": "sha256"})
    assert sig_structure("Signature1", protected, claim) == octets(BLOCKS[2])


def test_every_problem_code_is_in_the_table():
    source = HERE.parents[2] / "src" / "rawtrace" / "sealing"
    names = ("draft", "manifest", "cose", "ingredients", "datahash", "timestamp")
    text = "".join((source / f"{name}.py").read_text(encoding="utf-8") for name in names)
    codes = set(re.findall(r'(?:fault|Problem)\(\s*"([a-z-]+)"', text))
    assert len(codes) > 20
    table = PAGE.split("## Problems")[1]
    row = re.compile(r"`([a-z-]+)`((?:, `-[a-z]+`)*)")
    listed = set()
    for first, more in row.findall(table):
        listed.add(first)
        listed |= {first.split("-")[0] + tail for tail in re.findall(r"`(-[a-z]+)`", more)}
    assert codes <= listed
