"""Getting a log's checkpoints cosigned: every witness and mirror of a policy at once, until the quorum holds.

Each of them has a thread of its own, so one that hangs holds up nobody, and a
mirror that was away for a day is sent what it missed while the others go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from rawtrace.errors import Error, LedgerError, NetworkError
from rawtrace.ledger.checkpoint import Checkpoint, read_checkpoint
from rawtrace.ledger.note import NoteSignature, VerifierKey, read_note
from rawtrace.ledger.policy import Policy, PolicyWitness
from rawtrace.ledger.witnessclient import Contradiction, Prove, Source, proved, submit, visit
from rawtrace.web import Web

_HINT = (
    "if the log's database came back from a backup, bring back the entries from a mirror; "
    "do not let two copies of one log run"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """What a witness says when it is asked at start-up.

    Attributes
    ----------
    name : str
        Within the policy.
    agrees : bool
        It knows this log no further than it is here, and the same one.
    sentence : str
        Why not, or why it could not be asked; empty if it agrees.
    """

    name: str
    agrees: bool
    sentence: str = ""


@dataclass(slots=True)
class _Round:
    """One checkpoint on its way to all."""

    note: bytes
    old: int
    prove: Prove
    turn: threading.Condition = field(default_factory=threading.Condition)
    signatures: dict[str, tuple[NoteSignature, ...]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    contradiction: LedgerError | None = None


class PolicyCosigner:
    """Asks the witnesses and mirrors that a policy names and gives addresses of. Safe to share between threads.

    Parameters
    ----------
    policy : Policy
        That also names the log, so that a contradiction can be proved.
    source : Source, optional
        Where the log's tiles and entries are, for mirrors.
    web : Web, optional
        Closed together with this.
    wait_s : float
        How long a quorum is waited for.
    """

    def __init__(
        self, policy: Policy, *, source: Source | None = None, web: Web | None = None, wait_s: float = 30.0
    ) -> None:
        self._policy = policy
        self._source = source
        self._web = web or Web()
        self._wait_s = wait_s
        self._contradiction: LedgerError | None = None
        self._couriers = tuple(_Courier(one, self._deliver) for one in policy.witnesses if one.url)

    @property
    def policy(self) -> Policy:
        """The policy."""
        return self._policy

    def collect(
        self,
        checkpoint: bytes,
        old_size: int,
        proof: Sequence[bytes],
        *,
        prove: Callable[[int], Sequence[bytes]],
    ) -> bytes:
        """Return the checkpoint's note with the cosignatures of a quorum, and any more that came by then.

        Parameters
        ----------
        checkpoint : bytes
            Note, signed by the log.
        old_size : int
            Size of the checkpoint that was published last.
        proof : Sequence[bytes]
            Consistency proof from ``old_size``.
        prove : callable
            Gives the proof from another size; asked from several threads.

        Raises
        ------
        NetworkError
            The quorum is not reached; to ask again makes sense.
        LedgerError
            A witness shows a checkpoint, signed by this log's key, that contradicts this one.
        """
        known = tuple(proof)

        def prove_from(size: int) -> Sequence[bytes]:
            return known if size == old_size else prove(size)

        this = _Round(checkpoint, old_size, prove_from)
        if self._contradiction is not None:
            raise self._contradiction
        for courier in self._couriers:
            courier.take(this)
        with this.turn:
            this.turn.wait_for(lambda: self._settled(this), timeout=self._wait_s)
            if this.contradiction is not None:
                raise this.contradiction
            if self._policy.satisfied(list(this.signatures)):
                added = [one for found in this.signatures.values() for one in found]
                return read_note(checkpoint).with_signatures(added).encode()
            missing = [f"{name}: {why}" for name, why in sorted(this.failures.items())]
        missing += [
            f"{one.name}: no answer yet"
            for one in self._policy.witnesses
            if one.url and one.name not in this.failures and one.name not in this.signatures
        ]
        msg = f"the quorum {self._policy.quorum} is not reached ({'; '.join(missing) or 'nobody has an address'})"
        raise NetworkError(msg, hint="records wait until enough witnesses and mirrors answer again")

    def ask(self, checkpoint: bytes, *, prove: Callable[[int], Sequence[bytes]]) -> tuple[Standpoint, ...]:
        """Ask everybody, before anything new is signed, whether they know this log as it is here.

        Here a witness is believed without proof: to stop without need can be mended, to sign a second
        history cannot.

        Parameters
        ----------
        checkpoint : bytes
            The last one that this log has signed.
        prove : callable
            As for ``collect``.

        Returns
        -------
        tuple[Standpoint, ...]
            Of each witness that has an address.

        Raises
        ------
        LedgerError
            One of them knows more of the log, or something else.
        """
        asked = [one for one in self._policy.witnesses if one.url]
        if not asked:
            return ()
        with ThreadPoolExecutor(max_workers=len(asked), thread_name_prefix="rawtrace-ask") as pool:
            found = tuple(pool.map(lambda one: self._ask_one(one, checkpoint, prove), asked))
        if refused := [one for one in found if isinstance(one, LedgerError)]:
            raise refused[0]
        return tuple(one for one in found if isinstance(one, Standpoint))

    def close(self) -> None:
        """Ask nobody any more; waits for what is being asked."""
        for courier in self._couriers:
            courier.take(None)
        for courier in self._couriers:
            courier.join(self._wait_s)
        self._web.close()

    def _ask_one(self, witness: PolicyWitness, note: bytes, prove: Prove) -> Standpoint | LedgerError:
        head = read_checkpoint(note)
        try:
            submit(self._web, witness, note, old=head.size, prove=prove)
        except Contradiction as found:
            return self._contradicted(found)
        except Error as error:
            return Standpoint(name=witness.name, agrees=False, sentence=error.message)
        return Standpoint(name=witness.name, agrees=True)

    def _settled(self, this: _Round) -> bool:
        finished = len(this.signatures) + len(this.failures) == len(self._couriers)
        return finished or this.contradiction is not None or self._policy.satisfied(list(this.signatures))

    def _deliver(self, witness: PolicyWitness, this: _Round, old: int) -> int:
        """Ask one witness; return the size that it is at now, as far as can be told."""
        try:
            signatures = visit(self._web, witness, this.note, old=old, prove=this.prove, source=self._source)
        except Contradiction as found:
            other = proved(self._web, witness, self._keys(this.note), this.note, this.prove)
            with this.turn:
                this.failures[witness.name] = found.sentence
                if other is not None:
                    this.contradiction = self._contradiction = self._contradicted(found)
                this.turn.notify_all()
            return 0
        except Exception as error:  # noqa: BLE001  one witness's fault must not end the thread that asks it
            with this.turn:
                this.failures[witness.name] = error.message if isinstance(error, Error) else f"{error}"
                this.turn.notify_all()
            return old
        with this.turn:
            this.signatures[witness.name] = signatures
            this.turn.notify_all()
        return read_checkpoint(this.note).size

    def _keys(self, note: bytes) -> Sequence[VerifierKey]:
        origin = Checkpoint.parse(read_note(note).text).origin
        return [one.key for one in self._policy.logs if one.key.name == origin]

    def _contradicted(self, found: Contradiction) -> LedgerError:
        return LedgerError(f"{found.sentence}; nothing more is signed", hint=_HINT)


class _Courier:
    """Takes checkpoints to one witness, always the newest, one at a time."""

    def __init__(self, witness: PolicyWitness, deliver: Callable[[PolicyWitness, _Round, int], int]) -> None:
        self._witness = witness
        self._deliver = deliver
        self._turn = threading.Condition()
        self._next: _Round | None = None
        self._ended = False
        self._thread: threading.Thread | None = None

    def take(self, this: _Round | None) -> None:
        """Take a checkpoint when the one before is delivered; ``None`` ends it."""
        with self._turn:
            self._next = this
            self._ended = self._ended or this is None
            if self._thread is None and not self._ended:
                name = f"rawtrace-witness-{self._witness.name}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
            self._turn.notify_all()

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        old: int | None = None
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._next is not None or self._ended)
                this, self._next = self._next, None
                if self._ended or this is None:
                    return
            old = self._deliver(self._witness, this, this.old if old is None else old)
