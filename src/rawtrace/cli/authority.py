"""``rawtrace authority``: who issues certificates, revokes them and publishes a trust list."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives import hashes

from rawtrace import durable
from rawtrace.cli import identities, output, revocations
from rawtrace.cli.groups import Group, Word
from rawtrace.cli.parameters import PATH
from rawtrace.errors import AlreadyExistsError, UsageError
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, identity, instruments, lotestatus, register
from rawtrace.trust.authority import Authority
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Algorithm, Protection
from rawtrace.trust.register import Issued
from rawtrace.trust.scope import LogPosition, Scope, ScopeKind
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
    output.note(f"next: rawtrace instrument new DIR --name NAME … --authority {folder}")


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
@click.option(
    "--product", nargs=2, metavar="MAKER MODEL", help="Revoke a product; with one of the next, only a part of it."
)
@click.option("--feature", default="", metavar="NAME", help="Of a product: the seals made with this feature.")
@click.option("--firmware-from", default="", metavar="VERSION", help="Of a product: the first firmware that is meant.")
@click.option("--firmware-to", default="", metavar="VERSION", help="Of a product: the last firmware that is meant.")
@click.option("--reason", required=True, type=Word(authorities.REASONS), metavar="WORD", help=_REASONS)
@click.option("--compromised-from", metavar="TIME", help="Seals proven to be older stay good: 2026-01-31T08:00Z.")
@click.option("--doubt-from", metavar="LOG:INDEX", help="Seals that this log holds before this index stay good.")
@click.option("--note", default="", help="One line for people, published in the trust list.")
@identities.json_option
def revoke(
    folder: Path,
    *,
    pid: str,
    serial: str,
    product: tuple[str, str] | None,
    feature: str,
    firmware_from: str,
    firmware_to: str,
    reason: str,
    compromised_from: str | None,
    doubt_from: str | None,
    note: str,
    as_json: bool,
) -> None:
    """Revoke certificates, a product, its firmware or a feature, and sign the trust list anew.

    \b
    Examples:
      rawtrace authority revoke ./authority --pid PID --reason cessationOfOperation
      rawtrace authority revoke ./authority --pid PID --reason keyCompromise --compromised-from 2026-01-31T08:00Z
      rawtrace authority revoke ./authority --serial 3051ad88 --reason superseded
      rawtrace authority revoke ./authority --product "Example Optics" "Model 3" --feature multiple-exposure \\
          --reason privilegeWithdrawn --compromised-from 2026-01-31
      rawtrace authority revoke ./authority --product "Example Optics" "Model 3" --firmware-from 1.0 \\
          --firmware-to 1.4.2 --reason keyCompromise --doubt-from log.example.org:51200

    keyCompromise without a start puts every seal of that key in doubt, and so does any other reason for a product,
    a firmware or a feature. What a seal does not say of its firmware or features is never read in its favour.
    """
    if bool(pid) + bool(serial) + (product is not None) != 1:
        msg = "a revocation names one of --pid, --serial and --product"
        raise UsageError(msg)
    records = authorities.revoke(
        folder,
        pid=pid,
        serial=_serial(serial) if serial else None,
        scope=_scope(product, feature, firmware_from, firmware_to),
        reason=reason,
        compromised_from=_time(compromised_from) if compromised_from else None,
        doubt_from=_position(doubt_from) if doubt_from else None,
        note=note,
    )
    value = {"schema": REVOCATION_SCHEMA, "revoked": [_status(record) for record in records]}
    text = "\n".join(f"revoked {_about(record)}: {_sentence(record)}" for record in records)
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
    statuses = register.statuses(folder)
    standing = {record.serial: record for record in statuses if record.scope is None}
    scoped = [record for record in statuses if record.scope is not None]
    lines = [f"{found.name}, root SHA-256 {_fingerprint(found)}"]
    if not issued:
        lines.append("nothing issued yet")
    for item in issued:
        state = _sentence(standing[item.serial]) if item.serial in standing else f"valid to {item.not_after:%Y-%m-%d}"
        lines.append(f"{item.serial:x}  {item.kind:<11}  {item.name}  {item.pid}  {state}")
    lines += [f"{_about(record)}: {_sentence(record)}" for record in scoped]
    output.emit(_value(found, issued, standing, scoped), as_json=as_json, text="\n".join(lines))


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


@authority.command()
@_folder_argument
@click.option("--policy", metavar="FILE", type=PATH, required=True, help="Logs and witnesses, as a tlog-policy text.")
@identities.json_option
def log(folder: Path, *, policy: Path, as_json: bool) -> None:
    """Name the logs whose receipts count, and the witnesses that must stand behind them.

    \b
    Examples:
      rawtrace authority log ./authority --policy log-policy

    The trust list carries the policy, so that readers check receipts with no network. Seals without a
    receipt are then shown with a note.
    """
    from rawtrace.ledger.policy import MAX_POLICY
    from rawtrace.trust import authorityfolder

    data = durable.read_bounded(policy, limit=MAX_POLICY)
    made = authorityfolder.set_log_policy(folder, data.decode("utf-8", "replace"))
    names = [one.key.name for one in made.logs]
    value = {
        "schema": "urn:rawtrace:schema:log-policy:1",
        "logs": names,
        "witnesses": [one.name for one in made.witnesses],
        "quorum": made.quorum,
    }
    text = f"receipts of {', '.join(names)} count, with the quorum {made.quorum} of {len(made.witnesses)} witnesses"
    output.emit(value, as_json=as_json, text=text)


@authority.command()
@_folder_argument
@click.argument("url", metavar="URL")
@identities.json_option
def address(folder: Path, url: str, *, as_json: bool) -> None:
    """Say at which trust store statuses are published: certificates issued from now on point there.

    \b
    Examples:
      rawtrace authority address ./authority https://store.example.org
    """
    from rawtrace.trust import authorityfolder

    found = authorityfolder.set_url(folder, url)
    value = {"schema": "urn:rawtrace:schema:authority-address:1", "url": found.url}
    output.emit(value, as_json=as_json, text=f"certificates now point to {found.url}/ocsp and {found.url}/crl")


for _command in revocations.COMMANDS:
    authority.add_command(_command)


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


def _value(
    found: Authority, issued: list[Issued], standing: dict[int, StatusRecord], scoped: Sequence[StatusRecord] = ()
) -> dict[str, Any]:
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
        "statuses": [_status(record) for record in scoped],
    }


def _status(record: StatusRecord) -> dict[str, Any]:
    about: dict[str, Any] = (
        {"serial": f"{record.serial:x}"} if record.scope is None else {"scope": lotestatus.write_scope(record.scope)}
    )
    places = {"doubt_from": record.doubt_from, "logged": record.logged}
    return {
        **about,
        **{name: lotestatus.write_position(place) for name, place in places.items() if place is not None},
        "reason": record.reason,
        "revoked_at": record.revoked_at.isoformat(),
        "compromised_from": record.compromised_from.isoformat() if record.compromised_from else "",
        "note": record.note,
    }


def _sentence(record: StatusRecord) -> str:
    doubt = f", compromised from {record.compromised_from:%Y-%m-%d %H:%M} UTC" if record.compromised_from else ""
    if record.doubt_from is not None:
        doubt += f", in doubt from entry {record.doubt_from.index} of {record.doubt_from.origin}"
    return f"revoked {record.revoked_at:%Y-%m-%d %H:%M} UTC, {record.reason}{doubt}"


def _about(record: StatusRecord) -> str:
    return f"{record.serial:x}" if record.scope is None else record.scope.words


def _scope(product: tuple[str, str] | None, feature: str, firmware_from: str, firmware_to: str) -> Scope | None:
    if product is None:
        if feature or firmware_from or firmware_to:
            msg = "a feature or a firmware is that of a product; expected --product MAKER MODEL with it"
            raise UsageError(msg)
        return None
    if feature and (firmware_from or firmware_to):
        msg = "a status is about a feature or about a firmware; expected one of them"
        raise UsageError(msg)
    kind = ScopeKind.FEATURE if feature else ScopeKind.FIRMWARE if firmware_from or firmware_to else ScopeKind.PRODUCT
    return Scope(
        kind=kind,
        manufacturer=product[0].strip(),
        model=product[1].strip(),
        feature=feature,
        firmware_from=firmware_from,
        firmware_to=firmware_to,
    )


def _position(text: str) -> LogPosition:
    origin, _, number = text.rpartition(":")
    if not origin or not number.isascii() or not number.isdigit() or len(number) > 15:
        msg = f"{text[:80]!r} is not a place in a log; expected its name and an index, such as log.example.org:51200"
        raise UsageError(msg)
    return LogPosition(origin=origin, index=int(number))


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
