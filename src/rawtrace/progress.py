"""How the library tells of its progress: an optional observer, which only the command line draws."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Something that wants to know how far a long task has come."""

    def start(self, label: str, total: int | None) -> None:
        """Begin a task of ``total`` units (bytes or items; ``None``: unknown)."""

    def advance(self, amount: int) -> None:
        """Add ``amount`` units to what is done."""

    def finish(self) -> None:
        """End the task, however far it came."""


class Silent:
    """The observer that does nothing; the default everywhere."""

    def start(self, label: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, amount: int) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


SILENT = Silent()


class Counting:
    """Passes everything on to another observer and counts the units, for the cost that a report states."""

    def __init__(self, to: Progress) -> None:
        self._to = to
        self.done = 0

    def start(self, label: str, total: int | None) -> None:
        """Pass it on."""
        self._to.start(label, total)

    def advance(self, amount: int) -> None:
        """Count and pass it on."""
        self.done += amount
        self._to.advance(amount)

    def finish(self) -> None:
        """Pass it on."""
        self._to.finish()
