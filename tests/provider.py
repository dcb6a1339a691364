"""A provider of our own on loopback: the Chat Completions and Completions protocols, with faults on demand.

It writes numbered lists of invented tasks. An answer depends on the seed and the prompt alone, a fault of transport
also on how often that prompt was seen; so what a client ends up with must not depend on concurrency, retries or
restarts. It counts what a provider would bill.

    with Provider(latency=0.05, faults={"rate_limit": 0.1, "reset": 0.02}) as provider:
        ...  # OPENAI_BASE_URL=provider.url
        assert provider.stats()["paid_twice"] == 0

    python tests/provider.py --port 8124 --fault rate_limit=0.1       (a process of its own; GET /stats)
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web
from provider_tasks import task

# Faults of transport, drawn anew each time a prompt is seen. Only ``reset`` and ``garbage`` are billed.
TRANSPORT = (
    "rate_limit",  # 429 with Retry-After
    "server",  # 500
    "overloaded",  # 503
    "early_reset",  # the connection breaks before the work is done
    "reset",  # the connection breaks in the middle of the answer, which was paid
    "hang",  # no answer, ever
    "auth",  # 401
    "permission",  # 403
    "not_found",  # 404
    "bad_request",  # 400
    "quota",  # 429 that no waiting helps
    "garbage",  # 200 with a body that is not JSON
)
# Faults of the answer: the same each time that a prompt is seen. All of them are billed.
CONTENT = ("truncated", "malformed", "empty", "refusal", "content_filter")

ERRORS = {
    "rate_limit": (429, "rate_limit_exceeded", "Rate limit reached for requests"),
    "server": (500, "server_error", "The server had an error while processing your request"),
    "overloaded": (503, "overloaded", "The engine is currently overloaded"),
    "permission": (403, "forbidden", "This project has no access to the model"),
    "not_found": (404, "model_not_found", "The model does not exist"),
    "bad_request": (400, "context_length_exceeded", "This model's maximum context length is 4097 tokens"),
    "quota": (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details"),
}
LAST_NUMBER = re.compile(r"(\d+)\.\s*Instruction:\s*$")
TOKEN = 4  # characters in a token, about


class Provider:
    """The server, in a thread of this process while it is entered.

    ``faults`` gives each fault's probability. ``script`` names the faults of the first requests, in order of arrival
    ("" for none), and goes before ``faults``. ``refuses`` are body parameters that get a 400. ``key`` is the only key
    taken, ``models`` the only models. ``rpm`` is a real limit, with a full bucket of that size at the start. ``items``
    is the number of a list's last item. ``reasoning`` are the tokens that a model thinks unless told not to.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        latency: float = 0.0,
        faults: Mapping[str, float] | None = None,
        script: Iterable[str] = (),
        refuses: Iterable[str] = (),
        key: str = "",
        models: Iterable[str] = (),
        rpm: int = 0,
        items: int = 20,
        retry_after: float = 0.05,
        reasoning: int = 0,
        context: int = 0,
        port: int = 0,
    ) -> None:
        self.seed, self.latency, self.items, self.retry_after = seed, latency, items, retry_after
        self.faults = dict(faults or {})
        self.script = list(script)
        if unknown := {*self.faults, *self.script} - {*TRANSPORT, *CONTENT, ""}:
            raise ValueError(f"unknown faults: {sorted(unknown)}")
        self.refuses, self.models, self.key = set(refuses), set(models), key
        self.rpm, self.reasoning, self.context, self.port = rpm, reasoning, context, port
        self.allowance, self.refilled = float(rpm), time.monotonic()
        self.requests: list[dict[str, Any]] = []  # what arrived: path, headers and body
        self.seen: Counter[str] = Counter()
        self.billed: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.not_before: dict[str, float] = defaultdict(float)
        self.open = self.peak = 0

    # ---- running ---------------------------------------------------------------------------------

    def __enter__(self) -> Provider:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), self.loop).result(10)
        return self

    def __exit__(self, *exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self.stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def start(self) -> None:
        """Listen on ``port``, or on a free one that ``port`` and ``url`` then name."""
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/chat/completions", self.handle)
        app.router.add_post("/v1/completions", self.handle)
        app.router.add_get("/v1/models", self.list_models)
        app.router.add_get("/stats", self.show_stats)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", self.port, backlog=1024)
        await site.start()
        self.port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        """Close all connections and end what still hangs."""
        await self.runner.cleanup()
        hanging = asyncio.all_tasks() - {asyncio.current_task()}
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """What was asked, what was billed, and what should never happen.

        ``paid_twice``: answers billed beyond one for each prompt. ``early_retries``: prompts sent again before their
        Retry-After had passed. ``sdk_retries``: requests that a client library repeated on its own. ``abandoned``:
        answers that nobody waited for any more.
        """
        return {
            "requests": len(self.requests),
            "distinct": len(self.seen),
            "billed": self.billed.total(),
            "paid_twice": self.billed.total() - len(self.billed),
            "peak_parallel": self.peak,
            **{name: self.counts[name] for name in ("early_retries", "sdk_retries", "delivered", "abandoned")},
            **{name: self.counts[name] for name in ("prompt_tokens", "completion_tokens")},
            "faults": {name: self.counts[name] for name in (*TRANSPORT, *CONTENT) if self.counts[name]},
        }

    # ---- one request -----------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            return await self.answer(request, await request.json())
        finally:
            self.open -= 1

    async def answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        self.requests.append({"path": request.path, "headers": dict(request.headers), "body": body})
        prompt = body.get("prompt") or "\n".join(message["content"] for message in body["messages"])
        name = hashlib.sha256(prompt.encode()).hexdigest()[:16]
        self.seen[name] += 1
        self.counts["sdk_retries"] += request.headers.get("x-stainless-retry-count", "0") != "0"
        self.counts["early_retries"] += time.monotonic() < self.not_before.pop(name, 0) - 0.002
        if refusal := self.refusal(request, body) or self.too_long(prompt, body):
            return refusal
        if wait := self.wait_for_allowance():
            return self.error("rate_limit", name, wait)
        fault = self.draw(name)
        self.counts[fault] += bool(fault)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "early_reset":
            return self.abort(request)
        if fault == "auth":
            return self.wrong_key(request)
        if fault in ERRORS:
            return self.error(fault, name, self.retry_after)
        await asyncio.sleep(self.latency)
        reply = json.dumps(self.reply(request.path, prompt, name, body, fault)).encode()
        if fault == "reset":
            half = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(reply))})
            await half.prepare(request)
            await half.write(reply[: len(reply) // 2])
            return self.abort(request, half)
        gone = request.transport is None or request.transport.is_closing()
        self.counts["abandoned" if gone else "delivered"] += 1
        text = b"<html>Bad gateway</html>" if fault == "garbage" else reply
        return web.Response(body=text, content_type="application/json", headers=self.limits())

    def refusal(self, request: web.Request, body: dict[str, Any]) -> web.Response | None:
        """The answer to a key, a model or a parameter that is not taken."""
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return self.wrong_key(request)
        if self.models and body["model"] not in self.models:
            return self.error("not_found")
        for name, value in body.items():
            if name in self.refuses:
                text = f"Unsupported parameter: '{name}' is not supported with this model."
                return self.problem(400, "unsupported_parameter", text, name)
            if f"{name}={value}" in self.refuses:
                text = f"Unsupported value: '{name}' does not support '{value}' with this model."
                return self.problem(400, "unsupported_value", text, name)
        return None

    def too_long(self, prompt: str, body: dict[str, Any]) -> web.Response | None:
        asked, answer = len(prompt) // TOKEN + 1, most_tokens(body)
        if not self.context or asked + answer <= self.context:
            return None
        text = (
            f"This model's maximum context length is {self.context} tokens, however you requested {asked + answer} "
            f"tokens ({asked} in your prompt; {answer} for the completion). Please reduce your prompt."
        )
        return self.problem(400, "context_length_exceeded", text, "messages")

    def wrong_key(self, request: web.Request) -> web.Response:
        """As providers do, the text repeats the key, so that a client can prove that it hides it."""
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return self.problem(401, "invalid_api_key", f"Incorrect API key provided: {key}.")

    def error(self, fault: str, name: str = "", wait: float = 0.0) -> web.Response:
        status, code, text = ERRORS[fault]
        if fault != "rate_limit":
            return self.problem(status, code, text)
        self.not_before[name] = time.monotonic() + wait
        return self.problem(status, code, text, headers={"Retry-After": f"{wait:.3f}"})

    def problem(
        self, status: int, code: str, text: str, param: str = "", headers: Mapping[str, str] | None = None
    ) -> web.Response:
        error = {"message": text, "type": "invalid_request_error", "param": param or None, "code": code}
        return web.json_response({"error": error}, status=status, headers={**self.limits(), **(headers or {})})

    def abort(self, request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
        if request.transport:
            request.transport.abort()
        return response or web.Response()

    def draw(self, name: str) -> str:
        if self.script:
            return self.script.pop(0)
        for faults, place in ((TRANSPORT, f"{self.seed}/{name}/{self.seen[name]}"), (CONTENT, f"{self.seed}/{name}")):
            chance = random.Random(place).random()
            for fault in faults:
                chance -= self.faults.get(fault, 0.0)
                if chance < 0:
                    return fault
        return ""

    def wait_for_allowance(self) -> float:
        if not self.rpm:
            return 0.0
        now = time.monotonic()
        self.allowance = min(self.rpm, self.allowance + (now - self.refilled) * self.rpm / 60)
        self.refilled = now
        if self.allowance < 1:
            return (1 - self.allowance) * 60 / self.rpm
        self.allowance -= 1
        return 0.0

    def limits(self) -> dict[str, str]:
        per_minute = self.rpm or 60_000
        left = int(self.allowance) if self.rpm else per_minute - 1
        return {
            "x-ratelimit-limit-requests": str(per_minute),
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": f"{(per_minute - left) * 60 / per_minute:.3f}s",
            "x-ratelimit-limit-tokens": "150000000",
            "x-ratelimit-remaining-tokens": "149999000",
            "x-ratelimit-reset-tokens": "6ms",
        }

    # ---- the answer ------------------------------------------------------------------------------

    def reply(self, path: str, prompt: str, name: str, body: dict[str, Any], fault: str) -> dict[str, Any]:
        chat = path.endswith("/chat/completions")
        text, finish = self.text(prompt, name, fault, chat)
        stop = body.get("stop") or []
        for mark in [stop] if isinstance(stop, str) else stop:
            text = text.partition(mark)[0]
        most = most_tokens(body)
        if len(text) > most * TOKEN:
            text, finish = text[: most * TOKEN], "length"
        thought = self.reasoning if chat and body.get("reasoning_effort") != "none" else 0
        usage = {
            "prompt_tokens": len(prompt) // TOKEN + 1,
            "completion_tokens": len(text) // TOKEN + 1 + thought,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": thought},
        }
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
        self.billed[name] += 1
        self.counts["prompt_tokens"] += usage["prompt_tokens"]
        self.counts["completion_tokens"] += usage["completion_tokens"]
        refused = text if fault == "refusal" else None
        message = {"role": "assistant", "content": None if refused else text, "refusal": refused}
        return {
            "id": f"reply-{name}",
            "object": "chat.completion" if chat else "text_completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": finish, **({"message": message} if chat else {"text": text})}],
            "usage": usage,
        }

    def text(self, prompt: str, name: str, fault: str, chat: bool) -> tuple[str, str]:
        """The list, from the number that the prompt ends on, or else from 1."""
        rng = random.Random(f"{self.seed}/{name}/text")
        if fault == "empty":
            return "", "stop"
        if fault == "refusal":
            return "I am sorry, but I cannot help with that.", "stop"
        asked = LAST_NUMBER.search(prompt)
        first = int(asked[1]) if asked else 1
        tasks = [task(rng) for _ in range(first, self.items + 1)]
        text = listing(tasks, first, rng.choice(DAMAGES) if fault == "malformed" else "")
        if asked and not chat:
            text = text.split("Instruction:", 1)[1]
        if fault in ("truncated", "content_filter"):
            cut = int(len(text) * rng.uniform(0.1, 0.95))
            return text[:cut], "length" if fault == "truncated" else "content_filter"
        return text, "stop"

    async def list_models(self, request: web.Request) -> web.Response:
        models = [{"id": name, "object": "model"} for name in sorted(self.models) or ["any"]]
        return web.json_response({"object": "list", "data": models})

    async def show_stats(self, request: web.Request) -> web.Response:
        return web.json_response(self.stats())


def most_tokens(body: dict[str, Any]) -> int:
    return body.get("max_completion_tokens") or body.get("max_tokens") or 16


DAMAGES = ("no input", "no output", "counts from 1", "no separators", "quotes a header", "bold", "no text")


def listing(tasks: list[tuple[str, str, str]], first: int, damage: str = "") -> str:
    """The tasks as a numbered list; ``damage`` spoils every third of them, or the whole form."""
    parts = []
    for place, (instruction, given, output) in enumerate(tasks):
        number = place + 1 if damage == "counts from 1" else place + first
        hurt = place % 3 == 1
        fields = {"Instruction": f" {instruction}", "Input": f"\n{given or '<noinput>'}", "Output": f"\n{output}"}
        if hurt and damage == "quotes a header":
            fields["Output"] += f"\n### Notes\n{number + 7}. Input: is only quoted here."
        if hurt and damage in ("no input", "no output"):
            del fields[damage.removeprefix("no ").capitalize()]
        if hurt and damage == "no text":
            fields["Output"] = ""
        mark = "**" if damage == "bold" else ""
        parts.append("".join(f"{mark}{number}. {field}:{mark}{text}\n" for field, text in fields.items()))
    return ("" if damage == "no separators" else "###\n").join(parts).rstrip("\n")


async def serve(provider: Provider) -> None:
    await provider.start()
    print(provider.url, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, kind in (("port", int), ("seed", int), ("latency", float), ("rpm", int), ("items", int)):
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--retry-after", type=float)
    parser.add_argument("--key")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=PROBABILITY")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    faults = {name: float(chance) for name, _, chance in (text.partition("=") for text in given.pop("fault"))}
    try:
        asyncio.run(serve(Provider(faults=faults, **given)))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
