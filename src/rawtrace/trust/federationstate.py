"""What is kept of a federation that this computer goes by: one file, replaced whole or not at all.

``NAME.json`` in ``federations`` beside the trust store: the roots since the
pinned one, the newest verified metadata, the files. It also remembers the
newest root, time stamp and snapshot that were verified and did not become
complete, to recognise a rollback by. Reading it needs no TUF library, so that
``verify`` starts fast.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rawtrace import config, durable, strictjson
from rawtrace.errors import Error, FederationError, InputNotFoundError, from_os_error
from rawtrace.trust import federationfiles, staging
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.federationfiles import LISTS, LOG_POLICY_FILE, POLICY_FILE, Description, Server
from rawtrace.trust.federationnews import News, with_news
from rawtrace.trust.tufclient import Material, Refreshed

STATE_SCHEMA = "urn:rawtrace:schema:federation-state:1"
FOLDER = "federations"
MAX_STATE_BYTES = 2 * federationfiles.MAX_ALL_BYTES
_NEWS = ("lists", "heads")
_ROLES = ("timestamp", "snapshot", "targets")
_FROM = "; from "


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """A federation as it was last accepted.

    Attributes
    ----------
    name : str
    url : str
        Where it is published; empty where it comes by bundle only.
    server_key_sha256 : str
        Key of that server; empty where public authorities certify it.
    material : Material
        What was accepted, complete.
    seen : Material
        What was verified since and did not become complete; else the same.
    as_of : datetime
        When its online key said that this is current, UTC.
    expires : datetime
        Until when, UTC.
    targets_expire : datetime
    checked : datetime
        When this computer last found it to be current, by its own clock, UTC.
    late : bool
        Accepted on request after it had run out.
    root : dict
        What the newest root says, as ``RootFacts.facts``.
    problem : str
        Why the last update was refused; empty if it was not.
    news : News
        Newer issues of the lists, and heads of the logs, which prove themselves.
    """

    name: str
    url: str
    server_key_sha256: str
    material: Material
    seen: Material
    as_of: datetime
    expires: datetime
    targets_expire: datetime
    checked: datetime
    late: bool
    root: Mapping[str, Any]
    problem: str = ""
    news: News = field(default_factory=News)

    @property
    def description(self) -> Description:
        """Its ``federation.json``."""
        return federationfiles.read_description(self.material.files[federationfiles.DESCRIPTION_FILE])

    def words(self, now: datetime) -> str:
        """Return through whom a list came, and how old that is: ``federation example, as of 2026-11-20``."""
        days = (now - self.as_of).days
        old = f" ({days} {'day' if days == 1 else 'days'} ago)" if days >= 1 else ""
        overdue = f", overdue since {self.expires:%Y-%m-%d}" if self.expires <= now else ""
        return f"federation {self.name}, as of {self.as_of:%Y-%m-%d}{old}{overdue}"

    def facts(self, now: datetime) -> dict[str, Any]:
        """Return what ``trust list`` shows, JSON types only."""
        described = self.description
        return {
            "name": self.name,
            "url": self.url,
            "as_of": self.as_of.isoformat(),
            "age_days": max(0, (now - self.as_of).days),
            "expires": self.expires.isoformat(),
            "expired": self.expires <= now,
            "targets_expire": self.targets_expire.isoformat(),
            "accepted_late": self.late,
            "root": dict(self.root),
            "lists": [name for name in self.material.files if name.startswith(LISTS)],
            "log_policy": LOG_POLICY_FILE in self.material.files,
            "policy": POLICY_FILE in self.material.files,
            "minimum_client_version": described.minimum_client_version,
            "stores": [{"url": one.url, "key_sha256": one.key_sha256} for one in described.stores],
            "resolver_roots": [{"url": one.url, "key_sha256": one.key_sha256} for one in described.resolver_roots],
            "newer_lists": sorted(self.news.lists),
            "logs": sorted(self.news.heads),
            "problem": self.problem,
        }


def names() -> tuple[str, ...]:
    """Return the names of the federations that are held."""
    folder = _folder()
    try:
        return tuple(sorted(one.stem for one in folder.glob("*.json") if not one.name.startswith(".")))
    except OSError as error:
        raise from_os_error(error, f"reading {folder}") from error


def held(name: str) -> Federation:
    """Read one federation as it was last accepted.

    Raises
    ------
    FederationError
        The file is damaged.
    InputNotFoundError
    """
    path = path_of(federationfiles.check_name(name))
    try:
        return _read(durable.read_bounded(path, limit=MAX_STATE_BYTES), name)
    except InputNotFoundError:
        raise
    except (Error, ValueError, KeyError, TypeError, AttributeError) as error:
        said = error.message if isinstance(error, Error) else "it is not of the form that rawtrace writes"
        msg = f"what is kept of the federation {name} cannot be read: {said}"
        hint = f"rawtrace trust remove {name}, then add its root again"
        raise FederationError(msg, hint=hint) from error


def all_held() -> tuple[Federation, ...]:
    """Read every federation that is held.

    Raises
    ------
    FederationError
        One of them is damaged.
    """
    return tuple(held(name) for name in names())


def lists(*, now: datetime | None = None) -> tuple[TrustList, ...]:
    """Return the trust lists of every federation that is held; no network is asked.

    Raises
    ------
    FederationError, TrustListError
        Any that cannot be read; none is passed over.
    """
    at = now or datetime.now(UTC)
    return tuple(one for federation in all_held() for one in lists_of(federation, now=at))


def lists_of(federation: Federation, *, now: datetime, place: str = "") -> tuple[TrustList, ...]:
    """Return a federation's lists, each saying through whom it came, and with the federation's logs.

    A list counts as overdue once the federation's own time stamp has run out: newer
    ones may have been held back.
    """
    policies = log_policies_of(federation)
    source = federation.words(now) + (f"{_FROM}{place}" if place else "")
    found = []
    for name, data in federation.material.files.items():
        if name.startswith(LISTS):
            one = with_news(name, data, federation.news, source=source)
            due = min(one.next_update or federation.expires, federation.expires)
            found.append(replace(one, next_update=max(due, one.issued), policies=(*one.policies, *policies)))
    return tuple(found)


def servers() -> tuple[tuple[Server, ...], tuple[Server, ...]]:
    """Return the trust stores, and the sites where resolution begins, that the joined federations name."""
    described = [one.description for one in all_held()]
    stores = dict.fromkeys(server for one in described for server in one.stores)
    roots = dict.fromkeys(server for one in described for server in one.resolver_roots)
    return tuple(stores), tuple(roots)


def log_policies_of(federation: Federation) -> tuple[Any, ...]:
    """Return the federation's policy for receipts, parsed: none or one ``ledger.policy.Policy``."""
    data = federation.material.files.get(LOG_POLICY_FILE)
    return () if data is None else (federationfiles.check_log_policy(data),)


def place_of(source: str) -> str:
    """Return what to name with ``--trust`` to use a ``TrustList.source`` again; empty for what is held."""
    return source.partition(_FROM)[2] if source.startswith("federation ") else source


def accepted(name: str, found: Refreshed, *, url: str, server_key_sha256: str, now: datetime) -> Federation:
    """Return a federation as it is after a refresh that went well."""
    return Federation(
        name=name,
        url=url,
        server_key_sha256=server_key_sha256,
        material=found.material,
        seen=found.material,
        as_of=found.as_of,
        expires=found.expires,
        targets_expire=found.targets_expire,
        checked=now,
        late=found.late,
        root=found.root.facts(),
    )


def write(one: Federation) -> None:
    """Keep a federation in place of what was kept of it; call it inside ``exclusive`` only."""
    document = {
        "schema": STATE_SCHEMA,
        "name": one.name,
        "url": one.url,
        "server_key_sha256": one.server_key_sha256,
        "as_of": one.as_of.isoformat(),
        "expires": one.expires.isoformat(),
        "targets_expire": one.targets_expire.isoformat(),
        "checked": one.checked.isoformat(),
        "late": one.late,
        "root": dict(one.root),
        "problem": one.problem,
        "news": {
            "lists": {name: data.decode() for name, data in one.news.lists.items()},
            "heads": {origin: data.decode() for origin, data in one.news.heads.items()},
        },
        "material": _written(one.material),
        "seen": None if one.seen == one.material else _written(replace(one.seen, targets=b"", files={})),
    }
    durable.replace(path_of(one.name), strictjson.dumps(document))


def _written(material: Material) -> dict[str, Any]:
    return {
        "roots": [data.decode() for data in material.roots],
        **{role: getattr(material, role).decode() for role in _ROLES},
        "files": {name: data.decode() for name, data in material.files.items()},
    }


def _read(data: bytes, name: str) -> Federation:
    document = strictjson.loads(data, what=f"{name}.json", max_bytes=MAX_STATE_BYTES)
    if document["schema"] != STATE_SCHEMA or document["name"] != name:
        msg = f"{name}.json holds something else than its name says"
        raise FederationError(msg)
    material = _read_material(document["material"])
    _check_digests(material, name)
    seen = material
    if document["seen"] is not None:
        part = _read_material(document["seen"])
        seen = replace(part, targets=material.targets, files=material.files)
    moments = {
        field: datetime.fromisoformat(document[field]) for field in ("as_of", "expires", "targets_expire", "checked")
    }
    return Federation(
        name=name,
        url=str(document["url"]),
        server_key_sha256=str(document["server_key_sha256"]),
        material=material,
        seen=seen,
        late=document["late"] is True,
        root=dict(document["root"]),
        problem=str(document["problem"]),
        news=News(**{part: {name: text.encode() for name, text in document["news"][part].items()} for part in _NEWS}),
        **moments,
    )


def _read_material(value: dict[str, Any]) -> Material:
    return Material(
        roots=tuple(text.encode() for text in value["roots"]),
        files={name: text.encode() for name, text in value["files"].items()},
        **{role: value[role].encode() for role in _ROLES},
    )


def _check_digests(material: Material, name: str) -> None:
    """Notice a damaged disk: whoever can write here on purpose can change the roots as well."""
    targets = strictjson.loads(material.targets, what="the targets", max_bytes=MAX_STATE_BYTES)["signed"]["targets"]
    for path, data in material.files.items():
        if targets[path]["hashes"]["sha256"] != hashlib.sha256(data).hexdigest():
            msg = f"{path} is not the file that was accepted"
            raise FederationError(msg)
    if federationfiles.DESCRIPTION_FILE not in material.files:
        msg = f"{name}.json lacks {federationfiles.DESCRIPTION_FILE}"
        raise FederationError(msg)


def held_or_none(name: str) -> Federation | None:
    """As ``held``; None where it is not held."""
    return held(name) if name in names() else None


def exclusive() -> AbstractContextManager[None]:
    """Keep every other process and thread from changing what is kept."""
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"writing {folder}") from error
    return staging.exclusive(folder)


def _folder() -> Path:
    return config.config_folder() / FOLDER


def path_of(name: str) -> Path:
    """Return the file of a federation."""
    return _folder() / f"{name}.json"
