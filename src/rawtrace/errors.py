"""The one tree of errors: each has a stable code, a sentence, a hint and an exit code.

An ``Error`` says that rawtrace could not do what was asked, in words a person
can act on. Anything else that escapes is a bug in rawtrace, and the command
line says so differently (exit code 70).
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar

DOCS_PAGE = "docs/reference/errors.md"


class Error(Exception):
    """Base of every error that rawtrace raises on purpose.

    Parameters
    ----------
    message : str
        What happened and what was expected, one sentence, lower case, no full stop.
    hint : str, optional
        What to do next; falls back to the class's own hint.

    Attributes
    ----------
    code : str
        Stable identifier, such as ``E110``; never reused.
    exit_code : int
        What the command line exits with.
    """

    code: ClassVar[str] = "E100"
    exit_code: ClassVar[int] = 1
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint

    def __str__(self) -> str:
        """Return the sentence alone; code and hint are the caller's to lay out."""
        return self.message


class UsageError(Error):
    """The words of the call do not fit together."""

    code = "E101"
    exit_code = 2
    default_hint = "see the command's --help; it begins with examples"


class InputNotFoundError(Error):
    """A path that was named does not exist."""

    code = "E102"
    exit_code = 3
    default_hint = "check the path"


class UnreadableError(Error):
    """Something exists but cannot be read."""

    code = "E103"
    default_hint = "check the permissions and that the disk is healthy"


class UnwritableError(Error):
    """Something could not be written; nothing half-written was left behind."""

    code = "E104"
    default_hint = "check the folder's permissions"


class DiskFullError(UnwritableError):
    """There was no room on the disk; nothing half-written was left behind."""

    code = "E105"
    default_hint = "free some space and run the same command again"


class AlreadyExistsError(Error):
    """A file that would be written is there already; rawtrace never overwrites."""

    code = "E106"
    default_hint = "move the existing file away first, if it is no longer needed"


class LimitError(Error):
    """An input is larger, deeper or more numerous than rawtrace accepts."""

    code = "E107"


class MissingExtraError(Error):
    """An optional part of rawtrace is not installed."""

    code = "E108"


class MalformedError(Error):
    """A document does not have the form it should have."""

    code = "E110"


class ChangedWhileReadError(Error):
    """A file or folder changed while it was being read, so it cannot be sealed."""

    code = "E120"
    default_hint = "wait until the program that writes it has finished, then seal again"


class UnsealableError(Error):
    """What was named cannot be sealed as it is: a symbolic link inside, twin names, nothing in it."""

    code = "E121"


class ForbiddenSealError(Error):
    """A signer may not state this: the signer kinds keep captures and derived data apart."""

    code = "E122"
    exit_code = 2


class SealUnreadableError(Error):
    """A seal is there but cannot be read."""

    code = "E123"


class EnvelopeError(Error):
    """The C2PA library refused to make or read a manifest."""

    code = "E124"


class KeyUnavailableError(Error):
    """A private key cannot be used: missing, readable by others, token absent."""

    code = "E130"


class CertificateError(Error):
    """A certificate cannot be issued or does not fit its key, record or issuer."""

    code = "E131"


class IdentityRecordError(Error):
    """An instrument record breaks the PIDINST rules: a ROR check digit, a missing owner."""

    code = "E132"


class TrustListError(Error):
    """A trust list cannot be accepted: bad signature, rolled back, expired, wrong operator."""

    code = "E133"


class PolicyError(Error):
    """A policy file asks for something that rawtrace does not know."""

    code = "E134"


class NotVerifiedError(Error):
    """Raised by ``Report.raise_for_failure`` when a verdict is not good."""

    code = "E140"


class OutboxError(Error):
    """The agent's durable outbox cannot be used."""

    code = "E150"


class DatabaseError(Error):
    """A database cannot be opened or used."""

    code = "E160"


class LedgerError(Error):
    """A log, a witness or a mirror was asked for what it must not do, or holds what cannot be."""

    code = "E161"


class ReceiptError(Error):
    """A receipt, a checkpoint, a proof or a witness policy cannot be read or does not hold."""

    code = "E162"


class LogBusyError(LedgerError):
    """A log has as many records waiting as it takes."""

    code = "E163"
    default_hint = "try again in a few seconds: a record that was taken already keeps its place"


class NetworkError(Error):
    """A server could not be reached, or broke off: to try again makes sense."""

    code = "E170"
    default_hint = "check the address and the network, then try again"


class RefusedError(Error):
    """A server answered, and its answer was no."""

    code = "E171"


class ResolutionError(Error):
    """A PID does not lead to a trust store, or not to one that proves to be the right one."""

    code = "E172"


class EnrolmentError(Error):
    """A certificate was asked for in a way that an authority must not grant."""

    code = "E173"


class TimeStampError(Error):
    """A time stamp could not be had or does not prove the time."""

    code = "E174"


class FederationError(Error):
    """The trust data of a federation cannot be accepted: too old, too few signatures, or turned back."""

    code = "E175"


class StoreError(Error):
    """A trust store's folder or settings cannot be used."""

    code = "E176"


class PixelsError(Error):
    """The pixels of an image cannot be read; the message names the plane."""

    code = "E177"


class PictureIndexError(Error):
    """An index of pictures cannot be used."""

    code = "E178"


def from_os_error(error: OSError, doing: str) -> Error:
    """Turn an operating-system error into one of ours.

    Parameters
    ----------
    error : OSError
        What the system said.
    doing : str
        What rawtrace was about, as in ``"reading plate.tif"``.

    Returns
    -------
    Error
        To be raised by the caller, ``from`` the original.
    """
    reason = error.strerror or os.strerror(error.errno) if error.errno else str(error)
    said = f"{doing} failed: {reason.lower()}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFullError(said)
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}:
        return InputNotFoundError(said)
    if error.errno == errno.EEXIST:
        return AlreadyExistsError(said)
    if error.errno == errno.EROFS or doing.startswith("writing"):
        return UnwritableError(said)
    return UnreadableError(said)


def all_errors() -> tuple[type[Error], ...]:
    """Return every class that has a code of its own, sorted by code: the reference page is made from it."""
    found: set[type[Error]] = set()
    pending: list[type[Error]] = [Error]
    while pending:
        kind = pending.pop()
        if "code" in vars(kind):
            found.add(kind)
        pending.extend(kind.__subclasses__())
    return tuple(sorted(found, key=lambda kind: kind.code))
