"""A draft of a federation: root and targets that are to be published, as far as they are signed.

It is one file that stands for itself: it holds the root before it, so that whoever
signs on another computer sees the same rules there, and all files, so that
they can look at what they sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace import strictjson
from rawtrace.errors import Error, FederationError
from rawtrace.trust import federationfiles, federationkeys
from rawtrace.trust.federationfiles import LISTS
from rawtrace.trust.keys import SigningKey
from rawtrace.trust.trustlist import read_list

if TYPE_CHECKING:
    from rawtrace.trust.tuflib import Metadata, Root

DRAFT_SCHEMA = "urn:rawtrace:schema:federation-draft:1"
MAX_DRAFT_BYTES = 2 * federationfiles.MAX_ALL_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to be published.

    Attributes
    ----------
    previous : bytes
        The root that is published; empty before the first.
    root : bytes
        The next root; empty where it stays.
    targets : bytes
        The next targets; empty where they stay.
    files : Mapping[str, bytes]
        What ``targets`` is about.
    """

    previous: bytes = b""
    root: bytes = b""
    targets: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict)

    def write(self) -> bytes:
        """Return the file's bytes."""
        return strictjson.dumps(
            {
                "schema": DRAFT_SCHEMA,
                "previous": self.previous.decode(),
                "root": self.root.decode(),
                "targets": self.targets.decode(),
                "files": {name: data.decode() for name, data in self.files.items()},
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """Who has signed one part of a draft, by one set of keys.

    Attributes
    ----------
    part : str
        ``root`` or ``targets``.
    by : str
        ``its own keys`` or ``the root before it``.
    threshold : int
    signed, unsigned : tuple[tuple[str, str], ...]
        SHA-256 and holder of each key.
    """

    part: str
    by: str
    threshold: int
    signed: tuple[tuple[str, str], ...]
    unsigned: tuple[tuple[str, str], ...]

    @property
    def missing(self) -> int:
        """How many signatures are still needed."""
        return max(0, self.threshold - len(self.signed))


def read_draft(data: bytes, *, what: str) -> Draft:
    """Read a draft and check that its files are those of its targets.

    Raises
    ------
    FederationError
    """
    try:
        document = strictjson.loads(data, what=what, max_bytes=MAX_DRAFT_BYTES)
        if not isinstance(document, dict) or document.get("schema") != DRAFT_SCHEMA:
            msg = f"{what} is not a draft of the form {DRAFT_SCHEMA}"
            raise FederationError(msg)
        draft = Draft(
            previous=document["previous"].encode(),
            root=document["root"].encode(),
            targets=document["targets"].encode(),
            files={name: text.encode() for name, text in document["files"].items()},
        )
        if draft.root:
            federationkeys.root_facts(parse(draft.root).signed)
        if draft.targets:
            federationfiles.check_files(draft.files)
            signed = parse_any(draft.targets).signed
            if parse_any(new_targets(draft.files, version=1, expires=signed.expires)).signed.targets != signed.targets:
                msg = f"{what} holds other files than its targets speak of"
                raise FederationError(msg)
    except (KeyError, AttributeError, ValueError) as error:
        msg = f"{what} is not a draft that rawtrace wrote"
        raise FederationError(msg) from error
    return draft


def new_targets(files: Mapping[str, bytes], *, version: int, expires: datetime) -> bytes:
    """Return targets metadata about some files, not signed yet."""
    from rawtrace.trust.tuflib import Metadata, TargetFile, Targets

    made = Metadata(Targets(version=version, expires=expires))
    for name, data in sorted(files.items()):
        made.signed.targets[name] = TargetFile.from_data(name, data, ["sha256"])
    return made.to_bytes()


def unsigned(data: bytes) -> bytes:
    """Return metadata without its signatures."""
    metadata = parse_any(data)
    metadata.signatures.clear()
    return metadata.to_bytes()


def parse(data: bytes) -> Metadata[Root]:
    """Read a root.

    Raises
    ------
    FederationError
    """
    from rawtrace.trust.tuflib import Root

    found = parse_any(data)
    if not isinstance(found.signed, Root):
        msg = "metadata of another kind stands in the place of a root"
        raise FederationError(msg)
    return found


def parse_any(data: bytes) -> Metadata[Any]:
    """Read metadata of any role.

    Raises
    ------
    FederationError
    """
    from rawtrace.trust.tuflib import Metadata, RepositoryError

    try:
        found: Metadata[Any] = Metadata.from_bytes(data)
    except (RepositoryError, ValueError) as error:
        msg = "the federation's folder holds metadata that cannot be read"
        raise FederationError(msg, hint="restore the folder from its backup") from error
    return found


def signatures(draft: Draft) -> tuple[Signatures, ...]:
    """Tell who has signed what, and who still may."""
    found = []
    root = parse(draft.root or draft.previous).signed
    if draft.root:
        found.append(_signatures("root", "its own keys", root, draft.root))
        if draft.previous:
            found.append(_signatures("root", "the root before it", parse(draft.previous).signed, draft.root))
    if draft.targets:
        found.append(_signatures("targets", "its own keys", root, draft.targets))
    return tuple(found)


def sign(draft: Draft, key: SigningKey) -> Draft:
    """Sign what the key counts for.

    Raises
    ------
    FederationError
        The key counts for nothing in the draft.
    """
    signer = federationkeys.signer(key)
    mine = federationkeys.digest_of(signer.public_key)
    counts = {one.part for one in signatures(draft) if mine in {digest for digest, _ in one.signed + one.unsigned}}
    if not counts:
        msg = f"the key {mine[:16]}… counts for nothing in this draft"
        raise FederationError(msg, hint="rawtrace federation status tells whose signatures are asked for")
    changed = {}
    for part in counts:
        metadata = parse_any(getattr(draft, part))
        metadata.sign(signer, append=True)
        changed[part] = metadata.to_bytes()
    return replace(draft, root=changed.get("root", draft.root), targets=changed.get("targets", draft.targets))


def merge(draft: Draft, carried: Draft, *, what: str) -> Draft:
    """Take over good signatures of the same draft.

    Raises
    ------
    FederationError
    """
    changed = {}
    for part in ("root", "targets"):
        mine, theirs = getattr(draft, part), getattr(carried, part)
        if bool(mine) != bool(theirs) or (mine and unsigned(mine) != unsigned(theirs)):
            msg = f"{what} is another draft than the one here; its signatures are about something else"
            raise FederationError(msg, hint="carry the present draft.json and have it signed again")
        if mine:
            ours = parse_any(mine)
            for keyid, signature in parse_any(theirs).signatures.items():
                ours.signatures.setdefault(keyid, signature)
            changed[part] = ours.to_bytes()
    return replace(draft, root=changed.get("root", draft.root), targets=changed.get("targets", draft.targets))


def check_signed(draft: Draft, *, folder: Path) -> None:
    """Raise ``FederationError`` where signatures are missing, saying how many and whose."""
    for one in signatures(draft):
        if one.missing:
            whose = ", ".join(f"{digest[:16]}…{f' ({holder})' if holder else ''}" for digest, holder in one.unsigned)
            msg = f"the {one.part} lacks {one.missing} of {one.threshold} signatures by {one.by}; may sign: {whose}"
            raise FederationError(
                msg, hint=f"sign with one key after another: rawtrace federation sign {folder} --key DIR"
            )


def check_targets(root: Root, targets: bytes) -> None:
    """Raise ``FederationError`` where targets do not bear the signatures that a root asks for."""
    one = _signatures("targets", "its own keys", root, targets)
    if one.missing:
        msg = f"under the new root the published files lack {one.missing} of {one.threshold} signatures"
        raise FederationError(msg, hint="draft them again with rawtrace federation add DIR, then sign")


def changes(draft: Draft, published: Mapping[str, bytes]) -> tuple[str, ...]:
    """Say in words what a draft changes about the files."""
    said = []
    for name, data in sorted(draft.files.items()):
        if published.get(name) != data:
            about = ""
            if name.startswith(LISTS):
                try:
                    one = read_list(data, source=name)
                    about = f": “{one.name}” by {one.operator}, issue {one.sequence}, operator {one.operator_sha256}"
                except Error as error:
                    about = f": {error.message}"
            said.append(f"{'changed' if name in published else 'new'} {name}{about}")
    said += [f"withdrawn {name}" for name in sorted(published) if draft.targets and name not in draft.files]
    return tuple(said)


def _signatures(part: str, by: str, root: Root, data: bytes) -> Signatures:
    metadata = parse_any(data)
    result = root.get_verification_result(part, metadata.signed_bytes, metadata.signatures)
    facts = dict(federationkeys.root_facts(root).keys)

    def named(found: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        digests = sorted(federationkeys.digest_of(key) for key in found.values())
        return tuple((digest, facts.get(digest, "")) for digest in digests)

    return Signatures(
        part=part, by=by, threshold=result.threshold, signed=named(result.signed), unsigned=named(result.unsigned)
    )
