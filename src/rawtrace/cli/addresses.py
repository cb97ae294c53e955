"""Addresses that people name: what is behind one is shown and confirmed before it counts."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from rawtrace.cli import output
from rawtrace.errors import UsageError
from rawtrace.trust import sources


def confirmed(named: Sequence[str]) -> tuple[str, ...]:
    """Return sources with the operator's digest in each address, after a person has confirmed new ones.

    Raises
    ------
    UsageError
        Nobody is there to ask, or the answer was no.
    """
    return tuple(_with_operator(one) if sources.address_of(one) else one for one in named)


def confirmed_key(url: str, key_sha256: str) -> str:
    """Return the digest of the key that a server is to be known by, after a person has confirmed it."""
    if key_sha256:
        return key_sha256
    from rawtrace.trust.online import shown_key

    found = shown_key(url)
    _confirm(
        f"the server at {url} shows a key with the SHA-256\n  {found}\nIs this what its operator publishes?",
        refusal=f"the key of {url} is not known; nobody is here to compare it",
        hint=f"compare it with what the operator publishes, then name it: {url}#key={found}",
    )
    return found


def split(text: str, key_sha256: str = "") -> tuple[str, str]:
    """Return the address of a store and the digest that its server is known by, from ``URL#…`` or from an option.

    Raises
    ------
    UsageError
        Not an address, or two keys.
    """
    url, mark, _ = text.partition("#")
    if not mark:
        return url.rstrip("/"), key_sha256.lower()
    from rawtrace.trust.online import read_address

    named = read_address(text).key_sha256
    if key_sha256 and named and named != key_sha256.lower():
        msg = f"two keys are named for the server at {url}"
        raise UsageError(msg)
    return url.rstrip("/"), key_sha256.lower() or named


def _with_operator(text: str) -> str:
    from rawtrace.trust import online

    address = online.read_address(text)
    if address.operator_sha256:
        return address.text
    found = online.fetch_any(address)
    operators = {one.trust_list.operator_sha256: one.trust_list for one in found}
    if len(operators) != 1:
        msg = f"the lists at {address.url} are by {len(operators)} operators; expected one"
        raise UsageError(msg, hint=f"name the one you want: {address.url}#sha256=…")
    ((digest, trust_list),) = operators.items()
    pinned = online.Address(url=address.url, operator_sha256=digest, key_sha256=address.key_sha256)
    if digest in online.known_operators():
        return pinned.text
    _confirm(
        f"the list “{trust_list.name}” at {address.url} is signed by {trust_list.operator}, with the SHA-256\n"
        f"  {digest}\nIs this what the operator publishes?",
        refusal=f"the operator of the list at {address.url} is not known; nobody is here to compare its digest",
        hint=f"compare it with what the operator publishes, then name it: {pinned.text}",
    )
    return pinned.text


def _confirm(question: str, *, refusal: str, hint: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(refusal, hint=hint)
    output.note(question)
    if not click.confirm("take it", default=False, err=True):
        msg = "it was not taken"
        raise UsageError(msg)
