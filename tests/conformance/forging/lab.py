"""The laboratory that all cases share: a certified instrument, a workstation, a repository, an attacker."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.x509 import load_pem_x509_certificate

from forging import handmade, pki
from forging.handmade import Said, said
from forging.pki import NOW, OWNER, Party, StampAuthority
from rawtrace.sealing import binding
from rawtrace.sealing.assertions import Capture
from rawtrace.sealing.seal import Seal
from rawtrace.sealing.seal import seal as seal_data
from rawtrace.trust.anchors import Anchor, Purpose, StatusRecord
from rawtrace.trust.authority import create_authority
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity, create_identity
from rawtrace.trust.instruments import new_record, record_bytes, summary
from rawtrace.trust.keys import FileKey
from rawtrace.trust.trustlist import build_list, sign_list

Forge = Callable[["Lab", Path], None]
FORGES: dict[str, Forge] = {}
TRUST_LIST = "trust-list.jws"
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def case(forge: Forge) -> Forge:
    """Register the function that makes the case of its name; ``file_intact`` makes ``file-intact``."""
    FORGES[forge.__name__.replace("_", "-").strip("-")] = forge
    return forge


@dataclass(frozen=True)
class Hand:
    """Somebody who signs by hand: DER certificates, leaf first, and a private key."""

    chain: tuple[bytes, ...]
    private: Any
    pid: str = pki.PID
    kind: str = "instrument"
    record: bytes = pki.RECORD


class Lab:
    """Keys and certificates of one run; they are never written anywhere but below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        create_authority(folder / "authority", name="Example Authority", owner=OWNER)
        self.root = load_pem_x509_certificate((folder / "authority" / "root.pem").read_bytes())
        self.authority = self._authority()
        self._operator_root = pki.certify("Example Operator root", ca=True)
        self._operator = pki.certify("Example Operator list", self._operator_root, usage=pki.LIST_SIGNING)

    # Identities that rawtrace itself made.

    @cached_property
    def instrument(self) -> Identity:
        return self._identity(SignerKind.INSTRUMENT)

    @cached_property
    def workstation(self) -> Identity:
        return self._identity(SignerKind.WORKSTATION)

    @cached_property
    def repository(self) -> Identity:
        return self._identity(SignerKind.REPOSITORY)

    @cached_property
    def uncertified(self) -> Identity:
        return create_identity(self.folder / "self", SignerKind.INSTRUMENT, _record(SignerKind.INSTRUMENT))

    @cached_property
    def impostor(self) -> Identity:
        """An instrument of an authority that bears the name of the genuine one."""
        create_authority(self.folder / "impostor-authority", name="Example Authority", owner=OWNER)
        return create_identity(
            self.folder / "impostor",
            SignerKind.INSTRUMENT,
            self.instrument.record,
            authority=self.folder / "impostor-authority",
        )

    @cached_property
    def clock(self) -> StampAuthority:
        """A time stamp authority, on no list unless a case puts it there."""
        return StampAuthority()

    def hand(self, identity: Identity) -> Hand:
        """The same identity, signing by hand."""
        private = identity.key.issuing_key()
        return Hand(
            tuple(pki.der(one) for one in identity.chain),
            private,
            pid=str(identity.record["identifier"]["identifier"]),
            kind=str(identity.kind),
            record=record_bytes(identity.record),
        )

    # Trust lists.

    def trust(
        self,
        out: Path,
        *anchors: Anchor,
        statuses: Sequence[StatusRecord] = (),
        policies: Sequence[str] = (),
        operator: str = "Example operator",
        title: str = "Example list",
        issued: datetime = NOW - timedelta(days=1),
        next_update: datetime | None = NOW + timedelta(days=100),
        name: str = TRUST_LIST,
        signed: bool = True,
    ) -> Path:
        """Write a trust list; with no anchors it names the Example Authority."""
        payload = build_list(
            name=title,
            operator=operator,
            sequence=1,
            issued=issued,
            next_update=next_update,
            anchors=anchors or (self.anchor(self.root),),
            statuses=statuses,
            policies=policies,
        )
        key = FileKey(self._operator.private)
        chain = (self._operator.certificate, self._operator_root.certificate)
        (out / name).write_bytes(sign_list(payload, key=key, chain=chain) if signed else payload)
        return out / name

    def relist(self, out: Path, change: Callable[[str], str], **options: Any) -> None:
        """Write a trust list that its operator signed, but of a form that rawtrace itself would not write."""
        plain = self.trust(out, signed=False, **options).read_text(encoding="utf-8")
        changed = change(plain)
        assert changed != plain
        key = FileKey(self._operator.private)
        chain = [pki.der(one) for one in (self._operator.certificate, self._operator_root.certificate)]
        header = {"alg": "EdDSA", "x5c": [base64.b64encode(one).decode() for one in chain]}
        parts = [_base64url(one) for one in (json.dumps(header).encode(), changed.encode())]
        signature = key.sign(".".join(parts).encode())
        (out / TRUST_LIST).write_text(".".join((*parts, _base64url(signature))))

    def anchor(self, of: Any, purpose: Purpose = Purpose.SIGNING, **changes: Any) -> Anchor:
        certificate = of.certificate if isinstance(of, Party) else of
        return Anchor(certificate=certificate, purpose=purpose, name="Example Authority", **changes)

    def status(self, of: Any, issuer: Any, reason: str, revoked_at: datetime, **changes: Any) -> StatusRecord:
        return StatusRecord(
            serial=of.serial_number, authority_key_id=issuer, reason=reason, revoked_at=revoked_at, **changes
        )

    # Data and seals.

    def data(self, out: Path, name: str = "cells.tif", *, size: int = 4096, seed: int = 1) -> Path:
        """Write some bytes that are the same in every run."""
        path = out / name
        path.write_bytes(hashlib.shake_256(seed.to_bytes(4, "big")).digest(size))
        return path

    def seal(self, path: Path, signer: Identity | None = None, **options: Any) -> Seal:
        """Seal as rawtrace does; by the instrument, or by the workstation where there are parents."""
        chosen = signer or (self.workstation if options.get("parents") else self.instrument)
        return seal_data(path, signer=chosen, **({"capture": Capture.MANUAL} | options))

    def sealed(self, out: Path, name: str = "cells.tif", **options: Any) -> Path:
        """Data with its genuine seal beside it."""
        path = self.data(out, name)
        self.seal(path, **options)
        return path

    def statements(
        self, path: Path, signer: Hand, *, source_type: str = "digitalCapture", when: datetime = NOW, **changes: Any
    ) -> dict[str, Said]:
        """The assertions of a seal by label; keyword arguments replace what one of ours holds.

        ``instrument``, ``acquisition`` and ``hash_data`` are merged into the statement of that name.
        """
        size, digest = (path.stat().st_size, file_sha256(path)) if path.is_file() else (0, b"\0" * 32)
        instrument = {
            "version": 1,
            "signer_kind": signer.kind,
            **{key: value for key, value in summary(json.loads(signer.record)).items() if value},
            "pid": signer.pid,
            "record": signer.record.decode(),
            "profile_sha256": hashlib.sha256(signer.record).hexdigest(),
            "assurance": "instrument-software-key" if signer.kind == "instrument" else signer.kind,
            "capture": "engine-hook",
        }
        acquisition = {
            "version": 1,
            "name": path.name,
            "kind": "file",
            "media_type": "application/octet-stream",
            "size": size,
            "sealed_at": when.isoformat(),
            "software": "a changed rawtrace",
            "metadata": {"sha256": "", "values": [], "notes": []},
        }
        step: dict[str, Any] = {"action": "c2pa.created", "when": when.isoformat()}
        if source_type:
            step["digitalSourceType"] = source_type if "/" in source_type else SOURCE_TYPES + source_type
        hash_data = {"name": "whole file", "alg": "sha256", "hash": digest, "pad": b""}
        made = {
            "c2pa.actions.v2": {"actions": [step]},
            "org.rawtrace.instrument": instrument | changes.pop("instrument", {}),
            "org.rawtrace.acquisition": acquisition | changes.pop("acquisition", {}),
            "c2pa.hash.data": hash_data | changes.pop("hash_data", {}),
        }
        assert not changes, changes
        return {label: said(label, data) for label, data in made.items()}

    def handmade(
        self,
        path: Path,
        signer: Hand,
        *,
        before: Sequence[bytes] = (),
        more: Sequence[Said] = (),
        label: str = "",
        manifest: dict[str, Any] | None = None,
        **statements: Any,
    ) -> bytes:
        """Write a hand-made seal beside ``path``; returns its own manifest's box.

        Parameters
        ----------
        before
            Manifests of ancestors, for the same store.
        more
            Further assertions.
        """
        said_of = self.statements(path, signer, **statements)
        made = handmade.manifest([*said_of.values(), *more], signer, label=label or new_label(), **(manifest or {}))
        binding.sidecar_of(path).write_bytes(handmade.store(*before, made))
        return made

    def stamp(self, path: Path, time: datetime, clock: StampAuthority | None = None, *, over: bytes = b"") -> None:
        """Put a time stamp into the seal beside ``path``."""
        sidecar = binding.sidecar_of(path)
        data = sidecar.read_bytes()
        token = (clock or self.clock).token(over or handmade.countersigned(data), time)
        sidecar.write_bytes(handmade.with_header(data, "sigTst2", {"tstTokens": [{"val": token}]}))

    def forged_signer(self, leaf: Party, kind: str = "instrument") -> Hand:
        return Hand(leaf.chain, leaf.private, kind=kind)

    def _authority(self) -> Party:
        from rawtrace.trust import keys

        folder = self.folder / "authority"
        certificate = load_pem_x509_certificate((folder / "authority.pem").read_bytes())
        return Party(certificate, keys.open_in_folder(folder / "issuing").issuing_key(), (self.root,))

    def _identity(self, kind: SignerKind) -> Identity:
        return create_identity(self.folder / str(kind), kind, _record(kind), authority=self.folder / "authority")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _record(kind: SignerKind) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": f"Example {kind}", "owner": OWNER, "owner_name": "Example University"}
    if kind is SignerKind.INSTRUMENT:
        fields |= {"manufacturer": "Example Optics", "model": "Widefield 1", "serial": "SN-0001"}
    return new_record(kind=kind, **fields)


def new_label() -> str:
    return f"urn:c2pa:{uuid.uuid4()}"


def seal_of(path: Path) -> Path:
    return binding.sidecar_of(path)


def file_sha256(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def flip(path: Path, offset: int, *, bit: int = 1) -> None:
    """Change one bit; a negative offset counts from the end."""
    data = bytearray(path.read_bytes())
    data[offset] ^= bit
    path.write_bytes(data)


def edit(path: Path, change: Callable[[handmade.Part], None]) -> None:
    """Take the store in a file apart, change it, write it again with right lengths."""
    root = handmade.read(path.read_bytes())
    change(root)
    path.write_bytes(root.write())


def picture(out: Path, name: str, *, seed: int = 1) -> Path:
    """Write a small PNG or JPEG."""
    from PIL import Image

    stream = io.BytesIO()
    pixels = hashlib.shake_256(seed.to_bytes(4, "big")).digest(32 * 24)
    Image.frombytes("L", (32, 24), pixels).save(stream, "PNG" if name.endswith(".png") else "JPEG")
    (out / name).write_bytes(stream.getvalue())
    return out / name


def copy_seal(source: Path, target: Path) -> None:
    shutil.copyfile(seal_of(source), seal_of(target))


def now() -> datetime:
    return datetime.now(UTC)
