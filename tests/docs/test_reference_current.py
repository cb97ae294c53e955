"""The committed reference pages are those that the code makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "tools" / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.import_everything()
    return module


def test_reference_pages_are_current(generator: ModuleType) -> None:
    assert generator.stale() == [], "run `make reference` and commit docs/reference"


def test_a_changed_page_is_noticed(generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in generator.FOLDER.glob("*.md"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(generator, "FOLDER", tmp_path)
    (tmp_path / "errors.md").write_text("stale", encoding="utf-8")
    (tmp_path / "forgotten.md").write_text("no source", encoding="utf-8")
    assert {"errors.md", "forgotten.md"} <= set(generator.stale())


def test_every_command_and_error_is_on_its_page(generator: ModuleType) -> None:
    from rawtrace.cli.main import COMMANDS
    from rawtrace.errors import all_errors

    commands = generator.command_page()
    page = generator.errors_page()
    assert all(f" rawtrace {name}\n" in commands for name in COMMANDS)
    assert all(f"## {kind.code}\n" in page for kind in all_errors())


def test_error_codes_are_unique() -> None:
    from rawtrace.errors import all_errors

    codes = [kind.code for kind in all_errors()]
    assert len(codes) == len(set(codes))
