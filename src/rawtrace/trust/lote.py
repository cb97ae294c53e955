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
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from rawtrace import strictjson
from rawtrace.errors import Error, LimitError, MalformedError, TrustListError
from rawtrace.trust import lotestatus
from rawtrace.trust.anchors import Anchor, Purpose, StatusRecord
from rawtrace.trust.certificates import EKU_TRUST_LIST_SIGNING
from rawtrace.trust.jws import load_certificate
from rawtrace.trust.lotestatus import MAX_TEXT, member, printable, read_time, read_time_or_none
from rawtrace.trust.scope import Scope

if TYPE_CHECKING:
    from rawtrace.ledger.policy import Policy

MAX_LIST_BYTES = 16 * 1024 * 1024
MAX_ENTITIES = 10_000
MAX_CERTIFICATES = 20_000
MAX_STATUSES = 100_000
MAX_POLICIES = 64
MAX_SEQUENCE = 2**53 - 1

LIST_TYPE = "urn:rawtrace:lote:trust-list:1"
STATUSES = "org.rawtrace.statuses"
LOGS = "org.rawtrace.logs"

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
    policies: tuple[Policy, ...]


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
    lote = member(document, "LoTE", dict, what)
    scheme = member(lote, "ListAndSchemeInformation", dict, what)
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
    issued = read_time(scheme.get("ListIssueDateTime"), f"the time of issue of {what}")
    next_update = read_time_or_none(scheme.get("NextUpdate"), f"the next update of {what}")
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
        policies=tuple(reading.policies.values()),
    )


class _Reading:
    """One pass over the entities of a list."""

    def __init__(self, *, what: str, default: Purpose | None) -> None:
        self._what = what
        self._default = default
        self.anchors: list[Anchor] = []
        self.statuses: dict[tuple[bytes, int | Scope], StatusRecord] = {}
        self.policies: dict[str, Policy] = {}
        self.ignored = 0

    def entity(self, entity: object) -> None:
        """Read one trusted entity with its services."""
        place = f"an entity of {self._what}"
        about = member(entity, "TrustedEntityInformation", dict, place)
        name = _read_said(about.get("TEName"), f"the name of {place}")
        place = f"the entity “{name}” of {self._what}"
        for service in member(entity, "TrustedEntityServices", list, place):
            self._service(member(service, "ServiceInformation", dict, place), place, name)

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
        since = read_time_or_none(service.get("StatusStartingTime"), f"a status time of {place}")
        entries = member(service, "ServiceDigitalIdentity", dict, place).get("X509Certificates", [])
        if not isinstance(entries, list) or len(self.anchors) + len(entries) > MAX_CERTIFICATES:
            msg = f"{place} brings the certificates to more than {MAX_CERTIFICATES}, or has no list of them"
            raise TrustListError(msg)
        found = [self._certificate(entry, place) for entry in entries]
        usable = [one for one in found if one is not None and not contradicts(one, purpose)]
        self.ignored += len(usable) < len(found) or not found
        if granted:
            for extension in extensions:
                if isinstance(extension, dict) and LOGS in extension:
                    self._log_policies(extension[LOGS], place)
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
            records = member(group, "records", list, place)
            if len(self.statuses) + len(records) > MAX_STATUSES:
                msg = f"{self._what} holds more than {MAX_STATUSES} statuses"
                raise TrustListError(msg)
            authority = bytes.fromhex(text)
            time_of = f"a time in the statuses of {place}"
            for record in records:
                status = lotestatus.read_status(record, authority, place, time_of)
                if (authority, status.subject) in self.statuses:
                    msg = f"{place} has two statuses for {status.words}"
                    raise TrustListError(msg)
                self.statuses[authority, status.subject] = status

    def _log_policies(self, texts: object, place: str) -> None:
        from rawtrace.ledger.policy import MAX_POLICY, Policy

        if not isinstance(texts, list) or len(self.policies) + len(texts) > MAX_POLICIES:
            msg = f"{place} names more than {MAX_POLICIES} policies for logs, or has no list of them"
            raise TrustListError(msg)
        for text in texts:
            if not isinstance(text, str) or len(text) > MAX_POLICY:
                msg = f"{place} has a policy for logs that is no text of at most {MAX_POLICY} characters"
                raise TrustListError(msg)
            try:
                self.policies.setdefault(text, Policy.parse(text))
            except Error as error:
                msg = f"{place} has a policy for logs that cannot be read: {error.message}"
                raise TrustListError(msg) from error


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


def _read_said(entries: object, what: str) -> str:
    """Return the English of a text in several languages, or else the first."""
    if isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries):
        chosen = next((entry for entry in entries if entry.get("lang") == "en"), entries[0])
        text = chosen.get("value")
        if isinstance(text, str) and len(text) <= MAX_TEXT and text.strip():
            return printable(text)
    msg = f"{what} is missing, or no text of at most {MAX_TEXT} characters"
    raise TrustListError(msg)
