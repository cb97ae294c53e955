r"""The index of a folder: ``sha256sum`` lines that anybody can check.

``docs/spec/folder-index.md`` is normative. For a folder ``NAME.zarr`` the index
is ``NAME.zarr.sha256`` beside it; each line names a member as
``NAME.zarr/PATH``, so that ``sha256sum -c NAME.zarr.sha256`` run beside the
folder accepts it. The index itself is an ordinary asset with its own seal.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rawtrace.errors import ChangedWhileReadError, LimitError, MalformedError, UnsealableError, from_os_error
from rawtrace.progress import SILENT, Progress

INDEX_SUFFIX = ".sha256"
MAX_MEMBERS = 1_000_000
MAX_INDEX_BYTES = 256 << 20
MAX_DEPTH = 64
_BATCH = 128
_READ_BYTES = 1 << 20
_LINE = re.compile(rb"(\\?)([0-9a-f]{64})  (.+)", re.DOTALL)
_ESCAPES = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r"}
_LITTER = frozenset({".ds_store", "thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a folder: path below the folder (``/`` between parts), size, time stamp."""

    path: bytes
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Listing:
    """All regular files below a folder, sorted by path bytes, and the system litter left out."""

    members: tuple[Member, ...]
    litter: tuple[bytes, ...]
    oddities: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True, slots=True)
class FolderIndex:
    """An index as text, and what it covers."""

    data: bytes
    members: int
    size: int
    listing: Listing


@dataclass(frozen=True, slots=True)
class Differences:
    """How a folder differs from its index; every path is named.

    ``renamed`` pairs an indexed path with the extra file that holds its content.
    """

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    changed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    litter: tuple[str, ...]
    oddities: tuple[tuple[str, str], ...]

    def any(self) -> bool:
        """Whether anything but litter differs."""
        return bool(self.missing or self.extra or self.changed or self.renamed or self.oddities)


def index_of(folder: Path) -> Path:
    """Return where the index of ``folder`` lies: beside it, as ``NAME.sha256``."""
    return folder.with_name(folder.name + INDEX_SUFFIX)


def is_litter(name: str) -> bool:
    """Whether a name is left behind by an operating system and no part of the data."""
    return name.lower() in _LITTER or name.startswith("._")


def list_folder(folder: Path) -> Listing:
    """List the members of a folder; symbolic links and special files are oddities, never followed."""
    members: list[Member] = []
    litter: list[bytes] = []
    oddities: list[tuple[bytes, str]] = []
    pending: list[tuple[str, bytes, int]] = [(os.fspath(folder), b"", 0)]
    while pending:
        place, prefix, depth = pending.pop()
        if depth > MAX_DEPTH:
            msg = f"{folder} is nested more than {MAX_DEPTH} folders deep"
            raise LimitError(msg)
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    path = prefix + os.fsencode(entry.name)
                    if entry.is_dir(follow_symlinks=False) and not entry.is_symlink():
                        pending.append((entry.path, path + b"/", depth + 1))
                        continue
                    status = entry.stat(follow_symlinks=False)
                    if not stat.S_ISREG(status.st_mode):
                        oddities.append((path, "a symbolic link" if entry.is_symlink() else "not a regular file"))
                    elif is_litter(entry.name):
                        litter.append(path)
                    else:
                        members.append(Member(path, status.st_size, status.st_mtime_ns))
        except OSError as error:
            raise from_os_error(error, f"reading {place}") from error
        if len(members) > MAX_MEMBERS:
            msg = f"{folder} has more than {MAX_MEMBERS} members"
            raise LimitError(msg)
    return Listing(tuple(sorted(members, key=lambda m: m.path)), tuple(sorted(litter)), tuple(sorted(oddities)))


def build_index(folder: Path, *, progress: Progress = SILENT) -> FolderIndex:
    """Hash every member on all cores and write the index text.

    Raises
    ------
    UnsealableError
        An empty folder, a symbolic link or special file inside, two names that
        are one after Unicode normalisation.
    ChangedWhileReadError
        Members came, went or changed while they were read.
    """
    listing = list_folder(folder)
    if listing.oddities:
        path, what = listing.oddities[0]
        msg = f"{folder} cannot be sealed: {show_path(path)} is {what}"
        raise UnsealableError(msg, hint="put the file itself there, or take the link away")
    if not listing.members:
        msg = f"{folder} holds no files, so there is nothing to seal"
        raise UnsealableError(msg, hint="seal it when the acquisition has written something")
    twins = _twins(member.path for member in listing.members)
    if twins:
        msg = f"{folder} cannot be sealed: {show_path(twins[0])} and {show_path(twins[1])} are the same name to Unicode"
        raise UnsealableError(msg, hint="rename one of them; some systems cannot keep both")
    digests = dict(_hash_members(folder, listing.members, progress))
    if list_folder(folder).members != listing.members:
        msg = f"{folder} changed while it was being read"
        raise ChangedWhileReadError(msg)
    prefix = os.fsencode(folder.name) + b"/"
    data = b"".join(_line(digests[member.path], prefix + member.path) for member in listing.members)
    if len(data) > MAX_INDEX_BYTES:
        msg = f"the index of {folder} would be {len(data)} bytes; at most {MAX_INDEX_BYTES} are allowed"
        raise LimitError(msg)
    return FolderIndex(data, len(listing.members), sum(member.size for member in listing.members), listing)


def confirm_unchanged(folder: Path, index: FolderIndex) -> None:
    """Raise ``ChangedWhileReadError`` if the folder's members are no longer those that were indexed."""
    if list_folder(folder).members != index.listing.members:
        msg = f"{folder} changed while it was being sealed"
        raise ChangedWhileReadError(msg)


def parse_index(data: bytes) -> dict[bytes, bytes]:
    """Read an index that somebody else wrote.

    Returns
    -------
    dict of bytes to bytes
        Path below the folder to SHA-256 digest; the common first part is taken off.

    Raises
    ------
    MalformedError
        Anything that ``docs/spec/folder-index.md`` does not allow, named.
    LimitError
    """
    if len(data) > MAX_INDEX_BYTES:
        msg = f"the index is {len(data)} bytes; at most {MAX_INDEX_BYTES} are accepted"
        raise LimitError(msg)
    if not data.endswith(b"\n"):
        msg = "the index does not end with a whole line" if data else "the index is empty"
        raise MalformedError(msg)
    if data.count(b"\n") > MAX_MEMBERS:
        msg = f"the index has more than {MAX_MEMBERS} lines"
        raise LimitError(msg)
    members: dict[bytes, bytes] = {}
    root = b""
    previous = b""
    for number, raw in enumerate(data[:-1].split(b"\n"), start=1):
        digest, whole = _parse_line(raw, number)
        first, _, path = whole.partition(b"/")
        root = root or first
        _check_path(whole, path, number)
        if first != root:
            msg = f"line {number} of the index names another folder, {show_path(first)}, than the lines before it"
            raise MalformedError(msg)
        if is_litter(os.fsdecode(path.rsplit(b"/", 1)[-1])):
            msg = f"line {number} of the index names {show_path(path)}, which is no part of any data"
            raise MalformedError(msg)
        if path in members:
            msg = f"line {number} of the index names {show_path(path)} twice"
            raise MalformedError(msg)
        if path < previous:
            msg = f"line {number} of the index is out of order"
            raise MalformedError(msg)
        members[path], previous = digest, path
    twins = _twins(members)
    if twins:
        msg = f"the index names {show_path(twins[0])} and {show_path(twins[1])}, which are the same name to Unicode"
        raise MalformedError(msg)
    return members


def compare_folder(folder: Path, indexed: dict[bytes, bytes], *, progress: Progress = SILENT) -> Differences:
    """Hash a folder's members and say how they differ from an index."""
    listing = list_folder(folder)
    present = {member.path: member for member in listing.members}
    odd = dict(listing.oddities)
    digests = dict(_hash_members(folder, listing.members, progress))
    changed = [path for path in present if path in indexed and digests[path] != indexed[path]]
    missing = [path for path in indexed if path not in present and path not in odd]
    extra = [path for path in present if path not in indexed]
    content = {digests[path]: path for path in reversed(extra)}
    renamed = [(path, content[indexed[path]]) for path in missing if indexed[path] in content]
    gone, come = {path for path, _ in renamed}, {path for _, path in renamed}
    return Differences(
        missing=tuple(show_path(path) for path in missing if path not in gone),
        extra=tuple(show_path(path) for path in extra if path not in come),
        changed=tuple(show_path(path) for path in changed),
        renamed=tuple((show_path(old), show_path(new)) for old, new in renamed),
        litter=tuple(show_path(path) for path in listing.litter),
        oddities=tuple((show_path(path), what) for path, what in sorted(odd.items())),
    )


def show_path(path: bytes) -> str:
    """Return a path for people: odd bytes and control characters are escaped."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _hash_members(folder: Path, members: tuple[Member, ...], progress: Progress) -> Iterator[tuple[bytes, bytes]]:
    root = os.fsencode(folder)
    progress.start(folder.name, sum(member.size for member in members))

    def hash_batch(batch: tuple[Member, ...]) -> list[tuple[bytes, bytes]]:
        return [(member.path, _hash_member(os.path.join(root, member.path))) for member in batch]  # noqa: PTH118

    # Hashing and reading both release the interpreter's lock, so threads use every core.
    batches = [members[start : start + _BATCH] for start in range(0, len(members), _BATCH)]
    try:
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            for batch, digests in zip(batches, pool.map(hash_batch, batches), strict=True):
                yield from digests
                progress.advance(sum(member.size for member in batch))
    finally:
        progress.finish()


def _hash_member(path: bytes) -> bytes:
    shown = show_path(path)
    # O_NOFOLLOW where there is one: a member swapped for a link after listing must not be followed.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
        try:
            before = os.fstat(descriptor)
            digest = hashlib.sha256()
            length = 0
            while chunk := os.read(descriptor, min(_READ_BYTES, before.st_size + 1)):
                digest.update(chunk)
                length += len(chunk)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise from_os_error(error, f"reading {shown}") from error
    if length != before.st_size or before.st_mtime_ns != after.st_mtime_ns or before.st_size != after.st_size:
        msg = f"{shown} changed while it was being read"
        raise ChangedWhileReadError(msg)
    return digest.digest()


def _line(digest: bytes, path: bytes) -> bytes:
    escaped = path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"\\" if escaped != path else b""
    return mark + digest.hex().encode() + b"  " + escaped + b"\n"


def _parse_line(raw: bytes, number: int) -> tuple[bytes, bytes]:
    match = _LINE.fullmatch(raw)
    if match is None:
        msg = f"line {number} of the index is not 64 hexadecimal digits, two spaces and a path"
        raise MalformedError(msg)
    mark, digest, path = match.groups()
    if mark:
        if re.search(rb"\\(?![\\nr])", re.sub(rb"\\\\", b"", path)):
            msg = f"line {number} of the index has an escape that sha256sum does not write"
            raise MalformedError(msg)
        path = re.sub(rb"\\[\\nr]", lambda found: _ESCAPES[found.group()], path)
    elif b"\r" in path:
        msg = f"line {number} of the index holds a carriage return that is not escaped, or ends as lines do on Windows"
        raise MalformedError(msg)
    return bytes.fromhex(digest.decode()), path


def _check_path(whole: bytes, path: bytes, number: int) -> None:
    parts = whole.split(b"/")
    if whole.startswith(b"/") or re.match(rb"[A-Za-z]:", whole):
        msg = f"line {number} of the index names an absolute path"
        raise MalformedError(msg)
    if not path or any(part in {b"", b".", b".."} for part in parts) or b"\0" in whole:
        msg = f"line {number} of the index names a path that does not stay inside one folder: {show_path(whole)}"
        raise MalformedError(msg)
    if os.name == "nt" and b"\\" in whole:
        msg = f"line {number} of the index names a path that this system would read differently: {show_path(whole)}"
        raise MalformedError(msg)


def _twins(paths: Iterable[bytes]) -> tuple[bytes, bytes] | None:
    """Return two paths that Unicode holds to be one name, if there are any."""
    names = list(paths)
    if all(map(bytes.isascii, names)):
        return None
    seen: dict[str, bytes] = {}
    for path in names:
        key = unicodedata.normalize("NFC", path.decode("utf-8", "surrogateescape"))
        if key in seen:
            return seen[key], path
        seen[key] = path
    return None
