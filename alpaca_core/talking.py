"""A local model that is talked to: opening it, and its answers as streams of pieces."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alpaca_core.errors import ConfigError
from alpaca_core.plugins import PluginHost
from alpaca_core.protocols import Talker
from alpaca_core.records import Piece, Question
from alpaca_core.training import model_path

ROWS = 64  # answers that are written side by side


def open_talker(host: PluginHost, model: str, teacher: str = "transformers") -> Talker:
    """A model folder (of a run, a training, a LoRA adapter) or hub id, ready to be talked to. Loads it.

    Raises ConfigError if there is no such model, MissingError without the packages for it.
    """
    spec = host.find("teacher", teacher)
    spec.require()
    assert spec.options is not None
    opened = spec.load()(spec.options(model=model_path(model), batch_size=ROWS))
    if not isinstance(opened, Talker):
        raise ConfigError(f"The teacher '{teacher}' cannot be talked to.")
    return opened


def pieces(talker: Talker, question: Question) -> Iterator[Piece]:
    """The pieces of one answer. Leaving the iteration gives the answer up. Raises the answer's error."""
    yield from (piece for _, piece in together([talker], [question]))


def together(talkers: Sequence[Talker], questions: Sequence[Question]) -> Iterator[tuple[int, Piece]]:
    """The pieces of the answers of several models to their questions, in the order of writing, with the places of the
    models. Leaving the iteration gives all of them up. Raises the first error of an answer."""
    told: queue.SimpleQueue[tuple[int, Piece]] = queue.SimpleQueue()
    leave = []
    try:
        for place, (talker, question) in enumerate(zip(talkers, questions, strict=True)):
            leave.append(talker.talk(question, lambda piece, place=place: told.put((place, piece))))  # type: ignore[misc]
        left = len(leave)
        while left:
            place, piece = told.get()
            if piece.error is not None:
                raise piece.error
            left -= piece.finish is not None
            yield place, piece
    finally:
        for give_up in leave:
            give_up()


async def listen(talker: Talker, questions: Sequence[Question]) -> AsyncGenerator[list[tuple[int, Piece]], None]:
    """The pieces of several answers of one model, with the places of the questions: each time all that were written
    meanwhile, one for each answer. Closing the generator gives the answers up. Raises the first error of an answer."""
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[tuple[int, Piece]] = asyncio.Queue()

    def tell(place: int, piece: Piece) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            loop.call_soon_threadsafe(told.put_nowait, (place, piece))

    leave = []
    try:
        for place, question in enumerate(questions):
            leave.append(talker.talk(question, lambda piece, place=place: tell(place, piece)))  # type: ignore[misc]
        left = len(leave)
        while left:
            found: dict[int, Piece] = {}
            place, piece = await told.get()
            while True:
                if piece.error is not None:
                    raise piece.error
                left -= piece.finish is not None
                found[place] = replace(piece, text=found[place].text + piece.text) if place in found else piece
                if told.empty():
                    break
                place, piece = told.get_nowait()
            yield list(found.items())
    finally:
        for give_up in leave:
            give_up()


def learnt_turns(model: str) -> bool:
    """Whether a conversation may be what ``model`` has learnt. What alpacakit trained has learnt single questions: what
    was said before only disturbs it."""
    return not (Path(model_path(model)).expanduser() / "alpacakit.json").is_file()


@dataclass
class Conversation:
    """What was said with one model. ``remember``: it is shown to the model with the next question."""

    talker: Talker
    system: str = ""
    remember: bool = False
    turns: list[Mapping[str, str]] = field(default_factory=list)

    def question(self, instruction: str, given: str = "", **how: Any) -> Question:
        """The next question. ``how`` are other fields of ``Question``."""
        asked = {"role": "user", "content": instruction, **({"input": given} if given else {})}
        system = [{"role": "system", "content": self.system}] if self.system else []
        return Question(messages=(*system, *(self.turns if self.remember else ()), asked), **how)

    def said(self, question: Question, answer: str) -> None:
        """Keep ``question`` and the answer to it."""
        self.turns += [question.messages[-1], {"role": "assistant", "content": answer}]
