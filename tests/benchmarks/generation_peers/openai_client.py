"""The bare loop: OpenAI's SDK, a semaphore, and a JSONL file that each reply is appended to. Run again with the same
``--out`` it asks only for what the file does not hold. Takes what ``arguments.py`` says, and ``--aiohttp``."""

# ruff: noqa: TID253 - a script

from __future__ import annotations

import asyncio
import json
from argparse import Namespace

import openai
from arguments import MOST_TOKENS, parser, prompts_in


async def main(asked: Namespace) -> None:
    transport = {"http_client": openai.DefaultAioHttpClient()} if asked.aiohttp else {}
    client = openai.AsyncOpenAI(max_retries=asked.retries, **transport)
    free = asyncio.Semaphore(asked.in_flight)
    have = {json.loads(line)["k"] for line in asked.out.open()} if asked.out.exists() else set()
    with asked.out.open("a") as out:

        async def ask(k: int, prompt: str) -> None:
            async with free:
                try:
                    reply = await client.chat.completions.create(
                        model=asked.model,
                        messages=[{"role": "user", "content": prompt}],
                        max_completion_tokens=MOST_TOKENS,
                        temperature=1.0,
                    )
                except openai.OpenAIError as error:
                    print(f"{k}: {type(error).__name__}: {error}", flush=True)
                    return
            out.write(json.dumps({"k": k, "text": reply.choices[0].message.content}) + "\n")
            out.flush()

        await asyncio.gather(*(ask(k, prompt) for k, prompt in enumerate(prompts_in(asked)) if k not in have))
    await client.close()


if __name__ == "__main__":
    known = parser(__doc__)
    known.add_argument("--aiohttp", action="store_true", help="the SDK's other transport")
    asyncio.run(main(known.parse_args()))
