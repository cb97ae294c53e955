"""Asking an authority at an address for a certificate (EST), and taking nothing that was not asked for.

Nothing is written into the identity's folder unless the answer is for this
key, this PID, this record and this kind of signer, and comes from the expected
authority. The key never leaves. What was asked for and has not been answered
lies in ``pending/``, so that the same request is asked again and gets the same
certificate: after a lost answer, a power cut, or while an officer decides.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from rawtrace import durable, strictjson
from rawtrace.errors import (
    EnrolmentError,
    InputNotFoundError,
    MalformedError,
    NetworkError,
    RefusedError,
    from_os_error,
)
from rawtrace.trust import (
    certificates,
    enrolment,
    estforms,
    identifiers,
    identity,
    instruments,
    keys,
    staging,
    trustlist,
)
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.enrolment import Grant
from rawtrace.trust.keys import KEY_FILE, KEY_POINTER, Algorithm, SigningKey
from rawtrace.trust.pkcs11 import TokenOptions
from rawtrace.trust.signer import CERTIFICATE_FILE, ORIGIN_FILE, PENDING, RECORD_FILES, Identity
from rawtrace.web import Answer, Caller, Web, check_address

ORIGIN_SCHEMA = "urn:rawtrace:schema:identity-origin:1"
PENDING_SCHEMA = "urn:rawtrace:schema:identity-pending:1"
_ASKED_FILE, _CSR_FILE = "asked.json", "request.der"
_MAX_FILE = 65_536
_CLOCK_SKEW = timedelta(minutes=10)
_LOOK_AGAIN_S = 300
_MOST_WAIT_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The authority that an identity comes from, as its folder remembers it.

    Attributes
    ----------
    url : str
        Of its trust store, without a slash at the end.
    root_sha256 : str
        Of the authority's root certificate, hexadecimal; empty until it is known.
    server_key_sha256 : str
        Of the server's public key; with it, that key alone is taken for the server.
    server_authorities : str
        PEM file of those who may certify the server; empty for the public ones.
    token_file : str
        File that holds the instrument's bearer token, for keys that TLS cannot use.
    """

    url: str
    root_sha256: str = ""
    server_key_sha256: str = ""
    server_authorities: str = ""
    token_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What shows who asks, besides the current certificate.

    Attributes
    ----------
    pid, code : str
        The PID and its one-time code.
    device : tuple[Path, Path] or None
        PEM files of the maker's device certificate and its key.
    """

    pid: str = ""
    code: str = ""
    device: tuple[Path, Path] | None = None

    def __repr__(self) -> str:
        """Name whom it is for, and never the code."""
        return f"Proof(pid={self.pid!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """The authority has the request and has not decided.

    Attributes
    ----------
    again_s : int
        After how many seconds to ask again.
    """

    again_s: int


class EstClient:
    """One authority at an address.

    Parameters
    ----------
    origin : Origin
    proof : Proof, optional
    current : Identity, optional
        Whose certificate shows who asks.
    """

    def __init__(self, origin: Origin, *, proof: Proof | None = None, current: Identity | None = None) -> None:
        check_address(origin.url)
        self._url, self._origin = origin.url.rstrip("/"), origin
        self._headers: dict[str, str] = {}
        shown, token = None, ""
        if proof is not None and proof.code:
            credentials = base64.b64encode(f"{proof.pid}:{enrolment.clean_code(proof.code)}".encode()).decode()
            self._headers["Authorization"] = f"Basic {credentials}"
        elif proof is not None and proof.device is not None:
            shown = proof.device
        elif current is not None:
            shown, token = _credentials(origin, current)
        self._web = Web(
            Caller(
                token=token,
                server_key_sha256=origin.server_key_sha256,
                authorities=Path(origin.server_authorities) if origin.server_authorities else None,
                certificate=shown,
            )
        )

    def authority(self) -> tuple[x509.Certificate, x509.Certificate]:
        """Return the authority's certificate and its root.

        Raises
        ------
        EnrolmentError
            They do not belong together, or the root is not the expected one.
        NetworkError, RefusedError, MalformedError
        """
        answer = self._judged(self._web.get(f"{self._url}/.well-known/est/cacerts", headers=self._headers))
        chain = estforms.read_certificates(answer.body, what="what the authority says of itself")
        roots = [one for one in chain if certificates.is_issued_by(one, one)]
        issuers = [one for one in chain if one not in roots and any(certificates.is_issued_by(one, up) for up in roots)]
        if len(roots) != 1 or len(issuers) != 1:
            msg = f"{self._url} does not name one authority under one root"
            raise EnrolmentError(msg)
        found = roots[0].fingerprint(hashes.SHA256()).hex()
        if self._origin.root_sha256 and found != self._origin.root_sha256.lower():
            msg = f"{self._url} answers for another authority than the expected one: its root is {found[:16]}…"
            raise EnrolmentError(msg, hint="somebody may have put another server in its place; ask its operator")
        return issuers[0], roots[0]

    def registered(self) -> Grant:
        """Return what is registered for whoever asks.

        Raises
        ------
        EnrolmentError, NetworkError, RefusedError, MalformedError, IdentityRecordError
        """
        answer = self._judged(self._web.get(f"{self._url}/enrolments/record", headers=self._headers))
        value = strictjson.loads(answer.body, what="the registered record", max_bytes=2 * _MAX_FILE)
        try:
            kind, pid, record = SignerKind(value["kind"]), str(value["pid"]), dict(value["record"])
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{self._url} does not tell what is registered in a form that was expected"
            raise MalformedError(msg) from error
        return enrolment.grant_of(pid, kind, record)

    def ask(self, csr_der: bytes, *, again: bool) -> x509.Certificate | Later:
        """Ask for a certificate, the first or another one.

        Raises
        ------
        RefusedError, NetworkError, MalformedError
        """
        place = "simplereenroll" if again else "simpleenroll"
        answer = self._judged(
            self._web.post(
                f"{self._url}/.well-known/est/{place}",
                estforms.to_base64(csr_der),
                content_type=estforms.REQUEST_TYPE,
                headers=self._headers,
            )
        )
        if answer.status == 202:
            return Later(again_s=_wait_of(answer))
        chain = estforms.read_certificates(answer.body, what="the authority's answer")
        if len(chain) != 1:
            msg = f"the authority answered with {len(chain)} certificates; expected the one that was asked for"
            raise EnrolmentError(msg)
        return chain[0]

    def is_superseded(self, leaf: x509.Certificate) -> bool:
        """Tell whether the authority's trust list says that a newer certificate should take this one's place."""
        answer = self._judged(self._web.get(f"{self._url}/trust-list", limit=trustlist.MAX_SIGNED_BYTES))
        found = trustlist.read_list(answer.body, source=self._url)
        issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        return any(
            status.serial == leaf.serial_number and status.authority_key_id == issuer and status.reason == "superseded"
            for status in found.statuses
        )

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def __enter__(self) -> EstClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _judged(self, answer: Answer) -> Answer:
        if answer.status in {200, 202}:
            return answer
        said = _said(answer)
        if answer.status == 429 or answer.status >= 500:
            msg = f"{self._url} cannot answer now ({answer.status}): {said}"
            raise NetworkError(msg)
        msg = f"{self._url} refuses ({answer.status}): {said}"
        raise RefusedError(msg)


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
    identity.finish_renewal(folder)
    if (folder / PENDING).is_dir():
        return _go_on(folder, kind, origin=origin, proof=proof, now=now)
    with EstClient(origin, proof=proof) as client:
        _, root = client.authority()
        grant = client.registered()
        _check_given(grant, kind, proof.pid, given or {})
        known = Origin(
            url=origin.url.rstrip("/"),
            root_sha256=root.fingerprint(hashes.SHA256()).hex(),
            server_key_sha256=origin.server_key_sha256,
            server_authorities=origin.server_authorities,
            token_file=origin.token_file,
        )
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
    folder: Path, *, proof: Proof | None = None, new_key: bool = False, now: datetime | None = None
) -> Identity | Later:
    """Have an identity that came from an address certified again, by what is registered there now.

    Parameters
    ----------
    proof : Proof, optional
        A new one-time code, where the current certificate does not count any more.

    Raises
    ------
    EnrolmentError, RefusedError, NetworkError, CertificateError, KeyUnavailableError, MalformedError
    """
    identity.finish_renewal(folder)
    old = identity.load_identity(folder)
    origin = read_origin(folder)
    if origin is None:
        msg = f"{folder} does not come from an authority at an address"
        raise EnrolmentError(msg, hint="name the authority's folder: --authority DIR")
    with EstClient(origin, proof=proof, current=old) as client:
        authority, _ = client.authority()
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
    return _install(folder, grant, (answer, authority), old=old)


def check_answer(
    leaf: x509.Certificate, *, key: SigningKey, grant: Grant, authority: x509.Certificate, at: datetime
) -> None:
    """Refuse a certificate that is not exactly what was asked for.

    Raises
    ------
    EnrolmentError
        Naming everything that differs.
    """
    try:
        same_key = leaf.public_key() == key.public_key()
    except ValueError:
        same_key = False
    fits = {
        "key": same_key,
        "PID": certificates.pid_of(leaf) == grant.pid,
        "record": certificates.record_digest_of(leaf) == grant.record_sha256,
        "kind of signer": certificates.signer_kind(leaf) is grant.kind,
        "authority": certificates.is_issued_by(leaf, authority),
        "time": leaf.not_valid_before_utc - _CLOCK_SKEW <= at < leaf.not_valid_after_utc,
    }
    wrong = [name for name, fit in fits.items() if not fit]
    if wrong:
        msg = f"the certificate that came back is not the one that was asked for: it differs in {', '.join(wrong)}"
        hint = "check this computer's clock" if wrong == ["time"] else "nothing was changed; tell the store's operator"
        raise EnrolmentError(msg, hint=hint)


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


def _credentials(origin: Origin, current: Identity) -> tuple[tuple[Path, Path] | None, str]:
    """Return the certificate and key for TLS, or the bearer token, of an identity."""
    key_file = current.folder / KEY_FILE
    if current.key.pkcs8_pem() is not None and key_file.exists() and origin.url.startswith("https:"):
        return (current.folder / CERTIFICATE_FILE, key_file), ""
    if origin.token_file:
        data = durable.read_bounded(Path(origin.token_file), limit=1024)
        return None, data.decode("ascii", "replace").strip()
    msg = f"nothing shows {origin.url} who {current.folder} is: its key cannot be used for TLS, and it has no token"
    hint = f"have the store's operator make a token for it, and name its file in {current.folder / ORIGIN_FILE}"
    raise EnrolmentError(msg, hint=f"{hint} as token_file")


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


def _wait_of(answer: Answer) -> int:
    text = answer.headers.get("retry-after", "")
    return min(int(text), _MOST_WAIT_S) if text.isascii() and text.isdigit() and len(text) < 8 else _LOOK_AGAIN_S


def _said(answer: Answer) -> str:
    """Return what a refusal says, as far as it may be shown."""
    try:
        value = strictjson.loads(answer.body, what="the answer", max_bytes=_MAX_FILE)
        said = f"{value['detail']} ({value['hint']})" if value.get("hint") else f"{value['detail']}"
    except Exception:  # noqa: BLE001  whatever it is, it is no problem in RFC 9457's form
        said = "it does not say why"
    return "".join(character for character in said[:500] if character.isprintable())


__all__ = [
    "EstClient", "Later", "Origin", "Proof", "check_answer", "enrol_identity",
    "read_origin", "renew_online",
]  # fmt: skip
