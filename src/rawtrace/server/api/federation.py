"""The files of the federation that this store publishes, as they lie in its folder; nothing else of that folder."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.responses import Response

from rawtrace import durable
from rawtrace.errors import InputNotFoundError
from rawtrace.server.calls import Call, tagged
from rawtrace.server.problems import Problem
from rawtrace.trust.federationfiles import MAX_ALL_BYTES
from rawtrace.trust.federationfolder import PUBLIC_FOLDER

FOLDER = "federation"
_METADATA = re.compile(r"(?:[1-9][0-9]{0,8}\.)?(?:root|targets|snapshot)\.json|timestamp\.json")
_TARGET = re.compile(r"[0-9a-f]{64}\.[A-Za-z0-9][A-Za-z0-9_-]{0,99}(?:\.[a-z]{2,8})?")
_FOR_EVER = "public, max-age=31536000, immutable"
_MAX_METADATA_BYTES = 1 << 20


def metadata(call: Call) -> Response:
    """Return TUF metadata; what bears a version never changes."""
    name = call.path["name"]
    if not _METADATA.fullmatch(name):
        raise _nothing()
    body = _read(call, Path("metadata") / name, _MAX_METADATA_BYTES)
    caching = _FOR_EVER if name[0].isdigit() else "public, max-age=60"
    return tagged(body, "application/json", call=call, headers={"Cache-Control": caching})


def target(call: Call) -> Response:
    """Return a file, named by its digest."""
    return _target(call, Path("targets"))


def listed(call: Call) -> Response:
    """Return a member's trust list, named by its digest."""
    return _target(call, Path("targets") / "lists")


def _target(call: Call, folder: Path) -> Response:
    name = call.path["name"]
    if not _TARGET.fullmatch(name):
        raise _nothing()
    body = _read(call, folder / name, MAX_ALL_BYTES)
    return tagged(body, "application/octet-stream", call=call, headers={"Cache-Control": _FOR_EVER})


def _read(call: Call, path: Path, limit: int) -> bytes:
    # Either the publisher's own folder, of which only one part is public, or a copy of that part.
    folder = call.store.folder / FOLDER
    public = folder / PUBLIC_FOLDER if (folder / PUBLIC_FOLDER).is_dir() else folder
    if not call.store.settings.offers.federation:
        raise _nothing()
    try:
        return durable.read_bounded(public / path, limit=limit)
    except InputNotFoundError as error:
        raise _nothing() from error


def _nothing() -> Problem:
    return Problem(404, "the federation publishes no such file here")
