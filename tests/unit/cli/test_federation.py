"""``rawtrace federation`` and what ``rawtrace trust`` says of federations, as people call them."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.trust import federationstate

f = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "trust" / "federations.py")))
Run = Callable[..., Any]


@pytest.fixture
def published(rawtrace: Run, tmp_path: Path, authority: Path) -> Path:
    """A federation made by commands alone."""
    for name in ("anna", "ben", "cleo"):
        assert rawtrace("federation", "key", tmp_path / name).code == 0
    folder = tmp_path / "federation"
    holders = [f"--key={name.title()}={tmp_path / name / 'public.pem'}" for name in ("anna", "ben", "cleo")]
    assert rawtrace("federation", "new", folder, "--name", "example", *holders).code == 0
    done = rawtrace("federation", "add", folder, "--list", f"member={authority / 'trust-list.jws'}")
    assert done.code == 0
    assert "new lists/member.jws: “Example Authority”" in done.out
    for name in ("anna", "ben"):
        assert rawtrace("federation", "sign", folder, "--key", tmp_path / name).code == 0
    assert rawtrace("federation", "publish", folder).code == 0
    return folder


@pytest.fixture
def bundle(published: Path, rawtrace: Run, tmp_path: Path) -> Path:
    """What somebody carries here who has joined elsewhere; this machine knows nothing yet."""
    fed = f.Fed(tmp_path, published)
    carried = tmp_path / "first.json"
    files = {name: data.decode() for name, data in fed.pages().items()}
    entry = {"name": "example", "url": "", "files": files}
    document = {"schema": "urn:rawtrace:schema:trust-bundle:2", "lists": [], "federations": [entry]}
    import json

    carried.write_text(json.dumps(document))
    return carried


def root_of(published: Path) -> Path:
    return published / "public" / "metadata" / "1.root.json"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["federation", "new", "x"], 2),
        (["federation", "sign", "x"], 2),
        (["federation", "status", "nothing"], 3),
        (["federation", "publish", "nothing"], 3),
        (["federation", "add", "nothing", "--list", "no-equals"], 2),
        (["trust", "update", "--accept-older-than", "3"], 2),
        (["trust", "add", "x", "--accept-older-than", "3"], 2),
        (["trust", "add", "a", "b", "--url", "https://x.example"], 2),
        (["trust", "add", "nothing.json", "--url", "https://x.example"], 3),
        (["trust", "update", "--from", "nothing.json"], 3),
        (["trust", "update", "--from", "x", "--accept-older-than", "0"], 2),
    ],
)
def test_wrong_usage_is_told_apart(rawtrace: Run, arguments: list[str], code: int) -> None:
    done = rawtrace(*arguments)
    assert (done.code, done.out) == (code, "")
    assert "rawtrace: error[" in done.err


def test_publishing_without_enough_signatures_names_whose_are_missing(rawtrace: Run, published: Path) -> None:
    assert rawtrace("federation", "rotate", published, "--new-online-key").code == 0
    done = rawtrace("federation", "publish", published)
    assert done.code == 1
    assert "lacks 2 of 2" in done.err
    assert "(Anna)" in done.err


def test_status_is_one_json_document(rawtrace: Run, published: Path) -> None:
    value = rawtrace("federation", "status", published, "--json").json
    assert value["schema"] == "urn:rawtrace:schema:federation-status:1"
    assert value["root"]["threshold"] == 2
    assert [key["holder"] for key in value["root"]["keys"]] == ["Anna", "Ben", "Cleo"]
    assert (value["draft"], value["warnings"]) == (None, [])


def test_a_federation_is_joined_from_a_bundle_and_its_lists_count(
    rawtrace: Run, published: Path, bundle: Path, sealed: Path
) -> None:
    assert rawtrace("verify", sealed).code == 11
    assert "no federation roots come with this copy of rawtrace" in rawtrace("trust", "list").out
    done = rawtrace("trust", "add", root_of(published), "--from", bundle)
    assert done.code == 0
    assert "2 of these 3 keys must sign" in done.out
    assert done.out.count("SHA-256 ") == 3
    report = rawtrace("verify", sealed, "--json").json
    assert report["verdict"] == "verified-with-notes"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert report["trust"][0]["source"] == f"federation example, as of {today}"
    text = rawtrace("verify", "-v", sealed).out
    assert "through the federation example" in " ".join(text.split())
    (held,) = rawtrace("trust", "list", "--json").json["federations"]
    assert (held["name"], held["expired"], held["age_days"]) == ("example", False, 0)


STRICT = 'name = "Example rules"\nversion = 1\n[outcomes]\nno-trusted-time = "inconclusive"\n'


def test_the_policy_of_a_federation(rawtrace: Run, published: Path, tmp_path: Path, sealed: Path) -> None:
    unknown = rawtrace("verify", sealed, "--policy", "federation:example")
    assert (unknown.code, "has not joined" in unknown.err) == (3, True)
    assert rawtrace("verify", sealed, "--policy", "federation:../example").code == 1
    policy = tmp_path / "policy.toml"
    policy.write_text(STRICT.replace("no-trusted-time", "no-such-finding"))
    assert rawtrace("federation", "add", published, "--policy", policy).code == 1
    join(rawtrace, published, tmp_path)
    none = rawtrace("verify", sealed, "--policy", "federation:example")
    assert (none.code, "publishes no policy" in none.err) == (1, True)
    assert rawtrace("trust", "remove", "example").code == 0
    policy.write_text(STRICT)
    assert rawtrace("federation", "add", published, "--policy", policy).code == 0
    for name in ("anna", "ben"):
        assert rawtrace("federation", "sign", published, "--key", tmp_path / name).code == 0
    assert rawtrace("federation", "publish", published).code == 0
    join(rawtrace, published, tmp_path)
    # Nobody's rules apply unasked.
    assert rawtrace("verify", sealed).code == 0
    report = rawtrace("verify", sealed, "--policy", "federation:example", "--json")
    assert (report.code, report.json["verdict"]) == (11, "inconclusive")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert report.json["policy"] == f"Example rules (federation example, as of {today})"


def join(rawtrace: Run, published: Path, folder: Path) -> None:
    import json

    files = {name: data.decode() for name, data in f.Fed(folder, published).pages().items()}
    entry = {"name": "example", "url": "", "files": files}
    document = {"schema": "urn:rawtrace:schema:trust-bundle:2", "lists": [], "federations": [entry]}
    (folder / "carried.json").write_text(json.dumps(document))
    done = rawtrace("trust", "add", root_of(published), "--from", folder / "carried.json")
    assert done.code == 0, done.err


def test_sites_of_a_federation_are_shown(rawtrace: Run, published: Path, tmp_path: Path) -> None:
    site = f"https://handles.example.org={'ab' * 32}"
    assert rawtrace("federation", "add", published, "--resolver", site).code == 0
    for name in ("anna", "ben"):
        assert rawtrace("federation", "sign", published, "--key", tmp_path / name).code == 0
    assert rawtrace("federation", "publish", published).code == 0
    assert "no sites yet" in rawtrace("trust", "sites", "list").out
    join(rawtrace, published, tmp_path)
    assert "https://handles.example.org  federation example" in rawtrace("trust", "sites", "list").out
    (shown,) = rawtrace("trust", "sites", "list", "--json").json["of_federations"]
    assert (shown["url"], shown["vouches"]) == ("https://handles.example.org", False)


def test_a_bundle_can_be_used_without_joining(rawtrace: Run, bundle: Path, sealed: Path) -> None:
    done = rawtrace("verify", sealed, "--trust", bundle, "--json")
    assert done.code == 0
    assert str(bundle) in done.json["trust"][0]["source"]
    assert federationstate.names() == ()


def test_a_tampered_bundle_is_refused(rawtrace: Run, published: Path, bundle: Path, sealed: Path) -> None:
    bundle.write_text(bundle.read_text().replace('\\"version\\":1', '\\"version\\":2'))
    assert rawtrace("verify", sealed, "--trust", bundle).code == 1
    assert rawtrace("trust", "add", root_of(published), "--from", bundle).code == 1
    assert federationstate.names() == ()


def test_a_bundle_is_not_taken_up_list_by_list(rawtrace: Run, bundle: Path) -> None:
    done = rawtrace("trust", "add", bundle)
    assert done.code == 2
    assert "ROOT.json" in done.err


def test_what_is_exported_brings_another_machine_up_to_date(
    rawtrace: Run, published: Path, bundle: Path, tmp_path: Path, sealed: Path
) -> None:
    rawtrace("trust", "add", root_of(published), "--from", bundle)
    done = rawtrace("trust", "export", tmp_path / "carried.json")
    assert done.out.strip().endswith("0 trust lists, 1 federation")
    done = rawtrace("trust", "update", "--from", tmp_path / "carried.json")
    assert (done.code, done.out.splitlines()[0]) == (0, "unchanged: federation example")
    assert rawtrace("trust", "remove", "example").code == 0
    done = rawtrace("trust", "update", "--from", tmp_path / "carried.json")
    assert done.code == 1
    assert "trust add ROOT.json" in done.out
    assert rawtrace("verify", sealed, "--trust", tmp_path / "carried.json").code == 0


def test_an_update_over_the_network_that_fails_leaves_all_in_use(
    rawtrace: Run, published: Path, bundle: Path, sealed: Path
) -> None:
    rawtrace("trust", "add", root_of(published), "--from", bundle, "--url", "http://127.0.0.1:9")
    done = rawtrace("trust", "update")
    assert done.code == 1
    assert "unreachable: federation example" in done.out
    assert "in use" in done.out
    assert rawtrace("verify", sealed).code == 0


def test_damaged_state_stops_a_check_instead_of_trusting_less(
    rawtrace: Run, published: Path, bundle: Path, sealed: Path
) -> None:
    rawtrace("trust", "add", root_of(published), "--from", bundle)
    federationstate.path_of("example").write_text("{}")
    assert "error[E175]" in rawtrace("verify", sealed).err
    assert rawtrace("trust", "list").code == 1
    assert rawtrace("trust", "remove", "example").code == 0


def test_a_link_or_a_pipe_in_place_of_a_bundle_is_refused(rawtrace: Run, bundle: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    try:
        link.symlink_to("/dev/zero")
    except OSError:
        pytest.skip("this account may not make links")
    assert rawtrace("trust", "update", "--from", link).code == 1
    archive = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path, bundle.name))
    assert rawtrace("trust", "update", "--from", archive).code == 1
