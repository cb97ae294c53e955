"""Identifiers in the forms that rawtrace accepts: ROR for organisations, PIDs for instruments."""

from __future__ import annotations

import re
import uuid

from rawtrace.errors import IdentityRecordError

MAX_PID = 300
_ROR_PREFIX = "https://ror.org/"
_ROR_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_ROR = re.compile(r"0[0-9a-hj-km-np-tv-z]{6}[0-9]{2}")
_URI_PATH = r"[A-Za-z0-9\-._~%!$&'()*+,;=:@/]"
_HANDLE = re.compile(rf"https://hdl\.handle\.net/[0-9]+(?:\.[0-9A-Za-z\-]+)*/{_URI_PATH}+")
_DOI = re.compile(rf"https://doi\.org/10\.[0-9]{{4,9}}(?:\.[0-9]+)*/{_URI_PATH}+")
_URL = re.compile(
    rf"https://(?:[a-z0-9](?:[a-z0-9\-]{{0,61}}[a-z0-9])?\.)+[a-z][a-z0-9\-]{{0,61}}[a-z0-9]/{_URI_PATH}+"
)
_SHORT = {"hdl:": "https://hdl.handle.net/", "doi:": "https://doi.org/"}


def ror(text: str) -> str:
    """Return a ROR as its URL, ``https://ror.org/0exampe44``, after checking its check digits.

    Parameters
    ----------
    text : str
        The URL, with or without ``https://``, or the nine characters alone.

    Raises
    ------
    IdentityRecordError
        Not of that form, or the last two digits are not ISO 7064 mod 97-10
        over the seven characters before them: usually a slip in typing.
    """
    short = text.strip().lower().removeprefix("https://").removeprefix("http://").removeprefix("ror.org/")
    if not _ROR.fullmatch(short):
        msg = f"{_quoted(text)} is not a ROR; expected the form https://ror.org/0exampe44"
        raise IdentityRecordError(msg, hint="look your organisation up at https://ror.org and copy its identifier")
    number = 0
    for character in short[:7]:
        number = number * 32 + _ROR_ALPHABET.index(character)
    if 98 - (number * 100) % 97 != int(short[7:]):
        msg = f"the check digits of the ROR {_quoted(text)} do not fit; expected an identifier as ror.org gives it"
        raise IdentityRecordError(msg, hint="look for two characters that changed places, or copy it again")
    return _ROR_PREFIX + short


def pid(text: str) -> tuple[str, str]:
    """Return a PID as a URI and the name of its kind.

    Parameters
    ----------
    text : str
        A handle (``hdl:20.500.12345/abc`` or its URL), a DOI, another https
        address with a path, or ``urn:uuid:``.

    Returns
    -------
    tuple[str, str]
        The URI, and ``Handle``, ``DOI``, ``URL`` or ``URN``.

    Raises
    ------
    IdentityRecordError
        Any other form: no port, account, query or fragment; at most 300 ASCII characters.
    """
    uri = text.strip()
    for short, full in _SHORT.items():
        if uri.lower().startswith(short):
            uri = full + uri[len(short) :]
    kind = _kind_of(uri) if len(uri) <= MAX_PID else ""
    if not kind:
        msg = (
            f"{_quoted(text)} is not a PID that rawtrace takes; expected a handle or DOI address such as "
            "https://hdl.handle.net/20.500.12345/abc, another plain https address, or urn:uuid:"
        )
        raise IdentityRecordError(msg, hint="leave the PID out, and a urn:uuid: is made for you")
    return uri, kind


def new_pid() -> str:
    """Mint a PID for something that no registry knows: a random ``urn:uuid:``."""
    return uuid.uuid4().urn


def host_of(uri: str) -> str:
    """Return the host of an https PID; empty for a URN."""
    return uri.removeprefix("https://").partition("/")[0] if uri.startswith("https://") else ""


def host_is_in(host: str, name_space: str) -> bool:
    """Tell whether a host is a name space, or lies below one that begins with a dot (RFC 5280, 4.2.1.10)."""
    return bool(host) and (host.endswith(name_space) if name_space.startswith(".") else host == name_space)


def _kind_of(uri: str) -> str:
    if uri.startswith("urn:uuid:"):
        try:
            return "URN" if uuid.UUID(uri).urn == uri else ""
        except ValueError:
            return ""
    host = host_of(uri)
    if host == "hdl.handle.net":
        return "Handle" if _HANDLE.fullmatch(uri) else ""
    if host == "doi.org":
        return "DOI" if _DOI.fullmatch(uri) else ""
    return "URL" if _URL.fullmatch(uri) else ""


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "...")
