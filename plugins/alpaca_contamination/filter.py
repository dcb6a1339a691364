"""The filter: a row that holds an evaluation question is rejected."""

from __future__ import annotations

from alpaca_contamination import ContaminationOptions
from alpaca_contamination.index import RougeL, Runs
from alpaca_contamination.questions import read_questions
from alpaca_core import Candidate, ConfigError, Example, Keep, Reject, unicode_tokens


class Contamination:
    """Rejects a candidate that holds, or is much like, a question of the evaluation files.

    Words in a row count anywhere in the row, its output included; a whole question, and ROUGE-L, against the
    instruction and against instruction and input together.
    """

    def __init__(self, options: ContaminationOptions) -> None:
        if not options.files:
            raise ConfigError(
                "The filter 'contamination' needs the evaluation files to keep out of the data.",
                hint="Name them: --set filter.contamination.files=evaluation.jsonl",
            )
        self.questions = [question for path in options.files for question in read_questions(path)]
        texts = [unicode_tokens(question.text) for question in self.questions]
        self.runs = Runs(texts, options.words)
        self.rouge = RougeL(texts, options.threshold)

    def judge(self, candidate: Candidate) -> Keep | Reject:
        instruction, input, output = map(unicode_tokens, (candidate.instruction, candidate.input, candidate.output))
        asked = [instruction, instruction + input] if input else [instruction]
        for words in asked:
            if same := self.runs.same(words):
                return Reject(f"the question of {self.questions[same.text].place}")
        if shared := self.runs.find(instruction + input) or self.runs.find(output):
            place = self.questions[shared.text].place
            return Reject(f"{len(shared.words)} words in a row of {place}: “{' '.join(shared.words)}”")
        for words in asked:
            if alike := self.rouge.find(words):
                return Reject(f"ROUGE-L {alike.score:.2f} with the question of {self.questions[alike.text].place}")
        return Keep()

    def kept(self, example: Example) -> None:
        pass
