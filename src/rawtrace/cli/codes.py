"""``rawtrace codes``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rawtrace.cli import output
from rawtrace.cli.parameters import PATH
from rawtrace.errors import Error, InputNotFoundError, PixelsError

if TYPE_CHECKING:
    from rawtrace.image.codes import FileCodes, SceneCodes, ViewCode


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option(
    "--planes/--no-planes",
    default=None,
    help="Codes of every plane; by default with --json only.",
)
@click.option("--no-views", is_flag=True, help="Leave out the codes of what the image looks like.")
@click.option("--no-file", is_flag=True, help="Leave out the codes of the stored bytes: one reading less.")
@click.option("--json", "as_json", is_flag=True, help="As JSON; one document per line where there are several.")
@click.pass_context
def codes(
    ctx: click.Context, paths: tuple[Path, ...], planes: bool | None, no_views: bool, no_file: bool, as_json: bool
) -> None:
    """Print the content codes (ISCC) of images: of the file, its scenes, planes and views.

    \b
    Examples:
      rawtrace codes plate.ome.tiff
      rawtrace codes stack.ome.zarr --json
      rawtrace codes stack.czi --planes --no-views
      rawtrace codes experiment/

    The codes of scenes and planes depend on the pixels alone: the same image in
    another format, or packed otherwise, has the same. In a folder every image
    is taken; an OME-Zarr counts as one.

    Exit codes: 0 done, 1 an image could not be read: its file has codes all the
    same, and a note says why.
    """
    from rawtrace.image.codes import codes_of
    from rawtrace.image.reader import is_known

    taken, passed_over = _assets(paths)
    several = len(taken) != 1 or (paths[0].is_dir() and taken[0] != paths[0])
    worst = 0
    for number, path in enumerate(taken):
        try:
            found = codes_of(
                path,
                planes=as_json if planes is None else planes,
                views=not no_views,
                file=not no_file,
                progress=output.progress(quiet=several and output.is_terminal()),
            )
        except Error as error:
            if not several:
                raise
            worst = max(worst, error.exit_code)
            _show_error(path, error, as_json=as_json)
            continue
        if not found.scenes and is_known(path):
            worst = max(worst, PixelsError.exit_code)
        if as_json:
            from rawtrace.image.codesjson import to_json

            (output.emit_json_line if several else _emit)(to_json(found))
        else:
            if number:
                output.line()
            output.line("\n".join(_lines(found)))
    for path, why in passed_over:
        output.note(f"not looked at: {path}: {why}")
    ctx.exit(worst)


def _assets(paths: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Resolve folders to the images in them, and name what is passed over on the way."""
    from rawtrace.image.formats import ZARR, detect
    from rawtrace.sealing.discovery import PassedOver, assets_below

    taken: list[Path] = []
    passed_over: list[tuple[Path, str]] = []
    for path in paths:
        if not path.is_dir() or detect(path).media_type == ZARR:
            taken.append(path)
            continue
        before = len(taken)
        for found in assets_below(path):
            if isinstance(found, PassedOver):
                passed_over.append((found.path, found.why))
            else:
                taken.append(found)
        if len(taken) == before:
            msg = f"{path} holds no files"
            raise InputNotFoundError(msg)
    return taken, passed_over


def _emit(value: dict[str, Any]) -> None:
    output.emit(value, as_json=True, text="")


def _show_error(path: Path, error: Error, *, as_json: bool) -> None:
    output.error(f"{path}: {error.message}", code=error.code, hint=error.hint)
    if as_json:
        problem = {"code": error.code, "message": error.message, "hint": error.hint}
        output.emit_json_line({"schema": "urn:rawtrace:schema:error:1", "path": str(path), "error": problem})


def _lines(found: FileCodes) -> Iterator[str]:
    from rawtrace.render.clean import visible

    scenes = "1 scene" if len(found.scenes) == 1 else f"{len(found.scenes):,} scenes"
    size = f", {found.size:,} bytes" if found.iscc else ""
    yield f"{visible(found.path)}: {found.format}{size}{', ' + scenes if found.scenes else ''}"
    if found.iscc:
        yield f"  file        {found.iscc}"
    for scene in found.scenes:
        yield from _scene_lines(scene)
    for note in found.notes:
        yield f"  note: {visible(note)}"


def _scene_lines(found: SceneCodes) -> Iterator[str]:
    from rawtrace.render.clean import visible

    scene = found.scene
    name = f", {visible(scene.name, limit=60)}" if scene.name else ""
    yield f"  {f'scene {scene.index}':<11} {found.iscc}"
    axes = zip("tczyxs", (scene.t, scene.c, scene.z, scene.y, scene.x, scene.samples), strict=True)
    shape = " ".join(f"{axis}={size}" for axis, size in axes if size > 1 or axis in "yx")
    yield f"    {'shape':<9} {shape} {scene.dtype}{name}"
    yield f"    {'header':<9} {found.header}"
    for plane in found.planes:
        constant = ", constant: evidence of nothing" if plane.constant else ""
        yield f"    {'plane':<9} {plane.instance}  {plane.index.words()}{constant}"
    for view in found.views:
        yield f"    {'view':<9} {view.image or f'{_NO_CODE:<60}'}  {_view_words(view)}"


_NO_CODE = "none: too little to see"


def _view_words(view: ViewCode) -> str:
    channel = "luminance" if view.channel is None else f"c={view.channel}"
    place = f"greatest along z, {channel}" if view.projection else f"z={view.z}, {channel}"
    return f"{place}, t={view.t}"
