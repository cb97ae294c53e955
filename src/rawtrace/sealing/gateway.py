"""The gateway: an institution's counter-signature and a trusted time, from the seal alone.

Instruments seal without a network. What they could not know at that moment is
added later by a C2PA *update manifest*: a repository signs that it held this
seal, and a time-stamping authority (RFC 3161) says when. An update binds no
bytes of the data, so the data itself is not needed and is not vouched for.

1. the seal is read with our own reader; one that does not hold is not built upon;
2. the update is signed, with a time stamp over the new signature and, in a
   ``c2pa.time-stamp`` assertion, over each signature that it builds upon;
3. what came out is read back: one manifest more, the older ones byte for byte
   as they were, bound to the same data, and the stamps good for whoever has the
   same trust lists. Otherwise nothing is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from cryptography.hazmat.primitives.serialization import Encoding

from rawtrace.errors import EnvelopeError, Error, ForbiddenSealError, TimeStampError, UnsealableError
from rawtrace.sealing import assertions, envelope, timestamp
from rawtrace.sealing.assertions import ACQUISITION, Relationship
from rawtrace.sealing.jumbf import parse
from rawtrace.sealing.manifest import Manifest, Store, read_store
from rawtrace.sealing.stamping import Stamp, stamping
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.signer import Identity, check_current

#: Beyond so many manifests only the newest is stamped: it stands for all that it builds upon.
MAX_STAMPED = 8
_INGREDIENT = "seal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Countersigned:
    """A seal with one manifest more.

    Attributes
    ----------
    store : bytes
        The new content of the ``.c2pa`` file.
    label, claim_sha256 : str
        Name of the new manifest.
    time : datetime or None
        What the listed time-stamping authority says of the new signature; ``None`` without a stamp.
    """

    store: bytes
    label: str
    claim_sha256: str
    time: datetime | None


def countersign(
    seal: bytes,
    *,
    signer: Identity,
    stamp: Stamp | None = None,
    lists: Sequence[TrustList] = (),
    now: datetime | None = None,
) -> Countersigned:
    """Add an update manifest to a seal.

    Parameters
    ----------
    seal : bytes
        Content of a ``.c2pa`` file.
    signer : Identity
        Of a repository.
    stamp : callable, optional
        Answers RFC 3161 requests: ``TimeAuthority.answer`` of this process, or ``timeclient.asking``.
        Without it the counter-signature has no trusted time.
    lists : Sequence[TrustList]
        That name the time-stamping authority; a stamp that does not hold by them is not published.

    Raises
    ------
    SealUnreadableError, UnsealableError
        The seal cannot be read, does not hold, or binds no data.
    ForbiddenSealError
        The signer is not a certified repository.
    TimeStampError
        No stamp was to be had, or one that does not hold.
    CertificateError, EnvelopeError, KeyUnavailableError, LimitError
    """
    at = now or datetime.now(UTC)
    if signer.kind is not SignerKind.REPOSITORY:
        msg = f"{signer.folder} is the identity of a {signer.kind}; only a certified repository counter-signs"
        raise ForbiddenSealError(msg, hint="make one: rawtrace authority repository AUTHORITY DIR")
    check_current(signer, now=now)
    before = read_store(seal)
    bound = _require_sound(before)
    definition = _definition(seal, bound, signer, at)
    ancestors = {f"{_INGREDIENT}.c2pa": seal}
    if stamp is None:
        made = envelope.sign_update(definition, signer, ancestors=ancestors)
    else:
        with stamping(stamp) as address:
            try:
                made = envelope.sign_update(
                    definition,
                    signer,
                    ancestors=ancestors,
                    time_url=address.url,
                    stamp_all=len(before.manifests) <= MAX_STAMPED,
                )
            except EnvelopeError:
                if not address.errors:
                    raise
                first = address.errors[0]
                msg = f"no time stamp was to be had: {first.message if isinstance(first, Error) else first}"
                raise TimeStampError(msg) from first
    return _read_back(seal, before, made, stamped=stamp is not None, lists=lists)


def is_countersigned_by(store: Store, signer: Identity) -> bool:
    """Whether an update on the way from the newest manifest to the bound one has this signer's certificate."""
    manifest: Manifest | None = store.active_manifest
    own = signer.leaf.public_bytes(Encoding.DER)
    seen: set[str] = set()
    while manifest is not None and manifest.is_update and manifest.label not in seen:
        if manifest.signature.chain[:1] == (own,):
            return True
        seen.add(manifest.label)
        above = (item.target for item in manifest.ingredients if item.relationship == Relationship.PARENT_OF)
        manifest = store.manifests.get(next(above, ""))
    return False


def unchanged_in(seal: bytes, newer: bytes) -> bool:
    """Whether every manifest of a seal stands in a newer store byte for byte, and the newer one builds upon it.

    Raises
    ------
    SealUnreadableError
    """
    before, after = read_store(seal), read_store(newer)
    old, new = _boxes(seal), _boxes(newer)
    if not old or not new or any(new.get(label) != box for label, box in old.items()):
        return False
    bound, rebound = before.bound_manifest(), after.bound_manifest()
    if bound is None or rebound is None or bound.label != rebound.label:
        return False
    return any(manifest.label == before.active for manifest in after.walk())


def _require_sound(store: Store) -> Manifest:
    for manifest in store.manifests.values():
        if manifest.problems:
            msg = f"the seal does not hold, so it is not counter-signed: {manifest.problems[0].message}"
            raise UnsealableError(msg)
    bound = store.bound_manifest()
    if bound is None or not bound.bindings:
        msg = "the seal is bound to no data, so it is not counter-signed"
        raise UnsealableError(msg)
    return bound


def _definition(seal: bytes, bound: Manifest, signer: Identity, at: datetime) -> dict[str, object]:
    title, media_type = _subject(bound)
    ingredient = envelope.describe_ancestor(
        seal,
        label=_INGREDIENT,
        title=title,
        media_type=media_type,
        relationship=str(Relationship.PARENT_OF),
        anchors=signer.chain[1:],
    )
    opened = {
        "action": "c2pa.opened",
        "when": at.astimezone(UTC).isoformat(timespec="seconds"),
        "softwareAgent": {"name": f"rawtrace {version('rawtrace')}"},
        "parameters": {"ingredientIds": [_INGREDIENT]},
    }
    return {
        "claim_generator_info": [{"name": "rawtrace", "version": version("rawtrace")}],
        "title": title,
        "assertions": [{"label": assertions.ACTIONS, "data": {"actions": [opened]}}],
        "ingredients": [ingredient],
    }


def _subject(bound: Manifest) -> tuple[str, str]:
    """Return name and media type as the seal itself states them."""
    said = next((item.data for item in bound.assertions if item.label == ACQUISITION), None)
    stated = said if isinstance(said, dict) else {}
    name, media_type = stated.get("name"), stated.get("media_type")
    title = name if isinstance(name, str) else str(bound.claim.get("dc:title", ""))
    return title[:255] or "sealed data", media_type if isinstance(media_type, str) else envelope.OPAQUE


def _read_back(seal: bytes, before: Store, made: bytes, *, stamped: bool, lists: Sequence[TrustList]) -> Countersigned:
    after = read_store(made)
    active = after.active_manifest
    sound = not any(manifest.problems for manifest in after.manifests.values())
    one_more = len(after.manifests) == len(before.manifests) + 1 and active.label not in before.manifests
    if not sound or not one_more or not active.is_update or not unchanged_in(seal, made):
        msg = "the counter-signed seal does not hold when it is read back, so it was not kept"
        raise EnvelopeError(msg, hint="this is a bug in rawtrace or in the C2PA library; please report it")
    time = None
    if stamped:
        time = _stamped_at(active, after, lists, source="sigTst2")
        _stamped_at(after.manifests[before.active], after, lists, source=active.label)
    return Countersigned(store=made, label=active.label, claim_sha256=active.claim_sha256, time=time)


def _stamped_at(manifest: Manifest, store: Store, lists: Sequence[TrustList], *, source: str) -> datetime:
    """Return the time of the new stamp of a manifest, which may have others, good and bad."""
    evidence = timestamp.read_timestamps(manifest, lists, store=store)
    found = next((item.time for item in evidence.times if item.source == source), None)
    if found is None:
        why = evidence.problems[-1].message if evidence.problems else "none is there"
        msg = f"the time stamps of the counter-signature do not hold: {why}"
        raise TimeStampError(msg, hint="the trust lists at hand must name the time-stamping authority")
    return found


def _boxes(seal: bytes) -> dict[str, bytes]:
    """Return each manifest's bytes by its label; none at all where two bear one label."""
    found = list(parse(seal).superboxes())
    boxes = {box.label: seal[box.start : box.end] for box in found}
    return boxes if len(boxes) == len(found) else {}
