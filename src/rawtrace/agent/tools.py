"""The agent's tools as they are in earnest: the seal, the reader, the hash. Heavy imports wait until they are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rawtrace.agent.work import Made, SealRead, Tools
from rawtrace.errors import SealUnreadableError, from_os_error
from rawtrace.sealing.statements import Device
from rawtrace.trust.signer import Identity

_MAX_SEAL_BYTES = 64 << 20


def tools_of(signer: Callable[[], Identity]) -> Tools:
    """Return the tools of an agent that signs as whoever ``signer`` returns when a seal begins."""

    def seal_as(path: Path, *, capture: str, supersede: bool, device: Device | None) -> Made:
        from rawtrace.sealing.assertions import Capture
        from rawtrace.sealing.seal import seal

        return seal(path, signer=signer(), capture=Capture(capture), supersede=supersede, device=device)

    return Tools(seal=seal_as, read_seal=read_seal, content=content)


def read_seal(sidecar: Path) -> SealRead:
    """Read a seal's name and what it is bound to, without judging it.

    Raises
    ------
    SealUnreadableError, UnreadableError
    """
    from rawtrace.sealing import assertions, manifest

    try:
        with sidecar.open("rb") as stream:
            data = stream.read(_MAX_SEAL_BYTES + 1)
    except OSError as error:
        raise from_os_error(error, f"reading {sidecar}") from error
    if len(data) > _MAX_SEAL_BYTES:
        msg = f"{sidecar} is larger than any seal"
        raise SealUnreadableError(msg)
    store = manifest.read_store(data)
    # A counter-signature that a store has added is about the seal, not about the data.
    sealed = store.bound_manifest() or store.active_manifest
    bound = [one.data for one in sealed.assertions if one.label == assertions.HASH_DATA and isinstance(one.data, dict)]
    digest = bound[0].get("hash") if bound else None
    return SealRead(
        label=sealed.label,
        claim_sha256=sealed.claim_sha256,
        content_sha256=digest.hex() if isinstance(digest, bytes) else "",
    )


def content(path: Path) -> str:
    """Return the SHA-256 that a seal of ``path`` would be bound to, hexadecimal."""
    from rawtrace.sealing import binding, folderindex

    if path.is_dir():
        return binding.sha256(folderindex.build_index(path).data).hex()
    return binding.bind_file(path).sha256.hex()
