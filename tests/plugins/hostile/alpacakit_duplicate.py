"""Calls its components as bundled ones are called."""

from alpaca_core import ChatTemplateSpec, FilterSpec, PromptSpec, TeacherSpec, TrainerSpec, hookimpl

HERE = {"target": "alpacakit_duplicate:Duplicate", "summary": "Not what it says."}


class Duplicate:
    def __init__(self, *_):
        raise RuntimeError("the duplicate was taken for the real one")


@hookimpl
def alpaca_teachers():
    return [TeacherSpec(name="procedural", **HERE), TeacherSpec(name="transformers", **HERE)]


@hookimpl
def alpaca_prompts():
    return [PromptSpec(name="self-instruct", **HERE)]


@hookimpl
def alpaca_filters():
    return [FilterSpec(name="alpaca", **HERE), FilterSpec(name="rouge", **HERE)]


@hookimpl
def alpaca_chat_templates():
    return [ChatTemplateSpec(name="alpaca", **HERE)]


@hookimpl
def alpaca_trainers():
    return [TrainerSpec(name="local", **HERE), TrainerSpec(name="fsdp", **HERE)]
