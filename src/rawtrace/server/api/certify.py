"""``POST /certify``: a repository seals what an old instrument could not."""

from __future__ import annotations

import base64

from starlette.responses import Response

from rawtrace import durable
from rawtrace.sealing import folderindex
from rawtrace.sealing.certify import Certified, certify_file, certify_index, check_name
from rawtrace.server.api.seals import as_dict
from rawtrace.server.calls import Call, json_reply
from rawtrace.server.problems import Problem


def before(call: Call) -> None:
    """Refuse what can be refused before gigabytes are taken in, and count the request."""
    if not call.store.settings.offers.certify:
        msg = "this store does not certify what is uploaded"
        raise Problem(404, msg)
    name, kind = call.query.get("name", ""), call.query.get("kind", "file")
    if not name or kind not in {"file", "folder-index"}:
        msg = "the address names no ?name=, or a &kind= that is neither file nor folder-index"
        raise Problem(400, msg)
    check_name(name)
    call.store.seals.count(call.principal)


def certify(call: Call) -> Response:
    """Seal what was uploaded: a file of any size, or the index of a folder; the upload itself is not kept."""
    made = _certify(call, call.query["name"], call.query.get("kind", "file"))
    said = as_dict(call.store.seals.keep_own(made.store))
    said["sidecar"] = base64.b64encode(made.store).decode()
    if made.companion:
        said["metadata"] = base64.b64encode(made.companion).decode()
    return json_reply({**said, "content_sha256": made.content_sha256}, status=201)


def _certify(call: Call, name: str, kind: str) -> Certified:
    desk = call.store.seals
    source_type = call.query.get("source_type", "")
    assert call.spooled is not None  # noqa: S101  the route spools
    if kind == "folder-index":
        size = call.query.get("size", "")
        if not size.isascii() or not size.isdigit() or len(size) > 18:
            msg = "the address names no &size=, the number of bytes of all files in the folder"
            raise Problem(400, msg)
        index = durable.read_bounded(call.spooled, limit=folderindex.MAX_INDEX_BYTES)
        return certify_index(
            index,
            name=name,
            size=int(size),
            signer=desk.gateway.signer(),
            source_type=source_type,
            stamp=desk.gateway.stamp(),
            lists=desk.lists(),
        )
    return certify_file(
        call.spooled,
        name=name,
        signer=desk.gateway.signer(),
        source_type=source_type,
        stamp=desk.gateway.stamp(),
        lists=desk.lists(),
    )
