"""``rawtrace workstation``: the identities that sign derived data and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rawtrace.cli import enrolments, identities
from rawtrace.cli.groups import Group
from rawtrace.cli.lifecycle import add_lifecycle
from rawtrace.trust.certificates import SignerKind


@click.group(cls=Group)
def workstation() -> None:
    """Give a workstation an identity, which signs derived data and figures.

    \b
    Examples:
      rawtrace workstation new ./workstation --name "Analysis 1" --owner https://ror.org/0exampe44 \\
          --authority ./authority
      rawtrace workstation show ./workstation
      rawtrace workstation renew ./workstation --authority ./authority

    A workstation cannot state that a picture came from a sensor: only instruments can.
    """


@workstation.command()
@identities.folder_argument
@click.option("--name", default="", help="What people call it; at most 64 characters.")
@click.option("--owner", default="", metavar="ROR", help="The organisation that runs it, as ror.org lists it.")
@click.option("--owner-name", default="", help="The owner in words.")
@click.option("--location", default="", help="Where it stands.")
@click.option("--pid", default="", help="Its handle or DOI; without one a urn:uuid: is made.")
@identities.authority_option
@enrolments.proof_options
@enrolments.server_options
@identities.key_options
@identities.json_option
def new(folder: Path, **options: Any) -> None:
    """Make an identity in DIR, which must not exist yet.

    \b
    Examples:
      rawtrace workstation new ./workstation --name "Analysis 1" --owner https://ror.org/0exampe44
      rawtrace workstation new ./workstation --name "Analysis 1" --owner 0exampe44 --authority ./authority
      rawtrace workstation new ./workstation --authority https://store.example.org \\
          --pid https://hdl.handle.net/20.500.12345/analysis-1 --code-file code.txt

    With the three --pkcs11 options the key is made inside a token and never leaves it.

    With an authority's address, its operator has registered the record and gives
    you the PID and a one-time code. What the other options say must agree with it.
    """
    identities.create(SignerKind.WORKSTATION, folder, online=enrolments.taken(options), **options)


add_lifecycle(workstation, SignerKind.WORKSTATION, example="./workstation")
