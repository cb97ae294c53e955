"""Asking an authority at an address for a certificate (EST), and taking nothing that was not asked for."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from rawtrace import durable, strictjson
from rawtrace.errors import (
    EnrolmentError,
    MalformedError,
    NetworkError,
    RefusedError,
)
from rawtrace.trust import (
    certificates,
    enrolment,
    estforms,
    trustlist,
)
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.enrolment import Grant
from rawtrace.trust.keys import KEY_FILE, SigningKey
from rawtrace.trust.signer import CERTIFICATE_FILE, Identity
from rawtrace.web import Answer, Caller, Web, check_address

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


def _credentials(origin: Origin, current: Identity) -> tuple[tuple[Path, Path] | None, str]:
    """Return the certificate and key for TLS, or the bearer token, of an identity."""
    key_file = current.folder / KEY_FILE
    if current.key.pkcs8_pem() is not None and key_file.exists() and origin.url.startswith("https:"):
        return (current.folder / CERTIFICATE_FILE, key_file), ""
    if origin.token_file:
        data = durable.read_bounded(Path(origin.token_file), limit=1024)
        return None, data.decode("ascii", "replace").strip()
    msg = f"nothing shows {origin.url} who {current.folder} is: its key cannot be used for TLS, and it has no token"
    raise EnrolmentError(msg, hint="have the store's operator make a token for it, and renew once with --token-file")


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
