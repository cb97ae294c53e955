"""The form of a trust list: ETSI TS 119 602 LoTE in JSON, as C2PA publishes its own lists.

Only what rawtrace needs is read; other members are left alone, so that lists
with addresses, histories or extensions of other people load unchanged. The
normative page is ``docs/spec/trust-list.md``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from rawtrace import strictjson
from rawtrace.errors import LimitError, MalformedError, TrustListError
from rawtrace.trust.anchors import REASONS, Anchor, Purpose, StatusRecord
from rawtrace.trust.certificates import EKU_TRUST_LIST_SIGNING
from rawtrace.trust.jws import load_certificate

MAX_LIST_BYTES = 16 * 1024 * 1024
MAX_ENTITIES = 10_000
MAX_CERTIFICATES = 20_000
MAX_STATUSES = 100_000
MAX_TEXT = 512
MAX_SEQUENCE = 2**53 - 1

LIST_TYPE = "urn:rawtrace:lote:trust-list:1"
STATUSES = "org.rawtrace.statuses"

WRITTEN_TYPES = {
    Purpose.SIGNING: "urn:rawtrace:service:signing",
    Purpose.TIMESTAMP: "http://uri.etsi.org/TrstSvc/Svctype/TSA",
    Purpose.IDENTITY: "urn:rawtrace:service:identity",
}
_PURPOSES = {
    **{uri: purpose for purpose, uri in WRITTEN_TYPES.items()},
    "http://uri.etsi.org/TrstSvc/Svctype/TSA/QTST": Purpose.TIMESTAMP,
}
#: C2PA's lists give no service types; each list is for one purpose, and only its name says which.
_PURPOSES_BY_SCHEME = {"C2PA Trust List": Purpose.SIGNING, "C2PA TSA Trust List": Purpose.TIMESTAMP}

GRANTED = "http://c2pa.org/conformance/trust-list/trusted"
WITHDRAWN = "http://c2pa.org/conformance/trust-list/untrusted"
_STANDINGS = {
    GRANTED: True,
    WITHDRAWN: False,
    "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/granted": True,
    "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/withdrawn": False,
}

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_HEX_SERIAL = re.compile(r"[1-9a-f][0-9a-f]{0,39}")
_HEX_KEY_ID = re.compile(r"([0-9a-f]{2}){1,64}")
_TIME_STAMPING_ONLY = {
    ExtendedKeyUsageOID.TIME_STAMPING.dotted_string,
    ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string,
    EKU_TRUST_LIST_SIGNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a LoTE document says, before anything is known of its signer."""

    name: str
    operator: str
    sequence: int
    issued: datetime
    next_update: datetime | None
    anchors: tuple[Anchor, ...]
    statuses: tuple[StatusRecord, ...]
    ignored: int
    sha256: str


def parse(data: bytes, *, what: str) -> Content:
    """Read a LoTE document.

    Raises
    ------
    TrustListError
        Anything amiss, in a sentence that names the entity where there is one.
    """
    try:
        document = strictjson.loads(data.decode(), what=what, max_bytes=MAX_LIST_BYTES)
    except UnicodeDecodeError as error:
        msg = f"{what} is not UTF-8"
        raise TrustListError(msg) from error
    except (LimitError, MalformedError) as error:
        raise TrustListError(error.message) from error
    lote = _member(document, "LoTE", dict, what)
    scheme = _member(lote, "ListAndSchemeInformation", dict, what)
    version = scheme.get("LoTEVersionIdentifier")
    if type(version) is not int or version != 1:
        msg = f"{what} is not of version 1 of the form that rawtrace reads (LoTEVersionIdentifier)"
        raise TrustListError(msg)
    operator = _read_said(scheme.get("SchemeOperatorName"), f"the operator of {what}")
    names = scheme.get("SchemeName")
    name = operator if names is None else _read_said(names, f"the name of {what}")
    sequence = scheme.get("LoTESequenceNumber")
    if type(sequence) is not int or not 0 <= sequence <= MAX_SEQUENCE:
        msg = f"{what} has no sequence number from 0 on"
        raise TrustListError(msg)
    issued = _read_time(scheme.get("ListIssueDateTime"), f"the time of issue of {what}")
    next_update = _read_time_or_none(scheme.get("NextUpdate"), f"the next update of {what}")
    if next_update is not None and next_update < issued:
        msg = f"{what} says that its next update comes before its issue"
        raise TrustListError(msg)
    entities = lote.get("TrustedEntitiesList", [])
    if not isinstance(entities, list) or len(entities) > MAX_ENTITIES:
        msg = f"{what} holds no list of at most {MAX_ENTITIES} trusted entities"
        raise TrustListError(msg)
    reading = _Reading(what=what, default=_PURPOSES_BY_SCHEME.get(name))
    for entity in entities:
        reading.entity(entity)
    return Content(
        name=name,
        operator=operator,
        sequence=sequence,
        issued=issued,
        next_update=next_update,
        anchors=tuple(reading.anchors),
        statuses=tuple(reading.statuses.values()),
        ignored=reading.ignored,
        sha256=hashlib.sha256(data).hexdigest(),
    )


class _Reading:
    """One pass over the entities of a list."""

    def __init__(self, *, what: str, default: Purpose | None) -> None:
        self._what = what
        self._default = default
        self.anchors: list[Anchor] = []
        self.statuses: dict[tuple[bytes, int], StatusRecord] = {}
        self.ignored = 0

    def entity(self, entity: object) -> None:
        """Read one trusted entity with its services."""
        place = f"an entity of {self._what}"
        about = _member(entity, "TrustedEntityInformation", dict, place)
        name = _read_said(about.get("TEName"), f"the name of {place}")
        place = f"the entity “{name}” of {self._what}"
        for service in _member(entity, "TrustedEntityServices", list, place):
            self._service(_member(service, "ServiceInformation", dict, place), place, name)

    def _service(self, service: dict[str, Any], place: str, entity: str) -> None:
        # Statuses count whatever the service is for: a revocation must not get lost with a type.
        extensions = service.get("ServiceInformationExtensions", [])
        if not isinstance(extensions, list):
            msg = f"{place} has extensions that are no list"
            raise TrustListError(msg)
        for extension in extensions:
            if isinstance(extension, dict) and STATUSES in extension:
                self._status_groups(extension[STATUSES], place)
        kind = service.get("ServiceTypeIdentifier")
        purpose = self._default if kind is None else _PURPOSES.get(kind) if isinstance(kind, str) else None
        standing = service.get("ServiceStatus", GRANTED)
        granted = _STANDINGS.get(standing) if isinstance(standing, str) else None
        if purpose is None or granted is None:
            self.ignored += 1
            return
        name = (
            _read_said(service["ServiceName"], f"a service's name of {place}") if "ServiceName" in service else entity
        )
        since = _read_time_or_none(service.get("StatusStartingTime"), f"a status time of {place}")
        entries = _member(service, "ServiceDigitalIdentity", dict, place).get("X509Certificates", [])
        if not isinstance(entries, list) or len(self.anchors) + len(entries) > MAX_CERTIFICATES:
            msg = f"{place} brings the certificates to more than {MAX_CERTIFICATES}, or has no list of them"
            raise TrustListError(msg)
        found = [self._certificate(entry, place) for entry in entries]
        usable = [one for one in found if one is not None and not contradicts(one, purpose)]
        self.ignored += len(usable) < len(found) or not found
        self.anchors.extend(
            Anchor(certificate=one, purpose=purpose, name=name, granted=granted, since=since) for one in usable
        )

    def _certificate(self, entry: object, place: str) -> x509.Certificate | None:
        try:
            return load_certificate(entry.get("val") if isinstance(entry, dict) else None, f"a certificate of {place}")
        except UnsupportedAlgorithm:
            return None

    def _status_groups(self, groups: object, place: str) -> None:
        if not isinstance(groups, list):
            msg = f"{place} has statuses that are no list"
            raise TrustListError(msg)
        for group in groups:
            text = group.get("authorityKeyId") if isinstance(group, dict) else None
            if not isinstance(text, str) or not _HEX_KEY_ID.fullmatch(text):
                msg = f"{place} has statuses without an authority key identifier in lower-case hexadecimal"
                raise TrustListError(msg)
            records = _member(group, "records", list, place)
            if len(self.statuses) + len(records) > MAX_STATUSES:
                msg = f"{self._what} holds more than {MAX_STATUSES} statuses"
                raise TrustListError(msg)
            authority = bytes.fromhex(text)
            time_of = f"a time in the statuses of {place}"
            for record in records:
                status = _read_status(record, authority, place, time_of)
                if (authority, status.serial) in self.statuses:
                    msg = f"{place} has two statuses for the certificate {status.serial:x}"
                    raise TrustListError(msg)
                self.statuses[authority, status.serial] = status


def contradicts(certificate: x509.Certificate, purpose: Purpose) -> bool:
    """Whether a certificate's own extended key usage rules out what a list says it is for."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    named = {oid.dotted_string for oid in usage}
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string in named:
        return False
    if purpose is Purpose.TIMESTAMP:
        return ExtendedKeyUsageOID.TIME_STAMPING.dotted_string not in named
    return named <= _TIME_STAMPING_ONLY


def _read_status(record: object, authority: bytes, place: str, time_of: str) -> StatusRecord:
    if not isinstance(record, dict):
        msg = f"{place} has a status that is no object"
        raise TrustListError(msg)
    serial, reason = record.get("serial"), record.get("reason")
    if not isinstance(serial, str) or not _HEX_SERIAL.fullmatch(serial):
        msg = f"{place} has a status without a serial number in lower-case hexadecimal"
        raise TrustListError(msg)
    if not isinstance(reason, str) or reason not in REASONS:
        msg = f"{place} gives no reason that RFC 5280 knows for the status of {serial}"
        raise TrustListError(msg)
    revoked_at = _read_time(record.get("revokedAt"), time_of)
    doubt = record.get("compromisedFrom")
    compromised_from = None if doubt is None else _read_time(doubt, time_of)
    if compromised_from is not None and compromised_from > revoked_at:
        msg = f"{place} says that {serial} was compromised after it was revoked"
        raise TrustListError(msg)
    note = record.get("note", "")
    if not isinstance(note, str) or len(note) > MAX_TEXT:
        msg = f"{place} has a note on {serial} that is no text of at most {MAX_TEXT} characters"
        raise TrustListError(msg)
    return StatusRecord(
        serial=int(serial, 16),
        authority_key_id=authority,
        reason=reason,
        revoked_at=revoked_at,
        compromised_from=compromised_from,
        note=_printable(note),
    )


def _member(value: object, key: str, kind: type[Any], what: str) -> Any:
    member = value.get(key) if isinstance(value, dict) else None
    if not isinstance(member, kind):
        msg = f"{what} has no {key} where one was expected"
        raise TrustListError(msg)
    return member


def _read_said(entries: object, what: str) -> str:
    """Return the English of a text in several languages, or else the first."""
    if isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries):
        chosen = next((entry for entry in entries if entry.get("lang") == "en"), entries[0])
        text = chosen.get("value")
        if isinstance(text, str) and len(text) <= MAX_TEXT and text.strip():
            return _printable(text)
    msg = f"{what} is missing, or no text of at most {MAX_TEXT} characters"
    raise TrustListError(msg)


def _printable(text: str) -> str:
    # Names end up on terminals and in pages: no control characters, no lone surrogates.
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def _read_time(value: object, what: str) -> datetime:
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    msg = f"{what} is not a time in UTC such as 2026-01-31T12:00:00Z"
    raise TrustListError(msg)


def _read_time_or_none(value: object, what: str) -> datetime | None:
    return None if value is None else _read_time(value, what)
