"""``alpacakit evaluate --against``: two models' answers before a judge, and what to think of its verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alpaca_core.cli.console import emit_json, out
from alpaca_core.cli.options import resolve
from alpaca_core.errors import ConfigError

if TYPE_CHECKING:
    from alpaca_core.config import Config


def compared(command: Any) -> Any:
    """Add the options of a comparison to ``evaluate``."""
    options = [
        click.option(
            "--against", metavar="MODEL|FILE", help="Compare with this model's answers, by a judge (--judge)."
        ),
        click.option(
            "--orders",
            type=click.Choice(["random", "both"]),
            default="random",
            help="Show each pair in an order drawn by --seed, or in both: twice the price (default: random).",
        ),
        click.option(
            "--controls",
            type=click.IntRange(0),
            default=50,
            metavar="N",
            help="Rows on which a null model, one text for all, is judged too (default: 50; 0: none).",
        ),
        click.option(
            "--difficulty",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="AlpacaEval's df_gamed.csv, for its full length-controlled win rate.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def compare(ctx: click.Context, model: str, data: Path | None, folder: Path | None, as_json: bool) -> None:
    """What ``evaluate --against`` does."""
    from alpaca_core.cli.progress import Screen
    from alpaca_core.dataset import read_rows
    from alpaca_core.pipeline import make_teacher
    from alpaca_core.runs import DATA, HELDOUT
    from alpaca_core.versus import comparison
    from alpaca_core.versus.contenders import contender
    from alpaca_core.versus.lengthcontrol import read_difficulty

    if folder is None:
        raise click.UsageError("a comparison needs a folder: --out DIR", ctx)
    host, config = resolve(ctx, frozenset({"judge", "teacher"}))  # the latter as far as the judge asks one
    asks = _checked(config)
    rows = None
    if data is not None:
        is_run = (data / DATA).exists() or (data / HELDOUT).exists()
        rows = read_rows(data / HELDOUT if is_run else data)
    flags = ctx.params
    sides = [contender(config, given, rows) for given in (model, flags["against"])]
    if not all(side.is_file for side in sides):
        host.find("teacher", "transformers").require()
    terms = comparison.Terms(
        *sides,
        orders=flags["orders"],
        controls=flags["controls"],
        asked=make_teacher(config) if asks else None,
        difficulty=read_difficulty(flags["difficulty"]) if flags["difficulty"] else None,
    )
    with Screen() as screen:
        told = {"on_stage": screen.stage, "on_progress": screen.judging, "on_note": screen.note}
        summary = comparison.compare(config, host, terms, folder, **told)
    if as_json:
        emit_json(summary)
    else:
        show_comparison(summary)
        out(f"files     {folder}/  ({', '.join(name for name in comparison.RESULTS if (folder / name).exists())})")


def _checked(config: Config) -> bool:
    """Whether the judge asks a teacher. Raises ConfigError where there is none, and where no teacher was named."""
    if config.judge is None:
        raise ConfigError(
            "A comparison needs a judge.",
            hint="Name one, such as --judge pairwise --teacher openai. See: alpacakit plugins list --kind judge",
        )
    asks = bool(getattr(config.judge.spec, "asks", False))
    if asks and config.values["teacher.name"].source == "default":  # which writes practice data, and judges nothing
        raise ConfigError(f"The judge '{config.judge.name}' asks a teacher.", hint="Name one, such as --teacher openai")
    return asks


def show_comparison(made: Mapping[str, Any]) -> None:
    """The win rate, how sure it is, and what speaks against it."""
    from alpaca_core.cli.progress import dollars
    from alpaca_core.versus.controls import LengthBias, length_text, null_text
    from alpaca_core.versus.lengthcontrol import is_extreme

    out(f"{made['model']} against {made['baseline']}, judged by {made['judge']}")
    out(f"win rate  {made['win_rate']:.1f} %  ({made['low']:.1f} to {made['high']:.1f} at 95 %, bootstrap)")
    controlled = made["length_controlled"]
    if controlled is None:
        out("          not length-controlled: that takes five verdicts at least")
    else:
        out(f"          {controlled['win_rate']:.1f} %  length-controlled ({controlled['form']})")
        if is_extreme(made["win_rate"], controlled["win_rate"]):
            out("          Length control moves the rate far: few pairs are of like length. Do not lean on it.")
    wins = f"{made['n_wins']:,} won, {made['n_wins_base']:,} lost, {made['n_draws']:,} tied"
    same = f" ({made['same_answers']:,} with the same answer)" if made["same_answers"] else ""
    out(f"rows      {made['rows']:,}: {wins}{same}, {made['n_missing']:,} without a verdict")
    for reason, count in made["no_verdict"].items():
        out(f"          {count:>7,} pairs without a verdict: {reason}")
    out(f"length    {made['avg_length']:,.0f} characters on average, {made['baseline']} {made['avg_length_base']:,.0f}")
    out(f"order     {_position(made['position'])}")
    only = made["length_only"]
    bias = LengthBias(only["chose_longer"], only["n"])
    out(f"controls  {length_text(made['win_rate'], only['win_rate'], bias)}")
    null = made.get("null_model", {})
    if null.get("win_rate") is not None:
        out(f"          {null_text(null['win_rate'], made['judge'])}")
        there = null["model_on_these_rows"]
        beside = "" if there is None else f"; the model itself wins {there:.1f} % of them"
        out(f"          That was on {null['rows'] - null['no_verdict']:,} rows{beside}.")
    asked = made["asked"]
    if asked.get("attempts"):
        cost = "the price is unknown" if asked["cost_usd"] is None else dollars(asked["cost_usd"])
        failed = f", {asked['failed']:,} requests failed" if asked["failed"] else ""
        tokens = f"{asked['prompt_tokens']:,} tokens in, {asked['completion_tokens']:,} out"
        out(f"asked     {asked['replies']:,} answers{failed}, {tokens}: {cost}")
        if null and null["questions"]["cost_usd"] is not None:
            out(f"          {dollars(null['questions']['cost_usd'])} of it for the null model")


def _position(position: Mapping[str, Any]) -> str:
    """How far the verdicts went with the place."""
    if position["first"] is None:
        return "no verdict but ties"
    text = f"the answer shown first was preferred in {position['first']:.0f} % of {position['decided']:,} verdicts"
    if position["both"]:
        share = position["disagreed"] / position["both"]
        text += f"; {position['disagreed']:,} of {position['both']:,} rows ({share:.0%}) changed with the order"
    return text
