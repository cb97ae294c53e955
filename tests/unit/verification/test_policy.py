"""Policies: data that may ask for more or accept less, and never turn broken evidence into good."""

from __future__ import annotations

from pathlib import Path

import pytest

from rawtrace.errors import Error, PolicyError
from rawtrace.report import Outcome, Report, Verdict
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity
from rawtrace.trust.trustlist import TrustList
from rawtrace.verification.findings import CATALOGUE, finding
from rawtrace.verification.policy import DEFAULT, read_policy
from rawtrace.verification.verify import verify

GOOD = 'name = "J"\nversion = 1\n[outcomes]\n'


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "policy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff\xfe", "not the TOML of a policy"),
        ("name = ", "not the TOML"),
        ("a = " + "[" * 5_000, "not the TOML"),
        ("x" * 70_000, "larger than 65536"),
        ('name = "J"\nversion = 1\nmore = 1', "unknown key 'more'"),
        ("version = 1", "needs a name"),
        ('name = ""\nversion = 1', "needs a name"),
        ("name = 5\nversion = 1", "needs a name"),
        ('name = "J"\nversion = 2', "version = 1"),
        ('name = "J"', "version = 1"),
        ('name = "J"\nversion = 1\noutcomes = 3', "table of outcomes"),
        (GOOD + 'no-such-finding = "note"', "does not exist"),
        (GOOD + 'bytes-changed = "passed"', "only notes and open questions"),
        (GOOD + 'status-not-checked = "passed"', "only notes and open questions"),
        (GOOD + 'seal-missing = "passed"', "only notes and open questions"),
        (GOOD + 'signer-unknown = "note"', "expected one of rejected"),
        (GOOD + 'capture-uncertified = "note"', "expected one of rejected"),
        (GOOD + 'statement-unbacked = "passed"', "expected one of rejected"),
        (GOOD + 'certificate-expired = "passed"', "expected one of"),
        (GOOD + 'software-key = "fine"', "expected one of"),
        (GOOD + 'software-key = "altered"', "expected one of"),
        (GOOD + 'software-key = "not-checked"', "expected one of"),
        (GOOD + "software-key = 1", "expected one of"),
        (GOOD + 'software-key = ["passed"]', "expected one of"),
    ],
)
def test_what_is_no_policy_fail(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        read_policy(write(tmp_path, text))


def test_a_policy_that_is_not_there_fail(tmp_path: Path) -> None:
    with pytest.raises(Error) as caught:
        read_policy(tmp_path / "nothing.toml")
    assert caught.value.exit_code in {1, 3}


@pytest.mark.parametrize("identifier", [key for key, kind in CATALOGUE.items() if not kind.choices])
def test_broken_evidence_and_what_was_not_checked_cannot_be_weighed_fail(tmp_path: Path, identifier: str) -> None:
    for outcome in Outcome:
        with pytest.raises(PolicyError):
            read_policy(write(tmp_path, f'{GOOD}{identifier} = "{outcome}"'))


def test_a_policy_weighs_and_is_named(tmp_path: Path, instrument: Identity, trust_lists: tuple[TrustList, ...]) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    seal(path, signer=instrument)
    strict = read_policy(write(tmp_path, GOOD + 'software-key = "rejected"'))
    report = verify(path, trust=trust_lists, policy=strict)
    assert (report.verdict, report.policy) == (Verdict.REJECTED, "J")
    lenient = '"passed"\n'.join(["software-key = ", "no-trusted-time = ", "capture-manual = ", ""])
    report = verify(path, trust=trust_lists, policy=read_policy(write(tmp_path, GOOD + lenient)))
    assert report.verdict is Verdict.VERIFIED
    assert "software-key" in {one.id for one in report.findings}


def test_a_policy_holds_for_ancestors(
    tmp_path: Path, instrument: Identity, workstation: Identity, trust_lists: tuple[TrustList, ...]
) -> None:
    for name in ("raw.dat", "figure.png"):
        (tmp_path / name).write_bytes(b"x")
    seal(tmp_path / "raw.dat", signer=instrument)
    seal(tmp_path / "figure.png", signer=workstation, parents=[tmp_path / "raw.dat"])
    strict = read_policy(write(tmp_path, GOOD + 'software-key = "rejected"'))
    report = verify(tmp_path / "figure.png", trust=trust_lists, policy=strict)
    assert report.verdict is Verdict.REJECTED
    assert "ancestor-good" in {one.id for one in verify_leniently(tmp_path, trust_lists).findings}
    assert "ancestor-rejected" in {one.id for one in report.findings}


def verify_leniently(tmp_path: Path, trust_lists: tuple[TrustList, ...]) -> Report:
    weighed = ("software-key", "no-trusted-time", "capture-manual")
    policy = read_policy(write(tmp_path, GOOD + "".join(f'{one} = "passed"\n' for one in weighed)))
    return verify(tmp_path / "figure.png", trust=trust_lists, policy=policy)


def test_the_default_changes_nothing() -> None:
    for identifier in CATALOGUE:
        one = finding(identifier, "x")
        assert DEFAULT.weigh(one) is one
