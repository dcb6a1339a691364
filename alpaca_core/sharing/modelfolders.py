"""A finished model as a folder to share: its files, a card, a plain chat template, GGUF and a Modelfile."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alpaca_core.dataset import write_text
from alpaca_core.errors import AlpacaError, ConfigError, MissingError
from alpaca_core.protocols import ChatTemplate
from alpaca_core.runs import CONFIG, SUMMARY, read_summary, understood
from alpaca_core.sharing.datacards import public
from alpaca_core.sharing.exporting import new_folder
from alpaca_core.sharing.modelcards import Model, card
from alpaca_core.sharing.provenance import provenance
from alpaca_core.specs import TeacherSpec

STAMP = "alpacakit.json"  # a trainer's own record, which names folders of the machine that it ran on
JINJA = "chat_template.jinja"
PLAIN = "chat_template_plain.jinja"
MODELFILE = "Modelfile"
_CONVERTER = "convert_hf_to_gguf.py"
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")


def model_folder(source: Path) -> Path:
    """The model or adapter that ``source`` means: itself, or ``model`` or else ``adapter`` in the folder of a run or a
    training. Raises ConfigError where there is none."""
    for folder in (source, source / "model", source / "adapter"):
        if (folder / "config.json").is_file() or is_adapter(folder):
            return folder
    raise ConfigError(
        f"{source} holds no model: neither config.json nor model/config.json.", hint="Name a model folder or a run."
    )


def is_adapter(folder: Path) -> bool:
    """Whether ``folder`` holds a LoRA adapter rather than a model."""
    return (folder / "adapter_config.json").is_file()


@dataclass(frozen=True)
class Exported:
    """What a folder got: the GGUF file's name, if it was asked for; whether a Modelfile was written."""

    gguf: str
    modelfile: bool


def export_model(
    source: Path,
    out: Path,
    *,
    teachers: Sequence[TeacherSpec],
    templates: Iterable[ChatTemplate],
    merge: Callable[[Path, Path], None],
    converter: Path | None = None,
    licence: str = "",
    name: str = "",
) -> Exported:
    """Write the model of ``source`` to the new folder ``out``, with its card.

    ``merge(adapter, folder)`` makes a model of a LoRA adapter; ``converter`` is llama.cpp's script, for a GGUF file;
    ``templates`` are the known chat templates, one of which may know how Ollama renders it. Raises ConfigError for an
    ``out`` that exists and a ``source`` without a model, AlpacaError when the conversion fails.
    """
    found = model_folder(source)
    with new_folder(out) as draft:
        if is_adapter(found):
            merge(found, draft)
        else:
            _copy(found, draft)
        title = _title(found)
        with understood(source, f"{SUMMARY}, {CONFIG} or a file of the model"):
            model = _facts(found, title, draft, teachers)
            _scrub(draft / "config.json", model.facts)
            jinja = chat_template(draft)
            plain = _GENERATION.sub("", jinja)
            text = card(model, jinja, licence=licence, name=name, plain=plain != jinja)
        if plain != jinja:
            write_text(draft / PLAIN, plain)
        write_text(draft / "README.md", text)
        gguf = f"{title}.gguf" if converter is not None else ""
        if converter is not None:
            convert(converter, draft, draft / gguf)
        lines = next((t.ollama for t in templates if jinja and t.jinja == jinja and hasattr(t, "ollama")), None)
        write_text(draft / MODELFILE, modelfile(gguf, lines, _end(draft)))
    return Exported(gguf, lines is not None)


def _copy(source: Path, draft: Path) -> None:
    for path in sorted(source.iterdir()):
        if path.name.startswith(".") or path.name in (STAMP, "README.md"):
            continue
        if path.is_dir():
            if path.name == "additional_chat_templates":
                shutil.copytree(path, draft / path.name)
        else:
            shutil.copyfile(path, draft / path.name)


def _scrub(config: Path, facts: Mapping[str, Any]) -> None:
    """Leave ``facts`` in ``config``, and of the student's path, which is nobody's business, the last part only."""
    if not config.is_file():
        return
    content = json.loads(config.read_text(encoding="utf-8"))
    content.pop("alpacakit", None)  # a merged adapter's would be its base's
    if facts:
        content["alpacakit"] = {**facts, "student": public(str(facts.get("student", "")))}
    if isinstance(content.get("_name_or_path"), str):
        content["_name_or_path"] = public(content["_name_or_path"])
    write_text(config, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _title(folder: Path) -> str:
    folder = folder.resolve()
    title = folder.parent.name if folder.name in ("model", "adapter") else folder.name
    return re.sub(r"[^\w.-]", "-", title) or "model"


def _facts(folder: Path, title: str, draft: Path, teachers: Sequence[TeacherSpec]) -> Model:
    """What is known of the model: from the stamp in its folder, and from the run or training that the folder is of."""
    run = folder.resolve().parent
    ours = folder.name in ("model", "adapter")
    stamp = _json(folder / STAMP)
    config = _json(draft / "config.json")
    adapter = _json(folder / "adapter_config.json")
    facts: Mapping[str, Any] = stamp.get("facts") or ({} if adapter else config.get("alpacakit")) or {}
    return Model(
        title=title,
        base=str(facts.get("student") or adapter.get("base_model_name_or_path") or ""),
        architecture=", ".join(config.get("architectures") or []),
        facts=facts,
        settings={name: value for name, value in stamp.get("identity", {}).items() if value is not None},
        result=stamp.get("result") or {},
        evaluation=read_summary(run).get("evaluation", {}) if ours else {},
        made=provenance(run if ours and (run / CONFIG).is_file() else folder, teachers),
    )


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def chat_template(folder: Path) -> str:
    """The chat template in a model folder: a file of its own, or in tokenizer_config.json; empty where there is
    none."""
    if (folder / JINJA).is_file():
        return (folder / JINJA).read_text(encoding="utf-8")
    found = _json(folder / "tokenizer_config.json").get("chat_template", "")
    return found if isinstance(found, str) else ""


def _end(folder: Path) -> str:
    """The end-of-text token."""
    token = _json(folder / "tokenizer_config.json").get("eos_token", "")
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def modelfile(gguf: str, lines: str | None, end: str) -> str:
    """An Ollama Modelfile for the file ``gguf``, or else for the folder that it lies in. ``lines`` render the prompt;
    without them Ollama goes by what it knows of the model's own chat template."""
    told = [f"FROM ./{gguf}" if gguf else "FROM ."]
    if lines is not None:
        told.append(lines.replace("EOS_TOKEN", end).rstrip("\n"))
    if end:
        told.append(f"PARAMETER stop {json.dumps(end, ensure_ascii=False)}")
    return "\n".join(told) + "\n"


# -- GGUF


def find_converter(named: Path | None) -> Path:
    """llama.cpp's ``convert_hf_to_gguf.py``: ``named``, a file or a checkout of llama.cpp; else that of the variable
    LLAMA_CPP; else one on the PATH. Raises MissingError, with ways to get it, where there is none."""
    given = named or (Path(os.environ["LLAMA_CPP"]) if os.environ.get("LLAMA_CPP") else None)
    if given is not None:
        given = given.expanduser()
        found = given / _CONVERTER if given.is_dir() else given
        if found.is_file():
            return found
        raise MissingError(f"There is no {found}.", hint=f"Name a checkout of llama.cpp, or its {_CONVERTER}.")
    if on_path := shutil.which(_CONVERTER):
        return Path(on_path)
    raise MissingError(
        f"GGUF files are written by llama.cpp's {_CONVERTER}, which is not found here.",
        hint="Get it with: git clone --depth 1 https://github.com/ggml-org/llama.cpp\n"
        "and give the command again with: --llama-cpp llama.cpp",
    )


def convert(converter: Path, folder: Path, out: Path) -> None:
    """Write the model in ``folder`` as the GGUF file ``out``. Raises AlpacaError with the converter's last words."""
    line = [sys.executable, str(converter), str(folder), "--outfile", str(out)]
    done = subprocess.run(line, capture_output=True, text=True, errors="replace")
    if done.returncode == 0 and out.is_file() and out.open("rb").read(4) == b"GGUF":
        return
    said = [text for text in (done.stderr or done.stdout).splitlines() if text.strip()]
    missing = re.search(r"No module named '([\w.]+)'", done.stderr)
    raise AlpacaError(
        "\n".join([f"{converter} wrote no GGUF file. Its last words:", *(f"  {text}" for text in said[-5:])]),
        hint=f"Install what it needs with: pip install {missing[1].partition('.')[0]}" if missing else "",
    )
