"""The store at a glance: what it holds, and which instruments somebody should look at."""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from rawtrace.server import instrumentviews as views
from rawtrace.server import registry
from rawtrace.server.calls import Call, json_reply
from rawtrace.server.instrumenttables import INSTRUMENTS
from rawtrace.server.registry import Status

_MOST = 12
#: What is worth a look, worst first.
_TROUBLES = ("ended", "revoked", "none", "ends-soon")


def home(call: Call) -> Response:
    """Count instruments by how their certificates stand, and name those to look at, worst first."""
    store = call.store
    found = views.certificates(store)
    with store.database.read() as connection:
        rows = connection.execute(sa.select(INSTRUMENTS.c.pid, INSTRUMENTS.c.status)).all()
    lives = Counter(row.status for row in rows)
    working = [row.pid for row in rows if row.status != Status.RETIRED]
    states = {pid: views.state_of(found.get(pid, ())) for pid in working}
    troubled = sorted(
        (pid for pid in working if states[pid] in _TROUBLES),
        key=lambda pid: (_TROUBLES.index(states[pid]), _ends(found.get(pid, ())), pid),
    )
    shown = [registry.find(store.database, pid) for pid in troubled[:_MOST]]
    answer: dict[str, Any] = {
        "name": store.settings.name,
        "instruments": {"total": len(rows), "by_status": dict(lives), "by_certificate": dict(Counter(states.values()))},
        "attention": [views.listed(entry, found.get(entry.pid, ())) for entry in shown if entry is not None],
        "attention_total": len(troubled),
    }
    if store.settings.log.origin:
        answer["log"] = {"origin": store.settings.log.origin, "size": store.log.size}
    return json_reply(answer, call=call)


def _ends(found: tuple[views.Certificate, ...]) -> str:
    return max((one.not_after.isoformat() for one in found if one.stands), default="")
