"""Policies: what is not understood is refused, and a checkpoint counts only with its quorum."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from notes import ORIGIN, Tree, numbered, signer, witness
from rawtrace.errors import ReceiptError
from rawtrace.ledger.checkpoint import cosign, sign_checkpoint
from rawtrace.ledger.note import MLDSA44_COSIGNATURE, NoteSignature, NoteSigner
from rawtrace.ledger.policy import Group, Policy, PolicyLog, PolicyWitness

LOG = signer()
WITNESSES = {name: witness(f"{name}.example.org") for name in ("x1", "x2", "x3", "y1", "y2")}
LINES = f"""\
# who may say what

log {LOG.key.text} https://log.example.org/facility
{"".join(f"witness {name} {one.key.text} https://{name}.example.org/{chr(10)}" for name, one in WITNESSES.items())}
group \t X 2 x1 x2 x3\t
group Y any y1 y2
  group both all X Y
quorum both
"""


def note(*signers: tuple[NoteSigner, int], log: NoteSigner = LOG) -> bytes:
    data = sign_checkpoint(Tree(numbered(5)).checkpoint(), log)
    return data + "".join(cosign(data, one, time_s) for one, time_s in signers).encode()


def test_there_and_back() -> None:
    policy = Policy.parse(LINES)
    assert policy == Policy.parse(LINES.encode()) == Policy.parse(policy.text)
    assert policy.groups == (
        Group("X", 2, ("x1", "x2", "x3")),
        Group("Y", 1, ("y1", "y2")),
        Group("both", 2, ("X", "Y")),
    )
    assert policy.quorum == "both"
    assert policy.logs[0].url == "https://log.example.org/facility"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("quorum both", ""),
        ("quorum both", "quorum both\nquorum both"),
        ("quorum both", "quorum X\nquorum both"),
        ("quorum both", "quorum Z"),
        ("quorum both", "quorum both extra"),
        ("quorum both", "quorum both # a comment must have its own line"),
        ("quorum both", "quorum"),
        ("quorum both", "Quorum both"),
        ("quorum both", "quorum both\nnonsense"),
        ("group Y any y1 y2", "group Y 3 y1 y2"),
        ("group Y any y1 y2", "group Y 0 y1 y2"),
        ("group Y any y1 y2", "group Y -1 y1 y2"),
        ("group Y any y1 y2", "group Y 01 y1 y2"),
        ("group Y any y1 y2", "group Y any"),
        ("group Y any y1 y2", "group Y some y1 y2"),
        ("group Y any y1 y2", "group Y any y1 y1"),
        ("group Y any y1 y2", "group Y any y1 x1"),
        ("group Y any y1 y2", "group Y any y1 both"),
        ("group Y any y1 y2", "group Y any y1 Y"),
        ("group Y any y1 y2", "group Y any none"),
        ("group Y any y1 y2", "group x1 any y1 y2"),
        ("group Y any y1 y2", "group none any y1 y2"),
        ("witness y2 ", "witness y1 "),
        ("witness y2 ", "witness none "),
        (WITNESSES["y2"].key.text, WITNESSES["y1"].key.text),
        (WITNESSES["y2"].key.text, signer().key.text),
        (WITNESSES["y2"].key.text, "not a key"),
        (LOG.key.text, witness().key.text),
        (f"log {LOG.key.text}", f"log {LOG.key.text}\nlog {LOG.key.text}"),
        ("https://x1.example.org/", "https://x1.example.org/ and more"),
        ("# who may", "# who\x0bmay"),
        ("# who may", "# who\x7fmay"),
        ("group Y", "group\u00a0Y"),
        ("\n", "\r\n"),
    ],
    # The keys are new in every run, and names of tests must not be.
    ids=itertools.count(),
)
def test_what_is_not_understood(old: str, new: str) -> None:
    changed = LINES.replace(old, new)
    assert changed != LINES
    with pytest.raises(ReceiptError):
        Policy.parse(changed)


def test_sizes_and_bytes() -> None:
    with pytest.raises(ReceiptError, match="at most"):
        Policy.parse(LINES + "#" * 64_000)
    with pytest.raises(ReceiptError, match="UTF-8"):
        Policy.parse(LINES.encode() + b"# \xff\n")
    with pytest.raises(ReceiptError, match="without a quorum"):
        Policy.parse("")
    many = "".join(f"witness w{number} {witness().key.text}\n" for number in range(32))
    groups = "".join(f"group g{number} any w{number}\n" for number in range(32))
    assert len(Policy.parse(f"{many}{groups}quorum g31").witnesses) == 32


def test_a_policy_made_in_code_obeys_the_same_rules() -> None:
    policy = Policy.parse(LINES)
    for changed in (
        {"quorum": ""},
        {"quorum": "nobody"},
        {"groups": policy.groups[::-1]},
        {"groups": (Group("X", 9, ("x1",)),)},
        {"witnesses": (PolicyWitness("two words", WITNESSES["x1"].key),), "groups": (), "quorum": "none"},
        {"witnesses": (PolicyWitness("", WITNESSES["x1"].key),), "groups": (), "quorum": "none"},
        {"logs": (PolicyLog(LOG.key, "https://a b"),)},
        {"logs": (PolicyLog(LOG.key), PolicyLog(LOG.key))},
    ):
        with pytest.raises(ReceiptError):
            dataclasses.replace(policy, **changed)  # type: ignore[arg-type]


def test_the_quorum_decides_and_says_when() -> None:
    policy = Policy.parse(LINES)
    x1, x2, x3, y1, y2 = WITNESSES.values()
    for too_few in (
        [],
        [(x1, 5)],
        [(x1, 5), (x2, 6)],
        [(x1, 5), (y1, 6)],
        [(y1, 5), (y2, 6)],
        [(x1, 5), (x1, 6), (y1, 7)],
    ):
        with pytest.raises(ReceiptError, match="asks for more"):
            policy.check(note(*too_few))
    checked = policy.check(note((x1, 50), (x2, 60), (y1, 40)))
    assert checked.time_s == 60
    assert checked.log == LOG.key
    assert checked.checkpoint.size == 5
    assert {one.time_s for one in checked.cosignatures} == {40, 50, 60}
    # More witnesses than needed: what counts is when enough of them had signed, and one that dates back cannot pull it.
    assert policy.check(note((x1, 50), (x2, 60), (x3, 99), (y1, 40), (y2, 1))).time_s == 60
    assert policy.check(note((x1, 50), (x2, 60), (x3, 1), (y1, 40))).time_s == 50
    assert policy.check(note((x1, 90), (x1, 50), (x2, 60), (y1, 40))).time_s == 60


def test_names_alone_satisfy_a_quorum_or_not() -> None:
    policy = Policy.parse(LINES)
    assert policy.satisfied(["x1", "x3", "y2"])
    assert not policy.satisfied(["x1", "y2"])
    assert Policy.parse("quorum none").satisfied([])


def test_no_quorum_proves_no_time() -> None:
    policy = Policy.parse(LINES.replace("quorum both", "quorum none"))
    assert policy.check(note()).time_s is None
    assert policy.check(note((WITNESSES["x1"], 5))).time_s is None


def test_a_cosignature_without_a_time_counts_but_dates_nothing() -> None:
    key = witness("q.example.org", MLDSA44_COSIGNATURE)
    policy = Policy.parse(
        f"log {LOG.key.text}\nwitness q {key.key.text}\nwitness x {WITNESSES['x1'].key.text}\ngroup g any q x\nquorum g"
    )
    from rawtrace.ledger.keykinds import signed_message
    from rawtrace.ledger.note import read_note

    data = note()
    raw = key.sign(signed_message(key.kind, key.name, read_note(data).text, 0))
    untimed = NoteSignature(key.name, key.key.key_id, bytes(8) + raw).line.encode()
    assert policy.check(data + untimed).time_s is None
    assert policy.check(note((WITNESSES["x1"], 70)) + untimed).time_s == 70


def test_whose_checkpoint_it_is() -> None:
    policy = Policy.parse(LINES)
    good = [(WITNESSES["x1"], 5), (WITNESSES["x2"], 6), (WITNESSES["y1"], 7)]
    with pytest.raises(ReceiptError, match="is not signed by the key"):
        policy.check(note(*good, log=signer()))
    other = signer("other.example.org")
    foreign = sign_checkpoint(Tree(numbered(5)).checkpoint(origin=other.name), other)
    foreign += "".join(cosign(foreign, one, time_s) for one, time_s in good).encode()
    with pytest.raises(ReceiptError, match="not one that the policy names"):
        policy.check(foreign)
    two = Policy.parse(LINES.replace("log ", f"log {other.key.text}\nlog ", 1))
    assert two.check(foreign).log == other.key
    # The other log's key under this log's checkpoint is worth nothing.
    with pytest.raises(ReceiptError, match="is not signed by the key"):
        two.check(note(*good, log=other))


def test_one_bad_signature_of_a_known_witness_spoils_it() -> None:
    policy = Policy.parse(LINES)
    good = note(*((one, 5) for one in WITNESSES.values()))
    assert policy.check(good)
    for one in (LOG, WITNESSES["x3"]):
        bad = NoteSignature(one.name, one.key.key_id, bytes(72 if one is not LOG else 64)).line.encode()
        with pytest.raises(ReceiptError, match="does not hold"):
            policy.check(good + bad)
    assert policy.check(good + NoteSignature("stranger", b"1234", bytes(72)).line.encode())


def test_origin_of_the_examples() -> None:
    assert LOG.name == ORIGIN
