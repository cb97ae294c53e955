"""What a reader believes of a federation: attacks first."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.config import CONFIG_VARIABLE
from rawtrace.errors import Error, FederationError, LimitError, NetworkError, UsageError
from rawtrace.trust import (
    embeddedroots,
    federated,
    federation,
    federationbundle,
    federationkeys,
    federationstate,
    keys,
    tufclient,
    tufsources,
)
from rawtrace.trust.federated import Result
from rawtrace.trust.federationfiles import Server
from rawtrace.trust.handles import roots
from rawtrace.trust.tufclient import Material, Refreshed, RefreshError
from rawtrace.trust.tuflib import MetaFile, TargetFile

f = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("federations.py"))))
NOW: datetime = f.NOW
DAY: timedelta = f.DAY


@pytest.fixture
def fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "settings"))
    return f.make(tmp_path / "publisher")


def refresh(fed: Any, pages: Mapping[str, bytes] | None = None, *, known: Material | None = None,
            now: datetime = NOW, **options: Any) -> Refreshed:  # fmt: skip
    source = tufsources.memory_source(fed.pages() if pages is None else pages)
    return tufclient.refresh(known or Material(roots=(fed.root,), files={}), source, now=now, **options)


def refused(*arguments: Any, **options: Any) -> FederationError:
    with pytest.raises(RefreshError) as caught:
        refresh(*arguments, **options)
    error = caught.value.error
    assert isinstance(error, Error)
    assert "\n" not in error.message
    return error  # type: ignore[return-value]


def bundle(*feds: Any, **fields: Any) -> bytes:
    entries = [
        {"name": "example", "url": "", "files": {name: data.decode() for name, data in one.pages().items()}} | fields
        for one in feds
    ]
    return json.dumps({"schema": "urn:rawtrace:schema:trust-bundle:2", "lists": [], "federations": entries}).encode()


def taken_up(fed: Any) -> Any:
    return federated.add(fed.root, bundle=bundle(fed), now=NOW).federation


def test_what_was_published_is_what_a_reader_gets(fed: Any) -> None:
    found = refresh(fed)
    assert set(found.material.files) == {"federation.json", "lists/university.jws"}
    assert (found.root.threshold, len(found.root.keys), len(found.root.online)) == (2, 3, 1)
    assert found.as_of == NOW
    assert not found.late


# --- rollback


def test_an_older_time_stamp_is_refused(fed: Any) -> None:
    old = fed.pages()
    fed.publish(NOW + DAY)
    known = refresh(fed, now=NOW + DAY).material
    assert "older state" in refused(fed, old, known=known, now=NOW + DAY).message


def test_an_older_snapshot_or_older_files_are_refused(fed: Any) -> None:
    old = fed.pages()
    fed.publish(NOW + DAY, files={"policy.toml": b"name = 'x'\n"})
    known = refresh(fed, now=NOW + DAY).material
    pages = fed.pages()
    stamp = f.resign(
        pages["metadata/timestamp.json"],
        lambda signed: (
            setattr(signed, "version", 9),
            setattr(signed, "snapshot_meta", MetaFile.from_data(1, old["metadata/1.snapshot.json"], ["sha256"])),
        ),
        f.online(fed),
    )
    refused(fed, pages | {"metadata/timestamp.json": stamp}, known=known, now=NOW + DAY)
    # Whoever has the online key still cannot bring older files back to somebody who saw newer ones.
    snapshot = f.resign(
        pages["metadata/2.snapshot.json"],
        lambda signed: (
            setattr(signed, "version", 3),
            signed.meta.update({"targets.json": MetaFile.from_data(1, old["metadata/1.targets.json"], ["sha256"])}),
        ),
        f.online(fed),
    )
    stamp = f.resign(
        pages["metadata/timestamp.json"],
        lambda signed: (
            setattr(signed, "version", 9),
            setattr(signed, "snapshot_meta", MetaFile.from_data(3, snapshot, ["sha256"])),
        ),
        f.online(fed),
    )
    forged = pages | {"metadata/timestamp.json": stamp, "metadata/3.snapshot.json": snapshot}
    assert "older state" in refused(fed, forged, known=known, now=NOW + DAY).message


def test_an_older_root_never_replaces_a_newer_one(fed: Any) -> None:
    old = fed.pages()
    federation.rotate(fed.folder, new_online_key=True, now=NOW)
    fed.sign(0, 1)
    fed.publish(NOW + DAY)
    known = refresh(fed, now=NOW + DAY).material
    assert len(known.roots) == 2
    # The server answers as before the rotation: its time stamp bears the withdrawn key.
    assert "too few good signatures" in refused(fed, old, known=known, now=NOW + DAY).message


def test_a_rollback_is_recognised_after_a_refresh_that_broke_off(fed: Any) -> None:
    taken_up(fed)
    old = bundle(fed)
    fed.publish(NOW + DAY, files={"policy.toml": b"name = 'x'\n"})
    broken = fed.pages()
    del broken["metadata/2.targets.json"]
    entry = json.loads(bundle(fed))
    entry["federations"][0]["files"] = {name: data.decode() for name, data in broken.items()}
    (change,) = federated.update_from(json.dumps(entry).encode(), now=NOW + DAY)
    assert change.result is Result.UNREACHABLE
    assert "policy.toml" not in federationstate.held("example").material.files
    (change,) = federated.update_from(old, now=NOW + DAY)
    assert change.result is Result.REFUSED
    assert "older state" in change.message


# --- freeze


def test_what_has_run_out_is_refused_and_says_when_and_by_which_clock(fed: Any) -> None:
    error = refused(fed, now=NOW + 8 * DAY)
    assert "time stamp" in error.message
    assert "2026-03-17" in error.message
    assert "2026-03-18" in error.message
    assert "holds it back" in error.hint


@pytest.mark.parametrize(("days", "said"), [(181, "ran out"), (400, "root")])
def test_files_and_roots_run_out_too(fed: Any, days: int, said: str) -> None:
    assert said in refused(fed, now=NOW + days * DAY).message


def test_an_old_time_stamp_is_accepted_on_request_only_and_only_so_old(fed: Any) -> None:
    found = refresh(fed, now=NOW + 20 * DAY, accept_older=14 * DAY)
    assert found.late
    assert found.as_of == NOW
    assert "more than the 12 days" in refused(fed, now=NOW + 20 * DAY, accept_older=12 * DAY).message


def test_nothing_but_the_time_stamp_may_be_old(tmp_path: Path) -> None:
    fed = f.make(tmp_path / "short", targets_days=10)
    error = refused(fed, now=NOW + 12 * DAY, accept_older=100 * DAY)
    assert "ran out" in error.message
    fed = f.make(tmp_path / "root", root_days=10)
    assert "root" in refused(fed, now=NOW + 12 * DAY, accept_older=100 * DAY).message


def test_rollback_is_refused_however_old_a_time_stamp_may_be(fed: Any) -> None:
    old = fed.pages()
    fed.publish(NOW + DAY)
    known = refresh(fed, now=NOW + DAY).material
    refused(fed, old, known=known, now=NOW + 20 * DAY, accept_older=100 * DAY)


def test_a_refused_update_leaves_the_last_good_state_in_use_and_its_age_is_named(fed: Any) -> None:
    taken_up(fed)
    (change,) = federated.update_from(bundle(fed), now=NOW + 40 * DAY)
    assert change.result is Result.REFUSED
    (one,) = federationstate.lists(now=NOW + 40 * DAY)
    assert one.source == "federation example, as of 2026-03-10 (40 days ago), overdue since 2026-03-17"
    assert one.expired(NOW + 40 * DAY)
    (fresh,) = federationstate.lists(now=NOW)
    assert fresh.source == "federation example, as of 2026-03-10"
    assert not fresh.expired(NOW)
    assert federationstate.held("example").problem == change.message


# --- clocks


def test_a_clock_far_behind_is_noticed(fed: Any) -> None:
    assert "clock" in refused(fed, now=NOW - 3 * DAY).message
    taken_up(fed)
    (change,) = federated.update_from(bundle(fed), now=NOW - 400 * DAY)
    assert change.result is Result.REFUSED
    assert "clock" in change.message


def test_a_clock_far_ahead_is_refused_with_both_dates(fed: Any) -> None:
    error = refused(fed, now=datetime(2099, 1, 1, tzinfo=UTC))
    assert "2099-01-01" in error.message
    assert "clock" in error.hint


# --- signatures


def test_too_few_signatures_on_the_files_are_refused(fed: Any) -> None:
    pages = fed.pages()
    targets = f.resign(
        pages["metadata/1.targets.json"],
        lambda signed: signed.targets.pop("lists/university.jws"),
        fed.sticks[0],
    )
    refused(fed, _online_forgery(fed, targets))


def _online_forgery(fed: Any, targets: bytes) -> dict[str, bytes]:
    """Everything that the online key can do for somebody who wants other files."""
    pages: dict[str, bytes] = fed.pages()
    snapshot = f.resign(
        pages["metadata/1.snapshot.json"],
        lambda signed: (
            setattr(signed, "version", 2),
            signed.meta.update({"targets.json": MetaFile.from_data(2, targets, ["sha256"])}),
        ),
        f.online(fed),
    )
    stamp = f.resign(
        pages["metadata/timestamp.json"],
        lambda signed: (
            setattr(signed, "version", 2),
            setattr(signed, "snapshot_meta", MetaFile.from_data(2, snapshot, ["sha256"])),
        ),
        f.online(fed),
    )
    return pages | {
        "metadata/2.snapshot.json": snapshot,
        "metadata/timestamp.json": stamp,
        "metadata/2.targets.json": targets,
    }


def _targets(fed: Any, change: Any) -> bytes:
    """Files as the signers themselves would sign them, were they so careless."""

    def both(signed: Any) -> None:
        signed.version = 2
        change(signed)

    data: bytes = f.resign(fed.pages()["metadata/1.targets.json"], both, *fed.sticks[:2])
    return data


def test_one_signature_twice_counts_once(fed: Any) -> None:
    targets = f.resign(
        fed.pages()["metadata/1.targets.json"], lambda signed: setattr(signed, "version", 2), fed.sticks[0]
    )
    twice = f.edited(targets, lambda document: document["signatures"].append(document["signatures"][0]))
    refused(fed, _online_forgery(fed, twice))


def test_a_root_that_names_one_key_twice_is_refused(fed: Any) -> None:
    def change(signed: Any) -> None:
        (first, *_) = signed.roles["root"].keyids
        key = signed.keys[first]
        signed.keys["0" * 64] = type(key)("0" * 64, key.keytype, key.scheme, key.keyval)
        for role in ("root", "targets"):
            signed.roles[role].keyids = [first, "0" * 64]

    forged = f.resign(fed.root, change, *fed.sticks[:2])
    with pytest.raises(FederationError, match="one key twice"):
        tufclient.read_root(forged, what="it")


def test_a_rotation_to_a_root_with_one_key_twice_is_refused(fed: Any) -> None:
    from rawtrace.trust.tuflib import Metadata, Signature

    metadata: Any = Metadata.from_bytes(fed.root)
    signed = metadata.signed
    signed.version = 2
    first, *_ = signed.roles["root"].keyids
    key = signed.keys[first]
    signed.keys["0" * 64] = type(key)("0" * 64, key.keytype, key.scheme, key.keyval)
    for role in ("root", "targets"):
        signed.roles[role].keyids.append("0" * 64)
    metadata.signatures.clear()
    for place in fed.sticks:
        metadata.sign(federationkeys.signer(keys.open_in_folder(place)), append=True)
    metadata.signatures["0" * 64] = Signature("0" * 64, metadata.signatures[first].signature)
    error = refused(fed, fed.pages() | {"metadata/2.root.json": metadata.to_bytes()})
    assert "one key twice" in error.message


def test_a_root_whose_online_key_may_sign_files_is_refused(fed: Any) -> None:
    def change(signed: Any) -> None:
        signed.roles["targets"].keyids.append(signed.roles["timestamp"].keyids[0])

    with pytest.raises(FederationError, match="online key"):
        tufclient.read_root(f.resign(fed.root, change, *fed.sticks[:2]), what="it")


@pytest.mark.parametrize("signers", [(), (0,), (3, 4)])
def test_a_new_root_without_a_threshold_of_the_old_one_is_refused(fed: Any, signers: tuple[int, ...]) -> None:
    own = [fed.stick(), fed.stick()]

    def change(signed: Any) -> None:
        signed.version = 2
        for role in ("root", "targets"):
            for keyid in list(signed.roles[role].keyids):
                signed.revoke_key(keyid, role)
            for place in own:
                signed.add_key(federationkeys.read_public(place), role)

    forged = f.resign(fed.root, change, *(fed.sticks[number] for number in {*signers, 3, 4}))
    error = refused(fed, fed.pages() | {"metadata/2.root.json": forged})
    assert "too few good signatures" in error.message


def test_a_root_is_pinned_only_if_it_is_signed_as_it_demands(fed: Any) -> None:
    for forged in (
        f.resign(fed.root, lambda signed: None, fed.sticks[0]),
        f.edited(fed.root, lambda document: document["signed"].update(version=7)),
        fed.pages()["metadata/timestamp.json"],
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"signed": {}, "signed": {}}',
        b"",
    ):
        with pytest.raises(Error):
            federated.add(forged, url="https://federation.example", now=NOW)
    assert federationstate.names() == ()


# --- mix and match, wrong files


def test_parts_of_two_states_do_not_fit_together(fed: Any) -> None:
    old = fed.pages()
    fed.publish(NOW + DAY, files={"policy.toml": b"name = 'x'\n"})
    pages = fed.pages()
    mixed = pages | {"metadata/2.targets.json": old["metadata/1.targets.json"]}
    assert "not the one that was signed" in refused(fed, mixed, now=NOW + DAY).message
    mixed = pages | {"metadata/2.snapshot.json": old["metadata/1.snapshot.json"]}
    assert "not the one that was signed" in refused(fed, mixed, now=NOW + DAY).message


@pytest.mark.parametrize(
    "change",
    [lambda data: data[:-1] + b"~", lambda data: data[:-5], lambda data: data + b" "],
    ids=["byte", "short", "long"],
)
def test_a_file_of_other_bytes_or_length_is_refused(fed: Any, change: Any) -> None:
    pages = fed.pages()
    (name,) = (one for one in pages if one.endswith("university.jws"))
    assert refused(fed, pages | {name: change(pages[name])}).code == "E175"


def test_endless_data_is_cut_off(fed: Any) -> None:
    pages = fed.pages()
    for name in [*pages, "metadata/2.root.json"]:
        if name != "metadata/1.root.json":  # pinned, never asked for
            assert refused(fed, pages | {name: b"{}" + b" " * 30_000_000}).code == "E175"


def test_a_length_that_the_online_key_invents_does_not_make_readers_take_more(fed: Any) -> None:
    stamp = f.resign(
        fed.pages()["metadata/timestamp.json"],
        lambda signed: (setattr(signed, "version", 2), setattr(signed.snapshot_meta, "length", 10**15)),
        f.online(fed),
    )
    asked: list[int] = []
    pages = fed.pages() | {"metadata/timestamp.json": stamp}

    def source(name: str, limit: int) -> bytes | None:
        asked.append(limit)
        return pages.get(name)

    with pytest.raises(RefreshError):
        tufclient.refresh(Material(roots=(fed.root,), files={}), source, now=NOW)
    assert max(asked) <= 1 << 20


@pytest.mark.parametrize(
    "name",
    [
        "../escape",
        "lists/../../x.jws",
        "/etc/passwd",
        "C:evil",
        "a\\b",
        "lists//x.jws",
        "x\n",
        "",
        "a" * 300,
        "lists/%2e",
    ],
)
def test_a_file_name_that_leads_elsewhere_is_refused(fed: Any, name: str) -> None:
    targets = _targets(fed, lambda signed: signed.targets.update({name: TargetFile.from_data(name or "x", b"x", None)}))
    error = refused(fed, _online_forgery(fed, targets))
    assert error.code == "E175"


def test_files_of_a_newer_form_are_left_alone(fed: Any) -> None:
    targets = _targets(
        fed,
        lambda signed: signed.targets.update({"notes/later.txt": TargetFile.from_data("notes/later.txt", b"x", None)}),
    )
    assert "notes/later.txt" not in refresh(fed, _online_forgery(fed, targets)).material.files


def test_a_file_that_says_to_be_huge_is_refused_before_it_is_asked_for(fed: Any) -> None:
    def change(signed: Any) -> None:
        signed.targets["lists/university.jws"].length = 10**12

    assert "more than it ever needs" in refused(fed, _online_forgery(fed, _targets(fed, change))).message


def test_another_digest_than_sha256_is_refused(fed: Any) -> None:
    def change(signed: Any) -> None:
        signed.targets["federation.json"].hashes = {"md5": "0" * 32}

    assert "SHA-256" in refused(fed, _online_forgery(fed, _targets(fed, change))).message


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b'{"signed":1,"signatures":[]}', b"[" * 9999, b"\x00\xff",
                                  b'{"signed":{"_type":"timestamp","version":"1"},"signatures":[]}'])  # fmt: skip
def test_garbage_in_place_of_any_metadata_is_refused_in_a_sentence(fed: Any, data: bytes) -> None:
    pages = fed.pages()
    for name in [*pages, "metadata/2.root.json"]:
        if name.startswith("metadata/") and name != "metadata/1.root.json":
            refused(fed, pages | {name: data})


# --- the network


@pytest.mark.parametrize("url", ["http://federation.example/x", "ftp://x", "federation.example", "https://a:b@x/", ""])
def test_only_https_is_asked(fed: Any, url: str) -> None:
    with pytest.raises(UsageError):
        federated.add(fed.root, url=url, now=NOW)


def test_a_server_that_is_not_there_changes_nothing(fed: Any) -> None:
    with pytest.raises(NetworkError):
        federated.add(fed.root, url="http://127.0.0.1:9/", now=NOW)
    assert federationstate.names() == ()


# --- the reader's own state


def test_add_pins_the_root_and_keeps_all_or_nothing(fed: Any) -> None:
    change = federated.add(fed.root, bundle=bundle(fed), now=NOW)
    assert change.result is Result.ADDED
    assert any("university" in one for one in change.changes)
    (one,) = federationstate.lists(now=NOW)
    assert (one.name, one.signed) == ("Example University instruments", True)
    assert federationstate.names() == ("example",)
    with pytest.raises(FederationError, match="held already"):
        federated.add(fed.root, bundle=bundle(fed), now=NOW)


def test_a_federation_of_the_same_name_by_other_signers_is_not_taken_for_it(fed: Any, tmp_path: Path) -> None:
    taken_up(fed)
    other = f.make(tmp_path / "other")
    with pytest.raises(FederationError, match="another root"):
        federated.add(other.root, bundle=bundle(other), now=NOW)
    (change,) = federated.update_from(bundle(other), now=NOW)
    assert change.result is Result.REFUSED


def test_a_federation_keeps_its_name(fed: Any, tmp_path: Path) -> None:
    taken_up(fed)
    (change,) = federated.update_from(bundle(fed, name="other"), now=NOW)
    assert change.result is Result.REFUSED
    assert "no root" in change.message


def test_an_update_says_what_changed(fed: Any) -> None:
    taken_up(fed)
    (change,) = federated.update_from(bundle(fed), now=NOW)
    assert (change.result, change.changes) == (Result.UNCHANGED, ())
    operator = f.o.Operator()
    federation.rotate(fed.folder, now=NOW)
    fed.publish(
        NOW + DAY,
        files={"lists/college.jws": f.list_file(operator=operator), "log-policy": f.POLICY.encode()},
        remove=["lists/university.jws"],
    )
    (change,) = federated.update_from(bundle(fed), now=NOW + DAY)
    assert change.result is Result.UPDATED
    said = " | ".join(change.changes)
    for part in ("new: lists/college.jws", "new: log-policy", "withdrawn: lists/university.jws", "new root 2"):
        assert part in said
    (one,) = federationstate.lists(now=NOW + DAY)
    assert [policy.text for policy in one.policies] == [
        policy.text for policy in federationstate.log_policies_of(federationstate.held("example"))
    ]
    assert len(one.policies) == 1


def test_a_client_that_is_too_old_refuses_and_says_what_to_do(fed: Any) -> None:
    taken_up(fed)
    fed.publish(NOW, description={"minimum_client_version": "999.1"})
    (change,) = federated.update_from(bundle(fed), now=NOW)
    assert change.result is Result.REFUSED
    assert "999.1" in change.message
    assert "newer rawtrace" in change.hint
    assert len(federationstate.lists(now=NOW)) == 1


def test_damaged_state_is_an_error_never_an_empty_list(fed: Any) -> None:
    taken_up(fed)
    path = federationstate.path_of("example")
    whole = path.read_text()
    for damaged in ("{}", "", whole[:-30], whole.replace("eyJ", "eyK", 1), "[1]", whole.replace('"files"', '"fils"')):
        path.write_text(damaged)
        with pytest.raises(FederationError, match="example"):
            federationstate.lists(now=NOW)
        (change,) = federated.update(now=NOW)
        assert change.result is Result.REFUSED
    federated.remove("example")
    assert federationstate.lists(now=NOW) == ()


def test_a_kill_at_any_write_leaves_a_usable_state(fed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_up(fed)
    fed.publish(NOW + DAY, files={"policy.toml": b"name = 'x'\n"})

    class Killed(BaseException):
        pass

    for call in ("replace", "fsync", "open"):
        real = getattr(os, call) if call != "replace" else Path.replace

        def dies(*arguments: Any, real: Any = real, **options: Any) -> Any:
            if "federations" in str(arguments[0]) and "lock" not in str(arguments[0]):
                raise Killed
            return real(*arguments, **options)

        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(Path if call == "replace" else os, call, dies)
            federated.update_from(bundle(fed), now=NOW + DAY)
        assert len(federationstate.lists(now=NOW + DAY)) == 1
    (change,) = federated.update_from(bundle(fed), now=NOW + DAY)
    assert change.result in {Result.UPDATED, Result.UNCHANGED}
    assert "policy.toml" in federationstate.held("example").material.files


def test_two_updates_at_once_both_end_well(fed: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    taken_up(fed)
    fed.publish(NOW + DAY, files={"policy.toml": b"name = 'x'\n"})
    carried = bundle(fed)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: federated.update_from(carried, now=NOW + DAY)[0].result, range(8)))
    assert sorted(results) == [Result.UNCHANGED] * 7 + [Result.UPDATED]


# --- bundles


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", b"{}", b"[]", b'{"federations": 1}', b'{"federations": [1]}',
     b'{"federations": [{"files": 1}]}', b'{"federations": [{"name": "../x", "url": "", "files": {}}]}',
     b'{"federations": [{"name": "x", "files": {"a": 1}}]}',
     b'{"federations": [{"name": "x", "url": "http://a.example", "files": {}}]}', b"[" * 100_000,
     b'{"federations": [{"name": "x", "url": "", "files": {"a": "\\ud800"}}]}',
     b'{"federations": [{"name": "x", "files": {}}, {"name": "x", "files": {}}]}'],
)  # fmt: skip
def test_what_is_no_bundle_is_refused_in_a_sentence(fed: Any, data: bytes) -> None:
    with pytest.raises(Error):
        federated.update_from(data, now=NOW)


def test_a_bundle_for_a_federation_whose_root_nobody_pinned_is_refused(fed: Any) -> None:
    (change,) = federated.update_from(bundle(fed), now=NOW)
    assert change.result is Result.REFUSED
    assert "trust add" in change.hint
    assert federationstate.names() == ()


def test_what_was_exported_can_be_carried_on(fed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_up(fed)
    federation.rotate(fed.folder, new_online_key=True, now=NOW)
    fed.sign(0, 1)
    fed.publish(NOW + DAY)
    federated.update_from(bundle(fed), now=NOW + DAY)
    carried = json.dumps({"federations": federationbundle.export_entries()}).encode()
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "other-machine"))
    assert federated.add(fed.root, bundle=carried, now=NOW + DAY).result is Result.ADDED
    assert federationstate.held("example").root["version"] == 2


def test_an_old_bundle_is_accepted_on_request_and_remembered_as_such(fed: Any) -> None:
    taken_up(fed)
    fed.publish(NOW + DAY)
    late = NOW + 30 * DAY
    (change,) = federated.update_from(bundle(fed), now=late)
    assert change.result is Result.REFUSED
    (change,) = federated.update_from(bundle(fed), accept_older=30 * DAY, now=late)
    assert change.result is Result.UNCHANGED
    held = federationstate.held("example")
    assert held.late
    assert "29 days ago" in held.words(late)


def test_limits_of_the_memory_source() -> None:
    with pytest.raises(LimitError):
        tufsources.memory_source({"a": b"xx"})("a", 1)


# --- roots that came with rawtrace


def test_an_embedded_root_is_enough_to_take_up_a_bundle(fed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddedroots, "embedded", lambda: (("example", fed.root, ""),))
    assert federated.update(now=NOW) == ()
    (change,) = federated.update_from(bundle(fed), now=NOW)
    assert change.result is Result.ADDED
    assert federationstate.names() == ("example",)


def test_an_embedded_root_refuses_what_others_signed(fed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddedroots, "embedded", lambda: (("example", fed.root, "http://127.0.0.1:9"),))
    other = f.make(tmp_path / "other")
    (change,) = federated.update_from(bundle(other), now=NOW)
    assert change.result is Result.REFUSED
    (change,) = federated.update(now=NOW)
    assert change.result is Result.UNREACHABLE
    with pytest.raises(FederationError, match="too few good signatures"):
        federationbundle.lists_in(federationbundle.read_carried(bundle(other)), place="it", now=NOW)
    assert federationstate.names() == ()


def test_roots_are_read_from_the_package(fed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert embeddedroots.embedded() == ()
    folder = tmp_path / "package" / "roots"
    folder.mkdir(parents=True)
    (folder / "example.root.json").write_bytes(fed.root)
    (folder / "example.url").write_text("https://trust.example.org/federation\n")
    monkeypatch.setattr(embeddedroots.resources, "files", lambda _package: tmp_path / "package")
    assert embeddedroots.embedded() == (("example", fed.root, "https://trust.example.org/federation"),)


def test_servers_that_federations_name_are_at_hand(fed: Any) -> None:
    site = Server(url="https://handles.example.org", key_sha256="ab" * 32)
    fed.publish(NOW, description={"resolver_roots": (site,), "stores": (site,)})
    taken_up(fed)
    assert federationstate.servers() == ((site,), (site,))


def test_resolution_begins_at_the_sites_of_federations_that_have_a_pinned_key(fed: Any) -> None:
    pinned = Server(url="https://handles.example.org", key_sha256="ab" * 32)
    own = Server(url="https://own.example.org", key_sha256="cd" * 32)
    others = (Server(url="https://unpinned.example.org"), Server(url="http://127.0.0.1:8650", key_sha256="ab" * 32))
    fed.publish(NOW, description={"resolver_roots": (pinned, own, *others)})
    assert roots.all_roots() == ()
    taken_up(fed)
    mine = roots.RootSite(url=own.url, key_sha256="ef" * 32, prefixes=("20.500.12345",), vouches=True)
    roots.add_root(mine)
    found = roots.all_roots()
    # What the reader has said of a site counts, and no federation lets one vouch.
    assert found == (
        mine,
        roots.RootSite(url=pinned.url, key_sha256=pinned.key_sha256, name="federation example", vouches=False),
    )
    assert roots.read_roots() == (mine,)
    federated.remove("example")
    assert roots.all_roots() == (mine,)


@pytest.mark.parametrize("key", ["ab", "x" * 64, "AB" * 32])
def test_a_servers_key_is_named_in_full(fed: Any, key: str) -> None:
    with pytest.raises(UsageError):
        federated.add(fed.root, url="https://federation.example", server_key_sha256=key, now=NOW)
