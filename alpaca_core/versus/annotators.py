"""Descriptions of judges in AlpacaEval's form: a folder with ``configs.yaml`` and the text of the judge's prompt.

``configs.yaml`` holds a mapping from the annotator's name to its fields. ``prompt_template`` names a file, from the
folder that holds the annotators' folders (``evaluators_configs/`` in github.com/tatsu-lab/alpaca_eval), or is the text
itself. In it ``{instruction}``, ``{output_1}`` and ``{output_2}`` stand for the texts to judge; it may be one message,
or several in ChatML (``<|im_start|>user`` … ``<|im_end|>``). PyYAML is imported when such a file is read or written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alpaca_core.errors import ConfigError, MissingError

FILE, PROMPT_FILE = "configs.yaml", "prompt.txt"

_START, _END = "<|im_start|>", "<|im_end|>"
_SLOTS = re.compile(r"\{(instruction|input|output_1|output_2)\}")


@dataclass(frozen=True, slots=True)
class Annotator:
    """One annotator of a ``configs.yaml``; the fields are AlpacaEval's.

    ``prompt_template`` is the text of the prompt. ``fn_completions`` names what asks (``openai_completions`` and so
    on) with ``completions_kwargs`` (``model_name``, ``max_tokens``, ``temperature`` …), ``fn_completion_parser`` what
    reads the verdict, with ``completion_parser_kwargs``. ``batch_size`` comparisons share one prompt. ``other`` holds
    the fields that are not named here.
    """

    name: str
    prompt_template: str
    fn_completions: str = "openai_completions"
    completions_kwargs: Mapping[str, Any] = field(default_factory=dict)
    fn_completion_parser: str = "regex_parser"
    completion_parser_kwargs: Mapping[str, Any] = field(default_factory=dict)
    completion_key: str = "completions"
    batch_size: int = 1
    other: Mapping[str, Any] = field(default_factory=dict)

    def messages(self, texts: Mapping[str, str]) -> list[tuple[str, str]]:
        """What is asked about ``texts`` (instruction, output_1, output_2), as (role, content): see ``messages``."""
        return messages(self.prompt_template, texts)


def read_annotators(path: Path) -> list[Annotator]:
    """The annotators of ``path``, a ``configs.yaml`` or the folder of one, in their order.

    Raises ConfigError for what is not as expected, with the annotator and the field of every mistake, and MissingError
    where PyYAML is missing.
    """
    file = path / FILE if path.is_dir() else path
    yaml = _yaml(file)
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file} cannot be read: {getattr(exc, 'strerror', None) or exc}.") from exc
    except yaml.YAMLError as exc:
        raise ConfigError(f"{file} is not YAML: {exc}") from exc
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"{file} describes no annotator.", hint="It begins with the name of one: my_judge:")
    annotators, problems = [], []
    for name, fields in found.items():
        annotator, mistakes = _annotator(file, str(name), fields)
        problems += [f"{name}: {mistake}" for mistake in mistakes]
        if annotator is not None:
            annotators.append(annotator)
    if problems:
        raise ConfigError(f"The annotators of {file} cannot be used:", problems=problems)
    return annotators


def write_annotator(folder: Path, annotator: Annotator) -> None:
    """Write ``configs.yaml`` and ``prompt.txt`` into ``folder``, as AlpacaEval finds them: ``folder`` goes into its
    ``evaluators_configs/``. Raises ConfigError where one of them is there already."""
    yaml = _yaml(folder / FILE)
    for file in (folder / FILE, folder / PROMPT_FILE):
        if file.exists():
            raise ConfigError(f"{file} exists already.", hint="Name another folder, or remove it first.")
    fields: dict[str, Any] = {
        "prompt_template": f"{folder.resolve().name}/{PROMPT_FILE}",
        "fn_completions": annotator.fn_completions,
        "completions_kwargs": dict(annotator.completions_kwargs),
        "fn_completion_parser": annotator.fn_completion_parser,
        "completion_parser_kwargs": dict(annotator.completion_parser_kwargs),
        "completion_key": annotator.completion_key,
        "batch_size": annotator.batch_size,
        **annotator.other,
    }
    _write(folder / PROMPT_FILE, annotator.prompt_template)
    _write(folder / FILE, yaml.safe_dump({annotator.name: fields}, sort_keys=False, allow_unicode=True))


def messages(template: str, texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """The messages that ``template`` makes of ``texts`` (instruction, output_1, output_2), each as (role, content).

    The template is taken apart before the texts are put in, so that an answer with ChatML's marks or another text's
    slot in it stays an answer. Raises ConfigError where ChatML's marks do not match.
    """
    stripped = template.strip()
    if not stripped.startswith(_START):
        return [("user", _filled(stripped, texts))]
    found = []
    for part in stripped.split(_START)[1:]:
        head, _, rest = part.partition("\n")
        content, end, after = rest.partition(_END)
        if not end or after.strip():
            raise ConfigError(
                f"The prompt of the judge is not ChatML: {_START}{head} … has no single {_END} behind it."
            )
        found.append((head.split()[0] if head.strip() else "user", _filled(content.strip(), texts)))
    return found


def _filled(text: str, texts: Mapping[str, str]) -> str:
    return _SLOTS.sub(lambda slot: texts.get(slot[1], slot[0]), text)


def _annotator(file: Path, name: str, fields: Any) -> tuple[Annotator | None, list[str]]:
    if not isinstance(fields, dict):
        return None, [f"expected a mapping of fields, found {type(fields).__name__}"]
    known = {key: value for key, value in fields.items() if key in Annotator.__slots__ and key not in ("name", "other")}
    known = {key: value for key, value in known.items() if value is not None}
    mistakes = [
        f"{key}: expected {'a mapping' if key.endswith('_kwargs') else 'text'}, found {value!r}"
        for key, value in known.items()
        if key != "batch_size" and not isinstance(value, dict if key.endswith("_kwargs") else str)
    ]
    size = known.get("batch_size", 1)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        mistakes.append(f"batch_size: expected a number from 1 on, found {size!r}")
    if "prompt_template" not in known:
        mistakes.append("prompt_template: missing")
    elif isinstance(known["prompt_template"], str):
        text, wrong = _prompt(file, known["prompt_template"])
        known["prompt_template"] = text
        mistakes += [f"prompt_template: {wrong}"] if wrong else []
    other = {str(key): value for key, value in fields.items() if key not in Annotator.__slots__}
    return (None, mistakes) if mistakes else (Annotator(name=name, other=other, **known), [])


def _prompt(file: Path, named: str) -> tuple[str, str]:
    """The text of the prompt, and what is wrong with it."""
    if "\n" in named or _SLOTS.search(named):
        text = named
    else:
        # AlpacaEval's rule first: from the folder that holds the annotators' folders.
        places = [file.resolve().parent.parent / named, file.resolve().parent / named]
        there = next((place for place in places if place.is_file()), None)
        if there is None:
            return "", f"there is neither {places[0]} nor {places[1]}"
        try:
            text = there.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            return "", f"{there} cannot be read: {getattr(exc, 'strerror', None) or exc}"
    lacking = [name for name in ("output_1", "output_2") if f"{{{name}}}" not in text]
    return text, f"it has no {' and no '.join(f'{{{name}}}' for name in lacking)}" if lacking else ""


def _write(file: Path, text: str) -> None:
    """Write a new file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.new")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, file)


def _yaml(file: Path) -> Any:
    try:
        import yaml
    except ImportError as exc:
        raise MissingError(
            f"{file} needs the package 'pyyaml', which is not installed.",
            hint="Install it with: pip install 'alpacakit[eval]'",
        ) from exc
    return yaml
