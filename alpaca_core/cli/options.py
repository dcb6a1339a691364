"""Flags that several commands share, and how a command gets its plugins and its configuration.

    @click.command()
    @config_options(*GENERATION, *TRAINING)
    @json_option
    @click.pass_context
    def run(ctx, as_json, **flags):
        host, config = resolve(ctx)

The shared flags stay in ``ctx.params``, where ``resolve`` reads them, so a command takes them as ``**flags``. Values
are passed on as text: the configuration checks them with all others, and tells of every mistake at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alpaca_core.cli.console import say
from alpaca_core.settings import FLAGS

if TYPE_CHECKING:
    from alpaca_core.config import Config, Stage
    from alpaca_core.plugins import PluginHost

GENERATION = (
    *("teacher", "model", "prompt", "filter", "seed_tasks", "num_examples", "seed"),
    *("from", "concurrency", "budget", "max_rpm", "max_tpm", "batch"),
)
TRAINING = ("chat_template", "trainer", "student")
_HOST, _TOLD = "alpacakit.plugins", "alpacakit.complaints"  # in click's meta, which the contexts of a command share
ASKING = ("teacher", "model", "budget", "concurrency", "max_rpm", "max_tpm")

_ABOUT: dict[str, tuple[str, str]] = {
    "teacher": ("NAME", "Teacher that writes the data (default: procedural, the practice teacher)."),
    "model": ("NAME", "The teacher's model (default: the teacher's own)."),
    "prompt": ("NAME", "How the teacher is asked (default: self-instruct)."),
    "filter": ("NAME", "Filter or chain. Repeatable; replaces the configured chain."),
    "seed_tasks": ("FILE", "Seed tasks (default: the bundled ones)."),
    "num_examples": ("N", "Rows to keep (default: 1000)."),
    "seed": ("INT", "All randomness follows from this number (default: 0)."),
    "from": ("RUN", "Take over the replies of an earlier run's folder. Repeatable. Without -n nothing more is asked."),
    "batch": ("", "Ask through the provider's batch API: half the price, answered within a day."),
    "concurrency": ("N", "Requests in flight at most (default: 16)."),
    "budget": ("USD", "Dollars to spend at most (default: 5 where the price is known)."),
    "max_rpm": ("N", "Requests per minute at most (default: what the provider allows)."),
    "max_tpm": ("N", "Tokens per minute at most (default: what the provider allows)."),
    "chat_template": ("NAME", "How the student sees an example."),
    "trainer": ("NAME", "Trainer that fine-tunes the student; none: no training."),
    "student": ("PATH", "A folder or hub id of a model, or new:tiny or new:small."),
    "judge": ("NAME", "Judge that compares two models' answers."),
}


def config_options(*flags: str, **about: str) -> Callable[[Any], Any]:
    """Add the flags named (keys of ``settings.FLAGS``), and ``--config`` and ``--set``, to a command. ``about`` gives
    other help texts than the usual ones."""

    def decorate(command: Any) -> Any:
        options = [
            click.option(
                *(["-n"] if flag == "num_examples" else []),
                "--" + flag.replace("_", "-"),
                flag,
                help=about.get(flag, _ABOUT[flag][1]),
                **({"is_flag": True, "default": None} if flag == "batch" else {"metavar": _ABOUT[flag][0]}),
                multiple=flag in ("filter", "from"),
            )
            for flag in flags
        ]
        options += [
            click.option(
                "--config",
                "config_file",
                metavar="FILE",
                type=click.Path(path_type=Path),
                help="Read this configuration, over alpacakit.toml in the working folder.",
            ),
            click.option(
                "--set",
                "sets",
                metavar="KEY=VALUE",
                multiple=True,
                help="Set any key, such as trainer.epochs=1. Repeatable.",
            ),
        ]
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def json_option(command: Any) -> Any:
    """Add ``--json``, as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout.")(command)


def plugin_host(ctx: click.Context, *, quiet: bool = False) -> PluginHost:
    """The plugins as the root options have them, loaded once for a command. What is wrong with them is told in a dim
    line each, once too, unless ``quiet``."""
    from alpaca_core.plugins import PluginHost

    root = ctx.find_root().obj
    if _HOST not in ctx.meta:
        chosen = {"disabled": root.no_plugins, "strict": root.strict, "files": root.plugin_files} if root else {}
        ctx.meta[_HOST] = PluginHost.from_environment(**chosen)
    host: PluginHost = ctx.meta[_HOST]
    if not quiet and not ctx.meta.get(_TOLD):
        ctx.meta[_TOLD] = True
        for line in host.complaints():
            say(line, dim=True)
    return host


def resolve(ctx: click.Context, needs: frozenset[Stage] | None = None) -> tuple[PluginHost, Config]:
    """The plugins and the configuration of a command, from its flags, the environment and files.

    ``needs`` are the stages that the command uses (default: those of a run). Raises as ``load_config`` does.
    """
    from alpaca_core.config import PIPELINE, load_config

    host = plugin_host(ctx)
    config = load_config(
        host,
        # A repeatable flag that was not given is an empty tuple.
        flags={key: value for flag, key in FLAGS.items() if (value := ctx.params.get(flag)) not in (None, ())},
        sets=ctx.params.get("sets", ()),
        file=ctx.params.get("config_file"),
        needs=PIPELINE if needs is None else needs,
    )
    for note in config.notes:
        say(note, dim=True)
    return host, config
