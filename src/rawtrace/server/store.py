"""A trust store's folder, opened: settings, database, authority, log, keys.

::

    store.toml      settings
    authority/      an authority as ``rawtrace authority new`` makes it: what was issued and revoked
    log/            the log's key, its guard, and ``policy``: on which witnesses and mirrors it relies
    neighbours.pem  certificates of other stores' servers that are known by their key
    witness/        the key this store cosigns other logs with
    tls/            certificate and key of the server itself (RSA: the Handle System knows no other)
    time/ gateway/  keys of the time server and of the gateway, where it offers them
    store.sqlite    everything else, unless it lies in PostgreSQL
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rawtrace import durable
from rawtrace.database import Database, open_database
from rawtrace.errors import InputNotFoundError, NetworkError, ReceiptError, StoreError
from rawtrace.ledger import entry
from rawtrace.ledger.cosigning import PolicyCosigner
from rawtrace.ledger.logstore import LogStore
from rawtrace.ledger.note import NoteSigner
from rawtrace.ledger.policy import MAX_POLICY, NO_QUORUM, Policy
from rawtrace.ledger.sequencer import Accepted, Log, Submission
from rawtrace.progress import SILENT, Progress
from rawtrace.server.access import Access
from rawtrace.server.attempts import Attempts
from rawtrace.server.logdesk import LogDesk
from rawtrace.server.recovery import RecoveryDesk
from rawtrace.server.seals import SealDesk
from rawtrace.server.settings import Settings, read_settings
from rawtrace.trust import keys, sources
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.authorityfolder import Authority, open_authority
from rawtrace.web import Caller, Web

if TYPE_CHECKING:
    from rawtrace.trust.timeauthority import TimeAuthority

#: How long a record of the store's own waits for the log's quorum, seconds; after that it is the next try's business.
RECORD_WAIT_S = 20.0
DATABASE_FILE = "store.sqlite"
LOG_POLICY = "log/policy"
NEIGHBOURS = "neighbours.pem"


class Store:
    """An open trust store. Safe to share between threads.

    Parameters
    ----------
    folder : Path
    settings : Settings
    database : Database
    now : callable, optional
        The clock, UTC; tests turn it.
    progress : Progress
        Told how far the log is checked when it is opened.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        database: Database,
        *,
        now: Callable[[], datetime] | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.database = database
        self.now = now or (lambda: datetime.now(UTC))
        self._progress = progress
        self.access = Access(database, settings)
        self.attempts = Attempts()
        """Wrong one-time codes."""
        self.seals = SealDesk(self)
        """Takes delivered seals in."""
        self.log_desk = LogDesk(self)
        """Takes in what proves seals, many at once."""
        self.recovery = RecoveryDesk(self)
        """Finds seals again in the index that is offered."""
        self.issuing = threading.Lock()
        """Held while the authority's folder changes: one certificate or status at a time."""

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        now: Callable[[], datetime] | None = None,
        writes_log: bool = True,
        progress: Progress = SILENT,
    ) -> Store:
        """Open a store's folder and make the tables that are missing.

        Parameters
        ----------
        writes_log : bool
            Begin to write the log at once, as a server does; a command beside a running server does not.
        progress : Progress

        Raises
        ------
        StoreError, DatabaseError, KeyUnavailableError, LedgerError
        """
        settings = read_settings(folder)
        database = open_database(settings.database or folder / DATABASE_FILE)
        store = cls(folder, settings, database, now=now, progress=progress)
        try:
            # Handlers declare their tables when they are imported.
            from rawtrace.server.app import load_handlers

            load_handlers()
            database.prepare()
            if settings.log.origin and writes_log:
                _ = store.log
        except BaseException:
            database.close()
            raise
        return store

    @property
    def authority_folder(self) -> Path:
        """Where the authority is."""
        return self.folder / self.settings.authority

    def authority(self) -> Authority:
        """Open the authority anew, as it is now."""
        return open_authority(self.authority_folder)

    @cached_property
    def log(self) -> Log:
        """The store's own log.

        Raises
        ------
        StoreError
            The store has none.
        """
        if not self.settings.log.origin:
            msg = "this store has no log"
            raise StoreError(msg, hint="give it one: [log] origin in store.toml")
        folder = self.folder / "log"
        signer = log_signer(folder, self.settings.log.origin)
        cosigner = self._cosigner()
        try:
            return Log.open(
                self.database,
                origin=self.settings.log.origin,
                signer=signer,
                guard=folder / "guard",
                quorum=cosigner,
                interval_s=self.settings.log.interval_ms / 1000,
                progress=self._progress,
            )
        except BaseException:
            if cosigner is not None:
                cosigner.close()
            raise

    @cached_property
    def time_authority(self) -> TimeAuthority:
        """The store's own time-stamping authority.

        Raises
        ------
        InputNotFoundError, CertificateError, KeyUnavailableError, MissingExtraError
        """
        from rawtrace.trust.timeauthority import TimeAuthority

        return TimeAuthority(self.folder / "time", wall=self.now)

    def log_policy(self) -> Policy | None:
        """Return on whom the log relies; ``None`` where it stands for itself.

        Raises
        ------
        StoreError
        """
        path = self.folder / LOG_POLICY
        try:
            policy = Policy.parse(durable.read_bounded(path, limit=MAX_POLICY))
        except InputNotFoundError:
            return None
        except ReceiptError as error:
            msg = f"{path} cannot be used: {error.message}"
            raise StoreError(msg) from error
        return None if policy.quorum == NO_QUORUM else policy

    def _cosigner(self) -> PolicyCosigner | None:
        policy = self.log_policy()
        if policy is None:
            return None
        source = LogStore(self.database, self.settings.log.origin)
        return PolicyCosigner(policy, source=source, web=Web(Caller(also=neighbours_of(self.folder))))

    def lists(self) -> tuple[TrustList, ...]:
        """Return the trust lists that this store goes by: its own authority's, then those it accepts."""
        chosen = [self.authority_folder, *(self.folder / name for name in self.settings.accept)]
        return tuple(carried.trust_list for source in chosen for carried in sources.gather(source))

    def record(self, kind: str, content: Mapping[str, Any], *, issuer: str, key: str) -> int:
        """Put a record into the store's log and wait until it is durable; returns its index.

        Parameters
        ----------
        kind : str
            ``certificate``, ``status`` or ``instrument``.
        content : Mapping
            JSON; ``kind`` and ``v`` are added.
        issuer, key : str
            Who answers for it: the authority's name, and the key id of what signed it.

        Raises
        ------
        NetworkError
            The log's quorum is out of reach. The record may have its place already; submitted again it keeps it.
        LedgerError
        """
        record = entry.canonical({**content, "kind": kind, "v": 1})
        future = self.log.submit(Submission(kind=kind, issuer=issuer, key=key, record=record))
        return self.acknowledged([future])[0].index

    def acknowledged(self, futures: Sequence[Future[Accepted]]) -> list[Accepted]:
        """Wait for what was handed to the log, for a bounded time.

        Raises
        ------
        NetworkError, LedgerError
            As for ``record``.
        """
        end = time.monotonic() + RECORD_WAIT_S
        try:
            return [future.result(max(0.0, end - time.monotonic())) for future in futures]
        except FutureTimeoutError as error:
            msg = "the log has not acknowledged the record yet: its quorum is out of reach"
            raise NetworkError(msg, hint="try again: the record keeps its place") from error

    def close(self) -> None:
        """Close log and database."""
        if "log" in self.__dict__:
            self.log.close()
        self.recovery.close()
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def neighbours_of(folder: Path) -> Path | None:
    """Return the certificates of the servers that a store knows by their key, if it knows any."""
    path = folder / NEIGHBOURS
    return path if path.exists() else None


def log_signer(folder: Path, origin: str) -> NoteSigner:
    """Return what signs a log's checkpoints: the key in ``folder``, under the log's origin."""
    key = keys.open_in_folder(folder)
    if key.algorithm is not keys.Algorithm.ED25519:
        msg = f"the key in {folder} is not Ed25519, which every log must have"
        raise StoreError(msg)
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return NoteSigner(name=origin, sign=key.sign, public=public)
