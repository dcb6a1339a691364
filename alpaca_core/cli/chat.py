"""``alpacakit chat``: talk to a model in the terminal."""

from __future__ import annotations

import sys

import click

from alpaca_core.cli.console import out, say
from alpaca_core.cli.options import plugin_host

LONGEST = 512  # tokens of an answer


@click.command()
@click.argument("model")
@click.option("--prompt", metavar="TEXT", help="Ask this, print the answer and end.")
@click.option("--input", "input_text", metavar="TEXT", default="", help="The input that goes with --prompt.")
@click.pass_context
def chat(ctx: click.Context, model: str, prompt: str | None, input_text: str) -> None:
    """Talk to MODEL, a folder or hub id, through its own chat template.

    Each line is a new instruction: models of this kind answer one at a time and remember nothing. An empty line or
    Ctrl-D ends.

    \b
    alpacakit chat runs/practice/model --prompt "Write the words in capital letters: plum, tiger"
    """
    from alpaca_core.errors import ConfigError
    from alpaca_core.records import Request
    from alpaca_core.training import model_path, open_model

    if input_text and prompt is None:
        raise ConfigError("--input goes with --prompt.", hint='Use: --prompt "..." --input "..."')
    host = plugin_host(ctx)
    host.find("teacher", "transformers").require()
    student = open_model(host, model_path(model))

    def answer(instruction: str, given: str = "") -> str:
        request = Request(0, instruction, input=given, max_tokens=LONGEST)
        return student.complete_many([request])[0].text.strip()

    if prompt is not None:
        out(answer(prompt, input_text))
        return
    if sys.stdin.isatty():
        say("One instruction a line; an empty line or Ctrl-D ends.")
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline().strip()
        if not line:
            return
        out(answer(line))
