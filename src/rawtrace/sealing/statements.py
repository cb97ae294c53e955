"""Writing the statements of a seal: who signs, what is sealed, and what was done."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import UsageError
from rawtrace.image.collect import Harvest
from rawtrace.sealing.assertions import (
    ACQUISITION,
    INSTRUMENT,
    VERSIONS,
    Capture,
    Relationship,
    printable,
    source_type_uri,
)
from rawtrace.trust import instruments, scope
from rawtrace.trust.certificates import SignerKind, key_protection
from rawtrace.trust.keys import Protection
from rawtrace.trust.signer import Identity

#: Metadata beyond this many bytes goes into the companion file; a C2PA definition holds 1 MiB at most.
INLINE_METADATA_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is being sealed.

    Attributes
    ----------
    name : str
        File or folder name, without its path.
    kind : str
        ``file`` or ``folder``.
    size : int
        Bytes of the file, or of all members.
    members : int
        Number of members of a folder; 0 for a file.
    """

    name: str
    kind: str
    size: int
    members: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """With what the data was recorded, beyond the instrument's certified record.

    Attributes
    ----------
    firmware : str
        Version, 1 to 64 characters; empty if it is not known.
    features : tuple[str, ...] or None
        Modes and features that were in use, such as ``multiple-exposure``; empty: none was;
        ``None``: it is not known.
    """

    firmware: str = ""
    features: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what a status about firmware or features could not be compared with."""
        if (
            len(self.firmware) > scope.MAX_VERSION
            or not self.firmware.isprintable()
            or self.firmware.strip() != (self.firmware)
        ):
            msg = f"the firmware {self.firmware[:80]!r} is not one line of at most {scope.MAX_VERSION} characters"
            raise UsageError(msg)
        for name in self.features or ():
            if not scope.FEATURE.fullmatch(name):
                msg = f"{name[:80]!r} is not a feature's name in lower case, such as multiple-exposure"
                raise UsageError(msg)
        if len(self.features or ()) > scope.MAX_FEATURES:
            msg = f"{len(self.features or ())} features were named; at most {scope.MAX_FEATURES} are stated"
            raise UsageError(msg)

    def filled_from(self, usual: Device | None) -> Device:
        """Return this, with what it leaves open as it usually is."""
        if usual is None:
            return self
        return Device(
            firmware=self.firmware or usual.firmware,
            features=usual.features if self.features is None else self.features,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """The seal that a new one replaces, by its name: label and claim hash."""

    label: str
    claim_sha256: str


def assurance(signer: Identity) -> str:
    """Return how strongly this signer stands behind a seal, from its certificate."""
    if signer.kind is SignerKind.INSTRUMENT:
        hardware = key_protection(signer.chain[0]) is Protection.HARDWARE
        return "instrument-hardware-key" if hardware else "instrument-software-key"
    return {SignerKind.WORKSTATION: "workstation", SignerKind.REPOSITORY: "certified-on-upload"}.get(
        signer.kind, "self"
    )


def instrument_statement(signer: Identity, capture: Capture) -> dict[str, Any]:
    """Return ``org.rawtrace.instrument``: who signs, how sure, and how it came to the data."""
    return {
        "version": VERSIONS[INSTRUMENT],
        "signer_kind": str(signer.kind),
        **{key: value for key, value in instruments.summary(signer.record).items() if value},
        "record": instruments.record_bytes(signer.record).decode(),
        "profile_sha256": instruments.record_digest(signer.record).hex(),
        "assurance": assurance(signer),
        "capture": str(capture),
    }


def acquisition_statement(
    subject: Subject,
    harvest: Harvest,
    *,
    sealed_at: datetime,
    software: str,
    operator: str,
    supersedes: Superseded | None,
    device: Device | None = None,
) -> tuple[dict[str, Any], bytes | None]:
    """Return ``org.rawtrace.acquisition``, and the companion file's bytes where the metadata is long.

    Returns
    -------
    statement : dict
    companion : bytes or None
        Content of ``NAME.EXT.metadata.json``; ``None`` when the metadata is in the statement.
    """
    told = device is not None and (bool(device.firmware) or device.features is not None)
    statement: dict[str, Any] = {
        # What only version 2 has is not always there; who knows version 1 alone need not be told of a newer one.
        "version": VERSIONS[ACQUISITION] if told else 1,
        "name": printable(subject.name),
        "kind": subject.kind,
        "media_type": harvest.media_type,
        "size": subject.size,
        "sealed_at": sealed_at.isoformat(timespec="seconds"),
        "software": software,
    }
    if subject.kind == "folder":
        statement["members"] = subject.members
    taken = next((value for value in harvest.values if value.name == "acquisition.time"), None)
    if taken is not None:
        statement["acquired"] = {"time": str(taken.value), "source": taken.source}
    if device is not None and device.firmware:
        statement["firmware"] = device.firmware
    if device is not None and device.features is not None:
        statement["features"] = sorted(set(device.features))
    if operator:
        statement["operator"] = {"id": operator, "standing": "asserted"}
    if supersedes is not None:
        statement["supersedes"] = {"label": supersedes.label, "claim_sha256": supersedes.claim_sha256}
    metadata = {
        "values": [{"name": v.name, "value": v.value, "source": v.source} for v in harvest.values],
        "notes": list(harvest.notes),
    }
    encoded = strictjson.dumps(metadata)
    digest = hashlib.sha256(encoded).hexdigest()
    if len(encoded) <= INLINE_METADATA_BYTES:
        statement["metadata"] = {"sha256": digest, **metadata}
        return statement, None
    statement["metadata"] = {
        "sha256": digest,
        "bytes": len(encoded),
        "file": f"{printable(subject.name)}.metadata.json",
    }
    return statement, encoded


def actions(
    term: str, relationships: Sequence[Relationship], ingredient_labels: Sequence[str], *, when: datetime, software: str
) -> list[dict[str, Any]]:
    """Return the actions of ``c2pa.actions.v2``: one created or opened, then one per ancestor used.

    C2PA allows one ``parentOf`` ancestor, which is *opened*; the others are *placed*.
    """
    common = {"when": when.isoformat(timespec="seconds"), "softwareAgent": {"name": software}}
    uri = source_type_uri(term)
    opened = [label for label, kind in zip(ingredient_labels, relationships, strict=True) if kind == "parentOf"]
    placed = [label for label, kind in zip(ingredient_labels, relationships, strict=True) if kind != "parentOf"]
    if opened:
        steps = [
            {"action": "c2pa.opened", "parameters": {"ingredientIds": opened}, **common},
            {"action": "c2pa.edited", "digitalSourceType": uri, **common},
        ]
    else:
        steps = [{"action": "c2pa.created", "digitalSourceType": uri, **common}]
    steps += [{"action": "c2pa.placed", "parameters": {"ingredientIds": [label]}, **common} for label in placed]
    return steps
