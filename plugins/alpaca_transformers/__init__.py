"""Teacher ``transformers``: a language model on this machine."""

from alpaca_core import TeacherSpec, hookimpl
from alpaca_transformers.options import TransformersOptions


@hookimpl
def alpaca_teachers():
    return [
        TeacherSpec(
            name="transformers",
            target="alpaca_transformers.teacher:TransformersTeacher",
            summary="A local model by Hugging Face transformers; costs nothing per request.",
            extra="alpacakit[transformers]",
            requires=("torch", "transformers"),
            options=TransformersOptions,
            defaults={
                "generation.concurrency": 128,  # the next batch waits while one is answered
                "generation.timeout": 86400.0,  # seconds: nobody has hung up, a large batch on a CPU just takes long
            },
        )
    ]
