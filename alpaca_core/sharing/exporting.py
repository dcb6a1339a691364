"""Datasets as one file of the form that others read, and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alpaca_core.datafiles import check_written, writers
from alpaca_core.dataset import each_record
from alpaca_core.errors import ConfigError
from alpaca_core.sharing import conversations


@dataclass(frozen=True)
class Format:
    """The form of the rows, and the suffixes of the files that can hold them, the usual one first."""

    summary: str
    suffixes: tuple[str, ...]
    row: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict


FORMATS = {
    "alpaca": Format("a JSON list of instruction, input and output: Stanford's file", (".json",)),
    "jsonl": Format("the same rows, one JSON object a line", (".jsonl",)),
    "parquet": Format("the same rows as Parquet", (".parquet",)),
    "csv": Format("the same rows as CSV", (".csv",)),
    "sharegpt": Format("conversations of human and gpt", (".json", ".jsonl", ".parquet"), conversations.sharegpt),
    "messages": Format("messages of user and assistant", (".jsonl", ".json", ".parquet"), conversations.messages),
}


def is_file_name(path: Path) -> bool:
    """Whether ``path`` is named as a file of rows, rather than a folder."""
    return bool({suffix for known in FORMATS.values() for suffix in known.suffixes} & set(path.suffixes))


def format_of(path: Path) -> str:
    """The format that the suffix of ``path`` stands for. Raises ConfigError where it stands for none."""
    for name, known in FORMATS.items():
        if known.suffixes == (path.suffix,):
            return name
    raise ConfigError(
        f"{path}: no format is written to '{path.suffix}' files.", hint=f"Use --out {path.with_suffix('')}"
    )


def export_file(source: Path, out: Path, form: str) -> int:
    """Write the rows of ``source`` to the new file ``out``, in the format named ``form``; returns how many there are.

    Raises ConfigError for a file that exists, a suffix that does not fit, no rows, and rows that cannot be used.
    """
    chosen = FORMATS[form]
    refuse_existing(out)
    if out.suffix not in chosen.suffixes:
        better = out.with_suffix(chosen.suffixes[0])
        raise ConfigError(
            f"{out}: the format {form} is written to {' or '.join(chosen.suffixes)} files.",
            hint=f"Use --out {better}",
        )
    check_written(out)
    count = 0
    with writers(out) as [writer]:
        for record in some_records(source):
            writer.write(chosen.row(record))
            count += 1
    return count


def some_records(source: Path) -> Iterator[dict[str, Any]]:
    """What ``dataset.each_record`` gives. Raises ConfigError at the end where that is nothing."""
    record = None
    for record in each_record(source):
        yield record
    if record is None:
        raise ConfigError(f"{source} holds no rows to export.")


def refuse_existing(out: Path) -> None:
    """Raise ConfigError where ``out`` is a file, or a folder with something in it."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"{out} exists already.", hint="Remove it, or choose another name for --out.")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill. It becomes ``out`` when the block ends well, and is gone if not. Raises as
    ``refuse_existing``."""
    refuse_existing(out)
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        os.replace(draft, out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def written(folder: Path) -> dict[str, int]:
    """The files of ``folder`` with their bytes, by their names within it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
