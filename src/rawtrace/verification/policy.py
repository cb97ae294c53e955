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
from datetime import UTC, datetime
from pathlib import Path

from rawtrace import durable
from rawtrace.errors import InputNotFoundError, LimitError, PolicyError
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
#: What ``--policy`` is given to name the policy of a federation that this computer has joined.
FEDERATION = "federation:"


def policy_of(named: str) -> Policy:
    """Return the policy of a file, or with ``federation:NAME`` the one that a joined federation publishes.

    Raises
    ------
    PolicyError
        The federation publishes none; else as for ``read_policy``.
    FederationError, InputNotFoundError
    """
    return (
        federation_policy(named.removeprefix(FEDERATION)) if named.startswith(FEDERATION) else read_policy(Path(named))
    )


def federation_policy(name: str, *, now: datetime | None = None) -> Policy:
    """Return the policy that a joined federation publishes, as it was last accepted here; no network is asked.

    Its name says through which federation it came, and how old that is.

    Raises
    ------
    PolicyError, FederationError, InputNotFoundError
    """
    from rawtrace.trust import federationstate
    from rawtrace.trust.federationfiles import POLICY_FILE

    try:
        held = federationstate.held(name)
    except InputNotFoundError as error:
        msg = f"this computer has not joined a federation {name}"
        raise InputNotFoundError(msg, hint="join it: rawtrace trust add ROOT; see rawtrace trust list") from error
    data = held.material.files.get(POLICY_FILE)
    if data is None:
        msg = f"the federation {name} publishes no policy"
        raise PolicyError(msg, hint="leave --policy out, or name a file")
    found = parse_policy(data, what=f"the policy of the federation {name}")
    return replace(found, name=f"{found.name} ({held.words(now or datetime.now(UTC))})")


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
    return parse_policy(data, what=f"{path}")


def parse_policy(data: bytes, *, what: str) -> Policy:
    """Read a policy that is at hand; as ``read_policy`` otherwise.

    Parameters
    ----------
    data : bytes
        TOML.
    what : str
        What errors call it.
    """
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        msg = f"{what} is not the TOML of a policy: {error}"
        raise PolicyError(msg) from error
    unknown = sorted(set(document) - {"name", "version", "outcomes"})
    if unknown:
        msg = f"{what} has the unknown key {unknown[0]!r}; expected name, version and outcomes"
        raise PolicyError(msg)
    name, outcomes = document.get("name"), document.get("outcomes", {})
    if document.get("version") != 1 or not isinstance(name, str) or not name or not isinstance(outcomes, dict):
        msg = f"{what} needs a name, version = 1 and a table of outcomes"
        raise PolicyError(msg)
    return Policy(name, {key: _outcome(what, key, value) for key, value in outcomes.items()})


def _outcome(what: str, key: str, value: object) -> Outcome:
    kind = CATALOGUE.get(key)
    if kind is None:
        msg = f"{what} names the finding {key!r}, which does not exist"
        raise PolicyError(msg, hint="the findings are listed in docs/reference/findings.md")
    if not kind.choices:
        msg = f"{what} gives {key!r} another outcome, but no policy may: only notes and open questions can be weighed"
        raise PolicyError(msg)
    if not isinstance(value, str) or value not in kind.choices:
        msg = f"{what} gives {key!r} the outcome {value!r}; expected one of {', '.join(sorted(kind.choices))}"
        raise PolicyError(msg)
    return Outcome(value)
