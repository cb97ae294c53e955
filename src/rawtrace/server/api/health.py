"""Whether the store is well."""

from __future__ import annotations

import sqlalchemy as sa
from starlette.responses import Response

from rawtrace.server.calls import Call, json_reply


def health(call: Call) -> Response:
    """Tell that the database answers and how large the log is; says nothing private."""
    with call.store.database.read() as connection:
        connection.execute(sa.select(sa.literal(1)))
    answer: dict[str, object] = {"status": "ok", "name": call.store.settings.name}
    if call.store.settings.log.origin:
        answer["log"] = {"origin": call.store.settings.log.origin, "size": call.store.log.size}
    return json_reply(answer)
