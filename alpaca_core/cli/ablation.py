"""``alpacakit filter --ablate NAME``: whether a filter helps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alpaca_core.cli.console import emit_json, out, table
from alpaca_core.cli.judge import selecting
from alpaca_core.errors import ConfigError
from alpaca_core.judging import Chain
from alpaca_core.records import Seed

if TYPE_CHECKING:
    from alpaca_core.config import Config
    from alpaca_core.plugins import PluginHost


def ablate(
    host: PluginHost,
    config: Config,
    data: Path,
    folder: Path,
    name: str,
    seeds: Sequence[Seed],
    heldout_file: Path | None,
    as_json: bool,
) -> None:
    """Part ``data`` by filter ``name`` of the chain into sets in ``folder``; train on them and score them where the
    configuration has a trainer. Goes on where it ended."""
    from alpaca_core.ablation import jobs, part, report, set_aside, train_and_score, write_sets
    from alpaca_core.cli.progress import Screen
    from alpaca_core.dataset import read_records, read_rows, write_text
    from alpaca_core.locks import take_lock
    from alpaca_core.refilter import refilter_numbered, selected
    from alpaca_core.runs import JOURNAL
    from alpaca_core.training import check_trainer

    names = _members(host, config, name)
    chain = Chain([(chosen.name, chosen.build()) for chosen in config.filters])
    records = read_records(data)
    if not records:
        raise ConfigError(f"{data} holds no rows to filter.")
    if (folder / JOURNAL).exists() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"{folder} is no folder for an ablation.", hint="Choose another one with --out DIR")
    given = read_rows(heldout_file) if heldout_file else config.evaluation.heldout
    heldout, rest = set_aside(records, given, config.seed)
    if config.trainer is not None:  # what is known to fail is told before a judge is paid
        config.trainer.spec.require()
        host.find("teacher", "transformers").require()
        if not heldout:
            raise ConfigError("There are no rows to score on: a tenth of IN's is set aside, or --heldout names others.")
        for _, job in jobs(config, folder):
            check_trainer(config, job)
    with take_lock(folder / ".lock", folder), selecting(config, chain, folder / "kept.json") as (select, selection):
        judged = list(refilter_numbered(rest, chain, seeds))
        judged = selected(judged, select) if select is not None else judged
        sets = part(judged, names, heldout, config.seed)
        write_sets(folder, sets)
        results = None
        if config.trainer is not None:
            with Screen() as screen:
                results = train_and_score(config, host, folder, heldout, screen.stage, screen.training)
        found = report(name, sets, config.seed, results)
        found["heldout"] = str(heldout_file) if heldout_file else "set aside"
        if selection is not None:
            found["selection"] = selection.summary()
        write_text(folder / "ablation.json", json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        emit_json(found)
    else:
        _show(found, folder)


def _members(host: PluginHost, config: Config, name: str) -> set[str]:
    """The filters of the chain that ``name`` means: itself, or the members of a chain of that name."""
    found = {chosen.name for chosen in config.filters if name in (chosen.name, chosen.spec.name)}
    if not found:
        inside = _unfolded(host, name)
        found = {chosen.name for chosen in config.filters if chosen.spec.name in inside}
    if not found:
        chain = ", ".join(chosen.name for chosen in config.filters)
        raise ConfigError(f"--ablate: filter '{name}' is not in the chain ({chain}).", hint=f"Add --filter {name}")
    return found


def _unfolded(host: PluginHost, name: str) -> set[str]:
    members = [member for member, _ in getattr(host.find("filter", name), "chain", ())]
    return set(members).union(*(_unfolded(host, member) for member in members))


def _show(found: dict[str, Any], folder: Path) -> None:
    rows = found["rows"]
    both = rows["kept"] + rows["dropped"]
    others = f"; {rows['others']:,} were rejected by other filters" if rows["others"] else ""
    out(f"{found['filter']} kept {rows['kept']:,} and dropped {rows['dropped']:,} of {both:,} rows{others}")
    if found["heldout"] == "set aside":
        out(f"to score on, {rows['heldout']:,} rows were set aside as they are, with whatever is wrong with them")
    else:
        out(f"to score on, there are {rows['heldout']:,} rows of {found['heldout']}")
    if "selection" in found:
        from alpaca_core.cli.spending import show_selection

        show_selection(found["selection"])
    if "sets" not in found:
        out(f"files     {folder}/  (kept.json, dropped.json, random.json, heldout.json)")
        out("next      the same command with --trainer local trains on each and scores them")
        return
    out()
    lines = [
        [name, f"{rows[name]:,}", f"{of['training']['steps']:,}", f"{of['exact_match']:.1%}", f"{of['rouge_l']:.3f}"]
        for name, of in found["sets"].items()
    ]
    table(["trained on", "rows", "steps", "exact match", "ROUGE-L"], lines)
    out()
    differences = [
        [name, _interval(of["exact_match"], 100, 1), _interval(of["rouge_l"], 1, 3)]
        for name, of in found["differences"].items()
    ]
    table(["difference (95 % interval)", "exact match, points", "ROUGE-L"], differences)
    out()
    out(
        "The intervals are those of the held-out rows, paired. Another training seed moves the scores, too: see --seed."
    )
    out(f"files     {folder}/  (ablation.json, and of each set its rows, its model and its scores.json)")


def _interval(of: dict[str, float], times: int, places: int) -> str:
    mean, low, high = (f"{of[end] * times:+.{places}f}" for end in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"
