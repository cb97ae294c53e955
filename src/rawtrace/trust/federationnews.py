"""What changes faster than people can sign: newer issues of the members' lists, and the heads of their logs.

Both prove themselves, so neither takes the federation's signers: a list by the
operator that the federation's own issue of it bears, a head by the log policy.
Of a newer list only what takes trust away counts. They come from the stores that
the federation names, or in a bundle; what is older, or by somebody else, is
passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from rawtrace.errors import Error, TrustListError
from rawtrace.ledger.policy import Policy
from rawtrace.trust import federationfiles
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.federationfiles import LISTS, LOG_POLICY_FILE, Server
from rawtrace.trust.trustlist import MAX_SIGNED_BYTES, read_list
from rawtrace.web import Caller, Web

MAX_HEAD_BYTES = 1 << 16
MAX_ITEMS = 1000
LIST_PATH = "trust-list"
_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is known beyond the signed files.

    Attributes
    ----------
    lists : Mapping[str, bytes]
        Newer issues, by the name of the file that they are newer than.
    heads : Mapping[str, bytes]
        The largest checkpoint seen of each log, by its origin.
    """

    lists: Mapping[str, bytes] = field(default_factory=dict)
    heads: Mapping[str, bytes] = field(default_factory=dict)


def with_news(name: str, data: bytes, news: News, *, source: str) -> TrustList:
    """Read a list of a federation, with what its operator has revoked or withdrawn since.

    The authorities stay those that the federation signed: one member must not be
    able to bring in more than all have agreed to, but may take back its own at once.
    """
    signed = read_list(data, source=source)
    if name not in news.lists:
        return signed
    newer = read_list(news.lists[name], source=source)
    if not _follows(newer, signed):
        return signed
    statuses = {(one.authority_key_id, one.subject): one for one in (*signed.statuses, *newer.statuses)}
    withdrawn = {(one.purpose, one.certificate): one for one in newer.anchors if not one.granted}
    anchors = tuple(withdrawn.get((one.purpose, one.certificate), one) for one in signed.anchors)
    return replace(signed, statuses=tuple(statuses.values()), anchors=anchors, next_update=newer.next_update)


def take_over(
    files: Mapping[str, bytes], held: News, *, lists: Iterable[bytes] = (), heads: Iterable[bytes] = ()
) -> tuple[News, tuple[str, ...]]:
    """Take over what is good and newer, drop what is about nothing any more, and say in words what is new.

    Parameters
    ----------
    files : Mapping[str, bytes]
        The signed files that are in use now.
    held : News
    lists, heads : Iterable[bytes]
        As they were offered; nothing is believed of them.
    """
    said: list[str] = []
    kept: dict[str, bytes] = {}
    offered = [*held.lists.values(), *lists]
    for name, data in files.items():
        if not name.startswith(LISTS):
            continue
        best = read_list(data, source=name)
        for other in offered:
            found = _read(other)
            if found is not None and _follows(found, best):
                best, kept[name] = found, other
        if name in kept and held.lists.get(name) != kept[name]:
            said.append(f"newer revocations: “{best.name}”, issue {best.sequence} of {best.issued:%Y-%m-%d}")
    found_heads, told = _heads(files, held, heads)
    return News(lists=kept, heads=found_heads), (*said, *told)


def fetch(files: Mapping[str, bytes]) -> tuple[list[bytes], list[bytes]]:
    """Ask the federation's stores for their lists and its logs for their heads; who does not answer is passed over."""
    described = federationfiles.read_description(files[federationfiles.DESCRIPTION_FILE])
    lists = [_get(f"{one.url}/{LIST_PATH}", one.key_sha256, MAX_SIGNED_BYTES) for one in described.stores]
    policy = _policy(files)
    urls = [log.url.rstrip("/") for log in policy.logs if log.url] if policy else []
    heads = [_get(f"{url}/checkpoint", _key_of(url, described.stores), MAX_HEAD_BYTES) for url in urls]
    return [one for one in lists if one], [one for one in heads if one]


def _heads(files: Mapping[str, bytes], held: News, offered: Iterable[bytes]) -> tuple[dict[str, bytes], list[str]]:
    policy = _policy(files)
    kept: dict[str, bytes] = {}
    said: list[str] = []
    if policy is None:
        return kept, said
    for is_new, note in [*((False, one) for one in held.heads.values()), *((True, one) for one in offered)]:
        try:
            head = policy.check(note).checkpoint
            before = policy.check(kept[head.origin]).checkpoint if head.origin in kept else None
        except Error:
            continue
        if before is not None and before.size == head.size and before.root != head.root:
            said.append(f"attention: the log {head.origin} signed two different histories of {head.size} entries")
        if before is None or head.size > before.size:
            kept[head.origin] = note
            if is_new:
                said.append(f"log {head.origin} holds {head.size} entries")
        elif is_new and head.size < before.size:
            said.append(f"log {head.origin} shows {head.size} entries, fewer than the {before.size} seen before")
    return kept, said


def _policy(files: Mapping[str, bytes]) -> Policy | None:
    if LOG_POLICY_FILE not in files:
        return None
    policy: Policy = federationfiles.check_log_policy(files[LOG_POLICY_FILE])
    return policy


def _read(data: bytes) -> TrustList | None:
    try:
        return replace(read_list(data, source="a newer issue"), statuses=())
    except TrustListError:
        return None


def _follows(new: TrustList, old: TrustList) -> bool:
    same = (new.operator_sha256, new.name) == (old.operator_sha256, old.name)
    return same and new.sequence > old.sequence and new.issued >= old.issued


def _key_of(url: str, stores: Iterable[Server]) -> str:
    return next((one.key_sha256 for one in stores if f"{url}/".startswith(f"{one.url}/")), "")


def _get(url: str, key_sha256: str, limit: int) -> bytes:
    try:
        with Web(Caller(server_key_sha256=key_sha256, timeout_s=_WAIT_S)) as web:
            answer = web.get(url, limit=limit)
    except Error:
        return b""
    return answer.body if answer.status == 200 else b""
