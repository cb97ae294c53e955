"""Name constraints: an authority may certify only the names that it was given.

RFC 5280 §4.2.1.10 and §6.1.3(b, c), §6.1.4(g). Constraints are honoured whether
they are marked critical or not, on every authority of the path and on the listed
anchor itself. Comparison errs to the strict side: a name that cannot be compared
with a constraint of its kind is outside what is permitted *and* inside what is
excluded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from rawtrace.trust.certfacts import ODD, Facts
from rawtrace.trust.certrules import PathProblem

# The product of names and constraints grows with the square of what a stranger sends.
_MAX_COMPARISONS = 100_000
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
_IP_HOST = re.compile(r"[0-9.]+")

_Matcher = Callable[[Any, Any, bool], bool]


def constraint_problems(path: Sequence[Facts]) -> Iterator[PathProblem]:
    """Compare each certificate's names with the constraints of all authorities above it.

    Parameters
    ----------
    path : Sequence[Facts]
        Leaf first, anchor last.

    Yields
    ------
    PathProblem
        ``name-not-permitted``, ``name-excluded``, ``name-constraint-unsupported`` or
        ``name-constraints-too-many``.
    """
    left = _MAX_COMPARISONS
    names: dict[int, tuple[x509.GeneralName, ...]] = {}
    for above in range(1, len(path)):
        extension = path[above].extension(x509.NameConstraints)
        if extension is None:
            continue
        permitted = tuple(extension.value.permitted_subtrees or ())
        excluded = tuple(extension.value.excluded_subtrees or ())
        for below in range(above):
            # §6.1.3(b): a self-issued certificate (a renewed key, say) is free of them unless it is the leaf.
            if below and path[below].self_issued:
                continue
            if below not in names:
                names[below] = _names_of(path[below])
            left -= len(names[below]) * (len(permitted) + len(excluded))
            if left < 0:
                said = "the names and name constraints of this path are too many to compare"
                yield PathProblem("name-constraints-too-many", said)
                return
            for name in names[below]:
                yield from _compare(name, permitted, excluded, path[below].label, path[above].label)


def _compare(
    name: x509.GeneralName,
    permitted: Sequence[x509.GeneralName],
    excluded: Sequence[x509.GeneralName],
    who: str,
    by: str,
) -> Iterator[PathProblem]:
    kind = type(name)
    allowed = [one for one in permitted if type(one) is kind]
    refused = [one for one in excluded if type(one) is kind]
    if not allowed and not refused:
        return
    matcher = _MATCHERS.get(kind)
    if matcher is None:
        # §4.2.1.10: a constraint on a kind of name that we cannot process, and such a name is there.
        said = f"the certificate ({who}) has a name of a kind that ({by}) constrains and that cannot be compared"
        yield PathProblem("name-constraint-unsupported", said)
        return
    if allowed and not any(matcher(name.value, one.value, False) for one in allowed):
        said = f"the certificate ({who}) has a name that its authority ({by}) is not permitted to certify"
        yield PathProblem("name-not-permitted", said)
    if any(matcher(name.value, one.value, True) for one in refused):
        said = f"the certificate ({who}) has a name that its authority ({by}) is excluded from certifying"
        yield PathProblem("name-excluded", said)


def _names_of(facts: Facts) -> tuple[x509.GeneralName, ...]:
    found: list[x509.GeneralName] = []
    alternative = facts.extension(x509.SubjectAlternativeName)
    if alternative is not None:
        found.extend(alternative.value)
    try:
        subject = facts.certificate.subject
        if subject.rdns:
            found.append(x509.DirectoryName(subject))
        # §4.2.1.10 asks for this where there is no alternative name; a stray address in the subject must not slip by.
        for attribute in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
            found.append(x509.RFC822Name(str(attribute.value)))  # noqa: PERF401 - may raise half way
    except ODD:
        found.append(x509.RFC822Name("unreadable"))
    return tuple(found)


def _host_within(host: str, constraint: str, *, whole: bool) -> bool:
    """Tell whether ``host`` is ``constraint`` or below it; a leading dot means below only, ``whole`` exactly it."""
    if constraint.startswith("."):
        return host.endswith(constraint) and len(host) > len(constraint)
    return host == constraint or (not whole and host.endswith("." + constraint))


def _dns(name: str, constraint: str, excluding: bool) -> bool:
    host, limit = name.lower().rstrip("."), constraint.lower().rstrip(".")
    bare = host.removeprefix("*.")
    if not _HOST.fullmatch(bare):
        return excluding
    if not limit:
        return True
    if not excluding:
        return _host_within(bare if bare == host else f"x.{bare}", limit, whole=False)
    limit = limit.removeprefix(".")
    # A wildcard may stand for the excluded host itself.
    covers = bare != host and limit.endswith("." + bare)
    return covers or _host_within(bare, limit, whole=False)


def _email(name: str, constraint: str, excluding: bool) -> bool:
    local, at, host = name.rpartition("@")
    host, limit = host.lower(), constraint.lower()
    if not at or not local or "@" in local or not _HOST.fullmatch(host):
        return excluding
    if "@" in limit:
        wanted_local, _, wanted_host = constraint.rpartition("@")
        same = local.lower() == wanted_local.lower() if excluding else local == wanted_local
        return same and host == wanted_host.lower()
    return not limit or _host_within(host, limit, whole=True)


def _uri(name: str, constraint: str, excluding: bool) -> bool:
    host = _uri_host(name)
    if host is None:
        # §4.2.1.10: a URI without a host name must be refused when URIs are constrained.
        return excluding
    limit = constraint.lower().rstrip(".")
    return not limit or _host_within(host, limit, whole=True)


def _uri_host(uri: str) -> str | None:
    """Return the host name, or ``None`` for an address, no host, or a URI that programs read differently."""
    if not _URI.fullmatch(uri):
        return None
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return None
    host = (host or "").rstrip(".")
    if "." not in host or _IP_HOST.fullmatch(host) or not _HOST.fullmatch(host):
        return None
    return host


def _directory(name: x509.Name, constraint: x509.Name, excluding: bool) -> bool:
    del excluding
    wanted, have = _canonical(constraint), _canonical(name)
    return have[: len(wanted)] == wanted


def _canonical(name: x509.Name) -> list[frozenset[tuple[str, str | bytes]]]:
    """Return a name as RFC 5280 §7.1 compares it: letter case and runs of spaces do not matter."""
    return [
        frozenset(
            (
                attribute.oid.dotted_string,
                " ".join(unicodedata.normalize("NFKC", attribute.value).casefold().split())
                if isinstance(attribute.value, str)
                else attribute.value,
            )
            for attribute in rdn
        )
        for rdn in name.rdns
    ]


def _address(name: Any, constraint: Any, excluding: bool) -> bool:
    if not isinstance(name, (IPv4Address, IPv6Address)) or not isinstance(constraint, (IPv4Network, IPv6Network)):
        return excluding
    return name in constraint


_MATCHERS: dict[type[x509.GeneralName], _Matcher] = {
    x509.DNSName: _dns,
    x509.RFC822Name: _email,
    x509.UniformResourceIdentifier: _uri,
    x509.DirectoryName: _directory,
    x509.IPAddress: _address,
}
