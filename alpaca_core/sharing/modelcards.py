"""The card of a model: what it was made of and how, how good it is, how it is asked, what to check before sharing it.

The head of the card is YAML as huggingface.co/docs/hub/model-cards describes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alpaca_core.sharing.datacards import LANGUAGES, LICENCE, fenced, head, public, table, terms_of
from alpaca_core.sharing.provenance import Provenance

_SETTINGS = {  # of a trainer's stamp, in words
    "epochs": "epochs",
    "max_steps": "steps at most",
    "batch_size": "examples of a batch",
    "max_length": "tokens of an example at most",
    "learning_rate": "peak learning rate",
    "schedule": "schedule",
    "warmup": "warm-up (share of the steps)",
    "weight_decay": "weight decay",
    "beta2": "AdamW's second beta",
    "max_grad_norm": "gradient clipped to",
    "lora_rank": "LoRA rank",
    "lora_alpha": "LoRA alpha",
    "lora_targets": "LoRA targets",
    "loss": "loss averaged over",
    "seed": "seed",
    "data": "data (SHA-256)",
}


@dataclass(frozen=True)
class Model:
    """What is known of a model. ``base`` is the student that was trained, as it was named; ``facts``, ``settings`` and
    ``result`` come from its trainer; ``evaluation`` is that of summary.json; ``made`` is the origin of its data."""

    title: str
    base: str = ""
    architecture: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    made: Provenance = Provenance()

    @property
    def notice(self) -> str:
        return str(self.facts.get("notice") or self.made.notice)

    @property
    def on_the_hub(self) -> str:
        """The base's id, where it can be one: a folder of that name is not meant."""
        is_id = self.base.count("/") == 1 and public(self.base) == self.base and not Path(self.base).exists()
        return self.base if is_id else ""


def card(model: Model, jinja: str, *, licence: str = "", name: str = "", plain: bool = False) -> str:
    """README.md of a model folder."""
    language = LANGUAGES.get(model.made.language.lower(), "")
    lines = head(
        {
            "license": licence or LICENCE,
            "language": [language] if language else [],
            "library_name": "transformers",
            "pipeline_tag": "text-generation",
            "base_model": model.on_the_hub,
            "tags": ["alpaca", "alpacakit", "instruction-tuning"],
        }
    )
    lines += ["", f"# {model.title}", ""]
    if model.notice:
        lines += [f"> {model.notice}", ""]
    lines += _training(model)
    lines += _scores(model.evaluation)
    lines += _usage(jinja, name, plain)
    lines += _terms(model, licence)
    return "\n".join(lines).rstrip("\n") + "\n"


def _training(model: Model) -> list[str]:
    scratch = model.base.startswith("new:")
    what = (
        f"`{model.base}`, trained from scratch"
        if scratch
        else f"`{public(model.base)}`, fine-tuned"
        if model.base
        else "fine-tuned"
    )
    rows = f" on {model.facts['rows']:,} examples of instruction data" if "rows" in model.facts else ""
    lines = [f"An instruction-following model: {what}{rows}.", "", "## Training", ""]
    result = model.result
    facts = {
        "architecture": model.architecture,
        "parameters": f"{result['parameters']:,}" if result.get("parameters") else "",
        "steps": f"{result['steps']:,}" if result else model.facts.get("steps"),
        "tokens seen": f"{result['tokens']:,}" if result else model.facts.get("tokens"),
        "last training loss": f"{result['final_loss']:.4f}" if result else model.facts.get("final_loss"),
        "how": f"{result['strategy']}, {result['world_size']} process(es)" if result else "",
        **{words: model.settings.get(key) for key, words in _SETTINGS.items()},
    }
    lines += table(facts)
    if not model.facts:
        lines = [*lines[:-2], "How it was trained is not known here."]
    lines += ["", "## Data", ""]
    made = model.made
    if made.config:
        when = made.first if made.first == made.last else f"{made.first} to {made.last}"
        lines += [
            f"Written by the teacher `{made.teacher}`"
            + (f" ({', '.join(map(public, made.models))})" if made.models else "")
            + f" from {made.seeds}, {when} (UTC), and filtered:"
            f" {', '.join(made.config['generation'].get('filters', [])) or 'not at all'}. Made with {made.version}.",
            "",
        ]
    else:
        lines += ["Where the examples came from is not known here.", ""]
    return lines


def _scores(evaluation: Mapping[str, Any]) -> list[str]:
    if not evaluation:
        return ["## Scores", "", "Not measured.", ""]
    told = {"before training": evaluation.get("before"), "after": evaluation.get("after")}
    for name, scores in (evaluation.get("baselines") or {}).items():
        told[f"baseline without a model: {name.replace('_', ' ')}"] = scores
    lines = [
        "## Scores",
        "",
        f"On {evaluation['heldout']:,} rows of the same origin that were set aside before training.",
        "",
        "| | exact match | ROUGE-L F |",
        "|---|---|---|",
        *(f"| {name} | {of['exact_match']:.1%} | {of['rouge_l']:.3f} |" for name, of in told.items() if of),
        "",
    ]
    return lines


def _usage(jinja: str, name: str, plain: bool) -> list[str]:
    lines = ["## How to ask it", ""]
    if not jinja:
        return [*lines, "Its tokenizer has no chat template.", ""]
    given = "['input']" in jinja
    lines += ["The tokenizer's chat template renders the prompt that the model was trained on."]
    if given:
        lines += ["A task's input is the key `input` of the user's message."]
    message = '{"role": "user", "content": "Add the numbers.", "input": "2, 3"}'
    message = message if given else '{"role": "user", "content": "Add the numbers 2 and 3."}'
    code = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'name = "{name or "."}"',
        "tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModelForCausalLM.from_pretrained(name)",
        f"message = {message}",
        "prompt = tokenizer.apply_chat_template(",
        '    [message], add_generation_prompt=True, return_tensors="pt", return_dict=True',
        ")",
        "answer = model.generate(**prompt, max_new_tokens=256)[0, prompt['input_ids'].shape[1] :]",
        "print(tokenizer.decode(answer, skip_special_tokens=True))",
    ]
    lines += ["", *fenced("\n".join(code), "python"), ""]
    if given:
        lines += [
            "Servers that drop the key (most do) get the input in the text, behind the instruction:"
            " `Add the numbers.\\n\\n### Input:\\n2, 3`.",
            "",
        ]
    if plain:
        lines += [
            "`chat_template_plain.jinja` is the same without the tag `generation`, which only transformers knows.",
            "",
        ]
    return [*lines, "`Modelfile` is for Ollama: `ollama create NAME -f Modelfile`.", ""]


def _terms(model: Model, licence: str) -> list[str]:
    chosen = (
        f"The owner of this model chose the licence `{licence}`."
        if licence
        else ("No licence was chosen, and without one nobody may assume anything: name it in the head of this file.")
    )
    points = []
    if model.base and not model.base.startswith("new:"):
        points.append(
            f"The licence of the base, `{public(model.base)}`, holds for what was made of it. Some do not let weights"
            " be passed on; the difference from the base can be shared instead (`alpacakit diff make`)."
        )
    elif model.base:
        points.append("It was trained from scratch: no other model's licence holds.")
    lines = ["## Licence and terms", "", chosen, ""]
    return [
        *lines,
        *(f"* {point}" for point in [*points, *(f"Data: {point}" for point in terms_of(model.made))]),
        "",
        "These are facts to check, not legal advice.",
    ]
