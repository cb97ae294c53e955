"""Bad input to every route: an answer that the description knows, never a fault, and no trace of what was refused."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import sqlalchemy as sa
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rawtrace.database import METADATA
from rawtrace.match import strangers
from rawtrace.match.index import PictureIndex
from rawtrace.match.index.tables import TABLES
from rawtrace.server.access import Role, Route
from rawtrace.server.app import ROUTES, create_app
from rawtrace.server.store import Store
from stores import found, token

DESCRIPTION = Path(__file__).parents[3] / "src" / "rawtrace" / "server" / "openapi.yaml"
METHODS = {"get", "post", "put", "delete", "patch"}
#: What may change although a request was refused: who asked, and how often.
KEPT_APART = ("audit_event", "access_", "enrolment_attempt")
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
EXAMPLES = int(os.environ.get("RAWTRACE_OPENAPI_EXAMPLES", "12"))
#: An issuer of logins is not there in tests, so the store rightly says that it cannot.
NOT_ASKED = {"/login/start", "/login/callback"}


#: Bodies that schemathesis sends as the bytes that they are.
schemathesis.serializer.alias(
    [
        "application/c2pa",
        "application/pkcs10",
        "application/timestamp-query",
        "application/x-ndjson",
        "application/vnd.datacite.datacite+xml",
        "application/ocsp-request",
        "image/png",
        "image/jpeg",
        "image/tiff",
    ],
    "application/octet-stream",
)


def plain(path: str) -> str:
    return path.replace(":path", "")


def described() -> set[tuple[str, str]]:
    document = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item if method in METHODS}


def test_the_table_of_routes_and_the_description_agree() -> None:
    assert {(route.method, plain(route.path)) for route in ROUTES} == described()


def test_operation_ids_are_unique() -> None:
    document = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    ids = [item[method]["operationId"] for item in document["paths"].values() for method in item if method in METHODS]
    assert len(ids) == len(set(ids))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    more = (
        "[offers]\ngateway = false\ncertify = false\ntime = false\nwitness = true\nmirror = true\nindex = 'pictures'\n"
        "[limits]\nrequests_per_minute = 1000000\npictures_per_minute = 1000000\n"
    )
    folder = found(tmp_path_factory.mktemp("openapi") / "store", more=more)
    PictureIndex.open(folder / "pictures", create=True).close()
    with Store.open(folder) as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def _pictures_are_read_here() -> Iterator[None]:
    """Spare a process for each picture: that it is one has tests of its own."""
    bounded = strangers.read_all
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(strangers, "read_all", lambda files, **more: bounded(files, **{**more, "workers": 0}))
        yield


@pytest.fixture(scope="module")
def schema(store: Store) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.yaml", create_app(store))


@pytest.fixture(scope="module")
def secret(store: Store) -> str:
    return token(store, Role.OPERATOR, Role.OFFICER, Role.AUDITOR, Role.GATEWAY)


def state_of(store: Store) -> str:
    """A digest of everything that a request can change."""
    digest = hashlib.sha256()
    with store.database.read() as connection:
        for table in METADATA.sorted_tables:
            if not table.name.startswith(KEPT_APART):
                rows = sorted(repr(tuple(row)) for row in connection.execute(sa.select(table)))
                digest.update(repr((table.name, rows)).encode())
    with PictureIndex.open(store.folder / "pictures") as index, index.reading() as connection:
        for table in TABLES:
            rows = sorted(repr(tuple(row)) for row in connection.execute(sa.select(table)))
            digest.update(repr((table.name, rows)).encode())
    for path in sorted(store.folder.rglob("*")):
        if path.is_file() and not path.name.startswith(("store.sqlite", "index.sqlite")):
            digest.update(repr((str(path), path.read_bytes())).encode())
    return digest.hexdigest()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {plain(route.path)}")
def test_every_route_bears_bad_input(
    store: Store, schema: Any, secret: str, route: Route, mode: GenerationMode
) -> None:
    if route.path in NOT_ASKED:
        return
    operation = schema[plain(route.path)][route.method]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        before = state_of(store)
        response = case.call(headers={"Authorization": f"Bearer {secret}"})
        case.validate_response(response, checks=list(CHECKS))
        if 400 <= response.status_code < 500:
            assert state_of(store) == before, "a refused request left a trace"

    # A route without parameters and body has no input that could be bad.
    with contextlib.suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else contextlib.nullcontext():
        ask()
