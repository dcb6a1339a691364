"""Which files a path means: a file, a run folder, or a dataset folder as Hugging Face lays them out.

A dataset folder is what ``Dataset.save_to_disk`` writes (``state.json`` names its Arrow files), or holds data files, in
itself or in folders two deep: ``alpaca_data.json``, ``train.jsonl``, ``data/train-00000-of-00002.parquet``,
``default/train/0000.parquet``. The shards of a split are one dataset.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

from alpaca_core.errors import ConfigError

_IN_A_RUN = "alpaca_data.json"
_SUFFIXES = (".json", ".jsonl", ".csv", ".json.gz", ".jsonl.gz", ".csv.gz", ".parquet", ".arrow")
_NO_ROWS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
_MARKS = ".edits.jsonl"  # on the rows of the file whose name stands before
_SHARD = re.compile(r"(?:(?P<split>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?:-[0-9a-f]+)?|\d{4,})")
_DEPTH = 2


def data_files(path: Path) -> list[Path]:
    """The files that hold the rows of ``path``, in their order.

    ``folder/train`` means the shards of that split, whether there is a folder of this name or not. Raises ConfigError
    when there are no rows, several datasets to choose from, or shards missing.
    """
    if path.exists() and not path.is_dir():
        return [path]
    folder, name = (path, "") if path.is_dir() else (path.parent, path.name)
    if not name and (path / _IN_A_RUN).is_file():
        return [path / _IN_A_RUN]
    found = _datasets(folder, _DEPTH) if folder.is_dir() else {}
    if name:
        found = {name: found[name]} if name in found else {}
    if not found:
        missing = path / _IN_A_RUN if path.is_dir() else path
        raise ConfigError(f"There is no file {missing} to read rows from.", hint="Check the path.")
    if len(found) > 1:
        names = list(found)
        more = [f"… and {len(names) - 20} more"] if len(names) > 20 else []
        raise ConfigError(
            f"{path} holds several datasets:",
            problems=[*names[:20], *more],
            hint=f"Name the one you mean, such as {path / names[-1]}",
        )
    [files] = found.values()
    _refuse_gaps(path, files)
    return files


def _datasets(folder: Path, depth: int) -> dict[str, list[Path]]:
    """The files of each dataset in ``folder``, by the name that leads there from it."""
    if (folder / "state.json").is_file():
        return {"": _saved(folder)}
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and depth:
            for name, files in _datasets(path, depth - 1).items():
                found[f"{path.name}/{name}".rstrip("/")] += files
        elif (
            path.name.endswith(_SUFFIXES)
            and not path.name.endswith(_MARKS)
            and path.name not in _NO_ROWS
            and path.is_file()
        ):
            shard = _shard(path)
            found[(shard["split"] or "") if shard else path.name].append(path)
    return dict(found)


def _saved(folder: Path) -> list[Path]:
    try:
        state = json.loads((folder / "state.json").read_bytes())
        return [folder / file["filename"] for file in state["_data_files"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise ConfigError(
            f"{folder / 'state.json'} does not name the files of a saved dataset.",
            hint="Save it again with save_to_disk, or name the data file itself.",
        ) from exc


def _shard(path: Path) -> re.Match[str] | None:
    stem = path.name.removesuffix(".gz").rpartition(".")[0]
    return _SHARD.fullmatch(stem)


def _refuse_gaps(path: Path, files: list[Path]) -> None:
    shards = [shard for shard in map(_shard, files) if shard and shard["total"]]
    numbers = sorted(int(shard["number"]) for shard in shards)
    total = max((int(shard["total"]) for shard in shards), default=0)
    if shards and numbers != list(range(total)):
        raise ConfigError(
            f"{path} is not whole: expected {total} shards, 0 to {total - 1}, and found:",
            problems=[file.name for file in files[:20]],
            hint="Download what is missing, or name a single file.",
        )
