"""What the rules need of one certificate, read once and without ever raising."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from rawtrace.errors import CertificateError

MAX_CERTIFICATE_BYTES = 65_536
_SHOWN_NAME_CHARACTERS = 80

#: What ``cryptography`` raises on a certificate that is not as RFC 5280 says.
ODD = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Facts:
    """A certificate with what the rules need of it, read once.

    Attributes
    ----------
    digest : bytes
        SHA-256 of the DER.
    label : str
        Its subject, printable and short.
    subject, issuer : bytes | None
        DER of the names, ``None`` when unreadable.
    serial : int | None
        May be negative; ``None`` when unreadable.
    not_before, not_after : datetime | None
    extensions : x509.Extensions | None
        ``None`` when unreadable.
    fault : str
        Why something above is ``None``; empty when all is readable.
    """

    certificate: x509.Certificate
    digest: bytes
    label: str
    subject: bytes | None
    issuer: bytes | None
    serial: int | None
    not_before: datetime | None
    not_after: datetime | None
    extensions: x509.Extensions | None
    fault: str

    @property
    def self_issued(self) -> bool:
        """Subject and issuer are the same name (RFC 5280 §3.2)."""
        return self.subject is not None and self.subject == self.issuer

    def extension(self, kind: type[_Extension]) -> x509.Extension[_Extension] | None:
        """Return one extension, or ``None``."""
        try:
            return self.extensions.get_extension_for_class(kind) if self.extensions is not None else None
        except x509.ExtensionNotFound:
            return None


def facts_of(certificate: x509.Certificate) -> Facts:
    """Read a certificate once; what cannot be read is ``None``."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    faults: list[str] = []
    label, subject, issuer = "", None, None
    not_before, not_after, extensions = None, None, None
    try:
        label = certificate.subject.rfc4514_string()
        subject, issuer = certificate.subject.public_bytes(), certificate.issuer.public_bytes()
    except ODD:
        faults.append("a name")
    try:
        not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except ODD:
        faults.append("the validity dates")
    try:
        extensions = certificate.extensions
    except ODD:
        faults.append("the extensions")
    serial = serial_in(der)
    if serial is None:
        faults.append("the serial number")
    return Facts(
        certificate=certificate,
        digest=sha256(der).digest(),
        label=_printable(label) or "no name",
        subject=subject,
        issuer=issuer,
        serial=serial,
        not_before=not_before,
        not_after=not_after,
        extensions=extensions,
        fault=" and ".join(faults),
    )


def read_certificate(der: bytes) -> x509.Certificate:
    """Read one DER certificate from outside.

    Parameters
    ----------
    der : bytes
        At most ``MAX_CERTIFICATE_BYTES``.

    Raises
    ------
    CertificateError
        It is too large, no X.509 certificate, or has a serial number that RFC 5280 forbids.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        msg = f"a certificate has {len(der)} bytes, more than the {MAX_CERTIFICATE_BYTES} that are accepted"
        raise CertificateError(msg)
    # Looked at beforehand because the library writes a warning of its own on loading such a certificate.
    serial = serial_in(der)
    if serial is not None and serial <= 0:
        msg = "a certificate has a serial number that is not positive, which RFC 5280 forbids"
        raise CertificateError(msg)
    try:
        return x509.load_der_x509_certificate(der)
    except ODD as error:
        msg = "a certificate cannot be read as X.509"
        raise CertificateError(msg) from error


def serial_in(der: bytes) -> int | None:
    """Return the serial number in a DER certificate, with its sign; ``None`` when there is none to read."""
    tbs = _content(der, 0, 0x30)
    version = _content(der, tbs[0], 0x30) if tbs else None
    if version is None:
        return None
    start = version[0]
    if der[start : start + 1] == b"\xa0":
        marked = _content(der, start, 0xA0)
        if marked is None:
            return None
        start = marked[1]
    number = _content(der, start, 0x02)
    if number is None or not number[0] < number[1] <= len(der):
        return None
    return int.from_bytes(der[number[0] : number[1]], "big", signed=True)


def utc(moment: datetime) -> datetime:
    """Return an aware datetime; one without a zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _printable(text: str) -> str:
    shown = "".join(character if character.isprintable() else "?" for character in text[: _SHOWN_NAME_CHARACTERS + 1])
    return shown if len(shown) <= _SHOWN_NAME_CHARACTERS else shown[:_SHOWN_NAME_CHARACTERS] + "..."


def _content(der: bytes, start: int, tag: int) -> tuple[int, int] | None:
    """Return where the content of the DER value at ``start`` begins and ends."""
    if len(der) < start + 2 or der[start] != tag:
        return None
    length, begin = der[start + 1], start + 2
    if length & 0x80:
        width = length & 0x7F
        if not 1 <= width <= 4 or len(der) < begin + width:
            return None
        length, begin = int.from_bytes(der[begin : begin + width], "big"), begin + width
    return begin, begin + length
