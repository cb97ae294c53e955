"""Trust lists: building, signing, reading.

The form is ``docs/spec/trust-list.md``: an ETSI TS 119 602 list in JSON
(``lote``), signed as a compact JWS (``jws``). C2PA's own lists have the same
form without a signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from rawtrace.errors import TrustListError
from rawtrace.trust import jws, lote, lotewriter
from rawtrace.trust.anchors import REASONS, Anchor, Purpose, StatusRecord, TrustList
from rawtrace.trust.keys import SigningKey
from rawtrace.trust.lote import MAX_LIST_BYTES

__all__ = [
    "MAX_LIST_BYTES",
    "MAX_SIGNED_BYTES",
    "REASONS",
    "Anchor",
    "Purpose",
    "StatusRecord",
    "TrustList",
    "build_list",
    "read_list",
    "sign_list",
]

#: Largest signed list: base64url makes the content a third longer.
MAX_SIGNED_BYTES = jws.MAX_HEADER_BYTES + 4 * (MAX_LIST_BYTES // 3 + 1) + 1024


def build_list(
    *,
    name: str,
    operator: str,
    sequence: int,
    issued: datetime,
    next_update: datetime | None,
    anchors: Sequence[Anchor],
    statuses: Sequence[StatusRecord] = (),
    policies: Sequence[str] = (),
) -> bytes:
    """Write a list in its form, not signed yet.

    Parameters
    ----------
    name, operator : str
        One line, at most 512 characters. Keep the name: together with the
        operator it is what the list is known by.
    sequence : int
        From 0, one more with every issue.
    issued, next_update : datetime
        With a time zone; fractions of a second are dropped.
    anchors : Sequence[Anchor]
        At most 20 000; those of one name become one entity.
    statuses : Sequence[StatusRecord]
        At most 100 000, no certificate and no scope twice.
    policies : Sequence[str]
        tlog-policy texts: the logs whose receipts count, and their witnesses.

    Raises
    ------
    TrustListError
        If ``read_list`` would not accept what would be written.
    """
    return lotewriter.build(
        name=name,
        operator=operator,
        sequence=sequence,
        issued=issued,
        next_update=next_update,
        anchors=anchors,
        statuses=statuses,
        policies=policies,
    )


def sign_list(payload: bytes, *, key: SigningKey, chain: Sequence[x509.Certificate]) -> bytes:
    """Sign what ``build_list`` wrote: a compact JWS with ``x5c``, EdDSA or ES256 by the kind of key.

    Parameters
    ----------
    payload : bytes
    key : SigningKey
    chain : Sequence[x509.Certificate]
        The operator's certificate (extended key usage ``EKU_TRUST_LIST_SIGNING``),
        each issued by the next. Verifiers hold the operator to the **last** one:
        put the root there, so that the operator's own certificate can be renewed.

    Raises
    ------
    TrustListError
        If ``read_list`` would not accept what would be written.
    """
    content = lote.parse(payload, what="the new list")
    return jws.sign(payload, key=key, chain=chain, at=content.issued)


def read_list(data: bytes, *, source: str, require_signature: bool = True) -> TrustList:
    """Read a trust list and check its signature.

    A list whose next update has passed is read like any other: ask ``expired``.

    Parameters
    ----------
    data : bytes
        A compact JWS, or a plain list such as C2PA publishes.
    source : str
        Where it came from, for messages and for the record.
    require_signature : bool
        False also lets a plain list through; its ``signer_sha256`` is then empty.

    Raises
    ------
    TrustListError
        In one sentence.
    """
    what = f"the trust list {source}"
    if data.lstrip()[:1] == b"{":
        parsed = lote.parse(data, what=what)
        if require_signature:
            msg = f"{what} is not signed, so nothing shows who wrote it"
            raise TrustListError(msg, hint="if you had it from its operator yourself: rawtrace trust add --unsigned")
        return _trust_list(parsed, source=source)
    if b"-----BEGIN CERTIFICATE-----" in data:
        msg = f"{what} is a PEM file, which does not say what its authorities are for; expected a list in JSON or JWS"
        raise TrustListError(msg, hint="its operator usually publishes the same list as JSON beside it")
    signed = jws.take_apart(data, what=what, max_payload_bytes=MAX_LIST_BYTES)
    jws.check_signature(signed, what=what)
    content = lote.parse(signed.payload, what=what)
    jws.check_signer(signed.chain, what=what, at=content.issued)
    return _trust_list(
        content,
        source=source,
        signer_sha256=jws.fingerprint(signed.chain[0]),
        operator_sha256=jws.fingerprint(signed.chain[-1]),
    )


def _trust_list(content: lote.Content, *, source: str, signer_sha256: str = "", operator_sha256: str = "") -> TrustList:
    return TrustList(
        name=content.name,
        operator=content.operator,
        sequence=content.sequence,
        issued=content.issued,
        next_update=content.next_update,
        anchors=content.anchors,
        statuses=content.statuses,
        policies=content.policies,
        signer_sha256=signer_sha256,
        source=source,
        operator_sha256=operator_sha256,
        content_sha256=content.sha256,
        ignored=content.ignored,
    )
