"""distilabel: a pipeline of one TextGeneration step, a batch as large as the number in flight. Takes what
``arguments.py`` says. distilabel 1.5.3 needs the package requests beside it, which it does not name."""

from __future__ import annotations

from arguments import MOST_TOKENS, parser, prompts_in, write_replies
from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration


def main() -> None:
    asked = parser(__doc__).parse_args()
    rows = [{"k": k, "instruction": prompt} for k, prompt in enumerate(prompts_in(asked))]
    with Pipeline(name="ask", cache_dir=asked.out.with_suffix(".cache")) as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=asked.in_flight)
        generate = TextGeneration(
            llm=OpenAILLM(
                model=asked.model,
                max_retries=asked.retries,
                generation_kwargs={"max_new_tokens": MOST_TOKENS, "temperature": 1.0},
            ),
            input_batch_size=asked.in_flight,
        )
        load >> generate
    found = pipeline.run(use_cache=True)["default"]["train"]
    texts = dict(zip(found["k"], found["generation"], strict=True))
    write_replies(asked, [texts.get(row["k"]) for row in rows])


if __name__ == "__main__":
    main()
