"""A time-stamping authority (RFC 3161, RFC 5816): a key that states when it was shown a digest.

::

    certificate.pem   its certificate, then the authority's      key.json, key.pem   its key (P-256)
    clock.json        the last time it stamped, and the first serial number that no stamp has yet

What it promises: every stamp is of a time that its clock had, no two stamps
share a serial number, a later stamp has a larger one. So it does not stamp at
all while its clock stands behind a time that it has already stamped, or behind
where the computer's other clock, which nobody sets, says that it should be.

Serial numbers are taken from ``clock.json`` a thousand at a time, durably,
before one of them is used; those left over when the process ends stay unused.

Stamping needs ``asn1crypto``, which comes with the ``server`` extra.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from cryptography import x509

from rawtrace import durable, strictjson
from rawtrace.errors import (
    AlreadyExistsError,
    CertificateError,
    Error,
    KeyUnavailableError,
    MalformedError,
    MissingExtraError,
    TimeStampError,
)
from rawtrace.trust import certificates, keys, profiles, register, staging
from rawtrace.trust.authorityfolder import issuing_key, open_authority, operator_key, write_list
from rawtrace.trust.certificates import TIME_STAMP_POLICY
from rawtrace.trust.keys import Algorithm
from rawtrace.trust.pkcs11 import TokenOptions
from rawtrace.trust.stampwriter import StampWriter

CERTIFICATE_FILE = "certificate.pem"
CLOCK_FILE = "clock.json"
QUERY_TYPE = "application/timestamp-query"
REPLY_TYPE = "application/timestamp-reply"
MAX_REQUEST_BYTES = 4_096
ACCURACY = timedelta(seconds=1)

_MAX_NONCE_BITS = 512
_DIGESTS = {"sha256": 32, "sha384": 48, "sha512": 64}
_SERIALS_AT_ONCE = 1_000
_SECOND = timedelta(seconds=1)
#: How far a clock that is being kept right may fall behind one that nobody corrects: 1 s, and 1 in 1 000.
_SLACK = timedelta(seconds=1)
_SLEW = 1_000
_MAX_CLOCK_BYTES = 1_024


class Refusal(StrEnum):
    """Why a request is not answered with a stamp: PKIFailureInfo of RFC 3161 §2.4.2."""

    BAD_ALGORITHM = "bad_alg"
    BAD_REQUEST = "bad_request"
    BAD_FORMAT = "bad_data_format"
    NO_TIME = "time_not_available"
    OTHER_POLICY = "unaccepted_policy"
    EXTENSIONS = "unaccepted_extensions"
    FAILED = "system_failure"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the authority says; ``refusal`` is ``None`` where ``body`` holds a stamp.

    Attributes
    ----------
    body : bytes
        DER ``TimeStampResp``.
    """

    body: bytes
    refusal: Refusal | None = None


class _RefusedError(Exception):
    """Carries a refusal up to ``answer``."""

    def __init__(self, refusal: Refusal, words: str) -> None:
        super().__init__(words)
        self.refusal, self.words = refusal, words


def create_time_authority(
    folder: Path,
    *,
    authority: Path,
    name: str = "",
    token: TokenOptions | None = None,
    now: datetime | None = None,
) -> x509.Certificate:
    """Make a time-stamping authority in a new folder; its certificate is listed in the authority's trust list.

    Parameters
    ----------
    folder : Path
        Must not exist, or be empty.
    authority : Path
        Folder of the authority that certifies it.
    name : str
        At most 64 characters; by default the authority's with ``time`` behind it.
    token : TokenOptions, optional
        Make the key inside a PKCS#11 token.

    Raises
    ------
    AlreadyExistsError, CertificateError, KeyUnavailableError
    """
    at = (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    above = open_authority(authority)
    if folder.resolve() == authority.resolve():
        msg = f"{folder} is the authority itself; expected a folder of its own for the clock"
        raise AlreadyExistsError(msg)
    with (
        staging.new_folder(folder) as new,
        staging.new_key(new, Algorithm.ES256, token) as key,
        staging.exclusive(authority),
    ):
        issuer_key, list_key = issuing_key(above), operator_key(above)
        certificate = profiles.issue_time_authority(
            name=name.strip() or f"{above.name} time",
            organisation=above.owner,
            public_key=key.public_key(),
            issuer=above.certificate,
            issuer_key=issuer_key.issuing_key(),
            now=at,
        )
        durable.write_new(new / CERTIFICATE_FILE, certificates.to_pem([certificate, above.certificate]))
        durable.write_new(new / CLOCK_FILE, strictjson.dumps({"last": at.isoformat(), "next_serial": 1}))
        register.add_clock(authority, certificate)
        write_list(above, list_key, at)
    return certificate


class TimeAuthority:
    """Stamps digests. Safe to share between threads; one process at a time stamps in order.

    Parameters
    ----------
    folder : Path
    wall : callable, optional
        The clock that is stamped, UTC.
    steady : callable, optional
        Seconds of a clock that nobody sets.

    Raises
    ------
    InputNotFoundError, CertificateError, KeyUnavailableError, MalformedError, MissingExtraError
    """

    def __init__(
        self,
        folder: Path,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        _asn1()
        self.folder, self._wall, self._steady = folder, wall, steady
        path = folder / CERTIFICATE_FILE
        pem = durable.read_bounded(path, limit=certificates.MAX_CHAIN_BYTES)
        self.chain = certificates.read_pem(pem, what=f"{path}")
        key = keys.open_in_folder(folder)
        if key.algorithm is not Algorithm.ES256 or key.public_key() != self.chain[0].public_key():
            msg = f"the key in {folder} is not the one of the time-stamping certificate beside it"
            raise CertificateError(msg, hint="restore the folder from its backup")
        self._writer = StampWriter(self.chain, key, accuracy_s=int(ACCURACY.total_seconds()))
        self._lock = threading.Lock()
        self._last, _ = self._read()
        self._written = self._last
        self._seen: tuple[datetime, float] | None = None
        self._serials = range(0)

    def answer(self, request: bytes) -> Answer:
        """Answer a DER ``TimeStampReq`` with a stamp or with a refusal; never an exception for what was sent."""
        try:
            asked = _read_request(request)
            at, serial = self._now()
            return Answer(
                self._writer.write(
                    asked["message_imprint"].dump(force=True),
                    serial=serial,
                    at=at,
                    nonce=b"" if asked["nonce"].native is None else asked["nonce"].dump(force=True),
                    with_certificates=asked["cert_req"].native,
                )
            )
        except _RefusedError as error:
            return Answer(_refuse(error.refusal, error.words), error.refusal)
        except KeyUnavailableError:
            return Answer(_refuse(Refusal.FAILED, "the key cannot be used at the moment"), Refusal.FAILED)

    def stamp(self, digest: bytes, *, algorithm: str = "sha256") -> bytes:
        """Return a DER ``TimeStampToken`` for a digest, for a gateway in this same process.

        Raises
        ------
        TimeStampError
            The clock cannot be relied on at the moment.
        """
        asn1 = _asn1()
        asked = asn1.tsp.TimeStampReq(
            {
                "version": "v1",
                "message_imprint": {"hash_algorithm": {"algorithm": algorithm}, "hashed_message": digest},
                "cert_req": True,
            }
        )
        answer = self.answer(asked.dump())
        if answer.refusal is not None:
            msg = f"no time stamp was made: {answer.refusal.replace('_', ' ')}"
            raise TimeStampError(msg, hint="check the computer's clock")
        token: bytes = asn1.tsp.TimeStampResp.load(answer.body)["time_stamp_token"].dump()
        return token

    def _now(self) -> tuple[datetime, int]:
        """Return the time to stamp, whole seconds, and the serial number; refuse while the clock is behind."""
        with self._lock:
            wall, steady = self._wall().astimezone(UTC), self._steady()
            at = wall.replace(microsecond=0)
            if at < self._last.replace(microsecond=0):
                raise _RefusedError(Refusal.NO_TIME, f"the clock stands before {self._last.isoformat()}")
            if self._seen is not None:
                passed = timedelta(seconds=steady - self._seen[1])
                expected = self._seen[0] + passed
                if wall < expected - _SLACK - passed / _SLEW:
                    # The reference stays as it was, so that waiting does not make a wrong clock right.
                    raise _RefusedError(Refusal.NO_TIME, "the clock was set back")
            self._seen = (wall, steady)
            if not self._serials or at - self._written >= _SECOND:
                self._reserve(at)
            serial, self._serials = self._serials[0], self._serials[1:]
            self._last = at
            return at, serial

    def _reserve(self, at: datetime) -> None:
        """Write down how far the clock has come, and take more serial numbers where none are left."""
        try:
            with staging.exclusive(self.folder):
                last, first = self._read()
                if at < last.replace(microsecond=0):
                    raise _RefusedError(Refusal.NO_TIME, f"another process stamped at {last.isoformat()}")
                serials = self._serials or range(first, first + _SERIALS_AT_ONCE)
                following = max(first, serials.stop)
                state = {"last": at.isoformat(), "next_serial": following}
                durable.replace(self.folder / CLOCK_FILE, strictjson.dumps(state))
        except Error as error:
            raise _RefusedError(Refusal.FAILED, "the clock's state cannot be written") from error
        self._serials, self._written = serials, at

    def _read(self) -> tuple[datetime, int]:
        path = self.folder / CLOCK_FILE
        state = strictjson.loads(
            durable.read_bounded(path, limit=_MAX_CLOCK_BYTES), what=f"{path}", max_bytes=_MAX_CLOCK_BYTES
        )
        try:
            last, following = datetime.fromisoformat(state["last"]).astimezone(UTC), state["next_serial"]
            if type(following) is not int or not 0 < following < 1 << 152:
                raise ValueError(following)
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{path} does not hold the last time that was stamped and the next serial number"
            raise MalformedError(
                msg, hint="restore it from its backup, with a serial number that was never used"
            ) from error
        return last, following


def _read_request(data: bytes) -> Any:
    """Read a request and refuse what RFC 3161 lets us refuse; ``asn1crypto`` reads lazily, so all is touched here."""
    if len(data) > MAX_REQUEST_BYTES:
        raise _RefusedError(Refusal.BAD_REQUEST, f"a request has at most {MAX_REQUEST_BYTES} bytes")
    try:
        asked = _asn1().tsp.TimeStampReq.load(data, strict=True)
        version, policy, nonce = (asked[name].native for name in ("version", "req_policy", "nonce"))
        imprint, extensions = asked["message_imprint"], asked["extensions"].native
        algorithm, digest = imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native
        parameters, certificates_wanted = imprint["hash_algorithm"]["parameters"].native, asked["cert_req"].native
    except Exception as error:
        raise _RefusedError(Refusal.BAD_FORMAT, "the request does not have the form of RFC 3161") from error
    if version != "v1" or type(certificates_wanted) is not bool:
        raise _RefusedError(Refusal.BAD_REQUEST, "the request is not of version 1")
    if algorithm not in _DIGESTS or parameters is not None:
        raise _RefusedError(Refusal.BAD_ALGORITHM, "SHA-256, SHA-384 and SHA-512 are accepted")
    if len(digest) != _DIGESTS[algorithm]:
        raise _RefusedError(Refusal.BAD_FORMAT, "the digest is not as long as its algorithm makes it")
    if nonce is not None and nonce.bit_length() > _MAX_NONCE_BITS:
        raise _RefusedError(Refusal.BAD_REQUEST, f"a nonce has at most {_MAX_NONCE_BITS} bits")
    if policy is not None and policy != TIME_STAMP_POLICY:
        raise _RefusedError(Refusal.OTHER_POLICY, f"the only policy is {TIME_STAMP_POLICY}")
    if extensions:
        raise _RefusedError(Refusal.EXTENSIONS, "no extension is known here")
    return asked


def _refuse(refusal: Refusal, words: str) -> bytes:
    asn1 = _asn1()
    status = asn1.tsp.PKIStatusInfo({"status": "rejection", "status_string": [words], "fail_info": {str(refusal)}})
    # The library's own TimeStampResp demands a stamp, which RFC 3161 leaves out of a refusal.
    body: bytes = asn1.parser.emit(0, 1, 16, status.dump())
    return body


def _asn1() -> Any:
    try:
        import asn1crypto.parser
        import asn1crypto.tsp
    except ImportError as error:
        msg = "stamping needs asn1crypto, which is not installed"
        raise MissingExtraError(msg, hint="pip install 'rawtrace[server]'") from error
    return asn1crypto
