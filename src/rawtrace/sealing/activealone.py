"""The active manifest of a seal as a seal of its own, where it says nothing about others in the same store."""

from __future__ import annotations

from rawtrace.errors import UnsealableError
from rawtrace.sealing.jumbf import parse
from rawtrace.sealing.manifest import read_store

_HEADER_BYTES = 8


def active_alone(store: bytes) -> bytes:
    """Return a manifest store that holds the active manifest only, to the byte as it was signed.

    Parameters
    ----------
    store : bytes

    Raises
    ------
    UnsealableError
        The active manifest was made from others in the store: without them it would be broken.
    SealUnreadableError
    """
    found = read_store(store)
    if len(found.manifests) > 1 and any(one.target for one in found.active_manifest.ingredients):
        msg = "the active manifest was made from others in its store, and does not stand without them"
        raise UnsealableError(msg, hint="take the whole store")
    root = parse(store)
    active = next(box for box in reversed(root.children) if box.label == found.active)
    described = store[root.body : min(box.start for box in root.children)]
    content = described + store[active.start : active.end]
    # A store that is kept is far smaller than what needs a 64-bit length.
    return (_HEADER_BYTES + len(content)).to_bytes(4, "big") + b"jumb" + content
