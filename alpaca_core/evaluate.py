"""How held-out tasks are answered, and what the right answers cost: by a model, and by two baselines that need none."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from alpaca_core.bootstrap import interval
from alpaca_core.protocols import LocalTeacher
from alpaca_core.records import Completion, Example, Request, RowLoss
from alpaca_core.tokens import unicode_tokens

SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares from 0 to 1. ``rouge_l`` is the mean ROUGE-L F of the answers with the outputs: it tells models apart
    where nobody can match a free text exactly. ``by_family`` has ``{"n", "exact_match"}`` for each label that is
    known. ``stop_rate`` is the share of answers that ended by themselves. ``samples`` are the first rows, unselected,
    with the answers.

    ``loss`` is the mean over the tokens of the outputs and their ends, in nats, as a training counts it; ``perplexity``
    is e to its power; ``cut`` are the rows longer than the model can read. The intervals hold 95 % of what other rows
    of the same kind would give (``bootstrap.interval``). Lengths are means over the rows; tokens include the end of
    text. None where it is not known: baselines and some models have no loss and no tokens, and scores that an older
    alpacakit stored have none of these.
    """

    n: int
    exact_match: float
    rouge_l: float
    by_family: dict[str, dict[str, float]]
    stop_rate: float
    samples: tuple[dict[str, Any], ...]
    loss: float | None = None
    perplexity: float | None = None
    cut: int | None = None
    exact_match_interval: tuple[float, float] | None = None
    rouge_l_interval: tuple[float, float] | None = None
    answer_tokens: float | None = None
    answer_characters: float | None = None
    output_tokens: float | None = None
    output_characters: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, scores: Mapping[str, Any]) -> Scores:
        """What ``as_dict`` gave, also through JSON."""
        pairs = {name: tuple(scores[name]) for name in ("exact_match_interval", "rouge_l_interval") if scores.get(name)}
        return cls(**{**scores, **pairs, "samples": tuple(scores["samples"])})


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model said to ``examples``, and its ``losses`` on their outputs, where it tells them."""

    examples: Sequence[Example]
    answers: Sequence[Completion]
    losses: Sequence[RowLoss] | None = None

    @property
    def scores(self) -> Scores:
        """All figures of it."""
        return _scores(self.examples, self.answers, self.losses)


def evaluate(model: LocalTeacher, examples: Sequence[Example], max_new_tokens: int = 512) -> Scores:
    """The scores of ``model`` on ``examples``; see ``measure``."""
    return measure(model, examples, max_new_tokens).scores


def measure(model: LocalTeacher, examples: Sequence[Example], max_new_tokens: int = 512) -> Measured:
    """Ask ``model`` every example's instruction and input, to compare with its output, and its loss on that.

    An answer is right when it is the output, outer white space aside, and ended by itself: one that was cut is
    wrong. No answer gets more tokens than any right one of its family can need (a token is at least a byte), so
    that an untrained model does not babble; ``max_new_tokens`` bounds them all.
    """
    answers = ask_model(model, examples, max_new_tokens)
    losses = model.losses(examples) if hasattr(model, "losses") else None
    return Measured(examples, answers, losses)


def ask_model(model: LocalTeacher, examples: Sequence[Example], max_new_tokens: int = 512) -> list[Completion]:
    """The answers of ``model`` to ``examples``, in their order, as ``evaluate`` asks for them."""
    longest: Counter[str] = Counter()
    for row in examples:
        longest[row.label] = max(longest[row.label], len(row.output.strip().encode()))
    requests = [
        # Two more: the mark of a word's start that some tokenizers put first, and the end of text.
        Request(k, row.instruction, input=row.input, max_tokens=min(longest[row.label] + 2, max_new_tokens))
        for k, row in enumerate(examples)
    ]
    requests.sort(key=lambda request: request.max_tokens)  # a batch runs as long as its longest answer
    answers = dict(zip((request.k for request in requests), model.complete_many(requests), strict=True))
    return [answers[k] for k in range(len(examples))]


def mark(example: Example, answer: Completion) -> tuple[float, float]:
    """How right ``answer`` is: exact match (1 or 0) and ROUGE-L F, as ``evaluate`` has their means."""
    return float(_is_right(example, answer)), _rouge_l(answer.text, example.output)


def most_frequent(train: Sequence[Example], held_out: Sequence[Example]) -> Scores:
    """The baseline that always gives the family's most frequent training answer (the first of equals)."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        answers[row.label][row.output] += 1
    best = {label: counts.most_common(1)[0][0] for label, counts in answers.items()}
    return _scores(held_out, [Completion(best.get(row.label, "")) for row in held_out])


def nearest(train: Sequence[Example], held_out: Sequence[Example]) -> Scores:
    """The baseline that gives the answer of the training row with the nearest instruction and input by ROUGE-L F."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    codes: dict[str, str] = {}  # one character per word, as rapidfuzz compares strings fastest

    def encode(row: Example) -> str:
        words = unicode_tokens(f"{row.instruction}\n{row.input}")
        return "".join(codes.setdefault(word, chr(len(codes))) for word in words)

    known = [encode(row) for row in train]

    def answer(row: Example) -> str:
        # Indel similarity is 2 LCS / (m + n), which is ROUGE-L's F.
        found = process.extractOne(encode(row), known, scorer=Indel.normalized_similarity)
        return train[found[2]].output if found else ""

    return _scores(held_out, [Completion(answer(row)) for row in held_out])


def mean_loss(losses: Iterable[RowLoss]) -> float | None:
    """Nats per token over all rows; None where no token counts."""
    rows = list(losses)
    tokens = sum(row.tokens for row in rows)
    return math.fsum(row.nats for row in rows) / tokens if tokens else None


def _scores(
    examples: Sequence[Example], answers: Sequence[Completion], losses: Sequence[RowLoss] | None = None
) -> Scores:
    right = [_is_right(row, answer) for row, answer in zip(examples, answers, strict=True)]
    rouge = [_rouge_l(answer.text, row.output) for row, answer in zip(examples, answers, strict=True)]
    loss = mean_loss(losses) if losses is not None else None
    tokens = [answer.usage.completion_tokens for answer in answers]
    families: dict[str, list[bool]] = defaultdict(list)
    for row, is_right in zip(examples, right, strict=True):
        if row.label:
            families[row.label].append(is_right)
    return Scores(
        n=len(examples),
        exact_match=_share(right),
        rouge_l=_mean(rouge),
        by_family={
            name: {"n": len(families[name]), "exact_match": _share(families[name])} for name in sorted(families)
        },
        stop_rate=_share(answer.finish == "stop" for answer in answers),
        samples=tuple(
            {
                "family": row.label,
                "instruction": row.instruction,
                "input": row.input,
                "expected": row.output,
                "answer": answer.text,
                "exact_match": is_right,
            }
            for row, answer, is_right in list(zip(examples, answers, right, strict=True))[:SAMPLES]
        ),
        loss=loss,
        perplexity=math.exp(min(loss, 700.0)) if loss is not None else None,  # e to the 710th is no number any more
        cut=sum(row.cut for row in losses) if losses is not None else None,
        exact_match_interval=interval([float(hit) for hit in right]) if right else None,
        rouge_l_interval=interval(rouge) if rouge else None,
        answer_tokens=_mean(tokens) if any(tokens) else None,
        answer_characters=_mean([len(answer.text.strip()) for answer in answers]) if answers else None,
        output_tokens=_mean([row.tokens for row in losses]) if losses else None,
        output_characters=_mean([len(row.output.strip()) for row in examples]) if examples else None,
    )


def _is_right(example: Example, answer: Completion) -> bool:
    return answer.finish == "stop" and answer.text.strip() == example.output.strip()


def _rouge_l(answer: str, output: str) -> float:
    from rapidfuzz.distance import Indel

    # Indel similarity is 2 LCS / (m + n), which is ROUGE-L's F.
    words = unicode_tokens(answer), unicode_tokens(output)
    return Indel.normalized_similarity(*words) if all(words) else 0.0


def _share(hits: Iterable[bool]) -> float:
    return _mean([float(hit) for hit in hits])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
