"""What must hold before a log signs anything new: all that is stored is sound, and nothing later was signed."""

from __future__ import annotations

from rawtrace.errors import LedgerError, ReceiptError
from rawtrace.ledger.checkpoint import open_checkpoint
from rawtrace.ledger.derive import derive
from rawtrace.ledger.guard import Guard, Signed
from rawtrace.ledger.logstore import LogStore, State
from rawtrace.ledger.note import NoteSigner
from rawtrace.ledger.prover import Prover
from rawtrace.progress import SILENT, Progress


def check_note(state: State, signer: NoteSigner) -> None:
    """Make sure that the stored checkpoint is signed by the log's key and is that of the stored tree.

    Raises
    ------
    LedgerError
    """
    try:
        checkpoint, _ = open_checkpoint(state.signed, [signer.key])
    except ReceiptError as error:
        msg = f"the stored checkpoint of the log {signer.name} is not good: {error.message}"
        raise LedgerError(msg, hint="is this the key that the log was begun with?") from error
    if (checkpoint.origin, checkpoint.size, checkpoint.root) != (signer.name, state.size, state.root):
        msg = f"the stored checkpoint of the log {signer.name} is not that of the stored tree"
        raise LedgerError(msg, hint="run `rawtrace log audit`")


def check_stored(store: LogStore, state: State, signer: NoteSigner, *, progress: Progress = SILENT) -> None:
    """Check everything that is stored: each entry, each tile, the root, the signature.

    Raises
    ------
    LedgerError
        Names the first fault.
    """
    check_note(state, signer)
    with store.database.read() as connection:
        faults = derive(
            lambda path: store.read_in(connection, path, size=state.size),
            size=state.size,
            root=state.root,
            progress=progress,
        )
    if faults:
        msg = f"the log {store.origin} is damaged: {faults[0].message}"
        raise LedgerError(msg, hint="bring it back from a mirror or a backup; `rawtrace log audit` names every fault")


def check_guard(store: LogStore, state: State, guard: Guard, known: Signed | None, *, new_guard: bool) -> None:
    """Make sure that nothing was signed which the database does not hold; begin a guard where there may be none.

    Raises
    ------
    LedgerError
        The database is older than the guard, or another one; or the guard is missing.
    """
    if known is None:
        if state.size and not new_guard:
            msg = f"the guard {guard.path} of the log {store.origin} is missing, and the log has {state.size} entries"
            hint = "if no witness has seen a larger tree, begin a new guard: rawtrace log append --new-guard"
            raise LedgerError(msg, hint=hint)
        guard.create(Signed(state.size, state.root))
        return
    if known.size > state.size:
        raise behind(store.origin, state.size, known.size)
    if Prover(store, state.size, state.signed).root(known.size) != known.root:
        msg = f"the log {store.origin} has signed another tree of {known.size} entries than the one that is stored"
        raise LedgerError(msg, hint="this is another database than the one that the log was last signed from")


def behind(origin: str, stored: int, signed: int) -> LedgerError:
    """Return the error for a database that is older than what was signed."""
    msg = f"the database of the log {origin} holds {stored} entries, and {signed} have been signed: it is an older copy"
    hint = "bring the missing entries back first: rawtrace log restore DIR MIRROR-URL|EXPORTED-FOLDER"
    return LedgerError(msg, hint=hint)
