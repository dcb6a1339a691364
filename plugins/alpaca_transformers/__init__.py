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
            terms=(
                "The licence of the model that answered decides what its answers may be used for: some forbid to train"
                " other models with them, some ask for a name or a notice. Read its model card."
            ),
            defaults={
                "generation.concurrency": 128,  # the next batch waits while one is answered
                "generation.timeout": 86400.0,  # seconds: nobody has hung up, a large batch on a CPU just takes long
            },
        )
    ]
