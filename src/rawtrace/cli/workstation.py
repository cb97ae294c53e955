"""``rawtrace workstation``: the identities that sign derived data and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rawtrace.cli import identities
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
@click.option("--name", required=True, help="What people call it; at most 64 characters.")
@click.option("--owner", required=True, metavar="ROR", help="The organisation that runs it, as ror.org lists it.")
@click.option("--owner-name", default="", help="The owner in words.")
@click.option("--location", default="", help="Where it stands.")
@click.option("--pid", default="", help="Its handle or DOI; without one a urn:uuid: is made.")
@identities.authority_option
@identities.key_options
@identities.json_option
def new(folder: Path, **options: Any) -> None:
    """Make an identity in DIR, which must not exist yet.

    \b
    Examples:
      rawtrace workstation new ./workstation --name "Analysis 1" --owner https://ror.org/0exampe44
      rawtrace workstation new ./workstation --name "Analysis 1" --owner 0exampe44 --authority ./authority

    With the three --pkcs11 options the key is made inside a token and never leaves it.
    """
    identities.create(SignerKind.WORKSTATION, folder, **options)


add_lifecycle(workstation, SignerKind.WORKSTATION, example="./workstation")
