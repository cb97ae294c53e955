"""The commands that instruments and workstations have alike: show, renew, request, install."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rawtrace.cli import enrolments, identities
from rawtrace.cli.parameters import PATH
from rawtrace.trust.certificates import SignerKind


def add_lifecycle(group: click.Group, kind: SignerKind, *, example: str) -> None:
    """Add them to a group.

    Parameters
    ----------
    group : click.Group
        ``rawtrace instrument`` or ``rawtrace workstation``.
    example : str
        Folder that the help's examples name.
    """
    call = f"rawtrace {kind}"

    @group.command(help=_SHOW.format(call=call, example=example))
    @identities.folder_argument
    @identities.json_option
    def show(folder: Path, *, as_json: bool) -> None:
        identities.show(kind, folder, as_json=as_json)

    @group.command(help=_RENEW.format(call=call, example=example))
    @identities.folder_argument
    @identities.authority_option
    @enrolments.proof_options
    @enrolments.server_options
    @identities.new_key_option
    @click.option("--location", default="", help="Its new place, if it moved.")
    @identities.json_option
    def renew(folder: Path, **options: Any) -> None:
        identities.renew(kind, folder, online=enrolments.taken(options), **options)

    @group.command(help=_REQUEST.format(call=call, example=example))
    @identities.folder_argument
    @click.argument("target", metavar="FILE", type=PATH)
    @identities.json_option
    def request(folder: Path, target: Path, *, as_json: bool) -> None:
        identities.request(kind, folder, target, as_json=as_json)

    @group.command(help=_INSTALL.format(call=call, example=example))
    @identities.folder_argument
    @click.argument("certificate", metavar="CERTIFICATE", type=PATH)
    @identities.json_option
    def install(folder: Path, certificate: Path, *, as_json: bool) -> None:
        identities.install(kind, folder, certificate, as_json=as_json)


_SHOW = """Show the identity in DIR, after checking that its parts belong together.

\b
Examples:
  {call} show {example}
  {call} show {example} --json
"""
_RENEW = """Get a new certificate for the identity in DIR; its PID stays.

\b
Examples:
  {call} renew {example} --authority ./authority
  {call} renew {example} --authority ./authority --location "Building 5"
  {call} renew {example}

An identity that came from an address is renewed there, with the certificate that it has, and takes
over what is registered there now; `agent run` does so by itself in time. One whose certificate
does not count any more needs a new one-time code: --code-file.

Earlier seals stay as good as they were. The old certificate and record are kept in DIR/past.
"""
_REQUEST = """Write a request for a certificate to FILE, for an authority on another computer.

\b
Examples:
  {call} request {example} request.json

FILE holds no secret: the key stays where it is. What the authority makes of
it is put in place by: {call} install
"""
_INSTALL = """Install the certificate that an authority made from a request.

\b
Examples:
  {call} install {example} certificate.pem
"""
