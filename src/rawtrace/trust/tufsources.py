"""Where the files of a federation come from: a server, or memory; both bounded, and both seen by python-tuf alike."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from rawtrace import strictjson
from rawtrace.errors import Error, FederationError, LimitError, NetworkError, RefusedError
from rawtrace.trust import federationfiles
from rawtrace.web import Web

METADATA = "metadata/"
TARGETS = "targets/"
MAX_METADATA_BYTES = 1 << 18
BASE = "federation:"

#: Returns the bytes of a file below the federation's address, None where there is none.
Source = Callable[[str, int], bytes | None]


def web_source(web: Web, url: str) -> Source:
    """Return what asks a server for a federation's files."""

    def get(name: str, limit: int) -> bytes | None:
        answer = web.get(f"{url.rstrip('/')}/{name}", limit=limit)
        if answer.status in {403, 404}:
            return None
        if answer.status != 200:
            msg = f"{url} answers with status {answer.status} to {name}; expected 200"
            raise RefusedError(msg, hint="ask the federation's operator; an answer from elsewhere is never followed")
        return answer.body

    return get


def memory_source(files: Mapping[str, bytes]) -> Source:
    """Return what serves a federation's files from memory."""

    def get(name: str, limit: int) -> bytes | None:
        data = files.get(name)
        if data is not None and len(data) > limit:
            msg = f"{name} is {len(data)} bytes; at most {limit} were expected"
            raise LimitError(msg)
        return data

    return get


def check_json(data: bytes, what: str, limit: int) -> None:
    """Refuse metadata that is no JSON object, or nested or repeated in ways that parsers disagree about."""
    document = strictjson.loads(data, what=what, max_bytes=limit)
    if not isinstance(document, dict):
        msg = f"{what} is not TUF metadata"
        raise FederationError(msg)


def fetcher_of(source: Source) -> Any:
    """Return what python-tuf asks: with ``failure``, our own error, and ``last``, the last metadata of each role."""
    from rawtrace.trust.tuflib import DownloadError, DownloadHTTPError, DownloadLengthMismatchError, FetcherInterface

    class Fetcher(FetcherInterface):
        """Asks a ``Source``; keeps our own error, and the last metadata of each role."""

        def __init__(self) -> None:
            self.failure: Error | None = None
            self.last: dict[str, bytes] = {}

        def _fetch(self, url: str) -> Iterator[bytes]:
            raise DownloadError(url)  # everything goes through download_file, which knows the limit

        @contextlib.contextmanager
        def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
            name = url.removeprefix(BASE)
            is_metadata = name.startswith(METADATA)
            limit = min(max_length, MAX_METADATA_BYTES * 4 if is_metadata else federationfiles.MAX_ALL_BYTES)
            try:
                data = source(name, limit)
                if data is not None and is_metadata:
                    check_json(data, name, limit)
                    self.last[name.removesuffix(".json").rpartition(".")[2].rpartition("/")[2]] = data
            except LimitError as error:
                self.failure = FederationError(error.message, hint="the server, or somebody before it, is not well")
                raise DownloadLengthMismatchError(error.message) from error
            except Error as error:
                self.failure = error
                raise DownloadError(error.message) from error
            if data is None:
                if not name.endswith(".root.json"):
                    self.failure = NetworkError(f"there is no {name} at the federation's address")
                raise DownloadHTTPError(f"there is no {name}", 404)
            yield io.BytesIO(data)

    return Fetcher()
