"""Who stands behind whose log: a store that witnesses or mirrors another's, and a log that relies on others.

Both sides are files that people can read: ``witness/logs`` and ``mirror/logs``
of the one, ``log/policy`` of the other, and ``neighbours.pem`` with the
certificates of servers that are known by their key.
"""

from __future__ import annotations

import hmac
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from rawtrace import durable, strictjson
from rawtrace.errors import InputNotFoundError, NetworkError, StoreError
from rawtrace.ledger.monitor import Sighting
from rawtrace.ledger.note import VerifierKey
from rawtrace.ledger.policy import MAX_POLICY, NO_QUORUM, Group, Policy, PolicyLog, PolicyWitness
from rawtrace.progress import SILENT, Progress
from rawtrace.server.cosigners import LOGS_FILE, MIRROR, WITNESS, cosigner_key
from rawtrace.server.settings import read_settings
from rawtrace.server.store import DATABASE_FILE, LOG_POLICY, NEIGHBOURS, neighbours_of
from rawtrace.trust import authorityfolder
from rawtrace.web import Caller, Web, check_address, key_sha256

_MAX_PEM = 1 << 20
_GROUP = "quorum"


def know_server(folder: Path, url: str, key: str) -> None:
    """Remember the certificate of a server that is known by its key: stores may certify themselves.

    Parameters
    ----------
    folder : Path
        Of the store that will ask.
    url : str
    key : str
        SHA-256 of the server's public key, hexadecimal, as its operator told it.

    Raises
    ------
    StoreError
        The server shows another key.
    NetworkError
    """
    check_address(url)
    parts = urlsplit(url)
    if parts.scheme != "https":
        return
    try:
        pem = ssl.get_server_certificate((parts.hostname or "", parts.port or 443), timeout=10)
        shown = key_sha256(ssl.PEM_cert_to_DER_cert(pem))
    except (OSError, ValueError) as error:
        msg = f"{url} does not answer: {error}"
        raise NetworkError(msg) from error
    if not hmac.compare_digest(shown, key.lower()):
        msg = f"{url} shows the key {shown}; expected {key}"
        raise StoreError(msg, hint="ask its operator what `rawtrace store new` printed there")
    path = folder / NEIGHBOURS
    known = durable.read_bounded(path, limit=_MAX_PEM).decode("ascii", "replace") if path.exists() else ""
    if pem.strip() not in known:
        durable.replace(path, (known + pem).encode())


def stand_for(folder: Path, part: str, url: str) -> VerifierKey:
    """Let a store witness or mirror the log of the store at ``url``; a server that runs needs no restart.

    Parameters
    ----------
    part : str
        ``witness`` or ``mirror``.

    Returns
    -------
    VerifierKey
        The log's.
    """
    key = _asked(folder, url, "log")
    if key.name == read_settings(folder).log.origin:
        msg = "this is the store's own log, and a copy in the same place is no copy"
        raise StoreError(msg)
    path = folder / part / LOGS_FILE
    try:
        logs = Policy.parse(durable.read_bounded(path, limit=MAX_POLICY)).logs
    except InputNotFoundError:
        logs = ()
    others = tuple(one for one in logs if one.key.name != key.name)
    changed = [one for one in logs if one.key.name == key.name and one.key != key]
    if changed:
        msg = f"the log {key.name} is known here by another key; a log keeps its key for ever"
        raise StoreError(msg, hint=f"if its operator says why, remove its line from {path} first")
    path.parent.mkdir(mode=0o700, exist_ok=True)
    policy = Policy(logs=(*others, PolicyLog(key, f"{url.rstrip('/')}/log")), witnesses=(), groups=(), quorum=NO_QUORUM)
    durable.replace(path, policy.text.encode())
    return key


def rely_on(
    folder: Path, *, witnesses: Sequence[str], mirrors: Sequence[str], required: int, copies: int = 0
) -> Policy:
    """Let a store's log count a record only when so many of these stores have signed for it.

    Parameters
    ----------
    witnesses, mirrors : Sequence[str]
        Addresses of stores. A witness has seen the log's checkpoint; a mirror holds the entries too.
    required : int
        How many of all of them; of the witnesses alone, where ``copies`` is given.
    copies : int
        How many of the mirrors.

    Returns
    -------
    Policy
        As it now stands in ``log/policy`` and in the authority's trust list.
    """
    settings = read_settings(folder)
    if not settings.log.origin:
        msg = "this store has no log"
        raise StoreError(msg)
    named = [(WITNESS, url) for url in dict.fromkeys(witnesses)] + [(MIRROR, url) for url in dict.fromkeys(mirrors)]
    counted = len(dict.fromkeys(witnesses)) if copies else len(named)
    if not 1 <= required <= counted or copies > len(dict.fromkeys(mirrors)):
        msg = f"{required} of {counted} stores{f' and {copies} of {len(mirrors)}' if copies else ''} cannot be required"
        raise StoreError(msg)
    found = tuple(
        PolicyWitness(f"{part}-{number}", _asked(folder, url, part), f"{url.rstrip('/')}/{part}")
        for number, (part, url) in enumerate(named, start=1)
    )
    own = VerifierKey.parse(durable.read_bounded(folder / "log" / "vkey", limit=MAX_POLICY).decode().strip())
    groups = [Group(_GROUP, required, tuple(one.name for one in found))]
    if copies:
        names = {
            part: tuple(one.name for (kind, _), one in zip(named, found, strict=True) if kind == part)
            for part in (WITNESS, MIRROR)
        }
        groups = [
            Group("seen", required, names[WITNESS]),
            Group("held", copies, names[MIRROR]),
            Group(_GROUP, 2, ("seen", "held")),
        ]
    policy = Policy(
        logs=(PolicyLog(own, f"{settings.url}/log"),), witnesses=found, groups=tuple(groups), quorum=groups[-1].name
    )
    text = Policy.parse(policy.text).text
    authorityfolder.set_log_policy(folder / settings.authority, text)
    durable.replace(folder / LOG_POLICY, text.encode())
    return policy


def look(folder: Path, *, progress: Progress = SILENT) -> tuple[Sighting, ...]:
    """Look at a store's own log and at those that it witnesses or mirrors, wherever they are shown.

    Its own is asked for at its address and at its witnesses and mirrors; another's at that one's address and at
    this store's own witness and mirror, which remember what they were shown.

    Raises
    ------
    StoreError, DatabaseError
    """
    from rawtrace.database import open_database
    from rawtrace.ledger import monitor

    settings = read_settings(folder)
    wanted: list[Policy] = []
    if settings.log.origin and (folder / LOG_POLICY).exists():
        wanted.append(Policy.parse(durable.read_bounded(folder / LOG_POLICY, limit=MAX_POLICY)))
    logs: dict[str, PolicyLog] = {}
    places: list[PolicyWitness] = []
    for part in (WITNESS, MIRROR):
        if (folder / part / LOGS_FILE).exists():
            known = Policy.parse(durable.read_bounded(folder / part / LOGS_FILE, limit=MAX_POLICY)).logs
            logs |= {one.key.name: one for one in known}
            name = f"{settings.url.partition('://')[2]}/{part}"
            key = cosigner_key(folder / part, name)
            places.append(PolicyWitness(f"own-{part}", key, f"{settings.url}/{part}"))
    if logs:
        wanted.append(Policy(logs=tuple(logs.values()), witnesses=tuple(places), groups=(), quorum=NO_QUORUM))
    # The server certifies itself, and is asked like any other.
    own = folder / "tls" / "certificate.pem"
    pem = durable.read_bounded(own, limit=_MAX_PEM) if own.exists() else b""
    known_servers = neighbours_of(folder)
    pem += b"\n" + durable.read_bounded(known_servers, limit=_MAX_PEM) if known_servers is not None else b""
    found: list[Sighting] = []
    with tempfile.TemporaryDirectory(prefix="rawtrace-") as place:
        trusted = Path(place) / "servers.pem"
        trusted.write_bytes(pem)
        with (
            closing(Web(Caller(also=trusted))) as web,
            open_database(settings.database or folder / DATABASE_FILE) as database,
        ):
            database.prepare(monitor.TABLES)
            for policy in wanted:
                found += monitor.monitor(database, policy, web=web, progress=progress)
    return tuple(found)


def _asked(folder: Path, url: str, part: str) -> VerifierKey:
    """Ask a store for the key of its log, witness or mirror."""
    address = f"{url.rstrip('/')}/{part}"
    with closing(Web(Caller(also=neighbours_of(folder)))) as web:
        answer = web.get(address, limit=MAX_POLICY * 4, accept="application/json")
    if answer.status != 200:
        msg = f"{address} answers with status {answer.status}; expected a store's {part}"
        hint = f"let it be one first, there: rawtrace store {part} STORE URL" if part != "log" else ""
        raise StoreError(msg, hint=hint)
    value = strictjson.loads(answer.body, what=address, max_bytes=MAX_POLICY * 4)
    key = value.get("verifier_key") if isinstance(value, dict) else None
    if not isinstance(key, str):
        msg = f"{address} does not say by which key it is known"
        raise StoreError(msg)
    return VerifierKey.parse(key)
