"""What is pinned is pinned once, and the small reader stays small and on its own; runs among the quick tests."""

from __future__ import annotations

import ast
import json
import re
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = (ROOT / "docs" / "concepts" / "interoperability.md").read_text(encoding="utf-8")
MAX_LINES = 120


def test_lock_file_names_no_registry() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert [name for name, entry in packages.items() if "resolved" in entry or "integrity" not in entry] == []


def test_versions_on_the_page_are_those_that_are_used() -> None:
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    setup = (ROOT / "tools" / "interop_setup").read_text(encoding="utf-8")
    c2patool = re.search(r"^c2patool_version=(\S+)", setup, re.MULTILINE)
    assert c2patool is not None
    used = {
        "c2pa-ts": wanted["@trustnxt/c2pa-ts"],
        "c2patool": c2patool[1],
        "c2pa-python": version("c2pa-python"),
    }
    shown = dict(re.findall(r"^\| (c2pa[a-z-]+) \| ([0-9.]+) \|", PAGE, re.MULTILINE))
    assert shown == used
    how_to = (ROOT / "docs" / "how-to" / "check-with-other-programs.md").read_text(encoding="utf-8")
    assert f"--version {c2patool[1]} " in how_to


def test_small_reader_is_small_and_knows_nothing_of_rawtrace() -> None:
    text = (HERE / "mini_verifier.py").read_text(encoding="utf-8")
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported == {"hashlib", "sys", "pathlib", "cbor2", "cryptography"}
    assert len([line for line in text.splitlines() if line.strip()]) <= MAX_LINES
