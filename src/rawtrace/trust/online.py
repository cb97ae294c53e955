"""Trust lists and receipts from a store's address. Imported only where somebody asked for the network.

What counts in a list is its operator's signature, and the operator is known by
a digest: one that the reader names (``URL#sha256=…``), or has accepted before.
The connection adds nothing to that; it is https, and a store whose certificate
no public authority signed is named with its key: ``URL#sha256=…&key=…``.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from rawtrace.errors import NetworkError, RefusedError, TrustListError, UsageError
from rawtrace.trust import sources, truststore
from rawtrace.trust.patience import within
from rawtrace.trust.sources import MAX_BUNDLE_BYTES, Carried
from rawtrace.web import Answer, Caller, Web, check_address, key_sha256

#: Where a store publishes its list.
LIST_PATH = "trust-list"
MAX_RECEIPT_BYTES = 1 << 20
BUDGET_S = 30.0
WAIT_S = 10.0
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CLAIM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a list is, and what it is known by.

    Attributes
    ----------
    url : str
        Of the list itself.
    operator_sha256 : str
        SHA-256 of the operator's topmost certificate; empty if not said.
    key_sha256 : str
        SHA-256 of the server's public key; empty where public authorities certify it.
    """

    url: str
    operator_sha256: str = ""
    key_sha256: str = ""

    @property
    def text(self) -> str:
        """The address as it is written down; ``read_address`` reads it again."""
        pins = [("sha256", self.operator_sha256), ("key", self.key_sha256)]
        fragment = "&".join(f"{name}={digest}" for name, digest in pins if digest)
        return f"{self.url}#{fragment}" if fragment else self.url


def read_address(text: str) -> Address:
    """Read ``URL``, ``URL#sha256=…`` or ``URL#sha256=…&key=…``.

    Raises
    ------
    UsageError
    """
    url, _, fragment = text.partition("#")
    check_address(url)
    pins: dict[str, str] = {}
    for part in fragment.split("&") if fragment else ():
        name, _, digest = part.partition("=")
        if name not in {"sha256", "key"} or name in pins or not _DIGEST.fullmatch(digest.lower()):
            msg = f"{part[:80]!r} after the address is not sha256= or key= with 64 hexadecimal digits"
            raise UsageError(msg)
        pins[name] = digest.lower()
    if "?" in url:
        msg = f"{url} is not the plain address of a store or a list"
        raise UsageError(msg)
    last = url.rstrip("/").rpartition("/")[2]
    if last != LIST_PATH and not last.endswith((".jws", ".json")):
        url = f"{url.rstrip('/')}/{LIST_PATH}"
    return Address(url=url, operator_sha256=pins.get("sha256", ""), key_sha256=pins.get("key", ""))


def fetch(address: Address | str, *, accepted: Collection[str] = (), budget_s: float = BUDGET_S) -> tuple[Carried, ...]:
    """Fetch the signed lists at an address whose operator is known.

    Parameters
    ----------
    address : Address or str
    accepted : Collection[str]
        Digests of operators that count besides the one in the address, which counts alone where it is named.

    Raises
    ------
    UsageError, NetworkError, RefusedError, LimitError
    TrustListError
        No list there, or none by an operator that is known.
    """
    named = read_address(address) if isinstance(address, str) else address
    wanted = {named.operator_sha256} if named.operator_sha256 else set(accepted)
    if not wanted:
        msg = f"{named.url} is an address, and no operator of a list there is known yet"
        raise UsageError(msg, hint="name the operator's digest after it, as URL#sha256=…, or: rawtrace trust add URL")
    found = fetch_any(named, budget_s=budget_s)
    kept = tuple(one for one in found if one.trust_list.operator_sha256 in wanted)
    if not kept:
        operator = found[0].trust_list.operator_sha256
        expected = f"expected {named.operator_sha256}" if named.operator_sha256 else "which was not accepted before"
        msg = f"the list at {named.url} is signed by the operator {operator}, {expected}"
        hint = f"compare the digest with what the operator publishes, then: rawtrace trust add {named.url}#sha256=…"
        raise TrustListError(msg, hint=hint)
    return kept


def fetch_any(address: Address, *, budget_s: float = BUDGET_S) -> tuple[Carried, ...]:
    """Fetch the signed lists at an address, whoever signed them: for showing, never for trusting."""
    answer = _get(address.url, address.key_sha256, limit=MAX_BUNDLE_BYTES, budget_s=budget_s)
    return sources.read_bytes(answer.body, what=address.url, origin=address.text, require_signature=True)


def fetcher(*, accepted: Collection[str] | None = None) -> Callable[[str], tuple[Carried, ...]]:
    """Return what ``truststore`` fetches addresses with: the operators of the user's own store count.

    Parameters
    ----------
    accepted : Collection[str], optional
        Other operators than those of the user's store.
    """
    operators = known_operators() if accepted is None else frozenset(accepted)
    return lambda text: fetch(text, accepted=operators)


def known_operators() -> frozenset[str]:
    """Return the operators whose signed lists the user's store holds."""
    entries = (entry.carried for entry in truststore.listed())
    return frozenset(one.trust_list.operator_sha256 for one in entries if one is not None and one.trust_list.signed)


def fetch_receipt(store_url: str, claim_sha256: str, *, server_key: str = "", budget_s: float = BUDGET_S) -> bytes:
    """Fetch a seal's receipts from a store; they prove themselves, so the store need not be trusted.

    Raises
    ------
    UsageError, NetworkError, RefusedError, LimitError
    """
    check_address(store_url)
    if not _CLAIM.fullmatch(claim_sha256):
        msg = "a seal's claim is named by 64 hexadecimal digits"
        raise UsageError(msg)
    url = f"{store_url.rstrip('/')}/log/receipts/{claim_sha256}"
    return _get(url, server_key, limit=MAX_RECEIPT_BYTES, budget_s=budget_s).body


def shown_key(url: str) -> str:
    """Return the SHA-256 of the key that the server at an address shows: for showing, never for trusting.

    Raises
    ------
    UsageError, NetworkError
    """
    check_address(url)
    parts = urlsplit(url)
    if parts.scheme != "https":
        msg = f"{url} has no key; expected https"
        raise UsageError(msg)
    try:
        pem = ssl.get_server_certificate((parts.hostname or "", parts.port or 443), timeout=WAIT_S)
        return key_sha256(ssl.PEM_cert_to_DER_cert(pem))
    except (OSError, ValueError) as error:
        msg = f"{url} does not answer: {error}"
        raise NetworkError(msg) from error


def _get(url: str, server_key: str, *, limit: int, budget_s: float) -> Answer:
    with Web(Caller(server_key_sha256=server_key, timeout_s=min(WAIT_S, budget_s))) as web:
        answer = within(budget_s, lambda: web.get(url, limit=limit, accept="application/jose, */*;q=0.5"))
    if answer is None:
        msg = f"{url} does not answer: it takes too long"
        raise NetworkError(msg)
    if answer.status != 200:
        msg = f"{url} answers with the status {answer.status}; expected 200"
        raise RefusedError(msg)
    return answer
