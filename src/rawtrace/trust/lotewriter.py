"""Writing a trust list in its form, ETSI TS 119 602 LoTE in JSON; ``lote`` reads it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from rawtrace.errors import TrustListError
from rawtrace.trust.anchors import Anchor, Purpose, StatusRecord
from rawtrace.trust.lote import GRANTED, LIST_TYPE, LOGS, STATUSES, WITHDRAWN, WRITTEN_TYPES, contradicts, parse
from rawtrace.trust.lotestatus import checked_text, write_status, write_time

_NOT_STATED = "urn:rawtrace:not-stated"


def build(
    *,
    name: str,
    operator: str,
    sequence: int,
    issued: datetime,
    next_update: datetime | None,
    anchors: Sequence[Anchor],
    statuses: Sequence[StatusRecord],
    policies: Sequence[str] = (),
) -> bytes:
    """Write a list; see ``rawtrace.trust.trustlist.build_list``."""
    scheme: dict[str, Any] = {
        "LoTEVersionIdentifier": 1,
        "LoTESequenceNumber": sequence,
        "LoTEType": LIST_TYPE,
        "SchemeName": _said(name, "the list's name"),
        "SchemeOperatorName": _said(operator, "the operator's name"),
        "ListIssueDateTime": write_time(issued, "the time of issue"),
    }
    if next_update is not None:
        scheme["NextUpdate"] = write_time(next_update, "the time of the next update")
    services = [_write_service(anchor) for anchor in anchors]
    if statuses and not services:
        msg = "a list with statuses needs an authority that they belong to"
        raise TrustListError(msg)
    for place, groups in _place_statuses(anchors, statuses).items():
        services[place]["ServiceInformationExtensions"] = [{STATUSES: groups}]
    if policies:
        home = next((place for place, anchor in enumerate(anchors) if anchor.granted), None)
        if home is None:
            msg = "a list with policies for logs needs an authority that is granted"
            raise TrustListError(msg)
        services[home].setdefault("ServiceInformationExtensions", []).append({LOGS: list(policies)})
    entities: dict[str, dict[str, Any]] = {}
    for anchor, service in zip(anchors, services, strict=True):
        entity = entities.setdefault(anchor.name, _write_entity(anchor))
        entity["TrustedEntityServices"].append({"ServiceInformation": service})
    content: dict[str, Any] = {"ListAndSchemeInformation": scheme}
    if entities:
        content["TrustedEntitiesList"] = list(entities.values())
    document = {"LoTE": content}
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    # What cannot be read back must never be signed: this also checks every bound.
    parse(data, what="the new list")
    return data


def _write_entity(anchor: Anchor) -> dict[str, Any]:
    country = anchor.certificate.subject.get_attributes_for_oid(NameOID.COUNTRY_NAME)
    # The form wants an address; ZZ is ISO 3166's own code for "not stated".
    address = {"lang": "en", "StreetAddress": "not stated", "Country": str(country[0].value) if country else "ZZ"}
    elsewhere = [{"lang": "en", "uriValue": _NOT_STATED}]
    return {
        "TrustedEntityInformation": {
            "TEName": _said(anchor.name, "an authority's name"),
            "TEAddress": {"TEPostalAddress": [address], "TEElectronicAddress": elsewhere},
            "TEInformationURI": elsewhere,
        },
        "TrustedEntityServices": [],
    }


def _write_service(anchor: Anchor) -> dict[str, Any]:
    if contradicts(anchor.certificate, anchor.purpose):
        msg = f"the certificate of {anchor.name} is not made for {anchor.purpose}, so it cannot be listed for that"
        raise TrustListError(msg)
    der = anchor.certificate.public_bytes(serialization.Encoding.DER)
    service: dict[str, Any] = {
        "ServiceTypeIdentifier": WRITTEN_TYPES[anchor.purpose],
        "ServiceName": _said(anchor.name, "an authority's name"),
        "ServiceDigitalIdentity": {"X509Certificates": [{"val": base64.b64encode(der).decode()}]},
        "ServiceStatus": GRANTED if anchor.granted else WITHDRAWN,
    }
    if anchor.since is not None:
        service["StatusStartingTime"] = write_time(anchor.since, f"the status time of {anchor.name}")
    return service


def _place_statuses(anchors: Sequence[Anchor], statuses: Iterable[StatusRecord]) -> dict[int, list[dict[str, Any]]]:
    """Put each status with the anchor that issued the certificate, or else with the first signing one."""
    by_key_id: dict[bytes, int] = {}
    for place, anchor in enumerate(anchors):
        by_key_id.setdefault(_key_id(anchor.certificate), place)
    signing = [place for place, anchor in enumerate(anchors) if anchor.purpose is Purpose.SIGNING]
    groups: dict[int, dict[bytes, list[dict[str, Any]]]] = {}
    for record in statuses:
        place = by_key_id.get(record.authority_key_id, signing[0] if signing else 0)
        groups.setdefault(place, {}).setdefault(record.authority_key_id, []).append(write_status(record))
    return {
        place: [{"authorityKeyId": key_id.hex(), "records": records} for key_id, records in group.items()]
        for place, group in groups.items()
    }


def _key_id(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _said(text: str, what: str) -> list[dict[str, str]]:
    return [{"lang": "en", "value": checked_text(text, what)}]
