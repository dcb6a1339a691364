"""``alpacakit filter``: judge a dataset's rows again, without a teacher."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from alpaca_core.cli.console import emit_json, out, say
from alpaca_core.config import load_config
from alpaca_core.dataset import read_records, write_jsonl, write_records
from alpaca_core.errors import ConfigError
from alpaca_core.judging import Chain, refilter
from alpaca_core.plugins import PluginHost
from alpaca_core.seeds import read_seeds


@click.command("filter")
@click.argument("data", metavar="IN", type=click.Path(path_type=Path))
@click.option(
    "--out", "kept_file", type=click.Path(path_type=Path), required=True, metavar="FILE", help="File for the rows kept."
)
@click.option(
    "--rejected", "rejected_file", type=click.Path(path_type=Path), metavar="FILE", help="File for the others (JSONL)."
)
@click.option("--filter", "names", multiple=True, required=True, metavar="NAME", help="Filter or chain. Repeatable.")
@click.option(
    "--seed-tasks",
    "seed_tasks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with these seed tasks too (default: with the file's own rows only).",
)
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Configuration file.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Such as filter.rouge.threshold=0.5.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
@click.pass_context
def filter_(
    ctx: click.Context,
    data: Path,
    kept_file: Path,
    rejected_file: Path | None,
    names: Sequence[str],
    seed_tasks: Path | None,
    config_file: Path | None,
    sets: Sequence[str],
    as_json: bool,
) -> None:
    """Filter the dataset IN again, without a teacher.

    IN is a JSON list or JSON Lines file of rows, or a run folder. Rows stay as they are and in their order; each is
    kept, or rejected with the filter that rejected it and why. Nothing is overwritten.

    \b
    alpacakit filter alpaca_data.json --filter rouge --set filter.rouge.threshold=0.5 --out kept.json
    """
    _refuse_overwriting({"--out": kept_file, "--rejected": rejected_file})
    host = PluginHost.from_environment(disabled=ctx.find_root().obj.no_plugins)
    config = load_config(
        host, flags={"generation.filters": names}, sets=sets, file=config_file, needs=frozenset({"filters"})
    )
    chain = Chain([(chosen.name, chosen.build()) for chosen in config.filters])
    seeds = read_seeds(seed_tasks) if seed_tasks else []
    records = read_records(data)
    for note in config.notes:
        say(note)
    started = time.monotonic()
    result = refilter(records, chain, seeds)
    seconds = time.monotonic() - started
    if rejected_file:
        write_jsonl(rejected_file, result.rejected)
    write_records(kept_file, result.kept)
    if as_json:
        emit_json(
            {
                "rows": len(records),
                "kept": len(result.kept),
                "rejected": result.reasons(),
                "flags": dict(result.flags),
                "seconds": round(seconds, 3),
            }
        )
        return
    out(f"kept      {len(result.kept):,} of {len(records):,} rows in {seconds:.1f} s: {kept_file}")
    for title, counts in (("rejected", result.reasons()), ("flagged", result.flags)):
        if counts:
            out(f"{title:<9} " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))


def _refuse_overwriting(files: dict[str, Path | None]) -> None:
    given = {flag: path for flag, path in files.items() if path is not None}
    for flag, path in given.items():
        if path.exists():
            raise ConfigError(f"{path} exists already.", hint=f"Remove it, or choose another file for {flag}.")
    if len({path.resolve() for path in given.values()}) < len(given):
        raise ConfigError(f"{' and '.join(given)} name the same file.", hint="Choose two files.")
