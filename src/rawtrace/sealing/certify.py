"""Certified on upload: a repository seals what its instrument could not.

Old instruments cannot sign. A repository may seal what arrives: that proves the
data from its arrival on, and nothing about the time before. The seal says so
(``certified-on-upload``, ``capture: upload``) and a report shows it as weaker.

A folder may be too large to be sent. Its index alone can be sealed then: the
repository vouches that this index was shown to it, and a statement says that it
has seen no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rawtrace import durable
from rawtrace.errors import ForbiddenSealError, MalformedError, UnsealableError
from rawtrace.image.collect import Harvest
from rawtrace.sealing import assertions, binding, envelope, folderindex, manifest, statements
from rawtrace.sealing.assertions import Capture
from rawtrace.sealing.gateway import countersign
from rawtrace.sealing.seal import seal
from rawtrace.sealing.stamping import Stamp
from rawtrace.sealing.statements import Subject
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.signer import Identity, check_current

#: What the repository says of a folder of which it saw the index alone.
INDEX_ONLY = "the repository saw the index of the folder and none of its files; their size is the uploader's word"
_MAX_COMPANION_BYTES = 64 << 20
_MAX_NAME_BYTES = 200
_MAX_SIZE = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A seal that a repository made of what it was sent.

    Attributes
    ----------
    store : bytes
        Content of ``NAME.c2pa``.
    companion : bytes
        Content of ``NAME.metadata.json``; empty where the metadata is in the seal.
    label, claim_sha256, content_sha256 : str
    """

    store: bytes
    companion: bytes
    label: str
    claim_sha256: str
    content_sha256: str


def certify_file(
    path: Path,
    *,
    name: str,
    signer: Identity,
    source_type: str = "",
    stamp: Stamp | None = None,
    lists: Sequence[TrustList] = (),
) -> Certified:
    """Seal an uploaded file, in constant memory.

    Parameters
    ----------
    path : Path
        Where the upload lies, in a folder of its own; it is renamed to ``name`` there.
    name : str
        What the uploader calls it.
    signer : Identity
        Of a repository.
    source_type : str
        As for ``seal``; a repository may not state a sensor's capture.
    stamp, lists
        As for ``countersign``: with ``stamp`` the seal also gets a trusted time.

    Raises
    ------
    ForbiddenSealError, UnsealableError, UsageError, TimeStampError, CertificateError, EnvelopeError, DiskFullError
    """
    _require_repository(signer)
    named = path.with_name(check_name(name))
    path.rename(named)
    # A server decodes no pictures that strangers send it.
    made = seal(named, signer=signer, source_type=source_type, capture=Capture.UPLOAD, codes=False)
    assert made.sidecar is not None  # noqa: S101  it was not asked to embed
    store = manifest.read_sidecar(made.sidecar)
    companion = durable.read_bounded(made.metadata, limit=_MAX_COMPANION_BYTES) if made.metadata else b""
    return Certified(
        store=_with_time(store, signer, stamp, lists),
        companion=companion,
        label=made.label,
        claim_sha256=made.claim_sha256,
        content_sha256=made.content_sha256,
    )


def certify_index(
    index: bytes,
    *,
    name: str,
    size: int,
    signer: Identity,
    source_type: str = "",
    stamp: Stamp | None = None,
    lists: Sequence[TrustList] = (),
) -> Certified:
    """Seal the index of a folder that was not sent.

    Parameters
    ----------
    index : bytes
        ``sha256sum`` lines as ``docs/spec/folder-index.md`` has them.
    name : str
        Of the folder.
    size : int
        Bytes of all its files, as the uploader says.

    Raises
    ------
    MalformedError, LimitError
        Not such an index, or one of another folder.
    ForbiddenSealError, UnsealableError, UsageError, TimeStampError, CertificateError, EnvelopeError
    """
    _require_repository(signer)
    check_name(name)
    members = folderindex.parse_index(index)
    if folder_named_in(index) != name.encode():
        msg = f"the index is that of another folder than {name}"
        raise MalformedError(msg)
    if not 0 <= size <= _MAX_SIZE:
        msg = f"{size} is not a number of bytes that a folder can have"
        raise MalformedError(msg)
    term = assertions.decide_source_type(signer.role, source_type, parents=0)
    now = datetime.now(UTC)
    software = f"rawtrace {version('rawtrace')}"
    digest = binding.sha256(index)
    acquisition, _ = statements.acquisition_statement(
        Subject(name=name, kind="folder", size=size, members=len(members)),
        Harvest(media_type="application/octet-stream", format="", values=(), notes=(INDEX_ONLY,)),
        sealed_at=now,
        software=software,
        operator="",
        supersedes=None,
    )
    definition = {
        "claim_generator_info": [{"name": "rawtrace", "version": version("rawtrace")}],
        "title": assertions.printable(f"{name}{folderindex.INDEX_SUFFIX}"),
        "assertions": [
            {
                "label": assertions.ACTIONS,
                "data": {"actions": statements.actions(term, (), (), when=now, software=software)},
            },
            {"label": assertions.INSTRUMENT, "data": statements.instrument_statement(signer, Capture.UPLOAD)},
            {"label": assertions.ACQUISITION, "data": acquisition},
            {
                "label": assertions.HASH_DATA,
                "data": {"name": "folder index", "alg": "sha256", "hash": list(digest), "pad": []},
            },
        ],
    }
    store = envelope.sign_sidecar(definition, signer)
    active = manifest.read_store(store).active_manifest
    return Certified(
        store=_with_time(store, signer, stamp, lists),
        companion=b"",
        label=active.label,
        claim_sha256=active.claim_sha256,
        content_sha256=digest.hex(),
    )


def check_name(name: str) -> str:
    """Return a file's name as an uploader gave it, or refuse one that is a path or could become one.

    Raises
    ------
    UnsealableError
    """
    parts = {"/", "\\", ":", "\0"}
    if (
        not name.isprintable()
        or name.strip() != name
        or name.startswith(".")
        or name.endswith((binding.SIDECAR_SUFFIX, durable.TEMPORARY_SUFFIX))
        or not 0 < len(name.encode("utf-8", "replace")) <= _MAX_NAME_BYTES
        or any(part in name for part in parts)
    ):
        msg = f"{name[:80]!r} is not the name of a file that can be certified"
        raise UnsealableError(msg, hint=f"expected a name alone, printable, at most {_MAX_NAME_BYTES} bytes long")
    return name


def folder_named_in(index: bytes) -> bytes:
    """Return the name of the folder that an index is of: the first part of its first path."""
    return index.partition(b"  ")[2].partition(b"/")[0]


def _require_repository(signer: Identity) -> None:
    check_current(signer)
    if signer.kind is not SignerKind.REPOSITORY:
        msg = f"{signer.folder} is the identity of a {signer.kind}; only a certified repository certifies uploads"
        raise ForbiddenSealError(msg, hint="make one: rawtrace authority repository AUTHORITY DIR")


def _with_time(store: bytes, signer: Identity, stamp: Stamp | None, lists: Sequence[TrustList]) -> bytes:
    return store if stamp is None else countersign(store, signer=signer, stamp=stamp, lists=lists).store
