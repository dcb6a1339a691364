"""The two that are compared: files of answers, or models that are still to give them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alpaca_core.config import Config
from alpaca_core.errors import ConfigError
from alpaca_core.plugins import PluginHost
from alpaca_core.records import Example, Request
from alpaca_core.training import model_path, open_model
from alpaca_core.versus.outputs import ModelOutput, read_outputs


@dataclass(frozen=True)
class Contender:
    """One of the two that are compared: a file of answers, or a model that is still to give them to ``examples``."""

    given: str
    examples: tuple[Example, ...] | None
    source: Mapping[str, Any]  # what the answers are made of; the same gives the same

    @property
    def is_file(self) -> bool:
        return "file" in self.source


def contender(config: Config, given: str, examples: Sequence[Example] | None) -> Contender:
    """What ``given`` means: a file of answers, of which those to ``examples`` count, or a model.

    Raises ConfigError for a model where there are no ``examples``.
    """
    rows = None if examples is None else tuple(examples)
    asked = [(row.instruction, row.input) for row in rows or ()]
    source: dict[str, Any] = {"tasks": _digest(json.dumps(asked).encode()) if rows is not None else None}
    path = Path(given)
    if path.is_file():
        return Contender(given, rows, {"file": path.name, "sha256": _digest(path.read_bytes())} | source)
    if rows is None:
        raise ConfigError(f"{given} is no file of answers, and there are no tasks to give it.", hint="Add --data FILE")
    model = model_path(given)
    source |= {"model": given, "max_new_tokens": config.evaluation.max_new_tokens, "files": _files(Path(model))}
    return Contender(given, rows, source)


def answers(config: Config, host: PluginHost, one: Contender) -> list[ModelOutput]:
    """The answers of ``one``, new ones where it is a model, with its name.

    Raises ConfigError where its file holds those of several models.
    """
    if one.is_file:
        outputs = read_outputs(Path(one.given))
        if one.examples is not None:
            wanted = {(row.instruction, row.input) for row in one.examples}
            outputs = [row for row in outputs if (row.instruction, row.input) in wanted]
        names = {row.generator for row in outputs}
        if len(names) > 1:
            problems = sorted(names)[:20]
            raise ConfigError(f"{one.given} holds the answers of {len(names)} models:", problems=problems)
        return [replace(row, generator=row.generator or Path(one.given).stem) for row in outputs]
    settings = config.evaluation
    model = open_model(host, model_path(one.given), batch_size=settings.batch_size)
    rows = one.examples or ()
    requests = [
        Request(k, row.instruction, input=row.input, max_tokens=settings.max_new_tokens) for k, row in enumerate(rows)
    ]
    texts = model.complete_many(requests)
    if hasattr(model, "aclose"):  # the next model may need the memory
        asyncio.run(model.aclose())
    return [
        ModelOutput(row.instruction, text.text, generator=one.given, dataset=row.label, input=row.input)
        for row, text in zip(rows, texts, strict=True)
    ]


def _files(model: Path) -> str:
    """A word for the files of a model, which changes when it is trained again; empty for one of the hub."""
    if not model.is_dir():
        return ""
    found = [(path.name, (stat := path.stat()).st_size, stat.st_mtime_ns) for path in sorted(model.iterdir())]
    return _digest(json.dumps(found).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
