"""The filter: an output that states another result than the right one is rejected."""

from __future__ import annotations

from alpaca_arithmetic.answers import right, stated
from alpaca_arithmetic.numbers import shown
from alpaca_arithmetic.questions import read_question
from alpaca_core import Candidate, Example, Keep, Reject


class Arithmetic:
    """Rejects a candidate whose question can be worked out and whose output states another result.

    Judges English wording and only what is unambiguous on both sides; everything else is kept without a remark.
    """

    def judge(self, candidate: Candidate) -> Keep | Reject:
        question = read_question(candidate.instruction, candidate.input)
        answer = question and stated(candidate.output, question)
        if not question or not answer or right(answer, question):
            return Keep()
        return Reject(f"states {answer.text}, not {shown(question.answers[0])}: “{question.text}”")

    def kept(self, example: Example) -> None:
        pass
