"""What a store is to other stores' logs: a witness, a mirror, or both; their keys, names and lists of logs.

::

    witness/        key; ``logs``: the logs whose checkpoints are cosigned
    mirror/         key, made when the store first mirrors; ``logs``: the logs that are held

``logs`` is a policy file (c2sp.org/tlog-policy) of which only the ``log`` lines
count. It is read anew for each request, so a change needs no restart.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from rawtrace import durable
from rawtrace.errors import AlreadyExistsError, InputNotFoundError, ReceiptError, StoreError
from rawtrace.ledger.mirror import Mirror
from rawtrace.ledger.note import ED25519_COSIGNATURE, NoteSigner, VerifierKey
from rawtrace.ledger.policy import MAX_POLICY, Policy, PolicyLog
from rawtrace.ledger.witness import Witness
from rawtrace.server.problems import Problem
from rawtrace.server.store import Store, log_signer
from rawtrace.trust import keys

LOGS_FILE = "logs"
WITNESS = "witness"
MIRROR = "mirror"


def witness_of(store: Store) -> Witness:
    """Return the store's witness.

    Raises
    ------
    Problem
        404: the store is none.
    StoreError, KeyUnavailableError
    """
    if not store.settings.offers.witness and not (store.folder / WITNESS / LOGS_FILE).exists():
        msg = "this store is not a witness"
        raise Problem(404, msg)
    return Witness(store.database, _signer(store, WITNESS), _keys(store, WITNESS), now=store.now)


def mirror_of(store: Store) -> Mirror:
    """Return the store's mirror.

    Raises
    ------
    Problem
        404: the store is none.
    StoreError, KeyUnavailableError
    """
    if not store.settings.offers.mirror and not (store.folder / MIRROR / LOGS_FILE).exists():
        msg = "this store is not a mirror"
        raise Problem(404, msg)
    return Mirror(store.database, _signer(store, MIRROR), _keys(store, MIRROR), now=store.now)


def logs_of(store: Store, part: str) -> tuple[PolicyLog, ...]:
    """Return the logs that the store witnesses or mirrors.

    Raises
    ------
    StoreError
        The list cannot be read.
    """
    path = store.folder / part / LOGS_FILE
    try:
        text = durable.read_bounded(path, limit=MAX_POLICY)
        # The store's own log lies in the same database; to mirror it there would be no second copy.
        return tuple(one for one in Policy.parse(text).logs if one.key.name != store.settings.log.origin)
    except InputNotFoundError:
        return ()
    except ReceiptError as error:
        msg = f"{path} cannot be used: {error.message}"
        raise StoreError(
            msg, hint="it has a line for each log, as in: log KEY URL; and one line: quorum none"
        ) from error


def cosigner_name(store: Store, part: str) -> str:
    """Return the name that the store's witness or mirror signs with: its address without a scheme."""
    return f"{store.settings.url.partition('://')[2]}/{part}"


def cosigner_key(folder: Path, name: str) -> VerifierKey:
    """Return what a cosigner's signatures are verified with, from the folder of its key."""
    return _opened(folder, name).key


def _keys(store: Store, part: str) -> _Known:
    return _Known(logs_of(store, part))


def _signer(store: Store, part: str) -> NoteSigner:
    folder = store.folder / part
    if part == MIRROR and not (folder / keys.KEY_POINTER).exists():
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            keys.create_in_folder(folder, keys.Algorithm.ED25519)
        except AlreadyExistsError:
            pass  # another request was faster
    return _opened(folder, cosigner_name(store, part))


@functools.lru_cache(maxsize=64)
def _opened(folder: Path, name: str) -> NoteSigner:
    """Open a key once; a running server does not change it."""
    plain = log_signer(folder, name)
    return NoteSigner(name, plain.sign, plain.public, ED25519_COSIGNATURE)


class _Known:
    """Which keys a list of logs gives for an origin."""

    def __init__(self, logs: Sequence[PolicyLog]) -> None:
        self._logs = logs

    def __call__(self, origin: str) -> Sequence[VerifierKey]:
        return [one.key for one in self._logs if one.key.name == origin]
