"""The help of every command: examples first, each one right, options explained, ``--json`` everywhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from rawtrace.cli import main as command_line


def _walk(context: click.Context) -> Iterator[click.Context]:
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _walk(click.Context(child, parent=context, info_name=name, **child.context_settings))


_MAIN = click.Context(command_line.main, info_name="rawtrace", **command_line.main.context_settings)
CONTEXTS = {one.command_path: one for one in _walk(_MAIN)}
COMMANDS = {path: one.command for path, one in CONTEXTS.items() if not isinstance(one.command, click.Group)}


def _examples(command: click.Command) -> list[str]:
    text = re.sub(r" *\\\n\s+", " ", command.help or "")
    lines = text.partition("Examples:\n")[2].partition("\n\n")[0].strip().splitlines()
    commands = [line.strip().rpartition("| ")[2].partition(" > ")[0] for line in lines]
    return [command.removeprefix("sudo -u rawtrace ") for command in commands]


@pytest.mark.parametrize("path", CONTEXTS)
def test_help_begins_with_a_sentence_and_examples(path: str) -> None:
    command = CONTEXTS[path].command
    text = command.help or ""
    first = " ".join(text.partition("\n\n")[0].split())
    assert first.endswith(".")
    assert "!" not in text
    assert _examples(command), "every help has examples"
    assert text.partition("\n\n")[2].lstrip("\b\n ").startswith("Examples:")


@pytest.mark.parametrize("path", CONTEXTS)
def test_every_example_is_a_call_that_the_command_takes(path: str) -> None:
    examples = _examples(CONTEXTS[path].command)
    assert any(one.startswith(path) or path == "rawtrace" for one in examples)
    for example in examples:
        words = shlex.split(example)
        if words[0] != "rawtrace":  # what another program is then asked
            continue
        called = "rawtrace"
        for word in words[1:]:
            if f"{called} {word}" not in CONTEXTS:
                break
            called += f" {word}"
        command = COMMANDS[called]
        given, _, _ = command.make_parser(CONTEXTS[called]).parse_args(words[called.count(" ") + 1 :])
        missing = [one.name for one in command.params if one.required and given.get(str(one.name)) in (None, (), [])]
        assert not missing, f"{example}: lacks {missing}"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_is_explained_and_json_is_among_them(path: str) -> None:
    options = [one for one in COMMANDS[path].params if isinstance(one, click.Option)]
    assert [one.opts for one in options if not (one.help or "").strip()] == []
    assert [one.opts for one in options if not str(one.help).endswith((".", "…", "..."))] == []
    assert ["--json"] in [one.opts for one in options]


def test_a_wrong_example_is_noticed() -> None:
    command = click.Command("x", params=[click.Option(["--reason"], required=True)])
    command.help = "Do x.\n\n\b\nExamples:\n  rawtrace x --product A \\\n      --feature B\n\nMore."
    assert _examples(command) == ["rawtrace x --product A --feature B"]
    given, _, _ = command.make_parser(click.Context(command)).parse_args(["--feature", "B"][:0])
    assert "reason" not in given
