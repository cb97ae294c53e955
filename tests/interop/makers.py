"""Signed files as other people's programs make them; the names are those of the table in the documentation."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from specimens import picture
from toolbox import Toolbox

from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity
from rawtrace.trust.keys import Algorithm

DOCUMENT_SIGNING = {"trust": {"trust_config": "1.3.6.1.5.5.7.3.36"}, "verify": {"remote_manifest_fetch": False}}
_TERM = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_MIME = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "tiff": "image/tiff", "gif": "image/gif"}


def definition(source_type: str = "humanEdits", **more: Any) -> dict[str, Any]:
    """What other people's programs are told to say."""
    step = {"action": "c2pa.created", "digitalSourceType": _TERM + source_type}
    return {
        "claim_generator_info": [{"name": "Example editor", "version": "1"}],
        "title": "figure",
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [step]}}],
        **more,
    }


class Makers:
    """Signs one picture in many ways; each method returns the file to be verified."""

    def __init__(self, toolbox: Toolbox, folder: Path, signers: Mapping[Algorithm, Identity], scope: Identity) -> None:
        self._toolbox = toolbox
        self._folder = folder
        self._signers = signers
        self._scope = scope

    def make(self, name: str) -> Path:
        return MAKERS[name](self)

    # c2patool

    def tool(self, kind: str, signer: Identity | None = None, *options: str, **said: Any) -> Path:
        """Sign by c2patool: with a key of ours, or with the test certificate that it brings."""
        source = picture(self._folder / f"source.{kind}")
        keys = {}
        if signer is not None:
            algorithm = str(signer.key.algorithm)
            files = {"private_key": f"{signer.folder / 'key.pem'}", "sign_cert": f"{signer.folder / 'certificate.pem'}"}
            keys = {"alg": algorithm, **files}
        manifest = self._folder / "definition.json"
        manifest.write_text(json.dumps({**definition(), **said, **keys}), encoding="utf-8")
        target = self._folder / f"signed.{kind}"
        done = self._toolbox.run_c2patool(
            f"{source}", "--manifest", f"{manifest}", "--output", f"{target}", "--force", *options
        )
        assert done.returncode == 0, done.stderr
        return target

    def tool_sidecar(self, kind: str) -> Path:
        """c2patool writes ``signed.c2pa``; rawtrace looks for ``signed.png.c2pa``."""
        target = self.tool(kind, self.ours, "--sidecar")
        target.with_suffix(".c2pa").rename(target.with_name(f"{target.name}.c2pa"))
        return target

    def tool_parent(self) -> Path:
        """A picture that c2patool derives from one that we sealed."""
        original = picture(self._folder / "blot.png")
        parent = seal(original, signer=self._scope, embed=True).asset
        opened = {"label": "c2pa.actions", "data": {"actions": []}}
        return self.tool("png", self.ours, "--parent", f"{parent}", assertions=[opened])

    # c2pa-python

    def library(
        self, kind: str, signer: Identity | None = None, *, settings: Mapping[str, Any] | None = None, **said: Any
    ) -> Path:
        """Sign by c2pa-python; with a key of ours or one that nobody knows, thumbnails and all its defaults."""
        if signer is None:
            context, native = c2pa.Context(), _stranger()
        else:
            context, native = c2pa.Context.from_dict({**DOCUMENT_SIGNING, **(settings or {})}), _signer(signer)
        source, out = picture(self._folder / f"source.{kind}"), io.BytesIO()
        with source.open("rb") as stream, native:
            c2pa.Builder({**definition(), **said}, context).sign(native, _MIME[kind], stream, out)
        target = self._folder / f"signed.{kind}"
        target.write_bytes(out.getvalue())
        return target

    # c2pa-ts

    def typescript(self, kind: str, version: int, algorithm: Algorithm) -> Path:
        signer = self._signers[algorithm]
        target = self._folder / f"signed.{kind}"
        done = self._toolbox.run_node(
            "sign.mjs",
            f"{picture(self._folder / f'source.{kind}')}",
            f"{target}",
            f"{signer.folder / 'key.pem'}",
            f"{signer.folder / 'certificate.pem'}",
            f"{version}",
        )
        assert done.returncode == 0, done.stderr
        return target

    @property
    def ours(self) -> Identity:
        """A workstation that our authority certified."""
        return self._signers[Algorithm.ES256]

    @property
    def ours_ed25519(self) -> Identity:
        return self._signers[Algorithm.ED25519]

    @property
    def scope(self) -> Identity:
        """An instrument that our authority certified."""
        return self._scope


def _signer(signer: Identity) -> c2pa.Signer:
    algorithm = {Algorithm.ES256: c2pa.C2paSigningAlg.ES256, Algorithm.ED25519: c2pa.C2paSigningAlg.ED25519}
    chain, key = ((signer.folder / name).read_bytes() for name in ("certificate.pem", "key.pem"))
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm[signer.key.algorithm], chain, key, None))


def _stranger() -> c2pa.Signer:
    """A certificate such as others use: for e-mail, of an authority that nobody lists, without our policies."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root, leaf = _certificate("Elsewhere root", root_key, root_key), _certificate("Elsewhere", key, root_key)
    chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (leaf, root))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain, private, None))


def _certificate(name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    ca, today = key is issuer, datetime.now(UTC)
    subject, above = (
        x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, one),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Elsewhere"),
            ]
        )
        for one in (name, "Elsewhere root")
    )
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer, hashes.SHA256())


_COMPRESSED = {"core": {"prefer_compress_manifests": True}}
_ED25519, _ES256 = Algorithm.ED25519, Algorithm.ES256

MAKERS: dict[str, Callable[[Makers], Path]] = {
    "c2patool, its own test certificate, PNG": lambda m: m.tool("png"),
    "c2patool, its own test certificate, JPEG": lambda m: m.tool("jpg"),
    "c2patool, its own test certificate, a capture": lambda m: m.tool("png", **definition("digitalCapture")),
    "c2patool, our workstation's key, PNG": lambda m: m.tool("png", m.ours),
    "c2patool, our workstation's key, JPEG, Ed25519": lambda m: m.tool("jpg", m.ours_ed25519),
    "c2patool, our workstation's key, claim version 1": lambda m: m.tool("jpg", m.ours, claim_version=1),
    "c2patool, our workstation's key, a capture": lambda m: m.tool("png", m.ours, **definition("digitalCapture")),
    "c2patool, our instrument's key, edits": lambda m: m.tool("png", m.scope),
    "c2patool, our workstation's key, made from what we sealed": lambda m: m.tool_parent(),
    "c2patool, our workstation's key, sidecar of a PNG": lambda m: m.tool_sidecar("png"),
    "c2patool, our workstation's key, sidecar of a TIFF": lambda m: m.tool_sidecar("tiff"),
    "c2patool, our workstation's key, WebP": lambda m: m.tool("webp", m.ours),
    "c2patool, our workstation's key, TIFF": lambda m: m.tool("tiff", m.ours),
    "c2patool, our workstation's key, GIF": lambda m: m.tool("gif", m.ours),
    "c2pa-python, a stranger's key, PNG": lambda m: m.library("png"),
    "c2pa-python, a stranger's key, JPEG": lambda m: m.library("jpg"),
    "c2pa-python, a stranger's key, WebP": lambda m: m.library("webp"),
    "c2pa-python, our workstation's key, PNG": lambda m: m.library("png", m.ours),
    "c2pa-python, our workstation's key, JPEG, Ed25519": lambda m: m.library("jpg", m.ours_ed25519),
    "c2pa-python, our workstation's key, claim version 1": lambda m: m.library("png", m.ours, claim_version=1),
    "c2pa-python, our workstation's key, compressed": lambda m: m.library("png", m.ours, settings=_COMPRESSED),
    "c2pa-ts, our workstation's key, PNG, Ed25519": lambda m: m.typescript("png", 2, _ED25519),
    "c2pa-ts, our workstation's key, JPEG, Ed25519": lambda m: m.typescript("jpg", 2, _ED25519),
    "c2pa-ts, our workstation's key, claim version 1": lambda m: m.typescript("jpg", 1, _ED25519),
    "c2pa-ts, our workstation's key, ES256": lambda m: m.typescript("png", 2, _ES256),
}
