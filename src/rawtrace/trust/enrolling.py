"""Getting and renewing an identity at an authority's address: what happens in the identity's folder.

Nothing is written into its place unless the answer is for this key, this PID,
this record and this kind of signer, and comes from the expected authority. The
key never leaves. What was asked for and has not been answered lies in
``pending/``, so that the same request is asked again and gets the same
certificate: after a lost answer, a power cut, or while an officer decides.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from rawtrace import durable, strictjson
from rawtrace.errors import EnrolmentError, InputNotFoundError, MalformedError, RefusedError, from_os_error
from rawtrace.trust import certificates, enrolment, identifiers, identity, instruments, keys, staging
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.enrolment import Grant
from rawtrace.trust.estclient import EstClient, Later, Origin, Proof, check_answer
from rawtrace.trust.keys import KEY_FILE, KEY_POINTER, Algorithm, SigningKey
from rawtrace.trust.pkcs11 import TokenOptions
from rawtrace.trust.signer import CERTIFICATE_FILE, NEXT, ORIGIN_FILE, PENDING, RECORD_FILES, Identity

ORIGIN_SCHEMA = "urn:rawtrace:schema:identity-origin:1"
PENDING_SCHEMA = "urn:rawtrace:schema:identity-pending:1"
_ASKED_FILE, _CSR_FILE = "asked.json", "request.der"
_MAX_FILE = 65_536


def enrol_identity(
    folder: Path,
    kind: SignerKind,
    *,
    origin: Origin,
    proof: Proof,
    given: Mapping[str, str] | None = None,
    algorithm: Algorithm = Algorithm.ED25519,
    token: TokenOptions | None = None,
    now: datetime | None = None,
) -> Identity | Later:
    """Make a key, have the authority certify it, and keep both in a new folder.

    Called again with the same folder, it asks again with the same key.

    Parameters
    ----------
    given : Mapping[str, str]
        What the person here believes is registered, by the names of ``instruments.summary``; must agree.

    Raises
    ------
    EnrolmentError
        The answer is not what was asked for, or what is registered differs from what was given.
    RefusedError
        The authority said no; the new key and the folder are gone again.
    NetworkError
        Nothing is lost: call again.
    AlreadyExistsError, KeyUnavailableError, IdentityRecordError, MalformedError
    """
    if (folder / NEXT).is_dir():
        # The certificate had come, and only the last step was cut short.
        identity.finish_renewal(folder)
        shutil.rmtree(folder / PENDING, ignore_errors=True)
        made = identity.load_identity(folder)
        if not proof.pid or certificates.pid_of(made.leaf) == _pid(proof.pid):
            return made
    if (folder / PENDING).is_dir():
        return _go_on(folder, kind, origin=origin, proof=proof, now=now)
    with EstClient(origin, proof=proof) as client:
        _, root = client.authority()
        grant = client.registered()
        _check_given(grant, kind, proof.pid, given or {})
        known = replace(origin, url=origin.url.rstrip("/"), root_sha256=root.fingerprint(hashes.SHA256()).hex())
        with staging.new_folder(folder) as new:
            waiting = new / PENDING
            waiting.mkdir(mode=0o700)
            # A key in a token is taken away again only if the folder that names it cannot be kept.
            with staging.new_key(waiting, algorithm, token) as key:
                _write_asked(waiting, key, grant, known)
    try:
        return _go_on(folder, kind, origin=known, proof=proof, now=now)
    except RefusedError:
        _take_back(folder)
        raise


def renew_online(
    folder: Path,
    *,
    proof: Proof | None = None,
    new_key: bool = False,
    origin: Origin | None = None,
    now: datetime | None = None,
) -> Identity | Later:
    """Have an identity that came from an address certified again, by what is registered there now.

    Parameters
    ----------
    proof : Proof, optional
        A new one-time code, where the current certificate does not count any more.
    origin : Origin, optional
        The authority, for an identity that comes from none, or from a folder; else what the folder remembers of it,
        with the server's address and key as given here, and still the same root.

    Raises
    ------
    EnrolmentError, RefusedError, NetworkError, CertificateError, KeyUnavailableError, MalformedError
    """
    old = load_after_interruption(folder)
    kept = read_origin(folder)
    if origin is None:
        origin = kept
    elif kept is not None:
        origin = replace(origin, root_sha256=kept.root_sha256, token_file=origin.token_file or kept.token_file)
    if origin is None:
        msg = f"{folder} does not come from an authority at an address"
        raise EnrolmentError(msg, hint="name the authority's folder: --authority DIR")
    with EstClient(origin, proof=proof, current=old) as client:
        authority, root = client.authority()
        origin = replace(origin, url=origin.url.rstrip("/"), root_sha256=root.fingerprint(hashes.SHA256()).hex())
        grant = client.registered()
        if grant.pid != certificates.pid_of(old.leaf) or grant.kind is not old.role:
            msg = f"{origin.url} has {grant.pid} registered as {grant.kind}; {folder} is another one"
            raise EnrolmentError(msg)
        waiting = folder / PENDING
        if not _is_same_question(waiting, old, grant, new_key=new_key):
            _prepare(folder, old, grant, origin, new_key=new_key)
        key = keys.open_in_folder(waiting) if (waiting / KEY_POINTER).exists() else old.key
        csr = durable.read_bounded(waiting / _CSR_FILE, limit=_MAX_FILE)
        answer = client.ask(csr, again=proof is None)
    if isinstance(answer, Later):
        return answer
    check_answer(answer, key=key, grant=grant, authority=authority, at=now or datetime.now(UTC))
    if answer == old.leaf and origin == kept:
        shutil.rmtree(waiting, ignore_errors=True)
        return old
    return _install(folder, grant, (answer, authority), old=old, origin=origin)


def load_after_interruption(folder: Path) -> Identity:
    """Open an identity after finishing a renewal that was cut short."""
    identity.finish_renewal(folder)
    return identity.load_identity(folder)


def read_origin(folder: Path) -> Origin | None:
    """Return where an identity comes from; ``None`` where its authority is a folder, or nobody.

    Raises
    ------
    MalformedError
    """
    path = folder / ORIGIN_FILE
    try:
        value = strictjson.loads(durable.read_bounded(path, limit=_MAX_FILE), what=f"{path}", max_bytes=_MAX_FILE)
    except InputNotFoundError:
        return None
    return _origin_of(value, path)


# --- the folder ---------------------------------------------------------------------------------------------------


def _go_on(folder: Path, kind: SignerKind, *, origin: Origin, proof: Proof, now: datetime | None) -> Identity | Later:
    waiting = folder / PENDING
    asked = _read_asked(waiting)
    known = _origin_of(asked["origin"], waiting / _ASKED_FILE)
    if known.url != origin.url.rstrip("/") or asked["kind"] != kind or (proof.pid and _pid(proof.pid) != asked["pid"]):
        msg = f"{folder} waits for a certificate of {asked['pid']} from {known.url}"
        raise EnrolmentError(msg, hint="ask for the same once more, or name another folder")
    grant = enrolment.grant_of(asked["pid"], kind, asked["record"])
    key = keys.open_in_folder(waiting)
    csr = durable.read_bounded(waiting / _CSR_FILE, limit=_MAX_FILE)
    with EstClient(known, proof=proof) as client:
        authority, _ = client.authority()
        answer = client.ask(csr, again=False)
    if isinstance(answer, Later):
        return answer
    check_answer(answer, key=key, grant=grant, authority=authority, at=now or datetime.now(UTC))
    return _install(folder, grant, (answer, authority), old=None, origin=known)


def _install(
    folder: Path,
    grant: Grant,
    chain: tuple[x509.Certificate, ...],
    *,
    old: Identity | None,
    origin: Origin | None = None,
) -> Identity:
    waiting = folder / PENDING
    files = {
        name: durable.read_bounded(waiting / name, limit=_MAX_FILE)
        for name in (KEY_FILE, KEY_POINTER)
        if (waiting / name).exists()
    }
    files[RECORD_FILES[grant.kind]] = instruments.record_bytes(grant.record)
    files[CERTIFICATE_FILE] = certificates.to_pem(chain)
    if origin is not None:
        files[ORIGIN_FILE] = strictjson.dumps(_origin_value(origin))
    identity.put_in_place(folder, files, old=old)
    shutil.rmtree(waiting, ignore_errors=True)
    return identity.load_identity(folder)


def _prepare(folder: Path, old: Identity, grant: Grant, origin: Origin, *, new_key: bool) -> None:
    """Make the question ready, durably, before it is asked."""
    shutil.rmtree(folder / PENDING, ignore_errors=True)
    made = folder / f".{PENDING}.{secrets.token_hex(4)}{durable.TEMPORARY_SUFFIX}"
    try:
        made.mkdir(mode=0o700)
        with contextlib.ExitStack() as stack:
            key = old.key
            if new_key:
                token = identity.token_of(folder)
                key = stack.enter_context(staging.new_key(made, old.key.algorithm, token))
            _write_asked(made, key, grant, origin, renews=f"{old.leaf.serial_number:x}", new_key=new_key)
            made.rename(folder / PENDING)
    except OSError as error:
        raise from_os_error(error, f"writing {folder}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    durable.sync_folder(folder)


def _write_asked(
    folder: Path, key: SigningKey, grant: Grant, origin: Origin, *, renews: str = "", new_key: bool = False
) -> None:
    csr = enrolment.make_csr(grant, key)
    durable.write_new(folder / _CSR_FILE, csr.public_bytes(Encoding.DER))
    value = {
        "schema": PENDING_SCHEMA,
        "pid": grant.pid,
        "kind": grant.kind.value,
        "record": dict(grant.record),
        "renews": renews,
        "new_key": new_key,
        "origin": _origin_value(origin),
    }
    durable.write_new(folder / _ASKED_FILE, strictjson.dumps(value))


def _read_asked(folder: Path) -> dict[str, Any]:
    path = folder / _ASKED_FILE
    value = strictjson.loads(durable.read_bounded(path, limit=2 * _MAX_FILE), what=f"{path}", max_bytes=2 * _MAX_FILE)
    wanted = {"pid": str, "kind": str, "record": dict, "renews": str, "new_key": bool, "origin": dict}
    if not isinstance(value, dict) or not all(isinstance(value.get(name), kind) for name, kind in wanted.items()):
        msg = f"{path} is not what rawtrace wrote"
        raise MalformedError(msg, hint=f"take {folder} away and ask anew")
    return value


def _is_same_question(waiting: Path, old: Identity, grant: Grant, *, new_key: bool) -> bool:
    if not waiting.is_dir():
        return False
    try:
        asked = _read_asked(waiting)
    except (MalformedError, InputNotFoundError):
        return False
    return (
        asked["renews"] == f"{old.leaf.serial_number:x}"
        and instruments.record_digest(asked["record"]) == grant.record_sha256
        and asked["new_key"] is new_key
        and (waiting / _CSR_FILE).exists()
    )


def _take_back(folder: Path) -> None:
    """Remove a folder that holds nothing but a question that was refused, and its key."""
    waiting = folder / PENDING
    with contextlib.suppress(Exception):
        pointer = strictjson.loads(
            durable.read_bounded(waiting / KEY_POINTER, limit=_MAX_FILE), what="the key", max_bytes=_MAX_FILE
        )
        if pointer["kind"] == "pkcs11":
            from rawtrace.trust.pkcs11 import TokenKey

            # The first error is the one to tell; a key left behind in the token does no harm.
            TokenKey.open(waiting, pointer).destroy(pointer)
    shutil.rmtree(waiting, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _check_given(grant: Grant, kind: SignerKind, pid: str, given: Mapping[str, str]) -> None:
    if pid and _pid(pid) != grant.pid:
        msg = f"the authority answers for {grant.pid}, not for {_pid(pid)}"
        raise EnrolmentError(msg)
    if grant.kind is not kind:
        msg = f"{grant.pid} is registered as {grant.kind}; expected {kind}"
        raise EnrolmentError(msg, hint=f"use: rawtrace {grant.kind} new")
    facts = instruments.summary(grant.record)
    differ = [name for name, value in given.items() if value and facts.get(name, "") != value.strip()]
    if differ:
        said = "; ".join(f"{name}: registered is {facts.get(name, '')!r}, given is {given[name]!r}" for name in differ)
        msg = f"what is registered for {grant.pid} is not what was given here ({said})"
        raise EnrolmentError(msg, hint="leave these options out, or have the store's operator correct the record")


def _origin_value(origin: Origin) -> dict[str, str]:
    return {
        "schema": ORIGIN_SCHEMA,
        "authority": origin.url.rstrip("/"),
        "root_sha256": origin.root_sha256,
        "server_key_sha256": origin.server_key_sha256,
        "server_authorities": origin.server_authorities,
        "token_file": origin.token_file,
    }


def _origin_of(value: object, path: Path) -> Origin:
    names = ("authority", "root_sha256", "server_key_sha256", "server_authorities", "token_file")
    if (
        not isinstance(value, dict)
        or value.get("schema") != ORIGIN_SCHEMA
        or not all(isinstance(value.get(name, ""), str) for name in names)
        or not value.get("authority")
    ):
        msg = f"{path} does not tell which authority the identity comes from"
        raise MalformedError(msg, hint="restore it from its backup")
    rest = {name: value.get(name, "") for name in names[1:]}
    return Origin(url=value["authority"], **rest)


def _pid(text: str) -> str:
    return identifiers.pid(text)[0]


__all__ = ["Later", "Origin", "Proof", "enrol_identity", "load_after_interruption", "read_origin", "renew_online"]
