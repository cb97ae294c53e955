"""The names of handles: ``prefix/suffix``, as text, inside a PID and inside an address.

A prefix is compared without regard to the case of ASCII letters, a suffix as it
is written. Names that could mean another thing inside an address (control
characters, ``.`` and ``..`` between slashes) are not taken at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from rawtrace.errors import MalformedError

MAX_HANDLE_BYTES = 1024
#: Prefix of the records about prefixes, and name of the root service.
PREFIX_RECORDS = "0.NA"
ROOT_SERVICE = "0.NA/0.NA"

_PREFIX = re.compile(r"[0-9A-Za-z_\-]+(?:\.[0-9A-Za-z_\-]+)*")
_PID_HOSTS = ("https://hdl.handle.net/", "https://doi.org/")
_UPPER = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}
#: What RFC 3986 lets stand in a path as it is.
_SAFE = "/-._~!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class Handle:
    """One handle.

    Attributes
    ----------
    prefix, suffix : str
        As they were written.
    """

    prefix: str
    suffix: str

    @property
    def text(self) -> str:
        """The whole handle."""
        return f"{self.prefix}/{self.suffix}"

    @property
    def path(self) -> str:
        """The handle inside an address, percent-encoded where it must be."""
        return f"{self.prefix}/{quote(self.suffix, safe=_SAFE)}"

    @property
    def key(self) -> str:
        """What equal handles have in common."""
        # The suffix of a prefix's record is itself a prefix.
        suffix = upper(self.suffix) if upper(self.prefix) == PREFIX_RECORDS else self.suffix
        return f"{upper(self.prefix)}/{suffix}"

    def same_as(self, other: Handle) -> bool:
        """Whether both name the same record."""
        return self.key == other.key


def read_handle(text: str) -> Handle:
    """Read a handle.

    Raises
    ------
    MalformedError
        No prefix or no suffix, too long, characters that cannot be printed, ``.`` or ``..`` as a part.
    """
    prefix, slash, suffix = text.partition("/")
    if not slash or not suffix or not _PREFIX.fullmatch(prefix):
        msg = f"{_shown(text)} is not a handle; expected the form 20.500.12345/abc"
        raise MalformedError(msg)
    if not suffix.isprintable() or len(text.encode("utf-8", "surrogatepass")) > MAX_HANDLE_BYTES:
        msg = f"{_shown(text)} cannot be a handle: it is too long or has characters that cannot be printed"
        raise MalformedError(msg)
    if any(part in {".", ".."} for part in re.split(r"[/\\]", suffix)):
        msg = f"{_shown(text)} cannot be a handle here: it has a part that is '.' or '..'"
        raise MalformedError(msg)
    return Handle(prefix, suffix)


def handle_of(pid: str) -> Handle | None:
    """Return the handle in a PID that is a handle or a DOI; None for other PIDs and for odd ones."""
    for host in _PID_HOSTS:
        if pid.startswith(host):
            try:
                return read_handle(unquote_to_bytes(pid.removeprefix(host)).decode())
            except (UnicodeDecodeError, MalformedError):
                return None
    return None


def prefix_record(prefix: str) -> Handle:
    """Return the handle of the record about a prefix."""
    return Handle(PREFIX_RECORDS, prefix)


def parents(prefix: str) -> tuple[str, ...]:
    """Return the prefixes that a derived prefix comes from, nearest first; none for one without a dot."""
    parts = prefix.split(".")
    return tuple(".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))


def same_prefix(one: str, other: str) -> bool:
    """Compare prefixes without regard to the case of ASCII letters, and of no other letters."""
    return upper(one) == upper(other)


def upper(text: str) -> str:
    """Make ASCII letters upper case, as the Handle System compares them."""
    return text.translate(_UPPER)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
