"""A dataset as a Hugging Face folder: Parquet files by split, and the card that tells what it is.

The head of the card is YAML as huggingface.co/docs/hub/datasets-cards describes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from alpaca_core.datafiles import check_written, writers
from alpaca_core.dataset import each_record, write_text
from alpaca_core.runs import DATA, HELDOUT, understood
from alpaca_core.sharing.exporting import new_folder, some_records
from alpaca_core.sharing.provenance import Provenance, file_hash, provenance
from alpaca_core.specs import TeacherSpec

LICENCE = "unknown"  # of a card whose owner named none
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LANGUAGES = {  # ISO 639-1, by the names that prompts use
    **{"arabic": "ar", "bengali": "bn", "chinese": "zh", "czech": "cs", "danish": "da", "dutch": "nl", "english": "en"},
    **{"finnish": "fi", "french": "fr", "german": "de", "greek": "el", "hebrew": "he", "hindi": "hi"},
    **{"hungarian": "hu", "indonesian": "id", "italian": "it", "japanese": "ja", "korean": "ko", "norwegian": "no"},
    **{"persian": "fa", "polish": "pl", "portuguese": "pt", "romanian": "ro", "russian": "ru", "spanish": "es"},
    **{"swahili": "sw", "swedish": "sv", "tamil": "ta", "thai": "th", "turkish": "tr", "ukrainian": "uk"},
    **{"urdu": "ur", "vietnamese": "vi"},
}
_REASONS = 3  # kinds of reasons that a card names for each filter
_SHOWN = 2_000  # characters of each text of the first row
_TAGS = ("alpaca", "alpacakit", "instruction-tuning", "self-instruct", "synthetic")


@dataclass(frozen=True)
class Folder:
    """What was exported: the rows of each split, and the columns."""

    splits: Mapping[str, int]
    columns: tuple[str, ...]


def export_folder(
    source: Path, out: Path, *, teachers: Sequence[TeacherSpec], licence: str = "", name: str = ""
) -> Folder:
    """Write ``source`` as a dataset folder to the new ``out``: ``train`` and, of a run that set rows aside, ``test``.

    ``teachers`` is what ``provenance`` takes, ``licence`` an id as the hub knows it, ``name`` the dataset's there.
    Raises ConfigError for an ``out`` that exists, no rows to train on, and rows that cannot be used, MissingError
    without pyarrow.
    """
    check_written(Path("train.parquet"))
    files = {"train": source}
    if (source / DATA).is_file() and (source / HELDOUT).is_file():
        files["test"] = source / HELDOUT
    with new_folder(out) as draft:
        columns: dict[str, None] = {}
        splits = {}
        first: dict[str, Any] | None = None
        for split, path in files.items():
            count = 0
            with writers(draft / "data" / f"{split}-00000-of-00001.parquet") as [writer]:
                for record in some_records(path) if split == "train" else each_record(path):
                    if split == "train":
                        columns.update(dict.fromkeys(record))
                        first = first or record
                    # All splits have the columns of the first: readers of a folder demand that.
                    writer.write(record if split == "train" else {key: record.get(key) for key in columns})
                    count += 1
            if count:
                splits[split] = count
            else:
                (draft / "data" / f"{split}-00000-of-00001.parquet").unlink()
        folder = Folder(splits, tuple(columns))
        data = source / DATA if (source / DATA).is_file() else source
        hashed = file_hash(data) if data.is_file() else ""
        with understood(source):
            made = provenance(source, teachers)
            text = card(folder, made, licence=licence, name=name, title=_title(source), hash=hashed, sample=first)
        write_text(draft / "README.md", text)
    return folder


def _title(source: Path) -> str:
    folder = source.resolve()
    return " ".join((folder.stem if folder.is_file() else folder.name).split())  # it becomes a heading, too


def head(entries: Mapping[str, Any]) -> list[str]:
    """YAML for the head of a card. Texts are quoted as in JSON; empty values are left out."""

    def lines(value: Any, indent: str) -> Iterable[str]:
        if isinstance(value, Mapping):
            for key, each in value.items():
                if each in ("", None, [], (), {}):
                    continue
                if isinstance(each, Mapping | list | tuple):
                    yield f"{indent}{key}:"
                    yield from lines(each, indent + "  ")
                else:
                    yield f"{indent}{key}: {_plain(each)}"
        else:
            for each in value:
                if isinstance(each, Mapping):
                    first, *more = lines(each, indent + "  ")
                    yield f"{indent}- {first.strip()}"
                    yield from more
                else:
                    yield f"{indent}- {_plain(each)}"

    return ["---", *lines(entries, ""), "---"]


def _plain(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_./*-]*", value) and value.lower() not in _WORDS:
        return value
    # JSON may hold these as they are, YAML may not.
    return re.sub(
        "[\x7f-\x9f\u2028\u2029\ufeff]", lambda odd: f"\\u{ord(odd[0]):04x}", json.dumps(value, ensure_ascii=False)
    )


_WORDS = {"no", "yes", "on", "off", "true", "false", "null", "n", "y"}  # "no" is Norwegian, and a boolean in YAML


def size(rows: int) -> str:
    """The hub's category for a number of rows."""
    return next((name for limit, name in SIZES if rows < limit), "1M<n<10M" if rows < 10**7 else "n>10M")


def card(
    folder: Folder,
    made: Provenance,
    *,
    licence: str = "",
    name: str = "",
    title: str = "",
    hash: str = "",
    sample: Mapping[str, Any] | None = None,
) -> str:
    """README.md of a dataset folder."""
    rows = sum(folder.splits.values())
    language = LANGUAGES.get(made.language.lower(), "")
    lines = head(
        {
            "license": licence or LICENCE,
            "language": [language] if language else [],
            "task_categories": ["text-generation"],
            "size_categories": [size(rows)],
            "tags": _TAGS if made.config else ("alpaca", "alpacakit", "instruction-tuning"),
            "pretty_name": title,
            "configs": [
                {
                    "config_name": "default",
                    "data_files": [{"split": split, "path": f"data/{split}-*"} for split in folder.splits],
                }
            ],
        }
    )
    lines += ["", f"# {title}", ""]
    if made.notice:
        lines += [f"> {made.notice}", ""]
    lines += _contents(folder, sample)
    lines += _origin(made, hash)
    lines += _terms(made, licence)
    lines += _limits(made)
    lines += _loading(name, folder)
    return "\n".join(lines) + "\n"


def _contents(folder: Folder, sample: Mapping[str, Any] | None) -> list[str]:
    lines = ["Tasks for instruction tuning: an instruction, an input that may be empty, and the output.", ""]
    lines += ["| split | rows |", "|---|---|", *(f"| {split} | {n:,} |" for split, n in folder.splits.items()), ""]
    if "test" in folder.splits:
        lines += ["The rows of `test` were set aside before training.", ""]
    lines += ["Columns: " + ", ".join(f"`{name}`" for name in folder.columns) + ".", ""]
    if sample is not None:
        texts = {name: str(sample[name]) for name in ("instruction", "input", "output")}
        text = json.dumps(
            {name: it if len(it) <= _SHOWN else it[:_SHOWN] + "…" for name, it in texts.items()}, indent=2
        )
        lines += ["The first row:", "", *fenced(text, "json"), ""]
    return lines


def fenced(text: str, language: str = "") -> list[str]:
    """Markdown's lines for a block of ``text``, which may hold fences itself."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return [fence + language, text, fence]


def _origin(made: Provenance, hash: str) -> list[str]:
    lines = ["## How it was made", ""]
    if not made.config:
        lines += [
            "The rows came from a file, without a record of how they were made. Say it here before you share them."
        ]
        return [*lines, *([f"The file's SHA-256 was `{hash}`."] if hash else []), ""]
    prompt = made.config.get("prompt", {})
    done = made.summary.get("generation", {})
    models = ", ".join(f"{public(model)} ({n:,} replies)" for model, n in made.models.items())
    when = made.first if made.first == made.last else f"{made.first} to {made.last}"
    facts = {
        "made with": made.version,
        "when (UTC)": when,
        "seed tasks": made.seeds,
        "teacher": f"`{made.teacher}`"
        + (", spoken to at another server than its provider's" if made.elsewhere else ""),
        "model": models or public(str(made.options.get("model", ""))),
        "teacher's options": _options({name: value for name, value in made.options.items() if name != "model"}),
        "prompt": f"`{prompt.get('name', '')}`: " + _options({k: v for k, v in prompt.items() if k != "name"}),
        "filters' options": _filter_options(made.config),
        "random seed": made.config.get("seed"),
        "requests, replies": f"{done['requests']:,}, {done['replies']:,}" if done else "",
        "tokens in, out": f"{done['prompt_tokens']:,}, {done['completion_tokens']:,}" if done else "",
        "cost": "unknown" if made.cost is None else f"${made.cost:,.2f}",
        "rows taken over": ", ".join(f"{of['name']} ({of['kept']:,})" for of in done.get("sources", [])),
        "training rows (SHA-256)": f"`{hash}`" if hash else "",
        "status": ""
        if made.summary.get("status") == "done"
        else f"the run is not finished: {made.summary.get('status')}",
    }
    lines += table(facts)
    if done:
        lines += ["", *_rejections(made, done)]
    return [*lines, ""]


def table(facts: Mapping[str, Any]) -> list[str]:
    """A Markdown table of what is known."""
    shown = [(name, str(value).replace("|", "\\|").replace("\n", " ")) for name, value in facts.items()]
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in shown if value not in ("", "None"))]


def _rejections(made: Provenance, done: Mapping[str, Any]) -> list[str]:
    rejected: Mapping[str, int] = done["rejected"]
    chain = ", ".join(f"`{name}`" for name in made.config.get("generation", {}).get("filters", [])) or "none"
    lines = [
        f"The teacher's replies held {done['candidates']:,} tasks. {done['kept']:,} were kept and"
        f" {sum(rejected.values()):,} rejected. Filters: {chain}.",
        "",
    ]
    if not rejected:
        return lines[:1]
    lines += ["| filter | rejected | for the most part because |", "|---|---|---|"]
    for name, count in sorted(rejected.items(), key=lambda item: -item[1]):
        kinds = list(made.reasons.get(name, {}).items())[:_REASONS]
        told = "; ".join(f"{kind} ({n:,})" for kind, n in kinds).replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {name} | {count:,} | {told} |")
    return lines


def _options(options: Mapping[str, Any]) -> str:
    told = (f"{name} {public(str(value))}" for name, value in options.items() if value not in ("", "none", None, []))
    return ", ".join(told)


def _filter_options(config: Mapping[str, Any]) -> str:
    """Those that are not lists, which are long."""
    tables: Mapping[str, Mapping[str, Any]] = config.get("filter", {})
    told = {name: {k: v for k, v in table.items() if not isinstance(v, list)} for name, table in tables.items()}
    return "; ".join(f"`{name}`: {_options(options)}" for name, options in told.items() if options)


def public(text: str) -> str:
    """``text``, or its last part where it is a place in somebody's file system."""
    is_place = re.match(r"[/~]|\.{1,2}/|[A-Za-z]:\\", text) or (text.count("/") > 1 and " " not in text)
    return PurePath(text).name if is_place else text


def _terms(made: Provenance, licence: str) -> list[str]:
    lines = ["## Licence and terms", ""]
    if licence:
        lines += [f"The owner of this dataset chose the licence `{licence}`."]
    else:
        lines += [
            "No licence was chosen, and without one nobody may assume anything: name it in the head of this file."
        ]
    lines += [""]
    points = terms_of(made)
    if made.config:
        points.append(
            f"The teacher was shown {made.seeds}." + ("" if "come with" in made.seeds else " Their licence counts too.")
        )
    return [*lines, *(f"* {point}" for point in points), "", "These are facts to check, not legal advice.", ""]


def terms_of(made: Provenance) -> list[str]:
    """What has to be looked up before rows of this origin, or a model of them, are shared."""
    if not made.config:
        return ["Who wrote the rows, and under which terms they may be used, is not known here."]
    told = (
        made.terms
        or f"Look up what the terms of whoever runs the teacher `{made.teacher}` say of the use of its answers."
    )
    if made.elsewhere:
        told += " As it was asked at another server, the terms of that server and the licence of its model count first."
    return [told]


def _limits(made: Provenance) -> list[str]:
    lines = ["## Known limits", ""]
    if not made.notice:
        lines += [
            "* What a language model wrote can be wrong, biased or unsafe. Nobody read it unless that is said here.",
            "* Filters compare words. They reject near copies and unusable tasks, and do not check what is claimed.",
        ]
    else:
        lines += [
            "* The tasks are of few kinds and short. A model of them learns these kinds, and no general knowledge.",
        ]
    return [*lines, ""]


def _loading(name: str, folder: Folder) -> list[str]:
    code = ["from datasets import load_dataset", "", f'dataset = load_dataset("{name or "PATH/OF/THIS/FOLDER"}")']
    lines = ["## How to load it", "", *fenced("\n".join([*code, 'print(dataset["train"][0])']), "python"), ""]
    file = "data/train-00000-of-00001.parquet"
    return [*lines, "Or with alpacakit, once the folder is here:", "", *fenced(f"alpacakit train {file} --out trained")]
