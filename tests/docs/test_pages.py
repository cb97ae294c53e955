"""Pages that make claims about the project are held to them."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts), *sorted(ROOT.glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")


def test_lock_file_names_public_hosts_only() -> None:
    hosts = set(re.findall(r"https?://([^/\"\s]+)", (ROOT / "uv.lock").read_text(encoding="utf-8")))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = list(project["project"]["dependencies"])
    for group in project["project"]["optional-dependencies"].values():
        wanted += group
    for group in project["dependency-groups"].values():
        wanted += [entry for entry in group if isinstance(entry, str)]
    page = (DOCS / "concepts" / "dependencies.md").read_text(encoding="utf-8")
    names = {re.split(r"[^A-Za-z0-9._-]", entry)[0] for entry in wanted}
    assert names
    assert sorted(name for name in names if f"`{name}`" not in page) == []


def test_decisions_point_to_places_that_exist() -> None:
    page = (DOCS / "concepts" / "decisions.md").read_text(encoding="utf-8")
    places = [
        place
        for line in page.splitlines()
        if line.startswith("| **")
        for place in re.findall(r"`([^`]+)`", line.split("|")[-2])
    ]
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []


def test_readme_offers_exactly_two_make_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\$ make .*$", text, flags=re.MULTILINE) == ["$ make demo", "$ make test"]


def test_every_named_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:`|\$ )make ([a-z]+)", page.read_text(encoding="utf-8")))
        assert named <= targets, f"{page.name} names {named - targets}"


def test_worked_example_of_the_folder_index_is_what_we_write(tmp_path: Path) -> None:
    from rawtrace.sealing.folderindex import build_index, parse_index

    folder = tmp_path / "cells.zarr"
    (folder / "0").mkdir(parents=True)
    (folder / "zarr.json").write_bytes(b'{"zarr_format":3}')
    (folder / "0" / "0.0").write_bytes(b"chunk a")
    (folder / "0" / "0.1").write_bytes(b"chunk b")
    shown = re.findall(
        r"^[0-9a-f]{64}  .+$", (DOCS / "spec" / "folder-index.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert build_index(folder).data.decode() == "\n".join(shown) + "\n"
    assert len(parse_index(("\n".join(shown) + "\n").encode())) == len(shown) == 3


def test_nothing_private_is_in_the_tree() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    words = re.compile(r"/(?:home|root|Users)/[a-z]|BEGIN (?:EC |RSA )?PRIVATE KEY-----\n[A-Za-z0-9+/]{20}")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        # Tests name made-up home folders on purpose, to see that none of them gets out.
        if not path.is_file() or name.startswith("tests/"):
            continue
        found = words.search(path.read_text(encoding="utf-8", errors="replace"))
        assert found is None, f"{name}: {found.group()!r}" if found else ""


def test_every_command_that_we_tell_people_to_run_exists() -> None:
    from rawtrace.cli.main import COMMANDS

    sources = sorted((ROOT / "src").rglob("*.py")) + sorted((ROOT / "src").rglob("*.html")) + PAGES
    named = {
        (path.relative_to(ROOT).as_posix(), command)
        for path in sources
        for command in re.findall(r"(?:[`“]|: |\$ )rawtrace ([a-z]+)\b", path.read_text(encoding="utf-8"))
    }
    assert named
    assert sorted((where, command) for where, command in named if command not in COMMANDS) == []


def test_every_option_that_we_tell_people_of_exists() -> None:
    known = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    pages = [
        page for page in PAGES if page.parent.name in {"concepts", "how-to", "tutorials"} or page.name == "README.md"
    ]
    named = {(page.name, option) for page in pages for option in re.findall(r"`(--[a-z-]+)", page.read_text("utf-8"))}
    named |= {
        (page.name, option)
        for page in pages
        for line in re.findall(r"^\$ (rawtrace .*(?:\\\n.*)*)", page.read_text("utf-8"), re.MULTILINE)
        for option in re.findall(r"(?<= )(--[a-z0-9-]+)", line)
    }
    assert named
    assert (
        sorted((page, option) for page, option in named if f"{option} " not in known and f"{option}\n" not in known)
        == []
    )
