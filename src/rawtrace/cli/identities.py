"""What ``rawtrace instrument`` and ``rawtrace workstation`` share: options, and showing an identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from cryptography.hazmat.primitives import hashes

from rawtrace import durable
from rawtrace.cli import enrolments, output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import CertificateError, UsageError
from rawtrace.trust import authority as authorities
from rawtrace.trust import certificates, identifiers, identity, instruments
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity
from rawtrace.trust.keys import Algorithm, Protection
from rawtrace.trust.pkcs11 import TokenOptions
from rawtrace.trust.signer import ORIGIN_FILE

SCHEMA = "urn:rawtrace:schema:identity:1"

_Command = TypeVar("_Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
folder_argument = click.argument("folder", metavar="DIR", type=PATH)
authority_option = click.option(
    "--authority",
    metavar="DIR|URL",
    help="Who certifies it: an authority's folder, or its store's address; without one it is self-certified.",
)
new_key_option = click.option("--new-key", is_flag=True, help="Change the key too; the old key file is not kept.")


def key_options(command: _Command) -> _Command:
    """Add the options that say what key to make and where."""
    algorithm = click.option(
        "--algorithm",
        type=click.Choice([algorithm.value for algorithm in Algorithm]),
        default=Algorithm.ED25519.value,
        show_default=True,
        help="What the key signs with.",
    )
    return algorithm(token_key_options(command))


def token_key_options(command: _Command) -> _Command:
    """Add the options that say in which token to make a key."""
    options = (
        click.option("--pkcs11-module", metavar="FILE", help="Make the key in a token: its maker's PKCS#11 library."),
        click.option("--pkcs11-token", metavar="LABEL", help="Label of the token."),
        click.option("--pkcs11-pin-file", metavar="FILE", help="File of mode 0600 that holds the token's PIN, alone."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def token_options(module: str | None, token: str | None, pin_file: str | None) -> TokenOptions | None:
    """Put the three token options together: all of them, or none."""
    if not module and not token and not pin_file:
        return None
    if not module or not token or not pin_file:
        msg = "a key in a token takes all of --pkcs11-module, --pkcs11-token and --pkcs11-pin-file"
        raise UsageError(msg)
    return TokenOptions(module=Path(module).absolute(), token=token, pin_file=Path(pin_file).absolute())


def authority_folder(value: str | None) -> Path | None:
    """Return the authority's folder; an address is refused in words."""
    if enrolments.is_address(value):
        msg = "an authority at an address does not go with this; expected the authority's folder"
        raise UsageError(msg)
    return None if value is None else Path(value)


def create(
    kind: SignerKind,
    folder: Path,
    *,
    authority: str | None,
    algorithm: str,
    pkcs11_module: str | None,
    pkcs11_token: str | None,
    pkcs11_pin_file: str | None,
    as_json: bool,
    online: Mapping[str, str] | None = None,
    **fields: str,
) -> None:
    """Make an identity of the ``fields`` that the command's own options give, and show it."""
    token = token_options(pkcs11_module, pkcs11_token, pkcs11_pin_file)
    if authority is not None and enrolments.is_address(authority):
        _enrol(kind, folder, authority, fields, online or {}, Algorithm(algorithm), token, as_json=as_json)
        return
    _refuse_online(online)
    missing = [f"--{name}" for name in _NEEDED[kind] if not fields.get(name)]
    if missing:
        msg = f"this takes {', '.join(missing)}"
        raise UsageError(msg, hint="with an authority at an address, its operator has registered them")
    issuer = authority_folder(authority)
    record = instruments.new_record(kind=kind, **fields)  # type: ignore[arg-type]  # every field the options give is text
    made = identity.create_identity(folder, kind, record, authority=issuer, algorithm=Algorithm(algorithm), token=token)
    emit(made, as_json=as_json, done=f"made {folder}")


def show(kind: SignerKind, folder: Path, *, as_json: bool) -> None:
    """Show an identity of the expected kind."""
    found = identity.load_identity(folder)
    _expect(found, kind)
    emit(found, as_json=as_json)


def _enrol(
    kind: SignerKind,
    folder: Path,
    authority: str,
    fields: Mapping[str, str],
    online: Mapping[str, str],
    algorithm: Algorithm,
    token: TokenOptions | None,
    *,
    as_json: bool,
) -> None:
    from rawtrace.trust import enrolling

    proof = enrolments.proof_of(fields.get("pid", ""), online, needed=True)
    given = {_SUMMARY.get(name, name): value for name, value in fields.items() if name not in _NOT_COMPARED}
    if given.get("owner_ror"):
        given["owner_ror"] = identifiers.ror(given["owner_ror"])
    answer = enrolling.enrol_identity(
        folder,
        kind,
        origin=enrolments.origin_of(authority, online),
        proof=proof,
        given=given,
        algorithm=algorithm,
        token=token,
    )
    if isinstance(answer, enrolling.Later):
        enrolments.later(folder, answer.again_s, as_json=as_json)
    else:
        emit(answer, as_json=as_json, done=f"made {folder}")


def _refuse_online(online: Mapping[str, str] | None) -> None:
    odd = [f"--{name.replace('_', '-')}" for name, value in (online or {}).items() if value]
    if odd:
        msg = f"{odd[0]} goes with an authority at an address"
        raise UsageError(msg)


def renew(
    kind: SignerKind,
    folder: Path,
    *,
    authority: str | None,
    new_key: bool,
    location: str,
    as_json: bool,
    online: Mapping[str, str] | None = None,
) -> None:
    """Renew an identity of the expected kind and show it."""
    if enrolments.is_address(authority) or (authority is None and (folder / ORIGIN_FILE).is_file()):
        _renew_online(kind, folder, authority, online or {}, new_key=new_key, location=location, as_json=as_json)
        return
    _refuse_online(online)
    issuer = authority_folder(authority)
    expected = identity.RECORD_FILES[kind]
    if folder.is_dir() and not (folder / expected).is_file():
        msg = f"{folder} holds no {expected}, so it is not {_ARTICLES[kind]}"
        raise UsageError(msg)
    renewed = identity.renew_identity(folder, authority=issuer, new_key=new_key, location=location)
    emit(renewed, as_json=as_json, done=f"renewed {folder}")


def _renew_online(
    kind: SignerKind,
    folder: Path,
    authority: str | None,
    online: Mapping[str, str],
    *,
    new_key: bool,
    location: str,
    as_json: bool,
) -> None:
    from rawtrace.trust import enrolling

    if location:
        msg = "the place is registered with the authority; --location goes with an authority's folder"
        raise UsageError(msg, hint="have the store's operator change the record, then renew")
    found = enrolling.load_after_interruption(folder)
    _expect(found, kind)
    pid = certificates.pid_of(found.leaf)
    origin = enrolments.origin_of(authority, online) if authority is not None else None
    answer = enrolling.renew_online(
        folder, proof=enrolments.proof_of(pid, online, needed=False), new_key=new_key, origin=origin
    )
    if isinstance(answer, enrolling.Later):
        enrolments.later(folder, answer.again_s, as_json=as_json)
    else:
        emit(answer, as_json=as_json, done=f"renewed {folder}")


def request(kind: SignerKind, folder: Path, target: Path, *, as_json: bool) -> None:
    """Write a request for a certificate; the key stays where it is."""
    found = identity.load_identity(folder)
    _expect(found, kind)
    asked = authorities.make_request(kind, found.record, found.key)
    durable.write_new(target, authorities.write_request(asked))
    value = {"schema": "urn:rawtrace:schema:requested:1", "folder": str(folder), "request": str(target)}
    text = f"wrote {target}; the authority runs: rawtrace authority issue AUTHORITY {target} --out certificate.pem"
    output.emit(value, as_json=as_json, text=text)


def install(kind: SignerKind, folder: Path, certificate: Path, *, as_json: bool) -> None:
    """Install the certificate that came back for a request."""
    _expect(identity.load_identity(folder), kind)
    pem = durable.read_bounded(certificate, limit=certificates.MAX_CHAIN_BYTES)
    emit(
        identity.install_certificate(folder, pem, what=f"{certificate}"),
        as_json=as_json,
        done=f"installed {certificate}",
    )


def emit(found: Identity, *, as_json: bool, done: str = "") -> None:
    """Print an identity, and a note where something about it is weak."""
    facts = _facts(found)
    value = {"schema": SCHEMA, "folder": str(found.folder), **facts, "record": dict(found.record)}
    width = max(len(label) for label in _LABELS.values()) + 2
    shown = {name: value for name, value in facts.items() if name != "owner_ror" or value != facts["owner"]}
    lines = [f"{label + ':':<{width}}{shown[name]}" for name, label in _LABELS.items() if shown.get(name)]
    output.emit(value, as_json=as_json, text="\n".join([done, *lines] if done else lines))
    for remark in _remarks(found):
        output.note(f"note: {remark}")
    if done.startswith("made ") and found.role in _NEXT:
        output.note(f"next: rawtrace seal FILE {_NEXT[found.role]} {found.folder}")


_NEXT = {SignerKind.INSTRUMENT: "--instrument", SignerKind.WORKSTATION: "--workstation"}
#: What a record needs, where the options make it.
_NEEDED = {
    SignerKind.INSTRUMENT: ("name", "manufacturer", "model", "owner"),
    SignerKind.WORKSTATION: ("name", "owner"),
    SignerKind.REPOSITORY: ("name", "owner"),
}
_SUMMARY = {"owner": "owner_ror", "owner_name": "owner"}
_NOT_COMPARED = frozenset({"pid", "description", "instrument_type"})
_ARTICLES = {
    SignerKind.INSTRUMENT: "an instrument",
    SignerKind.WORKSTATION: "a workstation",
    SignerKind.REPOSITORY: "a repository",
}
_LABELS = {
    "name": "name",
    "pid": "PID",
    "kind": "certified as",
    "authority": "by",
    "manufacturer": "manufacturer",
    "model": "model",
    "serial": "serial number",
    "owner": "owner",
    "owner_ror": "owner's ROR",
    "location": "place",
    "algorithm": "key",
    "protection": "key kept in",
    "not_before": "valid from",
    "not_after": "valid to",
    "certificate_serial": "certificate",
    "certificate_sha256": "SHA-256",
}


def _facts(found: Identity) -> dict[str, str]:
    leaf = found.leaf
    return {
        **instruments.summary(found.record),
        "kind": found.kind.value,
        "role": found.role.value,
        "authority": certificates.name_of(found.chain[1]) if len(found.chain) > 1 else "",
        "algorithm": found.key.algorithm.value,
        "protection": found.key.protection.value,
        "not_before": f"{leaf.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "certificate_serial": f"{leaf.serial_number:x}",
        "certificate_sha256": leaf.fingerprint(hashes.SHA256()).hex(),
    }


def _remarks(found: Identity) -> list[str]:
    remarks = []
    if found.kind is SignerKind.SELF:
        remarks.append("no authority stands behind this identity, so its seals verify as inconclusive")
    if found.key.protection is Protection.SOFTWARE:
        remarks.append(f"the key lies in {found.folder}: only the account that seals should be able to read it")
    try:
        identity.check_current(found)
    except CertificateError as error:
        remarks.append(f"{error}; {error.hint}")
    return remarks


def _expect(found: Identity, kind: SignerKind) -> None:
    if found.role is not kind:
        msg = f"{found.folder} is {_ARTICLES[found.role]}; expected {_ARTICLES[kind]}"
        raise UsageError(msg, hint=f"see: rawtrace {found.role} show {found.folder}")
