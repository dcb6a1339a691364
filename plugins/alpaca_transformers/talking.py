"""Answers questions that come at any time, side by side, each told piece by piece as it is written."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is imported when the teacher is used

from alpaca_core import AlpacaError, Piece, Question, TeacherError, Usage
from alpaca_transformers.answers import STRETCH, Answer, Rows
from alpaca_transformers.pieces import Text

if TYPE_CHECKING:
    from alpaca_transformers.teacher import TransformersTeacher


@dataclass
class Asked:
    """A question and who hears the answer; ``left`` once nobody listens any more."""

    question: Question
    heard: Callable[[Piece], None]
    left: bool = False

    def leave(self) -> None:
        """Give up the answer: its place is free at the next token."""
        self.left = True

    def fail(self, error: AlpacaError) -> None:
        """Tell that there will be no more."""
        if not self.left:
            self.heard(Piece(error=error))


@dataclass
class Talk(Answer):
    """The answer to a question, told as it is written."""

    asked: Asked = field(kw_only=True)
    text: Text = field(kw_only=True)

    def hear(self, token: int, ends: set[int]) -> bool:
        """The model wrote ``token``; whether the answer is to go on."""
        if self.asked.left and self.finish is None:
            self.finish = "stop"
        if self.finish is not None:
            return False
        self.tokens.append(token)
        piece = "" if token in ends else self.text.add(token)
        if token in ends or self.text.stopped:
            self.finish = "stop"
        elif len(self.tokens) >= self.limit:
            self.finish = "length"
        if self.finish is not None:
            usage = Usage(len(self.prompt), len(self.tokens))
            self.asked.heard(Piece(piece + self.text.rest(), self.finish, usage))
        elif piece:
            self.asked.heard(Piece(piece))
        return self.finish is None


class Talks:
    """One thread that reads and writes for all who ask ``teacher``.

    A question joins those that are being answered between two tokens, as long as the teacher's ``batch_size`` has room;
    the others wait in the order in which they came.
    """

    def __init__(self, teacher: TransformersTeacher) -> None:
        self._teacher = teacher
        self._waiting: deque[Asked] = deque()
        self._put_off: deque[Talk] = deque()  # begun, when the memory was too small
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def ask(self, question: Question, heard: Callable[[Piece], None]) -> Asked:
        """Answer ``question`` in its turn. ``heard`` is called in the thread that writes."""
        asked = Asked(question, heard)
        with self._changed:
            if self._closed:
                raise _ending()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="talk", daemon=True)
                self._thread.start()
                atexit.register(self.close)  # a thread that is in PyTorch when Python ends would abort the process
            self._waiting.append(asked)
            self._changed.notify()
        return asked

    def close(self) -> None:
        """Give up what is being answered, and what waits. Returns when the thread has ended."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C, as the process ends
                self._thread.join()
            atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
            with self._teacher.lock:
                try:
                    if not self._closed:
                        self._answer_all()
                except Exception as exc:  # such as a model that cannot be read
                    self._fail_waiting(_told(exc))
        self._fail_waiting(_ending())

    def _fail_waiting(self, error: AlpacaError) -> None:
        while self._waiting:
            self._waiting.popleft().fail(error)

    @torch.inference_mode()
    def _answer_all(self) -> None:
        """Read and write until nobody waits."""
        rows = fresh = self._teacher.rows([])
        while not self._closed:
            try:
                fresh = self._teacher.rows(self._admitted(self._teacher.batch_size - len(rows.answers)))
                if fresh.answers:
                    self._advance(fresh, 1)  # which reads the prompts
                    rows.join(fresh)
                    fresh = self._teacher.rows([])
                if not rows.answers:
                    return
                self._advance(rows, STRETCH)
                continue
            except torch.OutOfMemoryError:
                together = _going(rows, fresh)
            except Exception as exc:  # a bug, or the device's trouble: those who come later are answered all the same
                together = []
                _fail(_going(rows, fresh), _told(exc))
            # Not in the handler: the error holds on to what was computed.
            rows = fresh = self._teacher.rows([])
            if len(together) == 1:
                together[0].asked.fail(self._teacher.too_small(together[0].limit))
            elif together:
                self._put_off.extendleft(reversed(together))
                self._teacher.shrink(len(together))
        _fail(_going(rows, fresh), _ending())

    def _admitted(self, room: int) -> list[Talk]:
        """Those whose turn it is now. A question that cannot be asked is told why."""
        admitted: list[Talk] = []
        while len(admitted) < room and (self._put_off or self._waiting):
            if self._put_off:
                admitted.append(self._put_off.popleft())
                continue
            asked = self._waiting.popleft()
            if asked.left:
                continue
            try:
                one = self._teacher.answer_to(asked.question)
                text = Text(self._teacher.decode, one.stop)
                admitted.append(Talk(one.prompt, one.limit, one.stop, one.seed, one.sampling, asked=asked, text=text))
            except Exception as exc:
                asked.fail(_told(exc))
        return admitted

    def _advance(self, rows: Rows, stretch: int) -> None:
        """Write up to ``stretch`` tokens of each answer; fewer when somebody waits for whom there is room."""
        ends, room = self._teacher.ends, self._teacher.batch_size

        def heard(tokens: list[int]) -> list[bool]:
            going = [talk.hear(token, ends) for talk, token in zip(rows.answers, tokens, strict=True)]
            if self._closed or (self._waiting and sum(going) < room):
                return [False] * len(going)
            return going

        rows.advance(stretch, heard)
        rows.leave()


def _going(*rows: Rows) -> list[Talk]:
    return [talk for some in rows for talk in some.answers if talk.finish is None]


def _fail(talks: Sequence[Talk], error: AlpacaError) -> None:
    for talk in talks:
        talk.asked.fail(error)


def _told(error: Exception) -> AlpacaError:
    return error if isinstance(error, AlpacaError) else AlpacaError(f"{type(error).__name__}: {error}")


def _ending() -> TeacherError:
    return TeacherError("connection", "the answer was given up: alpacakit is ending")
