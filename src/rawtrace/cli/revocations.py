"""``rawtrace authority crl`` and ``ocsp``: what an authority that has no server gives to those who ask elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from rawtrace import durable
from rawtrace.cli import identities, output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import AlreadyExistsError

CRL_SCHEMA = "urn:rawtrace:schema:crl:1"
OCSP_SCHEMA = "urn:rawtrace:schema:ocsp:1"

_folder_argument = click.argument("folder", metavar="AUTHORITY", type=PATH)


@click.command()
@_folder_argument
@click.option("--out", metavar="FILE", type=PATH, required=True, help="Where to; an older list there is replaced.")
@click.option("--pem", is_flag=True, help="As text (PEM) in place of DER.")
@identities.json_option
def crl(folder: Path, *, out: Path, pem: bool, as_json: bool) -> None:
    """Write the current revocation list (CRL) of AUTHORITY to a file, for programs that know no trust lists.

    \b
    Examples:
      rawtrace authority crl ./authority --out /var/www/authority/crl

    The list is good for seven days: run this every day, and after every
    revocation. A new one is signed when there is news, or when half of its time
    is over. Certificates name URL/crl after `rawtrace authority address`; put
    the file there. A trust store does all this by itself.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from rawtrace.trust import crl as lists

    data = lists.current(folder)
    made = x509.load_der_x509_crl(data)
    changed = _write(out, made.public_bytes(Encoding.PEM) if pem else data, made)
    number = made.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    good_to = made.next_update_utc
    value = {
        "schema": CRL_SCHEMA,
        "crl": str(out),
        "number": number,
        "revoked": len(made),
        "issued": made.last_update_utc.isoformat(),
        "next_update": good_to.isoformat() if good_to else "",
        "changed": changed,
    }
    until = f"good to {good_to:%Y-%m-%d %H:%M} UTC" if good_to else "without an end"
    what = "wrote" if changed else "unchanged:"
    revoked = f"{len(made)} certificate{'' if len(made) == 1 else 's'} revoked"
    output.emit(value, as_json=as_json, text=f"{what} {out}: {revoked}, number {number}, {until}")


@click.command()
@_folder_argument
@click.argument("request", metavar="REQUEST", type=PATH)
@click.option("--out", metavar="FILE", type=PATH, required=True, help="Where the answer goes; must not exist yet.")
@identities.json_option
def ocsp(folder: Path, request: Path, *, out: Path, as_json: bool) -> None:
    """Answer one OCSP request, which lies in a file, for AUTHORITY.

    \b
    Examples:
      openssl ocsp -issuer authority/authority.pem -cert scope.pem -reqout request.der
      rawtrace authority ocsp ./authority request.der --out answer.der

    The answer is good for a day and signed by a responder of its own, which is
    made in AUTHORITY. It may be served to whoever asks the same without a nonce.
    """
    from rawtrace.trust import ocsp as responders

    asked = durable.read_bounded(request, limit=responders.MAX_REQUEST_BYTES)
    data = responders.answer(responders.open_responder(folder), asked)
    durable.write_new(out, data)
    said = _said(data)
    output.emit({"schema": OCSP_SCHEMA, "answer": str(out), "status": said}, as_json=as_json, text=f"{out}: {said}")


COMMANDS = (crl, ocsp)


def _write(path: Path, data: bytes, made: object) -> bool:
    """Put the list in place of an older one of the same authority, and of nothing else; returns whether it is news."""
    from cryptography import x509

    from rawtrace.trust.crl import MAX_CRL_BYTES

    if not path.exists():
        durable.write_new(path, data)
        return True
    there = durable.read_bounded(path, limit=2 * MAX_CRL_BYTES)
    if there == data:
        return False
    try:
        load = x509.load_pem_x509_crl if there.startswith(b"-----") else x509.load_der_x509_crl
        ours = load(there).issuer == getattr(made, "issuer", None)
    except ValueError:
        ours = False
    if not ours:
        msg = f"{path} is there, and is no revocation list of this authority"
        raise AlreadyExistsError(msg, hint="name another file for --out")
    durable.replace(path, data)
    return True


def _said(answer: bytes) -> str:
    from cryptography.x509 import ocsp as forms

    read = forms.load_der_ocsp_response(answer)
    refused = read.response_status is not forms.OCSPResponseStatus.SUCCESSFUL
    return (read.response_status if refused else read.certificate_status).name.lower()
