"""Bespoke Labs' curator: one row per prompt. Takes what ``arguments.py`` says.

It counts tokens with a file that tiktoken would fetch; litellm, which curator depends on, brings that file along.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from arguments import MOST_TOKENS, parser, prompts_in, write_replies

os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(find_spec("litellm").origin).parent / "litellm_core_utils" / "tokenizers")
os.environ["TELEMETRY_ENABLED"] = "False"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from bespokelabs import curator


class Ask(curator.LLM):
    def prompt(self, input):
        return input["prompt"]

    def parse(self, input, response):
        return {"k": input["k"], "text": response}


def main() -> None:
    asked = parser(__doc__).parse_args()
    ask = Ask(
        model_name=asked.model,
        backend="openai",
        generation_params={"max_completion_tokens": MOST_TOKENS, "temperature": 1.0},
        backend_params={
            "base_url": os.environ["OPENAI_BASE_URL"],
            "max_concurrent_requests": asked.in_flight,
            "max_retries": asked.retries,
            "require_all_responses": False,
        },
    )
    rows = [{"k": k, "prompt": prompt} for k, prompt in enumerate(prompts_in(asked))]
    found = ask(rows, working_dir=str(asked.out.with_suffix(".cache"))).dataset
    texts = dict(zip(found["k"], found["text"], strict=True))
    write_replies(asked, [texts.get(row["k"]) for row in rows])


if __name__ == "__main__":
    main()
