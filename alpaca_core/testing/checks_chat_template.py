"""Laws for chat templates: the text and the Jinja template are the same, with and without an input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

from alpaca_core.records import Example
from alpaca_core.testing.checks_plugin import require_methods
from alpaca_core.testing.findings import Check, Failed, NotApplicable
from alpaca_core.testing.samples import examples
from alpaca_core.testing.subjects import Component

END = "</s>"
VALUES = "Use the options' fields only, and let them be JSON: a trainer in a process of its own has nothing else."
ROWS = (
    *examples(),
    Example("Say {{ x }} and {% y %}.", "", "{{ x }}"),
    Example("Count.\n\n### Input:\n", "a\n b ", " ' \" \\ 1"),
    Example("Übersetze 東京.", "naïve", "<s>"),
)


def chat_template_checks(component: Component) -> Iterator[Check]:
    """Laws for ``component``, a chat template."""
    name = str(component)

    def protocol() -> None:
        template = component.build()
        require_methods(template, prompt=(1, False), response=(1, False))
        if not isinstance(getattr(template, "jinja", None), str):
            raise Failed("it has no jinja", "Give the same template as a text: jinja = '{%- for message in ... %}'.")
        if not isinstance(getattr(template, "ollama", ""), str):
            raise Failed("ollama is no text", "Give the lines of a Modelfile, or leave it out.")

    def whole() -> None:
        template = component.build()
        for row in ROWS:
            prompt, response = template.prompt(row), template.response(row)
            for part, text in (("instruction", row.instruction), ("input", row.input)):
                if text.strip() and text.strip() not in prompt:
                    raise Failed(f"the prompt lacks the {part} {text!r}", "Put the whole of it in.")
            if row.output.strip() not in response:
                raise Failed(f"the response lacks the output {row.output!r}", "Put the whole of it in.")
            if prompt != template.prompt(row) or response != template.response(row):
                raise Failed("the same row gives another text", "Let it depend on the row alone.")

    def prompts() -> None:
        template = component.build()
        for row in ROWS:
            message = {"role": "user", "content": row.instruction, "input": row.input}
            _same(f"the prompt of {row.instruction!r}", _render(template, [message], True), template.prompt(row))

    def without_input() -> None:
        template = component.build()
        for row in (row for row in ROWS if not row.input):
            message = {"role": "user", "content": row.instruction}
            _same("a message without the key input", _render(template, [message], True), template.prompt(row))

    def turns() -> None:
        template = component.build()
        for row in ROWS:
            messages = [
                {"role": "user", "content": row.instruction, "input": row.input},
                {"role": "assistant", "content": row.output},
            ]
            rendered = _render(template, messages, False)
            expected = template.prompt(row) + template.response(row) + END
            rendered = rendered[: len(expected)] + rendered[len(expected) :].strip()  # a line end may follow
            _same(f"the turn of {row.instruction!r}", rendered, expected)

    def by_trainers() -> None:
        options = component.options()
        if options is None:
            raise NotApplicable("it has no options")
        values = json.loads(json.dumps(asdict(options), default=str))
        row = ROWS[1]
        try:
            same = component.target()(SimpleNamespace(**values)).prompt(row) == component.build().prompt(row)
        except (AttributeError, TypeError) as exc:
            raise Failed(f"built from the values of its options, it fails: {exc}", VALUES) from exc
        if not same:
            raise Failed("built from the values of its options, it renders another prompt", VALUES)

    yield Check(name, "has the methods of a chat template", protocol)
    yield Check(name, "can be built from the values of its options, as trainers do", by_trainers)
    yield Check(name, "renders the whole row, and the same again", whole)
    yield Check(name, "has a jinja that renders the prompt", prompts)
    yield Check(name, "takes a message without an input for one with an empty one", without_input)
    yield Check(name, "has a jinja that renders prompt, response and the end of text", turns)


def _render(template: Any, messages: list[dict[str, str]], asks: bool) -> str:
    """As transformers renders a chat template, without a begin-of-text token."""
    try:
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as exc:
        raise NotApplicable("jinja2 is not installed; install it with: pip install jinja2") from exc
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    return environment.from_string(template.jinja).render(
        messages=messages, add_generation_prompt=asks, bos_token="", eos_token=END
    )


def _same(what: str, rendered: str, expected: str) -> None:
    if rendered != expected:
        at = next((i for i, (a, b) in enumerate(zip(rendered, expected, strict=False)) if a != b), None)
        at = min(len(rendered), len(expected)) if at is None else at
        raise Failed(
            f"{what}: jinja goes on with {rendered[at : at + 40]!r} after {at} characters, the text with"
            f" {expected[at : at + 40]!r}",
            "The saved model is asked through jinja: it has to read what it was trained on, to the last space.",
        )
