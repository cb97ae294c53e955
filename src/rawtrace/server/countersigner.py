"""The store's gateway: its repository identity, the clock it stamps with, and the counter-signatures it makes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from rawtrace.errors import LimitError, SealUnreadableError, StoreError, UnsealableError
from rawtrace.ledger.sequencer import Submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawtrace.sealing.stamping import Stamp
    from rawtrace.server.store import Store
    from rawtrace.trust.anchors import TrustList
    from rawtrace.trust.signer import Identity

GATEWAY_FOLDER = "gateway"


class Countersigner:
    """Counter-signs for one store. Safe to share between threads.

    Parameters
    ----------
    store : Store
    lists : callable
        Returns the trust lists that the store goes by, as they are now.
    """

    def __init__(self, store: Store, lists: Callable[[], tuple[TrustList, ...]]) -> None:
        self._store, self._lists = store, lists

    def signer(self) -> Identity:
        """Open the store's repository identity, as it is now.

        Raises
        ------
        StoreError
        """
        from rawtrace.trust.signer import load_identity

        folder = self._store.folder / GATEWAY_FOLDER
        if not folder.is_dir():
            msg = f"this store has no repository identity in {folder}"
            hint = f"make one: rawtrace authority repository {self._store.authority_folder} {folder} --name … --owner …"
            raise StoreError(msg, hint=hint)
        return load_identity(folder)

    def stamp(self) -> Stamp | None:
        """Return what stamps for this store: its own clock, or the one it is told to ask; ``None`` without either."""
        if self._store.settings.offers.time:
            clock = self._store.time_authority
            return lambda query: clock.answer(query).body
        return self._ask_another if self._store.settings.time.url else None

    def countersigned(self, seal: bytes) -> bytes:
        """Return a seal with this store's counter-signature; empty where it has one, or cannot have one."""
        from rawtrace.sealing.gateway import countersign, is_countersigned_by
        from rawtrace.sealing.manifest import read_store

        signer = self.signer()
        if is_countersigned_by(read_store(seal), signer):
            return b""
        try:
            return countersign(seal, signer=signer, stamp=self.stamp(), lists=self._lists()).store
        except (LimitError, UnsealableError):
            # As deep as C2PA allows: the receipt alone is the answer.
            return b""

    def own_updates(self, seal: bytes) -> Iterator[Submission]:
        """Yield what the log records of each counter-signature in a seal that is this store's."""
        from rawtrace.sealing.logrecord import record_of
        from rawtrace.sealing.manifest import read_store

        updates = [one for one in read_store(seal).manifests.values() if one.is_update]
        if not updates or not self._store.settings.log.origin:
            return
        try:
            own = self.signer().leaf.public_bytes(serialization.Encoding.DER)
        except StoreError:
            own = b""
        issuer = self._store.authority().name
        for manifest in updates:
            try:
                record, leaf = record_of(manifest), manifest.signature.chain[0]
            except SealUnreadableError:
                continue
            # One from before the identity was renewed is known by its record.
            if leaf == own or self._store.log.find(record) is not None:
                key = key_id(x509.load_der_x509_certificate(leaf))
                yield Submission(kind="seal", issuer=issuer, key=key, record=record)

    def _ask_another(self, query: bytes) -> bytes:
        from rawtrace.sealing.timeclient import asking_listed
        from rawtrace.server.store import neighbours_of
        from rawtrace.web import Caller, Web

        time = self._store.settings.time
        caller = Caller(server_key_sha256=time.server_key, also=neighbours_of(self._store.folder))
        with Web(caller) as web:
            return asking_listed(time.url, web, self._lists(), now=self._store.now)(query)


def key_id(leaf: x509.Certificate) -> str:
    """Return the first 8 bytes, hexadecimal, of the SHA-256 of a certificate's public key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(leaf.public_key().public_bytes(serialization.Encoding.DER, form)).hexdigest()[:16]
