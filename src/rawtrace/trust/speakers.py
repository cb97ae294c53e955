"""Whose list may speak for an authority: say what is wrong with its products, and which logs hold its seals.

Whoever has a list can name anybody's root in it, or an authority from the middle
of somebody's path. So an authority's own list speaks for it, where the reader has
that: one whose operator is certified by a certificate of the path itself. Only
where the reader has none do lists speak that merely name the authority.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from rawtrace.trust.anchors import Purpose, TrustList
from rawtrace.trust.certificates import is_issued_by
from rawtrace.trust.pathsearch import MAX_PATH


def speakers(chain: Sequence[x509.Certificate], lists: Sequence[TrustList]) -> tuple[TrustList, ...]:
    """Return the lists that may speak for the authority behind a path, in their order.

    Parameters
    ----------
    chain : Sequence[x509.Certificate]
        The path that was validated, leaf first; a shorter one than another list would have given is as good.
    lists : Sequence[TrustList]
    """
    if not chain:
        return ()
    above = list(chain[1:] or chain)
    listed = list(dict.fromkeys(anchor.certificate for one in lists for anchor in one.anchors_for(Purpose.SIGNING)))
    for _ in range(MAX_PATH):
        found = [one for one in listed if one not in above and is_issued_by(above[-1], one)]
        if not found:
            break
        above += found
    naming = [one for one in lists if any(anchor.certificate in above for anchor in one.anchors_for(Purpose.SIGNING))]
    prints = {one.fingerprint(hashes.SHA256()).hex() for one in above}
    own = [one for one in naming if one.operator_sha256 in prints]
    return tuple(own or naming)
