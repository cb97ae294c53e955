"""Step 7, ancestors: the chain from the asset back to what no other data went into.

Every ancestor's manifest lies inside the asset's own seal, so its signer is
checked even when its file is not at hand. Where the file can be found, beside
the asset or where the reader said, its bytes are checked too. Walking is by a
queue, not by recursion: a chain may be 200 generations long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from rawtrace import durable
from rawtrace.errors import Error
from rawtrace.report import ChainLink, Finding, SealFacts, Verdict, verdict_of
from rawtrace.sealing import binding, datahash, folderindex, jumbf
from rawtrace.sealing.assertions import ACQUISITION, INPUTS, INSTRUMENT
from rawtrace.sealing.manifest import Manifest, Store, read_sidecar
from rawtrace.trust.certificates import name_of, signer_kind
from rawtrace.verification import checks
from rawtrace.verification import receipts as receipts_of
from rawtrace.verification.evidence import Evidence, actions, data_hashes, plain, source_types, statement
from rawtrace.verification.findings import finding
from rawtrace.verification.policy import Policy
from rawtrace.verification.receipts import Receipts
from rawtrace.verification.signer import SignerEvidence, Verifier, gather_signer
from rawtrace.verification.statement import check_statement

MAX_ANCESTORS = 2_000


@dataclass(frozen=True, slots=True)
class Trail:
    """Findings about all ancestors, and the chain as a picture needs it, the asset first."""

    findings: tuple[Finding, ...]
    chain: tuple[ChainLink, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Input:
    """One thing that a manifest says its data was made from."""

    title: str
    relationship: str
    target: str
    sha256: str
    claim_sha256: str


def follow(
    evidence: Evidence,
    asset: ChainLink,
    verifier: Verifier,
    policy: Policy,
    *,
    originals: Sequence[Path],
    receipts: Receipts = receipts_of.NONE,
) -> Trail:
    """Check every ancestor of an asset.

    Parameters
    ----------
    asset : ChainLink
        The asset's own node, without parents; they are filled in here.
    originals : Sequence of Path
        Folders to look for ancestors' files in, besides the asset's own.
    receipts : Receipts
        Those beside the asset's seal; ancestors' own are looked for beside their files.
    """
    store = evidence.store
    if store is None:
        return Trail((), (asset,))
    files = _Files((evidence.named.parent, *originals), store, receipts)
    findings: list[Finding] = []
    links: dict[str, ChainLink] = {asset.key: asset}
    parents: dict[str, list[str]] = {}
    pending: deque[tuple[str, Manifest]] = deque([(asset.key, store.active_manifest)])
    while pending:
        key, manifest = pending.popleft()
        for number, item in enumerate(_inputs_of(manifest), start=1):
            parent_key = item.target or f"{key}/{number}"
            above = parents.setdefault(key, [])
            if parent_key not in above:
                above.append(parent_key)
            if parent_key in links:
                # Its seal was checked where it was met first; what is said of it here was not.
                if parent_key in store.manifests:
                    known = store.manifests[parent_key]
                    findings += [replace(one, subject=item.title) for one in _agreement(item, known)]
                continue
            if len(links) > MAX_ANCESTORS:
                findings.append(finding("ancestors-too-many", f"the chain has more than {MAX_ANCESTORS:,} ancestors"))
                pending.clear()
                break
            parent = store.manifests.get(item.target)
            link, found = _check_one(parent_key, item, parent, store, files, verifier, policy)
            links[parent_key] = link
            findings += found
            if parent is not None:
                pending.append((parent_key, parent))
    if not parents:
        findings.append(finding("ancestors-none", "the seal names no data that this was made from"))
    chain = tuple(replace(link, parents=tuple(parents.get(link.key, ()))) for link in links.values())
    return Trail(tuple(findings), chain)


def facts_of(signer: SignerEvidence) -> SealFacts:
    """Return what a seal says of itself, for people."""
    manifest, leaf = signer.manifest, signer.leaf
    instrument = statement(manifest, INSTRUMENT)
    kind = signer_kind(leaf) if leaf is not None else None
    terms = source_types(manifest)
    chain = signer.path.chain
    return SealFacts(
        label=manifest.label,
        claim_sha256=manifest.claim_sha256,
        signer=name_of(leaf) if leaf is not None else "",
        signer_kind=str(kind) if kind is not None else "unknown",
        authority=name_of(chain[1]) if len(chain) > 1 else "",
        certificate_sha256=binding.sha256(manifest.signature.chain[0]).hex() if manifest.signature.chain else "",
        instrument=plain(instrument),
        acquisition=plain(statement(manifest, ACQUISITION)),
        actions=tuple(plain(step) for step in actions(manifest)),
        digital_source_type=terms[0] if terms else "",
        sealed_at=signer.claimed_at.isoformat() if signer.claimed_at else "",
        trusted_time=signer.trusted_at.isoformat() if signer.trusted_at else "",
    )


def _inputs_of(manifest: Manifest) -> Iterator[_Input]:
    """Pair each C2PA ingredient with the content hash that our own statement gives for it."""
    stated = statement(manifest, INPUTS).get("inputs")
    items = [item for item in stated if isinstance(item, dict)] if isinstance(stated, list) else []
    waiting: dict[tuple[str, str], deque[int]] = {}
    for number, item in enumerate(items):
        title, label = item.get("title"), _seal_of(item).get("label", "")
        if isinstance(title, str) and isinstance(label, str):
            waiting.setdefault((title, label), deque()).append(number)
    used: set[int] = set()
    for ingredient in manifest.ingredients:
        matches = waiting.get((ingredient.title, ingredient.target))
        match = matches.popleft() if matches else None
        if match is not None:
            used.add(match)
        stated_of_it = {} if match is None else items[match]
        yield _input(stated_of_it, ingredient.title, ingredient.relationship, ingredient.target)
    for number, item in enumerate(items):
        if number not in used:
            yield _input(item, str(item.get("title", "")), str(item.get("relationship", "")), "")


def _seal_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    named = item.get("seal")
    return named if isinstance(named, dict) else {}


def _input(item: Mapping[str, Any], title: str, relationship: str, target: str) -> _Input:
    return _Input(
        title=title or "an unnamed ancestor",
        relationship=relationship,
        target=target,
        sha256=str(item.get("sha256", "")),
        claim_sha256=str(_seal_of(item).get("claim_sha256", "")),
    )


def _check_one(
    key: str,
    item: _Input,
    parent: Manifest | None,
    store: Store,
    files: _Files,
    verifier: Verifier,
    policy: Policy,
) -> tuple[ChainLink, list[Finding]]:
    findings: list[Finding] = []
    file = _find_file(item, parent, files)
    own: list[Finding] = []
    seal: SealFacts | None = None
    if parent is None:
        findings.append(_unsealed(item, file))
    else:
        beside = files.receipts_about(item.title) if verifier.names_logs else files.receipts
        signer = gather_signer(parent, store, verifier, beside)
        seal = facts_of(signer)
        own = [
            policy.weigh(found)
            for found in (
                *checks.check_envelope(parent, None),
                *checks.check_certificate(signer, verifier),
                *checks.check_status(signer, verifier),
                *checks.check_time(signer, verifier),
                *check_statement(signer),
                *checks.check_receipts(signer, verifier),
            )
        ]
        findings += _agreement(item, parent)
        findings += _summaries(item, own)
        findings += _check_file(item, parent, file)
    findings = [policy.weigh(replace(found, subject=item.title)) for found in findings]
    verdict = verdict_of([*own, *(found for found in findings if found.id in _ABOUT_THE_NODE)])
    if parent is None:
        verdict = Verdict.INCONCLUSIVE
    link = ChainLink(
        key=key,
        title=item.title,
        verdict=verdict,
        relationship=item.relationship,
        file=str(file.path) if file and file.same else "",
        seal=seal,
    )
    return link, findings


_ABOUT_THE_NODE = frozenset({"ancestor-altered", "ancestor-mismatch"})


@dataclass(frozen=True, slots=True)
class _File:
    """A file that bears an ancestor's name; ``sealed_alike``: the ancestor's own seal lies beside it."""

    path: Path
    same: bool
    sealed_alike: bool


class _Files:
    """Where ancestors' files may lie, and the digests of those that were looked at, each made once."""

    __slots__ = ("_known", "_store", "places", "receipts")

    def __init__(self, places: Sequence[Path], store: Store, receipts: Receipts) -> None:
        self.places = places
        self.receipts = receipts
        self._store = store
        self._known: dict[Path, str] = {}

    def sha256_of(self, path: Path) -> str:
        """Return the SHA-256 of a file, hexadecimal."""
        if path not in self._known:
            self._known[path] = binding.bind_file(path).sha256.hex()
        return self._known[path]

    def receipts_about(self, title: str) -> Receipts:
        """Return the receipts at hand, with those that lie beside an ancestor's own seal."""
        found = self.receipts
        if _is_plain_name(title):
            for place in self.places:
                for seal in (binding.sidecar_of(place / title), place / title):
                    found = found.with_more(receipts_of.read_beside(seal))
        return found

    def bound_of(self, parent: Manifest | None) -> Manifest | None:
        """Return the manifest that binds an ancestor's bytes: its own or, for an update, the one it updates."""
        return replace(self._store, active=parent.label).bound_manifest() if parent is not None else None


def _find_file(item: _Input, parent: Manifest | None, files: _Files) -> _File | None:
    """Look for an ancestor's file by its name; a name from a seal never leads out of a folder."""
    name = item.title
    if not _is_plain_name(name):
        return None
    best: _File | None = None
    for place in files.places:
        candidate = place / name
        try:
            if not candidate.is_file():
                continue
            found = _compare(candidate, item, parent, files)
        except (Error, OSError, ValueError):
            continue
        if found is None or found.same:
            return found
        if best is None or found.sealed_alike:
            best = found
    return best


def _is_plain_name(name: str) -> bool:
    odd = "\\" in name or "\0" in name or ":" in name or name in {".", ".."}
    return bool(name) and PurePath(name).name == name and not odd


def _compare(candidate: Path, item: _Input, parent: Manifest | None, files: _Files) -> _File | None:
    """Compare a file that bears an ancestor's name; ``None`` for an index that lies there without its folder.

    What counts is the ancestor's manifest inside the asset's own seal: a seal beside the file
    may have been changed together with it, and only tells whether the file claims to be the one.
    """
    bound = files.bound_of(parent)
    alike = parent is not None and _bears_seal(candidate, parent)
    wanted = _sealed_sha256(bound) or item.sha256
    same = bool(wanted) and files.sha256_of(candidate) == wanted
    if same and bound is not None and statement(bound, ACQUISITION).get("kind") == "folder":
        folder = candidate.with_name(candidate.name.removesuffix(folderindex.INDEX_SUFFIX))
        if not folder.is_dir():
            return None
        same = _folder_same(candidate, folder)
    return _File(candidate, same, alike)


def _bears_seal(candidate: Path, parent: Manifest) -> bool:
    """Whether the seal beside a file is, by label and claim, an ancestor's.

    Boxes are looked at and nothing is verified, for in a long chain every seal holds all older ones.
    """
    try:
        data = jumbf.last_inside(read_sidecar(binding.sidecar_of(candidate)))
        active = jumbf.parse(data)
    except Error:
        return False
    claims = [box.children[0] for box in active.superboxes() if box.label.startswith("c2pa.claim") and box.children]
    return active.label == parent.label and [data[box.body : box.end] for box in claims] == [parent.claim_bytes]


def _folder_same(index: Path, folder: Path) -> bool:
    """Whether a folder is what its index says."""
    indexed = folderindex.parse_index(durable.read_bounded(index, limit=folderindex.MAX_INDEX_BYTES))
    return not folderindex.compare_folder(folder, indexed).any()


def _sealed_sha256(parent: Manifest | None) -> str:
    hashes = data_hashes(parent) if parent is not None else ()
    said = datahash.read_data_hash(hashes[0]) if len(hashes) == 1 else None
    return said.digest.hex() if isinstance(said, datahash.DataHash) and not said.exclusions else ""


def _unsealed(item: _Input, file: _File | None) -> Finding:
    if file and file.same:
        tail = "; the file beside is the one that was used, but nobody vouches for it"
    elif not item.sha256:
        tail = ", and not even its content was noted"
    else:
        tail = ""
    return finding("ancestor-unsealed", f"{item.title} has no seal, so the chain ends there{tail}")


def _agreement(item: _Input, parent: Manifest) -> Iterator[Finding]:
    """Compare the content hash in our own statement with the ancestor's own seal."""
    sealed = _sealed_sha256(parent)
    if item.claim_sha256 and item.claim_sha256 != parent.claim_sha256:
        yield finding("ancestor-mismatch", f"the seal names another seal for {item.title} than the one inside it")
    elif item.sha256 and sealed and item.sha256 != sealed:
        yield finding(
            "ancestor-mismatch", f"the seal and the ancestor's own seal name different content for {item.title}"
        )


def _summaries(item: _Input, own: Sequence[Finding]) -> Iterator[Finding]:
    """One finding per ancestor that says what its own checks came to, with the sentences as evidence."""
    verdict = verdict_of(own)
    said = [found.message for found in own if found.outcome.verdict is verdict]
    proof = {"findings": [found.id for found in own if found.outcome != "passed"]}
    if verdict in {Verdict.REJECTED, Verdict.ALTERED}:
        yield finding("ancestor-rejected", f"the seal of {item.title} does not hold: {said[0]}", evidence=proof)
    elif verdict is Verdict.INCONCLUSIVE:
        yield finding("ancestor-open", f"the seal of {item.title} leaves a question open: {said[0]}", evidence=proof)
    elif verdict is Verdict.VERIFIED_WITH_NOTES:
        message = f"the seal of {item.title} holds, with notes: {'; '.join(said)}"
        yield finding("ancestor-noted", message, evidence=proof)
    else:
        yield finding("ancestor-good", f"the seal of {item.title} holds")


def _check_file(item: _Input, parent: Manifest, file: _File | None) -> Iterator[Finding]:
    if file is None:
        yield finding("ancestor-file-absent", f"the file of {item.title} is not at hand; its seal is inside this one")
    elif file.same:
        yield finding("ancestor-file-good", f"the file of {item.title} is at hand and is as it was sealed")
    elif file.sealed_alike:
        yield finding(
            "ancestor-altered", f"the file of {item.title} lies beside with its seal and is not what was sealed"
        )
    else:
        yield finding(
            "ancestor-namesake", f"a file called {item.title} lies beside, but it is not the one that was used"
        )
        yield finding("ancestor-file-absent", f"the file of {item.title} is not at hand; its seal is inside this one")
