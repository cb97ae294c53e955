"""The C2PA library, and the only module that imports it: sign a definition, ask for its word.

The traps that this module steps around were measured on c2pa-python 0.38.0 and
are kept from coming back by ``tests/unit/sealing/test_envelope_traps.py``:

* A sidecar is always signed as ``application/octet-stream`` with a digest
  computed by us, so the library's format handlers never touch the file.
* The network is off: remote manifests and OCSP are never fetched.
* Exceptions in a signing callback are swallowed by the library, so we keep them.
* A context does not survive ``fork``: contexts are made per process.
* What the library calls *trusted* is not asked: our own steps decide on trust.
"""

from __future__ import annotations

import functools
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from rawtrace.errors import EnvelopeError, KeyUnavailableError, LimitError
from rawtrace.sealing.assertions import CREATED_LABELS
from rawtrace.trust.certificates import EKU_DOCUMENT_SIGNING
from rawtrace.trust.keys import Algorithm

if TYPE_CHECKING:  # reading a seal opens no identity
    from rawtrace.trust.signer import Identity

OPAQUE = "application/octet-stream"
MAX_DEFINITION_BYTES = 1 << 20
MAX_GENERATIONS = 200
_TOO_DEEP = "exceeds maximum"

#: EKUs that the library shall let through; which of them count is decided by ``trust.path``.
_EKUS = "\n".join((EKU_DOCUMENT_SIGNING, "1.3.6.1.4.1.62558.2.1", "1.3.6.1.5.5.7.3.4"))
_ALGORITHMS = {Algorithm.ED25519: c2pa.C2paSigningAlg.ED25519, Algorithm.ES256: c2pa.C2paSigningAlg.ES256}

#: Library findings that other steps of ours decide on, with more knowledge than the library has.
_NOT_ITS_WORD = frozenset(
    {
        "signingCredential.untrusted",
        "signingCredential.invalid",
        "signingCredential.expired",
        "timeStamp.untrusted",
        "timeStamp.mismatch",
        "timeStamp.outsideValidity",
    }
)


@dataclass(frozen=True, slots=True)
class LibraryWord:
    """What the C2PA library says of a manifest store, as far as it is asked.

    Attributes
    ----------
    failures : tuple[str, ...]
        Failure codes of the active manifest that speak against its integrity.
    content_mismatch : bool
        Whether the data hash did not match; always so for a sidecar, whose
        asset the library is not shown.
    readable : bool
        False where the library refused to read the store; ``failures`` says why.
    """

    failures: tuple[str, ...]
    content_mismatch: bool
    readable: bool = True


def sign_sidecar(
    definition: Mapping[str, Any], signer: Identity, *, ancestors: Mapping[str, bytes] | None = None
) -> bytes:
    """Sign a definition that already holds the data hash.

    Parameters
    ----------
    definition : Mapping
        Manifest definition; at most 1 MiB as JSON.
    signer : Identity
    ancestors : Mapping of str to bytes
        Manifest stores of sealed ancestors, by the identifiers that the definition uses.

    Returns
    -------
    bytes
        The manifest store, to be written as the sidecar.

    Raises
    ------
    EnvelopeError, KeyUnavailableError, LimitError
    """
    return _sign(definition, signer, ancestors or {}, OPAQUE, io.BytesIO(b""), io.BytesIO())


def sign_embedded(
    definition: Mapping[str, Any],
    signer: Identity,
    source: Path,
    media_type: str,
    *,
    ancestors: Mapping[str, bytes] | None = None,
) -> tuple[bytes, bytes]:
    """Sign a PNG or JPEG with the manifest inside it.

    Returns
    -------
    store, sealed file : bytes
    """
    out = io.BytesIO()
    with source.open("rb") as stream:
        store = _sign(definition, signer, ancestors or {}, media_type, stream, out)
    return store, out.getvalue()


def sign_update(
    definition: Mapping[str, Any],
    signer: Identity,
    *,
    ancestors: Mapping[str, bytes],
    time_url: str = "",
    stamp_all: bool = False,
) -> bytes:
    """Sign an update manifest: about a seal, not about data, so it binds no bytes of its own.

    Parameters
    ----------
    definition : Mapping
        With exactly one ingredient, the ``parentOf``, whose store is among ``ancestors``.
    time_url : str
        Where the library asks for time stamps (RFC 3161): one over the new signature, and one over the
        parent's for a ``c2pa.time-stamp`` assertion. Without it the update states no trusted time.
    stamp_all : bool
        Also over the signatures of all that the parent was made from.

    Returns
    -------
    bytes
        The manifest store, with the older manifests in it.

    Raises
    ------
    EnvelopeError, KeyUnavailableError, LimitError
    """
    builder: dict[str, Any] = {"intent": "update"}
    if time_url:
        scope = "all" if stamp_all else "parent"
        # Another store's stamp is no reason to make none: a reader may trust the one clock and not the other.
        builder["auto_timestamp_assertion"] = {"enabled": True, "fetch_scope": scope, "skip_existing": False}
    context = c2pa.Context.from_dict(_settings("", **builder))
    signing = _Signing(media_type=OPAQUE, source=io.BytesIO(b""), out=io.BytesIO(), context=context, time_url=time_url)
    return _sign_as(definition, signer, ancestors, signing)


def library_word(store: bytes | None, *, asset: IO[bytes] | None = None, media_type: str = OPAQUE) -> LibraryWord:
    """Ask the library to check signature, assertions and ingredients of a manifest store.

    Parameters
    ----------
    store : bytes or None
        A sidecar's bytes; ``None`` where the manifest is inside ``asset``.
    asset : binary stream, optional
        Left out for sidecars: the content is compared by ``sealing.binding`` instead.
    """
    try:
        reader = c2pa.Reader(media_type, asset or io.BytesIO(b""), manifest_data=store, context=_reading_context())
        active = (reader.get_validation_results() or {}).get("activeManifest", {})
    except (c2pa.C2paError, ValueError, TypeError) as error:
        return LibraryWord((_first_line(error),), content_mismatch=False, readable=False)
    codes = [failure["code"] for failure in active.get("failure", [])]
    mismatch = any(code.startswith("assertion.dataHash") for code in codes)
    kept = [code for code in codes if code not in _NOT_ITS_WORD and not code.startswith("assertion.dataHash")]
    return LibraryWord(tuple(kept), mismatch)


def describe_ancestor(
    store: bytes, *, label: str, title: str, media_type: str, relationship: str, anchors: Sequence[x509.Certificate]
) -> dict[str, Any]:
    """Return the ingredient part of a definition for an ancestor with a sidecar or embedded seal.

    Parameters
    ----------
    label : str
        Name that the definition's actions use for this ingredient.
    anchors : Sequence of certificates
        What the signer itself trusts; recorded by the library in the ingredient's validation results.
    """
    try:
        context = _context(_pem(anchors))
        reader = c2pa.Reader(OPAQUE, io.BytesIO(b""), manifest_data=store, context=context)
        results = _without_content_mismatch(reader.get_validation_results() or {})
        active = json.loads(reader.json())["active_manifest"]
    except (c2pa.C2paError, ValueError, KeyError, TypeError) as error:
        if _TOO_DEEP in str(error):
            raise _too_deep() from error
        msg = f"the seal of {title} cannot be taken in as an ancestor: {_first_line(error)}"
        raise EnvelopeError(msg, hint=f"look at it with: rawtrace verify {title}") from error
    return {
        "title": title,
        "format": media_type,
        "relationship": relationship,
        "label": label,
        "active_manifest": active,
        "validation_results": results,
        "manifest_data": {"format": "application/c2pa", "identifier": f"{label}.c2pa"},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signing:
    """Where the library reads and writes, and by which settings."""

    media_type: str
    source: IO[bytes]
    out: IO[bytes]
    context: c2pa.Context
    time_url: str = ""


def _sign(
    definition: Mapping[str, Any],
    signer: Identity,
    ancestors: Mapping[str, bytes],
    media_type: str,
    source: IO[bytes],
    out: IO[bytes],
) -> bytes:
    signing = _Signing(media_type=media_type, source=source, out=out, context=_reading_context())
    return _sign_as(definition, signer, ancestors, signing)


def _sign_as(
    definition: Mapping[str, Any], signer: Identity, ancestors: Mapping[str, bytes], signing: _Signing
) -> bytes:
    text = json.dumps(definition)
    if len(text) >= MAX_DEFINITION_BYTES:
        msg = f"what the seal would say is {len(text)} bytes; at most {MAX_DEFINITION_BYTES} fit into a C2PA definition"
        raise LimitError(msg, hint="seal fewer ancestors at once")
    kept: list[Exception] = []
    try:
        builder = c2pa.Builder(text, signing.context)
        if signing.media_type == OPAQUE:
            builder.set_no_embed()
        for identifier, store in ancestors.items():
            builder.add_resource(identifier, io.BytesIO(store))
        with _library_signer(signer, kept, signing.time_url) as native:
            store = bytes(builder.sign(native, signing.media_type, signing.source, signing.out))
    except (c2pa.C2paError, ValueError, TypeError) as error:
        if kept:
            msg = f"the key of {signer.folder} did not sign: {kept[0]}"
            raise KeyUnavailableError(msg) from kept[0]
        msg = f"the C2PA library did not sign: {_first_line(error)}"
        raise EnvelopeError(msg) from error
    # The library signs one generation more than it reads.
    word = library_word(store)
    if _TOO_DEEP in "".join(word.failures):
        raise _too_deep()
    if word.failures:
        msg = f"the C2PA library does not accept the seal that it made: {', '.join(word.failures)}"
        raise EnvelopeError(msg, hint="this is a bug in rawtrace or in the C2PA library; please report it")
    return store


def _too_deep() -> LimitError:
    msg = f"the chain of ancestors is {MAX_GENERATIONS} seals deep, the most that C2PA allows"
    return LimitError(msg, hint="name an ancestor that is nearer to the raw data")


def _library_signer(signer: Identity, kept: list[Exception], time_url: str = "") -> c2pa.Signer:
    chain = _pem(signer.chain)
    algorithm = _ALGORITHMS[signer.key.algorithm]
    inside = signer.key.pkcs8_pem()
    if inside is not None:
        # A callback would reserve 10 kB of padding in every seal.
        return c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, chain.encode(), inside, time_url or None))

    def sign_in_token(data: bytes) -> bytes:
        try:
            return signer.key.sign(bytes(data))
        except Exception as error:
            kept.append(error)
            raise

    return c2pa.Signer.from_callback(sign_in_token, algorithm, chain, time_url or None)


def _reading_context() -> c2pa.Context:
    return _context_in_process(os.getpid(), "")


def _context(anchors_pem: str) -> c2pa.Context:
    return _context_in_process(os.getpid(), anchors_pem)


@functools.lru_cache(maxsize=8)
def _context_in_process(_process: int, anchors_pem: str) -> c2pa.Context:
    return c2pa.Context.from_dict(_settings(anchors_pem))


def _settings(anchors_pem: str, **builder: Any) -> dict[str, Any]:
    trust: dict[str, Any] = {"trust_config": _EKUS}
    if anchors_pem:
        trust["anchors"] = [
            {"trust_anchors": anchors_pem, "trust_uri": "urn:rawtrace:signer", "trust_kind": "manifest"}
        ]
    return {
        "trust": trust,
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
        "builder": {
            "thumbnail": {"enabled": False},
            "created_assertion_labels": list(CREATED_LABELS),
            **builder,
        },
    }


def _without_content_mismatch(results: dict[str, Any]) -> dict[str, Any]:
    """Take out the one failure that comes of not showing the library the asset; our own digest stands for it."""
    active = results.get("activeManifest", {})
    failures = [f for f in active.get("failure", []) if not f["code"].startswith("assertion.dataHash")]
    return {**results, "activeManifest": {**active, "failure": failures}}


def _pem(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in certificates)


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
