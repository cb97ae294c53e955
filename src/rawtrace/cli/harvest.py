"""``rawtrace harvest``."""

from __future__ import annotations

from pathlib import Path

import click

from rawtrace.cli import output
from rawtrace.cli.parameters import PATH


@click.command()
@click.argument("path", metavar="FILE", type=PATH)
@click.option("--personal", is_flag=True, help="Show personal metadata too.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def harvest(path: Path, personal: bool, as_json: bool) -> None:
    """Print the metadata that a file carries, each value with its place.

    \b
    Examples:
      rawtrace harvest plate.ome.tiff
      rawtrace harvest stack.ome.zarr --json
    """
    from rawtrace.image.metadata import harvest as harvest_file
    from rawtrace.render.clean import visible

    found = harvest_file(path, personal=personal)
    values = [{"name": v.name, "value": v.value, "source": v.source} for v in found.values]
    value = {
        "schema": "urn:rawtrace:schema:harvest:1",
        "path": str(path),
        "media_type": found.media_type,
        "format": found.format,
        "values": values,
        "notes": list(found.notes),
    }
    lines = [f"{path.resolve().name or path}: {found.format} ({found.media_type})"]
    lines += [f"  {v.name} = {v.value}   [{v.source}]" for v in found.values]
    lines += [f"  note: {note}" for note in found.notes]
    output.emit(value, as_json=as_json, text="\n".join(visible(line) for line in lines))
