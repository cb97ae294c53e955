"""``rawtrace authority``: who issues certificates, revokes them and publishes a trust list."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives import hashes

from rawtrace import durable
from rawtrace.cli import identities, output
from rawtrace.cli.groups import Group, Word
from rawtrace.cli.parameters import PATH
from rawtrace.errors import AlreadyExistsError, UsageError
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, identity, instruments, register
from rawtrace.trust.authority import Authority
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Algorithm, Protection
from rawtrace.trust.register import Issued
from rawtrace.trust.trustlist import StatusRecord

SCHEMA = "urn:rawtrace:schema:authority-register:1"
REVOCATION_SCHEMA = "urn:rawtrace:schema:revocation:1"
TIME_SCHEMA = "urn:rawtrace:schema:time-authority:1"

_REASONS = f"Why: {', '.join(authorities.REASONS[:-1])} or {authorities.REASONS[-1]}."

_folder_argument = click.argument("folder", metavar="AUTHORITY", type=PATH)


@click.group(cls=Group)
def authority() -> None:
    """Run an authority: certify instruments, revoke them, publish the trust list.

    \b
    Examples:
      rawtrace authority new ./authority --name "Example University" --owner https://ror.org/0exampe44
      rawtrace authority issue ./authority ./widefield
      rawtrace authority revoke ./authority --pid PID --reason cessationOfOperation
      rawtrace authority list ./authority

    Verifiers take AUTHORITY/trust-list.jws, which every issue and revoke signs anew.
    """


@authority.command()
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--name", required=True, help="What verifiers will read; at most 48 characters.")
@click.option("--owner", default="", metavar="ROR", help="The organisation that runs it, as ror.org lists it.")
@click.option(
    "--name-space", default="", metavar="HOST", help="Certify only PIDs at this host (with a dot first: below)."
)
@identities.key_options
@identities.json_option
def new(
    folder: Path,
    *,
    name: str,
    owner: str,
    name_space: str,
    algorithm: str,
    pkcs11_module: str | None,
    pkcs11_token: str | None,
    pkcs11_pin_file: str | None,
    as_json: bool,
) -> None:
    """Make an authority in DIR, which must not exist yet.

    \b
    Examples:
      rawtrace authority new ./authority --name "Example University"
      rawtrace authority new ./authority --name "Example Society" --name-space instruments.example.org

    DIR/root holds the root key, which is not needed again: move that folder to
    a medium that you lock away. The token options are for the issuing key.
    """
    token = identities.token_options(pkcs11_module, pkcs11_token, pkcs11_pin_file)
    made = authorities.create_authority(
        folder, name=name, owner=owner, name_space=name_space, algorithm=Algorithm(algorithm), token=token
    )
    text = [
        f"made {folder}",
        f"name:         {made.name}",
        f"root SHA-256: {_fingerprint(made)}",
        f"trust list:   {folder / authorities.TRUST_LIST_FILE}",
    ]
    output.emit(_value(made, [], {}), as_json=as_json, text="\n".join(text))
    output.note(f"note: move {folder / 'root'} to a medium that you lock away; nothing else here needs it")


@authority.command()
@_folder_argument
@click.argument("applicant", metavar="IDENTITY|REQUEST", type=PATH)
@click.option("--out", metavar="FILE", type=PATH, help="Where the certificate of a REQUEST goes.")
@click.option("--hardware", is_flag=True, help="For a REQUEST: you have seen that its key is in a token.")
@identities.new_key_option
@identities.json_option
def issue(folder: Path, applicant: Path, *, out: Path | None, hardware: bool, new_key: bool, as_json: bool) -> None:
    """Certify the instrument or workstation in IDENTITY, or one that sent a REQUEST; also renews.

    \b
    Examples:
      rawtrace authority issue ./authority ./widefield
      rawtrace authority issue ./authority ./widefield --new-key
      rawtrace authority issue ./authority request.json --out certificate.pem

    You vouch for what the record says. Look at it first: rawtrace instrument show IDENTITY, or read REQUEST.
    """
    if applicant.is_file():
        _issue_for_request(folder, applicant, out, hardware=hardware, new_key=new_key, as_json=as_json)
        return
    if out is not None or hardware:
        msg = f"--out and --hardware go with a request; {applicant} is not a file"
        raise UsageError(msg)
    certified = identity.renew_identity(applicant, authority=folder, new_key=new_key)
    identities.emit(certified, as_json=as_json, done=f"certified {applicant}")


@authority.command()
@_folder_argument
@click.option("--pid", default="", help="Revoke every certificate of this PID.")
@click.option("--serial", default="", metavar="HEX", help="Revoke one certificate, by its serial number.")
@click.option("--reason", required=True, type=Word(authorities.REASONS), metavar="WORD", help=_REASONS)
@click.option("--compromised-from", metavar="TIME", help="Seals proven to be older stay good: 2026-01-31T08:00Z.")
@click.option("--note", default="", help="One line for people, published in the trust list.")
@identities.json_option
def revoke(
    folder: Path, *, pid: str, serial: str, reason: str, compromised_from: str | None, note: str, as_json: bool
) -> None:
    """Revoke certificates, and sign the trust list anew.

    \b
    Examples:
      rawtrace authority revoke ./authority --pid PID --reason cessationOfOperation
      rawtrace authority revoke ./authority --pid PID --reason keyCompromise --compromised-from 2026-01-31T08:00Z
      rawtrace authority revoke ./authority --serial 3051ad88 --reason superseded

    keyCompromise without --compromised-from puts every seal of that key in doubt.
    """
    if bool(pid) == bool(serial):
        msg = "a revocation names either --pid or --serial"
        raise UsageError(msg)
    records = authorities.revoke(
        folder,
        pid=pid,
        serial=_serial(serial) if serial else None,
        reason=reason,
        compromised_from=_time(compromised_from) if compromised_from else None,
        note=note,
    )
    value = {"schema": REVOCATION_SCHEMA, "revoked": [_status(record) for record in records]}
    text = "\n".join(f"revoked {record.serial:x}: {_sentence(record)}" for record in records)
    output.emit(value, as_json=as_json, text=text)


@authority.command(name="list")
@_folder_argument
@identities.json_option
def list_command(folder: Path, *, as_json: bool) -> None:
    """List what the authority issued and what it revoked.

    \b
    Examples:
      rawtrace authority list ./authority
      rawtrace authority list ./authority --json
    """
    found = authorities.open_authority(folder)
    issued = list(register.issued(folder))
    standing = {record.serial: record for record in register.statuses(folder)}
    lines = [f"{found.name}, root SHA-256 {_fingerprint(found)}"]
    if not issued:
        lines.append("nothing issued yet")
    for item in issued:
        state = _sentence(standing[item.serial]) if item.serial in standing else f"valid to {item.not_after:%Y-%m-%d}"
        lines.append(f"{item.serial:x}  {item.kind:<11}  {item.name}  {item.pid}  {state}")
    output.emit(_value(found, issued, standing), as_json=as_json, text="\n".join(lines))


@authority.command(name="time")
@_folder_argument
@click.argument("target", metavar="DIR", type=PATH)
@click.option("--name", default="", help="What verifiers will read; at most 64 characters.")
@identities.token_key_options
@identities.json_option
def time_command(
    folder: Path,
    target: Path,
    *,
    name: str,
    pkcs11_module: str | None,
    pkcs11_token: str | None,
    pkcs11_pin_file: str | None,
    as_json: bool,
) -> None:
    """Make a time-stamping authority (RFC 3161) in DIR, which must not exist yet, and list it.

    \b
    Examples:
      rawtrace authority time ./authority ./store/time
      rawtrace authority time ./authority ./store/time --name "Example University time"

    A trust store whose folder has it answers at /time. Its key, P-256, signs nothing else.
    """
    from rawtrace.trust.timeauthority import create_time_authority

    token = identities.token_options(pkcs11_module, pkcs11_token, pkcs11_pin_file)
    made = create_time_authority(target, authority=folder, name=name, token=token)
    value = {
        "schema": TIME_SCHEMA,
        "folder": str(target),
        "name": certificates.name_of(made),
        "serial": f"{made.serial_number:x}",
        "not_after": made.not_valid_after_utc.isoformat(),
        "trust_list": str(folder / authorities.TRUST_LIST_FILE),
    }
    text = (
        f"made {target}: {value['name']}, certificate {value['serial']}, valid to {made.not_valid_after_utc:%Y-%m-%d}"
    )
    output.emit(value, as_json=as_json, text=text)


@authority.command()
@_folder_argument
@click.argument("target", metavar="DIR", type=PATH)
@click.option("--name", required=True, help="What people call it; at most 64 characters.")
@click.option("--owner", required=True, metavar="ROR", help="The organisation that runs it, as ror.org lists it.")
@click.option("--owner-name", default="", help="The owner in words.")
@click.option("--pid", default="", help="Its handle or DOI; without one a urn:uuid: is made.")
@identities.key_options
@identities.json_option
def repository(folder: Path, target: Path, **options: Any) -> None:
    """Make a repository identity in DIR, which must not exist yet, certified by AUTHORITY.

    \b
    Examples:
      rawtrace authority repository ./authority ./store/gateway --name "Example Archive" --owner 0exampe44

    A repository certifies what is uploaded to it and counter-signs what instruments
    deliver. It cannot state that a picture came from a sensor: only instruments can.
    """
    identities.create(SignerKind.REPOSITORY, target, authority=str(folder), **options)


@authority.command()
@_folder_argument
@identities.json_option
def publish(folder: Path, *, as_json: bool) -> None:
    """Sign the trust list anew, for instance before the last one runs out.

    \b
    Examples:
      rawtrace authority publish ./authority
    """
    path = authorities.publish(folder)
    value = {"schema": "urn:rawtrace:schema:published:1", "trust_list": str(path)}
    output.emit(value, as_json=as_json, text=f"signed {path}")


def _issue_for_request(
    folder: Path, path: Path, out: Path | None, *, hardware: bool, new_key: bool, as_json: bool
) -> None:
    if out is None or new_key:
        msg = "a request takes --out FILE for its certificate, and brings its own key"
        raise UsageError(msg)
    if out.exists():
        msg = f"{out} exists already and is never overwritten"
        raise AlreadyExistsError(msg)
    asked = authorities.read_request(
        durable.read_bounded(path, limit=authorities.MAX_REQUEST_BYTES), what=f"the request {path}"
    )
    # What a request says of its key is a claim: only the authority's own staff can have seen the token.
    protection = asked.protection if hardware else Protection.SOFTWARE
    chain = authorities.issue(folder, dataclasses.replace(asked, protection=protection))
    durable.write_new(out, certificates.to_pem(chain))
    facts = instruments.summary(asked.record)
    value = {
        "schema": "urn:rawtrace:schema:certified:1",
        "certificate": str(out),
        "serial": f"{chain[0].serial_number:x}",
        "kind": asked.kind.value,
        "protection": protection.value,
        **{name: facts[name] for name in ("pid", "name")},
    }
    text = f"certified {facts['name']} ({facts['pid']}) as {asked.kind}, key in {protection}: {out}"
    output.emit(value, as_json=as_json, text=text)


def _value(found: Authority, issued: list[Issued], standing: dict[int, StatusRecord]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "folder": str(found.folder),
        "name": found.name,
        "owner": found.owner,
        "name_space": found.name_space,
        "root_sha256": _fingerprint(found),
        "trust_list": str(found.folder / authorities.TRUST_LIST_FILE),
        "issued": [
            {
                "serial": f"{item.serial:x}",
                "pid": item.pid,
                "kind": item.kind.value,
                "name": item.name,
                "not_before": item.not_before.isoformat(),
                "not_after": item.not_after.isoformat(),
                "protection": item.protection.value,
                "status": _status(standing[item.serial]) if item.serial in standing else None,
            }
            for item in issued
        ],
    }


def _status(record: StatusRecord) -> dict[str, Any]:
    return {
        "serial": f"{record.serial:x}",
        "reason": record.reason,
        "revoked_at": record.revoked_at.isoformat(),
        "compromised_from": record.compromised_from.isoformat() if record.compromised_from else "",
        "note": record.note,
    }


def _sentence(record: StatusRecord) -> str:
    doubt = f", compromised from {record.compromised_from:%Y-%m-%d %H:%M} UTC" if record.compromised_from else ""
    return f"revoked {record.revoked_at:%Y-%m-%d %H:%M} UTC, {record.reason}{doubt}"


def _fingerprint(found: Authority) -> str:
    return found.root.fingerprint(hashes.SHA256()).hex()


def _serial(text: str) -> int:
    try:
        number = int(text.replace(":", "").strip(), 16)
    except ValueError:
        number = 0
    if not 0 < number < 1 << 160:
        msg = f"{text[:80]!r} is not a certificate's serial number; expected up to 40 hexadecimal digits"
        raise UsageError(msg)
    return number


def _time(text: str) -> datetime:
    """Read a day, which begins at midnight UTC, or a time with its zone; returns UTC."""
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is not None:
            return parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # the same sentence says what was expected
    msg = f"{text[:80]!r} is not a time with its zone; expected 2026-01-31, 2026-01-31T08:00Z or an offset"
    raise UsageError(msg)
