"""``alpacakit config``: write, show and check the configuration."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alpaca_core.cli.console import emit_json, out, say, table
from alpaca_core.cli.options import GENERATION, TRAINING, config_options, json_option, plugin_host, resolve
from alpaca_core.errors import ConfigError
from alpaca_core.plugins import KINDS
from alpaca_core.settings import FLAGS, TABLES, options_of, shown
from alpaca_core.sources import FILE, KeyPath, path_of

if TYPE_CHECKING:
    from alpaca_core.config import Config


@click.group()
def config() -> None:
    """Write, show and check the configuration.

    The strongest source of a key wins: flag or --set, ALPACAKIT_* variable, --config file, alpacakit.toml in the
    working folder, what the chosen teacher or trainer recommends, the default.

    \b
    alpacakit config init
    alpacakit config show --teacher openai
    """


@config.command(short_help="Write a commented configuration file.")
@click.argument("path", default=FILE, type=click.Path(path_type=Path))
@config_options(*GENERATION, *TRAINING, "judge")
@click.pass_context
def init(ctx: click.Context, path: Path, **flags: Any) -> None:
    """Write a commented configuration to PATH (alpacakit.toml).

    Every key stands in it with its default, as a comment; what you give by flag or file is set. With --teacher,
    --trainer and so on it lists the options of those. An existing file is left alone.

    \b
    alpacakit config init
    alpacakit config init real.toml --teacher openai --trainer fsdp -n 52000
    """
    from alpaca_core.config import STAGES, load_config

    chosen = load_config(
        plugin_host(ctx),
        flags={key: value for flag, key in FLAGS.items() if (value := flags[flag]) not in (None, ())},
        sets=flags["sets"],
        file=flags["config_file"],
        environ={},  # the file is for later: it does not keep what this shell happens to hold
        needs=STAGES,
    )
    text = _commented(chosen)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} exists already.", hint="Give another name: alpacakit config init FILE") from None
    say(f"written: {path}")


@config.command(short_help="Show every value and where it comes from.")
@config_options(*GENERATION, *TRAINING, "judge")
@json_option
@click.pass_context
def show(ctx: click.Context, as_json: bool, **flags: Any) -> None:
    """Show every value and where it comes from, as a run with the same flags would see it.

    \b
    alpacakit config show
    alpacakit config show --teacher openai --json
    """
    from alpaca_core.config import STAGES

    _, resolved = resolve(ctx, STAGES)
    values = {key: (shown(key, item.value), item.source) for key, item in resolved.values.items()}
    if as_json:
        emit_json({key: {"value": value, "source": source} for key, (value, source) in values.items()})
    else:
        from alpaca_core.config import toml_value

        table(["key", "value", "source"], [(k, _short(toml_value(v)), source) for k, (v, source) in values.items()])


@config.command(short_help="Check the configuration; tell of every mistake.")
@click.argument("config_file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.pass_context
def check(ctx: click.Context, config_file: Path | None) -> None:
    """Check the configuration, or FILE over it, and tell of every mistake. Exit code 2 if there is one.

    \b
    alpacakit config check
    alpacakit config check real.toml
    """
    from alpaca_core.config import STAGES

    _, resolved = resolve(ctx, STAGES)  # finds FILE where --config would put it
    out(f"the configuration is right: {', '.join(f'{part.spec.kind} {part.name}' for part in resolved.chosen())}")


# Sources of values that no user has set: "teacher 'procedural'", "chain 'alpaca'".
_RECOMMENDED = re.compile(rf"({'|'.join(KINDS)}|chain) '")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _commented(chosen: Config) -> str:
    from alpaca_core.config import toml_header, toml_value, unsaid

    explained = {path_of(f"{name}.{o.name}".lstrip(".")): o for name, cls in TABLES.items() for o in options_of(cls)}
    for part in chosen.chosen():
        where = ("filter", part.spec.name) if part.spec.kind == "filter" else (part.spec.kind.replace("-", "_"),)
        explained |= {(*where, o.name): o for o in options_of(part.spec.options)}
    unset, blocks = unsaid(chosen), defaultdict[KeyPath, list[str]](list)
    for key, item in chosen.values.items():
        path = path_of(key)
        option = explained[path]
        value = toml_value(shown(key, item.value))
        line = f"{path[-1]} is not set" if key in unset else f"{path[-1]} = {value}"
        mark = "# " if key in unset or item.source == "default" or _RECOMMENDED.match(item.source) else ""
        blocks[path[:-1]].append(f"# {option.help} ({option.type})\n{mark}{line}")
    head = "# What alpacakit does in this folder. Take the # away from a line to change its default."
    return "\n\n".join([head, *("\n".join([*([toml_header(t)] if t else []), *b]) for t, b in blocks.items())]) + "\n"
