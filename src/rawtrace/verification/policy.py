"""A policy is data: how a journal, a discipline or a country weighs what a report finds.

A policy file is TOML::

    name = "Journal of Plain Examples"
    version = 1

    [outcomes]
    no-trusted-time = "inconclusive"   # ask for more
    software-key = "passed"            # accept less

Notes may be let pass or weigh more, open questions may become notes or weigh
more. Broken evidence stays broken, what was not checked never passes, and no
policy vouches for a signer whom no listed authority knows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rawtrace import durable
from rawtrace.errors import LimitError, PolicyError
from rawtrace.report import Finding, Outcome
from rawtrace.verification.findings import CATALOGUE

_MAX_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Policy:
    """How findings are weighed.

    Attributes
    ----------
    name : str
        Shown in every report.
    outcomes : Mapping of str to Outcome
        Finding ids whose outcome differs from the catalogue's.
    """

    name: str = "default"
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)

    def weigh(self, finding: Finding) -> Finding:
        """Return the finding with the outcome that this policy gives it."""
        outcome = self.outcomes.get(finding.id)
        return finding if outcome is None else replace(finding, outcome=outcome)


DEFAULT = Policy()


def read_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises
    ------
    PolicyError
        Not TOML, an unknown finding, an outcome that a policy may not give.
    """
    try:
        data = durable.read_bounded(path, limit=_MAX_BYTES)
    except LimitError as error:
        msg = f"{path} is larger than {_MAX_BYTES} bytes, too large for a policy"
        raise PolicyError(msg) from error
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        msg = f"{path} is not the TOML of a policy: {error}"
        raise PolicyError(msg) from error
    unknown = sorted(set(document) - {"name", "version", "outcomes"})
    if unknown:
        msg = f"{path} has the unknown key {unknown[0]!r}; expected name, version and outcomes"
        raise PolicyError(msg)
    name, outcomes = document.get("name"), document.get("outcomes", {})
    if document.get("version") != 1 or not isinstance(name, str) or not name or not isinstance(outcomes, dict):
        msg = f"{path} needs a name, version = 1 and a table of outcomes"
        raise PolicyError(msg)
    return Policy(name, {key: _outcome(path, key, value) for key, value in outcomes.items()})


def _outcome(path: Path, key: str, value: object) -> Outcome:
    kind = CATALOGUE.get(key)
    if kind is None:
        msg = f"{path} names the finding {key!r}, which does not exist"
        raise PolicyError(msg, hint="the findings are listed in docs/reference/findings.md")
    if not kind.choices:
        msg = f"{path} gives {key!r} another outcome, but no policy may: only notes and open questions can be weighed"
        raise PolicyError(msg)
    if not isinstance(value, str) or value not in kind.choices:
        msg = f"{path} gives {key!r} the outcome {value!r}; expected one of {', '.join(sorted(kind.choices))}"
        raise PolicyError(msg)
    return Outcome(value)
