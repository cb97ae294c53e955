"""The authority of this store, and the lists of others that it goes by."""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.responses import Response

from rawtrace.server import instrumentviews as views
from rawtrace.server.calls import Call, json_reply
from rawtrace.trust.certificates import name_of
from rawtrace.trust.trustlist import TrustList


def listing(call: Call) -> Response:
    """Return the store's own authority, then the trust lists that it accepts seals by."""
    authority = call.store.authority()
    issued = [one for found in views.certificates(call.store).values() for one in found]
    own = {
        "name": authority.name,
        "owner": authority.owner,
        "name_space": authority.name_space,
        "root": _certificate(authority.root),
        "certificate": _certificate(authority.certificate),
        "issued": len(issued),
        "standing": sum(one.stands for one in issued),
    }
    return json_reply({"authority": own, "lists": [_list(one) for one in call.store.lists()]}, call=call)


def _certificate(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "name": name_of(certificate),
        "sha256": hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
    }


def _list(one: TrustList) -> dict[str, Any]:
    return {
        "name": one.name,
        "operator": one.operator,
        "sequence": one.sequence,
        "issued": one.issued.isoformat(),
        "next_update": one.next_update.isoformat() if one.next_update else None,
        "anchors": [
            {"name": anchor.name, "purpose": anchor.purpose.value, "granted": anchor.granted} for anchor in one.anchors
        ],
        "statuses": len(one.statuses),
    }
