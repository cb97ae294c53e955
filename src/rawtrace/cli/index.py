"""``rawtrace index``: pictures that can be found again, whatever became of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from rawtrace.cli import output
from rawtrace.cli.groups import Group
from rawtrace.cli.parameters import PATH, seen_from_here
from rawtrace.config import config_folder
from rawtrace.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from rawtrace.match.index import PictureIndex
    from rawtrace.match.model import Match

_SCHEMA = "urn:rawtrace:schema:index-{}:1"
EXIT_PROBLEMS = 1
EXIT_NOTHING = 21

_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_index_option = click.option(
    "--index",
    "location",
    metavar="DIR|URL",
    envvar="RAWTRACE_INDEX",
    help="A folder, or postgresql://…; by default RAWTRACE_INDEX, else one beside the settings.",
)


@click.group(cls=Group)
def index() -> None:
    """Remember images, and find the one that a figure shows.

    \b
    Examples:
      rawtrace index add deposit/ --index deposit.index
      rawtrace index find figure-2b.png --index deposit.index
      rawtrace index status --index deposit.index

    An index keeps codes and points of every image, not the images themselves.
    It can be deleted at any time and made again.
    """


@index.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@_index_option
@click.option("--jobs", type=click.IntRange(1, 256), help="Files that are read at a time; by default one a core.")
@click.option("--thorough", is_flag=True, help="Compare the bytes of files that look unchanged.")
@_json_option
def add(paths: tuple[Path, ...], *, location: str | None, jobs: int | None, thorough: bool, as_json: bool) -> int:
    """Add images, and all images below folders.

    \b
    Examples:
      rawtrace index add deposit/
      rawtrace index add deposit/ more/plate.czi --index deposit.index
      rawtrace index add deposit/ --thorough --jobs 4
      rawtrace index add /data --index postgresql://index@db.example.org/pictures

    It may be interrupted at any moment and run again: what is known is passed
    over by path, size and time, a changed file takes the place of what it was,
    and a moved one is recognised. Links inside folders are not followed.
    Files that cannot be read are listed at the end; the exit code is 1 only if
    no file at all is in the index afterwards. Seals of the files are kept too,
    as they are now, for whoever serves the index.
    """
    from rawtrace.sealing.beside import SealsBeside

    with open_index(location, create=True) as opened:
        done = opened.add(
            paths,
            workers=jobs or os.cpu_count() or 1,
            thorough=thorough,
            seal_reader=SealsBeside(),
            progress=output.progress(),
        )
        counts = opened.counts()
    parts = {name: getattr(done, name) for name in ("added", "replaced", "moved", "copied", "unchanged")}
    value = {
        "schema": _SCHEMA.format("add"),
        **parts,
        "sealed": done.sealed,
        "problems": [{"path": path, "problem": problem} for path, problem in done.problems],
        "seal_problems": [{"path": path, "problem": problem} for path, problem in done.seal_problems],
        "counts": counts,
    }
    said = ", ".join(f"{count} {name}" for name, count in parts.items() if count) or "nothing added"
    lines = [f"{said}; {_plural(counts['views'], 'view')} of {_plural(counts['sources'], 'file')} in the index"]
    if done.sealed:
        lines.append(f"sealed: {done.sealed}")
    if done.problems:
        lines.append(f"not read: {len(done.problems)}")
        lines += [f"  {seen_from_here(path)}: {problem}" for path, problem in done.problems]
    if done.seal_problems:
        lines.append(f"seals that are not kept: {len(done.seal_problems)}")
        lines += [f"  {seen_from_here(path)}: {problem}" for path, problem in done.seal_problems]
    output.emit(value, as_json=as_json, text=_visible(lines))
    return EXIT_PROBLEMS if done.problems and not done.known else 0


@index.command()
@click.argument("image", metavar="IMAGE", type=PATH)
@_index_option
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True, help="At most so many.")
@click.option("--scheduler", metavar="ADDRESS", help="Ask a Dask cluster; the index is then in PostgreSQL.")
@_json_option
def find(image: Path, *, location: str | None, limit: int, scheduler: str | None, as_json: bool) -> int:
    """Find the indexed image that IMAGE shows, wholly or in part.

    \b
    Examples:
      rawtrace index find figure-2b.png --index deposit.index
      rawtrace index find panel.jpg --limit 1 --json
      rawtrace index find panel.jpg --index postgresql://index@db.example.org/pictures \\
          --scheduler tcp://scheduler.example.org:8786

    Of a stack each plane is looked for by its pixels, of a figure what it
    shows: it may have been cropped, turned, mirrored, reduced, recoloured,
    inverted, annotated or packed as JPEG. rawtrace trace --in INDEX --report
    shows it in pictures. Exit code 21: looked, and found nothing.
    """
    from rawtrace.match.lookup import look_up
    from rawtrace.match.telling import match_value

    with contextlib.ExitStack() as stack:
        gallery: Any
        if scheduler:
            from rawtrace.match.index.shards import ShardedIndex

            gallery = stack.enter_context(ShardedIndex(_place(location), scheduler=scheduler))
        else:
            gallery = stack.enter_context(open_index(location))
        looked = look_up(image, gallery, limit=limit, progress=output.progress())
    found = looked.matches
    value = {
        "schema": _SCHEMA.format("find"),
        "image": str(image),
        "matches": [match_value(one) for one in found],
        "notes": list(looked.notes),
    }
    lines = [line for one in found for line in _match_lines(one)]
    lines = lines or [f"{image}: nothing like it is in the index"]
    output.emit(value, as_json=as_json, text=_visible([*lines, *(f"note: {note}" for note in looked.notes)]))
    return 0 if found else EXIT_NOTHING


@index.command(name="list")
@_index_option
@click.option("--problems", is_flag=True, help="Only files that could not be read.")
@_json_option
def list_(*, location: str | None, problems: bool, as_json: bool) -> None:
    """List the files of an index.

    \b
    Examples:
      rawtrace index list --index deposit.index
      rawtrace index list --problems
    """
    with open_index(location) as opened:
        found = [one for one in opened.sources() if not problems or one.problem]
        sealed = opened.seal_labels()
    value = {
        "schema": _SCHEMA.format("list"),
        "sources": [
            {
                "path": one.path, "size": one.size, "state": one.state, "problem": one.problem, "format": one.format,
                "instance": one.digest.hex(), "notes": list(one.notes), "seal": sealed.get(one.path, ""),
            }
            for one in found
        ],
    }  # fmt: skip
    lines = [
        f"{seen_from_here(one.path)}  {one.format or one.state}{f': {one.problem}' if one.problem else ''}"
        for one in found
    ]
    output.emit(value, as_json=as_json, text=_visible(lines or ["no files"]))


@index.command()
@_index_option
@_json_option
def status(*, location: str | None, as_json: bool) -> None:
    """Say how much is in an index.

    \b
    Examples:
      rawtrace index status --index deposit.index
      rawtrace index status --json
    """
    with open_index(location) as opened:
        opened.shelf.load()
        counts = opened.counts()
        segments, taken = len(opened.shelf.segments), opened.shelf.bytes
        behind = counts["views"] and next(iter(opened.shelf.gaps(counts["views"])), None) is not None
    value = {
        "schema": _SCHEMA.format("status"),
        "location": _place(location),
        "counts": counts,
        "segments": segments,
        "segment_bytes": taken,
    }
    states = ", ".join(f"{counts[name]} {name}" for name in ("indexed", "unreadable", "given up") if counts.get(name))
    lines = [
        _place(location),
        f"  files: {counts['sources']}{f' ({states})' if states else ''}",
        f"  scenes: {counts['scenes']}, planes: {counts['planes']}, views: {counts['views']}",
        f"  segments: {segments}, {taken / 1e6:.1f} MB{', some are made at the next question' if behind else ''}",
    ]
    output.emit(value, as_json=as_json, text=_visible(lines))


@index.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@_index_option
@_json_option
def remove(paths: tuple[Path, ...], *, location: str | None, as_json: bool) -> int:
    """Remove files from an index, and all files below folders; the files themselves stay.

    \b
    Examples:
      rawtrace index remove deposit/retracted --index deposit.index
      rawtrace index remove plate.czi
    """
    with open_index(location) as opened:
        gone = sum(opened.remove(path) for path in paths)
    value = {"schema": _SCHEMA.format("remove"), "removed": gone}
    output.emit(value, as_json=as_json, text=f"{_plural(gone, 'file')} removed")
    return 0 if gone else EXIT_NOTHING


@index.command()
@_index_option
@_json_option
def check(*, location: str | None, as_json: bool) -> int:
    """Read everything in an index and say what is damaged.

    \b
    Examples:
      rawtrace index check --index deposit.index
      rawtrace index check --json

    Damaged segments are made again by themselves. What is damaged in the
    database is named: remove that file and add it again. Exit code 20: there is
    something to look at.
    """
    from rawtrace.match.index.checking import check as check_index

    with open_index(location) as opened:
        found = check_index(opened, progress=output.progress())
    value = {
        "schema": _SCHEMA.format("check"),
        "views": found.views,
        "problems": list(found.problems),
        "segments": list(found.derived),
    }
    lines = [f"{_plural(found.views, 'view')} read: {'sound' if not found.problems else 'damaged'}"]
    lines += [f"  {one}" for one in found.problems]
    lines += [f"  made again at the next question: {one}" for one in found.derived]
    output.emit(value, as_json=as_json, text=_visible(lines))
    return 20 if found.problems or found.derived else 0


@contextlib.contextmanager
def open_index(location: str | None, *, create: bool = False) -> Iterator[PictureIndex]:
    """Open the index that was named, or the default one.

    Raises
    ------
    MissingExtraError, PictureIndexError, UsageError
    """
    with _pictures().PictureIndex.open(_place(location), create=create) as opened:
        yield opened


def is_index(place: str) -> bool:
    """Tell an index from a folder of data."""
    return "://" in place or (Path(place) / _pictures().DATABASE_FILE).is_file()


def _pictures() -> ModuleType:
    try:
        from rawtrace.match.index import pictures
    except ImportError as error:
        msg = "an index needs a database library, which is not installed"
        raise MissingExtraError(msg, hint="pip install 'rawtrace[match]'") from error
    return pictures


def _place(location: str | None) -> str:
    if location == "":
        msg = "the place of the index is empty"
        raise UsageError(msg)
    return location or str(config_folder() / "index")


def _match_lines(match: Match) -> list[str]:
    from rawtrace.match import telling

    told = (telling.where_words(match.where), telling.evidence_words(match), telling.transform_words(match))
    return [seen_from_here(match.where.source), *(f"  {line}" for line in told)]


def _visible(lines: Sequence[str]) -> str:
    from rawtrace.render.clean import visible

    clean: Callable[[str], str] = visible
    return "\n".join(clean(line) for line in lines)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
