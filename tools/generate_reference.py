"""Write docs/reference from the code, so that it cannot say anything else.

python tools/generate_reference.py           write the pages
python tools/generate_reference.py --check   name the pages that are not current, exit 1 if there are any
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import rawtrace
from rawtrace import errors
from rawtrace.cli import main as command_line
from rawtrace.report import Outcome, Verdict

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
MADE = "<!-- Made by tools/generate_reference.py; change the code, then run `make reference`. -->\n"
OTHER_EXIT_CODES = {
    1: "could not do it: unreadable, no permission, full disk",
    2: "wrong usage",
    3: "no such input",
    20: "done, and there is something to look at: `compare`, `reuse`, `index check`, `log audit`, `log verify`, "
    "`log witness`, `store monitor`",
    21: "looked, and found nothing: `trace`, `index find`",
    command_line.EXIT_BUG: "a bug in rawtrace",
    command_line.EXIT_INTERRUPTED: "interrupted",
}


def errors_page() -> str:
    """One section per error class, by code."""
    parts = [
        "# Errors\n",
        "An error is one line, `rawtrace: error[E102]: what happened`, and where there is something to do about it a"
        " second one, `rawtrace: hint: …`. Codes are stable and never used again. In Python the same classes are in"
        " `rawtrace.errors`; every one of them is a `rawtrace.errors.Error`.\n",
    ]
    for kind in errors.all_errors():
        parts.append(f"## {kind.code}\n")
        parts.append(f"{inspect.getdoc(kind).splitlines()[0]}\n")
        parts.append(f"- class: `{kind.__module__}.{kind.__name__}`\n- exit code: {kind.exit_code}")
        if kind.default_hint:
            parts.append(f"- hint: {kind.default_hint}")
        parts.append("")
    parts += [
        "## E999\n",
        "Something that rawtrace did not expect: a bug in rawtrace, not in what it was given. Run the command again"
        " with `RAWTRACE_DEBUG=1` and report what it prints.\n",
        f"- exit code: {command_line.EXIT_BUG}\n",
    ]
    return "\n".join(parts)


def exit_codes_page() -> str:
    """The codes of verdicts, then all others."""
    rows = ["# Exit codes\n", "`verify` ends with the code of its verdict; a batch ends with the worst.\n"]
    rows += ["| code | verdict |", "| --- | --- |"]
    for code in sorted({verdict.exit_code for verdict in Verdict}):
        rows.append(f"| {code} | {', '.join(f'`{v}`' for v in Verdict if v.exit_code == code)} |")
    rows += ["", "Every command:\n", "| code | means |", "| --- | --- |"]
    rows += [f"| {code} | {meaning} |" for code, meaning in OTHER_EXIT_CODES.items()]
    rows += ["", "What each verdict means: [verdicts](../concepts/verdicts.md).\n"]
    return "\n".join(rows)


def findings_page() -> str:
    """One section per finding of the catalogue."""
    catalogue = importlib.import_module("rawtrace.verification.findings")
    parts = [
        "# Findings\n",
        "A report is a list of findings. Each has a stable id, belongs to a step of the"
        " [verification](../spec/index.md), and has an outcome; the worst outcome makes the verdict.\n",
        "| outcome | the verdict is at best |",
        "| --- | --- |",
        *(f"| `{outcome}` | `{outcome.verdict}` |" for outcome in Outcome),
        "",
    ]
    parts += list(_finding_sections(catalogue))
    return "\n".join(parts)


def _finding_sections(catalogue: Any) -> Iterator[str]:
    kinds = catalogue.CATALOGUE.values()
    for step in catalogue.Step:
        yield f"## Step {step.value}: {step.name.lower()}\n"
        for kind in (kind for kind in kinds if kind.step is step):
            yield f"### {kind.id}\n"
            yield f"{kind.meaning[:1].upper()}{kind.meaning[1:]}.\n"
            weighed = "; a policy may weigh it differently" if kind.choices else ""
            yield f"- outcome: `{kind.outcome}`{weighed}"
            if kind.hint:
                yield f"- what to do: {kind.hint}"
            yield ""


def command_page() -> str:
    """Every command, its help and its options."""
    parts = [
        "# Command line\n",
        "Results go to standard output, everything else to standard error."
        " `--json` gives one JSON document for programs. [Exit codes](exit-codes.md) and [errors](errors.md) have pages"
        " of their own.\n",
    ]
    parts += list(_command_sections(_context(command_line.main, "rawtrace", None), level=2))
    return "\n".join(parts)


def _command_sections(context: click.Context, *, level: int) -> Iterator[str]:
    command = context.command
    yield f"{'#' * min(level, 4)} {context.command_path}\n"
    yield "```text"
    yield command.get_help(context).rstrip()
    yield "```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _command_sections(_context(child, name, context), level=level + 1)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": 100, "max_content_width": 100}
    return click.Context(command, parent=parent, info_name=name, **settings)


def python_page() -> str:
    """The public names, in the order of ``rawtrace.__all__``."""
    parts = [
        "# Python API\n",
        "Everything here is importable from `rawtrace` and stable; what is not here may change in any release.\n",
        "```{eval-rst}",
    ]
    for name in rawtrace.__all__:
        value = getattr(rawtrace, name)
        shown = f"rawtrace.{name}"
        if value.__name__ != name:
            shown = f"{value.__module__}.{value.__name__}"
            parts += [f"``rawtrace.{name}`` is the following, under its public name:", ""]
        if not inspect.isclass(value):
            parts += [f".. autofunction:: {shown}", ""]
        else:
            directive = "autoexception" if issubclass(value, Exception) else "autoclass"
            parts += [f".. {directive}:: {shown}", "   :members:", ""]
    return "\n".join([*parts, "```\n"])


def settings_page() -> str:
    """Every key of ``store.toml``, from the settings' own docstrings."""
    from rawtrace.server.settings import Settings

    parts = [
        "# Settings of a trust store\n",
        "A trust store reads `store.toml` in its folder when it starts. A key that is not on this page is an error."
        " [Run a trust store](../how-to/run-a-trust-store.md) shows how to begin.\n",
        "## At the top\n",
        *_setting_rows(Settings),
    ]
    for one in dataclasses.fields(Settings):
        if isinstance(one.default_factory, type) and dataclasses.is_dataclass(one.default_factory):
            summary = inspect.getdoc(one.default_factory).splitlines()[0]
            parts += [f"## [{one.name}]\n", f"{_code(summary)}\n", *_setting_rows(one.default_factory)]
    return "\n".join(parts)


def _setting_rows(kind: Any) -> Iterator[str]:
    texts = _attributes(inspect.getdoc(kind))
    hints = typing.get_type_hints(kind)
    yield "| key | kind | without it | |"
    yield "| --- | --- | --- | --- |"
    for one in dataclasses.fields(kind):
        if isinstance(one.default_factory, type) and dataclasses.is_dataclass(one.default_factory):
            continue
        made = one.default_factory() if one.default_factory is not dataclasses.MISSING else one.default
        default = "needed" if made is dataclasses.MISSING else f"`{_toml(made)}`"
        yield f"| `{one.name}` | {_kind(hints[one.name])} | {default} | {texts[one.name]} |"
    yield ""


def _attributes(text: str) -> dict[str, str]:
    """Read the ``Attributes`` section of a numpydoc docstring."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.partition("----------\n")[2].splitlines():
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
            found.update(dict.fromkeys(names, ""))
        else:
            for name in names:
                found[name] = f"{found[name]} {_code(line.strip())}".strip()
    return found


def _code(text: str) -> str:
    return text.replace("``", "`")


def _kind(hint: Any) -> str:
    named = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return named.get(hint) or ("list of text" if typing.get_origin(hint) is tuple else "table")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return {(): "[]"}.get(value, repr(value).replace("'", '"')) if not isinstance(value, dict) else "{}"


def http_page() -> str:
    """Every route of a trust store's server, from the table of routes and the description of the interface."""
    import yaml

    from rawtrace.server import app
    from rawtrace.server.access import Role

    described = yaml.safe_load((Path(app.__file__).parent / "openapi.yaml").read_text(encoding="utf-8"))["paths"]
    rows: dict[str, list[str]] = {}
    for route in sorted(app.ROUTES, key=lambda route: route.path):
        path = re.sub(r":\w+}", "}", route.path)
        said = described[path][route.method.lower()]
        who = "everybody" if Role.PUBLIC in route.roles else ", ".join(role.value for role in route.roles)
        row = f"| {route.method} | `{path}` | {who} | {said['summary']} |"
        rows.setdefault(said["tags"][0], []).append(row)
    parts = [
        "# Routes of a trust store\n",
        "What a running store answers, who may ask, and what for. *Everybody* means that no token is asked for; the"
        " answer may depend on who asks. The store's `/openapi.yaml` describes every request and answer in full, the"
        " [HTTP interface](../spec/http.md) says what they have in common.\n",
    ]
    for tag in sorted(rows):
        parts += [f"## {tag}\n", "| | path | who | |", "| --- | --- | --- | --- |", *rows[tag], ""]
    return "\n".join(parts)


def index_page() -> str:
    """The table of contents of the reference."""
    names = "\n".join(name.removesuffix(".md") for name in (*PAGES, *BY_HAND) if name != "index.md")
    return f"# Reference\n\nMade from the code, but for the image formats.\n\n```{{toctree}}\n{names}\n```\n"


#: Pages that people write.
BY_HAND = ("image-formats.md",)
PAGES = {
    "index.md": index_page,
    "commands.md": command_page,
    "exit-codes.md": exit_codes_page,
    "errors.md": errors_page,
    "findings.md": findings_page,
    "store-settings.md": settings_page,
    "http.md": http_page,
    "python.md": python_page,
}


def import_everything() -> None:
    """Load every module of rawtrace: an error class is known once its module is."""
    import pkgutil

    for module in pkgutil.walk_packages(rawtrace.__path__, "rawtrace."):
        importlib.import_module(module.name)


def rendered() -> dict[str, str]:
    """Every page as it should be."""
    return {name: MADE + make() for name, make in PAGES.items()}


def stale() -> list[str]:
    """Names of the pages that are missing, differ, or have no source any more."""
    wanted = rendered()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md") if path.name not in BY_HAND}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def main() -> int:
    """Run the command line of this tool."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    import_everything()
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a page is not current")
    if parser.parse_args().check:
        names = stale()
        for name in names:
            print(f"docs/reference/{name} is not current: run `make reference` and commit it", file=sys.stderr)
        return 1 if names else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = rendered()
    for path in FOLDER.glob("*.md"):
        if path.name not in pages and path.name not in BY_HAND:
            path.unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"reference: {len(pages)} pages in docs/reference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
