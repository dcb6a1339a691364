"""The command line: a group that imports a command when it is called, and the one place where errors end.

Root help reads the table below and imports no command, so it stays fast whatever the commands need.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

import click

from alpaca_core.cli.console import say
from alpaca_core.errors import AlpacaError, Stopped

COMMANDS = {
    "run": ("alpaca_core.cli.run:run", "The whole pipeline: generate, filter, train, evaluate."),
    "generate": ("alpaca_core.cli.run:generate", "Write a dataset with a teacher, from seed tasks."),
    "estimate": ("alpaca_core.cli.estimate:estimate", "What a generation will take: requests, tokens, dollars."),
    "filter": ("alpaca_core.cli.filter:filter_", "Filter a dataset again, without a teacher."),
    "train": ("alpaca_core.cli.train:train", "Fine-tune a student on a dataset."),
    "evaluate": ("alpaca_core.cli.evaluate:evaluate", "Score a model on rows that it has not seen."),
    "accept": ("alpaca_core.cli.accept:accept", "Accept a finished model, or refuse it, with reasons."),
    "winrate": ("alpaca_core.cli.winrate:winrate", "How often a model's answers are preferred: from judges' verdicts."),
    "sheet": ("alpaca_core.cli.sheet:sheet", "A page on which people compare two models blindly."),
    "report": ("alpaca_core.cli.report:report", "One HTML page of a run or a dataset, with its figures."),
    "trace": ("alpaca_core.cli.trace:trace", "Follow a row: its origin, the verdicts on it, its losses."),
    "view": ("alpaca_core.cli.view:view", "Look through rows in a browser, and mark them keep, drop or edit."),
    "chat": ("alpaca_core.cli.chat:chat", "Talk to a model in the terminal."),
    "serve": ("alpaca_core.cli.serve:serve", "Serve a model to clients of the OpenAI API."),
    "export": ("alpaca_core.cli.export:export", "Share a dataset or a model: formats, cards, configurations, the hub."),
    "import": ("alpaca_core.cli.import_:import_", "Read a dataset of another form."),
    "diff": ("alpaca_core.cli.diff:diff", "Publish a model as what it adds to its base, and recover it."),
    "plugins": ("alpaca_core.cli.plugins:plugins", "List, explain, install, check and write plugins."),
    "config": ("alpaca_core.cli.config:config", "Write, show and check a configuration."),
    "doctor": ("alpaca_core.cli.doctor:doctor", "What is here, what is missing, what to type."),
}


class LazyGroup(click.Group):
    """A group that imports a command of ``COMMANDS`` when it is called, and suggests names."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        return getattr(import_module(module), attribute)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            # click looks for close names among the commands it has imported, and here it has imported none.
            close = get_close_matches(name, COMMANDS, n=1)
            raise click.UsageError(
                f"no such command '{name}'." + (f" Did you mean '{close[0]}'?" if close else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@dataclass(frozen=True)
class Root:
    """The root options, found by commands as ``ctx.find_root().obj``."""

    debug: bool = False
    no_plugins: frozenset[str] = frozenset()
    plugin_files: tuple[Path, ...] = ()
    strict: bool = False


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="alpacakit", message="alpacakit %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error (also ALPACAKIT_DEBUG=1).")
@click.option("--no-plugin", multiple=True, metavar="NAME", help="Leave this plugin out. Repeatable.")
@click.option(
    "--plugin",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Use the plugin in this Python file too. Repeatable.",
)
@click.option("--strict", is_flag=True, help="Stop where a plugin does not load (also ALPACAKIT_STRICT=1).")
@click.pass_context
def cli(ctx: click.Context, debug: bool, no_plugin: tuple[str, ...], plugin: tuple[Path, ...], strict: bool) -> None:
    """Seed tasks in, an instruction-following model out; every stage is a plugin.

    \b
    alpacakit run                                     the practice run: no key, no GPU, no network
    alpacakit run --teacher openai --trainer fsdp     the real thing
    """
    ctx.obj = Root(debug, frozenset(no_plugin), plugin, strict)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see ``alpaca_core.errors``; 130 when interrupted).

    A command ends with another code than 0 by raising an AlpacaError or by returning an int.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    debug = bool(os.environ.get("ALPACAKIT_DEBUG")) or "--debug" in args
    args = [arg for arg in args if arg != "--debug"]  # so that it may stand behind the command too
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminated)
    return _guard(lambda: cli.main(args, prog_name="alpacakit", standalone_mode=False), debug)


def _terminated(*_: object) -> None:
    raise Stopped("Stopped by a signal.", hint="Run the same command again to go on.")


def _guard(command: Callable[[], object], debug: bool) -> int:
    """Run ``command``; every error that it can end with becomes a short text on stderr and an exit code."""
    try:
        code = command()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as exc:
        exc.show()
        return exc.exit_code
    except click.ClickException as exc:
        where = exc.ctx.command_path if isinstance(exc, click.UsageError) and exc.ctx else "alpacakit"
        return _fail(exc.format_message(), f"See: {where} --help", exc.exit_code)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted: the same command goes on")
        return 130
    except BrokenPipeError:
        # Whoever read our output went away: nobody is left to tell. Python must not try to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as exc:
        if debug:
            traceback.print_exc()
        return _fail(*_explain(exc))


def _explain(exc: Exception) -> tuple[str, str, int]:
    """Message, hint and exit code for an error that ended a command."""
    if isinstance(exc, AlpacaError):
        return exc.message, exc.hint, exc.exit_code
    number = getattr(exc, "errno", None)
    journal = getattr(exc, "sqlite_errorname", "")  # of SQLite's errors, without importing it
    name = getattr(exc, "filename", None) or ("the run's journal" if journal else None)
    where = f": {name}" if name else ""
    if number in (errno.ENOSPC, errno.EDQUOT) or journal == "SQLITE_FULL":
        return f"the disk is full{where}", "Make room and give the same command again.", 1
    if number in (errno.EACCES, errno.EPERM) or journal.startswith("SQLITE_CANTOPEN"):
        return f"permission denied{where}", "Choose a place that you may write to.", 3
    if number == errno.EROFS or journal.startswith("SQLITE_READONLY"):
        return f"this cannot be written to, it is read-only{where}", "Choose a place that you may write to.", 3
    what = f"{exc.strerror}{where}" if isinstance(exc, OSError) and name else f"{type(exc).__name__}: {exc}"
    return what, "Run again with --debug for the traceback.", 1


def _fail(message: str, hint: str, code: int) -> int:
    say(f"error: {message}")
    if hint:
        say(hint)
    return code
