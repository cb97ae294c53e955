"""What a log records of a seal: the certificate, the claim and the signature, each as its digest.

Whoever has the seal can derive the record, so a receipt needs no name of what it is
about: it counts for a seal whose record is the one that was logged. All three are in it
because a claim alone could be signed again, and a signature alone does not say by whom.
The normative page is ``docs/spec/receipts.md``.
"""

from __future__ import annotations

import hashlib
import json

from rawtrace.errors import SealUnreadableError
from rawtrace.sealing.model import Manifest


def record_of(manifest: Manifest) -> bytes:
    """Return the record of one manifest: canonical JSON.

    Parameters
    ----------
    manifest : Manifest
        Sound or not; whether it holds is asked elsewhere.

    Raises
    ------
    SealUnreadableError
        The manifest has no claim, no signature or no certificate that could be read.
    """
    signature = manifest.signature
    if not manifest.claim_sha256 or not signature.raw or not signature.chain:
        msg = "the seal has no claim, signature and certificate that a log could record"
        raise SealUnreadableError(msg)
    record = {
        "certificate": hashlib.sha256(signature.chain[0]).hexdigest(),
        "claim": manifest.claim_sha256,
        "kind": "seal",
        "signature": hashlib.sha256(signature.raw).hexdigest(),
        "v": 1,
    }
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
