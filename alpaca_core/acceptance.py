"""Whether a finished model is fit for use: checks with a number, a limit, and what to do about a failure.

Some are of its files, and made by whoever can open them (``LocalTeacher.examine``). The others are functions of what it
said to held-out prompts, and are here. A model whose answers are nothing (empty, always the same, the prompt itself) is
refused whatever its other figures are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from alpaca_core.bootstrap import interval
from alpaca_core.evaluate import Measured, Scores, mean_loss
from alpaca_core.protocols import ChatTemplate, LocalTeacher
from alpaca_core.records import Check, Completion, Example, RowLoss
from alpaca_core.tokens import unicode_tokens

# The share of answers that have to end by themselves: at 95 % one reader in twenty gets an endless answer. The trainer
# warns at the same share of its last sample answers. Whoever lacks the end of text lacks it in nearly all answers, so
# the exact place of the line decides little.
STOP_RATE = 0.95
EMPTY = 0.05  # of answers may be empty, though they should not be: as useless as one that never ends
DISTINCT = 0.5  # of the references' variety an answer set has to have; null models have 1 in the number of rows
COPIES = 0.25  # of answers may be the prompt: weak models fall back to it where a text should have been changed
LONG = 8  # words from which on two answers are hardly equal by chance
LINE = 40  # characters of a template's line that are looked for: an answer may be cut within it


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The checks of a model. ``accepted``: none has failed. ``broken``: its files are not usable as they are."""

    checks: tuple[Check, ...]

    @property
    def accepted(self) -> bool:
        return all(check.passed is not False for check in self.checks)

    @property
    def broken(self) -> bool:
        return any(check.passed is False and check.broken for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ``accepted``, ``broken`` and the ``checks``."""
        return {"accepted": self.accepted, "broken": self.broken, "checks": [asdict(check) for check in self.checks]}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Acceptance:
        """What ``as_dict`` gave, also through JSON."""
        return cls(tuple(Check(**check) for check in found["checks"]))


def accept(
    model: LocalTeacher,
    examples: Sequence[Example],
    measure: Callable[[], Measured],
    before: Callable[[str], Sequence[RowLoss] | None],
    *,
    template: ChatTemplate | None = None,
    exported: Sequence[str] = (),
    outputs: Sequence[str] = (),
    floor: Scores | None = None,
    stop_rate: float = STOP_RATE,
) -> Acceptance:
    """Examine ``model``, then judge what it said to ``examples``: ``measure`` gives that, once the files are known to
    load. ``before`` gives the losses of its base under the chat template that it is called with (None: there is no
    base). ``template`` is the one of the training, ``exported`` are folders with the same model in another form,
    ``outputs`` those of the training rows, ``floor`` the scores of the most frequent answers. What is not given is not
    checked, and told so. No two models are in memory at a time, where callers hold none.
    """
    checks: list[Check] = model.examine(examples, template, exported)  # type: ignore[attr-defined]
    if any(check.passed is False for check in checks if check.name == "loads"):
        return Acceptance(tuple(checks))
    old = before(model.jinja)  # type: ignore[attr-defined]
    lines: list[str] = model.template_lines()  # type: ignore[attr-defined]
    return Acceptance((*checks, *judge(measure(), lines, old, outputs, floor, stop_rate)))


def judge(
    measured: Measured,
    lines: Sequence[str],
    before: Sequence[RowLoss] | None = None,
    outputs: Sequence[str] = (),
    floor: Scores | None = None,
    stop_rate: float = STOP_RATE,
) -> list[Check]:
    """The checks that need nothing but what a model said. Raises ValueError where there are no rows."""
    examples, answers = measured.examples, measured.answers
    if not examples:
        raise ValueError("a model cannot be judged without rows")
    return [
        stops(answers, stop_rate),
        leaks(examples, answers, lines),
        empty(examples, answers),
        constant(examples, answers),
        distinct(examples, answers),
        copies(examples, answers),
        above_floor(measured.scores, floor),
        better_than_base(before, measured.losses),
        verbatim(examples, answers, outputs),
    ]


def stops(answers: Sequence[Completion], limit: float = STOP_RATE) -> Check:
    """``stops``: answers that end by themselves."""
    share = _share([answer.finish == "stop" for answer in answers])
    said = f"{share:.1%} of {len(answers):,} answers end by themselves, at least {limit:.0%} have to"
    advice = (
        "Train on rows that keep their end of text (a row cut at trainer.max_length has none), or for longer; or allow"
        " longer answers, if they are right so far: --set evaluation.max_new_tokens=512"
    )
    return Check("stops", share >= limit, said, share, limit, advice)


def leaks(examples: Sequence[Example], answers: Sequence[Completion], lines: Sequence[str]) -> Check:
    """``leaks``: answers that hold a line of the chat template, or a control token as text, which neither the prompt
    nor the right answer has. A line that is one plain word, such as a role's name, may be in any answer."""
    marks = [line[:LINE] for line in lines if len(line) > 2 and not line.isalnum()]
    found = Counter(
        next((mark for mark in marks if mark in answer.text and mark not in _all(row)), "")
        for row, answer in zip(examples, answers, strict=True)
    )
    clean = found.pop("", 0)
    share = 1 - clean / len(answers)
    said = f"{share:.1%} of answers hold a mark of the chat template, none may"
    if found:
        said += f": {found.most_common(1)[0][0]!r} most often"
    advice = "The model goes on after its answer, or learnt the template as if it were one: see that the end of text is"
    return Check("leaks", not found, said, share, 0.0, f"{advice} learnt, and that prompts are masked in training.")


def empty(examples: Sequence[Example], answers: Sequence[Completion]) -> Check:
    """``empty``: answers without a text where there should be one."""
    share = _share(
        [not answer.text.strip() and bool(row.output.strip()) for row, answer in zip(examples, answers, strict=True)]
    )
    said = f"{share:.1%} of answers are empty, at most {EMPTY:.0%} may"
    advice = "Look for rows without an output in the training data, and for prompts that fill trainer.max_length."
    return Check("empty", share <= EMPTY, said, share, EMPTY, advice)


def constant(examples: Sequence[Example], answers: Sequence[Completion]) -> Check:
    """``constant``: the share of the commonest answer. The limit lies half way between that of the commonest right
    answer and 1."""
    commonest = _commonest([answer.text for answer in answers])
    right = _commonest([row.output for row in examples])
    limit = (1 + right) / 2
    said = f"the commonest answer is {commonest:.1%} of all, at most {limit:.1%} may (of the right ones: {right:.1%})"
    advice = "The model gives one answer to nearly everything: train for longer, or with another learning rate."
    return Check("constant", commonest < limit or right == 1, said, commonest, limit, advice)


def distinct(examples: Sequence[Example], answers: Sequence[Completion]) -> Check:
    """``distinct``: how many different answers there are, for each different right one."""
    ours, theirs = (len({text.strip() for text in texts}) for texts in _texts(examples, answers))
    share = ours / theirs
    said = (
        f"{ours:,} different answers where {theirs:,} are right: {share:.2f} for each, at least {DISTINCT} have to be"
    )
    advice = "The answers hardly depend on the prompt: train for longer, on more varied rows."
    return Check("distinct", share >= DISTINCT, said, share, DISTINCT, advice)


def copies(examples: Sequence[Example], answers: Sequence[Completion]) -> Check:
    """``copies``: answers that are the instruction, the input or both, word for word, or go on from the whole
    instruction, where the right answer does not."""
    share = _share(
        [
            _copied(row, answer.text) and not _copied(row, row.output)
            for row, answer in zip(examples, answers, strict=True)
        ]
    )
    said = f"{share:.1%} of answers repeat the prompt, at most {COPIES:.0%} may"
    advice = "See that prompts are masked in training: a model that learns them writes them."
    return Check("copies", share <= COPIES, said, share, COPIES, advice)


def above_floor(scores: Scores, floor: Scores | None) -> Check:
    """``floor``: better than giving each kind of task its most frequent training answer: in ROUGE-L, by the lower end
    of the interval, and no worse in exact match."""
    if floor is None or not scores.by_family or scores.rouge_l_interval is None:
        return Check("floor", None, "not checked: the kinds of tasks of the training rows are not known")
    low = scores.rouge_l_interval[0]
    said = (
        f"ROUGE-L {scores.rouge_l:.3f} (not below {low:.3f}), exact match {scores.exact_match:.1%}; the most frequent"
        f" answer of each kind of task has {floor.rouge_l:.3f} and {floor.exact_match:.1%}"
    )
    passed = low > floor.rouge_l and scores.exact_match >= floor.exact_match
    advice = "The model knows which kind of task it has, and not what is in it: train for longer, or on more rows."
    return Check("floor", passed, said, low, floor.rouge_l, advice)


def better_than_base(before: Sequence[RowLoss] | None, after: Sequence[RowLoss] | None) -> Check:
    """``base``: how much lower the loss on the right answers is than the base's, in nats for each of the model's
    tokens; rows that either could not read are left out. The 95 % interval of the paired difference must lie above 0.
    """
    if before is None or after is None:
        return Check("base", None, "not checked: " + ("no base is known" if before is None else "it tells no losses"))
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old.tokens and new.tokens]
    if not pairs:
        return Check("base", None, "not checked: no row has an answer that both can read")
    gains = [old.nats - new.nats for old, new in pairs]
    tokens = [new.tokens for _, new in pairs]
    low, high = interval(gains, tokens)
    gain = sum(gains) / sum(tokens)
    old, new = (mean_loss(of) for of in zip(*pairs, strict=True))
    said = (
        f"loss {new:.3f}, its base {old:.3f}: {gain:.3g} nats a token lower (95 % interval {low:.3g} to {high:.3g}),"
        " more than 0 has to be"
    )
    advice = "Training has not helped on rows that it did not see: look at its loss, the learning rate and the data."
    return Check("base", low > 0, said, low, 0.0, advice)


def verbatim(examples: Sequence[Example], answers: Sequence[Completion], outputs: Sequence[str]) -> Check:
    """``verbatim``, for information: among wrong answers of ``LONG`` words and more, those that are a training row's
    output word for word."""
    if not outputs:
        return Check("verbatim", None, "not looked at: the training rows are not known")
    known = {output.strip() for output in outputs}
    long = [
        answer.text.strip() in known and answer.text.strip() != row.output.strip()
        for row, answer in zip(examples, answers, strict=True)
        if len(unicode_tokens(answer.text)) >= LONG
    ]
    if not long:
        return Check("verbatim", None, f"no answer has {LONG} words or more")
    share = _share(long)
    said = f"{share:.1%} of {len(long):,} answers of {LONG} words and more are a training row's output, and wrong here"
    return Check("verbatim", None, said, share)


def _all(row: Example) -> str:
    return "\n".join((row.instruction, row.input, row.output))


def _texts(examples: Sequence[Example], answers: Sequence[Completion]) -> tuple[list[str], list[str]]:
    return [answer.text for answer in answers], [row.output for row in examples]


def _commonest(texts: Sequence[str]) -> float:
    return Counter(text.strip() for text in texts).most_common(1)[0][1] / len(texts)


def _copied(row: Example, text: str) -> bool:
    said, asked, given = (unicode_tokens(part) for part in (text, row.instruction, row.input))
    return bool(said) and (said in (asked, given, asked + given) or (bool(asked) and said[: len(asked)] == asked))


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)
