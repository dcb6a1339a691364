"""``alpacakit filter``: judge a dataset's rows again, without a teacher."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from alpaca_core.cli.console import emit_json, out
from alpaca_core.cli.options import config_options, json_option, resolve
from alpaca_core.dataset import read_records, write_jsonl, write_records
from alpaca_core.errors import ConfigError
from alpaca_core.judging import Chain, refilter
from alpaca_core.seeds import read_seeds

_FILE = click.Path(path_type=Path)


@click.command("filter")
@click.argument("data", metavar="IN", type=_FILE)
@click.option("--out", "kept_file", type=_FILE, required=True, metavar="FILE", help="File for the rows kept.")
@click.option("--rejected", "rejected_file", type=_FILE, metavar="FILE", help="File for the others (JSONL).")
@click.option(
    "--seed-tasks", "seeds_file", type=_FILE, metavar="FILE", help="Compare with these too (default: with no others)."
)
@config_options("filter")
@json_option
@click.pass_context
def filter_(
    ctx: click.Context,
    data: Path,
    kept_file: Path,
    rejected_file: Path | None,
    seeds_file: Path | None,
    filter: tuple[str, ...],
    as_json: bool,
    **_: Any,
) -> None:
    """Filter the dataset IN again, without a teacher.

    IN is a JSON list or JSON Lines file of rows, or a run folder. Rows stay as they are and in their order; each is
    kept, or rejected with the filter that rejected it and why. Nothing is overwritten.

    \b
    alpacakit filter alpaca_data.json --filter rouge --set filter.rouge.threshold=0.5 --out kept.json
    """
    if not filter:  # the configured chain is for generation: no row is dropped by a filter that nobody named here
        raise click.UsageError("name the filters, such as --filter alpaca", ctx)
    _refuse_overwriting({"--out": kept_file, "--rejected": rejected_file})
    _host, config = resolve(ctx, frozenset({"filters"}))
    chain = Chain([(chosen.name, chosen.build()) for chosen in config.filters])
    seeds = read_seeds(seeds_file) if seeds_file else []
    records = read_records(data)
    if not records:
        raise ConfigError(f"{data} holds no rows to filter.")
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
