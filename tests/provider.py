"""A provider of our own on loopback: the protocols of OpenAI and of Anthropic, with faults on demand.

It writes numbered lists of invented tasks. An answer depends on the seed and the prompt alone, a fault of transport
also on how often that prompt was seen; so what a client ends up with must not depend on concurrency, retries or
restarts. It counts what a provider would bill.

    with Provider(latency=0.05, faults={"rate_limit": 0.1, "reset": 0.02}) as provider:
        ...  # OPENAI_BASE_URL=provider.url, ANTHROPIC_BASE_URL=provider.root
        assert provider.stats()["paid_twice"] == 0

    python tests/provider.py --port 8124 --fault rate_limit=0.1       (a process of its own; GET /stats)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import provider_anthropic
import provider_openai
from aiohttp import web
from provider_answers import CONTENT, Answer, Asked, Endpoint, tokens, write
from provider_anthropic_batches import MessageBatches
from provider_batches import Batches, Ending
from provider_limits import Limits
from provider_openai_batches import OpenAIBatches

# Faults of transport, drawn anew each time a prompt is seen. Only ``reset`` and ``garbage`` are billed.
TRANSPORT = (
    "rate_limit",  # 429 with Retry-After
    "server",  # 500
    "overloaded",  # 503; 529 at Anthropic
    "early_reset",  # the connection breaks before the work is done
    "reset",  # the connection breaks in the middle of the answer, which was paid
    "hang",  # no answer, ever
    "auth",  # 401
    "permission",  # 403
    "not_found",  # 404
    "bad_request",  # 400
    "quota",  # 429 that no waiting helps; 402 at Anthropic
    "credit",  # the account is not in order: 429; 400 at Anthropic
    "garbage",  # 200 with a body that is not JSON
)
FAULTS = (*TRANSPORT, *CONTENT, "batch_reset")  # the last one breaks the connection once a batch was taken
IN_BATCH = ("server", "overloaded", "bad_request")  # those of TRANSPORT that a request of a batch can meet too
APIS = {path: api for api in (provider_openai, provider_anthropic) for path in api.ENDPOINTS}


class Provider:
    """The server, in a thread of this process while it is entered.

    ``faults`` gives each fault's probability. ``script`` names the faults of the first requests, in order of arrival
    ("" for none), and goes before ``faults``. ``refuses`` are body parameters that get a 400: ``temperature``,
    ``text.format``, or one value only, ``reasoning.effort=none``; an object's value is its type. ``key`` is the only
    key taken, ``models`` the only models, ``shutdown`` the day (2027-01-31) on which some of them end. ``rpm``,
    ``tpm``, ``itpm`` and ``otpm`` are real limits, with full buckets of that size at the start. ``items`` is the number
    of a list's last item. ``reasoning`` are the tokens that a model thinks unless told not to, ``context`` those that
    prompt and answer may have together; with ``vllm``, what is longer is refused in vLLM's words. For
    ``batch_seconds``, ``batch_ends``, ``batch_share`` and ``desk`` see ``provider_batches.Batches``.
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
        shutdown: Mapping[str, str] | None = None,
        rpm: int = 0,
        tpm: int = 0,
        itpm: int = 0,
        otpm: int = 0,
        items: int = 20,
        retry_after: float = 0.05,
        reasoning: int = 0,
        context: int = 0,
        vllm: bool = False,
        batch_seconds: float = 0.2,
        batch_ends: Ending = "completed",
        batch_share: float = 0.5,
        desk: Iterable[str] = (),
        port: int = 0,
    ) -> None:
        self.seed, self.latency, self.items, self.retry_after = seed, latency, items, retry_after
        self.faults = dict(faults or {})
        self.script = list(script)
        if unknown := {*self.faults, *self.script} - {*FAULTS, ""}:
            raise ValueError(f"unknown faults: {sorted(unknown)}")
        self.refuses, self.models, self.key = set(refuses), set(models), key
        self.shutdown = dict(shutdown or {})
        self.limits = Limits(rpm, tpm, itpm, otpm)
        self.reasoning, self.context, self.port = reasoning, context, port
        self.vllm = vllm
        self.batches = Batches(self, batch_seconds, batch_ends, batch_share, tuple(desk))
        self.requests: list[dict[str, Any]] | deque[dict[str, Any]] = []  # what arrived: path, headers and body
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
        app = web.Application(client_max_size=1 << 28)
        for path in APIS:
            app.router.add_post(path, self.handle)
        app.router.add_routes(OpenAIBatches(self.batches, self.models).routes())
        app.router.add_routes(MessageBatches(self.batches).routes())
        app.router.add_get("/v1/models", self.show_models)
        app.router.add_get("/v1/models/{name}", self.show_models)
        app.router.add_get("/stats", self.show_stats)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", self.port, backlog=1024)
        await site.start()
        self.port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        """Close all connections and end what still hangs."""
        await self.runner.cleanup()
        for _ in range(5):  # one that was being accepted as the server closed is not known to it: nobody would close it
            await asyncio.sleep(0)
        hanging = asyncio.all_tasks() - {asyncio.current_task()}
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        for transport in list(self.loop._transports.values()):  # type: ignore[attr-defined]
            transport.abort()
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        """The base URL to give to a client of OpenAI's."""
        return f"{self.root}/v1"

    @property
    def root(self) -> str:
        """The base URL to give to a client of Anthropic's."""
        return f"http://127.0.0.1:{self.port}"

    def stats(self) -> dict[str, Any]:
        """What was asked, what was billed, and what should never happen.

        ``paid_twice``: answers billed beyond one for each prompt. ``early_retries``: prompts sent again before their
        Retry-After had passed. ``sdk_retries``: requests that a client library repeated on its own. ``abandoned``:
        answers that nobody waited for any more. ``peak_parallel``: the most answers in the making at once.
        ``batch_calls``: requests to files and batches, which ``requests`` leaves out. ``batch_prompt_tokens``,
        ``batch_completion_tokens``: how many of the tokens came in batches.
        """
        names = (
            *("early_retries", "sdk_retries", "delivered", "abandoned", "model_lists"),
            *("batches", "batch_requests", "batch_calls"),
            *("prompt_tokens", "completion_tokens", "batch_prompt_tokens", "batch_completion_tokens"),
        )
        return {
            "requests": self.counts["requests"],
            "distinct": len(self.seen),
            "billed": self.billed.total(),
            "paid_twice": self.billed.total() - len(self.billed),
            "peak_parallel": self.peak,
            **{name: self.counts[name] for name in names},
            "faults": {name: self.counts[name] for name in FAULTS if self.counts[name]},
        }

    # ---- one request -----------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        arrived = time.monotonic()
        return await self.respond(request, await request.json(), arrived + self.latency)

    async def respond(self, request: web.Request, body: dict[str, Any], due: float) -> web.StreamResponse:
        api = APIS[request.path]
        endpoint = api.ENDPOINTS[request.path]
        self.counts["requests"] += 1
        self.requests.append({"path": request.path, "headers": dict(request.headers), "body": body})
        if refusal := self.wrong_key(api, request) or self.malformed(api, endpoint, body, request):
            return self.refuse(api, *refusal)
        asked = endpoint.read(body)
        name = asked.name
        self.seen[name] += 1
        self.counts["sdk_retries"] += request.headers.get("x-stainless-retry-count", "0") != "0"
        self.counts["early_retries"] += time.monotonic() < self.not_before.pop(name, 0) - 0.002
        if refusal := self.unsuitable(api, asked, body):
            return self.refuse(api, *refusal)
        if wait := self.limits.admit(asked):
            return self.too_many(api, name, wait)
        fault = self.draw(name)
        self.counts[fault] += bool(fault)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "early_reset":
            return self.abort(request)
        if fault == "rate_limit":
            return self.too_many(api, name, self.retry_after)
        if fault in api.ERRORS:
            return self.refuse(api, *self.error(api, fault, request))
        answer = self.write(asked, fault)
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            await asyncio.sleep(due - time.monotonic())
        finally:
            self.open -= 1
        self.limits.written(answer)
        reply = json.dumps(self.reply(endpoint, answer)).encode()
        if fault == "reset":
            half = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(reply))})
            await half.prepare(request)
            await half.write(reply[: len(reply) // 2])
            return self.abort(request, half)
        gone = request.transport is None or request.transport.is_closing()
        self.counts["abandoned" if gone else "delivered"] += 1
        text = b"<html>Bad gateway</html>" if fault == "garbage" else reply
        return web.Response(body=text, content_type="application/json", headers=api.headers(self.limits))

    def write(self, asked: Asked, fault: str) -> Answer:
        return write(asked, fault, seed=self.seed, items=self.items, reasoning=self.reasoning)

    def reply(self, endpoint: Endpoint, answer: Answer, kinds: tuple[str, ...] = ("",)) -> dict[str, Any]:
        """The body of an answer, which is billed: its tokens are counted under each of the ``kinds``."""
        self.billed[answer.name] += 1
        for kind in kinds:
            self.counts[f"{kind}prompt_tokens"] += answer.prompt_tokens
            self.counts[f"{kind}completion_tokens"] += answer.completion_tokens
        return endpoint.shape(answer)

    def batched(self, api: Any, endpoint: Endpoint, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The status and the body of what a request in a batch brings."""
        if refusal := self.malformed(api, endpoint, body):
            return refusal
        asked = endpoint.read(body)
        self.seen[asked.name] += 1
        if refusal := self.unsuitable(api, asked, body):
            return refusal
        fault = self.draw(asked.name)
        if fault in TRANSPORT and fault not in IN_BATCH:
            fault = self.chance(CONTENT, f"{self.seed}/{asked.name}")
        self.counts[fault] += bool(fault)
        if fault in IN_BATCH:
            return self.error(api, fault)
        return 200, self.reply(endpoint, self.write(asked, fault), ("", "batch_"))

    def draw(self, name: str) -> str:
        """The fault that a request meets, or ""."""
        if self.script:
            return self.script.pop(0)
        place = f"{self.seed}/{name}"
        return self.chance(TRANSPORT, f"{place}/{self.seen[name]}") or self.chance(CONTENT, place)

    def chance(self, faults: Iterable[str], place: str) -> str:
        if self.faults.keys().isdisjoint(faults):
            return ""
        chance = random.Random(place).random()
        for fault in faults:
            chance -= self.faults.get(fault, 0.0)
            if chance < 0:
                return fault
        return ""

    # ---- what is not taken: the status and the body of an error, or None ----------------------------

    def wrong_key(self, api: Any, request: web.Request) -> tuple[int, dict[str, Any]] | None:
        return self.error(api, "auth", request) if self.key and api.key(request.headers) != self.key else None

    def error(self, api: Any, fault: str, request: web.Request | None = None) -> tuple[int, dict[str, Any]]:
        """An error out of the API's table. That of a wrong key repeats it, so that a client can prove to hide it."""
        status, code, text = api.ERRORS[fault]
        return status, api.problem(code, text.format(key=api.key(request.headers) if request else ""))

    def malformed(
        self, api: Any, endpoint: Endpoint, body: dict[str, Any], request: web.Request | None = None
    ) -> tuple[int, dict[str, Any]] | None:
        missing = api.REQUIRED - set(map(str.lower, request.headers)) if request else ()
        text = "".join(f"{name}: header is required" for name in missing) or endpoint.check(body)
        return (400, api.problem("invalid_request_error", text)) if text else None

    def unsuitable(self, api: Any, asked: Asked, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """The model, a parameter or the length."""
        if self.models and asked.model not in self.models:
            return self.error(api, "not_found")
        for name, value in parameters(body) if self.refuses else ():
            if name in self.refuses or f"{name}={value}" in self.refuses:
                code, text = api.unsupported(name, None if name in self.refuses else value)
                return 400, api.problem(code, text, name)
        prompt, most = tokens(asked.prompt) + 1, asked.most or 0
        if self.context and prompt + most > self.context:
            say = provider_openai.too_long_at_vllm if self.vllm else api.too_long
            return 400, api.problem(*say(self.context, prompt, most), "messages")
        return None

    # ---- other responses ---------------------------------------------------------------------------

    def refuse(self, api: Any, status: int, body: dict[str, Any], wait: float | None = None) -> web.Response:
        headers = api.headers(self.limits) | ({} if wait is None else {"Retry-After": f"{wait:.3f}"})
        return web.json_response(body, status=status, headers=headers)

    def too_many(self, api: Any, name: str, wait: float) -> web.Response:
        self.not_before[name] = time.monotonic() + wait
        return self.refuse(api, *self.error(api, "rate_limit"), wait)

    def abort(self, request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
        if request.transport:
            request.transport.abort()
        return response or web.Response()

    async def show_models(self, request: web.Request) -> web.Response:
        """The list of models, or one of them."""
        self.counts["model_lists"] += 1
        api = self.api_of(request)
        if refusal := self.wrong_key(api, request):
            return self.refuse(api, *refusal)
        known = {name: self.shutdown.get(name) for name in sorted(self.models | self.shutdown.keys()) or ["any"]}
        name = request.match_info.get("name")
        if name is None:
            return web.json_response(api.models(known))
        if name not in known:
            return self.refuse(api, *self.error(api, "not_found"))
        return web.json_response(api.model(name, known[name]))

    def api_of(self, request: web.Request) -> Any:
        """Whose client asks: both have a list of models at the same address."""
        return provider_anthropic if "anthropic-version" in request.headers else provider_openai

    async def show_stats(self, request: web.Request) -> web.Response:
        return web.json_response(self.stats())


def parameters(body: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    """The names, dotted where they nest, with the values; an object's value is its type."""
    for name, value in body.items():
        if isinstance(value, dict):
            yield inside + name, value.get("type")
            yield from parameters(value, f"{inside}{name}.")
        else:
            yield inside + name, value


async def serve(provider: Provider) -> None:
    provider.requests = deque(maxlen=0)  # nobody reads them there
    await provider.start()
    print(provider.url, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("port", "seed", "rpm", "tpm", "itpm", "otpm", "items", "reasoning", "context"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("latency", "retry-after", "batch-seconds", "batch-share"):
        parser.add_argument(f"--{name}", type=float)
    for name in ("key", "batch-ends"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--model", action="append", dest="models", metavar="NAME")
    parser.add_argument("--refuse", action="append", dest="refuses", metavar="PARAMETER[=VALUE]")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=PROBABILITY")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    faults = {name: float(chance) for name, _, chance in (text.partition("=") for text in given.pop("fault"))}
    try:
        asyncio.run(serve(Provider(faults=faults, **given)))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
