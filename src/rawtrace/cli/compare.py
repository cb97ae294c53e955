"""``rawtrace compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rawtrace.cli import output
from rawtrace.cli.pages import refuse_existing, write_page
from rawtrace.cli.parameters import PATH

if TYPE_CHECKING:
    from rawtrace.match.comparison.compare import Comparison

SOMETHING_TO_LOOK_AT = 20


@click.command()
@click.argument("original", metavar="ORIGINAL", type=PATH)
@click.argument("published", metavar="PUBLISHED", type=PATH)
@click.option("--scene", type=int, help="Which scene of the original, from 0; chosen by comparing if left out.")
@click.option("--channel", type=int, help="Which channel, from 0.")
@click.option("--z", type=int, help="Which focal plane, from 0.")
@click.option("--t", type=int, help="Which time point, from 0.")
@click.option("--report", "report_file", metavar="OUT.html", type=PATH, help="Write one page with pictures.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(
    original: Path,
    published: Path,
    scene: int | None,
    channel: int | None,
    z: int | None,
    t: int | None,
    report_file: Path | None,
    as_json: bool,
) -> int:
    """Tell what was done between an original and a published picture.

    \b
    Examples:
      rawtrace compare stack.ome.tiff figure-2b.png
      rawtrace compare stack.ome.tiff figure-2b.png --report compare.html
      rawtrace compare blot.tif figure-4.jpg --json
      rawtrace compare plate.ome.zarr panel.png --scene 3 --channel 1

    Finds where the picture lies in the original (crop, rotation, mirroring,
    size), the curve that brightness went through, and the areas that neither
    explains. Labels, arrows and scale bars are told apart from those.

    Exit codes: 0 nothing beyond changes of the whole picture, 20 something to
    look at: areas that are not explained, or the pictures are not alike.
    """
    from rawtrace.match.comparison.files import compare_files

    refuse_existing(report_file)
    found = compare_files(
        original, published, scene=scene, channel=channel, z=z, t=t, progress=output.progress(quiet=as_json)
    )
    if report_file is not None:
        from rawtrace.render.comparison import as_html

        write_page(report_file, as_html(found, original=original.name, published=published.name))
    output.emit(found.summary(), as_json=as_json, text=_text(found))
    return SOMETHING_TO_LOOK_AT if found.something_to_look_at else 0


def _text(found: Comparison) -> str:
    from rawtrace.match.comparison.words import number
    from rawtrace.render.clean import visible

    lines = [found.sentence]
    if found.registration is None:
        return found.sentence
    placement = found.registration.placement
    if found.where is not None:
        lines.append(f"  original:   {_where(found)}")
    left, top, right, bottom = placement.crop_box
    exact = "pixels were only copied" if found.registration.exact else f"scale {placement.scale:.4f}"
    lines.append(f"  placement:  x {left:.1f} to {right:.1f}, y {top:.1f} to {bottom:.1f} px of the original; {exact}")
    for name, curve in found.curves:
        lines.append(
            f"  {name + ':':<11} {curve.tone.value}, {number(curve.black)}…{number(curve.white)}, "
            f"confidence {100 * curve.confidence:.0f} %"
        )
    lines.append(f"  noise:      {found.noise_words}")
    for difference in found.unexplained:
        left, top, width, height = difference.box
        kind = f", {difference.kind}" if difference.kind else ""
        lines.append(
            f"  not explained: {width} × {height} px at x {left}, y {top}{kind} "
            f"(by up to {difference.levels:.0f} grey levels)"
        )
    return "\n".join(visible(line) for line in lines)


def _where(found: Comparison) -> str:
    where = found.where
    if where is None:
        return ""
    parts = [f"{name} {value}" for name, value in
             (("scene", where.scene), ("channel", where.channel), ("z", where.z), ("t", where.t))
             if value is not None]  # fmt: skip
    projection = " (maximum projection)" if where.projection == "max" else ""
    return f"{Path(where.source).name}, {', '.join(parts)}{projection}"
