"""``rawtrace instrument``, ``workstation`` and ``authority`` as people and programs call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rawtrace.cli.main import run_for_code
from rawtrace.trust import identity
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.trustlist import read_list

OWNER = "https://ror.org/0exampe44"
MAKER = ("--manufacturer", "Example Optics", "--model", "WF 100")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Run:
    """Runs commands and keeps what they printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        code = run_for_code(list(arguments))
        self.out, self.err = self._capsys.readouterr()
        return code

    def json(self, *arguments: str) -> dict[str, Any]:
        assert self(*arguments, "--json") == 0, self.err
        value: dict[str, Any] = json.loads(self.out)
        return value


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], place: Path) -> Run:
    made = Run(capsys)
    assert made("authority", "new", "authority", "--name", "Example University", "--owner", OWNER) == 0
    assert "root SHA-256: " in made.out
    assert "lock away" in made.err
    return made


def new_instrument(run: Run, *options: str, folder: str = "scope", owner: str = OWNER) -> int:
    return run("instrument", "new", folder, "--name", "Widefield 1", *MAKER, "--owner", owner, *options)


@pytest.mark.parametrize(
    ("owner", "options", "code", "said"),
    [
        ("https://ror.org/0exampe45", (), 1, "error[E132]: the check digits of the ROR"),
        ("Example University", (), 1, "is not a ROR"),
        (OWNER, ("--pid", "javascript:alert(1)"), 1, "is not a PID"),
        (OWNER, ("--authority", "https://authority.example.org"), 2, "a one-time code goes with a PID"),
        (OWNER, ("--authority", "HTTP://authority.example.org", "--code-file", "x"), 2, "goes with a PID"),
        (OWNER, ("--authority", "nowhere"), 3, "is not the folder of an authority"),
        (OWNER, ("--pkcs11-token", "example"), 2, "takes all of"),
        (OWNER, ("--algorithm", "rsa"), 2, "'rsa' is not one of"),
        (OWNER, ("--location", "Room\x1b[31m 1"), 1, "rawtrace.location: holds a control character"),
        (OWNER, ("--serial", "x" * 400), 1, "at most 300 are accepted"),
    ],
)
def test_what_cannot_be_made_is_refused_in_words_and_leaves_nothing(
    run: Run, place: Path, owner: str, options: tuple[str, ...], code: int, said: str
) -> None:
    assert new_instrument(run, *options, owner=owner) == code
    assert said in run.err
    assert run.out == ""
    assert sorted(path.name for path in place.iterdir()) == ["authority"]


def test_nothing_is_made_over_an_identity(run: Run, place: Path) -> None:
    assert new_instrument(run) == 0
    key = (place / "scope" / "key.pem").read_bytes()
    assert new_instrument(run) == 1
    assert "error[E106]" in run.err
    assert (place / "scope" / "key.pem").read_bytes() == key


def test_an_instrument_is_made_and_shown_without_its_key(run: Run, place: Path) -> None:
    options = ("--serial", "SN-0001", "--location", "Room 1", "--pid", "hdl:20.500.12345/abc")
    assert new_instrument(run, *options, "--authority", "authority") == 0
    secret = (place / "scope" / "key.pem").read_text().splitlines()[1]
    assert secret not in run.out + run.err
    assert "certified as:  instrument" in run.out
    value = run.json("instrument", "show", "scope")
    assert value["schema"] == "urn:rawtrace:schema:identity:1"
    expected = {
        "pid": "https://hdl.handle.net/20.500.12345/abc",
        "kind": "instrument",
        "authority": "Example University",
        "serial": "SN-0001",
        "owner_ror": OWNER,
        "location": "Room 1",
        "algorithm": "ed25519",
        "protection": "software",
    }
    assert {name: value[name] for name in expected} == expected
    assert value["record"]["schemaVersion"] == "1.0"
    assert secret not in run.out + run.err


def test_a_self_certified_identity_says_so_until_an_authority_certifies_it(run: Run) -> None:
    assert run("workstation", "new", "ws", "--name", "Analysis 1", "--owner", OWNER) == 0
    assert "no authority stands behind" in run.err
    assert run.json("workstation", "show", "ws")["kind"] == "self"
    assert run("authority", "issue", "authority", "ws") == 0
    assert "no authority stands behind" not in run.err
    value = run.json("workstation", "show", "ws")
    assert (value["kind"], value["authority"]) == ("workstation", "Example University")


def test_a_workstation_is_no_instrument(run: Run) -> None:
    assert run("workstation", "new", "ws", "--name", "Analysis 1", "--owner", OWNER) == 0
    for command in ("show", "renew"):
        assert run("instrument", command, "ws") == 2
        assert "an instrument" in run.err


def test_renewal_moves_an_instrument_and_keeps_its_pid(run: Run) -> None:
    assert new_instrument(run, "--authority", "authority", "--location", "Room 1") == 0
    before = run.json("instrument", "show", "scope")
    assert run("instrument", "renew", "scope") == 1
    assert "expected an authority" in run.err
    after = run.json("instrument", "renew", "scope", "--authority", "authority", "--new-key", "--location", "Room 2")
    assert after["pid"] == before["pid"]
    assert after["location"] == "Room 2"
    assert after["certificate_serial"] != before["certificate_serial"]


def test_an_instrument_is_revoked_by_pid_and_the_list_says_so(run: Run, place: Path) -> None:
    assert new_instrument(run, "--authority", "authority") == 0
    pid = run.json("instrument", "show", "scope")["pid"]
    command = ("authority", "revoke", "authority", "--pid", pid, "--reason", "keycompromise")
    revoked = run.json(*command, "--compromised-from", "2026-01-31", "--note", "stolen laptop")["revoked"]
    assert [(item["reason"], item["compromised_from"]) for item in revoked] == [
        ("keyCompromise", "2026-01-31T00:00:00+00:00")
    ]
    (item,) = run.json("authority", "list", "authority")["issued"]
    assert item["status"]["reason"] == "keyCompromise"
    assert run("authority", "list", "authority") == 0
    assert "keyCompromise, compromised from 2026-01-31 00:00 UTC" in run.out
    found = read_list((place / "authority" / "trust-list.jws").read_bytes(), source="test")
    assert (found.sequence, found.statuses[0].note) == (3, "stolen laptop")


def test_one_certificate_is_revoked_by_its_serial_number(run: Run) -> None:
    assert new_instrument(run, "--authority", "authority") == 0
    serial = run.json("instrument", "show", "scope")["certificate_serial"]
    spaced = ":".join(serial.zfill(40)[i : i + 2] for i in range(0, 40, 2)).upper()
    assert run("authority", "revoke", "authority", "--serial", spaced, "--reason", "superseded") == 0
    assert serial in run.out


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--reason", "superseded"), 2, "names one of --pid, --serial and --product"),
        (("--pid", "hdl:1/2", "--serial", "1", "--reason", "superseded"), 2, "names one of --pid, --serial and"),
        (("--serial", "xyz", "--reason", "superseded"), 2, "is not a certificate's serial number"),
        (("--serial", "-5", "--reason", "superseded"), 2, "is not a certificate's serial number"),
        (("--serial", "f" * 41, "--reason", "superseded"), 2, "is not a certificate's serial number"),
        (("--serial", "abc", "--reason", "superseded"), 1, "never issued"),
        (("--serial", "abc", "--reason", "whim"), 2, "'whim' is not one of"),
        (("--serial", "abc", "--reason", "keyCompromise", "--compromised-from", "soon"), 2, "not a time with its zone"),
        (
            ("--serial", "abc", "--reason", "keyCompromise", "--compromised-from", "2026-01-31T08:00"),
            2,
            "not a time with its zone",
        ),
        (
            ("--serial", "abc", "--reason", "keyCompromise", "--compromised-from", "9999-01-01"),
            1,
            "is in the future",
        ),
        (
            ("--serial", "abc", "--reason", "keyCompromise", "--compromised-from", "0001-01-01T00:00+23:00"),
            2,
            "not a time with its zone",
        ),
    ],
)
def test_a_revocation_that_makes_no_sense_is_refused(run: Run, options: tuple[str, ...], code: int, said: str) -> None:
    assert run("authority", "revoke", "authority", *options) == code
    assert said in run.err


def test_words_are_shown_as_they_are_written(run: Run) -> None:
    assert run("authority", "revoke", "--help") == 0
    assert "keyCompromise" in run.out
    assert "keycompromise" not in run.out
    assert run("authority", "revoke", "authority", "--serial", "abc", "--reason", "whim") == 2
    assert "'cessationOfOperation'" in run.err


@pytest.mark.parametrize("reason", ["SUPERSEDED", "cessationofoperation", "keyCompromise"])
def test_words_are_taken_however_they_are_capitalised(run: Run, reason: str) -> None:
    assert new_instrument(run, "--authority", "authority") == 0
    pid = run.json("instrument", "show", "scope")["pid"]
    said = run.json("authority", "revoke", "authority", "--pid", pid, "--reason", reason)["revoked"][0]["reason"]
    assert said.casefold() == reason.casefold()
    assert said in {"superseded", "cessationOfOperation", "keyCompromise"}


@pytest.mark.parametrize("group", ["authority", "instrument", "workstation", "trust", "agent"])
def test_the_list_of_commands_is_not_cut_short(run: Run, group: str) -> None:
    assert run(group, "--help") == 0
    assert "..." not in run.out.split("Commands:")[1]


def test_an_unknown_pid_is_looked_up_and_not_left_out(run: Run) -> None:
    assert run("authority", "revoke", "authority", "--pid", "nope", "--reason", "superseded") == 1
    assert "hint: see its PIDs: rawtrace authority list authority" in run.err


def test_publishing_signs_the_next_list(run: Run, place: Path) -> None:
    value = run.json("authority", "publish", "authority")
    found = read_list((place / value["trust_list"]).read_bytes(), source="test")
    assert found.sequence == 2


def test_a_key_from_the_command_line_is_the_kind_that_was_asked_for(run: Run, place: Path) -> None:
    assert new_instrument(run, "--algorithm", "es256") == 0
    made = identity.load_identity(place / "scope")
    assert (made.key.algorithm, made.kind) == ("es256", SignerKind.SELF)


@pytest.mark.parametrize("group", ["instrument", "workstation", "authority"])
def test_help_begins_with_examples(run: Run, group: str) -> None:
    for command in ([group, "--help"], [group, "new", "--help"]):
        assert run(*command) == 0
        assert run.out.index("Examples:") < run.out.index("Options:")


def test_a_request_is_certified_elsewhere_and_the_key_never_travels(run: Run, place: Path) -> None:
    assert new_instrument(run) == 0
    key = (place / "scope" / "key.pem").read_bytes()
    assert run("instrument", "request", "scope", "request.json") == 0
    assert key.splitlines()[1] not in (place / "request.json").read_bytes()
    assert run("authority", "issue", "authority", "request.json", "--out", "certificate.pem") == 0
    assert "key in software" in run.out
    value = run.json("instrument", "install", "scope", "certificate.pem")
    assert (value["kind"], value["authority"]) == ("instrument", "Example University")
    assert (place / "scope" / "key.pem").read_bytes() == key


def test_a_claim_of_a_token_counts_only_when_the_authority_has_seen_it(run: Run, place: Path) -> None:
    assert new_instrument(run) == 0
    assert run("instrument", "request", "scope", "request.json") == 0
    claim = json.loads((place / "request.json").read_text()) | {"protection": "hardware"}
    (place / "claim.json").write_text(json.dumps(claim))
    command = ("authority", "issue", "authority", "claim.json", "--out")
    assert run.json(*command, "unseen.pem")["protection"] == "software"
    assert run.json(*command, "seen.pem", "--hardware")["protection"] == "hardware"
    command = ("authority", "issue", "authority", "request.json", "--out")
    assert run.json(*command, "modest.pem", "--hardware")["protection"] == "software"


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "urn:rawtrace:schema:certificate-request:2"},
        {"kind": "emperor"},
        {"kind": []},
        {"protection": None},
        {"csr": "-----BEGIN CERTIFICATE REQUEST-----"},
        {"csr": "\u00e4"},
        {"csr": 5},
        {"record": []},
        {"record": {}},
    ],
)
def test_a_hostile_request_is_refused_in_words(run: Run, place: Path, change: dict[str, Any]) -> None:
    assert new_instrument(run) == 0
    assert run("instrument", "request", "scope", "request.json") == 0
    bad = json.loads((place / "request.json").read_text()) | change
    (place / "bad.json").write_text(json.dumps(bad))
    assert run("authority", "issue", "authority", "bad.json", "--out", "certificate.pem") == 1
    assert run.err.startswith("rawtrace: error[E1")
    assert not (place / "certificate.pem").exists()
    assert run.json("authority", "list", "authority")["issued"] == []


def test_options_of_a_request_and_of_a_folder_do_not_mix(run: Run, place: Path) -> None:
    assert new_instrument(run) == 0
    assert run("instrument", "request", "scope", "request.json") == 0
    for options in (("request.json",), ("request.json", "--out", "c.pem", "--new-key"), ("scope", "--out", "c.pem")):
        assert run("authority", "issue", "authority", *options) == 2
    assert run("authority", "issue", "authority", "request.json", "--out", "request.json") == 1
    assert run("instrument", "request", "scope", "request.json") == 1
    assert "never overwritten" in run.err
    assert run.json("authority", "list", "authority")["issued"] == []


def test_only_the_certificate_that_was_asked_for_is_installed(run: Run, place: Path) -> None:
    for folder in ("scope", "other"):
        assert new_instrument(run, folder=folder) == 0
    assert run("instrument", "request", "other", "request.json") == 0
    assert run("authority", "issue", "authority", "request.json", "--out", "certificate.pem") == 0
    before = (place / "scope" / "certificate.pem").read_bytes()
    assert run("instrument", "install", "scope", "certificate.pem") == 1
    assert "differs in key, PID, record" in run.err
    leaf = (place / "certificate.pem").read_text().partition("-----END CERTIFICATE-----")
    (place / "alone.pem").write_text(leaf[0] + leaf[1] + "\n")
    assert run("instrument", "install", "other", "alone.pem") == 1
    assert "differs in authority" in run.err
    assert run("instrument", "install", "scope", "scope/certificate.pem") == 1
    assert run("workstation", "install", "scope", "certificate.pem") == 2
    assert run("instrument", "install", "scope", "nowhere.pem") == 3
    assert (place / "scope" / "certificate.pem").read_bytes() == before
