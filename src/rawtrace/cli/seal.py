"""``rawtrace seal``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rawtrace.cli import devices, output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import Error, UsageError

if TYPE_CHECKING:
    from rawtrace.sealing.seal import Seal

MAX_TEXT = 10_000
_ORCID = re.compile(r"(?:https://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])")


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option("--instrument", metavar="DIR", type=PATH, help="Sign as this instrument: a capture.")
@click.option("--workstation", metavar="DIR", type=PATH, help="Sign as this workstation: derived data.")
@click.option("--source-type", metavar="T", default="", help="IPTC digital source type, such as humanEdits.")
@click.option(
    "--parent", "parents", metavar="FILE", multiple=True, type=PATH,
    help="What it was made from; may be given several times.",
)  # fmt: skip
@click.option("--embed", is_flag=True, help="PNG and JPEG: write NAME.sealed.EXT with the seal inside.")
@click.option("--operator", metavar="ORCID", default="", help="Who was at the instrument; stated as asserted.")
@devices.firmware_option
@devices.feature_option
@click.option("--personal", is_flag=True, help="Harvest personal metadata too; left out otherwise.")
@click.option("--codes/--no-codes", default=True, help="State the codes of an image's planes and views; on by default.")
@click.option("--supersede", is_flag=True, help="Replace an earlier seal, which is kept aside and named.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document per path.")
@click.pass_context
def seal(
    ctx: click.Context,
    paths: tuple[Path, ...],
    instrument: Path | None,
    workstation: Path | None,
    source_type: str,
    parents: tuple[Path, ...],
    embed: bool,
    operator: str,
    firmware: str,
    features: tuple[str, ...],
    personal: bool,
    codes: bool,
    supersede: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Seal files and folders.

    \b
    Examples:
      rawtrace seal plate.ome.tiff --instrument /etc/rawtrace/scope-3
      rawtrace seal stack.ome.zarr --instrument /etc/rawtrace/scope-3
      rawtrace seal figure.png --workstation ~/workstation --parent plate.ome.tiff
      rawtrace seal figure.png --workstation ~/workstation --parent a.tif --parent b.tif --embed
      rawtrace seal frame.tif --instrument /etc/rawtrace/scope-3 --firmware 1.4.2 --feature multiple-exposure

    The seal NAME.EXT.c2pa appears beside the data, which is never written to. A
    folder gets an index, NAME.sha256, that sha256sum -c accepts.
    """
    from rawtrace.sealing.seal import seal as seal_one
    from rawtrace.trust.signer import load_identity

    if (instrument is None) == (workstation is None):
        msg = "name one signer: --instrument DIR for captures or --workstation DIR for derived data"
        raise UsageError(msg)
    folder = instrument or workstation
    assert folder is not None  # noqa: S101  one of the two is given
    signer = load_identity(folder)
    _require_option(signer.kind, instrument is not None, folder)
    orcid = _orcid_url(operator)
    device = devices.device_of(firmware, features)
    progress = output.progress(quiet=quiet)
    code = 0
    for path in paths:
        try:
            made = seal_one(
                path,
                signer=signer,
                source_type=source_type,
                parents=parents,
                embed=embed,
                operator=orcid,
                personal=personal,
                supersede=supersede,
                codes=codes,
                device=device,
                progress=progress,
            )
        except Error as error:
            if len(paths) == 1:
                raise
            output.error(error.message, code=error.code, hint=error.hint)
            code = code or error.exit_code
            continue
        value: dict[str, Any] = {
            "schema": "urn:rawtrace:schema:seal-result:1",
            "asset": str(made.asset),
            "sidecar": str(made.sidecar) if made.sidecar else None,
            "index": str(made.index) if made.index else None,
            "metadata": str(made.metadata) if made.metadata else None,
            "planes": str(made.planes) if made.planes else None,
            "label": made.label,
            "claim_sha256": made.claim_sha256,
            "content_sha256": made.content_sha256,
            "size": made.size,
        }
        if as_json and len(paths) > 1:
            output.emit_json_line(value)
        elif as_json or not quiet:
            output.emit(value, as_json=as_json, text=_told(made))
    ctx.exit(code)


def _told(made: Seal) -> str:
    from rawtrace.render.clean import visible

    return visible(f"sealed {made.asset}: {made.sidecar or 'the seal is inside'}", limit=MAX_TEXT)


def _require_option(kind: str, as_instrument: bool, folder: Path) -> None:
    if as_instrument and kind == "workstation":
        msg = f"{folder} is a workstation's identity, but it was named as an instrument"
        raise UsageError(msg, hint=f"use --workstation {folder}")
    if not as_instrument and kind == "instrument":
        msg = f"{folder} is an instrument's identity, but it was named as a workstation"
        raise UsageError(msg, hint=f"use --instrument {folder}")


def _orcid_url(operator: str) -> str:
    if not operator:
        return ""
    match = _ORCID.fullmatch(operator)
    if match is None or _orcid_check_digit(match.group(1)) != match.group(1)[-1]:
        msg = f"{operator!r} is not an ORCID: four groups of four, the last character a check digit"
        raise UsageError(msg, hint="an example: https://orcid.org/0000-0002-1825-0097")
    return f"https://orcid.org/{match.group(1)}"


def _orcid_check_digit(orcid: str) -> str:
    """ISO 7064 mod 11-2 over the first fifteen digits."""
    total = 0
    for digit in orcid.replace("-", "")[:15]:
        total = (total + int(digit)) * 2
    value = (12 - total % 11) % 11
    return "X" if value == 10 else str(value)
