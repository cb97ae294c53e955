"""Making folders all or nothing, one process at a time, and files that only grow.

A new folder is built beside its place, under a name that ends in
``.rawtrace-tmp``, and renamed when it is whole. A journal is a file of JSON
lines: each is written and synced before anything that follows from it, and a
last line without its end, left by a crash, counts as never written.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rawtrace import durable, strictjson
from rawtrace.errors import (
    AlreadyExistsError,
    DiskFullError,
    InputNotFoundError,
    LimitError,
    UnwritableError,
    from_os_error,
)
from rawtrace.trust import keys
from rawtrace.trust.keys import Algorithm, SigningKey
from rawtrace.trust.pkcs11 import TokenKey, TokenOptions

LOCK_FILE = "lock.db"
LOCK_WAIT_S = 30.0
MAX_JOURNAL_BYTES = 512 * 1024 * 1024
MAX_LINE_BYTES = 262_144


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a folder of mode 0700 to fill; it becomes ``target`` at the end, or vanishes if anything fails.

    Raises
    ------
    AlreadyExistsError
        If ``target`` is there and is not an empty folder.
    """
    _refuse_existing(target)
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}{durable.TEMPORARY_SUFFIX}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir(mode=0o700)
    except OSError as error:
        raise from_os_error(error, f"writing {target}") from error
    try:
        yield temporary
        durable.sync_folder(temporary)
        try:
            if os.name == "nt" and target.exists():
                target.rmdir()
            temporary.rename(target)
        except OSError as error:
            _refuse_existing(target)
            raise from_os_error(error, f"writing {target}") from error
        durable.sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def new_key(folder: Path, algorithm: Algorithm, token: TokenOptions | None = None) -> Iterator[SigningKey]:
    """Make a key, in ``folder`` or in a token, with its pointer; a token's key goes again if anything fails."""
    if token is None:
        yield keys.create_in_folder(folder, algorithm)
        return
    key, pointer = TokenKey.create(token, algorithm)
    try:
        keys.write_pointer(folder, pointer)
        yield key
    except BaseException:
        # The first error is the one to tell; a key left behind in the token does no harm.
        with contextlib.suppress(Exception):
            key.destroy(pointer)
        raise


@contextlib.contextmanager
def exclusive(folder: Path, *, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Keep every other process and thread out of ``folder`` that asks by this same way.

    The lock is SQLite's on an empty database file: the system drops it when
    its process dies, however it dies, on Windows too.
    """
    with contextlib.ExitStack() as stack:
        try:
            connection = sqlite3.connect(folder / LOCK_FILE, timeout=wait_s, isolation_level=None)
            stack.callback(connection.close)
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                msg = f"writing {folder} failed: no space left on device"
                raise DiskFullError(msg) from error
            msg = f"{folder} could not be locked within {wait_s:g} s: {error}"
            hint = "another command is probably at work in it, or this account may not write there"
            raise UnwritableError(msg, hint=hint) from error
        yield


def append_line(path: Path, value: Mapping[str, Any]) -> None:
    """Add one line to a journal and make it durable; call it inside ``exclusive`` only."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        msg = f"an entry for {path} is {len(line)} bytes; at most {MAX_LINE_BYTES} are accepted"
        raise LimitError(msg)
    existed = path.exists()
    try:
        with path.open("a+b") as stream:
            stream.truncate(_end_of_last_line(stream))
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise from_os_error(error, f"writing {path}") from error
    if not existed:
        durable.sync_folder(path.parent)


def read_lines(path: Path) -> tuple[dict[str, Any], ...]:
    """Read a journal; a missing one is empty.

    Raises
    ------
    LimitError, MalformedError
        Too large, or a line that is not a JSON object.
    """
    try:
        data = durable.read_bounded(path, limit=MAX_JOURNAL_BYTES)
    except InputNotFoundError:
        return ()
    complete = data[: data.rfind(b"\n") + 1]
    found = []
    for number, line in enumerate(complete.splitlines(), start=1):
        what = f"line {number} of {path}"
        value = strictjson.loads(line, what=what, max_bytes=MAX_LINE_BYTES)
        found.append(value if isinstance(value, dict) else {})
    return tuple(found)


def _refuse_existing(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        msg = f"{target} exists already and is not a folder"
        raise AlreadyExistsError(msg)
    try:
        filled = target.is_dir() and any(target.iterdir())
    except OSError as error:
        raise from_os_error(error, f"reading {target}") from error
    if filled:
        msg = f"the folder {target} exists already and is not empty"
        raise AlreadyExistsError(msg, hint="name a folder that does not exist yet")


def _end_of_last_line(stream: Any) -> int:
    """Return the position after the last complete line, searching backwards."""
    end: int = stream.seek(0, os.SEEK_END)
    position = end
    while position > 0:
        start = max(0, position - MAX_LINE_BYTES)
        stream.seek(start)
        found = stream.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + int(found) + 1
        position = start
    return 0
