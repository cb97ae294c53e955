"""``rawtrace instrument``: the identities of microscopes, gel imagers and whatever else makes data."""

from __future__ import annotations

from pathlib import Path

import click

from rawtrace.cli import identities
from rawtrace.trust.certificates import SignerKind


@click.group()
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
@click.option("--name", required=True, help="What people call it; at most 64 characters.")
@click.option("--manufacturer", required=True, help="Who made it; for a home-built one, the laboratory.")
@click.option("--model", required=True, help="The maker's name for its kind.")
@click.option("--owner", required=True, metavar="ROR", help="The organisation that owns it, as ror.org lists it.")
@click.option("--owner-name", default="", help="The owner in words.")
@click.option("--serial", default="", help="The maker's serial number.")
@click.option("--location", default="", help="Where it stands.")
@click.option("--description", default="", help="Anything technical that a reader should know.")
@click.option("--type", "instrument_type", default="", help="Kind of instrument, such as 'fluorescence microscope'.")
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
      rawtrace instrument new ./widefield --name "Widefield 1" --manufacturer "Example Optics" \\
          --model "WF 100" --owner https://ror.org/0exampe44 --serial SN-0001 \\
          --location "Building 2, room 14" --authority ./authority
      rawtrace instrument new ./gel-imager --name "Gel imager" --manufacturer "Example Imaging" \\
          --model G1 --owner 0exampe44 --pid https://hdl.handle.net/20.500.12345/abc

    With the three --pkcs11 options the key is made inside a token and never leaves it.
    """
    token = identities.token_options(pkcs11_module, pkcs11_token, pkcs11_pin_file)
    identities.create(
        SignerKind.INSTRUMENT,
        folder,
        fields,
        authority=authority,
        algorithm=algorithm,
        token=token,
        as_json=as_json,
    )


@instrument.command()
@identities.folder_argument
@identities.json_option
def show(folder: Path, *, as_json: bool) -> None:
    """Show the identity in DIR, after checking that its parts belong together.

    \b
    Examples:
      rawtrace instrument show ./widefield
      rawtrace instrument show ./widefield --json
    """
    identities.show(SignerKind.INSTRUMENT, folder, as_json=as_json)


@instrument.command()
@identities.folder_argument
@identities.authority_option
@identities.new_key_option
@click.option("--location", default="", help="Its new place, if it moved.")
@identities.json_option
def renew(folder: Path, *, authority: str | None, new_key: bool, location: str, as_json: bool) -> None:
    """Get a new certificate for the identity in DIR; its PID stays.

    \b
    Examples:
      rawtrace instrument renew ./widefield --authority ./authority
      rawtrace instrument renew ./widefield --authority ./authority --location "Building 5"

    Earlier seals stay as good as they were. The old certificate and record are kept in DIR/past.
    """
    identities.renew(
        SignerKind.INSTRUMENT, folder, authority=authority, new_key=new_key, location=location, as_json=as_json
    )


@instrument.command()
@identities.folder_argument
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@identities.json_option
def request(folder: Path, target: Path, *, as_json: bool) -> None:
    """Write a request for a certificate to FILE, for an authority on another computer.

    \b
    Examples:
      rawtrace instrument request ./widefield request.json

    FILE holds no secret: the key stays where it is. What the authority makes of
    it is put in place by: rawtrace instrument install
    """
    identities.request(SignerKind.INSTRUMENT, folder, target, as_json=as_json)


@instrument.command()
@identities.folder_argument
@click.argument("certificate", metavar="CERTIFICATE", type=click.Path(path_type=Path))
@identities.json_option
def install(folder: Path, certificate: Path, *, as_json: bool) -> None:
    """Install the certificate that an authority made from a request.

    \b
    Examples:
      rawtrace instrument install ./widefield certificate.pem
    """
    identities.install(SignerKind.INSTRUMENT, folder, certificate, as_json=as_json)
