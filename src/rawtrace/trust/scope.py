"""What a status is about when it is about more than one certificate: a firmware range, a product, a feature.

A camera may hold a sound key and still sign what it should not: a faulty firmware, or a
feature that lets foreign pixels in. To revoke its certificate would void every genuine
image with the forged ones. A scope says which seals are meant, by what each seal states
of itself. Matching is strict: what a seal leaves unsaid is never read in its favour.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

MAX_TEXT = 300
MAX_VERSION = 64
MAX_FEATURES = 64

#: What a feature is called: lower case, as ``multiple-exposure``.
FEATURE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"[vV]?([0-9]{1,9}(?:\.[0-9]{1,9}){0,7})")


class ScopeKind(StrEnum):
    """What a scope names."""

    FIRMWARE = "firmware"
    PRODUCT = "product"
    FEATURE = "feature"


class Fit(StrEnum):
    """Whether a seal is one of those that a scope means."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNSTATED = "unstated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which seals a status means, of the instruments that its authority certified.

    Attributes
    ----------
    kind : ScopeKind
    manufacturer, model : str
        As the certified records of the instruments say it; letter case and blanks do not count.
    firmware_from, firmware_to : str
        For ``firmware``: first and last version that is meant, both included; one of
        them may be empty. Numbers with dots between them, compared number by number.
    feature : str
        For ``feature``: its name, see ``FEATURE``.
    """

    kind: ScopeKind
    manufacturer: str
    model: str
    firmware_from: str = ""
    firmware_to: str = ""
    feature: str = ""

    @property
    def words(self) -> str:
        """What is meant, in plain words."""
        product = f"{self.manufacturer} {self.model}"
        if self.kind is ScopeKind.FEATURE:
            return f"the feature {self.feature} of {product}"
        if self.kind is ScopeKind.PRODUCT:
            return f"every {product}"
        if self.firmware_from and self.firmware_to:
            return f"firmware {self.firmware_from} to {self.firmware_to} of {product}"
        if self.firmware_from:
            return f"firmware {self.firmware_from} and later of {product}"
        return f"firmware up to {self.firmware_to} of {product}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a seal states of the instrument that made it, as far as a scope asks.

    Attributes
    ----------
    manufacturer, model, firmware : str
        Empty where the seal does not say.
    features : frozenset[str] or None
        Features that were in use; empty: the seal says that none was; ``None``: it does not say.
    """

    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    features: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition:
    """A place in a log.

    Attributes
    ----------
    origin : str
        The log's name.
    index : int
        From 0.
    """

    origin: str
    index: int


def problem_of(scope: Scope) -> str:
    """Say what is wrong with a scope; empty when nothing is."""
    for what, text in (("manufacturer", scope.manufacturer), ("model", scope.model)):
        if not text.strip() or len(text) > MAX_TEXT or not text.isprintable():
            return f"the {what} is not one line of 1 to {MAX_TEXT} characters"
    if (scope.kind is ScopeKind.FEATURE) != bool(scope.feature):
        return "a feature is named in a status about a feature, and nowhere else"
    if scope.feature and not FEATURE.fullmatch(scope.feature):
        return f"{scope.feature[:80]!r} is not a feature's name in lower case, such as multiple-exposure"
    bounds = [bound for bound in (scope.firmware_from, scope.firmware_to) if bound]
    if (scope.kind is ScopeKind.FIRMWARE) != bool(bounds):
        return "a first or last version is named in a status about firmware, and nowhere else"
    for bound in bounds:
        if version_of(bound) is None:
            return f"{bound[:80]!r} is not a version of numbers with dots between them, such as 1.02"
    low, high = version_of(scope.firmware_from), version_of(scope.firmware_to)
    if low is not None and high is not None and low > high:
        return f"the first version, {scope.firmware_from}, comes after the last, {scope.firmware_to}"
    return ""


def fit(scope: Scope, stated: Stated) -> tuple[Fit, str]:
    """Tell whether a seal is meant, and why: words that follow on the seal's name.

    Parameters
    ----------
    scope : Scope
    stated : Stated
    """
    for what, meant, said in (
        ("manufacturer", scope.manufacturer, stated.manufacturer),
        ("model", scope.model, stated.model),
    ):
        if said and folded(said) != folded(meant):
            return Fit.OUTSIDE, f"it is of another {what}"
    if not stated.manufacturer or not stated.model:
        return Fit.UNSTATED, "it does not say which product made it"
    if scope.kind is ScopeKind.PRODUCT:
        return Fit.INSIDE, "it is of that product"
    if scope.kind is ScopeKind.FEATURE:
        if stated.features is None:
            return Fit.UNSTATED, "it does not say which features were in use"
        if scope.feature in stated.features:
            return Fit.INSIDE, "it was made with that feature"
        return Fit.OUTSIDE, "it was made without that feature"
    return _fit_firmware(scope, stated.firmware)


def version_of(text: str) -> tuple[int, ...] | None:
    """Return a version as numbers, without zeros at the end; ``None`` for what cannot be compared."""
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def folded(name: str) -> str:
    """Return a maker's or a model's name as it is compared."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def _fit_firmware(scope: Scope, said: str) -> tuple[Fit, str]:
    if not said:
        return Fit.UNSTATED, "it does not say which firmware made it"
    version = version_of(said)
    if version is None:
        return Fit.UNSTATED, f"its firmware, {said[:MAX_VERSION]}, is no version that can be compared"
    low, high = version_of(scope.firmware_from), version_of(scope.firmware_to)
    if (low is not None and version < low) or (high is not None and version > high):
        return Fit.OUTSIDE, f"its firmware is {said}"
    return Fit.INSIDE, f"its firmware is {said}"
