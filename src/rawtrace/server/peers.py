"""Instruments that show who they are by their certificate (TLS 1.3), without a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawtrace.errors import Error
from rawtrace.server.access import ANYBODY, Principal, Role

if TYPE_CHECKING:
    from rawtrace.server.store import Store


def holder_of(store: Store, certificate: bytes | None) -> Principal:
    """Return the instrument that a connection's client certificate is for; ``ANYBODY`` where it is for none.

    Parameters
    ----------
    certificate : bytes or None
        DER, from the TLS layer, which has seen that the caller holds its key.
    """
    if certificate is None:
        return ANYBODY
    from rawtrace.trust.certificates import SignerKind, pid_of, signer_kind
    from rawtrace.trust.status import Standing

    try:
        verifier = store.seals.verifier()
        path = verifier.paths.validate([certificate, *store.seals.issuers()], at=store.now())
    except Error:
        # Lists that cannot be read just now vouch for nobody.
        return ANYBODY
    if not path.trusted or not path.chain or signer_kind(path.chain[0]) is not SignerKind.INSTRUMENT:
        return ANYBODY
    standing, _ = verifier.statuses.standing(path.chain, claimed_at=store.now(), trusted_at=None)
    pid = pid_of(path.chain[0])
    if standing is not Standing.GOOD or not pid:
        return ANYBODY
    return Principal(name=pid, roles=frozenset({Role.PUBLIC, Role.INSTRUMENT}), pid=pid)
