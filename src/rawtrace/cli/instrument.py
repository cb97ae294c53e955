"""``rawtrace instrument``: the identities of microscopes, gel imagers and whatever else makes data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rawtrace.cli import enrolments, identities
from rawtrace.cli.groups import Group
from rawtrace.cli.lifecycle import add_lifecycle
from rawtrace.trust.certificates import SignerKind


@click.group(cls=Group)
def instrument() -> None:
    """Give an instrument an identity: a PID, a record, a key and a certificate.

    \b
    Examples:
      rawtrace instrument new ./widefield --name "Widefield 1" --manufacturer "Example Optics" \\
          --model "WF 100" --owner https://ror.org/0exampe44 --authority ./authority
      rawtrace instrument show ./widefield
      rawtrace instrument renew ./widefield --authority ./authority

    The folder holds the instrument's key. Make it as the account that seals,
    and keep everybody else out of it.
    """


@instrument.command()
@identities.folder_argument
@click.option("--name", default="", help="What people call it; at most 64 characters.")
@click.option("--manufacturer", default="", help="Who made it; for a home-built one, the laboratory.")
@click.option("--model", default="", help="The maker's name for its kind.")
@click.option("--owner", default="", metavar="ROR", help="The organisation that owns it, as ror.org lists it.")
@click.option("--owner-name", default="", help="The owner in words.")
@click.option("--serial", default="", help="The maker's serial number.")
@click.option("--location", default="", help="Where it stands.")
@click.option("--description", default="", help="Anything technical that a reader should know.")
@click.option("--type", "instrument_type", default="", help="Kind of instrument, such as 'fluorescence microscope'.")
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
      rawtrace instrument new ./widefield --name "Widefield 1" --manufacturer "Example Optics" \\
          --model "WF 100" --owner https://ror.org/0exampe44 --serial SN-0001 \\
          --location "Building 2, room 14" --authority ./authority
      rawtrace instrument new ./gel-imager --name "Gel imager" --manufacturer "Example Imaging" \\
          --model G1 --owner 0exampe44 --pid https://hdl.handle.net/20.500.12345/abc
      rawtrace instrument new ./confocal --authority https://store.example.org \\
          --pid https://hdl.handle.net/20.500.12345/confocal --code-file code.txt

    With the three --pkcs11 options the key is made inside a token and never leaves it.

    With an authority's address, its operator has registered the record and gives
    you the PID and a one-time code. What the other options say must agree with it.
    """
    identities.create(SignerKind.INSTRUMENT, folder, online=enrolments.taken(options), **options)


add_lifecycle(instrument, SignerKind.INSTRUMENT, example="./widefield")
