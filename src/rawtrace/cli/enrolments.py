"""Enrolment at the command line: an authority at an address, one-time codes, and how a server is known."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from rawtrace import durable, strictjson
from rawtrace.cli import output
from rawtrace.errors import NetworkError, RefusedError, UsageError
from rawtrace.trust.certificates import SignerKind

SCHEMA = "urn:rawtrace:schema:enrolment:1"
_MAX_CODE_BYTES = 1_024
_MAX_ANSWER = 1 << 20

_Command = TypeVar("_Command", bound=Callable[..., Any])


def server_options(command: _Command) -> _Command:
    """Add the options that say how a server is known."""
    options = (
        click.option(
            "--server-key", default="", metavar="SHA256", help="The server's public key, as `store new` printed it."
        ),
        click.option(
            "--server-authorities", default="", metavar="FILE", help="PEM file of those who may certify the server."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def proof_options(command: _Command) -> _Command:
    """Add the options that say what shows who asks."""
    options = (
        click.option(
            "--code-file", default="", metavar="FILE", help="File that holds the one-time code, alone; - for stdin."
        ),
        click.option("--device-certificate", default="", metavar="FILE", help="The maker's device certificate, PEM."),
        click.option("--device-key", default="", metavar="FILE", help="Its key, PEM."),
        click.option(
            "--token-file", default="", metavar="FILE", help="The instrument's bearer token, for a key in a token."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def taken(options: dict[str, Any]) -> dict[str, str]:
    """Take the options of the two groups above out of a command's options."""
    names = ("code_file", "device_certificate", "device_key", "token_file", "server_key", "server_authorities")
    return {name: options.pop(name) for name in names}


def is_address(authority: str | None) -> bool:
    """Whether an authority is named by its address."""
    return authority is not None and authority.lower().startswith(("http:", "https:"))


def origin_of(authority: str, online: Mapping[str, str]) -> Any:
    """Return where the authority is and how its server is known."""
    from rawtrace.cli import addresses
    from rawtrace.trust.estclient import Origin

    def absolute(name: str) -> str:
        return str(Path(online[name]).absolute()) if online.get(name) else ""

    url, key = addresses.split(authority, online.get("server_key", ""))
    return Origin(
        url=url,
        server_key_sha256=key,
        server_authorities=absolute("server_authorities"),
        token_file=absolute("token_file"),
    )


def proof_of(pid: str, online: Mapping[str, str], *, needed: bool) -> Any:
    """Return what shows who asks, from the options, or from the terminal where a code is needed; ``None`` without."""
    from rawtrace.trust.estclient import Proof

    certificate, key = online.get("device_certificate", ""), online.get("device_key", "")
    if bool(certificate) != bool(key):
        msg = "a device certificate takes both --device-certificate and --device-key"
        raise UsageError(msg)
    if certificate:
        return Proof(pid=pid, device=(Path(certificate), Path(key)))
    if not online.get("code_file") and not needed:
        return None
    if not pid:
        msg = "a one-time code goes with a PID; expected --pid"
        raise UsageError(msg)
    return Proof(pid=pid, code=_code(online.get("code_file", "")))


def later(folder: Path, again_s: int, *, as_json: bool) -> None:
    """Say that an officer must look at the request first."""
    value = {"schema": SCHEMA, "folder": str(folder), "state": "waiting", "again_s": again_s}
    text = f"{folder} waits: the authority's officer looks at the request; run the same command again then"
    output.emit(value, as_json=as_json, text=text)


def invite(url: str, *, token_file: Path, online: Mapping[str, str], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a store, as its operator, to permit an enrolment; returns its answer, with the code."""
    from rawtrace.web import Caller, Web

    origin = origin_of(url, online)
    caller = Caller(
        token=durable.read_bounded(token_file, limit=_MAX_CODE_BYTES).decode("ascii", "replace").strip(),
        server_key_sha256=origin.server_key_sha256,
        authorities=Path(origin.server_authorities) if origin.server_authorities else None,
    )
    body = json.dumps(dict(wanted), ensure_ascii=False).encode()
    with Web(caller) as web:
        answer = web.post(f"{origin.url}/enrolments", body, content_type="application/json", limit=_MAX_ANSWER)
    value = strictjson.loads(answer.body, what="the store's answer", max_bytes=_MAX_ANSWER)
    if answer.status == 201 and isinstance(value, dict):
        return value
    said = value.get("detail", "") if isinstance(value, dict) else ""
    msg = f"{origin.url} refuses ({answer.status}): {said}"
    raise NetworkError(msg) if answer.status in {429, 503} else RefusedError(msg)


def invite_and_show(url: str, options: dict[str, Any]) -> None:
    """Do what ``rawtrace store enrol`` does."""
    from rawtrace.trust import identifiers, instruments

    kind, target = SignerKind(options["kind"]), options["code_out"]
    wanted: dict[str, Any] = {"kind": kind.value, "hardware": options["hardware"], "approval": options["approval"]}
    if options["name"]:
        names = ("name", "owner", "owner_name", "manufacturer", "model", "serial", "location", "pid")
        wanted["record"] = instruments.new_record(kind=kind, **{name: options[name] for name in names})
    elif not options["pid"]:
        msg = "name whom it is for: --pid, or --name and the rest of its record"
        raise UsageError(msg)
    else:
        wanted["pid"] = identifiers.pid(options["pid"])[0]
    if options["days"]:
        wanted["days"] = options["days"]
    if options["device_maker"] or options["device_serial"]:
        wanted["device"] = _device(options["device_maker"], options["device_serial"])
    if target is not None and ("device" in wanted or target.exists()):
        msg = f"{target} exists already" if target.exists() else "there is no code where a device certificate is shown"
        raise UsageError(msg)
    if not wanted["approval"]:
        del wanted["approval"]  # the store's own setting
    server = {name: options[name] for name in ("server_key", "server_authorities")}
    made = invite(url, token_file=options["token_file"], online=server, wanted=wanted)
    if target is not None:
        durable.write_new(target, f"{made.pop('code')}\n".encode(), mode=0o600)
    lines = [f"{made['pid']} may enrol until {str(made['expires'])[:16].replace('T', ' ')} UTC"]
    lines += [f"code: {made['code']}"] if "code" in made else [f"code: in {target}"] if target is not None else []
    output.emit({"schema": SCHEMA, **made}, as_json=options["as_json"], text="\n".join(lines))
    if "code" in made:
        output.note("note: the code is shown once")
    asked = shlex.quote(url)
    output.note(f"next, on the {kind.value}: rawtrace {kind.value} new DIR --authority {asked} --pid {made['pid']}")


def _device(maker: str, serial: str) -> dict[str, str]:
    from cryptography.hazmat.primitives import hashes

    from rawtrace.trust import certificates

    if not maker or not serial:
        msg = "a device takes both --device-maker and --device-serial"
        raise UsageError(msg)
    pem = durable.read_bounded(Path(maker), limit=certificates.MAX_CHAIN_BYTES)
    certificate = certificates.read_pem(pem, what=maker)[0]
    return {"maker": certificate.fingerprint(hashes.SHA256()).hex(), "serial_number": serial}


def kind_option(command: _Command) -> _Command:
    """Add the option that says what kind of signer is to be enrolled."""
    kinds = [kind.value for kind in SignerKind if kind is not SignerKind.SELF]
    named = click.option(
        "--kind", type=click.Choice(kinds), default="instrument", show_default=True, help="What it is."
    )
    return named(command)


def _code(source: str) -> str:
    """Read a code: never from the command line, where every account of the computer can see it."""
    if source == "-":
        return sys.stdin.read(_MAX_CODE_BYTES).strip()
    if source:
        return durable.read_bounded(Path(source), limit=_MAX_CODE_BYTES).decode("ascii", "replace").strip()
    if not sys.stdin.isatty():
        msg = "this takes a one-time code; expected --code-file FILE, or - for stdin"
        raise UsageError(msg, hint="the operator of the authority makes one: rawtrace store enrol")
    return str(click.prompt("One-time code", hide_input=True, err=True)).strip()
