"""What a trust store is told in ``store.toml``: each key checked, none guessed."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rawtrace import durable
from rawtrace.errors import InputNotFoundError, StoreError

SETTINGS_FILE = "store.toml"
MAX_SETTINGS_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where the server listens. Without TLS it listens to this machine only.

    Attributes
    ----------
    host : str
        Address.
    port : int
        0 for any that is free.
    tls : bool
        With the certificate and key in ``tls/``.
    proxies : tuple[str, ...]
        Addresses of proxies before the server, whose ``X-Forwarded-For`` counts.
    """

    host: str = "127.0.0.1"
    port: int = 8650
    tls: bool = True
    proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The store's own log.

    Attributes
    ----------
    origin : str
        Its name for ever: the store's host and path, without a scheme.
    public_entries : bool
        Whether anybody may read the entries (commitments); tiles and checkpoint are public always.
    interval_ms : int
        How long a batch waits for company.
    """

    origin: str = ""
    public_entries: bool = False
    interval_ms: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What the store does beyond keeping its own instruments and log.

    Attributes
    ----------
    gateway : bool
        Counter-signs delivered seals, with a time stamp.
    certify : bool
        Certifies files on upload.
    time : bool
        Stamps time for others (RFC 3161).
    witness : bool
        Cosigns the logs of other stores.
    mirror : bool
        Holds copies of the logs of other stores.
    federation : bool
        Publishes the trust data of a federation.
    index : str
        Gives the seals of an index of pictures to whoever asks by code or picture: a folder, relative to the store's,
        or ``postgresql://…``; empty: it gives none.
    """

    gateway: bool = False
    certify: bool = False
    time: bool = False
    witness: bool = False
    mirror: bool = False
    federation: bool = False
    index: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """Another's clock, for a gateway that has none of its own. One that the store offers itself comes first.

    Attributes
    ----------
    url : str
        Where time stamps are asked for (RFC 3161), such as ``https://other.example.org/time``. It must be a
        time-stamping authority that the store's own trust list, or one in ``accept``, names.
    server_key : str
        SHA-256 of the public key of a server that certifies itself, hexadecimal.
    """

    url: str = ""
    server_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """First certificates.

    Attributes
    ----------
    approval : bool
        An officer approves each request, even with a good code.
    code_days : float
        How long a one-time code is good.
    certificate_days : int
        How long certificates are good, 1 to 3660; 0 for 366 days (key in a file) or 1098 (in a token).
    device_authorities : tuple[str, ...]
        PEM files of vendors whose device certificates are accepted, relative to the store's folder.
    """

    approval: bool = False
    code_days: float = 14.0
    certificate_days: int = 0
    device_authorities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """OpenID Connect; without ``issuer`` people log in with tokens only.

    Attributes
    ----------
    issuer : str
        Address of the OpenID provider, exactly as it names itself.
    client_id : str
        What the provider calls this store.
    client_secret_file : str
        Relative to the store's folder, mode 0600; empty for a public client.
    roles : dict[str, tuple[str, ...]]
        Role to the subjects (or, with a leading ``group:``, groups) that have it, as in
        ``operator = ["group:imaging-facility"]`` below ``[login.roles]``.
    """

    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one caller may ask for.

    Attributes
    ----------
    requests_per_minute : int
        By each address that shows no token.
    seals_per_minute, seals_per_day : int
        By each instrument.
    upload_bytes : int
        Largest file that is certified on upload.
    pictures_per_minute : int
        By each caller, to be looked for in the index that is offered.
    picture_bytes : int
        Largest of them.
    pictures_need_token : bool
        Whether whoever sends one must show a token, of whatever role.
    """

    requests_per_minute: int = 600
    seals_per_minute: int = 600
    seals_per_day: int = 100_000
    upload_bytes: int = 1 << 34
    pictures_per_minute: int = 6
    picture_bytes: int = 1 << 25
    pictures_need_token: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of ``store.toml``.

    Attributes
    ----------
    name : str
        What people call the store.
    url : str
        Where the world reaches it, without a slash at the end.
    prefix : str
        Handle prefix of its instruments, such as ``20.500.12345``; empty if it has none.
    database : str
        Empty for ``store.sqlite`` in the folder, else ``postgresql://…``.
    authority : str
        Folder of the authority, relative to the store's.
    accept : tuple[str, ...]
        Trust lists of other authorities whose seals are taken into the log: files, relative to the store's folder.
    """

    name: str
    url: str
    prefix: str = ""
    database: str = ""
    authority: str = "authority"
    accept: tuple[str, ...] = ()
    listen: Listen = field(default_factory=Listen)
    log: LogSettings = field(default_factory=LogSettings)
    offers: Offers = field(default_factory=Offers)
    time: Time = field(default_factory=Time)
    enrolment: Enrolment = field(default_factory=Enrolment)
    login: Login = field(default_factory=Login)
    limits: Limits = field(default_factory=Limits)


def read_settings(folder: Path) -> Settings:
    """Read a store's settings.

    Raises
    ------
    StoreError
        Not TOML, a key that is not known, or a value of another type than expected.
    InputNotFoundError, UnreadableError
    """
    path = folder / SETTINGS_FILE
    if not path.exists():
        msg = f"there is no trust store in {folder}; expected {SETTINGS_FILE} there"
        raise InputNotFoundError(msg, hint="make one: rawtrace store new")
    try:
        document = tomllib.loads(durable.read_bounded(path, limit=MAX_SETTINGS_BYTES).decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        msg = f"{path} is not the TOML that was expected: {error}"
        raise StoreError(msg) from error
    settings: Settings = _section(Settings, document, str(path), "")
    return settings


def _section(kind: type[Any], values: object, path: str, where: str) -> Any:
    if not isinstance(values, dict):
        msg = f"{path}: {where} is not a table"
        raise StoreError(msg)
    hints = typing.get_type_hints(kind)
    fields = {one.name: one for one in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            msg = f"{path}: {_at(where, name)} is not a setting; expected one of {', '.join(fields)}"
            raise StoreError(msg)
    for name, one in fields.items():
        required = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        if required and name not in values:
            msg = f"{path}: {_at(where, name)} is missing"
            raise StoreError(msg)
    return kind(**{name: _value(hints[name], value, path, _at(where, name)) for name, value in values.items()})


def _value(kind: Any, value: object, path: str, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _section(kind, value, path, where)  # type: ignore[arg-type]  # a class, as its hint says
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, types.GenericAlias) and kind.__origin__ is tuple and isinstance(value, list):
        return tuple(_value(kind.__args__[0], item, path, where) for item in value)
    if isinstance(kind, types.GenericAlias) and kind.__origin__ is dict and isinstance(value, dict):
        return {str(name): _value(kind.__args__[1], item, path, _at(where, str(name))) for name, item in value.items()}
    if isinstance(kind, type) and type(value) is kind:
        return value
    wanted = getattr(kind, "__name__", str(kind))
    msg = f"{path}: {where} is {value!r}; expected {'a list' if wanted == 'tuple' else wanted}"
    raise StoreError(msg)


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
