"""One tree of errors, each with a code of its own, a plain sentence and a fixed exit code."""

from __future__ import annotations

import errno
import inspect
import re
from pathlib import Path

import pytest

from rawtrace import errors
from rawtrace.errors import Error, from_os_error

ALL = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Error) and one is not Error]
PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/errors.md").read_text(encoding="utf-8")


def test_codes_are_each_errors_own() -> None:
    codes = [one.code for one in ALL]
    assert sorted(codes) == sorted(set(codes))
    assert all(re.fullmatch(r"E\d{3}", code) for code in codes)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_an_error(kind: type[Error]) -> None:
    error = kind("something happened")
    assert (str(error), error.message, error.hint) == ("something happened", "something happened", kind.default_hint)
    assert kind("x", hint="do this").hint == "do this"
    assert kind.exit_code in {1, 2, 3}
    assert not kind.default_hint.endswith((".", "!"))
    assert kind.code in PAGE


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOENT, "E102"),
        (errno.ENOSPC, "E105"),
        (errno.EEXIST, "E106"),
        (errno.EACCES, "E103"),
        (errno.EIO, "E103"),
    ],
)
def test_an_error_of_the_system_in_our_words(number: int, code: str) -> None:
    error = from_os_error(OSError(number, "its own words", "a.tif"), "reading a.tif")
    assert error.code == code
    assert "a.tif" in error.message
    assert "Errno" not in error.message
