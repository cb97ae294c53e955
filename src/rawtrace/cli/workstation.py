"""``rawtrace workstation``: the identities that sign derived data and figures."""

from __future__ import annotations

from pathlib import Path

import click

from rawtrace.cli import identities
from rawtrace.trust.certificates import SignerKind


@click.group()
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
def new(
    folder: Path,
    *,
    authority: str | None,
    algorithm: str,
    pkcs11_module: str | None,
    pkcs11_token: str | None,
    pkcs11_pin_file: str | None,
    as_json: bool,
    **fields: str,
) -> None:
    """Make an identity in DIR, which must not exist yet.

    \b
    Examples:
      rawtrace workstation new ./workstation --name "Analysis 1" --owner https://ror.org/0exampe44
      rawtrace workstation new ./workstation --name "Analysis 1" --owner 0exampe44 --authority ./authority

    With the three --pkcs11 options the key is made inside a token and never leaves it.
    """
    token = identities.token_options(pkcs11_module, pkcs11_token, pkcs11_pin_file)
    identities.create(
        SignerKind.WORKSTATION,
        folder,
        fields,
        authority=authority,
        algorithm=algorithm,
        token=token,
        as_json=as_json,
    )


@workstation.command()
@identities.folder_argument
@identities.json_option
def show(folder: Path, *, as_json: bool) -> None:
    """Show the identity in DIR, after checking that its parts belong together.

    \b
    Examples:
      rawtrace workstation show ./workstation
      rawtrace workstation show ./workstation --json
    """
    identities.show(SignerKind.WORKSTATION, folder, as_json=as_json)


@workstation.command()
@identities.folder_argument
@identities.authority_option
@identities.new_key_option
@click.option("--location", default="", help="Its new place, if it moved.")
@identities.json_option
def renew(folder: Path, *, authority: str | None, new_key: bool, location: str, as_json: bool) -> None:
    """Get a new certificate for the identity in DIR; its PID stays.

    \b
    Examples:
      rawtrace workstation renew ./workstation --authority ./authority
      rawtrace workstation renew ./workstation --authority ./authority --new-key

    Earlier seals stay as good as they were. The old certificate and record are kept in DIR/past.
    """
    identities.renew(
        SignerKind.WORKSTATION, folder, authority=authority, new_key=new_key, location=location, as_json=as_json
    )


@workstation.command()
@identities.folder_argument
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@identities.json_option
def request(folder: Path, target: Path, *, as_json: bool) -> None:
    """Write a request for a certificate to FILE, for an authority on another computer.

    \b
    Examples:
      rawtrace workstation request ./workstation request.json

    FILE holds no secret: the key stays where it is. What the authority makes of
    it is put in place by: rawtrace workstation install
    """
    identities.request(SignerKind.WORKSTATION, folder, target, as_json=as_json)


@workstation.command()
@identities.folder_argument
@click.argument("certificate", metavar="CERTIFICATE", type=click.Path(path_type=Path))
@identities.json_option
def install(folder: Path, certificate: Path, *, as_json: bool) -> None:
    """Install the certificate that an authority made from a request.

    \b
    Examples:
      rawtrace workstation install ./workstation certificate.pem
    """
    identities.install(SignerKind.WORKSTATION, folder, certificate, as_json=as_json)
