"""The command group, its lazily loaded commands, and how a run ends.

Every command is one line of ``COMMANDS``; its module is imported only when it
is called, so that ``rawtrace --help`` stays fast.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, NamedTuple, NoReturn

import click

from rawtrace.cli import output
from rawtrace.errors import Error, from_os_error

EXIT_BUG = 70
EXIT_INTERRUPTED = 130


class _Entry(NamedTuple):
    target: str
    summary: str


#: Verbs for people first, nouns for operators after.
COMMANDS: dict[str, _Entry] = {
    "seal": _Entry("rawtrace.cli.seal:seal", "seal files and folders"),
    "verify": _Entry("rawtrace.cli.verify:verify", "check files against their seals"),
    "show": _Entry("rawtrace.cli.show:show", "print what a seal says, unchecked"),
    "harvest": _Entry("rawtrace.cli.harvest:harvest", "print the metadata a file carries"),
    "codes": _Entry("rawtrace.cli.codes:codes", "print the content codes of images"),
    "trace": _Entry("rawtrace.cli.trace:trace", "say which data a figure shows"),
    "compare": _Entry("rawtrace.cli.compare:compare", "tell what lies between an original and a picture"),
    "reuse": _Entry("rawtrace.cli.reuse:reuse", "find what is shown more than once"),
    "demo": _Entry("rawtrace.cli.demo:demo", "play a microscope, an editor and five attacks"),
    "instrument": _Entry("rawtrace.cli.instrument:instrument", "give instruments an identity"),
    "workstation": _Entry("rawtrace.cli.workstation:workstation", "give an identity to whoever signs derived data"),
    "authority": _Entry("rawtrace.cli.authority:authority", "issue and revoke certificates"),
    "trust": _Entry("rawtrace.cli.trust:trust", "choose whom verify relies on"),
    "federation": _Entry("rawtrace.cli.federation:federation", "publish whom members of a federation rely on"),
    "index": _Entry("rawtrace.cli.index:index", "remember images, and find the one that a figure shows"),
    "agent": _Entry("rawtrace.cli.agent:agent", "seal what an instrument writes, by itself"),
    "log": _Entry("rawtrace.cli.log:log", "keep and check logs that nobody can rewrite unseen"),
    "store": _Entry("rawtrace.cli.store:store", "make a trust store, let people in, join others"),
    "serve": _Entry("rawtrace.cli.serve:serve", "serve a trust store"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):  # a slip in the table
            msg = f"{entry.target} is not a command"
            raise TypeError(msg)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="rawtrace", message="rawtrace %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Make scientific pictures checkable, from photon to figure.

    \b
    Examples:
      rawtrace demo
      rawtrace verify plate.ome.tiff
      rawtrace verify -r submission/ --report submission.html
      rawtrace seal figure.png --workstation ~/workstation --parent plate.ome.tiff
      rawtrace trace figure-2b.jpg --in deposit/
      rawtrace compare plate.ome.tiff figure-2b.jpg --report compare.html

    Exit codes: 0 verified, 10 no seal, 11 inconclusive, 12 altered, 13 rejected;
    1 could not do it, 2 wrong usage, 3 no such input, 20 done and there is
    something to look at, 21 looked and found nothing, 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        output.line(ctx.get_help())


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run one command and exit with its code; the console script's entry."""
    sys.exit(run_for_code(arguments))


def run_for_code(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; every way a run can end is decided here."""
    output.prepare_streams()
    try:
        code = _run_for_code(arguments)
        output.flush()
    except BrokenPipeError:  # whoever read the results has seen enough
        output.silence_stdout()
        return 1
    return code


def _run_for_code(arguments: list[str] | None) -> int:
    try:
        result: Any = main.main(args=arguments, prog_name="rawtrace", standalone_mode=False)
    except Error as error:
        output.error(error.message, code=error.code, hint=error.hint)
        return error.exit_code
    except click.Abort:
        output.error("interrupted", hint="nothing was left half-written; run the same command again")
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        output.error("interrupted", hint="nothing was left half-written; run the same command again")
        return EXIT_INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        output.line(error.format_message())
        return error.exit_code
    except click.ClickException as error:
        hint = f"see: {error.ctx.command_path} --help" if isinstance(error, click.UsageError) and error.ctx else ""
        output.error(_plain_sentence(error.format_message()), code="E101", hint=hint)
        return error.exit_code if error.exit_code != 1 else 2
    except BrokenPipeError:
        raise
    except OSError as error:
        known = from_os_error(error, "reading or writing" if error.filename is None else f"using {error.filename}")
        output.error(known.message, code=known.code, hint=known.hint)
        return known.exit_code
    except MemoryError:
        output.error("there was not enough memory to finish", code="E100", hint="close other programs and try again")
        return 1
    except Exception as error:  # noqa: BLE001  the last line of defence: whatever is left is our bug
        output.bug(error)
        return EXIT_BUG
    return result if isinstance(result, int) else 0


def _plain_sentence(message: str) -> str:
    text = " ".join(message.split()).rstrip(".")
    return text[:1].lower() + text[1:]
