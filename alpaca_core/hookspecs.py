"""The six hooks a plugin may implement. Each returns what it offers; nothing heavy is imported to ask."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from alpaca_core.specs import ChatTemplateSpec, FilterSpec, JudgeSpec, PromptSpec, TeacherSpec, TrainerSpec

PROJECT = "alpacakit"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def alpaca_teachers() -> Iterable[TeacherSpec]:  # type: ignore[empty-body]
    """Teachers, which answer requests.

    return [TeacherSpec(name="parrot", target="alpacakit_parrot:Parrot", summary="Repeats the prompt.")]
    """


@hookspec
def alpaca_prompts() -> Iterable[PromptSpec]:  # type: ignore[empty-body]
    """Prompts, which write the request and read the reply.

    return [PromptSpec(name="haiku", target="alpacakit_haiku:Haiku", summary="Asks for one task per line.")]
    """


@hookspec
def alpaca_filters() -> Iterable[FilterSpec]:  # type: ignore[empty-body]
    """Filters, which keep, repair, flag or reject a candidate.

    return [FilterSpec(name="no-shouting", target="alpacakit_shout:NoShouting", summary="Rejects ALL CAPS.")]
    """


@hookspec
def alpaca_chat_templates() -> Iterable[ChatTemplateSpec]:  # type: ignore[empty-body]
    """Chat templates, which render an example for the student.

    return [ChatTemplateSpec(name="plain", target="alpacakit_plain:Plain", summary="Question, newline, answer.")]
    """


@hookspec
def alpaca_trainers() -> Iterable[TrainerSpec]:  # type: ignore[empty-body]
    """Trainers, which fine-tune a student.

    return [TrainerSpec(name="axolotl", target="alpacakit_axolotl:Axolotl", summary="Runs axolotl.")]
    """


@hookspec
def alpaca_judges() -> Iterable[JudgeSpec]:  # type: ignore[empty-body]
    """Judges, which say which of two answers is better.

    return [JudgeSpec(name="politest", target="alpacakit_polite:Politest", summary="Counts the thanks.")]
    """
