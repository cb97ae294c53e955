"""Publishing a federation: nothing half signed, nothing half written."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import stat
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace import durable
from rawtrace.errors import AlreadyExistsError, Error, FederationError, InputNotFoundError, UsageError
from rawtrace.trust import federation, federationdraft, federationkeys, federationpublish, keys, tufclient, tufsources
from rawtrace.trust.keys import Algorithm
from rawtrace.trust.tufclient import Material

f = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("federations.py"))))
NOW: datetime = f.NOW
DAY: timedelta = f.DAY


@pytest.fixture
def fed(tmp_path: Path) -> Any:
    return f.make(tmp_path)


def reader(fed: Any, now: datetime, known: Material | None = None) -> Material:
    source = tufsources.memory_source(fed.pages())
    start = known or Material(roots=(fed.root,), files={})
    return tufclient.refresh(start, source, now=now).material


# --- nothing half signed


def test_an_unsigned_draft_is_never_published(tmp_path: Path) -> None:
    fed = f.make(tmp_path, publish=False)
    for signers in ((), (0,)):
        fed.sign(*signers)
        with pytest.raises(FederationError, match="signature"):
            federationpublish.publish(fed.folder, now=NOW)
        assert fed.pages() == {}
    assert not (fed.folder / "public" / "metadata" / "1.root.json").exists()


def test_one_key_signing_twice_is_one_signature(tmp_path: Path) -> None:
    fed = f.make(tmp_path, publish=False)
    fed.sign(0, 0)
    with pytest.raises(FederationError, match="lacks 1 of 2"):
        federationpublish.publish(fed.folder, now=NOW)


def test_a_change_takes_the_signatures_of_files_away(fed: Any) -> None:
    federation.add(fed.folder, files={"policy.toml": b"a = 1\n"}, now=NOW)
    fed.sign(0, 1)
    federation.add(fed.folder, files={"policy.toml": b"a = 2\n"}, now=NOW)
    before = fed.pages()
    with pytest.raises(FederationError, match="lacks 2 of 2"):
        federationpublish.publish(fed.folder, now=NOW)
    assert fed.pages() == before


def test_a_key_that_counts_for_nothing_signs_nothing(fed: Any) -> None:
    fed.stick()
    federation.add(fed.folder, now=NOW)
    with pytest.raises(FederationError, match="counts for nothing"):
        fed.sign(3)
    (fed.folder / "draft.json").unlink()
    with pytest.raises(FederationError, match="nothing is drafted"):
        fed.sign(0)


def test_a_draft_is_carried_signed_and_brought_back(fed: Any, tmp_path: Path) -> None:
    federation.add(fed.folder, files={"policy.toml": b"a = 1\n"}, now=NOW)
    carried = tmp_path / "draft.json"
    carried.write_bytes((fed.folder / "draft.json").read_bytes())
    federation.sign(carried, keys.open_in_folder(fed.sticks[1]))
    fed.sign(0)
    merged = federation.merge(fed.folder, carried)
    assert [one.missing for one in federationdraft.signatures(merged)] == [0]
    federationpublish.publish(fed.folder, now=NOW)
    assert "policy.toml" in reader(fed, NOW).files


def test_signatures_of_another_draft_are_not_taken_over(fed: Any, tmp_path: Path) -> None:
    federation.add(fed.folder, files={"policy.toml": b"a = 1\n"}, now=NOW)
    carried = tmp_path / "draft.json"
    carried.write_bytes((fed.folder / "draft.json").read_bytes())
    federation.add(fed.folder, files={"policy.toml": b"a = 2\n"}, now=NOW)
    with pytest.raises(FederationError, match="another draft"):
        federation.merge(fed.folder, carried)


@pytest.mark.parametrize("damage", ["files", "garbage", "schema"])
def test_a_draft_that_was_tampered_with_is_not_signed(fed: Any, damage: str) -> None:
    federation.add(fed.folder, files={"policy.toml": b"a = 1\n"}, now=NOW)
    path = fed.folder / "draft.json"
    document = json.loads(path.read_text())
    if damage == "files":
        document["files"]["policy.toml"] = "a = 2\n"
    else:
        document["targets" if damage == "garbage" else "schema"] = "{"
    path.write_text(json.dumps(document))
    with pytest.raises(FederationError):
        fed.sign(0)


# --- what readers would refuse is not published


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"lists/a.jws": b"{}"}, "lists/a.jws"),
        ({"lists/a.jws": b"nonsense"}, "lists/a.jws"),
        ({"../x": b""}, "no federation needs"),
        ({"notes.txt": b""}, "none of a federation's files"),
        ({"log-policy": b"quorum\n"}, "tlog-policy"),
        ({"policy.toml": b"\xff"}, "UTF-8"),
        ({"federation.json": b"{}"}, "form"),
    ],
    ids=["unsigned", "nonsense", "path", "unknown", "policy", "bytes", "description"],
)
def test_a_file_that_readers_would_refuse_is_not_drafted(fed: Any, files: dict[str, bytes], said: str) -> None:
    with pytest.raises(Error, match=said):
        federation.add(fed.folder, files=files, now=NOW)
    assert federation.status(fed.folder, now=NOW).draft is None


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"name": "../x"}, FederationError), ({"name": "Example"}, FederationError),
        ({"threshold": 4}, FederationError), ({"threshold": 0}, FederationError),
        ({"root_days": 0}, UsageError), ({"url": "http://a.example"}, FederationError),
    ],
    ids=["path", "capital", "four", "zero", "days", "http"],
)  # fmt: skip
def test_a_federation_that_could_not_work_is_not_made(tmp_path: Path, options: dict[str, Any], kind: type) -> None:
    with pytest.raises(kind):
        f.make(tmp_path, **options)
    assert not (tmp_path / "federation").exists()


def test_one_signer_cannot_stand_for_two(tmp_path: Path) -> None:
    federationkeys.create_key(tmp_path / "stick")
    key = federationkeys.read_public(tmp_path / "stick")
    with pytest.raises(FederationError, match="named twice"):
        federation.create(tmp_path / "fed", name="x", offline=[key, key], threshold=2)


def test_nothing_is_overwritten(fed: Any, tmp_path: Path) -> None:
    with pytest.raises(AlreadyExistsError):
        federation.create(fed.folder, name="example", offline=[federationkeys.read_public(fed.sticks[0])], threshold=1)
    with pytest.raises(AlreadyExistsError):
        federationkeys.create_key(fed.sticks[0])
    with pytest.raises(InputNotFoundError):
        federation.status(tmp_path / "nothing")


# --- keys


@pytest.mark.skipif(os.name == "nt", reason="file modes mean nothing on Windows")
def test_private_keys_are_their_owners_alone(fed: Any) -> None:
    private = [*fed.base.rglob("key.pem")]
    assert len(private) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert b"PRIVATE" not in b"".join(fed.pages().values()) + (fed.folder / "federation.json").read_bytes()


def test_signers_may_have_either_kind_of_key(tmp_path: Path) -> None:
    for number, algorithm in enumerate(Algorithm):
        federationkeys.create_key(tmp_path / str(number), algorithm=algorithm)
    offline = [federationkeys.read_public(tmp_path / str(number) / "public.pem") for number in range(2)]
    folder = tmp_path / "fed"
    federation.create(folder, name="example", offline=offline, threshold=2, now=NOW)
    for number in range(2):
        federation.sign(folder, keys.open_in_folder(tmp_path / str(number)))
    federationpublish.publish(folder, now=NOW)
    fed = f.Fed(tmp_path, folder)
    assert set(reader(fed, NOW).files) == {"federation.json"}


def test_a_lost_key_is_removed_by_the_others_and_readers_follow(fed: Any) -> None:
    known = reader(fed, NOW)
    lost = federationkeys.digest_of(federationkeys.read_public(fed.sticks[2]))
    fed.stick()
    federation.rotate(fed.folder, remove_keys=[lost], add_keys=[federationkeys.read_public(fed.sticks[3])], now=NOW)
    with pytest.raises(FederationError, match="counts for nothing"):
        # It may still sign the root as one of the old keys, but the files only as one of the new.
        federation.sign(fed.folder, keys.open_in_folder(fed.stick()))
    fed.sign(0, 1)
    fed.publish(NOW + DAY)
    found = reader(fed, NOW + DAY, known)
    assert lost not in str(tufclient.read_root(found.roots[-1], what="it").keys)
    fed.publish(NOW + DAY, 0, 3, files={"policy.toml": b"a = 1\n"})
    assert "policy.toml" in reader(fed, NOW + DAY, found).files
    federation.add(fed.folder, now=NOW + DAY)
    with pytest.raises(FederationError, match="counts for nothing"):
        fed.sign(2)


def test_a_new_root_needs_the_old_ones_signatures_too(fed: Any) -> None:
    for _ in range(2):
        fed.stick()
    old = [federationkeys.digest_of(federationkeys.read_public(place)) for place in fed.sticks[:3]]
    new = [federationkeys.read_public(place) for place in fed.sticks[3:]]
    federation.rotate(fed.folder, remove_keys=old, add_keys=new, now=NOW)
    fed.sign(3, 4)
    with pytest.raises(FederationError, match="the root before it"):
        federationpublish.publish(fed.folder, now=NOW)
    fed.sign(1, 2)
    federationpublish.publish(fed.folder, now=NOW)
    assert len(reader(fed, NOW).roots) == 2


def test_the_online_key_is_replaced_without_losing_readers(fed: Any) -> None:
    known = reader(fed, NOW)
    federation.rotate(fed.folder, new_online_key=True, now=NOW)
    with pytest.raises(FederationError, match="lacks"):
        federationpublish.publish(fed.folder, now=NOW)
    fed.sign(0, 1)
    fed.publish(NOW + DAY)
    assert len(reader(fed, NOW + DAY, known).roots) == 2


@pytest.mark.parametrize("digest", ["", "0123", "0" * 64])
def test_a_key_to_remove_is_named_well_enough(fed: Any, digest: str) -> None:
    with pytest.raises(FederationError, match="8 digits"):
        federation.rotate(fed.folder, remove_keys=[digest], now=NOW)


# --- time


def test_a_time_stamp_is_renewed_without_offline_keys(fed: Any) -> None:
    known = reader(fed, NOW)
    for day in range(1, 60, 3):
        fed.publish(NOW + day * DAY)
        known = reader(fed, NOW + day * DAY, known)
    assert known.targets == reader(fed, NOW + 58 * DAY).targets


def test_what_runs_out_is_said_before_it_does(fed: Any) -> None:
    assert federation.status(fed.folder, now=NOW).warnings == ()
    assert "time stamp runs out on 2026-03-17" in federation.status(fed.folder, now=NOW + 6 * DAY).warnings[0]
    said = " ".join(federation.status(fed.folder, now=NOW + 150 * DAY).warnings)
    assert "the list of files runs out on 2026-09-06, in 30 days" in said
    assert "readers refuse updates" in said
    with pytest.raises(FederationError, match="readers would refuse"):
        federationpublish.publish(fed.folder, now=NOW + 181 * DAY)
    federation.add(fed.folder, now=NOW + 181 * DAY)
    fed.sign(0, 1)
    federationpublish.publish(fed.folder, now=NOW + 181 * DAY)
    assert reader(fed, NOW + 181 * DAY).files


# --- kills


def test_a_kill_between_any_two_files_leaves_readers_well_and_is_made_good(
    fed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = reader(fed, NOW)

    class Killed(BaseException):
        pass

    real = durable.replace
    for number in range(12):
        when = NOW + DAY + number * timedelta(hours=1)
        if number % 2:
            federation.rotate(fed.folder, now=when)
        federation.add(fed.folder, files={"policy.toml": f"a = {number}\n".encode()}, now=when)
        fed.sign(0, 1)
        left = number % 7

        def dies(path: Path, data: bytes, *, mode: int = 0o644) -> None:
            nonlocal left
            if "public" in str(path):
                if left == 0:
                    raise Killed
                left -= 1
            real(path, data, mode=mode)

        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(durable, "replace", dies)
            federationpublish.publish(fed.folder, now=when)
        assert reader(fed, when).files
        known = reader(fed, when, known)
        federationpublish.publish(fed.folder, now=when)
        known = reader(fed, when, known)
        assert known.files["policy.toml"] == f"a = {number}\n".encode()
        assert federation.status(fed.folder, now=when).draft is None


def test_two_publications_at_once_both_end_well(fed: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: federationpublish.publish(fed.folder, now=NOW), range(6)))
    document = json.loads(fed.pages()["metadata/timestamp.json"])
    assert document["signed"]["version"] == 7
    assert reader(fed, NOW).files


def test_a_changed_public_file_is_noticed_before_it_is_signed_again(fed: Any) -> None:
    (path,) = (fed.public / "targets" / "lists").iterdir()
    path.write_bytes(b"x")
    with pytest.raises(FederationError, match="not the file that was published"):
        federationpublish.publish(fed.folder, now=NOW)
