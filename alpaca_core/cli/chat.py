"""``alpacakit chat``: talk to a model in the terminal."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from alpaca_core.cli.answers import WIDE, Columns, Stream
from alpaca_core.cli.console import say
from alpaca_core.cli.options import plugin_host
from alpaca_core.errors import AlpacaError, ConfigError

if TYPE_CHECKING:
    from alpaca_core.talking import Conversation

LONGEST = 512  # tokens of an answer
HELP = """\
/input TEXT       the input that goes with the next instruction; /input alone takes several lines, up to a single dot
/new              forget what was said
/history on|off   whether what was said is shown to the model with the next instruction
/help             this
Ctrl-C stops an answer, Ctrl-D ends. A line that begins with a space is never a command."""


@click.command()
@click.argument("model")
@click.option("--prompt", metavar="TEXT", help="Ask this, print the answer and end.")
@click.option("--input", "input_text", metavar="TEXT", default="", help="The input that goes with --prompt.")
@click.option("--beside", metavar="MODEL", help="Ask this model too, such as the base of a tuned one.")
@click.option("--system", metavar="TEXT", default="", help="A system message before everything.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, 2),
    default=0.0,
    show_default=True,
    help="0 always takes the likeliest token; 1 draws by the model's shares.",
)
@click.option(
    "--max-tokens", type=click.IntRange(1), default=LONGEST, show_default=True, help="Tokens of an answer at most."
)
@click.pass_context
def chat(
    ctx: click.Context,
    model: str,
    prompt: str | None,
    input_text: str,
    beside: str | None,
    system: str,
    temperature: float,
    max_tokens: int,
) -> None:
    """Talk to MODEL, a folder or hub id, through its own chat template.

    Each line is an instruction; /help tells of inputs and history, Ctrl-C stops an answer, Ctrl-D ends. Lines that come
    through a pipe are answered one by one, each on its own.

    \b
    alpacakit chat runs/practice/model --prompt "Write the words in capital letters: plum, tiger"
    """
    from alpaca_core.talking import Conversation, learnt_turns, open_talker

    if input_text and prompt is None:
        raise ConfigError("--input goes with --prompt.", hint='Use: --prompt "..." --input "..."')
    host = plugin_host(ctx)
    names = [model, beside] if beside is not None else [model]
    told = [Conversation(open_talker(host, name), system) for name in names]
    chatting = Chatting(names, told, {"temperature": temperature, "max_tokens": max_tokens})
    if prompt is not None:
        chatting.ask(prompt, input_text)
    elif sys.stdin.isatty() and sys.stdout.isatty():
        for name, one in zip(names, told, strict=True):
            one.remember = one.talker.remembers and learnt_turns(name)
        chatting.with_a_person()
    else:
        if sys.stdin.isatty():
            say("One instruction a line; Ctrl-D ends.")
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")  # ``ask`` says what is wrong with a line
        for line in iter(sys.stdin.readline, ""):
            if line.strip():
                chatting.ask(line.strip())


@dataclass
class Chatting:
    """Asks one or more models the same, and shows what they answer. ``how`` are fields of ``Question``."""

    names: list[str]
    told: list[Conversation]
    how: dict[str, Any]
    person: bool = False  # whether somebody sits before it
    given: str = ""  # the input of the next instruction

    def with_a_person(self) -> None:
        """Read instructions and commands from the terminal until Ctrl-D."""
        self.person = True
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - input() edits lines with it

        say("One instruction a line. /help tells what else there is; Ctrl-D ends.")
        if not any(one.remember for one in self.told):
            say("Each instruction stands alone: the model has not learnt conversations. See /help.", dim=True)
        while True:
            try:
                line = input("> ")
                if line.startswith("/"):
                    name, _, text = line[1:].partition(" ")
                    self._command(name, text.strip())
                elif line.strip():
                    given, self.given = self.given, ""
                    self.ask(line.strip(), given)
            except KeyboardInterrupt:
                say("\nCtrl-D ends.")
            except AlpacaError as exc:
                say("\n".join(part for part in (f"error: {exc.message}", exc.hint) if part))
            except EOFError:
                say()
                return

    def ask(self, instruction: str, given: str = "") -> None:
        """Ask, and show the answers on stdout: side by side where the terminal is wide enough. Raises ConfigError for
        bytes that are no text."""
        for text in (instruction, given):
            try:
                text.encode()
            except UnicodeEncodeError as exc:
                raise ConfigError(f"The instruction is no UTF-8 text: see its character {exc.start + 1}.") from exc
        width = shutil.get_terminal_size().columns
        if len(self.told) == 1:
            self._show(self.told, Stream(), instruction, given)
        elif sys.stdout.isatty() and width >= WIDE:
            self._show(self.told, Columns(self.names, width), instruction, given)
        else:
            for name, one in zip(self.names, self.told, strict=True):
                print(f"── {name}", flush=True)
                self._show([one], Stream(), instruction, given)

    def _show(self, told: Sequence[Conversation], shown: Stream | Columns, instruction: str, given: str) -> None:
        """Ask ``told``; each keeps what it answers. Ctrl-C stops the answers; without a person it ends everything."""
        from alpaca_core.talking import together

        questions = [one.question(instruction, given, **self.how) for one in told]
        texts = [""] * len(told)
        cut = False
        with contextlib.closing(together([one.talker for one in told], questions)) as answers:
            try:
                for place, piece in answers:
                    texts[place] += piece.text
                    shown.add(place, piece.text)
                    if piece.finish:
                        shown.end(place)
                    cut = cut or piece.finish == "length"
            except KeyboardInterrupt:
                if not self.person:
                    raise
                say("\n(stopped)")
        if cut and self.person:
            say(f"(cut off: --max-tokens is {self.how['max_tokens']:,})", dim=True)
        for one, question, text in zip(told, questions, texts, strict=True):
            one.said(question, text)

    def _command(self, name: str, text: str) -> None:
        if name == "input":
            self.given = text or _several_lines()
        elif name == "new":
            for one in self.told:
                one.turns.clear()
            say("Forgotten.")
        elif name == "history" and text in ("on", "off"):
            for model, one in zip(self.names, self.told, strict=True):
                one.remember = text == "on" and one.talker.remembers
                if text == "on" and not one.remember:
                    say(f"The chat template of {model} shows the model no more than one instruction.")
        elif name == "help":
            say(HELP)
        else:
            say(f"There is no command /{name}. /help lists them; begin with a space to ask a line as it is.")


def _several_lines() -> str:
    say("The input, up to a line with a single dot:")
    lines: list[str] = []
    with contextlib.suppress(EOFError):  # Ctrl-D ends it too
        while (line := input()) != ".":
            lines.append(line)
    return "\n".join(lines)
