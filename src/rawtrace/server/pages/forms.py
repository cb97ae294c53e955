"""Forms: from the fields that a person filled in to the JSON that the interface takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from rawtrace.server.calls import Call
from rawtrace.server.instrumentaddress import address_of
from rawtrace.server.pages.render import page
from rawtrace.server.problems import Problem

_Read = Callable[[Call, Mapping[str, str]], tuple[Any, Mapping[str, str]]]
_Done = Callable[[Call, Any], "str | Response"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a form is read, and what is shown when it was done: an address to go to, or a page."""

    read: _Read
    done: _Done


def _instrument(call: Call, fields: Mapping[str, str]) -> tuple[Any, Mapping[str, str]]:
    """Return a PIDINST record from the form that registers an instrument."""

    def of(name: str) -> str:
        return fields.get(name, "").strip()

    owner: dict[str, Any] = {"ownerName": of("owner_name") or of("owner")}
    if of("owner"):
        owner["ownerIdentifier"] = {"ownerIdentifier": of("owner"), "ownerIdentifierType": "ROR"}
    if of("contact"):
        owner["ownerContact"] = of("contact")
    record: dict[str, Any] = {
        "name": of("name"),
        "owners": [owner],
        "manufacturers": [{"manufacturerName": of("manufacturer")}] if of("manufacturer") else [],
        "description": of("description"),
        "measuredVariables": [one.strip() for one in of("measured").split(",") if one.strip()],
    }
    if of("pid"):
        record["identifier"] = {"identifier": of("pid")}
    if of("model"):
        record["model"] = {"modelName": of("model")}
    if of("type"):
        record["instrumentTypes"] = [{"instrumentTypeName": of("type")}]
    if of("serial"):
        record["alternateIdentifiers"] = [
            {"alternateIdentifier": of("serial"), "alternateIdentifierType": "SerialNumber"}
        ]
    if of("commissioned"):
        record["dates"] = [{"date": of("commissioned"), "dateType": "Commissioned"}]
    own = {"location": of("location")} if of("location") else {}
    record["rawtrace"] = own | ({"contactPublic": True} if fields.get("contact_public") else {})
    return record, {}


def _event(call: Call, fields: Mapping[str, str]) -> tuple[Any, Mapping[str, str]]:
    value = {name: fields[name].strip() for name in ("event", "on", "place", "note") if fields.get(name, "").strip()}
    version = fields.get("version", "")
    # The version that the page showed: of two people who press at once, one is told.
    return value, ({"if-match": f'"{version}"'} if version else {})


def _reason(call: Call, fields: Mapping[str, str]) -> tuple[Any, Mapping[str, str]]:
    reason = fields.get("reason", "").strip()
    return ({"reason": reason} if reason else {}), {}


def _nothing(call: Call, fields: Mapping[str, str]) -> tuple[Any, Mapping[str, str]]:
    return None, {}


def _enrolment(call: Call, fields: Mapping[str, str]) -> tuple[Any, Mapping[str, str]]:
    value: dict[str, Any] = {"pid": fields.get("pid", "").strip(), "approval": bool(fields.get("approval"))}
    if fields.get("hardware"):
        value["hardware"] = True
    if fields.get("days", "").strip():
        value["days"] = _number(fields["days"], "days")
    return value, {}


def _token(call: Call, fields: Mapping[str, str]) -> tuple[Any, Mapping[str, str]]:
    roles = [name.removeprefix("role-") for name in fields if name.startswith("role-")]
    value: dict[str, Any] = {"name": fields.get("name", "").strip(), "roles": roles}
    if fields.get("pid", "").strip():
        value["pid"] = fields["pid"].strip()
    if fields.get("days", "").strip():
        value["days"] = _number(fields["days"], "days")
    return value, {}


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        msg = f"{what}: expected a number above 0"
        raise Problem(400, msg)
    return value


def _code_page(call: Call, data: Any) -> Response:
    from rawtrace.server.run import server_key

    key = server_key(call.store.folder) if call.store.settings.listen.tls else ""
    return page(call, "code.html", status=201, data=data, server_key=key)


def _token_page(call: Call, data: Any) -> Response:
    return page(call, "token.html", status=201, data=data, name=call.form().get("name", ""))


FORMS: Mapping[str, Form] = {
    "/instruments": Form(read=_instrument, done=lambda _call, data: address_of(data["pid"])),
    "/instruments/{pid:path}/lifecycle": Form(read=_event, done=lambda _call, data: address_of(data["pid"])),
    "/enrolments": Form(read=_enrolment, done=_code_page),
    "/enrolments/{id}/approve": Form(read=_reason, done=lambda _call, _data: "/enrolments"),
    "/enrolments/{id}/refuse": Form(read=_reason, done=lambda _call, _data: "/enrolments"),
    "/enrolments/{id}/cancel": Form(read=_nothing, done=lambda _call, _data: "/enrolments"),
    "/tokens": Form(read=_token, done=_token_page),
    "/tokens/{token_id}/withdraw": Form(read=_nothing, done=lambda _call, _data: "/tokens"),
}
