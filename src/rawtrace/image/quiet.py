"""Keeps other people's image libraries from talking: their warnings and log lines may quote a file's content."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

_LIBRARIES = ("tifffile", "pydicom", "PIL")
# Filters of warnings and switches of loggers belong to the whole process.
_LOCK = RLock()


@contextmanager
def quietly() -> Iterator[None]:
    """Hold back warnings and the libraries' log lines; one thread at a time."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loggers = [logging.getLogger(name) for name in _LIBRARIES]
        before = [logger.disabled for logger in loggers]
        try:
            for logger in loggers:
                logger.disabled = True
            yield
        finally:
            for logger, disabled in zip(loggers, before, strict=True):
                logger.disabled = disabled
