"""A log in a folder of its own, or in that of a trust store: where its parts are, and what it says of a file."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace import durable, strictjson
from rawtrace.errors import (
    Error,
    InputNotFoundError,
    LedgerError,
    MalformedError,
    NetworkError,
    SealUnreadableError,
    from_os_error,
)
from rawtrace.ledger.note import NoteSigner, VerifierKey
from rawtrace.ledger.policy import MAX_POLICY, NO_QUORUM, Policy
from rawtrace.progress import SILENT, Progress
from rawtrace.trust import keys, staging

if TYPE_CHECKING:
    from rawtrace.database import Database
    from rawtrace.ledger.derive import Read
    from rawtrace.ledger.sequencer import Log, Submission
    from rawtrace.web import Web

LOG_FILE, VKEY_FILE, POLICY_FILE, GUARD_FILE, DATABASE_FILE = "log.json", "vkey", "policy", "guard", "log.sqlite"
STORE_FILE = "store.toml"
SEAL_SUFFIX = ".c2pa"
_SCHEMA = "urn:rawtrace:schema:log-folder:1"
_MAX_BYTES = 16_384
_MAX_SEAL_BYTES = 64 << 20
_KEY_TEXT = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFolder:
    """Where a log's parts are.

    Attributes
    ----------
    origin : str
    keys : Path
        Folder of the key, the verifier key and the policy.
    database : Path or str
    guard : Path
    servers : Path or None
        Certificates of servers that are known by their key, beside those that public authorities certify.
    """

    origin: str
    keys: Path
    database: Path | str
    guard: Path
    servers: Path | None = None

    def key(self) -> VerifierKey:
        """Return what the log's checkpoints are verified with; needs no private key."""
        text = durable.read_bounded(self.keys / VKEY_FILE, limit=_KEY_TEXT).decode("utf-8", "replace").strip()
        return VerifierKey.parse(text)

    def signer(self) -> NoteSigner:
        """Open the private key."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        key = keys.open_in_folder(self.keys)
        if key.algorithm is not keys.Algorithm.ED25519:
            msg = f"the key in {self.keys} is not Ed25519, which every log must have"
            raise LedgerError(msg)
        return NoteSigner(self.origin, key.sign, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def policy(self) -> Policy:
        """Return the log's own policy: itself, and the witnesses that it asks."""
        path = self.keys / POLICY_FILE
        if not path.exists():
            msg = f"the log {self.origin} asks no witness; expected their policy in {path}"
            raise InputNotFoundError(msg, hint="of a trust store: rawtrace store quorum names witnesses and mirrors")
        return Policy.parse(durable.read_bounded(path, limit=MAX_POLICY))

    def web(self) -> Web:
        """Return what asks the servers that the policy names."""
        from rawtrace.web import Caller, Web

        return Web(Caller(also=self.servers if self.servers is not None and self.servers.exists() else None))

    @contextlib.contextmanager
    def opened(self) -> Iterator[Database]:
        """Open the database, for reading or for administration."""
        from rawtrace.database import open_database

        if isinstance(self.database, Path) and not self.database.exists():
            msg = f"there is no database {self.database}"
            raise InputNotFoundError(msg)
        with open_database(self.database) as database:
            yield database

    @contextlib.contextmanager
    def writing(self, *, new_guard: bool = False, progress: Progress = SILENT) -> Iterator[Log]:
        """Open the log for writing; everything that is stored is checked first."""
        from rawtrace.database import open_database
        from rawtrace.ledger.cosigning import PolicyCosigner
        from rawtrace.ledger.logstore import LogStore
        from rawtrace.ledger.sequencer import Log

        policy = self.policy() if (self.keys / POLICY_FILE).exists() else None
        with open_database(self.database) as database:
            quorum = None
            if policy is not None and policy.quorum != NO_QUORUM:
                quorum = PolicyCosigner(policy, source=LogStore(database, self.origin), web=self.web())
            with Log.open(
                database,
                origin=self.origin,
                signer=self.signer(),
                guard=self.guard,
                quorum=quorum,
                interval_s=0.0,
                new_guard=new_guard,
                progress=progress,
            ) as log:
                yield log


def create(folder: Path, *, origin: str, database: str = "", guard: Path | None = None) -> LogFolder:
    """Make a log in a folder that does not exist yet.

    Raises
    ------
    AlreadyExistsError, ReceiptError
        ``origin`` cannot name a key.
    """
    with staging.new_folder(folder) as new:
        key = keys.create_in_folder(new, keys.Algorithm.ED25519)
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        verifier = NoteSigner(origin, key.sign, public).key
        value: dict[str, Any] = {"schema": _SCHEMA, "origin": origin, "database": database}
        value["guard"] = str(guard.absolute()) if guard is not None else ""
        durable.write_new(new / LOG_FILE, strictjson.dumps(value), mode=0o600)
        durable.write_new(new / VKEY_FILE, f"{verifier.text}\n".encode())
        durable.write_new(new / POLICY_FILE, f"log {verifier.text}\nquorum {NO_QUORUM}\n".encode())
    made = find(folder)
    with made.writing():
        pass
    return made


def find(folder: Path) -> LogFolder:
    """Return the log in a folder that ``log init`` made, or that of a trust store.

    Raises
    ------
    InputNotFoundError
        There is neither.
    """
    if (folder / LOG_FILE).is_file():
        value = strictjson.loads(
            durable.read_bounded(folder / LOG_FILE, limit=_MAX_BYTES), what=f"{folder / LOG_FILE}", max_bytes=_MAX_BYTES
        )
        if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in ("origin", "database")):
            msg = f"{folder / LOG_FILE} does not say what log it is of"
            raise MalformedError(msg)
        guard = value.get("guard")
        return LogFolder(
            origin=value["origin"],
            keys=folder,
            database=value["database"] or folder / DATABASE_FILE,
            guard=Path(guard) if isinstance(guard, str) and guard else folder / GUARD_FILE,
        )
    if (folder / STORE_FILE).is_file():
        from rawtrace.server.settings import read_settings

        settings = read_settings(folder)
        return LogFolder(
            origin=settings.log.origin,
            keys=folder / "log",
            database=settings.database or folder / "store.sqlite",
            guard=folder / "log" / GUARD_FILE,
            servers=folder / "neighbours.pem",
        )
    msg = f"there is no log in {folder}; expected {LOG_FILE} or {STORE_FILE} there"
    raise InputNotFoundError(msg, hint="make one: rawtrace log init DIR --origin NAME")


def fullest_mirror(found: LogFolder, stack: contextlib.ExitStack) -> Read:
    """Return what reads the mirror that holds most, of those that a log's policy names and that answer.

    Raises
    ------
    NetworkError
        None of them does.
    """
    from rawtrace.ledger.checkpoint import open_checkpoint
    from rawtrace.ledger.sources import CHECKPOINT, read_address
    from rawtrace.ledger.witness import origin_hash

    web = stack.enter_context(found.web())
    held: list[tuple[int, Read]] = []
    said: list[str] = []
    for one in found.policy().witnesses:
        if one.url and one.url.rstrip("/").endswith("/mirror"):
            read = read_address(f"{one.url.rstrip('/')}/{origin_hash(found.origin)}", web)
            try:
                held.append((open_checkpoint(read(CHECKPOINT) or b"", [found.key()])[0].size, read))
            except Error as error:
                said.append(f"{one.name}: {error.message}")
    if not held:
        msg = f"no mirror of the log {found.origin} can be read ({'; '.join(said) or 'its policy names none'})"
        raise NetworkError(msg, hint="name a copy: a mirror's address for this log, or an exported folder")
    return max(held, key=lambda one: one[0])[1]


def submission_of(path: Path, origin: str) -> Submission:
    """Return what ``log append`` hands in for a file: of a seal, the manifest that binds the data.

    Raises
    ------
    InputNotFoundError, UnreadableError, SealUnreadableError
    """
    from rawtrace.ledger.sequencer import Submission

    if path.name.endswith(SEAL_SUFFIX):
        record, leaf = _of_seal(path)[0]
        from rawtrace.web import key_sha256

        return Submission(kind="seal", issuer=origin, key=key_sha256(leaf)[:16], record=record)
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    return Submission.of("file", {"sha256": digest, "size": size}, issuer=origin, key="")


def record_bytes(path: Path) -> tuple[bytes, ...]:
    """Return the records that a receipt of a file may be about."""
    if path.name.endswith(SEAL_SUFFIX):
        return tuple(record for record, _ in _of_seal(path))
    return (submission_of(path, "any").record,)


def _of_seal(path: Path) -> list[tuple[bytes, bytes]]:
    """Return record and leaf certificate of each manifest."""
    from rawtrace.sealing.logrecord import record_of
    from rawtrace.sealing.manifest import read_store

    store = read_store(durable.read_bounded(path, limit=_MAX_SEAL_BYTES))
    first = store.bound_manifest() or store.active_manifest
    found = []
    for manifest in [first, *(one for one in store.manifests.values() if one.label != first.label)]:
        try:
            found.append((record_of(manifest), manifest.signature.chain[0]))
        except SealUnreadableError:
            if manifest.label == first.label:
                raise
    return found
