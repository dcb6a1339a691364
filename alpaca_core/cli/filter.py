"""``alpacakit filter``: judge a dataset's rows again. A teacher is asked only where a filter asks one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from alpaca_core.cli.console import emit_json, out
from alpaca_core.cli.judge import selecting
from alpaca_core.cli.options import ASKING, TRAINING, config_options, json_option, resolve
from alpaca_core.errors import ConfigError
from alpaca_core.judging import Chain
from alpaca_core.refilter import Tally, refilter_file
from alpaca_core.seeds import read_seeds

_FILE = click.Path(path_type=Path)
_MOST_REASONS = 12


@click.command("filter")
@click.argument("data", metavar="IN", type=_FILE)
@click.option("--out", "kept_file", type=_FILE, required=True, metavar="FILE", help="File for the rows kept.")
@click.option("--rejected", "rejected_file", type=_FILE, metavar="FILE", help="File for the others, with reasons.")
@click.option("--verdicts", "verdicts_file", type=_FILE, metavar="FILE", help="File for what was said of each row.")
@click.option(
    "--seed-tasks", "seeds_file", type=_FILE, metavar="FILE", help="Compare with these too (default: with no others)."
)
@click.option(
    "--ablate",
    metavar="NAME",
    help="Find out whether filter NAME helps: --out DIR gets what it keeps, drops, and a draw.",
)
@click.option(
    "--heldout",
    "heldout_file",
    type=_FILE,
    metavar="FILE",
    help="With --ablate: right answers to score on (default: a tenth of IN, 200 rows at most, is set aside).",
)
@config_options(
    *("filter", *ASKING, *TRAINING, "seed"),
    teacher="Teacher to ask, where a filter asks one.",
    trainer="With --ablate: train on each set this way, and score all three on the same rows.",
)
@json_option
@click.pass_context
def filter_(
    ctx: click.Context,
    data: Path,
    kept_file: Path,
    rejected_file: Path | None,
    verdicts_file: Path | None,
    seeds_file: Path | None,
    filter: tuple[str, ...],
    ablate: str | None,
    heldout_file: Path | None,
    as_json: bool,
    **_: Any,
) -> None:
    """Filter the dataset IN again, without a teacher unless a filter asks one.

    IN is a JSON, JSON Lines, CSV, Parquet or Arrow file of rows, a run folder or a Hugging Face dataset folder. Files
    are written as their names end: .json, .jsonl, .csv, .parquet. Rows stay as they are and in their order; each is
    kept, or rejected with the filter that rejected it and why. Nothing is overwritten. A teacher's answers are kept
    beside --out, and the same command goes on where it ended.

    \b
    alpacakit filter alpaca_data.json --filter rouge --set filter.rouge.threshold=0.5 --out kept.json
    alpacakit filter alpaca_data.json --filter quality --teacher openai --budget 2 --out kept.json
    alpacakit filter alpaca_data.json --filter rouge --ablate rouge --trainer local --student new:tiny --out trial
    """
    if not filter:  # the configured chain is for generation: no row is dropped by a filter that nobody named here
        raise click.UsageError("name the filters, such as --filter alpaca", ctx)
    if heldout_file is not None and ablate is None:
        raise click.UsageError("--heldout goes with --ablate", ctx)
    if ablate is not None:
        _ablate(ctx, data, kept_file, ablate, seeds_file, heldout_file, as_json)
        return
    _refuse_overwriting({"--out": kept_file, "--rejected": rejected_file, "--verdicts": verdicts_file})
    _host, config = resolve(ctx, frozenset({"filters"}))
    chain = Chain([(chosen.name, chosen.build()) for chosen in config.filters])
    seeds = read_seeds(seeds_file) if seeds_file else []
    started = time.monotonic()
    told: dict[str, Any] = {}
    select = selecting(config, chain, kept_file, told)
    files = {"kept": kept_file, "rejected": rejected_file, "verdicts": verdicts_file}
    tally = refilter_file(data, chain, seeds, **files, select=select)
    seconds = time.monotonic() - started
    if as_json:
        emit_json(tally.as_dict() | ({"selection": told} if told else {}) | {"seconds": round(seconds, 3)})
        return
    out(f"kept      {tally.kept:,} of {tally.rows:,} rows in {seconds:.1f} s: {kept_file}")
    for title, counts in (("rejected", tally.rejected()), ("flagged", tally.flags)):
        if counts:
            out(f"{title:<9} " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    if tally.repaired:
        out(f"repaired  {tally.repaired:,} of the rows kept")
    _show_reasons(tally)
    if told:
        from alpaca_core.cli.spending import show_selection

        show_selection(told)


def _ablate(
    ctx: click.Context,
    data: Path,
    folder: Path,
    name: str,
    seeds_file: Path | None,
    heldout_file: Path | None,
    as_json: bool,
) -> None:
    from alpaca_core.cli.ablation import ablate

    for flag in ("rejected", "verdicts"):
        if ctx.params[f"{flag}_file"] is not None:
            raise click.UsageError(f"--{flag} does not go with --ablate: --out DIR gets the rows of each set", ctx)
    training = frozenset({"trainer", "chat_template"}) if ctx.params["trainer"] else frozenset()
    host, config = resolve(ctx, frozenset({"filters"}) | training)
    seeds = read_seeds(seeds_file) if seeds_file else []
    ablate(host, config, data, folder, name, seeds, heldout_file, as_json)


def _show_reasons(tally: Tally) -> None:
    reasons = [(n, name, kind) for name, kinds in tally.reasons.items() for kind, n in kinds.items()]
    reasons.sort(key=lambda reason: -reason[0])
    for place, (n, name, kind) in enumerate(reasons[:_MOST_REASONS]):
        out(f"{'' if place else 'reasons':<9} {n:>9,}  {name}: {kind}")
    if left := reasons[_MOST_REASONS:]:
        out(f"{'':<9} {sum(n for n, *_ in left):>9,}  in {len(left):,} more kinds")


def _refuse_overwriting(files: dict[str, Path | None]) -> None:
    given = {flag: path for flag, path in files.items() if path is not None}
    for flag, path in given.items():
        if path.exists():
            raise ConfigError(f"{path} exists already.", hint=f"Remove it, or choose another file for {flag}.")
    if len({path.resolve() for path in given.values()}) < len(given):
        raise ConfigError(f"{' and '.join(given)} name the same file.", hint="Choose another for each.")
