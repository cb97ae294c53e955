"""The trust store: rollback, freeze, other operators, damage; then the ordinary life of a list."""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.config import CONFIG_VARIABLE, trust_folder
from rawtrace.errors import AlreadyExistsError, InputNotFoundError, TrustListError, UsageError
from rawtrace.trust import sources, truststore
from rawtrace.trust.truststore import Outcome, load_trust

o = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "operators.py")))
DAY, ISSUED, Operator = o.DAY, o.ISSUED, o.Operator


@pytest.fixture(scope="module")
def operator() -> Any:
    return Operator()


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "settings"))


@pytest.fixture
def place(tmp_path: Path, operator: Any) -> Path:
    """An authority's folder with issue 3 of its list, accepted."""
    folder = tmp_path / "authority"
    folder.mkdir()
    (folder / "trust-list.jws").write_bytes(operator.sign(operator.payload()))
    truststore.add(folder)
    return folder


def publish(folder: Path, data: bytes) -> None:
    (folder / "trust-list.jws").write_bytes(data)


def only_change() -> truststore.Change:
    (change,) = truststore.update()
    return change


def held_sequence() -> int:
    (one,) = load_trust()
    return one.sequence


# --- attacks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sequence": 2}, "older than the issue 3"),
        ({"sequence": 2, "issued": ISSUED + DAY}, "older than the issue 3"),
        ({"sequence": 3, "statuses": []}, "other content"),
        ({"sequence": 3, "issued": ISSUED + DAY}, "other content"),
        ({"sequence": 4, "issued": ISSUED - DAY}, "earlier date"),
    ],
)
def test_rollback_is_refused_by_update_and_by_add(
    operator: Any, place: Path, changes: dict[str, Any], expected: str
) -> None:
    publish(place, operator.sign(operator.payload(**changes)))
    change = only_change()
    assert change.outcome is Outcome.REFUSED
    assert expected in change.message
    with pytest.raises(TrustListError, match=expected):
        truststore.add(place)
    (held,) = load_trust()
    assert (held.sequence, len(held.statuses)) == (3, 1)


def test_frozen_list_is_held_but_known_to_be_overdue(place: Path) -> None:
    assert only_change().outcome is Outcome.UNCHANGED
    (held,) = load_trust()
    assert held.expired(ISSUED + 31 * DAY)


def test_another_operator_of_the_same_name_is_refused(place: Path) -> None:
    stranger = Operator()
    publish(place, stranger.sign(stranger.payload(sequence=9, issued=ISSUED + DAY)))
    change = only_change()
    assert change.outcome is Outcome.REFUSED
    assert "by the operator it was accepted from" in change.message
    with pytest.raises(TrustListError, match="now by another operator") as caught:
        truststore.add(place)
    assert "trust remove" in caught.value.hint
    assert held_sequence() == 3


def test_signed_list_cannot_turn_unsigned(operator: Any, tmp_path: Path) -> None:
    file = tmp_path / "list.jws"
    file.write_bytes(operator.sign(operator.payload()))
    truststore.add(file)
    file.write_bytes(operator.payload(sequence=9, issued=ISSUED + DAY))
    assert only_change().outcome is Outcome.REFUSED
    with pytest.raises(TrustListError, match="now by another operator"):
        truststore.add(file, unsigned=True)
    assert held_sequence() == 3


def test_another_list_of_the_same_operator_does_not_take_the_place(operator: Any, place: Path) -> None:
    publish(place, operator.sign(operator.payload(name="Some other list", sequence=9)))
    assert only_change().outcome is Outcome.REFUSED
    assert held_sequence() == 3


def test_unsigned_list_needs_leave(operator: Any, tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_bytes(operator.payload())
    with pytest.raises(TrustListError, match="not signed"):
        truststore.add(file)
    assert load_trust() == ()
    assert truststore.add(file, unsigned=True)[0].outcome is Outcome.ADDED
    assert [one.signed for one in load_trust()] == [False]


def test_authoritys_folder_must_be_signed_whatever_is_asked(operator: Any, tmp_path: Path) -> None:
    publish(tmp_path, operator.payload())
    for act in (lambda: truststore.add(tmp_path, unsigned=True), lambda: load_trust([tmp_path])):
        with pytest.raises(TrustListError, match="not signed"):
            act()


def test_all_or_none(operator: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jws").write_bytes(operator.sign(operator.payload()))
    (tmp_path / "b.jws").write_bytes(operator.sign(operator.payload(name="Other"))[:-4])
    with pytest.raises(TrustListError, match=r"b\.jws"):
        truststore.add(tmp_path)
    assert truststore.listed() == ()


def test_two_lists_of_one_name_and_number_are_refused(operator: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jws").write_bytes(operator.sign(operator.payload()))
    (tmp_path / "b.jws").write_bytes(operator.sign(operator.payload(statuses=[])))
    for act in (lambda: truststore.add(tmp_path), lambda: load_trust([tmp_path])):
        with pytest.raises(TrustListError, match="but they differ"):
            act()


def test_old_copy_beside_the_new_one_does_not_count(operator: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jws").write_bytes(operator.sign(operator.payload(sequence=4)))
    (tmp_path / "b.jws").write_bytes(operator.sign(operator.payload(sequence=3, statuses=[])))
    assert [one.sequence for one in load_trust([tmp_path])] == [4]
    truststore.add(tmp_path)
    assert held_sequence() == 4


def _entry() -> Path:
    (path,) = trust_folder().iterdir()
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "{",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"list": "e', '"list": "f'),
        lambda text: text.replace("trust-bundle:1", "trust-bundle:2"),
        lambda text: json.dumps({**json.loads(text), "lists": []}),
        lambda text: json.dumps({**json.loads(text), "lists": json.loads(text)["lists"] * 2}),
        lambda text: json.dumps({**json.loads(text), "lists": [{"list": "\ud800"}]}),
        lambda text: json.dumps({**json.loads(text), "lists": [{**json.loads(text)["lists"][0], "content_sha256": 5}]}),
    ],
    ids=["empty", "brace", "half", "changed", "newer", "none", "twice", "surrogate", "digest"],
)
def test_damaged_entry_is_named(place: Path, damage: Any) -> None:
    path = _entry()
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    (entry,) = truststore.listed()
    assert entry.carried is None
    assert path.name in entry.problem
    with pytest.raises(TrustListError, match=path.name):
        load_trust()
    with pytest.raises(TrustListError, match=path.name):
        truststore.export(place / "out.json")
    with pytest.raises(TrustListError, match=path.name):
        truststore.add(place)
    assert only_change().outcome is Outcome.REFUSED
    truststore.remove(entry.id)
    assert truststore.add(place)[0].outcome is Outcome.ADDED


def test_entry_under_another_name_is_named(place: Path) -> None:
    path = _entry()
    path.rename(path.with_name("0" * 16 + ".json"))
    with pytest.raises(TrustListError, match="another list than its name says"):
        load_trust()


@pytest.mark.parametrize("source", ["https://lists.example.org/list.jws", "http://x/", "ftp://x/y", "file:///etc"])
def test_addresses_are_refused_in_words(source: str) -> None:
    with pytest.raises(UsageError, match="is an address"):
        truststore.add(source)
    with pytest.raises(UsageError, match="is an address"):
        load_trust([Path(source)])


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        truststore.add(tmp_path / "nothing.jws")
    with pytest.raises(InputNotFoundError):
        load_trust([Path("a\0b")])
    with pytest.raises(TrustListError, match="0 trust lists"):
        load_trust([tmp_path])
    (tmp_path / "authority.json").write_text("{}")
    with pytest.raises(TrustListError, match="not published a list yet"):
        load_trust([tmp_path])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.jws")
    with pytest.raises(TrustListError, match="not a regular file"):
        load_trust([tmp_path / "list.jws"])


def test_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BUNDLE_BYTES", 1000)
    (tmp_path / "list.jws").write_bytes(b"a" * 1001)
    with pytest.raises(TrustListError, match="larger than"):
        load_trust([tmp_path / "list.jws"])


# --- ordinary life ----------------------------------------------------------------------------------------------


def test_no_store_is_no_trust() -> None:
    assert load_trust() == ()
    assert truststore.listed() == ()
    assert truststore.update() == ()


def test_update_takes_the_next_issue(operator: Any, place: Path) -> None:
    publish(place, operator.sign(operator.payload(sequence=4, issued=ISSUED + DAY, statuses=[])))
    assert only_change().outcome is Outcome.UPDATED
    (held,) = load_trust()
    assert (held.sequence, held.statuses) == (4, ())
    assert only_change().outcome is Outcome.UNCHANGED


def test_operator_may_renew_its_certificate_under_the_same_root(operator: Any, place: Path) -> None:
    renewed = Operator.__new__(Operator)
    renewed.__dict__.update(operator.__dict__)
    renewed.key = o.generate(o.Algorithm.ES256)
    above = (operator.root, operator.root_key)
    renewed.certificate = o.make_certificate("new", renewed.key, issuer=above, eku=(o.EKU_TRUST_LIST_SIGNING,))
    publish(place, renewed.sign(operator.payload(sequence=4)))
    assert only_change().outcome is Outcome.UPDATED


def test_signing_the_same_list_again_changes_nothing(place: Path, operator: Any) -> None:
    publish(place, operator.sign(operator.payload()))
    assert truststore.add(place)[0].outcome is Outcome.UNCHANGED


def test_place_that_is_gone_keeps_what_is_held(place: Path) -> None:
    (place / "trust-list.jws").unlink()
    assert only_change().outcome is Outcome.UNREACHABLE
    assert held_sequence() == 3


def test_unsigned_list_goes_by_its_date_where_the_number_stands_still(operator: Any, tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_bytes(operator.payload())
    truststore.add(file, unsigned=True)
    file.write_bytes(operator.payload(statuses=[], issued=ISSUED + DAY))
    assert only_change().outcome is Outcome.UPDATED
    file.write_bytes(operator.payload())
    assert only_change().outcome is Outcome.REFUSED


def test_bundle_carries_lists_byte_for_byte(operator: Any, place: Path, tmp_path: Path, monkeypatch: Any) -> None:
    plain = tmp_path / "plain.json"
    plain.write_bytes(b" " + operator.payload(name="Unsigned list") + b"\n")
    truststore.add(plain, unsigned=True)
    before = load_trust()
    truststore.export(tmp_path / "bundle.json")
    inside = json.loads((tmp_path / "bundle.json").read_text(encoding="utf-8"))["lists"]
    assert {one["list"].encode() for one in inside} == {
        plain.read_bytes(),
        (place / "trust-list.jws").read_bytes(),
    }
    carried = load_trust([tmp_path / "bundle.json"])
    assert [one.facts() | {"source": ""} for one in carried] == [one.facts() | {"source": ""} for one in before]

    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "elsewhere"))
    with pytest.raises(TrustListError, match="not signed"):
        truststore.add(tmp_path / "bundle.json")
    changes = truststore.add(tmp_path / "bundle.json", unsigned=True)
    assert [change.outcome for change in changes] == [Outcome.ADDED] * 2
    assert {change.outcome for change in truststore.update()} == {Outcome.UNCHANGED}


def test_export_overwrites_nothing_and_needs_a_list(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle.json"
    out.write_text("mine")
    with pytest.raises(AlreadyExistsError):
        truststore.export(out)
    assert out.read_text() == "mine"
    truststore.remove("Example University instruments")
    with pytest.raises(TrustListError, match="nothing to export"):
        truststore.export(tmp_path / "other.json")


def test_remove_needs_one_list_of_that_name(place: Path) -> None:
    with pytest.raises(InputNotFoundError, match="0 of your trust lists"):
        truststore.remove("../authority")
    truststore.remove(truststore.listed()[0].id)
    assert load_trust() == ()


def test_require_signature_holds_for_sources(operator: Any, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_bytes(operator.payload())
    assert [one.signed for one in load_trust([tmp_path / "list.json"])] == [False]
    with pytest.raises(TrustListError, match="not signed"):
        load_trust([tmp_path / "list.json"], require_signature=True)


def test_a_trust_stores_folder_stands_for_its_authority(place: Path) -> None:
    assert load_trust([place.parent]) == load_trust([place])


def test_the_store_itself_is_a_source(place: Path) -> None:
    assert [one.sequence for one in load_trust([trust_folder()])] == [3]
