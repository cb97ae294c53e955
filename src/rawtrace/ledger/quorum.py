"""What the sequencer asks of whoever gets its checkpoints cosigned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol


class Cosigner(Protocol):
    """Whoever gets a checkpoint cosigned."""

    def collect(
        self,
        checkpoint: bytes,
        old_size: int,
        proof: Sequence[bytes],
        *,
        prove: Callable[[int], Sequence[bytes]],
    ) -> bytes:
        """Return the checkpoint's note with the cosignatures of a quorum.

        Parameters
        ----------
        checkpoint : bytes
            Note, signed by the log.
        old_size : int
            Size of the checkpoint that was published last.
        proof : Sequence[bytes]
            Consistency proof from ``old_size``.
        prove : callable
            Gives the proof from another size, for a witness that has seen less or more.

        Raises
        ------
        NetworkError
            The quorum is not reached; it is asked again.
        LedgerError
            Somebody has seen more of this log, or something else: it stops.
        """

    def ask(self, checkpoint: bytes, *, prove: Callable[[int], Sequence[bytes]]) -> object:
        """Ask everybody who can be reached whether they know this log as it is here.

        Raises
        ------
        LedgerError
            Somebody knows more of it, or something else: it must not sign.
        """

    def close(self) -> None:
        """Ask nobody any more."""
