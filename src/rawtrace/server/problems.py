"""Errors as RFC 9457 problems: one table from our errors to HTTP statuses."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from starlette.responses import Response

from rawtrace import errors
from rawtrace.errors import Error

MEDIA_TYPE = "application/problem+json"
_NO_DATABASE = "the store's database cannot be used just now"
DOCS = "urn:rawtrace:problem:"


class Problem(Error):
    """A request that cannot be granted, with its HTTP status.

    Parameters
    ----------
    status : int
        4xx or 503.
    message : str
        One sentence, as for every ``Error``.
    headers : Mapping[str, str], optional
        Such as ``Retry-After`` or ``WWW-Authenticate``.
    """

    code: ClassVar[str] = "E180"

    def __init__(self, status: int, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.headers = dict(headers or {})


#: What went wrong, and the status that says so; the first class that fits counts.
_STATUSES: tuple[tuple[type[Error], int], ...] = (
    (errors.InputNotFoundError, 404),
    (errors.ResolutionError, 404),
    (errors.AlreadyExistsError, 409),
    (errors.LimitError, 413),
    (errors.DiskFullError, 503),
    (errors.DatabaseError, 503),
    (errors.LogBusyError, 503),
    (errors.NetworkError, 503),
    (errors.KeyUnavailableError, 503),
    (errors.UnwritableError, 503),
    (errors.StoreError, 503),
    # The clock is not right, or not known: nothing that was sent is wrong.
    (errors.TimeStampError, 503),
    (errors.MissingExtraError, 503),
)
_TITLES = {
    400: "The request cannot be understood",
    401: "Who asks is not known",
    403: "Not allowed",
    404: "Not found",
    405: "Not offered with this method",
    406: "Not offered in that form",
    408: "Too slow",
    409: "It would contradict what is there",
    412: "It has changed meanwhile",
    413: "Too large",
    414: "The address is too long",
    415: "Not accepted in that form",
    422: "Refused",
    429: "Too many requests",
    500: "A fault of the server",
    503: "Not possible just now",
}


def status_of(error: Error) -> int:
    """Return the HTTP status of an error: 422 for a plain refusal."""
    if isinstance(error, Problem):
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 422)


def problem_response(error: Error, *, within: Path | None = None) -> Response:
    """Return an error as ``application/problem+json``.

    Parameters
    ----------
    error : Error
    within : Path, optional
        The store's folder: where it lies is nobody's business but its operator's, who finds it in the log.
    """
    status = status_of(error)
    if isinstance(error, (errors.DatabaseError, errors.DiskFullError)):
        # What a database says of itself names hosts, accounts and files.
        error = Problem(503, "the store's disk is full" if isinstance(error, errors.DiskFullError) else _NO_DATABASE)
    headers = dict(error.headers) if isinstance(error, Problem) else {}
    if status == 503:
        headers.setdefault("Retry-After", "5")
    detail, hint = (_without(text, within) for text in (error.message, error.hint))
    return response(status, code=error.code, detail=detail, hint=hint, headers=headers)


def _without(text: str, folder: Path | None) -> str:
    for path in () if folder is None else (folder, folder.resolve()):
        if path.is_absolute() and len(path.parts) > 1:
            text = text.replace(f"{path}{os.sep}", "").replace(str(path), "the store's folder")
    return text


def response(
    status: int, *, code: str, detail: str, hint: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """Return a problem with its five members: type, title, status, detail, hint."""
    document: dict[str, Any] = {
        "type": f"{DOCS}{code}",
        "title": _TITLES.get(status, "Refused"),
        "status": status,
        "detail": detail,
    }
    if hint:
        document["hint"] = hint
    body = json.dumps(document, ensure_ascii=False).encode()
    return Response(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)
