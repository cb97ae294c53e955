"""Step 1, discovery: what is checked, where its seal lies, and what of it can be read.

Evidence is gathered once; the checks look at nothing but it.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rawtrace.errors import Error, InputNotFoundError, SealUnreadableError, from_os_error
from rawtrace.report import Finding
from rawtrace.sealing import assertions, binding, embedded, folderindex, manifest
from rawtrace.sealing.assertions import ACQUISITION, ACTIONS, HASH_DATA
from rawtrace.sealing.manifest import Assertion, Manifest, Store
from rawtrace.verification.findings import finding

#: Every known source type, found whatever the case of its letters.
KNOWN_SOURCE_TYPES = {term.casefold(): term for term in assertions.CAPTURES | assertions.DERIVED}


class Form(StrEnum):
    """In which of the three forms a seal belongs to its data."""

    SIDECAR = "sidecar"
    EMBEDDED = "embedded"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found for one path.

    Attributes
    ----------
    path : Path
        The asset: a file, or a folder.
    named : Path
        What the seal is bound to: the file itself, or the folder's index.
    seal_path : Path or None
        Where the seal was read from; ``None`` when there is none.
    raw : bytes
        The manifest store.
    store : Store or None
        ``None`` when there is no seal or it cannot be read.
    ranges : tuple of (int, int)
        Where in the file an embedded seal lies.
    findings : tuple[Finding, ...]
        What discovery itself came to.
    """

    path: Path
    named: Path
    form: Form
    seal_path: Path | None = None
    raw: bytes = b""
    store: Store | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def active(self) -> Manifest | None:
        """The newest manifest of the seal."""
        return self.store.manifests[self.store.active] if self.store else None


def discover(path: Path) -> Evidence:
    """Find the seal of a path.

    A seal's own path stands for the data beside it; an index's path for its folder.

    Raises
    ------
    InputNotFoundError
        Neither data nor seal is there.
    """
    path = _asset_of(path)
    if path.is_dir():
        return _discover_beside(path, folderindex.index_of(path), Form.FOLDER)
    if path.name.endswith(folderindex.INDEX_SUFFIX):
        folder = path.with_name(path.name.removesuffix(folderindex.INDEX_SUFFIX))
        if folder.is_dir():
            return _discover_beside(folder, path, Form.FOLDER)
    gone = _discover_without_folder(path)
    if gone is not None:
        return gone
    binding.require_regular(path)
    if _is_there(binding.sidecar_of(path)):
        return _discover_beside(path, path, Form.SIDECAR)
    return _discover_inside(path)


def data_hashes(bound: Manifest) -> tuple[Assertion, ...]:
    """Return the data hash assertions of a manifest; a sound one has exactly one."""
    return tuple(assertion for assertion in bound.assertions if assertion.name == HASH_DATA)


def statement(of: Manifest, label: str) -> Mapping[str, Any]:
    """Return one of our own statements, if the signer attests it; empty otherwise."""
    for assertion in of.assertions:
        if assertion.label == label and assertion.created and isinstance(assertion.data, dict):
            return dict(assertion.data)
    return {}


def source_types(manifest: Manifest) -> tuple[str, ...]:
    """Return every digital source type that the manifest states, without doubles.

    Terms that people would read as a known one are that one: ``.../DigitalCapture/`` is a capture.
    """
    stated = [str(step["digitalSourceType"]) for step in actions(manifest) if "digitalSourceType" in step]
    return tuple(dict.fromkeys(_source_type(uri) for uri in stated))


def _source_type(uri: str) -> str:
    bare = uri.partition("#")[0].partition("?")[0].strip().rstrip("/")
    term = assertions.source_type_term(bare).strip()
    return KNOWN_SOURCE_TYPES.get(term.casefold(), term)


def actions(manifest: Manifest) -> tuple[Mapping[str, Any], ...]:
    """Return the actions of a manifest, of any version of the assertion, attested or not."""
    found: list[Mapping[str, Any]] = []
    for assertion in manifest.assertions:
        if assertion.name in {ACTIONS, "c2pa.actions"} and isinstance(assertion.data, dict):
            steps = assertion.data.get("actions")
            found += [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return tuple(found)


def plain(value: Any) -> Any:
    """Return decoded CBOR as JSON types: bytes as hexadecimal, keys as text, NaN and infinities as text."""
    if isinstance(value, (str, int)) or value is None:  # most values are; an int may be a bool
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value.hex() if isinstance(value, bytes) else str(value)


def _asset_of(path: Path) -> Path:
    path = binding.with_name(path)
    if path.name.endswith(binding.RECEIPTS_SUFFIX) and not path.is_dir():
        path = path.with_name(path.name.removesuffix(binding.RECEIPTS_SUFFIX))
    if not path.name.endswith(binding.SIDECAR_SUFFIX) or path.is_dir():
        return path
    asset = path.with_name(path.name.removesuffix(binding.SIDECAR_SUFFIX))
    if asset.name.endswith(folderindex.INDEX_SUFFIX):
        folder = asset.with_name(asset.name.removesuffix(folderindex.INDEX_SUFFIX))
        return folder if folder.is_dir() else asset
    if asset.exists():
        return asset
    if not path.exists():
        msg = f"{path} does not exist"
        raise InputNotFoundError(msg)
    msg = f"{path} is a seal, but the data it belongs to, {asset.name}, is not beside it"
    raise InputNotFoundError(msg, hint="put both into one folder and name the data")


def _discover_without_folder(path: Path) -> Evidence | None:
    """Find the seal of a folder that is gone, named itself or by its index: an index alone proves nothing."""
    folder = path.with_name(path.name.removesuffix(folderindex.INDEX_SUFFIX))
    index = folderindex.index_of(folder)
    if (path == folder and path.exists()) or not _is_there(binding.sidecar_of(index)):
        return None
    found = _discover_beside(folder, index, Form.FOLDER)
    bound = found.store.bound_manifest() if found.store else None
    return found if bound is not None and statement(bound, ACQUISITION).get("kind") == "folder" else None


def _is_there(sidecar: Path) -> bool:
    """Whether a sidecar is there; a name that leaves no room for its suffix has none."""
    try:
        return sidecar.exists()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise from_os_error(error, f"reading {sidecar}") from error


def _discover_beside(path: Path, named: Path, form: Form) -> Evidence:
    sidecar = binding.sidecar_of(named)
    if not _is_there(sidecar):
        return Evidence(path=path, named=named, form=form, findings=(_missing(path, form),))
    try:
        raw = manifest.read_sidecar(sidecar)
        store = manifest.read_store(raw)
    except Error as error:
        return Evidence(path=path, named=named, form=form, seal_path=sidecar, findings=(_unreadable(sidecar, error),))
    findings = [finding("seal-found", f"the seal {sidecar.name} lies beside the data")]
    if form is Form.SIDECAR and _holds_seal(path):
        findings.append(
            finding("second-seal", "the file also holds a seal inside it; the one beside it covers every byte")
        )
    return Evidence(
        path=path, named=named, form=form, seal_path=sidecar, raw=raw, store=store, findings=tuple(findings)
    )


def _discover_inside(path: Path) -> Evidence:
    try:
        found = embedded.embedded_store(path)
        if found is None:
            return Evidence(path=path, named=path, form=Form.SIDECAR, findings=(_missing(path, Form.SIDECAR),))
        raw, ranges = found
        store = manifest.read_store(raw)
    except SealUnreadableError as error:
        return Evidence(path=path, named=path, form=Form.EMBEDDED, seal_path=path, findings=(_unreadable(path, error),))
    return Evidence(
        path=path,
        named=path,
        form=Form.EMBEDDED,
        seal_path=path,
        raw=raw,
        store=store,
        ranges=tuple(ranges),
        findings=(finding("seal-found", "the seal is inside the file"),),
    )


def _holds_seal(path: Path) -> bool:
    try:
        return embedded.embedded_store(path) is not None
    except Error:
        return True


def _missing(path: Path, form: Form) -> Finding:
    if form is Form.FOLDER:
        message = f"no seal is there: {path.name}.sha256.c2pa is not beside the folder"
        return finding("seal-missing", message, hint="to check the files in it one by one: rawtrace verify -r FOLDER")
    return finding(
        "seal-missing", f"no seal is there: {path.name}.c2pa is not beside the data, and none is inside the file"
    )


def _unreadable(where: Path, error: Error) -> Finding:
    return finding("seal-unreadable", f"{where.name} is there but cannot be read as a seal: {error.message}")
