"""``rawtrace verify`` as people and programs call it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from PIL import Image

from rawtrace.sealing import binding
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[3] / "src/rawtrace/render/schema/report-1.json").read_text(encoding="utf-8")
)


@pytest.fixture
def mixed(sealed: Path, instrument: Identity) -> Path:
    """A folder with a good, an altered and an unsealed file, and a folder that is one thing."""
    place = sealed.parent
    (place / "altered.dat").write_bytes(b"before")
    seal(place / "altered.dat", signer=instrument)
    (place / "altered.dat").write_bytes(b"after!")
    (place / "sub" / "stack.zarr").mkdir(parents=True)
    (place / "sub" / "stack.zarr" / "zarr.json").write_bytes(b"{}")
    seal(place / "sub" / "stack.zarr", signer=instrument)
    (place / "unsealed.dat").write_bytes(b"x")
    return place


def test_one_good_file(rawtrace: Any, sealed: Path, authority: Path) -> None:
    done = rawtrace("verify", sealed, "--trust", authority)
    assert (done.code, done.err) == (0, "")
    first = done.out.splitlines()[0]
    assert "verified-with-notes" in first.replace(" ", "-").lower()
    assert str(sealed) in first


def test_one_file_as_json(rawtrace: Any, sealed: Path, authority: Path) -> None:
    done = rawtrace("verify", sealed, "--trust", authority, "--json")
    jsonschema.Draft202012Validator(SCHEMA).validate(done.json)
    assert (done.code, done.json["verdict"], done.json["path"]) == (0, "verified-with-notes", str(sealed))


def test_without_trust_nobody_is_relied_on(rawtrace: Any, sealed: Path) -> None:
    done = rawtrace("verify", sealed)
    assert done.code == 11
    assert "no trust list" in done.out


def test_several_files_as_lines_of_json_in_order(rawtrace: Any, mixed: Path, authority: Path) -> None:
    names = ["unsealed.dat", "altered.dat", "cells.dat", "nothing.dat"]
    done = rawtrace("verify", *(mixed / name for name in names), "--trust", authority, "--json")
    assert [Path(line["path"]).name for line in done.lines] == names
    assert [line.get("verdict") for line in done.lines] == ["no-seal", "altered", "verified-with-notes", None]
    assert done.lines[3]["error"]["code"] == "E102"
    assert done.code == 12
    assert re.match(r"rawtrace: error\[E102\]: ", done.err)


def test_below_a_folder(rawtrace: Any, mixed: Path, authority: Path) -> None:
    done = rawtrace("verify", "-r", mixed, "--trust", authority, "--json")
    found = [Path(line["path"]).relative_to(mixed).as_posix() for line in done.lines]
    assert found == ["altered.dat", "cells.dat", "unsealed.dat", "sub/stack.zarr"]
    assert done.code == 12


def test_the_last_line_counts(rawtrace: Any, mixed: Path, authority: Path) -> None:
    done = rawtrace("verify", "-r", mixed, "--trust", authority)
    last = done.out.splitlines()[-1]
    assert last.startswith("4 ")
    assert all(word in last for word in ("1 altered", "1 no-seal", "2 verified-with-notes"))


def test_quiet_prints_nothing_but_errors(rawtrace: Any, mixed: Path, authority: Path) -> None:
    done = rawtrace("verify", "-q", mixed / "altered.dat", "--trust", authority)
    assert (done.code, done.out, done.err) == (12, "", "")
    done = rawtrace("verify", "-q", mixed / "cells.dat", mixed / "nothing.dat", "--trust", authority)
    assert (done.code, done.out) == (3, "")
    assert "E102" in done.err


def test_paths_from_stdin(rawtrace: Any, mixed: Path, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"{mixed / name}\n" for name in ("cells.dat", "unsealed.dat")) + "\n"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text.encode()), isatty=lambda: False))
    done = rawtrace("verify", "-", "--trust", authority, "--json")
    assert [line["verdict"] for line in done.lines] == ["verified-with-notes", "no-seal"]
    assert done.code == 10


def test_one_path_that_is_not_there(rawtrace: Any, tmp_path: Path, authority: Path) -> None:
    done = rawtrace("verify", tmp_path / "nothing", "--trust", authority)
    assert (done.code, done.out) == (3, "")
    assert re.match(r"rawtrace: error\[E102\]: .*does not exist", done.err)


def test_trust_that_is_not_there(rawtrace: Any, sealed: Path, tmp_path: Path) -> None:
    done = rawtrace("verify", sealed, "--trust", tmp_path / "nothing")
    assert (done.code, done.out) == (3, "")


def test_a_bad_policy(rawtrace: Any, sealed: Path, authority: Path, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("name = 1")
    done = rawtrace("verify", sealed, "--trust", authority, "--policy", tmp_path / "p.toml")
    assert (done.code, done.out) == (1, "")
    assert "error[E134]" in done.err


def test_a_policy_that_asks_for_more(rawtrace: Any, sealed: Path, authority: Path, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('name = "J"\nversion = 1\n[outcomes]\nsoftware-key = "inconclusive"\n')
    done = rawtrace("verify", sealed, "--trust", authority, "--policy", tmp_path / "p.toml", "--json")
    assert (done.code, done.json["policy"]) == (11, "J")


def test_a_report_is_never_written_over_another_file(rawtrace: Any, sealed: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    done = rawtrace("verify", sealed, "--report", page)
    assert (done.code, done.out, page.read_text()) == (2, "", "mine")


def test_a_report_is_one_file_that_needs_no_other(
    rawtrace: Any, tmp_path: Path, instrument: Identity, authority: Path
) -> None:
    picture, page = tmp_path / "a.png", tmp_path / "page.html"
    Image.linear_gradient("L").save(picture)
    seal(picture, signer=instrument)
    done = rawtrace("verify", picture, tmp_path / "nothing", "--trust", authority, "--report", page)
    assert done.code == 3
    html = page.read_text(encoding="utf-8")
    assert "data:image/png;base64," in html
    assert re.findall(r"<script|<link|<iframe|@import|url\(", html) == []
    assert [
        one for one in re.findall(r"""(?:src|href)=["']([^"']*)""", html) if not one.startswith(("data:", "#"))
    ] == []
    assert str(page) in done.err


def test_hostile_names_command_no_terminal(
    rawtrace: Any, tmp_path: Path, instrument: Identity, authority: Path
) -> None:
    path = tmp_path / "a\u202eb\x1b[31m.dat"
    try:
        path.write_bytes(b"x")
    except OSError:
        pytest.skip("this system refuses such names")
    seal(path, signer=instrument)
    for arguments in ([path], [path, path], [path, "-v"]):
        done = rawtrace("verify", *arguments, "--trust", authority)
        assert all(line.isprintable() for line in (done.out + done.err).split("\n"))
    assert rawtrace("verify", path, "--json").json["path"] == str(path)


def test_ancestors_in_another_folder(
    rawtrace: Any, sealed: Path, tmp_path: Path, workstation: Identity, authority: Path
) -> None:
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"figure")
    seal(figure, signer=workstation, parents=[sealed])
    arguments = ("verify", figure, "--trust", authority, "--json")
    absent = {one["id"] for one in rawtrace(*arguments).json["findings"]}
    there = {one["id"] for one in rawtrace(*arguments, "--originals", sealed.parent).json["findings"]}
    assert ("ancestor-file-absent" in absent, "ancestor-file-good" in there) == (True, True)


def test_a_seal_that_is_garbage(rawtrace: Any, sealed: Path, authority: Path) -> None:
    binding.sidecar_of(sealed).write_bytes(b"garbage")
    done = rawtrace("verify", sealed, "--trust", authority)
    assert (done.code, done.err) == (13, "")
