"""Where an instrument is found on this server: from its PID to an address, and back without doubt.

A handle stands as it is, ``/instruments/20.500.12345/abc``; a DOI as ``doi:10.…``, a URN as itself,
and another PID percent-encoded. Where a PID holds what an address would lose or take for something
else (``//``, ``/../``, an ending such as ``/history``), its slashes are percent-encoded too. What
comes after is read from the address as it was sent: decoded, the two could not be told apart.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from rawtrace.errors import IdentityRecordError
from rawtrace.server.problems import Problem
from rawtrace.trust import identifiers

ROOT = "/instruments"
#: What may follow on an instrument's address.
PARTS = ("history", "lifecycle", "seals")
_HANDLE, _DOI = "https://hdl.handle.net/", "https://doi.org/"
_UNTOUCHED = "-._~!$&'()*+,;=:@"


def address_of(pid: str) -> str:
    """Return the address of an instrument on this server, beginning with a slash."""
    if pid.startswith(_HANDLE):
        short = pid.removeprefix(_HANDLE)
    elif pid.startswith(_DOI):
        short = "doi:" + pid.removeprefix(_DOI)
    else:
        short = pid
    pieces = short.split("/")
    plain = not short.startswith("https:") and not {"", ".", ".."} & set(pieces) and pieces[-1] not in PARTS
    return f"{ROOT}/{quote(short, safe=_UNTOUCHED + '/' if plain else _UNTOUCHED)}"


def read_address(raw_path: str) -> tuple[str, str]:
    """Return the PID in full and the part that is asked for, from an address as it was sent.

    Raises
    ------
    Problem
        404: no PID can be read from it.
    """
    sent = raw_path.removeprefix(f"{ROOT}/")
    head, _, last = sent.rpartition("/")
    part = last if head and last in PARTS else ""
    try:
        text = unquote(head if part else sent, errors="strict")
        if text[:1].isdigit():
            text = _HANDLE + text
        elif text.startswith("https:/") and not text.startswith("https://"):
            # On the way here, two slashes were made one.
            text = "https://" + text.removeprefix("https:/")
        return identifiers.pid(text)[0], part
    except (UnicodeDecodeError, IdentityRecordError) as error:
        msg = "there is no instrument at this address: it names no PID"
        raise Problem(404, msg, hint="a handle stands as /instruments/20.500.12345/abc") from error
