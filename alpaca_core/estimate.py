"""What a generation will ask for and cost, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from alpaca_core.config import Config
from alpaca_core.pipeline import Parts
from alpaca_core.records import Usage

CHARS_PER_TOKEN = 4.0  # English text in today's tokenizers runs from 3.9 to 4.5
ROW_TOKENS = 89  # a task in list form: the mean over 9,229 tasks that text-davinci-003 wrote
KEPT = (0.95, 0.7, 0.3)  # share of the rows asked for that survives the filters: at best, usually, at worst
SAMPLE = 50  # requests that are looked at


@dataclass(frozen=True, slots=True)
class Estimate:
    """Each a triple: at best, usually, at worst. ``dollars`` is None where the price is unknown."""

    requests: tuple[int, int, int]
    prompt_tokens: tuple[int, int, int]
    completion_tokens: tuple[int, int, int]
    dollars: tuple[float, float, float] | None


def estimate(config: Config, parts: Parts) -> Estimate:
    """What ``generation.num_examples`` rows will take, from the first requests as they would be sent."""
    requests = [
        parts.prompt.request(k, Random(f"{config.seed}/{k}"), parts.seeds, [])
        for k in range(0, SAMPLE * config.generation.block, config.generation.block)
    ]
    length = sum(len(request.prompt) + len(request.system) for request in requests) / len(requests)
    items = max(1, requests[0].items)
    counts = tuple(max(1, round(config.generation.num_examples / items / kept)) for kept in KEPT)
    prompts = tuple(round(count * length / CHARS_PER_TOKEN) for count in counts)
    answers = tuple(count * items * ROW_TOKENS for count in counts)
    dollars = None
    if parts.price is not None:
        dollars = tuple(parts.price.cost(Usage(p, a)) for p, a in zip(prompts, answers, strict=True))
    return Estimate(counts, prompts, answers, dollars)  # type: ignore[arg-type]
