"""A local model over HTTP, in the form of OpenAI's API: chat and completions, whole and streamed.

Clients that ask at the same time are answered side by side. The page of another site cannot get in: its requests are
refused by their origin, and a server on loopback answers to loopback names only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import json
import os
import socket
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from alpaca_core.errors import AlpacaError, ConfigError, MissingError, Stopped
from alpaca_core.openai_form import Call, Refused, read_call
from alpaca_core.protocols import Talker
from alpaca_core.records import Piece, Usage
from alpaca_core.talking import listen
from alpaca_core.training import model_path

ALIAS = "alpacakit"  # a name that every served model answers to
LARGEST = 8 * 2**20  # bytes of a body
WAITING = 1000  # answers that are being written or wait: more are turned away
RETRY = 5  # seconds, after which they may come again
GRACE = 5  # seconds for the answers that are being written when the server is stopped

T = TypeVar("T")


def names_of(model: str) -> list[str]:
    """The names that clients may use for ``model``, its own first: the folder's name, or the hub id."""
    folder = Path(model).expanduser()
    if not folder.exists():
        return [model, ALIAS]
    return [folder.resolve().name, ALIAS, model, str(folder), str(folder.resolve()), model_path(model)]


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ConfigError where the address cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)[0]
        # With its protocol named: else asyncio leaves Nagle's algorithm on, and every answer waits 40 ms for an ACK.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(WAITING)
        except OSError:
            bound.close()
            raise
        return bound
    except PermissionError as exc:
        raise MissingError(f"Port {port} may not be used: {exc.strerror}.", hint="Take one above 1023.") from exc
    except (OSError, OverflowError) as exc:
        raise ConfigError(
            f"Port {port} cannot be used on {host}: {getattr(exc, 'strerror', None) or exc}.",
            hint="--port 0 takes a free port.",
        ) from exc


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or address, is this machine and no other can reach it."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def serve(talker: Talker, names: Sequence[str], bound: socket.socket, *, key: str = "") -> None:
    """Answer on ``bound`` until SIGINT or SIGTERM. Answers that are being written then have some seconds to end."""
    import uvicorn

    app = application(talker, names, key=key, loopback=is_loopback(bound.getsockname()[0]))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=GRACE)
    with contextlib.suppress(KeyboardInterrupt, Stopped):  # uvicorn ends in order, then raises the signal again
        uvicorn.Server(config).run(sockets=[bound])
    with contextlib.suppress(KeyboardInterrupt, Stopped):
        if close := getattr(talker, "aclose", None):
            asyncio.run(close())


def application(talker: Talker, names: Sequence[str], *, key: str = "", loopback: bool = True) -> Any:
    """The ASGI application. ``key`` is what clients have to send as a bearer token; empty: nothing."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    begun = int(time.time())
    shown = list(dict.fromkeys(names[:2]))
    open_answers = 0

    class Events(StreamingResponse):
        """Server-sent events, whose source is closed when nobody listens any more."""

        media_type = "text/event-stream"

        async def __call__(self, *asgi: Any) -> None:
            async with contextlib.aclosing(self.body_iterator):  # type: ignore[type-var]
                await super().__call__(*asgi)

    class Guard:
        """Lets in whoever may ask."""

        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, *asgi: Any) -> None:
            app = self.app
            if scope["type"] == "http" and (no := turned_away(Request(scope), key, loopback)):
                app = JSONResponse(no.body, no.status)
            await app(scope, *asgi)

    def known(name: str) -> str:
        if name and name not in names:
            use = " or ".join(f"'{one}'" for one in shown)
            raise Refused(404, f"No model '{name}' is served here: use {use}.", param="model", code="model_not_found")
        return name or names[0]

    async def answers(call: Call) -> AsyncGenerator[list[tuple[int, Piece]], None]:
        nonlocal open_answers
        open_answers += len(call.questions)
        try:
            async with contextlib.aclosing(listen(talker, call.questions)) as told:
                async for pieces in told:
                    yield pieces
        finally:
            open_answers -= len(call.questions)

    async def answered(request: Request, kind: str) -> Response:
        call = read_call(kind, await body_of(request))
        call = replace(call, model=known(call.model))
        if open_answers + len(call.questions) > WAITING:
            raise Refused(503, f"{open_answers} answers are being written or wait: come again later.")
        if not call.stream:
            return JSONResponse(await unless_gone(request, whole(call, answers(call))))
        events = streamed(call, answers(call))
        # What is wrong with the question shows at the first piece: only then the status is sent.
        first = await unless_gone(request, _next(events))
        return Events(_chain(first, events), headers={"Cache-Control": "no-store"})

    async def chat(request: Request) -> Response:
        return await answered(request, "chat")

    async def completion(request: Request) -> Response:
        return await answered(request, "completion")

    def card(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": begun, "owned_by": ALIAS}

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [card(name) for name in shown]})

    async def model(request: Request) -> Response:
        return JSONResponse(card(known(request.path_params["name"])))

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "answers": open_answers})

    async def refused(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, Refused)
        return JSONResponse(exc.body, exc.status, {"Retry-After": str(RETRY)} if exc.status == 503 else None)

    async def failed(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, AlpacaError)
        return await refused(request, refusal(exc))

    async def astray(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        no = Refused(exc.status_code, f"{request.method} {request.url.path}: {exc.detail.lower()}.")
        return JSONResponse(no.body, exc.status_code, exc.headers)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/completions", completion, methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/health", health),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={Refused: refused, AlpacaError: failed, HTTPException: astray},
    )


def turned_away(request: Any, key: str, loopback: bool) -> Refused | None:
    """Why a request is not let in. A page in a browser may neither come from another host nor, on loopback, under a
    name that its owner has pointed here."""
    host, origin = (request.headers.get(header) for header in ("host", "origin"))
    if loopback:
        for header, given, url in (("host", host, f"//{host}"), ("origin", origin, origin)):
            if given is not None and not is_loopback(_host(url)):
                return Refused(403, f"This server answers to localhost only, not to the {header} {given}.")
    elif origin is not None and _host(origin) != _host(f"//{host}"):
        return Refused(403, f"This server answers no page of another site, such as {origin}.")
    sent = request.headers.get("authorization", "").removeprefix("Bearer ")
    # Bytes of a header are read as Latin-1, those of the environment as UTF-8.
    same = hmac.compare_digest(sent.encode("latin-1"), os.fsencode(key))
    if key and request.url.path != "/health" and not same:
        return Refused(401, "The API key is missing or wrong.", code="invalid_api_key")
    return None


def _host(url: str) -> str:
    """The host of ``url``; empty where there is none, or no sense in it."""
    with contextlib.suppress(ValueError):
        return urlsplit(url).hostname or ""
    return ""


def refusal(error: AlpacaError) -> Refused:
    """The HTTP form of an error of the model's."""
    status = {"bad_request": 400, "quota": 503, "connection": 503}.get(getattr(error, "kind", ""), 500)
    return Refused(status, error.message, code="context_length_exceeded" if "context" in error.message else None)


async def body_of(request: Any) -> Any:
    """The body, read from JSON. Raises Refused for one that is too large or no JSON."""
    from starlette.requests import ClientDisconnect

    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                raise Refused(413, f"The body is larger than {LARGEST // 2**20} MiB.")
    except ClientDisconnect as exc:
        raise Refused(499, "The client has hung up.") from exc
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refused(400, f"The body is no JSON: {exc}.") from exc


async def whole(call: Call, told: AsyncGenerator[list[tuple[int, Piece]], None]) -> dict[str, Any]:
    """The reply to ``call`` in one."""
    texts = [""] * len(call.questions)
    ends = [Piece()] * len(call.questions)
    async with contextlib.aclosing(told):
        async for pieces in told:
            for index, piece in pieces:
                texts[index] += piece.text
                ends[index] = piece
    choices = [call.choice(i, text, end.finish) for i, (text, end) in enumerate(zip(texts, ends, strict=True))]
    return {**call.head(), "choices": choices, "usage": call.usage([end.usage or Usage() for end in ends])}


async def streamed(call: Call, told: AsyncGenerator[list[tuple[int, Piece]], None]) -> AsyncGenerator[str, None]:
    """The reply to ``call`` as server-sent events. Raises an error that comes before the first of them."""
    head = call.head(chunk=True)
    ends: dict[int, Usage] = {}
    begun: set[int] = set()
    async with contextlib.aclosing(told):
        try:
            async for pieces in told:
                for index, piece in pieces:
                    choice = call.piece(index, piece.text, piece.finish, first=index not in begun)
                    begun.add(index)
                    if piece.finish:
                        ends[index] = piece.usage or Usage()
                    yield _event({**head, "choices": [choice], **({"usage": None} if call.stream_usage else {})})
        except AlpacaError as exc:
            if not begun:
                raise
            yield _event(refusal(exc).body)
            return
    if call.stream_usage:
        yield _event({**head, "choices": [], "usage": call.usage([ends[index] for index in sorted(ends)])})
    yield "data: [DONE]\n\n"


def _event(content: Any) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


async def unless_gone(request: Any, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives, which is cancelled when the client hangs up; then Refused is raised, for nobody."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Refused(499, "The client has hung up.")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _next(events: AsyncGenerator[T, None]) -> T:
    return await anext(events)


async def _chain(first: str, events: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async with contextlib.aclosing(events):
        yield first
        async for event in events:
            yield event
