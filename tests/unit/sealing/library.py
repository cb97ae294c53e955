"""Makes seals with the C2PA library, as other people's programs do."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

OPAQUE = "application/octet-stream"
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
TODAY = datetime.now(UTC).replace(microsecond=0)
DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")


def issue(
    name: str, key: Any, issuer: tuple[str, Any] | None, *, usage: ObjectIdentifier | None = None
) -> x509.Certificate:
    """A certificate; an authority's unless it has a usage, its own issuer unless one is given."""
    above, signer = issuer or (name, key)
    leaf = usage is not None
    named = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])  # noqa: E731
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(above))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(TODAY - timedelta(days=1))
        .not_valid_after(TODAY + timedelta(days=365))
        .add_extension(x509.BasicConstraints(not leaf, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.KeyUsage(leaf, False, False, False, False, not leaf, not leaf, False, False), critical=True)
    )
    if usage is not None:
        critical = usage == ExtendedKeyUsageOID.TIME_STAMPING
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=critical)
    return builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def pem(*certificates: x509.Certificate) -> str:
    return "".join(item.public_bytes(serialization.Encoding.PEM).decode() for item in certificates)


class Lab:
    """A root, an authority, and an instrument of one kind of key."""

    def __init__(self, kind: str = "ed25519", *, tsa_root: x509.Certificate | None = None) -> None:
        new = (
            ed25519.Ed25519PrivateKey.generate if kind == "ed25519" else lambda: ec.generate_private_key(ec.SECP256R1())
        )
        root_key, key, self.key = new(), new(), new()
        self.kind = kind
        self.root = issue("Example root", root_key, None)
        self.authority = issue("Example authority", key, ("Example root", root_key))
        self.leaf = issue("Example microscope", self.key, ("Example authority", key), usage=DOCUMENT_SIGNING)
        self.tsa_root = tsa_root

    def context(self, **builder: Any) -> c2pa.Context:
        anchors = [{"trust_anchors": pem(self.root), "trust_uri": "urn:example:list", "trust_kind": "manifest"}]
        if self.tsa_root is not None:
            anchors.append({"trust_anchors": pem(self.tsa_root), "trust_uri": "urn:example:tsa", "trust_kind": "tsa"})
        made = ["c2pa.actions", "c2pa.actions.v2", "org.example.sample", "c2pa.ingredient.v3"]
        return c2pa.Context.from_dict(
            {
                "trust": {"anchors": anchors, "trust_config": DOCUMENT_SIGNING.dotted_string},
                "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
                "builder": {"thumbnail": {"enabled": False}, "created_assertion_labels": made, **builder},
            }
        )

    def signer(self, ta_url: str | None = None) -> c2pa.Signer:
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        key = self.key.private_bytes(encoding, form, serialization.NoEncryption())
        chain = pem(self.leaf, self.authority).encode()
        algorithm = {"ed25519": c2pa.C2paSigningAlg.ED25519, "es256": c2pa.C2paSigningAlg.ES256}[self.kind]
        return c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, chain, key, ta_url))

    def sign(
        self,
        definition: dict[str, Any],
        *,
        parents: dict[str, bytes] | None = None,
        source: bytes = b"",
        media_type: str = OPAQUE,
        ta_url: str | None = None,
        **builder: Any,
    ) -> tuple[bytes, bytes]:
        """The store, and the file with the store inside."""
        made = c2pa.Builder(definition, self.context(**builder))
        if media_type == OPAQUE:
            made.set_no_embed()
        for identifier, parent in (parents or {}).items():
            made.add_resource(identifier, io.BytesIO(parent))
        out = io.BytesIO()
        return bytes(made.sign(self.signer(ta_url), media_type, io.BytesIO(source), out)), out.getvalue()

    def seal(self, asset: bytes, *, assertions: tuple[dict[str, Any], ...] = (), **options: Any) -> bytes:
        """A sidecar for bytes of any kind."""
        return self.sign(definition(asset, assertions), **options)[0]

    def ingredient(
        self, parent: bytes, asset: bytes, *, name: str = "p1", relationship: str = "parentOf"
    ) -> dict[str, Any]:
        """The ingredient part of a definition; its resource is ``NAME.c2pa``."""
        reader = c2pa.Reader(OPAQUE, io.BytesIO(asset), manifest_data=parent, context=self.context())
        return {
            "title": "raw.tif",
            "format": "image/tiff",
            "relationship": relationship,
            "label": name,
            "active_manifest": json.loads(reader.json())["active_manifest"],
            "validation_results": reader.get_validation_results(),
            "manifest_data": {"format": "application/c2pa", "identifier": f"{name}.c2pa"},
        }

    def derive(self, asset: bytes, parent: bytes, parent_asset: bytes, **options: Any) -> bytes:
        """A sidecar for what was made from a sealed parent."""
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["p1"]}}
        made = definition(asset, actions=[opened])
        made["ingredients"] = [self.ingredient(parent, parent_asset)]
        made.update(options.pop("more", {}))
        return self.sign(made, parents={"p1.c2pa": parent}, **options)[0]

    def update(self, parent: bytes, parent_asset: bytes, **options: Any) -> bytes:
        """An update manifest on top of a sidecar."""
        made = {
            "claim_generator_info": [{"name": "gateway", "version": "1"}],
            "ingredients": [self.ingredient(parent, parent_asset)],
            "assertions": [],
        }
        return self.sign(made, parents={"p1.c2pa": parent}, intent="update", **options)[0]


def definition(
    asset: bytes, assertions: tuple[dict[str, Any], ...] = (), *, actions: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A definition that binds a whole file."""
    created = [{"action": "c2pa.created", "digitalSourceType": CAPTURE, "when": "2026-01-02T03:04:05Z"}]
    binding = {"name": "whole file", "alg": "sha256", "hash": list(hashlib.sha256(asset).digest()), "pad": []}
    return {
        "claim_generator_info": [{"name": "rawtrace", "version": "0"}],
        "title": "raw.tif",
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions or created}},
            *assertions,
            {"label": "c2pa.hash.data", "data": binding},
        ],
    }


def embed(lab: Lab, source: Path, media_type: str) -> tuple[bytes, bytes]:
    """Store and sealed file of an image with its seal inside."""
    made = definition(b"")
    del made["assertions"][-1]
    return lab.sign(made, source=source.read_bytes(), media_type=media_type)
