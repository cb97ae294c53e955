"""Which logs and witnesses a reader trusts (c2sp.org/tlog-policy), and whether a checkpoint fulfils that. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rawtrace.errors import ReceiptError
from rawtrace.ledger.checkpoint import Checkpoint, Cosignature
from rawtrace.ledger.encoding import MAX_NUMBER, read_decimal
from rawtrace.ledger.note import ED25519_COSIGNATURE, VerifierKey, read_note, verify_note

#: Largest policy in bytes.
MAX_POLICY = 64_000
#: The quorum of a policy that asks for no cosignature.
NO_QUORUM = "none"

_MAX_ITEMS = 256
_NEVER = MAX_NUMBER + 1  # later than any time that a cosignature can state
_SPACES = re.compile(r"[ \t]+")
_WORD = re.compile(r"[\x21-\x7e\u0080-\U0010ffff]+")
_ALLOWED = re.compile(r"[\t\n\x20-\x7e\u0080-\U0010ffff]*")


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """A log: its key (whose name is its origin) and, where known, its address."""

    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class PolicyWitness:
    """A witness or a mirror: its name within the policy, its key and, where known, its address for submission."""

    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """So many of these members: the name, the number, and names of witnesses or earlier groups."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A checkpoint that fulfils a policy.

    Attributes
    ----------
    checkpoint : Checkpoint
    log : VerifierKey
        The key of the log that signed it.
    cosignatures : tuple[Cosignature, ...]
        Every one of the policy's witnesses that holds, more than the quorum needs perhaps.
    time_s : int or None
        When the quorum had seen it, POSIX seconds: the latest time within the quorum that was complete first.
        None where the policy asks for no witness, or the quorum states no time.
    """

    checkpoint: Checkpoint
    log: VerifierKey
    cosignatures: tuple[Cosignature, ...]
    time_s: int | None


@dataclass(frozen=True, slots=True)
class Policy:
    """Logs, witnesses, groups of witnesses, and what is enough.

    Attributes
    ----------
    logs : tuple[PolicyLog, ...]
    witnesses : tuple[PolicyWitness, ...]
    groups : tuple[Group, ...]
        Each after those it names.
    quorum : str
        Name of a witness or a group, or ``none``.
    """

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[Group, ...]
    quorum: str

    def __post_init__(self) -> None:
        _check(self)

    @property
    def text(self) -> str:
        """The policy as a file."""
        lines = [_line("log", log.key.text, log.url) for log in self.logs]
        lines += [_line("witness", one.name, one.key.text, one.url) for one in self.witnesses]
        lines += [_line("group", one.name, str(one.threshold), *one.members) for one in self.groups]
        return "".join((*lines, _line("quorum", self.quorum)))

    @classmethod
    def parse(cls, text: str | bytes) -> Policy:
        """Read a policy file.

        Raises
        ------
        ReceiptError
            One line that is not understood is enough: half a policy would be another policy.
        """
        return _parse(text)

    def satisfied(self, names: Mapping[str, int] | Sequence[str]) -> bool:
        """Tell whether cosignatures of the witnesses with these names (within the policy) are enough."""
        return self.quorum == NO_QUORUM or _quorum_time(self, dict.fromkeys(names, 0)) is not None

    def check(self, note: bytes) -> Checked:
        """Check a checkpoint: signed by one of the logs, cosigned by a quorum.

        Raises
        ------
        ReceiptError
            It does not fulfil the policy; also where a known key's signature does not hold.
        """
        return _checked(self, note)


def _parse(text: str | bytes) -> Policy:
    if len(text) > MAX_POLICY:
        msg = f"a policy of {len(text)} bytes; at most {MAX_POLICY} are accepted"
        raise ReceiptError(msg)
    try:
        whole = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        msg = "a policy that is not in UTF-8"
        raise ReceiptError(msg) from None
    if not _ALLOWED.fullmatch(whole):
        msg = "a policy with control characters in it"
        raise ReceiptError(msg)
    logs: list[PolicyLog] = []
    witnesses: list[PolicyWitness] = []
    groups: list[Group] = []
    quorum = ""
    for number, line in enumerate(whole.split("\n"), start=1):
        match _SPACES.split(line.strip(" \t")):
            case [""]:
                pass
            case [first, *_] if first.startswith("#"):
                pass
            case ["log", key, *url] if len(url) <= 1:
                logs.append(PolicyLog(VerifierKey.parse(key), *url))
            case ["witness", name, key, *url] if len(url) <= 1:
                witnesses.append(PolicyWitness(name, VerifierKey.parse(key), *url))
            case ["group", name, count, *members] if members:
                groups.append(Group(name, _threshold(count, len(members)), tuple(members)))
                _known(members, witnesses, groups[:-1], f"the group {name}")
            case ["quorum", name] if not quorum:
                quorum = name
                if name != NO_QUORUM:
                    _known([name], witnesses, groups, "the quorum")
            case _:
                msg = f"line {number} of the policy is not understood"
                raise ReceiptError(msg)
    return Policy(tuple(logs), tuple(witnesses), tuple(groups), quorum)


def _threshold(count: str, members: int) -> int:
    return {"all": members, "any": 1}.get(count) or read_decimal(count, "the number of a group")


def _known(names: Sequence[str], witnesses: Sequence[PolicyWitness], groups: Sequence[Group], where: str) -> None:
    defined = {one.name for one in witnesses} | {one.name for one in groups}
    for name in names:
        if name not in defined:
            msg = f"{where} of the policy names {name}, which no line before says what it is"
            raise ReceiptError(msg)


def _check(policy: Policy) -> None:
    if max(len(policy.logs), len(policy.witnesses), len(policy.groups)) > _MAX_ITEMS:
        msg = f"a policy with more than {_MAX_ITEMS} logs, witnesses or groups"
        raise ReceiptError(msg)
    for one in policy.witnesses:
        if not one.key.is_cosigner:
            msg = f"the key of the witness {one.name} is not one for cosignatures"
            raise ReceiptError(msg)
    for log in policy.logs:
        if log.key.kind == ED25519_COSIGNATURE:
            msg = f"the key of the log {log.key.name} is that of a witness"
            raise ReceiptError(msg)
    for keys in ([one.key for one in policy.logs], [one.key for one in policy.witnesses]):
        if len({key.public for key in keys}) != len(keys):
            msg = "a policy names one key twice"
            raise ReceiptError(msg)
    names = [*(one.name for one in policy.witnesses), *(one.name for one in policy.groups)]
    words = [*names, *(log.url for log in policy.logs if log.url), *(one.url for one in policy.witnesses if one.url)]
    if not all(_WORD.fullmatch(word) for word in words):
        msg = "a name or an address in a policy is empty or has spaces in it"
        raise ReceiptError(msg)
    if len(set(names)) != len(names) or NO_QUORUM in names:
        msg = "two witnesses or groups of a policy have one name, or the name none"
        raise ReceiptError(msg)
    members = [name for group in policy.groups for name in group.members]
    if len(set(members)) != len(members):
        msg = "a witness or group of a policy counts twice"
        raise ReceiptError(msg)
    for at, group in enumerate(policy.groups):
        _known(group.members, policy.witnesses, policy.groups[:at], f"the group {group.name}")
        if not 1 <= group.threshold <= len(group.members):
            msg = f"the group {group.name} of a policy asks for {group.threshold} of {len(group.members)}"
            raise ReceiptError(msg)
    if not policy.quorum:
        msg = "a policy without a quorum"
        raise ReceiptError(msg, hint="a policy that asks for no witness says: quorum none")
    if policy.quorum != NO_QUORUM:
        _known([policy.quorum], policy.witnesses, policy.groups, "the quorum")


def _line(*words: str) -> str:
    return " ".join(word for word in words if word) + "\n"


def _quorum_time(policy: Policy, times: Mapping[str, int]) -> int | None:
    """When the quorum was first complete, given when each witness signed; None if it is not."""
    # Who states no time is as good a member as any, but says nothing about when.
    known = {name: time_s or _NEVER for name, time_s in times.items()}
    for group in policy.groups:
        found = sorted(known[name] for name in group.members if name in known)
        if len(found) >= group.threshold:
            known[group.name] = found[group.threshold - 1]
    return known.get(policy.quorum)


# Many receipts bear one checkpoint; to check its signatures once is what makes checking them fast.
@functools.lru_cache(maxsize=64)
def _checked(policy: Policy, note: bytes) -> Checked:
    read = read_note(note)
    checkpoint = Checkpoint.parse(read.text)
    logs = [one.key for one in policy.logs if one.key.name == checkpoint.origin]
    if not logs:
        msg = f"the log {checkpoint.origin} is not one that the policy names"
        raise ReceiptError(msg)
    signed = verify_note(read, logs)
    if not signed:
        msg = f"the checkpoint is not signed by the key that the policy knows for {checkpoint.origin}"
        raise ReceiptError(msg)
    times: dict[str, int] = {}
    cosignatures = []
    named = {witness.key: witness.name for witness in policy.witnesses}
    for one in verify_note(read, named):
        time_s = one.time_s or 0
        name = named[one.key]
        times[name] = min(time_s or _NEVER, times.get(name, _NEVER))
        cosignatures.append(Cosignature(one.key.name, one.key.key_id, time_s))
    if policy.quorum == NO_QUORUM:
        return Checked(checkpoint, signed[0].key, tuple(cosignatures), None)
    when = _quorum_time(policy, times)
    if when is None:
        msg = f"{len(times)} known witnesses cosigned the checkpoint of {checkpoint.origin}; the policy asks for more"
        raise ReceiptError(msg)
    return Checked(checkpoint, signed[0].key, tuple(cosignatures), when if when < _NEVER else None)
