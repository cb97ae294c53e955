"""What a store offers beyond its own instruments and log: its keys are made, its settings changed and read again."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rawtrace import durable
from rawtrace.errors import StoreError
from rawtrace.server.settings import MAX_SETTINGS_BYTES, SETTINGS_FILE, read_settings
from rawtrace.trust import instruments
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import create_identity

#: What there is to offer; the first two need keys that the last two do not.
OFFERS = ("time", "gateway", "certify", "witness", "mirror", "federation")
_NEED_REPOSITORY = frozenset({"gateway", "certify"})
_TABLE = "offers"
_HEADER = re.compile(r"^\s*\[", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What was done.

    Attributes
    ----------
    offers : tuple[str, ...]
        Everything that the store offers now.
    made : tuple[Path, ...]
        Folders of keys that were made for it.
    """

    offers: tuple[str, ...]
    made: tuple[Path, ...]


def offer(folder: Path, wanted: tuple[str, ...], *, owner: str, owner_name: str = "", pid: str = "") -> Offered:
    """Let a store offer something more, making the keys that it takes; what is there already stays.

    Parameters
    ----------
    folder : Path
    wanted : tuple[str, ...]
        Of ``OFFERS``.
    owner, owner_name, pid : str
        Of the repository identity that ``gateway`` and ``certify`` sign with; not used where there is one.

    Raises
    ------
    StoreError
        Something that cannot be offered; settings written in a way that only a person can change.
    UsageError, CertificateError, MissingExtraError
    """
    settings = read_settings(folder)
    unknown = [one for one in wanted if one not in OFFERS]
    if unknown:
        msg = f"{unknown[0]!r} cannot be offered; expected some of {', '.join(OFFERS)}"
        raise StoreError(msg)
    text = _changed(folder / SETTINGS_FILE, wanted)
    made: list[Path] = []
    authority = folder / settings.authority
    if "time" in wanted and not (folder / "time").exists():
        from rawtrace.trust.timeauthority import create_time_authority

        create_time_authority(folder / "time", authority=authority)
        made.append(folder / "time")
    if _NEED_REPOSITORY & set(wanted) and not (folder / "gateway").exists():
        if not owner:
            msg = "a gateway signs in the name of an organisation; expected its owner"
            raise StoreError(msg, hint="name it: --owner ROR")
        record = instruments.new_record(
            kind=SignerKind.REPOSITORY, name=settings.name, owner=owner, owner_name=owner_name, pid=pid
        )
        create_identity(folder / "gateway", SignerKind.REPOSITORY, record, authority=authority)
        made.append(folder / "gateway")
    durable.replace(folder / SETTINGS_FILE, text.encode(), mode=0o600)
    now = read_settings(folder).offers
    return Offered(offers=tuple(one for one in OFFERS if getattr(now, one)), made=tuple(made))


def _changed(path: Path, wanted: tuple[str, ...]) -> str:
    """Return the settings with the offers in them; comments and everything else stay as they are."""
    text = durable.read_bounded(path, limit=MAX_SETTINGS_BYTES).decode()
    before = tomllib.loads(text)
    expected: dict[str, Any] = before | {_TABLE: before.get(_TABLE, {}) | dict.fromkeys(wanted, True)}
    lines = "".join(f"{one} = true\n" for one in wanted)
    header = re.search(rf"^\[{_TABLE}\][^\n]*\n?", text, re.MULTILINE)
    if header is None:
        changed = f"{text.rstrip()}\n\n[{_TABLE}]\n{lines}"
    else:
        following = _HEADER.search(text, header.end())
        stop = following.start() if following else len(text)
        kept = re.sub(rf"^\s*({'|'.join(wanted)})\s*=[^\n]*\n?", "", text[header.end() : stop], flags=re.MULTILINE)
        changed = f"{text[: header.start()]}[{_TABLE}]\n{lines}{kept}{text[stop:]}"
    try:
        sure = tomllib.loads(changed) == expected
    except tomllib.TOMLDecodeError:
        sure = False
    if not sure:
        msg = f"{path} is written in a way that is not changed by a program"
        raise StoreError(msg, hint=f"set {', '.join(f'offers.{one} = true' for one in wanted)} in it yourself")
    return changed
