"""Whether a chat template is what the model was trained with, and the same wherever it is rendered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from alpaca_core import ChatTemplate, Check, Example
from alpaca_transformers.form import Form

ROWS = 100  # examples that it is tried with, at most
FIRST_WORD = 5  # tokens, with the BOS


def check_template(form: Form, examples: Sequence[Example], template: ChatTemplate | None) -> Check:
    """The check ``template``: over the first ``ROWS`` of ``examples`` and a conversation of two turns, see ``_wrong``,
    ``_wrong_tokens`` and ``_wrong_turns``."""
    rows = examples[:ROWS]
    if not form.jinja:
        return _check(False, "the tokenizer has no chat template")
    try:
        problems = [said for row in rows for said in (*_wrong_tokens(form, row), *_wrong(form, row, template))]
        problems += _wrong_turns(form)
        if template is not None and form.words.bos_token_id is not None and not form.begins:
            problems.append(f"the training began with {form.words.bos_token!r}, and it writes none")
    except Exception as exc:  # a template may raise anything; whoever asks the model meets it too
        return _check(False, f"it does not render: {type(exc).__name__}: {exc}")
    if problems:
        return _check(False, problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""))
    said = f"{len(rows)} rows and two turns: one text in transformers and in plain Jinja, the tokens of the training"
    if any(form.read(row) != _tokens(form, [form.message(row)], add_generation_prompt=True) for row in rows[:1]):
        said += (
            "; engines that tokenise the rendered text cut up its first word otherwise, alpacakit does as the training"
        )
    return _check(True, said)


def _check(passed: bool, said: str) -> Check:
    advice = "Save the chat template of the training in the model's tokenizer, in plain Jinja: `alpacakit train` does."
    return Check("template", passed, " ".join(said.split("\n")), advice=advice, broken=True)


def _wrong(form: Form, example: Example, template: ChatTemplate | None) -> Iterator[str]:
    """What is wrong with the text of ``example``: it must be the same in plain Jinja, and prompt and answer those of
    ``template``, where that is known."""
    for messages, asked in ((_turns(form, example)[:1], True), (_turns(form, example), False)):
        text = form.render(messages, add_generation_prompt=asked)
        try:
            plain = plainly(form, messages, add_generation_prompt=asked)
        except Exception as exc:
            yield f"plain Jinja cannot render it: {type(exc).__name__}: {exc}"
            return
        if plain != text:
            yield f"plain Jinja renders another text: {_difference(plain, text)}"
    if template is not None:
        wanted, there = template.prompt(example), form.prompt(example)
        if wanted != there:
            yield f"it renders another prompt than the training had: {_difference(there, wanted)}"
        wanted, there = template.response(example), form.response(example)
        if wanted != there:
            yield f"it renders another answer than the training had: {_difference(there, wanted)}"


def _wrong_tokens(form: Form, example: Example) -> Iterator[str]:
    """What is wrong with the tokens of the rendered text: they must be those of a training (``Form``), with one BOS
    where there is one.

    Left out: rows that hold the text of a control token, which is one here and plain text in training; and the first
    word, which some tokenizers cut up otherwise when the BOS before it is part of the text.
    """
    if any(token in text for token in form.words.all_special_tokens for text in _texts(example)):
        return
    turns = _turns(form, example)
    asked, whole = _tokens(form, turns[:1], add_generation_prompt=True), _tokens(form, turns)
    if form.begins and asked.count(form.words.bos_token_id) != 1:
        yield f"{form.words.bos_token!r} is there {asked.count(form.words.bos_token_id)} times instead of once"
    if not _same(asked, form.read(example)):
        yield "the tokens of the prompt are not those of the training"
    (trained,) = form.encode([example])
    follows = form.render(turns).startswith(form.render(turns[:1], add_generation_prompt=True))
    if follows and not _same(whole[: len(whole) - form.behind], trained.ids):
        yield "the tokens of prompt and answer are not those of the training"


def _same(found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether the two are the same but for a few tokens of the first word."""
    ends = 0
    while ends < min(len(found), len(wanted)) and found[-1 - ends] == wanted[-1 - ends]:
        ends += 1
    return found == wanted or (ends > 0 and max(len(found), len(wanted)) - ends <= FIRST_WORD)


def _wrong_turns(form: Form) -> Iterator[str]:
    """What is wrong with a conversation: every turn must be there, in its order, with one BOS, and the last question
    must end as a single one does."""
    said = ["first question", "first answer", "second question"]
    turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant", "user"), said, strict=True)]
    text = form.render(turns, add_generation_prompt=True)
    places = [text.find(each) for each in said]
    if -1 in places or places != sorted(places) or any(text.count(each) != 1 for each in said):
        yield "a conversation of two turns does not hold each message once, in their order"
    alone = form.render(turns[:1], add_generation_prompt=True)
    if alone.partition(said[0])[2] != text.partition(said[2])[2]:
        yield "a second question does not end as a first one does"
    bos = form.words.bos_token
    if bos and form.begins and text.count(bos) != 1:
        yield f"a conversation of two turns has {bos!r} {text.count(bos)} times"


def plainly(form: Form, messages: Sequence[dict[str, str]], **how: Any) -> str:
    """The text that an engine without transformers' extensions makes of ``messages``: Jinja alone, with the two
    settings for white space and the one function that transformers, and with it all engines, have."""
    names = {"raise_exception": _refuse, "enable_thinking": False, **form.words.special_tokens_map}
    return _plain(form.jinja).render(messages=list(messages), **names, **how)


@lru_cache(maxsize=8)
def _plain(jinja: str) -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(jinja)


def _refuse(message: str) -> str:
    raise ValueError(message)


def _tokens(form: Form, messages: Sequence[dict[str, str]], **how: Any) -> list[int]:
    """The ids of the rendered text as other engines make them: it holds its control tokens, and nothing is added."""
    ids: list[int] = form.words(form.render(messages, **how), add_special_tokens=False)["input_ids"]
    return ids


def _turns(form: Form, example: Example) -> list[dict[str, str]]:
    return [form.message(example), {"role": "assistant", "content": example.output}]


def _texts(example: Example) -> tuple[str, str, str]:
    return example.instruction, example.input, example.output


def _difference(found: str, wanted: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), min(len(found), len(wanted)))
    return f"{found[at : at + 30]!r} instead of {wanted[at : at + 30]!r}"
