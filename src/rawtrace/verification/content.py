"""Step 3, own digest: are the bytes those that were sealed, and if not, which part differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rawtrace import durable
from rawtrace.errors import ChangedWhileReadError, Error, InputNotFoundError
from rawtrace.progress import Progress
from rawtrace.report import Finding
from rawtrace.sealing import binding, datahash, folderindex
from rawtrace.sealing.assertions import ACQUISITION, PIXELS, printable
from rawtrace.sealing.manifest import Assertion
from rawtrace.verification.evidence import Evidence, Form, data_hashes, statement
from rawtrace.verification.findings import finding
from rawtrace.verification.pixels import Compared, compare_planes, words

#: How many members of each sort a report names one by one.
NAMED_MEMBERS = 50
BYTES_CHANGED = "bytes-changed"


def check_content(evidence: Evidence, *, progress: Progress) -> Iterator[Finding]:
    """Compare the data with what its seal is bound to."""
    store = evidence.store
    if store is None or evidence.active is None:
        return
    bound = store.bound_manifest()
    hashes = data_hashes(bound) if bound else ()
    if bound is None or len(hashes) != 1:
        yield finding("binding-missing", f"the seal holds {len(hashes)} data hashes; exactly one is accepted")
        return
    if evidence.form is Form.EMBEDDED:
        yield from _check_embedded(evidence, hashes[0], progress)
    else:
        yield from _check_whole(evidence, hashes[0], progress)
    acquisition = statement(bound, ACQUISITION)
    yield from _check_kind(evidence, acquisition)
    yield from _check_name(evidence, acquisition)
    metadata, planes = acquisition.get("metadata"), statement(bound, PIXELS).get("list")
    yield from _check_companion(evidence, binding.companion_of(evidence.named), metadata, "the long metadata")
    yield from _check_companion(evidence, binding.planes_of(evidence.named), planes, "the list of planes")


def _check_whole(evidence: Evidence, stated: Assertion, progress: Progress) -> Iterator[Finding]:
    folder = evidence.form is Form.FOLDER
    try:
        found = binding.bind_file(evidence.named, progress=progress)
    except InputNotFoundError:
        yield finding("index-missing", f"{evidence.named.name}, the sealed index of the folder, is not there")
        return
    problem = datahash.check_sidecar_binding(stated, sha256=found.sha256)
    if problem is not None and problem.code != BYTES_CHANGED:
        yield finding("binding-missing", problem.message, evidence={"code": problem.code})
        return
    proof = {"sealed_sha256": stated.data["hash"].hex(), "found_sha256": found.sha256.hex(), "found_bytes": found.size}
    if problem is not None:
        what = f"the index {evidence.named.name}" if folder else "the file"
        changed = finding("bytes-changed", _changed(evidence, what, found.size), evidence=proof)
        if folder:
            yield changed
        else:
            yield from _or_converted(evidence, changed, progress)
    elif not folder:
        yield finding("bytes-unchanged", f"all {found.size:,} bytes are those that were sealed", evidence=proof)
    if folder:
        yield from _check_members(evidence, proof, found.sha256, index_good=problem is None, progress=progress)


def _about_planes(evidence: Evidence, progress: Progress) -> Iterator[Finding]:
    """Say beside changed bytes what became of the planes."""
    bound = evidence.store.bound_manifest() if evidence.store else None
    compared = compare_planes(evidence, bound, progress=progress) if bound else Compared()
    if compared.same:
        yield finding("planes-unchanged", f"{words(compared.planes)}, all the same")
    yield from compared.findings


def _or_converted(evidence: Evidence, changed: Finding, progress: Progress) -> Iterator[Finding]:
    """Say that the bytes differ, unless every plane is still the same: then say that."""
    bound = evidence.store.bound_manifest() if evidence.store else None
    compared = compare_planes(evidence, bound, progress=progress) if bound else None
    if compared is None:
        yield changed
    elif compared.same:
        message = (
            f"the bytes differ, but {words(compared.planes)}: the file was converted, or "
            "only what stands beside the pixels was changed"
        )
        yield finding("bytes-converted", message, evidence={**changed.evidence, "planes": compared.planes})
    else:
        yield changed
        yield from compared.findings


def _check_members(
    evidence: Evidence, proof: Mapping[str, Any], hashed: bytes, *, index_good: bool, progress: Progress
) -> Iterator[Finding]:
    folder = evidence.path
    if not folder.is_dir():
        yield finding("folder-missing", f"the folder {folder.name} is not there")
        return
    try:
        data = durable.read_bounded(evidence.named, limit=folderindex.MAX_INDEX_BYTES)
        if binding.sha256(data) != hashed:
            # The lines to go by are those that were hashed, not what somebody put there meanwhile.
            msg = f"{evidence.named} changed while it was being read"
            raise ChangedWhileReadError(msg)
        indexed = folderindex.parse_index(data)
    except ChangedWhileReadError:
        raise
    except Error as error:
        yield finding("index-unreadable", f"the index {evidence.named.name} breaks the rules: {error.message}")
        return
    differences = folderindex.compare_folder(folder, indexed, progress=progress)
    if not differences.any() and index_good:
        message = f"all {len(indexed):,} files of the folder are those that were sealed, and there are no others"
        yield finding("bytes-unchanged", message, evidence=proof)
    else:
        yield from _about_planes(evidence, progress)
    yield from _members("member-missing", differences.missing, "{} was sealed and is not there")
    yield from _members("member-extra", differences.extra, "{} is there and was not sealed")
    yield from _members("member-changed", differences.changed, "{} is not as it was sealed")
    renamed = [f"{old} is there as {new}" for old, new in differences.renamed]
    yield from _members("member-renamed", renamed, "{}")
    yield from _members("member-odd", [f"{path} is {what}" for path, what in differences.oddities], "{}")
    if differences.litter:
        yield finding(
            "system-litter",
            f"{_count(differences.litter, 'file')} left behind by an operating system, no part of the data: "
            f"{', '.join(differences.litter[:5])}",
            evidence={"files": list(differences.litter[:NAMED_MEMBERS])},
        )


def _members(identifier: str, paths: Sequence[str], sentence: str) -> Iterator[Finding]:
    for path in paths[:NAMED_MEMBERS]:
        yield finding(identifier, sentence.format(path), subject=path)
    if len(paths) > NAMED_MEMBERS:
        yield finding(identifier, f"and {len(paths) - NAMED_MEMBERS:,} more", evidence={"count": len(paths)})


def _check_embedded(evidence: Evidence, stated: Assertion, progress: Progress) -> Iterator[Finding]:
    size = evidence.path.stat().st_size
    progress.start(evidence.path.name, size)
    problem = datahash.check_embedded_binding(evidence.path, stated, evidence.ranges)
    progress.advance(size)
    progress.finish()
    if problem is None:
        yield finding("bytes-unchanged", f"all {size:,} bytes but the seal's own are those that were sealed")
    elif problem.code in {BYTES_CHANGED, "data-outside-seal"}:
        # A conversion would have lost the seal: what was changed around it is no conversion.
        yield finding("bytes-changed", problem.message, evidence={"code": problem.code, "found_bytes": size})
        yield from _about_planes(evidence, progress)
    else:
        yield finding("binding-missing", problem.message, evidence={"code": problem.code})


def _check_kind(evidence: Evidence, acquisition: Mapping[str, Any]) -> Iterator[Finding]:
    """Let no seal about a file stand in for the seal of a folder: any text could then be somebody's index."""
    sealed = acquisition.get("kind", "file")
    if evidence.form is Form.FOLDER and sealed != "folder":
        yield finding("sealed-as-other-kind", "the seal is about a single file, not about this folder")
    elif evidence.form is not Form.FOLDER and sealed == "folder":
        folder = evidence.path.name.removesuffix(folderindex.INDEX_SUFFIX)
        yield finding("folder-missing", f"this is the sealed index of the folder {folder}, which is not there")


def _check_name(evidence: Evidence, acquisition: Mapping[str, Any]) -> Iterator[Finding]:
    sealed = acquisition.get("name")
    if isinstance(sealed, str) and sealed and sealed != printable(evidence.path.name):
        yield finding("asset-renamed", f"the data was called {sealed} when it was sealed", evidence={"name": sealed})


def _check_companion(evidence: Evidence, companion: Path, stated: object, what: str) -> Iterator[Finding]:
    """Compare a companion with what the seal says of it: ``file``, ``sha256``."""
    if not isinstance(stated, dict) or "file" not in stated:
        if companion.is_file():
            yield finding("companion-unsealed", f"{companion.name} lies beside the data; the seal does not cover it")
        return
    if not companion.is_file():
        yield finding("companion-missing", f"{what}, {companion.name}, is not beside the data")
        return
    try:
        found = binding.bind_file(companion)
    except Error as error:
        yield finding("companion-missing", f"{what} cannot be read: {error.message}")
        return
    if found.sha256.hex() == stated.get("sha256"):
        yield finding("companion-unchanged", f"{companion.name} is as it was sealed")
    else:
        yield finding("companion-changed", f"{companion.name} is not as it was sealed")


def _changed(evidence: Evidence, what: str, size: int) -> str:
    store = evidence.store
    bound = store.bound_manifest() if store else None
    sealed = statement(bound, ACQUISITION).get("size") if bound else None
    if isinstance(sealed, int) and sealed != size and evidence.form is Form.SIDECAR:
        return f"{what} is not the one that was sealed: it had {sealed:,} bytes then and has {size:,} now"
    return f"{what} is not the one that was sealed"


def _count(items: Sequence[object], noun: str) -> str:
    return f"{len(items):,} {noun}{'' if len(items) == 1 else 's'}"
