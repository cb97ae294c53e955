"""What pages are told beside the answer of their handler: what a person wants to see first, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from rawtrace.ledger.checkpoint import read_checkpoint
from rawtrace.ledger.note import read_note, verify_note
from rawtrace.server import enrolment, registry, sealcounts
from rawtrace.server.access import Role
from rawtrace.server.calls import Call
from rawtrace.server.instrumentaddress import read_address
from rawtrace.server.instrumentviews import change
from rawtrace.server.pages.plot import plot
from rawtrace.server.registry import Query
from rawtrace.trust import register

_STAFF = (Role.OPERATOR, Role.OFFICER, Role.AUDITOR)
_ATTENTION = 8
_HISTORY = 12


def home(call: Call, data: Any) -> dict[str, Any]:
    """Tell how many requests wait, for those who may decide, and what is wrong with the log."""
    waiting: list[dict[str, Any]] = []
    if call.principal.may(*_STAFF):
        waiting, _ = enrolment.page(call.store, state=enrolment.WAITING, limit=_ATTENTION)
    wrong = call.store.log.trouble if call.store.settings.log.origin else None
    return {"waiting": waiting, "trouble": wrong.message if wrong is not None else ""}


def instruments(call: Call, data: Any) -> dict[str, Any]:
    """Tell what was asked, and where the first page is."""
    asked = {name: call.query.get(name, "") for name in ("q", "type", "status", "place", "certificate")}
    others = {
        name: call.query[name] for name in ("owner", "manufacturer", "model", "like", "related") if name in call.query
    }
    kept = urlencode({name: value for name, value in {**asked, **others}.items() if value})
    return {"asked": asked, "others": others, "first": f"/instruments?{kept}" if call.query.get("cursor") else ""}


def instrument(call: Call, data: Any) -> dict[str, Any]:
    """Tell the history, the seals, what to look at, and how many others are like it."""
    store, pid = call.store, data["pid"]
    entry = registry.find(store.database, pid)
    public = entry is not None and entry.contact_is_public
    changes = [
        change(one, call.principal, public=public) for one in registry.history(store.database, pid, limit=_HISTORY)
    ]
    months = sealcounts.per_month(store, pid)
    alike = registry.search(store.database, Query(like=pid, limit=1)).total
    related = data["record"].get("relatedIdentifiers", ())
    return {
        "changes": [_told(one) for one in changes],
        "more_changes": max(0, data["version"] - len(changes)),
        "months": months,
        "plot": plot(months),
        "seals": sum(number for _, number in months),
        "latest": sealcounts.latest(store, pid),
        "alike": alike,
        "used_in": [one for one in related if one["relationType"] == "WasUsedIn"],
        "related": [one for one in related if one["relationType"] != "WasUsedIn"],
        "today": store.now().date().isoformat(),
        "next_step": _next_step(data),
    }


def instrument_part(call: Call, data: Any) -> dict[str, Any]:
    """Tell whose history or seals these are; a PID that ends like a part is an instrument all the same."""
    if "record" in data:
        return instrument(call, data)
    pid, _ = read_address(call.raw_path)
    entry = registry.find(call.store.database, pid)
    name = entry.record["name"] if entry else pid
    if "changes" in data:
        return {"name": name, "changes": [_told(one) for one in data["changes"]]}
    months = [(one["month"], one["seals"]) for one in data["months"]]
    return {"name": name, "months": months, "plot": plot(months)}


def enrolments(call: Call, data: Any) -> dict[str, Any]:
    """Put what waits first."""
    waiting = [one for one in data["enrolments"] if one["state"] == enrolment.WAITING]
    others = [one for one in data["enrolments"] if one["state"] != enrolment.WAITING]
    return {"waiting": waiting, "others": others, "pid": call.query.get("pid", ""), "states": enrolment.STATES}


def statuses(call: Call, data: Any) -> dict[str, Any]:
    """Tell every status of the store's authority, newest first, with the names of what they are about."""
    folder = call.store.authority_folder
    names = {one.serial: (one.name, one.pid) for one in register.issued(folder)}
    found = sorted(register.statuses(folder), key=lambda one: one.revoked_at, reverse=True)
    return {
        "statuses": [
            {
                "name": names.get(one.serial, ("", ""))[0],
                "pid": names.get(one.serial, ("", ""))[1],
                "words": one.words,
                "reason": one.reason,
                "revoked_at": one.revoked_at.isoformat(),
                "doubt": one.compromised_from.isoformat() if one.compromised_from else "",
                "all": one.reason in {"keyCompromise", "cACompromise"},
                "note": one.note,
                "log_index": one.logged.index if one.logged else None,
            }
            for one in found
        ]
    }


def log(call: Call, data: Any) -> dict[str, Any]:
    """Tell the newest checkpoint, and which witnesses stand behind it, since when."""
    store = call.store
    note = store.log.checkpoint()
    policy = store.log_policy()
    keys = [one.key for one in policy.witnesses] if policy else []
    verified = {one.key.key_id: one for one in verify_note(read_note(note), keys)}
    witnesses = []
    for one in policy.witnesses if policy else ():
        found = verified.get(one.key.key_id)
        seen = datetime.fromtimestamp(found.time_s, UTC).isoformat() if found and found.time_s else ""
        witnesses.append({"name": one.name, "url": one.url, "cosigned": found is not None, "at": seen})
    cosigned = [one.name for one in (policy.witnesses if policy else ()) if one.key.key_id in verified]
    satisfied = policy is not None and policy.satisfied(cosigned)
    return {
        "checkpoint": note.decode("utf-8", "replace"),
        "size": read_checkpoint(note).size,
        "witnesses": witnesses,
        "quorum": policy.quorum if policy else "",
        "satisfied": satisfied,
        "waits": store.log_policy() is not None,
    }


def health(call: Call, data: Any) -> dict[str, Any]:
    """Tell what the store offers, in words."""
    offers = call.store.settings.offers
    said = {
        "time": "time stamps",
        "gateway": "counter-signatures for delivered seals",
        "certify": "certification on upload",
        "witness": "a witness for other logs",
        "mirror": "mirrors of other logs",
        "federation": "the trust data of a federation",
    }
    return {"offers": [words for name, words in said.items() if getattr(offers, name)]}


def _told(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of the history with what differs, in words."""
    before, after = one["before"], one["after"]
    differs = []
    if before is not None:
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            if old != new:
                differs.append({"name": _FIELDS.get(name, name), "before": _flat(old), "after": _flat(new)})
    return {**one, "differs": differs}


_FIELDS = {
    "rawtrace": "place and contact",
    "owners": "owners",
    "manufacturers": "manufacturers",
    "landingPage": "landing page",
    "instrumentTypes": "types",
    "measuredVariables": "measured variables",
    "relatedIdentifiers": "related works",
    "alternateIdentifiers": "other numbers",
}


def _flat(value: Any) -> str:
    """Return any part of a record as one line."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(_flat(one) for one in value.values())
    if isinstance(value, list):
        return "; ".join(_flat(one) for one in value)
    if isinstance(value, bool):
        return "contact for everybody" if value else "contact for operators"
    return str(value)


def _next_step(data: Mapping[str, Any]) -> str:
    """Return what somebody who runs the instrument should do, if anything."""
    if data["status"] == "retired":
        return ""
    state = str(data["certificate"])
    if state == "revoked" and data["certificates"][0]["reason"] == "keyCompromise":
        state = "stolen"
    return _STEPS.get(state, "")


_STEPS = {
    "ends-soon": "Its agent renews the certificate by itself. If this stays so for some days, see whether the agent "
    "runs and reaches this store.",
    "ended": "What it records now is sealed, but cannot be verified. See whether its agent runs and reaches this "
    "store; then enrol the instrument again.",
    "revoked": "What it recorded before stays as good as it was. If the instrument is sound, enrol it with a new key.",
    "stolen": "Somebody else may have had its key. Statuses say from when on its seals are in doubt. Enrol it again "
    "with a new key once you know how the key was lost.",
    "none": "It cannot seal yet. Make a one-time code under Enrolment and give it to the instrument.",
}
