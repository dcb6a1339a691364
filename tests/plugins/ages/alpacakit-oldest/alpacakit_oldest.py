"""One component of each kind, with no more than alpacakit 0.1 asked for. It must work as it is in every 0.x: where it
does not any more, alpacakit has broken its promise. Add to the core's side, never to this file."""

import json
from dataclasses import dataclass, field

from alpaca_core import (
    Candidate,
    ChatTemplateSpec,
    Completion,
    FilterSpec,
    JudgeSpec,
    Keep,
    Plan,
    Preference,
    PromptSpec,
    Reject,
    Request,
    TeacherSpec,
    TrainerSpec,
    TrainEvent,
    TrainResult,
    Unparsed,
    hookimpl,
)


@dataclass(frozen=True)
class Options:
    longest: int = field(default=20, metadata={"help": "Most words of an output."})


class Prompt:
    uses_kept = False

    def request(self, k, rng, seeds, kept):
        return Request(k=k, prompt=f"{rng.choice(seeds).instruction} ({k})")

    def parse(self, request, reply):
        if not reply.text:
            return [Unparsed("", "nothing was said", 1)]
        return [Candidate(instruction=request.prompt, input="", output=reply.text, number=1)]


class Teacher:
    async def complete(self, request):
        return Completion("word " * (request.k + 1))

    async def aclose(self):
        pass


class Filter:
    def __init__(self, options):
        self.options = options

    def judge(self, candidate):
        words = len(candidate.output.split())
        return Keep() if words <= self.options.longest else Reject(f"{words} words")

    def kept(self, example):
        pass


class ChatTemplate:
    jinja = "{% for message in messages %}{{ message['content'] }} {{ message['input'] }}\n{% endfor %}"

    def prompt(self, example):
        return f"{example.instruction} {example.input}\n"

    def response(self, example):
        return example.output


class Trainer:
    def plan(self, job):
        return Plan(argv=("true",))

    def train(self, job, on_event):
        on_event(TrainEvent("note", message="nothing is learnt"))
        (job.out / "model").mkdir(parents=True)
        (job.out / "model" / "rows.json").write_text(json.dumps(len(json.loads(job.data.read_text()))))
        return TrainResult(job.out / "model", job.student, "none", 1, steps=0, tokens=0, final_loss=0.0, seconds=0.0)


class Judge:
    async def compare(self, pairs, ask):
        return [Preference(float(len(pair.b) > len(pair.a))) for pair in pairs]


@hookimpl
def alpaca_prompts():
    return [PromptSpec(name="oldest", target="alpacakit_oldest:Prompt", summary="Asks a seed task.")]


@hookimpl
def alpaca_teachers():
    return [TeacherSpec(name="oldest", target="alpacakit_oldest:Teacher", summary="Says a word k times.")]


@hookimpl
def alpaca_filters():
    return [
        FilterSpec(name="oldest", target="alpacakit_oldest:Filter", summary="Rejects long outputs.", options=Options)
    ]


@hookimpl
def alpaca_chat_templates():
    return [ChatTemplateSpec(name="oldest", target="alpacakit_oldest:ChatTemplate", summary="Line by line.")]


@hookimpl
def alpaca_trainers():
    return [TrainerSpec(name="oldest", target="alpacakit_oldest:Trainer", summary="Trains nothing.")]


@hookimpl
def alpaca_judges():
    return [JudgeSpec(name="oldest", target="alpacakit_oldest:Judge", summary="Likes long answers.")]
