"""``rawtrace reuse``: what is shown more than once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rawtrace.cli import output
from rawtrace.cli.pages import refuse_existing, write_page
from rawtrace.cli.parameters import PATH
from rawtrace.errors import InputNotFoundError, UsageError

if TYPE_CHECKING:
    from rawtrace.match.model import Where
    from rawtrace.match.reuse.check import Reuse, Within
    from rawtrace.match.reuse.copymove import PixelBox
    from rawtrace.match.reuse.duplicates import Duplicate

EXIT_TO_LOOK_AT = 20


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option("--within", "only", flag_value="within", help="Only areas that one picture shows twice.")
@click.option("--between", "only", flag_value="between", help="Only pictures and panels that show the same.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="Pictures that are looked at at a time; by default one a core."
)
@click.option("--report", "report_file", metavar="OUT.html", type=PATH, help="Write one page with pictures.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def reuse(paths: tuple[Path, ...], only: str | None, jobs: int | None, report_file: Path | None, as_json: bool) -> int:
    """Find what is shown more than once: areas in a picture, pictures in a set.

    \b
    Examples:
      rawtrace reuse figure-3.png
      rawtrace reuse submission/ --report reuse.html
      rawtrace reuse submission/ --between --json
      rawtrace reuse blot.tif gel.tif --within

    Also turned, mirrored, rescaled, re-toned or inverted. A figure with gutters
    is split into its panels, which are compared too. Neighbouring fields,
    other channels and planes, insets and repeating structures, such as ladders
    and lanes, are named as what they are. To show something twice may be right:
    what is found is for people to judge.

    Exit codes: 0 nothing that asks for a look, 20 something to look at.
    """
    from rawtrace.match.reuse.check import check

    refuse_existing(report_file)
    files, skipped = _files(paths)
    found = check(
        files,
        within=only != "between",
        between=only != "within",
        workers=jobs or os.cpu_count() or 1,
        progress=output.progress(),
    )
    if report_file is not None:
        from rawtrace.render.reuse import as_html

        write_page(report_file, as_html(found))
    value = {
        "schema": "urn:rawtrace:schema:reuse:1",
        "pictures": found.pictures,
        "to_look_at": found.to_look_at,
        "within": [_within_value(one) for one in found.within],
        "between": [_between_value(one) for one in found.between],
        "problems": [{"path": path, "problem": problem} for path, problem in found.problems],
        "not_images": skipped,
    }
    output.emit(value, as_json=as_json, text=_text(found))
    if len(files) == 1 and found.problems and not found.pictures:
        return 1
    return EXIT_TO_LOOK_AT if found.to_look_at else 0


def _files(paths: Sequence[Path]) -> tuple[list[Path], int]:
    """Resolve folders to the images below them; also say how many other files there were."""
    from rawtrace.errors import Error
    from rawtrace.image.reader import is_known
    from rawtrace.match.reuse.check import MAX_FILES
    from rawtrace.sealing.discovery import PassedOver, assets_below

    files: list[Path] = []
    skipped = 0
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                msg = f"{path} does not exist"
                raise InputNotFoundError(msg)
            files.append(path)
            continue
        for asset in assets_below(path):
            if isinstance(asset, PassedOver):
                continue
            try:
                known = is_known(asset)
            except Error:
                known = False
            if known:
                files.append(asset)
            else:
                skipped += 1
            if len(files) > MAX_FILES:
                break
    if not files:
        msg = "no image was named, and none is below the folders that were"
        raise UsageError(msg, hint="name images, or a folder that holds some")
    return list(dict.fromkeys(files)), skipped


def _text(found: Reuse) -> str:
    from rawtrace.match.reuse.copymove import Repeat
    from rawtrace.match.telling import changed_words
    from rawtrace.render.clean import visible

    lines: list[str] = []
    for one in found.within:
        move = one.move
        if move.relation is Repeat.AREA:
            said = f"{_at(move.target)} repeats another area, {_at(move.source)}"
        else:
            said = f"{_at(move.target)} and {_at(move.source)} belong to a repeating structure"
        lines += [
            f"{_named(one.where)}: {said}",
            f"  {changed_words(move.placement)}; {move.inliers} points agree, correlation {move.correlation:.2f}, "
            f"of fine detail {move.detail:.2f}",
        ]
    for pair in found.between:
        both = f"{_named(pair.first, pair.first_panel)} and {_named(pair.second, pair.second_panel)}"
        lines += [
            f"{both}: {pair.relation.value}",
            f"  {pair.explanation}; {changed_words(pair.placement, inverted=pair.inverted)}; "
            f"{pair.inliers} points agree, correlation {pair.correlation:.2f}",
        ]
    pictures = f"{found.pictures:,} {'picture' if found.pictures == 1 else 'pictures'}"
    if found.to_look_at:
        lines.append(f"{pictures}: {found.to_look_at} to look at")
    else:
        lines.append(f"{pictures}: nothing is shown twice{' but what is named above' if lines else ''}")
    lines += [f"not looked at: {path}: {problem}" for path, problem in found.problems]
    return "\n".join(visible(line) for line in lines)


def _named(where: Where, panel: PixelBox | None = None) -> str:
    parts = [where.source]
    if where.scene:
        parts.append(f"scene {where.scene}")
    if where.channel:
        parts.append(f"channel {where.channel}")
    parts += [f"{axis} {value}" for axis, value in (("z", where.z), ("t", where.t)) if value]
    return ", ".join(parts) + (f", panel {_at(panel)}" if panel is not None else "")


def _at(box: PixelBox) -> str:
    left, top, width, height = box
    return f"{width} x {height} px at ({left}, {top})"


def _where_value(where: Where) -> dict[str, Any]:
    return {"path": where.source, "scene": where.scene, "channel": where.channel, "z": where.z, "t": where.t}


def _within_value(one: Within) -> dict[str, Any]:
    move = one.move
    return {
        "image": _where_value(one.where),
        "relation": move.relation.value,
        "source": list(move.source),
        "target": list(move.target),
        "placement": move.placement.to_dict(),
        "inliers": move.inliers,
        "correlation": round(move.correlation, 4),
        "detail": round(move.detail, 4),
        "area_px": move.area_px,
    }


def _between_value(pair: Duplicate) -> dict[str, Any]:
    return {
        "first": {**_where_value(pair.first), "panel": list(pair.first_panel) if pair.first_panel else None},
        "second": {**_where_value(pair.second), "panel": list(pair.second_panel) if pair.second_panel else None},
        "relation": pair.relation.value,
        "explanation": pair.explanation,
        "placement": pair.placement.to_dict(),
        "inverted": pair.inverted,
        "inliers": pair.inliers,
        "correlation": round(pair.correlation, 4),
        "detail": round(pair.detail, 4),
        "covered": [round(pair.first_covered, 4), round(pair.second_covered, 4)],
    }
