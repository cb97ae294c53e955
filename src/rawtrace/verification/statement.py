"""Step 8: may this signer state what the seal states, and does it agree with its certificate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography import x509

from rawtrace.errors import Error
from rawtrace.report import Finding
from rawtrace.sealing import assertions
from rawtrace.sealing.assertions import ACQUISITION, INPUTS, INSTRUMENT
from rawtrace.sealing.manifest import Manifest
from rawtrace.trust import instruments
from rawtrace.trust.certificates import SignerKind, key_protection, name_of, pid_of, record_digest_of, signer_kind
from rawtrace.trust.keys import Protection
from rawtrace.verification.evidence import KNOWN_SOURCE_TYPES, actions, plain, source_types, statement
from rawtrace.verification.findings import finding
from rawtrace.verification.signer import SignerEvidence

#: The kind whose records need the fewest fields; which of them a kind needs was the authority's to ask.
_LENIENT = SignerKind.WORKSTATION


def check_statement(signer: SignerEvidence) -> Iterator[Finding]:
    """Step 8: may this signer say this, and does it agree with its certificate."""
    manifest, leaf = signer.manifest, signer.leaf
    instrument, acquisition = statement(manifest, INSTRUMENT), statement(manifest, ACQUISITION)
    kind = signer_kind(leaf) if leaf is not None else None
    faults = tuple(_check_kind(kind, manifest))
    yield from faults
    if manifest.is_update and kind is SignerKind.REPOSITORY and not instrument:
        yield finding("counter-signed", f"{name_of(leaf) if leaf else 'a repository'} counter-signed the seal")
    elif not instrument:
        yield finding("statement-missing", "the seal holds no statement about the instrument that the signer attests")
    else:
        contradictions = tuple(_contradictions(instrument, leaf, kind))
        for message in contradictions:
            yield finding("statement-contradicts-certificate", message)
        if kind is None:
            message = "the seal says who signed it and as what, which the certificate does not say"
            yield finding("statement-unbacked", message)
        elif leaf is not None and not record_digest_of(leaf):
            message = "the seal says more of the instrument than the certificate, which is bound to no record"
            yield finding("statement-unbacked", message)
        elif not contradictions and not faults:
            yield finding(
                "statement-fits", f"the certificate allows what the seal states: {_stated(manifest) or 'nothing'}"
            )
    if not manifest.is_update:
        yield from _check_assurance(kind, leaf, instrument)
    yield from _check_metadata(instrument, acquisition)
    if isinstance(acquisition.get("supersedes"), dict):
        yield finding(
            "supersedes",
            "this seal replaces an earlier one of the same data, because data came after it",
            evidence={"earlier": plain(acquisition["supersedes"])},
        )


def _check_kind(kind: SignerKind | None, manifest: Manifest) -> Iterator[Finding]:
    inputs = statement(manifest, INPUTS).get("inputs")
    # An update manifest's one parent is the seal that it adds to, not something its data was made from.
    parents = (
        0 if manifest.is_update else max(len(manifest.ingredients), len(inputs) if isinstance(inputs, list) else 0)
    )
    terms = source_types(manifest)
    unknown = [term for term in terms if term.casefold() not in KNOWN_SOURCE_TYPES]
    if unknown and kind is not SignerKind.INSTRUMENT:
        yield finding("source-type-unknown", f"the seal states a source type that is not known: {unknown[0]}")
    if manifest.is_update and kind is SignerKind.INSTRUMENT:
        message = "an instrument's key seals captures only, but this adds to an older seal"
        yield finding("wrong-signer-kind", message, evidence={"signer_kind": str(kind), "source_types": list(terms)})
        return
    if manifest.is_update and not terms:
        return
    if kind in {None, SignerKind.SELF}:
        if assertions.CAPTURES & set(terms):
            message = f"the seal states {', '.join(terms)}, but no authority says that the signer is an instrument"
            yield finding("capture-uncertified", message)
        elif kind is None:
            yield finding("signer-kind-unstated", "the certificate does not say what kind of signer it is for")
        return
    problems = {assertions.forbidden_statement(kind, term, parents=parents) for term in terms or ("",)} - {""}
    if kind is SignerKind.INSTRUMENT:
        steps = sorted({str(step.get("action")) for step in actions(manifest)} - {"c2pa.created"})
        if steps:
            problems.add(f"an instrument's key seals captures only, but the seal names the step {steps[0]}")
    for problem in sorted(problems):
        yield finding("wrong-signer-kind", problem, evidence={"signer_kind": str(kind), "source_types": list(terms)})


def _contradictions(
    instrument: Mapping[str, Any], leaf: x509.Certificate | None, kind: SignerKind | None
) -> Iterator[str]:
    if leaf is None or kind is None:
        return
    if instrument.get("pid") != pid_of(leaf):
        yield f"the seal names the instrument {instrument.get('pid')}, the certificate {pid_of(leaf)}"
    if instrument.get("signer_kind") != str(kind):
        yield f"the seal calls the signer a {instrument.get('signer_kind')}, the certificate a {kind}"
    yield from _record_contradictions(instrument, record_digest_of(leaf))
    if instrument.get("assurance") == "instrument-hardware-key" and key_protection(leaf) is not Protection.HARDWARE:
        yield "the seal states a key in hardware, the certificate does not"


def _record_contradictions(instrument: Mapping[str, Any], certified: bytes) -> Iterator[str]:
    """Compare what the seal says of the instrument with the record in it, and that with the certificate's digest."""
    if not certified:
        return
    record = instrument.get("record")
    text = record.encode("utf-8", "surrogatepass") if isinstance(record, str) else b""
    if instrument.get("profile_sha256") != certified.hex() or sha256(text).digest() != certified:
        yield "the instrument's record in the seal is not the one that the certificate was issued for"
        return
    said = _record_fields(text)
    if isinstance(said, str):
        yield f"the instrument's record in the seal breaks the rules for one: {said}"
        return
    for name, value in said.items():
        if instrument.get(name, "") != value:
            yield f"the seal gives the {name} as {instrument.get(name, '')!s}, the certified record as {value}"


@lru_cache(maxsize=64)
def _record_fields(text: bytes) -> Mapping[str, str] | str:
    """Return what a certified record says, or what is wrong with it; a batch holds few different ones."""
    try:
        return instruments.summary(instruments.read_record(text, what="the record in the seal", kind=_LENIENT))
    except Error as error:
        return error.message


def _check_assurance(
    kind: SignerKind | None, leaf: x509.Certificate | None, instrument: Mapping[str, Any]
) -> Iterator[Finding]:
    if kind is SignerKind.INSTRUMENT and leaf is not None and key_protection(leaf) is not Protection.HARDWARE:
        yield finding("software-key", "the instrument's key is kept in software, not in a token")
    if kind is SignerKind.REPOSITORY:
        yield finding(
            "certified-on-upload", "a repository sealed the data on arrival; nobody vouches for it before that"
        )
    if kind is SignerKind.SELF:
        yield finding("self-certified", "the signer certified itself; no authority knows it")
    capture = instrument.get("capture")
    words = {
        "watched-folder": "the data was sealed because it appeared in a watched folder",
        "manual": "a person chose the file and had it sealed",
        "upload": "the data was sealed when it was uploaded",
    }
    if kind is SignerKind.INSTRUMENT and isinstance(capture, str) and capture in words:
        yield finding(f"capture-{capture}", words[capture])


def _check_metadata(instrument: Mapping[str, Any], acquisition: Mapping[str, Any]) -> Iterator[Finding]:
    metadata = acquisition.get("metadata")
    values = metadata.get("values") if isinstance(metadata, dict) else None
    items = [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []
    named = {v["name"]: v for v in items if isinstance(v.get("name"), str)}
    for field_name in ("manufacturer", "model", "serial"):
        sealed, found = instrument.get(field_name), named.get(f"instrument.{field_name}", {})
        value = found.get("value")
        if isinstance(sealed, str) and isinstance(value, str) and not _alike(sealed, value):
            yield finding(
                "metadata-differs",
                f"the file's own metadata gives the {field_name} as {value}, the certificate's record as {sealed}",
                evidence={"file": value, "record": sealed, "source": str(found.get("source", ""))},
            )


def _stated(manifest: Manifest) -> str:
    return ", ".join(source_types(manifest))


def _alike(one: str, other: str) -> bool:
    first, second = one.casefold().strip(), other.casefold().strip()
    return not first or not second or first in second or second in first
