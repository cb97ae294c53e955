"""Groups of commands whose help says of each command its whole first sentence."""

from __future__ import annotations

import click


class Group(click.Group):
    """A group that breaks long lines in its list of commands instead of cutting them short."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(1000)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Word(click.Choice[str]):
    """One of some words, shown as they are written, taken however they are capitalised."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__(words, case_sensitive=False)

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        """Keep a word of ours as it is, and turn any other way of writing it into ours."""
        text = str(choice)
        return next((word for word in self.choices if word.casefold() == text.casefold()), text)
